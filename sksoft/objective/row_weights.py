"""Weights of classes and of rows, as fits take them."""

import numpy as np
from sklearn.utils.class_weight import compute_class_weight


def class_weights(class_weight, classes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Weight of each class, (K,); `shares` is Σᵢ sᵢ τᵢ up to a factor."""
    if class_weight is None:
        return np.ones(len(classes))
    if isinstance(class_weight, str):
        present = shares > 0.0
        weights = np.zeros(len(classes))
        weights[present] = shares.sum() / present.sum() / shares[present]
    else:
        weights = compute_class_weight(class_weight, classes=classes, y=classes)
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError(f"The 'class_weight' parameter must give finite weights >= 0. Got {weights.tolist()}.")
    return weights


def kept_rows(weights: np.ndarray) -> np.ndarray:
    """Which rows weigh anything beside the heaviest; ValueError where no sum of the weights is possible."""
    largest = weights.max(initial=0.0)
    if not largest > 0.0:
        raise ValueError("The sample weights times the class weights must not all be zero.")
    if largest > np.finfo(np.float64).max / len(weights):
        raise ValueError(f"The sum of the weights must be finite. Got weights up to {largest:g} instead.")
    return weights > largest * np.finfo(np.float64).tiny
