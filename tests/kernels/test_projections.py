"""Sparse projections against mpmath bisection at 50 digits, the optimality conditions and finite differences."""

import mpmath
import numpy as np
import pytest

from sksoft import config_context
from sksoft.kernels import projections, rowwise

BACKENDS = ["numpy", "numba"]
ALPHAS = [1.05, 1.3, 1.5, 1.8, 2.0]


def exact_entmax(row, alpha):
    """α-entmax by bisection on the threshold at 50 digits: the definition, no algorithm of ours."""
    with mpmath.workdps(50):
        factor = mpmath.mpf(alpha) - 1
        x = [factor * mpmath.mpf(float(s)) for s in row]
        low, high = max(x) - 1, max(x)
        for _ in range(180):
            middle = (low + high) / 2
            total = mpmath.fsum(max(v - middle, 0) ** (1 / factor) for v in x)
            low, high = (middle, high) if total > 1 else (low, middle)
        return [float(max(v - low, 0) ** (1 / factor)) for v in x]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("width", [2, 6, 70])
def test_values_at_fifty_digits(backend, alpha, width):
    scores = np.random.default_rng(5).normal(scale=2.0, size=(4, width))
    with config_context(backend=backend):
        proba = projections.entmax_rows(scores, alpha=alpha)
    np.testing.assert_allclose(proba, [exact_entmax(row, alpha) for row in scores], rtol=1e-11, atol=2e-15)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("temperature", [0.2, 1.0, 9.0])
@pytest.mark.parametrize("width", [1, 3, 40, 41, 500])
def test_sparsemax_is_the_projection(backend, temperature, width):
    """Optimality of the quadratic programme: s − p is one number on the support, and no larger off it."""
    scores = np.random.default_rng(6).normal(size=(30, width))
    with config_context(backend=backend):
        proba = projections.sparsemax_rows(scores, temperature=temperature)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-14)
    assert proba.min() >= 0.0
    gap = scores / temperature - proba
    threshold = np.where(proba > 0.0, gap, -np.inf).max(axis=1, keepdims=True)
    assert np.all(np.where(proba > 0.0, threshold - gap, 0.0) <= 1e-13)
    assert np.all(gap <= threshold + 1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
def test_entmax_at_two_is_sparsemax_and_near_one_softmax(backend):
    scores = np.random.default_rng(7).normal(size=(20, 8))
    with config_context(backend=backend):
        np.testing.assert_allclose(
            projections.entmax_rows(scores, alpha=2.0), projections.sparsemax_rows(scores), atol=1e-15
        )
        near = projections.entmax_rows(scores, alpha=1.0 + 1e-6)
        np.testing.assert_allclose(near, rowwise.softmax_rows(scores), atol=2e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("width", [3, 60])
def test_ties_extremes_and_one_hot(backend, width):
    scores = np.zeros((5, width))
    scores[1, 0] = 1e308
    scores[2] = -1e308
    scores[3, 1:] = -np.inf
    scores[4, :2] = 7.0
    with config_context(backend=backend):
        for alpha in (1.5, 2.0):
            proba = projections.entmax_rows(scores, alpha=alpha)
            np.testing.assert_allclose(proba[[0, 2]], 1.0 / width, rtol=1e-14)
            for row, hot in ((1, 1), (3, 1), (4, 2)):
                np.testing.assert_allclose(proba[row], np.repeat([1.0 / hot, 0.0], [hot, width - hot]), rtol=1e-15)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_jacobian_product_against_finite_differences(backend, alpha):
    rng = np.random.default_rng(8)
    scores, vectors = rng.normal(size=(6, 5)), rng.normal(size=(6, 5))
    weights = rng.uniform(size=6)
    step = 1e-6
    with config_context(backend=backend):
        ahead, behind = (projections.entmax_rows(scores + s * vectors, alpha=alpha) for s in (step, -step))
        proba = projections.entmax_rows(scores, alpha=alpha)
        product = projections.entmax_jvp_rows(proba, vectors, alpha=alpha, weights=weights)
    smooth = ((ahead > 0.0) == (behind > 0.0)).all(axis=1)
    assert smooth.sum() >= 3
    expected = weights[:, None] * (ahead - behind) / (2 * step)
    np.testing.assert_allclose(product[smooth], expected[smooth], atol=2e-7)


@pytest.mark.parametrize("backend", BACKENDS)
def test_products_meet_their_ends(backend):
    rng = np.random.default_rng(9)
    proba, vectors = rng.dirichlet(np.ones(6), size=9), rng.normal(size=(9, 6))
    with config_context(backend=backend):
        softmax = rowwise.softmax_jvp_rows(proba, vectors)
        np.testing.assert_allclose(projections.entmax_jvp_rows(proba, vectors, alpha=1.0), softmax, atol=1e-15)
        centred = vectors - vectors.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(projections.entmax_jvp_rows(proba, vectors, alpha=2.0), centred, atol=1e-15)
