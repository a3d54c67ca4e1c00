"""Feature matrices as fits take them."""

import numpy as np
from scipy import sparse

from sksoft._validation import validate_data

# Squares of features stay finite up to here, and sums of many of them.
LARGEST = 1e100


def check_features(estimator, X, dtype=np.float64, reset=True, device=False):
    """X of a fit: an array in C order or a CSR array, finite and within ±1e100; sets ``n_features_in_``.

    Parameters
    ----------
    estimator : the estimator that is fitted
    X : array-like or sparse matrix (n, p)
    dtype : dtype or tuple of those accepted as they are
    reset : bool
        Whether the number and names of features are set, or must be those of an earlier fit.
    device : bool
        Whether the estimator computes on a device, as in ``validate_data``.

    Raises
    ------
    ValueError
        If X is not numeric, not two-dimensional, not finite or too large.
    """
    X = validate_data(estimator, X, accept_sparse="csr", dtype=dtype, order="C", reset=reset, device=device)
    values = X.data if sparse.issparse(X) else X
    largest = max(float(values.max()), -float(values.min())) if values.size else 0.0
    if largest > LARGEST:
        raise ValueError(f"X must hold values up to {LARGEST:g}, whose squares are finite. Got {largest:g} instead.")
    return sparse.csr_array(X) if sparse.issparse(X) else X
