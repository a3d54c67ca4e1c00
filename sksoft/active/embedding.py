"""Rows of any kind as points between which distances are: dense, float64, in the units that the classifier sees."""

import numpy as np
from scipy import sparse
from sklearn.utils import check_array

from sksoft.active.query_input import n_rows_of


def embeds_itself(estimator, embedding) -> bool:
    """Whether the points are the rows as they come, because there is neither a function nor a pipeline."""
    return embedding is None and not hasattr(estimator, "steps")


def embedded(X, name: str, estimator, embedding) -> np.ndarray:
    """Points (n, q): ``embedding(X)``, or what the last step of a pipeline sees, or X, which errors call `name`."""
    if embedding is not None:
        name, points = "embedding(X)", embedding(X)
    elif hasattr(estimator, "steps") and len(estimator.steps) > 1:
        points = estimator[:-1].transform(X)
    else:
        points = X
    if sparse.issparse(points):
        raise ValueError(
            "Distances between rows need a dense array: give the 'embedding' parameter, as a fitted TruncatedSVD's"
            " transform. Got a sparse matrix instead."
        )
    points = check_array(points, dtype=np.float64, input_name=name, ensure_min_features=1)
    if len(points) != n_rows_of(X):
        raise ValueError(
            f"The 'embedding' parameter must give one row for each of X. Got {len(points)} for {n_rows_of(X)}."
        )
    return points
