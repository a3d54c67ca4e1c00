"""The references of uncertainty against explicit formulas; the compiled kernel is compared in test_contracts.py."""

import numpy as np
import pytest
from scipy.stats import entropy

from sksoft.kernels.uncertainty import ENTROPY, LEAST_CONFIDENCE, MARGIN, first_rows, most_uncertain_rows, uncertainty


@pytest.fixture
def proba():
    return np.random.default_rng(0).dirichlet(np.full(6, 0.3), 200)


def test_measures(proba):
    proba[0] = [0.5, 0.5, 0, 0, 0, 0]
    ordered = np.sort(proba, axis=1)
    np.testing.assert_allclose(uncertainty(proba, ENTROPY), entropy(proba, axis=1), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(uncertainty(proba, MARGIN), 1 - ordered[:, -1] + ordered[:, -2], rtol=1e-13)
    np.testing.assert_allclose(uncertainty(proba, LEAST_CONFIDENCE), 1 - ordered[:, -1])


@pytest.mark.parametrize("n_rows", [1, 7, 199, 200])
def test_first_rows_are_those_of_a_stable_sort(n_rows):
    scores = np.random.default_rng(1).integers(0, 20, 200).astype(float)
    np.testing.assert_array_equal(first_rows(scores, n_rows), np.argsort(-scores, kind="stable")[:n_rows])


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_the_first_of_several_invalid_rows_is_named(proba, backend):
    proba[150, 2], proba[90, 0], proba[120] = np.nan, -1e-12, 0.0
    for wrong in (90, 120, 150):
        rows, scores, invalid = most_uncertain_rows.on(backend)(proba, n_rows=5, kind=MARGIN)
        assert (len(rows), len(scores), invalid) == (0, 0, wrong)
        proba[wrong] = 1 / 6
    assert most_uncertain_rows.on(backend)(proba, n_rows=5, kind=MARGIN)[2] == -1
