"""Metrics for fairlearn's ``MetricFrame``, which calls ``metric(y_true, y_pred, **sample_params)`` group by group.

A slice does not know what the whole knew: which classes there are, where bins lie that were cut at quantiles, what the
other rows look like. The metrics made here carry it along. They are plain callables with a ``__name__``; nothing of
fairlearn is imported.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from sksoft.kernels import bins
from sksoft.metrics.binned import inner_edges
from sksoft.metrics.calibration import check_choices
from sksoft.metrics.groups import cell_sums, check_whole, point_estimates
from sksoft.metrics.predictions import Predictions, check_predictions
from sksoft.metrics.resampling import p_values, resampled_errors, resampled_interval, rows_by_cell
from sksoft.metrics.sensitive import Level, Partition

# Columns of group_calibration that the rows of a group and sums of the others decide.
POINT_COLUMNS = (
    *("n", "effective_n", "accuracy", "mean_confidence", "over_confidence", "mean_score", "observed_rate"),
    *("negative_log_likelihood", "brier_score", "mean_entropy"),
    *("ece", "ece_debiased", "squared_error_debiased", "gap", "gap_p_value"),
)
RESAMPLED_COLUMNS = ("ece_low", "ece_high", "p_value")


def metric_for_groups(metric: Callable, *, labels, name=None, **options) -> "GroupMetric":
    """A metric that knows all classes, to be called on the rows of one group, as fairlearn's ``MetricFrame`` does.

    ``metric(y_true, y_pred, labels=labels, **options)``, so that a group in which a class does not occur is no error
    and no column changes its meaning. Bins cut at quantiles (``strategy='quantile'``) are each group's own here:
    :func:`group_calibration_metrics` carries those of all rows.

    Parameters
    ----------
    metric : callable
        Takes ``(y_true, y_proba, *, labels, ...)``: any metric of this package, or of scikit-learn with `labels`.
    labels : array-like (K,)
        Class of each column, in the order of the columns (an estimator's ``classes_``); for one-dimensional
        probabilities the negative and the positive label.
    name : str, optional
        Its ``__name__``, the heading of the column; by default that of `metric`.
    **options
        Further keyword arguments of `metric`, the same for all groups.

    Returns
    -------
    metric : GroupMetric
        Called as ``metric(y_true, y_pred, **sample_params)``.

    Raises
    ------
    TypeError
        If `metric` is not callable.

    See Also
    --------
    group_calibration_metrics : All columns of :func:`group_calibration` in this form, with bins of all rows.

    Examples
    --------
    >>> from sksoft.metrics import metric_for_groups, negative_log_likelihood
    >>> loss = metric_for_groups(negative_log_likelihood, labels=["a", "b", "c"])
    >>> loss.__name__, round(loss(["a", "b"], [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]), 4)
    ('negative_log_likelihood', 0.6931)
    """
    if not callable(metric):
        raise TypeError(f"The 'metric' parameter must be callable. Got {metric!r} instead.")
    found = name or getattr(metric, "__name__", None) or type(metric).__name__
    return GroupMetric(metric, {"labels": np.asarray(labels), **options}, found)


@dataclass(frozen=True)
class GroupMetric:
    """``metric(y_true, y_pred, **options, **sample_params)`` with a ``__name__``."""

    metric: Callable
    options: dict
    __name__: str

    def __call__(self, y_true, y_pred, **sample_params) -> Any:
        return self.metric(y_true, y_pred, **self.options, **sample_params)


def group_calibration_metrics(
    y_true,
    y_proba,
    *,
    n_bins=15,
    strategy="uniform",
    sample_weight=None,
    weight_type="sampling",
    labels=None,
    pos_label=None,
    n_resamples=0,
    confidence_level=0.95,
    random_state=None,
) -> dict[str, Callable]:
    """The columns of :func:`group_calibration` as metrics for fairlearn's ``MetricFrame``.

    Each is called with the rows of one group and gives what :func:`group_calibration` has in that column and row:
    classes, bins and the sums that "all other rows" need are those of the rows given here.

    Parameters
    ----------
    y_true, y_proba, n_bins, strategy, sample_weight, weight_type, labels, pos_label
        As in :func:`group_calibration`: all rows, the same that ``MetricFrame`` gets.
    n_resamples : int >= 0, default=0
        With draws, also ``ece_low``, ``ece_high`` and ``p_value``; each is drawn anew whenever it is called. Draws
        go by the position of a row in its group, so they are not those of :func:`group_calibration`.
    confidence_level, random_state
        As in :func:`group_calibration`.

    Returns
    -------
    metrics : dict of str to callable
        In the order of the columns. What depends on all groups at once (adjusted p-values, verdicts) is not here:
        :func:`group_calibration` has it, and has all columns in a fraction of the time.

    Raises
    ------
    ValueError
        For invalid labels, probabilities, weights or parameters.

    Notes
    -----
    With weights, pass them to ``MetricFrame`` too: ``sample_params={name: {"sample_weight": w} for name in metrics}``.
    O(n) time for each metric and each group.

    Examples
    --------
    ``MetricFrame(metrics=metrics, y_true=y, y_pred=proba, sensitive_features=sex).by_group`` is made of such calls:

    >>> import numpy as np
    >>> from sksoft.metrics import group_calibration, group_calibration_metrics
    >>> rng = np.random.default_rng(0)
    >>> proba, sex = rng.uniform(size=500), rng.choice(["f", "m"], size=500)
    >>> y = rng.uniform(size=500) < proba
    >>> metrics = group_calibration_metrics(y, proba, strategy="quantile")
    >>> table = group_calibration(y, proba, sex, strategy="quantile", n_resamples=0).set_index("group")
    >>> bool(np.isclose(metrics["ece"](y[sex == "f"], proba[sex == "f"]), table.loc["f", "ece"]))
    True
    """
    check_choices(n_bins=n_bins, strategy=strategy, weight_type=weight_type, confidence_level=confidence_level)
    check_whole("n_resamples", n_resamples, 0)
    predictions = check_predictions(
        y_true, y_proba, sample_weight=sample_weight, weight_type=weight_type, labels=labels, pos_label=pos_label
    )
    edges = inner_edges(predictions.event[0], n_bins, strategy, predictions.weights)
    whole = _Whole(
        classes=predictions.classes,
        edges=edges,
        sums=_table_and_sums(predictions, edges)[1],
        weight_type=weight_type,
        resampling=(n_resamples, confidence_level, int(check_random_state(random_state).randint(2**31))),
    )
    names = POINT_COLUMNS + (RESAMPLED_COLUMNS if n_resamples else ())
    return {name: ColumnMetric(name, whole) for name in names}


@dataclass(frozen=True)
class _Whole:
    """What a group must be told about all rows."""

    classes: np.ndarray
    edges: np.ndarray
    sums: dict[str, np.ndarray]
    weight_type: str
    resampling: tuple[int, float, int]

    def check(self, y_true, y_pred, sample_weight) -> Predictions:
        known = {"labels": self.classes} if len(self.classes) > 1 else {"pos_label": self.classes[0]}
        return check_predictions(y_true, y_pred, sample_weight=sample_weight, weight_type=self.weight_type, **known)

    def point(self, predictions: Predictions) -> dict[str, np.ndarray]:
        """Columns of one group; the second of two cells is all other rows."""
        table, sums = _table_and_sums(predictions, self.edges)
        rest = {name: self.sums[name] - sums[name] for name in sums}
        names = ["group"]
        if rest["rows"][0] > 0:
            names.append("rest")
            table = np.concatenate([table, np.zeros_like(table)], axis=1)
            sums = {name: np.concatenate([sums[name], rest[name]]) for name in sums}
        level = Level("group", "", names, np.arange(len(names)))
        return point_estimates(level, table, sums, self.weight_type)

    def resampled(self, predictions: Predictions) -> dict[str, np.ndarray]:
        """Interval and p-value of one group."""
        n_resamples, confidence_level, seed = self.resampling
        scores, hits = predictions.event
        partition = Partition(_one_cell(scores), 1, [Level("overall", "", ["overall"], np.zeros(1, dtype=np.intp))])
        rows = rows_by_cell(scores, hits, self.edges, predictions.weights, partition, self.weight_type)
        table, _ = _table_and_sums(predictions, self.edges)
        resampled = resampled_errors(rows, table, partition.levels, n_resamples, seed)
        error = self.point(predictions)["ece"][:1]
        p_value = p_values(error, resampled.null)
        low, high = resampled_interval(error, resampled, p_value, confidence_level)
        return {"ece_low": low, "ece_high": high, "p_value": p_value}


@dataclass(frozen=True)
class ColumnMetric:
    """One column of :func:`group_calibration`, computed from the rows of one group."""

    column: str
    whole: _Whole = field(repr=False)

    @property
    def __name__(self) -> str:
        return self.column

    def __call__(self, y_true, y_pred, sample_weight=None) -> float:
        predictions = self.whole.check(y_true, y_pred, sample_weight)
        compute = self.whole.resampled if self.column in RESAMPLED_COLUMNS else self.whole.point
        return compute(predictions)[self.column][0].item()


def _one_cell(scores) -> np.ndarray:
    return np.zeros(len(scores), dtype=np.intp)


def _table_and_sums(predictions: Predictions, edges) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Sums per bin (5, 1, n_bins), and sums over all rows by name, (1,)."""
    scores, hits = predictions.event
    table = bins.bin_sums(scores, hits, edges, weights=predictions.weights)
    return table, cell_sums(predictions, table, _one_cell(scores))
