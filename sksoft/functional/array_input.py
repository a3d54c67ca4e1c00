"""The arrays that a function is given: real numbers, all where the first of them is computed on."""

import numpy as np

from sksoft.kernels import placement
from sksoft.kernels.registry import placed


def array_beside(name, array, like=None):
    """An array where `like` is computed on, moved there from the host if need be; without `like` where it lives itself.

    Raises
    ------
    TypeError
        If it is on a device and `like` is not: nothing leaves a device unasked.
    """
    if not placement.on_device(array):
        array = np.asarray(array)
        return array if like is None else placement.where(like, array)
    array = placed(
        array, f"A function of {name!r}"
    )  # on the host where the device cannot compute, as is all that was on one
    if like is not None and placement.on_device(array) and not placement.on_device(like):
        raise TypeError(
            f"{name!r} is on a CUDA device, and what comes before it is on the host: move one of them; {name!r} with"
            " cupy.asnumpy or .cpu()."
        )
    return array


def real_array(name, array, like=None):
    """float32 stays, every other real number becomes float64; where `like` is computed on, as `array_beside` says."""
    array = array_beside(name, array, like)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name!r} must be an array of real numbers. Got an array of dtype {array.dtype} instead.")
    return array if array.dtype == np.float32 else array.astype(np.float64, copy=False)
