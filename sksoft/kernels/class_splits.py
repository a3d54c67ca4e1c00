"""Halving a set of classes again and again by balanced spherical 2-means: the splits of a binary tree.

Read from left to right the classes have positions 0 … K − 1. *Cut* c, from 1 to K − 1, stands between positions c − 1
and c, and belongs to the one node of the tree whose classes it parts. So K − 1 cuts and K positions are all nodes.
"""

import numpy as np
from scipy import sparse

from sksoft.kernels.registry import kernel

# Few sets of classes still change after that many rounds, and those by little.
MAX_ROUNDS = 10
# And a set is done with when one class of so many changes sides, or fewer.
STEADY = 1000
# Where compiled code, with its compilation, is as fast as NumPy.
AUTO_SIZE = 1 << 17


@kernel(AUTO_SIZE)
def split_classes(values, indices, indptr, weights, own, mass, *, n_features, least):
    """Split all classes in two, and each half again, until every class is alone.

    A split alternates between ``d_k = ⟨v_k, A / ‖A‖ − B / ‖B‖⟩``, A = Σ weight · v over the first half and B over the
    second, and the halves. Out of the sum of its own half, for k's own d, goes ``own_k · v_k``. In descending order of
    d, equals by class, the first half are those whose middle lies in the first M of the mass, at least one class and
    not all; M is the mass where d > 0, not less than `least` of the whole nor more than 1 − `least`, and one half of
    it where no d is positive. A split ends when at most one class in STEADY
    changes sides, or after MAX_ROUNDS.

    It starts with the heaviest class for A and, for B, the class least like it. A sum of a squared length below
    1e-12 ‖A + B‖² counts as zero. Of two classes the lower is first.

    Parameters
    ----------
    values : IN ndarray (nnz,), float32 or float64
    indices : IN ndarray (nnz,), int32 or int64, features in 0 … n_features − 1
    indptr : IN ndarray (K + 1,), int32 or int64
        Vectors v_k of length one or zero, row by row in CSR.
    weights : IN ndarray (K,), float64, >= 0
        Of the classes in the sums.
    own : IN ndarray (K,), float64, from 0 to `weights`; 0 where v_k is zero
        How much of a class is kept out of what it is compared with.
    mass : IN ndarray (K,), float64, > 0
        What is to be balanced.
    n_features : int
    least : float, 0 <= least <= 0.5
        The smallest share of the mass for a half.

    Returns
    -------
    order : ndarray (K,), intp
        The class at each position.
    cut_parent : ndarray (K,), intp
        The cut of the node above that of cut c; −1 for the root's, and at 0, which is no cut.
    leaf_parent : ndarray (K,), intp
        The cut of the node above each position; −1 if K = 1.
    """
    rows = sparse.csr_array((np.asarray(values, np.float64), indices, indptr), shape=(len(mass), n_features))
    order = np.arange(len(mass))
    cut_parent, leaf_parent = np.full((2, len(mass)), -1)
    starts, stops, parents = np.array([0]), np.array([len(mass)]), np.array([-1])
    while len(starts):
        alone = stops - starts == 1
        leaf_parent[starts[alone]] = parents[alone]
        starts, stops, parents = starts[~alone], stops[~alone], parents[~alone]
        sizes = stops - starts
        places = np.repeat(starts - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
        group = np.repeat(np.arange(len(sizes)), sizes)
        classes = order[places]
        first = _Halving(rows[classes], weights[classes], own[classes], mass[classes], group).halves(least)
        order[places] = classes[np.lexsort((~first, group))]
        cuts = starts + np.bincount(group, first, len(sizes)).astype(np.intp)
        cut_parent[cuts] = parents
        starts, stops, parents = np.append(starts, cuts), np.append(cuts, stops), np.append(cuts, cuts)
    return order, cut_parent, leaf_parent


class _Halving:
    """One split of every group of classes; the classes of a group stand side by side."""

    def __init__(self, rows, weights, own, mass, group):
        self.values, self.weights, self.own, self.mass, self.group = rows.data, weights, own, mass, group
        self.n, self.n_groups = len(group), group[-1] + 1 if len(group) else 0
        self.row = np.repeat(np.arange(self.n), np.diff(rows.indptr))
        # features of different groups are different cells
        cells = group[self.row] * np.int64(rows.shape[1]) + rows.indices
        self.cell = np.unique(cells, return_inverse=True)[1]
        self.start = np.searchsorted(group, np.arange(self.n_groups))
        self.size = np.bincount(group, minlength=self.n_groups)

    def halves(self, least) -> np.ndarray:
        """Who belongs to the first half, (n,)."""
        to_all = self._similarity(self.weights)
        squared_all = self._total(self.weights * to_all)[self.group]
        first, d = np.zeros(self.n, bool), self._start()
        goes_on = np.ones(self.n_groups, bool)
        for _ in range(MAX_ROUNDS):
            moved = (first != self._heavier_part(d, least)) & goes_on[self.group]
            first = first ^ moved
            goes_on &= STEADY * self._total(moved) > self.size
            if not goes_on.any():
                break
            to_first = self._similarity(first * self.weights)
            to_second = to_all - to_first
            d = self._cosine(to_first, first, squared_all) - self._cosine(to_second, ~first, squared_all)
        return np.where(self.size[self.group] == 2, np.arange(self.n) == self.start[self.group], first)

    def _cosine(self, to_half, inside, squared_all) -> np.ndarray:
        """``⟨v_k, A⟩ / ‖A‖`` from ``⟨v_k, A⟩``, without k's own part."""
        own = np.where(inside, self.own, 0.0)
        squared = self._total(np.where(inside, self.weights, 0.0) * to_half)[self.group]
        squared = squared - 2.0 * own * to_half + own * own
        long_enough = squared > 1e-12 * squared_all
        return np.where(long_enough, (to_half - own) / np.sqrt(np.where(long_enough, squared, 1.0)), 0.0)

    def _similarity(self, factors) -> np.ndarray:
        """``⟨v_k, Σ factor · v⟩`` with the sum over k's group."""
        sums = np.bincount(self.cell, self.values * factors[self.row], minlength=1)
        return np.bincount(self.row, self.values * sums[self.cell], minlength=self.n)

    def _total(self, numbers) -> np.ndarray:
        return np.bincount(self.group, numbers, minlength=self.n_groups)

    def _start(self) -> np.ndarray:
        heaviest = self._first_of(-self.weights)
        to_heaviest = self._similarity(heaviest)
        return to_heaviest - self._similarity(self._first_of(to_heaviest - 1e-3 * np.log1p(self.weights)))

    def _first_of(self, numbers) -> np.ndarray:
        """1.0 for the smallest number of each group, the first of equals; else 0.0."""
        smallest = np.zeros(self.n)
        smallest[np.lexsort((numbers, self.group))[self.start]] = 1.0
        return smallest

    def _heavier_part(self, d, least) -> np.ndarray:
        total, positive = self._total(self.mass), self._total(self.mass * (d > 0.0))
        wanted = np.where(positive > 0.0, np.clip(positive, least * total, (1.0 - least) * total), 0.5 * total)
        descending = np.lexsort((-d, self.group))
        mass = self.mass[descending]
        before = np.concatenate([[0.0], np.cumsum(total)])[self.group]
        taken = np.cumsum(mass) - 0.5 * mass - before <= wanted[self.group]
        rank = np.arange(self.n) - self.start[self.group]
        taken = (taken | (rank == 0)) & (rank < self.size[self.group] - 1)
        first = np.empty(self.n, bool)
        first[descending] = taken
        return first
