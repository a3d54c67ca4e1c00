"""HierarchyDisplay draws the nodes that matter for a sample, and depths against the entropy."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import entropy

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
from matplotlib import pyplot as plt  # noqa: E402

from sksoft.displays import HierarchyDisplay  # noqa: E402
from sksoft.hierarchical.balanced_tree import balanced_tree  # noqa: E402
from sksoft.hierarchical.class_tree import ClassTree  # noqa: E402
from sksoft.hierarchical.huffman_tree import huffman_tree  # noqa: E402

RNG = np.random.default_rng(0)
# the root has five children, of which the second has two and the third one
WIDE = ClassTree.of([-1, 0, 0, 0, 0, 0, 2, 2, 3], [1, 6, 7, 8, 4, 5])
LABELS = np.array(["a$b$", "_x", "c " * 40, "d", "e", "f"])


class Fitted:
    """What the display asks of an estimator."""

    def __init__(self, tree, proba, classes, weight, names=None):
        self.tree_, self.classes_, self.class_weight_seen_, self.node_names_ = tree.arrays(), classes, weight, names
        self._proba, self._depth = proba, tree.depth

    def node_proba(self, X, max_depth=None):
        inside = slice(None) if max_depth is None else self._depth <= max_depth
        return np.repeat(self._proba[None, inside], len(X), axis=0)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def proba_of_nodes(tree, of_class):
    """Of each node the sum over its leaves, by definition."""
    leaves = [
        np.flatnonzero((tree.position >= tree.first_leaf[v]) & (tree.position < tree.last_leaf[v]))
        for v in range(tree.n_nodes)
    ]
    return np.array([of_class[below].sum() for below in leaves])


def ends_of(display):
    """The texts and probabilities of the ends, the latter as written."""
    texts = [text.get_text() for text in display.leaf_texts_]
    return [text.rpartition("  ")[0] for text in texts], [text.rpartition("  ")[2] for text in texts]


def test_every_class_is_an_end_where_there_is_room():
    proba = proba_of_nodes(WIDE, np.array([0.4, 0.3, 0.1, 0.0001, 0.1499, 0.05]))
    names = np.array([None, None, "$n$", *[None] * 6], object)
    model = Fitted(WIDE, proba, LABELS, np.ones(6), names)
    display = HierarchyDisplay.from_estimator(model, [[0.0]], name="_$model$")
    labels, written = ends_of(display)
    assert labels == ["a$b$", "_x", ("c " * 40)[:24] + "…" + ("c " * 40)[-16:-1], "d", "e", "f"]
    assert written == ["0.400", "0.300", "0.100", "< 0.001", "0.150", "0.050"]
    assert [text.get_text() for text in display.node_texts_] == ["$n$"]
    texts = [*display.leaf_texts_, *display.node_texts_, display.ax_.title]
    assert not any(text.get_parse_math() for text in texts)
    assert [text.get_weight() for text in display.leaf_texts_].index("bold") == 0
    display.figure_.canvas.draw()


def test_lines_are_as_wide_as_probable_and_go_from_parent_to_child():
    proba = proba_of_nodes(WIDE, RNG.dirichlet(np.ones(6)))
    display = HierarchyDisplay(WIDE.parent, WIDE.class_of, proba).plot()
    nodes = display.drawn_nodes_
    assert sorted(nodes) == list(range(1, WIDE.n_nodes))
    np.testing.assert_allclose(display.edges_.get_linewidths(), 0.7 + 6.0 * proba[nodes])
    assert (np.diff(display.edges_.get_linewidths()) >= 0).all()
    curves = dict(zip(nodes, display.edges_.get_segments()))
    for node, curve in curves.items():
        np.testing.assert_allclose(curve[[0, -1], 0], [WIDE.depth[node] - 1, WIDE.depth[node]])
        if WIDE.parent[node]:
            np.testing.assert_allclose(curve[0], curves[WIDE.parent[node]][-1])
    leaves = [curves[v][-1, 1] for v in WIDE.leaf]
    assert sorted(leaves) == list(range(6))
    assert [text.get_position()[1] for text in display.leaf_texts_] == sorted(leaves)


@pytest.mark.parametrize("max_leaves", [2, 3, 7, 30])
@pytest.mark.parametrize("arity", [2, 3, 60])
def test_the_most_probable_nodes_are_opened(max_leaves, arity):
    tree = huffman_tree(RNG.zipf(1.3, 400).astype(float), arity)
    of_class = RNG.dirichlet(np.full(400, 0.05))
    proba = proba_of_nodes(tree, of_class)
    display = HierarchyDisplay(tree.parent, tree.class_of, proba, classes=np.arange(400)).plot(max_leaves=max_leaves)
    labels, _ = ends_of(display)
    assert len(labels) == max_leaves
    counts = [int(label.split()[0]) if "class" in label else 1 for label in labels]
    assert sum(counts) == 400
    drawn = set(display.drawn_nodes_) - {-1} | {0}
    # of the nodes that could have come next none is more probable than one that was opened
    opened = {v for v in drawn if drawn & set(range(tree.first_child[v], tree.first_child[v + 1]))}
    next_ones = [proba[v] for v in drawn - opened if tree.n_children[v]]
    assert not next_ones or max(next_ones) <= min(proba[v] for v in opened) + 1e-15


def test_what_a_wide_node_does_not_show_is_one_end():
    proba = proba_of_nodes(WIDE, np.array([0.05, 0.1, 0.1, 0.25, 0.2, 0.3]))
    display = HierarchyDisplay(WIDE.parent, WIDE.class_of, proba, classes=LABELS).plot(max_leaves=3)
    assert ends_of(display) == (["d", "f", "4 more classes"], ["0.250", "0.300", "0.450"])
    # an only child takes no room
    assert sorted(display.drawn_nodes_) == sorted([-1, WIDE.parent[WIDE.leaf[3]], WIDE.leaf[3], WIDE.leaf[5]])


def test_max_depth_and_probabilities_of_upper_levels():
    proba = proba_of_nodes(WIDE, np.full(6, 1 / 6))
    names = np.array([None, None, "named", *[None] * 6], object)
    model = Fitted(WIDE, proba, LABELS, np.ones(6), names)
    expected = ["a$b$", "named (2 classes)", "1 class", "e", "f"]
    assert ends_of(HierarchyDisplay.from_estimator(model, [[0.0]], max_depth=1))[0] == expected
    upper = HierarchyDisplay(WIDE.parent, WIDE.class_of, proba[:6], classes=LABELS, node_names=names)
    assert ends_of(upper.plot())[0] == ends_of(upper.plot(max_depth=9))[0] == expected


def test_without_a_sample_nodes_have_the_shares_of_the_classes():
    weight = np.array([5.0, 0.0, 2.0, 1.0, 1.0, 1.0])
    display = HierarchyDisplay.from_estimator(Fitted(WIDE, None, LABELS, weight))
    np.testing.assert_allclose(display.node_proba, proba_of_nodes(WIDE, weight / 10))
    assert display.ax_.get_title() == "Fitted"


@pytest.mark.parametrize("arity", [2, 5])
def test_depths_against_the_entropy(arity):
    weight = RNG.zipf(1.4, 500).astype(float)
    weight[:20] = 0.0
    tree = huffman_tree(weight, arity)
    _, ax = plt.subplots()
    display = HierarchyDisplay(tree.parent, tree.class_of, class_weight=weight, name="a").plot(ax, kind="depth")
    assert display.ax_ is ax
    mean, bound = tree.expected_depth(weight), entropy(weight, base=arity)
    np.testing.assert_allclose(display.mean_line_.get_xdata(), mean)
    span = display.entropy_span_.get_extents().transformed(ax.transData.inverted())
    np.testing.assert_allclose([span.x0, span.x1], [bound, bound + 1])
    assert bound <= mean < bound + 1
    at = [bar.get_x() + bar.get_width() / 2 for bar in display.bars_]
    heights = [bar.get_height() for bar in display.bars_]
    np.testing.assert_allclose(np.dot(at, heights), mean)
    np.testing.assert_allclose(sum(heights), 1.0)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts[0] == f"Mean depth {mean:.2f}"
    assert f"H = {bound:.2f}" in texts[1]


@pytest.mark.parametrize("size", [(4, 3), (12, 9)])
def test_labels_end_inside_given_axes(size):
    tree = balanced_tree(40)
    figure, ax = plt.subplots(figsize=size)
    classes = [f"class {'with a longer name ' * (i % 3)}{i}" for i in range(40)]
    display = HierarchyDisplay(tree.parent, tree.class_of, classes=classes).plot(ax, max_leaves=40)
    figure.canvas.draw()
    inside = ax.get_window_extent()
    boxes = [text.get_window_extent() for text in display.leaf_texts_]
    assert max(box.x1 for box in boxes) <= inside.x1 + 1
    heights = np.diff([box.y0 for box in boxes])
    assert (np.abs(heights) > 0.9 * boxes[0].height).all()


def test_a_figure_of_its_own_is_as_large_as_its_labels():
    tree = balanced_tree(69)
    display = HierarchyDisplay(tree.parent, tree.class_of, classes=[f"Sacramento River {i}" for i in range(69)])
    display.plot(max_leaves=70)
    display.figure_.canvas.draw()
    boxes = [text.get_window_extent() for text in display.leaf_texts_]
    page = display.figure_.bbox
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1 for box in boxes)
    assert not any(one.overlaps(other) for one, other in pairwise(boxes))


def test_large_and_deep_trees():
    tree = balanced_tree(200_000)
    display = HierarchyDisplay(tree.parent, tree.class_of).plot()
    assert len(display.leaf_texts_) == 30
    chain = ClassTree.of([-1, *np.repeat(np.arange(0, 1998, 2), 2)], [*range(1, 1999, 2), 1998])
    display = HierarchyDisplay(chain.parent, chain.class_of, 0.5**chain.depth).plot()
    assert len(display.leaf_texts_) == 30
    display.figure_.canvas.draw()
    display.plot(kind="depth").figure_.canvas.draw()


def test_line_options():
    display = HierarchyDisplay(WIDE.parent, WIDE.class_of).plot(colors="red", linewidths=1.0)
    np.testing.assert_array_equal(display.edges_.get_colors(), [matplotlib.colors.to_rgba("red")])
    assert {bar.get_facecolor() for bar in display.plot(kind="depth", color="red", alpha=1.0).bars_} == {(1, 0, 0, 1)}


def test_bad_input():
    tree = {"parent": WIDE.parent, "class_of": WIDE.class_of}
    with pytest.raises(ValueError, match=r"'kind' parameter must be 'tree' or 'depth'. Got 'x'"):
        HierarchyDisplay(**tree).plot(kind="x")
    with pytest.raises(ValueError, match=r"'max_leaves' parameter must be an int in \[2, inf\). Got 1"):
        HierarchyDisplay(**tree).plot(max_leaves=1)
    with pytest.raises(ValueError, match=r"'max_leaves' parameter must be an int in \[2, inf\). Got None"):
        HierarchyDisplay(**tree).plot(max_leaves=None)
    with pytest.raises(ValueError, match=r"'max_depth' parameter must be an int in \[1, inf\). Got 1.5"):
        HierarchyDisplay(**tree).plot(max_depth=1.5)
    with pytest.raises(ValueError, match=r"'class_weight' parameter must be 6 finite numbers"):
        HierarchyDisplay(**tree, class_weight=np.zeros(6))
    with pytest.raises(ValueError, match=r"'node_proba' parameter must have one number for each of the 9 nodes"):
        HierarchyDisplay(**tree, node_proba=np.ones(5))
    with pytest.raises(ValueError, match="number nodes level by level"):
        HierarchyDisplay([-1, 0, 3, 0], [-1, 0, 1, -1])
    model = Fitted(WIDE, proba_of_nodes(WIDE, np.full(6, 1 / 6)), LABELS, np.ones(6))
    with pytest.raises(ValueError, match=r"'X' parameter must have one row. Got 2 rows"):
        HierarchyDisplay.from_estimator(model, np.zeros((2, 1)))
