"""Errors are those of the metrics; their intervals hold them and reach 0 where predictions are calibrated."""

import numpy as np
import pandas as pd
import pytest

from sksoft.audit.errors import error_table, slope_table
from sksoft.metrics import (
    cox_calibration,
    cumulative_calibration_error,
    group_calibration,
    kernel_calibration_error,
    monotone_sweep_calibration_error,
    smooth_calibration_error,
)
from sksoft.metrics.predictions import check_predictions


def errors(settings, y, proba, weights=None, **changed):
    settings = settings | changed
    predictions = check_predictions(y, proba, sample_weight=weights)
    options = {name: settings[name] for name in ("n_bins", "strategy", "n_resamples", "random_state")}
    overall = group_calibration(y, proba, np.zeros(len(y)), sample_weight=weights, **options).iloc[0]
    return error_table(predictions, overall, settings).set_index("error")


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_values_are_those_of_the_metrics(n_classes, weighted, settings, draws):
    y, proba = draws(500, power=1.5, n_classes=n_classes)
    proba = proba[:, 1] if n_classes == 2 else proba
    weights = np.random.default_rng(1).uniform(0.5, 2, 500) if weighted else None
    table = errors(settings, y, proba, weights, n_resamples=19)
    wanted = {
        "smooth": smooth_calibration_error(y, proba, sample_weight=weights),
        "cumulative (Kolmogorov–Smirnov)": cumulative_calibration_error(y, proba, sample_weight=weights),
        "cumulative (Kuiper)": cumulative_calibration_error(y, proba, statistic="kuiper", sample_weight=weights),
        "monotone sweep": monotone_sweep_calibration_error(y, proba, sample_weight=weights),
        "kernel, squared (SKCE)": kernel_calibration_error(y, proba, sample_weight=weights),
    }
    for name, value in wanted.items():
        assert table.loc[name, "value"] == pytest.approx(value, rel=1e-9, abs=1e-14), name
    assert (table["low"] <= table["high"]).all()
    without = errors(settings, y, proba, weights, n_resamples=0)
    np.testing.assert_allclose(without["value"], table["value"], rtol=1e-9, atol=1e-14)
    assert without[["low", "high"]].isna().all(axis=None)


def test_intervals_reach_none_where_calibrated_and_leave_it_where_not(settings, draws):
    calibrated = errors(settings, *draws(3000))
    kernel = calibrated.loc["kernel, squared (SKCE)"]
    assert kernel["low"] < 0 < kernel["high"]
    calibrated = calibrated.drop("kernel, squared (SKCE)")
    assert (calibrated["low"] == 0).all()
    assert (calibrated["high"] > 0).all()
    sharp = errors(settings, *draws(3000, power=2.0))
    assert sharp.loc["kernel, squared (SKCE)", "low"] > 0
    assert (sharp["low"].drop("kernel, squared (SKCE)") > 0.05).all()
    assert ((sharp["low"] < sharp["value"]) & (sharp["value"] < sharp["high"])).all()


def test_slope_and_intercepts_are_coxs(settings, draws):
    y, proba = draws(2000, power=2.0)
    table = slope_table(check_predictions(np.array(["a", "b", "c"])[y], proba), settings)
    found = cox_calibration(y, proba)
    assert table["class"].tolist() == ["", "a", "b", "c"]
    np.testing.assert_allclose(table["value"], [found.slope, *found.intercept])
    np.testing.assert_allclose(table["stderr"], [found.slope_stderr, *found.intercept_stderr])
    np.testing.assert_allclose(table["high"] - table["value"], 1.959964 * table["stderr"], rtol=1e-6)
    assert table["value"][0] == pytest.approx(0.5, abs=0.05)


def test_no_slope_where_there_is_none(settings):
    table = slope_table(check_predictions([0, 1] * 20, [0.3] * 40), settings)
    assert table["term"].tolist() == ["slope"]
    assert table["value"].isna().all()
    assert "differ between rows" in table["note"][0]
    assert isinstance(table, pd.DataFrame)
