"""numba implementations of :mod:`sksoft.kernels.grids`; shapes and meaning are stated there."""

import numpy as np

from sksoft.kernels import grids
from sksoft.kernels._numba._jit import jit
from sksoft.kernels._numba.bins import _contiguous
from sksoft.kernels.blocks import map_blocks, row_blocks


@grids.residual_grid.implement("numba")
def residual_grid(scores, hits, *, n_cells, weights=None):
    def work(block):
        grid = np.zeros((n_cells + 1, 2))
        _add_residuals(
            _contiguous(scores[block]),
            _contiguous(hits[block]),
            None if weights is None else _contiguous(weights[block]),
            grid,
        )
        return grid

    blocks = row_blocks(len(scores), 16 + 8 * (weights is not None), max(4 << 20, 128 * n_cells))
    left, right = sum(map_blocks(work, blocks)).T
    grid = left.copy()
    grid[1:] += right[:-1]
    return grid


@jit
def _add_residuals(scores, hits, weights, grid):
    """Add to grid[j] what the rows between the nodes j and j + 1 give to the left and to the right of them."""
    n_cells = len(grid) - 1
    for i in range(len(scores)):
        score = np.float64(scores[i])
        residual = hits[i] - score
        if weights is not None:
            residual *= weights[i]
        place = score * n_cells
        node = min(np.uint64(place), np.uint64(n_cells - 1))
        right = (place - node) * residual
        grid[node, 0] += residual - right
        grid[node, 1] += right
