"""The most probable leaves of a tree of decisions, by best-first search.

No node below another is more probable than it, so a search that always opens the most probable node it has seen meets
leaves in the order of their probability, and has proved each to be the next when it meets it (uniform-cost search
[1]_). It opens those nodes only that are at least as probable as the last leaf returned.

References
----------
.. [1] Dijkstra, "A note on two problems in connexion with graphs", Numerische Mathematik 1, 1959.
"""

import numpy as np

from sksoft.kernels.registry import kernel
from sksoft.kernels.tree_paths import node_log_branches, ranges


@kernel()
def best_leaves(
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
    class_of,
    *,
    k,
    width=0,
):
    """The k most probable leaves of every row, in order.

    Log-probabilities are sums in float64 from the root down, so that no node exceeds its parent to the last bit. Equal
    ones are ordered by class.

    Parameters
    ----------
    values, columns, starts : IN, the rows of X
    n_features, parent, first_child, first_score, indptr, indices, data, intercept : IN, the tree
        See :mod:`sksoft.kernels.tree_paths`.
    class_of : IN ndarray (M,), intp
        The class of each leaf.
    k : int in [1, number of leaves]
    width : int, 0 or at least k
        How many unopened inner nodes are kept, the best, of equal ones those of the smallest numbers; 0 for all, and
        then the result is exact.

    Returns
    -------
    codes : ndarray (n, k), intp
        Classes.
    log_proba : ndarray (n, k), float64
        In nats, not increasing.
    bound : ndarray (n,), float64
        Largest log-probability among the nodes seen but neither opened nor returned: no class that is not returned
        exceeds it; −inf if there is none. Where it is at most the last log_proba the result is exact.
    """
    x, coefficients = (values, columns, starts), (n_features, indptr, indices, data, intercept)
    n_rows, n_nodes = len(starts) - 1, len(class_of)
    n_children = np.diff(first_child)
    # inner nodes come before leaves of the same probability, which may have more of those below
    rank = np.where(n_children > 0, np.arange(n_nodes), n_nodes + class_of)
    seen = _Seen(n_rows)
    codes, log_proba = np.empty((n_rows, k), dtype=np.intp), np.empty((n_rows, k))
    n_found = np.zeros(n_rows, dtype=np.intp)
    rows = np.arange(n_rows)
    while len(rows):
        nodes, logs = seen.take_best(rows, rank)
        is_leaf = n_children[nodes] == 0
        done, leaves = rows[is_leaf], nodes[is_leaf]
        codes[done, n_found[done]], log_proba[done, n_found[done]] = class_of[leaves], logs[is_leaf]
        n_found[done] += 1
        opened, parents = rows[~is_leaf], nodes[~is_leaf]
        branches, _ = node_log_branches(x, coefficients, first_child, first_score, opened, parents)
        lengths = n_children[parents]
        children = ranges(first_child[parents], lengths)
        seen.add(opened, lengths, children, np.repeat(logs[~is_leaf], lengths) + branches)
        if width:
            seen.cut(opened, n_children, width)
        rows = rows[n_found[rows] < k]
    return codes, log_proba, np.maximum(seen.dropped, seen.logs.max(axis=1))


class _Seen:
    """Nodes seen and not yet taken of every row, in slots (n, S): −1 and −inf where a slot is free."""

    def __init__(self, n_rows: int):
        self.nodes, self.logs = np.zeros((n_rows, 1), dtype=np.intp), np.zeros((n_rows, 1))
        self.n_slots = np.ones(n_rows, dtype=np.intp)
        self.dropped = np.full(n_rows, -np.inf)

    def take_best(self, rows, rank) -> tuple[np.ndarray, np.ndarray]:
        """The most probable node of each row, of equal ones that of least rank."""
        nodes, logs = self.nodes[rows], self.logs[rows]
        is_best = (nodes >= 0) & (logs == logs.max(axis=1, keepdims=True))
        slots = np.where(is_best, rank[nodes], 2 * len(rank)).argmin(axis=1)
        best = np.arange(len(rows)), slots
        self.nodes[rows, slots], self.logs[rows, slots] = -1, -np.inf
        return nodes[best], logs[best]

    def add(self, rows, lengths, nodes, logs):
        """Nodes and their log-probabilities, ``lengths`` of them for each of the rows."""
        missing = (self.n_slots[rows] + lengths).max(initial=0) - self.nodes.shape[1]
        if missing > 0:
            more = max(missing, self.nodes.shape[1])
            self.nodes = np.pad(self.nodes, ((0, 0), (0, more)), constant_values=-1)
            self.logs = np.pad(self.logs, ((0, 0), (0, more)), constant_values=-np.inf)
        slots = np.repeat(rows, lengths), ranges(self.n_slots[rows], lengths)
        self.nodes[slots], self.logs[slots] = nodes, logs
        self.n_slots[rows] += lengths

    def cut(self, rows, n_children, width: int):
        """Drop all inner nodes but the `width` best."""
        for row in rows:
            inner = np.flatnonzero((self.nodes[row] >= 0) & (n_children[self.nodes[row]] > 0))
            worst = inner[np.lexsort((self.nodes[row, inner], -self.logs[row, inner]))][width:]
            self.dropped[row] = self.logs[row, worst].max(initial=self.dropped[row])
            self.nodes[row, worst], self.logs[row, worst] = -1, -np.inf
