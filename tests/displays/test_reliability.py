"""ReliabilityDisplay draws the numbers of the curve, in the axes given, and shows text as it is."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
from matplotlib import pyplot as plt  # noqa: E402

from sksoft.displays import ReliabilityDisplay  # noqa: E402
from sksoft.metrics import canonical_curve, reliability_curve  # noqa: E402

RNG = np.random.default_rng(0)
P = RNG.random(300)
Y = RNG.random(300) < P
PROBA = RNG.dirichlet(np.ones(3), 300)
LABELS = np.array(["a", "b", "c"])[RNG.integers(0, 3, 300)]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_line_bands_and_histogram_are_the_curve():
    display = ReliabilityDisplay.from_predictions(Y, P, n_bins=10)
    curve = reliability_curve(Y, P, n_bins=10)
    np.testing.assert_array_equal(display.line_.get_xydata(), curve[["mean_proba", "observed_rate"]])
    heights = [bar.get_height() for bar in display.histogram_]
    np.testing.assert_allclose(heights, curve["weight"] / 300)
    np.testing.assert_allclose([bar.get_x() for bar in display.histogram_], curve["bin_low"])
    band = display.bands_.get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(curve["rate_low"].min())
    assert band[:, 1].max() == pytest.approx(curve["rate_high"].max())
    assert display.figure_ is display.ax_.figure
    display.figure_.canvas.draw()


def test_empty_bins_are_not_drawn():
    display = ReliabilityDisplay.from_predictions([0, 1, 1], [0.05, 0.95, 0.9], n_bins=10)
    np.testing.assert_allclose(display.line_.get_xydata(), [[0.05, 0], [0.9, 1], [0.95, 1]])


def test_parts_can_be_left_out():
    display = ReliabilityDisplay.from_predictions(Y, P, bands=False, histogram=False, ref_line=False)
    assert display.bands_ is None
    assert display.histogram_ is None
    assert display.reference_line_ is None
    assert display.ax_.get_xlabel() == "Mean predicted probability"


def test_several_models_share_axes_and_one_diagonal():
    first = ReliabilityDisplay.from_predictions(Y, P, name="first", histogram=False)
    second = ReliabilityDisplay.from_predictions(Y, P**2, name="second", ax=first.ax_, histogram=False)
    assert second.ax_ is first.ax_
    assert len(first.ax_.get_lines()) == 3
    texts = [text.get_text() for text in second.ax_.get_legend().get_texts()]
    assert texts == ["Perfectly calibrated", "first", "second"]


@pytest.mark.parametrize("name", [r"$\frac{$", "$", "_hidden", "<script>", "a:b"])
def test_names_are_shown_as_they_are(name):
    labels = [name, "other"]
    y = np.where(Y, name, "other")
    display = ReliabilityDisplay.from_predictions(y, P, labels=labels[::-1], pos_label=name, name=name)
    display.figure_.canvas.draw()
    assert display.ax_.get_legend().get_texts()[-1].get_text().strip() == name
    assert name in display.histogram_ax_.get_xlabel()


def test_from_estimator_of_two_classes_shows_the_second():
    x = np.column_stack([P, RNG.random(300)])
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, np.where(Y, "yes", "no"))
    display = ReliabilityDisplay.from_estimator(model, x, np.where(Y, "yes", "no"))
    expected = reliability_curve(Y, model.predict_proba(x)[:, 1])
    np.testing.assert_allclose(display.curve["observed_rate"], expected["observed_rate"])
    assert display.name == "Pipeline"


def test_from_estimator_of_several_classes():
    model = LogisticRegression().fit(PROBA, LABELS)
    confidence = ReliabilityDisplay.from_estimator(model, PROBA, LABELS)
    assert confidence.ax_.get_ylabel() == "Accuracy"
    one = ReliabilityDisplay.from_estimator(model, PROBA, LABELS, pos_label="b", ax=plt.subplots()[1])
    expected = reliability_curve(LABELS == "b", model.predict_proba(PROBA)[:, 1])
    np.testing.assert_allclose(one.curve["observed_rate"], expected["observed_rate"])


def test_weights_reach_the_curve():
    weights = RNG.integers(0, 3, 300)
    weighted = ReliabilityDisplay.from_predictions(Y, P, sample_weight=weights)
    repeated = ReliabilityDisplay.from_predictions(np.repeat(Y, weights), np.repeat(P, weights))
    np.testing.assert_allclose(weighted.line_.get_xydata(), repeated.line_.get_xydata())


NAMES = ["$x$", "_a", "a name that is much longer than any panel is wide, and goes on", "שלום"]
ODD = np.array(NAMES)[RNG.integers(0, 4, 400)]
FOUR = RNG.dirichlet(np.ones(4), 400)


@pytest.mark.parametrize("mode", ["classwise", "top_label"])
def test_a_panel_for_each_class(mode):
    display = ReliabilityDisplay.from_predictions(ODD, FOUR, labels=NAMES, mode=mode, n_bins=5)
    curve = reliability_curve(ODD, FOUR, labels=NAMES, mode=mode, n_bins=5)
    assert len(display.panels_) == 4
    for label, panel in zip(NAMES, display.panels_):
        expected = curve[(curve["class"] == label) & (curve["weight"] > 0)]
        np.testing.assert_array_equal(panel.line_.get_xydata(), expected[["mean_proba", "observed_rate"]])
        title = panel.ax_.get_title()
        assert title == (label if len(label) <= 40 else f"{label[:24]}…{label[-15:]}")
        assert not panel.ax_.title.get_parse_math()
        assert panel.histogram_ is None
    assert display.ax_ is display.panels_[0].ax_
    display.figure_.canvas.draw()


def test_canonical_panels_show_the_bins_of_whole_vectors():
    display = ReliabilityDisplay.from_predictions(LABELS, PROBA, mode="canonical", min_weight=30)
    curve = canonical_curve(LABELS, PROBA, min_weight=30)
    for label, panel in zip("abc", display.panels_):
        expected = curve[curve["class"] == label]
        np.testing.assert_array_equal(panel.line_.get_xydata(), expected[["mean_proba", "observed_rate"]])
        assert panel.line_.get_linestyle() == "None"
        ends = np.array([segment[:, 1] for segment in panel.bands_.get_segments()])
        np.testing.assert_allclose(ends, expected[["rate_low", "rate_high"]])
    display.figure_.canvas.draw()


def test_panels_take_the_place_of_axes_and_are_limited():
    figure, (left, right) = plt.subplots(1, 2)
    display = ReliabilityDisplay.from_predictions(ODD, FOUR, labels=NAMES, mode="classwise", ax=left, max_panels=2)
    assert display.figure_ is figure
    assert len(display.panels_) == 2
    assert not left.axison
    assert right.axison
    assert display.ax_.get_position().x1 <= right.get_position().x0


@pytest.mark.parametrize("n_classes", [2, 3])
def test_cross_validated_predictions(n_classes):
    rows = np.isin(LABELS, ["a", "b", "c"][:n_classes])
    X, y, weights = PROBA[rows], LABELS[rows], RNG.integers(1, 3, rows.sum())
    results = cross_validate(LogisticRegression(), X, y, cv=4, return_estimator=True, return_indices=True)
    display = ReliabilityDisplay.from_cv_results(results, X, y, sample_weight=weights, n_bins=5)
    pooled = np.empty((len(y), n_classes))
    for model, test in zip(results["estimator"], results["indices"]["test"]):
        pooled[test] = model.predict_proba(X[test])
    mode = "binary" if n_classes == 2 else "confidence"
    expected = reliability_curve(y, pooled, mode=mode, n_bins=5, sample_weight=weights)
    np.testing.assert_allclose(display.curve["observed_rate"], expected["observed_rate"], equal_nan=True)
    np.testing.assert_allclose(display.curve["weight"], expected["weight"])
    assert len(display.fold_lines_) == 4
    first = results["indices"]["test"][0]
    fold = reliability_curve(
        y[first], pooled[first], mode=mode, n_bins=5, sample_weight=weights[first], labels=list("abc")[:n_classes]
    )
    fold = fold[fold["weight"] > 0]
    np.testing.assert_allclose(display.fold_lines_[0].get_xydata(), fold[["mean_proba", "observed_rate"]])
    assert display.name == "LogisticRegression"
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["Perfectly calibrated", "LogisticRegression"]
    panels = ReliabilityDisplay.from_cv_results(results, X, y, mode="classwise")
    assert len(panels.panels_) == n_classes


def test_cross_validated_predictions_that_cannot_be_used():
    without = cross_validate(LogisticRegression(), PROBA, LABELS, cv=2)
    with pytest.raises(ValueError, match=r"without \['estimator', 'indices'\]"):
        ReliabilityDisplay.from_cv_results(without, PROBA, LABELS)
    results = cross_validate(LogisticRegression(), PROBA, LABELS, cv=2, return_estimator=True, return_indices=True)
    with pytest.raises(ValueError, match="go beyond the 9 rows"):
        ReliabilityDisplay.from_cv_results(results, PROBA[:9], LABELS[:9])
    results["estimator"][1] = LogisticRegression().fit(PROBA, LABELS == "a")
    with pytest.raises(ValueError, match="All folds must know the same classes"):
        ReliabilityDisplay.from_cv_results(results, PROBA, LABELS)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="'mode' parameter must be one of"):
        ReliabilityDisplay.from_predictions(LABELS, PROBA, mode="joint")
    free = plt.figure().add_axes([0, 0, 1, 1])
    with pytest.raises(ValueError, match="subplot to hold several panels"):
        ReliabilityDisplay.from_predictions(LABELS, PROBA, mode="classwise", ax=free)
    with pytest.raises(TypeError, match="predict_proba"):
        ReliabilityDisplay.from_estimator(StandardScaler(), PROBA, LABELS)


def test_without_matplotlib_the_error_names_the_extra():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from sksoft.displays import ReliabilityDisplay\n"
        "try:\n    ReliabilityDisplay.from_predictions([0, 1], [0.2, 0.9])\n"
        "except ImportError as error:\n    print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "sksoft[plot]"' in result.stdout


def test_importing_displays_does_not_import_matplotlib():
    code = "import sys, sksoft.displays; print('matplotlib' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
