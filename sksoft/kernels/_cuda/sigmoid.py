"""The sigmoid's loss and derivatives on a device, in one pass.

Matrices are read as they lie in memory: neighbouring threads have neighbouring entries, and a thread goes on by so many
whole rows that it stays in its column, whose losses it sums with what rounding takes from them. The sums of the threads
are added in float64.
"""

import numpy as np

from sksoft.kernels import sigmoid
from sksoft.kernels._cuda import _api
from sksoft.kernels._cuda._api import BLOCK, cuda, device, jit, xp
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.elementary import exp, fabs, log1p
from sksoft.kernels._cuda.layout import contiguous, delivered, result
from sksoft.kernels._cuda.warps import numba_type, two_sum

# Entries that a thread has under way.
AT_ONCE = 2


def entry_of(real):
    """Loss, residual and curvature of an entry, from what it weighs as a positive and as a negative one."""
    zero, one = real(0.0), real(1.0)

    @device
    def entry(z, for_positive, for_negative):
        exponential = exp(-fabs(z))
        larger = one / (one + exponential)
        smaller = exponential * larger
        above, below = (larger, smaller) if z > zero else (smaller, larger)
        both = for_positive + for_negative
        loss = both * log1p(exponential) + (for_negative if z > zero else for_positive) * fabs(z)
        return loss, for_negative * above - for_positive * below, both * (larger * smaller)

    return entry


@compiled(
    "real[::1], uint8[::1], real[::1], float64[::1], real[::1], real[::1], int64, int64, int64, "
    "real[::1], real[::1], real[::1], real[::1]",
    ((False,), (True,)),
)
def losses(real, labelled):
    """Targets are `labels` or `shares`; sums of the threads in `highs` and, what those lack, in `lows`."""
    entry, kind, zero, one = entry_of(real), numba_type(real), real(0.0), real(1.0)

    @jit
    def losses(
        scores, labels, shares, weights, positive, negative, rows_at_once, n, n_labels, residual, curvature, highs, lows
    ):
        z = cuda.local.array(AT_ONCE, kind)
        t = cuda.local.array(AT_ONCE, kind)
        own = cuda.grid(1)
        if own < rows_at_once * n_labels:
            column, row = own % n_labels, own // n_labels
            as_positive, as_negative, high, low = positive[column], negative[column], zero, zero
            while row < n:
                for j in range(AT_ONCE):
                    at = row + j * rows_at_once
                    if at < n:
                        z[j] = scores[at * n_labels + column]
                        t[j] = real(labels[at * n_labels + column]) if labelled else shares[at * n_labels + column]
                for j in range(AT_ONCE):
                    at = row + j * rows_at_once
                    if at < n:
                        weight = real(weights[at])
                        loss, first, second = entry(
                            z[j], weight * (t[j] * as_positive), weight * ((one - t[j]) * as_negative)
                        )
                        residual[at * n_labels + column] = first
                        curvature[at * n_labels + column] = second
                        high, lost = two_sum(high, loss)
                        low += lost
                row += AT_ONCE * rows_at_once
            highs[own] = high
            lows[own] = low if low == low else zero  # an infinite sum lacks nothing

    return losses


@sigmoid.sigmoid_loss_columns.implement("cuda", writes=("residual", "curvature"))
def sigmoid_loss_columns(scores, targets, weights, positive, negative, *, residual, curvature):
    (n, n_labels), dtype = scores.shape, scores.dtype
    labelled = targets.dtype == np.uint8
    labels = contiguous(targets).reshape(-1) if labelled else xp.empty(0, np.uint8)
    shares = xp.empty(0, dtype) if labelled else contiguous(targets, dtype).reshape(-1)
    factors = contiguous(positive, dtype), contiguous(negative, dtype)
    first, second = result(scores.shape, dtype, residual), result(scores.shape, dtype, curvature)
    rows_at_once = max(1, min(-(-n // AT_ONCE), _api.max_blocks() // 4 * BLOCK // max(n_labels, 1)))
    n_threads = rows_at_once * n_labels
    sums = xp.zeros((2, rows_at_once, n_labels), dtype)
    losses.launch(
        dtype,
        (-(-n_threads // BLOCK), BLOCK),
        (
            contiguous(scores).reshape(-1),
            labels,
            shares,
            contiguous(weights, np.float64),
            *factors,
            rows_at_once,
            n,
            n_labels,
            first.reshape(-1),
            second.reshape(-1),
            sums[0].reshape(-1),
            sums[1].reshape(-1),
        ),
        variant=(labelled,),
    )
    delivered(first, residual)
    delivered(second, curvature)
    return sums.sum(axis=(0, 1), dtype=np.float64)
