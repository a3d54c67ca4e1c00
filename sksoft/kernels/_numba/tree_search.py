"""Best-first search for the most probable leaves, compiled; meaning and shapes in :mod:`sksoft.kernels.tree_search`.

Inner nodes that are not opened yet stand in a heap, the most probable on top; the k best leaves met so far in another,
the least probable on top. What is below that one can never be returned and is not kept: the search ends when no inner
node is above it. Which nodes are opened is the same as without that cut.
"""

import numpy as np

from sksoft.kernels import tree_search
from sksoft.kernels._numba._jit import jit
from sksoft.kernels._numba.tree_paths import branch_logs, clear_row, spread_row, walk, widest


@jit
def _sink(keys, ties, size, key, tie):
    """Put an entry in the place of the top of a heap: largest key first, of equal ones the largest tie."""
    at = 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and (
            keys[child + 1] > keys[child] or (keys[child + 1] == keys[child] and ties[child + 1] > ties[child])
        ):
            child += 1
        if keys[child] < key or (keys[child] == key and ties[child] <= tie):
            break
        keys[at], ties[at] = keys[child], ties[child]
        at = child
    keys[at], ties[at] = key, tie


@jit
def _rise(keys, ties, at, key, tie):
    """Put an entry at the free place `at` of a heap, and up from there."""
    while at > 0:
        above = (at - 1) >> 1
        if keys[above] > key or (keys[above] == key and ties[above] >= tie):
            break
        keys[at], ties[at] = keys[above], ties[above]
        at = above
    keys[at], ties[at] = key, tie


@jit
def _drop_worst(keys, ties, size):
    """Take the last of a heap in its order away; returns its key."""
    worst = size >> 1
    for at in range(worst + 1, size):
        if keys[at] < keys[worst] or (keys[at] == keys[worst] and ties[at] < ties[worst]):
            worst = at
    key = keys[worst]
    _rise(keys, ties, worst, keys[size - 1], ties[size - 1])
    return key


@jit
def search_block(
    x, tree, weights, start, stop, class_of, width, dense, logs, keys, nodes, leaf_keys, leaf_codes, codes, out, bound
):
    """Keys of leaves are their negative log-probabilities, ties of nodes their negative numbers."""
    _, first_child, first_score = tree
    k = codes.shape[1]
    for i in range(start, stop):
        first, last, is_spread = spread_row(x, i, dense)
        size, n_leaves, dropped = 0, 0, -np.inf
        node, above, least = 0, 0.0, -np.inf
        if first_child[0] == first_child[1]:
            leaf_keys[0], leaf_codes[0], n_leaves = 0.0, class_of[0], 1
        while n_leaves < k or above >= least:
            begin = first_child[node]
            n_children = first_child[node + 1] - begin
            branch_logs(x, first, last, is_spread, dense, weights, first_score[node], n_children, logs)
            for c in range(n_children):
                child, log_proba = begin + c, above + logs[c]
                if log_proba < least:
                    dropped = max(dropped, log_proba)
                elif first_child[child] < first_child[child + 1]:
                    _rise(keys, nodes, size, log_proba, -child)
                    size += 1
                    if size > width:
                        dropped = max(dropped, _drop_worst(keys, nodes, size))
                        size -= 1
                else:
                    code = class_of[child]
                    if n_leaves < k:
                        _rise(leaf_keys, leaf_codes, n_leaves, -log_proba, code)
                        n_leaves += 1
                    elif log_proba > least or code < leaf_codes[0]:
                        dropped = max(dropped, least)
                        _sink(leaf_keys, leaf_codes, k, -log_proba, code)
                    else:
                        dropped = max(dropped, log_proba)
                    least = -leaf_keys[0] if n_leaves == k else least
            if size == 0:
                break
            node, above = -nodes[0], keys[0]
            if above < least:
                dropped = max(dropped, above)
                break
            size -= 1
            _sink(keys, nodes, size, keys[size], nodes[size])
        for place in range(k - 1, -1, -1):
            codes[i, place], out[i, place] = leaf_codes[0], 0.0 - leaf_keys[0]
            _sink(leaf_keys, leaf_codes, place, leaf_keys[place], leaf_codes[place])
        bound[i] = dropped
        clear_row(x, first, last, dense)


@tree_search.best_leaves.implement("numba")
def best_leaves(*arguments, k, width=0):
    *arguments, class_of = arguments
    first_child = arguments[5]
    n_rows, most = len(arguments[2]) - 1, widest(first_child)
    n_inner = int(np.count_nonzero(np.diff(first_child)))
    capacity = min(width, n_inner) + 1 if width else n_inner + 1

    def buffers():
        places = (dtype(size) for size in (capacity, k) for dtype in (np.empty, lambda n: np.empty(n, np.intp)))
        return np.empty(most), *places

    codes, log_proba, bound = np.empty((n_rows, k), np.intp), np.empty((n_rows, k)), np.empty(n_rows)
    walk(search_block, arguments, (class_of, width or n_inner + 1), buffers, codes, log_proba, bound)
    return codes, log_proba, bound
