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

from collections.abc import Iterable, Iterator
from numbers import Real

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import chi2

from sksoft.metrics.calibration import check_choices, rate_interval
from sksoft.metrics.multiplicity import holm
from sksoft.metrics.predictions import Predictions, check_predictions
from sksoft.metrics.sensitive import Level, Partition, partition_rows

# rate -> (what is counted, among what)
RATES = {
    "selection_rate": ("selected", "all"),
    "true_positive_rate": ("selected positive", "positive"),
    "false_positive_rate": ("selected negative", "negative"),
    "precision": ("selected positive", "selected"),
}
COMPARED = ("selection_rate", "true_positive_rate", "false_positive_rate")
MOST_CLASSES = 20


def decision_rates(
    y_true,
    y_proba,
    sensitive_features,
    *,
    thresholds=(0.5,),
    sample_weight=None,
    weight_type="sampling",
    labels=None,
    pos_label=None,
    confidence_level=0.95,
) -> pd.DataFrame:
    """Selection rate, true and false positive rate and precision of every group and intersection, with intervals.

    A row is selected where the probability of the positive class is at least the threshold; of several columns
    the decision is the class with the largest probability, one decision for each class (of more than twenty, the
    most frequent twenty).

    Parameters
    ----------
    y_true, y_proba
        As in :func:`~sksoft.metrics.expected_calibration_error`. Decisions already made are probabilities 0 and 1.
    sensitive_features : Series, DataFrame, dict of arrays, or array-like (n,) or (n, n_features)
        As in :func:`~sksoft.metrics.group_calibration`.
    thresholds : float or sequence of floats in [0, 1], default=(0.5,)
        Of a one-dimensional `y_proba`; not used with several columns.
    sample_weight, weight_type, labels, pos_label
        As in :func:`~sksoft.metrics.group_calibration`.
    confidence_level : float in (0, 1), default=0.95
        Of Wilson's intervals, on effective rows.

    Returns
    -------
    table : DataFrame
        ``decision``, ``level`` ('overall', 'group', 'intersection'), ``feature``, ``group``, ``n``, ``effective_n``,
        ``base_rate``, then for ``selection_rate`` P(D), ``true_positive_rate`` P(D | Y), ``false_positive_rate``
        P(D | not Y) and ``precision`` P(Y | D) the value, ``…_low``, ``…_high`` and ``…_n`` (effective rows of the
        denominator), and ``false_negative_rate``. NaN where there is nothing to divide by.

    Raises
    ------
    ValueError
        For invalid labels, probabilities, weights, thresholds or sensitive features.

    See Also
    --------
    decision_gaps : The largest gap of each rate between groups.
    equalized_odds : True and false positive rates judged together.

    Notes
    -----
    O(n) time for each decision.

    Examples
    --------
    >>> from sksoft.metrics import decision_rates
    >>> rates = decision_rates([1, 1, 0, 0], [0.9, 0.2, 0.6, 0.1], ["a", "a", "b", "b"])
    >>> rates[["group", "selection_rate", "true_positive_rate", "false_positive_rate"]]
         group  selection_rate  true_positive_rate  false_positive_rate
    0  overall             0.5                 0.5                  0.5
    1        a             0.5                 0.5                  NaN
    2        b             0.5                 NaN                  0.5
    """
    check_choices(weight_type=weight_type, confidence_level=confidence_level)
    thresholds = check_thresholds(thresholds)
    predictions = check_predictions(
        y_true, y_proba, sample_weight=sample_weight, weight_type=weight_type, labels=labels, pos_label=pos_label
    )
    n_rows = len(predictions.codes) if predictions.kept is None else len(predictions.kept)
    partition = partition_rows(sensitive_features, n_rows, predictions.kept)
    return partition_rates(predictions, partition, thresholds, confidence_level, weight_type)


def check_thresholds(thresholds) -> list[float]:
    """Different thresholds in [0, 1], at least one; ValueError otherwise."""
    thresholds = list(thresholds) if isinstance(thresholds, Iterable) else [thresholds]
    for threshold in thresholds:
        if isinstance(threshold, bool) or not isinstance(threshold, Real) or not 0 <= float(threshold) <= 1:
            raise ValueError(f"The 'thresholds' parameter must hold floats in [0, 1]. Got {threshold!r} instead.")
    if len(set(thresholds)) < max(len(thresholds), 1):
        raise ValueError(
            f"The 'thresholds' parameter must hold different values, at least one. Got {thresholds!r} instead."
        )
    return [float(threshold) for threshold in thresholds]


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


def partition_rates(
    predictions: Predictions, partition: Partition, thresholds, confidence_level: float, weight_type="sampling"
) -> pd.DataFrame:
    """The table of :func:`decision_rates`, of validated predictions and rows that are already partitioned."""
    frames = []
    for name, selected, positive in decisions_of(predictions, thresholds):
        sums = _cell_sums(selected, positive, predictions.weights, partition)
        frames += [_level_rates(name, level, sums, confidence_level, weight_type) for level in partition.levels]
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


def _level_rates(name, level: Level, cell_sums, confidence_level: float, weight_type: str) -> pd.DataFrame:
    sums = level.add_up(cell_sums)
    weight, square, rows = (dict(zip(EVENTS, part.T)) for part in np.split(sums, 3, axis=1))
    if weight_type == "frequency":  # a weight is as many rows, and the effective size is their number
        square = rows = weight
    frame = {
        "decision": name,
        "level": level.kind,
        "feature": level.feature,
        "group": level.groups,
        "n": np.rint(rows["all"]).astype(np.int64),
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


def decision_gaps(rates: pd.DataFrame, *, min_group_size=50, confidence_level=0.95) -> pd.DataFrame:
    """Largest gap of each rate between the groups of each feature, for every decision.

    Parameters
    ----------
    rates : DataFrame
        Of :func:`decision_rates`; intervals of differences are made from the intervals it holds.
    min_group_size : float, default=50
        Groups with fewer effective rows in the denominator of a rate are left out of its comparison.
    confidence_level : float in (0, 1), default=0.95
        Of the interval of the ratio.

    Returns
    -------
    table : DataFrame
        ``decision``, ``level``, ``feature``, ``rate``, ``groups`` (judged), ``left_out`` (too small),
        ``lowest_group``, ``lowest``, ``highest_group``, ``highest``, ``difference``, ``difference_low``,
        ``difference_high``, ``ratio``, ``ratio_low``, ``ratio_high``, ``p_value``, ``p_value_holm``. NaN where fewer
        than two groups can be judged.

    References
    ----------
    .. [1] R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in
       Medicine 17 (1998), method 10.
    .. [2] D. Katz et al., "Obtaining confidence intervals for the risk ratio in cohort studies", Biometrics 34
       (1978).

    Examples
    --------
    >>> from sksoft.metrics import decision_gaps, decision_rates
    >>> rates = decision_rates([0, 1] * 100, [0.2, 0.9, 0.6, 0.7] * 50, ["a", "a", "b", "b"] * 50)
    >>> decision_gaps(rates)[["rate", "lowest_group", "lowest", "highest_group", "highest", "difference"]].round(2)
                      rate lowest_group  lowest highest_group  highest  difference
    0       selection_rate            a     0.5             b      1.0         0.5
    1   true_positive_rate            a     1.0             a      1.0         0.0
    2  false_positive_rate            a     0.0             b      1.0         1.0
    """
    missing = {"decision", "level", "feature", "group", *RATES} - set(getattr(rates, "columns", ()))
    if missing:
        raise ValueError(
            "The 'rates' parameter must be a table of decision_rates. Got "
            f"{type(rates).__name__} without {sorted(missing)} instead."
        )
    check_choices(confidence_level=confidence_level)
    rows = []
    grouped = rates[rates["level"] != "overall"].groupby(["decision", "level", "feature"], sort=False)
    for keys, groups in grouped:
        for rate in COMPARED:
            rows.append(
                dict(zip(("decision", "level", "feature"), keys)) | _gap(groups, rate, min_group_size, confidence_level)
            )
    table = pd.DataFrame(rows, columns=GAP_COLUMNS)
    return table.assign(p_value_holm=holm(table["p_value"].astype(np.float64)))


def equalized_odds(rates: pd.DataFrame, *, min_group_size=50, confidence_level=0.95) -> pd.DataFrame:
    """How far groups are from equalised odds [1]_: their true and their false positive rates judged together.

    The difference is the greater of the gaps in the two rates, the ratio the smaller of the two ratios, and the
    p-value that of "both rates are the same in all groups", twice the smaller of the two (Bonferroni).

    Parameters
    ----------
    rates, min_group_size, confidence_level
        As in :func:`decision_gaps`.

    Returns
    -------
    table : DataFrame
        For every decision and feature ``decision``, ``level``, ``feature``, ``difference``, ``difference_low``,
        ``difference_high`` (the greater of the two ends: each interval has the level of `rates`), ``ratio``,
        ``worse_rate`` (with the greater difference), ``p_value``, and ``p_value_holm`` over the rows. NaN where
        either rate can be judged in fewer than two groups.

    References
    ----------
    .. [1] M. Hardt, E. Price, N. Srebro, "Equality of opportunity in supervised learning", NeurIPS 2016,
       definition 2.1.

    Examples
    --------
    >>> from sksoft.metrics import decision_rates, equalized_odds
    >>> rates = decision_rates([0, 1] * 100, [0.2, 0.9, 0.6, 0.7] * 50, ["a", "a", "b", "b"] * 50)
    >>> equalized_odds(rates, min_group_size=20)[["feature", "difference", "ratio", "worse_rate"]]
      feature  difference  ratio           worse_rate
    0   group         1.0    0.0  false_positive_rate
    """
    gaps = decision_gaps(rates, min_group_size=min_group_size, confidence_level=confidence_level)
    odds = gaps[gaps["rate"].isin(["true_positive_rate", "false_positive_rate"])]
    rows = []
    for keys, pair in odds.groupby(["decision", "level", "feature"], sort=False):
        row = dict(zip(("decision", "level", "feature"), keys))
        if not pair["difference"].isna().any():
            row |= pair[["difference", "difference_low", "difference_high"]].max().to_dict()
            row |= {
                "ratio": pair["ratio"].min(),
                "worse_rate": pair.loc[pair["difference"].astype(float).idxmax(), "rate"],
                "p_value": min(1.0, 2 * pair["p_value"].min()),
            }
        rows.append(row)
    table = pd.DataFrame(rows, columns=ODDS_COLUMNS)
    return table.assign(p_value_holm=holm(table["p_value"].astype(np.float64)))


ODDS_COLUMNS = [
    *("decision", "level", "feature", "difference", "difference_low", "difference_high"),
    *("ratio", "worse_rate", "p_value"),
]

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
