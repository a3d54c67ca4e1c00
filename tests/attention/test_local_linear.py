"""Local lines against weighted least squares, row by row."""

import numpy as np
import pytest

from sksoft.attention.local_linear import LocalLinear
from sksoft.attention.smoothers import SMOOTHERS

RNG = np.random.default_rng(0)
Q, K, V = RNG.normal(size=(7, 2)), RNG.normal(size=(40, 2)), RNG.normal(size=(40, 2))
WEIGHTS = RNG.uniform(0.5, 3.0, 40)


@pytest.mark.parametrize("name", ["gaussian", "laplace", "sparsemax"])
@pytest.mark.parametrize("ridge", [1e-4, 0.3])
def test_it_is_weighted_least_squares_with_a_ridge_on_the_slope(name, ridge):
    out, _, _ = LocalLinear(SMOOTHERS[name]).average(Q, K, V, np.log(WEIGHTS), None, None, ridge)
    weights, _ = SMOOTHERS[name].average(Q, K, np.eye(40), np.log(WEIGHTS), None, None)
    for i, a in enumerate(weights):
        columns = np.hstack([np.ones((40, 1)), K - Q[i]])
        gram = columns.T * a @ columns + ridge * np.diag([0.0, 1.0, 1.0])
        np.testing.assert_allclose(out[i], np.linalg.solve(gram, columns.T * a @ V)[0], rtol=1e-8)


def test_a_linear_function_is_reproduced():
    slope = np.array([[1.0, -2.0], [0.5, 3.0]])
    out, _, _ = LocalLinear(SMOOTHERS["gaussian"]).average(Q, K, K @ slope, np.log(WEIGHTS), None, None, 1e-10)
    np.testing.assert_allclose(out, Q @ slope, atol=1e-6)


def test_an_infinite_ridge_is_the_local_mean():
    out, lse, _ = LocalLinear(SMOOTHERS["gaussian"]).average(Q, K, V, np.log(WEIGHTS), None, None, 1e12)
    mean, expected = SMOOTHERS["gaussian"].average(Q, K, V, np.log(WEIGHTS), None, None)
    np.testing.assert_allclose(out, mean, rtol=1e-9)
    np.testing.assert_allclose(lse, expected, rtol=1e-14)


def test_one_neighbour_is_enough():
    out, _, _ = LocalLinear(SMOOTHERS["epanechnikov"]).average(
        np.array([[0.1]]), np.array([[0.0], [9.0]]), np.array([[4.0], [7.0]]), np.zeros(2), None, None, 1e-3
    )
    assert out[0, 0] == pytest.approx(4.0, abs=1e-12)
