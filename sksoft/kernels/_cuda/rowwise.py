"""The softmax family on a device, by the modules that have the device's functions for each part of it."""

import numpy as np

from sksoft.kernels import rowwise
from sksoft.kernels._cuda import cross_entropy, divergence, softmax
from sksoft.kernels._cuda._api import xp
from sksoft.kernels._cuda.layout import contiguous, delivered, result
from sksoft.kernels._cuda.products import jacobian_product


def _softmax(scores, temperature, mask, out, empty_rows, *, logarithms: bool):
    """p or log p, (n, K)."""
    computed = result(scores.shape, scores.dtype, out)
    tops, _ = softmax.launch(scores, temperature, mask, computed, logarithms=logarithms)
    if empty_rows is not None:
        empty_rows[...] = tops == -np.inf
    return delivered(computed, out)


@rowwise.softmax_rows.implement("cuda", writes=("out", "empty_rows"))
def softmax_rows(scores, *, temperature=1.0, mask=None, out=None, empty_rows=None):
    return _softmax(scores, temperature, mask, out, empty_rows, logarithms=False)


@rowwise.log_softmax_rows.implement("cuda", writes=("out", "empty_rows"))
def log_softmax_rows(scores, *, temperature=1.0, mask=None, out=None, empty_rows=None):
    return _softmax(scores, temperature, mask, out, empty_rows, logarithms=True)


@rowwise.logsumexp_rows.implement("cuda")
def logsumexp_rows(scores, *, temperature=1.0, mask=None):
    tops, totals = softmax.launch(scores, temperature, mask, xp.empty((0, 0), scores.dtype))
    tops, totals = tops.astype(np.float64), totals.astype(np.float64)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        value = tops / temperature + xp.log(totals)
        return xp.where(xp.isinf(tops), tops, value).astype(scores.dtype)


@rowwise.cross_entropy_rows.implement("cuda", writes=("residual", "proba"))
def cross_entropy_rows(scores, codes, weights, *, residual, proba=None, smoothing=0.0):
    def losses_into(contiguous_residual, shares):
        return cross_entropy.launch(contiguous(scores), codes, weights, smoothing, contiguous_residual, shares)

    return _loss(scores, weights, residual, proba, losses_into)


@rowwise.divergence_rows.implement("cuda", writes=("residual", "proba"))
def divergence_rows(scores, targets, weights, *, residual, proba=None):
    def losses_into(contiguous_residual, shares):
        return divergence.launch(contiguous(scores), targets, weights, contiguous_residual, shares)

    return _loss(scores, weights, residual, proba, losses_into)


def _loss(scores, weights, residual, proba, losses_into) -> float:
    """``Σ w l`` in float64 of the losses (n,) that ``losses_into(residual, proba)`` returns, 0 where the weight is."""
    computed = result(scores.shape, scores.dtype, residual)
    shares = xp.empty((0, 0), scores.dtype) if proba is None else result(scores.shape, scores.dtype, proba)
    losses = losses_into(computed, shares)
    delivered(computed, residual)
    if proba is not None:
        delivered(shares, proba)
    return float((weights * losses).sum(dtype=np.float64))


@rowwise.softmax_jvp_rows.implement("cuda", writes=("out",))
def softmax_jvp_rows(proba, vectors, *, weights=None, out=None):
    return jacobian_product(proba, vectors, weights, out)


@rowwise.entropy_rows.implement("cuda")
def entropy_rows(proba):
    return divergence.entropies(contiguous(proba))
