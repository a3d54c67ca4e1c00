"""The log-loss of scores divided by a temperature, as a function of β = 1 / T, and the β that minimises it.

    F(β) = Σᵢ sᵢ (log Σⱼ exp(β zᵢⱼ) − β z_{i,yᵢ}) / Σᵢ sᵢ,    F' = Σ s (E_p[z] − z_y) / Σ s,    F'' = Σ s Var_p(z) / Σ s

is convex. It is searched in units of the median range of a row of scores, so that scores of any size take the same
path. F decreases for ever in β exactly if no row ranks another class above its own, and increases from β = 0 on exactly
if F'(0) ≥ 0, that is if scores of the true class are on average no better than those of all.
"""

from dataclasses import dataclass

import numpy as np

from sksoft.kernels import splitmix
from sksoft.kernels.temperature import row_ranges, temperature_sums
from sksoft.solvers import log_newton
from sksoft.solvers.certificate import Solution

# Bounds of β in units: beyond, the data say "know nothing" or "certain".
BETA_BOUNDS = (1e-9, 1e9)
# Where the search begins: neural networks and linear models alike are mostly within a factor of 3 of it.
BETA_START = 8.0
# Above so many scores a share of the rows says where to begin, to so many digits as it can know.
SKETCHED, SKETCH_SHARE, SKETCH_TOL, SKETCH_ITER = 1 << 15, 1.0 / 16.0, 1e-2, 50
# The unit stays so far from the ends of the numbers that its inverse is one.
SMALLEST_UNIT = 1e-300


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
    """F, for scores that are finite.

    Parameters
    ----------
    scores : ndarray (n, K), float32 or float64
    codes : ndarray (n,) intp
        Column of every row's label.
    weights : ndarray (n,), non-negative, not all zero, or None for ones
    """

    def __init__(self, scores: np.ndarray, codes: np.ndarray, weights: np.ndarray | None):
        weights = np.ones(len(codes)) if weights is None else weights
        self.scores, self.codes, self.weights = scores, codes, weights / weights.sum()
        top, bottom, own = row_ranges(scores, codes)
        half_ranges = 0.5 * top - 0.5 * bottom  # a range may be too large for a number
        some = half_ranges[half_ranges > 0.0]
        self.informative = len(some) > 0
        unit = 2.0 * _median(some) if self.informative else 1.0
        self.unit = float(np.clip(unit, SMALLEST_UNIT, np.finfo(np.float64).max))
        self.separates = np.array_equal(own, top)

    def at(self, w: np.ndarray) -> BetaPoint:
        """F at w = (β,), β in units. O(n K)."""
        beta = float(w[0])
        sums = temperature_sums(self.scores, self.codes, self.weights, beta=beta, inverse_unit=1.0 / self.unit)
        return BetaPoint(w, float(sums[0]), sums[1:2], float(sums[2]))

    def start(self) -> float:
        """Where to begin: the best β of a share of many rows."""
        if self.scores.size < SKETCHED:
            return BETA_START
        keys = splitmix.mix(np.arange(1, len(self.codes) + 1, dtype=np.uint64))
        some = keys < np.uint64(2**64 * SKETCH_SHARE)
        if not self.weights[some].any():
            return BETA_START
        sketch = TemperatureLoss(self.scores[some], self.codes[some], self.weights[some])
        found = _search(sketch, SKETCH_TOL, SKETCH_ITER).beta * self.unit
        return float(np.clip(found, *BETA_BOUNDS))


@dataclass(frozen=True)
class BestTemperature:
    """The temperature that some scores want.

    Attributes
    ----------
    solution : Solution
        With β in units.
    unit : float
    limit : float
        The bound 0 or ∞ that F decreases up to in β; nan where it has a minimum in between.
    """

    solution: Solution
    unit: float
    limit: float

    @property
    def beta(self) -> float:
        """1 / T of the scores as they are."""
        return float(self.solution.w[0]) / self.unit

    @property
    def temperature(self) -> float:
        """T > 0."""
        return self.unit / float(self.solution.w[0])

    @property
    def at_bound(self) -> bool:
        """Whether β ended at a bound of the search."""
        return self.limit == np.inf or self.solution.stopped_by == "bound"


def best_temperature(logits, codes, weights=None, *, tol: float = 1e-10, max_iter: int = 100) -> BestTemperature:
    """Minimise F by safeguarded Newton steps in log β.

    Parameters
    ----------
    logits : ndarray (n, K), float32 or float64
        Finite; left as they are.
    codes : ndarray (n,) intp
        Column of the true class.
    weights : ndarray (n,), float64, non-negative, not all zero, optional
    tol : float >= 0
        Stop when the Newton step in log T is at most this.
    max_iter : int >= 1

    Notes
    -----
    O(n K) time per iteration, about six of them; O(n) memory where code is compiled. Scores that are the same for all
    classes in every row carry no information: T = 1.
    """
    return _search(TemperatureLoss(logits, codes, weights), tol, max_iter)


def _search(loss: TemperatureLoss, tol: float, max_iter: int) -> BestTemperature:
    high = BETA_BOUNDS[1]
    if not loss.informative:
        start, bounds, limit = 1.0, BETA_BOUNDS, np.nan
    elif loss.separates:
        start, bounds, limit = high, (high, high), np.inf
    else:
        start, bounds, limit = loss.start(), BETA_BOUNDS, np.nan
    solution = log_newton(loss, start, bounds=bounds, tol=tol, max_iter=max_iter)
    if solution.stopped_by == "bound" and solution.w[0] < 1.0 and loss.at(np.zeros(1)).gradient[0] >= 0.0:
        limit = 0.0
    return BestTemperature(solution, loss.unit, limit)


def _median(values: np.ndarray) -> float:
    """The upper median: one partition, no checks."""
    middle = len(values) // 2
    return float(np.partition(values, middle)[middle])
