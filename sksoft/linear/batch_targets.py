"""Targets of one batch of many: over the classes known so far, those that are named, and those that appear."""

from typing import Any

import numpy as np

from sksoft.linear.problem import link_named
from sksoft.metrics.soft_labels import is_soft
from sksoft.metrics.target_input import Targets, resolve_targets


def batch_targets(model, y, classes, sample_weight) -> tuple[Targets, np.ndarray]:
    """What a batch is to hit, and the weight of each class that it brings.

    Parameters
    ----------
    model : SoftmaxRegression
        With ``classes_`` and ``seen_weight_`` where it has seen rows.
    y : array-like (n,) or (n, K)
    classes : array-like or None
    sample_weight : array-like (n,) or None

    Returns
    -------
    targets : Targets
    brought : ndarray (K,)
        Σ s t of each class; with ``class_weight='balanced'`` before the class weights.

    Raises
    ------
    ValueError
        As :func:`resolve_targets`, for labels of several types, and where there are not two classes.
    """
    y = y if y is None or hasattr(y, "shape") else np.asarray(y)
    sample_weight = None if sample_weight is None else np.asarray(sample_weight)
    named = _named_classes(model, y, classes, sample_weight)
    if not isinstance(model.class_weight, str):
        targets = _resolve(model, y, named, _of_known(model.class_weight, named), sample_weight, model.label_smoothing)
        return targets, targets.target.shares(targets.weights)
    plain = _resolve(model, y, named, None, sample_weight, 0.0)
    brought = plain.target.shares(plain.weights)
    seen = brought.copy()
    if hasattr(model, "seen_weight_"):
        seen[np.isin(plain.classes, model.classes_)] += model.seen_weight_
    present = seen > 0.0
    weights = dict(zip(plain.classes[present].tolist(), seen.sum() / present.sum() / seen[present]))
    weights |= dict.fromkeys(plain.classes[~present].tolist(), 0.0)
    return _resolve(model, y, plain.classes, weights, sample_weight, model.label_smoothing), brought


def weight_before_class_weights(model, y, sample_weight) -> np.ndarray:
    """Σ s t of each class of ``classes_``, whatever the class weights and the smoothing."""
    y = y if hasattr(y, "shape") else np.asarray(y)
    plain = _resolve(model, y, model.classes_, None, sample_weight, 0.0)
    return plain.target.shares(plain.weights)


def _named_classes(model, y, classes, sample_weight) -> Any:
    """The classes to resolve labels among, or None where y itself says them."""
    known: np.ndarray | None = getattr(model, "classes_", None)
    named = model.classes if classes is None and known is None else classes
    if y is None:
        return named
    if not is_soft(y):
        return _union(known, named, _labels(y, sample_weight))
    if known is not None and named is not None and not np.array_equal(known, named):
        raise ValueError(f"Soft labels must have the columns of the first batch, {known.tolist()}. Got {named}.")
    return named if known is None else known


def _of_known(class_weight: dict | None, named) -> dict | None:
    """Class weights without those of classes that have not come."""
    if class_weight is None or named is None:
        return class_weight
    present = set(np.asarray(named).tolist())
    return {label: weight for label, weight in class_weight.items() if label in present} or None


def _resolve(model, y, classes, class_weight, sample_weight, label_smoothing: float) -> Targets:
    targets = resolve_targets(
        type(model).__name__,
        y,
        classes=classes,
        label_smoothing=label_smoothing,
        class_weight=class_weight,
        sample_weight=sample_weight,
        link=link_named(model.link),
        fit_intercept=model.fit_intercept,
        complete=False,
    )
    if len(targets.classes) < 2:
        raise ValueError(
            "The first batch of partial_fit must hold samples of at least 2 classes, or the 'classes' parameter name"
            f" them; the data contains only one class: {targets.classes[0]!s}"
        )
    return targets


def _labels(y, sample_weight) -> np.ndarray:
    """Labels of the rows that weigh anything; the rest is checked where targets are resolved."""
    y = np.ravel(np.asarray(y))
    if sample_weight is None or np.shape(sample_weight) != y.shape:
        return y
    return y[np.asarray(sample_weight) > 0]


def _union(*collections) -> np.ndarray:
    """Labels of one type, ascending; ValueError for a mix."""
    arrays = [np.asarray(labels) for labels in collections if labels is not None and len(labels)]
    texts = {array.dtype.kind in "USO" for array in arrays}
    if len(texts) > 1:
        raise ValueError(
            "Labels must be of one type in all batches and in the 'classes' parameter. Got"
            f" {sorted({str(array.dtype) for array in arrays})}."
        )
    return np.unique(np.concatenate(arrays)) if arrays else np.empty(0)
