"""Cross-fitted temperatures: honest folds, right direction, gains that are differences."""

import numpy as np

from sksoft.audit.recalibration import cross_fitted_temperature, random_folds, recalibration_table
from sksoft.metrics.predictions import check_predictions

SETTINGS = {"confidence_level": 0.95, "n_bins": 15, "strategy": "uniform"}


def sharpened(n, power, seed=0):
    """Predictions whose logits are `power` times the calibrated ones."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 3))
    calibrated = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = (rng.uniform(size=(n, 1)) > calibrated.cumsum(axis=1)).sum(axis=1)
    proba = np.exp(power * logits)
    return y, proba / proba.sum(axis=1, keepdims=True)


def test_folds_are_even_within_every_class():
    codes = np.repeat([0, 1, 2], [50, 7, 3])
    folds = random_folds(codes, 5, seed=3)
    for code in range(3):
        counts = np.bincount(folds[codes == code], minlength=5)
        assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(folds, random_folds(codes, 5, seed=3))
    assert (folds != random_folds(codes, 5, seed=4)).any()


def test_finds_the_temperature_and_gains():
    predictions = check_predictions(*sharpened(6000, 2.5))
    after = cross_fitted_temperature(predictions)
    np.testing.assert_allclose(after.temperatures, 2.5, rtol=0.1)
    table = recalibration_table(predictions, after.proba, SETTINGS).set_index("score")
    np.testing.assert_allclose(table["gain"], table["before"] - table["after"], atol=1e-12)
    assert (table["gain"] > 0).all()
    assert (table.loc[["log-loss", "Brier score"], "gain_low"] > 0).all()


def test_no_gain_where_calibrated():
    predictions = check_predictions(*sharpened(6000, 1.0))
    row = (
        recalibration_table(predictions, cross_fitted_temperature(predictions).proba, SETTINGS)
        .set_index("score")
        .loc["log-loss"]
    )
    assert row["gain_low"] < 0 < row["gain_high"]


def test_labels_of_a_row_do_not_reach_its_own_correction():
    y, proba = sharpened(200, 2.0)
    folds = random_folds(check_predictions(y, proba).codes, 5, 0)
    row = 17
    before = cross_fitted_temperature(check_predictions(y, proba)).proba
    # another label within the same class counts would move folds, so swap two labels of one fold
    other = next(i for i in np.flatnonzero(folds == folds[row]) if y[i] != y[row])
    swapped = y.copy()
    swapped[[row, other]] = y[[other, row]]
    if (random_folds(swapped, 5, 0) == folds).all():
        after = cross_fitted_temperature(check_predictions(swapped, proba)).proba
        np.testing.assert_array_equal(before[row], after[row])


def test_separable_scores_reach_the_bound_without_a_warning():
    predictions = check_predictions([0, 1] * 30, [0.3, 0.7] * 30)
    assert cross_fitted_temperature(predictions).at_bound
