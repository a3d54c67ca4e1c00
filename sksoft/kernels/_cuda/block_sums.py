"""Sums and maxima over a block for functions that several others call; their cells are dynamic shared memory.

``warps`` has static cells, of which a kernel may reach each by one path of calls only: numba links a device function
once for each caller, and a static array would be defined twice. A kernel that calls these is launched with
:func:`shared_bytes`.
"""

from functools import cache

import numpy as np

from sksoft.kernels._cuda._api import TEAM, WARP, cuda, device
from sksoft.kernels._cuda.warps import WARPS, _over_team, add, larger, numba_type


def shared_bytes(real) -> int:
    """The cells of the warps, then one for each thread (:func:`thread_cells`)."""
    return (WARPS + TEAM) * np.dtype(real).itemsize


@cache
def _over_block(combine, real):
    over_team, kind = _over_team(combine, real), numba_type(real)

    @device
    def over_block(x):
        cells = cuda.shared.array(0, kind)
        x = over_team(x, WARP)
        if cuda.threadIdx.x % WARP == 0:
            cells[cuda.threadIdx.x // WARP] = x
        cuda.syncthreads()
        total = cells[0]
        for i in range(1, cuda.blockDim.x // WARP):
            total = combine(total, cells[i])
        cuda.syncthreads()
        return total

    return over_block


def block_sum_of(real):
    """``x → Σ x`` over all threads of a block, which all must come and all get the same bits."""
    return _over_block(add, real)


def block_max_of(real):
    """``x → max x``, NaN if one is."""
    return _over_block(larger, real)
