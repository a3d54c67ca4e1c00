r"""The one temperature of least log-loss: exact, for calibrators and for decompositions that need one.

With scores z, the minimiser over β = 1/T > 0 of

    F(β) = Σᵢ sᵢ (log Σⱼ exp(β zᵢⱼ) − β z_{i,yᵢ}) / Σᵢ sᵢ

which is convex, with F' = Σ sᵢ (E_p[z] − z_y) / Σ s and F'' = Σ sᵢ Var_p(z) / Σ s ([1]_, eq. 9). It is found by
safeguarded Newton steps in log β.

.. [1] Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017.
"""

from dataclasses import dataclass

import numpy as np

from sksoft.kernels.blocks import serial_blas
from sksoft.objective.batches import InMemory
from sksoft.objective.links import LINKS
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.objective import Objective
from sksoft.objective.penalties import Ridge
from sksoft.objective.scores import Temperature
from sksoft.objective.targets import Labels
from sksoft.solvers import log_newton
from sksoft.solvers.certificate import Solution

# 1 / temperature in units of the typical range of a row of scores: beyond, the data say "know nothing" or "certain".
BETA_BOUNDS = (1e-9, 1e9)


@dataclass(frozen=True)
class BestTemperature:
    """A temperature and how it was found.

    Attributes
    ----------
    solution : Solution
        In β·``scale``, for scores in units of ``scale``.
    scale : float
        The typical range of a row of scores.
    limit : float or None
        The end of ``BETA_BOUNDS`` that the loss decreases up to for ever, if it does.
    """

    solution: Solution
    scale: float
    limit: float | None

    @property
    def temperature(self) -> float:
        """T > 0."""
        return self.scale / float(self.solution.w[0])

    @property
    def at_bound(self) -> bool:
        """Whether the best T is none: 0 (the scores separate the labels) or ∞ (they are no better than uniform)."""
        return self.limit is not None or self.solution.stopped_by == "bound"


def best_temperature(logits, codes, weights=None, *, tol: float = 1e-10, max_iter: int = 100) -> BestTemperature:
    """The temperature that minimises the log-loss.

    Parameters
    ----------
    logits : ndarray (n, K), float64
        Finite; left as they are.
    codes : ndarray (n,) intp
        Column of the true class.
    weights : ndarray (n,), float64, > 0, optional
    tol : float >= 0
        Stop when the Newton step in log T is at most this.
    max_iter : int >= 1

    Notes
    -----
    O(n K) time per iteration, about six of them; O(n K) memory. Scores that are the same for all classes in every row
    carry no information: T = 1 in their units.
    """
    logits, scale = _standardised(logits)
    weights = np.ones(len(codes)) if weights is None else weights
    objective = Objective(
        FenchelYoung(LINKS["softmax"]),
        Temperature(),
        InMemory(logits, Labels(codes, logits.shape[1]), weights),
        Ridge(np.zeros(1)),
    )
    limit = _limit(logits, codes, weights)
    bounds = BETA_BOUNDS if limit is None else (limit, limit)
    with serial_blas():
        solution = log_newton(objective, 1.0, bounds=bounds, tol=tol, max_iter=max_iter)
    return BestTemperature(solution, scale, limit)


def _standardised(logits: np.ndarray) -> tuple[np.ndarray, float]:
    """Logits with centred rows in units of the typical range of a row, and that unit.

    A shift of a row means nothing to softmax; a common scale makes the search the same for scores of any size, and the
    median over rows keeps an outlier from setting it.
    """
    size = float(np.abs(logits).max()) or 1.0
    logits = logits / size
    logits -= logits.max(axis=1, keepdims=True)
    spreads = -logits.min(axis=1)
    spread = float(np.median(spreads[spreads > 0.0])) if spreads.any() else 1.0
    logits -= logits.mean(axis=1, keepdims=True)
    return logits / spread, spread * size


def _limit(logits, codes, weights) -> float | None:
    """The bound of β = 1/T that F decreases up to, or None where it has a minimum in between.

    F decreases for ever in β exactly if no row ranks another class above its own; it increases from β = 0 on exactly
    if the mean score of the true class, in centred rows, is not positive.
    """
    true_score = logits[np.arange(len(codes)), codes]
    if not logits.any():
        return None
    if np.array_equal(true_score, logits.max(axis=1)):
        return BETA_BOUNDS[1]
    return BETA_BOUNDS[0] if weights @ true_score <= 0.0 else None
