r"""Truncated Newton: conjugate gradients for the step, backtracking for its length [1]_.

Each iteration solves ∇²F d = −∇F by preconditioned conjugate gradients, only as exactly as the progress so far
deserves (the forcing term of [2]_, choice 2), and takes w + t d with the largest t = 1, ½, ¼ … that decreases F
enough (Armijo). Near the minimum steps are full and convergence is superlinear.

Where the decrease that a step promises is below the rounding of F, F cannot judge it; the gradient does, and when it
no longer shrinks the solver has reached what float64 can resolve.

References
----------
.. [1] Nocedal, Wright, "Numerical Optimization", 2nd ed., 2006, algorithm 7.1.
.. [2] Eisenstat, Walker, "Choosing the forcing terms in an inexact Newton method", SIAM J. Sci. Comput. 17, 1996.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from sksoft.solvers.certificate import Certificate, Reason, Solution

SUFFICIENT_DECREASE = 1e-4
MAX_HALVINGS = 40
MAX_PRODUCTS = 1000
LAST_FORCING, ROUGH_FORCING = 1e-6, 0.1
# Curvature below this share of the metric's is rounding: the direction is flat.
FLAT = 1e-13
# A residual below this share that has only flat directions left is rounding as well.
FLAT_RESIDUAL = 1e-4
# A decrease below this share of F drowns in the rounding of F.
VALUE_RESOLUTION = 1e-13
# A bound below this share of F that no step improves is the limit of float64, not a failure.
PRECISION_LIMIT = 1e-9


class Point(Protocol):
    """F at one w: what the solver may ask."""

    w: np.ndarray
    value: float
    gradient: np.ndarray

    def hessian_product(self, v: np.ndarray) -> np.ndarray:
        """∇²F(w) v."""
        ...

    @property
    def preconditioner(self) -> Callable[[np.ndarray], np.ndarray]:
        """A symmetric positive map near the inverse Hessian."""
        ...

    def gap(self) -> float:
        """A proved bound on F(w) − min F, or nan."""
        ...


class Objective(Protocol):
    """Anything that can be evaluated."""

    def at(self, w: np.ndarray) -> Point:
        """Evaluate at w."""
        ...


def newton_cg(objective: Objective, w: np.ndarray, *, tol: float, max_iter: int) -> Solution:
    """Minimise a convex objective from `w`.

    Parameters
    ----------
    objective : Objective
    w : ndarray (n_parameters,), float64
    tol : float >= 0
        Stop when the certificate's bound is at most ``tol · F(w)``; then one more, nearly exact Newton step is taken.
    max_iter : int >= 0
        Newton steps, the last one included.

    Returns
    -------
    solution : Solution
    """
    point = objective.at(w)
    if not (np.isfinite(point.value) and np.all(np.isfinite(point.gradient))):
        raise ValueError(
            f"The objective is not finite at the start: {point.value}. Scale the features and the weights."
        )
    certificate = _gap_certificate(point)
    n_iter = n_products = 0
    forcing, stationarity = 0.5, np.inf
    stopped_by: Reason = "max_iter"
    while n_iter < max_iter:
        last = certificate is not None and certificate.bound <= tol * abs(point.value)
        direction, products, decrement, _ = _newton_direction(point, LAST_FORCING if last else forcing)
        n_products += products
        if certificate is None and 0.5 * decrement <= tol * abs(point.value):
            # nothing can be proved here, so the decrement of a nearly exact step must speak
            direction, products, decrement, exact = _newton_direction(point, LAST_FORCING)
            n_products += products
            if exact:  # F only decreases from here, so this holds for every later point
                stationarity = min(stationarity, 0.5 * decrement)
            last = stationarity <= tol * abs(point.value)
        trial = _line_search(objective, point, direction, decrement)
        if trial is None:
            stopped_by = "tolerance" if last else "precision"
            break
        n_iter += 1
        forcing = _forcing(point, trial, forcing)
        proved = _gap_certificate(trial)
        if last:
            stopped_by = "tolerance"
            if (
                certificate is None or proved is None or proved.bound <= certificate.bound
            ):  # else rounding made it worse
                point, certificate = trial, proved
            break
        point, certificate = trial, proved
    if certificate is None:
        for accuracy in (LAST_FORCING, ROUGH_FORCING) if stationarity == np.inf else ():
            # where the gradient is rounding, a rough solution is all there is
            _, products, decrement, exact = _newton_direction(point, accuracy)
            n_products += products
            if exact:
                stationarity = 0.5 * decrement / (1.0 - accuracy)
                break
        certificate = Certificate("stationarity", stationarity)
    accepted = max(tol, PRECISION_LIMIT) if stopped_by != "max_iter" else tol
    return Solution(
        w=point.w,
        value=float(point.value),
        gradient_norm=float(np.max(np.abs(point.gradient), initial=0.0)),
        certificate=certificate,
        n_iter=n_iter,
        n_products=n_products,
        converged=certificate.bound <= accepted * abs(point.value),
        stopped_by=stopped_by,
    )


def _gap_certificate(point) -> Certificate | None:
    bound = point.gap()
    return None if np.isnan(bound) else Certificate("gap", bound)


def _newton_direction(point, forcing: float) -> tuple[np.ndarray, int, float, bool]:
    """Conjugate gradients on ∇²F d = −∇F until the preconditioned residual fell to `forcing` of its start.

    Returns d, the Hessian products used, −⟨∇F, d⟩, which is the squared Newton decrement when d is exact, and whether
    d is what was asked for: not where the products ran out, or a flat direction ended it early.
    """
    precondition = point.preconditioner
    d = np.zeros_like(point.w)
    residual = -point.gradient
    z = precondition(residual)
    search, metric_search = z.copy(), residual.copy()  # M · search follows by the same recursion, as M z = residual
    rz = start = float(residual @ z)
    products = 0
    while rz > forcing**2 * start and rz > 0.0 and products < MAX_PRODUCTS:
        product = point.hessian_product(search)
        products += 1
        curvature = float(search @ product)
        if curvature <= FLAT * float(search @ metric_search):
            break
        step = rz / curvature
        d += step * search
        residual -= step * product
        z = precondition(residual)
        rz, before = float(residual @ z), rz
        search = z + (rz / before) * search
        metric_search = residual + (rz / before) * metric_search
    decrement = -float(point.gradient @ d)
    if not np.isfinite(decrement):
        raise ValueError("A Newton step is not finite. Scale the features and the weights.")
    return d, products, max(0.0, decrement), rz <= max(forcing, FLAT_RESIDUAL) ** 2 * start


def _line_search(objective, point, direction, decrement):
    """The first of t = 1, ½, ¼ … that decreases F enough; None where rounding hides any progress."""
    if decrement == 0.0:
        return None
    resolution = VALUE_RESOLUTION * abs(point.value)
    t = 1.0
    for _ in range(MAX_HALVINGS):
        trial = objective.at(point.w + t * direction)
        if decrement <= resolution:  # F cannot tell: the gradient must
            return trial if _norm(trial) < _norm(point) else None
        if trial.value <= point.value - SUFFICIENT_DECREASE * t * decrement + 1e-2 * resolution:
            return trial
        t *= 0.5
    return None


def _norm(point) -> float:
    return float(np.linalg.norm(point.gradient))


def _forcing(before, after, previous: float) -> float:
    """Eisenstat and Walker's choice 2 with γ = 0.9, α = 2, kept within [1e-4, 0.5]."""
    ratio = 0.9 * (_norm(after) / max(_norm(before), np.finfo(float).tiny)) ** 2
    safeguard = 0.9 * previous**2
    return float(np.clip(max(ratio, safeguard) if safeguard > 0.1 else ratio, 1e-4, 0.5))
