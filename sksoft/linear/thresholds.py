r"""Thresholds that maximise a metric of each label, from scores of rows that were not fitted to.

A label is predicted where its score exceeds a threshold. Only cuts between distinct scores differ. For the metrics
named here, functions of the four weighted counts (true and false positives and negatives) of a cut, all of them are
tried at once from sorted scores, O(n log n) a label; the best cut is unique but for ties, of which the one nearest to
probability ½ is taken. A function ``metric(y_true, y_pred)`` is called at up to 100 cuts, evenly spaced in rank.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import expit

# Cuts at which a function is tried.
MAX_CUTS = 100


def _ratio(numerator, denominator):
    """0 where the denominator is 0, as scikit-learn's metrics have it."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0.0)


def _matthews(tp, fp, fn, tn):
    return _ratio(tp * tn - fp * fn, np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn))


METRICS: dict[str, Callable] = {
    "accuracy": lambda tp, fp, fn, tn: tp + tn,
    "balanced_accuracy": lambda tp, fp, fn, tn: 0.5 * (_ratio(tp, tp + fn) + _ratio(tn, tn + fp)),
    "f1": lambda tp, fp, fn, tn: _ratio(2.0 * tp, 2.0 * tp + fp + fn),
    "jaccard": lambda tp, fp, fn, tn: _ratio(tp, tp + fp + fn),
    "matthews_corrcoef": _matthews,
}


def best_threshold(scores: np.ndarray, targets: np.ndarray, weights: np.ndarray | None, metric) -> float:
    """The probability above which to predict a label, for the largest metric.

    Parameters
    ----------
    scores : ndarray (n,)
        Scores z, whose probabilities are σ(z).
    targets : ndarray (n,), 0 or 1
    weights : ndarray (n,), or None for equal ones
    metric : str among METRICS, or callable (y_true, y_pred) -> float
        Called with ``sample_weight=`` as well where there are weights.

    Returns
    -------
    threshold : float in [0, 1]
        ½ where all rows have one target, which decides nothing.
    """
    order = np.argsort(scores, kind="stable")
    scores, targets = scores[order], targets[order].astype(np.float64)
    own = np.ones(len(scores)) if weights is None else weights[order]
    if not 0.0 < own @ targets < own.sum():
        return 0.5
    # cut c predicts the rows from position ends[c] on: none of them are equal in score to one before
    ends = np.concatenate([[0], np.flatnonzero(np.diff(scores) > 0.0) + 1, [len(scores)]])
    # between two scores, or beyond the first and the last
    cuts = np.concatenate([[-np.inf], 0.5 * (scores[ends[1:-1] - 1] + scores[ends[1:-1]]), [np.inf]])
    if callable(metric):
        chosen = np.unique(np.linspace(0, len(ends) - 1, min(MAX_CUTS, len(ends))).round().astype(np.intp))
        ends, cuts = ends[chosen], cuts[chosen]
        labels, keywords = targets.astype(np.intp), {} if weights is None else {"sample_weight": own}
        rows = np.arange(len(scores))
        values = np.array([metric(labels, (rows >= end).astype(np.intp), **keywords) for end in ends], dtype=np.float64)
    else:
        positives = np.concatenate([[0.0], np.cumsum(own * targets)])
        negatives = np.concatenate([[0.0], np.cumsum(own * (1.0 - targets))])
        fn, tn = positives[ends], negatives[ends]
        values = METRICS[metric](positives[-1] - fn, negatives[-1] - tn, fn, tn)
    # counts are sums of weights: what rounding alone tells apart is a tie
    best = np.flatnonzero(values >= np.nanmax(values) - 1e-12 * max(abs(float(np.nanmax(values))), 1e-300))
    return float(expit(cuts[best[np.argmin(np.abs(cuts[best]))]]))
