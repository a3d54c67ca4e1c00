"""Walks through a tree of decisions: what a path weighs, drawn paths, and every node's probability at once.

Node v of M decides among its m = ``first_child[v + 1] − first_child[v]`` children by the scores ``first_score[v] :
first_score[v + 1]``, with ``z_r = intercept_r + Σ_j coef_rj x_j``::

    m = 1   no score: log p = 0
    m = 2   one score: log p = −softplus(z), −softplus(−z)            softplus(z) = log(1 + eᶻ)
    m ≥ 3   m scores: log p_c = z_c − log Σ_d exp z_d

The tree and its parameters come as ``parent (M,), first_child (M + 1,), first_score (M + 1,)`` intp, the root being
node 0 and children being numbered after their parents and side by side; ``indptr (R + 1,), indices (nnz,), data
(nnz,)``, coef in CSR with sorted rows and the same features in all rows of a node, and ``intercept (R,)``. A row that
holds all p features stores them in their order, and its indices are not read. The rows of X come as ``values
(nnz,), columns (nnz,), starts (n + 1,)``, CSR with sorted rows, on the same condition: a row of p entries, such as all
of a dense X, needs no columns. All floats are float64.
"""

from itertools import pairwise

import numpy as np
from scipy import sparse

from sksoft.kernels.bins import stream_starts
from sksoft.kernels.registry import kernel
from sksoft.kernels.splitmix import STEP, mix

# A draw is one of the 2⁵³ equidistant numbers of [0, 1).
RESOLUTION = 2.0**-53


@kernel()
def path_log_proba(
    values, columns, starts, n_features, parent, first_child, first_score, indptr, indices, data, intercept, *, leaves
):
    """Log-probability, in nats, of the path from the root to one node a row.

    Parameters
    ----------
    values, columns, starts : IN, the rows of X
    n_features, parent, first_child, first_score, indptr, indices, data, intercept : IN, the tree
        See the module.
    leaves : IN ndarray (n,), intp
        A node for each row.

    Returns
    -------
    log_proba : ndarray (n,), float64
    """
    x, coefficients = (values, columns, starts), (n_features, indptr, indices, data, intercept)
    total = np.zeros(len(leaves))
    below = np.array(leaves)
    rows = np.flatnonzero(below > 0)
    while len(rows):
        nodes = parent[below[rows]]
        logs, first = node_log_branches(x, coefficients, first_child, first_score, rows, nodes)
        total[rows] += logs[first + below[rows] - first_child[nodes]]
        below[rows] = nodes
        rows = rows[nodes > 0]
    return total


@kernel()
def sampled_leaves(
    values,
    columns,
    starts,
    n_features,
    parent,
    first_child,
    first_score,
    indptr,
    indices,
    data,
    intercept,
    *,
    seed,
    samples,
):
    """Leaves drawn with their probabilities: from the root down, one draw a node.

    The draw of row i at depth d in a sample is a function of (seed, sample, i, d): splitmix64 from a hash of the first
    three, in steps of 2⁻⁵³. The child is the first whose cumulative probability exceeds the draw.

    Parameters
    ----------
    values, columns, starts : IN, the rows of X
    n_features, parent, first_child, first_score, indptr, indices, data, intercept : IN, the tree
        See the module.
    seed : int in [0, 2⁶⁴)
    samples : range
        Which samples, S of them.

    Returns
    -------
    leaves : ndarray (n, S), intp
    """
    x, coefficients = (values, columns, starts), (n_features, indptr, indices, data, intercept)
    rows, n_children = np.repeat(np.arange(len(starts) - 1), len(samples)), np.diff(first_child)
    states = np.tile(stream_starts(seed, samples), len(starts) - 1)
    counters = mix(states + (rows + 1).astype(np.uint64) * STEP)
    leaves = np.zeros(len(rows), dtype=np.intp)
    walking = np.flatnonzero(n_children[leaves])
    while len(walking):
        counters += STEP
        draws = (mix(counters[walking]) >> np.uint64(11)) * RESOLUTION
        nodes = leaves[walking]
        logs, first = node_log_branches(x, coefficients, first_child, first_score, rows[walking], nodes)
        leaves[walking] = first_child[nodes] + _drawn_child(np.exp(logs), first, n_children[nodes], draws)
        walking = walking[n_children[leaves[walking]] > 0]
    return leaves.reshape(len(starts) - 1, len(samples))


def _drawn_child(proba, first, n_children, draws) -> np.ndarray:
    """Which child of each node the draw falls to."""
    child = np.arange(n_children.max())
    table = np.where(child < n_children[:, None], proba[np.minimum(first[:, None] + child, len(proba) - 1)], 0.0)
    passed = (np.cumsum(table, axis=1) <= draws[:, None]).sum(axis=1)
    return np.minimum(passed, n_children - 1)


@kernel()
def descended_proba(scores, parent, first_child, *, log, out):
    """Probability of every node of a tree, or of its upper levels, from the scores of all deciding nodes.

    Parameters
    ----------
    scores : IN ndarray (n, R), float64
        Of the nodes that decide, one after another.
    parent : IN ndarray (N,), intp
        Of the N uppermost nodes: the root and all children of the nodes that decide.
    first_child : IN ndarray (V + 1,), intp
        Of the V nodes whose children are among the N; V = 0 for a root alone.
    log : bool
        Whether log-probabilities are wanted: the sum down the path and not the product.
    out : OUT ndarray (n, N), float64

    Returns
    -------
    out : ndarray (n, N)
    """
    branches = log_branches(scores, np.diff(first_child))
    if not log:
        np.exp(branches, out=branches)
    out[:, 0] = 0.0 if log else 1.0
    ends = level_ends(parent)
    combine = np.add if log else np.multiply
    for start, stop in pairwise(ends):
        out[:, start:stop] = combine(out[:, parent[start:stop]], branches[:, start - 1 : stop - 1])
    return out


def level_ends(parent) -> list[int]:
    """Where each level of nodes ends, the root's at 1: the next holds the children of those before its end."""
    ends = [1]
    while ends[-1] < len(parent):
        ends.append(int(np.searchsorted(parent, ends[-1])))
    return ends


@kernel()
def csr_times_csr(values, columns, starts, right_values, right_columns, right_starts, *, out):
    """``out = A @ B`` for A (n, p) and B (p, R) in CSR, as a dense array.

    Parameters
    ----------
    values, columns, starts : IN, A in CSR
    right_values, right_columns, right_starts : IN, B in CSR
    out : OUT ndarray (n, R), float64

    Returns
    -------
    out : ndarray (n, R)
    """
    n_inner = len(right_starts) - 1
    left = sparse.csr_array((values, columns, starts), shape=(len(starts) - 1, n_inner))
    right = sparse.csr_array((right_values, right_columns, right_starts), shape=(n_inner, out.shape[1]))
    out[...] = (left @ right).toarray()
    return out


def node_log_branches(x, coefficients, first_child, first_score, rows, nodes) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities of the children of some nodes, each for its row of X, and where those of each node begin."""
    n_children = first_child[nodes + 1] - first_child[nodes]
    n_scores = first_score[nodes + 1] - first_score[nodes]
    scores = scores_at(x, coefficients, np.repeat(rows, n_scores), ranges(first_score[nodes], n_scores))
    return log_branches(scores, n_children), np.cumsum(n_children) - n_children


def scores_at(x, coefficients, rows, scores) -> np.ndarray:
    """The score of number ``scores[t]`` for row ``rows[t]`` of X, (T,); O(nnz(row) log nnz(score)) each."""
    values, columns, starts = x
    n_features, indptr, indices, data, intercept = coefficients
    n_entries = starts[rows + 1] - starts[rows]
    entries = ranges(starts[rows], n_entries)
    pair = np.repeat(np.arange(len(rows)), n_entries)
    offsets = entries - starts[rows][pair]
    wanted = np.where(n_entries[pair] == n_features, offsets, columns[entries]) if len(columns) else offsets
    first, size = indptr[scores][pair], (indptr[scores + 1] - indptr[scores])[pair]
    at = np.where(size == n_features, first + wanted, 0)
    known = size == n_features
    some = np.flatnonzero(~known & (size > 0))
    low, left = first[some], size[some]
    while len(left) and left.max() > 1:
        half = left >> 1
        low += half * (indices[low + half] <= wanted[some])
        left -= half
    at[some], known[some] = low, indices[low] == wanted[some]
    found = np.flatnonzero(known)
    return intercept[scores] + np.bincount(pair[found], data[at[found]] * values[entries[found]], len(rows))


def log_branches(scores, n_children) -> np.ndarray:
    """Log-probabilities (…, Σ m) of the children of nodes side by side, from their scores (…, R)."""
    n_scores = np.where(n_children == 2, 1, np.where(n_children == 1, 0, n_children))
    logs = np.zeros((*scores.shape[:-1], n_children.sum()))
    z = scores[..., np.repeat(n_children == 2, n_scores)]
    first = (np.cumsum(n_children) - n_children)[n_children == 2]
    logs[..., first], logs[..., first + 1] = -np.logaddexp(0.0, z), -np.logaddexp(0.0, -z)
    lengths = n_children[n_children > 2]
    if len(lengths):
        z = scores[..., np.repeat(n_children > 2, n_scores)]
        begins = np.cumsum(lengths) - lengths
        z = z - np.repeat(np.maximum.reduceat(z, begins, axis=-1), lengths, axis=-1)
        # beside the largest: log1p keeps what they leave of a probability near one
        others = np.add.reduceat(np.where(z == 0.0, 0.0, np.exp(z)), begins, axis=-1)
        others += np.add.reduceat(z == 0.0, begins, axis=-1) - 1.0
        logs[..., np.repeat(n_children > 2, n_children)] = z - np.repeat(np.log1p(others), lengths, axis=-1)
    return logs


def ranges(start, length) -> np.ndarray:
    """``start[0] … start[0] + length[0] − 1, start[1] …`` one after another."""
    before = np.cumsum(length) - length
    return np.arange(length.sum()) + np.repeat(start - before, length)
