"""group_calibration: every column from its definition, weights, small groups, missing classes, size of the tests."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from sksoft import config_context
from sksoft.metrics import (
    brier_score,
    expected_calibration_error,
    group_calibration,
    negative_log_likelihood,
    predictive_entropy,
)
from sksoft.metrics.groups import COLUMNS, INSUFFICIENT, MISCALIBRATED, NOT_REJECTED, NOT_TESTED


def multiclass(n_rows=900, seed=0):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.ones(3), n_rows)
    y = np.array(["a", "b", "c"])[(proba.cumsum(axis=1) < rng.random((n_rows, 1))).sum(axis=1).clip(max=2)]
    features = pd.DataFrame({"sex": rng.choice(["f", "m"], n_rows), "age": rng.choice([20, 50, 80], n_rows)})
    return y, proba, features


def binary(n_rows=900, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.random(n_rows)
    return (rng.random(n_rows) < p).astype(int), p, rng.choice(["x", "y", "z"], n_rows)


def selected(features, row):
    """Rows of a group of the table."""
    if row["level"] == "overall":
        return np.ones(len(features), dtype=bool)
    chosen = np.ones(len(features), dtype=bool)
    for name, value in zip(row["feature"].split(" × "), row["group"].split(" × ")):
        chosen &= (features[name].astype(str) == value).to_numpy()
    return chosen


def test_rows_and_columns_of_the_table():
    y, proba, features = multiclass()
    table = group_calibration(y, proba, features, n_resamples=9, random_state=0)
    assert tuple(table.columns) == COLUMNS
    assert table["level"].tolist() == ["overall"] + ["group"] * 5 + ["intersection"] * 6
    assert table["group"].tolist()[:7] == ["overall", "f", "m", "20", "50", "80", "f × 20"]
    assert table["feature"].unique().tolist() == ["", "sex", "age", "sex × age"]


@pytest.mark.parametrize("weighted", [False, True])
def test_point_estimates_are_the_metrics_of_the_rows_of_the_group(weighted):
    y, proba, features = multiclass()
    weights = np.random.default_rng(1).random(900) if weighted else np.ones(900)
    table = group_calibration(y, proba, features, n_resamples=0, sample_weight=weights if weighted else None)
    for _, row in table.iterrows():
        rows = selected(features, row)
        w, options = weights[rows], {"labels": list("abc"), "sample_weight": weights[rows]}
        hit = np.array(list("abc"))[proba[rows].argmax(axis=1)] == y[rows]
        confidence = np.average(proba[rows].max(axis=1), weights=w)
        assert row["n"] == rows.sum()
        expected = {
            "effective_n": w.sum() ** 2 / (w**2).sum(),
            "accuracy": np.average(hit, weights=w),
            "mean_confidence": confidence,
            "over_confidence": confidence - np.average(hit, weights=w),
            "mean_score": confidence,
            "observed_rate": np.average(hit, weights=w),
            "negative_log_likelihood": negative_log_likelihood(y[rows], proba[rows], **options),
            "brier_score": brier_score(y[rows], proba[rows], **options),
            "mean_entropy": np.average(predictive_entropy(proba[rows]), weights=w),
            "ece": expected_calibration_error(y[rows], proba[rows], **options),
            "ece_debiased": expected_calibration_error(y[rows], proba[rows], debias=True, **options),
        }
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-10), name
        debiased = expected_calibration_error(y[rows], proba[rows], norm="l2", debias=True, **options)
        assert max(row["squared_error_debiased"], 0) == pytest.approx(debiased**2, rel=1e-9, abs=1e-15)


def test_point_estimates_of_binary_predictions():
    y, p, group = binary(20_000)  # more rows than one cached block
    table = group_calibration(y, p, group, n_resamples=0).set_index("group")
    for name in "xyz":
        rows = group == name
        predicted = p[rows] > 0.5
        expected = {
            "accuracy": (predicted == y[rows]).mean(),
            "mean_confidence": np.maximum(p[rows], 1 - p[rows]).mean(),
            "mean_score": p[rows].mean(),
            "observed_rate": y[rows].mean(),
            "negative_log_likelihood": negative_log_likelihood(y[rows], p[rows]),
            "brier_score": brier_score(y[rows], p[rows]),
            "mean_entropy": predictive_entropy(p[rows]).mean(),
            "ece": expected_calibration_error(y[rows], p[rows]),
        }
        for column, value in expected.items():
            assert table.loc[name, column] == pytest.approx(value, rel=1e-10), column


def test_gap_is_the_mean_residual_against_all_other_rows():
    y, p, group = binary()
    table = group_calibration(y, p, group, n_resamples=0).set_index("group")
    residual, rows = p - y, group == "y"
    gap = residual[rows].mean() - residual[~rows].mean()
    error = np.sqrt(residual[rows].var(ddof=1) / rows.sum() + residual[~rows].var(ddof=1) / (~rows).sum())
    assert table.loc["y", "gap"] == pytest.approx(gap, rel=1e-10)
    assert table.loc["y", "gap_p_value"] == pytest.approx(2 * norm.sf(abs(gap) / error), rel=1e-8)
    assert np.isnan(table.loc["overall", "gap"])
    assert (table["gap_p_value_holm"].dropna() >= table["gap_p_value"].dropna()).all()


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_frequency_weights_are_repetitions_in_every_column(backend):
    y, p, group = binary(500)
    weights = np.random.default_rng(3).integers(0, 4, 500)
    options = {"weight_type": "frequency", "n_resamples": 49, "random_state": 0, "strategy": "quantile"}
    with config_context(backend=backend):
        weighted = group_calibration(y, p, group, sample_weight=weights, **options)
        repeated = group_calibration(np.repeat(y, weights), np.repeat(p, weights), np.repeat(group, weights), **options)
    pd.testing.assert_frame_equal(weighted, repeated, rtol=1e-10)


def test_zero_weight_is_removal_in_every_column_and_leaves_no_group():
    y, p, group = binary(500)
    weights = np.random.default_rng(3).random(500) * (group != "y")
    kept = weights > 0
    weighted = group_calibration(y, p, group, sample_weight=weights, n_resamples=19, random_state=0)
    removed = group_calibration(
        y[kept], p[kept], group[kept], sample_weight=weights[kept], n_resamples=19, random_state=0
    )
    pd.testing.assert_frame_equal(weighted, removed)
    assert "y" not in weighted["group"].tolist()


def test_a_class_that_a_group_does_not_show_is_no_error():
    y, proba, _ = multiclass()
    table = group_calibration(y, proba, np.where(y == "a", "first", "others"), n_resamples=0)
    assert np.isfinite(table["negative_log_likelihood"]).all()


def test_an_impossible_outcome_makes_the_log_loss_infinite_and_nothing_else():
    y, p, group = binary()
    p[:2], y[:2] = 0.0, 1
    group[:2] = "x", "y"
    table = group_calibration(y, p, group, n_resamples=9, random_state=0).set_index("group")
    assert np.isinf(table["negative_log_likelihood"]).tolist() == [True, True, True, False]
    numbers = table.drop(index="overall").select_dtypes("number").drop(columns="negative_log_likelihood")
    assert np.isfinite(numbers).all(axis=None)


def test_small_groups_are_not_judged():
    y, p, group = binary(500)
    group = np.where(np.arange(500) < 10, "rare", group)
    table = group_calibration(y, p, group, n_resamples=19, random_state=0).set_index("group")
    rare = table.loc["rare"]
    assert rare["verdict"] == INSUFFICIENT
    assert np.isfinite(rare["ece"])
    silent = ["ece_low", "ece_high", "p_value", "p_value_adjusted", "gap_p_value", "gap_p_value_holm"]
    assert rare[silent].isna().all()
    assert table.drop(index="rare")[["p_value", "p_value_adjusted"]].notna().all(axis=None)


def test_every_group_may_be_small():
    table = group_calibration([0, 1, 1], [0.2, 0.7, 0.9], ["a", "b", "c"], random_state=0)
    assert (table["verdict"] == INSUFFICIENT).all()


def test_without_resamples_nothing_is_tested_but_gaps():
    y, p, group = binary()
    table = group_calibration(y, p, group, n_resamples=0)
    assert (table["verdict"] == NOT_TESTED).all()
    assert table["p_value"].isna().all()
    assert table["gap_p_value"].notna().sum() == 3


def test_a_miscalibrated_group_is_found_among_calibrated_ones():
    rng = np.random.default_rng(5)
    p, group = rng.random(6000), rng.integers(0, 6, 6000)
    y = rng.random(6000) < np.where(group == 4, p**2, p)
    table = group_calibration(y, p, group, random_state=0).set_index("group")
    assert table.loc["4", "verdict"] == MISCALIBRATED
    assert table.loc["4", "gap_p_value_holm"] < 1e-6
    assert (table.loc[list("01235"), "verdict"] == NOT_REJECTED).all()
    assert table.loc["4", "ece_low"] > 0.1
    truth = 1 / 6  # E(p - p²)
    assert table.loc["4", "ece_low"] < truth < table.loc["4", "ece_high"]


def test_same_seed_same_bits_for_any_number_of_threads():
    y, p, group = binary(5000)
    tables = []
    for n_threads in (1, 2, 7):
        with config_context(backend="numba", n_threads=n_threads):
            tables.append(group_calibration(y, p, group, random_state=3))
    pd.testing.assert_frame_equal(tables[0], tables[1], check_exact=True)
    pd.testing.assert_frame_equal(tables[0], tables[2], check_exact=True)


def test_numpy_and_numba_draw_the_same(monkeypatch):
    y, p, group = binary(3000)
    weights = np.random.default_rng(0).random(3000)
    monkeypatch.setattr("sksoft.metrics.resampling.BLOCK_BYTES", 5000)  # several blocks
    for options in ({}, {"sample_weight": weights}):
        tables = []
        for backend in ("numpy", "numba"):
            with config_context(backend=backend):
                tables.append(group_calibration(y, p, group, n_resamples=99, random_state=1, **options))
        pd.testing.assert_frame_equal(*tables, rtol=1e-9)


def test_resampling_does_not_touch_the_global_generator():
    y, p, group = binary(200)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    group_calibration(y, p, group, n_resamples=9, random_state=0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_p_values_have_the_size_they_say():
    rng = np.random.default_rng(11)
    reject, family = 0, 0
    for seed in range(300):
        p, group = rng.beta(0.7, 0.7, 240), np.repeat(["a", "b", "c"], 80)
        table = group_calibration(rng.random(240) < p, p, group, n_resamples=99, random_state=seed)
        reject += table["p_value"].to_numpy() <= 0.05
        family += (table["p_value_adjusted"].to_numpy()[1:] <= 0.05).any()
    limit = 300 * 0.05 + 3.5 * np.sqrt(300 * 0.05 * 0.95)
    assert (reject <= limit).all()
    assert reject.sum() >= 4 * (300 * 0.05) - 3.5 * np.sqrt(4 * 300 * 0.05)
    assert family <= limit


def test_top_label_p_values_have_the_size_they_say():
    rng = np.random.default_rng(12)
    reject = 0
    for seed in range(300):
        proba = rng.dirichlet(np.ones(3), 150)
        y = (proba.cumsum(axis=1) < rng.random((150, 1))).sum(axis=1).clip(max=2)
        table = group_calibration(y, proba, np.zeros(150), labels=[0, 1, 2], n_resamples=99, random_state=seed)
        reject += table["p_value"][0] <= 0.05
    assert 3 <= reject <= 300 * 0.05 + 3.5 * np.sqrt(300 * 0.05 * 0.95)


@pytest.mark.parametrize("power", [1.0, 1.1, 1.6], ids=["calibrated", "slightly off", "far off"])
def test_intervals_cover_the_truth(power):
    rng = np.random.default_rng(13)
    centres = np.repeat(np.arange(0.05, 1, 0.1), 60)  # one score per bin: the truth is known exactly
    truth = np.abs(centres - centres**power).mean()
    group = np.zeros(600)
    covered = 0
    for seed in range(150):
        y = rng.random(600) < centres**power
        row = group_calibration(y, centres, group, n_bins=10, n_resamples=199, random_state=seed).iloc[0]
        covered += row["ece_low"] <= truth <= row["ece_high"]
    assert covered >= 150 * 0.93 - 3 * np.sqrt(150 * 0.07 * 0.93)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_resamples": -1}, "'n_resamples' parameter must be an int >= 0"),
        ({"n_resamples": 9.5}, "'n_resamples'"),
        ({"min_group_size": 1}, "'min_group_size' parameter must be an int >= 2"),
        ({"weight_type": "count"}, "'weight_type'"),
        ({"weight_type": "frequency", "sample_weight": np.full(900, 0.5)}, "whole numbers"),
        ({"strategy": "x"}, "'strategy'"),
        ({"n_bins": 0}, "'n_bins'"),
        ({"confidence_level": 0}, "'confidence_level'"),
        ({"random_state": "x"}, "seed"),
    ],
)
def test_parameters_out_of_range_are_named(options, message):
    y, p, group = binary()
    with pytest.raises(ValueError, match=message):
        group_calibration(y, p, group, **options)


def test_ten_thousand_groups():
    y, p, _ = binary(30_000)
    table = group_calibration(y, p, np.arange(30_000) % 10_000, n_resamples=9, random_state=0)
    assert len(table) == 10_001
