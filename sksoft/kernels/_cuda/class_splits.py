"""Splits of classes on a device: all sets of a level of the tree at once, as the reference does it.

There is no kernel here. Whatever is summed is a product of a sparse matrix with a vector, by ``columns.product``, or of
integers: masses are summed as multiples of a power of two. So all is the same on every run, and exact where the masses
are such multiples.
"""

from math import frexp

import numpy as np

from sksoft.kernels import class_splits
from sksoft.kernels._cuda import columns
from sksoft.kernels._cuda._api import xp
from sksoft.kernels._cuda.layout import contiguous
from sksoft.kernels.class_splits import MAX_ROUNDS, STEADY

# Bits of a sum of all masses.
BITS = 60


@class_splits.split_classes.implement("cuda")
def split_classes(values, indices, indptr, weights, own, mass, *, n_features, least):
    n = len(mass)
    rows = contiguous(values, np.float64), contiguous(indices, np.int64), contiguous(indptr, np.int64)
    order, cut_parent, leaf_parent = xp.arange(n), xp.full(n, -1), xp.full(n, -1)
    starts, stops, parents = xp.zeros(1, np.int64), xp.full(1, n), xp.full(1, -1)
    unit = 2.0 ** (frexp(float(mass.sum()))[1] - BITS)
    while True:
        alone = stops - starts == 1
        leaf_parent[starts[alone]] = parents[alone]
        starts, stops, parents = starts[~alone], stops[~alone], parents[~alone]
        if len(starts) == 0:
            return order, cut_parent, leaf_parent
        offsets = _ends(stops - starts)
        group = _owners(offsets)
        places = xp.arange(len(group)) + (starts - offsets[:-1])[group]
        classes = order[places]
        vectors = _rows(rows, classes)
        level = _Level(vectors, group, offsets, n_features, weights[classes], own[classes], mass[classes], unit)
        first = level.halves(least)
        order[places] = classes[_sorted(2 * group + ~first)]
        cuts = starts + level.count(first)
        cut_parent[cuts] = parents
        starts, stops, parents = xp.append(starts, cuts), xp.append(cuts, stops), xp.append(cuts, cuts)


def _ends(sizes):
    """Where runs of these sizes begin, and the last one ends, (n + 1,)."""
    return xp.concatenate([xp.zeros(1, np.int64), xp.cumsum(sizes)])


def _owners(offsets):
    """The run of each place."""
    return xp.searchsorted(offsets, xp.arange(int(offsets[-1])), side="right") - 1


def _sorted(keys, *more):
    """The order by integer keys, of equals by `more`, the last first; of equals in all by place."""
    return xp.lexsort(xp.stack([xp.arange(len(keys), dtype=xp.result_type(keys, *more)), *more, keys]))


def _runs(keys):
    """The order by keys, the number of each key among those that occur, and where these begin in the order."""
    if len(keys) == 0:  # which CuPy's scans do not all know
        return keys, keys, xp.zeros(1, np.int64)
    order = _sorted(keys)
    begins = xp.ones(len(keys), bool)
    begins[1:] = keys[order][1:] != keys[order][:-1]
    numbers = xp.empty(len(keys), np.int64)
    numbers[order] = xp.cumsum(begins) - 1
    return order, numbers, xp.concatenate([xp.flatnonzero(begins), xp.full(1, len(keys))])


def _rows(rows, classes):
    """Values, features and row numbers of the vectors of some classes, and where each begins."""
    values, features, indptr = rows
    begin = indptr[classes]
    offsets = _ends(indptr[classes + 1] - begin)
    row = _owners(offsets)
    entries = xp.arange(len(row)) + (begin - offsets[:-1])[row]
    return values[entries], features[entries], row, offsets


class _Matrix:
    """A sparse matrix in CSR that is multiplied with the columns of a matrix."""

    def __init__(self, values, indices, indptr):
        self.parts = values, contiguous(indices, np.int32), indptr

    def __matmul__(self, dense):
        return columns.product(*self.parts, dense, xp.empty((len(self.parts[2]) - 1, dense.shape[1])))


def _side_by_side(*vectors):
    """Vectors as columns of a float64 matrix."""
    return contiguous(xp.stack(vectors, axis=1), np.float64)


class _Level:
    """One split of every group of classes; the classes of a group stand side by side."""

    def __init__(self, vectors, group, offsets, n_features, weights, own, mass, unit):
        values, features, row, row_offsets = vectors
        self.weights, self.own, self.mass, self.unit = weights, own, mass, unit
        self.group, self.offsets, self.size = group, offsets, offsets[1:] - offsets[:-1]
        self.rank = xp.arange(len(group)) - offsets[group]
        self.groups = _Matrix(xp.ones(len(group)), xp.arange(len(group)), offsets)
        self.total = self._totals(mass)[0]
        # features of different groups are different cells
        by_cell, cells, cell_offsets = _runs(group[row] * n_features + features)
        self.by_class = _Matrix(values, cells, row_offsets)
        self.by_cell = _Matrix(values[by_cell], row[by_cell], cell_offsets)

    def halves(self, least):
        """Who belongs to the first half, (n,)."""
        to_all, d = self._similarities(self.weights, self._first_of(self.weights))
        d = d - self._similarities(self._first_of(1e-3 * xp.log1p(self.weights) - d))[0]
        squared_all = self._totals(self.weights * to_all)[0][self.group]
        first = xp.zeros(len(self.group), bool)
        goes_on = xp.ones(len(self.size), bool)
        for _ in range(MAX_ROUNDS):
            moved = (first != self._heavier_part(d, least)) & goes_on[self.group]
            first = first ^ moved
            goes_on &= STEADY * self.count(moved) > self.size
            if not bool(goes_on.any()):
                break
            d = self._compared(first, to_all, squared_all)
        return xp.where(self.size[self.group] == 2, self.rank == 0, first)

    def count(self, mask):
        """How many of each group."""
        before = _ends(mask)
        return before[self.offsets[1:]] - before[self.offsets[:-1]]

    def _compared(self, first, to_all, squared_all):
        """d of each class."""
        to_first = self._similarities(first * self.weights)[0]
        to_second = to_all - to_first
        parts = xp.where(first, self.weights * to_first, 0.0), xp.where(first, 0.0, self.weights * to_second)
        in_first, in_second = (squared[self.group] for squared in self._totals(*parts))
        own_first, own_second = xp.where(first, self.own, 0.0), xp.where(first, 0.0, self.own)
        return _cosine(to_first, own_first, in_first, squared_all) - _cosine(
            to_second, own_second, in_second, squared_all
        )

    def _similarities(self, *factors):
        """``⟨v_k, Σ factor · v⟩`` with the sum over k's group, for several factors."""
        return (self.by_class @ (self.by_cell @ _side_by_side(*factors))).T

    def _totals(self, *numbers):
        """The sums of each group."""
        return (self.groups @ _side_by_side(*numbers)).T

    def _first_of(self, numbers):
        """1.0 for the largest number of each group, the first of equals; else 0.0."""
        largest = xp.zeros(len(numbers))
        largest[self._descending(numbers)[self.offsets[:-1]]] = 1.0
        return largest

    def _descending(self, numbers):
        return _sorted(self.group, 0.0 - numbers)

    def _heavier_part(self, d, least):
        positive = self._totals(self.mass * (d > 0.0))[0]
        within = xp.minimum(xp.maximum(positive, least * self.total), (1.0 - least) * self.total)
        wanted = xp.where(positive > 0.0, within, 0.5 * self.total)
        descending = self._descending(d)
        mass = self.mass[descending]
        reached = _ends((mass / self.unit).astype(np.int64))
        reached = (reached[1:] - reached[self.offsets[:-1]][self.group]) * self.unit
        taken = reached - 0.5 * mass <= wanted[self.group]
        taken = (taken | (self.rank == 0)) & (self.rank < self.size[self.group] - 1)
        first = xp.empty(len(d), bool)
        first[descending] = taken
        return first


def _cosine(to_half, own, squared, squared_all):
    """``⟨v_k, A⟩ / ‖A‖`` from ``⟨v_k, A⟩`` and ``‖A‖²``, without k's own part."""
    squared = squared - 2.0 * own * to_half + own * own
    long_enough = squared > 1e-12 * squared_all
    return xp.where(long_enough, (to_half - own) / xp.sqrt(xp.where(long_enough, squared, 1.0)), 0.0)
