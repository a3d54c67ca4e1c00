"""ReliabilityDisplay draws the numbers of the curve, in the axes given, and shows text as it is."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
from matplotlib import pyplot as plt  # noqa: E402

from sksoft.displays import ReliabilityDisplay  # noqa: E402
from sksoft.metrics import reliability_curve  # noqa: E402

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


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="'mode' parameter must be one of"):
        ReliabilityDisplay.from_predictions(LABELS, PROBA, mode="classwise")
    with pytest.raises(ValueError, match="must hold one curve"):
        ReliabilityDisplay(reliability_curve(LABELS, PROBA, mode="classwise"))
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
