"""Probabilities as columns, and their logarithms with a floor."""

import numpy as np

from sksoft.metrics.predictions import Predictions


def columns_of(predictions: Predictions) -> np.ndarray:
    """Probabilities of all classes, (n, K), one-dimensional ones included."""
    proba = predictions.proba
    return np.column_stack([1 - proba, proba]) if predictions.is_binary else proba


def log_proba(proba) -> np.ndarray:
    """log p, with p below 2.2e-16 counted as that.

    A classifier that says exactly zero does not mean infinitely unlikely: the floor is the one of scikit-learn's
    ``log_loss``, float64's machine epsilon.
    """
    return np.log(np.maximum(np.asarray(proba, dtype=np.float64), np.finfo(np.float64).eps))
