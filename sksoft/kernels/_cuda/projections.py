r"""Sparsemax and α-entmax on a device: no sort, a few of Newton's steps for the threshold of every row.

With r = 1 / (α − 1), ``T(t) = Σ [x − t]₊^r`` and ``D(t) = Σ [x − t]₊^(r−1)`` the threshold solves ``T^(1/r) = 1``. The
left side is convex and decreasing, so Newton's steps from t = −1 ::

    t ← t + (T − T^(1 − 1/r)) / D

climb to the root and never pass it. A team of lanes, for longer rows a block, holds its row in registers for all of
them; along the longest rows a block walks at every step. Teams of a warp step until none of them moves: one that has
arrived stays where it is.
"""

import numpy as np

from sksoft.kernels import projections
from sksoft.kernels._cuda._api import cuda, device, jit, xp
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.elementary import exp, isinf, log, sqrt
from sksoft.kernels._cuda.layout import contiguous, delivered, result
from sksoft.kernels._cuda.pieces import held_pieces, pieces
from sksoft.kernels._cuda.products import jacobian_product
from sksoft.kernels._cuda.row_teams import aligned, held_teams, holds
from sksoft.kernels._cuda.softmax import exponent_of, read_of
from sksoft.kernels._cuda.warps import any_lane, compensated, larger, max_of, numba_type, sum_of
from sksoft.kernels.projections import MAX_STEPS

# scores, mask or none, 1 or a half, that times T, α − 1, r, width, n, K, shares, maxima
SIGNATURE = "real[::1], boolean[::1], real, real, real, real, int64, int64, int64, real[::1], real[::1]"


def threshold_of(real):
    """What is at stake of an entry; its power r − 1; Newton's step."""
    zero, one, two, nan = real(0.0), real(1.0), real(2.0), real(np.nan)
    exponent = exponent_of(real)

    @device
    def scaled(score, top, half, unit, inverse, factor):
        """``(α − 1)(s − top) / T``, not below −1, where no share is."""
        x = factor * exponent(score, top, half, unit, inverse)
        return x if x > -one else -one

    @device
    def power(above, r):
        """``above^(r − 1)``, 0 at 0."""
        if r == two:
            return above
        if above == zero or r == one:
            return one if above > zero else zero
        return exp((r - one) * log(above))

    @device
    def step(t, total, slope, r):
        """The next threshold, never below t."""
        target = one
        if r == two:
            target = sqrt(total)
        elif r != one:
            target = exp((one - one / r) * log(total))
        moved = t + (total - target) / slope
        return moved if moved > t else t

    @device
    def factor_of(top, total):
        """What makes a row sum to one; NaN where it holds a NaN, an infinity or nothing."""
        return nan if top != top or isinf(top) else one / total

    return scaled, power, step, factor_of


@compiled(
    SIGNATURE,
    tuple((whole_block, quads) for whole_block in (False, True) for quads in (False, True)),
    wide=lambda whole_block, quads: quads,
)
def held(real, whole_block, quads):
    """Rows that fit the registers of a team, or of a block."""
    row_max, row_sum = max_of(real, whole_block=whole_block), sum_of(real, whole_block=whole_block)
    (size, _, put), read, kind = pieces(real, quads), read_of(real, quads), numba_type(real)
    scaled, power, step, factor_of = threshold_of(real)
    n_held = held_pieces(quads)
    n_cells = n_held * size
    zero, one, lowest = real(0.0), real(1.0), real(-np.inf)

    @jit
    def held(scores, mask, half, unit, factor, r, width, n, n_classes, out, tops):
        x = cuda.local.array(n_cells, kind)
        lane, own = cuda.threadIdx.x % width, cuda.threadIdx.x // width
        in_block, inverse = cuda.blockDim.x // width, one / unit
        first = cuda.blockIdx.x * in_block
        while first < n:
            row = first + own
            begin, last = row * n_classes, n_classes if row < n else 0
            for j in range(n_held):
                k = size * (lane + j * width)
                if k < last:
                    read(scores, mask, begin + k, x, j * size)
            top = lowest
            for j in range(n_held):
                if size * (lane + j * width) < last:
                    for i in range(j * size, j * size + size):
                        top = larger(x[i], top)
            top = row_max(top, width)
            for j in range(n_held):
                for i in range(j * size, j * size + size):
                    present = size * (lane + j * width) < last
                    x[i] = scaled(x[i], top, half, unit, inverse, factor) if present else -one
            t, total, going = -one, zero, True
            for _ in range(MAX_STEPS):
                total, slope, before = zero, zero, t
                for i in range(n_cells):
                    above = x[i] - t if x[i] > t else zero
                    powered = power(above, r)
                    slope += powered
                    total += above * powered
                total, slope = row_sum(total, width), row_sum(slope, width)
                t = step(t, total, slope, r)
                # the threads of a block have the same threshold; the teams of a warp have theirs
                going = t > before if whole_block else any_lane(t > before)
                if not going:
                    break
            if lane == 0 and row < n:
                tops[row] = top
            scale = factor_of(top, total)
            for j in range(n_held):
                k = size * (lane + j * width)
                if k < last:
                    for i in range(j * size, j * size + size):
                        above = x[i] - t if x[i] > t else zero
                        x[i] = above * power(above, r) * scale
                    put(out, begin + k, x, j * size)
            first += cuda.gridDim.x * in_block

    return held


@compiled(SIGNATURE, ((False,), (True,)), wide=lambda quads: quads)
def walked(real, quads):
    """Rows too long for a block's registers."""
    row_max, row_sum = max_of(real, whole_block=True), sum_of(real, whole_block=True)
    (size, _, put), read, kind = pieces(real, quads), read_of(real, quads), numba_type(real)
    scaled, power, step, factor_of = threshold_of(real)
    zero, one, lowest = real(0.0), real(1.0), real(-np.inf)

    @jit
    def walked(scores, mask, half, unit, factor, r, width, n, n_classes, out, tops):
        cells = cuda.local.array(size, kind)
        lane, inverse = cuda.threadIdx.x, one / unit
        for row in range(cuda.blockIdx.x, n, cuda.gridDim.x):
            begin, top = row * n_classes, lowest
            for k in range(size * lane, n_classes, size * width):
                read(scores, mask, begin + k, cells, 0)
                for i in range(size):
                    top = larger(cells[i], top)
            top = row_max(top, width)
            t, total = -one, zero
            for _ in range(MAX_STEPS):
                total, excess, slope, before = zero, zero, zero, t
                for k in range(size * lane, n_classes, size * width):
                    read(scores, mask, begin + k, cells, 0)
                    for i in range(size):
                        x = scaled(cells[i], top, half, unit, inverse, factor)
                        above = x - t if x > t else zero
                        powered = power(above, r)
                        slope += powered
                        total, excess = compensated(total, excess, above * powered)
                total, slope = row_sum(total - excess, width), row_sum(slope, width)
                t = step(t, total, slope, r)
                if t == before:
                    break
            if lane == 0:
                tops[row] = top
            scale = factor_of(top, total)
            for k in range(size * lane, n_classes, size * width):
                read(scores, mask, begin + k, cells, 0)
                for i in range(size):
                    x = scaled(cells[i], top, half, unit, inverse, factor)
                    above = x - t if x > t else zero
                    cells[i] = above * power(above, r) * scale
                put(out, begin + k, cells, 0)

    return walked


def _project(scores, alpha: float, temperature: float, mask, out, empty_rows):
    """α-entmax, (n, K)."""
    n, n_classes = scores.shape
    computed, tops = result(scores.shape, scores.dtype, out), xp.empty(n, scores.dtype)
    scores = contiguous(scores)
    quads = mask is None and aligned(scores, computed)
    mask = xp.empty(0, bool) if mask is None else contiguous(mask).reshape(-1)
    half = 0.5 if temperature > 1.0 else 1.0
    grid = held_teams(n, n_classes, scores.itemsize, quads)
    numbers = half, half * temperature, alpha - 1.0, 1.0 / (alpha - 1.0), grid.width, n, n_classes
    in_registers = holds(grid, n_classes, scores.itemsize, quads)
    kernel, variant = (held, (grid.whole_block, quads)) if in_registers else (walked, (quads,))
    kernel.launch(scores.dtype, grid, (scores.reshape(-1), mask, *numbers, computed.reshape(-1), tops), variant=variant)
    if empty_rows is not None:
        empty_rows[...] = tops == -np.inf
    return delivered(computed, out)


@projections.sparsemax_rows.implement("cuda", writes=("out", "empty_rows"))
def sparsemax_rows(scores, *, temperature=1.0, mask=None, out=None, empty_rows=None):
    return _project(scores, 2.0, temperature, mask, out, empty_rows)


@projections.entmax_rows.implement("cuda", writes=("out", "empty_rows"))
def entmax_rows(scores, *, alpha=1.5, temperature=1.0, mask=None, out=None, empty_rows=None):
    return _project(scores, alpha, temperature, mask, out, empty_rows)


@projections.entmax_jvp_rows.implement("cuda", writes=("out",))
def entmax_jvp_rows(proba, vectors, *, alpha, weights=None, out=None):
    return jacobian_product(proba, vectors, weights, out, alpha, normalised=True)
