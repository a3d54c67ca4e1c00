"""Logarithms of probabilities with a floor."""

import numpy as np

from sksoft.kernels import placement


def log_proba(proba) -> np.ndarray:
    """log p, with p below 2.2e-16 counted as that.

    A classifier that says exactly zero does not mean infinitely unlikely: the floor is the one of scikit-learn's
    ``log_loss``, float64's machine epsilon.
    """
    return np.log(np.maximum(placement.namespace(proba).asarray(proba, dtype=np.float64), np.finfo(np.float64).eps))
