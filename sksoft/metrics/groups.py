"""Calibration by group: point estimates, intervals, p-values and gaps from one pass over the rows."""

from numbers import Integral

import numpy as np
import pandas as pd
from scipy.special import ndtr

from sksoft.kernels import bins
from sksoft.metrics.binned import BinnedSums, inner_edges
from sksoft.metrics.calibration import check_choices
from sksoft.metrics.multiplicity import holm, westfall_young
from sksoft.metrics.predictions import Predictions, check_predictions
from sksoft.metrics.resampling import basic_interval, p_values, resampled_errors, rows_by_cell
from sksoft.metrics.scores import entropies, log_losses, squared_errors
from sksoft.metrics.sensitive import Level, Partition, partition_rows

INSUFFICIENT = "insufficient evidence"
MISCALIBRATED = "miscalibrated"
NOT_REJECTED = "calibration not rejected"
NOT_TESTED = "not tested"


def group_calibration(
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
) -> pd.DataFrame:
    """Accuracy, scores and calibration of every group and every intersection of groups.

    The plug-in calibration error of a small group is large even if its predictions are perfectly calibrated,
    so groups are compared by debiased errors, by a test of "this group is calibrated", and by the mean
    residual against all other rows. Bins are the same for all groups.

    Parameters
    ----------
    y_true, y_proba, n_bins, strategy, sample_weight, labels, pos_label
        As in :func:`~sksoft.metrics.expected_calibration_error`; a class that a group does not show is no
        error. A two-dimensional `y_proba` is judged by its top label, a one-dimensional one as the
        probability of `pos_label`.
    sensitive_features : Series, DataFrame, dict of arrays, or array-like (n,) or (n, n_features)
        pandas, polars, NumPy or lists. Each column gives its groups; several columns also give the
        intersections of all of them that occur. Missing values are the group ``"(missing)"``.
    weight_type : {'sampling', 'frequency'}, default='sampling'
        ``'sampling'``: a group counts (Σw)²/Σw² effective rows. ``'frequency'``: weights are whole numbers
        that count repetitions, and everything equals what the repeated rows (in their place) would give.
    min_group_size : int >= 2, default=50
        Groups of fewer effective rows get point estimates and the verdict "insufficient evidence", nothing
        else.
    n_resamples : int >= 0, default=999
        Draws for intervals and p-values; 0 leaves them out.
    confidence_level : float in (0, 1), default=0.95
    random_state : int, RandomState instance or None, default=None
        One 64-bit seed is drawn from it; results then are the same for any number of threads.

    Returns
    -------
    table : DataFrame
        ``level`` ('overall', 'group', 'intersection'), ``feature``, ``group``, ``n``, ``effective_n``,
        ``accuracy``, ``mean_confidence``, ``over_confidence`` (confidence − accuracy, of the predicted
        label), ``mean_score`` and ``observed_rate`` (of the event whose calibration is judged: the top label
        being right, or the positive class), ``negative_log_likelihood`` and ``mean_entropy`` (nats),
        ``brier_score``, ``ece`` (plug-in), ``ece_debiased`` (l1, bias reduced, >= 0),
        ``squared_error_debiased`` (unbiased mean square gap, signed: about 0 when calibrated), ``ece_low``
        and ``ece_high`` (basic bootstrap interval), ``p_value`` (of "calibrated") and ``p_value_adjusted``
        (adjusted over all groups and intersections tested), ``gap`` (mean_score − observed_rate here, minus
        the same for all other rows), ``gap_p_value``, ``gap_p_value_holm``, and ``verdict``.

    Raises
    ------
    ValueError
        For invalid labels, probabilities, weights, parameters or sensitive features.

    Notes
    -----
    p-values: ``(1 + #{T* >= T}) / (B + 1)``, T the plug-in ECE and T* that of hits drawn with the predicted
    probabilities [1]_: exact under the null up to the number of draws B. Intervals: Poisson bootstrap of
    rows, ``2 ECE − quantile``, which takes out the bias that noise adds; clipped to [0, 1]. Gaps: Wald test.
    Adjustment: Westfall-Young max-T of
    the joint draws for calibration, Holm for gaps. O(nK + n B) time, O(n + B·cells) memory, in blocks of resamples.

    References
    ----------
    .. [1] J. Bröcker, L. A. Smith, "Increasing the reliability of reliability diagrams", Weather and
       Forecasting 22 (2007).

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft.metrics import group_calibration
    >>> rng = np.random.default_rng(1)
    >>> proba, sex = rng.uniform(size=2000), rng.choice(["f", "m"], size=2000)
    >>> y = rng.uniform(size=2000) < np.where(sex == "f", proba, proba**2)
    >>> table = group_calibration(y, proba, sex, n_bins=10, random_state=0)
    >>> table[["level", "group", "verdict"]]
         level    group                   verdict
    0  overall  overall             miscalibrated
    1    group        f  calibration not rejected
    2    group        m             miscalibrated
    """
    check_choices(n_bins=n_bins, strategy=strategy, weight_type=weight_type, confidence_level=confidence_level)
    _check_whole("min_group_size", min_group_size, 2)
    _check_whole("n_resamples", n_resamples, 0)
    predictions = check_predictions(y_true, y_proba, sample_weight=sample_weight, labels=labels, pos_label=pos_label)
    n_rows = len(predictions.codes) if predictions.kept is None else len(predictions.kept)
    partition = partition_rows(sensitive_features, n_rows, predictions.kept)
    scores, hits = predictions.event
    edges = inner_edges(scores, n_bins, strategy, predictions.weights)
    table = bins.bin_sums(
        scores,
        hits,
        edges,
        weights=predictions.weights,
        groups=partition.codes,
        n_groups=partition.n_cells,
    )
    means = _cell_sums(predictions, scores, hits, partition)
    frame = pd.concat(
        [_point_estimates(level, table, means, weight_type) for level in partition.levels], ignore_index=True
    )
    if n_resamples:
        rows = rows_by_cell(scores, hits, edges, predictions.weights, partition, weight_type)
        drawn = resampled_errors(rows, table, partition.levels, n_resamples, random_state)
        frame = _with_inference(frame, *drawn, min_group_size, confidence_level)
    return _judged(frame, min_group_size, 1 - confidence_level)


# Columns of the table of sums per cell; r is the residual score − hit.
SUMS = (
    *("w", "w²", "rows", "accuracy", "confidence", "nll", "brier", "entropy"),
    *("score", "hit", "w²r", "w²r²", "wr²"),
)
COLUMNS = (
    *("level", "feature", "group", "n", "effective_n"),
    *("accuracy", "mean_confidence", "over_confidence", "mean_score", "observed_rate"),
    *("negative_log_likelihood", "brier_score", "mean_entropy"),
    *("ece", "ece_debiased", "squared_error_debiased", "ece_low", "ece_high", "p_value", "p_value_adjusted"),
    *("gap", "gap_p_value", "gap_p_value_holm", "verdict"),
)


def _cell_sums(predictions: Predictions, scores, hits, partition: Partition) -> np.ndarray:
    """(n_cells, len(SUMS)): weighted sums over the rows of each cell, in the order of SUMS."""
    weights = predictions.weights
    residuals = scores - hits
    square = None if weights is None else weights**2
    columns = [
        (None, weights),
        (None, square),
        (None, None),
        (predictions.top_codes == predictions.codes, weights),
        (predictions.confidence, weights),
        (log_losses(predictions), weights),
        (squared_errors(predictions), weights),
        (entropies(predictions.proba), weights),
        (scores, weights),
        (hits, weights),
        (residuals, square),
        (residuals**2, square),
        (residuals**2, weights),
    ]
    return np.stack([_total(values, w, partition) for values, w in columns], axis=1)


def _total(values, weights, partition: Partition) -> np.ndarray:
    if values is not None and weights is not None:
        values = values * weights
    elif values is None:
        values = weights
    return np.bincount(partition.codes, values, minlength=partition.n_cells).astype(np.float64)


def _point_estimates(level: Level, table, cell_sums, weight_type) -> pd.DataFrame:
    """One row per group of the level: everything but intervals and adjusted p-values."""
    binned = BinnedSums.from_table(level.add_up(table))
    sums = level.add_up(cell_sums)
    named = dict(zip(SUMS, sums.T))
    weight = named["w"]
    frequency = weight_type == "frequency"
    mean = {
        name: named[name] / weight for name in ("accuracy", "confidence", "nll", "brier", "entropy", "score", "hit")
    }
    gap, gap_p_value = _gap_to_rest(sums, frequency)
    if level.kind == "overall":
        gap, gap_p_value = np.full(1, np.nan), np.full(1, np.nan)
    return pd.DataFrame(
        {
            "level": level.kind,
            "feature": level.feature,
            "group": level.groups,
            "n": np.rint(weight if frequency else named["rows"]).astype(np.int64),
            "effective_n": weight if frequency else weight**2 / named["w²"],
            "accuracy": mean["accuracy"],
            "mean_confidence": mean["confidence"],
            "over_confidence": mean["confidence"] - mean["accuracy"],
            "mean_score": mean["score"],
            "observed_rate": mean["hit"],
            "negative_log_likelihood": mean["nll"],
            "brier_score": mean["brier"],
            "mean_entropy": mean["entropy"],
            "ece": binned.error("l1"),
            "ece_debiased": np.maximum(binned.debiased_error("l1", weight_type), 0.0),
            "squared_error_debiased": binned.debiased_error("l2", weight_type),
            "gap": gap,
            "gap_p_value": gap_p_value,
        }
    )


def _gap_to_rest(sums, frequency: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean residual of each group minus that of all other rows, and its two-sided Wald p-value; NaN without
    others."""
    rest = sums.sum(axis=0) - sums
    (mean, variance), (rest_mean, rest_variance) = (
        _residual_moments(sums, frequency),
        _residual_moments(rest, frequency),
    )
    gap, deviation = mean - rest_mean, np.sqrt(variance + rest_variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        return gap, 2 * ndtr(-np.abs(gap) / deviation)


def _residual_moments(sums, frequency: bool) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean of the residuals and the variance of that mean; NaN where fewer than two effective rows
    are."""
    named = dict(zip(SUMS, sums.T))
    weight, square, rows = named["w"], named["w²"], named["rows"]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (named["score"] - named["hit"]) / weight
        if frequency:
            size, spread = weight, named["wr²"] - weight * mean**2
        else:
            size = weight**2 / square
            spread = named["w²r²"] - 2 * mean * named["w²r"] + mean**2 * square
        variance = np.maximum(spread, 0.0) / weight**2 * size / (size - 1)
    known = (rows > 0) & (size > 1)
    return np.where(known, mean, np.nan), np.where(known, variance, np.nan)


def _with_inference(frame, null, replicates, min_group_size, confidence_level) -> pd.DataFrame:
    """Intervals and p-values of the groups that are large enough, from (n_resamples, n_groups) errors."""
    errors = frame["ece"].to_numpy()
    sufficient = (frame["effective_n"] >= min_group_size).to_numpy()
    family = sufficient & (frame["level"] != "overall").to_numpy()
    columns = {name: np.full(len(frame), np.nan) for name in ("ece_low", "ece_high", "p_value", "p_value_adjusted")}
    low, high = basic_interval(errors[sufficient], replicates[:, sufficient], confidence_level)
    columns["ece_low"][sufficient], columns["ece_high"][sufficient] = low, high
    columns["p_value"][sufficient] = p_values(errors[sufficient], null[:, sufficient])
    columns["p_value_adjusted"][sufficient] = columns["p_value"][sufficient]
    columns["p_value_adjusted"][family] = westfall_young(errors[family], null[:, family])
    return frame.assign(**columns)


def _judged(frame: pd.DataFrame, min_group_size: int, alpha: float) -> pd.DataFrame:
    """Silence the gaps of small groups, adjust those of the others, and give verdicts."""
    small = frame["effective_n"] < min_group_size
    frame = frame.reindex(columns=COLUMNS)
    frame["gap_p_value"] = frame["gap_p_value"].mask(small)
    frame["gap_p_value_holm"] = holm(frame["gap_p_value"])
    adjusted = frame["p_value_adjusted"].astype(np.float64)
    verdict = np.where(adjusted <= alpha, MISCALIBRATED, NOT_REJECTED)
    verdict = np.where(adjusted.isna(), NOT_TESTED, verdict)
    frame["verdict"] = np.where(small, INSUFFICIENT, verdict)
    return frame


def _check_whole(name, value, lowest):
    if isinstance(value, bool) or not isinstance(value, Integral) or value < lowest:
        raise ValueError(f"The {name!r} parameter must be an int >= {lowest}. Got {value!r} instead.")
