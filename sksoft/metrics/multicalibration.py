"""Multicalibration: is every group calibrated at every score, all asked at once?

With r_i = p_i − y_i the residuals of an event, W_g = Σ_{i in g} w_i and v_S = Σ_{i in S} w_i² p_i (1 − p_i) the
variance of Σ_{i in S} w_i r_i if predictions are calibrated, a cell of the question has an error and a statistic:

============== =============================================== ======================================================
method         a cell is                                        error, and statistic = error in units of its deviation
============== =============================================== ======================================================
``cumulative`` a group g, rows in the order of their scores    ECCE_g = (max_k S_k − min_k S_k)/W_g over the partial
                                                                sums S_0 = 0, S_1, …; tied scores make one step; by
                                                                σ_g = v_g^½ / W_g
``bins``       the rows of a group g in a bin b of the score   α_gb = |Σ_{i in g, b} w_i r_i| / W, W of all rows; by
                                                                v_gb^½ / W
============== =============================================== ======================================================

The multicalibration error is the largest statistic. Its p-value is that of "all predictions are calibrated": events are
drawn with the predicted probabilities, for all cells at once, and the largest statistic is compared with its draws.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from sksoft.metrics.binned import inner_edges
from sksoft.metrics.calibration import check_choices
from sksoft.metrics.groups import check_whole
from sksoft.metrics.multiplicity import westfall_young
from sksoft.metrics.null_labels import null_labels, seed_of, written_out
from sksoft.metrics.predictions import Predictions, check_predictions
from sksoft.metrics.resampling import p_values
from sksoft.metrics.sensitive import Level, partition_rows

METHODS = ("cumulative", "bins")
MODES = ("auto", "classwise")


@dataclass(frozen=True)
class MulticalibrationResult:
    """What :func:`multicalibration_error` found.

    Attributes
    ----------
    statistic : float
        Largest error in units of its standard deviation under calibration.
    p_value : float
        Of "all predictions are calibrated"; NaN without draws.
    error : float in [0, 1]
        Error of the cell with the largest statistic, in probability.
    group : str
        That cell's group.
    table : DataFrame
        All cells: ``class`` (with ``mode='classwise'``), ``level``, ``feature``, ``group``, ``bin_low`` and
        ``bin_high`` (with ``method='bins'``), ``effective_n``, ``error``, ``deviation``, ``statistic``, ``p_value``,
        and ``p_value_adjusted`` over all cells (Westfall and Young).
    """

    statistic: float
    p_value: float
    error: float
    group: str
    table: pd.DataFrame = field(repr=False)


def multicalibration_error(
    y_true,
    y_proba,
    sensitive_features,
    *,
    method="cumulative",
    mode="auto",
    n_bins=10,
    strategy="uniform",
    sample_weight=None,
    weight_type="sampling",
    labels=None,
    pos_label=None,
    min_group_size=50,
    n_resamples=999,
    random_state=None,
) -> MulticalibrationResult:
    """Largest calibration error over groups and scores, in units of its own noise, with a p-value.

    Groups are all rows, the groups of each feature, and the intersections of all features.

    Parameters
    ----------
    y_true, y_proba, sensitive_features
        As in :func:`group_calibration`.
    method : {'cumulative', 'bins'}, default='cumulative'
        ``'cumulative'`` needs no bins [1]_ [2]_; ``'bins'`` is the definition of α-multicalibration [3]_.
    mode : {'auto', 'classwise'}, default='auto'
        The event: ``'auto'`` the positive class or, with several columns, the top label being right;
        ``'classwise'`` each class against the rest, for all classes at once.
    n_bins, strategy
        Bins of ``method='bins'``, the same for all groups.
    sample_weight, weight_type, labels, pos_label
        As in :func:`group_calibration`.
    min_group_size : int >= 2, default=50
        Cells of fewer effective rows are left out.
    n_resamples : int >= 0, default=999
        Draws for the p-values.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    result : MulticalibrationResult
        ``statistic``, ``p_value``, ``error``, ``group`` and the ``table`` of all cells.

    Raises
    ------
    ValueError
        For invalid labels, probabilities, weights, parameters or sensitive features, or if no cell is large enough.

    Notes
    -----
    Calibrated predictions have a ``'cumulative'`` statistic of 1.6 on average in each group, the range of Brownian
    motion. The p-value is exact up to the number of draws whatever the groups. O(n log n + B n) time for each feature,
    O(n) memory.

    References
    ----------
    .. [1] I. Arrieta-Ibarra et al., "Metrics of calibration for probabilistic predictions", JMLR 23 (2022), section 3.
    .. [2] N. Tax et al., "MCGrad: multicalibration at web scale", arXiv 2509.19884 (2025): the largest scaled ECCE over
       groups.
    .. [3] Ú. Hébert-Johnson, M. P. Kim, O. Reingold, G. N. Rothblum, "Multicalibration: calibration for the
       (computationally-identifiable) masses", ICML 2018, definition 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft.metrics import multicalibration_error
    >>> rng = np.random.default_rng(0)
    >>> proba, sex = rng.uniform(size=2000), rng.choice(["f", "m"], size=2000)
    >>> y = rng.uniform(size=2000) < np.where(sex == "f", proba**1.3, proba**0.7)
    >>> found = multicalibration_error(y, proba, sex, n_resamples=199, random_state=0)
    >>> found.group, found.p_value
    ('m', 0.005)
    """
    check_choices(n_bins=n_bins, strategy=strategy, weight_type=weight_type)
    for name, value, known in (("method", method, METHODS), ("mode", mode, MODES)):
        if value not in known:
            raise ValueError(f"The {name!r} parameter must be one of {known}. Got {value!r} instead.")
    check_whole("min_group_size", min_group_size, 2)
    check_whole("n_resamples", n_resamples, 0)
    predictions = check_predictions(
        y_true, y_proba, sample_weight=sample_weight, weight_type=weight_type, labels=labels, pos_label=pos_label
    )
    n_rows = len(predictions.codes) if predictions.kept is None else len(predictions.kept)
    partition = partition_rows(sensitive_features, n_rows, predictions.kept)
    codes = partition.codes
    if weight_type == "frequency" and predictions.weights is not None:  # a weight counts as the rows it stands for
        codes, predictions = np.repeat(codes, predictions.weights.astype(np.intp)), written_out(predictions)
    rows = _Rows.of(predictions, mode)
    cells = [
        make(rows, event, level, level.members[codes], *options)
        for event in range(len(rows.scores))
        for level in partition.levels
        for make, options in [(_Curves, ()) if method == "cumulative" else (_Bins, (n_bins, strategy))]
    ]
    table = pd.concat([cell.table for cell in cells], ignore_index=True)
    enough = (table["effective_n"] >= min_group_size).to_numpy()
    if not enough.any():
        raise ValueError(f"No group has {min_group_size} effective rows: pass a smaller 'min_group_size'.")
    drawn = _draws(rows, cells, n_resamples, random_state)[:, enough]
    return _result(table[enough].reset_index(drop=True), drawn, mode == "classwise")


@dataclass(frozen=True)
class _Rows:
    """Events of all rows: ``scores`` and ``hits`` (n_events, n), ``weights`` (n,), ``names`` of the events."""

    names: list
    scores: np.ndarray
    hits: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, predictions: Predictions, mode: str) -> "_Rows":
        weights = np.ones(len(predictions.codes)) if predictions.weights is None else predictions.weights
        if mode == "classwise" and not predictions.is_binary:
            names = list(predictions.classes)
            hits = predictions.codes == np.arange(len(names))[:, None]
            return cls(names, predictions.proba.T.astype(np.float64), hits, weights)
        score, hit = predictions.event
        return cls([None], score[None].astype(np.float64), np.asarray(hit, dtype=bool)[None], weights)

    def drawn_hits(self, seed: int, n_resamples: int) -> Iterator[np.ndarray]:
        """Hits of every event as calibrated predictions would give them, (n_events, n)."""
        several = len(self.names) > 1
        labels = null_labels(self.scores.T if several else self.scores[0], seed)
        codes = np.arange(len(self.names))[:, None] if several else 1
        for resample in range(n_resamples):
            yield np.atleast_2d(labels.draw(resample) == codes)


class _Curves:
    """Groups of one level and event; the statistic is the range of partial sums."""

    def __init__(self, rows: _Rows, event: int, level: Level, members):
        scores, w = rows.scores[event], rows.weights
        self.event, self.weights, self.scores = event, w, scores
        self.order = np.lexsort((scores, members))
        group, ordered = members[self.order], scores[self.order]
        ends = np.append((group[1:] != group[:-1]) | (ordered[1:] != ordered[:-1]), True)
        self.ends = np.flatnonzero(ends)
        n_groups = len(level.groups)
        self.starts = np.searchsorted(group[self.ends], np.arange(n_groups))
        self.first = np.searchsorted(group, np.arange(n_groups))
        self.group_of_end = group[self.ends]
        self.total = np.bincount(members, w, minlength=n_groups)
        deviation = np.sqrt(np.bincount(members, w**2 * scores * (1 - scores), minlength=n_groups)) / self.total
        self.deviation = deviation
        size = self.total**2 / np.bincount(members, w**2, minlength=n_groups)
        error = self.errors(rows.hits[event])
        self.table = _frame(rows.names[event], level, level.groups, size, error, deviation)

    def errors(self, hits) -> np.ndarray:
        """ECCE of each group."""
        sums = np.cumsum((self.weights * (self.scores - hits))[self.order])
        before = np.where(self.first > 0, sums[self.first - 1], 0.0)
        partial = sums[self.ends] - before[self.group_of_end]
        highest = np.maximum(np.maximum.reduceat(partial, self.starts), 0.0)
        lowest = np.minimum(np.minimum.reduceat(partial, self.starts), 0.0)
        return _rounded((highest - lowest) / self.total)


class _Bins:
    """Groups by bins of one level and event; the statistic is the sum of residuals."""

    def __init__(self, rows: _Rows, event: int, level: Level, members, n_bins, strategy):
        scores, w = rows.scores[event], rows.weights
        self.event, self.weights, self.scores = event, w, scores
        edges = inner_edges(scores, n_bins, strategy, w)
        codes = members * n_bins + np.searchsorted(edges, scores, side="left")
        present, self.codes = np.unique(codes, return_inverse=True)
        self.total = w.sum()
        self.deviation = np.sqrt(np.bincount(self.codes, w**2 * scores * (1 - scores))) / self.total
        size = np.bincount(self.codes, w) ** 2 / np.bincount(self.codes, w**2)
        names = [level.groups[g] for g in present // n_bins]
        self.table = _frame(rows.names[event], level, names, size, self.errors(rows.hits[event]), self.deviation)
        low = np.concatenate([[0.0], edges])[present % n_bins]
        high = np.minimum(np.concatenate([edges, [1.0]]), 1.0)[present % n_bins]
        self.table.insert(4, "bin_low", low)
        self.table.insert(5, "bin_high", high)

    def errors(self, hits) -> np.ndarray:
        """α of each cell."""
        return _rounded(np.abs(np.bincount(self.codes, self.weights * (self.scores - hits))) / self.total)


def _rounded(errors):
    """Errors of no more than rounding are none: the deviation of certain predictions is 0 too."""
    return np.where(errors < 1e-14, 0.0, errors)


def _frame(name, level: Level, groups, size, error, deviation) -> pd.DataFrame:
    columns = {"level": level.kind, "feature": level.feature, "group": groups, "effective_n": size}
    columns |= {"error": error, "deviation": deviation, "statistic": _scaled(error, deviation)}
    frame = pd.DataFrame(columns)
    frame.insert(0, "class", [name] * len(frame))
    return frame


def _scaled(error, deviation) -> np.ndarray:
    """error / deviation; where nothing can happen by chance, 0 for no error and inf for any."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error > 0, error / deviation, 0.0)


def _draws(rows: _Rows, cells, n_resamples, random_state) -> np.ndarray:
    """Statistics of all cells under calibration, (n_resamples, n_cells)."""
    drawn = np.empty((n_resamples, sum(len(cell.table) for cell in cells)))
    for resample, hits in enumerate(rows.drawn_hits(seed_of(random_state), n_resamples)):
        statistics = [_scaled(cell.errors(hits[cell.event]), cell.deviation) for cell in cells]
        drawn[resample] = np.concatenate(statistics)
    return drawn


def _result(table: pd.DataFrame, drawn, with_classes: bool) -> MulticalibrationResult:
    statistic = table["statistic"].to_numpy()
    table["p_value"] = table["p_value_adjusted"] = np.nan
    p_value = float("nan")
    if len(drawn):
        table["p_value"] = p_values(statistic, drawn)
        table["p_value_adjusted"] = _adjusted(statistic, drawn)
        p_value = float(p_values(statistic.max(), drawn.max(axis=1)))
    worst = table.iloc[int(statistic.argmax())]
    return MulticalibrationResult(
        statistic=float(statistic.max()),
        p_value=p_value,
        error=float(worst["error"]),
        group=worst["group"],
        table=table if with_classes else table.drop(columns="class"),
    )


def _adjusted(statistic, drawn) -> np.ndarray:
    """Westfall and Young; a cell where nothing happens by chance is decided without draws."""
    by_chance = np.isfinite(statistic)
    adjusted = np.full(len(statistic), 1 / (1 + len(drawn)))
    adjusted[by_chance] = westfall_young(statistic[by_chance], drawn[:, by_chance])
    return adjusted
