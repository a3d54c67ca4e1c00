"""LearningCurveDisplay draws the histories of loops."""

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
from matplotlib import pyplot as plt  # noqa: E402
from sklearn.datasets import load_iris  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402

from sksoft import ActiveLearningLoop, UncertaintySampler  # noqa: E402
from sksoft.displays import LearningCurveDisplay  # noqa: E402

X, Y = load_iris(return_X_y=True)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def loop(seed, n_queries=3, test=True, **options):
    known = {"X_test": X, "y_test": Y} if test else {}
    sampler = UncertaintySampler(LogisticRegression(max_iter=1000), random_state=0)
    return ActiveLearningLoop(sampler, X, lambda rows: Y[rows], random_state=seed, **known, **options).run(n_queries)


def test_mean_band_and_area():
    loops = [loop(seed) for seed in range(3)]
    _, ax = plt.subplots()
    display = LearningCurveDisplay.from_loops({"_margin": loops, "one": loops[0]}, ax=ax)
    assert display.ax_ is ax
    scores = np.array([one.history_["score"] for one in loops])
    np.testing.assert_allclose(display.lines_["_margin"].get_xdata(), [10, 20, 30, 40])
    np.testing.assert_allclose(display.lines_["_margin"].get_ydata(), scores.mean(axis=0))
    error = scores.std(axis=0, ddof=1) / np.sqrt(3)
    drawn = display.bands_["_margin"].get_paths()[0].vertices[:, 1]
    assert drawn.max() == pytest.approx((scores.mean(axis=0) + error).max())
    assert list(display.bands_) == ["_margin"]
    texts = [text.get_text().strip() for text in ax.get_legend().get_texts()]
    assert texts[1] == f"one (area {loops[0].area_under_curve():.3f})"
    assert texts[0].startswith("_margin (area")
    display.figure_.canvas.draw()


def test_a_loop_alone_and_over_its_cost():
    one = loop(0, cost=np.full(150, 2.5))
    display = LearningCurveDisplay.from_loops(one, x="cost", y_label="Accuracy")
    np.testing.assert_allclose(display.lines_[""].get_xdata(), [25, 50, 75, 100])
    assert display.ax_.get_xlabel() == "Cost"
    assert display.ax_.get_ylabel() == "Accuracy"
    one = loop(0, cost=np.arange(1.0, 151.0))  # the area is that under the curve that is drawn
    display = LearningCurveDisplay.from_loops(one, x="cost")
    x, y = display.lines_[""].get_data()
    area = np.trapezoid(y, x) / (x[-1] - x[0])
    assert display.ax_.get_legend().get_texts()[0].get_text() == f"(area {area:.3f})"
    assert f"{area:.3f}" != f"{one.area_under_curve():.3f}"


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match="same numbers of labels"):
        LearningCurveDisplay.from_loops([loop(0), loop(1, n_queries=1)])
    with pytest.raises(ValueError, match="have no scores"):
        LearningCurveDisplay.from_loops(loop(0, test=False))
    with pytest.raises(ValueError, match="at least one loop"):
        LearningCurveDisplay.from_loops({})
    with pytest.raises(ValueError, match="'x' parameter"):
        LearningCurveDisplay.from_loops(loop(0), x="seconds")
