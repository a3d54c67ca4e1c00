"""SimplexDisplay draws an arrow for each bin of canonical_curve."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
from matplotlib import pyplot as plt  # noqa: E402

from sksoft.displays import SimplexDisplay  # noqa: E402
from sksoft.metrics import canonical_curve  # noqa: E402

RNG = np.random.default_rng(0)
PROBA = RNG.dirichlet(np.ones(3), 900)
LABELS = np.array(["$x$", "_a", "c " * 40])
Y = LABELS[RNG.integers(0, 3, 900)]
HEIGHT = np.sqrt(0.75)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def assert_drawn(display, curve):
    """On the triangle, a vector p lies at (p_2 + p_3 / 2, p_3 √¾)."""
    a, b, c = (curve[curve["class"] == label].reset_index() for label in curve["class"].unique())
    start = np.column_stack([b["mean_proba"] + c["mean_proba"] / 2, HEIGHT * c["mean_proba"]])
    end = np.column_stack([b["observed_rate"] + c["observed_rate"] / 2, HEIGHT * c["observed_rate"]])
    np.testing.assert_allclose(display.arrows_.XY, start, atol=1e-12)
    np.testing.assert_allclose(np.column_stack([display.arrows_.U, display.arrows_.V]), end - start, atol=1e-12)
    np.testing.assert_allclose(display.points_.get_sizes(), 120 * a["weight"] / a["weight"].max())
    display.figure_.canvas.draw()


def test_arrows_are_the_bins():
    _, ax = plt.subplots()
    weights = RNG.integers(0, 3, 900)
    options = {"labels": LABELS, "sample_weight": weights, "min_weight": 40}
    display = SimplexDisplay.from_predictions(Y, PROBA, name="_$model", ax=ax, **options)
    assert_drawn(display, canonical_curve(Y, PROBA, **options))
    assert display.ax_ is ax
    assert [text.get_text() for text in display.corners_][:2] == ["$x$", "_a"]
    assert not any(text.get_parse_math() for text in [*display.corners_, ax.title])
    assert len(display.corners_[2].get_text()) == 40


def test_from_estimator_and_cv_results():
    model = LogisticRegression().fit(PROBA, Y)
    display = SimplexDisplay.from_estimator(model, PROBA, Y)
    assert_drawn(display, canonical_curve(Y, model.predict_proba(PROBA), labels=model.classes_))
    results = cross_validate(model, PROBA, Y, cv=3, return_estimator=True, return_indices=True)
    proba = np.empty((900, 3))
    for fitted, test in zip(results["estimator"], results["indices"]["test"]):
        proba[test] = fitted.predict_proba(PROBA[test])
    pooled = SimplexDisplay.from_cv_results(results, PROBA, Y, strategy="uniform", n_bins=3)
    assert_drawn(pooled, canonical_curve(Y, proba, labels=model.classes_, strategy="uniform", n_bins=3))


def test_other_numbers_of_classes_are_refused():
    with pytest.raises(ValueError, match=r"must be of three classes.*Got 2 classes"):
        SimplexDisplay.from_predictions([0, 1], [[0.2, 0.8], [0.6, 0.4]])
