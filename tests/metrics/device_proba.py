"""Calibration errors and proper scores of probabilities on a device, real or simulated."""

import numpy as np
import pytest
from device_arrays import TRANSFERRED, installed

from sksoft import config_context, metrics
from sksoft.kernels._cuda._api import SIMULATED
from sksoft.kernels.placement import on_device


@pytest.fixture(autouse=True)
def device():
    with installed() as cupy, config_context(n_threads=1):
        yield cupy


def predictions(n=30, n_classes=3):
    """Labels, distributions that they are drawn from, and a weight for each row."""
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(n_classes), n)
    codes = (proba.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return np.array(list("abc"))[codes], proba, rng.integers(0, 3, size=n).astype(float)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("mode", ["confidence", "classwise", "top_label", "binary"])
def test_a_calibration_error_is_that_of_the_host(device, mode, strategy):
    y, proba, weights = predictions()
    options = {"mode": mode, "strategy": strategy, "n_bins": 4, "pos_label": "b", "sample_weight": weights}
    expected = metrics.expected_calibration_error(y, proba, **options)
    there = device.asarray(proba)
    TRANSFERRED.update(to_device=0, to_host=0)
    error = metrics.expected_calibration_error(y, there, **options)
    assert type(error) is float
    np.testing.assert_allclose(error, expected, rtol=1e-12)
    assert TRANSFERRED["to_host"] <= 8 * (5 * 3 * 4 + 3 * 3)  # the sums of the bins, and their edges


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_one_probability_a_row(device, norm):
    rng = np.random.default_rng(1)
    proba = rng.random(30).astype(np.float32)
    y = rng.random(30) < proba
    expected = metrics.expected_calibration_error(y, proba, norm=norm)
    for labels in (y, device.asarray(y)):
        error = metrics.expected_calibration_error(labels, device.asarray(proba), norm=norm)
        np.testing.assert_allclose(error, expected, rtol=1e-12)


def test_a_reliability_curve(device):
    y, proba, weights = predictions()
    expected = metrics.reliability_curve(y, proba, n_bins=3, mode="classwise", sample_weight=weights)
    curve = metrics.reliability_curve(
        y, device.asarray(proba), n_bins=3, mode="classwise", sample_weight=device.asarray(weights)
    )
    assert curve["class"].tolist() == expected["class"].tolist()
    np.testing.assert_allclose(curve.drop(columns="class"), expected.drop(columns="class"), rtol=1e-12)


@pytest.mark.parametrize("score", [metrics.negative_log_likelihood, metrics.brier_score])
def test_proper_scores(device, score):
    y, proba, weights = predictions()
    there = device.asarray(proba)
    TRANSFERRED.update(to_device=0, to_host=0)
    found = score(y, there, sample_weight=weights)
    assert type(found) is float
    np.testing.assert_allclose(found, score(y, proba, sample_weight=weights), rtol=1e-12)
    binary = score(y == "b", there[:, 1])
    np.testing.assert_allclose(binary, score(y == "b", proba[:, 1]), rtol=1e-12)
    assert TRANSFERRED["to_host"] == 0


def test_margins(device):
    _, proba, _ = predictions()
    for part in (proba, proba[:, 0]):
        margin = metrics.prediction_margin(device.asarray(part))
        assert on_device(margin)
        np.testing.assert_allclose(margin.get(), metrics.prediction_margin(part), rtol=1e-12)


def test_the_host_s_probabilities_are_moved_once_where_the_user_says_so(device):
    y, proba, _ = predictions()
    expected = metrics.expected_calibration_error(y, proba)
    with config_context(backend="cuda"):
        error = metrics.expected_calibration_error(y, proba)
    np.testing.assert_allclose(error, expected, rtol=1e-12)
    assert not SIMULATED or proba.nbytes <= TRANSFERRED["to_device"] < 2 * proba.nbytes


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda proba: proba * np.where(np.arange(30) == 7, np.nan, 1.0)[:, None], "row 7 is"),
        (lambda proba: 2.0 * proba, "row 0 sums to 2"),
        (lambda proba: proba - 1.0, "must not be negative: row 0"),
        (lambda proba: 3.0 * proba[:, 0], r"must lie in \[0, 1\]: row"),
        (lambda proba: proba[:0], "inconsistent numbers of samples"),
        (lambda proba: proba.astype(complex), "must hold numbers"),
        (lambda proba: proba[None], "must have shape"),
    ],
)
def test_bad_probabilities_are_named_as_on_the_host(device, wrong, message):
    y, proba, _ = predictions()
    wrong = wrong(proba)
    y = y if wrong.ndim > 1 else y == "a"
    with pytest.raises(ValueError, match=message) as of_host:
        metrics.expected_calibration_error(y, wrong)
    with pytest.raises(ValueError, match=message) as of_device:
        metrics.expected_calibration_error(y, device.asarray(wrong))
    assert str(of_device.value) == str(of_host.value)


def test_metrics_of_the_host_name_the_argument(device):
    y, proba, weights = predictions()
    message = "computes on the host, and y_proba is on a CUDA device: move it, with cupy.asnumpy"
    with pytest.raises(TypeError, match=message):
        metrics.kernel_calibration_error(y, device.asarray(proba))
    with pytest.raises(TypeError, match=message):
        metrics.smooth_calibration_error(y == "a", device.asarray(proba[:, 0]))
    with pytest.raises(TypeError, match="and sample_weight is on a CUDA device"):
        metrics.smooth_calibration_error(y == "a", proba[:, 0], sample_weight=device.asarray(weights))
