"""What an implementation on the device does with layouts: kernels read and write contiguous arrays only."""

from sksoft.kernels._cuda._api import xp


def contiguous(array, dtype=None):
    """`array` in C order, a copy where it is not."""
    return xp.ascontiguousarray(array, dtype)


def result(shape, dtype, out=None):
    """A contiguous array to compute into: `out` itself where it is one."""
    if out is not None and out.dtype == dtype and out.flags.c_contiguous:
        return out
    return xp.empty(shape, dtype)


def delivered(computed, out):
    """What the caller gets: `computed`, copied to `out` where that is another array."""
    if out is None or out is computed:
        return computed
    out[...] = computed
    return out
