"""Of every row the largest entry and where it stands first, the smallest, and the sum, in one pass over the scores."""

from itertools import product

import numpy as np

from sksoft.kernels._cuda._api import cuda, jit, xp
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.elementary import fabs
from sksoft.kernels._cuda.layout import contiguous
from sksoft.kernels._cuda.row_teams import teams
from sksoft.kernels._cuda.warps import max_of, sum_of

# Of float32 entries, whose sum is to be a float64, this share is added up: no sum of 10⁶ of them is too large.
SHARE = {np.float32: 2.0**-20, np.float64: 1.0}


# whole_block, totals
@compiled(
    "real[:, ::1], int64, int64[::1], real[::1], real[::1], real[::1], real[::1]",
    tuple(product((False, True), repeat=2)),
)
def extremes(real, whole_block, totals):
    """`codes`, `highest` and `lowest` of rows, and their sums, with what each lane has rounded off in `rests`.

    A lane keeps the first of its own largest entries; that of the row is the smallest position among the lanes whose
    entry is the row's largest, where NaN counts as larger than any number.
    """
    row_max, row_sum = max_of(real, whole_block=whole_block), sum_of(real, whole_block=whole_block)
    position_max = max_of(np.int64, whole_block=whole_block)
    zero, infinity, share = real(0.0), real(np.inf), real(SHARE[real])

    @jit
    def extremes(scores, width, codes, highest, lowest, sums, rests):
        n, n_classes = scores.shape
        lane, own = cuda.threadIdx.x % width, cuda.threadIdx.x // width
        in_block = cuda.blockDim.x // width
        for first in range(cuda.blockIdx.x * in_block, n, cuda.gridDim.x * in_block):
            row = first + own
            last = n_classes if row < n else 0
            top, bottom, total, rest = -infinity, infinity, zero, zero
            place = np.int64(n_classes)
            for k in range(lane, last, width):
                score = scores[row, k]
                if place == n_classes or (top == top and not score <= top):
                    top, place = score, np.int64(k)
                if bottom == bottom and not score >= bottom:
                    bottom = score
                if totals:
                    part = share * score
                    added = total + part
                    if fabs(total) >= fabs(part):
                        rest += (total - added) + part
                    else:
                        rest += (part - added) + total
                    total = added
            top_of_row = row_max(top, width)
            if not (top == top_of_row or top != top):
                place = np.int64(n_classes)
            place = -position_max(-place, width)
            bottom = -row_max(-bottom, width)
            if totals:
                total, rest = row_sum(total, width), row_sum(rest, width)
            if lane == 0 and row < n:
                codes[row] = place
                highest[row] = top_of_row
                lowest[row] = bottom
                if totals:
                    sums[row] = total
                    rests[row] = rest

    return extremes


def row_extremes(scores, *, totals: bool):
    """Positions (n,) int64, largest, smallest, (n,) of the dtype of `scores`, and sums (n,) float64 where asked for."""
    n, n_classes = scores.shape
    real = scores.dtype.type
    codes = xp.empty(n, np.int64)
    highest, lowest = xp.empty(n, scores.dtype), xp.empty(n, scores.dtype)
    sums, rests = (xp.empty(n if totals else 0, scores.dtype) for _ in range(2))
    grid = teams(n, n_classes)
    extremes.launch(
        scores.dtype,
        grid,
        (contiguous(scores), grid.width, codes, highest, lowest, sums, rests),
        variant=(grid.whole_block, totals),
    )
    sums = sums.astype(np.float64)
    with np.errstate(invalid="ignore"):
        sums = xp.where(xp.isfinite(sums), sums + rests, sums) / SHARE[real]
    return codes, highest, lowest, sums
