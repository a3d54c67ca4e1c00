"""Softmax and sums over segments: the entries of a CSR row, the alternatives of a choice, the objects of a trial.

Segment i is the entries ``starts[i] … starts[i + 1] − 1`` of flat arrays of E entries, with ``starts[0] = 0`` and
``starts[-1] = E``; it may be empty. Floats are float32 or float64, sums are float64.
"""

import numpy as np

from sksoft.kernels.blocks import row_blocks
from sksoft.kernels.registry import kernel


def owners(starts: np.ndarray) -> np.ndarray:
    """The segment of each entry, (E,)."""
    return np.repeat(np.arange(len(starts) - 1), np.diff(starts))


def _reduce(function, values: np.ndarray, starts: np.ndarray, empty: float) -> np.ndarray:
    """``function.reduceat`` over the segments, `empty` for those without entries."""
    reduced = np.full(len(starts) - 1, empty)
    filled = np.flatnonzero(np.diff(starts))
    if len(filled):
        reduced[filled] = function.reduceat(np.asarray(values, np.float64), starts[filled])
    return reduced


@kernel()
def segment_softmax(scores, starts):
    """Softmax over each segment, ``p_e = exp(scores_e − lse_i)`` with ``lse_i = log Σ_{e in i} exp scores_e``.

    Parameters
    ----------
    scores : IN ndarray (E,), float32 or float64
        −inf has probability 0. NaN and +inf make all of their segment NaN.
    starts : IN ndarray (n + 1,), int32 or int64

    Returns
    -------
    proba : ndarray (E,), dtype of `scores`
        Zeros in a segment that has scores of −inf only.
    lse : ndarray (n,), float64
        −inf for a segment without entries, or with scores of −inf only.
    """
    segment = owners(starts)
    largest = segment_maxima(scores, starts)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        shift = np.where(largest == -np.inf, 0.0, largest)
        proba = np.exp(scores - shift[segment].astype(scores.dtype))
        total = _reduce(np.add, proba, starts, 0.0)
        lse = np.log(total) + shift
        proba /= np.where(total == 0.0, 1.0, total)[segment].astype(scores.dtype)
    return proba, lse


@kernel()
def segment_softmax_vjp(proba, vectors, starts):
    """The Jacobian of the softmax of each segment times a vector, ``p_e (v_e − Σ_{f in i} p_f v_f)``.

    Parameters
    ----------
    proba, vectors : IN ndarray (E,), float32 or float64, the same
    starts : IN ndarray (n + 1,), int32 or int64

    Returns
    -------
    product : ndarray (E,), dtype of `proba`
    """
    mean = _reduce(np.add, np.multiply(proba, vectors, dtype=np.float64), starts, 0.0)
    return (proba * (vectors - mean[owners(starts)])).astype(proba.dtype)


@kernel()
def segment_products(columns, starts, left, right):
    """``⟨left_i, right_j⟩`` for each entry j = columns_e of segment i: a product of two matrices where a third has
    entries.

    Parameters
    ----------
    columns : IN ndarray (E,), int32 or int64, rows of `right`
    starts : IN ndarray (n + 1,), int32 or int64
    left : IN ndarray (n, d), float32 or float64
    right : IN ndarray (m, d), dtype of `left`

    Returns
    -------
    products : ndarray (E,), dtype of `left`
    """
    segment, products = owners(starts), np.empty(len(columns), left.dtype)
    for entries in row_blocks(len(columns), 2 * left.itemsize * left.shape[1]):
        pairs = left[segment[entries]], right[columns[entries]]
        products[entries] = np.einsum("ed,ed->e", *pairs, dtype=np.float64)
    return products


def segment_maxima(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Largest of each segment, (n,), float64; −inf for one without entries."""
    return _reduce(np.maximum, values, starts, -np.inf)


def segment_sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sum over each segment, (n,), float64; 0 for one without entries."""
    return _reduce(np.add, values, starts, 0.0)
