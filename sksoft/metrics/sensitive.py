"""Sensitive features: from whatever holds them to a partition of the rows into cells.

A cell is a combination of groups that occurs; every group of a feature, and every intersection, is a union of
cells. So sums over cells are computed once and added up for each.
"""

import ctypes
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sksoft.metrics.labels import encode_labels, sorted_labels

MISSING = "(missing)"


@dataclass(frozen=True)
class Partition:
    """Rows by combination of groups, and the groups as unions of cells.

    Attributes
    ----------
    codes : ndarray (n,) intp
        Cell of every row.
    n_cells : int
    levels : list of Level
        Overall, each feature, and the intersections where there is more than one feature.
    """

    codes: np.ndarray
    n_cells: int
    levels: list


@dataclass(frozen=True)
class Level:
    """One way to group the rows: `groups` are names, `members` (n_cells,) the group of each cell."""

    kind: str
    feature: str
    groups: list
    members: np.ndarray

    def add_up(self, cells: np.ndarray) -> np.ndarray:
        """Sums over the groups from sums over the cells: (…, n_cells, m) → (…, n_groups, m)."""
        if self.kind == "overall":
            return cells.sum(axis=-2, keepdims=True)
        if np.array_equal(self.members, np.arange(len(self.groups))):
            return cells
        sums = np.zeros((*cells.shape[:-2], len(self.groups), cells.shape[-1]))
        order = np.argsort(self.members, kind="stable")
        starts = np.searchsorted(self.members[order], np.arange(len(self.groups)))
        np.add.reduceat(cells[..., order, :], starts, axis=-2, out=sums)
        return sums


def partition_rows(sensitive_features, n_rows: int, kept=None) -> Partition:
    """Partition the rows by one or several sensitive features.

    Parameters
    ----------
    sensitive_features : Series, DataFrame, dict of arrays, or array-like (n,) or (n, n_features)
        pandas, polars, NumPy or lists. Missing values (None, NaN, NA, NaT) form the group ``"(missing)"``.
    n_rows : int
        Rows expected.
    kept : ndarray (n_rows,) bool, optional
        Rows to look at; the others are as if they were not there.
    """
    columns = _columns(sensitive_features)
    encoded = []
    for name, values in columns.items():
        if len(values) != n_rows:
            raise ValueError(
                "Found input variables with inconsistent numbers of samples: sensitive_features "
                f"{name!r} has {len(values)} rows and y_true {n_rows}."
            )
        encoded.append(_encode(values if kept is None else values[kept]))
    cells, codes = _combine([codes for codes, _ in encoded], [len(names) for _, names in encoded])
    n_cells = len(cells[0])
    levels = [Level("overall", "", ["overall"], np.zeros(n_cells, dtype=np.intp))]
    for name, members, (_, groups) in zip(columns, cells, encoded):
        levels.append(_level("group", name, groups, members))
    if len(columns) > 1:
        joined = [" × ".join(groups[m] for m, (_, groups) in zip(cell, encoded)) for cell in zip(*cells)]
        levels.append(Level("intersection", " × ".join(columns), joined, np.arange(n_cells)))
    return Partition(codes, n_cells, levels)


def _level(kind, feature, groups, members) -> Level:
    """Drop groups without rows."""
    present, members = np.unique(members, return_inverse=True)
    return Level(kind, feature, [groups[i] for i in present], members)


def _columns(features) -> dict:
    """Name -> values, whatever the container."""
    if isinstance(features, dict):
        columns = dict(features)
    elif hasattr(features, "columns"):
        names = [str(name) for name in features.columns]
        duplicates = sorted({name for name in names if names.count(name) > 1})
        if duplicates:
            raise ValueError(f"sensitive_features has duplicate column names {duplicates}.")
        columns = {str(name): features[name] for name in features.columns}
    elif getattr(features, "ndim", None) == 1 or hasattr(features, "name"):
        columns = {str(getattr(features, "name", None) or "group"): features}
    else:
        values = np.asarray(features) if not _holds_missing_list(features) else np.asarray(features, dtype=object)
        if values.ndim == 1:
            columns = {"group": values}
        elif values.ndim == 2:
            columns = {f"feature_{j}": values[:, j] for j in range(values.shape[1])}
        else:
            raise ValueError(f"sensitive_features must have one or two dimensions. Got shape {values.shape} instead.")
    if not columns:
        raise ValueError("sensitive_features must have at least one column. Got none instead.")
    return {str(name): _as_column(values) for name, values in columns.items()}


def _holds_missing_list(features) -> bool:
    """Whether a plain list mixes strings with None or NaN, which NumPy would turn into the string 'nan'."""
    return isinstance(features, list | tuple) and any(isinstance(v, str) for v in features)


def _as_column(values):
    """Something that :func:`pandas.factorize` takes and that boolean masks select from."""
    if isinstance(values, pd.Series):
        return values.to_numpy() if isinstance(values.dtype, np.dtype) else values.array
    if isinstance(values, pd.api.extensions.ExtensionArray | np.ndarray):
        return values
    if hasattr(values, "to_numpy"):
        return values.to_numpy()
    return np.asarray(values, dtype=object) if _holds_missing_list(values) else np.asarray(values)


def _encode(values) -> tuple[np.ndarray, list]:
    """Codes (n,) and names of the groups, ascending where they can be compared; the missing group is last."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "biu":
        distinct = sorted_labels(values)
        return encode_labels(values, distinct), [str(value) for value in distinct.tolist()]
    codes, distinct = _factorize(values)
    try:
        order = sorted(range(len(distinct)), key=distinct.__getitem__)
    except TypeError:
        order = sorted(range(len(distinct)), key=lambda i: (type(distinct[i]).__name__, str(distinct[i])))
    names = [str(distinct[i]) for i in order]
    rank = np.empty(len(order) + 1, dtype=np.intp)
    rank[order] = np.arange(len(order))
    rank[-1] = len(order)
    if (codes < 0).any():
        names.append(MISSING)
    return rank[codes], names


def _factorize(values) -> tuple[np.ndarray, np.ndarray]:
    """Position of every value among the distinct ones, −1 where missing; in no particular order."""
    if isinstance(values, np.ndarray) and values.dtype == object and values.flags.c_contiguous and len(values):
        # Equal values are often the same object (indexing, interning). Where the first rows look so, tell objects
        # apart by address, which hashes as an integer, and compare what is left.
        addresses = np.ctypeslib.as_array((ctypes.c_ssize_t * len(values)).from_address(values.ctypes.data))
        if len(np.unique(addresses[:1000])) < len(addresses[:1000]) / 2:
            objects, distinct_addresses = pd.factorize(addresses)
            first = np.empty(len(distinct_addresses), dtype=np.intp)
            first[objects[::-1]] = np.arange(len(values))[::-1]
            codes, distinct = pd.factorize(values[first], use_na_sentinel=True)
            return codes[objects], np.asarray(distinct, dtype=object)
    try:
        codes, distinct = pd.factorize(values, use_na_sentinel=True)
    except TypeError as error:
        raise TypeError(f"sensitive_features must hold values that can be hashed: {error}.") from error
    return codes, np.asarray(distinct, dtype=object)


def _combine(codes: list, sizes: list) -> tuple[list, np.ndarray]:
    """Combinations that occur, as one array of group numbers per feature, and that of every row."""
    if len(codes) == 1:
        return [np.arange(sizes[0])], codes[0]
    joint, size = codes[0], sizes[0]
    for column, n_groups in zip(codes[1:], sizes[1:]):
        if size * n_groups > 1 << 62:
            joint, size = np.unique(joint, return_inverse=True)[1], len(joint)
        joint, size = joint * n_groups + column, size * n_groups
    if size <= 4 * len(joint) + 1024:
        present = np.flatnonzero(np.bincount(joint, minlength=size))
        table = np.zeros(size, dtype=np.intp)
        table[present] = np.arange(len(present))
        cell_of_row = table[joint]
    else:
        present, cell_of_row = np.unique(joint, return_inverse=True)
    first = np.zeros(len(present), dtype=np.intp)
    first[cell_of_row] = np.arange(len(joint))
    return [column[first] for column in codes], cell_of_row
