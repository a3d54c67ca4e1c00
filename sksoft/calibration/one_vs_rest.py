r"""One class against the rest, for calibrators of two classes: log-odds of every class, and the way back to rows.

    rₖ = zₖ − log Σ_{j≠k} exp zⱼ = log pₖ / (1 − pₖ)

With two classes r₂ = z₂ − z₁ = −r₁, so one of them says everything. Log-odds resolve what probabilities near one do
not.
"""

import numpy as np

from sksoft.kernels import rowwise
from sksoft.kernels.blocks import map_blocks, row_blocks

# Log-odds count as this large at most, so that their squares and differences are numbers.
FARTHEST = 1e100


def one_vs_rest(logits: np.ndarray) -> np.ndarray:
    """Log-odds of each class, (n, K) float64, at most 1e100 in size.

    Parameters
    ----------
    logits : ndarray (n, K), float32 or float64, finite, K >= 2
    """
    n, n_classes = logits.shape
    if n_classes == 2:
        second = log_odds_of_second(logits)
        return np.column_stack([-second, second])
    out = np.empty((n, n_classes))

    def fill(block):
        z = np.clip(logits[block].astype(np.float64), -FARTHEST, FARTHEST)
        rows, best = np.arange(len(z)), z.argmax(axis=1)
        top = z[rows, best].copy()
        z[rows, best] = -np.inf
        # for the best class the rest is without it, which no subtraction from the whole would resolve
        of_best = top - rowwise.logsumexp_rows(z)
        z[rows, best] = top
        z -= top[:, None]
        others = np.exp(z)
        np.subtract(others.sum(axis=1, keepdims=True), others, out=others)
        others[rows, best] = 1.0
        z -= np.log(others)
        z[rows, best] = of_best
        out[block] = np.clip(z, -FARTHEST, FARTHEST)

    map_blocks(fill, row_blocks(n, 8 * n_classes))
    return out


def log_odds_of_second(logits: np.ndarray) -> np.ndarray:
    """Score of the second of two classes less that of the first, (n,) float64, at most 1e100 in size."""
    halves = np.clip(0.5 * logits.astype(np.float64, copy=False), -FARTHEST, FARTHEST)
    return np.clip(2.0 * (halves[:, 1] - halves[:, 0]), -FARTHEST, FARTHEST)


def columns_to_calibrate(log_odds: np.ndarray) -> range:
    """The classes that need a calibrator of their own: the second of two, else all."""
    return range(1, 2) if log_odds.shape[1] == 2 else range(log_odds.shape[1])


def joined(columns: np.ndarray) -> np.ndarray:
    """Rows that sum to one from the probabilities of each class against the rest.

    Parameters
    ----------
    columns : ndarray (n, 1) of the second of two classes, or (n, K), in [0, 1]
        Changed in place where K > 2.

    Returns
    -------
    proba : ndarray (n, K)
        A row that is zero throughout becomes uniform.
    """
    if columns.shape[1] == 1:
        return np.column_stack([1.0 - columns[:, 0], columns[:, 0]])
    totals = columns.sum(axis=1)
    columns[totals == 0.0] = 1.0
    totals[totals == 0.0] = columns.shape[1]
    columns /= totals[:, None]
    return columns
