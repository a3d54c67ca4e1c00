"""Students that take labels only: M labels drawn for each row from its soft target, and so many copies of the row.

The labels of a row are the quantiles (u + j) / M, j = 0 … M − 1, of its target with one uniform u: the expected share
of each class is its share of the target, and off by less than 1 / M. A row of weight s has s M / s̄ copies, the fraction
rounded up or down at random.
"""

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state

from sksoft._validation import take_rows
from sksoft.distillation.transfer_rows import TransferRows

NAME = "label_sampling"


def fit(student, rows: TransferRows, temperature: float, alpha: float, n_draws: int, seed: int):
    """A clone fitted to drawn labels; to the labels themselves where these are all there is."""
    targets, weights = rows.blended(temperature, alpha)
    if _are_themselves(rows, alpha):
        return clone(student).fit(rows.X, rows.labels())
    uniform = check_random_state(seed).uniform(size=(2, len(weights)))
    copies = np.floor(n_draws * weights / weights.mean() + uniform[0]).astype(np.intp)
    row = np.repeat(np.arange(len(weights)), copies)
    turn = np.arange(len(row)) - np.repeat(np.cumsum(copies) - copies, copies)
    quantile = (uniform[1][row] + turn) / copies[row]
    code = (quantile[:, None] > np.cumsum(targets, axis=1)[row, :-1]).sum(axis=1)
    return clone(student).fit(take_rows(rows.X, row), rows.classes[code])


def exactness(rows: TransferRows, alpha: float, n_draws: int) -> tuple[bool, str]:
    """Whether nothing is drawn, and why."""
    if _are_themselves(rows, alpha):
        return True, "labels of rows that weigh the same are themselves"
    return False, f"{n_draws} drawn labels a row stand for its distribution"


def _are_themselves(rows: TransferRows, alpha: float) -> bool:
    return alpha == 0.0 and bool((rows.weights == rows.weights[0]).all())
