"""Calls whose data are on a device, from the call to the kernel: run by ``test_api.py``, in a process of its own.

The device is the stand-in of ``device_arrays``, which counts what crosses between it and the host; or a real one.
"""

from types import SimpleNamespace

import device_arrays
import numpy as np
import pytest

from sksoft import config_context
from sksoft.kernels import capability as capability_module
from sksoft.kernels import rowwise
from sksoft.kernels._cuda import _api, probe
from sksoft.kernels._cuda import rowwise as implementations
from sksoft.kernels.capability import CudaFallbackWarning, capability
from sksoft.kernels.placement import on_device, to_device, to_host

SCORES = np.log(np.array([[1.0, 3.0, 4.0], [1.0, 1.0, 2.0]]))
PROBA = np.array([[0.125, 0.375, 0.5], [0.25, 0.25, 0.5]])


@pytest.fixture
def device(monkeypatch):
    """The stand-in as the device library; nothing was moved or said yet."""
    monkeypatch.setattr(capability_module, "_warned", set())
    with device_arrays.installed() as cupy:
        yield cupy


def assert_moved(**bytes_by_way):
    """What the stand-in has counted since it was set up; nobody counts on a real device."""
    if _api.SIMULATED:
        assert {way: n for way, n in device_arrays.TRANSFERRED.items() if n} == bytes_by_way


def there(device, values):
    """An array on the device, whose way there does not count."""
    array = device.asarray(values)
    device_arrays.TRANSFERRED.update(to_device=0, to_host=0)
    return array


def test_the_probe_is_compiled_once_and_says_what_ran_it():
    capability.cache_clear()
    probe.doubled.of.cache_clear()
    assert capability() is capability()
    assert capability().usable
    assert not _api.SIMULATED or capability().reason == "simulator"
    assert probe.doubled.of.cache_info().misses == 1


def test_data_on_a_device_are_computed_on_there_and_nothing_moves(device):
    scores = there(device, SCORES)
    for backend in ("auto", "cuda"):
        with config_context(backend=backend):
            found = rowwise.softmax_rows(scores)
        assert_moved()
        assert on_device(found)
        np.testing.assert_allclose(to_host(found), PROBA)
        device_arrays.TRANSFERRED.update(to_host=0)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_backend_of_the_host_cannot_be_forced_on_data_of_a_device(device, backend):
    with config_context(backend=backend), pytest.raises(ValueError, match="are on a CUDA device, which backend="):
        rowwise.softmax_rows(there(device, SCORES))


def test_arrays_of_the_host_stay_there_unless_cuda_is_forced(device):
    assert type(rowwise.softmax_rows(SCORES)) is np.ndarray
    assert_moved()
    with config_context(backend="cuda"):
        found = rowwise.softmax_rows(SCORES)
    assert type(found) is np.ndarray
    np.testing.assert_allclose(found, PROBA)
    assert_moved(to_device=SCORES.nbytes, to_host=PROBA.nbytes)


def test_what_is_written_is_the_callers_on_the_device(device):
    out, empty = there(device, np.zeros((2, 3))), there(device, np.ones(2, bool))
    assert rowwise.softmax_rows(there(device, SCORES), out=out, empty_rows=empty) is out
    assert_moved()
    np.testing.assert_allclose(to_host(out), PROBA)
    assert not to_host(empty).any()


def test_what_is_written_is_the_callers_on_the_host(device):
    out = np.zeros((2, 3))
    with config_context(backend="cuda"):
        assert rowwise.softmax_rows(SCORES, out=out) is out
    np.testing.assert_allclose(out, PROBA)


def test_a_mask_of_the_host_is_moved_to_scores_of_a_device(device):
    mask = np.array([[True, True, True], [True, False, True]])
    found = rowwise.softmax_rows(there(device, SCORES), mask=mask)
    assert_moved(to_device=mask.nbytes)
    np.testing.assert_allclose(to_host(found)[1], [1 / 3, 0.0, 2 / 3])


def test_a_device_that_runs_full_hands_the_call_to_the_cpu(device, monkeypatch):
    class OutOfMemoryError(Exception):
        pass

    def full(*args, **kwargs):
        raise OutOfMemoryError("Out of memory allocating 8 bytes")

    rowwise.softmax_rows.on("cuda")
    monkeypatch.setattr(implementations, "result", full)
    scores, out = there(device, SCORES), there(device, np.zeros((2, 3)))
    with pytest.warns(CudaFallbackWarning, match="the CPU computes: the device is out of memory"):
        assert rowwise.softmax_rows(scores, out=out) is out
    np.testing.assert_allclose(to_host(out), PROBA)
    rowwise.softmax_rows(scores)  # a second warning would be an error
    with config_context(backend="cuda"), pytest.raises(OutOfMemoryError):
        rowwise.softmax_rows(scores)


def test_arrays_come_and_go(device):
    array = to_device(SCORES)
    assert on_device(array)
    assert to_device(array) is array
    np.testing.assert_array_equal(to_host(array), SCORES)
    assert_moved(to_device=SCORES.nbytes, to_host=SCORES.nbytes)


@pytest.mark.parametrize(("current", "of_kernels"), [(0, 1), (1, 0), (0, 0), (1, 1)])
def test_data_on_another_device_than_the_one_that_computes_are_an_error(monkeypatch, current, of_kernels):
    library = SimpleNamespace(cuda=SimpleNamespace(Device=lambda: SimpleNamespace(id=current)))
    numba_cuda = SimpleNamespace(get_current_device=lambda: SimpleNamespace(id=of_kernels))
    monkeypatch.setattr(_api, "SIMULATED", False)
    monkeypatch.setattr(_api, "_array_library", lambda: library)
    monkeypatch.setattr(_api, "cuda", numba_cuda)
    array = SimpleNamespace(device=SimpleNamespace(id=1))
    if current == of_kernels == 1:
        _api.require_current_device(array)
        return
    with pytest.raises(ValueError, match="The data are on CUDA device 1; CuPy's current device is"):
        _api.require_current_device(array)


@pytest.mark.parametrize("out", [False, True])
@pytest.mark.parametrize("library", ["torch", "numba"])
def test_arrays_of_other_libraries_come_back_as_what_they_were(device, library, out):
    if _api.SIMULATED:
        pytest.skip("other libraries have no arrays on a simulated device")
    if library == "torch":
        torch = pytest.importorskip("torch")
        scores, target = torch.asarray(SCORES, device="cuda"), torch.zeros((2, 3), dtype=torch.float64, device="cuda")
    else:
        scores, target = _api.cuda.to_device(SCORES), _api.cuda.device_array((2, 3))
    found = rowwise.softmax_rows(scores, out=target if out else None)
    assert type(found) is type(scores)
    assert not out or found is target
    np.testing.assert_allclose(to_host(found), PROBA)


def test_a_tensor_that_needs_gradients_is_read(device):
    if _api.SIMULATED:
        pytest.skip("PyTorch has no arrays on a simulated device")
    torch = pytest.importorskip("torch")
    found = rowwise.softmax_rows(torch.asarray(SCORES, device="cuda").requires_grad_())
    np.testing.assert_allclose(to_host(found), PROBA)
