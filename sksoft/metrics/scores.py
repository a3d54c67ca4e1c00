"""Proper scores and uncertainty of single predictions; natural logarithms throughout (units: nats)."""

import numpy as np

from sksoft.kernels import bins, placement, rowwise
from sksoft.metrics.predictions import Predictions, check_predictions, check_probabilities


def negative_log_likelihood(y_true, y_proba, *, sample_weight=None, labels=None, pos_label=None) -> float:
    """Mean negative log-likelihood of the true classes, in nats: ``−Σ w_i ln p_i[y_i] / Σ w_i``.

    A true class of probability 0 gives ``inf``: nothing is clipped, where scikit-learn's ``log_loss`` clips
    at the machine precision.

    Parameters
    ----------
    y_true : array-like (n,)
        True labels of any type.
    y_proba : array-like (n, K) or (n,)
        Class probabilities, or the probability of the positive class; computed on where they live, also on a CUDA
        device.
    sample_weight : array-like (n,), optional
        Non-negative.
    labels : array-like (K,), optional
        Class of each column, in the order of the columns; by default the sorted labels of `y_true`.
    pos_label : label, optional
        The positive class of a one-dimensional `y_proba`.

    Returns
    -------
    loss : float >= 0

    Raises
    ------
    ValueError
        For invalid labels, probabilities or weights.

    Examples
    --------
    >>> import math
    >>> from sksoft.metrics import negative_log_likelihood
    >>> math.isclose(negative_log_likelihood([0, 1], [0.5, 0.5]), math.log(2))
    True
    """
    predictions = check_predictions(
        y_true, y_proba, sample_weight=sample_weight, labels=labels, pos_label=pos_label, device=True
    )
    return predictions.mean(log_losses(predictions))


def brier_score(y_true, y_proba, *, scale_by_half=False, sample_weight=None, labels=None, pos_label=None) -> float:
    """Mean squared distance between probabilities and the true class (Brier 1950, eq. 2).

    ``Σ_i w_i Σ_k (p_ik − 1[y_i = k])² / Σ w_i``, in [0, 2], for several columns; for a one-dimensional
    `y_proba` the usual binary form ``Σ_i w_i (p_i − 1[y_i positive])² / Σ w_i``, in [0, 1], half of what its
    two columns would give.

    Parameters
    ----------
    y_true, y_proba
        As in :func:`negative_log_likelihood`.
    scale_by_half : bool, default=False
        Halve the score of several columns, so that two columns and one agree; no effect on one column.
    sample_weight, labels, pos_label
        As in :func:`negative_log_likelihood`.

    Returns
    -------
    score : float >= 0

    Examples
    --------
    >>> from sksoft.metrics import brier_score
    >>> print(brier_score([0, 1], [0.5, 0.5]), brier_score([0, 1], [[0.5, 0.5], [0.5, 0.5]]))
    0.25 0.5
    """
    predictions = check_predictions(
        y_true, y_proba, sample_weight=sample_weight, labels=labels, pos_label=pos_label, device=True
    )
    scale = 0.5 if scale_by_half and not predictions.is_binary else 1.0
    return scale * predictions.mean(squared_errors(predictions))


def predictive_entropy(y_proba, *, normalize=False) -> np.ndarray:
    """Shannon entropy of each prediction in nats: ``−Σ_k p_k ln p_k``, with 0 ln 0 = 0.

    Parameters
    ----------
    y_proba : array-like (n, K) or (n,)
        Class probabilities, or the probability of the positive class; computed on where they live, also on a CUDA
        device.
    normalize : bool, default=False
        Divide by its maximum ln K, so that values lie in [0, 1].

    Returns
    -------
    entropy : ndarray (n,) float64

    Examples
    --------
    >>> from sksoft.metrics import predictive_entropy
    >>> predictive_entropy([[0.5, 0.5], [1.0, 0.0]], normalize=True)
    array([1., 0.])
    """
    proba = check_probabilities(y_proba, device=True)
    n_classes = 2 if proba.ndim == 1 else proba.shape[1]
    return placement.beside(entropies(proba) / (float(np.log(n_classes)) if normalize else 1.0), y_proba)


def prediction_margin(y_proba) -> np.ndarray:
    """Distance between the largest and the second largest probability of each prediction, in [0, 1].

    Parameters
    ----------
    y_proba : array-like (n, K) or (n,)
        Class probabilities, or the probability of the positive class; computed on where they live, also on a CUDA
        device.

    Returns
    -------
    margin : ndarray (n,) float64
        Small where the prediction is uncertain.

    Examples
    --------
    >>> from sksoft.metrics import prediction_margin
    >>> prediction_margin([[0.5, 0.25, 0.25], [0.0, 0.5, 0.5]])
    array([0.25, 0.  ])
    """
    proba = check_probabilities(y_proba, device=True)
    if proba.ndim == 1:
        return placement.beside(np.abs(2.0 * proba - 1.0).astype(np.float64), y_proba)
    largest = np.partition(proba, proba.shape[1] - 2, axis=1)[:, -2:].astype(np.float64)
    return placement.beside(largest[:, 1] - largest[:, 0], y_proba)


def log_losses(predictions: Predictions) -> np.ndarray:
    """−ln p[y] of every row, (n,); inf where the true class has probability 0."""
    if predictions.is_binary:
        return bins.binary_losses(predictions.codes == 1, *bins.binary_logs(_double(predictions.proba)))
    with np.errstate(divide="ignore"):
        return 0.0 - np.log(_true_class_proba(predictions))


def squared_errors(predictions: Predictions) -> np.ndarray:
    """Brier score of every row, (n,): Σ_k (p_k − 1[y = k])², for one-dimensional probabilities its binary half."""
    proba = predictions.proba
    if predictions.is_binary:
        return (_double(proba) - predictions.codes) ** 2
    p_true = _true_class_proba(predictions)
    others = np.einsum("ij,ij->i", proba, proba, dtype=np.float64) - p_true**2
    return np.maximum(others, 0.0) + (1.0 - p_true) ** 2


def entropies(proba: np.ndarray) -> np.ndarray:
    """−Σ p ln p of every row, (n,), in nats."""
    if proba.ndim == 2:
        return _double(rowwise.entropy_rows(proba))
    return bins.binary_entropies(_double(proba), *bins.binary_logs(_double(proba)))


def _double(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64, copy=False)


def _true_class_proba(predictions: Predictions) -> np.ndarray:
    return np.take_along_axis(predictions.proba, predictions.codes[:, None], axis=1)[:, 0].astype(np.float64)
