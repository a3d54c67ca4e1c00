"""Scores against the number of labels."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sksoft.displays.axes import one_axes, plain_legend


class LearningCurveDisplay:
    """Learning curves of strategies: the mean over repetitions, a band of one standard error, and the area under it.

    Make it with :meth:`from_loops`; the constructor stores curves, and :meth:`plot` draws them.

    Parameters
    ----------
    curves : dict
        By name, ``{'n_labeled': (m,), 'score': (r, m), 'area': (r,)}`` of r repetitions: scores after so many labels,
        and the areas under them.
    x_label, y_label : str
        Of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : dict of matplotlib Line2D
        By name, of the means.
    bands_ : dict of matplotlib PolyCollection
        By name, where there are several repetitions.

    Examples
    --------
    >>> from sksoft.displays import LearningCurveDisplay
    >>> curve = {"n_labeled": [10, 20, 30], "score": [[0.6, 0.7, 0.8], [0.6, 0.8, 0.8]], "area": [0.70, 0.75]}
    >>> display = LearningCurveDisplay({"margin": curve}).plot()
    >>> display.lines_["margin"].get_ydata().round(3).tolist()
    [0.6, 0.75, 0.8]
    """

    ax_: Any

    def __init__(self, curves, *, x_label="Labels", y_label="Score"):
        self.curves, self.x_label, self.y_label = curves, x_label, y_label

    @classmethod
    def from_loops(cls, loops, *, x="n_labeled", ax=None, y_label="Score"):
        """Draw what active learning loops went through.

        Parameters
        ----------
        loops : ActiveLearningLoop, list of them, or dict of either
            By name, each with its repetitions, which have the same numbers of labels.
        x : {'n_labeled', 'cost'}, default='n_labeled'
            What the curves are drawn over. Of costs, which differ between repetitions, it is the mean.
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.
        y_label : str, default='Score'
            What the score is.

        Returns
        -------
        display : LearningCurveDisplay

        Raises
        ------
        ValueError
            If there is no loop, one has no scores, or repetitions have other numbers of labels.
        """
        if x not in ("n_labeled", "cost"):
            raise ValueError(f"The 'x' parameter must be 'n_labeled' or 'cost'. Got {x!r} instead.")
        by_name = loops if isinstance(loops, Mapping) else {"": loops}
        curves = {
            str(name): _curve(name, many if isinstance(many, (list, tuple)) else [many], x)
            for name, many in by_name.items()
        }
        if not curves:
            raise ValueError("The 'loops' parameter must hold at least one loop. Got none.")
        return cls(curves, x_label="Labels" if x == "n_labeled" else "Cost", y_label=y_label).plot(ax=ax)

    def plot(self, ax=None):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.

        Returns
        -------
        self : LearningCurveDisplay
        """
        self.ax_ = ax = one_axes(ax)
        self.figure_, self.lines_, self.bands_ = ax.figure, {}, {}
        for name, curve in self.curves.items():
            scores = np.atleast_2d(curve["score"])
            mean = scores.mean(axis=0)
            (self.lines_[name],) = ax.plot(curve["n_labeled"], mean, marker="o", markersize=3)
            if len(scores) > 1:
                error = scores.std(axis=0, ddof=1) / np.sqrt(len(scores))
                color = self.lines_[name].get_color()
                self.bands_[name] = ax.fill_between(
                    curve["n_labeled"], mean - error, mean + error, color=color, alpha=0.2, linewidth=0
                )
        ax.set_xlabel(self.x_label)
        ax.set_ylabel(self.y_label)
        texts = [f"{name} (area {np.mean(curve['area']):.3f})".strip() for name, curve in self.curves.items()]
        plain_legend(ax, list(self.lines_.values()), texts, loc="lower right")
        return self


def _curve(name, loops, x) -> dict:
    histories = [loop.history_ for loop in loops]
    sizes = [history["n_labeled"] for history in histories]
    if not sizes or any(len(size) == 0 or not np.array_equal(size, sizes[0]) for size in sizes):
        raise ValueError(
            f"The 'loops' parameter must hold loops that were run, with the same numbers of labels. Those of {name!r}"
            f" have {[size.tolist() for size in sizes]}."
        )
    scores = np.array([history["score"] for history in histories])
    if not np.isfinite(scores).all():
        raise ValueError(f"The loops of {name!r} have no scores: give X_test and y_test.")
    over = np.mean([history[x] for history in histories], axis=0)
    return {"n_labeled": over, "score": scores, "area": np.array([loop.area_under_curve(x) for loop in loops])}
