"""The sums of a temperature on a device: a team of lanes for a short row, a block for a long one (``row_teams``).

The contract's sums are those of float64 arithmetic on scores of either precision, to 10⁻¹², and its units reach beyond
float32: float32 scores are read as they are by a kernel that computes in float64. A row costs one read of the device's
memory, for the second look at it finds it in a cache. A team keeps the sums over its rows, a block adds up those of
its teams, and ``xp`` those of the blocks.
"""

import numpy as np

from sksoft.kernels import temperature
from sksoft.kernels._cuda._api import cuda, device, jit, xp
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.elementary import exp, log
from sksoft.kernels._cuda.layout import contiguous
from sksoft.kernels._cuda.row_extremes import row_extremes
from sksoft.kernels._cuda.row_teams import teams
from sksoft.kernels._cuda.warps import max_of, sum_of

# whole_block
VARIANTS = ((False,), (True,))


def _moments(real, whole_block):
    """Σ w·loss, Σ w·slope and Σ w·curvature over the rows of every block, (3, blocks)."""
    block_sum = sum_of(real, whole_block=True)
    row_max, row_sum = max_of(real, whole_block=whole_block), sum_of(real, whole_block=whole_block)
    zero, half, lowest = real(0.0), real(0.5), real(-np.inf)
    farthest = real(-min(temperature.FARTHEST, float(np.finfo(real).max)))

    @device
    def below(score, top, twice):
        distance = (half * real(score) - half * top) * twice
        return distance if distance > farthest else farthest

    @jit
    def moments(scores, codes, weights, beta, twice, width, out):
        n, n_classes = scores.shape
        lane, in_block = cuda.threadIdx.x % width, cuda.blockDim.x // width
        loss, slope, curvature = zero, zero, zero
        for first in range(cuda.blockIdx.x * in_block, n, cuda.gridDim.x * in_block):
            row = first + cuda.threadIdx.x // width
            last = n_classes if row < n else 0
            top = lowest
            for k in range(lane, last, width):
                top = max(top, real(scores[row, k]))
            top = row_max(top, width)
            total, sum_1, sum_2 = zero, zero, zero
            for k in range(lane, last, width):
                d = below(scores[row, k], top, twice)
                e = exp(beta * d)
                total += e
                sum_1 += e * d
                sum_2 += e * d * d
            total, sum_1, sum_2 = row_sum(total, width), row_sum(sum_1, width), row_sum(sum_2, width)
            if lane == 0 and row < n:
                d, mean = below(scores[row, codes[row]], top, twice), sum_1 / total
                loss += weights[row] * (log(total) - beta * d)
                slope += weights[row] * (mean - d)
                curvature += weights[row] * (sum_2 / total - mean * mean)
        loss, slope = block_sum(loss, cuda.blockDim.x), block_sum(slope, cuda.blockDim.x)
        curvature = block_sum(curvature, cuda.blockDim.x)
        if cuda.threadIdx.x == 0:
            out[0, cuda.blockIdx.x] = loss
            out[1, cuda.blockIdx.x] = slope
            out[2, cuda.blockIdx.x] = curvature

    return moments


@compiled("real[:, ::1], int64[::1], real[::1], real, real, int64, real[:, ::1]", VARIANTS)
def moments(real, whole_block):
    return _moments(real, whole_block)


@compiled("float32[:, ::1], int64[::1], real[::1], real, real, int64, real[:, ::1]", VARIANTS)
def moments_of_float32(real, whole_block):
    return _moments(real, whole_block)


@temperature.row_ranges.implement("cuda")
def row_ranges(scores, codes):
    _, top, bottom, _ = row_extremes(scores, totals=False)
    own = xp.take_along_axis(scores, codes[:, None], axis=1)[:, 0]
    return top.astype(np.float64), bottom.astype(np.float64), own.astype(np.float64)


@temperature.temperature_sums.implement("cuda")
def temperature_sums(scores, codes, weights, *, beta, inverse_unit):
    grid = teams(*scores.shape)
    parts = xp.empty((3, grid.blocks))
    codes, weights = contiguous(codes, np.int64), contiguous(weights, np.float64)
    kernel = moments_of_float32 if scores.dtype == np.float32 else moments
    arguments = contiguous(scores), codes, weights, beta, 2.0 * inverse_unit, grid.width, parts
    kernel.launch(np.float64, grid, arguments, variant=(grid.whole_block,))
    return parts.sum(axis=1)
