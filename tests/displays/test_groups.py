"""GroupCalibrationDisplay draws the table of group_calibration, and greys what cannot be judged."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
from matplotlib import colors  # noqa: E402
from matplotlib import pyplot as plt  # noqa: E402

from sksoft.displays import GroupCalibrationDisplay  # noqa: E402
from sksoft.displays.groups import STYLES  # noqa: E402
from sksoft.metrics import group_calibration  # noqa: E402
from sksoft.metrics.groups import INSUFFICIENT, MISCALIBRATED, NOT_REJECTED  # noqa: E402

RNG = np.random.default_rng(0)
N = 1500
ODD = ["$x$", "_a", "שלום", "a name that is longer than forty characters, by far"]
GROUP = np.where(np.arange(N) < 20, ODD[3], RNG.choice(ODD[:3], N))
P = RNG.random(N)
Y = (RNG.random(N) < np.where(GROUP == "_a", P**3, P)).astype(int)
OPTIONS = {"n_resamples": 99, "random_state": 0}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_points_intervals_and_verdicts_are_the_table():
    display = GroupCalibrationDisplay.from_predictions(Y, P, GROUP, **OPTIONS)
    table = group_calibration(Y, P, GROUP, **OPTIONS)
    pd.testing.assert_frame_equal(display.table, table)
    assert set(display.points_) == {MISCALIBRATED, NOT_REJECTED, INSUFFICIENT}
    for verdict, line in display.points_.items():
        rows = (table["verdict"] == verdict).to_numpy()
        np.testing.assert_allclose(line.get_xdata(), table["ece_debiased"][rows])
        np.testing.assert_array_equal(line.get_ydata(), np.flatnonzero(rows))
    known = table[table["ece_low"].notna()]
    segments = np.array(display.intervals_.get_segments())
    np.testing.assert_allclose(segments[:, :, 0], known[["ece_low", "ece_high"]])
    np.testing.assert_array_equal(segments[:, 0, 1], known.index)
    assert display.overall_line_.get_xdata()[0] == table["ece_debiased"][0]
    display.figure_.canvas.draw()


def test_names_are_shown_as_they_are_and_small_groups_are_grey():
    _, ax = plt.subplots()
    display = GroupCalibrationDisplay.from_predictions(Y, P, GROUP, ax=ax, **OPTIONS)
    assert display.ax_ is ax
    display.figure_.canvas.draw()
    labels = ax.get_yticklabels()
    assert not any(label.get_parse_math() for label in labels)
    assert [text.get_text() for text in display.counts_] == [str(n) for n in display.table["n"]]
    for label, group in zip(labels, display.table["group"]):
        assert label.get_text() == (group if len(group) <= 40 else f"{group[:24]}…{group[-15:]}")
        if group == ODD[3]:
            assert colors.same_color(label.get_color(), STYLES[INSUFFICIENT][0])
    low, high = ax.get_ylim()
    assert low > high  # the first group is on top


def test_features_are_named_where_there_are_several():
    features = pd.DataFrame({"sex": RNG.choice(["f", "m"], N), "site": RNG.choice(["1", "2"], N)})
    display = GroupCalibrationDisplay.from_predictions(Y, P, features, n_resamples=0)
    texts = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert texts[:5] == ["overall", "sex = f", "sex = m", "site = 1", "site = 2"]
    assert texts[5] == "f × 1"
    assert len(display.intervals_.get_segments()) == 0
    few = GroupCalibrationDisplay(display.table).plot(max_groups=2)
    assert len(few.ax_.get_yticklabels()) == 2


@pytest.mark.parametrize("kind", ["dict", "frame", "series", "array"])
def test_from_estimator_and_cv_results(kind):
    X, y = np.column_stack([P, RNG.random(N)]), np.where(Y == 1, "a", "b")
    features = {"dict": {"g": GROUP}, "frame": pd.DataFrame({"g": GROUP}), "series": pd.Series(GROUP, name="g")}
    features["array"] = GROUP
    model = LogisticRegression().fit(X, y)
    display = GroupCalibrationDisplay.from_estimator(model, X, y, features[kind], pos_label="a", n_resamples=0)
    expected = group_calibration(y, model.predict_proba(X)[:, 0], GROUP, pos_label="a", n_resamples=0)
    np.testing.assert_allclose(display.table["ece"], expected["ece"])
    results = cross_validate(LogisticRegression(), X, y, cv=3, return_estimator=True, return_indices=True)
    proba, weights = np.empty(N), RNG.integers(1, 3, N)
    for fitted, test in zip(results["estimator"], results["indices"]["test"]):
        proba[test] = fitted.predict_proba(X[test])[:, 1]
    pooled = GroupCalibrationDisplay.from_cv_results(
        results, X, y, features[kind], sample_weight=weights, n_resamples=0
    )
    expected = group_calibration(y, proba, GROUP, pos_label="b", sample_weight=weights, n_resamples=0)
    np.testing.assert_allclose(pooled.table["ece"], expected["ece"])
    assert pooled.table["group"].tolist() == expected["group"].tolist()
    with pytest.raises(ValueError, match="pos_label='c' is not a valid label"):
        GroupCalibrationDisplay.from_estimator(model, X, y, GROUP, pos_label="c")


def test_several_classes_are_judged_by_their_top_label():
    proba = RNG.dirichlet(np.ones(3), N)
    y = np.array(["a", "b", "c"])[RNG.integers(0, 3, N)]
    model = LogisticRegression().fit(proba, y)
    display = GroupCalibrationDisplay.from_estimator(model, proba, y, GROUP, n_resamples=0)
    expected = group_calibration(y, model.predict_proba(proba), GROUP, n_resamples=0)
    np.testing.assert_allclose(display.table["ece"], expected["ece"])
