"""Rows sorted by the leaves of their classes, from every form of X."""

import numpy as np
import pytest
from random_models import random_tree
from scipy import sparse

from sksoft.hierarchical.sorted_rows import SortedRows

RNG = np.random.default_rng(0)
TREE = random_tree(np.random.default_rng(1), 11)
X = RNG.integers(-3, 4, size=(70, 6)) * (RNG.random((70, 6)) < 0.5).astype(float)
CODES = RNG.integers(0, 10, 70)  # the last class has no rows
WEIGHTS = RNG.random(70)


def as_dense(rows, first, last):
    return rows.block(first, last, np.arange(6) if rows.is_sparse else None)


def unsorted(X, index_dtype=np.int32):
    """The same numbers with columns in descending order, every entry in two halves, and zeros that are stored."""
    row, column = np.nonzero(np.ones_like(X))
    order = np.lexsort((-column, row))
    row, column = np.repeat(row[order], 2), np.repeat(column[order], 2)
    indptr = np.searchsorted(row, np.arange(len(X) + 1))
    parts = X[row, column] / 2, column.astype(index_dtype), indptr.astype(index_dtype)
    return sparse.csr_array(parts, shape=X.shape)


FORMS = {
    "dense": X,
    "fortran": np.asfortranarray(X),
    "csr": sparse.csr_array(X),
    "unsorted": unsorted(X),
    "int64": unsorted(X, np.int64),
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_every_node_stand_side_by_side(form):
    rows = SortedRows.of(TREE, FORMS[form], CODES, WEIGHTS)
    assert rows.values.dtype == np.float64
    assert rows.indices.dtype == np.int32
    for v in range(TREE.n_nodes):
        (first,), (last,) = rows.of_nodes(TREE, np.array([v]))
        below = [k for k in range(11) if TREE.first_leaf[v] <= TREE.position[k] < TREE.last_leaf[v]]
        mine = np.flatnonzero(np.isin(CODES, below))
        mine = mine[np.argsort(TREE.position[CODES[mine]], kind="stable")]
        np.testing.assert_array_equal(as_dense(rows, first, last), X[mine])
        np.testing.assert_array_equal(rows.weights[first:last], WEIGHTS[mine])


def test_input_is_not_changed():
    given = unsorted(X)
    data, indices = given.data.copy(), given.indices.copy()
    SortedRows.of(TREE, given, CODES, WEIGHTS)
    np.testing.assert_array_equal(given.data, data)
    np.testing.assert_array_equal(given.indices, indices)


def test_a_block_over_some_features():
    rows = SortedRows.of(TREE, sparse.csr_array(X[:, [1, 4]] @ np.eye(6)[[1, 4]]), CODES, WEIGHTS)
    order = np.argsort(TREE.position[CODES], kind="stable")
    np.testing.assert_array_equal(rows.block(3, 40, np.array([1, 4])), X[order][3:40][:, [1, 4]])
