"""Features that many problems share: one product with X serves the scores, and one the gradients, of all of them.

Dense rows are centred by the caller; sparse rows stay as they are and are kept by columns as well, so that both
products read their result once.
"""

import numpy as np
from scipy import sparse

from sksoft.kernels import columns
from sksoft.kernels.blocks import map_blocks, row_blocks

# Rows whose Gram matrices are added at a time: enough for the product to run at full speed.
GRAM_BYTES = 16 << 20


class SharedFeatures:
    """The matrix X of n rows and p features.

    Parameters
    ----------
    X : ndarray (n, p) in C order, or CSR array, float64
    """

    def __init__(self, X):
        self.X = X
        self.is_sparse = sparse.issparse(X)
        self._by_feature = sparse.csr_array(X.T) if self.is_sparse else X.T

    @property
    def shape(self) -> tuple[int, int]:
        return self.X.shape

    def times(self, coef: np.ndarray, out: np.ndarray) -> np.ndarray:
        """``X @ coef`` for coef (p, L), written to out (n, L)."""
        return _product(self.X, coef, out)

    def transposed_times(self, rows: np.ndarray) -> np.ndarray:
        """``Xᵀ @ rows`` for dense rows (n, L): (p, L)."""
        out = np.empty((self.shape[1], rows.shape[1]))
        if self.is_sparse:
            return _product(self._by_feature, rows, out)
        row_bytes = 8 * self.shape[1]
        parts = map_blocks(lambda block: self.X[block].T @ rows[block], row_blocks(len(rows), row_bytes, GRAM_BYTES))
        return sum(parts[1:], parts[0])

    def transposed_times_any(self, rows) -> np.ndarray:
        """``Xᵀ @ rows`` for rows (n, L) that may be sparse, and then cost no more than their entries: (p, L)."""
        if not sparse.issparse(rows):
            return self.transposed_times(rows)
        product = rows.T @ self.X
        return (product.toarray() if self.is_sparse else np.asarray(product)).T

    def gram(self, weights: np.ndarray) -> np.ndarray:
        """``Σ_i weights_i x_i x_iᵀ``, (p, p)."""
        if self.is_sparse:
            return ((self._by_feature * weights) @ self.X).toarray()
        total = np.zeros((self.shape[1],) * 2)
        equal = weights.min() == weights.max()
        for block in row_blocks(self.shape[0], 8 * self.shape[1], GRAM_BYTES):
            rows = self.X[block] if equal else self.X[block] * np.sqrt(weights[block, None])
            total += rows.T @ rows
        return total * weights[0] if equal else total

    def mean(self, weights: np.ndarray) -> np.ndarray:
        """``Σ_i weights_i x_i``, (p,)."""
        return np.asarray(self._by_feature @ weights)

    def mean_squares(self, weights: np.ndarray) -> np.ndarray:
        """``Σ_i weights_i x_i²`` of each feature, (p,)."""
        if self.is_sparse:
            return np.asarray(self._by_feature.power(2) @ weights)
        return np.einsum("ij,ij,i->j", self.X, self.X, weights)


def _product(left, right: np.ndarray, out: np.ndarray) -> np.ndarray:
    if sparse.issparse(left):
        return columns.csr_times_dense(left.data, left.indices, left.indptr, right, out=out)
    row_bytes = 8 * left.shape[1]
    map_blocks(
        lambda block: np.matmul(left[block], right, out=out[block]), row_blocks(len(left), row_bytes, GRAM_BYTES)
    )
    return out
