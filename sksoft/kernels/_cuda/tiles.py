"""Tiles of pairs: what a block makes of :data:`SIDE` rows and as many others, a thread of four and four of them.

A *tile* is SIDE × SIDE numbers, one for each pair of a row on the left and one on the right; thread (y, x) of a block
of :data:`THREADS` has the rows 4 y … 4 y + 3 and the columns 4 x … 4 x + 3 of it, as a tuple of four tuples of four:
never an array, so that it stays in registers. The threads of a row are :data:`LANES` neighbours in a warp, a team of
``warps``.

A tile is a sum over what rows have in common, a *chunk* at a time: all threads bring the chunk to shared memory, the
left as rows of :data:`left_width` numbers, the right as rows of :data:`WIDTH`, one for each number in common; then each
adds its sixteen products. The same does for the sum over the right rows of a tile that is kept in shared memory with
rows of WIDTH numbers (``kept``) times what these rows have.
"""

from functools import cache

import numpy as np

from sksoft.kernels._cuda import _api
from sksoft.kernels._cuda._api import SIMULATED, cuda, device, load4, store4
from sksoft.kernels._cuda.elementary import copysign, fabs, isinf, isnan
from sksoft.kernels._cuda.warps import compensated, corrected, sum_of

# Threads that share a row, and rows of threads; each thread has QUAD rows and QUAD columns.
LANES = 2 if SIMULATED else 16
QUAD = 4
SIDE = QUAD * LANES
THREADS = LANES * LANES
# Rows of shared memory are longer than a tile: their beginnings fall into different banks, and 16 bytes apart.
WIDTH = SIDE + 4
KEPT = SIDE * WIDTH
# Of a shared array that is read 16 bytes at a time; the simulator knows none.
ALIGNMENT = None if SIMULATED else 16

# What a pair's numbers make together: x y; (x − y)²; |x − y|.
PRODUCT, SQUARE, ABSOLUTE = "product", "square", "absolute"


def chunk(real) -> int:
    """Numbers in common that are brought to shared memory at once: 64 bytes."""
    return 4 if SIMULATED else 64 // np.dtype(real).itemsize


def left_width(real) -> int:
    return chunk(real) + 4


def left_size(real) -> int:
    """Numbers of the left rows in shared memory."""
    return SIDE * left_width(real)


def right_size(real) -> int:
    """Numbers of the right rows in shared memory."""
    return chunk(real) * WIDTH


@cache
def read_quad(real):
    """``(shared, index) -> four numbers`` from an index that is a multiple of four."""
    if real is np.float32:
        return load4

    @device
    def read(shared, index):
        a, b = load4(shared, index)
        c, d = load4(shared, index + 2)
        return a, b, c, d

    return read


@cache
def write_quad(real):
    """``(shared, index, four numbers)`` to an index that is a multiple of four."""
    if real is np.float32:
        return store4

    @device
    def write(shared, index, quad):
        store4(shared, index, (quad[0], quad[1]))
        store4(shared, index + 2, (quad[2], quad[3]))

    return write


@cache
def no_tile(real):
    """``() -> a tile of zeros``."""
    zero = real(0.0)

    @device
    def zeros():
        row = (zero, zero, zero, zero)
        return row, row, row, row

    return zeros


@device
def plus_product(total, x, y, origin):
    return total + x * y


@device
def plus_centred(total, x, y, origin):
    return total + x * (y - origin)


@device
def plus_square(total, x, y, origin):
    return total + (x - y) * (x - y)


@device
def plus_absolute(total, x, y, origin):
    return total + fabs(x - y)


@cache
def plus_seen(real):
    """:func:`plus_product` that leaves out a factor of −0."""
    one, zero = real(1.0), real(0.0)

    @device
    def plus_seen(total, x, y, origin):
        return total + x * y if copysign(one, x) > zero or isnan(x) else total

    return plus_seen


TERMS = {PRODUCT: plus_product, SQUARE: plus_square, ABSOLUTE: plus_absolute}


@cache
def outer(plus):
    """``(tile, four x, four y, origins) -> tile`` with ``plus(total, x, y, origin)`` in every place."""

    @device
    def row_plus(row, x, y, origin):
        return (
            plus(row[0], x, y[0], origin[0]),
            plus(row[1], x, y[1], origin[1]),
            plus(row[2], x, y[2], origin[2]),
            plus(row[3], x, y[3], origin[3]),
        )

    @device
    def tile_plus(tile, x, y, origins):
        return (
            row_plus(tile[0], x[0], y, origins[0]),
            row_plus(tile[1], x[1], y, origins[1]),
            row_plus(tile[2], x[2], y, origins[2]),
            row_plus(tile[3], x[3], y, origins[3]),
        )

    return tile_plus


@cache
def times(real, plus, width):
    """``(tile, left, begin, right, column, origins) -> tile``: the sum over a chunk of what rows have in common.

    Row r of the left begins at ``begin + r · width``, number k of the right rows at ``k · WIDTH + column``. `origins`,
    a tile, is for ``plus``.
    """
    read, tile_plus, count = read_quad(real), outer(plus), chunk(real)

    @device
    def times(tile, left, begin, right, column, origins):
        for k in range(0, count, QUAD):
            a, b = read(left, begin + k), read(left, begin + width + k)
            c, d = read(left, begin + 2 * width + k), read(left, begin + 3 * width + k)
            at = k * WIDTH + column
            tile = tile_plus(tile, (a[0], b[0], c[0], d[0]), read(right, at), origins)
            tile = tile_plus(tile, (a[1], b[1], c[1], d[1]), read(right, at + WIDTH), origins)
            tile = tile_plus(tile, (a[2], b[2], c[2], d[2]), read(right, at + 2 * WIDTH), origins)
            tile = tile_plus(tile, (a[3], b[3], c[3], d[3]), read(right, at + 3 * WIDTH), origins)
        return tile

    return times


@cache
def bring_rows(real, width, across):
    """``(shared, matrix, first_row, first, thread)``: SIDE rows' numbers from `first` on, zeros beyond the matrix.

    As rows of `width`; or, `across`, as columns of them.
    """
    numbers, zero = chunk(real), real(0.0)

    @device
    def bring(shared, matrix, first_row, first, thread):
        for place in range(thread, SIDE * numbers, cuda.blockDim.x):
            r, k = place // numbers, place % numbers
            inside = first_row + r < matrix.shape[0] and first + k < matrix.shape[1]
            number = matrix[first_row + r, first + k] if inside else zero
            if across:
                shared[k * width + r] = number
            else:
                shared[r * width + k] = number

    return bring


@cache
def bring_chunk(real, finite):
    """``(shared, matrix, first_row, stop, first_column, thread) -> whether a number is not finite``.

    A chunk of rows before `stop`, SIDE columns of them, zeros beyond; `finite` puts zeros in place of what is not.
    """
    rows, zero = chunk(real), real(0.0)

    @device
    def bring(shared, matrix, first_row, stop, first_column, thread):
        odd = False
        for place in range(thread, rows * SIDE, cuda.blockDim.x):
            r, c = place // SIDE, place % SIDE
            inside = first_row + r < stop and first_column + c < matrix.shape[1]
            number = matrix[first_row + r, first_column + c] if inside else zero
            if isnan(number) or isinf(number):
                odd = True
                if finite:
                    number = zero
            shared[r * WIDTH + c] = number
        return odd

    return bring


@cache
def tile_of(real, term):
    """``(left_rows, right_rows, first_left, first_right, left, right, thread) -> tile`` of sums of `term`.

    The two matrices have as many columns. `left` and `right` are shared memory; all threads must come.
    """
    bring_left, bring_right = bring_rows(real, left_width(real), False), bring_rows(real, WIDTH, True)
    numbers, width, zeros = chunk(real), left_width(real), no_tile(real)
    add_chunk = times(real, TERMS[term], left_width(real))

    @device
    def tile_of(left_rows, right_rows, first_left, first_right, left, right, thread):
        tile = zeros()
        own_row, own_column = thread // LANES * QUAD, thread % LANES * QUAD
        for first in range(0, left_rows.shape[1], numbers):
            cuda.syncthreads()
            bring_left(left, left_rows, first_left, first, thread)
            bring_right(right, right_rows, first_right, first, thread)
            cuda.syncthreads()
            tile = add_chunk(tile, left, own_row * width, right, own_column, tile)
        return tile

    return tile_of


@cache
def keep(real):
    """``(kept, tile, thread)``: the tile in shared memory, when all threads have left what was there before."""
    write = write_quad(real)

    @device
    def keep(kept, tile, thread):
        at = thread // LANES * QUAD * WIDTH + thread % LANES * QUAD
        cuda.syncthreads()
        write(kept, at, tile[0])
        write(kept, at + WIDTH, tile[1])
        write(kept, at + 2 * WIDTH, tile[2])
        write(kept, at + 3 * WIDTH, tile[3])

    return keep


@cache
def kept_quad(real):
    """``(kept, row, thread) -> four numbers`` that the thread has kept itself, of the `row`-th of its rows."""
    read = read_quad(real)

    @device
    def kept_quad(kept, row, thread):
        return read(kept, (thread // LANES * QUAD + row) * WIDTH + thread % LANES * QUAD)

    return kept_quad


@cache
def kept_times(real, centred=False, finite=False):
    """``(tile, kept, matrix, first_row, stop, first_column, right, thread, origins) -> tile``, plus
    sums over a kept tile's columns.

    Those are the rows of `matrix` from `first_row` on, before `stop`; the sums are of SIDE of its columns, from
    `first_column` on, less `origins`, a tile, if `centred`. A factor of −0 takes nothing from a row, whatever stands
    there, NaN included; with `finite`, what is not finite is zero. All threads must come.
    """
    bring, numbers = bring_chunk(real, finite), chunk(real)
    plain = times(real, plus_centred if centred else plus_product, WIDTH)
    careful = times(real, plus_seen(real), WIDTH)

    @device
    def kept_times(tile, kept, matrix, first_row, stop, first_column, right, thread, origins):
        begin, own_column = thread // LANES * QUAD * WIDTH, thread % LANES * QUAD
        for first in range(0, SIDE, numbers):
            cuda.syncthreads()
            odd = bring(right, matrix, first_row + first, stop, first_column, thread)
            if finite:
                cuda.syncthreads()
                tile = plain(tile, kept, begin + first, right, own_column, origins)
            elif cuda.syncthreads_or(np.int32(odd)):
                tile = careful(tile, kept, begin + first, right, own_column, origins)
            else:
                tile = plain(tile, kept, begin + first, right, own_column, origins)
        return tile

    return kept_times


def has_excess(real) -> bool:
    """Whether sums over tiles are compensated; those of float64 have digits enough."""
    return real is np.float32


@cache
def compensated_term(real):
    """``(total, excess, more) -> total, excess``, as ``warps.compensated`` where sums have an excess."""
    zero, narrow = real(0.0), has_excess(real)

    @device
    def compensated_term(total, excess, more):
        return compensated(total, excess, more) if narrow else (total + more, zero)

    return compensated_term


@cache
def compensated_quad(real):
    """:func:`compensated_term` for each of four."""
    return _each_of_four(compensated_term(real))


@cache
def compensated_tile(real):
    """:func:`compensated_term` for each pair."""
    return _each_of_four(compensated_quad(real))


def _each_of_four(add):
    @device
    def each_of_four(totals, excess, more):
        t0, e0 = add(totals[0], excess[0], more[0])
        t1, e1 = add(totals[1], excess[1], more[1])
        t2, e2 = add(totals[2], excess[2], more[2])
        t3, e3 = add(totals[3], excess[3], more[3])
        return (t0, t1, t2, t3), (e0, e1, e2, e3)

    return each_of_four


@device
def times_scalar(quad, factor):
    return quad[0] * factor, quad[1] * factor, quad[2] * factor, quad[3] * factor


@device
def times_quad(quad, factors):
    return quad[0] * factors[0], quad[1] * factors[1], quad[2] * factors[2], quad[3] * factors[3]


@device
def times_rows(tile, factors):
    """Each row of a tile times its factor."""
    return (
        times_scalar(tile[0], factors[0]),
        times_scalar(tile[1], factors[1]),
        times_scalar(tile[2], factors[2]),
        times_scalar(tile[3], factors[3]),
    )


def over_pairs(entry):
    """``(tile, row, column, given) -> tile`` of ``entry(number, row, column, given)``."""

    @device
    def over_row(quad, row, column, given):
        return (
            entry(quad[0], row, column, given),
            entry(quad[1], row, column + 1, given),
            entry(quad[2], row, column + 2, given),
            entry(quad[3], row, column + 3, given),
        )

    @device
    def over_tile(tile, row, column, given):
        return (
            over_row(tile[0], row, column, given),
            over_row(tile[1], row + 1, column, given),
            over_row(tile[2], row + 2, column, given),
            over_row(tile[3], row + 3, column, given),
        )

    return over_tile


@device
def row_totals(tile):
    """Sums of a thread's part of each row."""
    a, b, c, d = tile
    return (
        (a[0] + a[1]) + (a[2] + a[3]),
        (b[0] + b[1]) + (b[2] + b[3]),
        (c[0] + c[1]) + (c[2] + c[3]),
        (d[0] + d[1]) + (d[2] + d[3]),
    )


@cache
def write_row_sum(real):
    """``(out, row, n, lane, total)``: the sum of the lanes' totals of a row to `out`; all lanes must come."""
    row_sum = sum_of(real)

    @device
    def write_row_sum(out, row, n, lane, total):
        total = row_sum(total, LANES)
        if lane == 0 and row < n:
            out[row] = total

    return write_row_sum


@cache
def write_row_sums(real):
    """``(out, row, n, lane, totals, excess)``: the lanes' sums of a thread's rows, to `out`; all lanes must come."""
    write_sum = write_row_sum(real)

    @device
    def write_row_sums(out, row, n, lane, totals, excess):
        write_sum(out, row, n, lane, corrected(totals[0], excess[0]))
        write_sum(out, row + 1, n, lane, corrected(totals[1], excess[1]))
        write_sum(out, row + 2, n, lane, corrected(totals[2], excess[2]))
        write_sum(out, row + 3, n, lane, corrected(totals[3], excess[3]))

    return write_row_sums


@device
def write_row(out, row, column, totals, excess):
    """Four numbers of a row of `out`, as far as it has them."""
    n_columns = out.shape[1]
    if column < n_columns:
        out[row, column] = corrected(totals[0], excess[0])
    if column + 1 < n_columns:
        out[row, column + 1] = corrected(totals[1], excess[1])
    if column + 2 < n_columns:
        out[row, column + 2] = corrected(totals[2], excess[2])
    if column + 3 < n_columns:
        out[row, column + 3] = corrected(totals[3], excess[3])


@device
def write_tile(out, row, column, totals, excess):
    """A thread's part of `out`, from its first row and column on, as far as `out` has them."""
    n_rows = out.shape[0]
    if row < n_rows:
        write_row(out, row, column, totals[0], excess[0])
    if row + 1 < n_rows:
        write_row(out, row + 1, column, totals[1], excess[1])
    if row + 2 < n_rows:
        write_row(out, row + 2, column, totals[2], excess[2])
    if row + 3 < n_rows:
        write_row(out, row + 3, column, totals[3], excess[3])


def splits(n_tiles: int, n_summed: int) -> int:
    """Blocks that share the sums of one tile, each `n_summed` tiles long, where there are few tiles."""
    return max(1, min(_api.max_blocks() // max(4 * n_tiles, 1) if not SIMULATED else 2 // max(n_tiles, 1), n_summed))
