"""Where an array lives, and the ways between host and device; nothing of CUDA is imported before an array needs it.

An array lives on a device if it says so by ``__cuda_array_interface__`` [1]_ or by DLPack [2]_: those of CuPy, PyTorch,
numba and whatever else speaks either. Computations happen where their first array lives, and give arrays of the kind
that it is: of CuPy, PyTorch and numba, and of CuPy for any other library's.

References
----------
.. [1] Numba, "CUDA Array Interface", version 3.
.. [2] "DLPack: open in memory tensor structure", specification of ``__dlpack__`` and ``__dlpack_device__``.
"""

import sys

import numpy as np

# Devices of DLPack whose memory CUDA kernels address: kDLCUDA, kDLCUDAManaged.
CUDA_DEVICES = (2, 13)


def on_device(value) -> bool:
    """Whether `value` is an array in the memory of a CUDA device."""
    if isinstance(value, np.ndarray):
        return False
    device = getattr(value, "__dlpack_device__", None)  # first: a tensor that needs gradients refuses the interface
    if device is not None:
        return device()[0] in CUDA_DEVICES
    return hasattr(value, "__cuda_array_interface__")


def library(value) -> str:
    """The package that an array is of: 'numpy', 'cupy', 'torch', 'numba' ..."""
    return type(value).__module__.partition(".")[0].removesuffix("_cuda")


def namespace(value):
    """The functions for arrays that live where `value` does: NumPy, or CuPy under the same names."""
    if not on_device(value):
        return np
    from sksoft.kernels._cuda import _api

    return _api.xp


def where(like, array):
    """An array of the host, or of the device library, moved to where `like` lives; itself if it is there."""
    return to_device(array) if on_device(like) else fetched(array)


def to_device(value):
    """`value` as an array of the device library: without a copy if it is on the device already, else moved."""
    from sksoft.kernels._cuda import _api

    if isinstance(value, np.ndarray):
        return _api.xp.array(value)
    if not _api.is_device_array(value):
        if library(value) == "torch":
            value = _api.xp.from_dlpack(value.detach())  # which waits for PyTorch's stream; its interface does not
        elif hasattr(value, "__cuda_array_interface__"):
            value = _api.xp.asarray(value)
        else:
            value = _api.xp.from_dlpack(value)
    _api.require_current_device(value)
    return value


def to_host(value) -> np.ndarray:
    """`value` as a NumPy array: itself if it is one, else copied from the device."""
    if isinstance(value, np.ndarray):
        return value
    if library(value) == "torch":
        return value.detach().cpu().numpy()
    if hasattr(value, "copy_to_host"):
        return value.copy_to_host()
    if hasattr(value, "get"):
        return value.get()
    return to_host(to_device(value))


def memory(array) -> tuple[int, bool]:
    """Where the entries of an array begin, on the host or the device, and whether they are read-only."""
    return (array.__cuda_array_interface__ if on_device(array) else array.__array_interface__)["data"]


def fetched(value):
    """`value`, on the host if it is an array of a device: for arguments that may be anything."""
    return to_host(value) if on_device(value) else value


def labels_beside(classes: np.ndarray, codes, like):
    """``classes[codes]`` as an array of the kind of `like`; NumPy's where labels are no numbers."""
    if not on_device(like) or classes.dtype.kind not in "biuf":
        return classes[to_host(codes)]
    return beside(classes[codes] if isinstance(codes, np.ndarray) else to_device(classes)[codes], like)


def beside(array, like):
    """An array of the device library, or of the host, as one of the kind that `like` is, where that lives."""
    if not on_device(like):
        return array if isinstance(array, np.generic) else to_host(array)
    if isinstance(array, np.ndarray):
        return _moved_beside(array, like)
    name = library(like)
    if name == "torch":
        return sys.modules["torch"].from_dlpack(array)
    if name == "numba":
        return sys.modules["numba.cuda"].as_cuda_array(array)
    return array


def _moved_beside(array: np.ndarray, like):
    """An array of the host moved by `like`'s own library, which its array shows to be loaded: ours may be unusable."""
    name = library(like)
    if name == "torch":
        return sys.modules["torch"].asarray(array, device=like.device, copy=True)
    if name == "numba":
        return sys.modules["numba.cuda"].to_device(array)
    if name == "cupy":
        return sys.modules["cupy"].asarray(array)
    return to_device(array)
