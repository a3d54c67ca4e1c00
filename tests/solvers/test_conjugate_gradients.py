"""A Newton step against direct solution, and each way it may end."""

import numpy as np
import pytest

from sksoft.solvers.conjugate_gradients import newton_step


@pytest.fixture
def system():
    rng = np.random.default_rng(0)
    M = rng.normal(size=(40, 40))
    return M @ M.T + 0.1 * np.eye(40), rng.normal(size=40)


def test_an_exact_step_is_the_direct_solution(system):
    H, g = system
    step = newton_step(lambda v: H @ v, np.copy, g, forcing=1e-12)
    expected = np.linalg.solve(H, -g)
    np.testing.assert_allclose(step.d, expected, rtol=1e-8)
    np.testing.assert_allclose(step.decrement, -g @ expected, rtol=1e-10)
    np.testing.assert_allclose(step.decrease, -0.5 * g @ expected, rtol=1e-10)
    assert step.exact


@pytest.mark.parametrize("forcing", [0.5, 0.1, 1e-3])
def test_residual_falls_to_the_forcing_term(system, forcing):
    H, g = system
    M = np.diag(np.diag(H))
    step = newton_step(lambda v: H @ v, lambda r: r / np.diag(H), g, forcing=forcing)
    residual = -g - H @ step.d
    assert residual @ np.linalg.solve(M, residual) <= forcing**2 * step.start * (1 + 1e-9)
    np.testing.assert_allclose(step.residual, residual @ np.linalg.solve(M, residual), rtol=1e-6)
    np.testing.assert_allclose(step.decrease, -g @ step.d - 0.5 * step.d @ H @ step.d, rtol=1e-9)


def test_the_hessian_as_its_metric_takes_one_product(system):
    H, g = system
    step = newton_step(lambda v: H @ v, lambda r: np.linalg.solve(H, r), g, forcing=1e-6)
    assert step.products == 1


def test_a_metric_far_too_small_in_one_direction_is_not_believed(system):
    H, g = system
    metric = np.diag(H).copy()
    metric[0] *= 1e-6  # rz consists of this direction, and one product removes it
    step = newton_step(lambda v: H @ v, lambda r: r / metric, g, forcing=0.5)
    best = 0.5 * g @ np.linalg.solve(H, g)
    assert step.products > 1
    assert step.decrease > 0.05 * best


def test_it_ends_where_the_model_promises_more_than_there_is(system):
    H, g = system
    free = newton_step(lambda v: H @ v, np.copy, g, forcing=1e-10)
    step = newton_step(lambda v: H @ v, np.copy, g, forcing=1e-10, most=0.1 * free.decrease)
    assert step.products < free.products
    assert step.decrease >= 0.1 * free.decrease
    assert not step.exact


def test_below_fine_only_the_proof_counts(system):
    H, g = system
    seen = []

    def settled(residual, decrease):
        seen.append(float(np.linalg.norm(residual)))
        return seen[-1] < 1e-9

    step = newton_step(lambda v: H @ v, np.copy, g, forcing=1e-3, fine=1e-1, settled=settled)
    assert seen[0] > 1e-9 >= seen[-1]
    assert np.linalg.norm(g + H @ step.d) < 1e-8


def test_a_flat_direction_ends_it():
    H = np.diag([1.0, 0.0])
    step = newton_step(lambda v: H @ v, np.copy, np.array([1.0, 1e-9]), forcing=1e-12)
    np.testing.assert_allclose(step.d, [-1.0, 0.0], atol=1e-8)
    assert step.exact  # what is left is a residual of 1e-9, which no step removes
