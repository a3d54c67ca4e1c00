"""Linear algebra of many small problems side by side, one a column: their Gram matrices, steps and sparse products.

A problem's vectors are columns of arrays (N, L), so that one pass over memory, and one product with a shared matrix,
serves all L problems. A stack (K, N, L) holds K such vectors for each.
"""

import numpy as np
from scipy import sparse

from sksoft.kernels.registry import kernel


@kernel()
def gram_columns(stack, residual, curvature):
    """Slopes and curvatures of each problem along its own K directions.

    Parameters
    ----------
    stack : IN ndarray (K, N, L), float32 or float64
        Directions u_k.
    residual, curvature : IN ndarray (N, L), dtype of `stack`

    Returns
    -------
    slopes : ndarray (L, K), float64
        ``Σ_i residual_i u_ki``.
    grams : ndarray (L, K, K), float64, symmetric
        ``Σ_i curvature_i u_ji u_ki``.
    """
    n_directions, _, n_problems = stack.shape
    slopes = np.empty((n_directions, n_problems))
    grams = np.empty((n_directions, n_directions, n_problems))
    for j, direction in enumerate(stack):
        slopes[j] = np.einsum("il,il->l", residual, direction, dtype=np.float64)
        weighted = np.multiply(curvature, direction, dtype=np.float64)
        for k in range(j + 1):
            grams[j, k] = grams[k, j] = np.einsum("il,il->l", weighted, stack[k], dtype=np.float64)
    return np.ascontiguousarray(slopes.T), np.ascontiguousarray(grams.transpose(2, 0, 1))


@kernel()
def advance_columns(stack, lengths, *, step, state):
    """``step = Σ_k lengths_k · u_k`` of each problem, and ``state += step``.

    Parameters
    ----------
    stack : IN ndarray (K, N, L), float32 or float64
        Directions u_k.
    lengths : IN ndarray (L, K), float64
    step : OUT ndarray (N, L), dtype of `stack`
        May be one of the stack's.
    state : IN, OUT ndarray (N, L), dtype of `stack`

    Returns
    -------
    state : ndarray (N, L)
    """
    total = np.einsum("kil,lk->il", stack, lengths, dtype=np.float64)
    step[...] = total
    state[...] = state + total
    return state


@kernel()
def csr_times_dense(values, indices, indptr, dense, *, out):
    """``out = A @ dense`` for a sparse A in CSR.

    Parameters
    ----------
    values : IN ndarray (nnz,), float32 or float64
    indices : IN ndarray (nnz,), int32 or int64, columns in 0 … m − 1
    indptr : IN ndarray (n + 1,), int32 or int64
    dense : IN ndarray (m, L), dtype of `values`
    out : OUT ndarray (n, L), dtype of `values`; must not overlap the others

    Returns
    -------
    out : ndarray (n, L)
    """
    shape = len(indptr) - 1, dense.shape[0]
    out[...] = sparse.csr_array((values, indices, indptr), shape=shape) @ dense
    return out
