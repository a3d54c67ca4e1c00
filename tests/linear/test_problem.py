"""How rows are laid out for a fit."""

import numpy as np
import pytest
from scipy import sparse

from sksoft.linear.problem import DENSE_SIZE, laid_out
from sksoft.objective.design import DENSE_SHARE

N = DENSE_SIZE // 1000


def _rows(density):
    return sparse.random(N + 1, 1000, density=density, format="csr", dtype=np.float32, random_state=0)


def test_many_rows_with_many_entries_are_fitted_as_dense_ones():
    rows = _rows(1.05 * DENSE_SHARE)
    found = laid_out(rows, None)
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    assert np.array_equal(found, rows.toarray())


@pytest.mark.parametrize(
    ("rows", "working_memory"),
    [(_rows(0.9 * DENSE_SHARE), None), (_rows(1.05 * DENSE_SHARE), 1.0), (_rows(1.05 * DENSE_SHARE)[:100], None)],
    ids=["few entries", "little memory", "few rows"],
)
def test_other_sparse_rows_stay_sparse(rows, working_memory):
    found = laid_out(rows, working_memory)
    assert isinstance(found, sparse.csr_array)
    assert (found != rows).nnz == 0
