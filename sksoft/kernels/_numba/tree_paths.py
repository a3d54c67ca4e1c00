"""Walks through a tree of decisions, compiled; shapes and meaning are stated in :mod:`sksoft.kernels.tree_paths`.

A row of X with several entries is spread over a vector of p, so that a node's score is a dot product over the features
it knows: contiguous where it stores all p. For a row of few entries each is looked for among the node's features.
"""

import numpy as np

from sksoft.kernels import tree_paths
from sksoft.kernels._numba._jit import REASSOCIATE, jit
from sksoft.kernels._numba.exp import exp, fma, log1p
from sksoft.kernels._numba.log_sigmoid import softplus_of_minus
from sksoft.kernels.bins import stream_starts
from sksoft.kernels.blocks import map_blocks, row_blocks

# Entries from which a row is spread; searching for fewer is cheaper than passing over a node's features.
SPREAD = 16
# A search of a node's features costs about as much as passing over this many.
SEARCH_COST = 8
# Memory that one row of a walk is reckoned to touch: cuts rows into blocks of about a thousand.
ROW_BYTES = 4096


@jit
def spread_row(x, i, dense):
    """Row i written to the vector `dense` (p,) of zeros if it is long enough; returns where it stands, and whether."""
    values, columns, starts = x
    first, last = np.int64(starts[i]), np.int64(starts[i + 1])
    if last - first == dense.size:
        for j in range(dense.size):
            dense[j] = values[first + j]
    elif last - first >= SPREAD:
        for entry in range(first, last):
            dense[columns[entry]] = values[entry]
    return first, last, last - first >= SPREAD or last - first == dense.size


@jit
def clear_row(x, first, last, dense):
    """Make the vector zero again."""
    if last - first == dense.size:
        dense[:] = 0.0
    elif last - first >= SPREAD:
        for entry in range(first, last):
            dense[x[1][entry]] = 0.0


@jit(fastmath=REASSOCIATE)
def _dot(row, dense):
    total = 0.0
    for j in range(row.size):
        total += row[j] * dense[j]
    return total


@jit(fastmath=REASSOCIATE)
def _gathered_dot(row, features, dense):
    total = 0.0
    for t in range(row.size):
        total += row[t] * dense[features[t]]
    return total


@jit
def node_scores(x, first, last, is_spread, dense, weights, r, n_scores, logs):
    """Scores r … r + n_scores − 1 of one node, for the row that stands at first..last, and in `dense` if spread."""
    values, columns, _ = x
    indptr, indices, data, intercept = weights
    if n_scores == 0:  # and r may be R
        return
    start, size = indptr[r], indptr[r + 1] - indptr[r]
    is_full = size == dense.size
    is_short = not is_spread or (last - first) * (4 if is_full else SEARCH_COST) < size
    for c in range(n_scores):
        logs[c] = intercept[r + c]
        if not is_short:
            row = data[start + c * size : start + (c + 1) * size]
            logs[c] += _dot(row, dense) if is_full else _gathered_dot(row, indices[start : start + size], dense)
    if not is_short or size == 0:
        return
    for entry in range(first, last):
        wanted, low, left = np.int64(columns[entry]), start, size
        if is_full:
            low += wanted
        else:
            # the last feature that is not above the wanted one: no branch to mispredict
            while left > 1:
                half = left >> 1
                low += half * np.int64(indices[low + half] <= wanted)
                left -= half
            if indices[low] != wanted:
                continue
        for c in range(n_scores):
            logs[c] = fma(values[entry], data[low + c * size], logs[c])


@jit(forceinline=True)
def log_branches(n_children, logs):
    """From a node's scores to the log-probabilities of its children, in place."""
    if n_children == 1:
        logs[0] = 0.0
    elif n_children == 2:
        z = logs[0]
        likelier = -softplus_of_minus(abs(z))
        other = likelier - abs(z)
        logs[0] = other if z > 0.0 else likelier
        logs[1] = likelier if z > 0.0 else other
    else:
        best = 0
        for c in range(n_children):
            best = c if logs[c] > logs[best] else best
        largest, others = logs[best], 0.0
        for c in range(n_children):
            logs[c] -= largest
            others += exp(logs[c]) if c != best else 0.0
        total = log1p(others)
        for c in range(n_children):
            logs[c] -= total


@jit
def path_block(x, tree, weights, start, stop, leaves, dense, path, logs, out):
    parent, first_child, first_score = tree
    for i in range(start, stop):
        first, last, is_spread = spread_row(x, i, dense)
        node, n_above = leaves[i], 0
        while node > 0:
            path[n_above] = node
            node = parent[node]
            n_above += 1
        total = 0.0
        # from the root down, as the search adds: the same bits
        for step in range(n_above - 1, -1, -1):
            child = path[step]
            node = parent[child]
            begin = first_child[node]
            r = first_score[node]
            node_scores(x, first, last, is_spread, dense, weights, r, first_score[node + 1] - r, logs)
            log_branches(first_child[node + 1] - begin, logs)
            total += logs[child - begin]
        out[i] = total
        clear_row(x, first, last, dense)


@jit
def _mix(word):
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@jit
def sample_block(x, tree, weights, start, stop, states, dense, logs, out):
    _, first_child, first_score = tree
    step = np.uint64(0x9E3779B97F4A7C15)
    for i in range(start, stop):
        first, last, is_spread = spread_row(x, i, dense)
        for s in range(states.size):
            counter = _mix(states[s] + np.uint64(i + 1) * step)
            node = 0
            while first_child[node] < first_child[node + 1]:
                counter += step
                draw = np.float64(_mix(counter) >> np.uint64(11)) * 2.0**-53
                begin = first_child[node]
                n_children = first_child[node + 1] - begin
                r = first_score[node]
                node_scores(x, first, last, is_spread, dense, weights, r, first_score[node + 1] - r, logs)
                log_branches(n_children, logs)
                child, passed = 0, exp(logs[0])
                while child < n_children - 1 and passed <= draw:
                    child += 1
                    passed += exp(logs[child])
                node = begin + child
            out[i, s] = node
        clear_row(x, first, last, dense)


@jit
def descend_block(scores, first_child, log, out):
    for i in range(scores.shape[0]):
        out[i, 0] = 0.0 if log else 1.0
        r = 0
        for node in range(first_child.size - 1):
            begin = first_child[node]
            n_children = first_child[node + 1] - begin
            above = out[i, node]
            if n_children == 1:
                out[i, begin] = above
            elif n_children == 2:
                z = scores[i, r]
                e = exp(-abs(z))
                if log:
                    likelier = -log1p(e)
                    other = likelier - abs(z)
                    likelier, other = above + likelier, above + other
                else:
                    likelier = above / (1.0 + e)
                    other = above * (e / (1.0 + e))
                out[i, begin] = other if z > 0.0 else likelier
                out[i, begin + 1] = likelier if z > 0.0 else other
                r += 1
            elif n_children > 2:
                _softmax(scores[i, r : r + n_children], log, above, out[i, begin : begin + n_children])
                r += n_children


@jit
def _softmax(scores, log, above, out):
    """Probabilities times `above`, or log-probabilities plus `above`."""
    best = 0
    for c in range(scores.size):
        best = c if scores[c] > scores[best] else best
    others = 0.0
    for c in range(scores.size):
        out[c] = exp(scores[c] - scores[best])
        others += out[c] if c != best else 0.0
    total = log1p(others) if log else 1.0 + others
    for c in range(scores.size):
        out[c] = above + (scores[c] - scores[best] - total) if log else above * (out[c] / total)


@jit
def product_block(left, right, start, stop, out):
    values, columns, starts = left
    right_values, right_columns, right_starts = right
    for i in range(start, stop):
        for r in range(out.shape[1]):
            out[i, r] = 0.0
        for entry in range(starts[i], starts[i + 1]):
            row, factor = columns[entry], values[entry]
            for e in range(right_starts[row], right_starts[row + 1]):
                out[i, right_columns[e]] += factor * right_values[e]


def read_only(*arrays) -> tuple:
    """C-ordered views that cannot be written to, so that numba sees one type."""
    views = tuple(np.ascontiguousarray(array)[...] for array in arrays)
    for view in views:
        view.flags.writeable = False
    return views


def walk(block, arguments, settings, buffers, *outputs):
    """Call ``block(x, tree, weights, start, stop, *settings, zeros (p,), *buffers(), *outputs)`` on blocks of rows.

    `arguments` are those of the contracts up to the intercept; `buffers` makes what a block needs for itself.
    """
    values, columns, starts, n_features, parent, first_child, first_score, indptr, *others = arguments
    x = read_only(values, columns, np.asarray(starts, np.int64))
    tree = read_only(parent, first_child, first_score)
    weights = read_only(np.asarray(indptr, np.int64), *others)
    settings = [read_only(setting)[0] if isinstance(setting, np.ndarray) else setting for setting in settings]

    def work(rows):
        block(x, tree, weights, rows.start, rows.stop, *settings, np.zeros(n_features), *buffers(), *outputs)

    map_blocks(work, row_blocks(len(starts) - 1, ROW_BYTES))


def widest(first_child) -> int:
    """Most children of a node."""
    return int(np.diff(first_child).max(initial=1))


@tree_paths.path_log_proba.implement("numba")
def path_log_proba(*arguments, leaves):
    depth, width = len(tree_paths.level_ends(arguments[4])), widest(arguments[5])
    out = np.empty(len(leaves))
    walk(path_block, arguments, (leaves,), lambda: (np.empty(depth, np.intp), np.empty(width)), out)
    return out


@tree_paths.sampled_leaves.implement("numba")
def sampled_leaves(*arguments, seed, samples):
    width = widest(arguments[5])
    out = np.empty((len(arguments[2]) - 1, len(samples)), dtype=np.intp)
    walk(sample_block, arguments, (stream_starts(seed, samples),), lambda: (np.empty(width),), out)
    return out


@tree_paths.descended_proba.implement("numba")
def descended_proba(scores, parent, first_child, *, log, out):
    del parent  # children are numbered after their parents
    target = out if out.flags.c_contiguous else np.empty(out.shape)
    scores, first_child = read_only(scores, first_child)
    blocks = row_blocks(len(out), 8 * out.shape[1])
    map_blocks(lambda rows: descend_block(scores[rows], first_child, log, target[rows]), blocks)
    if target is not out:
        out[...] = target
    return out


@tree_paths.csr_times_csr.implement("numba")
def csr_times_csr(values, columns, starts, right_values, right_columns, right_starts, *, out):
    target = out if out.flags.c_contiguous else np.empty(out.shape)
    left, right = read_only(values, columns, starts), read_only(right_values, right_columns, right_starts)
    blocks = row_blocks(len(out), 8 * out.shape[1])
    map_blocks(lambda rows: product_block(left, right, rows.start, rows.stop, target), blocks)
    if target is not out:
        out[...] = target
    return out
