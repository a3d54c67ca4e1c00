"""Limited-memory BFGS of SciPy [1]_ behind the same contract as our own solver, for comparison.

It stops on the bound of the point at hand, asked for at every iteration, not on the size of the gradient.

References
----------
.. [1] Byrd, Lu, Nocedal, Zhu, "A limited memory algorithm for bound constrained optimization", SIAM J. Sci. Comput.
   16, 1995, algorithm L-BFGS-B.
"""

import numpy as np
from scipy import optimize

from sksoft.solvers.certificate import Certificate, Reason, Solution


def lbfgs(objective, w: np.ndarray, *, tol: float, max_iter: int, callback=None) -> Solution:
    """Minimise an objective from `w` by SciPy's L-BFGS-B.

    Parameters
    ----------
    objective : Objective
        As for :func:`newton_cg`; only values and gradients are asked for.
    w : ndarray (n_parameters,), float64
    tol : float >= 0
        Stop when the bound is at most ``tol · F``; where nothing can be proved, when an iteration decreased F by less.
    max_iter : int >= 0
    callback : (n_iter, point) → object, optional
        Called at the start and after every iteration; a true result stops the solver.

    Returns
    -------
    solution : Solution
        Its certificate is a gap, or where nothing can be proved the last decrease of F.
    """
    seen: dict = {}
    state: dict = {"point": objective.at(w), "n_iter": 0, "stopped_by": "precision", "decrease": np.inf}
    n_evaluations = 1

    def evaluate(x):
        nonlocal n_evaluations
        n_evaluations += 1
        point = objective.at(x.copy())
        seen.clear()
        seen[x.tobytes()] = point
        return point.value, point.gradient

    def follow(intermediate_result):
        x = intermediate_result.x
        point = seen.get(x.tobytes()) or objective.at(x.copy())
        state["decrease"] = state["point"].value - point.value
        state["point"], state["n_iter"] = point, state["n_iter"] + 1
        bound = point.gap()
        bound = state["decrease"] if np.isnan(bound) else bound
        if callback is not None and callback(state["n_iter"], point):
            state["stopped_by"] = "callback"
            raise StopIteration
        if bound <= tol * abs(point.value):
            state["stopped_by"] = "tolerance"
            raise StopIteration

    if not (callback is not None and callback(0, state["point"])) and max_iter > 0:
        options = {"maxiter": max_iter, "maxfun": 20 * max_iter, "ftol": 0.0, "gtol": 0.0, "maxcor": 10}
        optimize.minimize(evaluate, w, jac=True, method="L-BFGS-B", callback=follow, options=options)
    if state["n_iter"] >= max_iter and state["stopped_by"] == "precision":
        state["stopped_by"] = "max_iter"
    point, stopped_by = state["point"], state["stopped_by"]
    gap = point.gap()
    certificate = Certificate("stationarity", abs(state["decrease"])) if np.isnan(gap) else Certificate("gap", gap)
    reason: Reason = stopped_by
    return Solution(
        w=point.w,
        value=float(point.value),
        gradient_norm=float(np.max(np.abs(point.gradient), initial=0.0)),
        certificate=certificate,
        n_iter=state["n_iter"],
        n_products=0,
        converged=certificate.bound <= tol * abs(point.value),
        stopped_by=reason,
        n_passes=float(n_evaluations),
    )
