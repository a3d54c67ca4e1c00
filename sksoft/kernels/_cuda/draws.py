"""Resampled sums on a device, in integers: the draws are the reference's bit for bit, and so is what they multiply.

Rows lie in the order of their cells. A warp takes a piece of a cell and one resample: its lanes draw for the rows of
the piece in turn, add up how often each row counts, and that many times the row's number, which is two integers of
fixed point made once for all resamples (``fixed_point``); one lane adds the warp's sums to the cell of the resample.
The contract knows float64 only; the kernel does no floating-point arithmetic at all.
"""

import numpy as np

from sksoft.kernels import bins
from sksoft.kernels._cuda import _api
from sksoft.kernels._cuda._api import BLOCK, WARP, cuda, device, jit, xp
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.fixed_point import largest, marks_of, scale_of, totals, words_of
from sksoft.kernels._cuda.layout import contiguous
from sksoft.kernels._cuda.splitmix import STEP, mix
from sksoft.kernels._cuda.warps import sum_of

# Rows that a warp takes for one resample.
PIECE = 4 * BLOCK
# A draw is a multiple of 2⁻³².
DRAWS = 1.0 / bins.RESOLUTION
# Draws from which a row counts once, twice ...: u ≥ F(k) where the integer behind u is at least this.
POISSON = tuple(np.uint64(limit) for limit in np.ceil(bins.POISSON * DRAWS))


@device
def times_hit(draw, threshold):
    return np.int64(1) if draw < threshold else np.int64(0)


@device
def times_poisson(draw, threshold):
    times = np.int64(0)
    for limit in POISSON:
        if draw >= limit:
            times += 1
    return times


@device
def marks_drawn(marks, times):
    """Marks of a row's numbers times how often it counts: 0 · ∞ is NaN, both bits of its mark."""
    return marks if times > 0 else marks | ((marks & 5) << 1) | ((marks >> 1) & 5)


# poisson, pairs
@compiled(
    "uint64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], uint64[::1], int64[::1], "
    "int64[::1], int64[:, :, ::1], int64[:, ::1]",
    ((False, 0), (False, 1), (True, 1), (True, 2)),
)
def drawn_sums(real, poisson, pairs):
    """Words of Σ N in ``words[0]``, and of Σ N·number of `pairs` numbers, of which a row has two integers each.

    `n_pieces` has the pieces of the cells before each, and of all. Arrays for numbers that there are not are empty, as
    `row_marks` is where all are finite.
    """
    times_of, total = times_poisson if poisson else times_hit, sum_of(np.int64)

    @jit
    def drawn_sums(thresholds, high, low, high_2, low_2, row_marks, starts, states, cell_of, n_pieces, words, marks):
        lane, own = cuda.threadIdx.x % WARP, cuda.threadIdx.x // WARP
        warps = cuda.blockDim.x // WARP
        item, n_items = cuda.blockIdx.x * warps + own, cell_of.size * states.size
        while item < n_items:
            piece = item // states.size
            resample = item - piece * states.size
            cell = cell_of[piece]
            first = starts[cell] + (piece - n_pieces[cell]) * PIECE
            last = min(first + PIECE, starts[cell + 1])
            state = states[resample]
            n, a, b, c, d = np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
            for row in range(first + lane, last, WARP):
                draw = mix(state + np.uint64(row + 1) * STEP) >> np.uint64(32)
                times = times_of(draw, np.uint64(0) if poisson else thresholds[row])
                n += times
                if pairs > 0:
                    a += times * high[row]
                    b += times * low[row]
                if pairs > 1:
                    c += times * high_2[row]
                    d += times * low_2[row]
                if row_marks.size > 0 and row_marks[row] != 0:
                    cuda.atomic.or_(marks, (resample, cell), marks_drawn(row_marks[row], times))
            n = total(n, WARP)
            if pairs > 0:
                a, b = total(a, WARP), total(b, WARP)
            if pairs > 1:
                c, d = total(c, WARP), total(d, WARP)
            if lane == 0:
                cuda.atomic.add(words, (0, resample, cell), n)
                if pairs > 0:
                    cuda.atomic.add(words, (1, resample, cell), a)
                    cuda.atomic.add(words, (2, resample, cell), b)
                if pairs > 1:
                    cuda.atomic.add(words, (3, resample, cell), c)
                    cuda.atomic.add(words, (4, resample, cell), d)
            item += cuda.gridDim.x * warps

    return drawn_sums


def drawn(thresholds, numbers, most: int, starts, seed, resamples, *, poisson: bool):
    """Σ N, and Σ N·number for each of the `numbers`, arrays (n,); (len(resamples), n_cells) float64 each."""
    n_cells, empty = len(starts) - 1, xp.empty(0, np.int64)
    starts = contiguous(starts, np.int64)
    n_rows = int(starts[-1]) if n_cells else 0
    scales = [scale_of(largest(number), most * n_rows, np.float64) for number in numbers]
    row_marks, words_of_rows = empty, [empty] * 4
    for j, (number, scale) in enumerate(zip(numbers, scales)):
        finite, found = marks_of(number, j)
        if found is not None:
            row_marks = found if row_marks is empty else row_marks | found
        words_of_rows[2 * j : 2 * j + 2] = words_of(finite, scale)
    n_pieces = xp.zeros(n_cells + 1, np.int64)
    n_pieces[1:] = xp.cumsum((starts[1:] - starts[:-1] + (PIECE - 1)) // PIECE)
    cell_of = xp.searchsorted(n_pieces, xp.arange(int(n_pieces[-1])), side="right") - 1
    words = xp.zeros((1 + 2 * len(numbers), len(resamples), n_cells), np.int64)
    marks = xp.zeros((len(resamples), n_cells), np.int64)
    states = xp.asarray(bins.stream_starts(seed, resamples))
    items = len(cell_of) * len(resamples)
    drawn_sums.launch(
        np.float64,
        (min(-(-items // (BLOCK // WARP)), _api.max_blocks()), BLOCK),
        (thresholds, *words_of_rows, row_marks, starts, states, contiguous(cell_of, np.int64), n_pieces, words, marks),
        variant=(poisson, len(numbers)),
    )
    sums = [totals(words[1 + 2 * j], words[2 + 2 * j], scales[j], marks, j) for j in range(len(numbers))]
    return words[0].astype(np.float64), *sums
