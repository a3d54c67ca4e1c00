"""Frames that are measured here: classes, and groups at all scores."""

import numpy as np
import pandas as pd
import pytest

from sksoft.audit import audit
from sksoft.audit.measuring import class_table
from sksoft.metrics import group_disparities, multicalibration_error
from sksoft.metrics.predictions import check_predictions


def test_class_table_by_hand():
    table = class_table(check_predictions(["a", "b", "b", "b"], [0.4, 0.8, 0.6, 0.6], pos_label="b"), 0.95).set_index(
        "class"
    )
    assert table.loc["b", ["n", "rate"]].tolist() == [3, 0.75]
    assert table.loc["b", "mean_proba"] == pytest.approx(0.6)
    assert table.loc["b", "gap"] == pytest.approx(-0.15)
    residuals = np.array([0.4, -0.2, -0.4, -0.4])
    half = 1.959964 * residuals.std(ddof=1) / 2
    assert table.loc["b", "gap_low"] == pytest.approx(-0.15 - half, abs=1e-6)
    assert table["p_value"].nunique() == 1


FITTED = {
    *("recalibration", "reliability_after", "calibrators", "recalibration_chosen", "reliability_chosen_before"),
    *("reliability_chosen_after", "group_temperatures", "group_temperature_gains"),
}


def test_nothing_is_fitted_unless_asked_for(calibrated):
    told = []

    class Step:
        def __init__(self, name):
            told.append(name)

        def __enter__(self):
            return None

        def __exit__(self, *_):
            return None

    without = audit(**calibrated, n_resamples=0, recalibrate=False, step=Step)
    assert not FITTED & set(without.frames)
    assert not [name for name in told if "emperature" in name or "calibrator" in name]
    assert "calibrator" not in without.settings
    assert set(audit(**calibrated, n_resamples=0).frames) == set(without.frames) | FITTED
    shown = without.to_html()
    assert 'id="calibrators"' not in shown
    assert 'id="temperatures"' not in shown


def test_groups_at_all_scores_are_those_of_the_metrics(multiclass, multiclass_report):
    data = multiclass["y_true"], multiclass["y_proba"], multiclass["sensitive_features"]
    options = {"sample_weight": multiclass["sample_weight"], "n_resamples": 199, "random_state": 0}
    found = multiclass_report.frames["multicalibration"]
    wanted = multicalibration_error(*data, **options).table
    pd.testing.assert_frame_equal(found.drop(columns="error_debiased"), wanted)
    noise = 4 * np.log(2) * wanted["deviation"] ** 2
    np.testing.assert_allclose(found["error_debiased"], np.sqrt(np.maximum(wanted["error"] ** 2 - noise, 0)))
    pd.testing.assert_frame_equal(multiclass_report.frames["disparities"], group_disparities(*data, **options))


def test_noise_of_a_range_is_that_of_a_random_walk():
    """E range² = 4 ln 2 of the variance, from walks."""
    walks = np.random.default_rng(0).standard_normal((4000, 2000)).cumsum(axis=1) / np.sqrt(2000)
    ranges = np.maximum(walks.max(axis=1), 0) - np.minimum(walks.min(axis=1), 0)
    assert (ranges**2).mean() == pytest.approx(4 * np.log(2), rel=0.06)


RNG = np.random.default_rng(3)
DEGENERATE = {
    "two rows": ([0, 1], [0.2, 0.8], {}),
    "constant": ([0, 1] * 50, [0.3] * 100, {}),
    "half": ([0, 1] * 50, [0.5] * 100, {}),
    "certain and right": ([0, 1] * 50, [0.0, 1.0] * 50, {}),
    "certain and wrong": ([1, 0] * 50, [0.0, 1.0] * 50, {}),
    "one weighs all": ([0, 1] * 50, RNG.uniform(size=100), {"sample_weight": np.r_[1e6, np.ones(99)]}),
    "a row a class": (np.arange(20), RNG.dirichlet(np.ones(20), 20), {}),
    "two rows of three": ([0, 1], [[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]], {"labels": [0, 1, 2]}),
    "uniform": ([0, 1, 2] * 30, np.full((90, 3), 1 / 3), {}),
    "one-hot": (np.arange(90) // 2 % 3, np.eye(3)[np.arange(90) % 3], {}),
}


@pytest.mark.parametrize("case", list(DEGENERATE))
def test_degenerate_predictions_are_reported(case):
    y, proba, options = DEGENERATE[case]
    features = {"g": np.arange(len(y)) % 2, "own": np.arange(len(y))}
    for named in ({}, {"sensitive_features": features}):
        report = audit(y, proba, **options, **named, n_resamples=19)
        report.to_html()
        report.to_json()
        if len(y) < 50:
            for code in ("SKS205", "SKS206", "SKS207", "SKS304", "SKS305"):
                assert report.finding(code).outcome in ("insufficient evidence", "not applicable"), code
