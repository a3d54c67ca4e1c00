"""Best-first search for the most probable leaves on a device: a warp for a row.

The lanes of a warp share a node's terms (``tree_scores``), and the lists of the row: of inner nodes that are not opened
yet, and of the k best leaves met so far. Entry t of a list is written and read by lane t % WARP alone, and lists are
not sorted: the best of one, or the worst, is found by all lanes, each looking through its own entries. What is below
the worst of k leaves can never be returned and is not kept: the search ends when no inner node is above it. The device
library sorts the leaves of all rows in the end.
"""

import numpy as np

from sksoft.kernels import tree_search
from sksoft.kernels._cuda._api import WARP, cuda, device, jit, xp
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.layout import contiguous
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
from sksoft.kernels._cuda.warps import max_of, sum_of

# Bytes for the lists of all warps; where a list may be longer, fewer warps work.
SCRATCH = 1 << 30
# Below every number of a node and of a class.
NONE = -(1 << 62)


def pick_of(real):
    """``(keys, ids, row, size, sign)``: the entry of a list with the largest key, of equal ones with the least id.

    With `sign` −1 that of the smallest key, of equal ones with the largest id. Returns key, id and place to all lanes.
    """
    warp_max, integer_max, lowest = max_of(real), max_of(np.int64), real(-np.inf)

    @device
    def pick(keys, ids, row, size, sign):
        lane = cuda.threadIdx.x % WARP
        best, best_id, place = lowest, np.int64(NONE), np.int64(-1)
        for t in range(lane, size, WARP):
            key, other = real(sign) * keys[row, t], -sign * ids[row, t]
            if place < 0 or key > best or (key == best and other > best_id):
                best, best_id, place = key, other, np.int64(t)
        top = warp_max(best, WARP)
        if place < 0 or best != top:
            best_id, place = np.int64(NONE), np.int64(-1)
        top_id = integer_max(best_id, WARP)
        place = integer_max(place if best_id == top_id else np.int64(-1), WARP)
        return real(sign) * top, -sign * top_id, place

    return pick


def keep_of(real):
    """``(log_proba, codes, row, n_kept, worst, place, log, code)``: keep a leaf if it is among the k best.

    `worst` and `place` are key, code and place of the worst of k leaves. Returns the new `n_kept`, worst key, its code
    and place, and the log-probability of the leaf that is not kept.
    """
    pick, lowest = pick_of(real), real(-np.inf)

    @device
    def keep(log_proba, codes, row, n_kept, least, least_code, place, log, code):
        k, left = codes.shape[1], lowest
        if n_kept < k:
            place = n_kept
            n_kept += 1
        elif log > least or (log == least and code < least_code):
            left = least
        else:
            return n_kept, least, least_code, place, log
        if place % WARP == cuda.threadIdx.x % WARP:
            log_proba[row, place], codes[row, place] = log, code
        if n_kept == k:
            least, least_code, place = pick(log_proba, codes, row, k, -1)
        return n_kept, least, least_code, place, left

    return keep


def add_of(real):
    """``(keys, nodes, warp, size, width, slot, key, node)``: an inner node into the list, at `slot` if that is free.

    Of more than `width` the worst is dropped. Returns the new size and the key that is dropped.
    """
    pick, lowest = pick_of(real), real(-np.inf)

    @device
    def add(keys, nodes, warp, size, width, slot, key, node):
        dropped = lowest
        if slot < 0 and size < width:
            slot = size
            size += 1
        elif slot < 0:
            worst, worst_node, slot = pick(keys, nodes, warp, size, -1)
            if worst > key or (worst == key and worst_node < node):
                return size, key
            dropped = worst
        if slot % WARP == cuda.threadIdx.x % WARP:
            keys[warp, slot], nodes[warp, slot] = key, node
        return size, dropped

    return add


def remove_of(real):
    """``(keys, nodes, warp, size, slot)``: the last entry of a list takes the place of another."""
    warp_sum, integer_sum, zero = sum_of(real), sum_of(np.int64), real(0.0)

    @device
    def remove(keys, nodes, warp, size, slot):
        lane, last = cuda.threadIdx.x % WARP, size - 1
        key, node = zero, np.int64(0)
        if last % WARP == lane:
            key, node = keys[warp, last], nodes[warp, last]
        key, node = warp_sum(key, WARP), integer_sum(node, WARP)
        if slot % WARP == lane:
            keys[warp, slot], nodes[warp, slot] = key, node
        return last

    return remove


@compiled(
    ROWS_AND_TREE
    + ", int64[::1], int64, real[:, ::1], int64[:, ::1], real[:, ::1], int64[:, ::1], real[:, ::1], real[::1]",
    most_threads=256,
)
def search(real):
    """The k best leaves of each row, in no order, and the bound; lists and `logs` have a row for each warp."""
    warp_max, integer_max = max_of(real), max_of(np.int64)
    score, scores, binary_branch, branches = score_of(real), scores_of(real), binary_branch_of(real), branches_of(real)
    pick, keep, add, remove = pick_of(real), keep_of(real), add_of(real), remove_of(real)
    zero, lowest = real(0.0), real(-np.inf)

    @device
    def next_child(pending, log, c):
        """The most probable of the children that lanes still have, the first of equal ones; NONE if there is none."""
        top = warp_max(log if pending else lowest, WARP)
        return top, -integer_max(-c if pending and log == top else np.int64(NONE), WARP)

    @jit
    def search(
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
        class_of,
        width,
        keys,
        nodes,
        logs,
        codes,
        log_proba,
        bound,
    ):
        lane = cuda.threadIdx.x % WARP
        warp, n_warps = cuda.grid(1) // WARP, cuda.gridsize(1) // WARP
        for row in range(warp, bound.size, n_warps):
            first, last = starts[row], starts[row + 1]
            size, n_kept, dropped = np.int64(0), np.int64(0), lowest
            least, least_code, place = lowest, np.int64(0), np.int64(0)
            if first_child[0] == first_child[1]:
                n_kept, least, least_code, place, _ = keep(
                    log_proba, codes, row, n_kept, least, least_code, place, zero, class_of[0]
                )
            else:
                size, _ = add(keys, nodes, warp, size, width, np.int64(-1), zero, np.int64(0))
            while size > 0:
                above, node, slot = pick(keys, nodes, warp, size, 1)
                if not above >= least:
                    break
                begin, n_children, r = first_child[node], first_child[node + 1] - first_child[node], first_score[node]
                z = zero
                if n_children == 2:
                    z = score(values, columns, first, last, n_features, indptr, indices, data, intercept, r)
                elif n_children > 2:
                    scores(
                        *(values, columns, first, last, n_features, indptr, indices, data, intercept),
                        *(r, n_children, logs, warp),
                    )
                    branches(n_children, logs, warp)
                for base in range(0, n_children, WARP):
                    c, log = np.int64(base + lane), zero
                    if n_children == 2:
                        log = binary_branch(z, c == 1)
                    elif n_children > 2 and c < n_children:
                        log = logs[warp, c]
                    log += above
                    pending = c < n_children
                    while True:
                        top, chosen = next_child(pending, log, c)
                        if chosen == -NONE:
                            break
                        if top < least:  # and so are the others
                            dropped = max(dropped, top)
                            break
                        pending = pending and c != chosen
                        child, left = begin + chosen, lowest
                        if first_child[child] == first_child[child + 1]:
                            n_kept, least, least_code, place, left = keep(
                                log_proba, codes, row, n_kept, least, least_code, place, top, class_of[child]
                            )
                        else:
                            size, left = add(keys, nodes, warp, size, width, slot, top, child)
                            slot = np.int64(-1)
                        dropped = max(dropped, left)
                if slot >= 0:
                    size = remove(keys, nodes, warp, size, slot)
            if size > 0:
                dropped = max(dropped, pick(keys, nodes, warp, size, 1)[0])
            if lane == 0:
                bound[row] = dropped

    return search


@tree_search.best_leaves.implement("cuda")
def best_leaves(*arguments, k, width=0):
    *arguments, class_of = arguments
    arrays = walk_arrays(*arguments)
    n_rows, real, first_child = len(arrays[2]) - 1, arrays[0].dtype, arrays[5]
    n_inner, most = max(int((xp.diff(first_child) > 0).sum()), 1), widest(first_child)
    width = min(width or n_inner, n_inner)
    blocks, threads = warp_grid(n_rows)
    room = SCRATCH // ((16 * width + 8 * most) * (threads // WARP))
    grid = min(blocks, max(room, 1)), threads
    n_warps = warps_of(grid)
    lists = xp.empty((n_warps, width), real), xp.empty((n_warps, width), np.int64), xp.empty((n_warps, most), real)
    codes, log_proba = xp.empty((n_rows, k), np.int64), xp.empty((n_rows, k), real)
    bound = xp.empty(n_rows, real)
    search.launch(real, grid, (*arrays, contiguous(class_of, np.int64), width, *lists, codes, log_proba, bound))
    rows = xp.arange(n_rows * k) // k
    keys = codes.ravel(), -log_proba.ravel(), rows  # of one type for the sort, in which no two rows are the same
    order = xp.lexsort(xp.stack([key.astype(np.float64) for key in keys]))
    return codes.ravel()[order].reshape(n_rows, k), log_proba.ravel()[order].reshape(n_rows, k), bound
