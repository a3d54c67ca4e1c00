"""Isotonic regression against the min-max formula and scikit-learn's."""

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from sksoft.metrics.isotonic import isotonic_fit

RNG = np.random.default_rng(0)


def test_min_max_formula():
    """Barlow et al. 1972, theorem 1.4, on ordered scores."""
    scores, hits, weights = np.arange(8.0), np.array([0, 1, 0, 0, 1, 1, 0, 1.0]), np.arange(1.0, 9)

    def mean(i, j):
        return np.average(hits[i : j + 1], weights=weights[i : j + 1])

    expected = [max(min(mean(i, j) for j in range(k, 8)) for i in range(k + 1)) for k in range(8)]
    np.testing.assert_allclose(isotonic_fit(scores, hits, weights), expected)


@pytest.mark.parametrize("weights", [None, RNG.integers(1, 5, 500).astype(float)])
@pytest.mark.parametrize("decimals", [1, 12])
def test_agrees_with_scikit_learn(weights, decimals):
    scores = RNG.random(500).round(decimals)
    hits = (RNG.random(500) < scores**2).astype(int)
    expected = IsotonicRegression().fit_transform(scores, hits.astype(float), sample_weight=weights)
    np.testing.assert_allclose(isotonic_fit(scores, hits, weights), expected, atol=1e-12)


def test_tiny_scores_that_differ_are_not_ties():
    """scikit-learn takes scores within 1e-15 for equal."""
    np.testing.assert_array_equal(isotonic_fit(np.array([1e-30, 1e-20, 1e-18]), np.array([0, 0, 1])), [0, 0, 1])


def test_weight_is_repetition():
    scores, hits, weights = RNG.random(50).round(1), RNG.integers(0, 2, 50), RNG.integers(1, 4, 50)
    repeated = isotonic_fit(np.repeat(scores, weights), np.repeat(hits, weights))
    np.testing.assert_allclose(np.repeat(isotonic_fit(scores, hits, weights.astype(float)), weights), repeated)
