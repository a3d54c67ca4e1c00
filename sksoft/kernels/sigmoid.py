r"""The sigmoid and its logarithmic loss, for many labels side by side, one a column.

For a score z and a target t in [0, 1], with p = σ(z) = 1 / (1 + exp(−z)) and softplus(z) = log(1 + exp(z))::

    loss       t softplus(−z) + (1 − t) softplus(z)           = −t log p − (1 − t) log(1 − p)
    gradient   (1 − t) σ(z) − t σ(−z)                          = p − t
    curvature  σ(z) σ(−z)                                      = p (1 − p)

For a label, t = 0 or 1, one of the two terms of each is zero: nothing cancels where it is nearly certain and right.
"""

import numpy as np

from sksoft.kernels.blocks import row_blocks
from sksoft.kernels.registry import kernel
from sksoft.kernels.rowwise import quietly

# Intermediate arrays of the reference: larger ones leave the cache, and are fetched from the system each time.
CACHED_BYTES = 1 << 16


@kernel()
@quietly
def sigmoid_loss_columns(scores, targets, weights, positive, negative, *, residual, curvature):
    """Weighted losses of each column with their first two derivatives in the scores, in one pass.

    An entry weighs ``weights_i · positive_l`` as far as it is positive and ``weights_i · negative_l`` as far as not.

    Parameters
    ----------
    scores : IN ndarray (n, L), float32 or float64, finite
        A NaN makes its entry of the outputs and the value of its column NaN.
    targets : IN ndarray (n, L), uint8, float32 or float64, in [0, 1]
    weights : IN ndarray (n,), float64
    positive, negative : IN ndarray (L,), float64
    residual : OUT ndarray (n, L), dtype of `scores`
        ``weights_i (negative_l (1 − t) σ(z) − positive_l t σ(−z))``.
    curvature : OUT ndarray (n, L), dtype of `scores`
        ``weights_i (negative_l (1 − t) + positive_l t) σ(z) σ(−z)``.

    Returns
    -------
    values : ndarray (L,), float64
        In nats: ``Σ_i weights_i (positive_l t softplus(−z) + negative_l (1 − t) softplus(z))``.
    """
    values = np.zeros(scores.shape[1])
    for rows in row_blocks(scores.shape[0], 8 * scores.shape[1], CACHED_BYTES):
        values += _loss_block(
            scores[rows], targets[rows], weights[rows, None], positive, negative, residual[rows], curvature[rows]
        )
    return values


def _loss_block(scores, targets, weights, positive, negative, residual, curvature):
    z, t = np.asarray(scores, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    for_positive = weights * (t * positive)
    for_negative = weights * ((1.0 - t) * negative)
    both = for_positive + for_negative
    exps = np.abs(z)
    np.exp(np.negative(exps, out=exps), out=exps)
    whole = exps + 1.0
    larger = 1.0 / whole
    smaller = exps * larger
    # log1p(exps): what rounding took from `whole` is added to first order
    losses = np.log(whole) + (exps - (whole - 1.0)) * larger
    is_positive = z > 0.0
    above, below = np.where(is_positive, larger, smaller), np.where(is_positive, smaller, larger)
    np.multiply(larger * smaller, both, out=curvature, casting="same_kind")
    np.subtract(for_negative * above, for_positive * below, out=residual, casting="same_kind")
    losses *= both
    losses += np.where(is_positive, for_negative, for_positive) * np.abs(z)
    return losses.sum(axis=0)
