"""How confident predictions are, beside how often they are right."""

from typing import Any

import numpy as np
import pandas as pd

from sksoft.displays.axes import one_axes, plain_legend, plain_title
from sksoft.displays.predictions import out_of_fold, predicted, rows_of
from sksoft.metrics import reliability_curve


class ConfidenceHistogramDisplay:
    """Histogram of the confidence of the predicted class, with its mean and the accuracy ([1]_, figure 1).

    Make it with :meth:`from_estimator`, :meth:`from_predictions` or :meth:`from_cv_results`; the constructor stores the
    curve of :func:`~sksoft.metrics.reliability_curve` with ``mode='confidence'``, and :meth:`plot` draws it.

    Parameters
    ----------
    curve : DataFrame
        Of :func:`~sksoft.metrics.reliability_curve`, of one event.
    name : str, optional
        The title, shown as it is.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    bars_ : matplotlib BarContainer
        Share of the weight in each bin.
    accuracy_line_, confidence_line_ : matplotlib Line2D
    accuracy_, mean_confidence_ : float

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017.

    Examples
    --------
    >>> from sksoft.displays import ConfidenceHistogramDisplay
    >>> display = ConfidenceHistogramDisplay.from_predictions([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.1], n_bins=4)
    >>> [float(bar.get_height()) for bar in display.bars_], display.accuracy_, display.mean_confidence_
    ([0.0, 0.0, 0.5, 0.5], 0.75, 0.75)
    """

    ax_: Any

    def __init__(self, curve: pd.DataFrame, *, name=None):
        if "class" in curve.columns:
            raise ValueError("The 'curve' parameter must hold one curve. Got a curve per class instead.")
        self.curve = curve
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, X, y, *, name=None, **options):
        """Draw the confidence of a fitted classifier.

        Parameters
        ----------
        estimator : fitted classifier or pipeline with `predict_proba`
        X : array-like (n, p)
        y : array-like (n,)
            True labels.
        name : str, optional
            The title; by default the class name of the estimator.
        **options
            As of :meth:`from_predictions`.

        Returns
        -------
        display : ConfidenceHistogramDisplay
        """
        name = type(estimator).__name__ if name is None else name
        return cls.from_predictions(y, predicted(estimator, X), labels=estimator.classes_, name=name, **options)

    @classmethod
    def from_cv_results(cls, cv_results, X, y, *, name=None, sample_weight=None, **options):
        """Draw the confidence of cross-validated predictions.

        Parameters
        ----------
        cv_results : dict
            Of scikit-learn's ``cross_validate`` with ``return_estimator=True`` and ``return_indices=True``.
        X, y
            The data that were cross-validated.
        name : str, optional
            The title; by default the class name of the estimators.
        sample_weight : array-like (n,), optional
            Of all rows.
        **options
            As of :meth:`from_predictions`.

        Returns
        -------
        display : ConfidenceHistogramDisplay
        """
        rows, proba, classes, _ = out_of_fold(cv_results, X, y)
        name = type(cv_results["estimator"][0]).__name__ if name is None else name
        known = {"labels": classes, "sample_weight": rows_of(sample_weight, rows), "name": name}
        return cls.from_predictions(np.asarray(y)[rows], proba, **known, **options)

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_proba,
        *,
        n_bins=15,
        sample_weight=None,
        labels=None,
        pos_label=None,
        name=None,
        ax=None,
        **bar_options,
    ):
        """Draw the confidence of predictions.

        Parameters
        ----------
        y_true, y_proba, n_bins, sample_weight, labels, pos_label
            As in :func:`~sksoft.metrics.reliability_curve`.
        name : str, optional
            The title.
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.
        **bar_options
            Of matplotlib's ``bar``.

        Returns
        -------
        display : ConfidenceHistogramDisplay
        """
        known = {"sample_weight": sample_weight, "labels": labels, "pos_label": pos_label}
        curve = reliability_curve(y_true, y_proba, n_bins=n_bins, mode="confidence", **known)
        return cls(curve, name=name).plot(ax=ax, **bar_options)

    def plot(self, ax=None, **bar_options):
        """Draw the histogram.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.
        **bar_options
            Of matplotlib's ``bar``.

        Returns
        -------
        self : ConfidenceHistogramDisplay
        """
        self.ax_ = ax = one_axes(ax)
        self.figure_ = ax.figure
        curve = self.curve
        share = curve["weight"] / curve["weight"].sum()
        self.accuracy_ = float((share * curve["observed_rate"]).sum())
        self.mean_confidence_ = float((share * curve["mean_proba"]).sum())
        width = curve["bin_high"] - curve["bin_low"]
        self.bars_ = ax.bar(curve["bin_low"], share, **{"width": width, "align": "edge", "alpha": 0.6, **bar_options})
        self.accuracy_line_ = ax.axvline(self.accuracy_, color="k", linestyle="-")
        self.confidence_line_ = ax.axvline(self.mean_confidence_, color="k", linestyle="--")
        texts = [f"Accuracy {self.accuracy_:.3f}", f"Mean confidence {self.mean_confidence_:.3f}"]
        plain_legend(ax, [self.accuracy_line_, self.confidence_line_], texts, loc="upper left")
        ax.set(xlabel="Confidence of the predicted class", ylabel="Share of predictions", xlim=(-0.02, 1.02))
        if self.name is not None:
            plain_title(ax, self.name)
        return self
