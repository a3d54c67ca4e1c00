"""Calibration errors of several kinds with intervals, and the slope and intercept of logistic recalibration.

All are of the positive class, or of more classes of the top label being right; the kernel error is of all
probabilities. Intervals are those of :func:`sksoft.metrics.resampling.error_interval`: low end 0 where "calibrated" is
not rejected, for noise pushes every error up.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.special import ndtri

from sksoft.audit.hypotheses import KERNEL, sampled
from sksoft.metrics import (
    bootstrap_interval,
    calibration_error_interval,
    cox_calibration,
    cumulative_calibration_error,
    kernel_calibration_error,
    monotone_sweep_calibration_error,
    smooth_calibration_error,
)
from sksoft.metrics.families_of_tests import noted
from sksoft.metrics.intervals import MetricInterval
from sksoft.metrics.predictions import Predictions
from sksoft.metrics.resampling import error_interval
from sksoft.metrics.smooth import residual_grid, smooth_error

# Draws for the interval of an error that has to be computed anew for each: this many, or fewer so that draws times rows
# stay within bounds; with too few of them there is no interval.
MOST_DRAWS, FEWEST_DRAWS, MOST_ROWS_DRAWN = 199, 40, 10_000_000
# Cells of the grid for draws of the smooth error: for an interval it may be 1e-5 off.
CELLS_DRAWN = 1 << 10
ANEW: dict[str, tuple[Callable, dict]] = {
    "smooth": (smooth_calibration_error, {}),
    "cumulative (Kolmogorov–Smirnov)": (cumulative_calibration_error, {"statistic": "ks"}),
    "cumulative (Kuiper)": (cumulative_calibration_error, {"statistic": "kuiper"}),
    "monotone sweep": (monotone_sweep_calibration_error, {}),
}
BINNED = {"binned": "ece", "binned, debiased": "ece_debiased"}
# The test whose p-value says whether an error could be none.
ITS_TEST = dict.fromkeys(ANEW, "binned error (bootstrap)") | {
    name: name for name in ANEW if name.startswith("cumulative")
}


def error_table(predictions: Predictions, overall: pd.Series, tests: pd.DataFrame, settings: dict) -> pd.DataFrame:
    """Measure calibration errors.

    Parameters
    ----------
    predictions : Predictions
    overall : Series
        The first row of :func:`sksoft.metrics.group_calibration`: all rows.
    tests : DataFrame
        Of :func:`~sksoft.audit.hypotheses.calibration_test_table`.
    settings : dict

    Returns
    -------
    table : DataFrame
        ``error``, ``unit``, ``value``, ``low``, ``high`` (NaN without draws) and ``note``.
    """
    scores, hits = predictions.event
    event = Predictions(np.array([0, 1]), np.asarray(hits).astype(np.intp), scores, predictions.weights)
    p_values = tests.set_index("test")["p_value"]
    ends = overall["ece_low"], overall["ece_high"]
    rows = [(name, "probability", overall[of], *ends, "") for name, of in BINNED.items()]
    rows.append(("root mean square, debiased", "probability", *_root_mean_square(event, settings), ""))
    for name, (metric, options) in ANEW.items():
        found, note = _drawn_anew(event, metric, options, float(p_values[ITS_TEST[name]]), settings)
        rows.append((name, "probability", *found, note))
    rows.append(("kernel, squared (SKCE)", "probability²", *_kernel(predictions, tests, settings["random_state"])))
    return pd.DataFrame(rows, columns=["error", "unit", "value", "low", "high", "note"])


def slope_table(predictions: Predictions, settings: dict) -> pd.DataFrame:
    """Estimate slope and intercepts of :func:`sksoft.metrics.cox_calibration` with Wald's intervals.

    Returns
    -------
    table : DataFrame
        ``term`` ('slope', 'intercept'), ``class`` (of more than two, that of the intercept; else ''), ``value``,
        ``stderr``, ``low``, ``high``, ``calibrated`` (what it would be) and ``note``.
    """
    labels = np.arange(2 if predictions.is_binary else predictions.proba.shape[1])
    found, note = noted(
        lambda: cox_calibration(predictions.codes, predictions.proba, labels=labels, sample_weight=predictions.weights),
        None,
    )
    unknown = float("nan")
    terms = [("slope", "", unknown, unknown, 1.0)]
    if found is not None:
        terms = [("slope", "", found.slope, found.slope_stderr, 1.0)]
        if predictions.is_binary:
            terms.append(("intercept", "", found.intercept, found.intercept_stderr, 0.0))
        else:
            names = map(str, predictions.classes)
            each = zip(names, np.atleast_1d(found.intercept), np.atleast_1d(found.intercept_stderr))
            terms += [("intercept", name, float(b), float(stderr), 0.0) for name, b, stderr in each]
    table = pd.DataFrame(terms, columns=["term", "class", "value", "stderr", "calibrated"])
    half = ndtri(0.5 + settings["confidence_level"] / 2) * table["stderr"]
    return table.assign(low=table["value"] - half, high=table["value"] + half, note=note)


def _root_mean_square(event: Predictions, settings: dict) -> tuple[float, float, float]:
    """Debiased error and its interval."""
    interval = calibration_error_interval(
        event.codes,
        event.proba,
        labels=event.classes,
        norm="l2",
        debias=True,
        n_bins=settings["n_bins"],
        strategy=settings["strategy"],
        n_resamples=max(settings["n_resamples"], 1),
        confidence_level=settings["confidence_level"],
        sample_weight=event.weights,
        random_state=settings["random_state"],
    )
    low, high = (interval.low, interval.high) if settings["n_resamples"] else (float("nan"), float("nan"))
    return interval.estimate, low, high


def _coarse_smooth_error(hits, scores, *, sample_weight=None, labels=None) -> float:
    """The smooth calibration error of rows with `hits` 0 and 1 on a coarser grid."""
    total = len(hits) if sample_weight is None else sample_weight.sum()
    return smooth_error(residual_grid(scores, hits, n_cells=CELLS_DRAWN, weights=sample_weight) / total)


def _drawn_anew(event: Predictions, metric: Callable, options: dict, p_value: float, settings: dict):
    """Value and ends of the interval, and why there is none."""
    n_rows = len(event.codes)
    n_draws = min(settings["n_resamples"], MOST_DRAWS, MOST_ROWS_DRAWN // n_rows)
    common = {"labels": event.classes} | options
    value = metric(event.codes, event.proba, sample_weight=event.weights, **common)
    if n_draws < min(settings["n_resamples"], FEWEST_DRAWS):
        return MetricInterval(value, float("nan"), float("nan")), f"no interval of {n_rows:,} rows"
    if n_draws < 2 or n_rows < 2 or np.isnan(p_value):
        return MetricInterval(value, float("nan"), float("nan")), ""
    values: list[float] = []
    drawn = _coarse_smooth_error if metric is smooth_calibration_error else metric

    def recorded(y_true, y_proba, **more) -> float:
        values.append(drawn(y_true, y_proba, **more))
        return values[-1]

    bootstrap_interval(
        recorded,
        event.codes,
        event.proba,
        n_resamples=n_draws,
        sample_weight=event.weights,
        random_state=settings["random_state"],
        **common,
    )
    low, high = error_interval(np.array(value), np.array(values[1:]), p_value, settings["confidence_level"])
    return MetricInterval(value, float(low), float(high)), ""


def _kernel(predictions: Predictions, tests: pd.DataFrame, seed: int) -> tuple[float, float, float, str]:
    """Unbiased estimate, which has no interval and is the statistic of its test, and a note."""
    sample, unknown = sampled(predictions, seed), float("nan")
    value = float(tests.set_index("test").loc[KERNEL, "statistic"])
    labels = np.arange(2 if sample.is_binary else sample.proba.shape[1])
    note = ""
    if np.isnan(value):  # no draws, no test
        options = {"labels": labels, "sample_weight": sample.weights}
        value, note = noted(lambda: kernel_calibration_error(sample.codes, sample.proba, **options), unknown)
    if len(sample.codes) < len(predictions.codes):
        note = f"a random sample of {len(sample.codes):,} rows"
    return value, unknown, unknown, note
