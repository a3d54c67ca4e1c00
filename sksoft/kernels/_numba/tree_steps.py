"""Stochastic steps down the paths of a tree, compiled: the reference's operations in the reference's order.

Nothing is contracted or reordered: a stream has the same bits whichever backend its chunks are large enough for.
"""

import math

import numpy as np

from sksoft.kernels import tree_steps as contract
from sksoft.kernels._numba._jit import jit

FADING, RECENT, ACCURACY, TRIALS = contract.FADING, contract.RECENT, contract.ACCURACY, contract.TRIALS
AS_WRITTEN: frozenset = frozenset()


@jit(fastmath=AS_WRITTEN)
def place(features, start, length, feature):
    low, high = start, start + length
    while low < high:
        middle = (low + high) // 2
        if features[middle] < feature:
            low = middle + 1
        else:
            high = middle
    return low - start


@jit(fastmath=AS_WRITTEN)
def softmax(scores, moves, length, n, proba):
    """Of scores + length · moves."""
    top = -np.inf
    for c in range(n):
        proba[c] = scores[c] + length * moves[c]
        top = max(top, proba[c])
    total = 0.0
    for c in range(n):
        proba[c] = math.exp(proba[c] - top)
        total += proba[c]
    for c in range(n):
        proba[c] /= total


@jit(fastmath=AS_WRITTEN)
def line_search(scores, moves, targets, gradient, n, s, proba):
    distance = 0.0
    for c in range(n):
        distance += gradient[c] * moves[c]
    low, high, length = 0.0, 1.0, 0.0
    for _ in range(TRIALS):
        softmax(scores, moves, length, n, proba)
        mean, square, pull = 0.0, 0.0, 0.0
        for c in range(n):
            mean += proba[c] * moves[c]
            square += proba[c] * moves[c] * moves[c]
            pull += targets[c] * moves[c]
        slope = s * (mean - pull) + length * distance
        if abs(slope) <= ACCURACY * distance:
            break
        if slope > 0.0:
            high = length
        else:
            low = length
        following = length - slope / (s * (square - mean * mean) + distance)
        length = following if low < following < high else 0.5 * (low + high)
    return length


@jit(fastmath=AS_WRITTEN)
def node_step(
    values, begin, end, s, ridge, learning, first, skip, n, offsets, faded, rates, faded0, rate0, by_child, model
):
    """One row's step in a node of n children, of which the first `skip` have no score."""
    score_indptr, coef, point, curvature, intercept, intercept_point, intercept_curvature = model
    targets, scores, spreads, metric0, gradient, moves, proba = by_child
    for c in range(n):
        metric0[c] = scores[c] = spreads[c] = moves[c] = 0.0
    for c in range(skip, n):
        r = first + c - skip
        metric0[c] = 0.25 * s + intercept_curvature[r] * faded0
        score, spread = intercept_point[r], 1.0 / metric0[c]
        for e in range(begin, end):
            q = score_indptr[r] + offsets[e - begin]
            score += point[q] * values[e]
            spread += values[e] * values[e] / (ridge + curvature[q] * faded[e - begin])
        scores[c], spreads[c] = score, spread
    softmax(scores, moves, 0.0, n, proba)
    for c in range(n):
        gradient[c] = s * (targets[c] - proba[c])
        moves[c] = gradient[c] * spreads[c]
    length = line_search(scores, moves, targets, gradient, n, s, proba) if learning else 0.0
    for c in range(skip, n):
        r, step, h = first + c - skip, length * gradient[c], s * proba[c] * (1.0 - proba[c])
        for e in range(begin, end):
            q = score_indptr[r] + offsets[e - begin]
            point[q] += step * values[e] / (ridge + curvature[q] * faded[e - begin])
            coef[q] += rates[e - begin] * (point[q] - coef[q])
            curvature[q] += h * values[e] * values[e]
        intercept_point[r] += step / metric0[c]
        intercept[r] += rate0 * (intercept_point[r] - intercept[r])
        intercept_curvature[r] += h


@jit(fastmath=AS_WRITTEN)
def walk(rows, leaves, weights, ridge, smoothing, learning, tree, n_features, score_indices, node_start, model, sums):
    values, indices, indptr = rows
    parent, first_child, first_score = tree
    score_indptr = model[0]
    count, seen = sums
    longest = widest = 0
    for i in range(len(leaves)):
        longest = max(longest, indptr[i + 1] - indptr[i])
    for v in range(len(parent)):
        widest = max(widest, first_child[v + 1] - first_child[v])
    offsets, faded, rates = np.empty(longest, np.int64), np.empty(longest), np.empty(longest)
    by_child = (
        *(np.empty(widest), np.empty(widest), np.empty(widest), np.empty(widest)),
        *(np.empty(widest), np.empty(widest), np.empty(widest)),
    )
    targets = by_child[0]
    for i in range(len(leaves)):
        begin, end = indptr[i], indptr[i + 1]
        s, node = weights[i], leaves[i]
        while parent[node] >= 0:
            child, node = node, parent[node]
            n = first_child[node + 1] - first_child[node]
            if n == 1:
                continue
            for c in range(n):
                targets[c] = (1.0 - smoothing) * (first_child[node] + c == child) + smoothing / n
            first = first_score[node]
            start, n_known = score_indptr[first], score_indptr[first + 1] - score_indptr[first]
            seen[node] += s
            for e in range(begin, end):
                o = indices[e] if n_known == n_features else place(score_indices, start, n_known, indices[e])
                offsets[e - begin] = o
                count[node_start[node] + o] += s
                faded[e - begin] = (s / count[node_start[node] + o]) ** FADING
                rates[e - begin] = RECENT * s / (count[node_start[node] + o] + (RECENT - 1.0) * s)
            skip, faded0 = 1 if n == 2 else 0, (s / seen[node]) ** FADING
            rate0 = RECENT * s / (seen[node] + (RECENT - 1.0) * s)
            node_step(
                values,
                begin,
                end,
                s,
                ridge,
                learning,
                first,
                skip,
                n,
                offsets,
                faded,
                rates,
                faded0,
                rate0,
                by_child,
                model,
            )


@contract.tree_steps.implement("numba")
def tree_steps(
    values,
    indices,
    indptr,
    leaves,
    weights,
    *,
    ridge,
    smoothing,
    learning,
    parent,
    first_child,
    first_score,
    n_features,
    score_indptr,
    score_indices,
    node_start,
    **state,
):
    def plain(dtype, *arrays):
        return tuple(np.require(array, dtype, "CW") for array in arrays)

    written = {name: np.require(array, np.float64, "CW") for name, array in state.items()}
    walk(
        (*plain(np.float64, values), *plain(np.int32, indices), *plain(np.int64, indptr)),
        *(*plain(np.int64, leaves), *plain(np.float64, weights), float(ridge), float(smoothing), bool(learning)),
        plain(np.int64, parent, first_child, first_score),
        n_features,
        *(*plain(np.int32, score_indices), *plain(np.int64, node_start)),
        (
            *plain(np.int64, score_indptr),
            *(written[name] for name in ("coef", "point", "curvature")),
            *(written[name] for name in ("intercept", "intercept_point", "intercept_curvature")),
        ),
        (written["count"], written["seen"]),
    )
    for name, array in written.items():
        if array is not state[name]:
            state[name][...] = array
    return state["coef"]
