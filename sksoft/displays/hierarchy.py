"""A tree of classes: where the probability of a sample goes, and how deep classes lie against their entropy."""

import heapq
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from sksoft.displays.axes import one_axes, plain_legend, plain_title, pyplot, shown

# Inches of a level, a leaf and a margin in a figure of our own; its width beside the labels at most.
LEVEL, LEAF, MARGIN, WIDEST = 0.85, 0.2, 0.15, 9.0
# Points: the largest font, an edge of probability zero, and what probability one adds.
FONT, THIN, THICK = 9.0, 0.7, 6.0
# Of the font size: a character, on average, and the space before a label.
CHARACTER, SPACE = 0.58, 0.8


class HierarchyDisplay:
    """The tree of a hierarchical classifier, with the probability of each node, and the depths of its classes.

    ``plot()`` draws the part of the tree that matters for a sample: from the root on, the most probable node is opened
    next, until there are `max_leaves` ends. What stays closed is one end with its number of classes and its
    probability. Width and colour of a line are the probability of passing it.

    ``plot(kind="depth")`` draws how the weight of the classes is spread over depths, the mean depth Σ_c q_c d_c, and
    the entropy H = −Σ_c q_c log_m q_c of the shares q with m the largest number of children: no tree has a smaller
    mean depth than H, and Huffman's is below H + 1 ([1]_, section 5.4).

    Make it with :meth:`from_estimator`; the constructor stores arrays.

    Parameters
    ----------
    parent : array-like of int (M,)
        The parent of each node. Nodes are numbered level by level from the root, 0, whose parent is −1, and those of
        one parent stand side by side.
    class_of : array-like of int (M,)
        The class of each leaf, −1 for other nodes.
    node_proba : array-like (N,), default=None
        Probabilities of the first N <= M nodes, whole levels; by default what `class_weight` gives them.
    class_weight : array-like (K,), default=None
        Weight of each class in the training rows, not all zero; equal by default.
    classes : array-like (K,), default=None
        Labels, shown as they are; numbers by default.
    node_names : array-like (M,) of str or None, default=None
        Names of the nodes that have one.
    name : str, optional
        The title, shown as it is.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    edges_ : matplotlib LineCollection
        After ``plot()``: from parents to children, by increasing probability.
    drawn_nodes_ : ndarray of int
        The node at the lower end of each edge; −1 for the rest of a node's children, drawn as one.
    leaf_texts_, node_texts_ : list of matplotlib Text
        Labels of the ends from top to bottom, and names of nodes between.
    bars_ : matplotlib BarContainer
        After ``plot(kind="depth")``.
    mean_line_ : matplotlib Line2D
    entropy_span_ : matplotlib Polygon
        From H to H + 1.

    References
    ----------
    .. [1] Cover, Thomas, "Elements of Information Theory", second edition, Wiley, 2006.

    Examples
    --------
    Four classes, of which one is at depth 1:

    >>> from sksoft.displays import HierarchyDisplay
    >>> display = HierarchyDisplay(
    ...     [-1, 0, 0, 2, 2, 4, 4], [-1, 0, -1, 1, -1, 2, 3], class_weight=[4, 2, 1, 1], classes=list("abcd")
    ... )
    >>> [text.get_text() for text in display.plot().leaf_texts_]
    ['a  0.500', 'b  0.250', 'c  0.125', 'd  0.125']
    >>> display.plot(kind="depth").mean_line_.get_xdata()
    [1.75, 1.75]
    """

    ax_: Any

    def __init__(
        self, parent, class_of, node_proba=None, *, class_weight=None, classes=None, node_names=None, name=None
    ):
        self.parent = np.asarray(parent, np.intp)
        self.class_of = np.asarray(class_of, np.intp)
        n_classes = int(np.count_nonzero(self.class_of >= 0))
        weight = np.ones(n_classes) if class_weight is None else np.asarray(class_weight, np.float64)
        if weight.shape != (n_classes,) or not np.isfinite(weight).all() or (weight < 0).any() or not weight.any():
            raise ValueError(
                f"The 'class_weight' parameter must be {n_classes} finite numbers that are not negative and not all "
                f"zero. Got {class_weight!r} instead."
            )
        self.class_weight = weight
        self.classes = np.arange(n_classes) if classes is None else classes
        self.node_names = node_names
        self.name = name
        self._levels, self._first_child = _numbering(self.parent)
        self.node_proba = self._shares() if node_proba is None else np.asarray(node_proba, np.float64)
        if self.node_proba.ndim != 1 or len(self.node_proba) not in self._levels[1:]:
            raise ValueError(
                f"The 'node_proba' parameter must have one number for each of the {len(self.parent)} nodes, or of "
                f"those of the upper levels. Got an array of shape {self.node_proba.shape} instead."
            )

    @classmethod
    def from_estimator(
        cls, estimator, X=None, *, kind="tree", max_depth=None, max_leaves=30, name=None, ax=None, **line_options
    ):
        """Draw the tree of a fitted hierarchical classifier.

        Parameters
        ----------
        estimator : fitted HierarchicalSoftmaxClassifier
        X : array-like or sparse matrix (1, p), default=None
            The sample; by default nodes have the shares of the training rows.
        kind, max_depth, max_leaves
            As in :meth:`plot`.
        name : str, optional
            The title; by default the class name of the estimator.
        ax, **line_options
            As in :meth:`plot`.

        Returns
        -------
        display : HierarchyDisplay
        """
        proba = None
        if X is not None and kind == "tree":
            proba = estimator.node_proba(X, max_depth=max_depth)
            if len(proba) != 1:
                raise ValueError(f"The 'X' parameter must have one row. Got {len(proba)} rows instead.")
            proba = proba[0]
        display = cls(
            estimator.tree_["parent"],
            estimator.tree_["class_of"],
            proba,
            class_weight=estimator.class_weight_seen_,
            classes=estimator.classes_,
            node_names=estimator.node_names_,
            name=type(estimator).__name__ if name is None else name,
        )
        return display.plot(ax, kind=kind, max_depth=max_depth, max_leaves=max_leaves, **line_options)

    def plot(self, ax=None, *, kind="tree", max_depth=None, max_leaves=30, **line_options):
        """Draw the tree or the depths.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure, as large as the tree needs, when not given.
        kind : {'tree', 'depth'}, default='tree'
        max_depth : int >= 1, default=None
            Levels to draw below the root at most.
        max_leaves : int >= 2, default=30
            Ends to draw at most.
        **line_options
            Of matplotlib's ``LineCollection`` for the tree, of ``bar`` for the depths.

        Returns
        -------
        self : HierarchyDisplay
        """
        if kind not in ("tree", "depth"):
            raise ValueError(f"The 'kind' parameter must be 'tree' or 'depth'. Got {kind!r} instead.")
        if kind == "depth":
            return self._plot_depths(ax, line_options)
        for parameter, value, least in (("max_depth", max_depth, 1), ("max_leaves", max_leaves, 2)):
            if not (value is None and least == 1) and (not isinstance(value, (int, np.integer)) or value < least):
                raise ValueError(
                    f"The {parameter!r} parameter must be an int in [{least}, inf). Got {value!r} instead."
                )
        return self._plot_tree(ax, max_depth, int(max_leaves), line_options)

    def _shares(self) -> np.ndarray:
        """(M,): share of the weight below each node."""
        return self._sums_below(self.class_weight / self.class_weight.sum())

    def _sums_below(self, of_class: np.ndarray) -> np.ndarray:
        """(M,): sums over the classes below."""
        sums = np.zeros(len(self.parent), of_class.dtype)
        leaves = np.flatnonzero(self.class_of >= 0)
        sums[leaves] = of_class[self.class_of[leaves]]
        for top, bottom in reversed(list(pairwise(self._levels[1:]))):
            np.add.at(sums, self.parent[top:bottom], sums[top:bottom])
        return sums

    def _plot_tree(self, ax, max_depth: int | None, max_leaves: int, line_options):
        depth_known = int(np.searchsorted(self._levels, len(self.node_proba))) - 1
        max_depth = depth_known if max_depth is None else min(max_depth, depth_known)
        n_below = self._sums_below(np.ones(len(self.class_weight), np.intp))
        part = _opened(self._first_child, self.node_proba, n_below, max_depth, max_leaves)
        ends, y = _layout(part)
        texts = [self._end_label(part[i]) for i in ends]
        if ax is None:
            names = [self._label(drawn) or "" for drawn in part[1:] if not self._is_leaf(drawn)]
            ax = _axes_for(part, ends, texts, names)
        self.ax_, self.figure_ = ax, ax.figure
        box = ax.get_window_extent()
        width, height = (size / ax.figure.dpi for size in (box.width, box.height))
        font = min(FONT, 0.75 * 72 * height / max(len(ends), 1))
        unit = _level_width(part, ends, texts, width, font)
        ax.set(xlim=(-MARGIN / unit, (width - MARGIN) / unit), ylim=(len(ends) - 0.4, -0.6))
        ax.set_axis_off()
        self._draw_edges(part, y, line_options)
        self._write(part, ends, y, texts, font, unit)
        if self.name is not None:
            plain_title(ax, self.name)
        return self

    def _draw_edges(self, part, y, line_options):
        from matplotlib.collections import LineCollection

        edges = sorted(range(1, len(part)), key=lambda i: part[i].proba)
        proba = np.array([part[i].proba for i in edges])
        along = np.linspace(0.0, 1.0, 25)
        rise = along**2 * (3.0 - 2.0 * along)
        curves = [
            np.column_stack([part[i].depth - 1 + along, y[part[i].above] + rise * (y[i] - y[part[i].above])])
            for i in edges
        ]
        colours = pyplot().get_cmap("viridis_r")(0.2 + 0.7 * proba)
        style = {"linewidths": THIN + THICK * proba, "colors": colours, "capstyle": "round", **line_options}
        self.edges_ = self.ax_.add_collection(LineCollection(curves, **style), autolim=False)
        self.drawn_nodes_ = np.array([part[i].node for i in edges], np.intp)

    def _write(self, part, ends, y, texts, font, unit):
        from matplotlib import patheffects

        plain: dict[str, Any] = {"parse_math": False, "fontsize": font, "clip_on": False}
        best = max(ends, key=lambda i: part[i].proba * self._is_leaf(part[i]))
        space = SPACE * font / 72 / unit
        self.leaf_texts_ = [
            self.ax_.text(
                part[i].depth + space,
                y[i],
                text,
                va="center_baseline",
                color="black" if self._is_leaf(part[i]) else "0.45",
                weight="bold" if i == best and self._is_leaf(part[i]) else "normal",
                **plain,
            )
            for i, text in zip(ends, texts)
        ]
        small = {**plain, "fontsize": 0.85 * font, "color": "0.25", "ha": "right", "va": "bottom"}
        self.node_texts_ = []
        for i in sorted(set(range(1, len(part))) - set(ends)):
            if (label := self._label(part[i])) is None:
                continue
            above = 0.5 + 0.5 * (THIN + THICK * part[i].proba)
            name = _fitting(label, unit, small["fontsize"])
            text = self.ax_.annotate(name, (part[i].depth, y[i]), (0, above), textcoords="offset points", **small)
            text.set_path_effects([patheffects.withStroke(linewidth=2.0, foreground="white")])
            self.node_texts_.append(text)

    def _is_leaf(self, drawn) -> bool:
        return drawn.node >= 0 and self.class_of[drawn.node] >= 0

    def _label(self, drawn) -> str | None:
        if drawn.node < 0:
            return None
        if self._is_leaf(drawn):
            return str(self.classes[self.class_of[drawn.node]])
        name = None if self.node_names is None else self.node_names[drawn.node]
        return None if name is None else str(name)

    def _end_label(self, drawn) -> str:
        label = self._label(drawn)
        text = "" if label is None else shown(label)
        if not self._is_leaf(drawn):
            more = "more " if drawn.node < 0 else ""
            count = f"{drawn.n_classes:,} {more}class{'es' * (drawn.n_classes != 1)}".replace(",", "\u202f")
            text = f"{text} ({count})" if text else count
        return f"{text}  {drawn.proba:.3f}" if drawn.proba >= 5e-4 else f"{text}  < 0.001"

    def _plot_depths(self, ax, bar_options):
        self.ax_ = ax = one_axes(ax)
        self.figure_ = ax.figure
        depth = np.repeat(np.arange(len(self._levels) - 1), np.diff(self._levels))
        leaves = np.flatnonzero(self.class_of >= 0)
        share = (self.class_weight / self.class_weight.sum())[self.class_of[leaves]]
        weight = np.bincount(depth[leaves], weights=share)
        mean = float(depth[leaves] @ share)
        arity = max(2, int(np.diff(self._first_child).max()))
        present = share[share > 0]
        entropy = float(-(present @ np.log(present)) / np.log(arity)) + 0.0
        at = np.arange(int(depth[leaves].min()), len(weight))
        self.bars_ = ax.bar(at, weight[at], **{"width": 0.9, "color": "C0", "alpha": 0.75, **bar_options})
        self.entropy_span_ = ax.axvspan(entropy, entropy + 1.0, color="C1", alpha=0.25, linewidth=0)
        self.mean_line_ = ax.axvline(mean, color="k", linewidth=1.5)
        unit = "bits" if arity == 2 else f"log base {arity}"
        plain_legend(
            ax,
            [self.mean_line_, self.entropy_span_],
            [f"Mean depth {mean:.2f}", f"Entropy H to H + 1, H = {entropy:.2f} ({unit})"],
            loc="best",
        )
        ax.set(xlabel="Depth of the class", ylabel="Share of the weight")
        ax.xaxis.get_major_locator().set_params(integer=True)
        if self.name is not None:
            plain_title(ax, self.name)
        return self


@dataclass(frozen=True)
class _Drawn:
    """A node of the picture: its number, or −1 for several brothers, and where it hangs in the list of drawn ones."""

    node: int
    above: int
    depth: int
    proba: float
    n_classes: int


def _numbering(parent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each level begins, and the end; and the first child of each node, (M + 1,)."""
    n_nodes = len(parent)
    if not n_nodes or parent[0] != -1 or (np.diff(parent) < 0).any() or (parent[1:] >= np.arange(1, n_nodes)).any():
        raise ValueError(
            "The 'parent' parameter must number nodes level by level, brothers side by side, the root first."
        )
    first_child = np.concatenate([[1], 1 + np.cumsum(np.bincount(parent[1:], minlength=n_nodes))])
    levels = [0, 1]
    while levels[-1] < n_nodes:
        levels.append(int(first_child[levels[-1]]))
    return np.array(levels), first_child


def _opened(first_child, proba, n_below, max_depth: int, max_leaves: int) -> list[_Drawn]:
    """The drawn nodes, parents before children and brothers in order: the most probable node comes next.

    To open a node is to show its most probable child, and the others as one end; then they come out one by one.
    """
    ordered: dict[int, np.ndarray] = {}
    n_shown: dict[int, int] = {}
    depth, n_ends = {0: 0}, 1
    waiting = [(-float(proba[0]), 0)]
    while waiting:
        mother = heapq.heappop(waiting)[1]
        if mother not in ordered:
            children = np.arange(first_child[mother], first_child[mother + 1])
            if not len(children) or depth[mother] >= max_depth:
                continue
            ordered[mother] = children[np.argsort(-proba[children], kind="stable")]
        children, before = ordered[mother], n_shown.get(mother, 0)
        if n_ends == max_leaves and len(children) > 1:
            continue
        # one that is left is shown as itself
        after = len(children) if before + 2 == len(children) else before + 1
        n_shown[mother] = after
        n_ends += 1 if len(children) > 1 else 0
        for child in children[before:after].tolist():
            depth[child] = depth[mother] + 1
            heapq.heappush(waiting, (-float(proba[child]), child))
        if after < len(children):
            heapq.heappush(waiting, (-float(proba[children[after]]), mother))
    part = [_Drawn(0, -1, 0, float(proba[0]), int(n_below[0]))]
    for at, drawn in enumerate(part):  # which grows
        if drawn.node in n_shown:
            first, rest = np.split(ordered[drawn.node], [n_shown[drawn.node]])
            for node in np.sort(first).tolist():
                part.append(_Drawn(node, at, drawn.depth + 1, float(proba[node]), int(n_below[node])))
            if len(rest):
                part.append(_Drawn(-1, at, drawn.depth + 1, float(proba[rest].sum()), int(n_below[rest].sum())))
    return part


def _layout(part: list[_Drawn]) -> tuple[list[int], np.ndarray]:
    """The ends from top to bottom, and the height of each drawn node: amid its children."""
    children: list[list[int]] = [[] for _ in part]
    for i, drawn in enumerate(part[1:], 1):
        children[drawn.above].append(i)
    ends, waiting = [], [0]
    while waiting:
        at = waiting.pop()
        waiting.extend(reversed(children[at]))
        if not children[at]:
            ends.append(at)
    y = np.empty(len(part))
    y[ends] = np.arange(len(ends))
    for at in range(len(part) - 1, -1, -1):
        if children[at]:
            y[at] = 0.5 * (y[children[at][0]] + y[children[at][-1]])
    return ends, y


def _text_width(text: str, font: float) -> float:
    """Inches, roughly, with the space before and after."""
    return (CHARACTER * len(text) + SPACE) * font / 72


def _axes_for(part, ends, texts, names):
    """Axes that fill a new figure of the size that the tree needs."""
    deepest = max(drawn.depth for drawn in part)
    longest = max((_text_width(name, FONT) for name in names), default=0.0)
    level = min(max(LEVEL, min(longest, 2 * LEVEL)), WIDEST / max(deepest, 1))
    width = 2 * MARGIN + max(level * part[i].depth + _text_width(text, FONT) for i, text in zip(ends, texts))
    height = LEAF * len(ends) + 0.45
    figure = pyplot().figure(figsize=(max(width, 4.0), height))
    return figure.add_axes((0.0, 0.0, 1.0, 1.0 - 0.35 / height))


def _level_width(part, ends, texts, width: float, font: float) -> float:
    """Inches of a level, so that all labels end inside the axes; a tenth of the axes for all levels at least."""
    deepest = max(max(drawn.depth for drawn in part), 1)
    fits = [
        (width - 2 * MARGIN - _text_width(text, font)) / part[i].depth for i, text in zip(ends, texts) if part[i].depth
    ]
    return max(min(fits, default=width), 0.1 * width / deepest)


def _fitting(label: str, unit: float, font: float) -> str:
    """The beginning of a name of a node, as long as a level is wide."""
    label = shown(label)
    longest = max(int(unit * 72 / (CHARACTER * font)), 3)
    return label if len(label) <= longest else f"{label[: longest - 1]}…"
