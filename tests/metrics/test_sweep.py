"""The monotone sweep against the loop of Roelofs et al., and its invariances."""

import numpy as np
import pytest

from sksoft.metrics import adaptive_calibration_error, monotone_sweep_calibration_error
from sksoft.metrics.sweep import monotone_bins


def problem(n_rows=300, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.ones(n_classes), n_rows)
    return (rng.random(n_rows)[:, None] > proba.cumsum(axis=1)).sum(axis=1), proba


def plain_loop(weight, hit):
    """Every number of bins, every bin."""
    cumulative = np.cumsum(weight)
    for n_bins in range(2, 8 * len(weight) + 1):
        label = np.floor((cumulative - weight) * n_bins / cumulative[-1]).astype(int)
        filled = np.unique(label)
        rates = [hit[label == b].sum() / weight[label == b].sum() for b in filled]
        if (np.diff(rates) < -1e-12).any():
            return n_bins - 1
    return 8 * len(weight)


@pytest.mark.parametrize("n_scores", [1, 2, 5, 40, 90])
@pytest.mark.parametrize("steepness", [0.0, 1.0, 20.0, 1e3])
def test_number_of_bins_by_plain_loop(n_scores, steepness):
    rng = np.random.default_rng(n_scores)
    for _ in range(5):
        weight = rng.integers(1, 4, n_scores).astype(float)
        score = np.sort(rng.random(n_scores))
        hit = rng.binomial(weight.astype(int), 1 / (1 + np.exp(-steepness * (score - 0.5)))).astype(float)
        assert monotone_bins(weight, hit) == plain_loop(weight, hit)


def test_almost_separable_scores_by_plain_loop():
    # few falls and many bins: only the bins around the falls are looked at
    rng = np.random.default_rng(0)
    for n_swapped in (1, 2, 3):
        hit = (np.arange(200) >= 100).astype(float)
        for place in rng.integers(90, 110, n_swapped):
            hit[[place, 100]] = hit[[100, place]]
        assert monotone_bins(np.ones(200), hit) == plain_loop(np.ones(200), hit)


def test_almost_separable_million_is_quick():
    # Looking at every bin of every number of bins would take 10¹¹ steps.
    hit = (np.arange(1_000_000) >= 500_000).astype(float)
    hit[[499_999, 500_000]] = 1.0, 0.0
    assert 100_000 < monotone_bins(np.ones(1_000_000), hit) < 1_000_000


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_error_is_the_adaptive_one_with_that_many_bins(norm):
    rng = np.random.default_rng(0)
    scores = rng.random(2000)
    hits = rng.random(2000) < scores**1.5
    order = np.argsort(scores)
    n_bins = monotone_bins(np.ones(2000), hits[order].astype(float))
    assert 3 < n_bins < 200
    for debias in (False,) if norm == "max" else (False, True):
        found = monotone_sweep_calibration_error(hits, scores, norm=norm, debias=debias)
        if norm == "max":
            assert found > 0
        expected = adaptive_calibration_error(hits, scores, n_bins=n_bins, norm=norm, debias=debias)
        assert found == pytest.approx(expected, rel=1e-9)


def test_less_biased_than_fifteen_bins():
    # Roelofs et al. 2022, figure 3: calibrated predictions, few rows
    rng = np.random.default_rng(0)
    sweep, fifteen = [], []
    for _ in range(50):
        scores = rng.random(200)
        hits = rng.random(200) < scores
        sweep.append(monotone_sweep_calibration_error(hits, scores))
        fifteen.append(adaptive_calibration_error(hits, scores))
    assert np.mean(sweep) < 0.8 * np.mean(fifteen)


@pytest.mark.parametrize(
    "options",
    [{}, {"mode": "classwise"}, {"mode": "top_label", "norm": "l2"}, {"debias": True, "weight_type": "frequency"}],
    ids=str,
)
def test_weight_is_repetition_and_zero_weight_is_removal(options):
    y, proba = problem()
    weights = np.random.default_rng(1).integers(0, 4, len(y))
    weighted = monotone_sweep_calibration_error(y, proba, sample_weight=weights, **options)
    repeated = monotone_sweep_calibration_error(np.repeat(y, weights), np.repeat(proba, weights, axis=0), **options)
    assert weighted == pytest.approx(repeated, rel=1e-10)
    names = np.array(["c", "a", "b"])
    named = monotone_sweep_calibration_error(names[y], proba[:, [1, 2, 0]], sample_weight=weights, **options)
    assert named == pytest.approx(weighted, rel=1e-12)


def test_degenerate_input():
    assert monotone_sweep_calibration_error([1], [0.25]) == 0.75
    assert monotone_sweep_calibration_error([0, 0, 1, 1], [0.0, 0.0, 1.0, 1.0]) == 0.0
    assert monotone_sweep_calibration_error([0, 1, 1], [0.5, 0.5, 0.5]) == pytest.approx(1 / 6)
    # separable: every score is its own bin
    assert monotone_sweep_calibration_error([0, 0, 1], [0.25, 0.5, 0.75]) == pytest.approx((0.25 + 0.5 + 0.25) / 3)


def test_parameters_out_of_range_are_named():
    with pytest.raises(ValueError, match="no debiased form"):
        monotone_sweep_calibration_error([0, 1], [0.2, 0.7], norm="max", debias=True)
    with pytest.raises(ValueError, match="'norm'"):
        monotone_sweep_calibration_error([0, 1], [0.2, 0.7], norm="l3")
