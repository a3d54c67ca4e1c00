"""Resampled errors against resampling written out row by row."""

import numpy as np
import pytest

from sksoft.kernels import bins
from sksoft.metrics.resampling import (
    SCALES,
    error_interval,
    inverted_interval,
    p_values,
    resampled_errors,
    rows_by_cell,
)
from sksoft.metrics.sensitive import partition_rows


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    scores = rng.random(400)
    return scores, rng.random(400) < scores, rng.random(400), rng.integers(0, 3, 400)


@pytest.mark.parametrize("weighted", [False, True])
def test_errors_are_those_of_resampled_rows(rows, weighted, monkeypatch):
    scores, hits, weights, group = rows
    weights = weights if weighted else None
    edges, partition = np.linspace(0, 1, 6)[1:-1], partition_rows(group, 400)
    by_cell = rows_by_cell(scores, hits, edges, weights, partition, "sampling")
    table = bins.bin_sums(scores, hits, edges, weights=weights, groups=partition.codes, n_groups=3)
    monkeypatch.setattr("sksoft.metrics.resampling.draw_seeds", lambda _: (5, 6))
    null, replicates, scaled = resampled_errors(by_cell, table, partition.levels, 4, None)
    cells = np.repeat(np.arange(15), np.diff(by_cell.starts))
    w = np.ones(400) if weights is None else by_cell.weights
    for b in range(4):
        drawn_hits = bins.uniforms(5, b, 400) < by_cell.scores
        counts = np.searchsorted(bins.POISSON, bins.uniforms(6, b, 400), side="right")
        for i, chosen in enumerate([np.ones(400, dtype=bool)] + [cells // 5 == g for g in range(3)]):
            expected = weighted_error(cells % 5, by_cell.scores - drawn_hits, w, chosen)
            assert null[b, i] == pytest.approx(expected, rel=1e-10)
            expected = weighted_error(cells % 5, by_cell.residuals, w * counts, chosen)
            assert replicates[b, i] == pytest.approx(expected, rel=1e-10)
            for kind, noise in enumerate([by_cell.scores - drawn_hits, by_cell.residuals]):
                mass = w if kind == 0 else w * counts
                means = rates_of(cells, by_cell.residuals, w, chosen)
                for s, scale in enumerate(SCALES):
                    moved = noise + (scale - kind) * means
                    expected = weighted_error(cells % 5, moved, mass, chosen)
                    assert scaled[kind, s, b, i] == pytest.approx(expected, rel=1e-10)


def weighted_error(bin_of, residuals, weights, chosen):
    gaps = [abs((weights * residuals)[chosen & (bin_of == b)].sum()) for b in range(5)]
    return sum(gaps) / weights[chosen].sum()


def rates_of(cells, residuals, weights, chosen):
    """Mean residual of the chosen rows of the bin of each row."""
    means = np.zeros(len(residuals))
    for b in range(5):
        rows = chosen & (cells % 5 == b)
        means[cells % 5 == b] = np.average(residuals[rows], weights=weights[rows])
    return means


def test_blocks_of_resamples_change_nothing(rows, monkeypatch):
    scores, hits, _, group = rows
    edges, partition = np.linspace(0, 1, 6)[1:-1], partition_rows(group, 400)
    by_cell = rows_by_cell(scores, hits, edges, None, partition, "sampling")
    table = bins.bin_sums(scores, hits, edges, groups=partition.codes, n_groups=3)
    whole = resampled_errors(by_cell, table, partition.levels, 50, 0)
    monkeypatch.setattr("sksoft.metrics.resampling.BLOCK_BYTES", 1)
    for ours, theirs in zip(resampled_errors(by_cell, table, partition.levels, 50, 0), whole):
        np.testing.assert_array_equal(ours, theirs)


def test_p_values_count_ties_and_are_never_zero():
    drawn = np.array([[0.1, 0.2], [0.2, 0.2], [0.3, 0.2]])
    np.testing.assert_allclose(p_values(np.array([0.2, 0.5]), drawn), [3 / 4, 1 / 4])


def test_interval_by_hand():
    replicates = np.linspace(0.3, 0.5, 101)[:, None]
    low, high = error_interval(np.array([0.35]), replicates, np.array([0.01]), 0.9)
    np.testing.assert_allclose([low[0], high[0]], [0.7 - 0.49, 0.35 + 0.4 - 0.31])
    low, high = error_interval(np.array([0.35]), replicates, np.array([0.2]), 0.9)
    np.testing.assert_allclose([low[0], high[0]], [0.0, 0.35 + 0.4 - 0.31])
    low, _ = error_interval(np.array([0.1]), replicates, np.array([0.01]), 0.9)
    assert low[0] == 0.0


def test_interval_leaves_out_resamples_that_drew_nothing():
    replicates = np.append(np.linspace(0.3, 0.5, 101), np.nan)[:, None]
    _, high = error_interval(np.array([0.35]), replicates, np.array([0.01]), 0.9)
    np.testing.assert_allclose(high, 0.35 + 0.4 - 0.31)


def test_inverted_interval_by_hand():
    # replicates s + z with z of quantiles -0.1 and 0.1: an estimate of 0.5 is possible for s in [0.4, 0.6]
    noise = np.linspace(-0.1 / 0.95, 0.1 / 0.95, 2001)
    scaled = (SCALES[:, None] + noise)[None, :, :, None]
    low, high = inverted_interval(np.array([0.5]), np.array([3.0]), scaled, 0.95)
    np.testing.assert_allclose([low[0], high[0]], [1.2, 1.8], rtol=1e-3)
    # the wider of two kinds of noise; none above the last scale, none below 0
    both = np.concatenate([scaled, (SCALES[:, None] + 2 * noise)[None, :, :, None]])
    low, high = inverted_interval(np.array([0.5]), np.array([1.0]), both, 0.95)
    np.testing.assert_allclose([low[0], high[0]], [0.3, 0.7], rtol=1e-3)
    low, high = inverted_interval(np.array([0.05]), np.array([1.0]), scaled, 0.95)
    np.testing.assert_allclose([low[0], high[0]], [0.0, 0.15], rtol=1e-3)
    assert inverted_interval(np.array([3.0]), np.array([1.0]), scaled, 0.95)[1] == 2.0
