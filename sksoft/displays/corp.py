"""The CORP reliability diagram: isotonic regression, its consistency band, and the parts of the Brier score."""

from typing import Any

import numpy as np

from sksoft.displays.axes import diagonal, one_axes, plain_legend
from sksoft.displays.predictions import judged_mode, out_of_fold, predicted, rows_of
from sksoft.metrics import corp_curve
from sksoft.metrics.corp import CorpCurve


class CORPDisplay:
    """CORP reliability diagram [1]_: no bins to choose, and a band in which a calibrated curve would run.

    Make it with :meth:`from_estimator`, :meth:`from_predictions` or :meth:`from_cv_results`; the constructor stores
    what :func:`~sksoft.metrics.corp_curve` returned, and :meth:`plot` draws it.

    Parameters
    ----------
    curve : CorpCurve
    name : str, optional
        Shown in the legend, as it is: never read as mathematics.
    xlabel, ylabel : str
        Names of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D
        The curve, constant on its blocks.
    band_ : matplotlib PolyCollection or None
        Consistency band.
    reference_line_ : matplotlib Line2D or None
        Perfect calibration.
    text_ : matplotlib Text or None
        Miscalibration, discrimination and uncertainty of the Brier score.

    References
    ----------
    .. [1] T. Dimitriadis, T. Gneiting, A. I. Jordan, "Stable reliability diagrams for probabilistic classifiers", PNAS
       118 (2021).

    Examples
    --------
    >>> from sksoft.displays import CORPDisplay
    >>> display = CORPDisplay.from_predictions([0, 1, 0, 1, 1], [0.1, 0.3, 0.4, 0.7, 0.9], n_resamples=0)
    >>> display.line_.get_xydata().round(2).tolist()
    [[0.1, 0.0], [0.1, 0.0], [0.3, 0.5], [0.4, 0.5], [0.7, 1.0], [0.9, 1.0]]
    """

    ax_: Any
    band_: Any
    text_: Any

    def __init__(
        self, curve: CorpCurve, *, name=None, xlabel="Predicted probability", ylabel="Recalibrated probability"
    ):
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
            ``'auto'`` is ``'binary'`` for two classes or with a `pos_label`, else ``'confidence'``.
        pos_label : label, optional
            The positive class of ``mode='binary'``; by default the second of two.
        **options
            As of :meth:`from_predictions`.

        Returns
        -------
        display : CORPDisplay
        """
        proba = predicted(estimator, X)
        known = {"mode": judged_mode(mode, proba.shape[1], pos_label), "pos_label": pos_label}
        name = type(estimator).__name__ if name is None else name
        return cls.from_predictions(y, proba, labels=estimator.classes_, name=name, **known, **options)

    @classmethod
    def from_cv_results(
        cls, cv_results, X, y, *, name=None, mode="auto", pos_label=None, sample_weight=None, **options
    ):
        """Draw the reliability of cross-validated predictions, those of all test rows together.

        Parameters
        ----------
        cv_results : dict
            Of scikit-learn's ``cross_validate`` with ``return_estimator=True`` and ``return_indices=True``.
        X, y
            The data that were cross-validated.
        name, mode, pos_label
            As in :meth:`from_estimator`.
        sample_weight : array-like (n,), optional
            Of all rows.
        **options
            As of :meth:`from_predictions`.

        Returns
        -------
        display : CORPDisplay
        """
        rows, proba, classes, _ = out_of_fold(cv_results, X, y)
        known = {"mode": judged_mode(mode, len(classes), pos_label), "pos_label": pos_label, "labels": classes}
        name = type(cv_results["estimator"][0]).__name__ if name is None else name
        weights = rows_of(sample_weight, rows)
        return cls.from_predictions(np.asarray(y)[rows], proba, name=name, sample_weight=weights, **known, **options)

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_proba,
        *,
        mode="auto",
        sample_weight=None,
        weight_type="sampling",
        labels=None,
        pos_label=None,
        n_resamples=499,
        confidence_level=0.9,
        random_state=None,
        name=None,
        ax=None,
        **plot_options,
    ):
        """Draw the reliability of predictions.

        Parameters
        ----------
        y_true, y_proba, mode, sample_weight, weight_type, labels, pos_label
            As in :func:`~sksoft.metrics.corp_curve`.
        n_resamples, confidence_level, random_state
            Of the consistency band, as in :func:`~sksoft.metrics.corp_curve`.
        name : str, optional
            Shown in the legend.
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.
        **plot_options
            As of :meth:`plot`.

        Returns
        -------
        display : CORPDisplay
        """
        curve = corp_curve(
            y_true,
            y_proba,
            mode=mode,
            sample_weight=sample_weight,
            weight_type=weight_type,
            labels=labels,
            pos_label=pos_label,
            n_resamples=n_resamples,
            confidence_level=confidence_level,
            random_state=random_state,
        )
        if mode == "confidence" or (mode == "auto" and np.ndim(y_proba) != 1):
            texts = {"xlabel": "Confidence of the predicted class", "ylabel": "Recalibrated confidence"}
        else:
            of_class = "" if pos_label is None else f" of class {pos_label}"
            texts = {"xlabel": f"Predicted probability{of_class}", "ylabel": f"Recalibrated probability{of_class}"}
        return cls(curve, name=name, **texts).plot(ax=ax, **plot_options)

    def plot(self, ax=None, *, name=None, ref_line=True, band=True, decomposition=True, **line_options):
        """Draw the diagram.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.
        name : str, optional
            Shown in the legend instead of that given before.
        ref_line, band, decomposition : bool, default=True
            Whether to draw the diagonal and the consistency band, and to write the parts of the Brier score.
        **line_options
            Of matplotlib's ``plot``.

        Returns
        -------
        self : CORPDisplay
        """
        self.ax_ = ax = one_axes(ax)
        self.figure_ = ax.figure
        blocks = self.curve.blocks
        x = blocks[["score_low", "score_high"]].to_numpy().ravel()
        (self.line_,) = ax.plot(x, np.repeat(blocks["observed_rate"].to_numpy(), 2), **line_options)
        self.reference_line_ = diagonal(ax) if ref_line else None
        self.band_ = self._band() if band and len(self.curve.band) else None
        self.text_ = self._decomposition() if decomposition else None
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        ax.set_xlabel(self.xlabel, parse_math=False)
        ax.set_ylabel(self.ylabel, parse_math=False)
        self._legend(self.name if name is None else name)
        return self

    def _band(self):
        band, color = self.curve.band, self.line_.get_color()
        return self.ax_.fill_between(band["score"], band["low"], band["high"], color=color, alpha=0.2, linewidth=0)

    def _decomposition(self):
        parts = self.curve.decomposition
        text = f"MCB {parts.miscalibration:.4f}\nDSC {parts.discrimination:.4f}\nUNC {parts.uncertainty:.4f}"
        return self.ax_.text(
            0.97, 0.03, text, transform=self.ax_.transAxes, ha="right", va="bottom", family="monospace"
        )

    def _legend(self, name):
        handles = [self.line_]
        texts = ["Isotonic regression" if name is None else str(name)]
        if self.band_ is not None:
            handles.append(self.band_)
            texts.append(f"{100 * self.curve.confidence_level:g} % of curves if calibrated")
        plain_legend(self.ax_, handles, texts, loc="upper left")
