"""Fits of fewer dense rows than columns, in the space that the rows span.

A ridge that is the same for all features of a class keeps each row of W in the span of the centred rows of X: what is
orthogonal to them costs and changes no score. With the QR factorisation (X − 1cᵀ)ᵀ = Q R, the lower triangle L = Rᵀ of
shape (n, n), and V = W Q,

    X Wᵀ + b = L Vᵀ + (b + W c)          ‖W‖ = ‖V‖

so the optimum over V with L in the place of X is that over W, with n columns instead of p: O(p n²) once, then O(n² K) a
sweep. What is reported is measured with X itself: value, gradient and proved gap at W = V Qᵀ; where rounding in L kept
it from the tolerance, the fit goes on with X from there.
"""

from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

from sksoft.objective.design import Dense
from sksoft.solvers import Certificate, Solution, newton_cg

if TYPE_CHECKING:
    from sksoft.linear.problem import Problem

# Rows for each row of W up to which the factorisation costs less than the longer products do.
ROWS_PER_CLASS = 100


def pays(problem: "Problem") -> bool:
    """Whether a problem has few enough rows, and the penalty that it takes: a ridge alike for all features."""
    if problem.kinked or problem.strength == 0.0 or not isinstance(problem.design, Dense) or not problem.design.keep:
        return False
    n, p = problem.X.shape
    factors = np.asarray(problem.factors)
    alike = factors.ndim == 0 or np.ptp(factors, axis=-1).max() == 0.0
    return n < p and n <= ROWS_PER_CLASS * problem.scores.n_rows and alike and factors.min() > 0.0


class RowSpace:
    """A problem rotated into the span of its rows.

    Parameters
    ----------
    problem : Problem
        For which :func:`pays`.
    """

    def __init__(self, problem: "Problem"):
        n = len(problem.X)
        factors = np.asarray(problem.factors)
        centred = np.subtract(problem.X, problem.design.centre, dtype=np.float64)
        self._basis, R = linalg.qr(centred.T, mode="economic", overwrite_a=True, check_finite=False)
        same = factors if factors.ndim == 0 else np.broadcast_to(factors[..., :1], (*factors.shape[:-1], n))
        self.whole = problem
        self.reduced = replace(problem, X=np.ascontiguousarray(R.T), factors=same)

    def under(self, whole: "Problem") -> "RowSpace":
        """The same rotation of the same data under another strength of the penalty."""
        other = copy(self)
        other.whole, other.reduced = whole, self.reduced.with_strength(whole.strength)
        return other

    def lift(self, w: np.ndarray) -> np.ndarray:
        """Parameters of the whole problem for those of the reduced one."""
        V, intercept = self.reduced.unpack(w)
        coef = V @ self._basis.T
        return self.whole.pack(coef, intercept - coef @ self.whole.design.centre)

    def lower(self, w: np.ndarray) -> np.ndarray:
        """Parameters of the reduced problem: of W what lies in the span, which is better."""
        coef, intercept = self.whole.unpack(w)
        return self.reduced.pack(coef @ self._basis, intercept + coef @ self.whole.design.centre)

    def solve(self, w: np.ndarray | None, *, tol: float, max_iter: int, callback=None) -> Solution:
        """As ``Problem.solve``, by Newton's method."""
        objective, reduced = self.whole.objective, self.reduced
        start = reduced.start() if w is None else self.lower(w)

        def report(iteration, point):
            return callback(iteration, objective.at(self.lift(point.w)))

        hook = None if callback is None else report
        found = newton_cg(reduced.objective, start, tol=tol, max_iter=max_iter, callback=hook)
        point = objective.at(self.lift(found.w))
        bound = point.gap()
        if found.stopped_by == "tolerance" and bound > tol * abs(point.value):
            more = newton_cg(objective, point.w, tol=tol, max_iter=max_iter, callback=callback)
            return replace(more, n_iter=found.n_iter + more.n_iter, n_passes=found.n_passes + more.n_passes)
        certificate = found.certificate if np.isnan(bound) else Certificate("gap", bound)
        return replace(
            found,
            w=point.w,
            value=float(point.value),
            gradient_norm=float(np.max(np.abs(point.gradient), initial=0.0)),
            certificate=certificate,
            n_passes=found.n_passes + 1,
        )
