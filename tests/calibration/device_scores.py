"""Calibrators on scores of a device, real or simulated: what ``test_device_scores.py`` runs."""

import numpy as np
import pytest
from device_arrays import TRANSFERRED, DeviceArray, installed
from sklearn.frozen import FrozenEstimator

from sksoft import (
    AdaptiveTemperatureScaler,
    BinaryScaler,
    CalibratedSoftmaxClassifier,
    DirichletCalibrator,
    EnsembleTemperatureScaler,
    GroupTemperatureScaler,
    IdentityCalibrator,
    IsotonicCalibrator,
    MatrixScaler,
    PriorShiftAdjuster,
    SoftmaxRegression,
    StructuredMatrixScaler,
    TemperatureScaler,
    VectorScaler,
    VennAbersCalibrator,
    config_context,
)
from sksoft.kernels import registry
from sksoft.kernels._cuda._api import SIMULATED
from sksoft.kernels.capability import Capability, CudaFallbackWarning
from sksoft.kernels.placement import on_device

CALIBRATORS = [
    IdentityCalibrator(),
    TemperatureScaler(),
    VectorScaler(),
    MatrixScaler(strength=0.1),
    DirichletCalibrator(strength=0.1, penalty="ridge"),
    StructuredMatrixScaler(),
    EnsembleTemperatureScaler(),
    AdaptiveTemperatureScaler(),
    GroupTemperatureScaler(shrinkage=1.0),
]
# Those whose sums over rows are all there is to them: others bring a sample of the rows to the host.
BY_SUMS = (TemperatureScaler, VectorScaler, EnsembleTemperatureScaler, AdaptiveTemperatureScaler)


@pytest.fixture(autouse=True)
def device():
    with installed() as cupy, config_context(n_threads=1):
        yield cupy


@pytest.fixture
def kernels_by_the_cpu(monkeypatch):
    """Only the kernels, and on copies, for what takes many of them: all else is computed on the device."""
    monkeypatch.setattr(registry.Kernel, "_beside_data", registry.Kernel._by_cpu)


@pytest.fixture
def to_host(monkeypatch):
    """Entries of each array that is brought to the host."""
    sizes, get = [0], DeviceArray.get

    def counted(array):
        sizes.append(array.size)
        return get(array)

    monkeypatch.setattr(DeviceArray, "get", counted)
    return sizes


def rows(n=24, n_classes=3, dtype="float64"):
    """Scores that are too large, labels that follow them, a weight for each row."""
    rng = np.random.default_rng(0)
    X = 2.0 * rng.normal(size=(n, n_classes))
    codes = (0.6 * X + rng.gumbel(size=X.shape)).argmax(axis=1)
    return X.astype(dtype), np.array(list("abc"))[codes], rng.integers(0, 3, size=n).astype(float)


def numbers(calibrator):
    """What a fit found, by name."""
    kinds = float, int, np.ndarray
    found = {name: value for name, value in vars(calibrator).items() if name.endswith("_") and isinstance(value, kinds)}
    return {
        name: value for name, value in found.items() if name not in ("classes_", "gap_", "bound_", "gradient_norm_")
    }


def same(found, expected, atol=1e-9):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, atol=atol, err_msg=name)


@pytest.mark.parametrize("calibrator", CALIBRATORS, ids=lambda calibrator: type(calibrator).__name__)
def test_a_fit_on_a_device_is_that_of_the_host(device, to_host, calibrator):
    X, y, weights = rows()
    there = device.asarray(X)
    on_host = calibrator.fit(X, y, sample_weight=weights)
    expected = numbers(on_host), on_host.predict_proba(X), on_host.predict(X)
    scores = on_host.decision_function(X) if hasattr(on_host, "decision_function") else None
    calibrator.fit(there, y, sample_weight=device.asarray(weights))
    if isinstance(calibrator, BY_SUMS):
        assert max(to_host) < X.size  # weights and sums, and never the scores
    same(numbers(calibrator), expected[0])
    if hasattr(calibrator, "gap_"):
        assert 0.0 <= calibrator.gap_ <= 1e-6
    to_host.clear()
    proba, labels = calibrator.predict_proba(there), calibrator.predict(there)
    assert max(to_host, default=0) <= len(X)  # codes of the labels, which are no numbers
    assert on_device(proba)
    np.testing.assert_allclose(proba.get(), expected[1], rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(labels, expected[2])
    if scores is not None:
        found = calibrator.decision_function(there)
        assert on_device(found)
        np.testing.assert_allclose(found.get(), scores, rtol=1e-6, atol=1e-8)


def test_accuracy_on_labels_that_are_numbers(device):
    X, y, weights = rows()
    codes = np.unique(y, return_inverse=True)[1]
    calibrator = IdentityCalibrator().fit(X, codes)
    there = [device.asarray(array) for array in (X, codes, weights)]
    assert calibrator.score(*there) == calibrator.score(X, codes, weights)


def test_single_precision(device):
    X, y, _ = rows(dtype="float32")
    calibrator = TemperatureScaler()
    expected = calibrator.fit(X, y).predict_proba(X)
    proba = calibrator.fit(device.asarray(X), y).predict_proba(device.asarray(X))
    assert proba.dtype == expected.dtype
    np.testing.assert_allclose(proba.get(), expected, atol=2e-6)


@pytest.mark.usefixtures("kernels_by_the_cpu")
@pytest.mark.parametrize("form", ["platt", "beta", "quadratic"])
def test_two_classes(device, form):
    X, y, weights = rows(n_classes=2)
    y = (y == "b").astype(int)
    there = device.asarray(X)
    expected = BinaryScaler(form).fit(X, y, sample_weight=weights)
    calibrator = BinaryScaler(form).fit(there, device.asarray(y), sample_weight=weights)
    same(numbers(calibrator), numbers(expected))
    assert calibrator.gap_ <= 1e-10
    np.testing.assert_allclose(calibrator.predict_proba(there).get(), expected.predict_proba(X), rtol=1e-6)
    labels = calibrator.predict(there)
    assert on_device(labels)
    np.testing.assert_array_equal(labels.get(), expected.predict(X))
    alone = X[:, 1] - X[:, 0]
    expected = TemperatureScaler().fit(alone, y)
    calibrator = TemperatureScaler().fit(device.asarray(alone), y)
    np.testing.assert_allclose(calibrator.temperature_, expected.temperature_, rtol=1e-9)
    assert calibrator.decision_function(device.asarray(alone)).shape == (len(X),)


def test_proportions_of_unlabelled_data(device, to_host):
    X, _, weights = rows()
    there = device.asarray(X)
    expected = PriorShiftAdjuster("uniform").fit(X, sample_weight=weights)
    adjuster = PriorShiftAdjuster("uniform").fit(there, sample_weight=weights)
    assert max(to_host) < X.size
    same(numbers(adjuster), numbers(expected))
    assert adjuster.gap_ <= 1e-10
    np.testing.assert_allclose(adjuster.predict_proba(there).get(), expected.predict_proba(X), rtol=1e-6, atol=1e-12)
    labels = adjuster.predict(there)
    assert on_device(labels)
    np.testing.assert_array_equal(labels.get(), expected.predict(X))


@pytest.mark.usefixtures("kernels_by_the_cpu")
def test_groups(device):
    X, y, weights = rows()
    group = np.arange(len(X)) % 2
    there = device.asarray(X)
    expected = GroupTemperatureScaler(cv=2).fit(X, y, weights, sensitive_features=group)
    scaler = GroupTemperatureScaler(cv=2).fit(there, y, weights, sensitive_features=group)
    assert scaler.shrinkage_ == expected.shrinkage_
    np.testing.assert_allclose(scaler.temperatures_["temperature"], expected.temperatures_["temperature"], rtol=1e-6)
    np.testing.assert_allclose(scaler.temperatures_["stderr"], expected.temperatures_["stderr"], rtol=1e-6)
    proba = scaler.predict_proba(there, sensitive_features=group)
    np.testing.assert_allclose(proba.get(), expected.predict_proba(X, sensitive_features=group), rtol=1e-6)


@pytest.mark.usefixtures("kernels_by_the_cpu")
def test_a_strength_is_chosen_on_the_same_folds(device):
    X, y, weights = rows()
    expected = MatrixScaler(cv=2).fit(X, y, weights)
    scaler = MatrixScaler(cv=2).fit(device.asarray(X), y, weights)
    np.testing.assert_allclose(scaler.cv_results_["log_loss"], expected.cv_results_["log_loss"], rtol=1e-4)
    assert scaler.strength_ == expected.strength_
    np.testing.assert_allclose(scaler.coef_, expected.coef_, rtol=1e-5, atol=1e-7)


@pytest.mark.usefixtures("kernels_by_the_cpu")
def test_probabilities(device):
    X, y, _ = rows()
    proba = np.exp(X) / np.exp(X).sum(axis=1, keepdims=True)
    expected = TemperatureScaler(input="proba").fit(proba, y)
    scaler = TemperatureScaler(input="proba").fit(device.asarray(proba), y)
    np.testing.assert_allclose(scaler.temperature_, expected.temperature_, rtol=1e-9)
    for wrong, message in ((2.0 * proba, "must sum to one within 0.001"), (proba - 1.0, r"Got -0\.\d+ in row 0")):
        with pytest.raises(ValueError, match=message) as of_host:
            scaler.predict_proba(wrong)
        with pytest.raises(ValueError, match=message) as of_device:
            scaler.predict_proba(device.asarray(wrong))
        assert str(of_device.value) == str(of_host.value)


def test_the_host_s_scores_are_moved_where_the_user_says_so(device):
    X, y, _ = rows()
    expected = TemperatureScaler().fit(X, y)
    TRANSFERRED.update(to_device=0, to_host=0)
    with config_context(backend="cuda"):
        scaler = TemperatureScaler().fit(X, y)
        once = TRANSFERRED["to_device"]
        proba, labels = scaler.predict_proba(X), scaler.predict(X)
    assert not SIMULATED or X.nbytes <= once < 2 * X.nbytes + 20 * len(X) + 5000
    assert type(proba) is np.ndarray
    assert type(labels) is np.ndarray
    np.testing.assert_allclose(proba, expected.predict_proba(X), rtol=1e-6)


@pytest.mark.parametrize("calibrator", [IsotonicCalibrator(), VennAbersCalibrator()])
def test_those_of_the_host_say_so(device, calibrator):
    X, y, _ = rows()
    message = (
        rf"{type(calibrator).__name__} computes on the host, and X is on a CUDA device: move it, with cupy.asnumpy"
    )
    with pytest.raises(TypeError, match=message):
        calibrator.fit(device.asarray(X), y)
    calibrator.fit(X, y)
    for method in (calibrator.predict_proba, calibrator.predict):
        with pytest.raises(TypeError, match=message):
            method(device.asarray(X))
    with config_context(backend="cuda"):
        assert type(calibrator.fit(X, y).predict_proba(X)) is np.ndarray


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X * np.inf, "Input X contains NaN|infinity"),
        (lambda X: X[:, :2], "X has 2 features, but TemperatureScaler is expecting 3"),
        (lambda X: X[None], r"X of TemperatureScaler must have shape \(n_samples, n_classes\)"),
        (lambda X: X[:0], "at least one row"),
        (lambda X: X.astype(complex), "must hold numbers. Got dtype complex128"),
    ],
)
def test_bad_scores_are_named(device, change, message):
    X, y, _ = rows()
    scaler = TemperatureScaler().fit(X, y)
    with pytest.raises(ValueError, match=message):
        scaler.predict_proba(change(device.asarray(X)))


@pytest.mark.usefixtures("kernels_by_the_cpu")
@pytest.mark.parametrize(
    "parameters",
    [{"method": "temperature", "ensemble": True}, {"method": "auto"}],
    ids=lambda parameters: parameters["method"],
)
def test_a_classifier_with_a_calibrator_behind_it(device, parameters):
    X, y, _ = rows()
    there = device.asarray(X)
    expected = CalibratedSoftmaxClassifier(SoftmaxRegression(), cv=2, **parameters).fit(X, y)
    model = CalibratedSoftmaxClassifier(SoftmaxRegression(), cv=2, **parameters).fit(there, y)
    if parameters["method"] == "auto":
        np.testing.assert_array_equal(model.selection_["chosen"], expected.selection_["chosen"])
    proba = model.predict_proba(there)
    assert on_device(proba)
    np.testing.assert_allclose(proba.get(), expected.predict_proba(X), atol=1e-6)
    np.testing.assert_array_equal(model.predict(there), expected.predict(X))


@pytest.mark.usefixtures("kernels_by_the_cpu")
def test_a_frozen_classifier(device):
    X, y, _ = rows()
    there = device.asarray(X)
    classifier = FrozenEstimator(SoftmaxRegression().fit(X, y))
    expected = CalibratedSoftmaxClassifier(classifier, "vector").fit(X, y).predict_proba(X)
    found = CalibratedSoftmaxClassifier(classifier, "vector").fit(there, y).predict_proba(there)
    np.testing.assert_allclose(found.get(), expected, atol=1e-7)


def test_where_the_device_cannot_compute_the_host_does(device, monkeypatch):
    monkeypatch.setattr(registry, "capability", lambda: Capability(False, "as a test of calibrators says"))
    X, y, _ = rows()
    there = device.asarray(X)
    with pytest.warns(CudaFallbackWarning, match="as a test of calibrators says"):
        scaler = VectorScaler().fit(there, y)
    proba = scaler.predict_proba(there)
    assert on_device(proba)
    np.testing.assert_array_equal(proba.get(), VectorScaler().fit(X, y).predict_proba(X))
    np.testing.assert_array_equal(scaler.predict(there), scaler.predict(X))
