"""Groups side by side: calibration error of each with its interval, a forest plot."""

from typing import Any

import numpy as np
import pandas as pd

from sksoft._validation import take_rows
from sksoft.displays.axes import plain_legend, pyplot, shown
from sksoft.displays.predictions import out_of_fold, predicted, rows_of
from sksoft.metrics import group_calibration
from sksoft.metrics.groups import INSUFFICIENT, MISCALIBRATED, NOT_REJECTED, NOT_TESTED

# verdict -> colour and marker: told apart without colours too
STYLES = {
    MISCALIBRATED: ("#c0392b", "D"),
    NOT_REJECTED: ("#2c6fad", "o"),
    NOT_TESTED: ("#444444", "s"),
    INSUFFICIENT: ("#aaaaaa", "x"),
}


class GroupCalibrationDisplay:
    """Forest plot of the calibration of groups: debiased error, interval, verdict.

    Make it with :meth:`from_estimator`, :meth:`from_predictions` or :meth:`from_cv_results`; the constructor stores the
    table of :func:`~sksoft.metrics.group_calibration`, and :meth:`plot` draws it. Groups too small to be judged are
    grey and have no interval.

    Parameters
    ----------
    table : DataFrame
        Of :func:`~sksoft.metrics.group_calibration`.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    points_ : dict of str to matplotlib Line2D
        Debiased errors (``ece_debiased``) of the groups with each verdict that occurs.
    intervals_ : matplotlib LineCollection
        From ``ece_low`` to ``ece_high``, of the groups that have one.
    overall_line_ : matplotlib Line2D
        Debiased error of all rows.
    counts_ : list of matplotlib Text
        Rows of each group, at the right.

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft.displays import GroupCalibrationDisplay
    >>> rng = np.random.default_rng(0)
    >>> proba, sex = rng.uniform(size=500), rng.choice(["f", "m"], size=500)
    >>> y = rng.uniform(size=500) < proba
    >>> display = GroupCalibrationDisplay.from_predictions(y, proba, sex, random_state=0)
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['overall', 'f', 'm']
    """

    ax_: Any

    def __init__(self, table: pd.DataFrame):
        self.table = table

    @classmethod
    def from_estimator(cls, estimator, X, y, sensitive_features, *, pos_label=None, **options):
        """Draw the calibration by group of a fitted classifier.

        Parameters
        ----------
        estimator : fitted classifier or pipeline with `predict_proba`
        X : array-like (n, p)
        y : array-like (n,)
            True labels.
        sensitive_features
            As in :func:`~sksoft.metrics.group_calibration`.
        pos_label : label, optional
            Of two classes that whose probability is judged; by default the second.
        **options
            As of :meth:`from_predictions`.

        Returns
        -------
        display : GroupCalibrationDisplay
        """
        proba, known = _judged(predicted(estimator, X), estimator.classes_, pos_label)
        return cls.from_predictions(y, proba, sensitive_features, **known, **options)

    @classmethod
    def from_cv_results(cls, cv_results, X, y, sensitive_features, *, pos_label=None, sample_weight=None, **options):
        """Draw the calibration by group of cross-validated predictions.

        Parameters
        ----------
        cv_results : dict
            Of scikit-learn's ``cross_validate`` with ``return_estimator=True`` and ``return_indices=True``.
        X, y
            The data that were cross-validated.
        sensitive_features : Series, DataFrame, dict of arrays, or array-like (n,) or (n, n_features)
            Of all rows.
        pos_label
            As in :meth:`from_estimator`.
        sample_weight : array-like (n,), optional
            Of all rows.
        **options
            As of :meth:`from_predictions`.

        Returns
        -------
        display : GroupCalibrationDisplay
        """
        rows, proba, classes, _ = out_of_fold(cv_results, X, y)
        proba, known = _judged(proba, classes, pos_label)
        if isinstance(sensitive_features, dict):
            features = {name: take_rows(values, rows) for name, values in sensitive_features.items()}
        else:
            features = take_rows(sensitive_features, rows)
        weights = rows_of(sample_weight, rows)
        return cls.from_predictions(np.asarray(y)[rows], proba, features, sample_weight=weights, **known, **options)

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_proba,
        sensitive_features,
        *,
        n_bins=15,
        strategy="uniform",
        sample_weight=None,
        weight_type="sampling",
        labels=None,
        pos_label=None,
        min_group_size=50,
        n_resamples=999,
        confidence_level=0.95,
        random_state=None,
        ax=None,
        **plot_options,
    ):
        """Draw the calibration by group of predictions.

        Parameters
        ----------
        y_true, y_proba, sensitive_features
            As in :func:`~sksoft.metrics.group_calibration`.
        n_bins, strategy, sample_weight, weight_type, labels, pos_label
            As in :func:`~sksoft.metrics.group_calibration`.
        min_group_size, n_resamples, confidence_level, random_state
            As in :func:`~sksoft.metrics.group_calibration`.
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.
        **plot_options
            As of :meth:`plot`.

        Returns
        -------
        display : GroupCalibrationDisplay
        """
        table = group_calibration(
            y_true,
            y_proba,
            sensitive_features,
            n_bins=n_bins,
            strategy=strategy,
            sample_weight=sample_weight,
            weight_type=weight_type,
            labels=labels,
            pos_label=pos_label,
            min_group_size=min_group_size,
            n_resamples=n_resamples,
            confidence_level=confidence_level,
            random_state=random_state,
        )
        return cls(table).plot(ax=ax, **plot_options)

    def plot(self, ax=None, *, max_groups=60):
        """Draw the plot, the first group on top.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.
        max_groups : int, default=60
            Of more groups, the first are shown, in the order of the table.

        Returns
        -------
        self : GroupCalibrationDisplay
        """
        table = self.table.head(max_groups)
        if ax is None:
            ax = pyplot().subplots(figsize=(6.4, 1.2 + 0.28 * len(table)), layout="constrained")[1]
        self.ax_, self.figure_ = ax, ax.figure
        place, error = np.arange(len(table)), table["ece_debiased"].to_numpy()
        known = table["ece_low"].notna().to_numpy()
        colors = [STYLES[verdict][0] for verdict in table["verdict"][known]]
        ends = table.loc[known, "ece_low"], table.loc[known, "ece_high"]
        self.intervals_ = ax.hlines(place[known], *ends, colors=colors, linewidth=1.5)
        self.overall_line_ = ax.axvline(self.table["ece_debiased"].iloc[0], color="k", linestyle=":", linewidth=1)
        self.points_ = {}
        for verdict, (color, marker) in STYLES.items():
            chosen = (table["verdict"] == verdict).to_numpy()
            if chosen.any():
                style = {"color": color, "marker": marker, "linestyle": "none"}
                (self.points_[verdict],) = ax.plot(error[chosen], place[chosen], **style)
        self._name_groups(table, place)
        ax.set_xlabel("Calibration error (debiased), interval")
        ax.set_xlim(left=min(0.0, ax.get_xlim()[0]))
        above = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 2, "fontsize": "small"}
        plain_legend(ax, [*self.points_.values(), self.overall_line_], [*self.points_, "all rows"], **above)
        return self

    def _name_groups(self, table: pd.DataFrame, place):
        several = table.loc[table["level"] == "group", "feature"].nunique() > 1
        labels = [
            shown(f"{feature} = {group}" if several and level == "group" else group)
            for level, feature, group in zip(table["level"], table["feature"], table["group"])
        ]
        self.ax_.set_yticks(place, labels, parse_math=False)
        # Beside the plot and not in the label, where a script that runs from right to left would turn it around.
        beside = {"transform": self.ax_.get_yaxis_transform(), "va": "center", "fontsize": "small"}
        self.counts_ = [self.ax_.text(1.01, y, f"{n}", **beside) for y, n in zip(place, table["n"])]
        for label, verdict in zip(self.ax_.get_yticklabels(), table["verdict"]):
            if verdict == INSUFFICIENT:
                label.set_color(STYLES[INSUFFICIENT][0])
        self.ax_.set_ylim(len(table) - 0.5, -0.5)


def _judged(proba, classes, pos_label) -> tuple[np.ndarray, dict]:
    """Two columns are judged by that of the positive class."""
    if len(classes) > 2:
        return proba, {"labels": classes}
    names = list(classes)
    positive = names[1] if pos_label is None else pos_label
    if positive not in names:
        raise ValueError(f"pos_label={pos_label!r} is not a valid label: it should be one of {names}.")
    return proba[:, names.index(positive)], {"labels": classes, "pos_label": positive}
