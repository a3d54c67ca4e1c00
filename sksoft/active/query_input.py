"""Checks of what a sampler gets: pools, candidates, costs, labels, seeds."""

import numpy as np
import pandas as pd
from sklearn.utils import assert_all_finite, check_random_state, indexable
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d


def generator_of(random_state) -> np.random.RandomState:
    """As scikit-learn's ``check_random_state``, but None is a new generator and never NumPy's global one."""
    return np.random.RandomState() if random_state is None else check_random_state(random_state)


def n_rows_of(X, name: str = "X_pool") -> int:
    """Rows of anything that has some; ValueError for none."""
    if not hasattr(X, "__len__" if getattr(X, "shape", None) is None else "shape") or getattr(X, "shape", None) == ():
        raise TypeError(f"The {name!r} parameter must be an array, a DataFrame or a sparse matrix. Got {X!r} instead.")
    n_rows = X.shape[0] if hasattr(X, "shape") and X.shape else len(X)
    if n_rows == 0:
        raise ValueError(f"Found array with 0 sample(s) in {name} while a minimum of 1 is required.")
    return n_rows


def checked_candidates(candidates, n_rows: int, name: str = "candidates") -> np.ndarray | None:
    """Distinct indices in ascending order, so that equal scores are in the order of the pool; None for all rows."""
    if candidates is None:
        return None
    given = np.asarray(candidates)
    if given.ndim != 1:
        raise ValueError(
            f"The {name!r} parameter must be a mask of the {n_rows} rows of X_pool or their indices. Got an array of"
            f" shape {given.shape} instead."
        )
    if given.dtype == bool:
        if len(given) != n_rows:
            raise ValueError(
                f"The {name!r} parameter must be a mask of the {n_rows} rows of X_pool or their indices. Got a mask"
                f" of length {len(given)} instead."
            )
        given = np.flatnonzero(given)
    if len(given) == 0:
        raise ValueError(f"The {name!r} parameter must leave at least one row of X_pool. Got none.")
    if given.dtype.kind not in "iu":
        raise ValueError(f"The {name!r} parameter must hold booleans or integers. Got dtype {given.dtype} instead.")
    rows = np.unique(given)
    if rows[0] < 0 or rows[-1] >= n_rows:
        wrong = rows[0] if rows[0] < 0 else rows[-1]
        raise ValueError(f"The {name!r} parameter must hold indices from 0 to {n_rows - 1}. Got {wrong} instead.")
    if len(rows) < len(given):
        raise ValueError(f"The {name!r} parameter must hold distinct indices. Got some twice.")
    return rows.astype(np.intp)


def checked_cost(cost, n_rows: int) -> np.ndarray:
    """Positive, finite costs (n,) float64."""
    try:
        cost = column_or_1d(cost).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"The 'cost' parameter must hold one number for each row of X_pool: {error}.") from error
    if len(cost) != n_rows:
        raise ValueError(f"The 'cost' parameter must hold {n_rows} numbers, one for each row. Got {len(cost)} instead.")
    valid = (cost > 0) & np.isfinite(cost)
    if not valid.all():
        row = int(np.argmin(valid))
        raise ValueError(f"The 'cost' parameter must be positive and finite. Got {cost[row]:g} in row {row} instead.")
    return cost


def labelled_rows(X, y):
    """Rows that can be indexed, and their labels (n,), of any type and none missing."""
    X, y = indexable(X, y)
    y = column_or_1d(y, warn=True)
    check_no_label_missing(y, "y")
    check_classification_targets(y)
    return X, y


def check_labels(labels, known):
    """ValueError for an answer that holds no label, or labels of another kind than those that are known."""
    kinds = [answer.dtype.kind for answer in (known, labels) if answer is not None]
    if "O" not in kinds and len({kind in "US" for kind in kinds}) > 1:  # joined, numbers would become texts
        raise ValueError(f"The oracle must give labels of one kind. Got {labels.dtype} after {known.dtype}.")
    check_no_label_missing(labels, "the oracle's labels")


def check_no_label_missing(y, name: str):
    """ValueError for NaN or None in the place of a label."""
    if y.dtype == object and pd.isna(y).any():
        raise ValueError(f"Input {name} contains NaN, None or pandas.NA in row {int(np.argmax(pd.isna(y)))}.")
    assert_all_finite(y, input_name=name)


def check_two_classes(y):
    """ValueError for a single class, which leaves nothing to be uncertain about."""
    if (y == y[0]).all():
        raise ValueError(f"y must hold at least 2 classes. Got one class: {y[0]!s}")


def check_known(y, classes):
    """ValueError for a label that a frozen classifier does not know."""
    unknown = set(y.tolist()) - set(np.asarray(classes).tolist())
    if unknown:
        raise ValueError(
            f"y holds {sorted(unknown, key=str)}, which the frozen classifier does not know; its classes are"
            f" {np.asarray(classes).tolist()}."
        )
