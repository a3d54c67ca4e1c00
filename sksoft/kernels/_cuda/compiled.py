"""Device functions that exist in float32 and in float64, each compiled when it is first launched.

A kernel is written once, by a function of its real type, so that every constant has that type: beside a float32 a
Python float would be float64, whose arithmetic most devices do at a fraction of the speed. ``tests/kernels/_cuda``
compiles all of :data:`COMPILED` to PTX and looks for it::

    @compiled("real[:, ::1], real, real[:, ::1]")
    def scaled(real):
        @jit
        def scaled(scores, factor, out):
            ...
        return scaled

    scaled.launch(scores.dtype, grid, (scores, factor, out))
"""

from collections.abc import Callable
from functools import cache

import numpy as np

from sksoft.kernels._cuda import _api

COMPILED: dict[str, "Compiled"] = {}


class Compiled:
    """A kernel of either precision.

    Attributes
    ----------
    signature : tuple of str
        Numba types of the arguments, ``real`` for the precision.
    of : callable(real, *variant) -> kernel
        `real` is ``np.float32`` or ``np.float64``.
    variants : tuple of tuples
        What `of` may be asked for besides.
    wide : callable(*variant) -> bool
        Whether it reads 16 bytes at a time.
    most_threads : int
        Of a block; the compiler gives them no more registers than there are.
    """

    def __init__(self, build: Callable, signature: str, variants: tuple[tuple, ...], wide: Callable, most_threads: int):
        self.signature = tuple(_split(signature))
        self.of = cache(lambda real, *variant: _api.bounded(build(real, *variant), most_threads))
        self.variants = variants
        self.wide = wide
        self.most_threads = most_threads

    def launch(self, dtype, grid, arguments, *, variant: tuple = (), shared_bytes: int = 0) -> None:
        """Start the kernel.

        Parameters
        ----------
        dtype : float32 or float64
        grid : object with ``blocks`` and ``threads``, or such a pair
            Of no blocks nothing is started.
        arguments : tuple
            Numbers are cast to the types of the signature; arrays must have them.
        variant : tuple
            One of :attr:`variants`.
        shared_bytes : int
            Dynamic shared memory of a block.
        """
        real = np.dtype(dtype).type
        blocks, threads = grid if isinstance(grid, tuple) else (grid.blocks, grid.threads)
        assert threads <= self.most_threads
        cast = [_cast(argument, kind, real) for argument, kind in zip(arguments, self.signature, strict=True)]
        _api.launch(self.of(real, *variant), blocks, threads, cast, shared_bytes)


def _never(*variant) -> bool:
    return False


def compiled(
    signature: str, variants: tuple[tuple, ...] = ((),), wide: Callable = _never, most_threads: int = 512
) -> Callable[[Callable], Compiled]:
    """Declare the kernels that a function of the real type, and of a variant, builds; `wide` is of a variant."""

    def declare(build):
        name = f"{build.__module__.rpartition('.')[2]}.{build.__name__}"
        COMPILED[name] = Compiled(build, signature, variants, wide, most_threads)
        return COMPILED[name]

    return declare


def _split(signature: str):
    """The types of a signature: commas inside brackets belong to a type."""
    depth, part = 0, ""
    for letter in signature:
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth == 0:
            yield part.strip()
            part = ""
        else:
            part += letter
    yield part.strip()


def _cast(argument, kind: str, real):
    if "[" in kind:
        assert not _api.SIMULATED or _is(argument, kind, real)  # a device would compile for whatever comes
        return argument
    with np.errstate(over="ignore"):  # a number beyond float32 is infinite there
        return real(argument) if kind == "real" else getattr(np, {"boolean": "bool_"}.get(kind, kind))(argument)


def _is(array, kind: str, real) -> bool:
    """Whether an array is of a type of a signature."""
    dtype, _, axes = kind.removesuffix("]").partition("[")
    dtype = np.dtype(real if dtype == "real" else getattr(np, {"boolean": "bool_"}.get(dtype, dtype)))
    return (
        array.dtype == dtype
        and array.ndim == axes.count(":") - axes.count("::")
        and (array.flags.c_contiguous or "::1" not in axes)
    )
