"""Splits of classes in two, compiled: a split touches the features of its own classes only."""

import numpy as np

from sksoft.kernels import class_splits
from sksoft.kernels._numba._jit import jit
from sksoft.kernels.blocks import map_blocks
from sksoft.kernels.class_splits import MAX_ROUNDS, STEADY

# Ranges of classes that are split one beside the other before each is split to the end: the same for any machine.
N_SUBTREES = 64


@class_splits.split_classes.implement("numba")
def split_classes(values, indices, indptr, weights, own, mass, *, n_features, least):
    n_classes = len(mass)
    inputs = tuple(_read_only(array) for array in (values, indices, indptr, weights, own, mass))
    order = np.arange(n_classes)
    cut_parent, leaf_parent = np.full(n_classes, -1), np.full(n_classes, -1)
    tree = order, cut_parent, leaf_parent

    def split(task):
        return _split_range(inputs, n_features, least, *task, tree)

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
def _split_range(inputs, n_features, least, start, stop, parent, whole, tree):
    """Split positions start..stop below the cut `parent` once, or to the end; returns the first cut, −1 for none."""
    order, cut_parent, leaf_parent = tree
    n = stop - start
    sums, room = np.zeros(n_features), np.empty((4, n))
    side, found = np.empty(n, np.bool_), np.empty(n, np.int64)
    waiting = np.empty((n + 1, 3), np.int64)
    waiting[0, 0], waiting[0, 1], waiting[0, 2] = start, stop, parent
    n_waiting, first_cut = 1, -1
    while n_waiting:
        n_waiting -= 1
        start, stop, parent = waiting[n_waiting, 0], waiting[n_waiting, 1], waiting[n_waiting, 2]
        if stop - start == 1:
            leaf_parent[start] = parent
            continue
        cut = start + _bisect(inputs, least, order[start:stop], sums, room, side, found)
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
def _bisect(inputs, least, classes, sums, room, side, found):
    """Bring the classes of the first half to the front, both halves in ascending order; returns how many they are.

    `sums` is zero before and after. With T = A + B all products with B follow from those with A.
    """
    n = len(classes)
    if n == 2:
        return 1
    d, to_all, key, heaviness = room[0], room[1], room[2], room[3]
    mass = inputs[5]
    squared_all = _products_with_all(inputs, classes, sums, to_all)
    _start(inputs, classes, sums, d)
    for i in range(n):
        side[i] = False
    for step in range(MAX_ROUNDS):
        n_first = _select(d, mass, classes, least, found, key, heaviness)
        n_moved = _move(inputs, classes, found, n_first, side, sums, key)
        if STEADY * n_moved <= n or step + 1 == MAX_ROUNDS:
            break
        _compare(inputs, classes, side, sums, to_all, squared_all, d)
    for k in classes:
        _clear(inputs, k, sums)
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
def _product(inputs, k, sums):
    values, indices, indptr = inputs[0], inputs[1], inputs[2]
    total = 0.0
    for e in range(indptr[k], indptr[k + 1]):
        total += values[e] * sums[indices[e]]
    return total


@jit
def _add(inputs, k, factor, sums):
    values, indices, indptr = inputs[0], inputs[1], inputs[2]
    for e in range(indptr[k], indptr[k + 1]):
        sums[indices[e]] += factor * values[e]


@jit
def _clear(inputs, k, sums):
    """Zero where class k has features."""
    indices, indptr = inputs[1], inputs[2]
    for e in range(indptr[k], indptr[k + 1]):
        sums[indices[e]] = 0.0


@jit
def _products_with_all(inputs, classes, sums, to_all):
    """``⟨v_k, T⟩`` of each class, T = Σ weight · v; returns ``‖T‖²``."""
    weights = inputs[3]
    for k in classes:
        _add(inputs, k, weights[k], sums)
    squared = 0.0
    for i in range(len(classes)):
        to_all[i] = _product(inputs, classes[i], sums)
        squared += weights[classes[i]] * to_all[i]
    for k in classes:
        _clear(inputs, k, sums)
    return squared


@jit
def _start(inputs, classes, sums, d):
    """``⟨v_k, v_a − v_b⟩`` of each class: a is the heaviest, b least like it, with a preference for heavy ones."""
    weights = inputs[3]
    a = classes[0]
    for k in classes:
        if weights[k] > weights[a]:
            a = k
    _add(inputs, a, 1.0, sums)
    b, least_like = a, np.inf
    for i in range(len(classes)):
        d[i] = _product(inputs, classes[i], sums)
        like = d[i] - 1e-3 * np.log1p(weights[classes[i]])
        if like < least_like:
            b, least_like = classes[i], like
    _clear(inputs, a, sums)
    _add(inputs, b, 1.0, sums)
    for i in range(len(classes)):
        d[i] -= _product(inputs, classes[i], sums)
    _clear(inputs, b, sums)


@jit
def _compare(inputs, classes, side, sums, to_all, squared_all, d):
    """d of each class, from A = `sums` over the first half."""
    weights, own = inputs[3], inputs[4]
    squared, with_all = 0.0, 0.0
    for i in range(len(classes)):
        d[i] = _product(inputs, classes[i], sums)
        if side[i]:
            squared += weights[classes[i]] * d[i]
            with_all += weights[classes[i]] * to_all[i]
    squared_second = squared_all - 2.0 * with_all + squared
    short = 1e-12 * squared_all
    for i in range(len(classes)):
        part = own[classes[i]]
        first = _cosine(d[i], squared, part if side[i] else 0.0, short)
        d[i] = first - _cosine(to_all[i] - d[i], squared_second, 0.0 if side[i] else part, short)


@jit(forceinline=True)
def _cosine(product, squared, own, short):
    """``⟨v, S − own v⟩ / ‖S − own v‖`` of a v of length one, from ``⟨v, S⟩`` and ``‖S‖²``; 0 if that is short."""
    squared += own * own - 2.0 * own * product
    return (product - own) / np.sqrt(squared) if squared > short else 0.0


@jit
def _move(inputs, classes, found, n_first, side, sums, key):
    """Make `side` what the selection found, and `sums` the sum over it; returns how many changed sides."""
    weights = inputs[3]
    for i in range(len(classes)):
        key[i] = 0.0
    for i in range(n_first):
        key[found[i]] = 1.0
    n_moved = 0
    for i in range(len(classes)):
        first = key[i] == 1.0
        if first != side[i]:
            n_moved += 1
            side[i] = first
            _add(inputs, classes[i], weights[classes[i]] if first else -weights[classes[i]], sums)
    return n_moved


@jit
def _select(d, mass, classes, least, found, key, heaviness):
    """Positions of the first half to the front of `found`, in no order, by a quickselect on sums of mass."""
    n = len(classes)
    total, positive = 0.0, 0.0
    for i in range(n):
        found[i], key[i], heaviness[i] = i, d[i], mass[classes[i]]
        total += heaviness[i]
        if d[i] > 0.0:
            positive += heaviness[i]
    wanted = min(max(positive, least * total), (1.0 - least) * total) if positive > 0.0 else 0.5 * total
    low, high, above = 0, n, 0.0
    while low < high:
        at, inside = _partition(key, found, heaviness, low, high)
        if above + inside + 0.5 * heaviness[at] <= wanted:
            above += inside + heaviness[at]
            low = at + 1
        else:
            high = at
    if low == 0:
        best = 0
        for i in range(n):
            best = i if _before(key, found, i, best) else best
        _swap(key, found, heaviness, best, 0)
    elif low == n:
        worst = 0
        for i in range(n):
            worst = i if _before(key, found, worst, i) else worst
        _swap(key, found, heaviness, worst, n - 1)
    return min(max(low, 1), n - 1)


@jit
def _partition(key, found, heaviness, low, high):
    """Part entries low..high around the median of three: where that stands, and the mass of those before it."""
    middle, last = (low + high) // 2, high - 1
    if _before(key, found, middle, low):
        _swap(key, found, heaviness, middle, low)
    if _before(key, found, last, low):
        _swap(key, found, heaviness, last, low)
    if _before(key, found, middle, last):
        _swap(key, found, heaviness, middle, last)
    at, inside = low, 0.0
    for i in range(low, last):
        if _before(key, found, i, last):
            inside += heaviness[i]
            _swap(key, found, heaviness, i, at)
            at += 1
    _swap(key, found, heaviness, at, last)
    return at, inside


@jit(forceinline=True)
def _before(key, found, i, j):
    """Descending, equals by position."""
    return key[i] > key[j] or (key[i] == key[j] and found[i] < found[j])


@jit(forceinline=True)
def _swap(key, found, heaviness, i, j):
    key[i], key[j] = key[j], key[i]
    found[i], found[j] = found[j], found[i]
    heaviness[i], heaviness[j] = heaviness[j], heaviness[i]
