"""Stratified folds that depend on what the rows say, not on where they stand.

Rows are keyed by a 64-bit hash of their content. Within each class the distinct rows are dealt to the folds in the
order of their keys. So a permutation of the rows, a repetition of a row, or the removal of a row of weight zero leaves
every other row in its fold: weight ≡ repetition holds through internal cross-validation, and a duplicate never stands
on both sides of a split.
"""

from numbers import Integral

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.model_selection import check_cv

from sksoft._validation import HasMethods, Interval, take_rows
from sksoft.kernels import placement, splitmix
from sksoft.kernels.row_keys import row_keys as numeric_row_keys

# For `_parameter_constraints` of estimators with this parameter.
CV_CONSTRAINTS = [Interval(Integral, 2, None, closed="left"), HasMethods(["split"]), "array-like", "cv_object"]


def splits(cv, X, y, kept: np.ndarray, codes: np.ndarray, classes, split_params: dict) -> list:
    """Rows to fit to and rows held out, fold by fold, without rows of weight zero and folds that hold out none.

    Parameters
    ----------
    cv : int >= 2, cross-validation splitter or iterable of (train, test)
        An int makes folds from the content of the rows, stratified by `codes`; anything else is used as it is.
    X : array, DataFrame or sparse matrix of n rows
    y : of n rows
    kept : ndarray (m,), int
        Rows that weigh anything.
    codes : ndarray (m,), int
        What these are stratified by: the class of each, or zeros for not at all.
    classes : sequence
        What each code stands for, for messages.
    split_params : dict
        Metadata for the splitter.

    Returns
    -------
    splits : list of (train, test), ndarrays of int

    Raises
    ------
    ValueError
        If `cv` is an int and a class has fewer than two distinct rows, or there are metadata for the splitter; if no
        fold is left.
    """
    found: list = []
    if not isinstance(cv, Integral):
        for train, test in check_cv(cv, y, classifier=True).split(X, y, **split_params):
            found.append((np.intersect1d(train, kept), np.intersect1d(test, kept)))
    else:
        if split_params:
            raise ValueError(f"cv={cv} takes no {', '.join(split_params)}. Give a splitter that does, as GroupKFold.")
        folds = content_folds(take_rows(X, kept), codes, int(cv))
        for code in np.unique(codes):
            if len(np.unique(folds[codes == code])) < 2:
                label = np.asarray(classes)[code:][:1].tolist()[0]
                raise ValueError(
                    f"cv={cv} needs at least two distinct rows of each class; class {label!r} has one. Pass a cv of "
                    "your own."
                )
        found = [(kept[folds != fold], kept[folds == fold]) for fold in np.unique(folds)]
    found = [(train, test) for train, test in found if len(test)]
    if not found:
        raise ValueError(f"The 'cv' parameter must give at least one fold. Got none from {cv!r}.")
    return found


def content_folds(X, codes: np.ndarray, n_folds: int) -> np.ndarray:
    """The fold of each row, (n,), in 0 … n_folds − 1.

    Parameters
    ----------
    X : array, DataFrame or sparse matrix of n rows
    codes : ndarray (n,), intp, the class of each row
    n_folds : int >= 2
    """
    _, distinct = np.unique(row_keys(X) ^ splitmix.mix(codes.astype(np.uint64) + np.uint64(1)), return_inverse=True)
    first = np.unique(distinct, return_index=True)[1]
    # Distinct rows stand in key order; a stable sort by class keeps that order within each class.
    by_class = np.argsort(codes[first], kind="stable")
    fold_of_distinct = np.empty(len(first), dtype=np.intp)
    fold_of_distinct[by_class] = np.arange(len(first)) % n_folds
    return fold_of_distinct[distinct]


def row_keys(X) -> np.ndarray:
    """A 64-bit hash of each row's content, (n,), uint64; equal rows have equal keys, dense or sparse, on either side.

    Of rows on a device the keys alone are brought to the host.
    """
    if placement.on_device(X):
        return placement.to_host(numeric_row_keys(placement.to_device(X)))
    if sparse.issparse(X):
        return numeric_row_keys(X)
    if hasattr(X, "to_pandas"):
        X = X.to_pandas()
    if isinstance(X, pd.DataFrame) and all(dtype.kind in "biuf" for dtype in X.dtypes):
        X = X.to_numpy(dtype=np.float64, na_value=np.nan)
    if isinstance(X, list) and not np.isscalar(X[0]) and _is_ragged(X):
        X = [repr(row) for row in X]
    if not isinstance(X, pd.DataFrame):
        X = np.asarray(X)
        if X.dtype.kind in "biuf":
            return numeric_row_keys(X)
        X = pd.DataFrame(X.reshape(len(X), -1))
    try:
        return pd.util.hash_pandas_object(X, index=False).to_numpy()
    except TypeError:  # cells that have no hash, such as lists: what they print
        return pd.util.hash_pandas_object(X.map(repr), index=False).to_numpy()


def _is_ragged(rows: list) -> bool:
    """Whether rows make no table: mappings, or sequences of different lengths."""
    return any(not hasattr(row, "__len__") or isinstance(row, dict) or len(row) != len(rows[0]) for row in rows)
