"""Products with the rows of one node, by a block: scores X W + b, and sums over rows Xᵀ U.

A *problem* is how a block sees its node, a tuple of two:

rows
    ``values, local, indptr`` in the order of the rows, `local` the place of each entry among the node's features from
    `first_local` on; ``column_values, column_rows, column_start, column_stop`` in the order of the columns, whose
    pieces of this node begin at `first_column`; ``long, first_long`` the columns that the whole block sums
    (``row_columns``). Dense rows, (n, a), have values alone.
shape
    ``n, n_all, a, q, start, first_local, first_column, node, width, column_width, is_dense``: rows, rows and
    pseudo-observations, features, scores; the node's first row; which of the nodes of `first_long` it is; lanes that
    share a row, and a column.

Matrices are in one vector, `work`: scores and what is like them (n_all, q) by rows, parameters by scores: q × a
coefficients, then q intercepts. Every function ends when all threads of the block have, and all must come.
"""

from functools import cache

import numpy as np

from sksoft.kernels._cuda._api import SIMULATED, WARP, cuda, device
from sksoft.kernels._cuda.block_sums import block_sum_of
from sksoft.kernels._cuda.warps import WARPS, numba_type, sum_of

# Threads of a block: as many as may have 255 registers each.
THREADS = 2 * WARP if SIMULATED else 256
# Entries of a column from which the whole block adds them up.
LONG = 8 * THREADS


@cache
def score_of(real):
    """``(problem, work, theta, z)``: the scores at `theta` of all rows, pseudo-observations last."""
    team_sum, zero = sum_of(real), real(0.0)

    @device
    def score(problem, work, theta, z):
        values, local, indptr = problem[0][0], problem[0][1], problem[0][2]
        n, n_all, a, q, start, first_local, _, _, width, _, is_dense = problem[1]
        lane, own, in_block = cuda.threadIdx.x % width, cuda.threadIdx.x // width, cuda.blockDim.x // width
        shift = first_local - indptr[start]
        for base in range(0, n_all, in_block):
            i, first, last = base + own, np.int64(0), np.int64(0)
            if i < n:
                first, last = indptr[start + i], indptr[start + i + 1]
            for c in range(q):
                total = zero
                for e in range(first + lane, last, width):
                    k = e - first if is_dense else np.int64(local[shift + e])
                    total += values[e] * work[theta + c * a + k]
                total = team_sum(total, width)
                if lane == 0 and i < n_all:
                    work[z + i * q + c] = total + work[theta + q * a + c]
        cuda.syncthreads()

    return score


@cache
def add_columns_of(real):
    """``(problem, work, u, squared, total)``: ``total += Xᵀ U``, or of squares of X, with 1 for the intercepts."""
    team_sum, block_sum, zero, kind = sum_of(real), block_sum_of(real), real(0.0), numba_type(real)

    @device
    def add_dense(problem, work, u, squared, total):
        """Lanes take neighbouring columns, teams every so many rows; then the teams' parts are added up."""
        values, first = problem[0][0], problem[0][2][problem[1][4]]
        n, _, a, q, _, _, _, _, width, _, _ = problem[1]
        parts = cuda.shared.array(0, kind)
        lane, own, in_block = cuda.threadIdx.x % width, cuda.threadIdx.x // width, cuda.blockDim.x // width
        for tile in range(0, a, width):
            k = tile + lane
            for c in range(q):
                part = zero
                for i in range(own, n if k < a else 0, in_block):
                    x = values[first + i * a + k]
                    part += (x * x if squared else x) * work[u + i * q + c]
                parts[WARPS + cuda.threadIdx.x] = part
                cuda.syncthreads()
                if own == 0 and k < a:
                    for team in range(1, in_block):
                        part += parts[WARPS + team * width + lane]
                    work[total + c * a + k] += part
                cuda.syncthreads()

    @device
    def piece(problem, work, u, squared, k, c, thread, step):
        """What every so many-th entry of a column adds."""
        rows, shape = problem
        _, _, _, column_values, column_rows, column_start, column_stop, _, _ = rows
        part, q, at = zero, shape[3], shape[6] + k
        for e in range(column_start[at] + thread, column_stop[at], step):
            x = column_values[e]
            part += (x * x if squared else x) * work[u + (column_rows[e] - shape[4]) * q + c]
        return part

    @device
    def add_sparse(problem, work, u, squared, total):
        rows, shape = problem
        column_start, column_stop, long, first_long = rows[5], rows[6], rows[7], rows[8]
        a, q, first_column, node, width = shape[2], shape[3], shape[6], shape[7], shape[9]
        lane, own, in_block = cuda.threadIdx.x % width, cuda.threadIdx.x // width, cuda.blockDim.x // width
        for base in range(0, a, in_block):
            k = base + own
            is_mine = False
            if k < a:
                is_mine = column_stop[first_column + k] - column_start[first_column + k] <= LONG
            for c in range(q):
                part = team_sum(piece(problem, work, u, squared, k, c, lane, width) if is_mine else zero, width)
                if lane == 0 and is_mine:
                    work[total + c * a + k] += part
        for number in range(first_long[node], first_long[node + 1]):
            for c in range(q):
                part = block_sum(piece(problem, work, u, squared, long[number], c, cuda.threadIdx.x, cuda.blockDim.x))
                if cuda.threadIdx.x == 0:
                    work[total + c * a + long[number]] += part

    @device
    def add_columns(problem, work, u, squared, total):
        _, n_all, a, q, _, _, _, _, _, _, is_dense = problem[1]
        if is_dense:
            add_dense(problem, work, u, squared, total)
        else:
            add_sparse(problem, work, u, squared, total)
        for c in range(q):
            part = zero
            for i in range(cuda.threadIdx.x, n_all, cuda.blockDim.x):
                part += work[u + i * q + c]
            part = block_sum(part)
            if cuda.threadIdx.x == 0:
                work[total + q * a + c] += part
        cuda.syncthreads()

    return add_columns
