"""Weighted means with normal intervals: m = Σ w v / Σ w, se² = Σ w² (v − m)² / (Σ w)² · n/(n − 1), n = (Σ w)²/Σ w²."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri


@dataclass(frozen=True)
class Estimate:
    """A number and its confidence interval."""

    value: float
    low: float
    high: float


def mean_estimate(values: np.ndarray, weights: np.ndarray | None, confidence_level: float) -> Estimate:
    """Weighted mean of `values` (n,) with its normal interval; the interval is NaN where the mean is not finite."""
    w = np.ones(len(values)) if weights is None else weights
    total = w.sum()
    value = float(w @ values / total)
    size = total**2 / (w @ w)
    if not np.isfinite(value) or size <= 1:
        return Estimate(value, float("nan"), float("nan"))
    spread = np.sqrt(((w * (values - value)) ** 2).sum() * size / (size - 1)) / total
    half = float(ndtri(0.5 + confidence_level / 2) * spread)
    return Estimate(value, value - half, value + half)


def effective_size(weights: np.ndarray | None, n_rows: int) -> float:
    """(Σ w)² / Σ w², the number of equally weighted rows that would tell as much."""
    return float(n_rows) if weights is None else float(weights.sum() ** 2 / (weights @ weights))
