"""The most uncertain rows on a device: a kernel scores the rows, the array library selects among the scores.

Largest entries are exact. An entropy of float64 is counted in steps of a grid, as the contract has it, so that ties are
ties. One of float32 only tells which rows may be among the best: those are scored again in float64, and are few where
there are few ties.
"""

import math

import numpy as np

from sksoft.kernels import uncertainty
from sksoft.kernels._cuda._api import cuda, jit, xp
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.elementary import fabs, log
from sksoft.kernels._cuda.layout import contiguous
from sksoft.kernels._cuda.pieces import pieces
from sksoft.kernels._cuda.row_teams import aligned, teams
from sksoft.kernels._cuda.warps import compensated, corrected, max_of, numba_type, sum_of
from sksoft.kernels.uncertainty import ENTROPY, LEAST_CONFIDENCE, MARGIN, ROW_SUM_TOLERANCE, entropy_grid

# Bound of the error of a float32 entropy, relative to 1 + ln K: an ulp of a logarithm and one of a product a term, and
# compensated sums.
FLOAT32_ERROR = 1e-6


@compiled(
    "real[::1], int64, real, real, int64, int64, int64, real[::1], real[::1], int64[::1], boolean[::1]",
    tuple((whole_block, quads) for whole_block in (False, True) for quads in (False, True)),
    wide=lambda whole_block, quads: quads,
)
def summaries(real, whole_block, quads):
    """Largest entries, and as `kind` wants second largest ones or entropies; whether rows are distributions.

    In float64 an entropy is rounded to steps of a grid, whose inverse is `steps_in_one`, by adding `magic`.
    """
    row_max, row_sum = max_of(real, whole_block=whole_block), sum_of(real, whole_block=whole_block)
    count = sum_of(np.int64, whole_block=whole_block)
    (size, take, _), kind_of_cells, counted = pieces(real, quads), numba_type(real), real is np.float64
    zero, one, lowest, tolerance = real(0.0), real(1.0), real(-np.inf), real(ROW_SUM_TOLERANCE)

    @jit
    def summaries(proba, kind, steps_in_one, magic, width, n, n_classes, largest, second, steps, valid):
        cells = cuda.local.array(size, kind_of_cells)
        lane, own = cuda.threadIdx.x % width, cuda.threadIdx.x // width
        in_block = cuda.blockDim.x // width
        first = cuda.blockIdx.x * in_block
        while first < n:
            row = first + own
            begin, last = row * n_classes, n_classes if row < n else 0
            a, b, total, excess, entropy, entropy_excess = lowest, lowest, zero, zero, zero, zero
            n_steps, n_odd = np.int64(0), np.int64(0)
            for k in range(size * lane, last, size * width):
                take(proba, begin + k, cells, 0)
                for i in range(size):
                    p = cells[i]
                    total, excess = compensated(total, excess, p)
                    if not p >= zero:
                        n_odd += 1
                    if p > a:
                        a, b = p, a
                    elif p > b:
                        b = p
                    if kind == ENTROPY and p > zero:
                        term = p * log(p)
                        if counted:
                            n_steps += np.int64((term * steps_in_one + magic) - magic)
                        else:
                            entropy, entropy_excess = compensated(entropy, entropy_excess, term)
            total, n_odd = row_sum(corrected(total, excess), width), count(n_odd, width)
            top = row_max(a, width)
            runner_up = top
            if kind == MARGIN:
                # the second largest is a largest of another lane, or the second of the only lane that has the largest
                holders = count(np.int64(1 if a == top else 0), width)
                runner_up = row_max(b if a == top else a, width)
                runner_up = top if holders > 1 else runner_up
            elif kind == ENTROPY and counted:
                n_steps = count(n_steps, width)
            elif kind == ENTROPY:
                runner_up = zero - row_sum(corrected(entropy, entropy_excess), width)
            if lane == 0 and row < n:
                largest[row] = top
                second[row] = runner_up
                steps[row] = n_steps
                valid[row] = n_odd == 0 and fabs(total - one) <= tolerance
            first += cuda.gridDim.x * in_block

    return summaries


def _summaries(proba, kind: int):
    """Largest, second (n,), steps (n,) and valid (n,) of a contiguous matrix."""
    (n, n_classes), dtype, quads = proba.shape, proba.dtype, aligned(proba)
    steps_in_one = 1.0 / entropy_grid(n_classes) if dtype == np.float64 else 1.0
    results = xp.empty(n, dtype), xp.empty(n, dtype), xp.empty(n, np.int64), xp.empty(n, bool)
    grid = teams(n, n_classes, 4 * (16 // dtype.itemsize) if quads else 4)
    numbers = kind, steps_in_one, 1.5 * 2.0**52, grid.width, n, n_classes
    summaries.launch(dtype, grid, (proba.reshape(-1), *numbers, *results), variant=(grid.whole_block, quads))
    return results


def _candidates(scores, n_rows: int, error: float):
    """Indices of all rows that may be among the `n_rows` highest scores, which are off by at most `error`."""
    n = len(scores)
    if n_rows >= n:
        return xp.arange(n)
    return xp.flatnonzero(scores >= xp.partition(scores, n - n_rows)[n - n_rows] - 2.0 * error)


@uncertainty.most_uncertain_rows.implement("cuda")
def most_uncertain_rows(proba, *, n_rows, kind):
    proba = contiguous(proba)
    n_classes = proba.shape[1]
    largest, second, steps, valid = _summaries(proba, kind)
    if not bool(valid.all()):
        return xp.empty(0, np.intp), xp.empty(0), int(xp.flatnonzero(~valid)[0])
    scores, error = second.astype(np.float64), 0.0
    if kind == LEAST_CONFIDENCE:
        scores = 1.0 - largest.astype(np.float64)
    elif kind == MARGIN:
        scores = 1.0 - (largest.astype(np.float64) - scores)
    elif proba.dtype == np.float64:
        scores = 0.0 - steps * entropy_grid(n_classes)
    else:
        error = FLOAT32_ERROR * (1.0 + math.log(n_classes))
    rows = _candidates(scores, n_rows, error)
    scores = scores[rows]
    if error > 0.0:
        scores = 0.0 - _summaries(proba[rows].astype(np.float64), kind)[2] * entropy_grid(n_classes)
    best = xp.lexsort(xp.stack([rows.astype(np.float64), -scores]))[:n_rows]
    return rows[best].astype(np.intp), scores[best], -1
