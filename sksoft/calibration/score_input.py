"""What a calibrator takes: scores or probabilities, as said and never as guessed, turned into logits."""

import numpy as np
from sklearn.utils.validation import check_array

from sksoft.metrics.predictions import ROW_SUM_TOLERANCE


def as_logits(X, input: str, name: str) -> np.ndarray:
    """Logits of shape (n, K), float64, from what a user passed to a calibrator.

    Parameters
    ----------
    X : array-like of shape (n, K) or (n,)
        One-dimensional (or one column) means two classes: scores (0, z), or the probability of the second class.
    input : {'logits', 'proba'}
    name : str
        Who asks, for messages.

    Returns
    -------
    logits : ndarray of shape (n, K)
        Probabilities give log p, see :func:`log_proba`.

    Raises
    ------
    ValueError
        For NaN or infinite values, negative probabilities or rows that do not sum to one within 1e-3.
    """
    X = check_array(X, dtype=np.float64, ensure_2d=False, estimator=name, input_name="X")
    if X.ndim == 1 or X.shape[1] == 1:
        second = X.reshape(-1)
        X = np.column_stack([1.0 - second if input == "proba" else np.zeros_like(second), second])
    if input == "logits":
        return X
    _check_proba(X, name)
    return log_proba(X)


def log_proba(proba) -> np.ndarray:
    """log p, with p below 2.2e-16 counted as that.

    A classifier that says exactly zero does not mean infinitely unlikely: the floor is the one of scikit-learn's
    ``log_loss``, float64's machine epsilon.
    """
    return np.log(np.maximum(np.asarray(proba, dtype=np.float64), np.finfo(np.float64).eps))


def _check_proba(proba: np.ndarray, name: str) -> None:
    """The rule of the metrics: nothing negative, rows that sum to one within their tolerance."""
    negative = np.argwhere(proba < 0.0)
    if len(negative):
        row, column = negative[0]
        raise ValueError(
            f"X of {name}(input='proba') must hold probabilities. Got {proba[row, column]:g} in row {row}, column"
            f" {column}; scores need input='logits'."
        )
    totals = proba.sum(axis=1)
    wrong = np.flatnonzero(np.abs(totals - 1.0) > ROW_SUM_TOLERANCE)
    if len(wrong):
        raise ValueError(
            f"Rows of X of {name}(input='proba') must sum to one within {ROW_SUM_TOLERANCE:g}."
            f" Got {totals[wrong[0]]:g} in row {wrong[0]}; scores need input='logits'."
        )
