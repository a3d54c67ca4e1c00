"""Which threads share a row, and how they walk along it.

Short rows have a team of lanes each, a power of two up to a warp; long ones a block. A lane reads 16 bytes at a time
(``quads``) where every row is aligned to them. Kernels that look at a row more than once have short rows *held* in
registers, and walk along long ones as often as they look, the first time through memory and then through a cache.
"""

from dataclasses import dataclass

from sksoft.kernels._cuda import _api
from sksoft.kernels._cuda._api import BLOCK, TEAM, WARP
from sksoft.kernels._cuda.pieces import held_pieces

# Entries up to which a row is a warp's.
SHORT = 32 * WARP
BYTES = 16


@dataclass(frozen=True)
class Teams:
    """The launch of a kernel whose teams loop over rows.

    Attributes
    ----------
    whole_block : bool
        Whether a team is a block.
    width : int
        Lanes of a team.
    blocks, threads : int
    """

    whole_block: bool
    width: int
    blocks: int
    threads: int


def teams(n_rows: int, n_columns: int, entries_a_lane: int = 1) -> Teams:
    """Teams for rows of so many entries, of which a lane reads `entries_a_lane` at a time."""
    if n_columns > SHORT:
        return Teams(True, TEAM, min(n_rows, _api.max_blocks()), TEAM)
    width = 1
    while width < WARP and width * entries_a_lane < n_columns:
        width *= 2
    rows_a_block = BLOCK // width
    return Teams(False, width, min(-(-n_rows // rows_a_block), _api.max_blocks()), BLOCK)


def held_teams(n_rows: int, n_columns: int, itemsize: int, quads: bool) -> Teams:
    """Teams whose lanes hold a row in registers; blocks where it is too long for a warp's, or a block's."""
    n_pieces = -(-n_columns // (BYTES // itemsize if quads else 1))
    held = held_pieces(quads)
    if n_pieces > held * WARP:
        warps = -(-n_pieces // (held * WARP))
        threads = min(max(warps, 2) * WARP, TEAM)
        return Teams(True, threads, min(n_rows, _api.max_blocks()), threads)
    width = 1
    while width * held < n_pieces:
        width *= 2
    return Teams(False, width, min(-(-n_rows // (BLOCK // width)), _api.max_blocks()), BLOCK)


def holds(grid: Teams, n_columns: int, itemsize: int, quads: bool) -> bool:
    """Whether the registers of a team of :func:`held_teams` are enough for a row, also where it is a block."""
    held = held_pieces(quads)
    return n_columns <= (BYTES // itemsize if quads else 1) * held * grid.width


def aligned(*matrices) -> bool:
    """Whether all rows of contiguous matrices begin at a multiple of 16 bytes."""
    return all(matrix.shape[1] * matrix.itemsize % BYTES == 0 and _address(matrix) % BYTES == 0 for matrix in matrices)


def _address(matrix) -> int:
    return matrix.ctypes.data if _api.SIMULATED else matrix.data.ptr
