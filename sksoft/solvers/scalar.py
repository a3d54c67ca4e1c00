r"""Safeguarded Newton for a convex function of one positive parameter β, in u = log β.

With g = F'(β) and h = F''(β), d/du F = β g and d²/du² F = β² h + β g. The Newton step in u is taken where that
curvature is positive and the step stays inside the bracket of signs of g seen so far; else the bracket is bisected,
or, while one side is still open, u moves by log 4. F is convex in β, so the sign of g always tells the side.
"""

import numpy as np

from sksoft.solvers.certificate import Certificate, Solution

OPEN_STEP = np.log(4.0)
# Of the square root of what may be left: the square of such a step is below it, also times a few dozen.
STEP_SHARE = 0.1


def log_newton(objective, beta: float, *, bounds: tuple[float, float], tol: float, max_iter: int) -> Solution:
    """Minimise a convex objective of w = (β,) over ``bounds``.

    Parameters
    ----------
    objective : Objective, its points hold ``value``, ``gradient`` and ``hessian_product``
    beta : float, the start, inside `bounds`
    bounds : (float, float), 0 < low < high
    tol : float >= 0
        What may be left of log β: stop after a Newton step well below √tol, for what is left is about its square, or in
        a bracket as narrow as `tol`.
    max_iter : int

    Returns
    -------
    solution : Solution
        Stopped by ``'bound'``, and converged, where F decreases all the way to a bound.
    """
    low, high = np.log(bounds)
    left, right = -np.inf, np.inf  # where g < 0 and where g > 0
    u = float(np.clip(np.log(beta), low, high))
    n_iter, last = 0, False
    while True:
        point = objective.at(np.array([np.exp(u)]))
        b, g = float(point.w[0]), float(point.gradient[0])
        h = float(point.hessian_product(np.ones(1))[0])
        curvature = b * b * h + b * g
        step = -b * g / curvature if curvature > 0 else np.copysign(np.inf, -g)
        if g > 0:
            right = min(right, u)
        elif g < 0:
            left = max(left, u)
        at_bound = (g > 0 and u == low) or (g < 0 and u == high)
        converged = g == 0.0 or at_bound or last
        if converged or n_iter == max_iter:
            break
        # a step of a few roundings of u is as small as one can be, whatever the tolerance
        finest = max(tol, 4.0 * float(np.spacing(abs(u) + 1.0)))
        n_iter, last = n_iter + 1, abs(step) <= STEP_SHARE * np.sqrt(finest) or right - left <= finest
        u = float(np.clip(_next(u, step, left, right), low, high))
    return Solution(
        w=point.w,
        value=float(point.value),
        gradient_norm=abs(g),
        certificate=Certificate("stationarity", 0.0 if g == 0.0 or at_bound else 0.5 * abs(b * g * step)),
        n_iter=n_iter,
        n_products=n_iter + 1,
        converged=converged,
        stopped_by="bound" if at_bound else "tolerance" if converged else "max_iter",
        curvature=h,
    )


def _next(u: float, step: float, left: float, right: float) -> float:
    """The Newton step where it stays in the bracket and is not wild; else bisection, or a stride to the open side."""
    if left <= u + step <= right and abs(step) <= 2 * OPEN_STEP:
        return u + step
    if np.isfinite(left) and np.isfinite(right):
        return 0.5 * (left + right)
    return u + float(np.sign(step)) * OPEN_STEP
