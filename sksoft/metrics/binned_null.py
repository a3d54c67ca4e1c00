"""Is a binned calibration error larger than that of calibrated predictions? Labels drawn from the predictions say.

The statistic is the plug-in error of :func:`~sksoft.metrics.expected_calibration_error`, of any mode, strategy, norm:

    T = Σ_e share_e Σ_b W_eb/W_e |a_eb − c_eb|      (l1; l2 and max likewise)

over events e: one, one for each class, or one for each predicted label. Mean scores and weights of the bins do not
change with the labels, so a draw costs one sum of hits per bin.
"""

from collections.abc import Iterator

import numpy as np

from sksoft.kernels import bins
from sksoft.kernels.blocks import row_blocks
from sksoft.metrics.binned import BinnedSums, bin_classes, bin_scores
from sksoft.metrics.events import column_labels, columns, positive_class, resolved_mode
from sksoft.metrics.null_labels import monte_carlo_p_value, null_labels, written_out
from sksoft.metrics.predictions import Predictions
from sksoft.metrics.resampling import BLOCK_BYTES


def binned_test(predictions: Predictions, mode: str, options: dict, seed: int, n_resamples: int) -> tuple[float, float]:
    """Statistic and exact Monte-Carlo p-value.

    Parameters
    ----------
    predictions : Predictions
    mode : {'auto', 'confidence', 'classwise', 'top_label', 'binary'}
    options : dict
        ``n_bins``, ``strategy``, ``norm``, ``weight_type``, ``pos_label``.
    seed : int in [0, 2⁶⁴)
    n_resamples : int >= 1
    """
    if options["weight_type"] == "frequency":
        predictions = written_out(predictions)
    mode = resolved_mode(predictions, mode)
    if mode == "classwise":
        sums, cells = class_cells(predictions, options["n_bins"], options["strategy"])
        hits = class_draws(predictions, cells, options["n_bins"], seed, row_blocks_of_draws(sums, n_resamples))
    else:
        sums, hits = _event_draws(predictions, mode, options, seed, n_resamples)
    share = np.full(len(sums.weight), 1 / len(sums.weight))
    if mode != "classwise":
        share = sums.weight.sum(axis=1) / sums.weight.sum()
    observed = float(_errors(sums, sums.hit, share, options["norm"]))
    drawn = np.concatenate([_errors(sums, block, share, options["norm"]) for block in hits])
    return observed, monte_carlo_p_value(observed, drawn)


def _errors(sums: BinnedSums, hit: np.ndarray, share: np.ndarray, norm: str) -> np.ndarray:
    """The error where the bins hold these hits, (..., events, bins) → (...)."""
    distance = np.abs(hit - sums.score)
    weight = np.where(sums.weight > 0, sums.weight, 1.0)
    if norm == "max":
        return (distance / weight)[..., share > 0, :].max(axis=(-1, -2))
    total = sums.weight.sum(axis=-1)
    per_event = (distance if norm == "l1" else distance**2 / weight).sum(axis=-1) / np.where(total > 0, total, 1.0)
    error = per_event @ share
    return np.sqrt(error) if norm == "l2" else error


def _event_draws(predictions: Predictions, mode, options, seed, n_resamples):
    """Sums (groups, bins) and blocks of drawn hits (resamples, groups, bins) of an event, by predicted label or not."""
    groups, n_groups = None, 1
    if mode == "binary":
        scores, hits = positive_class(predictions, options["pos_label"])
    else:
        top_codes, scores = predictions.top_label
        hits = top_codes == predictions.codes
        if mode == "top_label":
            groups, n_groups = top_codes, len(column_labels(predictions))
    weights = predictions.weights
    sums, edges = bin_scores(scores, hits, options["n_bins"], options["strategy"], weights, groups, n_groups)
    cells = np.searchsorted(edges, scores, side="left")
    if groups is not None:
        cells += groups * options["n_bins"]
    n_cells = n_groups * options["n_bins"]
    order = np.argsort(cells.astype(np.min_scalar_type(n_cells)), kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(cells, minlength=n_cells))])
    ordered = scores[order].astype(np.float64)
    by_cell = None if weights is None else weights[order]

    def blocks():
        for block in row_blocks(n_resamples, n_cells * 8, BLOCK_BYTES):
            span = range(block.start, block.stop)
            drawn = bins.null_hit_sums(ordered, starts, seed=seed, resamples=span, weights=by_cell)
            yield drawn.reshape(len(span), n_groups, -1)

    return sums, blocks()


def class_cells(predictions: Predictions, n_bins: int, strategy: str) -> tuple[BinnedSums, np.ndarray]:
    """Sums (K, bins) of every class against the rest, and the place ``k n_bins + bin`` of rows, (n, K)."""
    proba = columns(predictions)
    sums, edges = bin_classes(proba, predictions.codes, n_bins, strategy, predictions.weights)
    cells = np.empty(proba.shape, dtype=np.min_scalar_type(proba.shape[1] * n_bins))
    for k in range(proba.shape[1]):
        cells[:, k] = np.searchsorted(edges[k], proba[:, k], side="left") + k * n_bins
    return sums, cells


def row_blocks_of_draws(sums: BinnedSums, n_resamples: int) -> list[slice]:
    """Resamples some at a time."""
    return row_blocks(n_resamples, sums.weight.size * 8, BLOCK_BYTES)


def class_draws(predictions: Predictions, cells, n_bins: int, seed: int, blocks: list[slice]) -> Iterator[np.ndarray]:
    """Drawn hits (resamples, K, bins) of every class, from one label a row; by block."""
    labels, n_classes = null_labels(predictions.proba, seed), cells.shape[1]
    flat, rows = cells.ravel(), np.arange(0, cells.size, n_classes)
    for block in blocks:
        drawn = np.empty((block.stop - block.start, n_classes, n_bins))
        for b, resample in enumerate(range(block.start, block.stop)):
            hit = flat[rows + labels.draw(resample)]
            drawn[b] = np.bincount(hit, predictions.weights, minlength=n_classes * n_bins).reshape(n_classes, n_bins)
        yield drawn
