"""The best temperature against SciPy, with weights, and where there is none."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from sksoft.metrics.temperature import best_temperature

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(300, 4)) * 3
CODES = (np.cumsum(np.exp(log_softmax(LOGITS / 2.5, axis=1)), axis=1) < RNG.random((300, 1))).sum(axis=1)


@pytest.mark.parametrize("weights", [None, RNG.integers(1, 4, 300).astype(float)])
def test_minimises_the_log_loss(weights):
    def loss(log_t):
        return -np.average(log_softmax(LOGITS / np.exp(log_t), axis=1)[np.arange(300), CODES], weights=weights)

    expected = np.exp(minimize_scalar(loss, bracket=(0, 1), tol=1e-12).x)
    found = best_temperature(LOGITS, CODES, weights)
    assert found.temperature == pytest.approx(expected, rel=1e-6)
    assert found.solution.value == pytest.approx(loss(np.log(expected)), rel=1e-12)
    assert not found.at_bound


def test_separated_and_reversed_scores_are_at_a_bound():
    assert best_temperature(LOGITS, LOGITS.argmax(axis=1)).at_bound
    assert best_temperature(LOGITS, LOGITS.argmin(axis=1)).temperature > 1e8
