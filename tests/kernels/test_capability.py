"""Each thing that may be missing is found once, named, and answered as the backend in force asks."""

import os
import sys
import warnings
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import device_arrays
import numpy as np
import pytest

import sksoft
import sksoft.kernels._cuda
from sksoft import config_context
from sksoft.kernels import capability as capability_module
from sksoft.kernels import rowwise
from sksoft.kernels.capability import Capability, CudaFallbackWarning, capability, driver, out_of_memory, warn_once
from sksoft.kernels.placement import to_host

SCORES = np.log(np.array([[1.0, 3.0], [1.0, 1.0]]))
PROBA = np.array([[0.25, 0.75], [0.5, 0.5]])


class OutOfMemoryError(MemoryError):
    """Named as CuPy's."""


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """Nothing was found yet, nothing said; arrays of the stand-in are CuPy's."""
    monkeypatch.setattr(capability_module, "_warned", set())
    monkeypatch.setattr(device_arrays.DeviceArray, "__module__", "cupy")
    monkeypatch.setitem(sys.modules, "cupy", device_arrays.cupy)
    capability.cache_clear()
    yield
    capability.cache_clear()


@pytest.fixture
def machine(monkeypatch):
    """Everything is installed and works; ``probe`` is what compiles, runs and counts."""
    state = SimpleNamespace(calls=0, error=None)

    def run():
        state.calls += 1
        if state.error is not None:
            raise state.error
        return "a device"

    monkeypatch.setattr(capability_module, "version", lambda package: "0.30.4")
    monkeypatch.setattr(capability_module, "np", SimpleNamespace(__version__="2.4.6"))
    monkeypatch.setattr(capability_module, "driver", lambda: "580.1, for CUDA 13.0")
    state.api = SimpleNamespace(xp=device_arrays.cupy, SIMULATED=False)
    monkeypatch.setattr(sksoft.kernels._cuda, "_api", state.api, raising=False)
    monkeypatch.setattr(sksoft.kernels._cuda, "probe", SimpleNamespace(run=run), raising=False)
    return state


class NoCupy:
    def __getattr__(self, name):
        raise ImportError(f"CuPy is not installed: {capability_module.EXTRAS}.")


def not_installed(package):
    raise PackageNotFoundError(package)


def lacks_numba_cuda(machine, monkeypatch):
    monkeypatch.setattr(capability_module, "version", not_installed)


def lacks_cupy(machine, monkeypatch):
    machine.api.xp = NoCupy()


def has_new_numpy(machine, monkeypatch):
    monkeypatch.setattr(capability_module, "np", SimpleNamespace(__version__="2.5.0"))


def lacks_driver(machine, monkeypatch):
    monkeypatch.setattr(capability_module, "driver", lambda: None)


def fails_with(error):
    return lambda machine, monkeypatch: setattr(machine, "error", error)


REASONS = {
    "no numba-cuda": (lacks_numba_cuda, r"numba-cuda is not installed: pip install 'sksoft\[cuda12\]' or", True),
    "no CuPy": (lacks_cupy, r"CuPy is not installed: pip install 'sksoft\[cuda12\]' or", True),
    "no cuBLAS": (fails_with(ImportError("libcublas.so.12: no such file")), r"libcublas.* 'sksoft\[cuda12\]'", True),
    "NumPy 2.5": (has_new_numpy, "numba-cuda 0.30.4 does not work beside NumPy 2.5.0: pip install 'numpy<2.5'", False),
    "no driver": (lacks_driver, "no NVIDIA driver was found", False),
    "old driver": (
        fails_with(RuntimeError("CUDA driver version is\n insufficient for CUDA runtime version")),
        r"RuntimeError: CUDA driver version is insufficient .* \(CUDA 12 needs driver 525 or newer",
        False,
    ),
    "no device": (fails_with(RuntimeError("no CUDA-capable device is detected")), "no CUDA-capable device", False),
    "computes wrongly": (fails_with(RuntimeError("a kernel ran and computed something else")), "something else", False),
    "full memory": (fails_with(OutOfMemoryError("out of memory")), "OutOfMemoryError: out of memory", False),
}


@pytest.mark.parametrize("name", REASONS)
def test_data_on_a_device_are_computed_on_by_the_cpu_and_that_is_said_once(name, machine, monkeypatch):
    lacks, reason, _ = REASONS[name]
    lacks(machine, monkeypatch)
    scores = device_arrays.DeviceArray(SCORES)
    with pytest.warns(CudaFallbackWarning, match=f"the CPU computes: .*{reason}"):
        found = rowwise.softmax_rows(scores)
    again = rowwise.softmax_rows(scores)  # a second warning would be an error
    assert isinstance(found, device_arrays.DeviceArray)
    assert isinstance(again, device_arrays.DeviceArray)
    np.testing.assert_array_equal(to_host(found), rowwise.softmax_rows(SCORES))
    np.testing.assert_allclose(to_host(found), PROBA)
    assert machine.calls <= 1


@pytest.mark.parametrize("values", [SCORES, device_arrays.DeviceArray(SCORES)], ids=["host", "device"])
@pytest.mark.parametrize("name", REASONS)
def test_where_cuda_is_forced_the_reason_is_an_error(name, values, machine, monkeypatch):
    lacks, reason, missing_package = REASONS[name]
    lacks(machine, monkeypatch)
    error = ImportError if missing_package else RuntimeError
    with config_context(backend="cuda"), pytest.raises(error, match=f"'softmax_rows' cannot run .*{reason}"):
        rowwise.softmax_rows(values)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_backend_that_cannot_read_the_data_is_an_error(backend, machine):
    with config_context(backend=backend), pytest.raises(ValueError, match=f"backend='{backend}' cannot read"):
        rowwise.softmax_rows(device_arrays.DeviceArray(SCORES))


def test_what_was_found_is_remembered(machine):
    assert capability() == Capability(True, "a device")
    assert capability() is capability()
    assert machine.calls == 1


def test_what_failed_is_remembered_too(machine):
    machine.error = RuntimeError("no device")
    assert capability() is capability()
    assert machine.calls == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 says so of any process with threads
def test_a_fork_finds_out_for_itself(machine):
    capability()
    child = os.fork()
    if child == 0:
        os._exit(capability.cache_info().currsize)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert capability.cache_info().currsize == 1


def test_small_and_large_data_of_the_host_never_ask_for_a_device(machine):
    for rows in (2, 100_000):
        rowwise.softmax_rows(np.zeros((rows, 2)))
    assert machine.calls == 0


def test_a_kernel_that_computes_wrongly_is_found_out(monkeypatch):
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    from sksoft.kernels._cuda import _api, probe

    monkeypatch.setattr(_api, "_array_library", lambda: np)
    monkeypatch.setattr(_api, "launch", lambda *_: None)
    with pytest.raises(RuntimeError, match="something else than it should"):
        probe.run()


def test_what_a_cpu_computes_instead_is_written_where_the_caller_wants_it(machine, monkeypatch):
    lacks_driver(machine, monkeypatch)
    scores, out = device_arrays.DeviceArray(SCORES), device_arrays.DeviceArray(np.zeros((2, 2)))
    empty = device_arrays.DeviceArray(np.array([True, True]))
    with pytest.warns(CudaFallbackWarning):
        assert rowwise.softmax_rows(scores, out=out, empty_rows=empty) is out
    np.testing.assert_allclose(out.get(), PROBA)
    assert not empty.get().any()


def test_a_device_that_runs_full_hands_the_call_to_the_cpu(machine, monkeypatch):
    def full(*args, **kwargs):
        raise OutOfMemoryError("Out of memory allocating 1 bytes")

    monkeypatch.setitem(rowwise.softmax_rows._implementations, "cuda", full)
    scores = device_arrays.DeviceArray(SCORES)
    with pytest.warns(CudaFallbackWarning, match="the device is out of memory"):
        found = rowwise.softmax_rows(scores)
    np.testing.assert_allclose(found.get(), PROBA)
    rowwise.softmax_rows(scores)  # a second warning would be an error
    with config_context(backend="cuda"), pytest.raises(OutOfMemoryError):
        rowwise.softmax_rows(scores)


def test_what_a_failed_call_allocated_is_free_when_the_cpu_computes(machine, monkeypatch):
    class Allocated:
        alive = 0

        def __init__(self):
            Allocated.alive += 1

        def __del__(self):
            Allocated.alive -= 1

    def full(*args, **kwargs):
        held = Allocated()  # noqa: F841, freed with the traceback
        raise OutOfMemoryError

    kernel = rowwise.softmax_rows
    monkeypatch.setitem(kernel._implementations, "cuda", full)
    monkeypatch.setattr(kernel, "_by_cpu", lambda *args, **kwargs: Allocated.alive)
    with pytest.warns(CudaFallbackWarning):
        assert kernel(device_arrays.DeviceArray(SCORES)) == 0


def test_other_errors_of_a_device_are_errors(machine, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("illegal address")

    monkeypatch.setitem(rowwise.softmax_rows._implementations, "cuda", broken)
    with pytest.raises(RuntimeError, match="illegal address"):
        rowwise.softmax_rows(device_arrays.DeviceArray(SCORES))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OutOfMemoryError(), True),
        (RuntimeError("[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY"), True),
        (RuntimeError("CUDA out of memory."), True),
        (MemoryError("std::bad_alloc"), True),  # of CuPy's sorts
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"), True),
        (MemoryError("Unable to allocate 8 GiB"), False),  # of the host
        (ValueError("shapes"), False),
    ],
)
def test_full_memory_of_a_device_is_told_from_other_errors(error, expected):
    assert out_of_memory(error) is expected


def test_the_warning_is_public_and_can_be_an_error():
    assert sksoft.CudaFallbackWarning is CudaFallbackWarning
    with warnings.catch_warnings():
        warnings.simplefilter("error", sksoft.CudaFallbackWarning)
        with pytest.raises(CudaFallbackWarning):
            warn_once("no driver.")


class Driver:
    """libcuda, which knows CUDA 12.8."""

    failed = 0

    def cuDriverGetVersion(self, number):
        number._obj.value = 12080
        return self.failed


@pytest.mark.parametrize(
    ("failed", "module", "expected"),
    [
        (0, "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu\nGCC 12\n", "570.86.15, for CUDA 12.8"),
        (0, "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95  Build", "580.95, for CUDA 12.8"),
        (0, None, "for CUDA 12.8"),
        (3, None, "of unknown CUDA"),
    ],
)
def test_a_driver_is_asked_which_it_is(monkeypatch, tmp_path, failed, module, expected):
    if module is not None:
        (tmp_path / "version").write_text(module)
    monkeypatch.setattr(capability_module, "KERNEL_MODULE", tmp_path / "version")
    monkeypatch.setattr(Driver, "failed", failed)
    monkeypatch.setattr(capability_module.ctypes, "CDLL", lambda name: Driver())
    assert driver() == expected


def test_no_driver_is_none(monkeypatch):
    monkeypatch.setattr(capability_module, "DRIVER_LIBRARY", "libno_such_driver.so")
    assert driver() is None
