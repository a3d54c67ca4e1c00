"""Sweeps against the definition, row by row."""

import numpy as np
import pytest

from sksoft.kernels.sweeps import TILE, softmax_hessian_sweep, tiles_of


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_tiles_are_the_columns_of_a_few_rows_at_a_time(rng):
    rows = rng.normal(size=(2 * TILE + 3, 4))
    expected = [rows[:TILE].T.ravel(), rows[TILE : 2 * TILE].T.ravel(), rows[2 * TILE :].T.ravel()]
    np.testing.assert_array_equal(tiles_of(rows), np.concatenate(expected))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_hessian_sweep_is_the_sum_over_rows(rng, backend):
    n, c, K = TILE + 5, 3, 4
    rows, direction = rng.normal(size=(n, c)), rng.normal(size=(K, c))
    proba, weights = rng.dirichlet(np.ones(K), size=n), rng.uniform(size=n)
    weights[3] = 0.0
    expected = sum(
        w * np.outer((np.diag(p) - np.outer(p, p)) @ direction @ x, x) for x, p, w in zip(rows, proba, weights)
    )
    product = softmax_hessian_sweep.on(backend)(rows, tiles_of(rows), proba, weights, direction)
    np.testing.assert_allclose(product, expected, rtol=1e-12, atol=1e-13)
    assert product.dtype == np.float64
