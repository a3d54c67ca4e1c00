"""Squared kernel calibration errors against the published table, brute force over all pairs, and their invariances."""

import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from sksoft import config_context
from sksoft.metrics import kernel_calibration_error
from sksoft.metrics.kernel_error import median_distance

KERNELS = ["total_variation", "laplacian", "gaussian"]


def problem(n_rows=60, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, n_classes, n_rows), rng.dirichlet(np.full(n_classes, 0.6), n_rows)


def distance_matrix(points, kernel):
    return 0.5 * cdist(points, points, "cityblock") if kernel == "total_variation" else cdist(points, points)


def lower_median(distances):
    ordered = np.sort(distances, axis=None)
    return ordered[(len(ordered) - 1) // 2]


def brute_force(points, residuals, kernel, bandwidth):
    """The matrix h."""
    scaled = distance_matrix(points, kernel) / bandwidth
    return np.exp(-0.5 * scaled**2 if kernel == "gaussian" else -scaled) * (residuals @ residuals.T)


def canonical(y, proba):
    return proba, np.eye(proba.shape[1])[y] - proba


# ---- published values ------------------------------------------------------------------------------------------------

# errors.csv of github.com/devmotion/CalibrationPaper, the source of the table of Widmann et al. 2019
WIDMANN = {
    "densenet121": (0.00014200255937238076, 0.00013014214272447108, -0.00034300214660923725),
    "googlenet": (2.7592939340394272e-5, 1.6866938444902392e-5, -0.00040512499082590156),
    "mobilenet_v2": (0.00020640480253506248, 0.00019108966621409577, -4.487736692275322e-5),
    "resnet18": (0.00027614450993714907, 0.0002625240589747678, 0.0003565449804289092),
    "resnet_orig": (0.0004270270957092768, 0.00040901304129217786, 0.0004082206858650098),
    "vgg16_bn": (0.00027398024048114596, 0.00026163310440870455, 0.0003218068683073966),
}


@pytest.mark.parametrize("net", WIDMANN)
def test_six_cifar10_nets(shared_data, net):
    # The file holds single precision: the published digits beyond 1e-11 cannot be had from it.
    stored = np.load(shared_data / "calibration" / "cifar10_6nets_probs.npz")
    y, proba = stored["labels"], stored[net]
    biased, unbiased, linear = WIDMANN[net]
    bandwidth = median_distance(proba.astype(np.float64), "total_variation")
    options = {"bandwidth": bandwidth}
    assert kernel_calibration_error(y, proba, **options) == pytest.approx(unbiased, abs=1e-11)
    assert kernel_calibration_error(y, proba, estimator="biased", **options) == pytest.approx(biased, abs=1e-11)
    assert kernel_calibration_error(y, proba, estimator="linear", **options) == pytest.approx(linear, abs=1e-9)


def test_the_default_is_the_unbiased_error_of_the_table(shared_data):
    stored = np.load(shared_data / "calibration" / "cifar10_6nets_probs.npz")
    error = kernel_calibration_error(stored["labels"], stored["googlenet"])
    assert error == pytest.approx(WIDMANN["googlenet"][1], abs=1e-11)


# ---- independent computations ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_estimators_by_brute_force(kernel, backend):
    y, proba = problem()
    points, residuals = canonical(y, proba)
    bandwidth = lower_median(distance_matrix(points, kernel))
    h = brute_force(points, residuals, kernel, bandwidth)
    pairs = h[0::2, 1::2].diagonal()
    linear_bandwidth = lower_median(distance_matrix(points, kernel)[0::2, 1::2].diagonal())
    linear = brute_force(points, residuals, kernel, linear_bandwidth)[0::2, 1::2].diagonal().mean()

    def error(**options):
        return kernel_calibration_error(y, proba, kernel=kernel, **options)

    with config_context(backend=backend):
        assert error() == pytest.approx(h[np.triu_indices(60, 1)].mean(), rel=1e-8)
        assert error(estimator="biased") == pytest.approx(h.mean(), rel=1e-8)
        assert error(estimator="linear", bandwidth=bandwidth) == pytest.approx(pairs.mean(), rel=1e-9)
        assert error(estimator="linear") == pytest.approx(linear, rel=1e-9)
        assert error(bandwidth=0.1) == pytest.approx(
            brute_force(points, residuals, kernel, 0.1)[np.triu_indices(60, 1)].mean(), rel=1e-10
        )


@pytest.mark.parametrize("mode", ["confidence", "binary", "classwise"])
def test_scalar_modes_by_brute_force(mode):
    y, proba = problem()
    points = {"confidence": [proba.max(axis=1)], "binary": [proba[:, 2]], "classwise": proba.T}[mode]
    hits = {"confidence": [proba.argmax(axis=1) == y], "binary": [y == 2], "classwise": np.eye(4)[y].T}[mode]
    expected = np.mean(
        [brute_force(p[:, None], (hit - p)[:, None], "laplacian", 0.4).mean() for p, hit in zip(points, hits)]
    )
    options = {"kernel": "laplacian", "bandwidth": 0.4, "estimator": "biased", "mode": mode, "pos_label": 2}
    options |= {} if mode == "binary" else {"pos_label": None}
    assert kernel_calibration_error(y, proba, **options) == pytest.approx(expected, rel=1e-10)


def test_binary_is_half_of_the_canonical_error_of_two_columns():
    rng = np.random.default_rng(0)
    p, y = rng.random(50), rng.integers(0, 2, 50)
    for estimator in ("unbiased", "biased", "linear"):
        two = kernel_calibration_error(y, np.column_stack([1 - p, p]), estimator=estimator)
        assert 2 * kernel_calibration_error(y, p, estimator=estimator) == pytest.approx(two, rel=1e-9)


@pytest.mark.parametrize("kernel", KERNELS)
def test_median_of_weighted_pairs_that_mostly_coincide(kernel):
    rng = np.random.default_rng(0)
    points, weights = rng.integers(0, 3, (80, 2)) / 7.0, rng.integers(1, 4, 80)
    written_out = np.repeat(points, weights, axis=0)
    expected = lower_median(distance_matrix(written_out, kernel))
    assert median_distance(points, kernel, weights.astype(float)) == pytest.approx(expected, rel=1e-9)
    points[:60] = points[0]
    positive = distance_matrix(points, kernel)
    expected = lower_median(positive[positive > 0])
    assert median_distance(points, kernel) == pytest.approx(expected, rel=1e-9)


def test_unbiased_estimators_have_mean_zero_on_calibrated_predictions():
    rng = np.random.default_rng(0)
    found = {"unbiased": [], "linear": [], "biased": []}
    for _ in range(400):
        proba = rng.dirichlet([1, 1, 1], 40)
        y = (rng.random(40)[:, None] > proba.cumsum(axis=1)).sum(axis=1)
        for estimator, values in found.items():
            values.append(kernel_calibration_error(y, proba, labels=[0, 1, 2], estimator=estimator, bandwidth=0.5))
    for estimator in ("unbiased", "linear"):
        values = np.array(found[estimator])
        assert abs(values.mean()) < 3.5 * values.std() / 20
    assert np.mean(found["biased"]) > 0.005
    assert min(found["biased"]) >= 0


# ---- invariances -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize(
    "options",
    [
        {"estimator": "biased"},
        {"estimator": "biased", "kernel": "gaussian", "mode": "confidence"},
        {"estimator": "unbiased", "weight_type": "frequency"},
        {"estimator": "unbiased", "weight_type": "frequency", "mode": "classwise"},
        {"estimator": "linear", "weight_type": "frequency"},
    ],
    ids=str,
)
def test_weight_is_repetition_and_zero_weight_is_removal(options, backend):
    y, proba = problem()
    weights = np.random.default_rng(1).integers(0, 4, len(y))
    with config_context(backend=backend):
        weighted = kernel_calibration_error(y, proba, sample_weight=weights, **options)
        repeated = kernel_calibration_error(np.repeat(y, weights), np.repeat(proba, weights, axis=0), **options)
    assert weighted == pytest.approx(repeated, rel=1e-8)


def test_sampling_weights_weigh_pairs_of_different_rows():
    y, proba = problem()
    weights = np.random.default_rng(1).random(60)
    h = brute_force(*canonical(y, proba), "total_variation", 0.5)
    mass = np.triu(np.outer(weights, weights), 1)
    expected = (mass * h).sum() / mass.sum()
    for scale in (1.0, 1e50):
        options = {"bandwidth": 0.5, "sample_weight": scale * weights}
        assert kernel_calibration_error(y, proba, **options) == pytest.approx(expected, rel=1e-10)
        linear = (weights[::2] * weights[1::2] * h[::2, 1::2].diagonal()).sum() / (weights[::2] @ weights[1::2])
        assert kernel_calibration_error(y, proba, estimator="linear", **options) == pytest.approx(linear, rel=1e-10)


def test_order_of_rows_and_names_of_classes_do_not_matter():
    y, proba = problem()
    expected = kernel_calibration_error(y, proba)
    assert kernel_calibration_error(y[::-1], proba[::-1]) == pytest.approx(expected, rel=1e-10)
    assert kernel_calibration_error(np.array(list("dcba"))[y], proba[:, ::-1]) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_memory_does_not_grow_with_the_pairs(backend):
    y, proba = problem(4000, 3)
    with config_context(backend=backend):
        kernel_calibration_error(y[:300], proba[:300])
        tracemalloc.start()
        kernel_calibration_error(y, proba)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 64e6  # one matrix of all pairs takes 128 MB


# ---- degenerate and bad input ----------------------------------------------------------------------------------------


def test_degenerate_input():
    assert kernel_calibration_error([1, 1, 0], [0.5, 0.5, 0.5], estimator="biased") == pytest.approx((0.5 / 3) ** 2)
    assert kernel_calibration_error([1, 0], [1.0, 0.0]) == 0.0
    assert kernel_calibration_error([1], [0.25], estimator="biased") == pytest.approx(0.75**2)
    assert kernel_calibration_error(["a", "a"], [[0.5, 0.5], [1.0, 0.0]], labels=["a", "b"], estimator="biased") >= 0
    assert kernel_calibration_error([1], [0.25], sample_weight=[2], weight_type="frequency") == pytest.approx(0.75**2)
    for estimator in ("unbiased", "linear"):
        with pytest.raises(ValueError, match=r"needs at least two rows\. Got 1"):
            kernel_calibration_error([1], [0.25], estimator=estimator)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "rbf"}, "'kernel' parameter must be one of"),
        ({"estimator": "u"}, "'estimator'"),
        ({"mode": "top_label"}, "'mode'"),
        ({"weight_type": "x"}, "'weight_type'"),
        ({"bandwidth": 0.0}, "'bandwidth' parameter must be 'median' or a positive finite float. Got 0.0"),
        ({"bandwidth": "mean"}, "'bandwidth'"),
        ({"bandwidth": np.inf}, "'bandwidth'"),
        ({"bandwidth": True}, "'bandwidth'"),
        ({"mode": "binary"}, "needs 'pos_label'"),
    ],
)
def test_parameters_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        kernel_calibration_error(*problem(), **options)
