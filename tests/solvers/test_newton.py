"""The Newton solver on objectives that have nothing to do with softmax: it knows them by protocol."""

import numpy as np
import pytest

from sksoft.objective.preconditioning import Rung
from sksoft.solvers import newton_cg


class Exact:
    """What an objective offers beside its points where there is one precision and no metric worth building."""

    rough = False
    rungs = (Rung(lambda curvature: np.copy, cost=0.0, entry=0.0, patience=np.inf),)
    damping_scale = 1.0

    def bound_from(self, residual):
        return 0.0

    def refine(self):
        raise AssertionError("there is nothing rough to refine")


class Plain:
    """A Hessian given by its product."""

    amount = work = share = 1.0

    def __init__(self, product):
        self.product = product


class Quadratic(Exact):
    """½ wᵀ A w − bᵀ w, with an optional proved gap."""

    def __init__(self, A, b, gap=False):
        self.A, self.b, self.proves = A, b, gap
        self.minimum = -0.5 * b @ np.linalg.solve(A, b)

    def at(self, w, *, rough=False):
        return QuadraticPoint(self, w)


class QuadraticPoint:
    def __init__(self, objective, w):
        self.o, self.w = objective, w
        self.value = 0.5 * w @ objective.A @ w - objective.b @ w
        self.gradient = objective.A @ w - objective.b

    rough = False

    def curvature(self, threshold=0.0):
        return Plain(lambda v: self.o.A @ v)

    def gap(self):
        return self.value - self.o.minimum if self.o.proves else float("nan")


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    M = rng.normal(size=(30, 30))
    return M @ M.T + np.eye(30), rng.normal(size=30)


@pytest.mark.parametrize("gap", [True, False])
def test_quadratic_is_solved_with_its_certificate(problem, gap):
    A, b = problem
    solution = newton_cg(Quadratic(A, b, gap), np.zeros(30), tol=1e-14, max_iter=50)
    np.testing.assert_allclose(solution.w, np.linalg.solve(A, b), rtol=1e-7)
    assert solution.converged
    assert solution.certificate.kind == ("gap" if gap else "stationarity")
    assert np.isnan(solution.certificate.gap) != gap
    assert solution.certificate.bound <= 1e-14 * abs(solution.value)


def test_too_few_iterations_are_reported(problem):
    solution = newton_cg(Quadratic(*problem, gap=True), np.zeros(30), tol=1e-12, max_iter=1)
    assert (solution.converged, solution.stopped_by, solution.n_iter) == (False, "max_iter", 1)
    assert solution.certificate.bound > 1e-12 * abs(solution.value)


def test_an_impossible_tolerance_ends_at_the_precision_of_floats(problem):
    solution = newton_cg(Quadratic(*problem, gap=False), np.zeros(30), tol=0.0, max_iter=100)
    assert solution.stopped_by in ("precision", "tolerance")
    assert solution.converged
    assert solution.n_iter < 60


class Steep(Exact):
    """Σ √(1 + w²): full Newton steps overshoot and diverge from |w| > 1."""

    def at(self, w, *, rough=False):
        return SteepPoint(w)


class SteepPoint:
    def __init__(self, w):
        self.w, root = w, np.sqrt(1 + w**2)
        self.value, self.gradient, self.h = root.sum(), w / root, root**-3

    rough = False

    def curvature(self, threshold=0.0):
        return Plain(lambda v: self.h * v)

    def gap(self):
        return float("nan")


def test_line_search_globalises():
    solution = newton_cg(Steep(), np.array([3.0, -8.0]), tol=1e-14, max_iter=100)
    np.testing.assert_allclose(solution.w, 0.0, atol=1e-7)
    assert solution.converged
