"""Linear algebra of problems side by side on a device.

* ``gram_columns``: sums over rows as ``column_sums`` says; a block makes those of 4 × 4 pairs of directions, all in
  registers, from one look at its rows, and its sums of float32 numbers are as good as float64 ones (``compensated``).
* ``advance_columns``: a thread for each entry.
* ``csr_times_dense``: a warp for a row, or a block where rows are long: lanes side by side along the columns, and
  where columns are few in phases that share the row's entries.
"""

import numpy as np

from sksoft.kernels import columns
from sksoft.kernels._cuda._api import BLOCK, SIMULATED, TEAM, WARP, cuda, jit, max_blocks, xp
from sksoft.kernels._cuda.column_sums import column_sums, merge_of
from sksoft.kernels._cuda.compensated import add_of, add_product_of, product_of, settled
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.layout import contiguous, delivered, result
from sksoft.kernels._cuda.warps import numba_type, sum_of

# Directions of a tile, whose pairs with those of another a block sums; and its sums: of residuals, and of pairs.
SIDE = 4
SUMS = SIDE + SIDE * SIDE
# Mean entries of a row from which it is a block's.
LONG = 8 * WARP if SIMULATED else 1024
MOST_THREADS = 1024


@compiled(
    "real[:, :, ::1], real[:, ::1], real[:, ::1], int64[:, ::1], int64, int64, real[:, :, :, :, ::1]", most_threads=256
)
def gram_sums(real):
    """Sums over a block's rows, as pairs: those of residual · u_j, then of curvature · u_j · u_k, of two tiles."""
    merge, add_product, product, kind = merge_of(real), add_product_of(real), product_of(real), numba_type(real)
    zero = real(0.0)

    @jit
    def gram_sums(stack, residual, curvature, tiles, width, rows_of_block, parts):
        totals, lows = cuda.local.array(SUMS, kind), cuda.local.array(SUMS, kind)
        n_directions, n, n_problems = stack.shape
        pair, block = cuda.blockIdx.x % len(tiles), cuda.blockIdx.x // len(tiles)
        first_j, first_k = tiles[pair, 0], tiles[pair, 1]
        begin = block * rows_of_block
        end = min(begin + rows_of_block, n)
        phase, phases = cuda.threadIdx.x // width, cuda.blockDim.x // width
        for first in range(0, n_problems, width):
            column = first + cuda.threadIdx.x % width
            for q in range(SUMS):
                totals[q] = zero
                lows[q] = zero
            for i in range(begin + phase, end if column < n_problems else begin, phases):
                slope, bend = residual[i, column], curvature[i, column]
                for a in range(SIDE):
                    u = stack[first_j + a, i, column] if first_j + a < n_directions else zero
                    totals[a], lows[a] = add_product(totals[a], lows[a], slope, zero, u)
                    weighted, rest = product(bend, u)
                    for b in range(SIDE):
                        other = stack[first_k + b, i, column] if first_k + b < n_directions else zero
                        q = SIDE + SIDE * a + b
                        totals[q], lows[q] = add_product(totals[q], lows[q], weighted, rest, other)
            for q in range(SUMS):
                total, low = merge(totals[q], lows[q], width)
                if phase == 0 and column < n_problems:
                    parts[block, pair, q, 0, column] = total
                    parts[block, pair, q, 1, column] = low if low == low else zero

    return gram_sums


@columns.gram_columns.implement("cuda")
def gram_columns(stack, residual, curvature):
    n_directions, n_rows, n_problems = stack.shape
    n_tiles = -(-n_directions // SIDE)
    pairs = [(SIDE * j, SIDE * k) for j in range(n_tiles) for k in range(j + 1)]
    tiles = xp.asarray(np.array(pairs, np.int64).reshape(-1, 2))
    grid = column_sums(n_rows, n_problems, BLOCK)  # a thread has too many sums for larger blocks
    parts = xp.empty((grid.blocks, len(pairs), SUMS, 2, n_problems), stack.dtype)
    stack, residual, curvature = contiguous(stack), contiguous(residual), contiguous(curvature)
    gram_sums.launch(
        stack.dtype,
        (grid.blocks * len(pairs), grid.threads),
        (stack, residual, curvature, tiles, grid.width, grid.rows, parts),
    )
    sums = parts.sum(axis=0, dtype=np.float64).sum(axis=2)
    slopes = xp.empty((n_problems, n_directions))
    grams = xp.zeros((n_problems, n_directions, n_directions))
    for (first_j, first_k), found in zip(pairs, sums):
        n_j, n_k = min(SIDE, n_directions - first_j), min(SIDE, n_directions - first_k)
        square = found[SIDE:].reshape(SIDE, SIDE, n_problems).transpose(2, 0, 1)
        slopes[:, first_j : first_j + n_j] = found[:n_j].T
        grams[:, first_j : first_j + n_j, first_k : first_k + n_k] = square[:, :n_j, :n_k]
    # either side of a diagonal tile rounds in its own order: only the lower one is taken
    return slopes, xp.tril(grams) + xp.tril(grams, -1).transpose(0, 2, 1)


@compiled("real[:, :, ::1], real[:, ::1], real[:, ::1], real[:, ::1]")
def advance(real):
    """``step = Σ_k lengths_k · u_k`` and ``state += step``; `lengths` is (K, L)."""
    zero = real(0.0)

    @jit
    def advance(stack, lengths, step, state):
        n, n_problems = state.shape
        for cell in range(cuda.grid(1), n * n_problems, cuda.gridsize(1)):
            i, column = cell // n_problems, cell % n_problems
            total = zero
            for k in range(stack.shape[0]):
                total += lengths[k, column] * stack[k, i, column]
            step[i, column] = total
            state[i, column] += total

    return advance


@columns.advance_columns.implement("cuda", writes=("step", "state"))
def advance_columns(stack, lengths, *, step, state):
    directions, by_direction = contiguous(stack), contiguous(lengths.T, stack.dtype)
    taken, reached = result(step.shape, stack.dtype, step), contiguous(state)
    blocks = min(-(-state.size // BLOCK), max_blocks())
    advance.launch(stack.dtype, (blocks, BLOCK), (directions, by_direction, taken, reached))
    delivered(taken, step)
    return delivered(reached, state)


@compiled("real[::1], int32[::1], int64[::1], real[:, ::1], int64, real[:, ::1]", ((False,), (True,)))
def csr_product(real, whole_block):
    """A row of A @ dense by a warp, or by a block; `phases` lanes of a warp share the entries for a column."""
    row_sum, add, kind, zero = sum_of(real), add_of(real), numba_type(real), real(0.0)

    @jit
    def csr_product(values, indices, indptr, dense, phases, out):
        cells = cuda.shared.array(MOST_THREADS, kind)
        n, n_columns = out.shape
        lane, warp, warps = cuda.threadIdx.x % WARP, cuda.threadIdx.x // WARP, cuda.blockDim.x // WARP
        width, side, phase = WARP // phases, lane // phases, lane % phases
        shared = warps if whole_block else 1
        own = 0 if whole_block else warp
        offset = phases * warp if whole_block else 0
        rows_of_block = 1 if whole_block else warps
        for row in range(cuda.blockIdx.x * rows_of_block + own, n, cuda.gridDim.x * rows_of_block):
            begin, end = indptr[row] + offset + phase, indptr[row + 1]
            for first in range(0, n_columns, width):
                column = first + side
                total, low = zero, zero
                for e in range(begin, end if column < n_columns else begin, phases * shared):
                    total, low = add(total, low, values[e] * dense[indices[e], column])
                total = row_sum(settled(total, low), phases)
                if whole_block:
                    if phase == 0:
                        cells[warp * WARP + side] = total
                    cuda.syncthreads()
                    total = cells[side]
                    for other in range(1, warps):
                        total += cells[other * WARP + side]
                    cuda.syncthreads()
                if warp == own and phase == 0 and column < n_columns:
                    out[row, column] = total

    return csr_product


def product(values, indices, indptr, dense, out):
    """``out = A @ dense``, both in C order."""
    n_rows, n_columns = out.shape
    phases = WARP
    while phases > 1 and phases * n_columns > WARP:
        phases //= 2
    whole_block = len(values) >= LONG * n_rows
    threads = TEAM if whole_block else BLOCK
    blocks = min(n_rows if whole_block else -(-n_rows * WARP // threads), max_blocks())
    csr_product.launch(
        out.dtype,
        (blocks if n_columns else 0, threads),
        (contiguous(values), contiguous(indices, np.int32), contiguous(indptr, np.int64), dense, phases, out),
        variant=(whole_block,),
    )
    return out


@columns.csr_times_dense.implement("cuda", writes=("out",))
def csr_times_dense(values, indices, indptr, dense, *, out):
    return delivered(product(values, indices, indptr, contiguous(dense), result(out.shape, out.dtype, out)), out)
