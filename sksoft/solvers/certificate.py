"""What a solver returns: the parameters, and what is known about how good they are."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

# Objectives are means over rows: of this, nothing is left to gain. Losses of sparse links do reach 0.
NOTHING = 1e-24

# A decrease below this share of F drowns in the rounding of F.
VALUE_RESOLUTION = 1e-13
# A bound below this share of F that no step improves is the limit of float64, not a failure.
PRECISION_LIMIT = 1e-9

Reason = Literal["tolerance", "precision", "bound", "max_iter", "callback"]


def goal(tol: float, value: float) -> float:
    """The bound at which F = `value` is as good as `tol` asks for, or as there is any sense in."""
    return max(tol * abs(value), NOTHING)


def reached(bound: float, tol: float, value: float, stopped_by: Reason) -> bool:
    """Whether a bound is what `tol` asks for, or what float64 has to give where no step was left to take."""
    return bound <= goal(max(tol, PRECISION_LIMIT) if stopped_by in ("tolerance", "precision") else tol, value)


@dataclass(frozen=True)
class Certificate:
    """How far a value may be from the minimum, and on what ground.

    Attributes
    ----------
    kind : {'gap', 'stationarity'}
        ``'gap'``: `bound` is a proved bound on F(w) − min F, from a dual point. ``'stationarity'``: `bound` is half the
        squared Newton decrement gᵀ H⁻¹ g, the gap of the quadratic model, which proves nothing.
    bound : float >= 0
    """

    kind: Literal["gap", "stationarity"]
    bound: float

    @property
    def gap(self) -> float:
        """The proved gap, nan where nothing was proved."""
        return self.bound if self.kind == "gap" else float("nan")


@dataclass(frozen=True)
class Solution:
    """Where a solver stopped.

    Attributes
    ----------
    w : ndarray (n_parameters,)
    value : float
    gradient_norm : float
        Largest absolute entry of the gradient.
    certificate : Certificate
    n_iter : int
        Newton steps taken.
    n_products : int
        Hessian products used.
    n_passes : float
        Sweeps over the data: evaluations, and products by their share of the rows.
    converged : bool
        Whether ``certificate.bound`` reached the tolerance or the limit of float64.
    stopped_by : {"tolerance", "precision", "bound", "max_iter", "callback"}
        ``'precision'``: float64 resolves no further progress; ``'bound'``: the minimum lies on a bound of w.
    curvature : float
        F''(w) where w is one number; nan otherwise.
    """

    w: np.ndarray
    value: float
    gradient_norm: float
    certificate: Certificate
    n_iter: int
    n_products: int
    converged: bool
    stopped_by: Reason
    n_passes: float = float("nan")
    curvature: float = float("nan")
