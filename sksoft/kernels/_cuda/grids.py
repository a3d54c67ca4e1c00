"""Residuals on a grid, on a device: a thread takes a row at a time and adds its two shares as integers.

The integers are of fixed point (``fixed_point``). A small grid is summed in shared memory by every block, a large one
in global memory, where its cells are many enough that threads seldom meet. The contract's results are those of float64
arithmetic on scores of either precision: scores are taken to float64 first, and the kernel is the float64 one.
"""

import numpy as np
from numba import types

from sksoft.kernels import grids
from sksoft.kernels._cuda._api import cuda, jit, xp
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.fixed_point import add_of, add_to_word, largest, scale_of, totals
from sksoft.kernels._cuda.layout import contiguous
from sksoft.kernels._cuda.private_cells import add_to_own, cells, clear, gather


# private
@compiled(
    "real[::1], boolean[::1], real[::1], int64, real, real, int64[::1], int64[::1]",
    ((False,), (True,)),
)
def residuals_to_nodes(real, private):
    """Add w (hit − score) to the nodes around each score, in shares; all weights are 1 where `weights` is empty."""
    add = add_of(real, add_to_own if private else add_to_word)
    zero, one = real(0.0), real(1.0)

    @jit
    def residuals_to_nodes(scores, hits, weights, copies, up, step, words, marks):
        n_nodes = marks.size
        own = cuda.shared.array(0, types.uint32)
        if private:
            clear(own)
        copy, n_cells = cuda.threadIdx.x % copies, n_nodes - 1
        for row in range(cuda.grid(1), scores.size, cuda.gridsize(1)):
            residual = (one if hits[row] else zero) - scores[row]
            if weights.size > 0:
                residual *= weights[row]
            place = scores[row] * real(n_cells)
            node = max(min(np.int64(place), n_cells - 1), 0)
            right = (place - real(node)) * residual
            left = residual - right
            if private:
                at, stride = node * copies + copy, n_nodes * copies
                add(own, at, at + stride, left, up, step, marks, node, 0)
                add(own, at + copies, at + copies + stride, right, up, step, marks, node + 1, 0)
            else:
                add(words, node, node + n_nodes, left, up, step, marks, node, 0)
                add(words, node + 1, node + 1 + n_nodes, right, up, step, marks, node + 1, 0)
        if private:
            gather(own, copies, n_nodes, 2, words, n_nodes, 0)

    return residuals_to_nodes


@grids.residual_grid.implement("cuda")
def residual_grid(scores, hits, *, n_cells, weights=None):
    n, n_nodes = len(scores), n_cells + 1
    heaviest = 1.0 if weights is None else largest(weights)
    scale = scale_of(2.0 * heaviest, 2 * n, np.float64)
    words, marks = xp.zeros(2 * n_nodes, np.int64), xp.zeros(n_nodes, np.int64)
    weights = xp.empty(0, np.float64) if weights is None else contiguous(weights, np.float64)
    grid = cells(words.size, n)
    residuals_to_nodes.launch(
        np.float64,
        grid,
        (
            contiguous(scores, np.float64),
            contiguous(hits, bool),
            weights,
            grid.copies,
            scale.up,
            scale.step,
            words,
            marks,
        ),
        variant=(grid.private,),
        shared_bytes=grid.shared_bytes,
    )
    return totals(words[:n_nodes], words[n_nodes:], scale, marks)
