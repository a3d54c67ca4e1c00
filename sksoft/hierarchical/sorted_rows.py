"""Rows sorted by the position of their class among the leaves: those of every node side by side."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sksoft.hierarchical.class_tree import ClassTree
from sksoft.kernels import placement


@dataclass(frozen=True)
class SortedRows:
    """Rows as the kernels of ``sksoft.kernels.tree_nodes`` take them.

    Attributes
    ----------
    values : (nnz,) float64
        Entries row by row; without `indices` rows are full, and may be on a device, where nodes are then fitted.
    indices : (nnz,) int32, or (0,)
    indptr : (n + 1,) int64
    weights : (n,) float64
    row_at : (K + 1,) int64
        Rows of the class at position k are ``row_at[k] : row_at[k + 1]``.
    n_features : int
    is_sparse : bool
        Whether the rows came in CSR.
    """

    values: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    weights: np.ndarray
    row_at: np.ndarray
    n_features: int
    is_sparse: bool

    @classmethod
    def of(cls, tree: ClassTree, X, codes: np.ndarray, weights: np.ndarray) -> "SortedRows":
        """Sort dense or CSR rows X by their classes' `codes`; one copy of X."""
        position = tree.position[codes]
        order = np.argsort(position, kind="stable")
        row_at = np.concatenate([[0], np.cumsum(np.bincount(position, minlength=tree.n_classes))])
        n_features = X.shape[1]
        if sparse.issparse(X):
            X = sparse.csr_array(X[order])
            X.sum_duplicates()
            parts = X.data, X.indices.astype(np.int32, copy=False), X.indptr.astype(np.int64, copy=False)
        else:
            X = X[placement.where(X, order)]
            parts = X.ravel(), np.empty(0, np.int32), np.arange(len(X) + 1, dtype=np.int64) * n_features
        return cls(*parts, weights[order], row_at, n_features, sparse.issparse(X))

    def of_nodes(self, tree: ClassTree, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first row of each node, and where its rows end."""
        return self.row_at[tree.first_leaf[nodes]], self.row_at[tree.last_leaf[nodes]]

    def block(self, first: int, last: int, features: np.ndarray | None) -> np.ndarray:
        """Rows first … last, dense, over sorted `features` that hold all their entries; None for all features."""
        entries = slice(self.indptr[first], self.indptr[last])
        if features is None:
            return self.values[entries].reshape(last - first, self.n_features)
        row = np.repeat(np.arange(last - first), np.diff(self.indptr[first : last + 1]))
        out = np.zeros((last - first, len(features)))
        out[row, np.searchsorted(features, self.indices[entries])] = self.values[entries]
        return out
