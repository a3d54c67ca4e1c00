"""Softmax on a device: its shares or their logarithms, and with them the maximum and the sum of every row.

A row is held in the registers of a team of lanes, or of a block: one read and one write of the device's memory. Along a
long one a block walks twice, the second time through a cache: first for maximum and sum together, the sum of a lane
brought along whenever its maximum rises ([1]_), then for the shares.

References
----------
.. [1] Milakov, Gimelshein, "Online normalizer calculation for softmax", arXiv:1805.02867, 2018.
"""

import numpy as np

from sksoft.kernels._cuda._api import cuda, device, jit, xp
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.elementary import exp, isinf, log
from sksoft.kernels._cuda.layout import contiguous
from sksoft.kernels._cuda.pieces import held_pieces, pieces
from sksoft.kernels._cuda.row_teams import aligned, held_teams, holds
from sksoft.kernels._cuda.warps import compensated, corrected, larger, max_of, numba_type, sum_of

# scores, mask or none, 1 or a half, that times T, whether logarithms, width, n, K, shares or none, maxima, sums
SIGNATURE = "real[::1], boolean[::1], real, real, boolean, int64, int64, int64, real[::1], real[::1], real[::1]"
QUADS = ((False,), (True,))
BOTH = tuple((whole_block, quads) for whole_block in (False, True) for quads in (False, True))


def exponent_of(real):
    """``(s − top) / T`` of an entry, from halves where T > 1; `unit` is half · T and `inverse` is 1 / unit."""
    zero, largest = real(0.0), np.finfo(real).max

    @device
    def exponent(score, top, half, unit, inverse):
        below = half * score - half * top
        if zero < inverse <= largest:
            return below * inverse
        # T or its inverse is beyond the range of numbers: still 0 at the top and −inf at −inf
        if below == zero or isinf(below):
            return below
        return below / unit if isinf(inverse) else below * inverse

    return exponent


def read_of(real, quads):
    """Read a piece of the scores; −inf where masked, for which pieces are single entries."""
    _, take, _ = pieces(real, quads)
    lowest = real(-np.inf)

    @device
    def read(scores, mask, index, cells, at):
        take(scores, index, cells, at)
        if not quads and mask.size > 0 and not mask[index]:
            cells[at] = lowest

    return read


@compiled(SIGNATURE, BOTH, wide=lambda whole_block, quads: quads)
def held(real, whole_block, quads):
    """Rows that fit the registers of a team, or of a block."""
    row_max, row_sum = max_of(real, whole_block=whole_block), sum_of(real, whole_block=whole_block)
    kind = numba_type(real)
    (size, _, put), read, exponent = pieces(real, quads), read_of(real, quads), exponent_of(real)
    n_held = held_pieces(quads)
    n_cells = n_held * size
    zero, one, lowest = real(0.0), real(1.0), real(-np.inf)

    @jit
    def held(scores, mask, half, unit, logarithms, width, n, n_classes, out, tops, totals):
        cells = cuda.local.array(n_cells, kind)
        lane, own = cuda.threadIdx.x % width, cuda.threadIdx.x // width
        in_block, inverse = cuda.blockDim.x // width, one / unit
        first = cuda.blockIdx.x * in_block
        while first < n:
            row = first + own
            begin, last = row * n_classes, n_classes if row < n else 0
            for j in range(n_held):
                k = size * (lane + j * width)
                if k < last:
                    read(scores, mask, begin + k, cells, j * size)
            top, total = lowest, zero
            for j in range(n_held):
                if size * (lane + j * width) < last:
                    for i in range(j * size, j * size + size):
                        top = larger(cells[i], top)
            top = row_max(top, width)
            for j in range(n_held):
                if size * (lane + j * width) < last:
                    for i in range(j * size, j * size + size):
                        below = exponent(cells[i], top, half, unit, inverse)
                        above_zero = exp(below)
                        total += above_zero
                        cells[i] = below if logarithms else above_zero
            total = row_sum(total, width)
            if lane == 0 and row < n:
                tops[row] = top
                totals[row] = total
            if out.size > 0:
                factor, shift = one / total, zero
                if logarithms:
                    factor, shift = one, log(total)
                for j in range(n_held):
                    k = size * (lane + j * width)
                    if k < last:
                        for i in range(j * size, j * size + size):
                            cells[i] = cells[i] * factor - shift
                        put(out, begin + k, cells, j * size)
            first += cuda.gridDim.x * in_block

    return held


@compiled(SIGNATURE, QUADS, wide=lambda quads: quads)
def walked(real, quads):
    """Rows too long for a block's registers."""
    row_max, row_sum = max_of(real, whole_block=True), sum_of(real, whole_block=True)
    (size, _, put), read, exponent = pieces(real, quads), read_of(real, quads), exponent_of(real)
    kind, zero, one, lowest = numba_type(real), real(0.0), real(1.0), real(-np.inf)

    @jit
    def walked(scores, mask, half, unit, logarithms, width, n, n_classes, out, tops, totals):
        cells = cuda.local.array(size, kind)
        lane, inverse = cuda.threadIdx.x, one / unit
        for row in range(cuda.blockIdx.x, n, cuda.gridDim.x):
            begin, own_top, total, excess = row * n_classes, lowest, zero, zero
            for k in range(size * lane, n_classes, size * width):
                read(scores, mask, begin + k, cells, 0)
                high = own_top
                for i in range(size):
                    high = larger(cells[i], high)
                if high > own_top or high != high:
                    lowered = exp(exponent(own_top, high, half, unit, inverse))
                    own_top, total, excess = high, total * lowered, excess * lowered
                if own_top != lowest:  # else nothing is available so far
                    shares = zero
                    for i in range(size):
                        shares += exp(exponent(cells[i], own_top, half, unit, inverse))
                    total, excess = compensated(total, excess, shares)
            top = row_max(own_top, width)
            lowered = exp(exponent(own_top, top, half, unit, inverse))
            total = row_sum(corrected(total, excess) * lowered, width)
            if lane == 0:
                tops[row] = top
                totals[row] = total
            if out.size > 0:
                factor, log_total = one / total, log(total)
                for k in range(size * lane, n_classes, size * width):
                    read(scores, mask, begin + k, cells, 0)
                    for i in range(size):
                        below = exponent(cells[i], top, half, unit, inverse)
                        cells[i] = below - log_total if logarithms else exp(below) * factor
                    put(out, begin + k, cells, 0)

    return walked


def launch(scores, temperature: float, mask, out, *, logarithms: bool = False):
    """Fill `out`, contiguous, where it has rows.

    Returns
    -------
    tops, totals : ndarray (n,), dtype of `scores`
        Largest available scores, and Σ exp((s − top) / T).
    """
    n, n_classes = scores.shape
    scores = contiguous(scores)
    quads = mask is None and aligned(scores, out)
    mask = xp.empty(0, bool) if mask is None else contiguous(mask).reshape(-1)
    tops, totals = xp.empty(n, scores.dtype), xp.empty(n, scores.dtype)
    half = 0.5 if temperature > 1.0 else 1.0
    grid = held_teams(n, n_classes, scores.itemsize, quads)
    numbers = half, half * temperature, logarithms, grid.width, n, n_classes
    in_registers = holds(grid, n_classes, scores.itemsize, quads)
    kernel, variant = (held, (grid.whole_block, quads)) if in_registers else (walked, (quads,))
    kernel.launch(
        scores.dtype, grid, (scores.reshape(-1), mask, *numbers, out.reshape(-1), tops, totals), variant=variant
    )
    return tops, totals
