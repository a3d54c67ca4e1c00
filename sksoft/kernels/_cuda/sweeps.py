"""Sweeps of scores on a device: dense products by the library, what is between them by kernels of ours.

``softmax_hessian_sweep`` is two matrix products around the Jacobian of the rows, and does not look at tiles. The sums
of the diagonal sweeps are shared as ``column_sums`` says: for a tile of rows teams of lanes find the means, then every
thread goes down a column of the tile, which is in a cache by then.
"""

import numpy as np

from sksoft.kernels import sweeps
from sksoft.kernels._cuda._api import WARP, cuda, device, jit, xp
from sksoft.kernels._cuda.column_sums import MOST_ROWS, column_sums, merge_of
from sksoft.kernels._cuda.compensated import add_of, settled
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.layout import contiguous
from sksoft.kernels._cuda.rowwise import softmax_jvp_rows
from sksoft.kernels._cuda.warps import numba_type, sum_of


@sweeps.softmax_hessian_sweep.implement("cuda")
def softmax_hessian_sweep(rows, tiled, proba, weights, direction):
    u = xp.matmul(rows, direction.T)
    softmax_jvp_rows(proba, u, weights=weights, out=u)
    return xp.matmul(u.T, rows).astype(np.float64)


@compiled(
    "real[:, ::1], real[:, ::1], float64[::1], real[:, ::1], int64, int64, int64, int64, real[:, :, ::1]",
    ((False,), (True,)),
)
def diagonal_sums(real, curved):
    """Each block's Σ r ∘ x and Σ r, (2, K): r = w p ∘ (u − ⟨p, u⟩) if `curved`, where `other` is p; else `other`."""
    row_sum, merge, add = sum_of(real), merge_of(real), add_of(real)
    zero, kind = real(0.0), numba_type(real)

    @device
    def find_means(rows, proba, direction, start, stop, lanes, means):
        lane, own = cuda.threadIdx.x % lanes, cuda.threadIdx.x // lanes
        for first in range(start, stop, cuda.blockDim.x // lanes):
            row = first + own
            mean = zero
            for k in range(lane, rows.shape[1] if row < stop else 0, lanes):
                mean += proba[row, k] * (rows[row, k] * direction[0, k] + direction[1, k])
            mean = row_sum(mean, lanes)
            if lane == 0 and row < stop:
                means[row - start] = mean

    @device
    def residual(rows, other, weights, direction, row, k, mean):
        if not curved:
            return other[row, k]
        weight = real(weights[row])
        if weight == zero:
            return zero
        return weight * (other[row, k] * (rows[row, k] * direction[0, k] + direction[1, k] - mean))

    @jit
    def diagonal_sums(rows, other, weights, direction, lanes, width, tile, rows_of_block, parts):
        means = cuda.shared.array(MOST_ROWS, kind)
        n, n_classes = rows.shape
        begin = cuda.blockIdx.x * rows_of_block
        end = min(begin + rows_of_block, n)
        phase, phases = cuda.threadIdx.x // width, cuda.blockDim.x // width
        for first in range(0, n_classes, width):
            k = first + cuda.threadIdx.x % width
            product, product_low, alone, alone_low = zero, zero, zero, zero
            for start in range(begin, end, tile):
                stop = min(start + tile, end)
                if curved and first == 0:  # a block with several tiles has threads for all columns
                    find_means(rows, other, direction, start, stop, lanes, means)
                    cuda.syncthreads()
                for row in range(start + phase, stop if k < n_classes else start, phases):
                    r = residual(rows, other, weights, direction, row, k, means[row - start] if curved else zero)
                    product, product_low = add(product, product_low, r * rows[row, k])
                    alone, alone_low = add(alone, alone_low, r)
                if curved:
                    cuda.syncthreads()
            product, product_low = merge(product, product_low, width)
            alone, alone_low = merge(alone, alone_low, width)
            if phase == 0 and k < n_classes:
                parts[cuda.blockIdx.x, 0, k] = settled(product, product_low)
                parts[cuda.blockIdx.x, 1, k] = settled(alone, alone_low)

    return diagonal_sums


def _diagonal(rows, other, weights, direction, *, curved: bool):
    """The sums of all blocks, (K, 2)."""
    rows, other = contiguous(rows), contiguous(other)
    grid = column_sums(*rows.shape)
    parts = xp.empty((grid.blocks, 2, rows.shape[1]), rows.dtype)
    diagonal_sums.launch(
        rows.dtype,
        grid,
        (rows, other, weights, direction, min(grid.width, WARP), grid.width, grid.tile, grid.rows, parts),
        variant=(curved,),
    )
    return xp.ascontiguousarray(parts.sum(axis=0, dtype=np.float64).T)


@sweeps.diagonal_hessian_sweep.implement("cuda")
def diagonal_hessian_sweep(rows, proba, weights, direction):
    return _diagonal(rows, proba, contiguous(weights), contiguous(direction), curved=True)


@sweeps.diagonal_adjoint.implement("cuda")
def diagonal_adjoint(residual, rows):
    nothing = xp.empty(0, np.float64), xp.empty((2, 0), rows.dtype)
    return _diagonal(rows, residual, *nothing, curved=False)
