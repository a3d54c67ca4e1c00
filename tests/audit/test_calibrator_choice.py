"""The calibrator is chosen as the estimator chooses it; no row judges a choice it had a part in."""

import numpy as np
import pytest

from sksoft.audit import calibrator_choice
from sksoft.audit.calibrator_choice import choose_calibrator
from sksoft.audit.recalibration import random_folds, recalibration_table
from sksoft.metrics.predictions import check_predictions


def test_sharp_predictions_are_recalibrated_and_gain(settings, draws):
    predictions = check_predictions(*draws(2000, power=2.0))
    choice = choose_calibrator(predictions)
    assert choice.recommended != "identity"
    assert choice.candidates["folds"].sum() == 5
    assert choice.candidates.loc[choice.candidates["chosen"], "method"].tolist() == [choice.recommended]
    row = recalibration_table(choice.judged, choice.proba, settings).set_index("score").loc["log-loss"]
    assert row["gain_low"] > 0
    best = choice.candidates.set_index("method").loc[choice.recommended]
    assert row["gain"] == pytest.approx(best["gain"], abs=3 * best["gain_stderr"])


@pytest.mark.parametrize("n_classes", [2, 3])
def test_calibrated_predictions_are_left_as_they_are(n_classes, draws):
    y, proba = draws(3000, seed=3, n_classes=n_classes)
    predictions = check_predictions(y, proba[:, 1] if n_classes == 2 else proba)
    choice = choose_calibrator(predictions)
    assert choice.recommended == "identity"
    kept = choice.candidates.set_index("method").loc["identity", "folds"]
    same = np.isclose(choice.proba[:, 1], proba[:, 1], rtol=0, atol=1e-15).mean()
    assert same >= kept / 5 - 1e-9


def test_labels_of_a_row_do_not_reach_its_own_correction(draws):
    y, proba = draws(400, power=2.0)
    folds = random_folds(y, 5, 0)
    row = 17
    other = next(i for i in np.flatnonzero(folds == folds[row]) if y[i] != y[row])
    before = choose_calibrator(check_predictions(y, proba)).proba
    for swapped in (y.copy(), y.copy()):
        swapped[[row, other]] = y[[other, row]]
    kept = calibrator_choice.random_folds
    try:  # the folds of before, so that only the labels differ
        calibrator_choice.random_folds = lambda *args: folds
        after = choose_calibrator(check_predictions(swapped, proba)).proba
    finally:
        calibrator_choice.random_folds = kept
    inside = folds == folds[row]
    np.testing.assert_array_equal(before[inside], after[inside])
    assert (before[~inside] != after[~inside]).any()


def test_weights_are_shares_whatever_their_unit(draws):
    y, proba = draws(500, power=1.5)
    weights = np.random.default_rng(0).integers(1, 4, 500).astype(float)
    one, two = (choose_calibrator(check_predictions(y, proba, sample_weight=w)) for w in (weights, 1000 * weights))
    np.testing.assert_allclose(one.candidates["gain"], two.candidates["gain"], rtol=1e-6)
    np.testing.assert_allclose(one.proba, two.proba, rtol=1e-5)


def test_very_many_rows_are_sampled(monkeypatch, draws):
    monkeypatch.setattr(calibrator_choice, "MOST_SCORES", 900)
    monkeypatch.setattr(calibrator_choice, "FEWEST_ROWS", 200)
    choice = choose_calibrator(check_predictions(*draws(1000, power=2.0)))
    assert choice.proba.shape == choice.judged.proba.shape == (300, 3)


@pytest.mark.parametrize(
    ("y", "proba"),
    [
        ([0, 1], [0.2, 0.8]),
        ([0, 1] * 30, [0.3] * 60),
        ([0, 1] * 30, [0.0, 1.0] * 30),
        ([1, 0] * 30, [0.0, 1.0] * 30),
        (np.arange(20), np.random.default_rng(0).dirichlet(np.ones(20), 20)),
        ([0, 1, 2] * 20, np.full((60, 3), 1 / 3)),
    ],
    ids=["two rows", "constant", "certain and right", "certain and wrong", "a row a class", "uniform"],
)
def test_degenerate_predictions_have_an_answer(y, proba):
    choice = choose_calibrator(check_predictions(y, proba))
    assert np.isfinite(choice.proba).all()
    np.testing.assert_allclose(choice.proba.sum(axis=1), 1, rtol=1e-9)
