"""Kernels against their definitions, written without blocks: averages, total weights, own weights."""

import numpy as np
import pytest

from sksoft.attention.smoothers import SMOOTHERS

# Those whose weights are k(q, k_j) / total
NORMALISED = {
    "gaussian": lambda Q, K: np.exp(-0.5 * ((Q[:, None] - K) ** 2).sum(-1)),
    "laplace": lambda Q, K: np.exp(-np.sqrt(((Q[:, None] - K) ** 2).sum(-1))),
    "dot": lambda Q, K: np.exp(Q @ K.T),
    "epanechnikov": lambda Q, K: np.maximum(1.0 - ((Q[:, None] - K) ** 2).sum(-1), 0.0),
    "biweight": lambda Q, K: np.maximum(1.0 - ((Q[:, None] - K) ** 2).sum(-1), 0.0) ** 2,
    "triweight": lambda Q, K: np.maximum(1.0 - ((Q[:, None] - K) ** 2).sum(-1), 0.0) ** 3,
}


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    K, V = 0.3 * rng.normal(size=(25, 2)), rng.normal(size=(25, 3))
    return 0.3 * rng.normal(size=(9, 2)), K, V, rng.integers(1, 4, 25).astype(float)


@pytest.mark.parametrize("name", NORMALISED)
def test_averages_and_total_weight(name, arrays):
    Q, K, V, weights = arrays
    query_codes, key_codes = np.arange(9) % 4, np.arange(25) % 5
    kernel = NORMALISED[name](Q, K) * weights * (query_codes[:, None] != key_codes)
    out, lse = SMOOTHERS[name].average(Q, K, V, np.log(weights), query_codes, key_codes)
    np.testing.assert_allclose(np.exp(lse), kernel.sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(out, kernel @ V / kernel.sum(axis=1, keepdims=True), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", NORMALISED)
def test_own_weights(name, arrays):
    _, K, _, weights = arrays
    kernel = NORMALISED[name](K, K) * weights
    own = SMOOTHERS[name].own_weights(K, np.log(weights))
    np.testing.assert_allclose(own, np.diag(kernel) / kernel.sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("name", SMOOTHERS)
def test_a_weight_is_a_repetition(name, arrays):
    Q, K, V, weights = arrays
    copies = np.repeat(np.arange(25), weights.astype(int))
    once = SMOOTHERS[name].average(Q, K, V, np.log(weights), None, None)
    often = SMOOTHERS[name].average(Q, K[copies], V[copies], np.zeros(len(copies)), None, None)
    np.testing.assert_allclose(once[0], often[0], rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(once[1], often[1], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", SMOOTHERS)
def test_a_key_of_weight_zero_is_not_there(name, arrays):
    Q, K, V, weights = arrays
    K[3] = Q[0]  # the nearest of all
    with np.errstate(divide="ignore"):
        log_weights = np.log(np.where(np.arange(25) == 3, 0.0, weights))
    without = np.delete(np.arange(25), 3)
    expected = SMOOTHERS[name].average(Q, K[without], V[without], np.log(weights[without]), None, None)
    got = SMOOTHERS[name].average(Q, K, V, log_weights, None, None)
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", SMOOTHERS)
def test_a_query_without_keys_has_no_answer(name, arrays):
    Q, K, V, weights = arrays
    out, lse = SMOOTHERS[name].average(Q, K, V, np.log(weights), np.zeros(9, np.int64), np.zeros(25, np.int64))
    assert np.isnan(out).all()
    assert np.isneginf(lse).all()
