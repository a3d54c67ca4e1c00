"""Three classes on a triangle: arrows from what was predicted to what happened."""

from typing import Any

import numpy as np
import pandas as pd

from sksoft.displays.axes import one_axes, plain_title, shown
from sksoft.displays.predictions import out_of_fold, predicted, rows_of
from sksoft.metrics import canonical_curve

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])


class SimplexDisplay:
    """Calibration of whole probability vectors of three classes ([1]_, figure 1).

    An arrow for each bin of the simplex leads from the mean predicted vector to the observed class frequencies: where
    predictions are calibrated, arrows are short and point anywhere. For more classes see
    ``ReliabilityDisplay.from_predictions(..., mode='canonical')``.

    Make it with :meth:`from_estimator`, :meth:`from_predictions` or :meth:`from_cv_results`; the constructor stores
    what :func:`~sksoft.metrics.canonical_curve` returned, and :meth:`plot` draws it.

    Parameters
    ----------
    curve : DataFrame
        Of :func:`~sksoft.metrics.canonical_curve`, of three classes.
    name : str, optional
        The title, shown as it is.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    arrows_ : matplotlib Quiver
    points_ : matplotlib PathCollection
        Mean predictions, the area proportional to the weight of the bin.
    corners_ : list of matplotlib Text
        Names of the classes.

    References
    ----------
    .. [1] J. Vaicenavicius et al., "Evaluating model calibration in classification", AISTATS 2019.

    Examples
    --------
    >>> from sksoft.displays import SimplexDisplay
    >>> display = SimplexDisplay.from_predictions(["a", "b", "c"], [[0.6, 0.2, 0.2]] * 3)
    >>> display.arrows_.U.round(3).tolist(), display.arrows_.V.round(3).tolist()
    ([0.2], [0.115])
    """

    ax_: Any

    def __init__(self, curve: pd.DataFrame, *, name=None):
        n_classes = len(curve) // max(curve["bin"].nunique(), 1)
        if n_classes != 3:
            raise ValueError(
                "The 'curve' parameter must be of three classes: for others use ReliabilityDisplay with "
                f"mode='canonical'. Got {n_classes} classes instead."
            )
        self.curve = curve
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, X, y, *, name=None, **options):
        """Draw the calibration of a fitted classifier.

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
        display : SimplexDisplay
        """
        name = type(estimator).__name__ if name is None else name
        return cls.from_predictions(y, predicted(estimator, X), labels=estimator.classes_, name=name, **options)

    @classmethod
    def from_cv_results(cls, cv_results, X, y, *, name=None, sample_weight=None, **options):
        """Draw the calibration of cross-validated predictions, those of all test rows together.

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
        display : SimplexDisplay
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
        n_bins=10,
        strategy="dynamic",
        min_weight=100,
        sample_weight=None,
        labels=None,
        name=None,
        ax=None,
        **arrow_options,
    ):
        """Draw the calibration of predictions.

        Parameters
        ----------
        y_true, y_proba, n_bins, strategy, min_weight, sample_weight, labels
            As in :func:`~sksoft.metrics.canonical_curve`.
        name : str, optional
            The title.
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.
        **arrow_options
            Of matplotlib's ``quiver``.

        Returns
        -------
        display : SimplexDisplay
        """
        bins = {"n_bins": n_bins, "strategy": strategy, "min_weight": min_weight}
        curve = canonical_curve(y_true, y_proba, sample_weight=sample_weight, labels=labels, **bins)
        return cls(curve, name=name).plot(ax=ax, **arrow_options)

    def plot(self, ax=None, **arrow_options):
        """Draw the triangle.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.
        **arrow_options
            Of matplotlib's ``quiver``.

        Returns
        -------
        self : SimplexDisplay
        """
        self.ax_ = ax = one_axes(ax)
        self.figure_ = ax.figure
        n_bins = len(self.curve) // 3
        vectors = self.curve[["mean_proba", "observed_rate"]].to_numpy().reshape(3, n_bins, 2)
        start, end = vectors[..., 0].T @ CORNERS, vectors[..., 1].T @ CORNERS
        weight = self.curve["weight"].to_numpy()[:n_bins]
        ax.fill(*CORNERS.T, fill=False, edgecolor="k", linewidth=1)
        self.points_ = ax.scatter(*start.T, s=120 * weight / weight.max(), color="C0", alpha=0.4, linewidths=0)
        style = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.005, "color": "C0", **arrow_options}
        self.arrows_ = ax.quiver(*start.T, *(end - start).T, **style)
        self.corners_ = self._name_corners()
        ax.set(aspect="equal", xlim=(-0.1, 1.1), ylim=(-0.1, 1.0))
        ax.set_axis_off()
        if self.name is not None:
            plain_title(ax, self.name)
        return self

    def _name_corners(self) -> list:
        labels = self.curve["class"].to_numpy()[:: len(self.curve) // 3]
        places = [(0, -0.03, "left", "top"), (1, -0.03, "right", "top"), (0.5, 0.89, "center", "bottom")]
        return [
            self.ax_.text(x, y, shown(label), ha=ha, va=va, parse_math=False)
            for label, (x, y, ha, va) in zip(labels, places)
        ]
