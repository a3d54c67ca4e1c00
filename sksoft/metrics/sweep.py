"""Calibration error over as many bins of equal weight as keep the observed rates in order."""

import numpy as np

from sksoft.metrics.binned import BinnedSums
from sksoft.metrics.calibration import check_choices
from sksoft.metrics.events import Event, events
from sksoft.metrics.predictions import check_predictions

# Bins tried at most, by distinct score: beyond, only wildly different weights still change the bins.
BINS_PER_SCORE = 8

# Bins looked at together, over several numbers of bins.
CHUNK = 1 << 14


def monotone_sweep_calibration_error(
    y_true,
    y_proba,
    *,
    norm="l1",
    mode="auto",
    debias=False,
    sample_weight=None,
    weight_type="sampling",
    labels=None,
    pos_label=None,
) -> float:
    """Calibration error with a number of bins that the data choose: the monotone sweep.

    :func:`expected_calibration_error` over b bins of equal weight, with b the largest number such that for 2, 3, …, b
    bins the observed rate never falls from one bin to the next ([1]_, section 4). Less biased than a fixed number of
    bins, for many rows and for few.

    Parameters
    ----------
    y_true, y_proba
        As in :func:`expected_calibration_error`.
    norm : {'l1', 'l2', 'max'}, default='l1'
    mode : {'auto', 'confidence', 'classwise', 'top_label', 'binary'}, default='auto'
        See :mod:`sksoft.metrics.events`; each class, or predicted label, has its own number of bins.
    debias : bool, default=False
    sample_weight, weight_type, labels, pos_label
        As in :func:`expected_calibration_error`. Tied scores share a bin.

    Returns
    -------
    error : float in [0, 1]

    Raises
    ------
    ValueError
        For invalid labels, probabilities, weights or parameters.

    Notes
    -----
    O(nK + n log n) and, for each number of bins b that is tried, O(min(b, d) log n) with d the places where the rate
    falls between neighbouring scores: a bin far from all of those need not be looked at. At most 8 bins are tried for
    each distinct score.

    References
    ----------
    .. [1] R. Roelofs, N. Cain, J. Shlens, M. C. Mozer, "Mitigating bias in calibration error estimation", AISTATS 2022.

    Examples
    --------
    >>> from sksoft.metrics import monotone_sweep_calibration_error
    >>> print(round(monotone_sweep_calibration_error([0, 1, 0, 1], [0.1, 0.3, 0.6, 0.8]), 6))
    0.25
    """
    check_choices(norm=norm, mode=mode, weight_type=weight_type)
    if debias and norm == "max":
        raise ValueError("norm='max' has no debiased form: pass debias=False, or norm='l1' or 'l2'.")
    predictions = check_predictions(
        y_true, y_proba, sample_weight=sample_weight, weight_type=weight_type, labels=labels, pos_label=pos_label
    )
    shares, errors = [], []
    for event in events(predictions, mode, pos_label):
        sums = sweep_sums(event)
        shares.append(event.share)
        errors.append(float(sums.debiased_error(norm, weight_type) if debias else sums.error(norm)))
    if norm == "max":
        return max(errors)
    error = max(float(np.dot(shares, errors)), 0.0)
    return float(np.sqrt(error)) if norm == "l2" else error


def sweep_sums(event: Event) -> BinnedSums:
    """Sums over the bins of the sweep, (n_bins,)."""
    order = np.argsort(event.scores, kind="stable")
    scores = event.scores[order].astype(np.float64)
    hits = event.hits[order].astype(np.float64)
    weights = np.ones(len(order)) if event.weights is None else event.weights[order]
    starts = np.flatnonzero(np.append(True, scores[1:] != scores[:-1]))
    rows = np.stack([weights, weights * scores, weights * hits, weights**2, np.ones(len(order))])
    distinct = np.add.reduceat(rows, starts, axis=1)
    cuts = _cuts(np.cumsum(distinct[0]), monotone_bins(distinct[0], distinct[2]))
    return BinnedSums.from_table(np.add.reduceat(distinct, np.append(0, cuts[:-1] + 1), axis=1))


def monotone_bins(weight: np.ndarray, hit: np.ndarray) -> int:
    """Largest b such that the rates of 2, 3, …, b bins of equal weight do not fall.

    Parameters
    ----------
    weight, hit : ndarray (u,) float64
        Weight, and weight of the hits, of each distinct score in ascending order.

    Returns
    -------
    n_bins : int >= 1
        ``BINS_PER_SCORE * u`` where the rates of the scores themselves do not fall.
    """
    most = BINS_PER_SCORE * len(weight)
    totals = np.cumsum(weight), np.cumsum(hit)
    rates = hit / weight
    falls = np.flatnonzero(_falls(rates))
    if len(falls) == 0:
        return most
    n_bins = 2
    while n_bins <= most:
        tried = np.arange(n_bins, min(n_bins + max(CHUNK // (3 * len(falls)), 1), most + 1))
        if n_bins <= 3 * len(falls):
            tried = tried[:1]
            violated = np.array([_falls(_rates(_cuts(totals[0], n_bins), totals)).any()])
        else:
            violated = _falls_nearby(tried[:, None], falls, totals)
        if violated.any():
            return int(tried[np.argmax(violated)]) - 1
        n_bins = int(tried[-1]) + 1
    return most


def _cuts(cumulative: np.ndarray, n_bins: int) -> np.ndarray:
    """Index of the last score of every bin that holds something: bins as those of ``strategy='quantile'``."""
    wanted = np.arange(1, n_bins) * cumulative[-1] / n_bins
    return np.unique(np.append(np.searchsorted(cumulative, wanted, side="left"), len(cumulative) - 1))


def _rates(cuts, totals) -> np.ndarray:
    weight, hit = (np.diff(total[cuts], prepend=0.0) for total in totals)
    return hit / weight


def _falls(rates) -> np.ndarray:
    return np.diff(rates) < -1e-12


def _falls_nearby(n_bins, falls, totals) -> np.ndarray:
    """Whether the rate falls into, or out of, a bin that ends at or holds one of `falls`; by number of bins (b, 1)."""
    last = len(totals[0]) - 1

    def bounds(score):
        """First and last score of the bin that holds `score`."""
        before = np.where(score > 0, totals[0][score - 1], 0.0)
        place = np.floor(before * n_bins / totals[0][-1])
        edges = [np.searchsorted(totals[0], j * totals[0][-1] / n_bins, side="left") for j in (place, place + 1)]
        return np.where(place > 0, edges[0] + 1, 0), np.where(place + 1 < n_bins, np.minimum(edges[1], last), last)

    def rate(first, end):
        weight, hit = (total[end] - np.where(first > 0, total[first - 1], 0.0) for total in totals)
        return hit / weight

    first, end = bounds(falls)
    own = rate(first, end)
    left, right = rate(*bounds(np.maximum(first - 1, 0))), rate(*bounds(np.minimum(end + 1, last)))
    return ((left > own + 1e-12) | (own > right + 1e-12)).any(axis=1)
