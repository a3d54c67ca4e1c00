"""Smooth calibration errors against relplot, against sums over the images of a Gaussian, and their invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from sksoft import config_context
from sksoft.kernels.grids import residual_grid
from sksoft.metrics import smooth_calibration_error
from sksoft.metrics.smooth import N_CELLS, smooth_error


def deterministic(n_rows, power):
    """Without a generator, so that other packages could be given the same rows."""
    i = np.arange(n_rows)
    scores = (i * 0.6180339887498949) % 1
    return (((i * 0.7548776662466927) % 1) < scores**power).astype(int), scores


def problem(n_rows=80, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, n_classes, n_rows), rng.dirichlet(np.ones(n_classes), n_rows)


def brute_force(scores, hits, weights, sigma, n_points=20_001):
    """The integral with the Gaussian and its images at ±c + 2j."""
    t = np.linspace(0, 1, n_points)
    smoothed = np.zeros(n_points)
    for score, hit, weight in zip(scores, hits, weights):
        images = np.concatenate([np.arange(-8, 9, 2) + score, np.arange(-8, 9, 2) - score])[:, None]
        smoothed += weight * (hit - score) * np.exp(-0.5 * ((t - images) / sigma) ** 2).sum(axis=0)
    return np.trapezoid(np.abs(smoothed), t) / (sigma * np.sqrt(2 * np.pi)) / np.sum(weights)


@pytest.mark.parametrize(
    ("n_rows", "power", "error", "at_005"),
    [
        (300, 1.0, 0.02737664531574664, 0.01963629424832134),
        (300, 1.6, 0.11939853288707486, 0.11918022905225668),
        (5000, 1.2, 0.04465856714273113, 0.044647370215823844),
        (20000, 0.7, 0.08762067573811323, 0.08755865548385965),
    ],
)
def test_agrees_with_relplot(n_rows, power, error, at_005):
    # relplot 1.0.3: metrics.smECE, whose σ is found to 1e-3, and metrics.smECE_sigma(f, y, .05)
    y, scores = deterministic(n_rows, power)
    assert smooth_calibration_error(y, scores) == pytest.approx(error, abs=1e-3)
    assert smooth_calibration_error(y, scores, bandwidth=0.05) == pytest.approx(at_005, abs=1e-3)


@pytest.mark.parametrize("sigma", [0.01, 0.05, 0.3, 1.5])
def test_at_a_width_by_brute_force(sigma):
    rng = np.random.default_rng(0)
    scores, hits, weights = np.append(rng.random(30), [0.0, 1.0]), rng.integers(0, 2, 32), rng.random(32)
    expected = brute_force(scores, hits, weights, sigma)
    found = smooth_calibration_error(hits, scores, bandwidth=sigma, sample_weight=weights)
    assert found == pytest.approx(expected, abs=2e-7)


@pytest.mark.parametrize("power", [0.3, 1.0, 2.0])
def test_the_fixed_point_by_brute_force(power):
    hits, scores = deterministic(60, power)
    weights = np.ones(60)
    expected = brentq(lambda sigma: brute_force(scores, hits, weights, sigma, 6001) - sigma, 0.01, 1.0, xtol=1e-10)
    found = smooth_calibration_error(hits, scores)
    assert found == pytest.approx(expected, abs=1e-7)
    assert smooth_calibration_error(hits, scores, bandwidth=found) == pytest.approx(found, abs=1e-11)


def test_grid_of_a_calibrated_million_is_fine_enough():
    # the same rows on a grid eight times as fine
    rng = np.random.default_rng(0)
    scores = rng.random(1_000_000)
    hits = rng.random(1_000_000) < scores
    fine, coarse = (smooth_error(residual_grid(scores, hits, n_cells=n) / 1e6) for n in (8 * N_CELLS, N_CELLS))
    assert coarse == pytest.approx(fine, abs=2e-7)


@given(st.lists(st.tuples(st.integers(0, 1000), st.booleans()), min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
def test_the_error_is_between_the_total_and_the_unsmoothed_one_and_falls_with_the_width(rows):
    scores = np.array([score / 1000 for score, _ in rows])
    hits = np.array([hit for _, hit in rows])
    error = smooth_calibration_error(hits, scores)
    assert abs((hits - scores).mean()) - 1e-12 <= error <= np.abs(hits - scores).mean() + 1e-12
    widths = [1e-5, 1e-3, 0.01, 0.1, 1.0, 10.0]
    curve = [smooth_calibration_error(hits, scores, bandwidth=width) for width in widths]
    assert (np.diff(curve) <= 1e-12).all()
    for width, value in zip(widths, curve):
        assert (value >= width - 1e-11) == (error >= width - 1e-11)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("mode", ["confidence", "top_label", "classwise", "binary"])
def test_weight_is_repetition_and_zero_weight_is_removal(mode, backend):
    y, proba = problem()
    weights = np.random.default_rng(1).integers(0, 4, len(y))
    options = {"mode": mode, "pos_label": 1} if mode == "binary" else {"mode": mode}
    with config_context(backend=backend):
        weighted = smooth_calibration_error(y, proba, sample_weight=weights, **options)
        repeated = smooth_calibration_error(np.repeat(y, weights), np.repeat(proba, weights, axis=0), **options)
    assert weighted == pytest.approx(repeated, abs=1e-11)


def test_modes_are_means_over_classes_and_predicted_labels():
    y, proba = problem()
    one = [smooth_calibration_error(y == k, proba[:, k]) for k in range(3)]
    assert smooth_calibration_error(y, proba, mode="classwise") == pytest.approx(np.mean(one), rel=1e-10)
    top, confidence = proba.argmax(axis=1), proba.max(axis=1)
    assert smooth_calibration_error(y, proba) == pytest.approx(smooth_calibration_error(y == top, confidence))
    parts = [(top == k).mean() * smooth_calibration_error((y == k)[top == k], confidence[top == k]) for k in range(3)]
    assert smooth_calibration_error(y, proba, mode="top_label") == pytest.approx(sum(parts), rel=1e-10)
    named = smooth_calibration_error(np.array(list("cab"))[y], proba[:, [1, 2, 0]], mode="classwise")
    assert named == pytest.approx(np.mean(one), rel=1e-10)


def test_grids_of_parts_add_up():
    y, scores = deterministic(1000, 1.4)
    whole = residual_grid(scores, y, n_cells=N_CELLS)
    parts = sum(residual_grid(scores[i::3], y[i::3], n_cells=N_CELLS) for i in range(3))
    assert smooth_error(parts / 1000) == pytest.approx(smooth_error(whole / 1000), abs=1e-14)


def test_degenerate_input():
    assert smooth_calibration_error([1], [0.25]) == pytest.approx(0.75, abs=1e-12)
    assert smooth_calibration_error([0, 1], [0.0, 1.0]) == 0.0
    assert smooth_calibration_error([1, 0], [0.0, 1.0]) == pytest.approx(
        brentq(lambda s: brute_force([0.0, 1.0], [1, 0], [1.0, 1.0], s) - s, 0.1, 1), abs=1e-7
    )
    assert smooth_calibration_error([1, 1, 1], [0.5, 0.5, 0.5]) == pytest.approx(0.5, abs=1e-12)
    assert smooth_calibration_error([1, 0], [0.5, 0.5]) == pytest.approx(0.0, abs=1e-12)
    assert smooth_calibration_error(["a", "a"], [[0.5, 0.5], [1.0, 0.0]], labels=["a", "b"]) == pytest.approx(0.25)


@pytest.mark.parametrize("options", [{"bandwidth": 0.0}, {"bandwidth": "auto"}, {"bandwidth": True}, {"mode": "x"}])
def test_parameters_out_of_range_are_named(options):
    with pytest.raises(ValueError, match=f"'{next(iter(options))}' parameter must be"):
        smooth_calibration_error(*problem(), **options)
