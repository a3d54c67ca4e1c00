"""Everything of CUDA that this package touches: numba-cuda for kernels, CuPy for device memory and dense products.

Under numba's simulator (``NUMBA_ENABLE_CUDASIM=1``) device memory is host memory and :data:`xp` is NumPy, so that
every implementation runs without a GPU, slowly. Neither CuPy nor a driver is touched before :data:`xp` is first used or
a kernel launched: kernels compile to PTX without them.
"""

from functools import cache, partial
from importlib import import_module
from threading import Lock

import numpy as np
from numba import config, cuda, types

SIMULATED = bool(config.ENABLE_CUDASIM)

# Threads that run in step. The simulator starts an OS thread for each: few are enough to see who waits for whom.
WARP = 8 if SIMULATED else 32
# Threads of a block whose warps work each for itself; in the simulator warps wait for a whole block, which is one.
BLOCK = WARP if SIMULATED else 256
# Threads of a block that works together.
TEAM = 2 * WARP if SIMULATED else 512

# Without optimisation at link time, which would be the default: what tests read of a kernel is then what runs.
jit = cuda.jit if SIMULATED else partial(cuda.jit, lto=False)
device = cuda.jit(device=True)


def bounded(kernel, threads: int):
    """`kernel`, compiled so that the registers of any device are enough for blocks of so many threads."""
    return kernel if SIMULATED else jit(kernel.py_func, launch_bounds=threads)


@cache
def _array_library():
    if SIMULATED:
        return np
    try:
        return import_module("cupy")
    except ImportError as error:
        raise ImportError(
            "CuPy, which holds the device's memory, is not installed: pip install 'sksoft[cuda12]' or 'sksoft[cuda13]'."
        ) from error


class _Arrays:
    """The functions of CuPy, or of NumPy in the simulator: those used are of both, under the same names."""

    def __getattr__(self, name):
        return getattr(_array_library(), name)


xp = _Arrays()


def is_device_array(value) -> bool:
    """Whether `value` is an array of the library behind :data:`xp`."""
    return isinstance(value, _array_library().ndarray)


def require_current_device(array) -> None:
    """Raise where `array` is on another device than the one that kernels run on, which could not address it."""
    if SIMULATED:
        return
    current, kernels = xp.cuda.Device().id, cuda.get_current_device().id
    if not array.device.id == current == kernels:
        raise ValueError(
            f"The data are on CUDA device {array.device.id}; CuPy's current device is {current}, numba's {kernels}:"
            " make it the current device of both, or choose it by CUDA_VISIBLE_DEVICES."
        )


def synchronize() -> None:
    """Wait for what was started on CuPy's current stream: other libraries order their work by streams of their own."""
    if not SIMULATED:
        xp.cuda.get_current_stream().synchronize()


@cache
def max_blocks() -> int:
    """Blocks that keep every multiprocessor busy; a kernel whose work is more loops over it."""
    if SIMULATED:
        return 2
    return 32 * cuda.get_current_device().MULTIPROCESSOR_COUNT


_configuring = Lock()


def configured(kernel, blocks: int, threads: int, stream, shared_bytes: int):
    """A launch of a kernel, without numba's warning of grids below 128 blocks: small data make no other."""
    with _configuring:
        warns, config.CUDA_LOW_OCCUPANCY_WARNINGS = config.CUDA_LOW_OCCUPANCY_WARNINGS, 0
        try:
            return kernel[blocks, threads, stream, shared_bytes]
        finally:
            config.CUDA_LOW_OCCUPANCY_WARNINGS = warns


def launch(kernel, blocks: int, threads: int, arguments, shared_bytes: int = 0) -> None:
    """Start a kernel on CuPy's current stream; it runs while this thread goes on."""
    if blocks == 0:
        return
    if SIMULATED:
        kernel[blocks, threads, 0, shared_bytes](*arguments)
        return
    arguments = [cuda.as_cuda_array(a, sync=False) if is_device_array(a) else a for a in arguments]
    pointer = xp.cuda.get_current_stream().ptr
    stream = cuda.external_stream(pointer) if pointer else cuda.default_stream()
    configured(kernel, blocks, threads, stream, shared_bytes)(*arguments)


if SIMULATED:

    def load4(array, index):
        """16 bytes of a contiguous array from `index`, as its entries."""
        return tuple(array.reshape(-1)[index + i] for i in range(16 // array.dtype.itemsize))

    def store4(array, index, values):
        """16 bytes of a contiguous array from `index`."""
        for i, value in enumerate(values):
            array.reshape(-1)[index + i] = value

    def times(a, b):
        """``a b``, rounded once."""
        return a * b

else:
    from llvmlite import ir
    from numba.core import cgutils
    from numba.cuda.extending import intrinsic

    @intrinsic
    def times(typingctx, a, b):
        """``a b``, rounded once: what ``a * b`` is added to, the compiler may fuse with it."""

        def code(context, builder, signature, args):
            kind = context.get_data_type(signature.return_type)
            name = f"llvm.nvvm.mul.rn.{'f' if signature.return_type == types.float32 else 'd'}"
            multiply = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind, kind]), name)
            return builder.call(multiply, args)

        return a(a, a), code

    def _wide(context, builder, array_type, array, index):
        """Pointer to a vector of 16 bytes, aligned to them: the caller sees to that."""
        made = context.make_array(array_type)(context, builder, array)
        width = 16 // (array_type.dtype.bitwidth // 8)
        vector = ir.VectorType(context.get_data_type(array_type.dtype), width)
        return builder.bitcast(builder.gep(made.data, [index]), vector.as_pointer()), vector, width

    @intrinsic
    def load4(typingctx, array, index):
        """16 bytes of a contiguous array from `index`, as its entries."""
        width = 16 // (array.dtype.bitwidth // 8)

        def code(context, builder, signature, args):
            index = context.cast(builder, args[1], signature.args[1], types.intp)
            pointer, _, width = _wide(context, builder, signature.args[0], args[0], index)
            vector = builder.load(pointer)
            vector.align = 16
            entries = [builder.extract_element(vector, ir.Constant(ir.IntType(32), i)) for i in range(width)]
            return context.make_tuple(builder, signature.return_type, entries)

        return types.UniTuple(array.dtype, width)(array, index), code

    @intrinsic
    def store4(typingctx, array, index, values):
        """16 bytes of a contiguous array from `index`."""

        def code(context, builder, signature, args):
            index = context.cast(builder, args[1], signature.args[1], types.intp)
            pointer, vector_type, width = _wide(context, builder, signature.args[0], args[0], index)
            vector = ir.Constant(vector_type, ir.Undefined)
            for i in range(width):
                entry = builder.extract_value(args[2], i)
                vector = builder.insert_element(vector, entry, ir.Constant(ir.IntType(32), i))
            builder.store(vector, pointer).align = 16
            return context.get_dummy_value()

        return types.void(array, index, values), code
