"""Stochastic steps down the paths of a tree on a device: one block walks along the rows, for they are in order.

Within a row and a node the threads share the row's entries, warps share the children, and the lanes of a warp the
entries of a child. The line search, whose trials wait for each other, is every warp's: its lanes share the children,
all warps compute the same bits, and none waits.
"""

import numpy as np

from sksoft.kernels import tree_steps as contract
from sksoft.kernels._cuda._api import SIMULATED, WARP, cuda, device, jit, xp
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.elementary import exp, fabs, power
from sksoft.kernels._cuda.layout import contiguous, delivered
from sksoft.kernels._cuda.tree_scores import widest
from sksoft.kernels._cuda.warps import max_of, sum_of

THREADS = 2 * WARP if SIMULATED else 256
# Rows of the matrix that has a column for each child of the node at hand.
SCORE, SPREAD, METRIC, GRADIENT, MOVE = range(5)
STATE = ("coef", "point", "curvature", "count", "intercept", "intercept_point", "intercept_curvature", "seen")


def softmax_at_of(real):
    """``(by_child, n, length)``: maximum and sum of exponentials of scores + length · moves, in all lanes."""
    warp_sum, warp_max, zero, lowest = sum_of(real), max_of(real), real(0.0), real(-np.inf)

    @device
    def softmax_at(by_child, n, length):
        top, total = lowest, zero
        for c in range(cuda.threadIdx.x % WARP, n, WARP):
            top = max(top, by_child[SCORE, c] + length * by_child[MOVE, c])
        top = warp_max(top, WARP)
        for c in range(cuda.threadIdx.x % WARP, n, WARP):
            total += exp(by_child[SCORE, c] + length * by_child[MOVE, c] - top)
        return top, warp_sum(total, WARP)

    return softmax_at


def line_search_of(real):
    """``(by_child, n, child, smoothing, s, learning)``: ℓ; length, maximum and sum of the last softmax."""
    warp_sum, softmax_at, target = sum_of(real), softmax_at_of(real), target_of(real)
    zero, half, one, accuracy = real(0.0), real(0.5), real(1.0), real(contract.ACCURACY)

    @device
    def moments(by_child, n, child, smoothing, length, top, total):
        """Σ p d, Σ p d², Σ t d."""
        mean = square = pull = zero
        for c in range(cuda.threadIdx.x % WARP, n, WARP):
            move = by_child[MOVE, c]
            p = exp(by_child[SCORE, c] + length * move - top) / total
            mean += p * move
            square += p * move * move
            pull += target(c == child, n, smoothing) * move
        return warp_sum(mean, WARP), warp_sum(square, WARP), warp_sum(pull, WARP)

    @device
    def line_search(by_child, n, child, smoothing, s, learning):
        length, used, low, high, distance = zero, zero, zero, one, zero
        for c in range(cuda.threadIdx.x % WARP, n, WARP):
            distance += by_child[GRADIENT, c] * by_child[MOVE, c]
        distance = warp_sum(distance, WARP)
        top, total = softmax_at(by_child, n, length)
        for trial in range(contract.TRIALS if learning else 0):
            if trial > 0:
                top, total = softmax_at(by_child, n, length)
            used = length
            mean, square, pull = moments(by_child, n, child, smoothing, length, top, total)
            slope = s * (mean - pull) + length * distance
            if fabs(slope) <= accuracy * distance:
                break
            if slope > zero:
                high = length
            else:
                low = length
            following = length - slope / (s * (square - mean * mean) + distance)
            length = following if low < following and following < high else half * (low + high)
        return length, used, top, total

    return line_search


def target_of(real):
    one, zero = real(1.0), real(0.0)

    @device
    def target(is_on_path, n, smoothing):
        return (one - smoothing) * (one if is_on_path else zero) + smoothing / real(n)

    return target


def entries_of(real):
    """Of each entry of a row: its place in the node, how the past fades there, and the rate of the mean."""
    fading, recent, one = real(contract.FADING), real(contract.RECENT), real(1.0)

    @device
    def place_of(features, start, length, feature):
        low, high = start, start + length
        while low < high:
            middle = (low + high) // 2
            if features[middle] < feature:
                low = middle + 1
            else:
                high = middle
        return low - start

    @device
    def entries(indices, begin, end, s, start, n_known, n_features, features, count, first_count, offsets, weights):
        for e in range(begin + cuda.threadIdx.x, end, cuda.blockDim.x):
            offset = np.int64(indices[e])
            if n_known != n_features:
                offset = place_of(features, start, n_known, offset)
            n = count[first_count + offset] + s
            count[first_count + offset] = n
            offsets[e - begin] = offset
            weights[0, e - begin] = power(s / n, fading)
            weights[1, e - begin] = recent * s / (n + (recent - one) * s)
        cuda.syncthreads()

    return entries


@compiled(
    "real[::1], int32[::1], int64[::1], int64[::1], real[::1], real, real, int64, int64[::1], int64[::1], int64[::1], "
    "int64, int64[::1], int32[::1], int64[::1], int64[::1], real[:, ::1], real[:, ::1], real[::1], real[::1], "
    "real[::1], real[::1], real[::1], real[::1], real[::1], real[::1]",
    most_threads=256,
)
def steps(real):
    """All rows, by one block; `offsets`, `weights` are of the row's entries, `by_child` of the node's children."""
    team_sum, softmax_at, line_search = sum_of(real), softmax_at_of(real), line_search_of(real)
    entries, target = entries_of(real), target_of(real)
    zero, one, quarter = real(0.0), real(1.0), real(0.25)
    fading, recent = real(contract.FADING), real(contract.RECENT)

    @jit
    def steps(
        values,
        indices,
        indptr,
        leaves,
        row_weights,
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
        offsets,
        weights,
        by_child,
        coef,
        point,
        curvature,
        count,
        intercept,
        intercept_point,
        intercept_curvature,
        seen,
    ):
        lane, own, n_warps = cuda.threadIdx.x % WARP, cuda.threadIdx.x // WARP, cuda.blockDim.x // WARP
        for i in range(leaves.size):
            begin, end, s, node = indptr[i], indptr[i + 1], row_weights[i], leaves[i]
            while parent[node] >= 0:
                on_path, node = node, parent[node]
                n, first = first_child[node + 1] - first_child[node], first_score[node]
                if n == 1:
                    continue
                child, skip = on_path - first_child[node], 1 if n == 2 else 0
                start, n_known = score_indptr[first], score_indptr[first + 1] - score_indptr[first]
                entries(
                    *(indices, begin, end, s, start, n_known, n_features, score_indices, count, node_start[node]),
                    *(offsets, weights),
                )
                n_seen = seen[node] + s
                faded = power(s / n_seen, fading)
                # scores of the children, and Σ x² / M: a warp for a child
                for base in range(0, n, n_warps):
                    c = base + own
                    is_scored = c >= skip and c < n
                    r = first + c - skip if is_scored else first
                    score, spread = zero, zero
                    for e in range(begin + lane, end if is_scored else begin, WARP):
                        q, x = score_indptr[r] + offsets[e - begin], values[e]
                        score += point[q] * x
                        spread += x * x / (ridge + curvature[q] * weights[0, e - begin])
                    score, spread = team_sum(score, WARP), team_sum(spread, WARP)
                    if lane == 0 and c < n:
                        metric = quarter * s + intercept_curvature[r] * faded
                        by_child[SCORE, c] = score + intercept_point[r] if is_scored else zero
                        by_child[SPREAD, c] = spread + one / metric if is_scored else zero
                        by_child[METRIC, c], by_child[MOVE, c] = metric, zero
                cuda.syncthreads()
                if cuda.threadIdx.x == 0:
                    seen[node] = n_seen
                top, total = softmax_at(by_child, n, zero)
                cuda.syncthreads()  # all have seen moves of zero
                for c in range(cuda.threadIdx.x, n, cuda.blockDim.x):
                    gradient = s * (target(c == child, n, smoothing) - exp(by_child[SCORE, c] - top) / total)
                    by_child[GRADIENT, c], by_child[MOVE, c] = gradient, gradient * by_child[SPREAD, c]
                cuda.syncthreads()
                length, used, top, total = line_search(by_child, n, child, smoothing, s, learning)
                rate = recent * s / (n_seen + (recent - one) * s)
                for c in range(skip + own, n, n_warps):
                    r, step = first + c - skip, length * by_child[GRADIENT, c]
                    p = exp(by_child[SCORE, c] + used * by_child[MOVE, c] - top) / total
                    h = s * p * (one - p)
                    for e in range(begin + lane, end, WARP):
                        q, x = score_indptr[r] + offsets[e - begin], values[e]
                        moved = point[q] + step * x / (ridge + curvature[q] * weights[0, e - begin])
                        point[q] = moved
                        coef[q] += weights[1, e - begin] * (moved - coef[q])
                        curvature[q] += h * x * x
                    if lane == 0:
                        moved = intercept_point[r] + step / by_child[METRIC, c]
                        intercept_point[r] = moved
                        intercept[r] += rate * (moved - intercept[r])
                        intercept_curvature[r] += h
                cuda.syncthreads()

    return steps


@contract.tree_steps.implement("cuda", writes=STATE)
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
    written = {name: contiguous(state[name]) for name in STATE}
    real = written["coef"].dtype
    integers = [contiguous(array, np.int64) for array in (indptr, leaves, parent, first_child, first_score)]
    indptr, leaves, parent, first_child, first_score = integers
    n_rows = len(leaves)
    if n_rows:
        longest, most = max(int(xp.diff(indptr).max()), 1), widest(first_child)
        room = xp.empty(longest, np.int64), xp.empty((2, longest), real), xp.empty((5, most), real)
        rows = contiguous(values, real), contiguous(indices, np.int32), indptr, leaves, contiguous(weights, real)
        coefficients = contiguous(score_indptr, np.int64), contiguous(score_indices, np.int32)
        steps.launch(
            real,
            (1, THREADS),
            (
                *(*rows, ridge, smoothing, int(learning), parent, first_child, first_score, n_features, *coefficients),
                *(contiguous(node_start, np.int64), *room, *written.values()),
            ),
        )
    for name, array in written.items():
        delivered(array, state[name])
    return state["coef"]
