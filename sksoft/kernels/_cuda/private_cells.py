"""Cells that a block sums by itself in shared memory, before it adds them to those of all blocks.

A table of cells is int64 ``words[kind * n_cells + cell]``. A block's own one has copies of every word, to which
neighbouring threads add in turn, so that those of a warp do not wait for each other where rows crowd in few cells: word
``(kind * n_cells + cell) * copies + copy``. Tables that do not fit are added to where they are, in global memory.

Devices add 32-bit words of shared memory in one instruction, and 64-bit ones by trying again until nobody came between
(sm_80, sm_90: a loop around ATOMS.CAST.SPIN.64). So a block's own word is two uint32, the lower halves of all words
first; who carries out of the lower half adds that to the upper one: exact, whatever the order.

All threads of a block come to :func:`clear` before any of them adds, and to :func:`gather` after. The dynamic shared
memory of a launch is a block's own words and nothing else.
"""

from dataclasses import dataclass

import numpy as np

from sksoft.kernels._cuda import _api
from sksoft.kernels._cuda._api import BLOCK, SIMULATED, WARP, cuda, device

# Bytes of shared memory that any device gives a block (48 KiB, less some that a compiler may want), and those that
# leave room for as many blocks as there can be.
MOST_BYTES, ROOMY_BYTES = 46 << 10, 24 << 10
# Rows for each thread of a block, at least: the block's own cells must pay.
ROWS_A_THREAD = 2 if SIMULATED else 16
LOWER = 0xFFFFFFFF


@dataclass(frozen=True)
class Cells:
    """The launch of a kernel whose blocks sum rows into cells.

    Attributes
    ----------
    private : bool
        Whether the blocks have words of their own.
    copies : int
        How many of each.
    blocks, threads : int
    shared_bytes : int
    """

    private: bool
    copies: int
    blocks: int
    threads: int
    shared_bytes: int


def cells(n_words: int, n_rows: int) -> Cells:
    """Cells of so many words in all, for rows of which every thread takes one at a time."""
    blocks = min(-(-n_rows // (ROWS_A_THREAD * BLOCK)), _api.max_blocks())
    size = 8 * n_words
    if size > MOST_BYTES:
        return Cells(False, 1, blocks, BLOCK, 0)
    copies = WARP
    while copies > 1 and copies * size > ROOMY_BYTES:
        copies //= 2
    return Cells(True, copies, blocks, BLOCK, copies * size)


@device
def clear(own):
    """Zeros, by the whole block."""
    for i in range(cuda.threadIdx.x, own.size, cuda.blockDim.x):
        own[i] = 0
    cuda.syncthreads()


@device
def add_to_own(own, at, integer):
    """Add an int64 to a word of the block."""
    lower, upper = integer & LOWER, (integer >> 32) & LOWER
    if lower != 0:
        before = cuda.atomic.add(own, at, np.uint32(lower))
        upper = (upper + ((np.int64(before) + lower) >> 32)) & LOWER
    if upper != 0:
        cuda.atomic.add(own, at + (own.size >> 1), np.uint32(upper))


@device
def gather(own, copies, n_own, n_kinds, words, n_cells, first):
    """Add the block's cells to ``first .. first + n_own`` of the table, by the whole block."""
    cuda.syncthreads()
    for i in range(cuda.threadIdx.x, n_kinds * n_own, cuda.blockDim.x):
        total = np.int64(0)
        for at in range(i * copies, i * copies + copies):
            total += (np.int64(own[at + (own.size >> 1)]) << 32) + np.int64(own[at])
        if total != 0:
            kind = i // n_own
            cuda.atomic.add(words, kind * n_cells + first + (i - kind * n_own), total)
