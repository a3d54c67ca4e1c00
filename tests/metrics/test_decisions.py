"""Rates by group: published figures, brute force, and tests against SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency

from sksoft.metrics import decision_gaps, decision_rates, equalized_odds
from sksoft.metrics.decisions import homogeneity_p_value


def rates_of(y_true, y_proba, features, thresholds=(0.5,), weights=None, **options):
    return decision_rates(y_true, y_proba, features, thresholds=thresholds, sample_weight=weights, **options)


def test_compas_rates_as_published(shared_data):
    """ProPublica 2016: high risk = Medium or High, decile 5 and above."""
    table = pd.read_csv(shared_data / "fairness" / "compas_two_years.csv.gz", low_memory=False)
    assert ((table["decile_score"] >= 5) == table["score_text"].isin(["Medium", "High"])).all()
    rates = rates_of(table["two_year_recid"], table["decile_score"] / 10, {"race": table["race"]}).set_index("group")
    black, white = rates.loc["African-American"], rates.loc["Caucasian"]
    assert (black["n"], white["n"]) == (3696, 2454)
    found = [black["false_positive_rate"], white["false_positive_rate"]]
    found += [black["false_negative_rate"], white["false_negative_rate"]]
    np.testing.assert_allclose(found, [0.448468, 0.234543, 0.279853, 0.477226], atol=5e-7)


def test_binary_rates_by_brute_force():
    rng = np.random.default_rng(0)
    n = 500
    y, p, w = rng.integers(0, 2, n), rng.uniform(size=n).round(1), rng.uniform(size=n)
    sex, site = rng.choice(["F", "M"], n), rng.choice(["a", "b", "c"], n)
    rates = rates_of(y, p, {"sex": sex, "site": site}, (0.3, 0.7), w)
    assert len(rates) == 2 * (1 + 2 + 3 + 6)
    row = rates[(rates["decision"] == "P(1) ≥ 0.7") & (rates["group"] == "F × b")].iloc[0]
    inside = (sex == "F") & (site == "b")
    selected, positive, weight = p[inside] >= 0.7, y[inside] == 1, w[inside]
    assert row["n"] == inside.sum()
    assert row["effective_n"] == pytest.approx(weight.sum() ** 2 / (weight**2).sum())
    expected = {
        "base_rate": np.average(positive, weights=weight),
        "selection_rate": np.average(selected, weights=weight),
        "true_positive_rate": np.average(selected[positive], weights=weight[positive]),
        "false_positive_rate": np.average(selected[~positive], weights=weight[~positive]),
        "precision": np.average(positive[selected], weights=weight[selected]),
    }
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=1e-12)


def test_threshold_itself_is_selected():
    rates = rates_of([0, 1, 0, 1], [0.5, 0.5, 0.4, 0.6], np.zeros(4))
    assert rates["selection_rate"][0] == 0.75


def test_weights_are_repetitions_and_zero_is_removal():
    rng = np.random.default_rng(1)
    y, p, g, w = rng.integers(0, 2, 200), rng.uniform(size=200), rng.choice(["F", "M"], 200), rng.integers(0, 3, 200)
    names = ["selection_rate", "true_positive_rate", "false_positive_rate", "precision", "base_rate"]
    weighted = rates_of(y, p, g, weights=w)[names]
    repeated = rates_of(*(np.repeat(values, w) for values in (y, p, g)))[names]
    np.testing.assert_allclose(weighted, repeated, rtol=1e-12)


def test_multiclass_decides_by_the_largest_probability():
    proba = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.4, 0.35, 0.25]])
    rates = rates_of(["a", "b", "c", "b"], proba, np.zeros(4)).drop_duplicates("decision").set_index("decision")
    assert rates.loc["predicts a", "selection_rate"] == 0.5
    assert rates.loc["predicts b", "true_positive_rate"] == 0.5
    assert rates.loc["predicts a", "false_positive_rate"] == pytest.approx(1 / 3)
    assert rates.loc["predicts c", "precision"] == 1.0


def test_gap_of_two_groups():
    y = np.array([1] * 200 + [1] * 100 + [0] * 2)
    p = np.array([0.9] * 112 + [0.1] * 88 + [0.9] * 72 + [0.1] * 28 + [0.1] * 2)
    group = np.array(["A"] * 200 + ["B"] * 100 + ["A", "B"])
    rates = rates_of(y[:300], p[:300], group[:300], labels=[0, 1])
    gap = decision_gaps(rates, min_group_size=50, confidence_level=0.95).set_index("rate").loc["true_positive_rate"]
    assert (gap["lowest_group"], gap["highest_group"]) == ("A", "B")
    assert gap["difference"] == pytest.approx(0.16)
    # Newcombe's method 10 by hand from the two Wilson intervals
    low = (0.490716, 0.627022), (0.625119, 0.798603)
    assert gap["difference_low"] == pytest.approx(0.16 - np.hypot(0.72 - low[1][0], low[0][1] - 0.56), abs=2e-5)
    assert gap["difference_high"] == pytest.approx(0.16 + np.hypot(low[1][1] - 0.72, 0.56 - low[0][0]), abs=2e-5)
    assert gap["ratio"] == pytest.approx(0.56 / 0.72)
    half = 1.959964 * np.sqrt(0.44 / 112 + 0.28 / 72)
    assert gap["ratio_high"] == pytest.approx(0.56 / 0.72 * np.exp(half), rel=1e-6)
    expected = chi2_contingency([[112, 88], [72, 28]], correction=False).pvalue
    assert gap["p_value"] == pytest.approx(expected, rel=1e-9)


def test_ratio_to_a_rate_of_zero_has_an_upper_end():
    group, p = np.repeat(["A", "B"], 100), np.r_[np.full(100, 0.1), np.repeat([0.9, 0.1], 50)]
    gaps = decision_gaps(rates_of(np.arange(200) % 2, p, group), min_group_size=50, confidence_level=0.95)
    gap = gaps.set_index("rate").loc["selection_rate"]
    assert (gap["ratio"], gap["ratio_low"]) == (0.0, 0.0)
    spread = np.sqrt(1 / 0.5 - 1 / 100.5 + 1 / 50.5 - 1 / 100.5)
    assert gap["ratio_high"] == pytest.approx(0.5 / 50.5 * np.exp(1.959964 * spread), rel=1e-6)


def test_homogeneity_is_pearsons_test():
    counts, sizes = np.array([10, 30, 22]), np.array([50, 80, 61])
    expected = chi2_contingency([counts, sizes - counts], correction=False).pvalue
    assert homogeneity_p_value(counts / sizes, sizes) == pytest.approx(expected, rel=1e-9)
    assert homogeneity_p_value(np.zeros(2), np.array([5, 5])) == 1.0


def test_small_groups_do_not_take_part():
    group = np.array(["A"] * 100 + ["B"] * 100 + ["C"] * 5)
    rates = rates_of(np.arange(205) % 2, np.linspace(0, 1, 205), group)
    gaps = decision_gaps(rates, min_group_size=60, confidence_level=0.95).set_index("rate")
    assert gaps.loc["selection_rate", ["groups", "left_out"]].tolist() == [2, 1]
    assert gaps.loc["true_positive_rate", "groups"] == 0
    assert np.isnan(gaps.loc["true_positive_rate", "difference"])


def test_nobody_selected():
    rates = rates_of(np.arange(200) % 2, np.full(200, 0.2), np.array(["A", "B"] * 100).repeat(1))
    gaps = decision_gaps(rates, min_group_size=50, confidence_level=0.95).set_index("rate")
    assert np.isnan(gaps.loc["selection_rate", "ratio"])
    assert gaps.loc["selection_rate", "p_value"] == 1.0


def test_frequency_weights_are_rows_in_intervals_and_tests():
    rng = np.random.default_rng(4)
    y, p, g, w = rng.integers(0, 2, 300), rng.uniform(size=300), rng.choice(["F", "M"], 300), rng.integers(0, 4, 300)
    weighted = rates_of(y, p, g, weights=w, weight_type="frequency")
    repeated = rates_of(*(np.repeat(values, w) for values in (y, p, g)))
    pd.testing.assert_frame_equal(weighted, repeated, rtol=1e-12)
    pd.testing.assert_frame_equal(decision_gaps(weighted), decision_gaps(repeated), rtol=1e-9)


def test_equalized_odds_is_the_worse_of_the_two_gaps():
    rng = np.random.default_rng(5)
    y, p, features = rng.integers(0, 2, 600), rng.uniform(size=600), {"sex": rng.choice(["F", "M"], 600)}
    features["site"] = rng.choice(["a", "b", "c"], 600)
    rates = rates_of(y, np.where(features["sex"] == "F", p, p**2), features, (0.3, 0.6))
    odds, gaps = equalized_odds(rates, min_group_size=20), decision_gaps(rates, min_group_size=20)
    assert len(odds) == 6
    for _, row in odds.iterrows():
        same = (gaps["decision"] == row["decision"]) & (gaps["feature"] == row["feature"])
        pair = gaps[same].set_index("rate").loc[["true_positive_rate", "false_positive_rate"]]
        assert row["difference"] == pair["difference"].max()
        assert row["ratio"] == pair["ratio"].min()
        assert row["p_value"] == min(1, 2 * pair["p_value"].min())
        assert row["difference"] == pair.loc[row["worse_rate"], "difference"]
        assert row["difference_low"] <= row["difference"] <= row["difference_high"]


def test_equalized_odds_of_groups_that_cannot_be_judged():
    rates = rates_of([0, 1] * 50, [0.2, 0.8] * 50, ["a"] * 100)
    assert equalized_odds(rates)["difference"].isna().all()
    empty = equalized_odds(rates[rates["level"] == "overall"])
    assert empty.empty
    assert "p_value_holm" in empty


@pytest.mark.parametrize("thresholds", [1.5, [0.5, 0.5], [], [True], ["a"], float("nan")])
def test_bad_thresholds_are_named(thresholds):
    with pytest.raises(ValueError, match="'thresholds' parameter must hold"):
        decision_rates([0, 1], [0.2, 0.7], ["a", "b"], thresholds=thresholds)


def test_the_identity_of_error_rates_on_compas(shared_data):
    """Chouldechova 2017, eq. 2.6, and the numbers docs/fairness.md prints."""
    table = pd.read_csv(shared_data / "fairness" / "compas_two_years.csv.gz", low_memory=False)
    rates = decision_rates(table["two_year_recid"], table["decile_score"] / 10, table["race"]).set_index("group")
    p, ppv, fnr = (rates[name] for name in ("base_rate", "precision", "false_negative_rate"))
    odds, misses = p / (1 - p), (1 - ppv) / ppv
    np.testing.assert_allclose(odds * misses * (1 - fnr), rates["false_positive_rate"], rtol=1e-12)
    black, white = "African-American", "Caucasian"
    np.testing.assert_allclose(odds[[black, white]], [1.0591, 0.6492], atol=5e-5)
    np.testing.assert_allclose(misses[[black, white]], [0.5880, 0.6911], atol=5e-5)
    assert odds[black] * misses[white] * (1 - fnr[white]) == pytest.approx(0.383, abs=5e-4)
    two = table[table["race"].isin([black, white])]
    odds_gap = equalized_odds(decision_rates(two["two_year_recid"], two["decile_score"] / 10, two["race"])).iloc[0]
    found = odds_gap[["difference", "difference_low", "difference_high"]].astype(float)
    np.testing.assert_allclose(found, [0.214, 0.182, 0.245], atol=5e-4)


@pytest.mark.parametrize("compare", [decision_gaps, equalized_odds])
def test_only_a_table_of_rates_is_compared(compare):
    for rates in (None, 3, pd.DataFrame({"level": ["group"]})):
        with pytest.raises(ValueError, match="'rates' parameter must be a table of decision_rates"):
            compare(rates)
    table = decision_rates([0, 1] * 60, [0.2, 0.9, 0.6, 0.7] * 30, ["a", "a", "b", "b"] * 30)
    with pytest.raises(ValueError, match="'confidence_level'"):
        compare(table, confidence_level=95)
