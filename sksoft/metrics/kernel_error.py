"""Squared kernel calibration error: does any smooth function of the probabilities predict the residuals?

With residuals ``r_i = e_{y_i} − p_i`` and a kernel k on probability vectors, ``h_ij = k(p_i, p_j) r_iᵀ r_j`` has mean 0
over i ≠ j exactly where predictions are calibrated as whole vectors [1]_. Three estimators of its mean, W = Σ w:

    biased    Σ_ij w_i w_j h_ij / W²                                      (all pairs; never negative)
    unbiased  Σ_{i<j} w_i w_j h_ij / Σ_{i<j} w_i w_j                      (may be negative)
    linear    Σ_i w_{2i−1} w_{2i} h_{2i−1,2i} / Σ_i w_{2i−1} w_{2i}       (rows in pairs as they stand; unbiased)

.. [1] D. Widmann, F. Lindsten, D. Zachariah, "Calibration tests in multi-class classification: a unifying framework",
   NeurIPS 2019, definition 2, lemma 2 and table 1.
"""

from collections.abc import Iterator
from numbers import Real
from typing import NamedTuple

import numpy as np

from sksoft.kernels import pairs
from sksoft.metrics.events import columns, events
from sksoft.metrics.predictions import WEIGHT_TYPES, Predictions, check_predictions

MODES = ("auto", "canonical", "confidence", "classwise", "binary")
ESTIMATORS = ("unbiased", "biased", "linear")

# Cells of a histogram of distances: two passes tell distances apart to 1e-9 of the largest.
N_CELLS = 1 << 15


class ResidualRows(NamedTuple):
    """Points and residuals of the kernel: float64 (n, M); weights (n,) or None; `share` in the metric."""

    share: float
    points: np.ndarray
    residuals: np.ndarray
    weights: np.ndarray | None


def kernel_calibration_error(
    y_true,
    y_proba,
    *,
    kernel="total_variation",
    estimator="unbiased",
    bandwidth="median",
    mode="auto",
    sample_weight=None,
    weight_type="sampling",
    labels=None,
    pos_label=None,
) -> float:
    """Squared kernel calibration error (SKCE), without bins.

    The mean over pairs of rows of ``k(p_i, p_j) (e_{y_i} − p_i)ᵀ(e_{y_j} − p_j)``, 0 for calibrated predictions ([1]_,
    definition 2). The unbiased estimator has mean 0 then, at any number of rows, unlike binned errors.

    Parameters
    ----------
    y_true : array-like (n,)
        True labels of any type.
    y_proba : array-like (n, K) or (n,)
        Class probabilities, rows summing to 1; or the probability of the positive class.
    kernel : {'total_variation', 'laplacian', 'gaussian'}, default='total_variation'
        ``exp(−‖p − q‖₁/(2b))``, the kernel of [1]_; ``exp(−‖p − q‖₂/b)``; or ``exp(−‖p − q‖₂²/(2b²))``.
    estimator : {'unbiased', 'biased', 'linear'}, default='unbiased'
        Mean over all pairs i ≠ j; mean over all pairs with i = j, never negative, and too large by ``E h_ii / n``; or
        mean over the pairs of rows (1, 2), (3, 4), …: unbiased, noisier, and fast. ``'linear'`` depends on the order of
        the rows, which should be random; an odd last row is left out.
    bandwidth : 'median' or float > 0, default='median'
        b of the kernel. ``'median'``: the smallest distance (total variation or Euclidean) not exceeded by half of the
        weight w_i w_j of all n² ordered pairs, i = j included, as in the experiments of [1]_; found by counting, to
        within 1e-9. Where that is 0, because half of the pairs coincide, the median of the positive distances; and 1
        where all coincide. For ``'linear'``, the median over the pairs that it takes, 0 left out.
    mode : {'auto', 'canonical', 'confidence', 'classwise', 'binary'}, default='auto'
        ``'canonical'`` compares whole vectors and is ``'auto'`` for two-dimensional `y_proba`. The others are those of
        :mod:`sksoft.metrics.events`, on scalars: ``'confidence'`` with ``kernel='laplacian', estimator='biased',
        bandwidth=0.4`` is the square of the maximum mean calibration error (MMCE) [2]_; ``'binary'``, ``'auto'`` for
        one-dimensional `y_proba`, is half the canonical one of two columns for the total variation kernel.
    sample_weight : array-like (n,), optional
        Non-negative. Weight 2 equals repetition and weight 0 removal for ``'biased'``; for the others with
        ``weight_type='frequency'``.
    weight_type : {'sampling', 'frequency'}, default='sampling'
        ``'sampling'`` weighs pairs of different rows. ``'frequency'`` counts the pairs among the w_i copies of a row,
        too: the result is that of the rows written out.
    labels, pos_label
        As in :func:`expected_calibration_error`.

    Returns
    -------
    error : float
        In the unit of a squared probability.

    Raises
    ------
    ValueError
        For invalid labels, probabilities, weights or parameters; for fewer than two rows, of which ``'unbiased'`` and
        ``'linear'`` have no pair.

    Notes
    -----
    O(n² K) time and O(nK) memory; the median takes as long as the error itself, twice. O(nK) for ``'linear'``.

    References
    ----------
    .. [1] D. Widmann, F. Lindsten, D. Zachariah, "Calibration tests in multi-class classification: a unifying
       framework", NeurIPS 2019.
    .. [2] A. Kumar, S. Sarawagi, U. Jain, "Trainable calibration measures for neural networks from kernel mean
       embeddings", ICML 2018, eq. 3.

    Examples
    --------
    >>> from sksoft.metrics import kernel_calibration_error
    >>> proba = [[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.5, 0.5]]
    >>> print(round(kernel_calibration_error(["a", "b", "b", "c"], proba), 6))
    -0.166667
    >>> print(kernel_calibration_error(["a", "b", "b", "c"], proba, estimator="biased"))
    0.0
    """
    _check_parameters(kernel, estimator, bandwidth, mode, weight_type)
    predictions = check_predictions(
        y_true, y_proba, sample_weight=sample_weight, weight_type=weight_type, labels=labels, pos_label=pos_label
    )
    frequency = weight_type == "frequency"
    return float(
        sum(
            rows.share * _estimate(rows, kernel, estimator, bandwidth, frequency)
            for rows in residual_rows(predictions, mode, pos_label)
        )
    )


def residual_rows(predictions: Predictions, mode: str, pos_label=None) -> Iterator[ResidualRows]:
    """Points and residuals for each event of the metric; one for ``'canonical'``."""
    if mode == "canonical" or (mode == "auto" and not predictions.is_binary):
        points = columns(predictions).astype(np.float64)
        residuals = -points
        residuals[np.arange(len(points)), predictions.codes] += 1.0
        yield ResidualRows(1.0, points, residuals, predictions.weights)
        return
    for event in events(predictions, mode, pos_label):
        points = event.scores.astype(np.float64)[:, None]
        yield ResidualRows(event.share, points, event.hits[:, None] - points, event.weights)


def median_distance(points, kind: str, weights=None) -> float:
    """Median distance over all ordered pairs of rows, each with itself included; see :func:`kernel_calibration_error`.

    Parameters
    ----------
    points : ndarray (n, M) float64
    kind : {'total_variation', 'laplacian', 'gaussian'}
        Which distance: total variation, or Euclidean for the others.
    weights : ndarray (n,) float64, optional

    Returns
    -------
    distance : float > 0
    """
    weights = np.ones(len(points)) if weights is None else weights / weights.max()
    spans = np.ptp(points, axis=0)
    longest = 0.5 * spans.sum() if kind == "total_variation" else np.sqrt((spans**2).sum())
    if longest == 0:
        return 1.0
    longest *= 1 + 1e-9
    total, diagonal = weights.sum() ** 2, (weights**2).sum()

    def select(wanted):
        """Smallest distance such that pairs up to it weigh `wanted`."""
        low, high = 0.0, longest
        for _ in range(2):
            table = pairs.distance_histogram(points, weights, kind=kind, low=low, high=high, n_cells=N_CELLS)
            cumulative = diagonal + 2 * np.cumsum(table[0])
            cell = int(np.argmax(cumulative >= wanted * (1 - 1e-12)))
            width = (high - low) / N_CELLS
            low, high = max(low + (cell - 1.001) * width, 0.0), low + (cell + 0.001) * width
        return table[1, cell] / table[0, cell]

    smallest = 1e-9 * longest
    median = select(total / 2) if diagonal < total / 2 * (1 - 1e-12) else 0.0
    if median <= smallest:
        table = pairs.distance_histogram(points, weights, kind=kind, low=smallest, high=longest, n_cells=1)
        median = select(total - table[0, 1:].sum())
    return float(median)


def _estimate(rows: ResidualRows, kind, estimator, bandwidth, frequency) -> float:
    _, points, residuals, weights = rows
    if estimator == "linear":
        terms, mass = linear_terms(points, residuals, weights, kind, bandwidth, frequency)
        return float(mass @ terms / mass.sum())
    size, squared = float(len(points)), float(len(points))
    own = (residuals**2).sum(axis=1)  # h_ii
    if weights is not None:
        weights = weights if frequency else weights / weights.max()
        size, squared = float(weights.sum()), float((weights**2).sum())
    n_pairs = size * (size - 1) if frequency else size**2 - squared
    if estimator == "unbiased" and n_pairs <= 0:
        raise ValueError(f"estimator={estimator!r} needs at least two rows. Got {len(points)}.")
    if bandwidth == "median":
        bandwidth = median_distance(points, kind, weights)
    weighted = residuals if weights is None else residuals * weights[:, None]
    total = 2 * pairs.kernel_form(points, weighted, kind=kind, bandwidth=float(bandwidth))
    if estimator == "biased":
        return (total + (own.sum() if weights is None else weights**2 @ own)) / size**2
    if frequency and weights is not None:
        total += weights * (weights - 1) @ own
    return total / n_pairs


def linear_terms(points, residuals, weights, kind, bandwidth, frequency) -> tuple[np.ndarray, np.ndarray]:
    """h and weight w_i w_j of the pairs of rows (1, 2), (3, 4), …; repetitions are written out."""
    rows = np.arange(len(points))
    if frequency and weights is not None:
        rows, weights = np.repeat(rows, weights.astype(np.intp)), None
    first, second = rows[: len(rows) // 2 * 2].reshape(-1, 2).T
    if len(first) == 0:
        raise ValueError(f"estimator='linear' needs at least two rows. Got {len(rows)}.")
    mass = np.ones(len(first)) if weights is None else weights[first] / weights.max() * weights[second]
    difference = points[first] - points[second]
    distance = 0.5 * np.abs(difference).sum(axis=1) if kind == "total_variation" else np.linalg.norm(difference, axis=1)
    if bandwidth == "median":
        positive = distance > 0
        bandwidth = _weighted_median(distance[positive], mass[positive]) if positive.any() else 1.0
    scaled = distance / float(bandwidth)
    similarity = np.exp(-0.5 * scaled**2 if kind == "gaussian" else -scaled)
    return similarity * (residuals[first] * residuals[second]).sum(axis=1), mass


def _weighted_median(values, weights) -> float:
    """Smallest value that half of the weight does not exceed."""
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulative, cumulative[-1] / 2 * (1 - 1e-12))])


def _check_parameters(kernel, estimator, bandwidth, mode, weight_type):
    choices = {
        "kernel": (kernel, pairs.KINDS),
        "estimator": (estimator, ESTIMATORS),
        "mode": (mode, MODES),
        "weight_type": (weight_type, WEIGHT_TYPES),
    }
    for name, (value, accepted) in choices.items():
        if value not in accepted:
            raise ValueError(f"The {name!r} parameter must be one of {accepted}. Got {value!r} instead.")
    numeric = isinstance(bandwidth, Real) and not isinstance(bandwidth, bool) and 0 < float(bandwidth) < np.inf
    if not numeric and not (isinstance(bandwidth, str) and bandwidth == "median"):
        raise ValueError(
            f"The 'bandwidth' parameter must be 'median' or a positive finite float. Got {bandwidth!r} instead."
        )
