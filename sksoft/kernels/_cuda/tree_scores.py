"""Scores and branches of one node of a tree for one row, by the lanes of a warp.

Lanes share the row's entries; where the row is full and the node is not, they share the node's features. Every lane
looks for its entries among the features of a node that does not store all. The log-probabilities of wide nodes stand in
a row of a matrix that the warp has for itself: child c is written and read by lane c % WARP alone.

Rows are ``values, columns, starts``, parameters ``n_features, indptr, indices, data, intercept``, as
:mod:`sksoft.kernels.tree_paths` has them, with columns in int32 and places in int64.
"""

from functools import cache

import numpy as np

from sksoft.kernels._cuda import _api
from sksoft.kernels._cuda._api import BLOCK, WARP, cuda, device, xp
from sksoft.kernels._cuda.elementary import exp, fabs, log1p
from sksoft.kernels._cuda.layout import contiguous
from sksoft.kernels._cuda.warps import larger, max_of, sum_of

# The types of ``walk_arrays``.
ROWS_AND_TREE = (
    "real[::1], int32[::1], int64[::1], int64, int64[::1], int64[::1], int64[::1], "
    "int64[::1], int32[::1], real[::1], real[::1]"
)


def walk_arrays(values, columns, starts, n_features, *tree_and_parameters):
    """Rows, tree and parameters as kernels read them."""
    parent, first_child, first_score, indptr, indices, data, intercept = tree_and_parameters
    real = data.dtype
    return (
        *(contiguous(values, real), contiguous(columns, np.int32), contiguous(starts, np.int64), n_features),
        *(contiguous(array, np.int64) for array in (parent, first_child, first_score, indptr)),
        *(contiguous(indices, np.int32), contiguous(data), contiguous(intercept, real)),
    )


def widest(first_child) -> int:
    """Most children of a node, at least 1."""
    return max(int(xp.diff(first_child).max()), 1)


def warp_grid(n: int) -> tuple[int, int]:
    """Blocks and threads of a kernel whose warps loop over n items."""
    return min(-(-n // (BLOCK // WARP)), _api.max_blocks()), BLOCK


def warps_of(grid: tuple[int, int]) -> int:
    """How many warps a grid has, at least 1."""
    return max(grid[0] * grid[1] // WARP, 1)


@device
def place_of(features, start, size, wanted):
    """Where `wanted` stands among the sorted ``features[start : start + size]``, counted from 0; −1 if it does not."""
    if size == 0:
        return np.int64(-1)
    low, left = start, size
    while left > 1:
        half = left >> 1
        if features[low + half] <= wanted:
            low += half
        left -= half
    return low - start if features[low] == wanted else np.int64(-1)


@cache
def entry_of(real):
    """Entry t of a row in a node: its place among the node's features, −1 if it has none there, and its value."""

    @device
    def entry(values, columns, first, is_full, n_features, indices, start, size, t):
        if size == n_features:
            return np.int64(t) if is_full else np.int64(columns[first + t]), values[first + t]
        if is_full:
            return np.int64(t), values[first + indices[start + t]]
        return place_of(indices, start, size, columns[first + t]), values[first + t]

    return entry


@cache
def score_of(real):
    """The score of number r for the row that stands at first … last; all lanes get it."""
    warp_sum, entry, zero = sum_of(real), entry_of(real), real(0.0)

    @device
    def score(values, columns, first, last, n_features, indptr, indices, data, intercept, r):
        lane = cuda.threadIdx.x % WARP
        start, size = indptr[r], indptr[r + 1] - indptr[r]
        is_full = last - first == n_features
        n_terms = size if is_full and size != n_features else last - first
        total = zero
        for t in range(lane, n_terms, WARP):
            place, value = entry(values, columns, first, is_full, n_features, indices, start, size, t)
            if place >= 0:
                total += data[start + place] * value
        return warp_sum(total, WARP) + intercept[r]

    return score


@cache
def scores_of(real):
    """Scores begin … begin + n_scores − 1 into this warp's row of `logs`, each where its own lane reads it."""
    warp_sum, entry, score, zero = sum_of(real), entry_of(real), score_of(real), real(0.0)

    @device
    def scores(values, columns, first, last, n_features, indptr, indices, data, intercept, begin, n_scores, logs, warp):
        lane = cuda.threadIdx.x % WARP
        start, size = indptr[begin], indptr[begin + 1] - indptr[begin]
        if size == n_features or last - first == n_features:
            for c in range(n_scores):
                z = score(values, columns, first, last, n_features, indptr, indices, data, intercept, begin + c)
                if c % WARP == lane:
                    logs[warp, c] = z
            return
        for c in range(lane, n_scores, WARP):
            logs[warp, c] = intercept[begin + c]
        # an entry is looked for once, whatever the number of scores
        for base in range(0, last - first, WARP):
            place, value = np.int64(-1), zero
            if base + lane < last - first:
                place, value = entry(values, columns, first, False, n_features, indices, start, size, base + lane)
            for c in range(n_scores):
                total = warp_sum(data[start + c * size + place] * value if place >= 0 else zero, WARP)
                if c % WARP == lane:
                    logs[warp, c] += total

    return scores


@cache
def binary_branch_of(real):
    """Log-probability of the first or second of two children, from their score."""
    zero = real(0.0)

    @device
    def binary_branch(z, second):
        likelier = -log1p(exp(-fabs(z)))
        return likelier if (z > zero) == second else likelier - fabs(z)

    return binary_branch


@cache
def branches_of(real):
    """From the scores of a node with n children to their log-probabilities, in this warp's row of `logs`."""
    warp_sum, warp_max, zero, one, lowest = sum_of(real), max_of(real), real(0.0), real(1.0), real(-np.inf)

    @device
    def branches(n_children, logs, warp):
        lane = cuda.threadIdx.x % WARP
        top = lowest
        for c in range(lane, n_children, WARP):
            top = larger(logs[warp, c], top)
        top = warp_max(top, WARP)
        # beside the largest: log1p keeps what they leave of a probability near one
        ties = others = zero
        for c in range(lane, n_children, WARP):
            below = logs[warp, c] - top
            if below == zero:
                ties += one
            else:
                others += exp(below)
        total = log1p(warp_sum(others, WARP) + (warp_sum(ties, WARP) - one))
        for c in range(lane, n_children, WARP):
            logs[warp, c] = logs[warp, c] - top - total

    return branches
