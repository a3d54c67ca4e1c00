"""The one temperature of least log-loss: for calibrators, and for decompositions that need one.

Found by safeguarded Newton steps in log β on the loss of :mod:`sksoft.objective.temperature`, in its units.
"""

from dataclasses import dataclass

import numpy as np

from sksoft.kernels import placement, splitmix
from sksoft.objective.temperature import TemperatureLoss
from sksoft.solvers import log_newton
from sksoft.solvers.certificate import Solution

# Bounds of β in units: beyond, the data say "know nothing" or "certain".
BETA_BOUNDS = (1e-9, 1e9)
# Where the search begins: neural networks and linear models alike are mostly within a factor of 3 of it.
BETA_START = 8.0
# Above so many scores a share of the rows says where to begin, to so many digits as it can know.
SKETCHED, SKETCH_SHARE, SKETCH_TOL, SKETCH_ITER = 1 << 18, 1.0 / 16.0, 1e-2, 50


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
    def finite_beta(self) -> float:
        """β; where the best is at a bound, one that suits the range of the scores."""
        return BETA_START / self.unit if self.at_bound else self.beta

    @property
    def temperature(self) -> float:
        """T > 0."""
        return self.unit / float(self.solution.w[0])

    @property
    def at_bound(self) -> bool:
        """Whether β ended at a bound of the search."""
        return self.limit == np.inf or self.solution.stopped_by == "bound"


def best_temperature(logits, codes, weights=None, *, tol: float = 1e-12, max_iter: int = 100) -> BestTemperature:
    """Minimise F by safeguarded Newton steps in log β.

    Parameters
    ----------
    logits : ndarray (n, K), float32 or float64
        Finite; left as they are. On a device the loss is computed there, and `codes` and `weights` are there too.
    codes : ndarray (n,) intp
        Column of the true class.
    weights : ndarray (n,), float64, non-negative, not all zero, optional
    tol : float >= 0
        What may be left of log T.
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
        start, bounds, limit = _start(loss), BETA_BOUNDS, np.nan
    solution = log_newton(loss, start, bounds=bounds, tol=tol, max_iter=max_iter)
    if solution.stopped_by == "bound" and solution.w[0] < 1.0 and loss.at(np.zeros(1)).gradient[0] >= 0.0:
        limit = 0.0
    return BestTemperature(solution, loss.unit, limit)


def _start(loss: TemperatureLoss) -> float:
    """Where to begin: the best β of a share of many rows."""
    if loss.scores.size < SKETCHED:
        return BETA_START
    some = placement.where(loss.scores, splitmix.drawn_rows(len(loss.codes), SKETCH_SHARE))
    if not loss.weights[some].any():
        return BETA_START
    with loss.backend():  # that of all rows: their compiled code is there
        sketch = TemperatureLoss(loss.scores[some], loss.codes[some], loss.weights[some])
        return float(np.clip(_search(sketch, SKETCH_TOL, SKETCH_ITER).beta * loss.unit, *BETA_BOUNDS))
