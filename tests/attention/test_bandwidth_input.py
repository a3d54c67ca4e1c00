"""Parameters of both estimators, and the units of what leave-one-out chooses."""

import numpy as np
import pytest

from sksoft import AttentionClassifier, AttentionRegressor
from sksoft.attention.bandwidth_input import chosen_bandwidth, given_bandwidth, spread

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)) * [1.0, 100.0, 1e-3] + [0.0, 1e4, 5.0]
Y = np.sin(X[:, :1])
WEIGHTS = RNG.integers(1, 4, 60).astype(float)


def given(**options):
    return given_bandwidth(AttentionRegressor(**options), X, WEIGHTS, np.zeros(1), 0)


@pytest.mark.parametrize("bandwidth", [2.0, [1.0, 2.0, 3.0], [[1.0], [2.0]], np.ones((2, 3)), np.inf, 3])
def test_given_bandwidths_are_broadcast_to_heads_and_features(bandwidth):
    chosen = given(bandwidth=bandwidth, n_heads=2)
    np.testing.assert_array_equal(chosen.bandwidth, np.broadcast_to(np.asarray(bandwidth, float), (2, 3)))
    np.testing.assert_allclose(chosen.heads.mixing, 0.5)
    np.testing.assert_allclose(chosen.centre, np.average(X, axis=0, weights=WEIGHTS))


def test_an_infinite_bandwidth_is_no_feature():
    with_it = AttentionRegressor(bandwidth=[0.5, np.inf, 1e-3]).fit(X, Y[:, 0]).predict(X)
    without = AttentionRegressor(bandwidth=[0.5, 1e-3]).fit(X[:, [0, 2]], Y[:, 0]).predict(X[:, [0, 2]])
    np.testing.assert_allclose(with_it, without, rtol=1e-9)
    np.testing.assert_allclose(AttentionRegressor(bandwidth=np.inf).fit(X, Y[:, 0]).predict(X), Y.mean(), rtol=1e-12)


def test_spread_is_the_standard_deviation_of_the_rows_repeated():
    repeated = np.repeat(X, WEIGHTS.astype(int), axis=0)
    np.testing.assert_allclose(spread(X, WEIGHTS), repeated.std(axis=0), rtol=1e-9)
    np.testing.assert_array_equal(spread(np.full((5, 1), 1e8 + 0.1), np.ones(5)), [1.0])


@pytest.mark.parametrize("metric", ["scale", "ard", "linear"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_search_is_in_standard_deviations_and_its_answer_in_units_of_x(metric):
    model = AttentionRegressor(max_iter=15)
    options = {"metric": metric, "loss": "squared", "degree": 0}
    found = chosen_bandwidth(model, X, Y, WEIGHTS, None, **options)
    unit = spread(X, WEIGHTS)
    scaled = chosen_bandwidth(AttentionRegressor(max_iter=15, standardize=False), X / unit, Y, WEIGHTS, None, **options)
    np.testing.assert_allclose(found.features(0, X), scaled.features(0, X / unit), rtol=1e-6, atol=1e-9)
    if metric == "scale":
        np.testing.assert_allclose(found.bandwidth[0] / unit, found.bandwidth[0, 0] / unit[0], rtol=1e-12)


def test_without_standardizing_one_bandwidth_is_one_number():
    model = AttentionRegressor(metric="scale", standardize=False).fit(X, Y[:, 0])
    assert len(set(model.bandwidth_)) == 1


def test_automatic_metrics():
    labels = X[:, 0] > 0
    assert AttentionClassifier().fit(X, labels).transformation_.shape == (1, 3, 3)
    assert AttentionRegressor().fit(X, Y[:, 0]).transformation_ is None
    dot = AttentionClassifier("dot").fit(X / X.std(axis=0), labels)
    assert len(set(dot.bandwidth_)) == 1
