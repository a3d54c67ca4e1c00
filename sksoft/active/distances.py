"""Squared Euclidean distances, as matrix products and in blocks."""

import numpy as np

from sksoft.kernels.blocks import map_blocks, row_blocks

BLOCK_BYTES = 4 << 20


def squared_distances(points, centres) -> np.ndarray:
    """‖x − c‖² (n, k), not below 0; move the origin to the data first, for digits are lost far from it."""
    distances = points @ (-2.0 * centres.T)
    distances += np.einsum("ij,ij->i", points, points)[:, None]
    distances += np.einsum("ij,ij->i", centres, centres)
    return np.maximum(distances, 0.0, out=distances)


def by_blocks(points, n_columns: int, work) -> np.ndarray:
    """``work(rows of points)``, one number each, for blocks of rows whose (rows, n_columns) arrays stay small."""
    out = np.empty(len(points))

    def fill(rows):
        out[rows] = work(points[rows])

    map_blocks(fill, row_blocks(len(points), 8 * n_columns, BLOCK_BYTES))
    return out


def nearest(points, centres) -> tuple[np.ndarray, np.ndarray]:
    """The nearest centre of every point, of equals the first, and the squared distance to it; O(nkq), in blocks."""
    which = np.empty(len(points), np.intp)
    squared = np.empty(len(points))

    def work(rows):
        distances = squared_distances(points[rows], centres)
        which[rows] = distances.argmin(axis=1)
        squared[rows] = np.take_along_axis(distances, which[rows][:, None], axis=1)[:, 0]

    map_blocks(work, row_blocks(len(points), 8 * len(centres), BLOCK_BYTES))
    return which, squared
