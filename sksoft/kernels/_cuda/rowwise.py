"""The softmax family on a device: a team of lanes for a short row, a block for a long one (``row_teams``).

The second look at a row finds it in a cache, so that a row costs one read and one write of the device's memory.
"""

from itertools import product

import numpy as np

from sksoft.kernels import rowwise
from sksoft.kernels._cuda import cross_entropy
from sksoft.kernels._cuda._api import cuda, device, jit, load4, store4, xp
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.elementary import exp, isinf, log
from sksoft.kernels._cuda.layout import contiguous, delivered, result
from sksoft.kernels._cuda.products import jacobian_product
from sksoft.kernels._cuda.row_teams import aligned, teams
from sksoft.kernels._cuda.warps import max_of, sum_of

# whole_block, quads, logarithms
SOFTMAX_VARIANTS = tuple(product((False, True), repeat=3))


def exponent_of(real):
    """``(s − top) / T`` of an entry, from halves where T > 1; `unit` is half · T and `inverse` is 1 / unit."""
    zero = real(0.0)

    @device
    def exponent(score, top, half, unit, inverse):
        below = half * score - half * top
        if below == zero or isinf(below):  # 0 at the top and −inf at −inf, also where T is beyond the range of numbers
            return below
        return below / unit if isinf(inverse) else below * inverse

    return exponent


@compiled(
    "real[:, ::1], boolean[:, ::1], real, real, int64, real[:, ::1], real[::1], real[::1]",
    SOFTMAX_VARIANTS,
    wide=lambda whole_block, quads, logarithms: quads,
)
def softmax(real, whole_block, quads, logarithms):
    """Rows of p or log p in `out`, where it has rows; maxima in `tops` and Σ exp((s − top) / T) in `totals`."""
    row_max, row_sum = max_of(real, whole_block=whole_block), sum_of(real, whole_block=whole_block)
    exponent, zero, one, lowest = exponent_of(real), real(0.0), real(1.0), real(-np.inf)
    step = 16 // np.dtype(real).itemsize if quads else 1

    @device
    def read(scores, mask, row, k):
        if quads:
            return load4(scores, row * scores.shape[1] + k)
        if mask.size > 0 and not mask[row, k]:
            return (lowest,)
        return (scores[row, k],)

    @device
    def share(score, top, total, half, unit, inverse):
        below = exponent(score, top, half, unit, inverse)
        return below - log(total) if logarithms else exp(below) / total

    @device
    def write(out, row, k, scores, top, total, half, unit, inverse):
        if step == 4:
            a, b, c, d = scores
            shares = (
                share(a, top, total, half, unit, inverse),
                share(b, top, total, half, unit, inverse),
                share(c, top, total, half, unit, inverse),
                share(d, top, total, half, unit, inverse),
            )
            store4(out, row * out.shape[1] + k, shares)
        elif step == 2:
            a, b = scores
            store4(
                out,
                row * out.shape[1] + k,
                (share(a, top, total, half, unit, inverse), share(b, top, total, half, unit, inverse)),
            )
        else:
            out[row, k] = share(scores[0], top, total, half, unit, inverse)

    @jit
    def softmax(scores, mask, half, unit, width, out, tops, totals):
        n, n_classes = scores.shape
        lane, own = cuda.threadIdx.x % width, cuda.threadIdx.x // width
        in_block = cuda.blockDim.x // width
        first, inverse = cuda.blockIdx.x * in_block, one / unit
        while first < n:
            row = first + own
            last = n_classes if row < n else 0
            top = lowest
            for k in range(step * lane, last, step * width):
                for score in read(scores, mask, row, k):
                    if score > top or score != score:
                        top = score
            top = row_max(top, width)
            total = zero
            for k in range(step * lane, last, step * width):
                for score in read(scores, mask, row, k):
                    total += exp(exponent(score, top, half, unit, inverse))
            total = row_sum(total, width)
            if out.size > 0:
                for k in range(step * lane, last, step * width):
                    write(out, row, k, read(scores, mask, row, k), top, total, half, unit, inverse)
            if lane == 0 and row < n:
                tops[row] = top
                totals[row] = total
            first += cuda.gridDim.x * in_block

    return softmax


def _softmax(scores, temperature, mask, out, empty_rows, *, logarithms: bool):
    """p or log p, (n, K)."""
    tops, computed = _launch_softmax(scores, temperature, mask, result(scores.shape, scores.dtype, out), logarithms)[:2]
    if empty_rows is not None:
        empty_rows[...] = tops == -np.inf
    return delivered(computed, out)


def _launch_softmax(scores, temperature, mask, out, logarithms: bool):
    """`out` filled where it has rows, maxima (n,) and Σ exp((s − top) / T), (n,)."""
    n, n_classes = scores.shape
    scores = contiguous(scores)
    quads = mask is None and aligned(scores, out)
    mask = xp.empty((0, 0), bool) if mask is None else contiguous(mask)
    tops, totals = xp.empty(n, scores.dtype), xp.empty(n, scores.dtype)
    half = 0.5 if temperature > 1.0 else 1.0
    grid = teams(n, n_classes, 16 // scores.itemsize if quads else 1)
    softmax.launch(
        scores.dtype,
        grid,
        (scores, mask, half, half * temperature, grid.width, out, tops, totals),
        variant=(grid.whole_block, quads, logarithms),
    )
    return tops, out, totals


@rowwise.softmax_rows.implement("cuda", writes=("out", "empty_rows"))
def softmax_rows(scores, *, temperature=1.0, mask=None, out=None, empty_rows=None):
    return _softmax(scores, temperature, mask, out, empty_rows, logarithms=False)


@rowwise.log_softmax_rows.implement("cuda", writes=("out", "empty_rows"))
def log_softmax_rows(scores, *, temperature=1.0, mask=None, out=None, empty_rows=None):
    return _softmax(scores, temperature, mask, out, empty_rows, logarithms=True)


@rowwise.logsumexp_rows.implement("cuda")
def logsumexp_rows(scores, *, temperature=1.0, mask=None):
    tops, _, totals = _launch_softmax(scores, temperature, mask, xp.empty((0, 0), scores.dtype), False)
    tops, totals = tops.astype(np.float64), totals.astype(np.float64)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        value = tops / temperature + xp.log(totals)
        return xp.where(xp.isinf(tops), tops, value).astype(scores.dtype)


@rowwise.cross_entropy_rows.implement("cuda", writes=("residual", "proba"))
def cross_entropy_rows(scores, codes, weights, *, residual, proba=None, smoothing=0.0):
    dtype, shape = scores.dtype, scores.shape
    computed = result(shape, dtype, residual)
    shares = xp.empty((0, 0), dtype) if proba is None else result(shape, dtype, proba)
    losses = cross_entropy.launch(contiguous(scores), codes, weights, smoothing, computed, shares)
    delivered(computed, residual)
    if proba is not None:
        delivered(shares, proba)
    return weighted_sum(weights, losses)


@rowwise.softmax_jvp_rows.implement("cuda", writes=("out",))
def softmax_jvp_rows(proba, vectors, *, weights=None, out=None):
    return jacobian_product(proba, vectors, weights, out)


def weighted_sum(weights, losses) -> float:
    """``Σ w l`` in float64."""
    return float((weights * losses).sum(dtype=np.float64))
