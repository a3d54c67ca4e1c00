"""Blocks of query-key pairs for kernels that are written with NumPy: never n × m, summed in block order."""

import numpy as np

from sksoft.kernels.blocks import fold_blocks, row_blocks, serial_blas


def squared_distances(Q, K):
    """|q − k|² for all pairs, (n, m), not below zero. Q and K are near the origin, or digits cancel."""
    distances = Q @ K.T
    distances *= -2.0
    distances += np.einsum("ij,ij->i", Q, Q)[:, None]
    distances += np.einsum("ij,ij->i", K, K)
    return np.maximum(distances, 0.0, out=distances)


def centred(Q, K):
    """Q and K less the mean of K: distances are the same and cancel fewer digits."""
    centre = K.mean(axis=0)
    return Q - centre, K - centre


def average_blocks(weigh, Q, K, V, query_codes, key_codes):
    """Means of V under unnormalised weights, block by block.

    Parameters
    ----------
    weigh : (squared distances (b, m), left out (b, m) or None) → weights (b, m), which may be the same array

    Returns
    -------
    out : ndarray (n, v); nan where all weights are zero
    total : ndarray (n,)
    """
    Q, K = centred(Q, K)
    out, total = np.empty((len(Q), V.shape[1])), np.empty(len(Q))

    def fill(block):
        weights = weigh(squared_distances(Q[block], K), _left_out(query_codes, key_codes, block))
        total[block] = weights.sum(axis=1)
        with np.errstate(invalid="ignore"):
            out[block] = (weights @ V) / total[block][:, None]

    with serial_blas():
        fold_blocks(fill, row_blocks(len(Q), 8 * len(K)), lambda nothing: None)
    return out, total


def pull_blocks(slopes, Q, K, V, query_codes, key_codes, out_gradient):
    """Gradients in Q, K and V from the derivative in the scores z = −|q − k|²/2.

    With C = dL/dz the gradients are dQ = C K − rowsum(C) Q and dK = Cᵀ Q − colsum(C) K: no distance is differentiated.

    Parameters
    ----------
    slopes : (squared distances (b, m), left out (b, m) or None, block) → (C (b, m), normalised weights (b, m))
    """
    Q, K = centred(Q, K)
    Q_gradient = np.empty_like(Q)
    sums = [np.zeros_like(K), np.zeros_like(V)]

    def work(block):
        C, weights = slopes(squared_distances(Q[block], K), _left_out(query_codes, key_codes, block), block)
        Q_gradient[block] = C @ K - C.sum(axis=1)[:, None] * Q[block]
        return C.T @ Q[block] - C.sum(axis=0)[:, None] * K, weights.T @ out_gradient[block]

    def add(parts):
        for total, part in zip(sums, parts):
            total += part

    with serial_blas():
        fold_blocks(work, row_blocks(len(Q), 8 * len(K)), add)
    return Q_gradient, *sums


def _left_out(query_codes, key_codes, block):
    return query_codes[block][:, None] == key_codes if query_codes is not None else None
