"""TemperaturePathDisplay draws the table of temperature_path."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
from matplotlib import pyplot as plt  # noqa: E402

from sksoft.displays import TemperaturePathDisplay  # noqa: E402
from sksoft.metrics import temperature_path  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
Y = np.array(["$", "_b", "c"])[(X + RNG.normal(size=X.shape)).argmax(axis=1)]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def assert_drawn(display, path):
    table = path.table
    np.testing.assert_allclose(display.loss_line_.get_xydata(), table[["temperature", "negative_log_likelihood"]])
    np.testing.assert_allclose(display.error_line_.get_xydata(), table[["temperature", "ece"]])
    assert display.best_line_.get_xdata()[0] == pytest.approx(path.temperature)
    display.figure_.canvas.draw()


def test_lines_are_the_path():
    _, ax = plt.subplots()
    display = TemperaturePathDisplay.from_predictions(Y, 3 * X, ax=ax)
    assert_drawn(display, temperature_path(Y, 3 * X))
    assert display.ax_ is ax
    assert ax.get_xscale() == "log"
    assert len(display.error_ax_.get_legend().get_texts()) == 3


def test_from_estimator_and_cv_results():
    model = LogisticRegression().fit(X, Y)
    options = {"input": "proba", "temperatures": [0.5, 1, 2]}
    display = TemperaturePathDisplay.from_estimator(model, X, Y, temperatures=[0.5, 1, 2])
    assert_drawn(display, temperature_path(Y, model.predict_proba(X), **options))
    results = cross_validate(model, X, Y, cv=3, return_estimator=True, return_indices=True)
    proba, weights = np.empty((200, 3)), RNG.integers(1, 3, 200)
    for fitted, test in zip(results["estimator"], results["indices"]["test"]):
        proba[test] = fitted.predict_proba(X[test])
    pooled = TemperaturePathDisplay.from_cv_results(results, X, Y, sample_weight=weights, temperatures=[0.5, 1, 2])
    assert_drawn(pooled, temperature_path(Y, proba, sample_weight=weights, **options))


def test_no_best_temperature_no_line():
    display = TemperaturePathDisplay.from_predictions([0, 1], [[5.0, 0.0], [0.0, 5.0]])
    assert display.best_line_ is None
    assert len(display.error_ax_.get_legend().get_texts()) == 2
