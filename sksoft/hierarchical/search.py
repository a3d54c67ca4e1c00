"""The most probable classes of each row, found without looking at all."""

import numpy as np

from sksoft.hierarchical.leaf_probabilities import csr_parts, leaf_proba
from sksoft.hierarchical.node_model import NodeModel
from sksoft.hierarchical.paths import step_size
from sksoft.kernels import placement
from sksoft.kernels.blocks import row_blocks
from sksoft.kernels.registry import backend_for
from sksoft.kernels.tree_search import best_leaves


def top_k(model: NodeModel, X, k: int, beam_width: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k most probable classes of each row, with a certificate.

    Without a beam the result is that of sorting all classes by decreasing log-probability, equal ones by class: best
    first, as in :mod:`sksoft.kernels.tree_search`. With one, at most `beam_width` inner nodes wait to be opened.

    Parameters
    ----------
    model : NodeModel
    X : (n, p) float64, CSR or dense
    k : int in [1, K]
    beam_width : int >= k, optional

    Returns
    -------
    codes : (n, k) intp
        Like the other two where X lives.
    log_proba : (n, k)
        In nats.
    bound : (n,)
        No class that is not returned has a larger log-probability; −inf where all are returned. The k returned are
        proved to be the most probable where ``bound <= log_proba[:, -1]``: always without a beam.
    """
    if model.tree.depth[-1] == 1:
        return _top_k_of_one_node(model, X, k)
    width = 0 if beam_width is None else beam_width
    rows = csr_parts(X)
    with backend_for(max(X.shape[0] * model.tree.n_classes, step_size(model, rows[0])), data=rows[0])():
        return best_leaves(*rows, *model.kernel_arguments(), model.tree.class_of, k=k, width=width)


def _top_k_of_one_node(model: NodeModel, X, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where one node decides among all classes there is nothing to search: its scores are a matrix product."""
    n_rows, n_classes = X.shape[0], model.tree.n_classes
    arrays = placement.namespace(X)
    codes, best = arrays.empty((n_rows, k), np.intp), arrays.empty((n_rows, k))
    bound = arrays.full(n_rows, -np.inf)
    for rows in row_blocks(n_rows, 32 * n_classes, like=X):
        log_proba = leaf_proba(model, X[rows], log=True)
        order = np.argsort(-log_proba, axis=1, kind="stable")
        codes[rows] = order[:, :k]
        best[rows] = np.take_along_axis(log_proba, order[:, :k], axis=1)
        if k < n_classes:
            bound[rows] = np.take_along_axis(log_proba, order[:, k : k + 1], axis=1)[:, 0]
    return codes, best, bound
