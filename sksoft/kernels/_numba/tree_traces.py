"""The coefficients of a tree's nodes by feature, each with its places below: a search then looks for no feature.

A node's rows are among its parent's, and so are its features. For a feature, the nodes that know it are a tree
themselves, cut out of the large one at the root. Entries of a feature stand together, node after node and score after
score, and the entry of a node says where those of its children begin: a walk down follows them (fractional cascading,
[1]_, for one key). The entries from 0 on, as many as a node may have children, are zeros that lead to themselves: they
stand for what a node does not know.

References
----------
.. [1] Chazelle, Guibas, "Fractional cascading: I. A data structuring technique", Algorithmica 1, 1986.
"""

import numpy as np

from sksoft.kernels._numba._jit import jit
from sksoft.kernels._numba.tree_paths import read_only, widest

# Weights for each row to be searched up to which building this pays: 25 ns a weight against 10 µs a row.
WEIGHTS_A_ROW = 300


# What stands for "not built".
NO_TRACES = np.empty(0, np.int64), np.empty(0), np.empty(0, np.int32)


def traces_of(arguments, n_rows) -> tuple:
    """``(roots (p,), entries (nnz + m,), below (2 (nnz + m),))``, for at most m children a node.

    They are empty where they would not pay, and where a node knows features that the one above it does not.
    ``roots[j]`` is where the entries of feature j at the root begin; ``below[2 e + c]`` where those of child c do, if a
    node's begin at e. Nodes with one child have none and are passed over.

    Parameters
    ----------
    arguments : sequence
        Those of the contracts of :mod:`sksoft.kernels.tree_paths`.
    n_rows : int
        How many are to be searched.
    """
    n_features, *tree, indptr, indices, data, _ = arguments[3:]
    n_places = len(data) + widest(tree[1])
    if not 0 < len(indices) <= WEIGHTS_A_ROW * n_rows or n_places >= 2**31:
        return NO_TRACES
    roots, entries, below = np.zeros(n_features, np.int64), np.zeros(n_places), np.zeros(2 * n_places, np.int32)
    is_nested = _trace(*read_only(*tree, np.asarray(indptr, np.int64), indices, data), roots, entries, below)
    return (roots, entries, below) if is_nested else NO_TRACES


@jit
def _trace(parent, first_child, first_score, indptr, indices, data, roots, entries, below):
    """Fill the arrays; False where a node knows a feature that the deciding node above it does not."""
    n_features, n_nodes = roots.size, parent.size
    free = _first_places(indptr, indices, n_features, entries.size - data.size)
    # of a node: the deciding node above it, and which child of that leads here
    above, side = np.full(n_nodes, -1), np.zeros(n_nodes, np.int64)
    places = np.empty(data.size, np.int32)
    for node in range(n_nodes):
        mother = parent[node]
        if mother >= 0:
            only = first_child[mother + 1] - first_child[mother] == 1
            above[node] = above[mother] if only else mother
            side[node] = side[mother] if only else node - first_child[mother]
        r, n_scores = first_score[node], first_score[node + 1] - first_score[node]
        if n_scores == 0:
            continue
        start, size = indptr[r], indptr[r + 1] - indptr[r]
        known, end = np.int64(0), np.int64(0)
        if above[node] >= 0:
            known, end = indptr[first_score[above[node]]], indptr[first_score[above[node]] + 1]
        upper_is_full, upper = end - known == n_features, known
        for t in range(size):
            j = t if size == n_features else np.int64(indices[start + t])
            place = free[j]
            free[j] += n_scores
            places[start + t] = place
            for c in range(n_scores):
                entries[place + c] = data[start + c * size + t]
            if above[node] < 0:
                roots[j] = place
                continue
            if upper_is_full:
                known = upper + j
            while known < end and not upper_is_full and indices[known] < j:
                known += 1
            if known == end or not (upper_is_full or indices[known] == j):
                return False
            below[2 * np.int64(places[known]) + side[node]] = place
    return True


@jit
def _first_places(indptr, indices, n_features, first):
    """Where the entries of each feature begin, from `first` on."""
    ends = np.zeros(n_features + 1, np.int64)
    ends[0] = first
    for r in range(indptr.size - 1):
        start, size = indptr[r], indptr[r + 1] - indptr[r]
        for t in range(size):
            j = t if size == n_features else np.int64(indices[start + t])
            ends[j + 1] += 1
    for j in range(n_features):
        ends[j + 1] += ends[j]
    return ends[:n_features]
