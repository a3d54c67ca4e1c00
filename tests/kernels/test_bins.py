"""The NumPy references of the binned statistics against loops, published numbers and known distributions."""

import numpy as np
import pytest
from scipy import stats

from sksoft.kernels import bins, splitmix


def looped_sums(scores, hits, edges, weights, groups, n_groups):
    """One row at a time; bin b holds edges[b - 1] < score <= edges[b]."""
    sums = np.zeros((5, n_groups, len(edges) + 1))
    for score, hit, weight, group in zip(scores, hits, weights, groups):
        b = sum(score > edge for edge in edges)
        sums[:, group, b] += [weight, weight * score, weight * hit, weight**2, 1]
    return sums


def test_bin_sums_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    edges = np.array([0.1, 0.25, 0.5, 0.9])
    scores = np.concatenate([edges, [0.0, 1.0], rng.random(94)])
    hits, weights, groups = rng.integers(0, 2, 100), rng.random(100), rng.integers(0, 3, 100)
    expected = looped_sums(scores, hits, edges, weights, groups, 4)
    got = bins.bin_sums.reference(scores, hits, edges, weights=weights, groups=groups, n_groups=4)
    np.testing.assert_allclose(got, expected, rtol=1e-13)
    unweighted = bins.bin_sums.reference(scores, hits, edges, groups=groups, n_groups=4)
    np.testing.assert_allclose(unweighted, looped_sums(scores, hits, edges, np.ones(100), groups, 4), rtol=1e-13)


@pytest.mark.parametrize("n_bins", [1, 2, 3, 7, 10, 15, 49, 100, 1000])
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_scores_on_and_beside_an_edge_fall_where_a_search_puts_them(backend, n_bins):
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    scores = np.unique(np.concatenate([edges, np.nextafter(edges, 1.0), np.nextafter(edges[1:], 0.0)]))
    expected = np.bincount(np.searchsorted(edges[1:-1], scores, side="left"), minlength=n_bins)
    got = bins.bin_sums.on(backend)(scores, np.zeros(len(scores), dtype=bool), edges[1:-1])
    np.testing.assert_array_equal(got[bins.COUNT, 0], expected)


def test_class_sums_are_those_of_each_class_against_the_rest():
    rng = np.random.default_rng(1)
    proba, codes, weights = rng.dirichlet(np.ones(4), 60), rng.integers(0, 4, 60), rng.random(60)
    edges = np.sort(rng.random((4, 5)), axis=1)
    got = bins.class_bin_sums.reference(proba, codes, edges, weights=weights)
    for k in range(4):
        expected = looped_sums(proba[:, k], codes == k, edges[k], weights, np.zeros(60, dtype=int), 1)
        np.testing.assert_allclose(got[:, k], expected[:, 0], rtol=1e-13)


def test_splitmix64_gives_its_published_numbers():
    # First outputs for seed 1234567, https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    counters = np.arange(1, 5, dtype=np.uint64) * splitmix.STEP
    assert splitmix.mix(np.uint64(1234567) + counters).tolist() == published


def test_draws_are_uniform_and_independent_of_each_other():
    draws = np.stack([bins.uniforms(7, resample, 20_000) for resample in range(5)])
    assert stats.kstest(draws.ravel(), "uniform").pvalue > 0.001
    correlation = np.corrcoef(draws)[np.triu_indices(5, 1)]
    assert np.abs(correlation).max() < 4 / np.sqrt(20_000)
    lagged = [np.corrcoef(row[1:], row[:-1])[0, 1] for row in draws]
    assert np.abs(lagged).max() < 4 / np.sqrt(20_000)


def test_draws_do_not_depend_on_the_block_they_are_drawn_in():
    scores, starts = np.random.default_rng(0).random(300), np.array([0, 100, 300])
    whole = bins.null_hit_sums.reference(scores, starts, seed=1, resamples=range(10))
    part = bins.null_hit_sums.reference(scores, starts, seed=1, resamples=range(4, 7))
    np.testing.assert_array_equal(whole[4:7], part)


def test_null_hits_have_the_moments_of_independent_bernoullis():
    scores = np.random.default_rng(0).random(50)
    weights = np.random.default_rng(1).random(50)
    sums = bins.null_hit_sums.reference(scores, np.array([0, 50]), seed=3, resamples=range(4000), weights=weights)
    mean, variance = weights @ scores, weights**2 @ (scores * (1 - scores))
    assert abs(sums.mean() - mean) < 4 * np.sqrt(variance / 4000)
    assert abs(sums.var() / variance - 1) < 4 * np.sqrt(2 / 4000)


def test_certain_scores_always_and_never_hit():
    sums = bins.null_hit_sums.reference(np.array([0.0, 1.0]), np.array([0, 1, 2]), seed=3, resamples=range(500))
    np.testing.assert_array_equal(sums, np.tile([0.0, 1.0], (500, 1)))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_bootstrap_counts_are_poisson_of_mean_one(backend):
    starts = np.arange(2001)
    counts = bins.bootstrap_sums.on(backend)(np.ones(2000), starts, seed=5, resamples=range(20))[0].ravel()
    observed = np.bincount(counts.astype(int), minlength=8)
    expected = stats.poisson(1).pmf(np.arange(7))
    expected = np.append(expected, 1 - expected.sum()) * len(counts)
    observed = np.append(observed[:7], observed[7:].sum())
    assert stats.chisquare(observed, expected).pvalue > 0.001


def test_poisson_table_is_the_distribution_function():
    np.testing.assert_allclose(bins.POISSON, stats.poisson(1).cdf(np.arange(len(bins.POISSON))), rtol=1e-14)
    assert 1 - bins.POISSON[-1] < 4 * bins.RESOLUTION
