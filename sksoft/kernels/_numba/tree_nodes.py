"""Ridge regressions at the nodes of a tree, compiled: which rows and features each has, and chunks of nodes.

Nodes are the parallelism. Chunks of them are cut by the rows that they have, large nodes first, on a grid that depends
on the tree and the data alone. A node whose rows are dense in its own features is copied into a dense block, over
which the loops of ``node_newton.py`` are vectorised.
"""

from collections import namedtuple
from itertools import pairwise

import numpy as np

from sksoft.kernels import tree_nodes
from sksoft.kernels._numba._jit import inner, jit
from sksoft.kernels._numba.columns import _read_only
from sksoft.kernels._numba.node_newton import EXACT_SIZE, Buffers, Rows, newton
from sksoft.kernels.blocks import map_blocks

# A chunk's room for the rows of one node: their entries over the node's features, which these are, and of each feature
# of X whether it has been met and its place.
Room = namedtuple("Room", "local found mark place target weights shares")

# From this density in its own features a node's rows are copied into a dense block, of at most so many numbers.
DENSE_SHARE, DENSE_SIZE = 0.2, 1 << 25
# Chunks of nodes have at least this share of all rows, counted once for each node that they reach.
CHUNK_SHARE = 1 / 256


@inner
def _sort(found, a, n_features, mark, stamp):
    """Sort the a marked features: by Shell's method few, by reading the marks many."""
    if a * 16 > n_features:
        k = 0
        for j in range(n_features):
            if mark[j] == stamp:
                found[k] = j
                k += 1
        return
    gap = 1
    while 3 * gap < a:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, a):
            feature, k = found[i], i
            while k >= gap and found[k - gap] > feature:
                found[k] = found[k - gap]
                k -= gap
            found[k] = feature
        gap //= 3


@inner
def _find_features(indices, start, stop, mark, stamp, found):
    """Write the features of entries start..stop to `found`, sorted; how many they are."""
    a = 0
    for e in range(start, stop):
        j = indices[e]
        if mark[j] != stamp:
            mark[j] = stamp
            found[a] = j
            a += 1
    _sort(found, a, len(mark), mark, stamp)
    return a


@jit
def count_chunk(indices, indptr, first_row, last_row, nodes, n_features, counts):
    mark = np.full(n_features, -1, np.int64)
    for v in nodes:
        a = 0
        for e in range(indptr[first_row[v]], indptr[last_row[v]]):
            if mark[indices[e]] != v:
                mark[indices[e]] = v
                a += 1
        counts[v] = a


@inner
def _copy_rows(rows_first, n, a, values, local, indptr, first_entry, block):
    for k in range(n * a):
        block[k] = 0.0
    for i in range(n):
        for e in range(indptr[rows_first + i], indptr[rows_first + i + 1]):
            block[i * a + local[e - first_entry]] = values[e]


@inner
def _child_rows(v, tree, row_at, weights, smoothing, prior, room):
    """The children and weights of the rows of v; into ``room.shares`` what its children weigh in the targets, and u.

    Returns whether there are pseudo-observations, and how many children have rows.
    """
    first_child, first_leaf, last_leaf, _ = tree
    first, m = first_child[v], first_child[v + 1] - first_child[v]
    start, p = row_at[first_leaf[v]], room.shares
    inhabited, total = 0, 0.0
    for c in range(m):
        lo, hi = row_at[first_leaf[first + c]], row_at[last_leaf[first + c]]
        inhabited += hi > lo
        of_child = 0.0
        for i in range(lo, hi):
            room.target[i - start] = c
            room.weights[i - start] = weights[i]
            of_child += weights[i]
        total += of_child
        p[0, c] = of_child
        p[1, c] = (last_leaf[first + c] - first_leaf[first + c]) / (last_leaf[v] - first_leaf[v])
    pseudo = inhabited < m
    for c in range(m):
        p[0, c] = (1.0 - smoothing) * p[0, c] + smoothing * total / m + (prior * p[1, c] if pseudo else 0.0)
    if pseudo:
        n = row_at[last_leaf[v]] - start
        room.target[n], room.weights[n] = -1, prior
    return pseudo, inhabited


@inner
def _log_odds(p, m, scores):
    if m == 2:
        scores[0] = np.log(p[1]) - np.log(p[0])
        return
    mean = 0.0
    for c in range(m):
        mean += np.log(p[c]) / m
    for c in range(m):
        scores[c] = np.log(p[c]) - mean


@inner
def _closed_form_value(p, m):
    """Σ_c −p_c log(p_c / Σ p): the loss of intercepts alone at their optimum."""
    total, value = 0.0, 0.0
    for c in range(m):
        total += p[c]
    for c in range(m):
        value -= p[c] * (np.log(p[c]) - np.log(total))
    return value


@inner
def _write(rows, theta, coef, at, intercept):
    """Parameters from feature by feature to score by score; intercepts of softmax get the sum zero."""
    q, a = rows.q, rows.a
    shift = 0.0
    for c in range(q):
        for k in range(a):
            coef[at + c * a + k] = theta[k * q + c]
        intercept[c] = theta[a * q + c]
        shift += intercept[c] / q
    if q > 1:
        for c in range(q):
            intercept[c] -= shift


@inner
def _read(rows, coef, at, intercept, theta):
    for c in range(rows.q):
        for k in range(rows.a):
            theta[k * rows.q + c] = coef[at + c * rows.a + k]
        theta[rows.a * rows.q + c] = intercept[c]


@inner
def _largest(nodes, tree, row_at, indptr, coef_indptr):
    """Most rows, rows × scores, entries, parameters, and scores of a node."""
    _, first_leaf, last_leaf, first_score = tree
    n, nq, entries, size, m = 1, 1, 1, 1, 2
    for v in nodes:
        lo, hi = row_at[first_leaf[v]], row_at[last_leaf[v]]
        q = first_score[v + 1] - first_score[v]
        features = coef_indptr[first_score[v] + 1] - coef_indptr[first_score[v]]
        n, nq, entries = max(n, hi - lo + 1), max(nq, (hi - lo + 1) * q), max(entries, indptr[hi] - indptr[lo])
        size, m = max(size, (features + 1) * q), max(m, q)
    return n, nq, entries, size, m


@inner
def _buffers(most_scores, size):
    return Buffers(
        np.empty(most_scores), np.empty(most_scores), np.empty(most_scores), np.empty(most_scores),
        np.empty(size), np.empty(size), np.empty(size), np.empty(size), np.empty(size), np.empty(size), np.empty(size),
    )  # fmt: skip


@inner
def _room(most_rows, most_entries, most_scores, n_marks):
    return Room(
        np.empty(most_entries if n_marks else 0, np.int32), np.empty(min(most_entries, max(n_marks, 1)), np.int32),
        np.full(n_marks, -1, np.int64), np.empty(n_marks, np.int32),
        np.empty(most_rows, np.int32), np.empty(most_rows), np.empty((2, most_scores)),
    )  # fmt: skip


@inner
def _find_block(values, indices, indptr, start, stop, a, room, number, block, n_features):
    """Number the node's features, and copy its rows where they are dense; the block, or an empty one."""
    first_entry, last_entry = indptr[start], indptr[stop]
    _localise(indices, first_entry, last_entry, a == n_features, room.mark, number, room.place, room.found, room.local)
    n = stop - start
    if n * a > DENSE_SIZE or last_entry - first_entry < DENSE_SHARE * n * a:
        return False, block
    if len(block) < n * a:
        block = np.empty(n * a)
    _copy_rows(start, n, a, values, room.local, indptr, first_entry, block)
    return True, block


@inner
def _closed_form(p, m, C, scores, coef, proof):
    """Intercepts alone: W = 0; F there."""
    _log_odds(p, m, scores)
    for k in range(len(coef)):
        coef[k] = 0.0
    proof[0], proof[1], proof[2], proof[3] = 0.0, 0.0, 0.0, 1.0
    return C * _closed_form_value(p, m)


@inner
def _begin(rows, warm, coef, at, scores, p, theta):
    """Start from the parameters there are, or from the children's shares."""
    if warm:
        _read(rows, coef, at, scores, theta)
        return
    for k in range(rows.a * rows.q):
        theta[k] = 0.0
    _log_odds(p, rows.m, theta[rows.a * rows.q : (rows.a + 1) * rows.q])


@jit
def fit_chunk(
    values,
    indices,
    indptr,
    weights,
    nodes,
    tree,
    row_at,
    coef_indptr,
    settings,
    warm,
    coef_indices,
    coef,
    intercept,
    proof,
    objective,
):
    """Fit `nodes` one after another; write their rows of `proof` and what they minimised to `objective`."""
    first_child, first_leaf, last_leaf, first_score = tree
    n_features, C, smoothing, prior, tol, max_iter = settings
    is_full = len(indices) == 0
    most_rows, most, most_entries, size, m_max = _largest(nodes, tree, row_at, indptr, coef_indptr)
    buffers, room = _buffers(most, size), _room(most_rows, most_entries, m_max, 0 if is_full else n_features)
    hessian, block = np.empty((max(EXACT_SIZE, m_max), max(EXACT_SIZE, m_max))), values
    if not is_full:
        block = np.empty(0)
    for number in range(len(nodes)):
        v = nodes[number]
        start, stop, score = row_at[first_leaf[v]], row_at[last_leaf[v]], first_score[v]
        n, m, q, at = stop - start, first_child[v + 1] - first_child[v], first_score[v + 1] - score, coef_indptr[score]
        a, scores = coef_indptr[score + 1] - at, intercept[score : score + q]
        pseudo, inhabited = _child_rows(v, tree, row_at, weights, smoothing, prior, room)
        is_dense = is_full
        if not is_full:
            is_dense, block = _find_block(values, indices, indptr, start, stop, a, room, number, block, n_features)
            for c in range(q):
                for k in range(a):
                    coef_indices[at + c * a + k] = k if a == n_features else room.found[k]
        if inhabited < 2:
            objective[number] = _closed_form(room.shares[0], m, C, scores, coef[at : at + q * a], proof[number])
            continue
        for i in range(n + pseudo):
            room.weights[i] *= C
        rows = Rows(
            is_dense, block, indptr[start] if is_full else 0, values, room.local, indptr, start, n, int(pseudo), a, q,
            m, room.weights, room.target, room.shares[1], smoothing,
        )  # fmt: skip
        _begin(rows, warm, coef, at, scores, room.shares[0], buffers.theta)
        objective[number], proof[number, 0], proof[number, 2], finished = newton(rows, buffers, hessian, tol, max_iter)
        proof[number, 1], proof[number, 3] = _largest_entry(buffers.gradient, (a + 1) * q), finished
        _write(rows, buffers.theta, coef, at, scores)


@inner
def _largest_entry(vector, size):
    largest = 0.0
    for k in range(size):
        largest = max(largest, abs(vector[k]))
    return largest


@inner
def _localise(indices, start, stop, all_features, mark, stamp, place, found, local):
    """Number the features of entries start..stop in their order, or keep their numbers where a node stores all."""
    if all_features:
        for e in range(start, stop):
            local[e - start] = indices[e]
        return
    a = _find_features(indices, start, stop, mark, stamp, found)
    for k in range(a):
        place[found[k]] = k
    for e in range(start, stop):
        local[e - start] = place[indices[e]]


def _chunks(rows_of_node):
    """Numbers of nodes, those with many rows first, cut where enough rows have come together."""
    order = np.argsort(-rows_of_node, kind="stable")
    passed = np.cumsum(rows_of_node[order])
    if not len(passed):
        return []
    step = max(passed[-1] * CHUNK_SHARE, 1.0)
    last = np.flatnonzero(np.diff(np.floor(passed / step))) + 1
    return [order[start:stop] for start, stop in pairwise([0, *last, len(order)])]


@tree_nodes.node_features.implement("numba")
def node_features(indices, indptr, first_row, last_row, *, n_features):
    counts = np.zeros(len(first_row), np.int64)
    arguments = [_read_only(array) for array in (indices, indptr, first_row, last_row)]
    map_blocks(lambda nodes: count_chunk(*arguments, nodes, n_features, counts), _chunks(last_row - first_row))
    return counts


@tree_nodes.fit_nodes.implement("numba")
def fit_nodes(
    values,
    indices,
    indptr,
    weights,
    *,
    nodes,
    tree,
    row_at,
    coef_indptr,
    settings,
    warm,
    coef_indices,
    coef,
    intercept,
    proof,
):
    # rows are written to nowhere, but their type must be that of a block
    inputs = [np.require(array, requirements=["C", "W"]) for array in (values, indices, indptr, weights)]
    tree = tuple(_read_only(array) for array in tree)
    row_at, coef_indptr = _read_only(row_at), _read_only(coef_indptr)
    n_features, C, smoothing, prior, tol, max_iter = settings
    settings = int(n_features), float(C), float(smoothing), float(prior), float(tol), int(max_iter)
    outputs = [np.ascontiguousarray(array) for array in (coef_indices, coef, intercept)]
    objective = np.empty(len(nodes))

    def work(numbers):
        part, of_part = np.empty((len(numbers), 4)), np.empty(len(numbers))
        fit_chunk(*inputs, nodes[numbers], tree, row_at, coef_indptr, settings, warm, *outputs, part, of_part)
        proof[numbers], objective[numbers] = part, of_part

    first_leaf, last_leaf = tree[1][nodes], tree[2][nodes]
    map_blocks(work, _chunks(row_at[last_leaf] - row_at[first_leaf]))
    for target, written in zip((coef_indices, coef, intercept), outputs):
        if target is not written:
            target[...] = written
    return objective
