"""The columns of sorted rows in CSR, on a device: which entries they have, and those within the rows of a node.

A node's rows are neighbours, so its part of a column is a piece of the whole column, found by bisection: the matrix is
sorted by columns once, for all nodes.
"""

from typing import Any, NamedTuple

import numpy as np

from sksoft.kernels._cuda._api import cuda, jit, xp
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.layout import contiguous
from sksoft.kernels._cuda.warps import sum_of


class Columns(NamedTuple):
    """Entries sorted by column, then row.

    Attributes
    ----------
    keys : array (nnz,), int64
        ``column · n + row`` of each.
    order : array (nnz,), int64
        Where each stands in the rows.
    rows : array (nnz,), int32
    previous : array (nnz,), int64
        For the entries in the order of the rows: the row of the one before in their column, −1 for the first.
    """

    keys: Any
    order: Any
    rows: Any
    previous: Any


class NodeColumns(NamedTuple):
    """The columns of some nodes, one node after another.

    Attributes
    ----------
    first : array (N + 1,), int64
        Where the columns of each node begin.
    features : array (Σ a,), int32
    start, stop : array (Σ a,), int64
        The node's part of each column among the sorted entries.
    long, first_long : array (L,), (N + 1,), int64
        Columns of more than `length` entries, each counted from its node's first, and where those of each node begin.
    """

    first: Any
    features: Any
    start: Any
    stop: Any
    long: Any
    first_long: Any


def by_columns(indices, indptr) -> Columns:
    """Sort the entries; O(nnz log nnz)."""
    n, nnz = max(len(indptr) - 1, 1), len(indices)
    rows = xp.searchsorted(indptr, xp.arange(nnz), side="right") - 1
    keys = indices.astype(np.int64) * n + rows  # none ties: the order does not hang on how they are sorted
    order = xp.argsort(keys)
    keys, rows = keys[order], rows[order]
    before = xp.full(nnz, -1, np.int64)
    before[1:] = xp.where(keys[1:] // n == keys[:-1] // n, rows[:-1], -1)
    previous = xp.empty(nnz, np.int64)
    previous[order] = before
    return Columns(keys, order.astype(np.int64), rows.astype(np.int32), previous)


def owners(first, size: int):
    """Which of the neighbouring pieces that begin at `first` (N + 1,) each of `size` elements is in."""
    return xp.searchsorted(first[1:], xp.arange(size), side="right")


def node_columns(columns: Columns, indices, indptr, first_row, last_row, n_known, n_features, length) -> NodeColumns:
    """The columns that nodes know: all where those are `n_features`, else those that some row of theirs has.

    ``first_row, last_row, n_known`` are host arrays (N,).
    """
    n = max(len(indptr) - 1, 1)
    first = np.concatenate([[0], np.cumsum(n_known)])
    starts, size = xp.asarray(first), int(first[-1])
    owner = owners(starts, size)
    features = xp.arange(size) - starts[owner]
    partial = np.flatnonzero(n_known < n_features)
    if len(partial) and size:
        some = n_known < n_features
        features[xp.asarray(some)[owner]] = _met(columns, indices, indptr, first_row[some], last_row[some], n_features)
    start = xp.searchsorted(columns.keys, features * n + xp.asarray(first_row)[owner])
    stop = xp.searchsorted(columns.keys, features * n + xp.asarray(last_row)[owner])
    long = xp.flatnonzero(stop - start > length)
    first_long = xp.searchsorted(owner[long], xp.arange(len(n_known) + 1))
    return NodeColumns(
        *(starts, features.astype(np.int32), start.astype(np.int64), stop.astype(np.int64)),
        *((long - starts[owner[long]]).astype(np.int64), first_long.astype(np.int64)),
    )


def _met(columns, indices, indptr, first_row, last_row, n_features):
    """Sorted features of the rows of each node: those of entries that are their column's first within the node."""
    first_row, last_row = xp.asarray(first_row), xp.asarray(last_row)
    begin = indptr[first_row]
    passed = xp.concatenate([xp.zeros(1, np.int64), xp.cumsum(indptr[last_row] - begin)])
    size = int(passed[-1])
    owner = owners(passed, size)
    entries = xp.arange(size) - passed[owner] + begin[owner]
    is_first = columns.previous[entries] < first_row[owner]
    return xp.sort(owner[is_first] * n_features + indices[entries[is_first]]) % n_features


@compiled("int64[::1], int64[::1], int64[::1], int64[::1], int64[::1]")
def count_firsts(real):
    """How many entries of each node's rows are the first of their column there; a block for a node."""
    block_sum = sum_of(np.int64, whole_block=True)

    @jit
    def count_firsts(previous, indptr, first_row, last_row, counts):
        for node in range(cuda.blockIdx.x, counts.size, cuda.gridDim.x):
            own = np.int64(0)
            for e in range(indptr[first_row[node]] + cuda.threadIdx.x, indptr[last_row[node]], cuda.blockDim.x):
                own += np.int64(previous[e] < first_row[node])
            total = block_sum(own, cuda.blockDim.x)
            if cuda.threadIdx.x == 0:
                counts[node] = total

    return count_firsts


def sorted_by_columns(array, columns: Columns):
    """An entry's number of an array (nnz,), in the order of the columns."""
    return contiguous(array[columns.order])
