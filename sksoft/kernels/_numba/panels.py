"""Panels: a few rows in the first-level cache, laid out so that every loop over them fills vector registers.

Up to :data:`NARROW` columns a panel is a *tile* of shape (K, LANES), the rows transposed: a row of 10 scores fills no
register and its maximum is a chain of dependent steps, while column k of 64 rows is 64 independent lanes. Getting in
and out is a transposition of square blocks in registers, written as shuffles that LLVM knows for every processor.
Wider rows stand as they are in a *strip* of shape (height, K), whose entries are also one flat run.

The functions below hide which of the two a panel is: each takes ``tiled``, which is ``K <= NARROW``. Numbers of a row
(maxima, sums, factors) are entries of arrays of LANES, one for each row of the panel.

Why scratch memory at all: LLVM vectorises a loop over two arrays only after checking that they do not overlap, and
results may be asked for in the memory of the scores. A panel overlaps nothing.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from sksoft.kernels._numba._jit import REASSOCIATE, jit
from sksoft.kernels._numba.exp import exp, ordered, unordered

LANES = 64
# Up to this many columns a tile of float64 and its accumulators stay in 32 KB.
NARROW = 40
# Entries of a strip: 8 KB of float64, so that rows to come and results fit beside it.
STRIP = 1024
# Entries of a strip whose arithmetic hides the fetching of as many to come.
RUN = 512
# Width of the square blocks that are transposed, and of a cache line.
VECTOR_BYTES, LINE_BYTES = 32, 64

_INT32 = ir.IntType(32)


def _prefetcher(locality: int):
    """``prefetch(array, offset)``: ask for the cache line of element `offset` of a 1-D `array`, past its end too.

    `locality` is 3 for every cache level and 2 for all but the first, which has other things to hold.
    """

    @intrinsic
    def prefetch(typingctx, array, offset):
        signature = types.void(array, offset)

        def codegen(context, builder, signature, args):
            data = context.make_array(signature.args[0])(context, builder, args[0]).data
            pointer = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
            function_type = ir.FunctionType(ir.VoidType(), [pointer.type, _INT32, _INT32, _INT32])
            function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
            builder.call(function, [pointer, _INT32(0), _INT32(locality), _INT32(1)])  # to read; data
            return context.get_dummy_value()

        return signature, codegen

    return prefetch


_prefetch, _prefetch_outer = _prefetcher(3), _prefetcher(2)


@jit
def new_panel(rows):
    """A panel for `rows` (n, K), of their dtype, and how many rows it holds."""
    n_columns = rows.shape[1]
    if n_columns <= NARROW:
        return np.zeros((n_columns, LANES), rows.dtype), LANES
    height = max(1, min(LANES, STRIP // n_columns))
    return np.zeros((height, n_columns), rows.dtype), height


@jit
def copy(panel, out):
    source, target = panel.reshape(-1), out.reshape(-1)
    for i in range(source.size):
        target[i] = source[i]


@jit
def get(panel, i, k, tiled):
    """Entry k of row i."""
    return panel[k, i] if tiled else panel[i, k]


@jit
def put(panel, i, k, value, tiled):
    """Set entry k of row i."""
    if tiled:
        panel[k, i] = value
    else:
        panel[i, k] = value


@jit
def load(rows, mask, panel, top, tiled):
    """Copy `rows` (n, K) into `panel`: −inf where `mask` (n, K), if any, is False; maxima to `top`.

    A NaN is disregarded by a maximum or not: what follows finds it in the sum.
    """
    n = rows.shape[0]
    if rows.shape[1] == 2:
        _split_pairs(rows.reshape(-1), panel[0], panel[1])
    elif tiled:
        _transpose_in(rows, panel)
    else:
        for i in range(n):
            top[i] = _copy_and_maximum(rows[i], panel[i])
    masked = False if mask is None else mask.size > 0
    if mask is not None and masked:
        for i in range(n):
            for k in range(rows.shape[1]):
                if not mask[i, k]:
                    put(panel, i, k, -np.inf, tiled)
    if tiled:
        _maxima_of_tile(panel, top)
    elif mask is not None and masked:
        for i in range(n):
            top[i] = _copy_and_maximum(panel[i], panel[i])


@jit
def store(panel, factor, rows, tiled):
    """``rows[i] = panel row i · factor[i]``."""
    if rows.shape[1] == 2:
        _join_pairs(panel[0], panel[1], factor, rows.reshape(-1))
    elif tiled:
        _transpose_out(panel, factor, rows)
    else:
        for i in range(rows.shape[0]):
            scaled(panel[i], factor[i], rows[i])


@jit
def _maxima_of_tile(tile, top):
    a = tile[0]
    for i in range(LANES):
        top[i] = a[i]
    for k in range(0, tile.shape[0] - 3, 4):
        a, b, c, d = tile[k], tile[k + 1], tile[k + 2], tile[k + 3]
        for i in range(LANES):
            largest = top[i]
            largest = a[i] if a[i] > largest else largest
            largest = b[i] if b[i] > largest else largest
            largest = c[i] if c[i] > largest else largest
            largest = d[i] if d[i] > largest else largest
            top[i] = largest
    for k in range(tile.shape[0] // 4 * 4, tile.shape[0]):
        a = tile[k]
        for i in range(LANES):
            top[i] = a[i] if a[i] > top[i] else top[i]


@jit(fastmath=REASSOCIATE)
def _copy_and_maximum(row, target):
    largest = ordered(row[0])
    for k in range(row.size):
        key = ordered(row[k])
        largest = key if key > largest else largest
        target[k] = row[k]
    return unordered(largest, row[0])


@jit
def shift(panel, n, top, temperature, tiled):
    """Each row i to ``(row − top[i]) / temperature``, in float64 before rounding to the dtype of the panel."""
    # halves do not overflow where the difference does and its quotient by a temperature above 1 does not
    half = 0.5 if temperature > 1.0 else 1.0
    divisor = half * temperature
    if tiled:
        for k in range(panel.shape[0]):
            column = panel[k]
            for i in range(LANES):
                column[i] = (half * column[i] - half * top[i]) / divisor
    else:
        for i in range(n):
            row, largest = panel[i], half * top[i]
            for k in range(row.size):
                row[k] = (half * row[k] - largest) / divisor


@jit
def exponentials(panel, n, top, total, ahead, tiled):
    """Each row i to ``exp(row − top[i])`` in place and its sum to ``total[i]`` (float64).

    `ahead` is the flat memory of the rows that come next: it is asked for meanwhile, since the processor does not
    foresee it across a whole panel's arithmetic.
    """
    if tiled:
        _exponentials_of_tile(panel, top, total, ahead)
        return
    for i in range(n):
        row, largest = panel[i], top[i]
        for k in range(row.size):
            row[k] = row[k] - largest
    flat = panel[:n].reshape(-1)  # one run: no remainder of a register in every row
    for start in range(0, flat.size, RUN):
        run = flat[start : start + RUN]
        _prefetch_run(ahead, start, run.size)
        for j in range(run.size):
            run[j] = exp(run[j])
    for i in range(n):
        total[i] = sum_of(panel[i])


@jit
def exponentials_of_row(row, largest, target, ahead):
    """``exp(row − largest)`` into `target`, which must not be `row`; returns its float64 sum."""
    total = 0.0
    for start in range(0, row.size, RUN):
        run = row[start : start + RUN]
        _prefetch_run(ahead, start, run.size)
        total += _exponentials_into(run, largest, target[start : start + RUN])
    return total


@jit
def _prefetch_run(ahead, start, n):
    for j in range(start, start + n, LINE_BYTES // ahead.itemsize):
        _prefetch_outer(ahead, j)


@jit(fastmath=REASSOCIATE)
def _exponentials_into(run, largest, target):
    """Its own function: a loop that might write what it reads is not vectorised."""
    total = 0.0
    for k in range(run.size):
        x = exp(run[k] - largest)
        target[k] = x
        total += np.float64(x)
    return total


@jit(fastmath=REASSOCIATE)
def maximum_of(row):
    """Largest entry of a 1-D array; a NaN is disregarded or not."""
    largest = ordered(row[0])
    for k in range(row.size):
        key = ordered(row[k])
        largest = key if key > largest else largest
    return unordered(largest, row[0])


@jit
def scaled(row, factor, target):
    """``target = row · factor``."""
    for k in range(row.size):
        target[k] = row[k] * factor


@jit
def subtract(panel, n, top, amount, tiled):
    """Each row i to ``row − top[i] − amount[i]``, in float64 before rounding to the dtype of the panel."""
    if tiled:
        for k in range(panel.shape[0]):
            column = panel[k]
            for i in range(LANES):
                column[i] = np.float64(column[i]) - np.float64(top[i]) - amount[i]
    else:
        for i in range(n):
            row, largest, less = panel[i], np.float64(top[i]), amount[i]
            for k in range(row.size):
                row[k] = np.float64(row[k]) - largest - less


@jit
def _exponentials_of_tile(panel, top, total, ahead):
    total[:] = 0.0
    # `while`, not `range`: knowing the trip count LLVM checks overlap over all columns at once, and a meets b there
    k = 0
    while k + 2 <= panel.shape[0]:
        for j in range(k * LANES, (k + 2) * LANES, LINE_BYTES // panel.itemsize):
            _prefetch(ahead, j)
        a, b = panel[k], panel[k + 1]
        for i in range(LANES):
            x, y = exp(a[i] - top[i]), exp(b[i] - top[i])
            a[i], b[i] = x, y
            total[i] += np.float64(x) + np.float64(y)
        k += 2
    if k < panel.shape[0]:
        a = panel[k]
        for i in range(LANES):
            x = exp(a[i] - top[i])
            a[i] = x
            total[i] += np.float64(x)


@jit(fastmath=REASSOCIATE)
def sum_of(row):
    """Float64 sum of a 1-D array."""
    total = 0.0
    for k in range(row.size):
        total += np.float64(row[k])
    return total


@jit
def _split_pairs(pairs, first, second):
    """Two columns: a stride known to LLVM, which it vectorises; 0 in the lanes that are left."""
    n = pairs.size // 2
    for i in range(n):
        first[i] = pairs[2 * i]
        second[i] = pairs[2 * i + 1]
    first[n:] = 0.0
    second[n:] = 0.0


@jit
def _join_pairs(first, second, factor, pairs):
    for i in range(pairs.size // 2):
        pairs[2 * i] = first[i] * factor[i]
        pairs[2 * i + 1] = second[i] * factor[i]


@jit
def _transpose_in(rows, tile):
    """Rows (n, K) into the tile (K, LANES), 0 in lanes from n on."""
    n, n_columns = rows.shape
    width = VECTOR_BYTES // rows.itemsize
    square = n // width * width if n_columns >= width else 0
    for i in range(0, square, width):
        for k in range(0, n_columns - width + 1, width):
            _transpose_block(rows, i, k, tile, k, i, None)
        # the last columns again where the width does not divide: no loop over single entries
        _transpose_block(rows, i, n_columns - width, tile, n_columns - width, i, None)
    for i in range(square, n):
        for k in range(n_columns):
            tile[k, i] = rows[i, k]
    if n < LANES:
        tile[:, n:] = 0.0


@jit
def _transpose_out(tile, factor, rows):
    n, n_columns = rows.shape
    width = VECTOR_BYTES // tile.itemsize
    square = n // width * width if n_columns >= width else 0
    for i in range(0, square, width):
        for k in range(0, n_columns - width + 1, width):
            _transpose_block(tile, k, i, rows, i, k, factor)
        _transpose_block(tile, n_columns - width, i, rows, i, n_columns - width, factor)
    for i in range(square, n):
        for k in range(n_columns):
            rows[i, k] = tile[k, i] * factor[i]


@intrinsic
def _transpose_block(typingctx, source, i, j, target, row, column, factor):
    """``target[row:row+w, column:column+w] = (source[i:i+w, j:j+w] * factor[j:j+w]).T``, w entries being VECTOR_BYTES.

    Both are 2-D and C-contiguous, and w is counted in entries of the source; `factor`, of its dtype, may be None.
    """
    signature = types.void(source, i, j, target, row, column, factor)

    def codegen(context, builder, signature, args):
        source_type, _, _, target_type, _, _, factor_type = signature.args
        item, target_item = source_type.dtype.bitwidth // 8, target_type.dtype.bitwidth // 8
        width = VECTOR_BYTES // item

        def pointers(array_type, value, first, column):
            vector = ir.VectorType(context.get_data_type(array_type.dtype), width).as_pointer()
            array = context.make_array(array_type)(context, builder, value)
            stride = cgutils.unpack_tuple(builder, array.shape, 2)[1]
            at = builder.add(builder.mul(first, stride), column)
            for _ in range(width):
                yield builder.bitcast(builder.gep(array.data, [at]), vector)
                at = builder.add(at, stride)

        rows = [builder.load(p, align=item) for p in pointers(source_type, args[0], args[1], args[2])]
        if factor_type is not types.none:
            factors = context.make_array(factor_type)(context, builder, args[6])
            at = builder.bitcast(builder.gep(factors.data, [args[2]]), rows[0].type.as_pointer())
            scale = builder.load(at, align=item)
            rows = [builder.fmul(row, scale) for row in rows]
        for row, pointer in zip(_transposed(builder, rows), pointers(target_type, args[3], args[4], args[5])):
            if target_item != item:
                cast = builder.fptrunc if target_item < item else builder.fpext
                row = cast(row, pointer.type.pointee)
            builder.store(row, pointer, align=target_item)
        return context.get_dummy_value()

    return signature, codegen


def _transposed(builder, rows):
    """Vectors that are the rows of a square -> its columns, in log2(width) rounds that swap halves of pairs of rows."""
    width = len(rows)
    distance = 1
    while distance < width:
        low = [c if not c & distance else width + (c ^ distance) for c in range(width)]
        high = [c ^ distance if not c & distance else width + c for c in range(width)]
        masks = [ir.Constant(ir.VectorType(_INT32, width), mask) for mask in (low, high)]
        swapped = list(rows)
        for r in range(width):
            if not r & distance:
                pair = rows[r], rows[r | distance]
                swapped[r], swapped[r | distance] = (builder.shuffle_vector(*pair, mask) for mask in masks)
        rows = swapped
        distance *= 2
    return rows
