"""The sigmoid's loss and derivatives, compiled: one exponential and one logarithm an entry, vectorised over labels."""

import numpy as np

from sksoft.kernels import sigmoid
from sksoft.kernels._numba._jit import jit
from sksoft.kernels._numba.exp import exp, log
from sksoft.kernels._numba.run import over_rows


@jit
def sigmoid_loss_block(scores, targets, weights, positive, negative, residual, curvature):
    """Losses of one block's rows, (L,)."""
    values = np.zeros(scores.shape[1])
    for i in range(scores.shape[0]):
        _row(scores[i], targets[i], weights[i], positive, negative, residual[i], curvature[i], values)
    return values


@jit
def _row(scores, targets, weight, positive, negative, residual, curvature, values):
    for k in range(scores.size):
        z, t = np.float64(scores[k]), np.float64(targets[k])
        for_positive, for_negative = weight * (t * positive[k]), weight * ((1.0 - t) * negative[k])
        exponential = exp(-abs(z))
        whole = 1.0 + exponential
        larger = 1.0 / whole
        smaller = exponential * larger
        above, below = larger if z > 0.0 else smaller, smaller if z > 0.0 else larger
        # log1p(exponential): what rounding took from `whole` is added to first order
        common = log(whole) + (exponential - (whole - 1.0)) * larger
        values[k] += for_positive * (common + max(-z, 0.0)) + for_negative * (common + max(z, 0.0))
        residual[k] = for_negative * above - for_positive * below
        curvature[k] = (for_positive + for_negative) * (larger * smaller)


@sigmoid.sigmoid_loss_columns.implement("numba")
def sigmoid_loss_columns(scores, targets, weights, positive, negative, *, residual, curvature):
    columns = [np.array(factor, dtype=np.float64) for factor in (positive, negative)]
    values = over_rows(sigmoid_loss_block, (scores, targets, weights), columns, (residual, curvature))
    return np.sum(values, axis=0)
