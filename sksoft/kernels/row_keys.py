"""A hash of each row's content: what stands in a row, not where it stands."""

import numpy as np
from scipy import sparse

from sksoft.kernels import splitmix


def row_keys(X) -> np.ndarray:
    """A 64-bit hash of each row, (n,), uint64; equal rows have equal keys, dense or sparse. O(entries).

    Parameters
    ----------
    X : IN ndarray of n rows of numbers, or sparse matrix (n, p)
    """
    if sparse.issparse(X):
        X = sparse.csr_array(X)
        terms = _bits(X.data) * _column_factors(X.shape[1])[X.indices]
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)])
        return splitmix.mix(sums[X.indptr[1:]] - sums[X.indptr[:-1]])
    X = X.reshape(len(X), -1).astype(np.float64, copy=False)
    return splitmix.mix((_bits(X) * _column_factors(X.shape[1])).sum(axis=1, dtype=np.uint64))


def _bits(values) -> np.ndarray:
    """Mixed bits of float64 values; zero, of either sign, gives zero, as an entry that is not stored."""
    return splitmix.mix((np.asarray(values, dtype=np.float64) + 0.0).view(np.uint64))


def _column_factors(n_columns: int) -> np.ndarray:
    return splitmix.mix(np.arange(1, n_columns + 1, dtype=np.uint64)) | np.uint64(1)
