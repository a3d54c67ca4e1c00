"""Cross-entropy and its gradient in one pass: losses of rows, which are left to be summed in float64, and residuals.

A row is held in the registers of a team of lanes, or of a block: a read of the scores, a write of the residuals. Along
the longest a block walks twice: maximum and sum together, the sum brought along whenever the maximum rises; then the
residuals.

The true score takes part in the maximum, on which all that is written depends: residuals may overwrite the scores,
because no lane can write before every lane has read the true one.
"""

import math

import numpy as np

from sksoft.kernels._cuda._api import cuda, device, jit, xp
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.elementary import exp, expm1, fabs, log, log1p
from sksoft.kernels._cuda.layout import contiguous
from sksoft.kernels._cuda.pieces import held_pieces, pieces
from sksoft.kernels._cuda.row_teams import aligned, held_teams, holds
from sksoft.kernels._cuda.warps import compensated, corrected, larger, max_of, numba_type, sum_of


def divergence_term_of(real):
    """``t (p/t − 1 − log(p/t))``, never negative, from the logarithms of a target t > 0 and of p."""
    near = real(0.5)

    @device
    def divergence_term(target, log_target, log_p):
        ratio = log_p - log_target
        if fabs(ratio) < near:
            return target * (expm1(ratio) - ratio)
        return exp(log_p) - target - target * ratio

    return divergence_term


def label_of(real):
    """Loss and residuals of a row whose label is `code`, out of what its lanes have summed."""
    zero, one, divergence_term = real(0.0), real(1.0), divergence_term_of(real)

    @device
    def loss(others, shifted_true):
        return log1p(others + (exp(shifted_true) - one)) - shifted_true

    @device
    def smoothed_term(score, top, log_total, is_true, share, log_share, log_true, surplus):
        """The part of an entry in the divergence from a smoothed label, 1 − (K − 1) share where it is true."""
        if is_true:
            return divergence_term(one - surplus, log_true, score - top - log_total)
        return divergence_term(share, log_share, score - top - log_total)

    @device
    def residual(p, is_true, p_others, weight, share, surplus):
        """``w (p − t)``, of the true class by what the others have."""
        if weight == zero:
            return zero
        return weight * (surplus - p_others) if is_true else weight * (p - share)

    return loss, smoothed_term, residual


SIGNATURE = (
    "real[::1], int64[::1], float64[::1], real, real, real, real, int64, int64, int64, real[::1], real[::1], real[::1]"
)
QUADS = ((False,), (True,))
BOTH = tuple((whole_block, quads) for whole_block in (False, True) for quads in (False, True))


@compiled(SIGNATURE, BOTH, wide=lambda whole_block, quads: quads)
def held(real, whole_block, quads):
    """Rows that fit the registers of a team, or of a block: every entry is read once, unless labels are smoothed."""
    row_max, row_sum = max_of(real, whole_block=whole_block), sum_of(real, whole_block=whole_block)
    kind = numba_type(real)
    size, take, put = pieces(real, quads)
    n_held = held_pieces(quads)
    n_cells = n_held * size
    loss_of, smoothed_term, residual_of = label_of(real)
    zero, one, lowest = real(0.0), real(1.0), real(-np.inf)

    @jit
    def held(scores, codes, weights, share, log_share, log_true, surplus, width, n, n_classes, residual, proba, losses):
        cells = cuda.local.array(n_cells, kind)
        lane, own = cuda.threadIdx.x % width, cuda.threadIdx.x // width
        in_block = cuda.blockDim.x // width
        first = cuda.blockIdx.x * in_block
        while first < n:
            row = first + own
            begin, last, code, weight, true = row * n_classes, 0, 0, zero, lowest
            if row < n:
                last, code, weight = n_classes, codes[row], real(weights[row])
                true = scores[begin + code]
            for j in range(n_held):
                k = size * (lane + j * width)
                if k < last:
                    take(scores, begin + k, cells, j * size)
            top = true
            for j in range(n_held):
                if size * (lane + j * width) < last:
                    for i in range(size):
                        top = larger(cells[j * size + i], top)
            top, others = row_max(top, width), zero
            for j in range(n_held):
                k = size * (lane + j * width)
                if k < last:
                    for i in range(size):
                        share_of_top = exp(cells[j * size + i] - top)
                        cells[j * size + i] = share_of_top
                        if k + i != code:
                            others += share_of_top
            others, shifted_true = row_sum(others, width), true - top
            total = others + exp(shifted_true)
            loss, inverse = loss_of(others, shifted_true), one / total
            if share > zero:
                loss, log_total = zero, log(total)
                for j in range(n_held):
                    k = size * (lane + j * width)
                    if k < last:
                        for i in range(size):
                            loss += smoothed_term(
                                scores[begin + k + i],
                                top,
                                log_total,
                                k + i == code,
                                share,
                                log_share,
                                log_true,
                                surplus,
                            )
                loss = row_sum(loss, width)
            if lane == 0 and row < n:
                losses[row] = zero if weight == zero else loss
            p_others = others * inverse
            for j in range(n_held):
                k = size * (lane + j * width)
                if k < last:
                    for i in range(size):
                        cells[j * size + i] *= inverse
                    if proba.size > 0:
                        put(proba, begin + k, cells, j * size)
                    for i in range(size):
                        cells[j * size + i] = residual_of(
                            cells[j * size + i], k + i == code, p_others, weight, share, surplus
                        )
                    put(residual, begin + k, cells, j * size)
            first += cuda.gridDim.x * in_block

    return held


@compiled(SIGNATURE, QUADS, wide=lambda quads: quads)
def walked(real, quads):
    """Rows too long for a block's registers."""
    row_max, row_sum = max_of(real, whole_block=True), sum_of(real, whole_block=True)
    kind, (size, take, put) = numba_type(real), pieces(real, quads)
    loss_of, smoothed_term, residual_of = label_of(real)
    zero, one, lowest = real(0.0), real(1.0), real(-np.inf)

    @jit
    def walked(
        scores, codes, weights, share, log_share, log_true, surplus, width, n, n_classes, residual, proba, losses
    ):
        cells = cuda.local.array(size, kind)
        lane = cuda.threadIdx.x
        for row in range(cuda.blockIdx.x, n, cuda.gridDim.x):
            begin, code, weight = row * n_classes, codes[row], real(weights[row])
            true = scores[begin + code]
            top, others, excess = lowest, zero, zero
            for k in range(size * lane, n_classes, size * width):
                take(scores, begin + k, cells, 0)
                high = top
                for i in range(size):
                    high = larger(cells[i], high)
                if high > top or high != high:
                    lowered = exp(top - high)
                    top, others, excess = high, others * lowered, excess * lowered
                if top != lowest:
                    shares = zero
                    for i in range(size):
                        if k + i != code:
                            shares += exp(cells[i] - top)
                    others, excess = compensated(others, excess, shares)
            whole = row_max(larger(true, top), width)
            others = row_sum(corrected(others, excess) * exp(top - whole), width)
            shifted_true = true - whole
            total = others + exp(shifted_true)
            loss, inverse = loss_of(others, shifted_true), one / total
            if share > zero:
                loss, excess, log_total = zero, zero, log(total)
                for k in range(size * lane, n_classes, size * width):
                    take(scores, begin + k, cells, 0)
                    for i in range(size):
                        term = smoothed_term(
                            cells[i], whole, log_total, k + i == code, share, log_share, log_true, surplus
                        )
                        loss, excess = compensated(loss, excess, term)
                loss = row_sum(corrected(loss, excess), width)
            if lane == 0:
                losses[row] = zero if weight == zero else loss
            p_others = others * inverse
            for k in range(size * lane, n_classes, size * width):
                take(scores, begin + k, cells, 0)
                for i in range(size):
                    cells[i] = exp(cells[i] - whole) * inverse
                if proba.size > 0:
                    put(proba, begin + k, cells, 0)
                for i in range(size):
                    cells[i] = residual_of(cells[i], k + i == code, p_others, weight, share, surplus)
                put(residual, begin + k, cells, 0)

    return walked


def launch(scores, codes, weights, smoothing: float, residual, proba):
    """Fill `residual`, and `proba` where it has rows, all contiguous and of one dtype; losses (n,), 0 of weight 0."""
    n, n_classes = scores.shape
    quads = aligned(scores, residual) and (proba.size == 0 or aligned(proba))
    grid = held_teams(n, n_classes, scores.itemsize, quads)
    losses = xp.empty(n, scores.dtype)
    share = smoothing / n_classes
    surplus = (n_classes - 1) * share
    log_share, log_true = (math.log(share), math.log1p(-surplus)) if smoothing > 0.0 else (0.0, 0.0)
    in_registers = holds(grid, n_classes, scores.itemsize, quads)
    kernel, variant = (held, (grid.whole_block, quads)) if in_registers else (walked, (quads,))
    arrays = scores.reshape(-1), contiguous(codes, np.int64), contiguous(weights, np.float64)
    sizes = grid.width, n, n_classes
    outputs = residual.reshape(-1), proba.reshape(-1), losses
    numbers = share, log_share, log_true, surplus
    kernel.launch(scores.dtype, grid, (*arrays, *numbers, *sizes, *outputs), variant=variant)
    return losses
