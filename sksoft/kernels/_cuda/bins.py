"""The binned statistics on a device: rows go to cells as integers of fixed point (``fixed_point``), added by atomics.

A thread takes a row at a time, or an entry of a matrix, finds its bin by bisection and adds to its block's own cells in
shared memory; where those do not fit, to the table in global memory (``private_cells``). The sums are the same bits at
every run, and those of float32 scores without weights are exact.

Precision: weights are float64, and sums of them are computed in float64 whatever the scores are, by kernels of float64.
Without weights the kernels of float32 scores do no float64 arithmetic: edges are rounded down to float32, which
separates the same scores, and the logarithms of :func:`binary_score_sums` are those of float32.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numba import types

from sksoft.kernels import bins
from sksoft.kernels._cuda import _api
from sksoft.kernels._cuda._api import WARP, cuda, device, jit, xp
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.draws import DRAWS, POISSON, drawn
from sksoft.kernels._cuda.elementary import log, log1p
from sksoft.kernels._cuda.fixed_point import Scale, add_of, add_to_word, largest, scale_of, totals
from sksoft.kernels._cuda.layout import contiguous
from sksoft.kernels._cuda.private_cells import MOST_BYTES, add_to_own, cells, clear, gather
from sksoft.kernels._cuda.row_extremes import row_extremes

# private, weighted
VARIANTS = tuple(product((False, True), repeat=2))
# Words of a cell: rows; then the pairs of Σ score and a word of hits, or the pairs of Σ w, Σ w·score, Σ w·hit, Σ w².
PLAIN_WORDS, WEIGHTED_WORDS = 4, 9
# No loss of a float64 probability that is above 0 is larger, nor any other score.
LARGEST_LOSS = 746.0
# Classes that a block sums: a warp reads neighbouring entries of a row, each of them for another cell.
CLASSES_A_BLOCK = WARP


@bins.top_label_rows.implement("cuda")
def top_label_rows(proba):
    codes, confidence, lowest, total = row_extremes(proba, totals=True)
    return codes, confidence.astype(np.float64), total, lowest.astype(np.float64)


@device
def bin_of(edges, first, n_edges, score):
    """Edges of ``edges[first : first + n_edges]`` below a score."""
    low, high = first, first + n_edges
    while low < high:
        middle = (low + high) >> 1
        if edges[middle] < score:
            low = middle + 1
        else:
            high = middle
    return low - first


def row_added(real, private, weighted):
    """Add a row to the words of its cell, the first of them at `at` and the next `stride` further each."""
    add_word = add_to_own if private else add_to_word
    add, zero = add_of(real, add_word), real(0.0)

    @device
    def add_row(words, at, stride, score, hit, weight, ups, step, marks, cell):
        add_word(words, at, np.int64(1))
        if weighted:
            add(words, at + stride, at + 2 * stride, weight, ups[0], step, marks, cell, 0)
            add(words, at + 3 * stride, at + 4 * stride, weight * score, ups[1], step, marks, cell, 1)
            add(words, at + 5 * stride, at + 6 * stride, weight if hit else weight * zero, ups[0], step, marks, cell, 2)
            add(words, at + 7 * stride, at + 8 * stride, weight * weight, ups[2], step, marks, cell, 3)
        else:
            add(words, at + stride, at + 2 * stride, score, ups[1], step, marks, cell, 0)
            if hit:
                add_word(words, at + 3 * stride, np.int64(1))

    return add_row


@compiled(
    "real[::1], boolean[::1], real[::1], int64[::1], real[::1], int64, real, real, real, real, int64[::1], int64[::1]",
    VARIANTS,
)
def rows_to_bins(real, private, weighted):
    """Add rows to (group, bin); all are of group 0 where `groups` is empty, and of weight 1 where `weights` is."""
    add_row, kinds, one = row_added(real, private, weighted), WEIGHTED_WORDS if weighted else PLAIN_WORDS, real(1.0)

    @jit
    def rows_to_bins(scores, hits, weights, groups, edges, copies, up_weight, up_score, up_square, step, words, marks):
        n_cells, n_bins = marks.size, edges.size + 1
        own = cuda.shared.array(0, types.uint32)
        if private:
            clear(own)
        copy, ups = cuda.threadIdx.x % copies, (up_weight, up_score, up_square)
        for row in range(cuda.grid(1), scores.size, cuda.gridsize(1)):
            cell = bin_of(edges, 0, edges.size, scores[row])
            if groups.size > 0:
                cell += groups[row] * n_bins
            weight = weights[row] if weighted else one
            if private:
                at, stride = cell * copies + copy, n_cells * copies
                add_row(own, at, stride, scores[row], hits[row], weight, ups, step, marks, cell)
            else:
                add_row(words, cell, n_cells, scores[row], hits[row], weight, ups, step, marks, cell)
        if private:
            gather(own, copies, n_cells, kinds, words, n_cells, 0)

    return rows_to_bins


@compiled(
    "real[:, ::1], int64[::1], real[::1], real[::1], int64, int64, int64, real, real, real, real, int64[::1], "
    "int64[::1]",
    VARIANTS,
)
def classes_to_bins(real, private, weighted):
    """Add every entry of a matrix to (class, bin).

    A block has `tile` neighbouring classes and rows in turn: thread t has the entry t % tile of the row t // tile.
    Threads that are left over wait.
    """
    add_row, kinds, one = row_added(real, private, weighted), WEIGHTED_WORDS if weighted else PLAIN_WORDS, real(1.0)

    @jit
    def classes_to_bins(
        proba, codes, weights, edges, n_bins, tile, copies, up_weight, up_score, up_square, step, words, marks
    ):
        n, n_classes = proba.shape
        n_tiles, n_cells, n_own = (n_classes + tile - 1) // tile, marks.size, tile * n_bins
        own = cuda.shared.array(0, types.uint32)
        if private:
            clear(own)
        copy, ups = cuda.threadIdx.x % copies, (up_weight, up_score, up_square)
        first_class = cuda.blockIdx.x % n_tiles * tile
        in_tile, in_block = cuda.threadIdx.x % tile, cuda.blockDim.x // tile
        k, row = first_class + in_tile, cuda.blockIdx.x // n_tiles * in_block + cuda.threadIdx.x // tile
        if k >= n_classes or cuda.threadIdx.x >= in_block * tile:
            row = n
        while row < n:
            score = proba[row, k]
            found = bin_of(edges, k * (n_bins - 1), n_bins - 1, score)
            weight, hit = weights[row] if weighted else one, codes[row] == k
            cell = k * n_bins + found
            if private:
                at, stride = (in_tile * n_bins + found) * copies + copy, n_own * copies
                add_row(own, at, stride, score, hit, weight, ups, step, marks, cell)
            else:
                add_row(words, cell, n_cells, score, hit, weight, ups, step, marks, cell)
            row += cuda.gridDim.x // n_tiles * in_block
        if private:
            gather(own, copies, n_own, kinds, words, n_cells, first_class * n_bins)

    return classes_to_bins


@dataclass(frozen=True)
class Table:
    """What rows are added to, and how their numbers become integers.

    Attributes
    ----------
    weight, score, square : Scale
        Of weights, of scores or their products with weights, and of squares of weights.
    words, marks : array of int64
        Of all cells.
    """

    weight: Scale
    score: Scale
    square: Scale
    words: np.ndarray
    marks: np.ndarray

    @property
    def arguments(self) -> tuple:
        return self.weight.up, self.score.up, self.square.up, self.score.step, self.words, self.marks

    def sums(self, weighted: bool):
        """The five sums of every cell, (5, n_cells) float64."""
        words = self.words.reshape(-1, self.marks.size)
        count = words[0].astype(np.float64)
        if not weighted:
            score = totals(words[1], words[2], self.score, self.marks)
            return xp.stack([count, score, words[3].astype(np.float64), count, count])
        scales = self.weight, self.score, self.weight, self.square
        parts = [totals(words[1 + 2 * j], words[2 + 2 * j], scales[j], self.marks, j) for j in range(4)]
        return xp.stack([*parts, count])


def _table(scores, weights, n_cells: int, dtype) -> Table:
    """An empty table for scores and weights, which may be None, to be computed in `dtype`."""
    heaviest = 1.0 if weights is None else largest(weights)
    n, kinds = len(scores), PLAIN_WORDS if weights is None else WEIGHTED_WORDS
    magnitudes = heaviest, heaviest * largest(scores), heaviest * heaviest
    scales = [scale_of(magnitude, n, dtype) for magnitude in magnitudes]
    return Table(*scales, xp.zeros(kinds * n_cells, np.int64), xp.zeros(n_cells, np.int64))


def _edges_as(edges, dtype):
    """Edges as numbers of `dtype` that are below the same numbers of it: rounded down."""
    rounded = edges.astype(dtype)
    return contiguous(xp.where(rounded > edges, xp.nextafter(rounded, dtype.type(-np.inf)), rounded).astype(dtype))


def _or_empty(array, dtype):
    """A contiguous array of a dtype; without entries for None."""
    return xp.empty(0, dtype) if array is None else contiguous(array, dtype)


@bins.bin_sums.implement("cuda")
def bin_sums(scores, hits, edges, *, weights=None, groups=None, n_groups=1):
    dtype, n_bins = scores.dtype if weights is None else np.dtype(np.float64), len(edges) + 1
    table = _table(scores, weights, n_groups * n_bins, dtype)
    grid = cells(table.words.size, len(scores))
    rows_to_bins.launch(
        dtype,
        grid,
        (
            contiguous(scores, dtype),
            contiguous(hits, bool),
            _or_empty(weights, dtype),
            _or_empty(groups, np.int64),
            _edges_as(edges, dtype),
            grid.copies,
            *table.arguments,
        ),
        variant=(grid.private, weights is not None),
        shared_bytes=grid.shared_bytes,
    )
    return table.sums(weights is not None).reshape(5, n_groups, n_bins)


@bins.class_bin_sums.implement("cuda")
def class_bin_sums(proba, codes, edges, *, weights=None):
    (n, n_classes), n_bins = proba.shape, edges.shape[1] + 1
    dtype = proba.dtype if weights is None else np.dtype(np.float64)
    table = _table(proba, weights, n_classes * n_bins, dtype)
    cell_bytes = 8 * n_bins * table.words.size // table.marks.size
    tile = min(n_classes, CLASSES_A_BLOCK, MOST_BYTES // cell_bytes or CLASSES_A_BLOCK)
    n_tiles = -(-n_classes // tile)
    grid = cells(tile * cell_bytes // 8, n * tile)
    blocks = n_tiles * min(grid.blocks, -(-_api.max_blocks() // n_tiles))
    classes_to_bins.launch(
        dtype,
        (blocks, grid.threads),
        (
            contiguous(proba, dtype),
            contiguous(codes, np.int64),
            _or_empty(weights, dtype),
            _edges_as(edges, dtype).reshape(-1),
            n_bins,
            tile,
            grid.copies,
            *table.arguments,
        ),
        variant=(grid.private, weights is not None),
        shared_bytes=grid.shared_bytes,
    )
    return table.sums(weights is not None).reshape(5, n_classes, n_bins)


@compiled(
    "real[::1], boolean[::1], int64[::1], real[::1], int64, real, real, real, int64[::1], int64[::1]",
    VARIANTS,
)
def scores_to_groups(real, private, weighted):
    """Add the seven scores of rows to their group: pairs of words, in the order of the contract."""
    add = add_of(real, add_to_own if private else add_to_word)
    zero, half, one = real(0.0), real(0.5), real(1.0)

    @device
    def add_scores(words, at, stride, p, hit, w, up, up_square, step, marks, cell):
        q, residual = one - p, p - (one if hit else zero)
        loss = zero - (log(p) if hit else log1p(-p))
        entropy = zero - ((p * log(p) if p > zero else zero) + (zero if p >= one else q * log1p(-p)))
        right, square = (p > half) == hit, residual * residual
        add(words, at, at + stride, w * loss, up, step, marks, cell, 0)
        add(words, at + 2 * stride, at + 3 * stride, w * entropy, up, step, marks, cell, 1)
        add(words, at + 4 * stride, at + 5 * stride, w * (one if right else zero), up, step, marks, cell, 2)
        add(words, at + 6 * stride, at + 7 * stride, w * (p if p > q else q), up, step, marks, cell, 3)
        add(words, at + 8 * stride, at + 9 * stride, w * square, up, step, marks, cell, 4)
        add(words, at + 10 * stride, at + 11 * stride, w * w * residual, up_square, step, marks, cell, 5)
        if weighted:
            add(words, at + 12 * stride, at + 13 * stride, w * w * square, up_square, step, marks, cell, 6)

    @jit
    def scores_to_groups(proba, hits, groups, weights, copies, up, up_square, step, words, marks):
        n_cells = marks.size
        own = cuda.shared.array(0, types.uint32)
        if private:
            clear(own)
        copy = cuda.threadIdx.x % copies
        for row in range(cuda.grid(1), proba.size, cuda.gridsize(1)):
            cell = groups[row]
            weight = weights[row] if weighted else one
            if private:
                at, stride = cell * copies + copy, n_cells * copies
                add_scores(own, at, stride, proba[row], hits[row], weight, up, up_square, step, marks, cell)
            else:
                add_scores(words, cell, n_cells, proba[row], hits[row], weight, up, up_square, step, marks, cell)
        if private:
            gather(own, copies, n_cells, 14, words, n_cells, 0)

    return scores_to_groups


@bins.binary_score_sums.implement("cuda")
def binary_score_sums(proba, hits, groups, *, n_groups, weights=None):
    dtype = proba.dtype if weights is None else np.dtype(np.float64)
    heaviest = 1.0 if weights is None else largest(weights)
    scale = scale_of(LARGEST_LOSS * heaviest, len(proba), dtype)
    # without weights w² r² is w r², which is not added twice
    square = scale if weights is None else scale_of(2.0 * heaviest * heaviest, len(proba), dtype)
    words, marks = xp.zeros(14 * n_groups, np.int64), xp.zeros(n_groups, np.int64)
    grid = cells(words.size, len(proba))
    scores_to_groups.launch(
        dtype,
        grid,
        (
            contiguous(proba, dtype),
            contiguous(hits, bool),
            contiguous(groups, np.int64),
            _or_empty(weights, dtype),
            grid.copies,
            scale.up,
            square.up,
            scale.step,
            words,
            marks,
        ),
        variant=(grid.private, weights is not None),
        shared_bytes=grid.shared_bytes,
    )
    words = words.reshape(14, n_groups)
    scales = [scale if column <= bins.R_SQUARED else square for column in range(7)]
    sums = [totals(words[2 * j], words[2 * j + 1], scales[j], marks, j) for j in range(7)]
    if weights is None:
        sums[bins.SQUARED_WEIGHT_R_SQUARED] = sums[bins.R_SQUARED]
    return xp.stack(sums)


@bins.null_hit_sums.implement("cuda")
def null_hit_sums(scores, starts, *, seed, resamples, weights=None):
    thresholds = xp.where(scores > 0, xp.minimum(xp.ceil(scores * DRAWS), DRAWS), 0.0).astype(np.uint64)
    numbers = [] if weights is None else [weights]
    return drawn(contiguous(thresholds), numbers, 1, starts, seed, resamples, poisson=False)[-1]


@bins.bootstrap_sums.implement("cuda")
def bootstrap_sums(values, starts, *, seed, resamples, weights=None):
    numbers = [values] if weights is None else [weights, weights * values]
    most = len(POISSON)
    sums = drawn(xp.empty(0, np.uint64), numbers, most, starts, seed, resamples, poisson=True)
    return xp.stack(sums[-2:])
