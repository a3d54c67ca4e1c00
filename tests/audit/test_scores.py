"""Scores and decompositions: terms add up, are what they are named, and agree with brute force."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from sksoft.audit.recalibration import cross_fitted_temperature
from sksoft.audit.scores import decomposition_table, score_table
from sksoft.metrics.predictions import check_predictions

RNG = np.random.default_rng(0)
P = RNG.uniform(size=400)
Y = (RNG.uniform(size=400) < P**2).astype(int)
W = RNG.uniform(0.5, 2, size=400)
MULTI = RNG.dirichlet(np.ones(3), 400)
LABELS = (RNG.uniform(size=(400, 1)) > MULTI.cumsum(axis=1)).sum(axis=1)


@pytest.mark.parametrize("weights", [None, W])
def test_binary_scores_are_scikit_learns(weights):
    table = score_table(check_predictions(Y, P, sample_weight=weights), 0.95).set_index("score")
    assert table.loc["log-loss", "value"] == pytest.approx(log_loss(Y, P, sample_weight=weights))
    assert table.loc["Brier score", "value"] == pytest.approx(brier_score_loss(Y, P, sample_weight=weights))
    rate = np.average(Y, weights=weights)
    assert table.loc["Brier score", "base_rates"] == pytest.approx(rate * (1 - rate))
    assert table.loc["log-loss", "base_rates"] == pytest.approx(-(rate * np.log(rate) + (1 - rate) * np.log(1 - rate)))
    np.testing.assert_allclose(table["gain"].iloc[1:], (table["base_rates"] - table["value"]).iloc[1:])
    assert (table["low"] < table["value"]).all()


def test_multiclass_base_rates():
    table = score_table(check_predictions(LABELS, MULTI), 0.95).set_index("score")
    rates = np.bincount(LABELS) / 400
    assert table.loc["Brier score", "base_rates"] == pytest.approx(1 - (rates**2).sum())
    assert table.loc["log-loss", "base_rates"] == pytest.approx(-(rates * np.log(rates)).sum())
    assert table.loc["accuracy", "base_rates"] == pytest.approx(rates.max())


@pytest.mark.parametrize("weights", [None, W])
@pytest.mark.parametrize(("y", "proba"), [(Y, P), (LABELS, MULTI)], ids=["binary", "multiclass"])
def test_terms_add_up(y, proba, weights):
    predictions = check_predictions(y, proba, sample_weight=weights)
    table = decomposition_table(predictions, cross_fitted_temperature(predictions).proba)
    scores = score_table(predictions, 0.95).set_index("score")["value"]
    assert set(table["score"]) == {"Brier score", "log-loss"}
    sums = table["miscalibration"] - table["discrimination"] + table["uncertainty"]
    np.testing.assert_allclose(sums, table["value"], rtol=1e-12)
    np.testing.assert_allclose(scores[table["score"]], table["value"], rtol=1e-12)


def test_corp_terms_are_not_negative_and_know_their_limits():
    calibrated = decomposition_table(check_predictions([0, 0, 0, 1] * 50, [0.25] * 200), None)
    np.testing.assert_allclose(calibrated[["miscalibration", "discrimination"]], 0, atol=1e-12)
    perfect = decomposition_table(check_predictions([0, 1] * 50, [0.0, 1.0] * 50), None)
    np.testing.assert_allclose(perfect["value"], 0, atol=1e-12)
    np.testing.assert_allclose(perfect["discrimination"], perfect["uncertainty"])
    wrong = decomposition_table(check_predictions(Y, 1 - P), None)
    assert (wrong["miscalibration"] > 0.1).all()
    assert (wrong["discrimination"] >= -1e-12).all()


def test_impossible_truth_makes_the_score_infinite_and_nothing_else():
    table = decomposition_table(check_predictions([0, 1, 0, 1], [0.0, 0.0, 0.5, 0.9]), None).set_index("score")
    assert np.isinf(table.loc["log-loss", "value"])
    assert np.isinf(table.loc["log-loss", "miscalibration"])
    assert np.isfinite(table.loc["log-loss", "discrimination"])
    assert np.isfinite(table.loc["Brier score", "value"])
