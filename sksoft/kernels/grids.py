"""Residuals of predictions on a regular grid of probabilities: what smoothing needs of any number of rows."""

import numpy as np

from sksoft.kernels.registry import kernel


@kernel()
def residual_grid(scores, hits, *, n_cells, weights=None):
    """Σ w (hit − score) per node of the grid 0, 1/n_cells, …, 1, each row shared between the two nodes around it.

    The shares are linear in the distance, so that the grid has the same total and the same mean position as the rows.

    Parameters
    ----------
    scores : IN ndarray (n,), float32 or float64 in [0, 1]
    hits : IN ndarray (n,), bool or integers 0 and 1
    n_cells : int >= 1
    weights : IN ndarray (n,) float64, optional
        Ones when not given.

    Returns
    -------
    grid : ndarray (n_cells + 1,) float64
    """
    scores = scores.astype(np.float64, copy=False)
    residuals = hits - scores if weights is None else weights * (hits - scores)
    places = scores * n_cells
    nodes = np.minimum(places.astype(np.intp), n_cells - 1)
    right = (places - nodes) * residuals
    grid = np.bincount(nodes, residuals - right, minlength=n_cells + 1)
    grid[1:] += np.bincount(nodes, right, minlength=n_cells)
    return grid.astype(np.float64)  # of no rows, bincount makes integers
