"""Pieces of a row: the 16 bytes, or the single entry, that a lane reads and writes at a time.

``pieces(real, quads)`` is ``(size, take, put)``: the entries of a piece, and functions between a flat contiguous array
and cells of a lane's own, which are registers where all their indices are known to the compiler.
"""

from functools import cache

import numpy as np

from sksoft.kernels._cuda._api import SIMULATED, device, load4, store4


def held_pieces(quads: bool) -> int:
    """Pieces of a row that a lane holds in registers; the compiler spills loops over many more."""
    if SIMULATED:
        return 2
    return 4 if quads else 8


@cache
def pieces(real, quads: bool):
    """The size of a piece, ``take(array, index, cells, at)`` and ``put(array, index, cells, at)``."""
    if not quads:
        return 1, _take_one, _put_one
    return (4, _take_four, _put_four) if np.dtype(real).itemsize == 4 else (2, _take_two, _put_two)


@device
def _take_one(array, index, cells, at):
    cells[at] = array[index]


@device
def _put_one(array, index, cells, at):
    array[index] = cells[at]


@device
def _take_two(array, index, cells, at):
    cells[at], cells[at + 1] = load4(array, index)


@device
def _put_two(array, index, cells, at):
    store4(array, index, (cells[at], cells[at + 1]))


@device
def _take_four(array, index, cells, at):
    cells[at], cells[at + 1], cells[at + 2], cells[at + 3] = load4(array, index)


@device
def _put_four(array, index, cells, at):
    store4(array, index, (cells[at], cells[at + 1], cells[at + 2], cells[at + 3]))
