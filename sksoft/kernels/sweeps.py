"""Sweeps of scores: rows times coefficients, what a loss makes of the scores, and that times the rows again.

Done one after the other, the three read the data twice and the scores four times. Here they are done tile by tile:
few rows at a time, all of whose numbers stay in the cache. For the first product a tile stands column by column,

    tiled = [X₁ᵀ, X₂ᵀ, …]        Xₜ the rows t · TILE … (t + 1) · TILE − 1, the last maybe fewer

all in one flat array; for the second, row by row as X itself. A device does without tiles: its products are as fast as
its memory for rows as they stand.
"""

import numpy as np

from sksoft.kernels.registry import kernel
from sksoft.kernels.rowwise import quietly

# Rows of a tile: enough for BLAS, and 40 columns and 40 classes of float32 fit the second cache.
TILE = 512


def tiles_of(rows: np.ndarray) -> np.ndarray:
    """The flat array `tiled` of rows (n, c): a copy."""
    tiled = np.empty(rows.size, rows.dtype)
    c = rows.shape[1]
    for start in range(0, len(rows), TILE):
        tile = rows[start : start + TILE]
        tiled[start * c : start * c + tile.size].reshape(c, len(tile))[...] = tile.T
    return tiled


@kernel()
@quietly
def softmax_hessian_sweep(rows, tiled, proba, weights, direction):
    """Product of the curvature of softmax scores, linear in x, with a direction: ``Σᵢ wᵢ J(pᵢ) D xᵢ xᵢᵀ``.

    J(p) = diag p − p pᵀ. One sweep over the rows, O(n c K).

    Parameters
    ----------
    rows : IN ndarray (n, c), float32 or float64
    tiled : IN ndarray (n · c,), dtype of `rows`, or None
        The same numbers, tile by tile; where None is given, as on a device, they are made if they are needed.
    proba : IN ndarray (n, K), dtype of `rows`
    weights : IN ndarray (n,), float64, non-negative
        A row of weight 0 contributes 0, whatever its probabilities.
    direction : IN ndarray (K, c), dtype of `rows`

    Returns
    -------
    product : ndarray (K, c), float64
        Of the accuracy of the dtype.
    """
    u = rows @ direction.T
    u -= np.einsum("ij,ij->i", proba, u, dtype=np.float64)[:, None].astype(u.dtype)
    u *= proba
    u *= weights[:, None].astype(u.dtype)
    u[weights == 0.0] = 0.0
    return (u.T @ rows).astype(np.float64)


@kernel()
@quietly
def diagonal_hessian_sweep(rows, proba, weights, direction):
    """The same product for scores v ∘ x + b, whose class k sees its own column alone.

    With u = v ∘ x + b and r = w J(p) u, the sums over the rows of r ∘ x and of r: one sweep, O(n K).

    Parameters
    ----------
    rows : IN ndarray (n, K), float32 or float64
    proba : IN ndarray (n, K), dtype of `rows`
    weights : IN ndarray (n,), float64, non-negative
        A row of weight 0 contributes 0, whatever its probabilities.
    direction : IN ndarray (2, K), dtype of `rows`, v and b

    Returns
    -------
    product : ndarray (K, 2), float64
        Of the accuracy of the dtype.
    """
    u = rows * direction[0]
    u += direction[1]
    u -= np.einsum("ij,ij->i", proba, u, dtype=np.float64)[:, None].astype(u.dtype)
    u *= proba
    u *= weights[:, None].astype(u.dtype)
    u[weights == 0.0] = 0.0
    return np.stack([np.einsum("ik,ik->k", u, rows), u.sum(axis=0)], axis=1).astype(np.float64)


@kernel()
def diagonal_adjoint(residual, rows):
    """Sums over the rows of r ∘ x and of r.

    Parameters
    ----------
    residual : IN ndarray (n, K), float32 or float64
    rows : IN ndarray (n, K), of the same dtype

    Returns
    -------
    sums : ndarray (K, 2), float64
    """
    sums = np.einsum("ik,ik->k", residual, rows, dtype=np.float64), residual.sum(axis=0, dtype=np.float64)
    return np.stack(sums, axis=1)
