"""Quantiles under weights are those of the rows repeated."""

import numpy as np

from sksoft.attention.intervals import covering_level, tail_levels, weighted_quantiles


def test_a_weight_is_a_repetition():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 6, size=(12, 2)).astype(float)
    weights = rng.integers(0, 4, size=(5, 12)).astype(float)
    levels = np.array([0.0, 0.1, 0.25, 0.5, 0.9, 1.0])
    found = weighted_quantiles(weights, targets, levels)
    for i in range(5):
        rows = np.repeat(np.arange(12), weights[i].astype(int))
        expected = np.quantile(targets[rows], levels, axis=0, method="inverted_cdf")
        np.testing.assert_array_equal(found[i], expected.T)


def test_scale_of_the_weights_does_not_matter_and_nan_stays_in_its_row():
    targets = np.arange(4.0)[:, None]
    weights = np.array([[0.1] * 4, [np.nan] * 4, [0.0, 1e-300, 0.0, 1e-300]])
    found = weighted_quantiles(weights, targets, np.array([0.25, 0.5, 0.75]))
    np.testing.assert_array_equal(found[0, 0], [0.0, 1.0, 2.0])
    assert np.isnan(found[1]).all()
    np.testing.assert_array_equal(found[2, 0], [1.0, 1.0, 3.0])


def test_tails_are_the_smaller_share_without_oneself():
    targets = np.array([[0.0], [1.0], [1.0], [2.0]])
    weights = np.array([[5.0, 1.0, 1.0, 2.0], [5.0, 0.0, 0.0, 0.0]])
    rows = np.array([1, 0])
    left_out = np.arange(4) == rows[:, None]
    np.testing.assert_allclose(tail_levels(weights, targets, left_out, rows, np.arange(2)), [[3 / 8], [0.0]])
    shared = tail_levels(weights[:1], targets, left_out[:1], np.array([0, 1, 3]), np.zeros(3, dtype=int))
    np.testing.assert_allclose(shared, [[5 / 8], [3 / 8], [2 / 8]])


def test_the_covering_level_is_the_largest_that_covers():
    levels, weights = np.array([[0.3], [0.1], [0.4], [0.2]]), np.array([1.0, 1.0, 1.0, 1.0])
    assert covering_level(levels, weights, 0.5) == [0.3]
    assert covering_level(levels, weights, 0.51) == [0.2]
    assert covering_level(levels, np.array([1.0, 1.0, 4.0, 1.0]), 0.5) == [0.4]
    assert covering_level(np.array([[0.9]]), np.ones(1), 0.5) == [0.5]
