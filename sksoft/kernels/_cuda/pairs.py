"""Sums over all pairs of rows on a device: tiles of pairs (``tiles``), of which a block has every so many.

A block owns SIDE rows and meets the others tile by tile. Sums of rows are its own; sums of labels are a thread's own,
which has a set of labels and some of the rows; a cell of a histogram gets sums of integers (``fixed_point``), for which
no order matters. Where there are few rows, several blocks share the others, and each has sums of its own.
"""

import numpy as np

from sksoft.kernels import pairs
from sksoft.kernels._cuda import _api
from sksoft.kernels._cuda._api import cuda, device, jit, xp
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.elementary import exp, floor, sqrt
from sksoft.kernels._cuda.fixed_point import add_of, largest, scale_of, totals
from sksoft.kernels._cuda.layout import contiguous
from sksoft.kernels._cuda.tiles import (
    ABSOLUTE,
    ALIGNMENT,
    KEPT,
    LANES,
    PRODUCT,
    QUAD,
    SIDE,
    SQUARE,
    THREADS,
    WIDTH,
    compensated_quad,
    keep,
    kept_times,
    left_size,
    no_tile,
    over_pairs,
    right_size,
    splits,
    tile_of,
    write_row_sums,
    write_tile,
)
from sksoft.kernels._cuda.warps import numba_type

TERMS = ((ABSOLUTE,), (SQUARE,))
# Copies of a histogram, each of some blocks, that they wait less for each other.
COPIES = 64


def similarity_of(real, term):
    """``(sum, gaussian, bandwidth) -> k(x, y)`` from Σ |x − y| or Σ (x − y)²."""
    half, minus_half = real(0.5), real(-0.5)

    @device
    def similarity(total, gaussian, bandwidth):
        scaled = (half * total if term == ABSOLUTE else sqrt(total)) / bandwidth
        return exp(minus_half * scaled * scaled) if gaussian else exp(-scaled)

    return similarity


@compiled("real[:, ::1], real[:, ::1], boolean, real, int64, real[:, ::1]", TERMS, most_threads=256)
def form_sums(real, term):
    """Σ_{j>i} k(x_i, x_j) ⟨r_i, r_j⟩ of each row i and part of the others."""
    similarity, distances, products = similarity_of(real, term), tile_of(real, term), tile_of(real, PRODUCT)
    zeros, add_quad, write_sums, zero = no_tile(real), compensated_quad(real), write_row_sums(real), real(0.0)
    kind, left_numbers, right_numbers = numba_type(real), left_size(real), right_size(real)

    @device
    def above(total, i, j, given):
        n, gaussian, bandwidth = given
        return similarity(total, gaussian, bandwidth) if i < j and j < n else zero

    @device
    def row_dot(a, b):
        return (a[0] * b[0] + a[1] * b[1]) + (a[2] * b[2] + a[3] * b[3])

    near = over_pairs(above)

    @jit
    def form_sums(points, residuals, gaussian, bandwidth, n_parts, sums):
        left = cuda.shared.array(left_numbers, kind, ALIGNMENT)
        right = cuda.shared.array(right_numbers, kind, ALIGNMENT)
        thread, n = cuda.threadIdx.x, points.shape[0]
        tiles, lane, given = (n + SIDE - 1) // SIDE, thread % LANES, (n, gaussian, bandwidth)
        for item in range(cuda.blockIdx.x, tiles * n_parts, cuda.gridDim.x):
            own, part = item % tiles, item // tiles
            row = own * SIDE + thread // LANES * QUAD
            total, excess = zeros()[0], zeros()[0]
            for other in range(own + part, tiles, n_parts):
                a = distances(points, points, own * SIDE, other * SIDE, left, right, thread)
                a = near(a, row, other * SIDE + lane * QUAD, given)
                b = products(residuals, residuals, own * SIDE, other * SIDE, left, right, thread)
                here = row_dot(a[0], b[0]), row_dot(a[1], b[1]), row_dot(a[2], b[2]), row_dot(a[3], b[3])
                total, excess = add_quad(total, excess, here)
            write_sums(sums[part], row, n, lane, total, excess)

    return form_sums


@compiled("real[:, ::1], real[:, ::1], boolean, real, int64, real[:, :, ::1]", TERMS, most_threads=256)
def smoothed_sums(real, term):
    """Σ_{j≠i} k(x_i, x_j) v_j of each row i and part of the others."""
    similarity, distances, put = similarity_of(real, term), tile_of(real, term), keep(real)
    zeros, take, zero = no_tile(real), kept_times(real), real(0.0)
    kind, left_numbers, right_numbers = numba_type(real), left_size(real), right_size(real)

    @device
    def apart(total, i, j, given):
        return similarity(total, given[0], given[1]) if i != j else zero

    near = over_pairs(apart)

    @jit
    def smoothed_sums(points, values, gaussian, bandwidth, n_parts, sums):
        left = cuda.shared.array(left_numbers, kind, ALIGNMENT)
        right = cuda.shared.array(right_numbers, kind, ALIGNMENT)
        kept = cuda.shared.array(KEPT, kind, ALIGNMENT)
        thread, n, lane = cuda.threadIdx.x, points.shape[0], cuda.threadIdx.x % LANES
        tiles, column_tiles = (n + SIDE - 1) // SIDE, (values.shape[1] + SIDE - 1) // SIDE
        for item in range(cuda.blockIdx.x, tiles * column_tiles * n_parts, cuda.gridDim.x):
            own, part, column = item % tiles, item // tiles // column_tiles, item // tiles % column_tiles * SIDE
            row, found = own * SIDE + thread // LANES * QUAD, zeros()
            for other in range(part, tiles, n_parts):
                tile = distances(points, points, own * SIDE, other * SIDE, left, right, thread)
                tile = near(tile, row, other * SIDE + lane * QUAD, (gaussian, bandwidth))
                put(kept, tile, thread)
                found = take(found, kept, values, other * SIDE, n, column, right, thread, found)
            write_tile(sums[part], row, column + lane * QUAD, found, zeros())

    return smoothed_sums


@compiled(
    "real[:, ::1], real[::1], int32[:, ::1], boolean, real, int64, int64, real[:, :, ::1]", TERMS, most_threads=256
)
def label_sums(real, term):
    """Sums of equal labels: of every item, slice of its rows and set of labels."""
    similarity, distances, put = similarity_of(real, term), tile_of(real, term), keep(real)
    kind, left_numbers, right_numbers, zero = numba_type(real), left_size(real), right_size(real), real(0.0)

    @device
    def above(total, i, j, given):
        weights, gaussian, bandwidth = given
        if i < j and j < weights.size:
            return weights[i] * weights[j] * similarity(total, gaussian, bandwidth)
        return zero

    near = over_pairs(above)

    @device
    def same(kept, codes, first, start, label_set, first_row, step):
        """The sum over the pairs of a tile whose labels in a set are the same, of every `step`-th row."""
        total, last = zero, min(SIDE, codes.shape[0] - start)
        for i in range(first_row, min(SIDE, codes.shape[0] - first), step):
            code, row = codes[first + i, label_set], zero
            for j in range(last):
                if codes[start + j, label_set] == code:
                    row += kept[i * WIDTH + j]
            total += row
        return total

    @jit
    def label_sums(points, weights, codes, gaussian, bandwidth, n_parts, n_slices, sums):
        left = cuda.shared.array(left_numbers, kind, ALIGNMENT)
        right = cuda.shared.array(right_numbers, kind, ALIGNMENT)
        kept = cuda.shared.array(KEPT, kind, ALIGNMENT)
        thread, given, n_sets = cuda.threadIdx.x, (weights, gaussian, bandwidth), codes.shape[1]
        tiles, lane = (points.shape[0] + SIDE - 1) // SIDE, cuda.threadIdx.x % LANES
        for item in range(cuda.blockIdx.x, tiles * n_parts, cuda.gridDim.x):
            own, part = item % tiles, item // tiles
            for place in range(thread, n_slices * n_sets, THREADS):
                sums[item, place // n_sets, place % n_sets] = zero
            for other in range(own + part, tiles, n_parts):
                tile = distances(points, points, own * SIDE, other * SIDE, left, right, thread)
                row = own * SIDE + thread // LANES * QUAD
                put(kept, near(tile, row, other * SIDE + lane * QUAD, given), thread)
                cuda.syncthreads()
                for place in range(thread, n_slices * n_sets, THREADS):
                    part_of_rows, label_set = place // n_sets, place % n_sets
                    more = same(kept, codes, own * SIDE, other * SIDE, label_set, part_of_rows, n_slices)
                    sums[item, part_of_rows, label_set] += more

    return label_sums


@compiled(
    "real[:, ::1], real[::1], real, real, real, real, real, int64, int64[::1], int64, int64[::1]",
    TERMS,
    most_threads=256,
)
def histogram_sums(real, term):
    """Words of masses and of masses times distance, for each copy: see ``fixed_point``."""
    distances, add, half = tile_of(real, term), add_of(real), real(0.5)
    kind, left_numbers, right_numbers = numba_type(real), left_size(real), right_size(real)
    zero = real(0.0)

    @device
    def count(total, i, j, given):
        weights, low, scale, up, far_up, step, words, first_word, n_cells, marks = given
        if i < j and j < weights.size:
            distance = half * total if term == ABSOLUTE else sqrt(total)
            place, last = (distance - low) * scale, real(n_cells - 2)
            cell = np.int64(0)
            if place >= last:
                cell = np.int64(n_cells - 1)
            elif place >= zero:
                cell = np.int64(floor(place)) + 1
            mass, word = weights[i] * weights[j], first_word + cell
            add(words, word, word + n_cells, mass, up, step, marks, cell, 0)
            add(words, word + 2 * n_cells, word + 3 * n_cells, mass * distance, far_up, step, marks, cell, 1)
        return total

    counted = over_pairs(count)

    @jit
    def histogram_sums(points, weights, low, scale, up, far_up, step, n_parts, words, n_cells, marks):
        left = cuda.shared.array(left_numbers, kind, ALIGNMENT)
        right = cuda.shared.array(right_numbers, kind, ALIGNMENT)
        thread, lane = cuda.threadIdx.x, cuda.threadIdx.x % LANES
        tiles, copies = (points.shape[0] + SIDE - 1) // SIDE, words.size // (4 * n_cells)
        first_word = cuda.blockIdx.x % copies * 4 * n_cells
        given = (weights, low, scale, up, far_up, step, words, first_word, n_cells, marks)
        for item in range(cuda.blockIdx.x, tiles * n_parts, cuda.gridDim.x):
            own, part = item % tiles, item // tiles
            for other in range(own + part, tiles, n_parts):
                tile = distances(points, points, own * SIDE, other * SIDE, left, right, thread)
                counted(tile, own * SIDE + thread // LANES * QUAD, other * SIDE + lane * QUAD, given)

    return histogram_sums


def _term(kind: str) -> str:
    return ABSOLUTE if kind == "total_variation" else SQUARE


def _doubles(array):
    return contiguous(array, np.float64)


def _parts(n_rows: int, column_tiles: int = 1):
    """Blocks that share the others of a tile, and blocks in all."""
    tiles = -(-n_rows // SIDE) * column_tiles
    n_parts = splits(tiles, -(-n_rows // SIDE))
    return n_parts, min(tiles * n_parts, _api.max_blocks())


@pairs.kernel_form.implement("cuda")
def kernel_form(points, residuals, *, kind, bandwidth):
    points, residuals = _doubles(points), _doubles(residuals)
    n_parts, blocks = _parts(len(points))
    sums = xp.empty((n_parts, len(points)))
    arguments = (points, residuals, kind == "gaussian", bandwidth, n_parts, sums)
    form_sums.launch(points.dtype, (blocks, THREADS), arguments, variant=(_term(kind),))
    return np.float64(float(sums.sum()))


@pairs.distance_histogram.implement("cuda")
def distance_histogram(points, weights, *, kind, low, high, n_cells):
    points, weights = _doubles(points), _doubles(weights)
    n, size = points.shape
    n_parts, blocks = _parts(n)
    mass = largest(weights) ** 2
    farthest = 2.0 * largest(points) * max(size, 1)
    near, far = (scale_of(m, max(n * (n - 1) // 2, 1), np.float64) for m in (mass, mass * farthest))
    words, marks = xp.zeros((min(blocks, COPIES), 2, 2, n_cells + 2), np.int64), xp.zeros(n_cells + 2, np.int64)
    scale = n_cells / (high - low)
    arguments = (points, weights, low, scale, near.up, far.up, near.step, n_parts, words.ravel(), n_cells + 2, marks)
    histogram_sums.launch(points.dtype, (blocks, THREADS), arguments, variant=(_term(kind),))
    words = words.sum(axis=0)
    return xp.stack([totals(*words[0], near, marks, 0), totals(*words[1], far, marks, 1)])


@pairs.smoothed_rows.implement("cuda")
def smoothed_rows(points, values, *, kind, bandwidth):
    points, values = _doubles(points), _doubles(values)
    n_parts, blocks = _parts(len(points), -(-values.shape[1] // SIDE))
    sums = xp.empty((n_parts, *values.shape))
    arguments = (points, values, kind == "gaussian", bandwidth, n_parts, sums)
    smoothed_sums.launch(points.dtype, (blocks, THREADS), arguments, variant=(_term(kind),))
    return sums[0] if n_parts == 1 else sums.sum(axis=0)


@pairs.same_label_forms.implement("cuda")
def same_label_forms(points, weights, codes, *, kind, bandwidth):
    points, weights, codes = _doubles(points), _doubles(weights), contiguous(codes, np.int32)
    n_parts, blocks = _parts(len(points))
    n_slices = max(1, min(THREADS // max(codes.shape[1], 1), SIDE))
    sums = xp.empty((-(-len(points) // SIDE) * n_parts, n_slices, codes.shape[1]))
    arguments = (points, weights, codes, kind == "gaussian", bandwidth, n_parts, n_slices, sums)
    label_sums.launch(points.dtype, (blocks, THREADS), arguments, variant=(_term(kind),))
    return sums.sum(axis=(0, 1))
