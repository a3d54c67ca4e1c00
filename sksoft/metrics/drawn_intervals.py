"""Intervals of calibration errors that are no sums over bins: some draws of the rows, and of calibrated outcomes.

Ends as :func:`~sksoft.metrics.resampling.error_interval` has them: low ``2T − q``, and 0 where T is not larger than
that of outcomes drawn with the predicted probabilities; high ``T + mean T* − q``. And the low end is not above
``T − q₀``, q₀ the upper quantile of the error of such outcomes: an error of this kind is a norm of mean residuals,
which are gaps plus noise, so that it is at most that of the gaps plus that of the noise. Without this, where a small
error is just detected the low end was too high in a quarter of simulated samples.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import ndtri

from sksoft.kernels import bins, pairs
from sksoft.kernels.blocks import row_blocks
from sksoft.metrics.events import Event
from sksoft.metrics.intervals import MetricInterval, row_weights
from sksoft.metrics.kernel_error import ResidualRows, linear_terms, median_distance
from sksoft.metrics.resampling import draw_seeds, error_interval, p_values

# A tile of the kernel.
TILE_BYTES = 8 << 20


def event_intervals(
    metric: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple],
    event: Event,
    *,
    weight_type: str,
    n_resamples: int,
    confidence_level: float,
    random_state,
) -> list[MetricInterval]:
    """Intervals of several errors of one event at once.

    Parameters
    ----------
    metric : callable
        ``metric(scores, hits, weights) -> tuple of float``; weights are positive.
    event : Event
    weight_type : {'sampling', 'frequency'}
    n_resamples : int >= 1
    confidence_level : float in (0, 1)
    random_state : int, RandomState instance or None

    Returns
    -------
    intervals : list of MetricInterval
        One for each error. 2 B + 1 calls of `metric`.
    """
    order = np.argsort(event.scores, kind="stable")  # once, so that sorting again is fast; repetitions written out
    given = event.weights
    if given is not None and weight_type == "frequency":
        order, given = np.repeat(order, given[order].astype(np.intp)), None
    scores, hits = event.scores[order].astype(np.float64), np.asarray(event.hits)[order]
    given = None if given is None else given[order]
    weights = np.ones(len(scores)) if given is None else given
    estimate = np.array(metric(scores, hits, weights))
    null_seed, seed = draw_seeds(random_state)
    outcomes = (bins.uniforms(null_seed, resample, len(scores)) < scores for resample in range(n_resamples))
    null = [metric(scores, drawn, weights) for drawn in outcomes]
    replicates, draws = [], row_weights(len(scores), given, "sampling", seed)
    for _ in range(n_resamples):
        drawn = next(draws)
        kept = drawn > 0
        replicates.append(metric(scores[kept], hits[kept], drawn[kept]))
    p_value = p_values(estimate, np.array(null))
    low, high = error_interval(estimate, np.array(replicates), p_value, confidence_level)
    noise = np.quantile(null, 0.5 + confidence_level / 2, axis=0)
    low = np.minimum(low, np.maximum(estimate - noise, 0.0))
    return [MetricInterval(*map(float, ends)) for ends in zip(estimate, low, high)]


def kernel_interval(
    rows: ResidualRows, *, estimator: str, frequency: bool, n_resamples: int, confidence_level: float, random_state
) -> MetricInterval:
    """Squared kernel calibration error of one event, or of whole vectors, with the total variation kernel.

    ``'linear'``: normal, from the spread of its independent terms. ``'unbiased'``: ``2T − q`` of Poisson bootstrap
    samples, the bandwidth that of the rows; conservative where predictions are calibrated.
    """
    _, points, residuals, weights = rows
    tail = (1 - confidence_level) / 2
    if estimator == "linear":
        terms, mass = linear_terms(points, residuals, weights, "total_variation", "median", frequency)
        mean = float(mass @ terms / mass.sum())
        n_terms = len(terms)
        spread = np.sqrt((mass**2 @ (terms - mean) ** 2) * n_terms / max(n_terms - 1, 1)) / mass.sum()
        half = float(ndtri(1 - tail) * spread) if n_terms > 1 else np.nan
        return MetricInterval(mean, mean - half, mean + half)
    if frequency and weights is not None:
        repeats = weights.astype(np.intp)
        points, residuals, weights = np.repeat(points, repeats, axis=0), np.repeat(residuals, repeats, axis=0), None
    if len(points) < 2:
        raise ValueError(f"estimator='unbiased' needs at least two rows. Got {len(points)}.")
    weights = None if weights is None else weights / weights.max()
    bandwidth = median_distance(points, "total_variation", weights)
    draws = row_weights(len(points), weights, "sampling", draw_seeds(random_state)[1])
    first = np.ones(len(points)) if weights is None else weights
    drawn = np.stack([first, *(next(draws) for _ in range(n_resamples))], axis=1)
    estimate, *replicates = _means_over_pairs(points, residuals, drawn, bandwidth)
    if np.isnan(replicates).all():
        return MetricInterval(float(estimate), np.nan, np.nan)
    lower, upper = np.nanquantile(replicates, [tail, 1 - tail])
    return MetricInterval(*map(float, (estimate, 2 * estimate - upper, 2 * estimate - lower)))


def _means_over_pairs(points, residuals, weights, bandwidth) -> np.ndarray:
    """``Σ_{i<j} w_i w_j h_ij / Σ_{i<j} w_i w_j`` of weights (n, B); NaN where they weigh no pair."""
    totals = np.zeros(weights.shape[1])
    for rows in row_blocks(len(points), 8 * len(points), TILE_BYTES):
        near = pairs.above_diagonal(points, rows, "total_variation", bandwidth)
        near *= residuals[rows] @ residuals[rows.start :].T
        totals += np.einsum("ib,ib->b", weights[rows], near @ weights[rows.start :])
    n_pairs = (weights.sum(axis=0) ** 2 - (weights**2).sum(axis=0)) / 2
    with np.errstate(invalid="ignore"):
        return np.where(n_pairs > 0, totals / np.where(n_pairs > 0, n_pairs, 1.0), np.nan)
