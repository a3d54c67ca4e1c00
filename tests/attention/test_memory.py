"""Rows with the same features are one key, whatever their order."""

import numpy as np
from scipy import sparse

from sksoft.attention.memory import canonical_order, keys_of

RNG = np.random.default_rng(0)


def keys(X, targets, weights):
    return keys_of(X, targets, weights, canonical_order(X, targets, weights))


def test_keys_are_merged_rows():
    X = RNG.integers(0, 2, size=(30, 2)).astype(float)
    X[(X == 0) & (RNG.uniform(size=X.shape) < 0.5)] = -0.0
    targets, weights = RNG.normal(size=(30, 3)), RNG.integers(0, 3, 30).astype(float)
    found = keys(X, targets, weights)
    assert sorted(map(tuple, found.X)) == [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]
    for j, key in enumerate(found.X):
        rows = (key == X).all(axis=1) & (weights > 0)
        assert found.weights[j] == weights[rows].sum()
        np.testing.assert_allclose(found.targets[j], np.average(targets[rows], axis=0, weights=weights[rows]))
        assert (found.key_of[rows] == j).all()
        np.testing.assert_allclose(found.share[rows], weights[rows] / weights[rows].sum())
    assert (found.key_of[weights == 0] == -1).all()


def test_neither_order_nor_repetition_changes_a_bit():
    X, targets = RNG.normal(size=(50, 3)), RNG.normal(size=(50, 2))
    weights = RNG.integers(1, 5, 50)
    repeated = RNG.permutation(np.repeat(np.arange(50), weights))
    first, second = (
        keys(X, targets, weights.astype(float)),
        keys(X[repeated], targets[repeated], np.ones(len(repeated))),
    )
    for name in ("X", "targets", "weights"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_weights_of_keys_are_shared_among_their_rows():
    X = np.array([[0.0], [1.0], [0.0], [2.0]])
    found = keys(X, np.zeros((4, 1)), np.array([1.0, 1.0, 3.0, 0.0]))
    weights = np.zeros((1, 2))
    weights[0, found.key_of[0]], weights[0, found.key_of[1]] = 0.8, 0.2
    np.testing.assert_allclose(found.expanded(sparse.csr_array(weights)).toarray(), [[0.2, 0.2, 0.6, 0.0]])
