"""Multicalibration error: by hand, against brute force, size of its test, and what it finds."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from sksoft.metrics import multicalibration_error
from sksoft.metrics.multicalibration import MulticalibrationResult


def binary(seed=0, n_rows=800):
    rng = np.random.default_rng(seed)
    p = rng.random(n_rows).round(2)
    return (rng.random(n_rows) < p).astype(int), p, rng.choice(["x", "y", "z"], n_rows)


def brute_curve(y, p, w):
    """Range of partial sums, one step for tied scores, over the weight; and its deviation under calibration."""
    sums = [0.0]
    for score in np.unique(p):
        sums.append(sums[-1] + (w * (p - y))[p == score].sum())
    return (max(sums) - min(sums)) / w.sum(), np.sqrt((w**2 * p * (1 - p)).sum()) / w.sum()


@pytest.mark.parametrize("weighted", [False, True])
def test_cumulative_by_brute_force(weighted):
    y, p, group = binary()
    w = np.random.default_rng(1).random(len(y)) if weighted else np.ones(len(y))
    found = multicalibration_error(y, p, group, sample_weight=w if weighted else None, n_resamples=0)
    for _, row in found.table.iterrows():
        inside = np.ones(len(y), bool) if row["level"] == "overall" else group == row["group"]
        error, deviation = brute_curve(y[inside], p[inside], w[inside])
        assert row["error"] == pytest.approx(error, rel=1e-10)
        assert row["deviation"] == pytest.approx(deviation, rel=1e-10)
        assert row["statistic"] == pytest.approx(error / deviation, rel=1e-10)
    assert found.statistic == found.table["statistic"].max()
    assert found.group == found.table.loc[found.table["statistic"].idxmax(), "group"]
    assert np.isnan(found.p_value)


def test_bins_by_brute_force():
    y, p, group = binary()
    found = multicalibration_error(y, p, group, method="bins", n_bins=4, n_resamples=0, min_group_size=2)
    assert len(found.table) == 4 * 4
    for _, row in found.table.iterrows():
        inside = np.ones(len(y), bool) if row["level"] == "overall" else group == row["group"]
        inside &= (p > row["bin_low"]) & (p <= row["bin_high"]) | ((p == 0) & (row["bin_low"] == 0))
        assert row["error"] == pytest.approx(abs((p - y)[inside].sum()) / len(y), rel=1e-10)
        assert row["deviation"] == pytest.approx(np.sqrt((p * (1 - p))[inside].sum()) / len(y), rel=1e-10)


def test_classwise_is_every_class_against_the_rest():
    rng = np.random.default_rng(3)
    proba, group = rng.dirichlet(np.ones(3), 500), rng.choice(["x", "y"], 500)
    y = np.array(["$", "_b", "c"])[rng.integers(0, 3, 500)]
    found = multicalibration_error(y, proba, group, mode="classwise", n_resamples=0)
    assert len(found.table) == 9
    for k, label in enumerate(["$", "_b", "c"]):
        alone = multicalibration_error(y == label, proba[:, k], group, n_resamples=0).table
        same = found.table[found.table["class"] == label].drop(columns="class").reset_index(drop=True)
        pd.testing.assert_frame_equal(same, alone, rtol=1e-10)


def test_draws_of_classes_are_joint_and_have_the_predicted_probabilities():
    from sksoft.metrics.multicalibration import _Rows

    proba = np.tile([[0.2, 0.0, 0.8]], (4000, 1))
    rows = _Rows(["a", "b", "c"], proba.T, proba.T > 1, np.ones(4000))
    (hits,) = rows.drawn_hits(seed=1, n_resamples=1)
    assert (hits.sum(axis=0) == 1).all()
    assert hits[1].sum() == 0
    assert abs(hits[0].mean() - 0.2) < 4 * np.sqrt(0.16 / 4000)


@pytest.mark.parametrize("options", [{}, {"method": "bins", "n_bins": 4, "min_group_size": 10}])
def test_size_and_power(options):
    """99.9 % of a binomial around the level where predictions are calibrated; and a group that is not is found."""
    n_times, rejected, found = 120, 0, 0
    for seed in range(n_times):
        y, p, group = binary(seed, 400)
        rejected += multicalibration_error(y, p, group, n_resamples=59, random_state=seed, **options).p_value <= 0.05
        wrong = np.where(group == "z", p**2, p)
        result = multicalibration_error(y, wrong, group, n_resamples=59, random_state=seed, **options)
        found += result.p_value <= 0.05
    assert rejected / n_times <= 0.05 + norm.ppf(0.999) * np.sqrt(0.05 * 0.95 / n_times)
    assert found / n_times > 0.8


def test_size_for_several_classes():
    rng, rejected = np.random.default_rng(0), 0
    for seed in range(100):
        proba, group = rng.dirichlet(np.ones(4), 300), rng.choice(["x", "y"], 300)
        y = (proba.cumsum(axis=1) < rng.random((300, 1))).sum(axis=1).clip(max=3)
        options = {"labels": range(4), "mode": "classwise", "n_resamples": 39, "random_state": seed}
        rejected += multicalibration_error(y, proba, group, **options).p_value <= 0.05
    assert rejected / 100 <= 0.05 + norm.ppf(0.999) * np.sqrt(0.05 * 0.95 / 100)


def test_opposite_errors_of_two_groups_cancel_overall_and_are_found():
    rng = np.random.default_rng(2)
    p, sex = rng.random(4000), rng.choice(["f", "m"], 4000)
    y = rng.random(4000) < np.clip(np.where(sex == "f", p + 0.1, p - 0.1), 0, 1)
    found = multicalibration_error(y, p, sex, n_resamples=199, random_state=0)
    table = found.table.set_index("group")
    assert table.loc["overall", "statistic"] < 0.5 * table.loc[["f", "m"], "statistic"].min()
    assert found.p_value == 1 / 200
    assert (table.loc[["f", "m"], "p_value_adjusted"] == 1 / 200).all()


@pytest.mark.parametrize("method", ["cumulative", "bins"])
def test_weights_are_repetitions(method):
    y, p, group = binary()
    w = np.random.default_rng(1).integers(0, 3, len(y))
    options = {"method": method, "n_resamples": 19, "random_state": 0}
    weighted = multicalibration_error(y, p, group, sample_weight=w, weight_type="frequency", **options)
    repeated = multicalibration_error(*(np.repeat(values, w) for values in (y, p, group)), **options)
    pd.testing.assert_frame_equal(weighted.table, repeated.table, rtol=1e-9)


def test_certain_predictions():
    y, group = np.tile([0, 1], 100), np.repeat(["a", "b"], 100)
    right = multicalibration_error(y, y.astype(float), group, n_resamples=19, random_state=0)
    assert (right.statistic, right.p_value) == (0.0, 1.0)
    wrong = multicalibration_error(y, 1.0 - y, group, n_resamples=19, random_state=0)
    assert (wrong.statistic, wrong.p_value) == (np.inf, 1 / 20)
    assert (wrong.table["p_value_adjusted"] == 1 / 20).all()


def test_result_is_plain_and_small_groups_are_left_out():
    y, p, group = binary()
    group[:10] = "rare"
    result = multicalibration_error(y, p, group, n_resamples=9, random_state=0)
    assert isinstance(result, MulticalibrationResult)
    assert "rare" not in result.table["group"].tolist()
    assert "table" not in repr(result)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "boost"}, "'method' parameter must be one of"),
        ({"mode": "binary"}, "'mode' parameter must be one of"),
        ({"min_group_size": 10_000}, "No group has 10000 effective rows"),
        ({"n_resamples": -1}, "'n_resamples' parameter must be an int >= 0"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        multicalibration_error(*binary(), **options)
