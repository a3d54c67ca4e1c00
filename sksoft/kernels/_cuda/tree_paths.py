"""Walks through a tree of decisions on a device: a warp for a path, for a draw of a leaf, for a row of a product.

The lanes of a warp walk together and share a node's terms (``tree_scores``). The probabilities of all nodes at once
come in two launches: branches, a team of lanes for each row and deciding node; then a block for each row goes down the
levels of the tree, whose nodes its threads share.
"""

import numpy as np

from sksoft.kernels import tree_paths
from sksoft.kernels._cuda import _api
from sksoft.kernels._cuda._api import BLOCK, WARP, cuda, device, jit, xp
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.elementary import exp, fabs, log1p
from sksoft.kernels._cuda.layout import contiguous, delivered, result
from sksoft.kernels._cuda.row_teams import teams
from sksoft.kernels._cuda.splitmix import STEP, mix
from sksoft.kernels._cuda.tree_scores import (
    ROWS_AND_TREE,
    binary_branch_of,
    branches_of,
    score_of,
    scores_of,
    walk_arrays,
    warp_grid,
    warps_of,
    widest,
)
from sksoft.kernels._cuda.warps import larger, max_of, sum_of, wait_for_warp
from sksoft.kernels.bins import stream_starts
from sksoft.kernels.placement import to_host
from sksoft.kernels.tree_paths import RESOLUTION


@compiled(ROWS_AND_TREE + ", int64[::1], int64[:, ::1], real[:, ::1], real[::1]", most_threads=256)
def path_sums(real):
    """Log-probabilities of the paths to `leaves`; `paths` and `logs` have a row for each warp."""
    warp_sum, score, scores = sum_of(real), score_of(real), scores_of(real)
    binary_branch, branches, zero = binary_branch_of(real), branches_of(real), real(0.0)

    @device
    def branch(n_children, c, logs, warp):
        """What lane c % WARP knows, for all."""
        branches(n_children, logs, warp)
        return warp_sum(logs[warp, c] if c % WARP == cuda.threadIdx.x % WARP else zero, WARP)

    @jit
    def path_sums(
        values,
        columns,
        starts,
        n_features,
        parent,
        first_child,
        first_score,
        indptr,
        indices,
        data,
        intercept,
        leaves,
        paths,
        logs,
        out,
    ):
        warp, n_warps = cuda.grid(1) // WARP, cuda.gridsize(1) // WARP
        for row in range(warp, leaves.size, n_warps):
            first, last = starts[row], starts[row + 1]
            node, n_above = leaves[row], 0
            while node > 0:
                # all lanes write the same, and each reads what it wrote
                paths[warp, n_above] = node
                node = parent[node]
                n_above += 1
            total = zero
            # from the root down, as the search adds: the same bits
            for step in range(n_above - 1, -1, -1):
                child = paths[warp, step]
                node = parent[child]
                c, n_children = child - first_child[node], first_child[node + 1] - first_child[node]
                r = first_score[node]
                if n_children == 2:
                    z = score(values, columns, first, last, n_features, indptr, indices, data, intercept, r)
                    total += binary_branch(z, c == 1)
                elif n_children > 2:
                    scores(
                        *(values, columns, first, last, n_features, indptr, indices, data, intercept),
                        *(r, n_children, logs, warp),
                    )
                    total += branch(n_children, c, logs, warp)
            wait_for_warp()  # none writes the next path before all have read this one
            if cuda.threadIdx.x % WARP == 0:
                out[row] = total

    return path_sums


@compiled(ROWS_AND_TREE + ", uint64[::1], real[:, ::1], int64[:, ::1]", most_threads=256)
def drawn_leaves(real):
    """A leaf for each row and each sample, whose streams begin at `states`; `logs` has a row for each warp."""
    warp_sum, score, scores = sum_of(real), score_of(real), scores_of(real)
    binary_branch, branches, zero = binary_branch_of(real), branches_of(real), real(0.0)
    resolution = real(RESOLUTION)

    @device
    def drawn_child(n_children, draw, logs, warp):
        """The first child whose cumulative probability exceeds the draw, the last if none does."""
        lane, child, passed = cuda.threadIdx.x % WARP, 0, zero
        while child + WARP < n_children:
            of_lanes = warp_sum(exp(logs[warp, child + lane]), WARP)
            if passed + of_lanes > draw:
                break
            passed += of_lanes
            child += WARP
        wait_for_warp()
        passed += exp(logs[warp, child])
        while child < n_children - 1 and passed <= draw:
            child += 1
            passed += exp(logs[warp, child])
        wait_for_warp()
        return child

    @jit
    def drawn_leaves(
        values,
        columns,
        starts,
        n_features,
        parent,
        first_child,
        first_score,
        indptr,
        indices,
        data,
        intercept,
        states,
        logs,
        out,
    ):
        n_samples = states.size
        warp, n_warps = cuda.grid(1) // WARP, cuda.gridsize(1) // WARP
        for draw_of in range(warp, out.size, n_warps):
            row, sample = draw_of // n_samples, draw_of % n_samples
            first, last = starts[row], starts[row + 1]
            counter = mix(states[sample] + np.uint64(row + 1) * STEP)
            node = np.int64(0)
            while first_child[node] < first_child[node + 1]:
                counter += STEP
                draw = real(mix(counter) >> np.uint64(11)) * resolution
                begin, n_children, r = first_child[node], first_child[node + 1] - first_child[node], first_score[node]
                child = np.int64(0)
                if n_children == 2:
                    z = score(values, columns, first, last, n_features, indptr, indices, data, intercept, r)
                    child = np.int64(exp(binary_branch(z, False)) <= draw)
                elif n_children > 2:
                    scores(
                        *(values, columns, first, last, n_features, indptr, indices, data, intercept),
                        *(r, n_children, logs, warp),
                    )
                    branches(n_children, logs, warp)
                    child = np.int64(drawn_child(n_children, draw, logs, warp))
                node = begin + child
            if cuda.threadIdx.x % WARP == 0:
                out[row, sample] = node

    return drawn_leaves


@compiled("real[:, ::1], int64[::1], int64[::1], int64, real[:, ::1]", ((False,), (True,)))
def all_branches(real, log):
    """(Log-)probabilities of the children of each node, given it; a team of `width` lanes for a row and a node."""
    team_sum, team_max, binary_branch = sum_of(real), max_of(real), binary_branch_of(real)
    zero, one, lowest = real(0.0), real(1.0), real(-np.inf)

    @device
    def write_binary(z, out, row, begin):
        if log:
            out[row, begin] = binary_branch(z, False)
            out[row, begin + 1] = binary_branch(z, True)
        else:
            exponential = exp(-fabs(z))
            likelier, other = one / (one + exponential), exponential / (one + exponential)
            out[row, begin] = other if z > zero else likelier
            out[row, begin + 1] = likelier if z > zero else other

    @jit
    def all_branches(scores, first_child, first_score, width, out):
        n_nodes = first_child.size - 1
        lane, own = cuda.threadIdx.x % width, cuda.threadIdx.x // width
        in_block = cuda.blockDim.x // width
        first = cuda.blockIdx.x * in_block
        while first < scores.shape[0] * n_nodes:
            item, row, begin, n_children, r = first + own, np.int64(0), np.int64(0), np.int64(0), np.int64(0)
            if item < scores.shape[0] * n_nodes:
                row, node = item // n_nodes, item % n_nodes
                begin, n_children, r = first_child[node], first_child[node + 1] - first_child[node], first_score[node]
            wide = n_children if n_children > 2 else 0
            top = lowest
            for c in range(lane, wide, width):
                top = larger(scores[row, r + c], top)
            top = team_max(top, width)
            ties = others = zero
            for c in range(lane, wide, width):
                below = scores[row, r + c] - top
                if below == zero:
                    ties += one
                else:
                    others += exp(below)
            others = team_sum(others, width) + (team_sum(ties, width) - one)
            for c in range(lane, wide, width):
                below = scores[row, r + c] - top
                out[row, begin + c] = below - log1p(others) if log else exp(below) / (one + others)
            if lane == 0 and n_children == 2:
                write_binary(scores[row, r], out, row, begin)
            elif lane == 0 and n_children == 1:
                out[row, begin] = zero if log else one
            first += cuda.gridDim.x * in_block

    return all_branches


@compiled("int64[::1], int64[::1], real[:, ::1]", ((False,), (True,)))
def descend(real, log):
    """Branches become probabilities from the root down; nodes of level d end at ``ends[d]``. A block for a row."""
    zero, one = real(0.0), real(1.0)

    @jit
    def descend(parent, ends, out):
        for row in range(cuda.blockIdx.x, out.shape[0], cuda.gridDim.x):
            if cuda.threadIdx.x == 0:
                out[row, 0] = zero if log else one
            cuda.syncthreads()
            for level in range(1, ends.size):
                for node in range(ends[level - 1] + cuda.threadIdx.x, ends[level], cuda.blockDim.x):
                    above = out[row, parent[node]]
                    out[row, node] = above + out[row, node] if log else above * out[row, node]
                cuda.syncthreads()

    return descend


@compiled("real[::1], int32[::1], int64[::1], real[::1], int32[::1], int64[::1], real[:, ::1]")
def sparse_product(real):
    """A warp for a row of A: it takes the entries in turn, and its lanes share the row of B that an entry meets."""
    zero = real(0.0)

    @jit
    def sparse_product(values, columns, starts, right_values, right_columns, right_starts, out):
        lane = cuda.threadIdx.x % WARP
        for row in range(cuda.grid(1) // WARP, out.shape[0], cuda.gridsize(1) // WARP):
            for r in range(lane, out.shape[1], WARP):
                out[row, r] = zero
            for entry in range(starts[row], starts[row + 1]):
                wait_for_warp()
                inner, factor = columns[entry], values[entry]
                for e in range(right_starts[inner] + lane, right_starts[inner + 1], WARP):
                    out[row, right_columns[e]] += factor * right_values[e]

    return sparse_product


def _row_for_warps(grid, size: int, dtype):
    return xp.empty((warps_of(grid), size), dtype)


@tree_paths.path_log_proba.implement("cuda")
def path_log_proba(*arguments, leaves):
    arrays = walk_arrays(*arguments)
    grid, real = warp_grid(len(leaves)), arrays[0].dtype
    depth = len(tree_paths.level_ends(to_host(arrays[4])))
    paths = _row_for_warps(grid, depth, np.int64)
    logs, out = _row_for_warps(grid, widest(arrays[5]), real), xp.empty(len(leaves), real)
    path_sums.launch(real, grid, (*arrays, contiguous(leaves, np.int64), paths, logs, out))
    return out


@tree_paths.sampled_leaves.implement("cuda")
def sampled_leaves(*arguments, seed, samples):
    arrays = walk_arrays(*arguments)
    n_rows, real = len(arrays[2]) - 1, arrays[0].dtype
    grid = warp_grid(n_rows * len(samples))
    logs, out = _row_for_warps(grid, widest(arrays[5]), real), xp.empty((n_rows, len(samples)), np.int64)
    drawn_leaves.launch(real, grid, (*arrays, xp.asarray(stream_starts(seed, samples)), logs, out))
    return out


@tree_paths.descended_proba.implement("cuda", writes=("out",))
def descended_proba(scores, parent, first_child, *, log, out):
    scores, first_child, real = contiguous(scores), contiguous(first_child, np.int64), out.dtype
    computed = result(out.shape, real, out)
    ends = xp.asarray(np.array(tree_paths.level_ends(to_host(parent)), np.int64))
    n_rows, n_nodes, variant = len(scores), len(first_child) - 1, (bool(log),)
    parent = contiguous(parent, np.int64)
    if n_nodes:
        n_children = xp.diff(first_child)
        n_scores = xp.where(n_children == 2, 1, xp.where(n_children == 1, 0, n_children))
        first_score = xp.cumsum(n_scores) - n_scores
        grid = teams(n_rows * n_nodes, min(widest(first_child), WARP) if widest(first_child) > 2 else 1)
        all_branches.launch(real, grid, (scores, first_child, first_score, grid.width, computed), variant=variant)
    descend.launch(real, (min(n_rows, _api.max_blocks()), BLOCK), (parent, ends, computed), variant=variant)
    return delivered(computed, out)


@tree_paths.csr_times_csr.implement("cuda", writes=("out",))
def csr_times_csr(values, columns, starts, right_values, right_columns, right_starts, *, out):
    real = out.dtype
    computed = result(out.shape, real, out)
    left, right = (
        (contiguous(factors, real), contiguous(places, np.int32), contiguous(begins, np.int64))
        for factors, places, begins in ((values, columns, starts), (right_values, right_columns, right_starts))
    )
    sparse_product.launch(real, warp_grid(len(computed)), (*left, *right, computed))
    return delivered(computed, out)
