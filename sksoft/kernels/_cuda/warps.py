"""Sums and maxima over threads that work together; every one of them gets the result.

``sum_of(real)`` and ``max_of(real)`` are over a *team*, `width` neighbouring lanes of a warp, `width` a power of two
up to :data:`WARP`. All lanes of a warp must come to the call, those without work with a neutral value: loops around it
run as often in all of them. With ``whole_block=True`` the team is a whole block, all of whose threads must come, and
`width` its size. All lanes get the same bits. A NaN makes a sum and a maximum NaN.
"""

from functools import cache

import numpy as np
from numba import types

from sksoft.kernels._cuda._api import SIMULATED, WARP, cuda, device

FULL = 0xFFFFFFFF
# Warps of the largest block.
WARPS = 32


@device
def add(a, b):
    return a + b


@device
def larger(a, b):
    """The larger, NaN if either is."""
    return a if a > b or a != a else b


@device
def compensated(total, excess, x):
    """A sum, and by how much it is above the true one, after `x` is added (Kahan); NaN where the sum is infinite."""
    x = corrected(x, excess)
    summed = total + x
    return summed, (summed - total) - x


@device
def two_sum(a, b):
    """The sum of two numbers, and what its rounding took from it (Knuth); NaN where the sum is infinite."""
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


@device
def corrected(x, excess):
    """`x` less what is above the true sum, as far as that is a number."""
    return x - excess if excess == excess else x


def numba_type(real):
    """The numba type of a NumPy scalar type."""
    return {np.float32: types.float32, np.float64: types.float64, np.int64: types.int64}[real]


@device
def wait_for_warp():
    """What a lane wrote before, all lanes of its warp read after; all of them must come."""
    if SIMULATED:
        cuda.syncthreads()  # of a block of one warp: the simulator knows no other
    else:
        cuda.syncwarp()


@cache
def _over_team(combine, real):
    """`combine` over `width` lanes."""
    if SIMULATED:
        return _simulated_team(combine, real)

    @device
    def over_team(x, width):
        offset = width >> 1
        while offset > 0:
            x = combine(x, cuda.shfl_xor_sync(FULL, x, offset))
            offset >>= 1
        return x

    return over_team


def _simulated_team(combine, real):
    """The same tree by shared memory: the simulator has no exchange between lanes."""
    kind = numba_type(real)

    @device
    def over_team(x, width):
        cells = cuda.shared.array(1024, kind)
        lane = cuda.threadIdx.x
        offset = width >> 1
        while offset > 0:
            cells[lane] = x
            cuda.syncthreads()
            other = cells[lane ^ offset]
            cuda.syncthreads()
            x = combine(x, other)
            offset >>= 1
        return x

    return over_team


@cache
def _over_block(combine, real):
    over_team, kind = _over_team(combine, real), numba_type(real)

    @device
    def over_block(x, width):
        cells = cuda.shared.array(WARPS, kind)
        lane, warp = cuda.threadIdx.x % WARP, cuda.threadIdx.x // WARP
        x = over_team(x, WARP)
        if lane == 0:
            cells[warp] = x
        cuda.syncthreads()
        total = cells[0]
        for i in range(1, width // WARP):
            total = combine(total, cells[i])
        cuda.syncthreads()
        return total

    return over_block


def sum_of(real, *, whole_block: bool = False):
    """``(x, width) -> Σ x`` over a team."""
    return (_over_block if whole_block else _over_team)(add, real)


def max_of(real, *, whole_block: bool = False):
    """``(x, width) -> max x`` over a team."""
    return (_over_block if whole_block else _over_team)(larger, real)


@cache
def pair_sum_of(real, *, whole_block: bool = False):
    """``(high, low, width) -> Σ high, and Σ low with what rounding took from that`` over a team."""
    over_team = _simulated_pairs(real) if SIMULATED else _pairs
    return _block_pairs(over_team, real) if whole_block else over_team


@device
def _pairs(high, low, width):
    offset = width >> 1
    while offset > 0:
        other, other_low = cuda.shfl_xor_sync(FULL, high, offset), cuda.shfl_xor_sync(FULL, low, offset)
        high, lost = two_sum(high, other)
        low = (low + other_low) + lost  # the same in both lanes
        offset >>= 1
    return high, low


def _simulated_pairs(real):
    kind = numba_type(real)

    @device
    def pairs(high, low, width):
        highs = cuda.shared.array(1024, kind)
        lows = cuda.shared.array(1024, kind)
        lane = cuda.threadIdx.x
        offset = width >> 1
        while offset > 0:
            highs[lane] = high
            lows[lane] = low
            cuda.syncthreads()
            other, other_low = highs[lane ^ offset], lows[lane ^ offset]
            cuda.syncthreads()
            high, lost = two_sum(high, other)
            low = (low + other_low) + lost
            offset >>= 1
        return high, low

    return pairs


def _block_pairs(over_team, real):
    kind = numba_type(real)

    @device
    def pairs(high, low, width):
        highs = cuda.shared.array(WARPS, kind)
        lows = cuda.shared.array(WARPS, kind)
        lane, warp = cuda.threadIdx.x % WARP, cuda.threadIdx.x // WARP
        high, low = over_team(high, low, WARP)
        if lane == 0:
            highs[warp] = high
            lows[warp] = low
        cuda.syncthreads()
        high, low = highs[0], lows[0]
        for i in range(1, width // WARP):
            high, lost = two_sum(high, highs[i])
            low = (low + lows[i]) + lost
        cuda.syncthreads()
        return high, low

    return pairs


if SIMULATED:

    @device
    def any_lane(condition):
        """Whether a condition holds in any lane of the warp, all of whose lanes must come."""
        cells = cuda.shared.array(1024, types.int64)
        lane = cuda.threadIdx.x
        cells[lane] = condition
        cuda.syncthreads()
        found = cells[lane // WARP * WARP : (lane // WARP + 1) * WARP].any()
        cuda.syncthreads()
        return bool(found)

else:

    @device
    def any_lane(condition):
        """Whether a condition holds in any lane of the warp, all of whose lanes must come."""
        return cuda.any_sync(FULL, condition)
