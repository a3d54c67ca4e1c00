"""Row-adaptive weights are the projections of the package, and sparsemax is Epanechnikov with the row's bandwidth."""

import numpy as np
import pytest

from sksoft.attention.compact import Compact
from sksoft.attention.row_adaptive import RowAdaptive
from sksoft.kernels import projections

RNG = np.random.default_rng(0)
Q, K, V = RNG.normal(size=(12, 3)), RNG.normal(size=(30, 3)), RNG.normal(size=(30, 2))
SCORES = -0.5 * ((Q[:, None] - K) ** 2).sum(axis=2)


@pytest.mark.parametrize("alpha", [1.5, 2.0])
def test_weights_are_those_of_the_projection_onto_the_simplex(alpha):
    out, lse = RowAdaptive(alpha).average(Q, K, V, np.zeros(30), None, None)
    weights = projections.entmax_rows(SCORES, alpha=alpha)
    np.testing.assert_allclose(out, weights @ V, rtol=1e-11, atol=1e-13)
    np.testing.assert_array_equal(lse, 0.0)


def test_sparsemax_is_epanechnikov_with_a_bandwidth_of_the_rows_own():
    weights = projections.sparsemax_rows(SCORES)
    out, _ = RowAdaptive(2.0).average(Q, K, V, np.zeros(30), None, None)
    for i in range(len(Q)):
        inside = np.flatnonzero(weights[i])
        # p = z − t on the support, so that the squared bandwidth is −2t
        squared = -2.0 * np.mean(SCORES[i, inside] - weights[i, inside])
        h = np.sqrt(squared)
        theirs, _ = Compact(1).average(Q[i : i + 1] / h, K / h, V, np.zeros(30), None, None)
        np.testing.assert_allclose(out[i], theirs[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("alpha", [1.5, 2.0])
def test_own_weights(alpha):
    scores = -0.5 * ((K[:, None] - K) ** 2).sum(axis=2)
    own = RowAdaptive(alpha).own_weights(K, np.zeros(30))
    np.testing.assert_allclose(own, np.diag(projections.entmax_rows(scores, alpha=alpha)), rtol=1e-10)


@pytest.mark.parametrize("alpha", [1.5, 2.0])
def test_the_gradient_is_that_of_the_projection(alpha):
    weights = projections.entmax_rows(SCORES, alpha=alpha)
    upstream = RNG.normal(size=(12, 2))
    out, lse = RowAdaptive(alpha).average(Q, K, V, np.zeros(30), None, None)
    by_query, _, by_value = RowAdaptive(alpha).pull(Q, K, V, np.zeros(30), None, None, out, lse, upstream, None)
    C = projections.entmax_jvp_rows(weights, upstream @ V.T, alpha=alpha)
    np.testing.assert_allclose(by_query, C @ K - C.sum(axis=1)[:, None] * Q, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(by_value, weights.T @ upstream, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("alpha", [1.5, 2.0])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e4])
def test_weights_sum_to_one_at_any_scale(alpha, scale):
    weights = RNG.uniform(0.01, 100.0, 30)
    out, _ = RowAdaptive(alpha).average(scale * Q, scale * K, np.ones((30, 1)), np.log(weights), None, None)
    np.testing.assert_allclose(out, 1.0, rtol=1e-13)
