"""The parameters of all nodes of a tree, each over the features that its rows have.

Score r of the tree is ``intercept[r] + Σ_j coef[r, j] x_j``. A node's rows see few of p features when X is sparse, so
coef is kept row by row in CSR, (R, p): within a node all rows have the same features, sorted. A node that knows a
quarter of the features or more stores all p, zeros included, and then entry j of a row *is* feature j: kernels look
for a feature by its number there, and by binary search elsewhere. A model of a dense X has full rows only, and no
indices.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sksoft.hierarchical.class_tree import ClassTree


@dataclass(frozen=True)
class NodeModel:
    """A tree with its parameters.

    Attributes
    ----------
    tree : ClassTree
    n_features : int
        p.
    indptr : (R + 1,) int64
        Entries of each score.
    indices : (nnz,) int32
        Their features, sorted in each row; empty where all rows are full.
    data : (nnz,) float64
    intercept : (R,) float64
    """

    tree: ClassTree
    n_features: int
    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray
    intercept: np.ndarray

    @classmethod
    def of(cls, tree: ClassTree, coef, intercept: np.ndarray) -> "NodeModel":
        """From the coefficients as an estimator keeps them: CSR, or a dense array of full rows."""
        if sparse.issparse(coef):
            indptr = np.asarray(coef.indptr, np.int64)
            return cls(tree, coef.shape[1], indptr, coef.indices, coef.data, intercept)
        n_scores, n_features = coef.shape
        indptr = np.arange(n_scores + 1, dtype=np.int64) * n_features
        return cls(tree, n_features, indptr, np.empty(0, np.int32), coef.ravel(), intercept)

    def kernel_arguments(self) -> tuple:
        """``(n_features, parent, first_child, first_score, indptr, indices, data, intercept)``."""
        tree = self.tree
        return (
            *(self.n_features, tree.parent, tree.first_child, tree.first_score),
            *(self.indptr, self.indices, self.data, self.intercept),
        )
