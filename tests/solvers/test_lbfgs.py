"""SciPy's L-BFGS behind the contract of our solvers."""

import numpy as np
import pytest

from sksoft.solvers import lbfgs, newton_cg
from tests.solvers.test_newton import Quadratic


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    M = rng.normal(size=(20, 20))
    return M @ M.T + np.eye(20), rng.normal(size=20)


def test_it_stops_on_the_proved_gap(problem):
    objective = Quadratic(*problem, gap=True)
    solution = lbfgs(objective, np.zeros(20), tol=1e-8, max_iter=500)
    best = newton_cg(objective, np.zeros(20), tol=1e-14, max_iter=50)
    assert (solution.converged, solution.stopped_by, solution.certificate.kind) == (True, "tolerance", "gap")
    assert solution.value - best.value <= 1e-8 * abs(solution.value)


def test_too_few_iterations_are_reported(problem):
    solution = lbfgs(Quadratic(*problem, gap=True), np.zeros(20), tol=1e-12, max_iter=2)
    assert (solution.converged, solution.stopped_by, solution.n_iter) == (False, "max_iter", 2)


def test_a_callback_stops_it(problem):
    seen = []
    solution = lbfgs(
        Quadratic(*problem, gap=True),
        np.zeros(20),
        tol=1e-12,
        max_iter=50,
        callback=lambda n_iter, point: seen.append(n_iter) or n_iter == 3,
    )
    assert seen == [0, 1, 2, 3]
    assert solution.stopped_by == "callback"
