"""The matrix of weights averages to what the kernels average to."""

import numpy as np
import pytest

from sksoft.attention.pair_weights import pair_weights
from sksoft.attention.smoothers import SMOOTHERS

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kernel", list(SMOOTHERS))
def test_weights_and_averages_agree(kernel):
    Q, K, V = RNG.normal(size=(15, 3)), 0.5 * RNG.normal(size=(40, 3)), RNG.normal(size=(40, 2))
    Q[-1] = 50.0
    weights = RNG.uniform(0.5, 2.0, 40)
    proba, lse = pair_weights(kernel, Q, K, weights)
    out, expected = SMOOTHERS[kernel].average(Q, K, V, np.log(weights), None, None)
    np.testing.assert_allclose(lse, expected, rtol=1e-11)
    reached = lse > -np.inf
    assert reached.sum() >= 5
    np.testing.assert_allclose(proba[reached] @ V, out[reached], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(proba.sum(axis=1), reached.astype(float), rtol=1e-12)
