"""The report holds what the functions say, names what is not defined, and reads well."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from sksoft.metrics import (
    brier_decomposition,
    calibration_error_interval,
    calibration_report,
    calibration_test,
    classwise_calibration_error,
    cox_calibration,
    cumulative_calibration_error,
    group_calibration,
    group_disparities,
    kernel_calibration_error,
    log_loss_decomposition,
    monotone_sweep_calibration_error,
    smooth_calibration_error,
)
from sksoft.metrics.multiplicity import benjamini_hochberg, holm
from sksoft.metrics.report import COLUMNS


def binary(n=600, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    return np.where(rng.random(n) < p**1.4, "yes", "no"), p, rng.integers(1, 4, n), rng.choice(["f", "m"], n)


def multiclass(n=500, seed=1):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(4), n)
    return (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1), p, rng.integers(1, 4, n), rng.choice(["f", "m"], n)


def by_measure(report):
    return report.table.set_index("measure")


def test_binary_rows_are_the_functions_values():
    y, p, w, _ = binary()
    options = {"sample_weight": w, "pos_label": "yes"}
    report = calibration_report(y, p, random_state=0, n_resamples=99, **options)
    table = by_measure(report)
    assert tuple(report.table.columns) == COLUMNS
    hits = y == "yes"
    assert table.loc["negative log-likelihood", "value"] == pytest.approx(log_loss(hits, p, sample_weight=w))
    assert table.loc["Brier score", "value"] == pytest.approx(brier_score_loss(hits, p, sample_weight=w))
    ece = calibration_error_interval(y, p, n_resamples=99, random_state=0, **options)
    assert tuple(table.loc["ECE, binary", ["value", "low", "high"]]) == ece
    assert table.loc["smooth ECE", "value"] == pytest.approx(smooth_calibration_error(y, p, **options), rel=1e-9)
    assert table.loc["KS", "value"] == pytest.approx(cumulative_calibration_error(y, p, **options), rel=1e-12)
    kuiper = cumulative_calibration_error(y, p, statistic="kuiper", **options)
    assert table.loc["Kuiper", "value"] == pytest.approx(kuiper, rel=1e-12)
    sweep = monotone_sweep_calibration_error(y, p, **options)
    assert table.loc["ECE, monotone sweep", "value"] == pytest.approx(sweep, rel=1e-12)
    kernel = kernel_calibration_error(y, p, **options)
    assert table.loc["squared kernel error", "value"] == pytest.approx(kernel, rel=1e-9)
    for name, decomposition in (("Brier score", brier_decomposition), ("log-loss", log_loss_decomposition)):
        found = decomposition(y, p, **options)
        assert table.loc[f"{name}: miscalibration", "value"] == found.miscalibration
        assert table.loc[f"{name}: discrimination", "value"] == found.discrimination
        assert table.loc[f"{name}: uncertainty", "value"] == found.uncertainty
    cox = cox_calibration(y, p, **options)
    assert table.loc["slope", "value"] == cox.slope
    assert table.loc["intercept", "high"] == pytest.approx(cox.intercept + 1.959964 * cox.intercept_stderr, rel=1e-6)
    for method in ("bootstrap", "skce", "spiegelhalter", "cox", "cumulative"):
        found = calibration_test(y, p, method=method, n_resamples=99, random_state=0, **options)
        assert tuple(table.loc[method, ["value", "pvalue"]]) == found


def test_multiclass_rows_and_adjustment():
    y, p, _, _ = multiclass()
    report = calibration_report(y, p, random_state=0, n_resamples=99)
    table = by_measure(report)
    assert table.loc["ECE, class-wise", "value"] == pytest.approx(classwise_calibration_error(y, p), rel=1e-12)
    options = {"n_resamples": 99, "random_state": 0}
    for measure, chosen in (
        ("ECE, class-wise", {"mode": "classwise"}),
        ("ECE, top label", {"mode": "top_label"}),
        ("ECE, equal mass", {"strategy": "quantile"}),
        ("maximum", {"norm": "max"}),
    ):
        assert tuple(table.loc[measure, ["value", "low", "high"]]) == calibration_error_interval(
            y, p, **chosen, **options
        )
    errors = report.table[report.table["section"] == "calibration error"]
    assert errors[["low", "high"]].notna().all(axis=None)
    assert ((errors["low"] <= errors["value"]) & (errors["value"] <= errors["high"])).all()
    assert "intercept" not in table.index
    tests = report.table[report.table["section"] == "test"]
    assert tests["measure"].tolist() == [
        "bootstrap",
        "bootstrap, class-wise",
        "skce",
        "spiegelhalter",
        "cox",
        "cumulative",
    ]
    np.testing.assert_allclose(tests["pvalue_adjusted"], holm(tests["pvalue"]))
    assert report.table.loc[report.table["section"] != "test", "pvalue"].isna().all()
    other = calibration_report(y, p, random_state=0, n_resamples=99, adjust="bh", tests=("cox", "spiegelhalter")).table
    pvalues = other.loc[other["section"] == "test", ["pvalue", "pvalue_adjusted"]]
    np.testing.assert_allclose(pvalues["pvalue_adjusted"], benjamini_hochberg(pvalues["pvalue"]))
    assert len(pvalues) == 2


def test_groups():
    y, p, w, group = multiclass()
    options = {"sample_weight": w, "n_resamples": 99, "random_state": 0}
    report = calibration_report(y, p, sensitive_features=group, **options)
    pd.testing.assert_frame_equal(report.groups, group_calibration(y, p, group, **options))
    pd.testing.assert_frame_equal(report.disparities, group_disparities(y, p, group, **options))
    text = str(report)
    assert "500 rows (effective" in text
    assert "Groups" in text
    assert calibration_report(y, p, n_resamples=9, random_state=0).groups is None


@pytest.mark.parametrize("data", [binary, multiclass])
def test_repetitions(data):
    y, p, w, _ = data(200)
    options = {"n_resamples": 19, "random_state": 0}
    options |= {"pos_label": "yes"} if p.ndim == 1 else {}
    weighted = calibration_report(y, p, sample_weight=w, weight_type="frequency", **options)
    repeated = calibration_report(np.repeat(y, w), np.repeat(p, w, axis=0), **options)
    assert (weighted.n, weighted.effective_n) == (repeated.n, repeated.effective_n)
    pd.testing.assert_frame_equal(weighted.table, repeated.table, rtol=1e-7)


def test_text_has_every_section():
    y, p, _, _ = multiclass()
    lines = str(calibration_report(y, p, n_resamples=9, random_state=0)).splitlines()
    assert lines[0] == "Calibration report: 500 rows, 4 classes"
    for heading in ("Scores", "Calibration errors", "Calibration slope and intercept", "Tests of calibration"):
        assert heading in lines
    assert any(line.startswith("  spiegelhalter") and "adjusted" in line for line in lines)
    assert max(map(len, lines)) < 120


def test_what_is_not_defined_is_named():
    report = calibration_report([1] * 30, [0.5] * 30, labels=[0, 1], n_resamples=9, random_state=0)
    table = by_measure(report)
    assert np.isnan(table.loc["slope", "value"])
    assert "at least two classes" in table.loc["slope", "note"]
    assert "every probability is 1/2" in table.loc["spiegelhalter", "note"]
    assert table.loc["ECE, binary", "value"] == 0.5
    assert "nan" in str(report)
    constant = by_measure(calibration_report([0, 1, 2] * 20, np.full((60, 3), 1 / 3), n_resamples=9, random_state=0))
    assert "at least two different predictions" in constant.loc["Brier score: miscalibration", "note"]
    zeros = by_measure(calibration_report([0, 1, 0, 1] * 10, [0.0, 0.0, 0.5, 0.9] * 10, n_resamples=9, random_state=0))
    assert zeros.loc["negative log-likelihood", "value"] == np.inf
    assert np.isfinite(zeros.loc["ECE, binary", "value"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tests": ("bootstrap", "hosmer")}, "'tests' parameter"),
        ({"adjust": "sidak"}, "'adjust' parameter"),
        ({"n_resamples": 0}, "'n_resamples' parameter"),
        ({"min_group_size": 1}, "'min_group_size' parameter"),
        ({"labels": [0, 1]}, "'labels' parameter"),
    ],
)
def test_bad_parameters(options, message):
    y, p, _, _ = multiclass(60)
    with pytest.raises(ValueError, match=message):
        calibration_report(y, p, **options)
