"""Weights of attention: a heat map for each head, or which training rows answered and with what weight."""

from numbers import Integral
from typing import Any

import numpy as np
from scipy import sparse

from sksoft.displays.axes import panel_axes, plain_title, shown

# Rows or columns above which a heat map names only some of them.
MOST_LABELS = 40


class AttentionDisplay:
    """Who attends to what.

    Of weights (n, m) or (heads, n, m) the heat map has a row for each query and a column for each key, and a panel for
    each head, on one colour scale: from 0 to 1, or to the largest weight where that is more.

    Of an estimator the bars are the training rows that answered a query, the heaviest first, with their weights; the
    last bar is what all others hold together, the prior of an :class:`~sksoft.AttentionClassifier` included.

    Make it with :meth:`from_weights` or :meth:`from_estimator`; the constructor stores arrays, and :meth:`plot` draws.

    Parameters
    ----------
    weights : ndarray (heads, n, m)
        Not negative; nan for what was not asked.
    row_labels, column_labels : list or None
        Names of queries and keys, shown as they are; numbers by default.
    kind : {'heatmap', 'bars'}
    order : ndarray (n, k) of int, default=None
        Of bars, the column of each one.
    names : list, default=None
        Titles of the panels.

    Attributes
    ----------
    axes_ : list of matplotlib Axes
        One for each head, or for each query with bars.
    figure_ : matplotlib Figure
    images_ : list of matplotlib AxesImage
        Of heat maps.
    colorbar_ : matplotlib Colorbar
    bars_ : list of matplotlib BarContainer
        From the heaviest down, the rest last.

    Examples
    --------
    >>> from sksoft.displays import AttentionDisplay
    >>> display = AttentionDisplay.from_weights([[0.7, 0.3], [0.1, 0.9]], row_labels=["a", "b"])
    >>> [label.get_text() for label in display.axes_[0].get_yticklabels()]
    ['a', 'b']

    Which flowers a prediction came from:

    >>> from sklearn.datasets import load_iris
    >>> from sksoft import AttentionClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = AttentionClassifier(bandwidth=0.2).fit(X, y)
    >>> display = AttentionDisplay.from_estimator(model, X[[70]], n_rows=2, labels=y)
    >>> [label.get_text() for label in display.axes_[0].get_yticklabels()]
    ['70: 1', '138: 2', '148 others']
    """

    axes_: list[Any]

    def __init__(self, weights, row_labels=None, column_labels=None, *, kind="heatmap", order=None, names=None):
        self.weights = weights
        self.row_labels = row_labels
        self.column_labels = column_labels
        self.kind = kind
        self.order = order
        self.names = names

    @classmethod
    def from_weights(cls, weights, *, row_labels=None, column_labels=None, head_labels=None, ax=None, **image_options):
        """Draw weights as they are.

        Parameters
        ----------
        weights : array-like or sparse matrix (n, m), or array-like (heads, n, m)
            As :func:`~sksoft.functional.scaled_dot_product_attention` or ``kneighbors_weights`` return them.
        row_labels, column_labels : array-like, optional
            Names of queries (n,) and keys (m,).
        head_labels : array-like (heads,), optional
            Titles of the panels.
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.
        **image_options
            Of matplotlib's ``imshow``.

        Returns
        -------
        display : AttentionDisplay

        Raises
        ------
        ValueError
            For weights of another shape, negative or infinite ones, or labels of another length.
        """
        if sparse.issparse(weights):
            weights = weights.toarray()
        weights = np.asarray(weights, dtype=np.float64)
        if weights.ndim == 2:
            weights = weights[None]
        if weights.ndim != 3 or 0 in weights.shape:
            raise ValueError(
                "The 'weights' parameter must be of shape (n_queries, n_keys) or (n_heads, n_queries, n_keys), none of"
                f" them zero. Got shape {weights.shape} instead."
            )
        if (weights < 0.0).any():
            raise ValueError(f"The 'weights' parameter must not be negative. Got {np.nanmin(weights):g} instead.")
        if np.isinf(weights).any():
            raise ValueError("The 'weights' parameter must be finite or nan. Got inf instead.")
        head_labels = _labels("head_labels", head_labels, len(weights))
        if head_labels is None and len(weights) > 1:
            head_labels = [f"head {h}" for h in range(len(weights))]
        row_labels = _labels("row_labels", row_labels, weights.shape[1])
        column_labels = _labels("column_labels", column_labels, weights.shape[2])
        return cls(weights, row_labels, column_labels, names=head_labels).plot(ax=ax, **image_options)

    @classmethod
    def from_estimator(cls, estimator, X, *, n_rows=10, labels=None, row_labels=None, ax=None, **bar_options):
        """Draw which training rows answered for each row of X.

        Parameters
        ----------
        estimator : fitted AttentionRegressor or AttentionClassifier
            Or any other with ``kneighbors_weights(X)`` that returns a sparse matrix.
        X : array-like (n, p)
            A few rows: each has a panel.
        n_rows : int >= 1, default=10
            Training rows to show, at most.
        labels : array-like (n_fit,), optional
            What to say of each training row behind its number: its target, a name.
        row_labels : array-like (n,), optional
            Titles of the panels.
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.
        **bar_options
            Of matplotlib's ``barh``.

        Returns
        -------
        display : AttentionDisplay

        Raises
        ------
        TypeError
            If the estimator has no ``kneighbors_weights``, or `n_rows` is no int.
        ValueError
            For an `n_rows` below 1 or labels of another length.
        """
        if not hasattr(estimator, "kneighbors_weights"):
            raise TypeError(
                f"The 'estimator' parameter must have kneighbors_weights, as AttentionClassifier. Got {estimator!r}."
            )
        if not isinstance(n_rows, Integral):
            raise TypeError(f"The 'n_rows' parameter must be an int. Got {n_rows!r} instead.")
        if n_rows < 1:
            raise ValueError(f"The 'n_rows' parameter must be at least 1. Got {n_rows} instead.")
        found = sparse.csr_array(estimator.kneighbors_weights(X))
        labels = _labels("labels", labels, found.shape[1])
        row_labels = _labels("row_labels", row_labels, found.shape[0])
        n_shown = min(int(n_rows), found.shape[1])
        weights, order = np.zeros((found.shape[0], n_shown)), np.full((found.shape[0], n_shown), -1)
        for i in range(found.shape[0]):
            row = slice(found.indptr[i], found.indptr[i + 1])
            heaviest = np.argsort(-found.data[row], kind="stable")[:n_shown]
            weights[i, : len(heaviest)] = found.data[row][heaviest]
            order[i, : len(heaviest)] = found.indices[row][heaviest]
        names = row_labels or ([f"row {i}" for i in range(len(weights))] if len(weights) > 1 else None)
        columns = [str(j) if labels is None else f"{j}: {labels[j]}" for j in range(found.shape[1])]
        return cls(weights[None], None, columns, kind="bars", order=order, names=names).plot(ax=ax, **bar_options)

    def plot(self, ax=None, **options):
        """Draw the panels.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.
        **options
            Of matplotlib's ``imshow``, or ``barh`` for bars.

        Returns
        -------
        self : AttentionDisplay
        """
        n_panels = len(self.weights) if self.kind == "heatmap" else self.weights.shape[1]
        self.axes_ = panel_axes(ax, n_panels) if n_panels > 1 or ax is None else [ax]
        self.figure_ = self.axes_[0].figure
        draw = self._heat_map if self.kind == "heatmap" else self._bars
        drawn = [draw(i, panel, options) for i, panel in enumerate(self.axes_)]
        for panel, name in zip(self.axes_, self.names or []):
            plain_title(panel, name)
        if self.kind == "bars":
            self.bars_ = drawn
            return self
        self.images_ = drawn
        self.colorbar_ = self.figure_.colorbar(drawn[0], ax=self.axes_, label="weight")
        return self

    def _heat_map(self, h, ax, options):
        largest = float(np.nanmax(self.weights, initial=1.0))
        image = ax.imshow(
            self.weights[h], **{"vmin": 0.0, "vmax": largest, "cmap": "Blues", "aspect": "auto", **options}
        )
        for axis, labels, n in (
            (ax.yaxis, self.row_labels, self.weights.shape[1]),
            (ax.xaxis, self.column_labels, self.weights.shape[2]),
        ):
            if labels is not None:
                places = np.unique(np.linspace(0, n - 1, min(n, MOST_LABELS)).astype(int))
                axis.set_ticks(places, [shown(labels[j]) for j in places])
        if self.column_labels is not None:
            ax.tick_params(axis="x", rotation=90)
        _plain_ticks(ax)
        ax.set(xlabel="key", ylabel="query")
        return image

    def _bars(self, i, ax, options):
        present = self.order[i] >= 0
        weights = self.weights[0, i, present]
        n_others = len(self.column_labels) - len(weights)
        names = [shown(self.column_labels[j]) for j in self.order[i, present]]
        rest = max(1.0 - weights.sum(), 0.0)
        bars = ax.barh(np.arange(len(weights) + 1), [*weights, rest], **{"color": "C0", **options})
        bars[-1].set(facecolor="none", edgecolor="0.5")
        ax.set_yticks(np.arange(len(weights) + 1), [*names, f"{n_others} others"])
        ax.invert_yaxis()
        _plain_ticks(ax)
        ax.set(xlabel="weight", xlim=(0.0, None))
        return bars


def _labels(name, labels, length):
    if labels is None:
        return None
    labels = list(labels)
    if len(labels) != length:
        raise ValueError(f"The {name!r} parameter must have {length} entries. Got {len(labels)} instead.")
    return labels


def _plain_ticks(ax):
    """Labels that are not read as mathematics."""
    for label in [*ax.get_xticklabels(), *ax.get_yticklabels()]:
        label.set_parse_math(False)
