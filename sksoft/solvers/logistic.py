r"""Logistic losses of a few parameters: Newton steps with bounds below, and a proved gap without any penalty.

    F(w) = Σᵢ sᵢ (log(1 + exp ηᵢ) − tᵢ ηᵢ),      η = X w,  Σ s = 1,  0 ≤ t ≤ 1,      over w ≥ lower

A step minimises the quadratic model over w ≥ lower exactly, by trying which bounds hold, and is shortened until F
falls.

The third derivative of log(1 + exp η) is at most its second in size. So along any d, with L = maxᵢ ‖xᵢ‖_{H⁻¹} and
δ = ‖d‖_H, where H is the Hessian at w [1]_:

    F(w + d) ≥ F(w) + g · d + (e^{−Lδ} + Lδ − 1) / L²

Only d that the bounds allow matter, for which g · d ≥ −ν δ with ν = ‖g̃‖_{H⁻¹} and g̃ the gradient without what pushes
against a bound. The least of the right side over δ, for a = L ν < 1, is the certificate:

    F(w) − min F ≤ (a + (1 − a) log(1 − a)) / L²                          about ν² / 2

References
----------
.. [1] Bach, "Self-concordant analysis for logistic regression", Electronic Journal of Statistics 4, 2010,
   proposition 1.
"""

from itertools import product

import numpy as np

from sksoft.solvers.certificate import Certificate, Reason, Solution

# Slopes are sums of rows' terms: what rounding may do to them, in units of a row's size.
ROUNDING = 64 * np.finfo(np.float64).eps
SUFFICIENT_DECREASE = 1e-4
MAX_BACKTRACKS = 40
# Below this a, its bound is ν² / 2 to all digits, and the formula would cancel.
SMALL = 1e-4


def bounded_logistic(loss, lower: np.ndarray, *, tol: float, max_iter: int) -> Solution:
    """Minimise F over w ≥ lower.

    Parameters
    ----------
    loss
        Of the rows, wherever these live, as ``objective.logistic``: ``value(w)``, ``at(w)`` with value, gradient and
        Hessian, ``reach(root)`` with maxᵢ ‖root⁻¹ xᵢ‖, ``floor``, the targets' entropy, and ``endless``, whether some
        targets are 0 or 1: these are met by an infinite η alone.
    lower : ndarray (p,), 0 or −inf
    tol : float >= 0
        Stop when F is proved to be within `tol` of its minimum; then one more step is taken.
    max_iter : int >= 1

    Returns
    -------
    solution : Solution
        The gap is at most F less the targets' entropy, which no model can beat. ``stopped_by`` is ``'bound'`` where
        that is within `tol` and some targets are 0 or 1: the rows are separated, w grows for ever, and F has no
        minimum.

    Notes
    -----
    O(n p²) time per iteration, O(n p) memory.
    """
    w = np.zeros(len(lower))
    value, gradient, hessian = loss.at(w)
    gap, decrement = _gap(loss, w, gradient, hessian, lower)
    n_iter = 0
    stopped_by: Reason = "max_iter"
    while n_iter < max_iter:
        if loss.endless and value - loss.floor <= tol:
            stopped_by = "bound"
            break
        last = gap <= tol
        direction = _bounded_step(w, gradient, hessian, lower)
        trial = _shortened(loss, w, value, gradient, direction)
        n_iter += 1
        if trial is None or (not last and decrement <= ROUNDING * max(tol, ROUNDING)):
            stopped_by = "tolerance" if last else "precision"
            break
        w = trial
        value, gradient, hessian = loss.at(w)
        gap, decrement = _gap(loss, w, gradient, hessian, lower)
        if last:
            stopped_by = "tolerance"
            break
    return Solution(
        w=w,
        value=value,
        gradient_norm=float(np.abs(_pushing(w, gradient, lower)).max(initial=0.0)),
        certificate=Certificate("gap", min(gap, max(value - loss.floor, 0.0) + ROUNDING)),
        n_iter=n_iter,
        n_products=0,
        converged=bool(stopped_by == "tolerance" or gap <= tol),
        stopped_by=stopped_by,
    )


def _gap(loss, w, gradient, hessian, lower) -> tuple[float, float]:
    """The proved bound on F(w) − min F, infinite where nothing can be said; and ν² / 2."""
    slopes = _pushing(w, gradient, lower)
    try:
        root = np.linalg.cholesky(hessian)
    except np.linalg.LinAlgError:
        return np.inf, np.inf
    reach = loss.reach(root)
    nu = float(np.linalg.norm(np.linalg.solve(root, slopes))) + ROUNDING * reach
    a = reach * nu
    if not a < 1.0:
        return np.inf, 0.5 * nu * nu
    bound = 0.5 * nu * nu * (1.0 + a) if a < SMALL else (a + (1.0 - a) * np.log1p(-a)) / reach**2
    return float(bound), 0.5 * nu * nu


def _pushing(w, gradient, lower) -> np.ndarray:
    """The gradient, zero where it pushes against a bound that holds."""
    return np.where((w <= lower) & (gradient > 0.0), 0.0, gradient)


def _bounded_step(w, gradient, hessian, lower) -> np.ndarray:
    """The change that minimises the quadratic model within the bounds: of all sets of bounds that hold, the best."""
    bounded = np.flatnonzero(np.isfinite(lower))
    best, best_model = np.zeros_like(w), 0.0
    for holds in product((False, True), repeat=len(bounded)):
        fixed = np.zeros(len(w), dtype=bool)
        fixed[bounded] = holds
        step = np.where(fixed, np.where(fixed, lower, 0.0) - w, 0.0)
        free = ~fixed
        slopes = gradient[free] + hessian[np.ix_(free, fixed)] @ step[fixed]
        step[free] = -np.linalg.lstsq(hessian[np.ix_(free, free)], slopes, rcond=None)[0]
        model = gradient @ step + 0.5 * step @ hessian @ step
        if (w + step >= lower).all() and model < best_model:
            best, best_model = step, model
    return best


def _shortened(loss, w, value, gradient, direction) -> np.ndarray | None:
    """w and so much of a direction that F falls; None where no part of it helps."""
    slope = float(gradient @ direction)
    if slope >= 0.0:
        return None
    t = 1.0
    for _ in range(MAX_BACKTRACKS):
        trial = w + t * direction
        # a decrease below the rounding of F cannot be seen, and a full step is trusted
        if loss.value(trial) <= value + SUFFICIENT_DECREASE * t * slope + (t == 1.0) * 4.0 * np.spacing(value):
            return trial
        t *= 0.5
    return None
