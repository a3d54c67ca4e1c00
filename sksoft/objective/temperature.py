"""The log-loss of scores divided by a temperature, as a function of β = 1 / T.

    F(β) = Σᵢ sᵢ (log Σⱼ exp(β zᵢⱼ) − β z_{i,yᵢ}) / Σᵢ sᵢ,    F' = Σ s (E_p[z] − z_y) / Σ s,    F'' = Σ s Var_p(z) / Σ s

is convex. It is searched in units of the median range of a row of scores, so that scores of any size take the same
path. F decreases for ever in β exactly if no row ranks another class above its own, and increases from β = 0 on exactly
if F'(0) ≥ 0, that is if scores of the true class are on average no better than those of all.
"""

from dataclasses import dataclass

import numpy as np

from sksoft.kernels import placement
from sksoft.kernels.registry import backend_for
from sksoft.kernels.temperature import AUTO_SIZE, row_ranges, temperature_sums

# Ranges below this count as none: what is left of them is mostly rounding, and β, their inverse, must be a number.
SMALLEST_UNIT = 1e-305


@dataclass(frozen=True)
class BetaPoint:
    """F at one β: what ``solvers.log_newton`` asks."""

    w: np.ndarray
    value: float
    gradient: np.ndarray
    second: float

    def hessian_product(self, v: np.ndarray) -> np.ndarray:
        """F'' v."""
        return self.second * v


class TemperatureLoss:
    """F, for scores that are finite; computed where they live.

    Parameters
    ----------
    scores : ndarray (n, K), float32 or float64
    codes : ndarray (n,) intp
        Column of every row's label.
    weights : ndarray (n,), non-negative, not all zero, or None for ones
    """

    def __init__(self, scores: np.ndarray, codes: np.ndarray, weights: np.ndarray | None):
        weights = placement.namespace(scores).ones(len(codes)) if weights is None else weights
        self.scores, self.codes, self.weights = scores, codes, weights / weights.sum()
        self.backend = backend_for(scores.size, AUTO_SIZE, scores)
        top, bottom, own = row_ranges(scores, codes)
        half_ranges = 0.5 * top - 0.5 * bottom  # a range may be too large for a number
        some = half_ranges[half_ranges > SMALLEST_UNIT]
        self.informative = len(some) > 0
        self.unit = min(2.0 * _median(some), float(np.finfo(np.float64).max)) if self.informative else 1.0
        self.separates = bool(np.array_equal(own, top))

    def at(self, w: np.ndarray) -> BetaPoint:
        """F at w = (β,), β in units. O(n K)."""
        beta = float(w[0])
        sums = temperature_sums(self.scores, self.codes, self.weights, beta=beta, inverse_unit=1.0 / self.unit)
        sums = placement.to_host(sums)
        return BetaPoint(w, float(sums[0]), sums[1:2], float(sums[2]))


def _median(values: np.ndarray) -> float:
    """The upper median: one partition, no checks."""
    middle = len(values) // 2
    return float(np.partition(values, middle)[middle])
