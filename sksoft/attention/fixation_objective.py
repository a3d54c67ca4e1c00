r"""A softmax over the objects of each trial, with a bilinear score: what is minimised, and its certificate.

With tasks t_i (p,), the objects o_j (q,) of each trial, and the bilinear score of encoders and decoders [1]_::

    z_ij = t_iᵀ W o_j + uᵀ o_j            P(j | i) = exp z_ij / Σ_{k in trial i} exp z_ik
    F    = Σ s_i (log Σ_k exp z_ik − z_{i y_i}) / Σ s + (‖W‖² + ‖u‖²) / (2 C Σ s)

u is the row of W that a constant task would have. F is convex, and strongly so with λ = 1 / (C Σ s): F − min F is at
most ‖∇F‖² / (2 λ), to which what rounding may hide of the gradient is added.

References
----------
.. [1] Luong, Pham, Manning, "Effective approaches to attention-based neural machine translation", EMNLP 2015,
   section 3.1, 'general'.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sksoft.kernels.columns import csr_times_dense
from sksoft.kernels.registry import backend_for
from sksoft.kernels.segments import segment_products, segment_softmax, segment_softmax_vjp
from sksoft.objective.preconditioning import Rung

# Relative error of a sum of many products, generously.
ROUNDING = 1e-14


@dataclass(frozen=True)
class Trials:
    """Who could be looked at in which trial.

    Attributes
    ----------
    tasks : ndarray (n, p + 1)
        The last column is ones.
    objects : ndarray (N, q)
    columns : ndarray (E,), rows of `objects`, trial by trial; None where all trials have all objects
    starts : ndarray (n + 1,)
    """

    tasks: np.ndarray
    objects: np.ndarray
    columns: np.ndarray | None
    starts: np.ndarray

    def scores(self, coefficients: np.ndarray) -> np.ndarray:
        """z of every object of every trial, (E,), from (W, u) as (p + 1, q)."""
        wanted = self.tasks @ coefficients
        if self.columns is None:
            return (wanted @ self.objects.T).ravel()
        return segment_products(self.columns, self.starts, wanted, self.objects)

    def adjoint(self, slopes: np.ndarray) -> np.ndarray:
        """From slopes (E,) in the scores to those in (W, u), (p + 1, q)."""
        n, q = len(self.tasks), self.objects.shape[1]
        if self.columns is None:
            return self.tasks.T @ (slopes.reshape(n, -1) @ self.objects)
        wanted = csr_times_dense(slopes, self.columns, self.starts, self.objects, out=np.empty((n, q)))
        return self.tasks.T @ wanted


class FixationObjective:
    """F of the module, as ``solvers.newton_cg`` wants it.

    Parameters
    ----------
    trials : Trials
    chosen : ndarray (n,), intp
        Place of what was looked at among the E.
    weights : ndarray (n,), positive
    C : float
    """

    rough = False

    def __init__(self, trials: Trials, chosen: np.ndarray, weights: np.ndarray, C: float):
        self.trials, self.chosen = trials, chosen
        self.shares = weights / weights.sum()
        self.penalty = 1.0 / (C * weights.sum())
        self.shape = trials.tasks.shape[1], trials.objects.shape[1]
        self.on_pairs = np.repeat(self.shares, np.diff(trials.starts))
        self.backend = backend_for(len(self.on_pairs) * self.shape[1])

    @cached_property
    def diagonal(self) -> np.ndarray:
        """About the curvature in each coefficient."""
        of_tasks = self.shares @ self.trials.tasks**2
        of_objects = np.var(self.trials.objects, axis=0)
        return (np.outer(of_tasks, of_objects) + self.penalty).ravel()

    @cached_property
    def rungs(self):
        """One: the diagonal."""
        return [Rung(lambda curvature: lambda r: r / self.diagonal, cost=1e-6, entry=0.0, patience=np.inf)]

    @property
    def damping_scale(self) -> np.ndarray:
        """The unit of a damping."""
        return self.diagonal

    @cached_property
    def size(self) -> float:
        """No gradient of the loss is longer."""
        lengths = np.linalg.norm(self.trials.tasks, axis=1)
        return 2.0 * float(self.shares @ lengths) * float(np.linalg.norm(self.trials.objects, axis=1).max())

    def at(self, w: np.ndarray, *, rough: bool = False) -> "FixationPoint":
        """Evaluate at w."""
        return FixationPoint(self, w)

    def bound_from(self, residual: np.ndarray) -> float:
        """The gap of a point with this gradient."""
        return float(residual @ residual) / (2.0 * self.penalty)

    def refine(self) -> None:
        """Everything is float64 already."""


class FixationPoint:
    """F, its gradient and its curvature at one w."""

    rough = False
    share, work = 1.0, 1e-6

    def __init__(self, objective: FixationObjective, w: np.ndarray):
        self.objective, self.w = objective, w
        trials = objective.trials
        with objective.backend():
            scores = trials.scores(w.reshape(objective.shape))
            self.proba, lse = segment_softmax(scores, trials.starts)
            slopes = objective.on_pairs * self.proba
            slopes[objective.chosen] -= objective.shares
            gradient = trials.adjoint(slopes).ravel()
        losses = lse - scores[objective.chosen]
        self.value = float(objective.shares @ losses + 0.5 * objective.penalty * (w @ w))
        self.gradient = gradient + objective.penalty * w
        # total curvature: how far distributions are from certain
        self.amount = float(objective.on_pairs @ (self.proba * (1.0 - self.proba)))

    def curvature(self, threshold: float = 0.0) -> "FixationPoint":
        """The point knows its own."""
        return self

    def product(self, v: np.ndarray) -> np.ndarray:
        """∇²F v."""
        objective, trials = self.objective, self.objective.trials
        with objective.backend():
            moved = trials.scores(v.reshape(objective.shape))
            slopes = objective.on_pairs * segment_softmax_vjp(self.proba, moved, trials.starts)
            return trials.adjoint(slopes).ravel() + objective.penalty * v

    def gap(self) -> float:
        """A proved bound on F − min F."""
        objective = self.objective
        hidden = ROUNDING * (objective.size + objective.penalty * float(np.linalg.norm(self.w)))
        return (float(np.linalg.norm(self.gradient)) + hidden) ** 2 / (2.0 * objective.penalty)
