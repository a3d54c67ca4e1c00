"""What a calibrator takes: scores or probabilities, as said and never as guessed, turned into logits; and labels.

Scores on a CUDA device stay there, and labels and weights are read on the host and go beside them as codes and numbers.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from sksoft._validation import (
    check_is_fitted,
    check_sample_weight,
    device_numbers,
    require_host,
)
from sksoft.kernels import placement
from sksoft.kernels.registry import placed
from sksoft.metrics.labels import encode_labels, sorted_labels
from sksoft.metrics.logits import log_proba
from sksoft.metrics.predictions import ROW_SUM_TOLERANCE


@dataclass(frozen=True)
class ScoredRows:
    """The rows that a calibrator is fitted to: those that weigh anything.

    Where the scores live on a device, so do `logits`, `codes` and `weights`.

    Attributes
    ----------
    logits : ndarray (n, K), float64 or float32
        Not to be written to.
    codes : ndarray (n,) intp
        Column of every row's label.
    weights : ndarray (n,), float64, > 0
    classes : ndarray (K,)
        Labels of the columns, in their order.
    kept : ndarray (rows of X,) bool
        Which rows of X these are.
    """

    logits: np.ndarray
    codes: np.ndarray
    weights: np.ndarray
    classes: np.ndarray
    kept: np.ndarray

    def chosen(self, rows: np.ndarray) -> "ScoredRows":
        """Some of these rows, by ascending numbers."""
        kept = np.zeros_like(self.kept)
        kept[np.flatnonzero(self.kept)[rows]] = True
        rows = placement.where(self.logits, rows)
        return replace(self, logits=self.logits[rows], codes=self.codes[rows], weights=self.weights[rows], kept=kept)


def scored_rows(X, y, sample_weight, *, input: str, classes, name: str, device: bool = True) -> ScoredRows:
    """Validated rows for the ``fit`` of a calibrator.

    Parameters
    ----------
    X : array-like of shape (n, K) or (n,)
        As in :func:`as_logits`.
    y : array-like of shape (n,)
        Labels of any type.
    sample_weight : array-like of shape (n,) or None
    input : {'logits', 'proba'}
    classes : array-like of shape (K,) or None
        Labels of the columns; None for the sorted labels in `y`.
    name : str
        Who asks, for messages.
    device : bool, default=True
        Whether the calibrator computes on a device, as in :func:`as_logits`.

    Raises
    ------
    TypeError
        If X is on a device and the calibrator computes on the host.
    ValueError
        For bad scores, probabilities or weights, a label that is not in `classes`, or columns that do not match.
    """
    logits = as_logits(X, input, name, device=device)
    y, sample_weight = placement.fetched(y), placement.fetched(sample_weight)
    y = column_or_1d(y, warn=True)
    if y.dtype.kind not in "biu":  # those can be neither missing nor continuous
        assert_all_finite(y, input_name="y")
        if y.dtype.kind == "O":
            sorted_labels(y, name="y")  # says so where they are of several types
        check_classification_targets(y)
    check_consistent_length(logits, y)
    weights = check_sample_weight(sample_weight, y if placement.on_device(logits) else logits)
    kept = weights > 0
    if not kept.all():
        logits, y, weights = logits[placement.where(logits, kept)], y[kept], weights[kept]
    classes, source = _column_labels(y, classes)
    if len(classes) < 2:
        raise ValueError(f"{name} needs at least 2 classes; there is only one class: {classes.tolist()}")
    if len(classes) != logits.shape[1]:
        raise ValueError(
            f"X has {logits.shape[1]} columns of scores, but there are {len(classes)} {source}."
            " Name the label of every column in classes=."
        )
    codes = encode_labels(y, classes)
    if codes.min() < 0:
        unknown = y[int(np.argmin(codes)) :][:1].tolist()[0]
        raise ValueError(f"y holds the label {unknown!r}, which is not one of the classes {classes.tolist()}.")
    return ScoredRows(logits, placement.where(logits, codes), placement.where(logits, weights), classes, kept)


def _column_labels(y, classes) -> tuple[np.ndarray, str]:
    """Labels of the columns, and where they are from."""
    if classes is None:
        return sorted_labels(y, name="y"), "different labels in y"
    return distinct_labels(classes), "entries of the 'classes' parameter"


def distinct_labels(classes) -> np.ndarray:
    """The 'classes' parameter as an array (K,)."""
    labels = np.asarray(classes)
    if labels.ndim != 1 or len(pd.unique(labels)) < len(labels):
        raise ValueError(f"The 'classes' parameter must be a list of different labels. Got {classes!r} instead.")
    return labels


def new_logits(calibrator, X, *, device: bool = True):
    """Logits (n, K) for a prediction of a fitted calibrator, which has ``input`` and ``n_features_in_``."""
    check_is_fitted(calibrator)
    name = type(calibrator).__name__
    logits = as_logits(X, calibrator.input, name, device=device)
    if logits.shape[1] != calibrator.n_features_in_:
        raise ValueError(
            f"X has {logits.shape[1]} features, but {name} is expecting {calibrator.n_features_in_} features as input."
        )
    return logits


def as_logits(X, input: str, name: str, *, device: bool = True):
    """Logits of shape (n, K), float64 (float32 as it is), from what a user passed to a calibrator.

    Parameters
    ----------
    X : array-like of shape (n, K) or (n,)
        One-dimensional (or one column) means two classes: scores (0, z), or the probability of the second class.
    input : {'logits', 'proba'}
    name : str
        Who asks, for messages.
    device : bool, default=True
        Whether the calibrator computes on a device: then scores that are there stay there, and those of the host are
        moved there where the user forces ``backend='cuda'``. Without, scores on a device are an error.

    Returns
    -------
    logits : ndarray or device array of shape (n, K)
        Probabilities give log p, see :func:`log_proba`.

    Raises
    ------
    TypeError
        If X is on a device and the calibrator computes on the host.
    ValueError
        For NaN or infinite values, negative probabilities or rows that do not sum to one within 1e-3.
    """
    if not device:
        require_host(name, X=X)
    elif placement.on_device(X):
        X = placed(X, name)  # on the host, where the device cannot compute
    X = _device_scores(X, name) if placement.on_device(X) else _host_scores(X, name, device)
    if X.ndim == 1 or X.shape[1] == 1:
        second = X.reshape(-1)
        if input == "proba":
            _check_range(second, name)
        X = np.column_stack([1.0 - second if input == "proba" else np.zeros_like(second), second])
    if input == "logits":
        return X
    _check_proba(X, name)
    return log_proba(X)


def _host_scores(X, name: str, device: bool):
    """Finite numbers, (n,) or (n, K), on the host, or moved from there where that is forced."""
    with np.errstate(over="ignore", invalid="ignore"):  # its sum of all entries, by which it looks for NaN
        X = check_array(X, dtype=[np.float64, np.float32], ensure_2d=False, estimator=name, input_name="X")
    return placed(X, name) if device else X


def _device_scores(X, name: str):
    """Finite numbers, (n,) or (n, K), on the device."""
    if X.ndim not in (1, 2) or 0 in X.shape:
        raise ValueError(
            f"X of {name} must have shape (n_samples, n_classes), or (n_samples,) for two classes, and at least one"
            f" row. Got shape {X.shape} instead."
        )
    return device_numbers(X, name, [np.float64, np.float32])


def _check_range(proba: np.ndarray, name: str) -> None:
    """Probabilities of the second class alone: in [0, 1]."""
    outside = np.flatnonzero((proba < 0.0) | (proba > 1.0))
    if len(outside):
        row = int(outside[0])
        raise ValueError(
            f"X of {name}(input='proba') must hold probabilities. Got {float(proba[row]):g} in row {row}; scores"
            " need input='logits'."
        )


def _check_proba(proba: np.ndarray, name: str) -> None:
    """The rule of the metrics: nothing negative, rows that sum to one within their tolerance."""
    negative = np.argwhere(proba < 0.0)
    if len(negative):
        row, column = map(int, negative[0])
        raise ValueError(
            f"X of {name}(input='proba') must hold probabilities. Got {float(proba[row, column]):g} in row {row},"
            f" column {column}; scores need input='logits'."
        )
    totals = proba.sum(axis=1)
    wrong = np.flatnonzero(np.abs(totals - 1.0) > ROW_SUM_TOLERANCE)
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(
            f"Rows of X of {name}(input='proba') must sum to one within {ROW_SUM_TOLERANCE:g}."
            f" Got {float(totals[row]):g} in row {row}; scores need input='logits'."
        )
