r"""From the user's y, classes and weights to what a fit is to hit: one algebra for labels, soft labels and smoothing.

Every row i has a sample weight sᵢ and a distribution τᵢ over the K classes: a label is the vertex of its class, a soft
label is the row of y as it stands. Class weights w and smoothing ε act in this order::

    s'ᵢ = sᵢ Σₖ wₖ τᵢₖ                       the weight of the row in the fit
    tᵢₖ = (1 − ε) wₖ τᵢₖ / Σⱼ wⱼ τᵢⱼ + ε / K    its target

so that a label keeps its vertex and its row gets sᵢ w_y. The fit minimises Σ s'ᵢ L(tᵢ, zᵢ) / Σ s'ᵢ + R. As a
Fenchel–Young loss is linear in its target but for Ω(t), a soft row is nothing but hard rows of the weights of its
shares, whatever the class weights::

    s'ᵢ (L(tᵢ, z) − Ω(tᵢ)) = Σₖ sᵢ wₖ τᵢₖ (L(eₖ, z) − Ω(eₖ))                    (ε = 0; for ε > 0 smooth both sides)

(0.3, 0.7) of weight 1 has the optimum of a row of the first class of weight 0.3 beside one of the second of weight 0.7.
Repetition is weight, weight zero is removal, and both come first: rows of weight zero are not even looked at.

``class_weight='balanced'`` is wₖ = Σᵢ sᵢ / (K₊ Σᵢ sᵢ τᵢₖ) with K₊ the number of classes that have any share, which for
labels is scikit-learn's; then Σ s' = Σ s.

Classes that no row has any share of can be named in `classes`. A ridge keeps their coefficients finite, but with the
softmax the optimum has their unpenalised intercept at −∞; smoothing gives every class a share, and sparse links reach
probability 0 at finite scores.
"""

from dataclasses import dataclass
from numbers import Real

import numpy as np
from scipy import sparse
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, column_or_1d

from sksoft._validation import Interval, StrOptions, check_sample_weight
from sksoft.metrics.labels import encode_labels
from sksoft.metrics.soft_labels import check_soft_labels, is_soft, scale_rows, shape_of
from sksoft.objective.links import Link, Softmax
from sksoft.objective.row_weights import class_weights, kept_rows
from sksoft.objective.targets import Labels, SmoothedLabels, SoftLabels, SparseSoftLabels, Target

# For `_parameter_constraints` of estimators with these parameters.
TARGET_CONSTRAINTS = {
    "classes": ["array-like", None],
    "label_smoothing": [Interval(Real, 0, 1, closed="left")],
    "class_weight": [dict, StrOptions({"balanced"}), None],
}


@dataclass(frozen=True)
class Targets:
    """What a fit is to hit.

    Attributes
    ----------
    classes : ndarray (K,)
        The estimator's ``classes_``: of labels in ascending order, of soft labels in the order of the columns.
    target : Target of m rows
    weights : ndarray (m,), float64, positive
        s'ᵢ of the rows that weigh anything.
    kept : ndarray (n,), bool
        Which of the n rows of y these m are.
    """

    classes: np.ndarray
    target: Target
    weights: np.ndarray
    kept: np.ndarray


def resolve_targets(
    name: str,
    y,
    *,
    classes=None,
    label_smoothing: float = 0.0,
    class_weight=None,
    sample_weight=None,
    link: Link,
    fit_intercept: bool = True,
    complete: bool = True,
) -> Targets:
    """Validate y and weights and compose them as the module says.

    Parameters
    ----------
    name : str
        Who asks, for messages.
    y : array-like (n,) or (n, 1), or array-like or sparse matrix (n, K >= 2)
        Labels of any type, or soft labels: rows that are not negative and sum to one within 0.001, and are
        then divided by their sum.
    classes : array-like (K,), optional
        Of soft labels, the class of each column; by default the names of a DataFrame's columns, else 0 … K − 1. Of
        labels, the classes there are, in any order; by default those that y holds with positive weight.
    label_smoothing : float, 0 <= ε < 1
    class_weight : dict of {class: weight}, 'balanced' or None
    sample_weight : array-like (n,), optional
    link : Link
    fit_intercept : bool
        Whether an intercept is fitted that no penalty holds.
    complete : bool, default=True
        Whether these are all rows there are. In one batch of many any of the `classes` may be missing.

    Returns
    -------
    targets : Targets

    Raises
    ------
    ValueError
        If y is no classification target, holds NaN, negative or infinite entries, rows that do not sum to one or
        labels that are not among `classes`; if weights are negative, all zero or without a finite sum; if fewer than
        two classes have weight, or one that is to be fitted has none, where the rows are `complete`.
    """
    if y is None:
        raise ValueError(f"This {name} estimator requires y to be passed, but the target y is None.")
    names = column_names(y)
    y = _as_rows(name, y)
    weights = check_sample_weight(sample_weight, y).copy()
    seen = weights > 0
    resolve = _from_labels if y.ndim == 1 else _from_soft_labels
    if y.ndim == 2:
        classes = _column_classes(classes, names, y.shape[1])
    rows = y if seen.all() else y[seen]
    classes, target, weights, kept = resolve(name, rows, np.flatnonzero(seen), classes, class_weight, weights[seen])
    target = _smoothed(target, label_smoothing)
    seen[seen] = kept
    if complete:
        _check_classes(name, classes, target, weights, link, fit_intercept)
    return Targets(classes, target, weights, seen)


def require_labels(name: str, y) -> None:
    """Refuse soft labels where accuracy is asked for.

    Raises
    ------
    ValueError
        If y has two columns or more.
    """
    if is_soft(y):
        raise ValueError(
            f"{name}.score is the accuracy on labels of shape (n_samples,). Got y of shape {shape_of(y)} instead:"
            " score soft labels with sksoft.metrics.neg_soft_log_loss."
        )


def _as_rows(name: str, y):
    """Labels (n,) as an array, or soft labels (n, K >= 2) as an array or CSR array, values unchecked."""
    if sparse.issparse(y):
        if y.ndim != 2 or y.shape[1] < 2:
            raise ValueError(
                f"Sparse y must be soft labels of shape (n_samples, n_classes >= 2). Got {y.shape} instead."
            )
        return sparse.csr_array(y)
    array = check_array(y, ensure_2d=False, dtype=None, ensure_all_finite=False, input_name="y", estimator=name)
    return array if array.ndim == 2 and array.shape[1] > 1 else column_or_1d(y, warn=True)


def column_names(y) -> list | None:
    """Of a DataFrame."""
    columns = getattr(y, "columns", None)
    return None if columns is None else list(columns)


def default_classes(names: list | None, n_columns: int) -> np.ndarray:
    """What columns stand for: their names where they have any, else 0, 1, 2 …"""
    if names is None:
        return np.arange(n_columns)
    return np.array(names, dtype=None if len({type(column) for column in names}) == 1 else object)


def _column_classes(classes, names: list | None, n_columns: int) -> np.ndarray:
    """The class of each column of soft labels."""
    if classes is None:
        return default_classes(names, n_columns)
    classes = column_or_1d(classes, input_name="classes")
    if len(classes) != n_columns:
        raise ValueError(
            f"The 'classes' parameter must name the {n_columns} columns of y. Got {len(classes)} classes instead."
        )
    if names is not None and names != classes.tolist() and set(names) == set(classes.tolist()):
        raise ValueError(
            f"The 'classes' parameter must be in the order of the columns of y, {names}."
            f" Got {classes.tolist()} instead."
        )
    _check_distinct(classes)
    return classes


def _check_distinct(classes: np.ndarray) -> None:
    if len(set(classes.tolist())) != len(classes):
        raise ValueError(f"The 'classes' parameter must hold distinct labels. Got {classes.tolist()} instead.")


def _from_labels(name: str, y, rows, classes, class_weight, weights):
    """Classes, target and weights of the labels that weigh anything, and which these are."""
    assert_all_finite(y, input_name="y", estimator_name=name)
    check_classification_targets(y)
    if classes is None:
        present, codes = np.unique(y, return_inverse=True)
    else:
        present = column_or_1d(classes, input_name="classes")
        _check_distinct(present)
        present = np.sort(present)
        codes = encode_labels(y, present)
        if codes.min() < 0:
            at = int(np.argmin(codes))
            raise ValueError(
                f"y must hold labels among the 'classes' parameter, {present.tolist()}. Got {y[at]!r} in row {rows[at]}"
                " instead."
            )
    shares = np.bincount(codes, weights=weights / weights.max(), minlength=len(present))
    with np.errstate(over="ignore"):
        weights = weights * class_weights(class_weight, present, shares)[codes]
    kept = kept_rows(weights)
    codes, weights = codes[kept], weights[kept]
    if classes is None:
        left = np.bincount(codes, minlength=len(present)) > 0
        present, codes = present[left], (np.cumsum(left) - 1)[codes]
    return present, Labels(codes, len(present)), weights, kept


def _from_soft_labels(name: str, y, rows, classes, class_weight, weights):
    """Classes, target and weights of the rows that weigh anything, and which these are."""
    y = check_soft_labels("y", y, rows)
    if class_weight is None:
        kept = kept_rows(weights)
        return classes, _unsmoothed(y if kept.all() else y[kept]), weights[kept], kept
    per_class = class_weights(class_weight, classes, y.T @ (weights / weights.max()))
    largest = max(float(per_class.max()), np.finfo(float).tiny)
    factor = y @ (per_class / largest)
    with np.errstate(over="ignore"):
        weights = weights * factor * largest
    kept = kept_rows(weights)
    y = scale_rows(y if kept.all() else y[kept], 1.0 / factor[kept])
    if sparse.issparse(y):
        y.data *= (per_class / largest)[y.indices]
    else:
        y *= per_class / largest
    return classes, _unsmoothed(y), weights[kept], kept


def _unsmoothed(y) -> Labels | SoftLabels | SparseSoftLabels:
    """The smallest target that distributions y are: labels where every row is a vertex."""
    if sparse.issparse(y):
        y.eliminate_zeros()
        if (np.diff(y.indptr) == 1).all():
            return Labels(y.indices.astype(np.intp), y.shape[1])
        return SparseSoftLabels(y)
    if (np.count_nonzero(y, axis=1) == 1).all():
        return Labels(y.argmax(axis=1), y.shape[1])
    return SoftLabels(y)


def _smoothed(target: Labels | SoftLabels | SparseSoftLabels, smoothing: float) -> Target:
    if smoothing == 0.0:
        return target
    if isinstance(target, Labels):
        return SmoothedLabels(target.codes, target.n_classes, smoothing)
    if isinstance(target, SparseSoftLabels):
        return SparseSoftLabels(target.matrix, smoothing)
    target.proba[...] *= 1.0 - smoothing
    target.proba[...] += smoothing / target.n_classes
    return target


def _check_classes(name: str, classes, target: Target, weights, link: Link, fit_intercept: bool) -> None:
    """At least two classes have a share, and so has every class whose optimum needs one."""
    absent = target.shares(weights / weights.max()) == 0.0
    if len(classes) - absent.sum() < 2:
        raise ValueError(
            f"{name} needs samples of at least 2 classes in the data, but the data contains only one class with"
            f" positive weight: {classes[~absent][0]!s}"
        )
    if absent.any() and fit_intercept and isinstance(link, Softmax):
        raise ValueError(
            f"{name}: no row of positive weight has the classes {classes[absent].tolist()}, so the optimum has their"
            " intercepts at minus infinity. Leave them out, use label_smoothing > 0, fit_intercept=False or a sparse"
            " link such as link='sparsemax'."
        )
