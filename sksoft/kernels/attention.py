r"""Attention: what each query makes of the keys it sees, in memory that does not grow with the number of pairs.

With queries q_i, keys k_j and values v_j::

    z_ij = scale · score(q_i, k_j) + b_j        lse_i = log Σ_j exp(z_ij)
    a_ij = exp(z_ij − lse_i)                    out_i = Σ_j a_ij v_j

============ ================= ==========================================================
score        score(q, k)       softmax over the keys is
============ ================= ==========================================================
dot          q · k             attention as in transformers
gaussian     −‖q − k‖² / 2     Nadaraya–Watson with a Gaussian kernel, on q = x / bandwidth
laplace      −‖q − k‖          the same with exp(−distance)
============ ================= ==========================================================

What a query sees
-----------------
All sums run over the keys that query i sees. Left out are: keys of bias −∞; keys j ≥ `limits[i]`; pairs of one group,
`query_groups[i] == key_groups[j]`; pairs that `mask` forbids. What stands in a key or value that no query sees is not
looked at, NaN included. A query that sees a NaN (in a key, a bias, itself) has NaN everywhere; a NaN in a value makes
its own column NaN. A query that sees nothing has out = NaN and lse = −∞.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from sksoft.kernels import placement
from sksoft.kernels.blocks import row_blocks
from sksoft.kernels.registry import kernel
from sksoft.kernels.rowwise import quietly

SCORES = ("dot", "gaussian", "laplace")

# Pairs from which compiled code repays its compilation.
AUTO_PAIRS = 1 << 20

# Scores held at once by the references; and on a device, which wants a great many.
TILE_BYTES, DEVICE_TILE_BYTES = 4 << 20, 256 << 20


def n_pairs(queries, keys, *_) -> int:
    """What the cost of a call grows with."""
    return len(queries) * len(keys)


@kernel(auto_size=AUTO_PAIRS, size=n_pairs)
@quietly
def attend(
    queries,
    keys,
    values,
    *,
    score="dot",
    scale=1.0,
    bias=None,
    limits=None,
    query_groups=None,
    key_groups=None,
    mask=None,
):
    """``out_i = Σ_j a_ij v_j`` and ``lse_i = log Σ_j exp(z_ij)``.

    Parameters
    ----------
    queries : IN ndarray (n, d), float32 or float64
    keys : IN ndarray (m, d), dtype of `queries`
    values : IN ndarray (m, v), dtype of `queries`
    score : {'dot', 'gaussian', 'laplace'}
    scale : float, finite
    bias : IN ndarray (m,), dtype of `queries`, optional
        b_j for every query, say the logarithm of a weight. −inf: the key is not there.
    limits : IN ndarray (n,) int64, optional
        Query i sees the keys 0..limits[i]-1 at most: i + 1 is causal attention.
    query_groups, key_groups : IN ndarray (n,), (m,) int64, optional
        A query does not see the keys of its own group. Both arange(n): leave one out.
    mask : IN ndarray (n, m), bool or dtype of `queries`, optional
        True where query i may see key j; or numbers added to z, −inf where it may not. May be a broadcast view.

    Returns
    -------
    out : ndarray (n, v), dtype of `queries`
    lse : ndarray (n,), dtype of `queries`
        In nats.
    """
    out, lse = np.empty((len(queries), values.shape[1])), np.empty(len(queries))
    sight = Sight(bias, limits, query_groups, key_groups, mask)
    for rows in score_blocks(len(queries), len(keys)):
        seen, z = seen_scores(queries, keys, rows, score, scale, sight)
        weights, lse[rows] = weights_of(z)
        out[rows] = weighted_values(weights, values, seen)
    return out.astype(queries.dtype), lse.astype(queries.dtype)


@kernel(auto_size=AUTO_PAIRS, size=n_pairs)
@quietly
def attend_vjp(
    queries,
    keys,
    values,
    out,
    lse,
    out_gradient,
    *,
    lse_gradient=None,
    score="dot",
    scale=1.0,
    bias=None,
    limits=None,
    query_groups=None,
    key_groups=None,
    mask=None,
):
    """Gradients of a number L in all that :func:`attend` took, from those in what it gave.

    With G_i = dL/d out_i and g_i = dL/d lse_i::

        C_ij = dL/dz_ij = a_ij (⟨G_i, v_j − out_i⟩ + g_i)       dL/dv_j = Σ_i a_ij G_i        dL/db_j = Σ_i C_ij

        dot        dL/dq_i = scale Σ_j C_ij k_j                 dL/dk_j = scale Σ_i C_ij q_i
        gaussian   dL/dq_i = scale Σ_j C_ij (k_j − q_i)         dL/dk_j = scale Σ_i C_ij (q_i − k_j)
        laplace    as gaussian with C_ij / ‖q_i − k_j‖; 0 where the two are equal

    A query that sees nothing adds nothing, whatever its gradient. The derivative in `scale` follows by Euler's theorem:
    (Σ_i ⟨q_i, dL/dq_i⟩ + Σ_j ⟨k_j, dL/dk_j⟩) / (r · scale), with r = 2, or 1 for 'laplace'.

    Parameters
    ----------
    queries, keys, values, score, scale, bias, limits, query_groups, key_groups, mask
        As given to :func:`attend`.
    out : IN ndarray (n, v), dtype of `queries`
    lse : IN ndarray (n,), dtype of `queries`
        What :func:`attend` returned.
    out_gradient : IN ndarray (n, v), dtype of `queries`
    lse_gradient : IN ndarray (n,), dtype of `queries`, optional
        Zeros where not given.

    Returns
    -------
    queries_gradient, keys_gradient, values_gradient, bias_gradient : ndarray (n, d), (m, d), (m, v), (m,)
        Of the dtype of `queries`; the last also where no bias was given.
    """
    by_query = np.zeros(queries.shape)
    by_key, by_value, by_bias = np.zeros(keys.shape), np.zeros(values.shape), np.zeros(len(keys))
    sight = Sight(bias, limits, query_groups, key_groups, mask)
    nonempty = lse != -np.inf
    # Where C is 0, what it is multiplied with is not looked at.
    finite_queries, finite_keys = (np.where(np.isfinite(array), array, 0.0) for array in (queries, keys))
    for rows in score_blocks(len(queries), len(keys)):
        rows = np.arange(len(queries))[rows][nonempty[rows]]
        seen, z = seen_scores(queries, keys, rows, score, scale, sight)
        gradient = out_gradient[rows].astype(np.float64)
        extra = 0.0 if lse_gradient is None else lse_gradient[rows]
        weights, C = slopes_of(seen, z, values, out[rows], lse[rows], gradient, extra)
        by_value += by_seen_values(weights, gradient, seen)
        by_bias += C.sum(axis=0)
        if score == "laplace":
            distances = cdist(queries[rows], keys)
            C = np.where(seen & (distances != 0.0), C / distances, 0.0)
        by_query[rows] = scale * (C @ finite_keys)
        by_key += scale * (C.T @ finite_queries[rows])
        if score != "dot":
            by_query[rows] -= scale * C.sum(axis=1)[:, None] * queries[rows]
            by_key -= scale * C.sum(axis=0)[:, None] * finite_keys
    return tuple(gradient.astype(queries.dtype) for gradient in (by_query, by_key, by_value, by_bias))


@dataclass(frozen=True)
class Sight:
    """Which keys each query sees, from the arguments of :func:`attend`; every part is optional."""

    bias: np.ndarray | None = None
    limits: np.ndarray | None = None
    query_groups: np.ndarray | None = None
    key_groups: np.ndarray | None = None
    mask: np.ndarray | None = None

    def of(self, rows, columns) -> np.ndarray:
        """True where query i of `rows` sees key j of `columns`; one row where it is the same for all."""
        seen = placement.namespace(columns).ones((1, len(columns)), dtype=bool)
        if self.bias is not None:
            seen = seen & (self.bias[columns] != -np.inf)
        if self.limits is not None:
            seen = seen & (columns < self.limits[rows, None])
        if self.query_groups is not None and self.key_groups is not None:
            seen = seen & (self.query_groups[rows, None] != self.key_groups[columns])
        if self.mask is not None:
            part = self.mask[rows]
            part = part if len(columns) == part.shape[1] else part[:, columns]
            seen = seen & (part if part.dtype == bool else part != -np.inf)
        return seen

    def at(self, rows) -> dict:
        """The arguments that are left of :func:`attend` for these queries alone."""
        by_query = {"limits": self.limits, "query_groups": self.query_groups, "mask": self.mask}
        parts = {name: None if array is None else array[rows] for name, array in by_query.items()}
        return {**parts, "bias": self.bias, "key_groups": self.key_groups}


def score_blocks(n_queries, n_keys, like=None):
    """Slices of queries whose scores fit :data:`TILE_BYTES`; :data:`DEVICE_TILE_BYTES` where `like` is on a device."""
    return row_blocks(n_queries, 8 * n_keys, DEVICE_TILE_BYTES if placement.on_device(like) else TILE_BYTES)


@quietly
def seen_scores(queries, keys, rows, score, scale, sight):
    """What the queries of `rows` see, and z in float64, −∞ where they do not."""
    if score == "dot":
        z = queries[rows].astype(np.float64) @ keys.T.astype(np.float64)
    else:
        z = _distances(queries[rows], keys, squared=score == "gaussian")
        z *= -0.5 if score == "gaussian" else -1.0
    z *= scale
    if sight.bias is not None:
        z += sight.bias
    if sight.mask is not None and sight.mask.dtype != bool:
        z += sight.mask[rows]
    seen = sight.of(rows, placement.namespace(keys).arange(len(keys)))
    return seen, np.where(seen, z, -np.inf)


def _distances(queries, keys, *, squared: bool):
    """|q − k|² or |q − k| of all pairs, float64, as sums of squared differences."""
    if not placement.on_device(keys):
        return cdist(queries, keys, "sqeuclidean" if squared else "euclidean")
    total = placement.namespace(keys).zeros((len(queries), len(keys)))
    for c in range(keys.shape[1]):
        total += np.square(np.subtract(queries[:, c, None], keys[:, c], dtype=np.float64))
    return total if squared else np.sqrt(total)


@quietly
def weights_of(z, temperature=1.0):
    """Softmax of each row of z / temperature, and its log Σ exp (n,): NaN and −∞ where all are −∞."""
    top = z.max(axis=1, keepdims=True) if z.shape[1] else np.full((len(z), 1), -np.inf)
    top[top == -np.inf] = 0.0
    weights = np.exp((z - top) / temperature)
    total = weights.sum(axis=1, keepdims=True)
    return weights / total, (top / temperature + np.log(total))[:, 0]


def without_finite_lse(lse, sight, n_keys):
    """Indices of queries that see something and whose lse is no finite number: it overflowed, or they see a NaN."""
    unknown, below = ~np.isfinite(lse), np.flatnonzero(lse == -np.inf)
    for block in row_blocks(len(below), n_keys, TILE_BYTES):
        columns = placement.namespace(lse).arange(n_keys)
        unknown[below[block]] = sight.of(below[block], columns).any(axis=1)
    return np.flatnonzero(unknown)


@quietly
def weighted_values(weights, values, seen):
    """``Σ_j a_ij v_j`` over what is seen."""
    finite = np.isfinite(values).all(axis=1)
    out = weights @ (values if finite.all() else np.where(finite[:, None], values, 0.0))
    for j in placement.to_host(np.flatnonzero(~finite)).tolist():
        out += np.where(seen[:, j, None], weights[:, j, None] * values[j], 0.0)
    return out


def by_seen_values(weights, out_gradient, seen):
    """``Σ_i a_ij G_i``: a gradient that is not finite reaches what its query sees, nothing else."""
    return weighted_values(weights.T, out_gradient, np.broadcast_to(seen, weights.shape).T)


@quietly
def slopes_of(seen, z, values, out, lse, out_gradient, lse_gradient):
    """Weights a and C = dL/dz of queries that see something, both (rows, m) float64 and 0 where nothing is seen."""
    weights = np.where(seen, np.exp(z - lse[:, None].astype(np.float64)), 0.0)
    along = np.einsum("ij,ij->i", out_gradient, out) - lse_gradient
    return weights, np.where(seen, weights * (out_gradient @ values.T - along[:, None]), 0.0)
