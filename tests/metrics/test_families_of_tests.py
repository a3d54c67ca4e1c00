"""Tables of calibration tests: every cell is a calibration_test, adjustment covers the table, nothing is silent."""

import numpy as np
import pandas as pd
import pytest

from sksoft.metrics import calibration_test, calibration_tests
from sksoft.metrics.multiplicity import benjamini_hochberg, holm


def data(n=900, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(3), n)
    y = np.array(["a", "b", "c"])[(p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=2)]
    return y, p, pd.DataFrame({"sex": rng.choice(["f", "m"], n), "age": rng.choice([20, 50, 80], n)})


@pytest.mark.parametrize("method", ["spiegelhalter", "cox", "cumulative"])
def test_cells_are_tests_of_the_rows_of_the_group(method):
    y, p, features = data()
    table = calibration_tests(y, p, sensitive_features=features, method=method, by_class=True)
    assert len(table) == (1 + 2 + 3 + 6) * 4
    for _, row in table.iterrows():
        rows = np.ones(len(y), dtype=bool)
        if row["level"] != "overall":
            for name, value in zip(row["feature"].split(" × "), row["group"].split(" × ")):
                rows &= (features[name].astype(str) == value).to_numpy()
        if row["class"] is None:
            found = calibration_test(y[rows], p[rows], method=method, labels=list("abc"))
        else:
            k = "abc".index(row["class"])
            found = calibration_test((y[rows] == row["class"]).astype(int), p[rows, k], method=method)
        assert (row["statistic"], row["pvalue"]) == pytest.approx(found, rel=1e-12)
        assert row["n"] == row["effective_n"] == rows.sum()
        assert row["note"] == ""


def test_adjustments():
    y, p, features = data()
    options = {"sensitive_features": features, "method": "spiegelhalter"}
    for adjust, by_hand in (("holm", holm), ("bh", benjamini_hochberg), ("none", np.asarray)):
        table = calibration_tests(y, p, adjust=adjust, **options)
        np.testing.assert_allclose(table["pvalue_adjusted"], by_hand(table["pvalue"]))
    with pytest.raises(ValueError, match="'adjust' parameter must be one of"):
        calibration_tests(y, p, adjust="sidak", **options)


def test_finds_the_class_that_is_off():
    y, p, _ = data(3000)
    off = p.copy()
    off[:, 2] *= 1.5
    off /= off.sum(axis=1, keepdims=True)
    table = calibration_tests(y, off, by_class=True, n_resamples=199, random_state=0).set_index("class")
    assert table.loc["c", "pvalue_adjusted"] <= 0.02


def test_small_groups_and_undefined_tests_are_named():
    y, p, _ = data(300)
    group = np.where(np.arange(300) < 20, "few", "many")
    table = calibration_tests(y, p, sensitive_features=group, n_resamples=19, random_state=0).set_index("group")
    assert np.isnan(table.loc["few", "pvalue"])
    assert table.loc["few", "note"] == "fewer than 50 effective rows"
    assert table.loc["many", "pvalue_adjusted"] <= 1
    constant = np.where(np.arange(300)[:, None] < 100, 1 / 3, p)
    group = np.where(np.arange(300) < 100, "constant", "other")
    table = calibration_tests(y, constant, sensitive_features=group, method="cox").set_index("group")
    assert "same y_proba in all rows" in table.loc["constant", "note"]
    assert np.isnan(table.loc["constant", "pvalue_adjusted"])
    single = np.where(y == "a", "one class", "others")
    table = calibration_tests(y, p, sensitive_features=single, method="cox").set_index("group")
    assert "at least two classes" in table.loc["one class", "note"]
    assert "intercept -inf: 'a'" in table.loc["others", "note"]
    assert table.loc["others", "pvalue"] < 1e-6


def test_weights_binary_and_seed():
    rng = np.random.default_rng(0)
    p, group, w = rng.random(400), rng.choice(["x", "y"], 400), rng.integers(0, 3, 400)
    y = (rng.random(400) < p).astype(int)
    options = {"n_resamples": 99, "random_state": 3}
    weighted = calibration_tests(y, p, sensitive_features=group, sample_weight=w, weight_type="frequency", **options)
    repeated = calibration_tests(np.repeat(y, w), np.repeat(p, w), sensitive_features=np.repeat(group, w), **options)
    pd.testing.assert_frame_equal(weighted, repeated, rtol=1e-9)
    sampled = calibration_tests(y, p, sensitive_features=group, sample_weight=w, by_class=True, **options)
    assert sampled["effective_n"].iloc[0] == pytest.approx(w.sum() ** 2 / (w @ w))
    assert len(sampled) == 3
    with pytest.raises(ValueError, match="'min_group_size'"):
        calibration_tests(y, p, min_group_size=1)
