r"""Truncated Newton with conjugate gradients, stopped by a proved bound.

Each iteration solves (H + μ D) d = −∇F by preconditioned conjugate gradients, only as exactly as the progress so far
deserves (forcing term of [1]_), and takes w + t d with t from backtracking (Armijo, quadratic interpolation [2]_). The
preconditioner climbs a ladder (``ladder.py``), μ follows the steps (``damping.py``), and H leaves out rows whose
curvature is negligible.

Far from the minimum an objective may be evaluated roughly, in float32: once a step promises less than
``ROUGH_LIMIT`` of F, values and gradients are float64. Hessian products only steer and stay rough unless they fail.

It ends when the bound of a float64 point is at most ``tol · F``; then one last step is taken. Where the decrease that
a step promises is below the rounding of F, F cannot judge it; the gradient does, and when it no longer shrinks the
solver has reached what float64 can resolve.

References
----------
.. [1] Eisenstat, Walker, "Choosing the forcing terms in an inexact Newton method", SIAM J. Sci. Comput. 17, 1996.
.. [2] Nocedal, Wright, "Numerical Optimization", 2nd ed., 2006, algorithm 7.1 and section 3.5.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from sksoft.solvers.certificate import NOTHING, VALUE_RESOLUTION, Certificate, Reason, Solution, goal, reached
from sksoft.solvers.conjugate_gradients import Step, newton_step
from sksoft.solvers.damping import Damping
from sksoft.solvers.ladder import Ladder, Rung

SUFFICIENT_DECREASE = 1e-4
MAX_BACKTRACKS = 40
# Forcing terms of ordinary steps, of the last one, and of one whose decrement is the certificate.
TIGHTEST, LOOSEST = 0.1, 0.6
LAST_FORCING, LAST_PRODUCTS = 1e-4, 10
EXACT_FORCING, ROUGH_FORCING = 1e-6, 0.1
# Products of such a one at most.
MOST_PRODUCTS = 1000
# Predicted decrease, as a share of F, below which values and gradients are float64.
ROUGH_LIMIT = 2e-5
# Predicted decrease, as a share of F, above which the quadratic model is not solved to the end.
FAR = 1e-2
# Rows with less than this share of the mean curvature are left out of Hessian products.
ACTIVE_SHARE = 1e-2
# What is left of a step's equation may be as large as this share of the goal.
SETTLED_METRIC, SETTLED_PROOF = 0.02, 0.5
# A Newton step that promises a share q of F leaves about this times q of the bound, however exactly it is solved.
CURVED = 100.0
# The share of F whose decrease drowns in the rounding of a rough F.
ROUGH_RESOLUTION = 1e-7
# A full step that leaves more than the one share of the bound, and should have left less than the other share of what
# it left, was steered by rough products.
STAGNATION, MISLED = 0.5, 0.1
# The rows of a sketch, and how well it is solved.
SKETCH_SHARE, SKETCH_TOL, SKETCH_ITER = 0.25, 1e-2, 20


class Curvature(Protocol):
    """∇²F at one w.

    ``amount`` is the total curvature, ``work`` the modelled seconds of a product, ``share`` the rows it sweeps.
    """

    amount: float
    share: float

    @property
    def work(self) -> float: ...

    def product(self, v: np.ndarray) -> np.ndarray:
        """∇²F(w) v."""
        ...


class Point(Protocol):
    """F at one w: what the solver may ask."""

    w: np.ndarray
    rough: bool
    value: float
    gradient: np.ndarray

    def curvature(self, threshold: float = 0.0) -> Curvature:
        """∇²F(w), without the rows whose curvature is below `threshold` times the mean."""
        ...

    def gap(self) -> float:
        """A proved bound on F(w) − min F, or nan."""
        ...


class Objective(Protocol):
    """What can be minimised: points, metrics for them, and how rough it may be."""

    @property
    def rough(self) -> bool:
        """Whether at(w, rough=True) is cheaper than at(w), and products are rough."""
        ...

    @property
    def rungs(self) -> Sequence[Rung]:
        """The ladder of preconditioners."""
        ...

    @property
    def damping_scale(self) -> np.ndarray | float:
        """The unit of a damping, by parameter."""
        ...

    def at(self, w: np.ndarray, *, rough: bool = False) -> Point:
        """Evaluate at w."""
        ...

    def bound_from(self, residual: np.ndarray) -> float:
        """About the bound of a point with this gradient; 0 where nothing can be proved."""
        ...

    def refine(self) -> None:
        """Hessian products in float64 from now on."""
        ...


def newton_cg(
    objective: Objective,
    w: np.ndarray,
    *,
    tol: float,
    max_iter: int,
    sketch: bool = False,
    callback: Callable[[int, Point], object] | None = None,
    ladder: Ladder | None = None,
) -> Solution:
    """Minimise a convex objective from `w`.

    Parameters
    ----------
    objective : Objective
    w : ndarray (n_parameters,), float64
    tol : float >= 0
        Stop when the certificate's bound is at most ``tol · F(w)``; then one more Newton step is taken.
    max_iter : int >= 0
        Newton steps, the last one included.
    sketch : bool, default=False
        Stop as soon as a rough bound says so, without a proof or a last step: for a start.
    callback : (n_iter, point) → object, optional
        Called at the start and after every step; a true result stops the solver.
    ladder : Ladder, optional
        Of a problem much like this one, solved before; it is moved on.

    Returns
    -------
    solution : Solution
    """
    run = _Run(objective, w, tol, max_iter, sketch, callback, ladder)
    del w  # vectors may be as large as all data
    return run.solve()


def sketched(objective, w: np.ndarray) -> np.ndarray:
    """The solution for a share of the rows, to one percent: where to start from."""
    return newton_cg(objective.sample(SKETCH_SHARE), w, tol=SKETCH_TOL, max_iter=SKETCH_ITER, sketch=True).w


class _Run:
    """The state of one minimisation."""

    def __init__(self, objective, w, tol, max_iter, sketch, callback, ladder):
        self.objective, self.tol, self.max_iter, self.sketch, self.callback = objective, tol, max_iter, sketch, callback
        self.rough, self.rough_products = objective.rough, objective.rough
        self.ladder = Ladder(objective.rungs) if ladder is None else ladder.moved_to(objective.rungs)
        self.damping = Damping(lambda: objective.damping_scale)
        self.active_share, self.last_start = ACTIVE_SHARE, None
        self.n_iter, self.n_products, self.n_passes = 0, 0, 1.0
        self.stationarity = np.inf
        self.point = objective.at(w, rough=self.rough)
        if not (np.isfinite(self.point.value) and np.all(np.isfinite(self.point.gradient))):
            raise ValueError(
                f"The objective is not finite at the start: {self.point.value}. Scale the features and the weights."
            )
        self.bound = self._bound(self.point)

    def _bound(self, point) -> float:
        """The proved bound where it decides anything: not for a rough point, unless it is a sketch that is wanted."""
        return np.inf if point.rough and not self.sketch else point.gap()

    @property
    def goal(self) -> float:
        return goal(self.tol, self.point.value)

    def solve(self) -> Solution:
        stopped_by: Reason = "max_iter"
        stop = self.callback is not None and self.callback(0, self.point)
        while not stop and self.n_iter < self.max_iter:
            if self.sketch and self.bound <= self.goal:
                stopped_by = "tolerance"
                break
            last = not self.rough and self.bound <= self.goal
            step = self._step(last)
            if np.isnan(self.bound) and not self.rough and not self.sketch and step.decrease <= self.goal:
                # nothing can be proved here, so the decrement of a nearly exact step must speak
                step = self._exact_step(EXACT_FORCING)
                last = self.stationarity <= self.goal
            if self.rough and step.decrease < max(ROUGH_LIMIT, self.tol) * abs(self.point.value) and not self.sketch:
                self.rough = False
            trial, t = self._line_search(step)
            if trial is None:
                if self._more_precise():
                    continue
                stopped_by = "tolerance" if last else "precision"
                break
            self.n_iter += 1
            if self._accept(trial, t, step, last):
                stop = self.callback is not None and self.callback(self.n_iter, self.point)
            if last:
                stopped_by = "tolerance"
                break
            del step, trial  # vectors may be as large as all data
        if stop:
            stopped_by = "callback"
        return self._solution(stopped_by)

    def _step(self, last: bool) -> Step:
        goal, value = self.goal, abs(self.point.value)
        accuracy = {
            "forcing": self._forcing,
            "far": FAR * value,
            "most": value,
            "fine": SETTLED_METRIC * goal,
            "settled": self._settled,
        }
        if last:
            accuracy = {"forcing": LAST_FORCING, "max_products": LAST_PRODUCTS}
        step = self._solve(self.active_share, self.damping.added_to, **accuracy)
        self.last_start = step.start
        return step

    def _settled(self, remainder: np.ndarray, decrease: float) -> bool:
        """Whether what a step leaves proves enough, or is less than what the curving of F will leave anyway."""
        share = decrease / max(abs(self.point.value), NOTHING)
        curved = CURVED * share * self.objective.bound_from(self.point.gradient)
        return self.objective.bound_from(remainder) < max(SETTLED_PROOF * self.goal, curved)

    def _forcing(self, start: float) -> float:
        """As the squared norm of the gradient in the metric fell from the step before."""
        return (
            LOOSEST if self.last_start is None else float(np.clip(np.sqrt(start / self.last_start), TIGHTEST, LOOSEST))
        )

    def _exact_step(self, forcing: float) -> Step:
        """A step of the whole undamped Hessian, whose decrement bounds what is left of the quadratic model."""
        step = self._solve(0.0, lambda product: product, forcing=forcing, max_products=MOST_PRODUCTS)
        if step.exact:  # F only decreases from here, so this holds for every later point
            self.stationarity = min(self.stationarity, 0.5 * step.decrement / (1.0 - forcing))
        return step

    def _solve(self, threshold: float, damped, **accuracy) -> Step:
        curvature = self.point.curvature(threshold)
        metric = self.ladder.metric(curvature)
        accuracy.setdefault("max_products", self.ladder.allowance(curvature.work))
        accuracy["measure"] = self.objective.bound_from
        step = newton_step(damped(curvature.product), metric, self.point.gradient, **accuracy)
        self.ladder.charge(step.products, curvature.work)
        self.n_products += step.products
        self.n_passes += step.products * curvature.share
        return step

    def _line_search(self, step: Step):
        """A t that decreases F enough, first 1, and the point there; (None, 0) where rounding hides any progress."""
        if step.decrement == 0.0:
            return None, 0.0
        value = self.point.value
        resolution = (ROUGH_RESOLUTION if self.point.rough else VALUE_RESOLUTION) * abs(value)
        t = 1.0
        for _ in range(MAX_BACKTRACKS):
            trial = self.objective.at(self.point.w + t * step.d, rough=self.rough)
            self.n_passes += 1
            if step.decrement <= resolution:  # F cannot tell: the gradient must
                return (trial, t) if _norm(trial) < _norm(self.point) else (None, 0.0)
            excess = trial.value - value + t * step.decrement
            if trial.value <= value - SUFFICIENT_DECREASE * t * step.decrement + 1e-2 * resolution:
                return trial, t
            t *= float(np.clip(t * step.decrement / (2.0 * excess), 0.1, 0.5)) if np.isfinite(excess) else 0.1
            del trial
        return None, 0.0

    def _more_precise(self) -> bool:
        """Evaluate, or else multiply, in float64 after a step that led nowhere; whether there was more to have."""
        if self.sketch:
            return False
        if self.point.rough:
            self.rough = False
            self.point = self.objective.at(self.point.w)
            self.n_passes += 1
            self.bound = self.point.gap()
            return True
        if self.rough_products:
            self._refine()
            return True
        return False

    def _refine(self):
        self.rough_products = False
        self.objective.refine()
        self.active_share = 0.0

    def _accept(self, trial, t: float, step: Step, last: bool) -> bool:
        """Move to the trial point, unless the last step's rounding made the bound worse."""
        bound = self._bound(trial)
        if last and bound > self.bound:
            return False
        self.damping.follow(t, step.d, step.decrement, (self.point.value - trial.value) / max(step.decrease, 1e-300))
        if not trial.rough:
            if t < 0.5:
                self.active_share *= 0.1
            if t == 1.0 and not self.point.rough and self.rough_products and self._misled(trial, bound, step):
                self._refine()
        self.point, self.bound = trial, bound
        return True

    def _misled(self, trial, bound: float, step: Step) -> bool:
        """Whether a full step led nowhere although by its products it should have."""
        if np.isnan(bound):
            return _norm(trial) > _norm(self.point)
        return bound > STAGNATION * self.bound and step.left < MISLED * bound

    def _solution(self, stopped_by: Reason) -> Solution:
        if self.point.rough and not self.sketch:  # whatever is reported holds in float64
            self.point = self.objective.at(self.point.w)
            self.n_passes += 1
            self.bound = self.point.gap()
        if np.isnan(self.bound):
            for forcing in (EXACT_FORCING, ROUGH_FORCING) if self.stationarity == np.inf and not self.sketch else ():
                # where the gradient is rounding, a rough solution is all there is
                if self._exact_step(forcing).exact:
                    break
            certificate = Certificate("stationarity", self.stationarity)
        else:
            certificate = Certificate("gap", self.bound)
        return Solution(
            w=self.point.w,
            value=float(self.point.value),
            gradient_norm=float(np.max(np.abs(self.point.gradient), initial=0.0)),
            certificate=certificate,
            n_iter=self.n_iter,
            n_products=self.n_products,
            converged=reached(certificate.bound, self.tol, self.point.value, stopped_by),
            stopped_by=stopped_by,
            n_passes=float(self.n_passes),
        )


def _norm(point) -> float:
    return float(np.linalg.norm(point.gradient))
