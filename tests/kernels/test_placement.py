"""Where arrays are found to live, and what they become on the ways between."""

import sys
from types import SimpleNamespace

import device_arrays
import numpy as np
import pytest

from sksoft.kernels.placement import beside, library, on_device, to_host

VALUES = np.arange(6.0).reshape(2, 3)


def of_library(name, **members):
    """A kind of array that says it is of a library."""
    return type("Array", (), {"__module__": name, **members})


class Tensor:
    """PyTorch's, on either side, with gradients or without: what of it is asked here."""

    def __init__(self, values, device="cuda:1", requires_grad=False):
        self.values, self.device, self.requires_grad = values, device, requires_grad

    def __dlpack_device__(self):
        return (1, 0) if self.device == "cpu" else (2, 1)

    @property
    def __cuda_array_interface__(self):
        if self.device == "cpu":
            raise AttributeError("Can't get __cuda_array_interface__ on non-CUDA tensor type")
        if self.requires_grad:
            raise RuntimeError("Can't get __cuda_array_interface__ on Variable that requires grad.")
        return {}

    def detach(self):
        return Tensor(self.values, self.device)

    def cpu(self):
        return Tensor(self.values, "cpu")

    def numpy(self):
        if self.requires_grad or self.device != "cpu":
            raise TypeError("can't convert")
        return self.values


@pytest.fixture
def torch(monkeypatch):
    """A library of those tensors."""
    monkeypatch.setattr(Tensor, "__module__", "torch")
    module = SimpleNamespace(
        from_dlpack=lambda array: Tensor(array.memory), asarray=lambda array, device, copy: Tensor(array.copy(), device)
    )
    monkeypatch.setitem(sys.modules, "torch", module)
    return module


class NumbaArray:
    """numba's, which knows no DLPack."""

    __cuda_array_interface__ = {}

    def __init__(self, values):
        self.values = values

    def copy_to_host(self):
        return self.values


@pytest.fixture
def numba_cuda(monkeypatch):
    monkeypatch.setattr(NumbaArray, "__module__", "numba.cuda.cudadrv.devicearray")
    module = SimpleNamespace(
        to_device=lambda array: NumbaArray(array.copy()), as_cuda_array=lambda a: NumbaArray(a.memory)
    )
    monkeypatch.setitem(sys.modules, "numba.cuda", module)
    return module


@pytest.mark.parametrize(
    "value", [VALUES, VALUES[0, 0], [1.0], 2.0, None, "text", np.ma.masked_array(VALUES), np.float32(1)], ids=repr
)
def test_what_numpy_holds_and_what_is_no_array_is_on_no_device(value):
    assert not on_device(value)


@pytest.mark.parametrize("kind", [1, 3, 10])  # the host, its pinned memory, AMD
def test_other_devices_are_not_those_of_cuda(kind):
    assert not on_device(of_library("any", __dlpack_device__=lambda self: (kind, 0))())


@pytest.mark.parametrize("kind", [2, 13])
def test_memory_of_cuda_is_found_by_dlpack(kind):
    assert on_device(of_library("any", __dlpack_device__=lambda self: (kind, 0))())


def test_memory_of_cuda_is_found_by_its_array_interface():
    assert on_device(device_arrays.DeviceArray(VALUES))
    assert on_device(NumbaArray(VALUES))


@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_tensor_is_where_it_says_whether_or_not_it_needs_gradients(torch, requires_grad):
    assert on_device(Tensor(VALUES, requires_grad=requires_grad))
    assert not on_device(Tensor(VALUES, "cpu", requires_grad))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("cupy", "cupy"),
        ("torch", "torch"),
        ("torch.nn.parameter", "torch"),
        ("numba.cuda.cudadrv.devicearray", "numba"),
        ("numba_cuda.numba.cuda.cudadrv.devicearray", "numba"),
    ],
)
def test_the_library_of_an_array(module, name):
    assert library(of_library(module)()) == name
    assert library(VALUES) == "numpy"


def test_what_is_on_the_host_stays_the_same_array():
    assert to_host(VALUES) is VALUES
    assert beside(VALUES, VALUES) is VALUES


def test_every_library_brings_its_arrays_to_the_host(torch, numba_cuda):
    for array in (
        device_arrays.DeviceArray(VALUES),
        Tensor(VALUES, requires_grad=True),
        Tensor(VALUES, "cpu"),
        NumbaArray(VALUES),
    ):
        np.testing.assert_array_equal(to_host(array), VALUES)
        assert type(to_host(array)) is np.ndarray


def test_results_of_the_host_are_moved_by_the_library_of_the_data(torch, numba_cuda, monkeypatch):
    """Without ours, which may be what is missing: importing it is an error here."""
    monkeypatch.setitem(sys.modules, "sksoft.kernels._cuda._api", None)
    monkeypatch.setattr(device_arrays.DeviceArray, "__module__", "cupy")
    monkeypatch.setitem(sys.modules, "cupy", device_arrays.cupy)
    tensor = beside(VALUES, Tensor(VALUES))
    assert isinstance(tensor, Tensor)
    assert tensor.device == "cuda:1"
    assert isinstance(beside(VALUES, NumbaArray(VALUES)), NumbaArray)
    array = beside(VALUES, device_arrays.DeviceArray(VALUES))
    assert isinstance(array, device_arrays.DeviceArray)
    for moved in (tensor, array, beside(VALUES, NumbaArray(VALUES))):
        np.testing.assert_array_equal(to_host(moved), VALUES)
        assert not np.shares_memory(to_host(moved), VALUES)


def test_results_of_a_device_become_arrays_of_the_library_of_the_data(torch, numba_cuda):
    result = device_arrays.DeviceArray(VALUES)
    assert beside(result, result) is result
    assert isinstance(beside(result, Tensor(VALUES)), Tensor)
    assert isinstance(beside(result, NumbaArray(VALUES)), NumbaArray)
    assert beside(result, of_library("jaxlib", __dlpack_device__=lambda self: (2, 0))()) is result
    assert type(beside(result, VALUES)) is np.ndarray
