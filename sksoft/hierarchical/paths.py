"""What costs one path of the tree and not all classes: the probability of given classes, samples, decision paths."""

import numpy as np
from scipy import sparse

from sksoft.hierarchical.leaf_probabilities import csr_parts, node_proba
from sksoft.hierarchical.node_model import NodeModel
from sksoft.kernels import placement
from sksoft.kernels.registry import backend_for
from sksoft.kernels.tree_paths import path_log_proba, sampled_leaves


def log_proba_of(model: NodeModel, X, codes) -> np.ndarray:
    """Log-probability of one class a row, the sum along its path.

    Parameters
    ----------
    model : NodeModel
    X : (n, p) float64, CSR or dense
    codes : (n,) int in [0, K)

    Returns
    -------
    log_proba : (n,)
        In nats, finite as long as the scores are: each branch is −softplus(∓z) or a log-softmax, never the logarithm
        of a rounded probability. Cost O(depth · nnz(row) · log(features of a node)) a row.
    """
    rows = csr_parts(X)
    with backend_for(step_size(model, rows[0]), data=rows[0])():
        return path_log_proba(*rows, *model.kernel_arguments(), leaves=model.tree.leaf[codes])


def sample(model: NodeModel, X, n_samples: int, seed: int) -> np.ndarray:
    """Classes drawn with their probabilities, from the root down.

    Parameters
    ----------
    model : NodeModel
    X : (n, p) float64, CSR or dense
    n_samples : int
    seed : int in [0, 2⁶⁴)
        A draw is a function of (seed, sample, row, depth), whatever the number of samples, rows and threads.

    Returns
    -------
    codes : (n, n_samples) intp
    """
    rows = csr_parts(X)
    with backend_for(n_samples * step_size(model, rows[0]), data=rows[0])():
        leaves = sampled_leaves(*rows, *model.kernel_arguments(), seed=seed, samples=range(n_samples))
    return placement.where(X, model.tree.class_of)[leaves]


def decision_path(model: NodeModel, codes) -> sparse.csr_array:
    """Which nodes lie on the paths to given classes, (n, M) bool, root and leaf included."""
    tree = model.tree
    nodes = tree.leaf[codes]
    starts = np.concatenate([[0], np.cumsum(tree.depth[nodes] + 1)])
    columns = np.empty(starts[-1], dtype=np.intp)
    ends, rows = starts[1:] - 1, np.arange(len(nodes))
    while len(rows):
        columns[ends[rows]] = nodes[rows]
        rows = rows[nodes[rows] > 0]
        nodes[rows] = tree.parent[nodes[rows]]
        ends[rows] -= 1
    return sparse.csr_array((np.ones(len(columns), dtype=bool), columns, starts), shape=(len(ends), tree.n_nodes))


def node_log_proba(model: NodeModel, X, max_depth: int | None = None) -> np.ndarray:
    """Log-probability of reaching each node, (n, N) for the N nodes of the upper `max_depth` levels below the root.

    Nodes are numbered level by level, so those are the first N. All M nodes when `max_depth` is not given. Cost
    O(n (N + touched weights)).
    """
    return node_proba(model, X, max_depth=max_depth, log=True)


def step_size(model: NodeModel, values: np.ndarray) -> int:
    """Elements that NumPy holds at once for a step down the tree: X's entries, for every child of the widest node."""
    return max(len(values), 1) * int(model.tree.n_children.max())
