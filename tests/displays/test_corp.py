"""CORPDisplay draws the blocks and the band of corp_curve."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
from matplotlib import pyplot as plt  # noqa: E402

from sksoft.displays import CORPDisplay  # noqa: E402
from sksoft.metrics import corp_curve  # noqa: E402

RNG = np.random.default_rng(0)
P = RNG.random(200)
Y = np.where(RNG.random(200) < P, "$yes$", "_no")
X = np.column_stack([P, RNG.random(200)])
OPTIONS = {"n_resamples": 19, "random_state": 0}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def assert_drawn(display, curve):
    ends = curve.blocks[["score_low", "score_high"]].to_numpy().ravel()
    np.testing.assert_allclose(display.line_.get_xdata(), ends)
    np.testing.assert_allclose(display.line_.get_ydata(), np.repeat(curve.blocks["observed_rate"], 2))
    band = display.band_.get_paths()[0].vertices
    np.testing.assert_allclose(
        [band[:, 1].min(), band[:, 1].max()], [curve.band["low"].min(), curve.band["high"].max()]
    )
    assert f"MCB {curve.decomposition.miscalibration:.4f}" in display.text_.get_text()
    display.figure_.canvas.draw()


def test_line_band_and_text_are_the_curve():
    _, ax = plt.subplots()
    display = CORPDisplay.from_predictions(Y, P, pos_label="$yes$", name="_a $model$", ax=ax, **OPTIONS)
    assert display.ax_ is ax
    assert_drawn(display, corp_curve(Y, P, pos_label="$yes$", **OPTIONS))
    texts = display.ax_.get_legend().get_texts()
    assert [text.get_text().strip() for text in texts] == ["_a $model$", "90 % of curves if calibrated"]
    assert not any(text.get_parse_math() for text in texts)
    assert display.ax_.get_xlabel() == "Predicted probability of class $yes$"


def test_from_estimator_and_cv_results():
    model = LogisticRegression().fit(X, Y)
    expected = corp_curve(Y == "_no", model.predict_proba(X)[:, 1], **OPTIONS)
    display = CORPDisplay.from_estimator(model, X, Y, **OPTIONS)
    assert_drawn(display, expected)
    assert display.name == "LogisticRegression"
    results = cross_validate(LogisticRegression(), X, Y, cv=3, return_estimator=True, return_indices=True)
    proba, weights = np.empty(200), RNG.integers(1, 3, 200)
    for fitted, test in zip(results["estimator"], results["indices"]["test"]):
        proba[test] = fitted.predict_proba(X[test])[:, 1]
    pooled = CORPDisplay.from_cv_results(results, X, Y, sample_weight=weights, n_resamples=0)
    expected = corp_curve(Y == "_no", proba, sample_weight=weights, n_resamples=0)
    np.testing.assert_allclose(pooled.curve.blocks, expected.blocks)


def test_parts_can_be_left_out():
    display = CORPDisplay.from_predictions(P > 0.5, P, ref_line=False, band=False, decomposition=False, **OPTIONS)
    assert display.band_ is display.reference_line_ is display.text_ is None
    several = CORPDisplay.from_predictions(["a", "b", "c"], np.eye(3), n_resamples=0)
    assert several.ax_.get_xlabel() == "Confidence of the predicted class"
    assert several.band_ is None
