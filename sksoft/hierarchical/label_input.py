"""Labels and weights of rows as a fit to a tree of classes takes them."""

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from sksoft._validation import check_sample_weight
from sksoft.metrics.labels import encode_labels, sorted_labels
from sksoft.objective.row_weights import class_weights, kept_rows


@dataclass(frozen=True)
class LabelledRows:
    """What is known of the rows that weigh anything.

    Attributes
    ----------
    classes : ndarray (K,)
        Sorted labels.
    codes : ndarray (m,), intp
        The place of each row's label among them.
    weights : ndarray (m,), float64
        Sample weights times class weights, positive.
    kept : ndarray (n,), bool
        Which of the n rows these m are.
    """

    classes: np.ndarray
    codes: np.ndarray
    weights: np.ndarray
    kept: np.ndarray


def read_rows(name: str, X, y, *, sample_weight=None, class_weight=None, classes=None) -> LabelledRows:
    """Validate y and weights.

    Parameters
    ----------
    name : str
        Who asks, for messages.
    X : features (n, p), checked
    y : array-like (n,)
        Labels of any one type.
    sample_weight : array-like (n,), optional
    class_weight : dict of {label: weight}, 'balanced' or None
    classes : ndarray (K,), sorted, optional
        The labels that there may be; by default those of y with positive weight.

    Raises
    ------
    ValueError
        For y that is missing, continuous, an indicator matrix or holds NaN, a label that is not among `classes`, and
        bad weights.
    """
    if y is None:
        raise ValueError(f"This {name} estimator requires y to be passed, but the target y is None.")
    y = _labels(name, y)
    check_consistent_length(X, y)
    weights = check_sample_weight(sample_weight, y).copy()
    seen = weights > 0
    present = sorted_labels(y[seen], name="y") if classes is None else classes
    codes = encode_labels(y[seen], present)
    if codes.min(initial=0) < 0:
        at = int(np.argmin(codes))
        raise ValueError(
            f"y holds the label {y[seen][at : at + 1].tolist()[0]!r}, which is not among {name}'s classes."
        )
    if class_weight is not None:
        shares = np.bincount(codes, weights=weights[seen] / weights.max(initial=1e-300), minlength=len(present))
        with np.errstate(over="ignore"):
            weights[seen] *= class_weights(class_weight, present, shares)[codes]
    kept = kept_rows(weights)
    codes = codes[kept[seen]]
    if classes is None and not kept.all():
        left = np.bincount(codes, minlength=len(present)) > 0
        present, codes = present[left], (np.cumsum(left) - 1)[codes]
    return LabelledRows(present, codes, weights[kept], kept)


def _labels(name: str, y) -> np.ndarray:
    """y as an array (n,) of labels, each row with one."""
    if not hasattr(y, "__array__"):
        y = np.asarray(y.toarray() if hasattr(y, "toarray") else y)
    if getattr(y, "ndim", 1) == 2 and y.shape[1] > 1 and type_of_target(y).startswith("multilabel"):
        raise ValueError(
            f"{name} gives each row one class, and y is an indicator matrix of shape {y.shape}: to pick one of a row's"
            " labels would learn other probabilities than theirs. Fit sksoft.SigmoidClassifier to many labels a row."
        )
    y = column_or_1d(y, warn=True)
    if y.dtype.kind not in "biu":  # those can be neither missing nor continuous
        assert_all_finite(y, input_name="y", estimator_name=name)
        if y.dtype.kind == "O":
            sorted_labels(y, name="y")  # says so where they are of several types
        with warnings.catch_warnings():  # so many classes are what this family is for
            warnings.filterwarnings("ignore", "The number of unique classes is greater", UserWarning)
            check_classification_targets(y)
    return y
