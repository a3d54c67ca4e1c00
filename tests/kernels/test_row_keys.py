"""Keys say what stands in a row: dense and sparse agree, a change of one entry is another key."""

import tracemalloc

import numpy as np
from scipy import sparse

from sksoft.kernels.row_keys import row_keys


def test_equal_rows_have_equal_keys_dense_and_sparse():
    X = np.array([[0.0, 1.5, -2.0], [3.0, 0.0, 0.0], [-0.0, 1.5, -2.0], [0.0, 0.0, 0.0]])
    keys = row_keys(X)
    assert keys[0] == keys[2]
    assert len(set(keys.tolist())) == 3
    np.testing.assert_array_equal(row_keys(sparse.csr_array(X)), keys)
    np.testing.assert_array_equal(row_keys(sparse.csc_matrix(X)), keys)


def test_keys_of_different_rows_differ():
    X = np.random.default_rng(0).integers(3, size=(20_000, 12)).astype(float)
    assert len(np.unique(row_keys(X))) == len(np.unique(X, axis=0))


def test_exchanged_columns_are_another_row():
    assert row_keys(np.array([[1.0, 2.0]]))[0] != row_keys(np.array([[2.0, 1.0]]))[0]


def test_many_columns_need_no_copy_of_all():
    X = np.random.default_rng(0).normal(size=(40_000, 100))
    few = np.concatenate([row_keys(X[start : start + 1000]) for start in range(0, len(X), 1000)])
    tracemalloc.start()
    keys = row_keys(X)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(keys, few)
    assert peak < X.nbytes
