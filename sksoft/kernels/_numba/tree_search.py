"""Best-first search for the most probable leaves, compiled; meaning and shapes in :mod:`sksoft.kernels.tree_search`.

Inner nodes that are not opened yet stand in a heap, the most probable on top; the k best leaves met so far in another,
the least probable on top. What is below that one can never be returned and is not kept: the search ends when no inner
node is above it. Which nodes are opened is the same as without that cut.
"""

import numpy as np

from sksoft.kernels import tree_search
from sksoft.kernels._numba._jit import jit
from sksoft.kernels._numba.exp import fma
from sksoft.kernels._numba.tree_paths import SPREAD, clear_row, log_branches, node_scores, spread_row, walk, widest
from sksoft.kernels._numba.tree_traces import NO_TRACES, traces_of


@jit(forceinline=True)
def _is_before(key, tie, other_key, other_tie):
    """The order of a heap: largest key first, of equal ones the largest tie. Without a branch to mispredict."""
    return (key > other_key) | ((key == other_key) & (tie > other_tie))


@jit(forceinline=True)
def _sink(keys, ties, size, key, tie):
    """Put an entry in the place of the top of a heap."""
    at, child = 0, 1
    while child < size:
        if child + 1 < size:
            child += np.int64(_is_before(keys[child + 1], ties[child + 1], keys[child], ties[child]))
        if not _is_before(keys[child], ties[child], key, tie):
            break
        keys[at], ties[at] = keys[child], ties[child]
        at, child = child, 2 * child + 1
    keys[at], ties[at] = key, tie


@jit(forceinline=True)
def _rise(keys, ties, at, key, tie):
    """Put an entry at the free place `at` of a heap, and up from there."""
    while at > 0:
        above = (at - 1) >> 1
        if not _is_before(key, tie, keys[above], ties[above]):
            break
        keys[at], ties[at] = keys[above], ties[above]
        at = above
    keys[at], ties[at] = key, tie


@jit
def _drop_worst(keys, ties, size):
    """Take the last of a heap in its order away; returns its key."""
    worst = size >> 1
    for at in range(worst + 1, size):
        worst = at if _is_before(keys[worst], ties[worst], keys[at], ties[at]) else worst
    key = keys[worst]
    _rise(keys, ties, worst, keys[size - 1], ties[size - 1])
    return key


@jit(forceinline=True)
def _keep(keys, codes, n_kept, k, log_proba, code):
    """Keep a leaf if it is among the k best; returns how many are kept, and the log-probability of what is not."""
    if n_kept < k:
        _rise(keys, codes, n_kept, -log_proba, code)
        return n_kept + 1, -np.inf
    if _is_before(keys[0], codes[0], -log_proba, code):
        left = -keys[0]
        _sink(keys, codes, k, -log_proba, code)
        return n_kept, left
    return n_kept, log_proba


@jit
def _deliver(keys, leaf_codes, codes, out):
    """Empty the heap of leaves, the worst first, into rows that begin with the best."""
    for place in range(codes.size - 1, -1, -1):
        codes[place], out[place] = leaf_codes[0], 0.0 - keys[0]
        _sink(keys, leaf_codes, place, keys[place], leaf_codes[place])


@jit
def _begin_trace(x, first, last, roots, factors, places):
    """Values and first places of a row's entries; returns how many there are."""
    values, columns, _ = x
    n_traced = 0
    for entry in range(first, last):
        place = roots[columns[entry]]
        # what the root does not know no node knows
        if place > 0:
            factors[n_traced], places[n_traced] = values[entry], place
            n_traced += 1
    return n_traced


@jit(forceinline=True)
def _follow(below, n_children, c, n_traced, here, there):
    """Places of the entries at child c of the node at which they stand `here`."""
    for t in range(n_traced):
        there[t] = below[2 * np.int64(here[t]) + c] if n_children > 1 else here[t]


@jit(forceinline=True)
def _traced_scores(entries, intercept, r, n_scores, n_traced, factors, places, logs):
    for c in range(n_scores):
        total = intercept[r + c]
        for t in range(n_traced):
            total = fma(factors[t], entries[places[t] + c], total)
        logs[c] = total


@jit(forceinline=True)
def _node(tree, node):
    """First child, number of children, first score, number of scores."""
    _, first_child, first_score = tree
    begin, r = first_child[node], first_score[node]
    n_children = first_child[node + 1] - begin
    return begin, n_children, r, n_children if n_children > 2 else n_children - 1


@jit
def search_block(
    x, tree, weights, start, stop, class_of, traces, width, dense, logs, frontier, kept, trail, codes, out, bound
):
    """A leaf's key is its negative log-probability; a node's tie its negative number, above the slot of its places."""
    roots, entries, below = traces
    keys, ties = frontier
    factors, here, slots = trail
    first_child, k = tree[1], codes.shape[1]
    for i in range(start, stop):
        first, last, is_spread = spread_row(x, i, dense)
        is_traced = roots.size > 0 and not is_spread
        n_traced = _begin_trace(x, first, last, roots, factors, slots[0]) if is_traced else 0
        size, n_slots, n_kept, dropped, least = 1, 1, 0, -np.inf, -np.inf
        keys[0], ties[0] = 0.0, 0
        if first_child[0] == first_child[1]:
            size, n_kept = 0, _keep(*kept, n_kept, k, 0.0, class_of[0])[0]
        while size > 0 and keys[0] >= least:
            node, slot, above = -(ties[0] >> 32), ties[0] & 0xFFFFFFFF, keys[0]
            begin, n_children, r, n_scores = _node(tree, node)
            if is_traced:
                for t in range(n_traced):
                    here[t] = slots[slot, t]
                _traced_scores(entries, weights[3], r, n_scores, n_traced, factors, here, logs)
            else:
                node_scores(x, first, last, is_spread, dense, weights, r, n_scores, logs)
            log_branches(n_children, logs)
            # the opened node stays on top until a child takes its place, and its slot
            is_open = True
            likelier = np.int64(n_children == 2 and logs[1] > logs[0])
            for turn in range(n_children):
                c = turn ^ likelier
                child, log_proba = begin + c, above + logs[c]
                if log_proba < least:
                    dropped = max(dropped, log_proba)
                elif first_child[child] == first_child[child + 1]:
                    n_kept, left = _keep(*kept, n_kept, k, log_proba, class_of[child])
                    dropped = max(dropped, left)
                    least = -kept[0][0] if n_kept == k else least
                else:
                    slot = slot if is_open else n_slots
                    _follow(below, n_children, c, n_traced, here, slots[slot])
                    tie = (-child << 32) + slot
                    if is_open:
                        _sink(keys, ties, size, log_proba, tie)
                    else:
                        _rise(keys, ties, size, log_proba, tie)
                        size, n_slots = size + 1, n_slots + 1
                    is_open = False
                    if size > width:
                        dropped, size = max(dropped, _drop_worst(keys, ties, size)), size - 1
            if is_open:
                size -= 1
                _sink(keys, ties, size, keys[size], ties[size])
        bound[i] = max(dropped, keys[0]) if size > 0 else dropped
        _deliver(*kept, codes[i], out[i])
        clear_row(x, first, last, dense)


@tree_search.best_leaves.implement("numba")
def best_leaves(*arguments, k, width=0):
    *arguments, class_of = arguments
    _, _, starts, _, _, first_child, *_ = arguments
    n_rows, most = len(starts) - 1, widest(first_child)
    # an upper bound of what can wait: memory that is not touched is not taken
    n_nodes = len(first_child) - 1
    capacity = min(width or n_nodes, n_nodes) + 1
    n_entries = np.diff(starts)
    n_traced = int(n_entries.max(initial=0, where=n_entries < SPREAD))
    traces = traces_of(arguments, n_rows) if n_traced else NO_TRACES

    def buffers():
        heaps = tuple((np.empty(size), np.empty(size, np.int64)) for size in (capacity, k))
        slots = np.empty((n_nodes if len(traces[0]) else 1, n_traced), np.int32)
        return np.empty(most), *heaps, (np.empty(n_traced + 1), np.empty(n_traced, np.int32), slots)

    codes, log_proba, bound = np.empty((n_rows, k), np.intp), np.empty((n_rows, k)), np.empty(n_rows)
    walk(search_block, arguments, (class_of, traces, width or n_nodes), buffers, codes, log_proba, bound)
    return codes, log_proba, bound
