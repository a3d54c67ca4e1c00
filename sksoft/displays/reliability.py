"""The reliability diagram: observed rate against predicted probability, with bands and a histogram."""

from typing import Any

import numpy as np
import pandas as pd

from sksoft.displays.axes import diagonal, one_axes, panel_axes, plain_legend, plain_title
from sksoft.displays.predictions import judged_mode, out_of_fold, predicted, rows_of
from sksoft.metrics import canonical_curve, reliability_curve

MODES = ("auto", "confidence", "binary", "classwise", "top_label", "canonical")
MOST_PANELS = 16


class ReliabilityDisplay:
    """Reliability diagram of one curve, or a panel for each class.

    Make it with :meth:`from_estimator`, :meth:`from_predictions` or :meth:`from_cv_results`; the constructor stores
    what :func:`~sksoft.metrics.reliability_curve` or :func:`~sksoft.metrics.canonical_curve` returned, and :meth:`plot`
    draws it.

    Parameters
    ----------
    curve : DataFrame
        Of :func:`~sksoft.metrics.reliability_curve`, or of :func:`~sksoft.metrics.canonical_curve`. With a column
        ``class`` there is a panel for each class.
    name : str, optional
        Shown in the legend, as it is: never read as mathematics.
    xlabel, ylabel : str
        Names of the axes.
    fold_curves : list of DataFrame, optional
        Curves of single folds, drawn thin below the curve.

    Attributes
    ----------
    panels_ : list of ReliabilityDisplay
        One for each class that is shown, in the order of the classes; of a single curve, the display itself. What
        follows is then that of the first panel.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D
        Observed rate against mean probability.
    fold_lines_ : list of matplotlib Line2D
    bands_ : matplotlib Collection or None
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

    def __init__(
        self, curve, *, name=None, xlabel="Mean predicted probability", ylabel="Observed frequency", fold_curves=()
    ):
        self.curve = curve
        self.name = name
        self.xlabel = xlabel
        self.ylabel = ylabel
        self.fold_curves = fold_curves

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
        mode : str, default='auto'
            As in :meth:`from_predictions`; ``'auto'`` is ``'binary'`` for two classes, else ``'confidence'``.
        pos_label : label, optional
            The positive class of ``mode='binary'``; by default the second of two.
        **options
            As of :meth:`from_predictions`.

        Returns
        -------
        display : ReliabilityDisplay
        """
        y_proba = predicted(estimator, X)
        return cls.from_predictions(
            y,
            y_proba,
            name=type(estimator).__name__ if name is None else name,
            mode=judged_mode(mode, y_proba.shape[1], pos_label),
            pos_label=pos_label,
            labels=estimator.classes_,
            **options,
        )

    @classmethod
    def from_cv_results(
        cls, cv_results, X, y, *, name=None, mode="auto", pos_label=None, sample_weight=None, show_folds=True, **options
    ):
        """Draw the reliability of cross-validated predictions: a curve of all test rows, and a thin one for each fold.

        Parameters
        ----------
        cv_results : dict
            Of scikit-learn's ``cross_validate`` with ``return_estimator=True`` and ``return_indices=True``.
        X, y
            The data that were cross-validated.
        name : str, optional
            Shown in the legend; by default the class name of the estimators.
        mode, pos_label
            As in :meth:`from_estimator`.
        sample_weight : array-like (n,), optional
            Of all rows.
        show_folds : bool, default=True
            Whether to draw the curves of single folds; panels have none.
        **options
            As of :meth:`from_predictions`.

        Returns
        -------
        display : ReliabilityDisplay
        """
        rows, proba, classes, folds = out_of_fold(cv_results, X, y)
        y_true, weights = np.asarray(y)[rows], rows_of(sample_weight, rows)
        mode = judged_mode(mode, len(classes), pos_label)
        known = {"mode": mode, "pos_label": pos_label, "labels": classes}
        of_curve = {key: options[key] for key in ("n_bins", "strategy", "weight_type") if key in options}
        curves = []
        if show_folds and mode in ("confidence", "binary"):
            for fold in folds:
                curves.append(
                    reliability_curve(
                        y_true[fold], proba[fold], sample_weight=rows_of(weights, fold), **known, **of_curve
                    )
                )
        name = type(cv_results["estimator"][0]).__name__ if name is None else name
        options |= {"sample_weight": weights, "fold_curves": curves}
        return cls.from_predictions(y_true, proba, name=name, **known, **options)

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
        min_weight=100,
        name=None,
        fold_curves=(),
        ax=None,
        **plot_options,
    ):
        """Draw the reliability of predictions.

        Parameters
        ----------
        y_true, y_proba, n_bins, strategy
            As in :func:`~sksoft.metrics.reliability_curve`.
        mode : {'auto', 'confidence', 'binary', 'classwise', 'top_label', 'canonical'}, default='auto'
            ``'auto'`` is ``'binary'`` for a one-dimensional `y_proba`, else ``'confidence'``. ``'classwise'`` and
            ``'top_label'`` draw a panel for each class; ``'canonical'`` a panel for each class too, with a point for
            each bin of the whole vector (:func:`~sksoft.metrics.canonical_curve`; `n_bins` and `strategy` are not
            used).
        sample_weight, weight_type, labels, pos_label, confidence_level, interval
            As in :func:`~sksoft.metrics.reliability_curve`.
        min_weight : float > 0, default=100
            Least weight of a bin of ``mode='canonical'``.
        name : str, optional
            Shown in the legend.
        fold_curves : list of DataFrame, optional
            Drawn thin below the curve.
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given. Panels take its place.
        **plot_options
            As of :meth:`plot`.

        Returns
        -------
        display : ReliabilityDisplay
        """
        if mode not in MODES:
            raise ValueError(f"The 'mode' parameter must be one of {MODES}. Got {mode!r} instead.")
        options = {
            "sample_weight": sample_weight,
            "weight_type": weight_type,
            "labels": labels,
            "pos_label": pos_label,
            "confidence_level": confidence_level,
        }
        if mode == "canonical":
            curve = canonical_curve(y_true, y_proba, min_weight=min_weight, **options)
        else:
            options |= {"n_bins": n_bins, "strategy": strategy, "interval": interval}
            curve = reliability_curve(y_true, y_proba, mode=mode, **options)
        of_class = "" if pos_label is None or "class" in curve else f" of class {pos_label}"
        if mode in ("confidence", "top_label") or (mode == "auto" and np.ndim(y_proba) != 1):
            texts = {"xlabel": "Mean confidence of the predicted class", "ylabel": "Accuracy"}
        else:
            texts = {"xlabel": f"Mean predicted probability{of_class}", "ylabel": f"Observed frequency{of_class}"}
        return cls(curve, name=name, fold_curves=fold_curves, **texts).plot(ax=ax, **plot_options)

    def plot(
        self, ax=None, *, name=None, ref_line=True, bands=True, histogram=True, max_panels=MOST_PANELS, **line_options
    ):
        """Draw the diagram.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.
        name : str, optional
            Shown in the legend instead of that given before.
        ref_line, bands, histogram : bool, default=True
            Whether to draw the diagonal, the intervals, and the share of the predictions in each bin below (panels
            have no share).
        max_panels : int, default=16
            Of more classes, those with the largest weighted gaps are shown.
        **line_options
            Of matplotlib's ``plot``.

        Returns
        -------
        self : ReliabilityDisplay
        """
        if "class" in self.curve.columns:
            return self._plot_panels(ax, max_panels, ref_line=ref_line, bands=bands, **line_options)
        self.panels_ = [self]
        ax = one_axes(ax)
        name = self.name if name is None else name
        curve = self.curve[self.curve["weight"] > 0]
        points = "bin_low" not in curve  # bins of vectors have no order to be joined in
        style = {"marker": "o", "markersize": 4, **({"linestyle": "none"} if points else {}), **line_options}
        self.ax_, self.figure_ = ax, ax.figure
        self.reference_line_ = diagonal(ax) if ref_line else None
        (self.line_,) = ax.plot(curve["mean_proba"], curve["observed_rate"], **style)
        self.fold_lines_ = [self._fold_line(fold[fold["weight"] > 0]) for fold in self.fold_curves]
        self.bands_ = self._bands(curve, points) if bands else None
        self.histogram_ax_, self.histogram_ = self._histogram() if histogram and not points else (None, None)
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        ax.set_ylabel(self.ylabel, parse_math=False)
        (self.histogram_ax_ or ax).set_xlabel(self.xlabel, parse_math=False)
        self._legend(name)
        return self

    def _plot_panels(self, ax, max_panels, **options):
        classes = _panel_classes(self.curve, max_panels)
        axes = panel_axes(ax, len(classes))
        self.panels_ = []
        for (label, curve), panel in zip(classes, axes):
            display = ReliabilityDisplay(curve.drop(columns="class"), xlabel=self.xlabel, ylabel=self.ylabel)
            self.panels_.append(display.plot(panel, histogram=False, **options))
            plain_title(panel, label)
            panel.label_outer()
            if panel.get_legend() is not None:
                panel.get_legend().remove()
        first = self.panels_[0]
        self.ax_, self.figure_, self.line_, self.bands_ = first.ax_, first.figure_, first.line_, first.bands_
        self.reference_line_, self.fold_lines_ = first.reference_line_, []
        self.histogram_ax_ = self.histogram_ = None
        return self

    def _fold_line(self, curve: pd.DataFrame):
        style = {"color": self.line_.get_color(), "alpha": 0.35, "linewidth": 0.8, "zorder": 1.5}
        return self.ax_.plot(curve["mean_proba"], curve["observed_rate"], **style)[0]

    def _bands(self, curve: pd.DataFrame, points: bool):
        x, low, high = curve["mean_proba"], curve["rate_low"], curve["rate_high"]
        if points:
            return self.ax_.vlines(x, low, high, color=self.line_.get_color(), alpha=0.3, linewidth=1)
        return self.ax_.fill_between(x, low, high, color=self.line_.get_color(), alpha=0.2, linewidth=0)

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
            kind, _, text = str(line.get_gid() or "").partition(":")
            if kind == "perfectly-calibrated":
                handles.append(line)
                texts.append("Perfectly calibrated")
            elif kind == "reliability":
                handles.append(line)
                texts.append(text)
        if handles:
            plain_legend(self.ax_, handles, texts, loc="upper left")


def _panel_classes(curve: pd.DataFrame, max_panels: int) -> list[tuple[object, pd.DataFrame]]:
    """Class and curve of each panel, in the order of the classes."""
    codes = pd.factorize(curve["class"], use_na_sentinel=False)[0]
    panels = [curve[codes == k] for k in range(codes.max() + 1)]
    size = [float(np.nansum(panel["weight"] * panel["gap"].abs())) for panel in panels]
    largest = np.sort(np.argsort(-np.array(size), kind="stable")[:max_panels])
    return [(panels[k]["class"].iloc[0], panels[k]) for k in largest]
