"""Proper scores and uncertainties against scikit-learn, SciPy and mpmath."""

import math

import mpmath
import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import brier_score_loss, log_loss

from sksoft.metrics import brier_score, negative_log_likelihood, prediction_margin, predictive_entropy

RNG = np.random.default_rng(0)
PROBA = RNG.dirichlet(np.ones(5), 300)
Y = RNG.integers(0, 5, 300)
WEIGHTS = RNG.random(300)
P = RNG.random(300)
BINARY = RNG.random(300) < P


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_scores_are_scikit_learns(weights):
    options = {"sample_weight": weights}
    assert negative_log_likelihood(Y, PROBA, **options) == pytest.approx(log_loss(Y, PROBA, **options), rel=1e-13)
    assert negative_log_likelihood(BINARY, P, **options) == pytest.approx(log_loss(BINARY, P, **options), rel=1e-13)
    expected = brier_score_loss(Y, PROBA, scale_by_half=False, **options)
    assert brier_score(Y, PROBA, **options) == pytest.approx(expected, rel=1e-13)
    assert brier_score(Y, PROBA, scale_by_half=True, **options) == pytest.approx(expected / 2, rel=1e-13)
    assert brier_score(BINARY, P, **options) == pytest.approx(brier_score_loss(BINARY, P, **options), rel=1e-13)


def test_integer_labels_that_do_not_start_at_zero_and_strings():
    expected = negative_log_likelihood(Y, PROBA)
    assert negative_log_likelihood(Y + 1, PROBA) == expected
    assert negative_log_likelihood(np.array(list("abcde"))[Y], PROBA) == expected


def test_impossible_and_certain_outcomes():
    assert negative_log_likelihood([0, 1], [[1.0, 0.0], [1.0, 0.0]]) == math.inf
    assert negative_log_likelihood([0, 1], [0.0, 0.0]) == math.inf
    assert negative_log_likelihood([0, 1], [0.0, 1.0]) == 0.0
    assert brier_score([0, 1], [[1.0, 0.0], [0.0, 1.0]]) == 0.0


def test_tiny_probabilities_keep_their_digits():
    with mpmath.workdps(50):
        expected = float((-mpmath.log1p(mpmath.mpf(-1e-12)) - mpmath.log(mpmath.mpf(1e-300))) / 2)
    assert negative_log_likelihood([0, 1], [1e-12, 1e-300]) == pytest.approx(expected, rel=1e-15)
    assert negative_log_likelihood([0, 0], [1e-20, 1e-20]) == pytest.approx(1e-20, rel=1e-12)


@pytest.mark.parametrize("score", [negative_log_likelihood, brier_score])
def test_weight_is_repetition_and_zero_weight_is_removal(score):
    weights = RNG.integers(0, 4, 300)
    expected = score(np.repeat(Y, weights), np.repeat(PROBA, weights, axis=0))
    assert score(Y, PROBA, sample_weight=weights) == pytest.approx(expected, rel=1e-12)


def test_an_impossible_outcome_of_weight_zero_does_not_count():
    assert negative_log_likelihood([0, 1], [0.5, 0.0], sample_weight=[1, 0]) == pytest.approx(math.log(2))


def test_entropy_is_scipys():
    np.testing.assert_allclose(predictive_entropy(PROBA), entropy(PROBA, axis=1), rtol=1e-13)
    np.testing.assert_allclose(predictive_entropy(P), entropy([P, 1 - P]), rtol=1e-12)
    np.testing.assert_allclose(predictive_entropy(np.full((2, 7), 1 / 7), normalize=True), 1.0, rtol=1e-14)
    np.testing.assert_array_equal(predictive_entropy([0.0, 1.0]), [0.0, 0.0])
    np.testing.assert_array_equal(predictive_entropy([[0.0, 1.0, 0.0]]), [0.0])


def test_margin():
    ordered = np.sort(PROBA, axis=1)
    np.testing.assert_array_equal(prediction_margin(PROBA), ordered[:, -1] - ordered[:, -2])
    np.testing.assert_allclose(prediction_margin(P), np.abs(2 * P - 1))


@pytest.mark.parametrize("function", [predictive_entropy, prediction_margin])
def test_bad_probabilities_are_refused(function):
    with pytest.raises(ValueError, match="negative"):
        function([[1.5, -0.5]])
