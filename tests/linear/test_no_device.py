"""Rows on a device that cannot be used: a fit says why once and computes on the host; answers are of the kind of X."""

import sys

import device_arrays
import numpy as np
import pytest

from sksoft import CalibratedSoftmaxClassifier, CudaFallbackWarning, SoftmaxRegression, config_context
from sksoft import _validation as validation
from sksoft.kernels import capability as capability_module
from sksoft.kernels import registry
from sksoft.kernels.capability import Capability

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 3))
y = rng.integers(0, 3, 60)


class OutOfMemoryError(Exception):
    """Named as CuPy's."""


@pytest.fixture(autouse=True)
def cupy(monkeypatch):
    """Arrays of the stand-in are CuPy's; nothing was said yet."""
    monkeypatch.setattr(capability_module, "_warned", set())
    monkeypatch.setattr(device_arrays.DeviceArray, "__module__", "cupy")
    monkeypatch.setitem(sys.modules, "cupy", device_arrays.cupy)


@pytest.fixture
def unusable(monkeypatch):
    monkeypatch.setattr(registry, "capability", lambda: Capability(False, "no driver."))


def test_the_cpu_fits_and_answers_and_that_is_said_once(unusable):
    there = device_arrays.DeviceArray(X)
    with pytest.warns(CudaFallbackWarning, match="the CPU computes: no driver."):
        model = SoftmaxRegression().fit(there, device_arrays.DeviceArray(y))
    proba = model.predict_proba(there)  # a second warning would be an error
    expected = SoftmaxRegression().fit(X, y)
    np.testing.assert_array_equal(model.coef_, expected.coef_)
    assert isinstance(proba, device_arrays.DeviceArray)
    np.testing.assert_array_equal(proba.get(), expected.predict_proba(X))
    np.testing.assert_array_equal(model.predict(there).get(), expected.predict(X))


def test_a_calibrated_classifier_asks_no_device_for_anything(unusable, monkeypatch):
    monkeypatch.setattr(registry.placement, "to_device", lambda value: pytest.fail("there is no device"))
    there = device_arrays.DeviceArray(X)
    with pytest.warns(CudaFallbackWarning, match="the CPU computes: no driver."):
        model = CalibratedSoftmaxClassifier(SoftmaxRegression(), cv=2).fit(there, y)
    expected = CalibratedSoftmaxClassifier(SoftmaxRegression(), cv=2).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(there).get(), expected.predict_proba(X))
    np.testing.assert_array_equal(model.predict(there).get(), expected.predict(X))


@pytest.mark.parametrize("rows", [X, device_arrays.DeviceArray(X)], ids=["host", "device"])
def test_where_cuda_is_forced_it_is_an_error(unusable, rows):
    with config_context(backend="cuda"), pytest.raises(RuntimeError, match="SoftmaxRegression cannot run on"):
        SoftmaxRegression().fit(rows, y)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_backend_of_the_host_cannot_be_forced(unusable, backend):
    with config_context(backend=backend), pytest.raises(ValueError, match="are on a CUDA device, which backend="):
        SoftmaxRegression().fit(device_arrays.DeviceArray(X), y)


@pytest.fixture
def full(monkeypatch):
    """A device that has no room for rows."""

    def no_room(estimator, X, **options):
        raise OutOfMemoryError("Out of memory allocating 1,440 bytes")

    monkeypatch.setattr(registry, "capability", lambda: Capability(True, "a device"))
    monkeypatch.setattr(registry.placement, "to_device", lambda value: value)
    monkeypatch.setattr(validation, "_validate_device_rows", no_room)


@pytest.mark.parametrize("by_name", [False, True])
def test_a_fit_whose_device_runs_full_begins_again_on_the_host(full, by_name):
    there, weights = device_arrays.DeviceArray(X), device_arrays.DeviceArray(np.arange(60.0))
    given = {"X": there, "y": y} if by_name else {}
    with pytest.warns(CudaFallbackWarning, match="the CPU computes: the device is out of memory"):
        model = SoftmaxRegression().fit(*([] if by_name else [there, y]), **given, sample_weight=weights)
    expected = SoftmaxRegression().fit(X, y, sample_weight=np.arange(60.0))
    np.testing.assert_array_equal(model.coef_, expected.coef_)


def test_a_device_that_runs_full_is_an_error_where_cuda_is_forced(full):
    with config_context(backend="cuda"), pytest.raises(OutOfMemoryError):
        SoftmaxRegression().fit(device_arrays.DeviceArray(X), y)


def test_other_errors_of_a_fit_are_errors(full):
    with pytest.raises(ValueError, match="'C' parameter"):
        SoftmaxRegression(C=-1.0).fit(device_arrays.DeviceArray(X), y)
