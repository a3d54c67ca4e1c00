"""Everything about the calibration of a set of predictions in one table: errors, intervals, terms, tests and groups."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtri

from sksoft.metrics.calibration import check_choices
from sksoft.metrics.cox import CoxCalibration, cox_calibration
from sksoft.metrics.cumulative import cumulative_statistics
from sksoft.metrics.decompositions import brier_decomposition, log_loss_decomposition
from sksoft.metrics.drawn_intervals import event_intervals, kernel_interval
from sksoft.metrics.events import Event, events
from sksoft.metrics.fairness import group_disparities
from sksoft.metrics.families_of_tests import ADJUSTMENTS, adjusted, noted, sizes
from sksoft.metrics.groups import check_whole, group_calibration, mean_moments
from sksoft.metrics.hypothesis_tests import METHODS, calibration_test
from sksoft.metrics.intervals import MetricInterval, calibration_error_interval
from sksoft.metrics.kernel_error import residual_rows
from sksoft.metrics.predictions import Predictions, check_predictions
from sksoft.metrics.scores import entropies, log_losses, squared_errors
from sksoft.metrics.smooth import smooth_error_of
from sksoft.metrics.sweep import sweep_sums

# Rows squared times columns up to which the kernel error and its test take all pairs; beyond, pairs of neighbours only.
MOST_CELLS_IN_PAIRS = 10_000_000

# Draws at most for the intervals of binned errors after the first two, and of errors that are no sums over bins.
MOST_DRAWS_OF_BINS, MOST_DRAWS = 199, 99

UNKNOWN = MetricInterval(float("nan"), float("nan"), float("nan"))

COLUMNS = ("section", "measure", "unit", "value", "low", "high", "pvalue", "pvalue_adjusted", "note")
HEADINGS = {
    "score": "Scores",
    "calibration error": "Calibration errors",
    "decomposition": "Decomposition: score = miscalibration - discrimination + uncertainty",
    "recalibration": "Calibration slope and intercept",
    "test": "Tests of calibration",
}


@dataclass(frozen=True)
class CalibrationReport:
    """What :func:`calibration_report` found; printed, it is a text.

    Attributes
    ----------
    table : DataFrame
        A row a measure: ``section`` ('score', 'calibration error', 'decomposition', 'recalibration', 'test'),
        ``measure``, ``unit``, ``value``, ``low``, ``high``, ``pvalue``, ``pvalue_adjusted``, ``note``.
    groups : DataFrame or None
        :func:`group_calibration`.
    disparities : DataFrame or None
        :func:`group_disparities`.
    n : int
        Rows that weigh anything; with frequency weights their number of repetitions.
    effective_n : float
    classes : tuple
        Labels of the columns.
    confidence_level : float
    """

    table: pd.DataFrame
    groups: pd.DataFrame | None
    disparities: pd.DataFrame | None
    n: int
    effective_n: float
    classes: tuple
    confidence_level: float

    def __str__(self) -> str:
        size = f"{self.n} rows" + ("" if self.effective_n == self.n else f" (effective {self.effective_n:.0f})")
        lines = [f"Calibration report: {size}, {max(len(self.classes), 2)} classes"]
        for section, heading in HEADINGS.items():
            rows = self.table[self.table["section"] == section]
            lines += ["", heading]
            lines += [_line(row) for row in rows.to_dict("records")]
        if self.groups is not None:
            shown = ["level", "feature", "group", "n", "observed_rate", "mean_score", "ece_debiased"]
            table = self.groups[[*shown, "p_value_adjusted", "verdict"]]
            lines += ["", "Groups", table.to_string(index=False, float_format=lambda value: f"{value:.3g}")]
        return "\n".join(lines)


def calibration_report(
    y_true,
    y_proba,
    *,
    sensitive_features=None,
    tests=("bootstrap", "skce", "spiegelhalter", "cox", "cumulative"),
    adjust="holm",
    n_bins=15,
    strategy="uniform",
    min_group_size=50,
    n_resamples=999,
    confidence_level=0.95,
    sample_weight=None,
    weight_type="sampling",
    labels=None,
    pos_label=None,
    random_state=None,
) -> CalibrationReport:
    """Scores, calibration errors, decompositions, slope and intercept, tests and groups of a set of predictions.

    Parameters
    ----------
    y_true : array-like (n,)
        True labels of any type.
    y_proba : array-like (n, K) or (n,)
        Class probabilities, rows summing to 1; or the probability of the positive class.
    sensitive_features : Series, DataFrame, dict of arrays, or array-like (n,) or (n, n_features), optional
        Adds the tables of groups.
    tests : sequence of str, default=('bootstrap', 'skce', 'spiegelhalter', 'cox', 'cumulative')
        Methods of :func:`calibration_test`, each in its default mode; ``'bootstrap'`` of several columns also for the
        probabilities of each class.
    adjust : {'holm', 'bh', 'none'}, default='holm'
        How the p-values of these tests are adjusted for their number.
    n_bins, strategy
        As in :func:`expected_calibration_error`.
    min_group_size : int >= 2, default=50
        As in :func:`group_calibration`.
    n_resamples : int >= 1, default=999
        Draws of intervals and tests.
    confidence_level : float in (0, 1), default=0.95
    sample_weight : array-like (n,), optional
    weight_type : {'sampling', 'frequency'}, default='sampling'
        What weights mean for debiasing, intervals and tests.
    labels, pos_label
        As in :func:`expected_calibration_error`.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    report : CalibrationReport
        ``table``, ``groups``, ``disparities``; ``print(report)`` shows them.

    Raises
    ------
    ValueError
        For invalid labels, probabilities, weights, groups or parameters. A measure that is not defined for these
        predictions, as the slope where only one class occurs, is NaN with a note that says why.

    Notes
    -----
    Intervals: normal for means over rows; Wald's for slope and intercept; those of :func:`calibration_error_interval`
    for binned errors, of at most 199 draws after the first two. Errors that are no sums over bins (monotone sweep,
    smooth, KS, Kuiper) have a bootstrap interval of at most 99 draws, whose low end makes room for the error that
    outcomes drawn with the predicted probabilities have. The kernel error takes all pairs where n² times the number of
    columns is at most 10⁷, with a bootstrap interval (99 draws), and the pairs of rows (1, 2), (3, 4), … beyond, with a
    normal one; its note says which. Cost: O(n (K² + log n) + n B + n K min(B, 199)), 6 s for 100 000 rows of 10 classes
    in 4 groups.

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft.metrics import calibration_report
    >>> rng = np.random.default_rng(0)
    >>> proba = rng.uniform(size=2000)
    >>> y = (rng.uniform(size=2000) < proba**2).astype(int)
    >>> report = calibration_report(y, proba, random_state=0)
    >>> table = report.table.set_index("measure")
    >>> print(round(table.loc["slope", "value"], 2), table.loc["bootstrap", "pvalue_adjusted"])
    1.32 0.003
    """
    check_choices(n_bins=n_bins, strategy=strategy, weight_type=weight_type, confidence_level=confidence_level)
    check_whole("min_group_size", min_group_size, 2)
    check_whole("n_resamples", n_resamples, 1)
    for name, values, choices in (("tests", tests, tuple(METHODS)), ("adjust", [adjust], ADJUSTMENTS)):
        for value in values:
            if value not in choices:
                raise ValueError(f"The {name!r} parameter takes {choices}. Got {value!r} instead.")
    predictions = check_predictions(
        y_true, y_proba, sample_weight=sample_weight, weight_type=weight_type, labels=labels, pos_label=pos_label
    )
    common = {"sample_weight": sample_weight, "labels": labels, "pos_label": pos_label}
    inferring = common | {"weight_type": weight_type}
    binned = {"n_bins": n_bins, "strategy": strategy}
    drawing = {"n_resamples": n_resamples, "random_state": random_state}
    data = (y_true, y_proba)
    rows = [
        *_scores(predictions, weight_type, confidence_level),
        *_errors(data, predictions, binned, inferring, drawing | {"confidence_level": confidence_level}),
        *_terms(data, common),
        *_slope_and_intercept(data, inferring, confidence_level),
        *_tests(data, predictions, tests, binned | inferring | drawing),
    ]
    table = pd.DataFrame([row._asdict() for row in rows])
    table["pvalue_adjusted"] = adjusted(table["pvalue"], adjust)
    groups = disparities = None
    if sensitive_features is not None:
        options = binned | inferring | drawing
        options |= {"min_group_size": min_group_size, "confidence_level": confidence_level}
        groups = group_calibration(*data, sensitive_features, **options)
        disparities = group_disparities(*data, sensitive_features, **options)
    classes = tuple(predictions.classes.tolist())
    size = sizes(predictions, weight_type)
    return CalibrationReport(
        table[list(COLUMNS)], groups, disparities, classes=classes, confidence_level=confidence_level, **size
    )


class _Row(NamedTuple):
    """A row of the table; what it does not have is NaN."""

    section: str
    measure: str
    unit: str = ""
    value: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    pvalue: float = float("nan")
    note: str = ""


def _scores(predictions: Predictions, weight_type: str, confidence_level: float) -> Iterator[_Row]:
    """Means over rows with normal intervals."""
    top_codes, confidence = predictions.top_label
    correct = (top_codes == predictions.codes).astype(np.float64)
    of_rows = {
        "accuracy": ("share", correct),
        "mean confidence": ("probability", confidence),
        "over-confidence": ("probability", confidence - correct),
        "negative log-likelihood": ("nats", log_losses(predictions)),
        "Brier score": ("0 to 1" if predictions.is_binary else "0 to 2", squared_errors(predictions)),
        "entropy": ("nats", entropies(predictions.proba)),
    }
    weights = np.ones(len(correct)) if predictions.weights is None else predictions.weights
    if weight_type != "frequency":
        weights = weights / weights.max()
    z = ndtri(0.5 + confidence_level / 2)
    for measure, (unit, values) in of_rows.items():
        sums = {"w": weights.sum(), "w²": weights @ weights, "rows": len(values), "r": weights @ values}
        sums |= {"r²": weights @ values**2, "w²r": weights**2 @ values, "w²r²": weights**2 @ values**2}
        sums = {name: np.atleast_1d(total) for name, total in sums.items()}
        with np.errstate(invalid="ignore"):  # an infinite loss has no variance
            variance = mean_moments(sums, weight_type == "frequency")[1]
        value, half = predictions.mean(values), z * float(np.sqrt(variance[0]))
        yield _Row("score", measure, unit, value, value - half, value + half)


def _errors(data, predictions: Predictions, binned, inferring, drawing) -> Iterator[_Row]:
    """Calibration errors of all kinds."""
    several = not predictions.is_binary

    def row(measure, metric: Callable, **options) -> _Row:
        return _error_row(measure, *noted(lambda: metric(*data, **options), UNKNOWN))

    event = "confidence" if several else "binary"
    yield row(f"ECE, {event}", calibration_error_interval, **binned, **inferring, **drawing)
    squared = {"norm": "l2", "debias": True}
    yield row("root mean square, debiased", calibration_error_interval, **squared, **binned, **inferring, **drawing)
    drawing = drawing | {"n_resamples": min(drawing["n_resamples"], MOST_DRAWS_OF_BINS)}
    others = {"maximum": {"norm": "max"}, "ECE, equal mass": {"strategy": "quantile"}}
    others |= {"ECE, class-wise": {"mode": "classwise"}, "ECE, top label": {"mode": "top_label"}} if several else {}
    for measure, options in others.items():
        yield row(measure, calibration_error_interval, **(binned | options), **inferring, **drawing)
    drawing = drawing | {
        "n_resamples": min(drawing["n_resamples"], MOST_DRAWS),
        "weight_type": inferring["weight_type"],
    }
    (found,) = events(predictions, "auto")
    names = ("ECE, monotone sweep", "smooth ECE", "KS", "Kuiper")
    for measure, interval in zip(names, event_intervals(_unbinned, found, **drawing)):
        yield _error_row(measure, interval)
    estimator, weight_type = _estimator(predictions), drawing.pop("weight_type")
    (rows,) = residual_rows(predictions, "auto")
    drawing |= {"estimator": estimator, "frequency": weight_type == "frequency"}
    interval, said = noted(lambda: kernel_interval(rows, **drawing), UNKNOWN)
    yield _error_row("squared kernel error", interval, said or f"estimator={estimator!r}", "probability²")


def _error_row(measure: str, interval: MetricInterval, note="", unit="probability") -> _Row:
    estimate, low, high = interval
    return _Row("calibration error", measure, unit, estimate, low, high, note=note)


def _unbinned(scores, hits, weights) -> tuple[float, float, float, float]:
    """Monotone sweep, smooth, KS and Kuiper errors."""
    event = Event(1.0, scores, hits, weights)
    walk = cumulative_statistics(scores, hits, weights)
    return float(sweep_sums(event).error("l1")), smooth_error_of(event), walk.ks, walk.kuiper


def _estimator(predictions: Predictions) -> str:
    n_columns = 1 if predictions.is_binary else predictions.proba.shape[1]
    return "unbiased" if len(predictions.codes) ** 2 * n_columns <= MOST_CELLS_IN_PAIRS else "linear"


def _terms(data, common) -> Iterator[_Row]:
    """Terms of the decompositions."""
    for name, unit, decomposition in (
        ("Brier score", "0 to 2" if np.ndim(data[1]) == 2 else "0 to 1", brier_decomposition),
        ("log-loss", "nats", log_loss_decomposition),
    ):
        found, said = noted(lambda decomposition=decomposition: decomposition(*data, **common), None)
        for term in ("miscalibration", "discrimination", "uncertainty"):
            value = float("nan") if found is None else getattr(found, term)
            note = said if found is None else f"method={found.method!r}"
            yield _Row("decomposition", f"{name}: {term}", unit, value, note=note)


def _slope_and_intercept(data, inferring, confidence_level: float) -> Iterator[_Row]:
    """Cox's slope, and of two classes the intercept, with Wald's intervals."""
    found: CoxCalibration | None
    found, said = noted(lambda: cox_calibration(*data, **inferring), None)
    if found is None:
        yield _Row("recalibration", "slope", note=said)
        return
    z = ndtri(0.5 + confidence_level / 2)
    pairs = [("slope", found.slope, found.slope_stderr)]
    if isinstance(found.intercept, float):
        pairs.append(("intercept", found.intercept, found.intercept_stderr))
    for measure, value, error in pairs:
        yield _Row("recalibration", measure, "", value, value - z * error, value + z * error, note=said)


def _tests(data, predictions: Predictions, tests, options) -> Iterator[_Row]:
    """A test a row."""
    for method in tests:
        own = {"estimator": _estimator(predictions)} if method == "skce" else {}
        modes = ("auto", "classwise") if method == "bootstrap" and not predictions.is_binary else ("auto",)
        for mode in modes:
            call = {"method": method, "mode": mode} | options | own
            found, said = noted(lambda call=call: calibration_test(*data, **call), None)
            measure = method if mode == "auto" else f"{method}, class-wise"
            note = " ".join([said, *(f"{name}={value!r}" for name, value in own.items())]).strip()
            if found is None:
                yield _Row("test", measure, note=said)
            else:
                yield _Row("test", measure, "statistic", found.statistic, pvalue=found.pvalue, note=note)


def _line(row: dict) -> str:
    """A row as text: measure, value, interval, p-values, note."""
    text = f"  {row['measure']:<30} {row['value']:>10.4g}"
    if not np.isnan(row["low"]):
        text += f"  [{row['low']:.4g}, {row['high']:.4g}]"
    if not np.isnan(row["pvalue"]):
        text += f"  p = {row['pvalue']:.3g}, adjusted {row['pvalue_adjusted']:.3g}"
    return text + (f"  ({row['note']})" if row["note"] else "")
