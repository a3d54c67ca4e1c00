"""The scalar solver against closed forms, from bad starts and with minima on a bound."""

import numpy as np
import pytest
from scipy.special import expit

from sksoft.solvers import log_newton


class Convex:
    """F(β) given by value, first and second derivative."""

    def __init__(self, f, df, ddf):
        self.f = f, df, ddf
        self.evaluations = 0

    def at(self, w):
        self.evaluations += 1
        f, df, ddf = self.f
        point = type("Point", (), {})()
        point.w, point.value, point.gradient = w, f(w[0]), np.array([df(w[0])])
        point.hessian_product = lambda v: np.array([ddf(w[0])]) * v
        return point


BOWL = (lambda b: b - 5 * np.log(b), lambda b: 1 - 5 / b, lambda b: 5 / b**2)  # minimum at 5
SOFT = (lambda b: np.logaddexp(0, b) - 0.9 * b, lambda b: expit(b) - 0.9, lambda b: expit(b) * expit(-b))


@pytest.mark.parametrize("start", [1e-6, 0.1, 1.0, 5.0, 300.0, 1e6])
@pytest.mark.parametrize(("f", "minimum"), [(BOWL, 5.0), (SOFT, np.log(9.0))])
def test_minimum_from_any_start(f, minimum, start):
    objective = Convex(*f)
    solution = log_newton(objective, start, bounds=(1e-6, 1e6), tol=1e-10, max_iter=100)
    np.testing.assert_allclose(solution.w[0], minimum, rtol=1e-13)
    assert solution.converged
    assert solution.stopped_by == "tolerance"
    assert objective.evaluations < 40


@pytest.mark.parametrize(("slope", "bound"), [(1.0, 1e-3), (-1.0, 1e3)])
def test_a_minimum_on_a_bound_is_said_to_be_there(slope, bound):
    f = (lambda b: slope * b, lambda b: slope, lambda b: 0.0)
    solution = log_newton(Convex(*f), 1.0, bounds=(1e-3, 1e3), tol=1e-10, max_iter=100)
    np.testing.assert_allclose(solution.w[0], bound)
    assert (solution.stopped_by, solution.converged) == ("bound", True)


def test_too_few_iterations_are_reported():
    solution = log_newton(Convex(*BOWL), 1e-6, bounds=(1e-6, 1e6), tol=1e-10, max_iter=2)
    assert (solution.stopped_by, solution.converged, solution.n_iter) == ("max_iter", False, 2)
