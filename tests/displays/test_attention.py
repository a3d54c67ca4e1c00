"""AttentionDisplay draws the weights it is given, and the training rows that answered."""

import numpy as np
import pytest
from scipy import sparse

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
from matplotlib import pyplot as plt  # noqa: E402

from sksoft import AttentionClassifier, AttentionRegressor  # noqa: E402
from sksoft.displays import AttentionDisplay  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 2))
Y = np.array(["$x$", "_a", "b"])[RNG.integers(0, 3, 30)]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def texts(labels):
    return [label.get_text() for label in labels]


def test_heat_map_of_each_head():
    weights = RNG.dirichlet(np.ones(5), size=(2, 4))
    display = AttentionDisplay.from_weights(
        weights, row_labels=["q_$1$", *"bcd"], column_labels=["k " * 40, *"vwxy"], head_labels=["near", "far"]
    )
    assert len(display.images_) == 2
    for h, image in enumerate(display.images_):
        np.testing.assert_array_equal(image.get_array(), weights[h])
        assert image.get_clim() == (0.0, 1.0)
        assert texts(display.axes_[h].get_yticklabels()) == ["q_$1$", *"bcd"]
        assert len(display.axes_[h].get_xticklabels()[0].get_text()) == 40
        assert not any(label.get_parse_math() for label in display.axes_[h].get_yticklabels())
    assert [ax.get_title() for ax in display.axes_] == ["near", "far"]
    display.figure_.canvas.draw()


def test_heat_map_without_names_in_given_axes():
    _, ax = plt.subplots()
    weights = np.eye(3)
    display = AttentionDisplay.from_weights(sparse.csr_array(weights), ax=ax, cmap="Greens")
    assert display.axes_ == [ax]
    assert display.images_[0].get_cmap().name == "Greens"
    np.testing.assert_array_equal(display.images_[0].get_array(), weights)
    assert [ax.get_title() for ax in AttentionDisplay.from_weights(np.ones((2, 1, 1))).axes_] == ["head 0", "head 1"]


def test_many_labels_are_named_in_part():
    display = AttentionDisplay.from_weights(np.ones((1, 500)), column_labels=np.arange(500))
    labels = texts(display.axes_[0].get_xticklabels())
    assert len(labels) == 40
    assert (labels[0], labels[-1]) == ("0", "499")


@pytest.mark.parametrize(
    "model", [AttentionClassifier(bandwidth=0.5), AttentionClassifier(), AttentionRegressor(top_k=3)]
)
def test_bars_are_the_heaviest_rows_and_the_rest(model):
    model.fit(X, Y if isinstance(model, AttentionClassifier) else X[:, 0])
    display = AttentionDisplay.from_estimator(model, X[:2] + 0.1, n_rows=4, labels=Y, row_labels=["one", "two"])
    weights = model.kneighbors_weights(X[:2] + 0.1).toarray()
    for i, (ax, bars) in enumerate(zip(display.axes_, display.bars_)):
        heaviest = [j for j in np.argsort(-weights[i], kind="stable")[:4] if weights[i, j] > 0]
        assert texts(ax.get_yticklabels()) == [*(f"{j}: {Y[j]}" for j in heaviest), f"{30 - len(heaviest)} others"]
        widths = [bar.get_width() for bar in bars]
        np.testing.assert_allclose(widths, [*weights[i, heaviest], 1.0 - weights[i, heaviest].sum()], atol=1e-12)
        assert ax.get_title() == ["one", "two"][i]
    display.figure_.canvas.draw()


def test_one_row_and_no_labels():
    model = AttentionRegressor(bandwidth=0.5).fit(X, X[:, 0])
    display = AttentionDisplay.from_estimator(model, X[:1], n_rows=100, color="C1")
    assert len(display.axes_) == 1
    assert texts(display.axes_[0].get_yticklabels())[0] == "0"
    assert texts(display.axes_[0].get_yticklabels())[-1] == "0 others"
    assert display.axes_[0].get_title() == ""


def test_bad_input():
    for weights in (np.ones(3), np.ones((0, 3)), np.ones((1, 1, 1, 1))):
        with pytest.raises(ValueError, match="'weights' parameter must be of shape"):
            AttentionDisplay.from_weights(weights)
    with pytest.raises(ValueError, match=r"must not be negative. Got -1"):
        AttentionDisplay.from_weights([[-1.0, 2.0]])
    with pytest.raises(ValueError, match=r"'row_labels' parameter must have 1 entries. Got 2"):
        AttentionDisplay.from_weights([[0.5, 0.5]], row_labels=["a", "b"])
    with pytest.raises(TypeError, match="must have kneighbors_weights"):
        AttentionDisplay.from_estimator(object(), X)
    model = AttentionRegressor(bandwidth=0.5).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="'n_rows' parameter"):
        AttentionDisplay.from_estimator(model, X[:1], n_rows=0)
    with pytest.raises(ValueError, match="'labels' parameter must have 30 entries"):
        AttentionDisplay.from_estimator(model, X[:1], labels=["a"])


def test_weights_above_one_are_not_drawn_as_one_and_infinite_ones_not_at_all():
    assert AttentionDisplay.from_weights([[3.0, 0.5]]).images_[0].get_clim() == (0.0, 3.0)
    assert AttentionDisplay.from_weights([[0.4, np.nan]]).images_[0].get_clim() == (0.0, 1.0)
    with pytest.raises(ValueError, match=r"The 'weights' parameter must be finite or nan. Got inf instead."):
        AttentionDisplay.from_weights([[np.inf, 0.5]])


@pytest.mark.parametrize("n_rows", [0, 1.5, "all", None])
def test_the_number_of_bars_is_a_whole_one(n_rows):
    model = AttentionClassifier(bandwidth=1.0).fit([[0.0], [1.0]], [0, 1])
    with pytest.raises((TypeError, ValueError), match="The 'n_rows' parameter must be"):
        AttentionDisplay.from_estimator(model, [[0.0]], n_rows=n_rows)
