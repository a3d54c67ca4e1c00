"""How the threads of a block share the sums over the rows of all columns of a matrix, and how they merge them.

A block has a run of rows. Its threads stand side by side along the columns, `width` of them, and where columns are few
in several *phases* that take turns with the rows: thread t has column ``t % width`` of every `width`, and phase
``t // width``. Each adds up in registers; then the phases merge in a tree. What blocks find stands in an array with a
row for each block, which the host sums in float64. Which block has which rows depends on the shape only, so that the
sums are the same bits on every run.
"""

from dataclasses import dataclass
from functools import cache

from sksoft.kernels._cuda._api import SIMULATED, TEAM, cuda, device
from sksoft.kernels._cuda.compensated import add_of
from sksoft.kernels._cuda.warps import numba_type

# Entries that all blocks of a device look at together stay in its second cache, for another look.
ENTRIES = 8 * TEAM
MOST_ROWS, FEWEST_ROWS = 2 * TEAM, 16
# Tiles of rows from which a block has several, but not more than so many.
SPREAD, MOST_TILES = (1, 3) if SIMULATED else (1024, 16)


@dataclass(frozen=True)
class ColumnSums:
    """The launch of a kernel that sums over rows.

    Attributes
    ----------
    width : int
        Threads side by side, a power of two.
    tile : int
        Rows that are looked at twice before others are.
    rows : int
        Rows of a block: several tiles, or one where the threads have several columns each.
    blocks, threads : int
    """

    width: int
    tile: int
    rows: int
    blocks: int
    threads: int


def column_sums(n_rows: int, n_columns: int, threads: int = TEAM) -> ColumnSums:
    """The launch for a matrix of that shape, in blocks of so many threads, a power of two up to :data:`TEAM`."""
    width = 1
    while width < min(n_columns, threads):
        width *= 2
    tile = min(MOST_ROWS, max(FEWEST_ROWS, ENTRIES // max(n_columns, 1)))
    tiles = 1 if n_columns > threads else min(MOST_TILES, max(1, n_rows // (SPREAD * tile)))
    rows = tiles * tile
    return ColumnSums(width, tile, rows, -(-n_rows // rows), threads)


@cache
def merge_of(real):
    """``(total, low, width) -> (total, low)``: a compensated sum over the phases, for phase 0 of each column.

    All threads of the block must come to the call.
    """
    add, kind = add_of(real), numba_type(real)

    @device
    def merge(total, low, width):
        totals = cuda.shared.array(TEAM, kind)
        lows = cuda.shared.array(TEAM, kind)
        t, offset = cuda.threadIdx.x, cuda.blockDim.x >> 1
        totals[t], lows[t] = total, low
        cuda.syncthreads()
        while offset >= width:
            if t < offset:
                total, low = add(total, low + lows[t + offset], totals[t + offset])
                totals[t], lows[t] = total, low
            cuda.syncthreads()
            offset >>= 1
        return total, low

    return merge
