"""Cases of the splits of classes."""

import numpy as np
from scipy import sparse

from cases import Case
from cases.rowwise import rng


def split_case(n_classes, n_features, density, *, empty=0, least=0.3, index_dtype=np.int32):
    """Generic vectors, and masses whose sums are exact: so there are no ties. The last `empty` classes have neither."""

    def build(dtype):
        random = rng()
        rows = sparse.random_array((n_classes, n_features), density=density, format="csr", rng=random)
        rows.data = random.normal(size=rows.nnz)
        weights = random.integers(1, 50, n_classes).astype(np.float64)
        if empty:
            rows = sparse.vstack([rows[:-empty], sparse.csr_array((empty, n_features))], format="csr")
            weights[-empty:] = 0.0
        lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
        rows.data /= np.repeat(np.where(lengths > 0, lengths, 1.0), np.diff(rows.indptr))
        mass = np.where(weights > 0, weights, 2.0**-20)
        arrays = rows.data.astype(dtype), rows.indices.astype(index_dtype), rows.indptr.astype(index_dtype)
        own = np.where(lengths > 0, 0.7 * weights, 0.0)
        return (*arrays, weights, own, mass), {"n_features": n_features, "least": least}

    return Case(f"{n_classes}x{n_features}-{density}-{empty}-{least}-{np.dtype(index_dtype).name}", build)


CASES = {
    "split_classes": [
        split_case(1, 3, 1.0),
        split_case(2, 3, 1.0),
        split_case(3, 5, 1.0),
        split_case(12, 4, 1.0),
        split_case(60, 4, 1.0),
        split_case(60, 4, 1.0, index_dtype=np.int64),
        split_case(300, 40, 0.3),
        split_case(300, 40, 0.3, least=0.0),
        split_case(300, 40, 0.3, least=0.5),
        split_case(300, 40, 0.3, empty=77),
        split_case(5, 4, 0.5, empty=5),
        split_case(2000, 300, 0.05, empty=5),
    ],
}
