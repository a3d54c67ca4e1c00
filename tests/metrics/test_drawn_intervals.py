"""Intervals of errors that are no sums over bins: replicates written out, coverage by simulation, repetitions."""

import numpy as np
import pytest
from scipy import stats

from sksoft.kernels import bins
from sksoft.metrics import bootstrap_interval, kernel_calibration_error
from sksoft.metrics.cumulative import cumulative_statistics
from sksoft.metrics.drawn_intervals import event_intervals, kernel_interval
from sksoft.metrics.events import Event
from sksoft.metrics.kernel_error import ResidualRows, median_distance, residual_rows
from sksoft.metrics.predictions import check_predictions
from sksoft.metrics.resampling import draw_seeds, error_interval
from sksoft.metrics.smooth import N_CELLS, smooth_error, smooth_error_of

OPTIONS = {"weight_type": "sampling", "n_resamples": 40, "confidence_level": 0.9, "random_state": 0}


def errors(scores, hits, weights):
    walk = cumulative_statistics(scores, hits, weights)
    return walk.ks, smooth_error_of(Event(1.0, scores, hits, weights))


def problem(n_rows=200, slope=1.0, seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.random(n_rows)
    return scores, rng.random(n_rows) < 0.5 + slope * (scores - 0.5), rng.integers(1, 4, n_rows).astype(float)


@pytest.mark.parametrize("weighted", [False, True])
def test_ends_by_hand(weighted):
    scores, hits, weights = problem(slope=0.5)
    w = weights if weighted else np.ones(200)
    found = event_intervals(errors, Event(1.0, scores, hits, weights if weighted else None), **OPTIONS)
    order = np.argsort(scores)
    scores, hits, w = scores[order], hits[order], w[order]
    null_seed, seed = draw_seeds(0)
    drawn = [errors(scores, bins.uniforms(null_seed, b, 200) < scores, w) for b in range(40)]
    counts = [np.searchsorted(bins.POISSON, bins.uniforms(seed, b, 200), side="right") for b in range(40)]
    replicates = [errors(np.repeat(scores, n), np.repeat(hits, n), np.repeat(w, n)) for n in counts]
    for i, interval in enumerate(found):
        estimate = errors(scores, hits, w)[i]
        p_value = (1 + sum(each[i] >= estimate for each in drawn)) / 41
        low, high = error_interval(np.array(estimate), np.array(replicates)[:, i], p_value, 0.9)
        low = min(low, max(estimate - np.quantile(np.array(drawn)[:, i], 0.95), 0))
        assert interval == pytest.approx((estimate, low, high), rel=1e-9)


def test_repetitions_are_rows():
    scores, hits, weights = problem()
    options = OPTIONS | {"weight_type": "frequency"}
    ours = event_intervals(errors, Event(1.0, scores, hits, weights), **options)
    times = weights.astype(int)
    theirs = event_intervals(errors, Event(1.0, np.repeat(scores, times), np.repeat(hits, times), None), **options)
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)


@pytest.mark.parametrize("slope", [0.9, 0.5])
def test_coverage(slope):
    # truths: |∫_0^t (1 - slope)(s - 1/2) ds| at t = 1/2 for KS; the smooth error of the same gaps on a fine grid
    scores = (np.arange(100_000) + 0.5) / 100_000
    grid = np.bincount(np.rint(scores * N_CELLS).astype(int), (1 - slope) * (0.5 - scores), minlength=N_CELLS + 1)
    truths, covered = np.array([(1 - slope) / 8, smooth_error(grid / 100_000)]), np.zeros(2)
    for seed in range(48):
        scores, hits, _ = problem(300, slope, seed)
        options = OPTIONS | {"n_resamples": 39, "confidence_level": 0.95, "random_state": seed}
        found = np.array(event_intervals(errors, Event(1.0, scores, hits, None), **options))
        covered += (found[:, 1] <= truths + 1e-9) & (truths <= found[:, 2])
    assert (covered >= stats.binom.ppf(1e-3, 48, 0.92)).all()


KERNEL = {"n_resamples": 50, "confidence_level": 0.95, "random_state": 3}


@pytest.mark.parametrize("weighted", [False, True])
def test_kernel_interval_is_that_of_bootstrap_samples(weighted):
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(3), 90)
    y, weights = rng.integers(0, 3, 90), rng.random(90) if weighted else None
    (rows,) = residual_rows(check_predictions(y, proba, sample_weight=weights), "auto")
    found = kernel_interval(rows, estimator="unbiased", frequency=False, **KERNEL)
    options = {"sample_weight": weights} if weighted else {}
    assert found.estimate == pytest.approx(kernel_calibration_error(y, proba, **options), rel=1e-9)
    bandwidth = median_distance(rows.points, "total_variation", weights)
    expected = bootstrap_interval(
        kernel_calibration_error, y, proba, bandwidth=bandwidth, labels=range(3), **KERNEL, **options
    )
    assert found == pytest.approx(expected, rel=1e-9)


def test_linear_kernel_interval_is_normal():
    rng = np.random.default_rng(1)
    proba = rng.dirichlet(np.ones(3), 2001)
    y = rng.integers(0, 3, 2001)
    (rows,) = residual_rows(check_predictions(y, proba), "auto")
    found = kernel_interval(rows, estimator="linear", frequency=False, **KERNEL)
    assert found.estimate == pytest.approx(kernel_calibration_error(y, proba, estimator="linear"), rel=1e-12)
    first, second = slice(0, 2000, 2), slice(1, 2000, 2)
    distance = 0.5 * np.abs(proba[first] - proba[second]).sum(axis=1)
    terms = np.exp(-distance / np.median(distance)) * (rows.residuals[first] * rows.residuals[second]).sum(axis=1)
    half = 1.959964 * terms.std(ddof=1) / np.sqrt(1000)
    assert found.high - found.estimate == pytest.approx(half, rel=1e-3)  # the median lies between two terms


@pytest.mark.parametrize("estimator", ["unbiased", "linear"])
def test_kernel_repetitions_are_rows(estimator):
    rng = np.random.default_rng(2)
    proba, weights = rng.random(80), rng.integers(0, 4, 80)
    y = rng.random(80) < proba
    (ours,) = residual_rows(check_predictions(y, proba, sample_weight=weights, weight_type="frequency"), "auto")
    (theirs,) = residual_rows(check_predictions(np.repeat(y, weights), np.repeat(proba, weights)), "auto")
    found = kernel_interval(ours, estimator=estimator, frequency=True, **KERNEL)
    assert found == pytest.approx(kernel_interval(theirs, estimator=estimator, frequency=True, **KERNEL), rel=1e-9)


def test_one_row_has_no_pair():
    rows = ResidualRows(1.0, np.array([[0.3]]), np.array([[0.7]]), None)
    with pytest.raises(ValueError, match="at least two rows"):
        kernel_interval(rows, estimator="unbiased", frequency=False, **KERNEL)
