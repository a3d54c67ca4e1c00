"""Binned calibration statistics: from rows to a few sums per cell, in one pass.

A *cell* is (group, bin): bin ``b`` of a score holds ``edges[b-1] < score <= edges[b]``, the first and the
last bin being open to the outside, so that 0 lies in the first bin and 1 in the last. Every binned
calibration error, interval and gap of :mod:`sksoft.metrics` is a function of the sums computed here.

Edges are the *inner* edges only, ascending, (n_bins - 1,); an edge of +inf closes no bin and leaves an empty
one.
"""

import numpy as np

from sksoft.kernels import splitmix
from sksoft.kernels.registry import kernel

# What the first axis of a table of sums holds.
WEIGHT, SCORE, HIT, WEIGHT_SQUARED, COUNT = range(5)


@kernel()
def top_label_rows(proba):
    """First largest entry of every row, and what a validation needs, in one pass.

    Parameters
    ----------
    proba : IN ndarray (n, K), float32 or float64, K >= 1
        Probabilities; not required to be valid ones.

    Returns
    -------
    codes : ndarray (n,) intp
        Column of the first maximum.
    confidence : ndarray (n,) float64
        The maximum; NaN where the row holds a NaN.
    total : ndarray (n,) float64
        Sum of the row; NaN where the row holds a NaN.
    lowest : ndarray (n,) float64
        Minimum; NaN where the row holds a NaN.
    """
    codes = proba.argmax(axis=1)
    confidence = np.take_along_axis(proba, codes[:, None], axis=1)[:, 0].astype(np.float64)
    return codes, confidence, proba.sum(axis=1, dtype=np.float64), proba.min(axis=1).astype(np.float64)


@kernel()
def bin_sums(scores, hits, edges, *, weights=None, groups=None, n_groups=1):
    """Sums per (group, bin) of weight, weight·score, weight·hit, weight² and rows.

    Parameters
    ----------
    scores : IN ndarray (n,), float32 or float64
        Without NaN.
    hits : IN ndarray (n,), bool or integers 0 and 1
    edges : IN ndarray (n_bins - 1,) float64
        Inner edges, ascending.
    weights : IN ndarray (n,) float64, optional
        Ones when not given.
    groups : IN ndarray (n,) intp, optional
        Group of every row in 0..n_groups-1; all rows in group 0 when not given.

    Returns
    -------
    sums : ndarray (5, n_groups, n_bins) float64
        In the order ``WEIGHT, SCORE, HIT, WEIGHT_SQUARED, COUNT``.
    """
    n_bins = len(edges) + 1
    cells = np.searchsorted(edges, scores, side="left")
    if groups is not None:
        cells += groups * n_bins

    def total(values=None):
        return np.bincount(cells, values, minlength=n_groups * n_bins)

    count = total().astype(np.float64)
    if weights is None:
        columns = count, total(scores), total(hits), count, count
    else:
        columns = total(weights), total(weights * scores), total(weights * hits), total(weights**2), count
    return np.stack(columns).reshape(5, n_groups, n_bins)


@kernel()
def class_bin_sums(proba, codes, edges, *, weights=None):
    """:func:`bin_sums` of every column of `proba` against "the row's class is this column".

    Parameters
    ----------
    proba : IN ndarray (n, K), float32 or float64
        Without NaN.
    codes : IN ndarray (n,) intp
        Class of every row in 0..K-1.
    edges : IN ndarray (K, n_bins - 1) float64
        Inner edges of every class.
    weights : IN ndarray (n,) float64, optional

    Returns
    -------
    sums : ndarray (5, K, n_bins) float64
    """
    per_class = [bin_sums.reference(proba[:, k], codes == k, edges[k], weights=weights) for k in range(proba.shape[1])]
    return np.concatenate(per_class, axis=1)


# What the first axis of :func:`binary_score_sums` holds; r is the residual probability − hit.
LOSS, ENTROPY, CORRECT, CONFIDENCE, R_SQUARED, SQUARED_WEIGHT_R, SQUARED_WEIGHT_R_SQUARED = range(7)


@kernel()
def binary_score_sums(proba, hits, groups, *, n_groups, weights=None):
    """Sums per group of the scores of binary predictions, all in one pass.

    Parameters
    ----------
    proba : IN ndarray (n,), float32 or float64 in [0, 1]
        Probability of the positive class.
    hits : IN ndarray (n,), bool or integers 0 and 1
        Whether the row is positive.
    groups : IN ndarray (n,) intp
        Group of every row in 0..n_groups-1.
    weights : IN ndarray (n,) float64, optional
        Ones when not given.

    Returns
    -------
    sums : ndarray (7, n_groups) float64
        Of w·loss (−ln of the probability of what happened, nats), w·entropy (nats), w·[prediction is right] (positive
        is predicted above 1/2), w·max(p, 1 − p), w·r², w²·r and w²·r².
    """
    proba = proba.astype(np.float64, copy=False)
    logs = binary_logs(proba)
    residuals = proba - hits
    squares = residuals * residuals
    columns = [binary_losses(hits, *logs), binary_entropies(proba, *logs), (proba > 0.5) == hits]
    columns += [np.maximum(proba, 1.0 - proba), squares, residuals, squares]
    if weights is not None:
        columns = [column * (weights if i <= R_SQUARED else weights**2) for i, column in enumerate(columns)]
    sums = np.stack([np.bincount(groups, column, minlength=n_groups) for column in columns])
    return sums.astype(np.float64)  # of no rows, bincount makes integers


def binary_logs(proba) -> tuple[np.ndarray, np.ndarray]:
    """ln p and ln(1 − p), −inf included."""
    with np.errstate(divide="ignore"):
        return np.log(proba), np.log1p(-proba)


def binary_losses(hits, log_p, log_q) -> np.ndarray:
    """−ln p where the row is positive and −ln(1 − p) elsewhere."""
    return 0.0 - np.where(hits, log_p, log_q)


def binary_entropies(proba, log_p, log_q) -> np.ndarray:
    """−p ln p − (1 − p) ln(1 − p), with 0 ln 0 = 0: a finite logarithm in place of −inf leaves a product of 0."""
    lowest = np.finfo(np.float64).min
    return 0.0 - (proba * np.maximum(log_p, lowest) + (1.0 - proba) * np.maximum(log_q, lowest))


@kernel(auto_size=1 << 14)
def null_hit_sums(scores, starts, *, seed, resamples, weights=None):
    """Σ w·hit per cell where every hit is drawn: 1 with probability `score`, as calibrated predictions would
    give.

    Draws are a function of (seed, resample, row), see :func:`uniforms`: no state, the same on every backend.

    Parameters
    ----------
    scores : IN ndarray (n,) float64 in [0, 1]
        Rows in the order of their cells.
    starts : IN ndarray (n_cells + 1,) intp
        Rows ``starts[j]:starts[j + 1]`` lie in cell j.
    seed : int in [0, 2⁶⁴)
    resamples : range
        Which resamples, so that blocks of them may be computed apart.
    weights : IN ndarray (n,) float64, optional
        Ones when not given.

    Returns
    -------
    sums : ndarray (len(resamples), n_cells) float64
    """
    cells = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    sums = np.empty((len(resamples), len(starts) - 1))
    for b, resample in enumerate(resamples):
        hits = uniforms(seed, resample, len(scores)) < scores
        sums[b] = np.bincount(cells, hits if weights is None else weights * hits, minlength=len(starts) - 1)
    return sums


@kernel(auto_size=1 << 14)
def bootstrap_sums(values, starts, *, seed, resamples, weights=None):
    """Σ w·N and Σ w·N·value per cell, N ~ Poisson(1) drawn for every row: the Poisson bootstrap.

    N is the inverse distribution function at the draw of :func:`uniforms`. Parameters as in
    :func:`null_hit_sums`; `values` is any float64 (n,).

    Returns
    -------
    sums : ndarray (2, len(resamples), n_cells) float64
    """
    n_cells = len(starts) - 1
    cells = np.repeat(np.arange(n_cells), np.diff(starts))
    sums = np.empty((2, len(resamples), n_cells))
    for b, resample in enumerate(resamples):
        drawn = np.searchsorted(POISSON, uniforms(seed, resample, len(values)), side="right").astype(np.float64)
        if weights is not None:
            drawn *= weights
        sums[0, b] = np.bincount(cells, drawn, minlength=n_cells)
        sums[1, b] = np.bincount(cells, drawn * values, minlength=n_cells)
    return sums


# Distribution function of Poisson(1) at 0, 1, …, 11; beyond, less than the resolution of a draw is left.
POISSON = np.exp(-1.0) * np.cumsum(1.0 / np.cumprod(np.maximum(np.arange(12.0), 1.0)))

RESOLUTION = 2.0**-32


def uniforms(seed: int, resample: int, n_rows: int) -> np.ndarray:
    """Uniform numbers on [0, 1) in steps of 2⁻³², one per row: splitmix64 as a counter-based generator.

    The stream of a resample starts at a hash of (seed, resample) and row i reads its i-th output.
    """
    counters = np.arange(1, n_rows + 1, dtype=np.uint64) * splitmix.STEP
    state = stream_starts(seed, range(resample, resample + 1))
    return (splitmix.mix(state + counters) >> np.uint64(32)) * RESOLUTION


def stream_starts(seed: int, resamples: range) -> np.ndarray:
    """State from which the draws of each resample are counted, (len(resamples),) uint64."""
    keys = [(seed + (resample + 1) * int(splitmix.FACTOR_2)) % 2**64 for resample in resamples]
    return splitmix.mix(np.array(keys, dtype=np.uint64))
