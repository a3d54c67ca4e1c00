"""Divergence of softmax from target distributions with its gradient, in one pass; and the entropy of distributions.

As in :mod:`~sksoft.kernels._cuda.cross_entropy`: losses of rows are left to be summed in float64; short rows of scores
and of targets are held in the registers of a team of lanes, along long ones a block walks twice.
"""

import numpy as np

from sksoft.kernels._cuda._api import cuda, device, jit, xp
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.cross_entropy import divergence_term_of
from sksoft.kernels._cuda.elementary import exp, log
from sksoft.kernels._cuda.layout import contiguous
from sksoft.kernels._cuda.pieces import held_pieces, pieces
from sksoft.kernels._cuda.row_teams import aligned, held_teams, teams
from sksoft.kernels._cuda.warps import compensated, corrected, larger, max_of, numba_type, sum_of

# scores, targets, weights, width, n, K, residual, shares or none, losses
SIGNATURE = "real[::1], real[::1], float64[::1], int64, int64, int64, real[::1], real[::1], real[::1]"
QUADS = ((False,), (True,))


def entry_of(real):
    """The part of an entry in the divergence, and its residual."""
    zero, divergence_term = real(0.0), divergence_term_of(real)

    @device
    def term(target, below, log_total):
        if target == zero:
            return exp(below - log_total)
        return divergence_term(target, log(target), below - log_total)

    @device
    def residual(p, target, weight):
        return zero if weight == zero else weight * (p - target)

    return term, residual


@compiled(SIGNATURE, QUADS, wide=lambda quads: quads, most_threads=256)
def held(real, quads):
    """Short rows."""
    row_max, row_sum, kind = max_of(real), sum_of(real), numba_type(real)
    (size, take, put), (term, residual_of) = pieces(real, quads), entry_of(real)
    n_held = held_pieces(quads)
    n_cells = n_held * size
    zero, one, lowest = real(0.0), real(1.0), real(-np.inf)

    @jit
    def held(scores, targets, weights, width, n, n_classes, residual, proba, losses):
        s = cuda.local.array(n_cells, kind)
        t = cuda.local.array(n_cells, kind)
        lane, own = cuda.threadIdx.x % width, cuda.threadIdx.x // width
        in_block = cuda.blockDim.x // width
        first = cuda.blockIdx.x * in_block
        while first < n:
            row = first + own
            begin, last, weight = row * n_classes, 0, zero
            if row < n:
                last, weight = n_classes, real(weights[row])
            for j in range(n_held):
                k = size * (lane + j * width)
                if k < last:
                    take(scores, begin + k, s, j * size)
                    take(targets, begin + k, t, j * size)
            top, total, loss = lowest, zero, zero
            for j in range(n_held):
                if size * (lane + j * width) < last:
                    for i in range(j * size, j * size + size):
                        top = larger(s[i], top)
            top = row_max(top, width)
            for j in range(n_held):
                if size * (lane + j * width) < last:
                    for i in range(j * size, j * size + size):
                        s[i] -= top
                        total += exp(s[i])
            total = row_sum(total, width)
            log_total, inverse = log(total), one / total
            for j in range(n_held):
                if size * (lane + j * width) < last:
                    for i in range(j * size, j * size + size):
                        loss += term(t[i], s[i], log_total)
            loss = row_sum(loss, width)
            if lane == 0 and row < n:
                losses[row] = zero if weight == zero else loss
            for j in range(n_held):
                k = size * (lane + j * width)
                if k < last:
                    for i in range(j * size, j * size + size):
                        s[i] = exp(s[i]) * inverse
                    if proba.size > 0:
                        put(proba, begin + k, s, j * size)
                    for i in range(j * size, j * size + size):
                        s[i] = residual_of(s[i], t[i], weight)
                    put(residual, begin + k, s, j * size)
            first += cuda.gridDim.x * in_block

    return held


@compiled(SIGNATURE, QUADS, wide=lambda quads: quads)
def walked(real, quads):
    """Long rows, a block each."""
    row_max, row_sum = max_of(real, whole_block=True), sum_of(real, whole_block=True)
    (size, take, put), (term, residual_of) = pieces(real, quads), entry_of(real)
    kind, zero, one, lowest = numba_type(real), real(0.0), real(1.0), real(-np.inf)

    @jit
    def walked(scores, targets, weights, width, n, n_classes, residual, proba, losses):
        s = cuda.local.array(size, kind)
        t = cuda.local.array(size, kind)
        lane = cuda.threadIdx.x
        for row in range(cuda.blockIdx.x, n, cuda.gridDim.x):
            begin, weight = row * n_classes, real(weights[row])
            own_top, total, excess = lowest, zero, zero
            for k in range(size * lane, n_classes, size * width):
                take(scores, begin + k, s, 0)
                high = own_top
                for i in range(size):
                    high = larger(s[i], high)
                if high > own_top or high != high:
                    lowered = exp(own_top - high)
                    own_top, total, excess = high, total * lowered, excess * lowered
                if own_top != lowest:
                    for i in range(size):
                        total, excess = compensated(total, excess, exp(s[i] - own_top))
            top = row_max(own_top, width)
            total = row_sum(corrected(total, excess) * exp(own_top - top), width)
            log_total, inverse, loss, excess = log(total), one / total, zero, zero
            for k in range(size * lane, n_classes, size * width):
                take(scores, begin + k, s, 0)
                take(targets, begin + k, t, 0)
                for i in range(size):
                    s[i] -= top
                    loss, excess = compensated(loss, excess, term(t[i], s[i], log_total))
                    s[i] = exp(s[i]) * inverse
                if proba.size > 0:
                    put(proba, begin + k, s, 0)
                for i in range(size):
                    s[i] = residual_of(s[i], t[i], weight)
                put(residual, begin + k, s, 0)
            loss = row_sum(corrected(loss, excess), width)
            if lane == 0:
                losses[row] = zero if weight == zero else loss

    return walked


def launch(scores, targets, weights, residual, proba):
    """Fill `residual`, and `proba` where it has rows, all contiguous and of one dtype; losses (n,), 0 of weight 0."""
    n, n_classes = scores.shape
    targets, losses = contiguous(targets, scores.dtype), xp.empty(n, scores.dtype)
    quads = aligned(scores, targets, residual) and (proba.size == 0 or aligned(proba))
    grid = held_teams(n, n_classes, scores.itemsize, quads)
    arrays = scores.reshape(-1), targets.reshape(-1), contiguous(weights, np.float64)
    outputs = residual.reshape(-1), proba.reshape(-1), losses
    kernel = walked if grid.whole_block else held
    kernel.launch(scores.dtype, grid, (*arrays, grid.width, n, n_classes, *outputs), variant=(quads,))
    return losses


@compiled(
    "real[::1], int64, int64, int64, real[::1]",
    tuple((whole_block, quads) for whole_block in (False, True) for quads in (False, True)),
    wide=lambda whole_block, quads: quads,
)
def entropy(real, whole_block, quads):
    """``−Σ p log p``, NaN of a negative entry; a team of lanes, or a block, reads a row once."""
    row_sum, kind, (size, take, _) = sum_of(real, whole_block=whole_block), numba_type(real), pieces(real, quads)
    zero = real(0.0)

    @jit
    def entropy(proba, width, n, n_classes, out):
        cells = cuda.local.array(size, kind)
        lane, own = cuda.threadIdx.x % width, cuda.threadIdx.x // width
        in_block = cuda.blockDim.x // width
        first = cuda.blockIdx.x * in_block
        while first < n:
            row = first + own
            begin, last = row * n_classes, n_classes if row < n else 0
            total, excess = zero, zero
            for k in range(size * lane, last, size * width):
                take(proba, begin + k, cells, 0)
                for i in range(size):
                    if cells[i] != zero:
                        total, excess = compensated(total, excess, cells[i] * log(cells[i]))
            total = row_sum(corrected(total, excess), width)
            if lane == 0 and row < n:
                out[row] = zero - total
            first += cuda.gridDim.x * in_block

    return entropy


def entropies(proba):
    """Entropies (n,) of the rows of a contiguous matrix."""
    (n, n_classes), quads = proba.shape, aligned(proba)
    out = xp.empty(n, proba.dtype)
    grid = teams(n, n_classes, 4 * (16 // proba.itemsize) if quads else 4)
    arguments = proba.reshape(-1), grid.width, n, n_classes, out
    entropy.launch(proba.dtype, grid, arguments, variant=(grid.whole_block, quads))
    return out
