"""One validation for all metrics: labels of any type, probabilities, weights.

A metric never sees what the user passed, only the :class:`Predictions` made here. Labels may be strings,
booleans, floats or any integers; nothing assumes 0..K-1.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_consistent_length, column_or_1d

from sksoft._validation import check_sample_weight
from sksoft.kernels import bins

# A row of probabilities may miss 1 by this much: three printed digits, or single precision over many classes.
ROW_SUM_TOLERANCE = 1e-3

WEIGHT_TYPES = ("sampling", "frequency")


@dataclass(frozen=True)
class Predictions:
    """Validated predictions.

    Attributes
    ----------
    classes : ndarray (K,)
        Label of each column of `proba`; of a one-dimensional `proba`, the negative and the positive label
        (the positive alone where no negative one is known).
    codes : ndarray (n,) intp
        Column of the true class; of a one-dimensional `proba`, 1 where the row is positive and 0 elsewhere.
    proba : ndarray (n, K) or (n,), float32 or float64
        Class probabilities, or the probability of the positive class.
    weights : ndarray (n,) float64 or None
        Positive weights; None stands for ones. Rows of weight zero were removed.
    top_codes : ndarray (n,) intp
        Column of the first largest probability (a one-dimensional `proba` predicts positive from 1/2 on).
    confidence : ndarray (n,) float64
        The largest probability.
    kept : ndarray (n_rows,) bool or None
        Rows of the input that are here; None stands for all.
    """

    classes: np.ndarray
    codes: np.ndarray
    proba: np.ndarray
    weights: np.ndarray | None
    top_codes: np.ndarray
    confidence: np.ndarray
    kept: np.ndarray | None = None

    @property
    def is_binary(self) -> bool:
        """Whether `proba` is one-dimensional: the probability of the positive class."""
        return self.proba.ndim == 1

    @property
    def event(self) -> tuple[np.ndarray, np.ndarray]:
        """Probability and occurrence of what is judged: the positive class, or the top label being right."""
        if self.is_binary:
            return self.proba, self.codes
        return self.confidence, self.top_codes == self.codes

    def mean(self, values: np.ndarray) -> float:
        """Weighted mean over the rows: Σ w v / Σ w."""
        return float(np.average(values, weights=self.weights))


def check_predictions(y_true, y_proba, *, sample_weight=None, labels=None, pos_label=None) -> Predictions:
    """Validate true labels, predicted probabilities and weights.

    Parameters
    ----------
    y_true : array-like (n,)
        True labels of any one type.
    y_proba : array-like (n, K) or (n,)
        Probabilities of the K >= 2 classes, rows summing to 1 within ``ROW_SUM_TOLERANCE``; or of the
        positive class.
    sample_weight : array-like (n,), optional
        Finite, non-negative, not all zero.
    labels : array-like (K,), optional
        The class of each column of `y_proba`, in the order of the columns, as an estimator's ``classes_``;
        for a one-dimensional `y_proba` the negative and the positive label. By default the sorted labels of
        `y_true`, all of which must then occur.
    pos_label : label, optional
        The class whose probability a one-dimensional `y_proba` is. By default ``labels[1]``, else 1 for
        labels {0, 1} or {-1, 1}, else the greater of two numbers; strings need it said.

    Returns
    -------
    predictions : Predictions

    Raises
    ------
    ValueError
        If lengths differ, there are no rows, a probability is NaN, infinite, below 0 or above 1, a row does
        not sum to 1, a label is missing or unknown, or a weight is negative, not finite, or all are zero.
    """
    y_true = column_or_1d(y_true)
    proba = _as_probabilities(y_proba)
    check_consistent_length(y_true, proba)
    if len(y_true) == 0:
        raise ValueError("Found array with 0 sample(s) in y_true while a minimum of 1 is required.")
    weights = None if sample_weight is None else check_sample_weight(sample_weight, proba)
    if weights is not None and not weights.any():
        raise ValueError("The 'sample_weight' parameter must have a positive entry. Got only zeros instead.")
    if proba.ndim == 1:
        predictions = _check_binary(y_true, proba, weights, labels, pos_label)
    else:
        predictions = _check_multiclass(y_true, proba, weights, labels)
    return predictions if weights is None else _without_zero_weights(predictions)


def check_probabilities(y_proba) -> np.ndarray:
    """Validate probabilities alone, (n, K) or (n,), as :func:`check_predictions` does."""
    proba = _as_probabilities(y_proba)
    if len(proba) == 0:
        raise ValueError("Found array with 0 sample(s) in y_proba while a minimum of 1 is required.")
    if proba.ndim == 1:
        _check_unit_interval(proba)
    else:
        _check_rows(proba)
    return proba


def encode_labels(y, classes) -> np.ndarray:
    """Position of every label in `classes`, an (n,) intp array; -1 where it is not among them."""
    y, classes = np.asarray(y), np.asarray(classes)
    if y.dtype.kind == "b" and classes.dtype.kind in "iuf":
        y = y.astype(np.intp)
    if classes.dtype.kind == "b" and y.dtype.kind in "iuf":
        classes = classes.astype(np.intp)
    if y.dtype.kind in "biu" and classes.dtype.kind in "biu" and len(y):
        lowest, span = _integer_span(y)
        if span <= 2 * len(y) + 1024:
            table = np.full(span, -1, dtype=np.intp)
            positions = classes.astype(object) - lowest
            inside = np.flatnonzero((positions >= 0) & (positions < span))
            table[positions[inside].astype(np.intp)] = inside
            return table[_offsets(y, lowest)]
    return pd.Index(classes, dtype=object if classes.dtype.kind in "USO" else None).get_indexer(
        y.astype(object) if y.dtype.kind in "USO" else y
    )


def sorted_labels(y) -> np.ndarray:
    """The distinct labels of `y`, ascending."""
    y = np.asarray(y)
    if y.dtype.kind in "biu" and len(y):
        lowest, span = _integer_span(y)
        if span <= 2 * len(y) + 1024:
            present = np.bincount(_offsets(y, lowest), minlength=span)
            return (np.flatnonzero(present) + lowest).astype(y.dtype)
    distinct = pd.unique(y.astype(object) if y.dtype.kind in "US" else y)
    try:
        ordered = sorted(distinct.tolist())
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in distinct})
        raise ValueError(f"y_true must hold labels of one type. Got a mix of {kinds} instead.") from error
    return np.array(ordered, dtype=None if y.dtype.kind in "USO" else y.dtype)


def _integer_span(y) -> tuple[int, int]:
    if y.dtype.kind == "b":
        return 0, 2
    lowest = int(y.min())
    return lowest, int(y.max()) - lowest + 1


def _offsets(y, lowest) -> np.ndarray:
    """``y - lowest`` without overflow of a narrow type."""
    if y.dtype.itemsize < 8:
        y = y.astype(np.int64)
    return (y - y.dtype.type(lowest)).astype(np.intp, copy=False)


def _as_probabilities(y_proba) -> np.ndarray:
    proba = np.asarray(y_proba)
    if proba.dtype not in (np.float32, np.float64):
        if proba.dtype.kind not in "biufO":
            raise ValueError(f"y_proba must hold numbers. Got dtype {proba.dtype} instead.")
        try:
            proba = proba.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"y_proba must hold numbers: {error}.") from error
    if proba.ndim not in (1, 2) or (proba.ndim == 2 and proba.shape[1] < 2):
        raise ValueError(
            "y_proba must have shape (n_samples,), the probability of the positive class, or (n_samples, "
            "n_classes) "
            f"with at least two classes. Got shape {proba.shape} instead."
        )
    return proba


def _check_multiclass(y_true, proba, weights, labels) -> Predictions:
    _check_no_missing_label(y_true)
    n_classes = proba.shape[1]
    if labels is None:
        classes = sorted_labels(y_true)
        if len(classes) != n_classes:
            raise ValueError(
                f"y_true holds {len(classes)} distinct labels and y_proba {n_classes} columns. Pass the class "
                f"of each "
                "column as 'labels'."
            )
    else:
        classes = _check_labels(labels, n_classes)
    codes = _encode_known(y_true, classes)
    top_codes, confidence = _check_rows(proba)
    return Predictions(classes, codes, proba, weights, top_codes, confidence)


def _check_binary(y_true, proba, weights, labels, pos_label) -> Predictions:
    _check_no_missing_label(y_true)
    _check_unit_interval(proba)
    classes = _binary_classes(y_true, labels, pos_label)
    codes = _encode_known(y_true, classes) + (2 - len(classes))
    predicted = proba >= 0.5
    confidence = np.where(predicted, proba, 1.0 - proba).astype(np.float64, copy=False)
    return Predictions(classes, codes, proba, weights, predicted.astype(np.intp), confidence)


def _binary_classes(y_true, labels, pos_label) -> np.ndarray:
    """The negative and the positive label, or the positive label alone where the negative one is unknown."""
    if labels is not None:
        classes = _check_labels(labels, 2)
    else:
        classes = sorted_labels(y_true)
        if len(classes) > 2:
            raise ValueError(
                "A one-dimensional y_proba is the probability of one of two classes. Got "
                f"{len(classes)} distinct labels in y_true instead."
            )
        if pos_label is None:
            return _usual_classes(classes)
    if pos_label is None:
        return classes
    others = classes[encode_labels(classes, np.asarray([pos_label])) < 0]
    if len(others) == 2:
        raise ValueError(f"pos_label={pos_label!r} is not a valid label: it should be one of {classes.tolist()}.")
    if len(others) == 0:
        return np.asarray([pos_label])
    return np.asarray([others[0], pos_label], dtype=classes.dtype if classes.dtype.kind != "U" else object)


def _usual_classes(classes) -> np.ndarray:
    """Which of the labels is positive when nobody says."""
    if classes.dtype.kind in "biuf":
        if set(classes.tolist()) <= {0, 1}:
            return np.array([0, 1], dtype=classes.dtype)
        if set(classes.tolist()) <= {-1, 1}:
            return np.array([-1, 1], dtype=classes.dtype)
        if len(classes) == 2:
            return classes
    raise ValueError(
        f"y_true takes values in {classes.tolist()} and 'pos_label' is not specified: pass the label whose "
        f"probability "
        "y_proba is, or pass 'labels'."
    )


def _check_labels(labels, n_classes) -> np.ndarray:
    classes = column_or_1d(labels)
    if len(classes) != n_classes:
        raise ValueError(
            f"The 'labels' parameter must name the {n_classes} classes that y_proba stands for. Got "
            f"{len(classes)} labels instead."
        )
    if len(pd.unique(classes.astype(object))) != n_classes:
        raise ValueError(f"The 'labels' parameter must hold distinct labels. Got {classes.tolist()} instead.")
    return classes


def _encode_known(y_true, classes) -> np.ndarray:
    codes = encode_labels(y_true, classes)
    if codes.min() < 0:
        row = int(np.argmin(codes))
        known = classes.tolist() if len(classes) <= 10 else [*classes[:10].tolist(), "..."]
        raise ValueError(f"y_true holds the unknown label {y_true[row]!r} in row {row}; the classes are {known}.")
    return codes


def _check_no_missing_label(y_true):
    if y_true.dtype.kind in "fcmMO":
        missing = pd.isna(y_true)
        if missing.any():
            raise ValueError(f"y_true has a missing label in row {int(np.argmax(missing))}.")


def _check_rows(proba) -> tuple[np.ndarray, np.ndarray]:
    """Top label and confidence of valid rows; ValueError naming the first row that is not a distribution."""
    codes, confidence, total, lowest = bins.top_label_rows(proba)
    valid = (lowest >= 0) & (np.abs(total - 1.0) <= ROW_SUM_TOLERANCE)
    if not valid.all():
        row = int(np.argmin(valid))
        if not np.isfinite(total[row]):
            raise ValueError(f"y_proba contains NaN or infinity: row {row} is {_shown(proba[row])}.")
        if lowest[row] < 0:
            raise ValueError(f"y_proba must not be negative: row {row} has {lowest[row]:g}.")
        raise ValueError(
            f"The rows of y_proba must sum to 1 within {ROW_SUM_TOLERANCE}: row {row} sums to {total[row]:.6g}."
        )
    return codes, np.minimum(confidence, 1.0, out=confidence)


def _check_unit_interval(proba):
    if not (proba.min() >= 0 and proba.max() <= 1):
        row = int(np.argmin((proba >= 0) & (proba <= 1)))
        problem = "must lie in [0, 1]" if np.isfinite(proba[row]) else "contains NaN or infinity"
        raise ValueError(f"y_proba {problem}: row {row} is {proba[row]!s}.")


def _shown(row) -> str:
    return np.array2string(row, threshold=6, precision=4)


def _without_zero_weights(predictions: Predictions) -> Predictions:
    """Zero weight is removal."""
    kept = predictions.weights > 0
    if kept.all():
        return predictions
    rows = ("codes", "proba", "weights", "top_codes", "confidence")
    return replace(predictions, kept=kept, **{name: getattr(predictions, name)[kept] for name in rows})
