"""Splits of classes in two, compiled: a split touches the features of its own classes only."""

import numpy as np

from sksoft.kernels import class_splits
from sksoft.kernels._numba._jit import jit
from sksoft.kernels.blocks import map_blocks
from sksoft.kernels.class_splits import MAX_ROUNDS

# Ranges of classes that are split one beside the other before each is split to the end: the same for any machine.
N_SUBTREES = 64


@class_splits.split_classes.implement("numba")
def split_classes(values, indices, indptr, weights, mass, *, n_features):
    n_classes = len(mass)
    inputs = [_read_only(array) for array in (values, indices, indptr, weights, mass)]
    order = np.arange(n_classes)
    cut_parent, leaf_parent = np.full(n_classes, -1), np.full(n_classes, -1)
    tree = order, cut_parent, leaf_parent

    def split(task):
        return _split_range(*inputs, n_features, *task, *tree)

    ranges, depth = [(0, n_classes, -1)], 0
    while ranges:
        whole = len(ranges) >= N_SUBTREES or depth > N_SUBTREES
        parts = map_blocks(split, [(*one, whole) for one in ranges])
        ranges = [] if whole else [half for one, cut in zip(ranges, parts) for half in _halves(one, cut)]
        depth += 1
    return tree


def _halves(one, cut):
    start, stop, _ = one
    return [(start, cut, cut), (cut, stop, cut)] if cut > start else []


def _read_only(array):
    """A view in C order that cannot be written to, so that numba sees one type."""
    view = np.ascontiguousarray(array)[...]
    view.flags.writeable = False
    return view


@jit
def _split_range(
    values, indices, indptr, weights, mass, n_features, start, stop, parent, whole, order, cut_parent, leaf_parent
):
    """Split positions start..stop below the cut `parent` once, or to the end; returns the first cut, -1 for none."""
    n = stop - start
    sums = np.zeros(n_features)
    room = np.empty((4, n))
    side = np.empty(n, np.bool_)
    found = np.empty(n, np.int64)
    waiting = np.empty((n + 1, 3), np.int64)
    waiting[0, 0], waiting[0, 1], waiting[0, 2] = start, stop, parent
    n_waiting, first_cut = 1, -1
    while n_waiting:
        n_waiting -= 1
        start, stop, parent = waiting[n_waiting, 0], waiting[n_waiting, 1], waiting[n_waiting, 2]
        if stop - start == 1:
            leaf_parent[start] = parent
            continue
        cut = start + _bisect(values, indices, indptr, weights, mass, order[start:stop], sums, room, side, found)
        cut_parent[cut] = parent
        if first_cut < 0:
            first_cut = cut
        if not whole:
            break
        waiting[n_waiting, 0], waiting[n_waiting, 1], waiting[n_waiting, 2] = cut, stop, cut
        waiting[n_waiting + 1, 0], waiting[n_waiting + 1, 1], waiting[n_waiting + 1, 2] = start, cut, cut
        n_waiting += 2
    return first_cut


@jit
def _bisect(values, indices, indptr, weights, mass, classes, sums, room, side, found):
    """Bring the classes of the first half to the front, both halves in ascending order; returns how many they are."""
    n = len(classes)
    if n == 2:
        return 1
    similarity, to_all, key, heaviness = room[0], room[1], room[2], room[3]
    squared_all = _similarity_to_all(values, indices, indptr, weights, classes, sums, to_all)
    _start(values, indices, indptr, weights, classes, sums, to_all, squared_all, similarity)
    for i in range(n):
        side[i] = False
    for step in range(MAX_ROUNDS):
        n_first = _select(similarity, mass, classes, found, key, heaviness)
        if not _move(values, indices, indptr, weights, classes, found, n_first, side, sums, key):
            break
        if step + 1 < MAX_ROUNDS:
            _similarity_to_first(values, indices, indptr, weights, classes, side, sums, to_all, squared_all, similarity)
    for i in range(n):
        for e in range(indptr[classes[i]], indptr[classes[i] + 1]):
            sums[indices[e]] = 0.0
    n_first, n_second = 0, 0
    for i in range(n):
        k = classes[i]
        if side[i]:
            classes[n_first] = k
            n_first += 1
        else:
            found[n_second] = k
            n_second += 1
    for i in range(n_second):
        classes[n_first + i] = found[i]
    return n_first


@jit
def _product(values, indices, indptr, k, sums):
    total = 0.0
    for e in range(indptr[k], indptr[k + 1]):
        total += values[e] * sums[indices[e]]
    return total


@jit
def _similarity_to_all(values, indices, indptr, weights, classes, sums, to_all):
    """``⟨v_k, T⟩`` of each class, T = Σ weight · v, and ``‖T‖²``; `sums` is left at zero."""
    n = len(classes)
    for i in range(n):
        k = classes[i]
        for e in range(indptr[k], indptr[k + 1]):
            sums[indices[e]] += weights[k] * values[e]
    squared = 0.0
    for i in range(n):
        to_all[i] = _product(values, indices, indptr, classes[i], sums)
        squared += weights[classes[i]] * to_all[i]
    for i in range(n):
        for e in range(indptr[classes[i]], indptr[classes[i] + 1]):
            sums[indices[e]] = 0.0
    return squared


INIT = 0


@jit
def _start(values, indices, indptr, weights, classes, sums, to_all, squared_all, similarity):
    n = len(classes)
    heaviest = 0
    for i in range(n):
        if weights[classes[i]] > weights[classes[heaviest]]:
            heaviest = i
    h = classes[heaviest]
    if INIT == 2:
        # farthest from the mean
        low = 1e300
        for i in range(n):
            s = to_all[i]
            if s < low:
                low = s
                heaviest = i
        h = classes[heaviest]
    for e in range(indptr[h], indptr[h + 1]):
        sums[indices[e]] = values[e]
    far, low = 0, 1e300
    for i in range(n):
        similarity[i] = _product(values, indices, indptr, classes[i], sums)
        s = similarity[i] - 1e-3 * np.log(1 + weights[classes[i]])
        if s < low:
            low, far = s, i
    for e in range(indptr[h], indptr[h + 1]):
        sums[indices[e]] = 0.0
    if INIT == 1:
        for i in range(n):
            similarity[i] -= to_all[i] / np.sqrt(squared_all + 1e-300)
        return
    h = classes[far]
    for e in range(indptr[h], indptr[h + 1]):
        sums[indices[e]] = values[e]
    for i in range(n):
        similarity[i] -= _product(values, indices, indptr, classes[i], sums)
    for e in range(indptr[h], indptr[h + 1]):
        sums[indices[e]] = 0.0


@jit
def _similarity_to_first(values, indices, indptr, weights, classes, side, sums, to_all, squared_all, similarity):
    """``⟨v_k, A/‖A‖ − B/‖B‖⟩`` of each class with A = `sums` of the first half, B = T − A."""
    n = len(classes)
    squared, with_all = 0.0, 0.0
    for i in range(n):
        similarity[i] = _product(values, indices, indptr, classes[i], sums)
        if side[i]:
            squared += weights[classes[i]] * similarity[i]
            with_all += weights[classes[i]] * to_all[i]
    squared_second = squared_all - 2.0 * with_all + squared
    a = 1.0 / np.sqrt(squared) if squared > 1e-12 * squared_all else 0.0
    b = 1.0 / np.sqrt(squared_second) if squared_second > 1e-12 * squared_all else 0.0
    for i in range(n):
        similarity[i] = (a + b) * similarity[i] - b * to_all[i]


@jit
def _move(values, indices, indptr, weights, classes, found, n_first, side, sums, key):
    """Make `side` what the selection found, and `sums` the sum over it; whether anything changed."""
    n = len(classes)
    for i in range(n):
        key[i] = 0.0
    for i in range(n_first):
        key[found[i]] = 1.0
    changed = False
    for i in range(n):
        first = key[i] == 1.0
        if first != side[i]:
            changed = True
            side[i] = first
            k = classes[i]
            w = weights[k] if first else -weights[k]
            for e in range(indptr[k], indptr[k + 1]):
                sums[indices[e]] += w * values[e]
    return changed


@jit
def _before(key, i, other, j):
    return key > other or (key == other and i < j)


@jit
def _select(similarity, mass, classes, found, key, heaviness):
    """Positions of the most similar classes that together have the half of the mass, to the front of `found`.

    In descending order, equals by position, the first half are those whose middle lies in the first half of the mass.
    """
    n = len(classes)
    total = 0.0
    for i in range(n):
        found[i] = i
        key[i] = similarity[i]
        heaviness[i] = mass[classes[i]]
        total += heaviness[i]
    low, high, above = 0, n, 0.0
    while low < high:
        middle = (low + high) // 2
        last = high - 1
        # the median of three goes to the end
        if _before(key[middle], found[middle], key[low], found[low]):
            _swap(key, found, heaviness, middle, low)
        if _before(key[last], found[last], key[low], found[low]):
            _swap(key, found, heaviness, last, low)
        if _before(key[middle], found[middle], key[last], found[last]):
            _swap(key, found, heaviness, middle, last)
        pivot, pivot_at = key[last], found[last]
        at, inside = low, 0.0
        for i in range(low, last):
            if _before(key[i], found[i], pivot, pivot_at):
                inside += heaviness[i]
                _swap(key, found, heaviness, i, at)
                at += 1
        _swap(key, found, heaviness, at, last)
        if above + inside + 0.5 * heaviness[at] <= 0.5 * total:
            above += inside + heaviness[at]
            low = at + 1
        else:
            high = at
    if low == 0:
        best = 0
        for i in range(n):
            if _before(key[i], found[i], key[best], found[best]):
                best = i
        _swap(key, found, heaviness, best, 0)
        return 1
    if low == n:
        worst = 0
        for i in range(n):
            if _before(key[worst], found[worst], key[i], found[i]):
                worst = i
        _swap(key, found, heaviness, worst, n - 1)
        return n - 1
    return low


@jit
def _swap(key, found, heaviness, i, j):
    key[i], key[j] = key[j], key[i]
    found[i], found[j] = found[j], found[i]
    heaviness[i], heaviness[j] = heaviness[j], heaviness[i]
