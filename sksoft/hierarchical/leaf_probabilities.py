"""Probabilities of all classes, or of all nodes, at once: from the scores of all nodes down the tree."""

import numpy as np
from scipy import sparse

from sksoft.hierarchical.node_model import NodeModel
from sksoft.kernels import placement
from sksoft.kernels.blocks import map_blocks, row_blocks, serial_blas
from sksoft.kernels.registry import backend_for
from sksoft.kernels.tree_paths import csr_times_csr, descended_proba


def leaf_proba(model: NodeModel, X, log: bool = False) -> np.ndarray:
    """Probabilities, or log-probabilities in nats, of all classes, (n, K), where X lives.

    The products of branch probabilities are not normalised: those of a node sum to one to rounding, and so do all of a
    row, to about 2e-16 · depth. Log-probabilities are sums, and finite as long as the scores are. Cost O(n (K + touched
    weights)), and memory for a block of rows besides the result.
    """
    out = placement.namespace(X).empty((X.shape[0], model.tree.n_classes))
    leaf = placement.where(X, model.tree.leaf)

    def deliver(rows, nodes):
        np.take(nodes, leaf, axis=1, out=out[rows])

    _descend(model, X, model.tree.n_nodes, log, deliver)
    return out


def node_proba(model: NodeModel, X, max_depth: int | None = None, log: bool = False) -> np.ndarray:
    """Probabilities of reaching the nodes that are at most `max_depth` deep, (n, N), the first N in number."""
    n_nodes = model.tree.n_nodes if max_depth is None else int(np.searchsorted(model.tree.depth, max_depth, "right"))
    out = placement.namespace(X).empty((X.shape[0], n_nodes))

    def deliver(rows, nodes):
        out[rows] = nodes

    _descend(model, X, n_nodes, log, deliver)
    return out


def top_k_csr(codes: np.ndarray, proba: np.ndarray, n_classes: int) -> sparse.csr_array:
    """Probabilities (n, k) of the classes `codes` (n, k) as a sparse matrix (n, K) with sorted rows."""
    order = np.argsort(codes, axis=1)
    n_rows, k = codes.shape
    columns, values = (np.take_along_axis(array, order, axis=1).ravel() for array in (codes, proba))
    return sparse.csr_array((values, columns, np.arange(n_rows + 1) * k), shape=(n_rows, n_classes))


def dense_bytes(n_rows: int, n_classes: int) -> int:
    """Bytes that the probabilities of all classes need."""
    return n_rows * n_classes * np.dtype(np.float64).itemsize


def csr_parts(X) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``(values, columns, starts)`` of the rows of X as the kernels take them; no columns for a dense X.

    Rows of a sparse X become sorted and without duplicates in a copy, if they are not.
    """
    if not sparse.issparse(X):
        n_rows, n_features = X.shape
        return X.ravel(), np.empty(0, np.int32), np.arange(n_rows + 1) * n_features
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X.data, X.indices, X.indptr


def _descend(model: NodeModel, X, n_nodes: int, log: bool, deliver) -> None:
    """Give ``deliver(rows, probabilities (rows, n_nodes))`` the uppermost nodes, a block of rows at a time."""
    tree = model.tree
    n_inner = int(np.searchsorted(tree.first_child, n_nodes)) if n_nodes > 1 else 0
    n_scores = int(tree.first_score[n_inner])
    scores_of = _score_product(model, X, n_scores)
    decide, empty = backend_for(X.shape[0] * n_scores, data=X), placement.namespace(X).empty
    intercept = placement.where(X, model.intercept[:n_scores])

    def work(rows):
        with decide():
            scores = scores_of(rows)
            scores += intercept
            nodes = empty((len(scores), n_nodes))
            deliver(
                rows,
                descended_proba(scores, tree.parent[:n_nodes], tree.first_child[: n_inner + 1], log=log, out=nodes),
            )

    with serial_blas():
        map_blocks(work, row_blocks(X.shape[0], 8 * (n_nodes + n_scores), like=X))


def _score_product(model: NodeModel, X, n_scores: int):
    """A function of a slice of rows: their products with the first n_scores rows of coef, (rows, n_scores)."""
    n_features, last = model.n_features, int(model.indptr[n_scores])
    if last == n_scores * n_features:
        dense = placement.where(X, np.ascontiguousarray(model.data[:last].reshape(n_scores, n_features).T))
        return lambda rows: X[rows] @ dense
    coef = model.data[:last], model.indices[:last], model.indptr[: n_scores + 1]
    right = sparse.csr_array(coef, shape=(n_scores, n_features)).T.tocsr()

    def product(rows):
        left = sparse.csr_array(X[rows])
        parts = (
            matrix_part for matrix in (left, right) for matrix_part in (matrix.data, matrix.indices, matrix.indptr)
        )
        return csr_times_csr(*parts, out=np.empty((left.shape[0], n_scores)))

    return product
