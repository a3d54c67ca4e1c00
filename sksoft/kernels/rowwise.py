r"""Softmax and what a fit needs of it, one distribution a row.

With temperature τ > 0 and the largest available score m of a row::

    p_k = exp((s_k − m) / τ) / Σ_j exp((s_j − m) / τ)          log Σ exp(s / τ) = m / τ + log Σ exp((s − m) / τ)

The maximum is subtracted *before* the division, so scores of ±1e308 at τ = 1e-300 neither overflow nor lose the answer.

What every kernel here keeps
----------------------------
* Arrays are (n, K), n ≥ 0 rows, K ≥ 1, any strides, read-only allowed, float32 or float64. A float32 input gives a
  float32 result out of float64 sums. `out` has the shape and dtype of the result and any strides; it may *be* the
  input, but not overlap it otherwise. Temperatures are positive and finite: the public layer has checked them.
* A masked entry (`mask` False) is the same as a score of −inf: probability exactly 0. A NaN under a mask never leaks.
* A NaN available, or a score of +inf, makes the whole row NaN, and no other row.
* A row with nothing available (all masked or −inf) is NaN: 0/0 has no value here, the public layer gives it one.
"""

import numpy as np
from scipy.special import xlogy

from sksoft.kernels.registry import kernel

# Overflow to ±inf and NaN are documented results here, not accidents to warn about.
quietly = np.errstate(over="ignore", invalid="ignore", divide="ignore")


@kernel()
@quietly
def softmax_rows(scores, *, temperature=1.0, mask=None, out=None, empty_rows=None):
    """``p = exp((s − max s) / temperature) / Σ``, row by row.

    Parameters
    ----------
    scores : IN ndarray (n, K), float32 or float64
    temperature : float, positive and finite
        In the units of the scores.
    mask : IN ndarray (n, K) bool, optional
        True where the entry is available.
    out : OUT ndarray (n, K), dtype of `scores`, optional
        May be `scores` itself.
    empty_rows : OUT ndarray (n,) bool, optional
        True where nothing is available; such a row is NaN, but so is one that holds a NaN.

    Returns
    -------
    proba : ndarray (n, K), dtype of `scores`
        `out` where given. Rows sum to 1 to rounding; NaN rows as the module says.
    """
    shifted, top = _shifted(scores, temperature, mask)
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(axis=1, keepdims=True)
    _mark_empty(top, empty_rows)
    return _delivered(shifted, scores.dtype, out)


@kernel()
@quietly
def log_softmax_rows(scores, *, temperature=1.0, mask=None, out=None, empty_rows=None):
    """``log p = (s − max s) / temperature − log Σ exp((s − max s) / temperature)``, row by row.

    Parameters
    ----------
    scores, temperature, mask, out, empty_rows
        As in :func:`softmax_rows`.

    Returns
    -------
    log_proba : ndarray (n, K), dtype of `scores`
        In nats; −inf exactly where masked or where the score is −inf.
    """
    shifted, top = _shifted(scores, temperature, mask)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    _mark_empty(top, empty_rows)
    return _delivered(shifted, scores.dtype, out)


@kernel()
@quietly
def logsumexp_rows(scores, *, temperature=1.0, mask=None):
    """``log Σ exp(s / temperature)``, row by row.

    Parameters
    ----------
    scores, temperature, mask
        As in :func:`softmax_rows`.

    Returns
    -------
    value : ndarray (n,), dtype of `scores`
        In nats. −inf where nothing is available, +inf where a score is +inf or the value exceeds the dtype's range.
    """
    shifted, top = _shifted(scores, temperature, mask)
    value = top / temperature + np.log(np.exp(shifted).sum(axis=1))
    return np.where(np.isinf(top), top, value).astype(scores.dtype)


@kernel()
@quietly
def cross_entropy_rows(scores, codes, weights, *, residual, proba=None, smoothing=0.0):
    """``Σ_i w_i KL(t_i ‖ p_i)`` for smoothed labels ``t_i = (1 − ε) e_{y_i} + ε / K``, and its gradient in the scores.

    Without smoothing it is the cross-entropy ``Σ_i w_i (log Σ exp(s_i) − s_i[y_i])``. The residual of the true class
    is minus the sum of the others, and the loss of a label is ``log1p`` of the other exponentials, so neither cancels
    where the row is nearly certain and right.

    Parameters
    ----------
    scores : IN ndarray (n, K), float32 or float64
    codes : IN ndarray (n,) intp
        True class y_i of every row, in 0..K-1.
    weights : IN ndarray (n,) float64
        A row of weight zero counts for exactly nothing, whatever its scores.
    residual : OUT ndarray (n, K), dtype of `scores`
        ``w_i (p_i − t_i)``; may be `scores` itself.
    proba : OUT ndarray (n, K), float32 or float64, optional
        ``p_i``; must not overlap the other arrays.
    smoothing : float, 0 <= ε < 1

    Returns
    -------
    value : float
        In nats; float64 sum over the rows in order.
    """
    shifted, _ = _shifted(scores, 1.0, None)
    rows, n_classes = np.arange(len(scores)), scores.shape[1]
    shifted_true = shifted[rows, codes]
    exps = np.exp(shifted)
    exp_true = exps[rows, codes]
    exps[rows, codes] = 0.0
    others = exps.sum(axis=1)
    total = others + exp_true
    exps[rows, codes] = exp_true
    exps /= total[:, None]
    if smoothing == 0.0:
        losses = np.log1p(others + (exp_true - 1.0)) - shifted_true
    else:
        targets = np.full(shifted.shape, smoothing / n_classes)
        targets[rows, codes] += 1.0 - smoothing
        losses = _divergences(targets, exps, shifted - np.log(total)[:, None])
    if proba is not None:
        proba[...] = exps
    exps -= smoothing / n_classes
    exps[rows, codes] = smoothing * (n_classes - 1) / n_classes - others / total
    residual[...] = _weighted(exps, weights)
    return float(np.dot(weights[weights != 0.0], losses[weights != 0.0]))


@kernel()
@quietly
def divergence_rows(scores, targets, weights, *, residual, proba=None):
    """``Σ_i w_i KL(t_i ‖ p_i) = Σ_i w_i Σ_k t_ik log(t_ik / p_ik)``, and its gradient in the scores, in one pass.

    Exact to the rounding of the scores also where p and t nearly agree and ``log Σ exp(s) + Σ t log t − ⟨t, s⟩``
    would cancel: the sum is that of the terms ``t log(t/p) − t + p``, of which none is negative.

    Parameters
    ----------
    scores : IN ndarray (n, K), float32 or float64
    targets : IN ndarray (n, K), float32 or float64
        ``t_i``, distributions. A score of −inf costs nothing where the target is 0, and inf elsewhere.
    weights, residual, proba
        As in :func:`cross_entropy_rows`.

    Returns
    -------
    value : float
        In nats; float64 sum over the rows in order.
    """
    shifted, _ = _shifted(scores, 1.0, None)
    exps = np.exp(shifted)
    total = exps.sum(axis=1, keepdims=True)
    exps /= total
    losses = _divergences(targets, exps, shifted - np.log(total))
    if proba is not None:
        proba[...] = exps
    exps -= targets
    residual[...] = _weighted(exps, weights)
    return float(np.dot(weights[weights != 0.0], losses[weights != 0.0]))


@kernel()
@quietly
def softmax_jvp_rows(proba, vectors, *, weights=None, out=None):
    """``w_i p_i ∘ (v_i − ⟨p_i, v_i⟩)``: the Jacobian of softmax, which is symmetric, times a vector, row by row.

    Parameters
    ----------
    proba : IN ndarray (n, K), float32 or float64
    vectors : IN ndarray (n, K), float32 or float64
        A vector entry is not looked at where the probability is 0: the product is exactly 0 there.
    weights : IN ndarray (n,) float64, optional
        Ones when not given. A row of weight zero gives exactly 0, whatever it holds.
    out : OUT ndarray (n, K), float32 or float64, optional
        May be `vectors` or `proba` itself.

    Returns
    -------
    product : ndarray (n, K), dtype of `out`, or of `proba` where that is not given
    """
    wide = proba.astype(np.float64)
    seen = np.where(wide != 0.0, vectors, 0.0)
    mean = np.einsum("ij,ij->i", wide, seen)
    product = np.where(wide != 0.0, wide * (seen - mean[:, None]), 0.0)
    return _delivered(_weighted(product, weights), proba.dtype, out)


@kernel()
@quietly
def entropy_rows(proba):
    """``−Σ p log p`` with ``0 log 0 = 0``, row by row.

    Parameters
    ----------
    proba : IN ndarray (n, K), float32 or float64

    Returns
    -------
    entropy : ndarray (n,), dtype of `proba`
        In nats; NaN where the row holds a NaN or a negative entry.
    """
    wide = proba.astype(np.float64)
    return (0.0 - xlogy(wide, wide).sum(axis=1)).astype(proba.dtype)


def _divergences(targets, proba, log_proba):
    """``KL(t ‖ p) = Σ t (p/t − 1 − log(p/t))`` row by row, (n,): no term is negative, so nothing cancels."""
    ratio = log_proba - np.log(targets, dtype=np.float64)
    near = targets * (np.expm1(ratio) - ratio)
    far = proba - targets - targets * ratio
    terms = np.where(np.abs(ratio) < 0.5, near, far)
    return np.where(targets == 0.0, proba, terms).sum(axis=1)


def _shifted(scores, temperature, mask):
    """``(s − max s) / temperature`` as a fresh float64 array, −inf where masked, and the maxima (n,)."""
    shifted = np.array(scores, dtype=np.float64, order="C")
    if mask is not None:
        np.copyto(shifted, -np.inf, where=~mask)
    top = shifted.max(axis=1)
    # Halves do not overflow where the difference does and its quotient by a temperature above 1 does not.
    half = 0.5 if temperature > 1.0 else 1.0
    shifted *= half
    shifted -= half * top[:, None]
    shifted /= half * temperature
    return shifted, top


def _mark_empty(top, empty_rows):
    """A row is empty where its largest available score is −inf."""
    if empty_rows is not None:
        np.equal(top, -np.inf, out=empty_rows)


def _weighted(rows, weights):
    """`rows` times their weights, in place; exactly 0 where the weight is."""
    if weights is not None:
        rows *= weights[:, None]
        rows[weights == 0.0] = 0.0
    return rows


def _delivered(result, dtype, out):
    if out is None:
        return result.astype(dtype, copy=False)
    out[...] = result
    return out
