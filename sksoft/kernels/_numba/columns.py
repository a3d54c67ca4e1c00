"""Column-batched linear algebra, compiled: the inner loops run over problems, which stand side by side in memory.

The sums of a Gram matrix are many for every number read. LLVM does not vectorise a loop with so many arrays, each of
which might overlap the others, so :func:`_accumulator` writes it out: a few rows of a few columns are held in
registers while all products of all directions are added up.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from sksoft.kernels import columns
from sksoft.kernels._numba._jit import jit
from sksoft.kernels.blocks import map_blocks, row_blocks

# Rows and columns of a tile: each sum is read and written once for HEIGHT rows; 8 float64 fill the widest register.
HEIGHT, WIDTH = 4, 8
_INT64, _DOUBLE = ir.IntType(64), ir.DoubleType()


def _tile_pointer(context, builder, array_type, value, row, column, width):
    """Where the entries ``array[row, column : column + width]`` of a 2-D array in C order stand, as one vector."""
    vector = ir.VectorType(context.get_data_type(array_type.dtype), width).as_pointer()
    array = context.make_array(array_type)(context, builder, value)
    n_columns = cgutils.unpack_tuple(builder, array.shape, 2)[1]
    at = builder.add(builder.mul(row, n_columns), column)
    return builder.bitcast(builder.gep(array.data, [at]), vector)


def _accumulator(height: int, width: int):
    """``accumulate(directions, residual, curvature, row, column, sums)`` for a tile of `height` rows × `width` columns.

    Adds to ``sums[:, column : column + width]`` what :func:`gram_block` says, over rows ``row : row + height``.
    `directions` is a tuple of 2-D arrays; all arrays are C-contiguous.
    """

    @intrinsic
    def accumulate(typingctx, directions, residual, curvature, row, column, sums):
        signature = types.void(directions, residual, curvature, row, column, sums)

        def codegen(context, builder, signature, args):
            def pointer(array_type, value, row):
                return _tile_pointer(context, builder, array_type, value, row, args[4], width)

            def load(array_type, value):
                item = array_type.dtype.bitwidth // 8
                rows = [builder.add(args[3], _INT64(r)) for r in range(height)]
                loaded = [builder.load(pointer(array_type, value, r), align=item) for r in rows]
                return loaded if item == 8 else [builder.fpext(v, ir.VectorType(_DOUBLE, width)) for v in loaded]

            def add(index, left, right):
                target = pointer(signature.args[5], args[5], _INT64(index))
                total = builder.load(target, align=8)
                for a, b in zip(left, right):
                    product = builder.fmul(a, b, flags=("contract",))
                    total = builder.fadd(total, product, flags=("contract",))
                builder.store(total, target, align=8)

            stack = signature.args[0]
            vectors = [load(stack.dtype, value) for value in cgutils.unpack_tuple(builder, args[0], stack.count)]
            residuals, curvatures = (load(signature.args[i], args[i]) for i in (1, 2))
            for j, vector in enumerate(vectors):
                add(j, residuals, vector)
                weighted = [builder.fmul(a, b) for a, b in zip(curvatures, vector)]
                for k in range(j + 1):
                    add(stack.count + j * (j + 1) // 2 + k, weighted, vectors[k])
            return context.get_dummy_value()

        return signature, codegen

    return accumulate


_tile, _tile_of_one_column = _accumulator(HEIGHT, WIDTH), _accumulator(HEIGHT, 1)
_tile_of_one_row, _entry = _accumulator(1, WIDTH), _accumulator(1, 1)


@jit
def gram_block(directions, residual, curvature, start, stop, sums):
    """Rows start..stop of the sums: of residual · u_j into row j, of curvature · u_j · u_k, k ≤ j, into those below."""
    n_problems = residual.shape[1]
    whole = n_problems // WIDTH * WIDTH
    last = start + (stop - start) // HEIGHT * HEIGHT
    for i in range(start, last, HEIGHT):
        for c in range(0, whole, WIDTH):
            _tile(directions, residual, curvature, i, c, sums)
        for c in range(whole, n_problems):
            _tile_of_one_column(directions, residual, curvature, i, c, sums)
    for i in range(last, stop):
        for c in range(0, whole, WIDTH):
            _tile_of_one_row(directions, residual, curvature, i, c, sums)
        for c in range(whole, n_problems):
            _entry(directions, residual, curvature, i, c, sums)


def _combiner(width: int):
    """``combine(directions, lengths, row, column, step, state)`` for one row of a tile of `width` columns.

    Writes ``Σ_k lengths[k] · directions[k]`` to `step`, which may be one of the directions, and adds it to `state`.
    """

    @intrinsic
    def combine(typingctx, directions, lengths, row, column, step, state):
        signature = types.void(directions, lengths, row, column, step, state)

        def codegen(context, builder, signature, args):
            stack, lengths_type, _, _, step_type, state_type = signature.args
            wide = ir.VectorType(_DOUBLE, width)

            def pointer(array_type, value, row):
                return _tile_pointer(context, builder, array_type, value, row, args[3], width)

            def load(array_type, value, row):
                loaded = builder.load(pointer(array_type, value, row), align=array_type.dtype.bitwidth // 8)
                return loaded if array_type.dtype.bitwidth == 64 else builder.fpext(loaded, wide)

            def store(number, array_type, value):
                target = pointer(array_type, value, args[2])
                number = number if array_type.dtype.bitwidth == 64 else builder.fptrunc(number, target.type.pointee)
                builder.store(number, target, align=array_type.dtype.bitwidth // 8)

            total = wide(None)
            for k, direction in enumerate(cgutils.unpack_tuple(builder, args[0], stack.count)):
                length = load(lengths_type, args[1], _INT64(k))
                product = builder.fmul(length, load(stack.dtype, direction, args[2]), flags=("contract",))
                total = builder.fadd(total, product, flags=("contract",))
            moved = builder.fadd(load(state_type, args[5], args[2]), total)
            store(total, step_type, args[4])
            store(moved, state_type, args[5])
            return context.get_dummy_value()

        return signature, codegen

    return combine


_combine_tile, _combine_entry = _combiner(WIDTH), _combiner(1)


@jit
def advance_block(directions, lengths, start, stop, step, state):
    n_problems = state.shape[1]
    whole = n_problems // WIDTH * WIDTH
    for i in range(start, stop):
        for c in range(0, whole, WIDTH):
            _combine_tile(directions, lengths, i, c, step, state)
        for c in range(whole, n_problems):
            _combine_entry(directions, lengths, i, c, step, state)


def _row_product(count: int, lanes: int):
    """``multiply(values, indices, first, last, dense, column, end, row, out)``: `count` vectors held in registers.

    Writes ``Σ_e values[e] · dense[indices[e], column : end]`` over e in first..last to the same columns of
    ``out[row]``. The last vector ends at `end` and may overlap the one before.
    """

    @intrinsic
    def multiply(typingctx, values, indices, first, last, dense, column, end, row, out):
        signature = types.void(values, indices, first, last, dense, column, end, row, out)

        def codegen(context, builder, signature, args):
            values, indices, dense, out = (
                context.make_array(signature.args[i])(context, builder, args[i]) for i in (0, 1, 4, 8)
            )
            dtype = signature.args[8].dtype
            vector = ir.VectorType(context.get_data_type(dtype), lanes)

            def vectors(array, row):
                n_columns = cgutils.unpack_tuple(builder, array.shape, 2)[1]
                start = builder.mul(row, n_columns)
                offsets = [builder.add(args[5], _INT64(lanes * i)) for i in range(count - 1)]
                for offset in [*offsets, builder.sub(args[6], _INT64(lanes))]:
                    yield builder.bitcast(builder.gep(array.data, [builder.add(start, offset)]), vector.as_pointer())

            totals = [cgutils.alloca_once_value(builder, vector(None)) for _ in range(count)]
            with cgutils.for_range_slice(builder, args[2], args[3], _INT64(1)) as (entry, _):
                value = builder.load(builder.gep(values.data, [entry]))
                first = builder.insert_element(vector(ir.Undefined), value, ir.IntType(32)(0))
                everywhere = ir.VectorType(ir.IntType(32), lanes)(None)
                factor = builder.shuffle_vector(first, vector(ir.Undefined), everywhere)
                index = builder.load(builder.gep(indices.data, [entry]))
                index = index if index.type == _INT64 else builder.sext(index, _INT64)
                for total, pointer in zip(totals, vectors(dense, index)):
                    product = builder.fmul(
                        factor, builder.load(pointer, align=dtype.bitwidth // 8), flags=("contract",)
                    )
                    builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
            for total, pointer in zip(totals, vectors(out, args[7])):
                builder.store(builder.load(total), pointer, align=dtype.bitwidth // 8)
            return context.get_dummy_value()

        return signature, codegen

    return multiply


_multiply_4x8, _multiply_3x8, _multiply_2x8, _multiply_8 = (_row_product(count, 8) for count in (4, 3, 2, 1))
_multiply_4, _multiply_1 = _row_product(1, 4), _row_product(1, 1)


@jit
def product_block(values, indices, indptr, dense, start, stop, out):
    """Rows start..stop of the product, in one pass over the values for 32 columns."""
    n_columns = out.shape[1]
    for i in range(start, stop):
        first, last = np.int64(indptr[i]), np.int64(indptr[i + 1])
        if n_columns < 8:
            for column in range(0, n_columns - n_columns % 4, 4):
                _multiply_4(values, indices, first, last, dense, column, column + 4, i, out)
            for column in range(n_columns - n_columns % 4, n_columns):
                _multiply_1(values, indices, first, last, dense, column, column + 1, i, out)
            continue
        for column in range(0, n_columns, 32):
            end = min(column + 32, n_columns)
            if end - column > 24:
                _multiply_4x8(values, indices, first, last, dense, column, end, i, out)
            elif end - column > 16:
                _multiply_3x8(values, indices, first, last, dense, column, end, i, out)
            elif end - column > 8:
                _multiply_2x8(values, indices, first, last, dense, column, end, i, out)
            else:
                _multiply_8(values, indices, first, last, dense, column, end, i, out)


def _read_only(array):
    """A view in C order that cannot be written to, so that numba sees one type."""
    view = np.ascontiguousarray(array)[...]
    view.flags.writeable = False
    return view


@columns.gram_columns.implement("numba")
def gram_columns(stack, residual, curvature):
    n_directions, n_rows, n_problems = stack.shape
    j, k = np.tril_indices(n_directions)
    directions = tuple(_read_only(direction) for direction in stack)
    residual, curvature = _read_only(residual), _read_only(curvature)

    def work(rows):
        sums = np.zeros((n_directions + len(j), n_problems))
        gram_block(directions, residual, curvature, rows.start, rows.stop, sums)
        return sums

    parts = map_blocks(work, row_blocks(n_rows, stack.itemsize * n_problems * (n_directions + 2)))
    sums = sum(parts[1:], parts[0])
    grams = np.empty((n_problems, n_directions, n_directions))
    grams[:, j, k] = grams[:, k, j] = sums[n_directions:].T
    return np.ascontiguousarray(sums[:n_directions].T), grams


@columns.advance_columns.implement("numba")
def advance_columns(stack, lengths, *, step, state):
    n_directions, n_rows, n_problems = stack.shape
    written = [array if array.flags.c_contiguous else array.copy() for array in (step, state)]
    directions, by_direction = tuple(_read_only(direction) for direction in stack), _read_only(lengths.T)
    map_blocks(
        lambda rows: advance_block(directions, by_direction, rows.start, rows.stop, *written),
        row_blocks(n_rows, stack.itemsize * n_problems * (n_directions + 2)),
    )
    for array, target in zip((step, state), written):
        if target is not array:
            array[...] = target
    return state


@columns.csr_times_dense.implement("numba")
def csr_times_dense(values, indices, indptr, dense, *, out):
    target = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
    n_rows = len(out)
    row_bytes = int(12 * len(values) / max(n_rows, 1) + out.itemsize * out.shape[1])
    inputs = [_read_only(array) for array in (values, indices, indptr, dense)]
    map_blocks(lambda rows: product_block(*inputs, rows.start, rows.stop, target), row_blocks(n_rows, row_bytes))
    if target is not out:
        out[...] = target
    return out
