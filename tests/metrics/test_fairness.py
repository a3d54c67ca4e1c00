"""Disparities: definitions by hand, corrections that are unbiased, tests of the right size, intervals that cover."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from sksoft.metrics import (
    brier_score,
    expected_calibration_error,
    group_calibration,
    group_disparities,
    multicalibration_error,
    negative_log_likelihood,
)
from sksoft.metrics.fairness import COLUMNS

SIZES = (100, 150, 400, 2000)


def calibrated(seed, sizes=SIZES):
    rng = np.random.default_rng(seed)
    group = np.repeat(list("abcdefgh")[: len(sizes)], sizes)
    p = rng.beta(2, 2, len(group))
    return (rng.random(len(group)) < p).astype(int), p, group


def test_rows_and_columns():
    y, p, group = calibrated(0)
    site = np.random.default_rng(1).choice(["x", "y"], len(y))
    table = group_disparities(y, p, {"city": group, "site": site}, n_resamples=99, random_state=0)
    assert tuple(table.columns) == COLUMNS
    assert table["feature"].unique().tolist() == ["city", "site", "city × site"]
    assert len(table) == 3 * 6
    proba = np.column_stack([1 - p, p])
    several = group_disparities(y, proba, group, n_resamples=0)
    assert "mean_residual" not in several["metric"].tolist()


@pytest.mark.parametrize("weighted", [False, True])
def test_ends_are_the_metrics_of_the_groups(weighted):
    y, p, group = calibrated(0)
    w = np.random.default_rng(1).random(len(y)) if weighted else None
    names = np.unique(group)
    table = group_disparities(y, p, group, sample_weight=w, random_state=0).set_index("metric")

    def by_group(metric, **options):
        return pd.Series(
            {
                g: metric(y[group == g], p[group == g], sample_weight=None if w is None else w[group == g], **options)
                for g in names
            }
        )

    for name, values in [
        ("brier_score", by_group(brier_score)),
        ("negative_log_likelihood", by_group(negative_log_likelihood)),
    ]:
        row = table.loc[name]
        assert (row["worst_group"], row["lowest_group"]) == (values.idxmax(), values.idxmin())
        assert row["gap"] == pytest.approx(values.max() - values.min(), rel=1e-12)
        assert row["ratio"] == pytest.approx(values.min() / values.max(), rel=1e-12)
        share = np.array([(group == g).sum() if w is None else w[group == g].sum() for g in names])
        share = share / share.sum()
        spread = np.sqrt(share @ (values - share @ values) ** 2)
        assert row["spread"] == pytest.approx(spread, rel=1e-10)
    whole = group_calibration(y, p, group, sample_weight=w, n_resamples=0)
    whole = whole[whole["level"] == "group"].set_index("group")
    assert table.loc["accuracy", "worst_group"] == whole["accuracy"].idxmin()
    assert table.loc["accuracy", "worst"] == pytest.approx(whole["accuracy"].min())
    residual = whole["mean_score"] - whole["observed_rate"]
    assert table.loc["mean_residual", "worst"] == pytest.approx(residual[residual.abs().idxmax()], rel=1e-9)
    square = whole["squared_error_debiased"]
    assert table.loc["squared_error_debiased", "gap"] == pytest.approx(square.max() - square.min(), rel=1e-9)


def test_noise_of_two_groups_is_that_of_the_difference_of_means():
    y, p, group = calibrated(3, (200, 300))
    table = group_disparities(y, p, group, n_resamples=20000, random_state=0).set_index("metric")
    loss = (p - y) ** 2
    variance = sum(np.var(loss[group == g], ddof=1) / (group == g).sum() for g in "ab")
    row = table.loc["brier_score"]
    assert row["gap_of_noise"] == pytest.approx(np.sqrt(variance), rel=0.02)
    assert row["gap_corrected"] ** 2 == pytest.approx(max(row["gap"] ** 2 - variance, 0), abs=0.05 * variance)
    assert row["gap_high"] == pytest.approx(row["gap"] + 1.959964 * np.sqrt(variance), rel=0.02)


def simulate(n_times, change=None, **options):
    frames = []
    for seed in range(n_times):
        y, p, group = calibrated(seed)
        if change is not None:
            p = change(p, group)
        frames.append(group_disparities(y, p, group, n_resamples=199, random_state=seed, **options))
    return pd.concat(frames)


@pytest.mark.parametrize("calibration", ["calibrated", "equally wrong"])
def test_equal_groups_are_rejected_as_often_as_the_level_says(calibration):
    n_times = 200
    change = None if calibration == "calibrated" else (lambda p, group: p**1.5)
    rejected = simulate(n_times, change).groupby("metric")["p_value"].agg(lambda p: (p <= 0.05).mean())
    # 99.95 % of a binomial of level .05, of which no metric should be far below either
    reach = 3.3 * np.sqrt(0.05 * 0.95 / n_times)
    assert rejected.max() <= 0.05 + reach
    assert rejected.min() >= 0.05 - reach


def test_naive_gaps_are_mostly_size_and_corrected_ones_are_not():
    table = simulate(100)
    mean = table.groupby("metric")[["gap", "gap_corrected", "spread", "spread_corrected"]].mean()
    assert (mean["gap_corrected"] < 0.5 * mean["gap"]).all()
    assert (mean["spread_corrected"] < 0.5 * mean["spread"]).all()
    naive = []
    for seed in range(20):
        y, p, group = calibrated(seed)
        naive.append([expected_calibration_error(y[group == g], p[group == g]) for g in "ad"])
    assert np.mean(naive, axis=0)[0] > 3 * np.mean(naive, axis=0)[1]  # what the correction is for


def test_intervals_cover_a_true_gap():
    """Group d is told p + .1: its mean residual is .1 greater than that of the others, at any sample."""

    def change(p, group):
        return np.where(group == "d", np.minimum(p * 0.8 + 0.2, 1.0), p)

    # E of 0.8 p + 0.2 − p for p ~ Beta(2, 2) is 0.1
    table = simulate(150, change)
    rows = table[table["metric"] == "mean_residual"]
    covered = (rows["gap_low"] <= 0.1) & (rows["gap_high"] >= 0.1)
    assert covered.mean() >= 0.95 - 3.3 * np.sqrt(0.05 * 0.95 / 150)
    assert (rows["p_value"] <= 0.05).mean() > 0.5
    worst = rows[rows["worst_group"] == "d"]
    assert ((worst["worst_low"] <= 0.1) & (worst["worst_high"] >= 0.1)).mean() >= 0.95 - 0.06
    assert abs(rows["gap_corrected"].mean() - 0.1) < abs(rows["gap"].mean() - 0.1)


def test_one_badly_calibrated_group_is_found():
    def change(p, group):
        return np.where(group == "d", p**2, p)

    rows = simulate(20, change)
    rows = rows[rows["metric"] == "squared_error_debiased"]
    assert (rows["worst_group"] == "d").mean() > 0.8
    assert (rows["p_value"] <= 0.05).mean() > 0.5


def test_weights_are_repetitions_and_zero_is_removal():
    y, p, group = calibrated(5)
    w = np.random.default_rng(6).integers(0, 3, len(y))
    weighted = group_disparities(y, p, group, sample_weight=w, weight_type="frequency", random_state=0)
    repeated = group_disparities(*(np.repeat(values, w) for values in (y, p, group)), random_state=0)
    pd.testing.assert_frame_equal(weighted, repeated, rtol=1e-9)


def test_seed_decides():
    y, p, group = calibrated(7)
    first, again = (group_disparities(y, p, group, random_state=4) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)


def test_without_draws_only_plug_in_values():
    y, p, group = calibrated(8)
    table = group_disparities(y, p, group, n_resamples=0)
    assert table[["gap", "spread", "worst"]].notna().all(axis=None)
    assert table[["gap_corrected", "p_value", "worst_low", "gap_of_noise"]].isna().all(axis=None)


def test_small_groups_take_no_part_and_one_group_has_no_gap():
    y, p, group = calibrated(9, (20, 300))
    table = group_disparities(y, p, group, n_resamples=9)
    assert (table["groups"] == 1).all()
    assert (table["left_out"] == 1).all()
    assert table[["gap", "p_value", "worst"]].isna().all(axis=None)
    nobody = group_disparities(y, p, group, n_resamples=9, min_group_size=1000)
    assert (nobody["groups"] == 0).all()


def test_an_infinite_loss_has_a_group_and_no_inference():
    y, p, group = calibrated(10)
    p[0], y[0] = 0.0, 1
    row = group_disparities(y, p, group, random_state=0).set_index("metric").loc["negative_log_likelihood"]
    assert (row["worst_group"], row["worst"], row["gap"]) == ("a", np.inf, np.inf)
    assert np.isnan(row["p_value"])


def test_groups_without_any_error():
    y, group = np.tile([0, 1], 100), np.repeat(["a", "b"], 100)
    table = group_disparities(y, y.astype(float), group, random_state=0).set_index("metric")
    assert (table["gap"] == 0).all()
    assert (table["p_value"] == 1).all()
    assert table.loc["accuracy", "ratio"] == 1
    assert np.isnan(table.loc["brier_score", "ratio"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_group_size": 1}, "'min_group_size' parameter must be an int >= 2"),
        ({"n_resamples": 1.5}, "'n_resamples' parameter must be an int >= 0"),
        ({"confidence_level": 1}, "'confidence_level' parameter"),
        ({"n_bins": 0}, "'n_bins' parameter"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        group_disparities([0, 1], [0.2, 0.7], ["a", "b"], **options)


def test_compas_is_calibrated_by_race_and_not_by_sex(shared_data):
    """The numbers docs/fairness.md prints."""
    table = pd.read_csv(shared_data / "fairness" / "compas_two_years.csv.gz", low_memory=False)
    table = table[table["race"].isin(["African-American", "Caucasian"])]
    y, decile = table["two_year_recid"], table[["decile_score"]].to_numpy()
    proba = LogisticRegression(C=1e6).fit(decile, y).predict_proba(decile)[:, 1]
    by_race = group_calibration(y, proba, table["race"], n_bins=10, random_state=0).set_index("group")
    by_race = by_race.loc[["African-American", "Caucasian"]]
    np.testing.assert_allclose(by_race["mean_score"], [0.5061, 0.4058], atol=5e-5)
    np.testing.assert_allclose(by_race["observed_rate"], [0.5143, 0.3936], atol=5e-5)
    assert (by_race["p_value"] > 0.2).all()
    gaps = group_disparities(y, proba, table["race"], n_bins=10, random_state=0).set_index("metric")
    assert gaps.loc["accuracy", "gap"] == pytest.approx(0.0359, abs=5e-5)
    assert gaps.loc["accuracy", "p_value"] < 0.05 < gaps.loc["squared_error_debiased", "p_value"]
    found = multicalibration_error(y, proba, table[["race", "sex"]], n_resamples=199, random_state=0)
    assert (found.group, found.p_value) == ("Female", 1 / 200)
    errors = found.table.set_index("group")
    assert errors.loc["Female", "error"] == pytest.approx(0.078, abs=5e-4)
    assert errors.loc["Female", "statistic"] == pytest.approx(5.83, abs=5e-3)
    assert errors.loc["overall", "p_value"] > 0.2
