"""Sums over all pairs of rows, in memory that does not grow with the number of pairs.

Distances of two rows: total variation ``½ Σ_k |x_k − y_k|`` or Euclidean ``(Σ_k (x_k − y_k)²)^½``. Kernels, of
bandwidth b:

    total_variation   exp(−TV(x, y) / b)
    laplacian         exp(−‖x − y‖₂ / b)
    gaussian          exp(−‖x − y‖₂² / (2 b²))
"""

import numpy as np

from sksoft.kernels.blocks import row_blocks
from sksoft.kernels.registry import kernel

KINDS = ("total_variation", "laplacian", "gaussian")

# Pairs repay compiled code earlier than rows do: a thousand rows of ten columns.
AUTO_SIZE = 1 << 13

# Distances held at once by the references.
TILE_BYTES = 4 << 20


@kernel(auto_size=AUTO_SIZE)
def kernel_form(points, residuals, *, kind, bandwidth):
    """``Σ_{i<j} k(x_i, x_j) r_iᵀ r_j``.

    Parameters
    ----------
    points : IN ndarray (n, K) float64
        Rows x_i.
    residuals : IN ndarray (n, M) float64
        Rows r_i; weights of the rows are factors of them.
    kind : {'total_variation', 'laplacian', 'gaussian'}
        The kernel; see the top of this module.
    bandwidth : float > 0

    Returns
    -------
    total : float64
    """
    total = 0.0
    for rows in _tiles(len(points)):
        similarity = similarities(points, rows, kind, bandwidth)
        products = residuals[rows] @ residuals[rows.start :].T
        total += float(np.triu(similarity * products, 1).sum())
    return np.float64(total)


@kernel(auto_size=AUTO_SIZE)
def distance_histogram(points, weights, *, kind, low, high, n_cells):
    """Weight ``Σ w_i w_j`` of the pairs i < j by their distance, and the weighted sum of the distances themselves.

    Parameters
    ----------
    points : IN ndarray (n, K) float64
    weights : IN ndarray (n,) float64
    kind : {'total_variation', 'laplacian', 'gaussian'}
        Which distance; that of the kernel.
    low, high : float
        The cells 1..n_cells are of equal width on [low, high).
    n_cells : int

    Returns
    -------
    table : ndarray (2, n_cells + 2) float64
        Weights and weights times distance, per cell. Cell 0 holds distances below `low`, the last those from `high` on.
    """
    table = np.zeros((2, n_cells + 2))
    for rows in _tiles(len(points)):
        distances = _distances(points, rows, kind)
        above = np.triu_indices_from(distances, 1)
        distances = distances[above]
        mass = np.outer(weights[rows], weights[rows.start :])[above]
        cells = np.clip(np.floor((distances - low) * (n_cells / (high - low))), -1, n_cells).astype(np.intp) + 1
        table[0] += np.bincount(cells, mass, minlength=n_cells + 2)
        table[1] += np.bincount(cells, mass * distances, minlength=n_cells + 2)
    return table


@kernel(auto_size=AUTO_SIZE)
def smoothed_rows(points, values, *, kind, bandwidth):
    """``Σ_{j≠i} k(x_i, x_j) v_j`` for every row i.

    Parameters
    ----------
    points : IN ndarray (n, K) float64
        Rows x_i.
    values : IN ndarray (n, M) float64
        Rows v_i.
    kind, bandwidth
        As in :func:`kernel_form`.

    Returns
    -------
    sums : ndarray (n, M) float64
    """
    sums = np.zeros_like(values)
    for rows in _tiles(len(points)):
        similarity = above_diagonal(points, rows, kind, bandwidth)
        sums[rows] += similarity @ values[rows.start :]
        sums[rows.start :] += similarity.T @ values[rows]
    return sums


@kernel(auto_size=AUTO_SIZE)
def same_label_forms(points, weights, codes, *, kind, bandwidth):
    """``Σ_{i<j} w_i w_j k(x_i, x_j) 1{y_ib = y_jb}`` for every column b of the labels.

    Parameters
    ----------
    points : IN ndarray (n, K) float64
        Rows x_i.
    weights : IN ndarray (n,) float64
    codes : IN ndarray (n, B) int32, non-negative
        B sets of labels.
    kind, bandwidth
        As in :func:`kernel_form`.

    Returns
    -------
    totals : ndarray (B,) float64
    """
    totals = np.zeros(codes.shape[1])
    for rows in _tiles(len(points)):
        similarity = above_diagonal(points, rows, kind, bandwidth)
        similarity *= np.outer(weights[rows], weights[rows.start :])
        for label in range(codes.max(initial=-1) + 1):
            left, right = codes[rows] == label, (codes[rows.start :] == label).astype(np.float64)
            totals += np.einsum("ib,ib->b", left, similarity @ right)
    return totals


def similarities(points, rows, kind, bandwidth):
    """k(x_i, x_j) of `rows` (a slice) to the rows from the first of them on, (rows, n − first)."""
    distances = _distances(points, rows, kind)
    return np.exp(-distances / bandwidth if kind != "gaussian" else -0.5 * (distances / bandwidth) ** 2)


def above_diagonal(points, rows, kind, bandwidth):
    """:func:`similarities` of the pairs i < j, 0 elsewhere."""
    similarity = similarities(points, rows, kind, bandwidth)
    size = rows.stop - rows.start
    similarity[:, :size] = np.triu(similarity[:, :size], 1)
    return similarity


def _tiles(n_rows):
    return row_blocks(n_rows, 8 * n_rows, TILE_BYTES)


def _distances(points, rows, kind):
    """Distances of `rows` to the rows from the first of them on: the columns before are below the diagonal."""
    totals = np.zeros((rows.stop - rows.start, len(points) - rows.start))
    for column in points.T:
        difference = np.subtract.outer(column[rows], column[rows.start :])
        totals += np.abs(difference) if kind == "total_variation" else difference**2
    return 0.5 * totals if kind == "total_variation" else np.sqrt(totals)
