r"""Sparse relatives of softmax: α-entmax and, at α = 2, sparsemax, one distribution a row.

With ``x = (α − 1)(s − max s) / τ`` the distribution is ([1]_, eq. 10)::

    p_k = [x_k − t]₊ ^ (1 / (α − 1)),          t such that Σ_k p_k = 1, −1 ≤ t < 0

At α = 2 it is the Euclidean projection of s / τ onto the simplex ([2]_); α → 1 is softmax. Entries with ``x_k ≤ t`` get
exactly 0. The contract on shapes, dtypes, masks, NaN and `out` is that of :mod:`sksoft.kernels.rowwise`.

References
----------
.. [1] Peters, Niculae, Martins, "Sparse sequence-to-sequence models", ACL 2019.
.. [2] Martins, Astudillo, "From softmax to sparsemax", ICML 2016, Algorithm 1.
"""

import numpy as np

from sksoft.kernels.registry import kernel
from sksoft.kernels.rowwise import _delivered, _mark_empty, _shifted, _weighted, quietly

# More Newton steps than any row was seen to need (about 10); a bound so that no input can spin.
MAX_STEPS = 100


@kernel()
@quietly
def sparsemax_rows(scores, *, temperature=1.0, mask=None, out=None, empty_rows=None):
    """``argmin_p ‖p − s / temperature‖²`` over the simplex, row by row.

    Parameters
    ----------
    scores, temperature, mask, out, empty_rows
        As in :func:`~sksoft.kernels.rowwise.softmax_rows`.

    Returns
    -------
    proba : ndarray (n, K), dtype of `scores`
        `out` where given. Exactly 0 off the support.
    """
    x, available = _clipped(scores, 1.0, temperature, mask, empty_rows)
    descending = -np.sort(-x, axis=1)
    sums = descending.cumsum(axis=1)
    ranks = np.arange(1, x.shape[1] + 1)
    size = np.count_nonzero(1.0 + ranks * descending > sums, axis=1, keepdims=True)
    threshold = (np.take_along_axis(sums, np.maximum(size, 1) - 1, axis=1) - 1.0) / size
    return _delivered(np.where(available, np.maximum(x - threshold, 0.0), 0.0), scores.dtype, out)


@kernel()
@quietly
def entmax_rows(scores, *, alpha=1.5, temperature=1.0, mask=None, out=None, empty_rows=None):
    """α-entmax of ``s / temperature``, row by row; exact for α = 1.5 and 2, to rounding elsewhere.

    The threshold is the root of the convex decreasing ``‖[x − t]₊‖_r − 1`` with r = 1 / (α − 1). Newton's steps from
    t = −1 never pass it, and the function is so nearly linear that few are needed for any α.

    Parameters
    ----------
    scores, temperature, mask, out, empty_rows
        As in :func:`sparsemax_rows`.
    alpha : float, 1 < alpha <= 2

    Returns
    -------
    proba : ndarray (n, K), dtype of `scores`
    """
    x, available = _clipped(scores, alpha - 1.0, temperature, mask, empty_rows)
    power = 1.0 / (alpha - 1.0)
    threshold = np.full((len(x), 1), -1.0)
    for _ in range(MAX_STEPS):
        above = np.maximum(x - threshold, 0.0)
        # T = Σ above^r from at least 1 downwards, D = Σ above^(r−1): the step on T^(1/r) = 1
        total = (above**power).sum(axis=1, keepdims=True)
        slope = np.where(above == 0.0, 0.0, above ** (power - 1.0)).sum(axis=1, keepdims=True)
        moved = np.maximum(threshold, threshold + (total - total ** (1.0 - 1.0 / power)) / slope)
        if not np.any(moved > threshold):
            break
        threshold = moved
    proba = np.maximum(x - threshold, 0.0) ** power
    proba /= proba.sum(axis=1, keepdims=True)
    return _delivered(np.where(available, proba, 0.0), scores.dtype, out)


@kernel()
@quietly
def entmax_jvp_rows(proba, vectors, *, alpha, weights=None, out=None):
    """``w_i q_i ∘ (v_i − ⟨q_i, v_i⟩ / Σ q_i)`` with ``q = p^(2 − α)`` on the support, row by row.

    It is the Jacobian of α-entmax, which is symmetric, times a vector: softmax at α = 1, sparsemax at α = 2. Where
    the support changes it is an element of the generalised Jacobian.

    Parameters
    ----------
    proba, vectors, weights, out
        As in :func:`~sksoft.kernels.rowwise.softmax_jvp_rows`.
    alpha : float, 1 <= alpha <= 2

    Returns
    -------
    product : ndarray (n, K), dtype of `out`, or of `proba` where that is not given
    """
    wide = proba.astype(np.float64)
    support = wide != 0.0
    q = np.power(wide, 2.0 - alpha, out=np.zeros_like(wide), where=support)
    seen = np.where(support, vectors, 0.0)
    mean = np.einsum("ij,ij->i", q, seen) / q.sum(axis=1)
    product = np.where(support, q * (seen - mean[:, None]), 0.0)
    return _delivered(_weighted(product, weights), proba.dtype, out)


def _clipped(scores, factor, temperature, mask, empty_rows):
    """``factor (s − max s) / temperature`` not below −1, where no probability is; and where it is above.

    Rows that are NaN as a whole stay so and count as available.
    """
    x, top = _shifted(scores, temperature, mask)
    _mark_empty(top, empty_rows)
    x *= factor
    x[~np.isfinite(top)] = np.nan
    np.maximum(x, -1.0, out=x)
    return x, x != -1.0
