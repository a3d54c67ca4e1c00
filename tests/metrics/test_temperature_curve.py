"""temperature_path: the metrics of softmax(scores / T), and the temperature of least loss."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from sksoft.metrics import expected_calibration_error, negative_log_likelihood, temperature_path

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(500, 4)) * 4
PROBA = softmax(LOGITS / 2.5, axis=1)
LABELS = np.array(["$", "_b", "c", "d"])
Y = LABELS[(PROBA.cumsum(axis=1) < RNG.random((500, 1))).sum(axis=1)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_columns_are_the_metrics(weighted, strategy):
    weights = RNG.integers(0, 3, 500) if weighted else None
    path = temperature_path(Y, LOGITS, temperatures=[0.5, 1, 3], strategy=strategy, sample_weight=weights)
    for _, row in path.table.iterrows():
        proba, options = softmax(LOGITS / row["temperature"], axis=1), {"sample_weight": weights}
        assert row["negative_log_likelihood"] == pytest.approx(negative_log_likelihood(Y, proba, **options), rel=1e-10)
        ece = expected_calibration_error(Y, proba, strategy=strategy, **options)
        assert row["ece"] == pytest.approx(ece, rel=1e-8)
        assert row["mean_confidence"] == pytest.approx(np.average(proba.max(axis=1), weights=weights), rel=1e-10)
    hits = LABELS[LOGITS.argmax(axis=1)] == Y
    assert path.accuracy == pytest.approx(np.average(hits, weights=weights))


def test_best_temperature_is_scipys():
    path = temperature_path(Y, LOGITS)

    def loss(log_t):
        return negative_log_likelihood(Y, softmax(LOGITS / np.exp(log_t), axis=1))

    assert path.temperature == pytest.approx(np.exp(minimize_scalar(loss).x), rel=1e-6)
    assert not path.at_bound
    assert len(path.table) == 42
    assert 1.0 in path.table["temperature"].tolist()
    assert path.table["negative_log_likelihood"].min() == pytest.approx(loss(np.log(path.temperature)), abs=1e-6)


def test_probabilities_and_one_dimension():
    of_proba = temperature_path(Y, softmax(LOGITS, axis=1), input="proba", temperatures=[1, 2])
    pd.testing.assert_frame_equal(of_proba.table, temperature_path(Y, LOGITS, temperatures=[1, 2]).table, rtol=1e-8)
    z, y = RNG.normal(size=100), RNG.integers(0, 2, 100)
    both = temperature_path(y, np.column_stack([np.zeros(100), z]), temperatures=[1, 2])
    pd.testing.assert_frame_equal(temperature_path(y, z, temperatures=[1, 2]).table, both.table)


def test_no_best_temperature():
    path = temperature_path([0, 1], [[5.0, 0.0], [0.0, 5.0]])
    assert path.at_bound
    assert path.table["temperature"].between(0.125, 8).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperatures": []}, "'temperatures' parameter must be a sequence of numbers"),
        ({"temperatures": [1, 0]}, "'temperatures' parameter must hold positive, finite floats"),
        ({"input": "proba"}, "y_proba must not be negative"),
        ({"labels": ["a", "b"]}, "'labels' parameter must name the 4 classes"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        temperature_path(Y, LOGITS, **options)
    with pytest.raises(ValueError, match="finite"):
        temperature_path(["a", "b"], [[0.0, -np.inf], [1.0, 2.0]])


def test_input_is_one_of_two():
    with pytest.raises(ValueError, match="'input' parameter must be one of"):
        temperature_path([0, 1], [[0.0, 1.0], [1.0, 0.0]], input="probabilities")
