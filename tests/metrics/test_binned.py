"""Bins and the errors that follow from their sums, against loops and closed forms."""

import numpy as np
import pytest
from scipy import stats

from sksoft.metrics.binned import BinnedSums, bin_scores, inner_edges


def sums_of(scores, hits, edges, weights=None):
    weights = np.ones(len(scores)) if weights is None else weights
    b = np.searchsorted(edges, scores, side="left")
    columns = [weights, weights * scores, weights * hits, weights**2, np.ones(len(scores))]
    return BinnedSums(*[np.bincount(b, column, minlength=len(edges) + 1) for column in columns])


def test_uniform_edges_are_those_of_scikit_learn():
    np.testing.assert_array_equal(inner_edges(None, 10, "uniform"), np.linspace(0.0, 1.0, 11)[1:-1])


def test_quantile_bins_of_distinct_scores_hold_equal_shares():
    scores = np.random.default_rng(0).permutation(np.linspace(0.1, 0.9, 60))
    sums, _ = bin_scores(scores, np.zeros(60, dtype=bool), 6, "quantile")
    np.testing.assert_array_equal(sums.count[0], [10] * 6)


def test_quantile_bins_keep_ties_together_and_merge():
    scores = np.array([0.2] * 6 + [0.5, 0.6, 0.6, 0.6])
    sums, edges = bin_scores(scores, np.zeros(10, dtype=bool), 5, "quantile")
    np.testing.assert_array_equal(edges, [0.2, np.inf, np.inf, np.inf])
    np.testing.assert_array_equal(sums.count[0], [6, 4, 0, 0, 0])


def test_quantile_edges_count_weights_as_repetitions_and_zero_as_removal():
    rng = np.random.default_rng(0)
    scores, weights = np.round(rng.random(200), 2), rng.integers(0, 4, 200)
    repeated = inner_edges(np.repeat(scores, weights), 7, "quantile")
    np.testing.assert_array_equal(inner_edges(scores, 7, "quantile", weights.astype(float)), repeated)


def test_a_constant_score_fills_one_bin():
    sums, edges = bin_scores(np.full(5, 0.3), np.ones(5, dtype=bool), 4, "quantile")
    assert np.isinf(edges).all()
    np.testing.assert_array_equal(sums.count[0], [5, 0, 0, 0])


def test_plug_in_errors_by_hand():
    # bins: {0.1, 0.3} rate 1/2 mean 0.2; {0.6} rate 1 mean 0.6; {0.9, 0.9, 1.0} rate 2/3 mean 2.8/3
    scores, hits = np.array([0.1, 0.3, 0.6, 0.9, 0.9, 1.0]), np.array([0, 1, 1, 1, 1, 0])
    sums = sums_of(scores, hits, np.array([0.5, 0.8]))
    gaps = np.array([0.5 - 0.2, 1 - 0.6, 2 / 3 - 2.8 / 3])
    np.testing.assert_allclose(sums.gap, gaps)
    np.testing.assert_allclose(sums.error("l1"), (2 * 0.3 + 0.4 + 3 * abs(gaps[2])) / 6)
    np.testing.assert_allclose(sums.error("l2"), np.array([2, 1, 3]) @ gaps**2 / 6)
    np.testing.assert_allclose(sums.error("max"), 0.4)


def test_debiased_square_is_kumars_formula():
    rng = np.random.default_rng(0)
    scores = rng.random(300)
    hits = rng.random(300) < scores**1.3
    edges = np.linspace(0, 1, 11)[1:-1]
    expected = 0.0
    for b in range(10):
        inside = np.searchsorted(edges, scores, side="left") == b
        n, mean, rate = inside.sum(), scores[inside].mean(), hits[inside].mean()
        expected += n / 300 * ((rate - mean) ** 2 - rate * (1 - rate) / (n - 1))
    got = sums_of(scores, hits, edges).debiased_error("l2", "sampling")
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_debiased_square_has_no_bias_where_the_plug_in_has():
    rng = np.random.default_rng(1)
    edges = np.linspace(0, 1, 11)[1:-1]
    centres = np.repeat(np.arange(0.05, 1, 0.1), 12)  # one score per bin: the truth has no error within bins
    plug_in, debiased = [], []
    for _ in range(2000):
        sums = sums_of(centres, rng.random(120) < centres, edges)
        plug_in.append(sums.error("l2"))
        debiased.append(sums.debiased_error("l2", "sampling"))
    standard_error = np.std(debiased) / np.sqrt(2000)
    assert abs(np.mean(debiased)) < 4 * standard_error
    assert np.mean(plug_in) > 40 * standard_error


def test_debiased_l1_is_twice_the_error_minus_the_folded_normal_mean():
    scores, hits = np.full(50, 0.5), np.arange(50) < 30
    sums = sums_of(scores, hits, np.empty(0))
    deviation = np.sqrt(0.6 * 0.4 / 50)
    expected = 2 * 0.1 - stats.foldnorm(0.1 / deviation, scale=deviation).mean()
    np.testing.assert_allclose(sums.debiased_error("l1", "sampling"), expected, rtol=1e-12)


def test_bins_of_one_row_add_nothing_to_the_debiased_square():
    sums = sums_of(np.array([0.2, 0.8]), np.array([1, 1]), np.array([0.5]))
    assert sums.debiased_error("l2", "sampling") == 0.0


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_frequency_weights_are_repetitions_and_sampling_weights_are_not(norm):
    rng = np.random.default_rng(2)
    scores, weights = rng.random(100), rng.integers(1, 5, 100)
    hits, edges = rng.random(100) < scores, np.array([0.3, 0.6])
    weighted = sums_of(scores, hits, edges, weights.astype(float))
    repeated = sums_of(np.repeat(scores, weights), np.repeat(hits, weights), edges)
    expected = repeated.debiased_error(norm, "frequency")
    np.testing.assert_allclose(weighted.debiased_error(norm, "frequency"), expected, rtol=1e-12)
    assert weighted.debiased_error(norm, "sampling") < expected


def test_sampling_weights_have_no_scale():
    rng = np.random.default_rng(2)
    scores, weights, edges = rng.random(100), rng.random(100), np.array([0.3, 0.6])
    hits = rng.random(100) < scores
    one, ten = (sums_of(scores, hits, edges, s * weights).debiased_error("l2", "sampling") for s in (1, 10))
    np.testing.assert_allclose(one, ten, rtol=1e-12)
