"""One validation for all metrics: labels of any type, probabilities, weights.

A metric never sees what the user passed, only the :class:`Predictions` made here. Labels may be strings,
booleans, floats or any integers; nothing assumes 0..K-1.

Metrics that are sums over the rows are computed where the probabilities live: those on a CUDA device stay there, and
labels and weights, of either side, are read on the host and go beside them. For the others they are an error.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_consistent_length, column_or_1d

from sksoft._validation import check_sample_weight, require_host
from sksoft.kernels import bins, placement
from sksoft.kernels.registry import placed
from sksoft.metrics.labels import encode_labels, sorted_labels, zero_one

# A row of probabilities may miss 1 by this much: three printed digits, or single precision over many classes.
ROW_SUM_TOLERANCE = 1e-3

# Positive weights lie between these, so that their sums and squares neither overflow nor vanish.
LIGHTEST, HEAVIEST = 1e-100, 1e100

WEIGHT_TYPES = ("sampling", "frequency")


@dataclass(frozen=True)
class Predictions:
    """Validated predictions, all in one place: where the probabilities live.

    Attributes
    ----------
    classes : ndarray (K,)
        Label of each column of `proba`; of a one-dimensional `proba`, the negative and the positive label
        (the positive alone where no negative one is known).
    codes : ndarray (n,) of integers
        Column of the true class; of a one-dimensional `proba`, 1 where the row is positive and 0 elsewhere.
    proba : ndarray (n, K) or (n,), float32 or float64
        Class probabilities, or the probability of the positive class.
    weights : ndarray (n,) float64 or None
        Positive weights; None stands for ones. Rows of weight zero were removed.
    top_label : tuple of ndarray (n,)
        Column of the first largest probability (a one-dimensional `proba` predicts positive above 1/2), and
        that probability, float64.
    kept : ndarray (n_rows,) bool or None
        Rows of the input that are here; None stands for all.
    """

    classes: np.ndarray
    codes: np.ndarray
    proba: np.ndarray
    weights: np.ndarray | None
    found_top: tuple[np.ndarray, np.ndarray] | None = None
    kept: np.ndarray | None = None

    @property
    def is_binary(self) -> bool:
        """Whether `proba` is one-dimensional: the probability of the positive class."""
        return self.proba.ndim == 1

    @cached_property
    def top_label(self) -> tuple[np.ndarray, np.ndarray]:
        """Predicted code and confidence; of several columns they were found while validating."""
        if self.found_top is not None:
            return self.found_top
        confidence = np.maximum(self.proba, 1.0 - self.proba).astype(np.float64, copy=False)
        return (self.proba > 0.5).astype(np.intp), confidence

    @property
    def event(self) -> tuple[np.ndarray, np.ndarray]:
        """Probability and occurrence of what is judged: the positive class, or the top label being right."""
        if self.is_binary:
            return self.proba, self.codes
        top_codes, confidence = self.top_label
        return confidence, top_codes == self.codes

    def rows(self, selected) -> "Predictions":
        """Those of the rows that a slice or a mask selects."""

        def of(array):
            return None if array is None else array[selected]

        top = None if self.found_top is None else (of(self.found_top[0]), of(self.found_top[1]))
        return Predictions(self.classes, of(self.codes), of(self.proba), of(self.weights), top)

    def mean(self, values: np.ndarray) -> float:
        """Weighted mean over the rows: Σ w v / Σ w."""
        return float(np.average(values, weights=self.weights))


def check_predictions(
    y_true, y_proba, *, sample_weight=None, weight_type="sampling", labels=None, pos_label=None, device=False
) -> Predictions:
    """Validate true labels, predicted probabilities and weights.

    Parameters
    ----------
    y_true : array-like (n,)
        True labels of any one type.
    y_proba : array-like (n, K) or (n,)
        Probabilities of the K >= 2 classes, rows summing to 1 within ``ROW_SUM_TOLERANCE``; or of the
        positive class.
    sample_weight : array-like (n,), optional
        Zeros, and numbers from 1e-100 to 1e100; not all zero.
    weight_type : {'sampling', 'frequency'}, default='sampling'
        Frequency weights must be whole numbers.
    labels : array-like (K,), optional
        The class of each column of `y_proba`, in the order of the columns, as an estimator's ``classes_``;
        for a one-dimensional `y_proba` the negative and the positive label. By default the sorted labels of
        `y_true`, all of which must then occur.
    pos_label : label, optional
        The class whose probability a one-dimensional `y_proba` is. By default ``labels[1]``, else 1 for
        labels {0, 1} or {-1, 1}, else the greater of two numbers; strings need it said.
    device : bool, default=False
        Whether the metric computes where `y_proba` lives: then one on a device stays there, and one of the host is
        moved there where the user forces ``backend='cuda'``. Without, arrays on a device are an error.

    Returns
    -------
    predictions : Predictions

    Raises
    ------
    TypeError
        If an array is on a device and the metric computes on the host.
    ValueError
        If lengths differ, there are no rows, a probability is NaN, infinite, below 0 or above 1, a row does
        not sum to 1, a label is missing or unknown, or a weight is negative, not finite, or all are zero.
    """
    if not device:
        require_host("This metric", y_true=y_true, y_proba=y_proba, sample_weight=sample_weight)
    y_true, sample_weight = column_or_1d(placement.fetched(y_true)), placement.fetched(sample_weight)
    proba = _as_probabilities(y_proba, device)
    check_consistent_length(y_true, proba)
    if len(y_true) == 0:
        raise ValueError("Found array with 0 sample(s) in y_true while a minimum of 1 is required.")
    weights = checked_weights(sample_weight, y_true if placement.on_device(proba) else proba, weight_type)
    weights = None if weights is None else placement.where(proba, weights)
    if proba.ndim == 1:
        predictions = _check_binary(y_true, proba, weights, labels, pos_label)
    else:
        predictions = _check_multiclass(y_true, proba, weights, labels)
    return predictions if weights is None else _without_zero_weights(predictions, weights)


def checked_weights(sample_weight, like, weight_type: str) -> np.ndarray | None:
    """Weights (n,) float64 of as many rows as `like` has, or None; repetitions are whole numbers."""
    if sample_weight is None:
        return None
    weights = check_sample_weight(sample_weight, like)
    _check_range(weights)
    if weight_type == "frequency" and (weights != np.floor(weights)).any():
        row = int(np.argmax(weights != np.floor(weights)))
        raise ValueError(
            "weight_type='frequency' needs weights that are whole numbers. Got sample_weight "
            f"{weights[row]:g} in row {row} instead."
        )
    return weights


def _check_range(weights):
    if not weights.any():
        raise ValueError("The 'sample_weight' parameter must have a positive entry. Got only zeros instead.")
    extreme = (weights > HEAVIEST) | ((weights < LIGHTEST) & (weights > 0))
    if extreme.any():
        row = int(np.argmax(extreme))
        raise ValueError(
            f"The 'sample_weight' parameter must hold zeros and numbers from {LIGHTEST:g} to {HEAVIEST:g}. Got "
            f"{weights[row]:g} in row {row} instead."
        )


def check_probabilities(y_proba, *, device: bool = False) -> np.ndarray:
    """Validate probabilities alone, (n, K) or (n,), as :func:`check_predictions` does."""
    if not device:
        require_host("This function", y_proba=y_proba)
    proba = _as_probabilities(y_proba, device)
    if len(proba) == 0:
        raise ValueError("Found array with 0 sample(s) in y_proba while a minimum of 1 is required.")
    if proba.ndim == 1:
        _check_unit_interval(proba)
    else:
        _check_rows(proba)
    return proba


def _as_probabilities(y_proba, device: bool):
    """Numbers (n,) or (n, K), float32 or float64, values unchecked, where they are computed on."""
    proba = placed(y_proba, "This metric") if placement.on_device(y_proba) else np.asarray(y_proba)
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
    return placed(proba, "This metric") if device and isinstance(proba, np.ndarray) else proba


def _check_multiclass(y_true, proba, weights, labels) -> Predictions:
    _check_no_missing_label(y_true)
    n_classes = proba.shape[1]
    if labels is None:
        classes = sorted_labels(y_true)
        if len(classes) != n_classes:
            raise ValueError(
                f"y_true holds {len(classes)} distinct labels and y_proba {n_classes} columns. Pass the class "
                "of each column as 'labels'."
            )
    else:
        classes = _check_labels(labels, n_classes)
    codes = placement.where(proba, _encode_known(y_true, classes))
    return Predictions(classes, codes, proba, weights, _check_rows(proba))


def _check_binary(y_true, proba, weights, labels, pos_label) -> Predictions:
    _check_unit_interval(proba)
    codes = zero_one(y_true) if labels is None and pos_label is None else None
    if codes is not None:
        return Predictions(np.array([0, 1], dtype=y_true.dtype), placement.where(proba, codes), proba, weights)
    _check_no_missing_label(y_true)
    classes = _binary_classes(y_true, labels, pos_label)
    codes = _encode_known(y_true, classes) + (2 - len(classes))
    return Predictions(classes, placement.where(proba, codes), proba, weights)


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
        if set(classes.tolist()) <= {-1, 1}:
            return np.array([-1, 1], dtype=classes.dtype)
        if len(classes) == 2:
            return classes
    raise ValueError(
        f"y_true takes values in {classes.tolist()} and 'pos_label' is not specified: pass the label whose "
        "probability y_proba is, or pass 'labels'."
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
            raise ValueError(f"y_proba must not be negative: row {row} has {float(lowest[row]):g}.")
        raise ValueError(
            f"The rows of y_proba must sum to 1 within {ROW_SUM_TOLERANCE}: row {row} sums to {float(total[row]):.6g}."
        )
    return codes, np.minimum(confidence, 1.0, out=confidence)


def _check_unit_interval(proba):
    # Read as unsigned integers, the numbers in [0, 1] are those up to the bits of 1: a negative sign or a NaN is
    # above. One pass; a negative zero alone needs the second look.
    unsigned = np.uint32 if proba.itemsize == 4 else np.uint64
    if proba.view(unsigned).max() <= np.ones(1, dtype=proba.dtype).view(unsigned)[0]:
        return
    valid = (proba >= 0) & (proba <= 1)
    if not valid.all():
        row = int(np.argmin(valid))
        problem = "must lie in [0, 1]" if np.isfinite(proba[row]) else "contains NaN or infinity"
        raise ValueError(f"y_proba {problem}: row {row} is {placement.fetched(proba[row])!s}.")


def _shown(row) -> str:
    return np.array2string(placement.fetched(row), threshold=6, precision=4)


def _without_zero_weights(predictions: Predictions, weights: np.ndarray) -> Predictions:
    """Zero weight is removal."""
    kept = weights > 0
    if kept.all():
        return predictions
    return replace(predictions.rows(kept), kept=kept)
