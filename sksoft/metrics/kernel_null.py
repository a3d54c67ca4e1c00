"""Is the squared kernel calibration error larger than that of calibrated predictions?

The unbiased estimator is a degenerate U-statistic under the null hypothesis: its limit is a weighted sum of χ² that
depends on the predictions. Instead of the limit, labels are drawn from the predictions, which is exact. For whole
vectors ``r_iᵀ r_j = 1{y_i = y_j} − p_i[y_j] − p_j[y_i] + p_iᵀ p_j``: with ``S_i = Σ_{j≠i} w_j k_ij p_j`` once for all,

    Σ_{i<j} w_i w_j k_ij r_iᵀ r_j = Σ_{i<j} w_i w_j k_ij 1{y_i = y_j} − Σ_i w_i S_i[y_i] + ½ Σ_i w_i p_iᵀ S_i

and a draw costs one comparison of labels a pair, whatever the number of classes. For one event a draw costs one product
of the kernel with its residuals. The mean of the linear estimator's independent terms h, of weight m, is
asymptotically normal: ``z = Σ m h / (Σ m² (h − h̄)²)^½`` ([1]_, corollary 1), large against the null hypothesis.

.. [1] D. Widmann, F. Lindsten, D. Zachariah, "Calibration tests in multi-class classification: a unifying framework",
   NeurIPS 2019.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import ndtr

from sksoft.kernels import pairs
from sksoft.kernels.blocks import row_blocks
from sksoft.metrics.events import columns, positive_class
from sksoft.metrics.kernel_error import linear_terms, median_distance
from sksoft.metrics.null_labels import monte_carlo_p_value, null_labels, written_out
from sksoft.metrics.predictions import Predictions

# A tile of the kernel, and labels and residuals of some draws.
TILE_BYTES, LABEL_BYTES = 8 << 20, 64 << 20


def kernel_test(predictions: Predictions, mode: str, options: dict, seed: int, n_resamples: int) -> tuple[float, float]:
    """Statistic and p-value; `n_resamples` is not looked at for ``options['estimator'] == 'linear'``.

    Parameters
    ----------
    predictions : Predictions
    mode : {'auto', 'canonical', 'confidence', 'classwise', 'binary'}
    options : dict
        ``kernel``, ``bandwidth``, ``estimator`` ('unbiased' or 'linear'), ``weight_type``, ``pos_label``.
    seed : int in [0, 2⁶⁴)
    n_resamples : int >= 1
    """
    if options["weight_type"] == "frequency":
        predictions = written_out(predictions)
    if len(predictions.codes) < 2:
        raise ValueError("method='skce' needs at least two rows. Got 1.")
    if options["estimator"] == "linear":
        return _linear_test(predictions, mode, options)
    weights = np.ones(len(predictions.codes)) if predictions.weights is None else predictions.weights
    weights = weights / weights.max()
    n_pairs = (weights.sum() ** 2 - weights @ weights) / 2
    kind, units = options["kernel"], []
    for share, points, columns_of_residuals in _units(predictions, mode, options["pos_label"]):
        bandwidth = options["bandwidth"]
        if bandwidth == "median":
            bandwidth = median_distance(points, kind, weights)
        if len(columns_of_residuals) > 1:
            units.append((share / n_pairs, _vector_forms(points, weights, kind, float(bandwidth))))
        else:
            units.append((share / n_pairs, _event_forms(points, columns_of_residuals[0], weights, kind, bandwidth)))
    totals = np.zeros(n_resamples + 1)
    for block, drawn in _label_blocks(predictions, seed, n_resamples):
        for share, forms in units:
            totals[block] += share * forms(drawn)
    return float(totals[0]), monte_carlo_p_value(float(totals[0]), totals[1:])


def _label_blocks(predictions: Predictions, seed: int, n_resamples: int):
    """Places and codes (n, b) int32, some columns at a time: those that were seen, then drawn ones."""
    labels = null_labels(predictions.proba, seed)
    for block in row_blocks(n_resamples + 1, 16 * len(predictions.codes), LABEL_BYTES):
        drawn = np.empty((len(predictions.codes), block.stop - block.start), dtype=np.int32)
        for column, b in enumerate(range(block.start, block.stop)):
            drawn[:, column] = labels.draw(b - 1) if b else predictions.codes
        yield block, drawn


def _units(predictions: Predictions, mode: str, pos_label):
    """(share, points (n, M), functions from codes (n, B) to a column of residuals (n, B)) of each part of the error."""
    if mode in ("auto", "canonical", "classwise") and not (predictions.is_binary and mode == "auto"):
        proba = columns(predictions).astype(np.float64)
        residuals = [lambda codes, k=k: (codes == k) - proba[:, k, None] for k in range(proba.shape[1])]
        if mode == "classwise":
            yield from ((1 / len(residuals), proba[:, k, None], [column]) for k, column in enumerate(residuals))
        else:
            yield 1.0, proba, residuals
        return
    if mode == "confidence":
        top, scores = predictions.top_label
        scores = scores[:, None]
        yield 1.0, scores, [lambda codes: (codes == top[:, None]) - scores]
        return
    scores, _ = positive_class(predictions, pos_label)
    scores = scores.astype(np.float64)[:, None]
    positive = 1 if predictions.is_binary else int(np.argmax(_is_positive(predictions, pos_label)))
    yield 1.0, scores, [lambda codes: (codes == positive) - scores]


def _is_positive(predictions: Predictions, pos_label) -> np.ndarray:
    """Which column is that of the positive class."""
    if pos_label is None:
        return np.arange(predictions.proba.shape[1]) == 1
    return np.asarray(predictions.classes == pos_label)


def _vector_forms(proba, weights, kind, bandwidth) -> Callable[[np.ndarray], np.ndarray]:
    """``Σ_{i<j} w_i w_j k(p_i, p_j) r_iᵀ r_j`` as a function of codes (n, B): (B,)."""
    smoothed = pairs.smoothed_rows(proba, weights[:, None] * proba, kind=kind, bandwidth=bandwidth)
    smoothed *= weights[:, None]
    constant = 0.5 * float(np.einsum("ik,ik->", proba, smoothed))

    def forms(codes):
        same = pairs.same_label_forms(proba, weights, codes, kind=kind, bandwidth=bandwidth)
        return same - np.take_along_axis(smoothed, codes, axis=1).sum(axis=0) + constant

    return forms


def _event_forms(points, residuals_of, weights, kind, bandwidth) -> Callable[[np.ndarray], np.ndarray]:
    """``Σ_{i<j} w_i w_j k(x_i, x_j) r_i r_j`` as a function of codes (n, B): (B,)."""

    def forms(codes):
        residuals = residuals_of(codes) * weights[:, None]
        totals = np.zeros(codes.shape[1])
        for rows in row_blocks(len(points), 8 * len(points), TILE_BYTES):
            near = pairs.above_diagonal(points, rows, kind, float(bandwidth))
            totals += np.einsum("ib,ib->b", residuals[rows], near @ residuals[rows.start :])
        return totals

    return forms


def _linear_test(predictions: Predictions, mode: str, options: dict) -> tuple[float, float]:
    """z of the mean of the terms, and its upper tail."""
    drawn, total = predictions.codes[:, None], np.zeros(0)
    for share, points, columns_of_residuals in _units(predictions, mode, options["pos_label"]):
        residuals = np.column_stack([column(drawn)[:, 0] for column in columns_of_residuals])
        terms, mass = linear_terms(
            points, residuals, predictions.weights, options["kernel"], options["bandwidth"], False
        )
        total = share * mass * terms + (total if len(total) else 0.0)
    mean = float(total.sum() / mass.sum())
    spread = float(np.sqrt(((total - mass * mean) ** 2).sum()) / mass.sum())
    n_terms = len(mass)
    if n_terms < 2:
        raise ValueError("method='skce' with estimator='linear' needs at least four rows.")
    if spread == 0.0:
        return mean, 1.0 if mean <= 0 else 0.0
    return mean, float(ndtr(-mean / (spread * np.sqrt(n_terms / (n_terms - 1)))))
