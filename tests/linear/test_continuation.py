"""The start along α: where Newton alone stalls at kinks it does not, and the optimum is the same."""

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris

from sksoft.linear.continuation import SMOOTH, along_alpha
from sksoft.linear.problem import Problem
from sksoft.objective.links import Entmax
from sksoft.objective.targets import Labels
from sksoft.solvers import newton_cg


def objective_of(load, alpha, C):
    X, y = load(return_X_y=True)
    n = len(y)
    target = Labels(y, y.max() + 1)
    return Problem(X=X, target=target, weights=np.ones(n), link=Entmax(alpha), strength=1.0 / (C * n)).objective


@pytest.mark.parametrize(("alpha", "C"), [(2.0, 100.0), (1.8, 100.0), (1.5, 1e4)])
def test_separable_data_are_fitted_to_a_certificate_where_newton_alone_stalls(alpha, C):
    objective = objective_of(load_digits, alpha, C)
    zero = np.zeros(objective.scores.n_parameters)
    alone = newton_cg(objective, zero, tol=1e-6, max_iter=100)
    solution = newton_cg(objective, along_alpha(objective, zero), tol=1e-6, max_iter=100)
    assert not alone.converged
    assert solution.converged
    assert solution.certificate.bound <= 1e-6 * solution.value
    assert solution.value < alone.value


@pytest.mark.parametrize("alpha", [1.1, 1.2, 1.4, 1.75, 2.0])
def test_the_start_is_near_the_optimum_and_does_not_move_it(alpha):
    objective = objective_of(load_iris, alpha, 1.0)
    zero = np.zeros(objective.scores.n_parameters)
    start = along_alpha(objective, zero)
    alone = newton_cg(objective, zero, tol=1e-12, max_iter=100)
    solution = newton_cg(objective, start, tol=1e-12, max_iter=100)
    np.testing.assert_allclose(solution.value, alone.value, rtol=1e-11)
    if alpha <= SMOOTH:
        np.testing.assert_array_equal(start, zero)
    else:
        assert objective.at(start).value < 0.5 * objective.at(zero).value
    np.testing.assert_array_equal(along_alpha(objective, zero), start)
