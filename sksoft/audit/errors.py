"""Calibration errors of several kinds with intervals, and the slope and intercept of logistic recalibration.

All are of the positive class, or of more classes of the top label being right; the kernel error is of all
probabilities. Values are those of :mod:`sksoft.metrics`, intervals those of :mod:`sksoft.metrics.drawn_intervals`.
"""

import numpy as np
import pandas as pd
from scipy.special import ndtri

from sksoft.audit.hypotheses import sampled
from sksoft.metrics import calibration_error_interval, cox_calibration
from sksoft.metrics.cumulative import cumulative_statistics
from sksoft.metrics.drawn_intervals import event_intervals, kernel_interval
from sksoft.metrics.events import Event, events
from sksoft.metrics.families_of_tests import noted
from sksoft.metrics.intervals import MetricInterval
from sksoft.metrics.kernel_error import residual_rows
from sksoft.metrics.predictions import Predictions
from sksoft.metrics.smooth import residual_grid, smooth_error, smooth_error_of
from sksoft.metrics.sweep import sweep_sums

BINNED = {"binned": "ece", "binned, debiased": "ece_debiased"}
UNBINNED = ("smooth", "cumulative (Kolmogorov–Smirnov)", "cumulative (Kuiper)", "monotone sweep")
# Draws for the intervals of errors that are computed anew for each: this many, or fewer so that draws times rows stay
# within bounds; with too few of them there is no interval.
MOST_DRAWS, FEWEST_DRAWS, MOST_ROWS_DRAWN = 99, 40, 10_000_000
# Cells of the grid for draws of the smooth error: for the ends of an interval it may be 1e-5 off.
CELLS_DRAWN = 1 << 10
UNKNOWN = MetricInterval(float("nan"), float("nan"), float("nan"))


def error_table(predictions: Predictions, overall: pd.Series, settings: dict) -> pd.DataFrame:
    """Measure calibration errors.

    Parameters
    ----------
    predictions : Predictions
    overall : Series
        The first row of :func:`sksoft.metrics.group_calibration`: all rows.
    settings : dict

    Returns
    -------
    table : DataFrame
        ``error``, ``unit``, ``value``, ``low``, ``high`` (NaN without draws) and ``note``.
    """
    (event,) = events(predictions, "auto")
    ends = overall["ece_low"], overall["ece_high"]
    rows = [(name, "probability", overall[of], *ends, "") for name, of in BINNED.items()]
    rows.append(("root mean square, debiased", "probability", *_root_mean_square(event, settings), ""))
    intervals, note = _unbinned_intervals(event, settings)
    for name, value, interval in zip(UNBINNED, _unbinned(event), intervals):
        rows.append((name, "probability", value, interval.low, interval.high, note))
    rows.append(("kernel, squared (SKCE)", "probability²", *_kernel(predictions, settings)))
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


def _root_mean_square(event: Event, settings: dict) -> tuple[float, float, float]:
    """Debiased error and its interval."""
    interval = calibration_error_interval(
        np.asarray(event.hits).astype(np.intp),
        event.scores,
        labels=[0, 1],
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


def _unbinned(event: Event, n_cells: int | None = None) -> tuple[float, float, float, float]:
    """Smooth, KS, Kuiper and monotone sweep errors, the first on a grid of so many cells."""
    if n_cells is None:
        smooth = smooth_error_of(event)
    else:
        total = len(event.scores) if event.weights is None else event.weights.sum()
        grid = residual_grid(event.scores, event.hits, n_cells=n_cells, weights=event.weights)
        smooth = smooth_error(grid / total)
    walk = cumulative_statistics(event.scores, event.hits, event.weights)
    return smooth, walk.ks, walk.kuiper, float(sweep_sums(event).error("l1"))


def _unbinned_intervals(event: Event, settings: dict) -> tuple[list[MetricInterval], str]:
    """Intervals, and why there are none."""
    n_draws = min(settings["n_resamples"], MOST_DRAWS, MOST_ROWS_DRAWN // len(event.scores))
    if n_draws < 2 or n_draws < min(settings["n_resamples"], FEWEST_DRAWS):
        said = f"no interval of {len(event.scores):,} rows" if settings["n_resamples"] > 1 else ""
        return [UNKNOWN] * len(UNBINNED), said
    found = event_intervals(
        lambda scores, hits, weights: _unbinned(Event(1.0, scores, hits, weights), CELLS_DRAWN),
        event,
        weight_type="sampling",
        n_resamples=n_draws,
        confidence_level=settings["confidence_level"],
        random_state=settings["random_state"],
    )
    return found, ""


def _kernel(predictions: Predictions, settings: dict) -> tuple[float, float, float, str]:
    """Unbiased estimate with its interval, and a note."""
    sample = sampled(predictions, settings["random_state"])
    (rows,) = residual_rows(sample, "auto")
    options = {name: settings[name] for name in ("confidence_level", "random_state")}
    n_draws = min(settings["n_resamples"], MOST_DRAWS)
    found, note = noted(
        lambda: kernel_interval(rows, estimator="unbiased", frequency=False, n_resamples=n_draws, **options), UNKNOWN
    )
    if len(sample.codes) < len(predictions.codes):
        note = f"a random sample of {len(sample.codes):,} rows"
    return *found, note
