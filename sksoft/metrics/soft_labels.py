"""Soft labels: rows of y that are distributions over the classes, and the score of a prediction against them."""

import numpy as np
from scipy import sparse
from sklearn.utils import check_array
from sklearn.utils.validation import check_consistent_length

from sksoft._validation import check_sample_weight
from sksoft.metrics.predictions import ROW_SUM_TOLERANCE, check_probabilities
from sksoft.metrics.scores import negative_log_likelihood


def soft_log_loss(y_true, y_proba, *, sample_weight=None, labels=None) -> float:
    """Mean cross-entropy of predictions against soft labels, in nats: ``−Σ_i w_i Σ_k t_ik ln p_ik / Σ w_i``.

    It is least, for each row, at p = t, where it is the entropy of t and not zero. A probability of 0 gives ``inf``
    where the soft label is positive, and nothing where that is 0 too. Cost: O(n K).

    Parameters
    ----------
    y_true : array-like or sparse matrix (n, K), or array-like (n,)
        Soft labels, rows that sum to 1 within 0.001 and are then divided by their sum; or labels, whose score is
        their :func:`negative_log_likelihood`.
    y_proba : array-like (n, K)
        Class probabilities, columns in the order of those of `y_true`, or of `labels`.
    sample_weight : array-like (n,), optional
        Non-negative.
    labels : array-like (K,), optional
        Class of each column of `y_proba`; looked at only for labels.

    Returns
    -------
    loss : float >= 0
        In nats, possibly ``inf``.

    Raises
    ------
    ValueError
        If rows of either do not sum to 1 or hold NaN or negative numbers, or the shapes differ.

    See Also
    --------
    sksoft.metrics.negative_log_likelihood : The same for labels.

    Examples
    --------
    >>> from sksoft.metrics import soft_log_loss
    >>> round(soft_log_loss([[0.5, 0.5], [1.0, 0.0]], [[0.5, 0.5], [0.8, 0.2]]), 4)
    0.4581
    """
    if not is_soft(y_true):
        return negative_log_likelihood(y_true, y_proba, sample_weight=sample_weight, labels=labels)
    proba = check_probabilities(y_proba)
    if sparse.issparse(y_true):
        y_true = sparse.csr_array(y_true)
    else:
        y_true = check_array(y_true, dtype=None, ensure_all_finite=False, input_name="y_true")
    check_consistent_length(y_true, proba)
    if y_true.shape != proba.shape:
        raise ValueError(f"Soft labels y_true have shape {y_true.shape}. Got y_proba of shape {proba.shape} instead.")
    weights = check_sample_weight(sample_weight, proba)
    kept = np.flatnonzero(weights > 0)
    targets = check_soft_labels("y_true", y_true[kept], kept)
    if sparse.issparse(targets):
        rows, columns = targets.nonzero()
        losses = np.bincount(rows, weights=targets.data * _surprise(proba[kept[rows], columns]), minlength=len(kept))
    else:
        losses = np.einsum("ij,ij->i", targets, np.where(targets > 0.0, _surprise(proba[kept]), 0.0))
    return float(np.average(losses, weights=weights[kept]))


def is_soft(y) -> bool:
    """Whether y has two columns or more, and so is soft labels and not labels."""
    shape = shape_of(y)
    return len(shape) == 2 and shape[1] > 1


def shape_of(y) -> tuple[int, ...]:
    """Shape of any array-like."""
    return tuple(y.shape) if hasattr(y, "shape") else np.shape(y)


def check_soft_labels(name: str, y, rows):
    """Soft labels as distributions.

    Parameters
    ----------
    name : str
        Of y, for messages.
    y : ndarray or CSR array (n, K)
    rows : ndarray (n,) of integers
        Number of each row, for messages.

    Returns
    -------
    proba : ndarray or CSR array (n, K), float64
        A copy whose rows sum to one; of a CSR array only the positive entries are stored.

    Raises
    ------
    ValueError
        For what is no number, for NaN or infinity, negative entries, or rows that do not sum to one within
        ``ROW_SUM_TOLERANCE``: the message names the first such row.
    """
    try:
        y = y.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Soft labels {name} of shape (n_samples, n_classes) must hold numbers: {error}.") from error
    if sparse.issparse(y):
        y.sum_duplicates()
        y.eliminate_zeros()
    lowest = y.min(axis=1).toarray().ravel() if sparse.issparse(y) else y.min(axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        totals = np.asarray(y.sum(axis=1))
    odd = ~np.isfinite(totals)
    if odd.any():
        raise ValueError(f"Input {name} contains NaN or infinity in row {rows[np.argmax(odd)]}.")
    if (lowest < 0.0).any():
        at = int(np.argmax(lowest < 0.0))
        raise ValueError(f"Soft labels {name} must not be negative. Got {lowest[at]:g} in row {rows[at]} instead.")
    wrong = np.abs(totals - 1.0) > ROW_SUM_TOLERANCE
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(
            f"Rows of soft labels {name} must sum to one within {ROW_SUM_TOLERANCE:g}. Got {totals[at]:g} in row"
            f" {rows[at]} instead. Where a row can have several labels or none, use SigmoidClassifier."
        )
    return scale_rows(y, 1.0 / totals)


def scale_rows(y, factors: np.ndarray):
    """Rows of a dense or CSR array times their factors, in place."""
    if sparse.issparse(y):
        y.data *= np.repeat(factors, np.diff(y.indptr))
    else:
        y *= factors[:, None]
    return y


def _surprise(proba: np.ndarray) -> np.ndarray:
    """−ln p, inf at 0."""
    with np.errstate(divide="ignore"):
        return 0.0 - np.log(proba, dtype=np.float64)
