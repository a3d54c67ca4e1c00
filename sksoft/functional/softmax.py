r"""Softmax and its sparse relatives as functions of arrays of any shape, and their Jacobian products.

Everything is computed along one `axis`, row by row in the sense of :mod:`sksoft.kernels.rowwise`; the other axes are
kept. float32 in gives float32 out; integers and other floats are computed in float64.

============= ======================================================= =====================
function      definition                                              zeros
============= ======================================================= =====================
softmax       p = exp(s / τ) / Σ exp(s / τ)                           only where masked, −inf or underflowing
entmax        p = [(α − 1) s / τ − t]₊ ^ (1 / (α − 1)), Σ p = 1       below the threshold t
sparsemax     p = [s / τ − t]₊, Σ p = 1: the nearest distribution     below the threshold t
============= ======================================================= =====================
"""

import math
from numbers import Real

import numpy as np

from sksoft.functional.array_input import array_beside, real_array
from sksoft.kernels import placement, projections, rowwise
from sksoft.kernels.registry import placed

__all__ = [
    "entmax",
    "log_softmax",
    "logsumexp",
    "softmax",
    "softmax_jacobian",
    "softmax_jvp",
    "softmax_vjp",
    "sparsemax",
]

EMPTY = ("raise", "nan", "zero", "uniform")


def softmax(scores, axis=-1, *, temperature=1.0, mask=None, empty="raise", out=None):
    r"""Softmax with temperature: ``exp(scores / temperature)`` over its sum along `axis`.

    The maximum is subtracted before the division, so nothing overflows: not at scores of ±1e308, not at a temperature
    of 1e-300, where the answer is 1 at the largest score.

    Parameters
    ----------
    scores : array-like of real numbers, any shape with at least one axis
        −inf means "impossible". NaN and +inf make their own row NaN. Scores on a CUDA device (an array of CuPy,
        PyTorch, numba or another library) are computed on there.
    axis : int, default=-1
        Axis along which the result sums to 1.
    temperature : float, positive and finite, default=1.0
        In the units of the scores: below 1 sharper, above 1 flatter.
    mask : array-like of bool, broadcastable to the shape of `scores`, optional
        True where an entry is available. Others get exactly 0, whatever their score is, NaN included.
    empty : {'raise', 'nan', 'zero', 'uniform'}, default='raise'
        What a row with nothing available (all masked or −inf) gives: an error, NaN, zeros, or the same probability
        for all its entries.
    out : ndarray of the shape and dtype of the result, optional
        Where to put it; may be `scores`. Large results cost less than half in memory that is already there. On the
        device where `scores` are.

    Returns
    -------
    proba : ndarray, shape of `scores`
        `out` where given; else of the kind of `scores` where these are on a device, here and in what follows.

    Raises
    ------
    ValueError
        If a parameter is not as described, or a row is empty and ``empty='raise'``.

    See Also
    --------
    log_softmax, sparsemax, entmax

    Notes
    -----
    O(size) time, one pass over memory; C-ordered input along the last axis needs no copy. A mask of the host is moved
    to the device where the scores are; with ``backend='cuda'`` arrays of the host are moved there, and the result back.

    Examples
    --------
    >>> from sksoft import softmax
    >>> softmax([0.0, 1.0, 3.0]).round(3)
    array([0.042, 0.114, 0.844])
    >>> softmax([0.0, 1.0, 3.0], temperature=0.1).round(3)
    array([0., 0., 1.])
    >>> softmax([[0.0, 1.0, 3.0]], mask=[True, True, False]).round(3)
    array([[0.269, 0.731, 0.   ]])
    """
    return _distribution(rowwise.softmax_rows, scores, axis, temperature, mask, empty, out)


def log_softmax(scores, axis=-1, *, temperature=1.0, mask=None, empty="raise", out=None):
    """Logarithm of softmax, in nats, without the detour over probabilities that round to 0.

    Parameters
    ----------
    scores, axis, temperature, mask
        As in :func:`softmax`.
    empty : {'raise', 'nan', 'zero', 'uniform'}, default='raise'
        What a row with nothing available gives: an error, NaN, or the logarithm of zeros or of equal probabilities.
    out : ndarray, optional
        As in :func:`softmax`.

    Returns
    -------
    log_proba : ndarray, shape of `scores`
        −inf exactly where masked or where the score is −inf.

    Raises
    ------
    ValueError
        As in :func:`softmax`.

    Examples
    --------
    >>> from sksoft import log_softmax
    >>> log_softmax([0.0, -1000.0])
    array([    0., -1000.])
    """
    return _distribution(rowwise.log_softmax_rows, scores, axis, temperature, mask, empty, out)


def logsumexp(scores, axis=-1, *, temperature=1.0, mask=None, keepdims=False):
    """``log Σ exp(scores / temperature)`` along `axis`, in nats.

    Parameters
    ----------
    scores, axis, temperature, mask
        As in :func:`softmax`.
    keepdims : bool, default=False
        Keep `axis` with length 1.

    Returns
    -------
    value : ndarray or scalar, shape of `scores` without `axis`
        −inf where nothing is available, +inf where a score is.

    Raises
    ------
    ValueError
        If a parameter is not as described.

    Notes
    -----
    ``temperature * logsumexp(scores, temperature=temperature)`` is the smooth maximum, or minus the free energy of
    energies −scores.

    Examples
    --------
    >>> from sksoft import logsumexp
    >>> float(logsumexp([1000.0, 1000.0]))
    1000.6931471805599
    """
    rows = _Rows(scores, axis, mask)
    value = rowwise.logsumexp_rows(rows.scores, temperature=_checked_temperature(temperature), mask=rows.mask)
    value = value.reshape(rows.other_shape)
    return placement.beside(np.expand_dims(value, axis) if keepdims else value[()], scores)


def sparsemax(scores, axis=-1, *, temperature=1.0, mask=None, empty="raise", out=None):
    """Sparsemax: the distribution nearest to ``scores / temperature`` in Euclidean distance, along `axis` [1]_.

    Parameters
    ----------
    scores, axis, temperature, mask, empty, out
        As in :func:`softmax`.

    Returns
    -------
    proba : ndarray, shape of `scores`
        Exactly 0 off the support.

    Raises
    ------
    ValueError
        As in :func:`softmax`.

    Notes
    -----
    O(size) time times the Newton steps of a row, about five.

    References
    ----------
    .. [1] Martins, Astudillo, "From softmax to sparsemax", ICML 2016, eq. (2).

    Examples
    --------
    >>> from sksoft import sparsemax
    >>> sparsemax([0.0, 1.0, 1.5])
    array([0.  , 0.25, 0.75])
    """
    return _distribution(projections.sparsemax_rows, scores, axis, temperature, mask, empty, out)


def entmax(scores, alpha=1.5, axis=-1, *, temperature=1.0, mask=None, empty="raise", out=None):
    """α-entmax along `axis` [1]_: between softmax (α → 1) and sparsemax (α = 2).

    Parameters
    ----------
    scores : array-like
        As in :func:`softmax`.
    alpha : float in [1, 2], default=1.5
        1 is softmax and 2 is sparsemax.
    axis, temperature, mask, empty, out
        As in :func:`softmax`.

    Returns
    -------
    proba : ndarray, shape of `scores`
        Exactly 0 off the support.

    Raises
    ------
    ValueError
        As in :func:`softmax`, or if `alpha` is outside [1, 2].

    References
    ----------
    .. [1] Peters, Niculae, Martins, "Sparse sequence-to-sequence models", ACL 2019, eq. (10).

    Examples
    --------
    >>> from sksoft import entmax
    >>> entmax([0.0, 1.0, 2.5]).round(3)
    array([0.  , 0.05, 0.95])
    """
    if not isinstance(alpha, Real) or not 1.0 <= float(alpha) <= 2.0:
        raise ValueError(
            f"The 'alpha' parameter of entmax must be a float in the range [1.0, 2.0]. Got {alpha!r} instead."
        )
    if alpha == 1.0:
        return softmax(scores, axis, temperature=temperature, mask=mask, empty=empty, out=out)
    return _distribution(projections.entmax_rows, scores, axis, temperature, mask, empty, out, alpha=float(alpha))


def softmax_jvp(proba, vectors, axis=-1):
    """Jacobian of softmax times a vector, ``p ∘ (v − ⟨p, v⟩)`` along `axis`, from the probabilities.

    For softmax at temperature τ divide by τ.

    Parameters
    ----------
    proba : array-like
        Probabilities along `axis`, as :func:`softmax` gives them. Computed on where they are, as there.
    vectors : array-like, shape of `proba`
        A tangent of the scores. Not looked at where the probability is 0.
    axis : int, default=-1

    Returns
    -------
    product : ndarray, shape of `proba`
        Exactly 0 where the probability is.

    Raises
    ------
    ValueError
        If the shapes differ or there is no such axis.

    Examples
    --------
    >>> from sksoft import softmax_jvp
    >>> softmax_jvp([0.25, 0.75], [1.0, 0.0])
    array([ 0.1875, -0.1875])
    """
    like, proba = proba, real_array("proba", proba)
    vectors = real_array("vectors", vectors, proba)
    if proba.shape != vectors.shape:
        raise ValueError(
            f"'proba' and 'vectors' must have the same shape. Got {proba.shape} and {vectors.shape} instead."
        )
    dtype = np.result_type(proba.dtype, vectors.dtype)
    rows = _Rows(proba.astype(dtype, copy=False), axis, name="proba")
    product = rowwise.softmax_jvp_rows(rows.scores, rows.to_rows(vectors.astype(dtype, copy=False)))
    return placement.beside(rows.from_rows(product), like)


def softmax_vjp(proba, vectors, axis=-1):
    """A vector times the Jacobian of softmax, which is symmetric: the same as :func:`softmax_jvp`.

    Parameters
    ----------
    proba, vectors, axis
        As in :func:`softmax_jvp`; `vectors` is a cotangent of the probabilities, such as the gradient of a loss.

    Returns
    -------
    product : ndarray, shape of `proba`

    Raises
    ------
    ValueError
        As in :func:`softmax_jvp`.

    Examples
    --------
    >>> from sksoft import softmax_vjp
    >>> softmax_vjp([0.25, 0.75], [1.0, 0.0])
    array([ 0.1875, -0.1875])
    """
    return softmax_jvp(proba, vectors, axis)


def softmax_jacobian(proba):
    """Jacobian of softmax, ``diag(p) − p pᵀ``, for each distribution along the last axis.

    Parameters
    ----------
    proba : array-like of shape (..., K)
        Computed on where they are, as in :func:`softmax`.

    Returns
    -------
    jacobian : ndarray of shape (..., K, K)
        ``jacobian[..., i, j]`` is the derivative of probability i in score j. The diagonal is p (1 − p) with 1 − p
        summed from the others, so rows sum to 0 to rounding where p is nearly 1.

    Raises
    ------
    ValueError
        If `proba` has no axis.

    Examples
    --------
    >>> from sksoft import softmax_jacobian
    >>> softmax_jacobian([0.25, 0.75])
    array([[ 0.1875, -0.1875],
           [-0.1875,  0.1875]])
    """
    like, proba = proba, _Rows(placed(proba, "softmax_jacobian"), -1, name="proba").array
    jacobian = -proba[..., :, None] * proba[..., None, :]
    own = placement.namespace(proba).arange(proba.shape[-1])
    jacobian[..., own, own] = 0.0
    jacobian[..., own, own] = -jacobian.sum(axis=-1)
    return placement.beside(jacobian, like)


class _Rows:
    """An array seen as (n, K) rows along one axis, where it is computed on, and the way back."""

    def __init__(self, array, axis, mask=None, name="scores"):
        self.is_given_there = placement.on_device(array)
        self.array = real_array(name, array)
        if self.array.ndim == 0:
            raise ValueError(f"{name!r} must have at least one axis. Got a scalar instead.")
        self.axis = np.lib.array_utils.normalize_axis_index(axis, self.array.ndim)
        if self.array.shape[self.axis] == 0:
            raise ValueError(
                f"{name!r} must have at least one entry along axis {axis}. Got shape {self.array.shape} instead."
            )
        moved = self.array.shape[: self.axis] + self.array.shape[self.axis + 1 :]
        self.other_shape = moved
        self.scores = self.to_rows(self.array)
        self.mask = None if mask is None else self.to_rows(_checked_mask(mask, self.array))

    def to_rows(self, array):
        """(n, K), a view where the memory allows it."""
        return np.moveaxis(array, self.axis, -1).reshape(-1, array.shape[self.axis])

    def target(self, out):
        """`out` as rows that a kernel may write, None where it must write elsewhere first."""
        if out is None:
            return None
        kind = "an array on the device" if self.is_given_there else "an ndarray"
        expected = f"{kind} of shape {self.array.shape} and dtype {self.array.dtype}"
        if not (placement.on_device(out) if self.is_given_there else isinstance(out, np.ndarray)):
            raise ValueError(f"The 'out' parameter must be {expected}. Got {type(out).__name__} instead.")
        given, out = out, placement.where(self.array, out)
        address, is_read_only = placement.memory(out)
        if out.shape != self.array.shape or out.dtype != self.array.dtype or is_read_only:
            what = f"shape {out.shape} and dtype {out.dtype}" + (", read-only" if is_read_only else "")
            raise ValueError(f"The 'out' parameter must be {expected}. Got {what} instead.")
        if placement.on_device(given) != placement.on_device(out):
            return None
        same = (address, out.strides) == (placement.memory(self.array)[0], self.array.strides)
        if np.may_share_memory(out, self.array) and not same:
            return None
        rows = self.to_rows(out)
        return rows if np.may_share_memory(rows, out) else None

    def from_rows(self, rows):
        return np.moveaxis(rows.reshape(*self.other_shape, rows.shape[1]), -1, self.axis)


def _distribution(kernel, scores, axis, temperature, mask, empty, out, **settings):
    """Run a kernel that gives one distribution a row, and give empty rows what `empty` says."""
    temperature = _checked_temperature(temperature)
    if empty not in EMPTY:
        raise ValueError(f"The 'empty' parameter must be one of {EMPTY}. Got {empty!r} instead.")
    rows = _Rows(scores, axis, mask)
    target = rows.target(out)
    is_empty = placement.namespace(rows.scores).zeros(len(rows.scores), dtype=bool)
    found = kernel(rows.scores, temperature=temperature, mask=rows.mask, out=target, empty_rows=is_empty, **settings)
    if is_empty.any():
        _fill_empty(found, is_empty, empty, kernel is rowwise.log_softmax_rows)
    if out is None:
        return placement.beside(rows.from_rows(found), scores)
    if target is None:
        out[...] = placement.beside(rows.from_rows(found), out)
    return out


def _fill_empty(found, is_empty, empty, logarithmic):
    """Rows with nothing available hold NaN; give them what the caller asked for."""
    if empty == "raise":
        which = np.flatnonzero(is_empty)
        raise ValueError(
            f"{len(which)} row(s) have nothing available: all their entries are masked or -inf, the first being row "
            f"{int(which[0])}. Set the 'empty' parameter to one of {EMPTY[1:]} to accept them."
        )
    if empty != "nan":
        value = 0.0 if empty == "zero" else 1.0 / found.shape[1]
        with np.errstate(divide="ignore"):
            found[is_empty] = np.log(value) if logarithmic else value


def _checked_temperature(temperature) -> float:
    if isinstance(temperature, Real) and not isinstance(temperature, bool | np.bool_):
        value = float(temperature)
        if math.isfinite(value) and value > 0.0:
            return value
    raise ValueError(f"The 'temperature' parameter must be a positive finite float. Got {temperature!r} instead.")


def _checked_mask(mask, scores):
    mask, shape = array_beside("mask", mask, scores), scores.shape
    if mask.dtype != bool:
        raise ValueError(f"The 'mask' parameter must be an array of bool. Got an array of {mask.dtype} instead.")
    try:
        return np.broadcast_to(mask, shape)
    except ValueError:
        raise ValueError(
            f"The 'mask' parameter must be broadcastable to the shape of the scores, {shape}. "
            f"Got shape {mask.shape} instead."
        ) from None
