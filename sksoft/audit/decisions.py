"""Who is selected, and who is selected rightly and wrongly: rates by group, and the gaps between groups.

A decision D is "the probability of the positive class is at least t" for two classes, "class k has the largest
probability" for more. By group, with Y whether the row is of that class,

    selection rate P(D),   true positive rate P(D | Y),   false positive rate P(D | not Y),   precision P(Y | D)

with Wilson intervals on effective rows. A gap compares the groups with the lowest and the highest rate: difference
(Newcombe's interval [1]_, method 10), ratio (log-normal interval [2]_), and Pearson's χ² test that all groups have one
rate, adjusted by Holm over all gaps. Only groups with enough effective rows in the denominator take part.

.. [1] R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in
   Medicine 17 (1998).
.. [2] D. Katz et al., "Obtaining confidence intervals for the risk ratio in cohort studies", Biometrics 34 (1978).
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import chi2

from sksoft.metrics.calibration import rate_interval
from sksoft.metrics.multiplicity import holm
from sksoft.metrics.predictions import Predictions
from sksoft.metrics.sensitive import Level, Partition

# rate -> (what is counted, among what)
RATES = {
    "selection_rate": ("selected", "all"),
    "true_positive_rate": ("selected positive", "positive"),
    "false_positive_rate": ("selected negative", "negative"),
    "precision": ("selected positive", "selected"),
}
COMPARED = ("selection_rate", "true_positive_rate", "false_positive_rate")
MOST_CLASSES = 20


def decisions_of(predictions: Predictions, thresholds) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, decision (n,) bool and truth (n,) bool; of more than twenty classes, the most frequent twenty."""
    if predictions.is_binary:
        for threshold in thresholds:
            name = f"P({predictions.classes[-1]}) ≥ {threshold:g}"
            yield name, predictions.proba >= threshold, predictions.codes == 1
        return
    counts = np.bincount(predictions.codes, minlength=len(predictions.classes))
    for k in np.sort(np.argsort(-counts, kind="stable")[:MOST_CLASSES]):
        yield f"predicts {predictions.classes[k]}", predictions.top_label[0] == k, predictions.codes == k


def decision_rates(predictions: Predictions, partition: Partition, thresholds, confidence_level: float) -> pd.DataFrame:
    """Rates of every group and intersection, for every decision.

    Returns
    -------
    table : DataFrame
        ``decision``, ``level``, ``feature``, ``group``, ``n``, ``effective_n``, ``base_rate``, and for each rate of
        ``RATES`` its value, ``_low``, ``_high`` and ``_n`` (effective rows of its denominator); and
        ``false_negative_rate``. NaN where there is nothing to divide by.
    """
    frames = []
    for name, selected, positive in decisions_of(predictions, thresholds):
        sums = _cell_sums(selected, positive, predictions.weights, partition)
        frames += [_level_rates(name, level, sums, confidence_level) for level in partition.levels]
    return pd.concat(frames, ignore_index=True)


# Rows that are counted; for each Σw, Σw² and the number of rows.
EVENTS = ("all", "positive", "negative", "selected", "selected positive", "selected negative")


def _cell_sums(selected, positive, weights, partition: Partition) -> np.ndarray:
    """(n_cells, 3 · len(EVENTS)): Σw of all events, then Σw², then rows."""
    among = [np.ones(len(selected), dtype=bool), positive, ~positive]
    among += [selected & event for event in among]
    w = np.ones(len(selected)) if weights is None else weights
    columns = [
        np.bincount(partition.codes[event], values[event], minlength=partition.n_cells)
        for values in (w, w**2, np.ones(len(w)))
        for event in among
    ]
    return np.stack(columns, axis=1)


def _level_rates(name: str, level: Level, cell_sums: np.ndarray, confidence_level: float) -> pd.DataFrame:
    sums = level.add_up(cell_sums)
    weight, square, rows = (dict(zip(EVENTS, part.T)) for part in np.split(sums, 3, axis=1))
    frame = {
        "decision": name,
        "level": level.kind,
        "feature": level.feature,
        "group": level.groups,
        "n": rows["all"].astype(np.int64),
        "effective_n": weight["all"] ** 2 / square["all"],
        "base_rate": weight["positive"] / weight["all"],
    }
    for rate, (counted, among) in RATES.items():
        with np.errstate(invalid="ignore", divide="ignore"):
            value = weight[counted] / weight[among]
            size = np.where(weight[among] > 0, weight[among] ** 2 / square[among], 0.0)
        low, high = rate_interval(value, size, confidence_level)
        frame |= {rate: value, f"{rate}_low": low, f"{rate}_high": high, f"{rate}_n": size}
    frame["false_negative_rate"] = 1 - frame["true_positive_rate"]
    return pd.DataFrame(frame)


def decision_gaps(rates: pd.DataFrame, *, min_group_size: int, confidence_level: float) -> pd.DataFrame:
    """Largest gap of each rate between the groups of each feature, for every decision.

    Returns
    -------
    table : DataFrame
        ``decision``, ``level``, ``feature``, ``rate``, ``groups`` (judged), ``left_out`` (too small),
        ``lowest_group``, ``lowest``, ``highest_group``, ``highest``, ``difference``, ``difference_low``,
        ``difference_high``, ``ratio``, ``ratio_low``, ``ratio_high``, ``p_value``, ``p_value_holm``. NaN where fewer
        than two groups can be judged.
    """
    rows = []
    grouped = rates[rates["level"] != "overall"].groupby(["decision", "level", "feature"], sort=False)
    for keys, groups in grouped:
        for rate in COMPARED:
            rows.append(
                dict(zip(("decision", "level", "feature"), keys)) | _gap(groups, rate, min_group_size, confidence_level)
            )
    table = pd.DataFrame(rows, columns=GAP_COLUMNS)
    return table.assign(p_value_holm=holm(table["p_value"].astype(np.float64)))


GAP_COLUMNS = [
    *("decision", "level", "feature", "rate", "groups", "left_out", "lowest_group", "lowest"),
    *("highest_group", "highest", "difference", "difference_low", "difference_high"),
    *("ratio", "ratio_low", "ratio_high", "p_value"),
]


def _gap(groups: pd.DataFrame, rate: str, min_group_size: int, confidence_level: float) -> dict:
    judged = groups[groups[f"{rate}_n"] >= min_group_size]
    gap = {"rate": rate, "groups": len(judged), "left_out": len(groups) - len(judged)}
    if len(judged) < 2:
        return gap
    low, high = judged.loc[judged[rate].idxmin()], judged.loc[judged[rate].idxmax()]
    difference = high[rate] - low[rate]
    below = np.hypot(high[rate] - high[f"{rate}_low"], low[f"{rate}_high"] - low[rate])
    above = np.hypot(high[f"{rate}_high"] - high[rate], low[rate] - low[f"{rate}_low"])
    ratio, ratio_low, ratio_high = _ratio(low, high, rate, confidence_level)
    return gap | {
        "lowest_group": low["group"],
        "lowest": low[rate],
        "highest_group": high["group"],
        "highest": high[rate],
        "difference": difference,
        "difference_low": max(difference - below, 0.0),
        "difference_high": min(difference + above, 1.0),
        "ratio": ratio,
        "ratio_low": ratio_low,
        "ratio_high": ratio_high,
        "p_value": homogeneity_p_value(judged[rate].to_numpy(), judged[f"{rate}_n"].to_numpy()),
    }


def _ratio(low, high, rate: str, confidence_level: float) -> tuple[float, float, float]:
    """Lowest over highest rate; NaN where nobody is selected anywhere.

    Where the lowest rate is 0 the upper end comes from half an event more in both groups (Walter 1975).
    """
    if high[rate] == 0:
        return np.nan, np.nan, np.nan
    ratio = low[rate] / high[rate]
    more = 0.5 if ratio == 0 else 0.0
    sizes = [group[f"{rate}_n"] for group in (low, high)]
    events = [group[rate] * size + more for group, size in zip((low, high), sizes)]
    variance = sum(1 / event - 1 / (size + more) for event, size in zip(events, sizes))
    centre = events[0] / (sizes[0] + more) / (events[1] / (sizes[1] + more))
    factor = np.exp(ndtri(0.5 + confidence_level / 2) * np.sqrt(variance))
    return ratio, (0.0 if more else centre / factor), centre * factor


def homogeneity_p_value(rates: np.ndarray, sizes: np.ndarray) -> float:
    """Pearson's χ² test that binomial `rates` on `sizes` (effective) rows are one: Σ n (r − r̄)² / (r̄ (1 − r̄))."""
    common = float(np.average(rates, weights=sizes))
    if common <= 0 or common >= 1:
        return 1.0
    statistic = (sizes * (rates - common) ** 2).sum() / (common * (1 - common))
    return float(chi2.sf(statistic, len(rates) - 1))
