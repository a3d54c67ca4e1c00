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
from sksoft.metrics.resampling import ResampledErrors, p_values, resampled_errors, resampled_interval, rows_by_cell
from sksoft.metrics.scores import entropies, log_losses, squared_errors
from sksoft.metrics.sensitive import Level, partition_rows

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
    y_true, y_proba
        As in :func:`~sksoft.metrics.expected_calibration_error`; a class that a group does not show is no
        error. Several columns are judged by their top label, a single one as the probability of `pos_label`.
    sensitive_features : Series, DataFrame, dict of arrays, or array-like (n,) or (n, n_features)
        pandas, polars, NumPy or lists. Each column gives its groups; several columns also give the
        intersections of all of them that occur. Missing values are the group ``"(missing)"``.
    n_bins, strategy, sample_weight
        As in :func:`~sksoft.metrics.expected_calibration_error`; quantiles are those of all rows.
    weight_type : {'sampling', 'frequency'}, default='sampling'
        ``'sampling'``: a group counts (Σw)²/Σw² effective rows. ``'frequency'``: weights are whole numbers
        that count repetitions, and everything equals what the repeated rows (in their place) would give.
    labels, pos_label
        As in :func:`~sksoft.metrics.expected_calibration_error`.
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
        and ``ece_high`` (bootstrap interval), ``p_value`` (of "calibrated") and ``p_value_adjusted``
        (adjusted over all groups and intersections tested), ``gap`` (mean_score − observed_rate here, minus
        the same for all other rows), ``gap_p_value``, ``gap_p_value_holm``, and ``verdict``.

    Raises
    ------
    ValueError
        For invalid labels, probabilities, weights, parameters or sensitive features.

    Notes
    -----
    p-values: ``(1 + #{T* >= T}) / (B + 1)``, T the plug-in ECE and T* that of hits drawn with the predicted
    probabilities [1]_: exact under the null up to the number of draws B. They are adjusted by the step-down
    max-T method of Westfall and Young over the joint draws, whose smallest value does not grow with the number
    of groups. Intervals are those of :func:`calibration_error_interval`: Poisson bootstrap of rows and inversion of a
    test, 0 included where "calibrated" is not rejected; in simulations 95 % intervals cover 92 to 100 %.
    Gaps: two-sided Wald test, adjusted by Holm. Draws depend on the seed, the resample and the position of the
    row only. O(nK + nB) time, O(n + B·cells) memory, in blocks of resamples.

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
    check_whole("min_group_size", min_group_size, 2)
    check_whole("n_resamples", n_resamples, 0)
    predictions = check_predictions(
        y_true,
        y_proba,
        sample_weight=sample_weight,
        weight_type=weight_type,
        labels=labels,
        pos_label=pos_label,
    )
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
    sums = cell_sums(predictions, table, partition.codes)
    levels = [point_estimates(level, table, sums, weight_type) for level in partition.levels]
    columns = {name: np.concatenate([level[name] for level in levels]) for name in levels[0]}
    columns["enough"] = columns["effective_n"] >= min_group_size
    if n_resamples:
        rows = rows_by_cell(scores, hits, edges, predictions.weights, partition, weight_type)
        resampled = resampled_errors(rows, table, partition.levels, n_resamples, random_state)
        columns |= _inference(columns, resampled, confidence_level)
    return _judged(columns, 1 - confidence_level)


COLUMNS = (
    *("level", "feature", "group", "n", "effective_n"),
    *("accuracy", "mean_confidence", "over_confidence", "mean_score", "observed_rate"),
    *("negative_log_likelihood", "brier_score", "mean_entropy"),
    *("ece", "ece_debiased", "squared_error_debiased", "ece_low", "ece_high", "p_value", "p_value_adjusted"),
    *("gap", "gap_p_value", "gap_p_value_holm", "verdict"),
)


def cell_sums(predictions: Predictions, table, codes) -> dict[str, np.ndarray]:
    """Sums over the rows of each cell, by name, (n_cells,): weighted, but "rows"; r is the residual score − hit."""
    w, score, hit, w_squared, rows = table.sum(axis=-1)
    sums = {"w": w, "score": score, "hit": hit, "w²": w_squared, "rows": rows}
    if predictions.is_binary:
        return sums | _binary_sums(predictions, codes, len(w))
    return sums | _multiclass_sums(predictions, codes, sums)


def _binary_sums(predictions: Predictions, codes, n_cells) -> dict[str, np.ndarray]:
    sums = bins.binary_score_sums(
        predictions.proba, predictions.codes, codes, n_groups=n_cells, weights=predictions.weights
    )
    return {
        "negative_log_likelihood": sums[bins.LOSS],
        "mean_entropy": sums[bins.ENTROPY],
        "accuracy": sums[bins.CORRECT],
        "mean_confidence": sums[bins.CONFIDENCE],
        "brier_score": sums[bins.R_SQUARED],
        "r²": sums[bins.R_SQUARED],
        "w²r": sums[bins.SQUARED_WEIGHT_R],
        "w²r²": sums[bins.SQUARED_WEIGHT_R_SQUARED],
    }


def _multiclass_sums(predictions: Predictions, codes, sums) -> dict[str, np.ndarray]:
    scores, hits = predictions.event
    residuals, weights = scores - hits, predictions.weights

    def total(values, weights=weights):
        return np.bincount(codes, values if weights is None else weights * values, minlength=len(sums["w"]))

    squares = None if weights is None else weights**2
    return {
        "negative_log_likelihood": total(log_losses(predictions)),
        "mean_entropy": total(entropies(predictions.proba)),
        "accuracy": sums["hit"],
        "mean_confidence": sums["score"],
        "brier_score": total(squared_errors(predictions)),
        "r²": total(residuals**2),
        "w²r": total(residuals, squares),
        "w²r²": total(residuals**2, squares),
    }


def point_estimates(level: Level, table, cell_sums, weight_type) -> dict[str, np.ndarray]:
    """Columns of the groups of one level: everything but intervals and adjusted p-values."""
    binned = BinnedSums.from_table(level.add_up(table))
    sums = {name: level.add_up(values[:, None])[:, 0] for name, values in cell_sums.items()}
    weight, n_groups = sums["w"], len(level.groups)
    frequency = weight_type == "frequency"
    means = ("accuracy", "mean_confidence", "negative_log_likelihood", "brier_score", "mean_entropy")
    columns = {name: sums[name] / weight for name in means}
    gap, gap_p_value = _gap_to_rest(sums, frequency)
    if level.kind == "overall":
        gap, gap_p_value = np.full(1, np.nan), np.full(1, np.nan)
    return columns | {
        "level": np.full(n_groups, level.kind, dtype=object),
        "feature": np.full(n_groups, level.feature, dtype=object),
        "group": np.array(level.groups, dtype=object),
        "n": np.rint(weight if frequency else sums["rows"]).astype(np.int64),
        "effective_n": weight if frequency else weight**2 / sums["w²"],
        "over_confidence": columns["mean_confidence"] - columns["accuracy"],
        "mean_score": sums["score"] / weight,
        "observed_rate": sums["hit"] / weight,
        "ece": binned.error("l1"),
        "ece_debiased": np.maximum(binned.debiased_error("l1", weight_type), 0.0),
        "squared_error_debiased": binned.debiased_error("l2", weight_type),
        "gap": gap,
        "gap_p_value": gap_p_value,
    }


def _gap_to_rest(sums, frequency: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean residual of each group minus that of all other rows, and its two-sided Wald p-value."""
    sums = sums | {"r": sums["score"] - sums["hit"]}
    rest = {name: sums[name].sum() - sums[name] for name in MOMENTS}
    (mean, variance), (rest_mean, rest_variance) = (mean_moments(moments, frequency) for moments in (sums, rest))
    gap, deviation = mean - rest_mean, np.sqrt(variance + rest_variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        return gap, 2 * ndtr(-np.abs(gap) / deviation)


# Sums over rows that decide a weighted mean of values r and its variance; "r" is Σ w r.
MOMENTS = ("w", "w²", "rows", "r", "r²", "w²r", "w²r²")


def mean_moments(sums, frequency: bool) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean of values r and the variance of that mean; NaN where fewer than two effective rows are."""
    weight, square, rows = sums["w"], sums["w²"], sums["rows"]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums["r"] / weight
        if frequency:
            size, spread = weight, sums["r²"] - weight * mean**2
        else:
            size = weight**2 / square
            spread = sums["w²r²"] - 2 * mean * sums["w²r"] + mean**2 * square
        variance = np.maximum(spread, 0.0) / weight**2 * size / (size - 1)
    known = (rows > 0) & (size > 1)
    return np.where(known, mean, np.nan), np.where(known, variance, np.nan)


def _inference(columns, resampled: ResampledErrors, confidence_level) -> dict[str, np.ndarray]:
    """Intervals and p-values of the groups that are large enough."""
    errors, enough = columns["ece"], columns["enough"]
    family = enough & (columns["level"] != "overall")
    low, high, p_value, adjusted = np.full((4, len(errors)), np.nan)
    chosen = ResampledErrors(*(drawn[..., enough] for drawn in resampled))
    adjusted[enough] = p_value[enough] = p_values(errors[enough], chosen.null)
    low[enough], high[enough] = resampled_interval(errors[enough], chosen, p_value[enough], confidence_level)
    adjusted[family] = westfall_young(errors[family], resampled.null[:, family])
    return {"ece_low": low, "ece_high": high, "p_value": p_value, "p_value_adjusted": adjusted}


def _judged(columns, alpha: float) -> pd.DataFrame:
    """Silence the gaps of small groups, adjust those of the others, and give verdicts."""
    enough, nothing = columns["enough"], np.full(len(columns["enough"]), np.nan)
    columns["gap_p_value"] = np.where(enough, columns["gap_p_value"], np.nan)
    columns["gap_p_value_holm"] = holm(columns["gap_p_value"])
    adjusted = columns.get("p_value_adjusted", nothing)
    verdict = np.where(adjusted <= alpha, MISCALIBRATED, NOT_REJECTED).astype(object)
    verdict[np.isnan(adjusted)] = NOT_TESTED
    verdict[~enough] = INSUFFICIENT
    columns["verdict"] = verdict
    return pd.DataFrame({name: columns.get(name, nothing) for name in COLUMNS})


def check_whole(name, value, lowest):
    """ValueError unless `value` is a whole number of at least `lowest`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < lowest:
        raise ValueError(f"The {name!r} parameter must be an int >= {lowest}. Got {value!r} instead.")
