"""Which predictions are the most uncertain: from probabilities to a few rows, in one pass and without an (n,) array.

The uncertainty of a row p of K probabilities, higher = more uncertain:

==================== ============================= ===============
``MARGIN``           1 − (p₍₁₎ − p₍₂₎)              the two largest
``ENTROPY``          −Σ_k p_k ln p_k, nats         0 ln 0 = 0
``LEAST_CONFIDENCE`` 1 − p₍₁₎                       the largest
==================== ============================= ===============

Rows of the same numbers in another order are equally uncertain to the last bit, so that ties are ties: a sum of floats
in the order of the columns would prefer some classes. Hence each −p ln p is rounded to a grid on which sums are exact.
"""

import math

import numpy as np
from scipy.special import xlogy

from sksoft.kernels.registry import kernel

MARGIN, ENTROPY, LEAST_CONFIDENCE = range(3)

# A row of probabilities may miss 1 by this much, as in `sksoft.metrics`.
ROW_SUM_TOLERANCE = 1e-3


def entropy_grid(n_classes: int) -> float:
    """A power of two so small that rounding to it is rounding in ln K, and so large that 53 bits hold any sum."""
    return 2.0 ** max(-52, math.ceil(math.log2(0.01 + 1.01 * math.log(n_classes))) - 53)


def uncertainty(proba, kind: int) -> np.ndarray:
    """Uncertainty (n,) float64 of every row of `proba` (n, K >= 2); see the table above."""
    proba = np.asarray(proba, dtype=np.float64)
    if kind == ENTROPY:
        grid = entropy_grid(proba.shape[1])
        return 0.0 - np.rint(xlogy(proba, proba) / grid).sum(axis=1) * grid
    if kind == LEAST_CONFIDENCE:
        return 1.0 - proba.max(axis=1)
    largest = np.partition(proba, proba.shape[1] - 2, axis=1)
    return 1.0 - (largest[:, -1] - largest[:, -2])


def first_rows(scores, n_rows: int) -> np.ndarray:
    """The `n_rows` rows of the highest score, (n_rows,) intp: in descending order of it, equal ones by their index."""
    scores = np.asarray(scores)
    if 0 < n_rows < len(scores):
        lowest = np.partition(scores, len(scores) - n_rows)[len(scores) - n_rows]
        rows = np.flatnonzero(scores >= lowest)  # all ties, so that the index decides between them
    else:
        rows = np.arange(len(scores))
    return rows[np.argsort(-scores[rows], kind="stable")][:n_rows]


@kernel()
def most_uncertain_rows(proba, *, n_rows, kind):
    """The `n_rows` most uncertain rows, and whether all rows are distributions, in one pass.

    Parameters
    ----------
    proba : IN ndarray (n, K), float32 or float64, K >= 2
    n_rows : int, 1 <= n_rows <= n
    kind : int
        ``MARGIN``, ``ENTROPY`` or ``LEAST_CONFIDENCE``.

    Returns
    -------
    rows : ndarray (n_rows,) intp
        In descending order of uncertainty, equal ones by their index. Empty where a row is not a distribution.
    scores : ndarray (n_rows,) float64
        Their uncertainty.
    first_invalid : int
        The first row that holds a NaN or a number below 0, or misses the sum 1 by more than ``ROW_SUM_TOLERANCE``;
        −1 where there is none.
    """
    total = proba.sum(axis=1, dtype=np.float64)
    valid = (proba.min(axis=1) >= 0) & (np.abs(total - 1.0) <= ROW_SUM_TOLERANCE)
    if not valid.all():
        return np.empty(0, dtype=np.intp), np.empty(0), int(np.argmin(valid))
    scores = uncertainty(proba, kind)
    rows = first_rows(scores, n_rows)
    return rows, scores[rows], -1
