"""The reference of the residual grid row by row, and what linear shares keep."""

import numpy as np

from sksoft.kernels.grids import residual_grid


def test_row_by_row():
    rng = np.random.default_rng(0)
    scores = np.concatenate([[0.0, 1.0, 0.25, 0.5], rng.random(50)])
    hits, weights = rng.random(54) < 0.5, rng.random(54)
    expected = np.zeros(9)
    for score, hit, weight in zip(scores, hits, weights):
        nodes = np.arange(9)
        expected += weight * (hit - score) * np.maximum(1 - np.abs(nodes - 8 * score), 0)
    found = residual_grid.reference(scores, hits, n_cells=8, weights=weights)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_total_and_first_moment_are_kept():
    rng = np.random.default_rng(1)
    scores = rng.random(1000)
    hits = rng.random(1000) < scores
    grid = residual_grid.reference(scores, hits, n_cells=64)
    np.testing.assert_allclose(grid.sum(), (hits - scores).sum(), rtol=1e-10)
    np.testing.assert_allclose(grid @ np.linspace(0, 1, 65), (hits - scores) @ scores, rtol=1e-10)
