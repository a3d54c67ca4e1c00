"""The reliability diagram: observed rate against predicted probability, with bands and a histogram."""

from typing import Any

import numpy as np
import pandas as pd

from sksoft.metrics import reliability_curve

MODES = ("auto", "confidence", "binary")


class ReliabilityDisplay:
    """Reliability diagram of one curve.

    Make it with :meth:`from_estimator` or :meth:`from_predictions`; the constructor stores what
    :func:`~sksoft.metrics.reliability_curve` returned, and :meth:`plot` draws it.

    Parameters
    ----------
    curve : DataFrame
        Of :func:`~sksoft.metrics.reliability_curve`, with one curve.
    name : str, optional
        Shown in the legend, as it is: never read as mathematics.
    xlabel, ylabel : str
        Names of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D
        Observed rate against mean probability.
    bands_ : matplotlib PolyCollection or None
        Interval of the observed rate.
    reference_line_ : matplotlib Line2D or None
        Perfect calibration.
    histogram_ax_ : matplotlib Axes or None
        Below the diagram.
    histogram_ : matplotlib BarContainer or None
        Share of the weight in each bin.

    Examples
    --------
    >>> from sksoft.displays import ReliabilityDisplay
    >>> display = ReliabilityDisplay.from_predictions([0, 0, 1, 1], [0.1, 0.3, 0.6, 0.9], n_bins=2)
    >>> display.line_.get_xydata().round(2).tolist()
    [[0.2, 0.0], [0.75, 1.0]]
    """

    histogram_ax_: Any
    histogram_: Any

    def __init__(self, curve, *, name=None, xlabel="Mean predicted probability", ylabel="Observed frequency"):
        if "class" in curve.columns:
            raise ValueError(
                "The 'curve' parameter must hold one curve: for a class against the rest use mode='binary' with "
                "'pos_label'. Got a curve per class instead."
            )
        self.curve = curve
        self.name = name
        self.xlabel = xlabel
        self.ylabel = ylabel

    @classmethod
    def from_estimator(cls, estimator, X, y, *, name=None, mode="auto", pos_label=None, **options):
        """Draw the reliability of a fitted classifier.

        Parameters
        ----------
        estimator : fitted classifier or pipeline with `predict_proba`
        X : array-like (n, p)
        y : array-like (n,)
            True labels.
        name : str, optional
            Shown in the legend; by default the class name of the estimator.
        mode : {'auto', 'confidence', 'binary'}, default='auto'
            ``'auto'`` is ``'binary'`` for two classes, else ``'confidence'``.
        pos_label : label, optional
            The positive class of ``mode='binary'``; by default the second of two.
        **options
            As of :meth:`from_predictions`.

        Returns
        -------
        display : ReliabilityDisplay
        """
        if not hasattr(estimator, "predict_proba"):
            raise TypeError(
                f"The 'estimator' parameter must be a classifier with predict_proba. Got {estimator!r} instead."
            )
        y_proba = estimator.predict_proba(X)
        if mode == "auto":
            mode = "binary" if y_proba.shape[1] == 2 or pos_label is not None else "confidence"
        return cls.from_predictions(
            y,
            y_proba,
            name=type(estimator).__name__ if name is None else name,
            mode=mode,
            pos_label=pos_label,
            labels=estimator.classes_,
            **options,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_proba,
        *,
        n_bins=15,
        strategy="uniform",
        mode="auto",
        sample_weight=None,
        weight_type="sampling",
        labels=None,
        pos_label=None,
        confidence_level=0.95,
        interval="wilson",
        name=None,
        ax=None,
        **plot_options,
    ):
        """Draw the reliability of predictions.

        Parameters
        ----------
        y_true, y_proba, n_bins, strategy
            As in :func:`~sksoft.metrics.reliability_curve`.
        mode : {'auto', 'confidence', 'binary'}, default='auto'
            ``'auto'`` is ``'binary'`` for a one-dimensional `y_proba`, else ``'confidence'``.
        sample_weight, weight_type, labels, pos_label, confidence_level, interval
            As in :func:`~sksoft.metrics.reliability_curve`.
        name : str, optional
            Shown in the legend.
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.
        **plot_options
            As of :meth:`plot`.

        Returns
        -------
        display : ReliabilityDisplay
        """
        if mode not in MODES:
            raise ValueError(f"The 'mode' parameter must be one of {MODES}. Got {mode!r} instead.")
        curve = reliability_curve(
            y_true,
            y_proba,
            n_bins=n_bins,
            strategy=strategy,
            mode=mode,
            sample_weight=sample_weight,
            weight_type=weight_type,
            labels=labels,
            pos_label=pos_label,
            confidence_level=confidence_level,
            interval=interval,
        )
        binary = mode == "binary" or (mode == "auto" and np.ndim(y_proba) == 1)
        of_class = "" if pos_label is None else f" of class {pos_label}"
        if binary:
            texts = {"xlabel": f"Mean predicted probability{of_class}", "ylabel": f"Observed frequency{of_class}"}
        else:
            texts = {"xlabel": "Mean confidence of the predicted class", "ylabel": "Accuracy"}
        return cls(curve, name=name, **texts).plot(ax=ax, **plot_options)

    def plot(self, ax=None, *, name=None, ref_line=True, bands=True, histogram=True, **line_options):
        """Draw the diagram.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.
        name : str, optional
            Shown in the legend instead of that given before.
        ref_line, bands, histogram : bool, default=True
            Whether to draw the diagonal, the intervals, and the share of the predictions in each bin below.
        **line_options
            Of matplotlib's ``plot``.

        Returns
        -------
        self : ReliabilityDisplay
        """
        if ax is None:
            ax = _pyplot().subplots()[1]
        name = self.name if name is None else name
        curve = self.curve[self.curve["weight"] > 0]
        style = {"marker": "o", "markersize": 4, **line_options}
        self.ax_, self.figure_ = ax, ax.figure
        self.reference_line_ = self._reference() if ref_line else None
        (self.line_,) = ax.plot(curve["mean_proba"], curve["observed_rate"], **style)
        self.bands_ = self._bands(curve) if bands else None
        self.histogram_ax_, self.histogram_ = self._histogram() if histogram else (None, None)
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        ax.set_ylabel(self.ylabel, parse_math=False)
        (self.histogram_ax_ or ax).set_xlabel(self.xlabel, parse_math=False)
        self._legend(name)
        return self

    def _reference(self):
        drawn = [line for line in self.ax_.get_lines() if line.get_gid() == "perfectly-calibrated"]
        if drawn:
            return drawn[0]
        (line,) = self.ax_.plot([0, 1], [0, 1], "k:", linewidth=1, gid="perfectly-calibrated")
        return line

    def _bands(self, curve: pd.DataFrame):
        return self.ax_.fill_between(
            curve["mean_proba"],
            curve["rate_low"],
            curve["rate_high"],
            color=self.line_.get_color(),
            alpha=0.2,
            linewidth=0,
        )

    def _histogram(self):
        from mpl_toolkits.axes_grid1 import make_axes_locatable

        ax = make_axes_locatable(self.ax_).append_axes("bottom", size="20%", pad=0.1, sharex=self.ax_)
        share = self.curve["weight"] / self.curve["weight"].sum()
        bars = ax.bar(
            self.curve["bin_low"],
            share,
            width=self.curve["bin_high"] - self.curve["bin_low"],
            align="edge",
            color=self.line_.get_color(),
            alpha=0.6,
        )
        ax.set_ylabel("Share")
        self.ax_.tick_params(labelbottom=False)
        return ax, bars

    def _legend(self, name):
        """Legend of every named line; names are shown as they are, even with a leading underscore or a dollar."""
        if name is not None:
            self.line_.set_gid(f"reliability:{name}")
        handles, texts = [], []
        for line in self.ax_.get_lines():
            kind, _, shown = str(line.get_gid() or "").partition(":")
            if kind == "perfectly-calibrated":
                handles.append(line)
                texts.append("Perfectly calibrated")
            elif kind == "reliability":
                handles.append(line)
                texts.append(f" {shown}" if shown.startswith("_") else shown)
        if handles:
            for text in self.ax_.legend(handles, texts, loc="upper left").get_texts():
                text.set_parse_math(False)


def _pyplot():
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError('Drawing needs matplotlib, which is not installed: pip install "sksoft[plot]".') from error
    return pyplot
