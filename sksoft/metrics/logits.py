"""Logarithms of probabilities with a floor."""

import numpy as np

from sksoft.kernels import placement
from sksoft.kernels.registry import placed


def log_proba(proba) -> np.ndarray:
    """log p, with p below 2.2e-16 counted as that.

    A classifier that says exactly zero does not mean infinitely unlikely: the floor is the one of scikit-learn's
    ``log_loss``, float64's machine epsilon.
    """
    proba = placed(proba, "A logarithm") if placement.on_device(proba) else np.asarray(proba)
    return np.log(np.maximum(proba.astype(np.float64, copy=False), np.finfo(np.float64).eps))
