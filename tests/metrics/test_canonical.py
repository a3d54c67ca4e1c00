"""Calibration errors of whole vectors against the published table and a dictionary of bins."""

from collections import defaultdict

import numpy as np
import pytest

from sksoft.metrics import canonical_calibration_error, expected_calibration_error

# errors.csv of github.com/devmotion/CalibrationPaper, the source of the table of Widmann et al. 2019: ECE_uniform with
# 10 bins a coordinate, ECE_dynamic with 100 rows a bin
WIDMANN = {
    "densenet121": (0.06607267260685921, 0.029532869835646354),
    "googlenet": (0.0701184185770028, 0.02272709769525614),
    "mobilenet_v2": (0.08683923462654226, 0.03456354253906284),
    "resnet18": (0.07488154767161395, 0.03644622574154899),
    "resnet_orig": (0.09817285190958805, 0.04414388945292799),
    "vgg16_bn": (0.06611851748458264, 0.02912703229915157),
}


def problem(n_rows=300, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(20, np.ones(n_classes) / n_classes, n_rows)  # ties, and probabilities on edges
    return rng.integers(0, n_classes, n_rows), counts / 20


def brute_force(y, proba, n_bins):
    bins = defaultdict(lambda: np.zeros(proba.shape[1]))
    edges = np.linspace(0, 1, n_bins + 1)
    for label, row in zip(y, proba):
        key = tuple(max(b for b in range(n_bins) if b == 0 or p > edges[b]) for p in row)
        bins[key] += np.eye(proba.shape[1])[label] - row
    return sum(np.abs(total).sum() for total in bins.values()) / 2 / len(y)


@pytest.mark.parametrize("net", WIDMANN)
def test_six_cifar10_nets(shared_data, net):
    # the file holds single precision
    stored = np.load(shared_data / "calibration" / "cifar10_6nets_probs.npz")
    uniform, dynamic = WIDMANN[net]
    assert canonical_calibration_error(stored["labels"], stored[net]) == pytest.approx(uniform, abs=1e-9)
    found = canonical_calibration_error(stored["labels"], stored[net], strategy="dynamic")
    assert found == pytest.approx(dynamic, abs=1e-9)


@pytest.mark.parametrize("n_bins", [1, 4, 10])
@pytest.mark.parametrize("n_classes", [2, 3, 40])
def test_uniform_bins_by_brute_force(n_bins, n_classes):
    y, proba = problem(n_classes=n_classes)
    found = canonical_calibration_error(y, proba, n_bins=n_bins, labels=range(n_classes))
    assert found == pytest.approx(brute_force(y, proba, n_bins), rel=1e-12)


def test_one_column_is_the_binary_error():
    rng = np.random.default_rng(0)
    p, y = rng.random(400), rng.integers(0, 2, 400)
    assert canonical_calibration_error(y, p, n_bins=15) == pytest.approx(expected_calibration_error(y, p), rel=1e-12)


@pytest.mark.parametrize("options", [{}, {"strategy": "dynamic", "min_weight": 25}], ids=str)
def test_invariances(options):
    y, proba = problem()
    weights = np.random.default_rng(1).integers(0, 4, len(y))
    weighted = canonical_calibration_error(y, proba, sample_weight=weights, **options)
    repeated = canonical_calibration_error(np.repeat(y, weights), np.repeat(proba, weights, axis=0), **options)
    assert weighted == pytest.approx(repeated, rel=1e-11)
    expected = canonical_calibration_error(y, proba, **options)
    assert canonical_calibration_error(y[::-1], proba[::-1], **options) == pytest.approx(expected, rel=1e-11)
    assert canonical_calibration_error(np.array(list("xyz"))[y], proba, **options) == expected
    assert 0 < expected <= 1


def test_dynamic_bins_are_as_light_as_allowed_and_no_lighter():
    rng = np.random.default_rng(0)
    p, y = rng.random(256), rng.integers(0, 2, 256)
    ordered = np.argsort(p)
    eighths = np.abs((y - p)[ordered].reshape(8, 32).sum(axis=1)).sum() / 256
    found = canonical_calibration_error(y, p, strategy="dynamic", min_weight=32)
    assert found == pytest.approx(eighths, rel=1e-12)
    assert canonical_calibration_error(y, p, strategy="dynamic", min_weight=300) == pytest.approx(abs((y - p).mean()))


def test_degenerate_input():
    for options in ({}, {"strategy": "dynamic", "min_weight": 1}):
        assert canonical_calibration_error([1], [0.25], **options) == 0.75
        assert canonical_calibration_error([0, 1], [0.0, 1.0], **options) == 0.0
        assert canonical_calibration_error(["b"] * 9, [[0.5, 0.5]] * 9, labels=["a", "b"], **options) == 0.5


@pytest.mark.parametrize(
    "options", [{"n_bins": 0}, {"strategy": "quantile"}, {"min_weight": 0}, {"min_weight": True}, {"min_weight": [1]}]
)
def test_parameters_out_of_range_are_named(options):
    with pytest.raises(ValueError, match=f"'{next(iter(options))}' parameter must be"):
        canonical_calibration_error(*problem(), **options)
