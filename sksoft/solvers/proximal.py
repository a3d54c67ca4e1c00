r"""Proximal Newton on working sets [1]_, stopped by a proved bound.

For F = loss + R, R convex with kinks, each iteration lowers a quadratic model of the loss plus R itself on a working
set: all coefficients that are not zero or may move freely, and of the others the worst violators of the conditions of
optimality, at most as many again. The working set so grows with the solution [2]_; what is never in it is never read.
The model is lowered only as far as the progress of the iteration before deserves, and the step is shortened until F
decreases enough of what the model promised.

When the bound of a point is at most ``tol · F`` one last step is taken, for coefficients are less exact than F. Where
the decrease that the model promises is below the rounding of F, F cannot judge a step; the bound does, and when it no
longer shrinks the solver has reached what float64 can resolve.

References
----------
.. [1] Yuan, Ho, Lin, "An improved GLMNET for L1-regularized logistic regression", JMLR 13, 2012, algorithm 1.
.. [2] Massias, Gramfort, Salmon, "Celer: a fast solver for the lasso with dual extrapolation", ICML 2018, algorithm 4.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from sksoft.solvers.certificate import (
    NOTHING,
    PRECISION_LIMIT,
    VALUE_RESOLUTION,
    Certificate,
    Reason,
    Solution,
    goal,
    reached,
)

SUFFICIENT_DECREASE = 1e-4
MAX_BACKTRACKS = 40
# Coordinates of the first working set, and growth of the set beside the support.
SMALLEST_SET, GROWTH = 1000, 2
# Share of the first sweep's steps that may be left in a model.
LOOSEST, TIGHTEST = 1e-2, 1e-4
# A model that promises more than this share of F is not to be trusted to the end.
FAR = 1e-2
# The caution of a curvature that bounds every other.
BOUNDED = 2.0


class Model(Protocol):
    """A quadratic model of the loss, plus the penalty, on a working set."""

    position: np.ndarray
    n_sweeps: int
    n_products: int

    def minimise(self, share: float) -> float:
        """Lower it until a sweep's steps are a share of the first one's; the decrease."""
        ...


class Point(Protocol):
    """F at one w."""

    w: np.ndarray
    value: float
    gradient: np.ndarray

    def gap(self) -> float:
        """A proved bound on F(w) − min F, or nan."""
        ...

    def model(self, mask: np.ndarray, caution: float) -> Model:
        """The model on the coordinates of a mask, from Newton's to one whose steps do not overshoot at caution 1.

        At caution 2 its curvature is at least that of every point.
        """
        ...


class Objective(Protocol):
    """What can be minimised."""

    @property
    def penalty(self) -> Any:
        """R, with ``free(w)``, where it is smooth at w, and ``joined(mask)``, what is zero or not together with it."""
        ...

    def at(self, w: np.ndarray) -> Point:
        """Evaluate at w; ``gradient`` is the least subgradient."""
        ...


def proximal_newton(
    objective: Objective,
    w: np.ndarray,
    *,
    tol: float,
    max_iter: int,
    callback: Callable[[int, Point], object] | None = None,
) -> Solution:
    """Minimise a convex objective with kinks from `w`.

    Parameters
    ----------
    objective : Objective
    w : ndarray (n_parameters,), float64
        Where R is finite.
    tol : float >= 0
        Stop when the certificate's bound is at most ``tol · F(w)``; then one more step is taken.
    max_iter : int >= 0
    callback : (n_iter, point) → object, optional
        Called at the start and after every step; a true result stops the solver.

    Returns
    -------
    solution : Solution
        Its certificate is a gap, or where none can be proved the decrease that the last model still promised.
        ``n_products`` counts sweeps and products on working sets, ``n_passes`` evaluations of F.
    """
    return _Run(objective, w, tol, max_iter, callback).solve()


class _Run:
    """The state of one minimisation."""

    def __init__(self, objective, w, tol, max_iter, callback):
        self.objective, self.tol, self.max_iter, self.callback = objective, tol, max_iter, callback
        self.n_iter, self.n_products, self.n_passes = 0, 0, 1
        self.share, self.caution, self.stationarity = LOOSEST, 1.0, np.inf
        self.point = objective.at(w)
        if not (np.isfinite(self.point.value) and np.all(np.isfinite(self.point.gradient))):
            raise ValueError(
                f"The objective is not finite at the start: {self.point.value}. Scale the features and the weights."
            )
        self.bound = self.point.gap()

    @property
    def goal(self) -> float:
        return goal(self.tol, self.point.value)

    def solve(self) -> Solution:
        stopped_by: Reason = "max_iter"
        stop = self.callback is not None and self.callback(0, self.point)
        while not stop:
            last = self._settled
            stopped_by = "tolerance" if last else "max_iter"
            if self.n_iter >= self.max_iter:
                break
            trial = self._step(last) if self.point.value > NOTHING else None
            if trial is None:
                stopped_by = "tolerance" if last else "precision"
                break
            bound = trial.gap()
            if not (last and bound > self.bound):
                self.point, self.bound = trial, bound
                self.n_iter += 1
                stop = self.callback is not None and self.callback(self.n_iter, self.point)
            if last:
                break
        return self._solution("callback" if stop else stopped_by)

    @property
    def _settled(self) -> bool:
        return (self.stationarity if np.isnan(self.bound) else self.bound) <= self.goal

    def _working_set(self) -> np.ndarray:
        """All that moves, and the worst of what should."""
        penalty, point = self.objective.penalty, self.point
        mask = (point.w != 0.0) | penalty.free(point.w)
        violation = np.where(mask, 0.0, np.abs(point.gradient))
        room = max(SMALLEST_SET, GROWTH * int(mask.sum()))
        worst = np.flatnonzero(violation)
        if len(worst) > room:
            worst = worst[np.argsort(-violation[worst], kind="stable")[:room]]
        mask[worst] = True
        return penalty.joined(mask)

    def _step(self, last: bool) -> Point | None:
        """The point after a step that decreases F, or None where rounding hides any progress.

        Where the point is so far off that a model's curvature is all rounding, or none at all, one that bounds all
        others is next.
        """
        mask, cautions = self._working_set(), (self.caution, BOUNDED)
        for caution in cautions[:1] if self._exhausted else cautions:
            target, decrease = self._minimised(mask, caution, last)
            trial = self._line_search(target, decrease) if decrease >= -self._resolution else None
            if trial is not None:
                return trial
        if abs(decrease) <= self._resolution and self._complete(mask):  # nor has the bounding model more to gain
            self.stationarity = min(self.stationarity, self._resolution)
        return None

    @property
    def _exhausted(self) -> bool:
        """Whether the bound is as small as any that float64 promises."""
        return self.bound <= max(self.goal, PRECISION_LIMIT * abs(self.point.value))

    def _complete(self, mask: np.ndarray) -> bool:
        """Whether no bound is proved, and a model on the mask has all there is to gain."""
        return bool(np.isnan(self.bound)) and not self.point.gradient[~mask].any()

    def _minimised(self, mask: np.ndarray, caution: float, last: bool) -> tuple[np.ndarray, float]:
        """Where the model on a mask is least, and how far below F it is there."""
        model = self.point.model(mask, caution)
        decrease = model.minimise(TIGHTEST if last or np.isnan(self.bound) else self.share)
        self.n_products += model.n_sweeps + model.n_products
        if caution == 0.0 and decrease > 0.0 and self._complete(mask):
            self.stationarity = decrease  # F only decreases from here, so this holds for every later point
        self.share = float(np.clip(decrease / abs(self.point.value), TIGHTEST, LOOSEST))
        self.caution = 1.0 if decrease > FAR * abs(self.point.value) else 0.0
        target = self.point.w.copy()
        target[mask] = model.position
        return target, decrease

    @property
    def _resolution(self) -> float:
        """A decrease that drowns in the rounding of F."""
        return VALUE_RESOLUTION * abs(self.point.value)

    def _line_search(self, target: np.ndarray, decrease: float) -> Point | None:
        point, t, resolution = self.point, 1.0, self._resolution
        for _ in range(MAX_BACKTRACKS):
            trial = self.objective.at(target if t == 1.0 else point.w + t * (target - point.w))
            self.n_passes += 1
            if decrease <= resolution:  # F cannot tell: the bound must, or the gradient
                better = trial.gap() < self.bound or (np.isnan(self.bound) and _largest(trial) < _largest(point))
                return trial if better else None
            if trial.value <= point.value - SUFFICIENT_DECREASE * t * decrease + 1e-2 * resolution:
                return trial
            excess = trial.value - point.value + t * decrease
            t *= float(np.clip(t * decrease / (2.0 * excess), 0.1, 0.5)) if np.isfinite(excess) else 0.1
        return None

    def _solution(self, stopped_by: Reason) -> Solution:
        certificate = Certificate("gap", self.bound)
        if np.isnan(self.bound):
            certificate = Certificate("stationarity", self.stationarity)
        return Solution(
            w=self.point.w,
            value=float(self.point.value),
            gradient_norm=_largest(self.point),
            certificate=certificate,
            n_iter=self.n_iter,
            n_products=self.n_products,
            converged=reached(certificate.bound, self.tol, self.point.value, stopped_by),
            stopped_by=stopped_by,
            n_passes=float(self.n_passes),
        )


def _largest(point) -> float:
    return float(np.max(np.abs(point.gradient), initial=0.0))
