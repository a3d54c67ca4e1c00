"""ConfidenceHistogramDisplay draws shares, accuracy and mean confidence."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
from matplotlib import pyplot as plt  # noqa: E402

from sksoft.displays import ConfidenceHistogramDisplay  # noqa: E402
from sksoft.metrics import reliability_curve  # noqa: E402

RNG = np.random.default_rng(0)
PROBA = RNG.dirichlet(np.ones(3), 300)
LABELS = np.array(["$x$", "_a", "c"])
Y = LABELS[RNG.integers(0, 3, 300)]
WEIGHTS = RNG.integers(0, 3, 300)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def assert_drawn(display, y, proba, weights=None):
    hits, confidence = LABELS[proba.argmax(axis=1)] == y, proba.max(axis=1)
    assert display.accuracy_line_.get_xdata()[0] == pytest.approx(np.average(hits, weights=weights))
    assert display.confidence_line_.get_xdata()[0] == pytest.approx(np.average(confidence, weights=weights))
    heights = [bar.get_height() for bar in display.bars_]
    shares = np.histogram(-confidence, -np.linspace(1, 0, len(heights) + 1), weights=weights)[0][::-1]
    np.testing.assert_allclose(heights, shares / shares.sum())
    display.figure_.canvas.draw()


def test_bars_and_lines():
    _, ax = plt.subplots()
    display = ConfidenceHistogramDisplay.from_predictions(
        Y, PROBA, labels=LABELS, sample_weight=WEIGHTS, n_bins=10, name="_$model", ax=ax
    )
    assert_drawn(display, Y, PROBA, WEIGHTS)
    assert display.ax_ is ax
    assert ax.get_title() == "_$model"
    assert not ax.title.get_parse_math()


def test_from_estimator_and_cv_results():
    model = LogisticRegression().fit(PROBA, Y)
    display = ConfidenceHistogramDisplay.from_estimator(model, PROBA, Y)
    assert_drawn(display, Y, model.predict_proba(PROBA))
    assert display.name == "LogisticRegression"
    results = cross_validate(model, PROBA, Y, cv=3, return_estimator=True, return_indices=True)
    proba = np.empty((300, 3))
    for fitted, test in zip(results["estimator"], results["indices"]["test"]):
        proba[test] = fitted.predict_proba(PROBA[test])
    pooled = ConfidenceHistogramDisplay.from_cv_results(results, PROBA, Y, sample_weight=WEIGHTS, name="n")
    assert_drawn(pooled, Y, proba, WEIGHTS)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="must hold one curve"):
        ConfidenceHistogramDisplay(reliability_curve(Y, PROBA, mode="classwise"))
    with pytest.raises(TypeError, match="predict_proba"):
        ConfidenceHistogramDisplay.from_estimator(object(), PROBA, Y)
