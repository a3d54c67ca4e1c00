"""A stand-in for CuPy, where there is no device: arrays that NumPy's functions accept and that leave only when asked.

Its arrays keep to CuPy's rules, and where these are lax to stricter ones:

* no silent way to NumPy: ``np.asarray`` raises, ``.get()`` copies and is counted;
* no mixture: an operation with an array of the host raises, numbers are welcome;
* reductions give arrays of no dimensions, ``float`` reads one; none begins at an ``initial``;
* of a ufunc its call alone, without ``where``, and none of SciPy's;
* no sums of weights by ``bincount``, whose order differs from call to call;
* no running sums of floating-point numbers, which CuPy's scans add in another order at every call.

:func:`installed` puts it behind ``sksoft.kernels._cuda._api.xp``, in a process with numba's simulator: whole fits run
as they would on a device. Outside pytest, :func:`simulated.repair` comes first: else one launch in a few hundred is
wrong, and a fit of many somewhere else.
"""

import types
from contextlib import contextmanager

import numpy as np

TRANSFERRED = {"to_device": 0, "to_host": 0}

# Functions of NumPy that CuPy 14.2 lacks.
ABSENT = {
    *("asmatrix", "block", "bmat", "einsum_path", "frompyfunc", "fromregex", "geomspace", "histogram_bin_edges"),
    *("insert", "isnat", "matvec", "nanpercentile", "nanquantile", "nested_iters", "spacing", "unstack", "vecdot"),
    "vecmat",
}


class DeviceArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array that is not in the host's memory, as far as anybody can tell."""

    __array_priority__ = 100

    def __init__(self, memory):
        self.memory = np.asarray(memory)

    # what it is
    shape = property(lambda self: self.memory.shape)
    dtype = property(lambda self: self.memory.dtype)
    ndim = property(lambda self: self.memory.ndim)
    size = property(lambda self: self.memory.size)
    nbytes = property(lambda self: self.memory.nbytes)
    itemsize = property(lambda self: self.memory.itemsize)
    strides = property(lambda self: self.memory.strides)
    flags = property(lambda self: self.memory.flags)
    ctypes = property(lambda self: self.memory.ctypes)
    T = property(lambda self: DeviceArray(self.memory.T))

    @property
    def __cuda_array_interface__(self):
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.memory.ctypes.data, False),
            "strides": self.strides,
            "version": 3,
        }

    def __repr__(self):
        return f"DeviceArray({self.memory!r})"

    def __len__(self):
        return len(self.memory)

    # ways to the host
    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    def get(self):
        TRANSFERRED["to_host"] += self.nbytes
        return self.memory.copy()

    def item(self):
        return self.memory.item()

    def tolist(self):
        TRANSFERRED["to_host"] += self.nbytes
        return self.memory.tolist()

    def __float__(self):
        return float(self.memory)

    def __int__(self):
        return int(self.memory)

    def __index__(self):
        return self.memory.__index__()

    def __bool__(self):
        return bool(self.memory)

    # NumPy's functions
    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method != "__call__" or getattr(np, ufunc.__name__, None) is not ufunc or "where" in kwargs:
            raise TypeError(f"{ufunc.__name__}.{method} is not supported on a device.")
        _check_keywords(kwargs)
        return _wrapped(getattr(ufunc, method)(*_memory_of(inputs), **_memory_of(kwargs)), kwargs.get("out"))

    def __array_function__(self, function, kinds, args, kwargs):
        if function.__name__ in ABSENT:
            return NotImplemented
        if function.__name__ == "bincount" and (len(args) > 1 or kwargs.get("weights") is not None):
            raise TypeError("bincount adds weights in any order: its last bits differ from call to call.")
        _check_keywords(kwargs)
        _check_scan(function.__name__, *args or (None,))
        return _wrapped(function(*_memory_of(args), **_memory_of(kwargs)), kwargs.get("out"))

    # elements
    def __getitem__(self, key):
        return DeviceArray(self.memory[_memory_of(key)])

    def __setitem__(self, key, value):
        self.memory[_memory_of(key)] = _memory_of(value)

    def __iter__(self):
        return (DeviceArray(part) for part in self.memory)

    def __getattr__(self, name):
        """Methods of NumPy's arrays, with device arrays for arrays."""
        if name.startswith("__") or name in ("memory", "tofile", "dump", "byteswap"):
            raise AttributeError(name)
        method = getattr(self.memory, name)
        if not callable(method):
            raise AttributeError(name)

        def call(*args, **kwargs):
            _check_keywords(kwargs)
            _check_scan(name, self)
            return _wrapped(method(*_memory_of(args), **_memory_of(kwargs)), kwargs.get("out"))

        return call


def _check_keywords(keywords) -> None:
    if "initial" in keywords:
        raise TypeError("got an unexpected keyword argument 'initial'")


def _check_scan(name, value, *_) -> None:
    if name in ("cumsum", "cumprod") and value.dtype.kind == "f":
        raise TypeError(f"{name} of {value.dtype} differs from run to run")


def _memory_of(value):
    """What stands behind device arrays, within tuples, lists and dicts; an array of the host is an error."""
    if isinstance(value, DeviceArray):
        return value.memory
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}: an array of the host, shape {value.shape}, on a device.")
    if isinstance(value, tuple):
        return tuple(map(_memory_of, value))
    if isinstance(value, list):
        return list(map(_memory_of, value))
    if isinstance(value, dict):
        return {key: _memory_of(part) for key, part in value.items()}
    return value


def _wrapped(result, out=None):
    out = out[0] if isinstance(out, tuple) and len(out) == 1 else out
    if isinstance(out, DeviceArray):
        return out
    if isinstance(result, tuple):
        return tuple(map(_wrapped, result))
    return DeviceArray(result) if isinstance(result, np.ndarray | np.generic) else result


def _moving(function):
    """A constructor that accepts arrays of the host, and moves them."""

    def call(value, *args, **kwargs):
        if isinstance(value, np.ndarray):
            TRANSFERRED["to_device"] += value.nbytes
            return DeviceArray(function(np.array(value), *args, **kwargs))
        return _wrapped(function(_memory_of(value), *args, **kwargs))

    return call


class FakeCupy(types.ModuleType):
    """``cupy``, from NumPy's functions."""

    ndarray = DeviceArray
    asarray = staticmethod(_moving(np.asarray))
    array = staticmethod(_moving(np.array))
    ascontiguousarray = staticmethod(_moving(np.ascontiguousarray))

    @staticmethod
    def asnumpy(value):
        return value.get()

    @staticmethod
    def from_dlpack(value):
        return value if isinstance(value, DeviceArray) else DeviceArray(np.from_dlpack(value))

    def __getattr__(self, name):
        if name in ABSENT:
            raise AttributeError(name)
        function = getattr(np, name)
        if isinstance(function, type) or not callable(function):
            return function

        def call(*args, **kwargs):
            _check_scan(name, *args or (None,))
            return _wrapped(function(*_memory_of(args), **_memory_of(kwargs)), kwargs.get("out"))

        return call


cupy = FakeCupy("cupy")


def assert_moved(*, to_device=0, to_host=0) -> None:
    """At most so many bytes since the last look; of a real device nothing is known."""
    moved = dict(TRANSFERRED)
    TRANSFERRED.update(to_device=0, to_host=0)
    assert moved["to_device"] <= to_device, moved
    assert moved["to_host"] <= to_host, moved


@contextmanager
def quick_kernels():
    """Kernels are their references, on what stands behind device arrays: quick, and no transfer that is counted.

    For tests of what is around kernels, which have tests of their own; on a device they are themselves.
    """
    from sksoft.kernels import placement, registry
    from sksoft.kernels._cuda import _api
    from sksoft.kernels.moves import call_elsewhere

    if not _api.SIMULATED:
        yield
        return
    real = registry.Kernel.on

    def on(self, backend):
        def call(first, *args, **kwargs):
            return call_elsewhere(there, placement.to_device, first, args, kwargs, writes=("out", "empty_rows"))

        def there(*args, **kwargs):
            return _wrapped(self.reference(*_memory_of(args), **_memory_of(kwargs)), kwargs.get("out"))

        return call if backend == "cuda" else real(self, backend)

    registry.Kernel.on = on
    try:
        yield
    finally:
        registry.Kernel.on = real


def _writable(memory):
    """What the simulator can copy back: CuPy's broadcast views are not read-only."""
    return memory if memory.flags.writeable else memory.copy()


@contextmanager
def installed():
    """Device arrays behind ``xp``, and the simulator's kernels on what stands behind them; on a device, CuPy itself."""
    from sksoft.kernels._cuda import _api

    if not _api.SIMULATED:
        yield _api.xp
        return
    library, launch = _api._array_library, _api.launch

    def launch_on_memory(kernel, blocks, threads, arguments, shared_bytes=0):
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                raise TypeError("A kernel was given an array of the host.")
        arguments = [_writable(a.memory) if isinstance(a, DeviceArray) else a for a in arguments]
        launch(kernel, blocks, threads, arguments, shared_bytes)

    _api._array_library, _api.launch = lambda: cupy, launch_on_memory
    TRANSFERRED.update(to_device=0, to_host=0)
    try:
        yield cupy
    finally:
        _api._array_library, _api.launch = library, launch
