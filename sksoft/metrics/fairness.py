"""How differently groups are served: worst group, gap, ratio and spread, less what group sizes alone would make.

Groups that are served alike differ in every sample, small ones most, so the largest gap between groups and the worst
of them are biased upwards. With θ_g the value of group g, π_g its share of the weight, m = Σ π_g θ_g, and ε_g the
noise of θ_g, drawn from its estimated distribution:

    gap        max θ − min θ, corrected  (gap² − E range(ε)²)₊^½: for two groups unbiased in the square
    p-value    (1 + #{S(ε*) ≥ S(θ)}) / (B + 1), S(θ) = Σ π_g (θ_g − m)², of "all groups have the same value": the sum of
               squares of an analysis of variance, with its distribution drawn, for groups differ in their noise
    interval   gap ∓ q, q the quantile of range(ε): |range θ^ − range θ| ≤ range(θ^ − θ), so it covers at least
    spread     (Σ π_g (θ_g − m)² − Σ π_g (1 − π_g) var ε_g)₊^½, unbiased in the square
    worst      and ratio are corrected by pulling the groups towards m until their gap is the corrected one

Means over rows have normal noise with the variance of a weighted mean. The calibration error is the debiased square
of :mod:`sksoft.metrics.binned`, and its noise is that of bins Δ_b + N(0, v_b), v_b = a_b(1 − a_b)/(n_b − 1), around
gaps Δ_b scaled so that their mean square is the debiased one: each group's own for intervals, that of all groups for
the p-value and the correction. The absolute error (ECE) is not among the metrics: whether debiased or not, it keeps a
bias that depends on the size of a group, and in simulations the test would have rejected equal groups in two cases of
three.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from sksoft.kernels import bins
from sksoft.kernels.blocks import row_blocks
from sksoft.metrics.binned import BinnedSums, inner_edges
from sksoft.metrics.calibration import check_choices
from sksoft.metrics.groups import check_whole, mean_moments
from sksoft.metrics.multiplicity import holm
from sksoft.metrics.predictions import Predictions, check_predictions
from sksoft.metrics.resampling import BLOCK_BYTES, p_values
from sksoft.metrics.scores import log_losses, squared_errors
from sksoft.metrics.sensitive import Partition, partition_rows

HIGH, LOW, FAR_FROM_0 = "high", "low", "far from 0"

# metric -> which end is the worst
WORST = {
    "accuracy": LOW,
    "over_confidence": FAR_FROM_0,
    "mean_residual": FAR_FROM_0,
    "negative_log_likelihood": HIGH,
    "brier_score": HIGH,
    "squared_error_debiased": HIGH,
}
COLUMNS = (
    *("level", "feature", "metric", "groups", "left_out", "worst_group", "worst", "worst_low", "worst_high"),
    *("worst_corrected", "lowest_group", "lowest", "highest_group", "highest"),
    *("gap", "gap_of_noise", "gap_corrected", "gap_low", "gap_high"),
    *("ratio", "ratio_corrected", "ratio_low", "ratio_high", "spread", "spread_corrected", "p_value", "p_value_holm"),
)


def group_disparities(
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
    """Worst group, largest gap, ratio and spread of each metric over groups, corrected for the sizes of the groups.

    Parameters
    ----------
    y_true, y_proba, sensitive_features, n_bins, strategy, sample_weight, weight_type, labels, pos_label
        As in :func:`group_calibration`.
    min_group_size : int >= 2, default=50
        Groups of fewer effective rows take no part.
    n_resamples : int >= 0, default=999
        Draws of the noise; 0 leaves out what needs them.
    confidence_level, random_state
        As in :func:`group_calibration`.

    Returns
    -------
    table : DataFrame
        A row for each feature (and all their intersections) and ``metric``: ``accuracy``, ``over_confidence``
        (confidence − accuracy), ``mean_residual`` (mean probability − rate of the positive class; one-dimensional
        `y_proba` only), ``negative_log_likelihood`` (nats), ``brier_score`` and ``squared_error_debiased`` (mean
        square calibration error, signed: about 0 when calibrated). Columns: ``groups`` judged and ``left_out``;
        ``worst_group`` with ``worst`` (for accuracy the lowest, for signed means the farthest from 0), its interval
        (simultaneous over the groups, so that choosing the worst is paid for) and ``worst_corrected``; ``lowest`` and
        ``highest``; ``gap``, ``gap_of_noise`` (root mean square gap between equal groups of these sizes),
        ``gap_corrected``, its interval; ``ratio`` lowest / highest with its interval, NaN for signed metrics;
        ``spread`` between groups; ``p_value`` of "all groups have the same value", and ``p_value_holm`` over the
        table. NaN where fewer than two groups are judged, and for corrections of an infinite loss.

    Raises
    ------
    ValueError
        For invalid labels, probabilities, weights, parameters or sensitive features.

    Notes
    -----
    The formulas are at the top of this module. Where more than two groups differ, the corrected gap is too small
    rather than too large. Cost: O(nK + B · groups · n_bins).

    References
    ----------
    .. [1] J. Bröcker, "Estimating reliability and resolution of probability forecasts through decomposition of the
       empirical score", Climate Dynamics 39 (2012), eq. 13.
    .. [2] R. DerSimonian, N. Laird, "Meta-analysis in clinical trials", Controlled Clinical Trials 7 (1986): variance
       between groups by moments.

    Examples
    --------
    Perfectly calibrated predictions; the groups differ in size only:

    >>> import numpy as np
    >>> from sksoft.metrics import group_disparities
    >>> rng = np.random.default_rng(2)
    >>> proba, city = rng.uniform(size=3000), rng.choice(["large", "small"], p=[0.95, 0.05], size=3000)
    >>> y = rng.uniform(size=3000) < proba
    >>> table = group_disparities(y, proba, city, random_state=0).set_index("metric")
    >>> bool(table.loc["squared_error_debiased", "p_value"] > 0.05)
    True
    """
    check_choices(n_bins=n_bins, strategy=strategy, weight_type=weight_type, confidence_level=confidence_level)
    check_whole("min_group_size", min_group_size, 2)
    check_whole("n_resamples", n_resamples, 0)
    predictions = check_predictions(
        y_true, y_proba, sample_weight=sample_weight, weight_type=weight_type, labels=labels, pos_label=pos_label
    )
    n_rows = len(predictions.codes) if predictions.kept is None else len(predictions.kept)
    partition = partition_rows(sensitive_features, n_rows, predictions.kept)
    measured = _Measured(predictions, partition, n_bins, strategy, weight_type)
    rng = np.random.default_rng(check_random_state(random_state).randint(0, 2**32, size=2, dtype=np.uint64))
    rows = []
    for level in partition.levels[1:]:
        size = measured.size(level)
        judged = size >= min_group_size
        for metric, groups in measured.values(level, judged, n_resamples, rng):
            row = {"level": level.kind, "feature": level.feature, "metric": metric}
            row |= {"groups": int(judged.sum()), "left_out": int((~judged).sum())}
            names = np.array(level.groups, dtype=object)[judged]
            rows.append(row | _disparity(names, groups, WORST[metric], confidence_level))
    table = pd.DataFrame(rows).reindex(columns=[name for name in COLUMNS if name != "p_value_holm"])
    return table.assign(p_value_holm=holm(table["p_value"].astype(np.float64)))


class _Measured:
    """Sums per cell, from which the values of any grouping and their noise follow."""

    def __init__(self, predictions: Predictions, partition: Partition, n_bins, strategy, weight_type):
        self.weight_type = weight_type
        scores, hits = predictions.event
        edges = inner_edges(scores, n_bins, strategy, predictions.weights)
        self.table = bins.bin_sums(
            scores, hits, edges, weights=predictions.weights, groups=partition.codes, n_groups=partition.n_cells
        )
        w, _, _, square, rows = self.table.sum(axis=-1)
        self.moments = {}
        for metric, values in _row_values(predictions):
            sums = {"w": w, "w²": square, "rows": rows}
            self.moments[metric] = sums | _value_sums(values, predictions.weights, partition)

    def size(self, level) -> np.ndarray:
        """Effective rows of each group."""
        w, _, _, square, _ = level.add_up(self.table).sum(axis=-1)
        return w if self.weight_type == "frequency" else w**2 / square

    def values(self, level, judged, n_resamples, rng):
        """Each metric, with what it is in the groups that are judged."""
        binned = BinnedSums.from_table(level.add_up(self.table)[:, judged])
        weight = binned.weight.sum(axis=-1)
        share = weight / weight.sum() if len(weight) else weight
        for metric, moments in self.moments.items():
            sums = {name: level.add_up(cells[:, None])[judged, 0] for name, cells in moments.items()}
            with np.errstate(invalid="ignore"):  # an infinite loss has no variance
                value, variance = mean_moments(sums, self.weight_type == "frequency")
                noise = rng.standard_normal((n_resamples, len(value))) * np.sqrt(variance)
            yield metric, _Groups(value, share, variance, noise, noise)
        value = binned.debiased_error("l2", self.weight_type)
        own = _error_noise(binned, value, self.weight_type, n_resamples, rng)
        equal = _error_noise(binned, np.full(len(value), share @ value), self.weight_type, n_resamples, rng)
        variance = own.var(axis=0) if n_resamples else np.full(len(value), np.nan)
        yield "squared_error_debiased", _Groups(value, share, variance, own, equal)


def _row_values(predictions: Predictions):
    """Metrics that are means over rows: name and value of every row."""
    top_codes, confidence = predictions.top_label
    correct = top_codes == predictions.codes
    yield "accuracy", correct.astype(np.float64)
    yield "over_confidence", confidence - correct
    if predictions.is_binary:
        yield "mean_residual", predictions.proba.astype(np.float64) - predictions.codes
    yield "negative_log_likelihood", log_losses(predictions)
    yield "brier_score", squared_errors(predictions)


def _value_sums(values, weights, partition: Partition) -> dict[str, np.ndarray]:
    """Sums per cell of weight times value and the like, see :data:`sksoft.metrics.groups.MOMENTS`."""
    w = np.ones(len(values)) if weights is None else weights

    def total(of_rows):
        return np.bincount(partition.codes, of_rows, minlength=partition.n_cells)

    return {
        "r": total(w * values),
        "r²": total(w * values**2),
        "w²r": total(w**2 * values),
        "w²r²": total(w**2 * values**2),
    }


def _error_noise(binned: BinnedSums, square, weight_type, n_resamples, rng) -> np.ndarray:
    """Centred draws of mean square calibration errors (n_resamples, G) of groups whose true ones are `square` (G,)."""
    size, rate, share = binned.size(weight_type), np.nan_to_num(binned.rate), binned.share
    noisy = size > 1
    deviation = np.sqrt(np.where(noisy, rate * (1 - rate) / np.where(noisy, size - 1, 1.0), 0.0))
    gap = np.where(noisy, binned.gap, 0.0)
    plug_in = (share * gap**2).sum(axis=-1)
    centre = gap * np.sqrt(np.maximum(square, 0.0) / np.where(plug_in > 0, plug_in, 1.0))[:, None]
    errors = np.empty((n_resamples, len(share)))
    for block in row_blocks(n_resamples, deviation.size * 8, BLOCK_BYTES):
        drawn = centre + deviation * rng.standard_normal((block.stop - block.start, *deviation.shape))
        errors[block] = np.einsum("bgk,bgk,gk->bg", drawn, drawn, share)
    return errors - errors.mean(axis=0) if n_resamples else errors


@dataclass(frozen=True)
class _Groups:
    """One metric of the groups judged: values, shares of the weight and variances (G,); centred noise (B, G) of the
    groups as they are, and as it would be if their true values were equal."""

    value: np.ndarray
    share: np.ndarray
    variance: np.ndarray
    noise: np.ndarray
    noise_if_equal: np.ndarray


def _disparity(names, groups: _Groups, worst_is: str, confidence_level: float) -> dict:
    """Columns of one feature and metric; those that have no answer are left out."""
    value = groups.value
    if len(value) < 2:
        return {}
    order = {HIGH: value, LOW: -value, FAR_FROM_0: np.abs(value)}[worst_is]
    worst, low, high = int(order.argmax()), int(value.argmin()), int(value.argmax())
    row = {"worst_group": names[worst], "worst": value[worst]}
    row |= {"lowest_group": names[low], "lowest": value[low]}
    row |= {"highest_group": names[high], "highest": value[high]}
    if not np.isfinite(value).all():
        return row | {"gap": np.inf if np.isfinite(value[low]) else np.nan}
    mean = groups.share @ value
    row |= {"gap": value[high] - value[low], "spread": np.sqrt(_between(value, groups.share))}
    if worst_is != FAR_FROM_0 and value[low] >= 0 and value[high] > 0:
        row["ratio"] = value[low] / value[high]
    if not len(groups.noise) or not np.isfinite(groups.variance).all():
        return row
    row |= _corrected_gap(row["gap"], groups, confidence_level)
    pulled = mean + (row["gap_corrected"] / row["gap"] if row["gap"] > 0 else 0.0) * (value - mean)
    band = _simultaneous_band(groups, confidence_level)
    row |= {"worst_low": value[worst] - band[worst], "worst_high": value[worst] + band[worst]}
    row["worst_corrected"] = pulled[worst]
    if "ratio" in row:
        row |= _ratio_interval(value, band) | {"ratio_corrected": max(pulled[low], 0.0) / pulled[high]}
    return row


def _corrected_gap(gap, groups: _Groups, confidence_level: float) -> dict[str, float]:
    """Gap and spread less the noise, interval and p-value of the gap."""
    between, drawn = _between(groups.value, groups.share), _between(groups.noise_if_equal, groups.share)
    excess = between - (groups.share * (1 - groups.share)) @ groups.variance
    reach = np.quantile(np.ptp(groups.noise, axis=1), confidence_level)
    of_noise = np.mean(np.ptp(groups.noise_if_equal, axis=1) ** 2)
    return {
        "gap_of_noise": np.sqrt(of_noise),
        "gap_corrected": np.sqrt(max(gap**2 - of_noise, 0.0)),
        "gap_low": max(gap - reach, 0.0),
        "gap_high": gap + reach,
        "spread_corrected": np.sqrt(max(excess, 0.0)),
        "p_value": float(p_values(between, drawn)),
    }


def _between(values, share) -> np.ndarray:
    """Variance between groups over the last axis, Σ π_g (θ_g − m)²."""
    centred = values - np.expand_dims(values @ share, -1)
    return centred**2 @ share


def _simultaneous_band(groups: _Groups, confidence_level: float) -> np.ndarray:
    """Half widths (G,) such that the true values of all groups lie within, with this probability."""
    deviation = np.sqrt(groups.variance)
    scale = np.where(deviation > 0, deviation, 1.0)
    return np.quantile(np.abs(groups.noise / scale).max(axis=1), confidence_level) * deviation


def _ratio_interval(value, band) -> dict[str, float]:
    """Smallest and largest ratio of the lowest to the highest value inside the band of non-negative values."""
    low, high = np.maximum(value - band, 0.0), value + band
    upper = 1.0 if low.max() <= high.min() else high.min() / low.max()
    return {"ratio_low": low.min() / high.max() if high.max() > 0 else 1.0, "ratio_high": upper}
