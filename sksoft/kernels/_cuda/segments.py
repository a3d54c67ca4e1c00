"""Softmax and products over segments on a device: a warp has a segment, and its lanes walk along the entries.

Sums are compensated where a lane adds many, in the precision of the scores. Entries of a product each have a team of
lanes that walk along the two rows; the segment of an entry is found by bisection of the starts, so that one long
segment keeps no more threads waiting than many short ones.
"""

import numpy as np

from sksoft.kernels import segments
from sksoft.kernels._cuda import _api
from sksoft.kernels._cuda._api import BLOCK, WARP, cuda, device, jit, xp
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.elementary import exp
from sksoft.kernels._cuda.layout import contiguous
from sksoft.kernels._cuda.row_teams import teams
from sksoft.kernels._cuda.warps import compensated, corrected, max_of, sum_of


def total_of(real):
    """``(total, excess) -> sum over the lanes of a warp``, NaN and infinities included; all lanes must come."""
    warp_sum = sum_of(real)

    @device
    def total_of(total, excess):
        return warp_sum(corrected(total, excess), WARP)

    return total_of


@compiled("real[::1], int64[::1], real[::1], real[::1], real[::1]")
def softmax_segments(real):
    """p in `proba`, maxima in `tops` and Σ exp(s − top) in `totals`, 0 where all scores are −inf."""
    warp_max, warp_total = max_of(real), total_of(real)
    zero, one, lowest = real(0.0), real(1.0), real(-np.inf)

    @jit
    def softmax_segments(scores, starts, proba, tops, totals):
        n = starts.size - 1
        lane, in_block = cuda.threadIdx.x % WARP, cuda.blockDim.x // WARP
        first = cuda.blockIdx.x * in_block
        while first < n:
            segment = first + cuda.threadIdx.x // WARP
            begin, end = (starts[segment], starts[segment + 1]) if segment < n else (starts[0], starts[0])
            top = lowest
            for e in range(begin + lane, end, WARP):
                if scores[e] > top or scores[e] != scores[e]:
                    top = scores[e]
            top = warp_max(top, WARP)
            base = zero if top == lowest else top
            total, excess = zero, zero
            for e in range(begin + lane, end, WARP):
                total, excess = compensated(total, excess, exp(scores[e] - base))
            total = warp_total(total, excess)
            share = one if total == zero else total
            for e in range(begin + lane, end, WARP):
                proba[e] = exp(scores[e] - base) / share
            if lane == 0 and segment < n:
                tops[segment] = base
                totals[segment] = total
            first += cuda.gridDim.x * in_block

    return softmax_segments


@compiled("real[::1], real[::1], int64[::1], real[::1]")
def vjp_segments(real):
    """``p (v − Σ p v)`` in `out`."""
    warp_total, zero = total_of(real), real(0.0)

    @jit
    def vjp_segments(proba, vectors, starts, out):
        n = starts.size - 1
        lane, in_block = cuda.threadIdx.x % WARP, cuda.blockDim.x // WARP
        first = cuda.blockIdx.x * in_block
        while first < n:
            segment = first + cuda.threadIdx.x // WARP
            begin, end = (starts[segment], starts[segment + 1]) if segment < n else (starts[0], starts[0])
            total, excess = zero, zero
            for e in range(begin + lane, end, WARP):
                total, excess = compensated(total, excess, proba[e] * vectors[e])
            mean = warp_total(total, excess)
            for e in range(begin + lane, end, WARP):
                out[e] = proba[e] * (vectors[e] - mean)
            first += cuda.gridDim.x * in_block

    return vjp_segments


@compiled("int64[::1], int64[::1], real[:, ::1], real[:, ::1], int64, real[::1]")
def entry_products(real):
    """⟨left_i, right_j⟩ of each entry by a team of `width` lanes."""
    team_sum, zero = sum_of(real), real(0.0)

    @device
    def owner(starts, entry):
        """The segment whose entries `entry` is among."""
        low, high = 0, starts.size - 1
        while high - low > 1:
            middle = (low + high) // 2
            if starts[middle] <= entry:
                low = middle
            else:
                high = middle
        return low

    @jit
    def entry_products(columns, starts, left, right, width, out):
        lane, own, in_block = cuda.threadIdx.x % width, cuda.threadIdx.x // width, cuda.blockDim.x // width
        first = cuda.blockIdx.x * in_block
        while first < columns.size:
            entry = first + own
            total, excess = zero, zero
            if entry < columns.size:
                i, j = owner(starts, entry), columns[entry]
                for k in range(lane, left.shape[1], width):
                    total, excess = compensated(total, excess, left[i, k] * right[j, k])
            total = team_sum(corrected(total, excess), width)
            if lane == 0 and entry < columns.size:
                out[entry] = total
            first += cuda.gridDim.x * in_block

    return entry_products


def _grid(n_segments: int):
    return min(-(-n_segments // (BLOCK // WARP)), _api.max_blocks()), BLOCK


@segments.segment_softmax.implement("cuda")
def segment_softmax(scores, starts):
    scores, starts, n = contiguous(scores), contiguous(starts, np.int64), len(starts) - 1
    proba, tops, totals = xp.empty(scores.shape, scores.dtype), xp.empty(n, scores.dtype), xp.empty(n, scores.dtype)
    softmax_segments.launch(scores.dtype, _grid(n), (scores, starts, proba, tops, totals))
    with np.errstate(divide="ignore", invalid="ignore"):
        return proba, xp.log(totals.astype(np.float64)) + tops


@segments.segment_softmax_vjp.implement("cuda")
def segment_softmax_vjp(proba, vectors, starts):
    proba, vectors, starts = contiguous(proba), contiguous(vectors), contiguous(starts, np.int64)
    out = xp.empty(proba.shape, proba.dtype)
    vjp_segments.launch(proba.dtype, _grid(len(starts) - 1), (proba, vectors, starts, out))
    return out


@segments.segment_products.implement("cuda")
def segment_products(columns, starts, left, right):
    columns, starts = contiguous(columns, np.int64), contiguous(starts, np.int64)
    left, right = contiguous(left), contiguous(right)
    out = xp.empty(columns.shape, left.dtype)
    grid = teams(len(columns), min(left.shape[1], WARP))
    entry_products.launch(left.dtype, grid, (columns, starts, left, right, grid.width, out))
    return out
