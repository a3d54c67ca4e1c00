"""Rows that cannot be told apart, as one row: what is left out when one is left out.

Leave-one-out must give the same answer for a row of weight two as for the row written twice, and must not let a row be
answered by its own copy, which would send every bandwidth to zero. So what is left out is the distinct row: all rows
with the same features (and, where there are groups, of the same group) become one row with the sum of their weights
and the weighted mean of their targets. With groups all rows of the group are left out; copies in other groups stay,
for the user says that groups are independent.

Nothing is lost: predictions are linear in the targets, the log-loss too, and the squared loss of a merged row differs
from the mean of its rows' by their variance, which no bandwidth changes (`spread`).
"""

from dataclasses import dataclass, replace

import numpy as np

from sksoft.kernels import placement
from sksoft.kernels.row_keys import row_keys


@dataclass(frozen=True)
class DistinctRows:
    """The rows of a leave-one-out problem, each once.

    Attributes
    ----------
    X : ndarray (m, p), float64
    targets : ndarray (m, v), float64
        Weighted mean of the merged rows' targets.
    weights : ndarray (m,), float64 > 0
        Sum of the merged rows' weights.
    left_out : ndarray (m,), int64
        Rows with the same code are left out together.
    row : ndarray (n,), int64
        Which of the m each given row became, -1 where its weight is zero.
    spread : float
        Weighted mean of the squared distance of targets from their merged row's.
    keys : ndarray (m,), uint64
        Hash of what is left out together: of the row's features, or the least of the group's rows.
    """

    X: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    left_out: np.ndarray
    row: np.ndarray
    spread: float
    keys: np.ndarray

    @property
    def total(self) -> float:
        """Sum of the weights."""
        return float(self.weights.sum())

    @property
    def prior(self) -> np.ndarray:
        """Weighted mean of the targets, (v,)."""
        return placement.to_host(self.weights @ self.targets) / self.total

    def moved_to(self, like) -> "DistinctRows":
        """The same with what averages are made of where the array `like` lives."""
        there = {name: placement.where(like, getattr(self, name)) for name in ("X", "targets", "weights", "left_out")}
        return replace(self, **there)

    def fifth(self) -> np.ndarray:
        """True for about a fifth of the rows (or groups), chosen by their content, never all and at least one; (m,)."""
        units = np.unique(self.keys)
        n_held = min(max(1, round(len(units) / 5)), len(units) - 1)
        return self.keys < units[n_held]


def distinct_rows(X, targets, weights, groups=None) -> DistinctRows:
    """Merge rows with the same features and group; rows of weight zero are no rows. O(n p log n).

    Parameters
    ----------
    X : ndarray (n, p), float64
    targets : ndarray (n, v), float64
    weights : ndarray (n,), float64 >= 0
    groups : ndarray (n,) of any type, or None

    Raises
    ------
    ValueError
        Where nothing is left when one row, or one group, is left out.
    """
    kept = np.flatnonzero(weights > 0.0)
    columns = [X[kept] + 0.0]  # -0.0 is 0.0
    if groups is not None:
        codes = np.unique(np.asarray(groups)[kept], return_inverse=True)[1].reshape(-1)
        columns.append(codes[:, None].astype(np.float64))
    first, merged = _distinct(np.hstack(columns))
    n_rows = len(first)
    row = np.full(len(X), -1, dtype=np.int64)
    row[kept] = merged
    total = np.bincount(merged, weights[kept], n_rows)
    means = np.empty((n_rows, targets.shape[1]))
    for k in range(targets.shape[1]):
        means[:, k] = np.bincount(merged, weights[kept] * targets[kept, k], n_rows) / total
    alone = np.bincount(merged, minlength=n_rows) == 1
    means[alone] = targets[kept[first[alone]]]
    distance = ((targets[kept] - means[merged]) ** 2).sum(axis=1)
    left_out = np.arange(n_rows, dtype=np.int64) if groups is None else codes[first].astype(np.int64)
    if len(np.unique(left_out)) < 2:
        what = "distinct rows of positive weight" if groups is None else "groups with rows of positive weight"
        raise ValueError(f"Leave-one-out needs at least two {what}, got {len(np.unique(left_out))}.")
    spread = float(weights[kept] @ distance / weights[kept].sum())
    hashes = row_keys(X[kept[first]])
    if groups is not None:  # the least hash in a group is the same however its rows are ordered
        least = np.full(left_out.max() + 1, np.iinfo(np.uint64).max)
        np.minimum.at(least, left_out, hashes)
        hashes = least[left_out]
    return DistinctRows(X[kept[first]], means, total, left_out, row, spread, hashes)


def _distinct(table):
    """Positions of the first of each distinct row, in the order of the rows, and which of them each row is."""
    order = np.lexsort(table.T[::-1])
    ordered = table[order]
    starts = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])
    first = order[starts]  # lexsort is stable: the first of equals
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    merged = np.empty(len(table), dtype=np.int64)
    merged[order] = rank[np.cumsum(starts) - 1]
    return np.sort(first), merged
