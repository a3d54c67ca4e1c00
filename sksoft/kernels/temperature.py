"""What a temperature is found with: sums of the loss of β z and its two derivatives in β, in one pass over scores."""

import numpy as np

from sksoft.kernels.registry import kernel

# From so many scores compiled code is used: every step of a search for a temperature passes over all of them.
AUTO_SIZE = 1 << 15
# Scores count as this far below the largest of their row at most, in units: the square of it is still a number.
FARTHEST = 1e150


@kernel(auto_size=AUTO_SIZE)
def row_ranges(scores, codes):
    """The largest and the smallest score of every row, and that of its own class.

    Parameters
    ----------
    scores : IN ndarray (n, K), float32 or float64, finite, K >= 1
    codes : IN ndarray (n,) intp
        Class of every row in 0..K-1.

    Returns
    -------
    top, bottom, own : ndarray (n,) float64
    """
    own = scores[np.arange(len(codes)), codes]
    return tuple(part.astype(np.float64) for part in (scores.max(axis=1), scores.min(axis=1), own))


@kernel(auto_size=AUTO_SIZE)
def temperature_sums(scores, codes, weights, *, beta, inverse_unit):
    """Σ w L, Σ w L' and Σ w L'' over the rows, of L(β) = log Σⱼ exp(β zⱼ) − β z_y, with z the scores in a unit.

    L' = E_p[z] − z_y and L'' = Var_p(z) with p = softmax(β z), all from sums over the row of e, e d and e d² where
    d = z − max z and e = exp(β d).

    Parameters
    ----------
    scores : IN ndarray (n, K), float32 or float64, finite
    codes : IN ndarray (n,) intp
    weights : IN ndarray (n,) float64
    beta : float >= 0
    inverse_unit : float in (0, 1e307]
        z = scores · inverse_unit.

    Returns
    -------
    sums : ndarray (3,) float64
    """
    d = scores.astype(np.float64)
    d *= 0.5  # the difference of two large scores may be too large for a number
    d -= d.max(axis=1, keepdims=True)
    d *= 2.0 * inverse_unit
    np.maximum(d, -FARTHEST, out=d)
    with np.errstate(over="ignore"):
        e = np.exp(beta * d)
    own = d[np.arange(len(codes)), codes]
    total = e.sum(axis=1)
    e *= d
    mean = e.sum(axis=1) / total
    e *= d
    losses = np.log(total) - beta * own
    return np.array([weights @ losses, weights @ (mean - own), weights @ (e.sum(axis=1) / total - mean * mean)])
