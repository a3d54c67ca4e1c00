"""Weighted means: limits, hand computation, coverage."""

import numpy as np
import pytest

from sksoft.audit.weighted import effective_size, mean_estimate


def test_equal_weights_are_no_weights():
    values = np.random.default_rng(0).normal(size=50)
    plain, weighted = (mean_estimate(values, w, 0.95) for w in (None, np.full(50, 3.0)))
    assert plain.value == pytest.approx(values.mean())
    assert plain.high - plain.value == pytest.approx(1.959964 * values.std(ddof=1) / np.sqrt(50), rel=1e-6)
    np.testing.assert_allclose([weighted.value, weighted.low, weighted.high], [plain.value, plain.low, plain.high])


def test_not_finite_and_single():
    assert np.isnan(mean_estimate(np.array([np.inf, 1.0]), None, 0.95).low)
    assert np.isnan(mean_estimate(np.array([1.0]), None, 0.95).low)
    assert mean_estimate(np.ones(5), None, 0.95).high == 1.0


def test_effective_size():
    assert effective_size(None, 7) == 7
    assert effective_size(np.array([1.0, 1, 0, 0]), 4) == 2
    assert effective_size(np.array([3.0, 1]), 2) == pytest.approx(1.6)


def test_intervals_cover():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        weights, values = rng.uniform(0.2, 3, 200), rng.exponential(size=200)
        estimate = mean_estimate(values, weights, 0.9)
        covered += estimate.low <= 1 <= estimate.high
    assert 340 <= covered <= 380
