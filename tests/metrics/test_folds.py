"""Folds keyed by content: invariant to order, repetition and container."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from sksoft.metrics.folds import content_folds, row_keys


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def data(rng):
    X = np.where(rng.uniform(size=(200, 6)) < 0.5, rng.normal(size=(200, 6)), 0.0)
    return X, rng.integers(3, size=200)


def test_a_permutation_moves_rows_with_their_folds(data, rng):
    X, codes = data
    order = rng.permutation(200)
    np.testing.assert_array_equal(content_folds(X, codes, 5)[order], content_folds(X[order], codes[order], 5))


def test_repeated_rows_share_a_fold_and_disturb_no_other(data, rng):
    X, codes = data
    times = rng.integers(1, 4, size=200)
    folds = content_folds(np.repeat(X, times, axis=0), np.repeat(codes, times), 5)
    np.testing.assert_array_equal(folds, np.repeat(content_folds(X, codes, 5), times))


def test_classes_and_folds_are_balanced(data):
    X, codes = data
    folds = content_folds(X, codes, 5)
    assert set(folds) == set(range(5))
    for code in range(3):
        counts = np.bincount(folds[codes == code], minlength=5)
        assert counts.max() - counts.min() <= 1
    counts = np.bincount(folds)
    assert counts.max() - counts.min() <= 1


def test_dense_and_sparse_rows_have_the_same_keys(data):
    X, _ = data
    for other in (sparse.csr_array(X), sparse.csc_matrix(X), X.astype(np.float32).astype(np.float64)[:, :]):
        expected = row_keys(X if sparse.issparse(other) else other)
        np.testing.assert_array_equal(row_keys(other), expected)


def test_signed_zeros_are_equal(data):
    X, _ = data
    np.testing.assert_array_equal(row_keys(np.where(X == 0, -0.0, X)), row_keys(X))


def test_frames_of_both_kinds_and_lists_of_text_have_keys():
    frame = pd.DataFrame({"a": [1.0, 2.0, 1.0], "b": ["x", "y", "x"]})
    for keys in (row_keys(frame), row_keys(pl.DataFrame(frame.to_dict("list"))), row_keys(["x", "y", "x"])):
        assert keys[0] == keys[2] != keys[1]


def test_columns_are_told_apart():
    assert row_keys(np.array([[1.0, 0.0], [0.0, 1.0]])).tolist()[0] != row_keys(np.array([[1.0, 0.0], [0.0, 1.0]]))[1]


def test_the_container_does_not_decide(data):
    X, _ = data
    for other in (pd.DataFrame(X), pl.DataFrame(X), X.tolist()):
        np.testing.assert_array_equal(row_keys(other), row_keys(X))


@pytest.mark.parametrize(
    "rows",
    [
        [{"a": 1}, {"b": 2}, {"a": 1}],
        [["x"], ["y", "z"], ["x"]],
        pd.DataFrame({"tokens": [["x"], ["y", "z"], ["x"]]}),
    ],
    ids=["mappings", "sequences", "cells"],
)
def test_rows_that_are_no_table_have_keys(rows):
    keys = row_keys(rows)
    assert keys[0] == keys[2] != keys[1]
