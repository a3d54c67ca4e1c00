"""A hash of each row's content: what stands in a row, not where it stands."""

import numpy as np
from scipy import sparse

from sksoft.kernels import placement, splitmix
from sksoft.kernels.blocks import map_rows


def row_keys(X) -> np.ndarray:
    """A 64-bit hash of each row, (n,), uint64; equal rows have equal keys, dense or sparse. O(entries).

    Parameters
    ----------
    X : IN ndarray of n rows of numbers, or sparse matrix (n, p)
        Of rows on a device the keys are computed there, the same ones, and stay there.
    """
    if sparse.issparse(X):
        X = sparse.csr_array(X)
        terms = _bits(X.data) * _column_factors(X.shape[1])[X.indices]
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)])
        return splitmix.mix(sums[X.indptr[1:]] - sums[X.indptr[:-1]])
    X = X.reshape(len(X), -1)
    sums = placement.namespace(X).empty(len(X), np.uint64)
    factors = placement.where(X, _column_factors(X.shape[1]))

    def fill(block):
        terms = _bits(X[block])
        terms *= factors
        sums[block] = terms.sum(axis=1, dtype=np.uint64)

    map_rows(fill, X, 8 * X.shape[1])
    return splitmix.mix(sums)


def _bits(values) -> np.ndarray:
    """Mixed bits of float64 values; zero, of either sign, gives zero, as an entry that is not stored."""
    return splitmix.mix((placement.namespace(values).asarray(values, dtype=np.float64) + 0.0).view(np.uint64))


def _column_factors(n_columns: int) -> np.ndarray:
    return splitmix.mix(np.arange(1, n_columns + 1, dtype=np.uint64)) | np.uint64(1)
