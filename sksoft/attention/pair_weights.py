"""Weights of every key for every query of a block, as a matrix.

Averages never need them (:mod:`sksoft.attention.smoothers`); who wants to see the weights, their quantiles or the
largest ones does.
"""

import numpy as np

from sksoft.attention.compact import Compact
from sksoft.attention.pair_blocks import centred, squared_distances
from sksoft.attention.row_adaptive import RowAdaptive
from sksoft.attention.smoothers import SMOOTHERS


def pair_weights(kernel: str, Q, K, weights) -> tuple[np.ndarray, np.ndarray]:
    """Normalised weights a_ij and the logarithm of their total before that.

    Parameters
    ----------
    kernel : str
        A name of :data:`~sksoft.attention.smoothers.SMOOTHERS`.
    Q : ndarray (n, r)
        Features of the queries, in units of a bandwidth.
    K : ndarray (m, r)
        Of the keys.
    weights : ndarray (m,) > 0

    Returns
    -------
    proba : ndarray (n, m)
        Rows sum to one, or are zero where no key is within reach.
    lse : ndarray (n,)
        log Σ_j w_j k(q_i, k_j), −inf there; 0 for row-adaptive kernels.
    """
    smoother = SMOOTHERS[kernel]
    if kernel in ("gaussian", "laplace", "dot"):
        scores = pair_scores(kernel, Q, K) + np.log(weights)
        top = scores.max(axis=1, keepdims=True)
        scores -= top
        np.exp(scores, out=scores)
        total = scores.sum(axis=1, keepdims=True)
        scores /= total
        return scores, (np.log(total) + top)[:, 0]
    distances = squared_distances(*centred(Q, K))
    if isinstance(smoother, Compact):
        proba = smoother.weights(distances, None, weights)
        total = proba.sum(axis=1)
        proba /= np.where(total > 0.0, total, 1.0)[:, None]
        with np.errstate(divide="ignore"):
            return proba, np.log(total)
    assert isinstance(smoother, RowAdaptive)
    return smoother.weights(distances, None, weights)[0], np.zeros(len(Q))


def pair_scores(kernel: str, Q, K) -> np.ndarray:
    """Scores z of a softmax kernel, (n, m): −|q − k|²/2, −|q − k| or q·k."""
    if kernel == "dot":
        return Q @ K.T
    distances = squared_distances(*centred(Q, K))
    if kernel == "laplace":
        return -np.sqrt(distances, out=distances)
    distances *= -0.5
    return distances
