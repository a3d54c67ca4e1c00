"""Gradients of attention on a device: passes over the pairs, each by the owners of what it sums, in one order.

A block has SIDE queries, or SIDE keys, and SIDE columns of a gradient in them; it meets the others tile by tile, makes
the weights a or the slopes C of a tile, and adds the tile times what the others have. Three passes, so that nothing is
added by two threads: queries sum ``C (k − q)``; keys sum ``C (q − k)``, and C itself, the gradient in the bias; and
keys sum ``a G``. Differences are taken before they are summed, so that nothing is lost far from the origin.
"""

import numpy as np
from numba import types

from sksoft.kernels._cuda import _api
from sksoft.kernels._cuda._api import cuda, device, jit, xp
from sksoft.kernels._cuda.attention_scores import SIGHT, pair_score_of, sight_arguments, term_of
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.elementary import copysign, exp, isinf, isnan, sqrt
from sksoft.kernels._cuda.layout import contiguous
from sksoft.kernels._cuda.tiles import (
    ALIGNMENT,
    KEPT,
    LANES,
    PRODUCT,
    QUAD,
    SIDE,
    THREADS,
    compensated_quad,
    compensated_tile,
    has_excess,
    keep,
    kept_quad,
    kept_times,
    left_size,
    no_tile,
    right_size,
    row_totals,
    splits,
    tile_of,
    write_row_sums,
    write_tile,
)
from sksoft.kernels._cuda.warps import numba_type
from sksoft.kernels.attention import SCORES

# Who owns the sums and what is summed.
QUERY_SLOPES, KEY_SLOPES, VALUE_WEIGHTS = "query", "key", "value"


def pairs_of(real, score):
    """Weights and slopes of pairs: ``(sum, i, j, …)`` of the product or squared distance of query i and key j."""
    pair_score, zero, one = pair_score_of(real, score), real(0.0), real(1.0)
    lowest, highest, hidden = real(-np.inf), real(np.inf), real(-0.0)

    @device
    def weight(total, i, j, n, stop, scale, sight, lse):
        """exp(z − lse); −0 where i does not see j, or sees nothing."""
        z = pair_score(total, i, j, n, stop, scale, sight)
        if z == lowest:
            return hidden
        level = lse[i]
        if level == lowest:
            return hidden
        return zero if level == highest else exp(z - level)

    @device
    def slope(total, product, i, j, n, stop, scale, sight, lse, along):
        """C = a (⟨G, v⟩ − along); 0 where i does not see j."""
        a = weight(total, i, j, n, stop, scale, sight, lse)
        if a == zero and copysign(one, a) < zero:
            return zero
        return a * (product - along[i])

    @device
    def step(slope, total):
        """What the difference of the points is multiplied with."""
        if score != "laplace":
            return slope
        distance = sqrt(total)
        return zero if slope == zero or distance == zero else slope / distance

    return weight, slope, step


def origins_of(real):
    """``(matrix, row, column) -> tile`` of a thread's part of a matrix, zeros beyond it and for what is not finite."""
    zero = real(0.0)

    @device
    def entry(matrix, row, column):
        if row >= matrix.shape[0] or column >= matrix.shape[1]:
            return zero
        number = matrix[row, column]
        return zero if isnan(number) or isinf(number) else number

    @device
    def quad(matrix, row, column):
        return (
            entry(matrix, row, column),
            entry(matrix, row, column + 1),
            entry(matrix, row, column + 2),
            entry(matrix, row, column + 3),
        )

    @device
    def origins(matrix, row, column):
        return (
            quad(matrix, row, column),
            quad(matrix, row + 1, column),
            quad(matrix, row + 2, column),
            quad(matrix, row + 3, column),
        )

    return origins


def rows_of(real, score, what):
    """``(sums, products, row, column, …) -> four numbers`` of a row of a tile: weights or slopes; and their steps."""
    weight, slope, step = pairs_of(real, score)

    @device
    def entry(total, product, row, column, n, stop, scale, sight, lse, along):
        if what == QUERY_SLOPES:
            return slope(total, product, row, column, n, stop, scale, sight, lse, along)
        if what == KEY_SLOPES:
            return slope(total, product, column, row, n, stop, scale, sight, lse, along)
        return weight(total, column, row, n, stop, scale, sight, lse)

    @device
    def row_entries(sums, products, row, column, n, stop, scale, sight, lse, along):
        return (
            entry(sums[0], products[0], row, column, n, stop, scale, sight, lse, along),
            entry(sums[1], products[1], row, column + 1, n, stop, scale, sight, lse, along),
            entry(sums[2], products[2], row, column + 2, n, stop, scale, sight, lse, along),
            entry(sums[3], products[3], row, column + 3, n, stop, scale, sight, lse, along),
        )

    @device
    def row_steps(slopes, sums):
        return step(slopes[0], sums[0]), step(slopes[1], sums[1]), step(slopes[2], sums[2]), step(slopes[3], sums[3])

    return row_entries, row_steps


def products_of(real, score, what):
    """``(own, others, own ends, others' ends, …) -> tile`` of products of the ends; what scores come from to `kept`.

    Without ends, for weights, the latter.
    """
    sums, products, put = tile_of(real, term_of(score)), tile_of(real, PRODUCT), keep(real)

    @device
    def products_of(own, others, own_ends, others_ends, first_row, start, left, right, kept, thread):
        tile = sums(own, others, first_row, start, left, right, thread)
        put(kept, tile, thread)
        if what == VALUE_WEIGHTS:
            return tile
        return products(own_ends, others_ends, first_row, start, left, right, thread)

    return products_of


def entries_of(real, score, what):
    """``(kept, products, row, column, …) -> tile, totals`` of a thread's weights or slopes, the tile of their steps.

    The sums that scores come from are in `kept`, out of the way of the products.
    """
    again, of_values = kept_quad(real), what == VALUE_WEIGHTS
    row_entries, row_steps = rows_of(real, score, what)

    @device
    def entries(kept, products, row, column, n, stop, scale, sight, lse, along, thread):
        n0, n1, n2, n3 = again(kept, 0, thread), again(kept, 1, thread), again(kept, 2, thread), again(kept, 3, thread)
        e0 = row_entries(n0, products[0], row, column, n, stop, scale, sight, lse, along)
        e1 = row_entries(n1, products[1], row + 1, column, n, stop, scale, sight, lse, along)
        e2 = row_entries(n2, products[2], row + 2, column, n, stop, scale, sight, lse, along)
        e3 = row_entries(n3, products[3], row + 3, column, n, stop, scale, sight, lse, along)
        totals = row_totals((e0, e1, e2, e3))
        if of_values:
            return (e0, e1, e2, e3), totals
        return (row_steps(e0, n0), row_steps(e1, n1), row_steps(e2, n2), row_steps(e3, n3)), totals

    return entries


@device
def nobody_sees(limits, first_key, start, stop, thread):
    """Whether no query from `start` on, of a tile, sees a key from `first_key` on; all threads must come."""
    sees = 0
    for other in range(start + thread, min(start + SIDE, stop), THREADS):
        if limits[other] > first_key:
            sees = 1
    return not cuda.syncthreads_or(np.int32(sees))


@compiled(
    f"real[:, ::1], real[:, ::1], real[:, ::1], real[:, ::1], real[::1], real[::1], real, {SIGHT}, int64, "
    "real[:, :, ::1], real[:, ::1]",
    tuple((score, what) for score in SCORES for what in (QUERY_SLOPES, KEY_SLOPES, VALUE_WEIGHTS)),
    most_threads=256,
)
def slope_sums(real, score, what):
    """Sums of each part of the others in `sums`, and of the slopes of each key in `totals`."""
    by_key, of_values, narrow = what != QUERY_SLOPES, what == VALUE_WEIGHTS, has_excess(real)
    products, entries, write_sums = products_of(real, score, what), entries_of(real, score, what), write_row_sums(real)
    differences = score != "dot" and not of_values
    put, take, origins_at = keep(real), kept_times(real, differences, finite=not of_values), origins_of(real)
    zeros, add_tile, add_quad = no_tile(real), compensated_tile(real), compensated_quad(real)
    kind, left_numbers, right_numbers = numba_type(real), left_size(real), right_size(real)

    @jit
    def slope_sums(
        queries, keys, values, gradient, lse, along, scale, bias, limits, query_groups, key_groups, mask, added,
        n_parts, sums, totals,
    ):  # fmt: skip
        left = cuda.shared.array(left_numbers, kind, ALIGNMENT)
        right = cuda.shared.array(right_numbers, kind, ALIGNMENT)
        kept = cuda.shared.array(KEPT, kind, ALIGNMENT)
        # The first row stands in memory too, lest the compiler keep addresses of all a row's entries in registers.
        place = cuda.shared.array(1, types.int64)
        thread, sight = cuda.threadIdx.x, (bias, limits, query_groups, key_groups, mask, added)
        own, others = (keys, queries) if by_key else (queries, keys)
        own_ends, others_ends = (values, gradient) if by_key else (gradient, values)
        summed = gradient if of_values else others
        n, n_others, n_columns = own.shape[0], others.shape[0], summed.shape[1]
        lane, own_row = thread % LANES, thread // LANES * QUAD
        row_tiles, column_tiles = (n + SIDE - 1) // SIDE, max((n_columns + SIDE - 1) // SIDE, 1)
        others_a_part = ((n_others + SIDE - 1) // SIDE + n_parts - 1) // n_parts * SIDE
        for item in range(cuda.blockIdx.x, row_tiles * column_tiles * n_parts, cuda.gridDim.x):
            first_row, part = item % row_tiles * SIDE, item // row_tiles // column_tiles
            row, column = first_row + own_row, item // row_tiles % column_tiles * SIDE + lane * QUAD
            stop = min(n_others, (part + 1) * others_a_part)
            if thread == 0:
                place[0] = first_row
            found, excess = zeros(), zeros()
            total, total_excess = found[0], found[0]
            for start in range(part * others_a_part, stop, SIDE):
                if by_key and limits.size > 0 and nobody_sees(limits, first_row, start, stop, thread):
                    continue
                product = products(own, others, own_ends, others_ends, first_row, start, left, right, kept, thread)
                ends = (stop, n) if by_key else (n, stop)
                here = place[0] + own_row
                tile, more = entries(
                    kept, product, here, start + lane * QUAD, ends[0], ends[1], scale, sight, lse, along, thread
                )
                if what == KEY_SLOPES:
                    total, total_excess = add_quad(total, total_excess, more)
                put(kept, tile, thread)
                # Read anew for each tile, lest it take registers all the time.
                origins = origins_at(own, here, column) if differences else tile
                first_column = column - lane * QUAD
                if narrow:
                    sums_here = take(zeros(), kept, summed, start, stop, first_column, right, thread, origins)
                    found, excess = add_tile(found, excess, sums_here)
                else:
                    found = take(found, kept, summed, start, stop, first_column, right, thread, origins)
            write_tile(sums[part], row, column, found, excess)
            if what == KEY_SLOPES:
                write_sums(totals[part], row, n, lane, total, total_excess)

    return slope_sums


def gradients(queries, keys, values, out_gradient, lse, along, score, scale, sight):
    """Gradients in queries, keys, values and bias; `along` is ⟨G, out⟩ less the gradient in lse."""
    real = queries.dtype
    arrays = tuple(map(contiguous, (queries, keys, values, out_gradient, lse, along)))
    given = sight_arguments(sight, real)
    shapes = {
        QUERY_SLOPES: (len(queries), len(keys), queries.shape[1]),
        KEY_SLOPES: (len(keys), len(queries), keys.shape[1]),
        VALUE_WEIGHTS: (len(keys), len(queries), values.shape[1]),
    }
    prepared = []
    for what, (n, n_others, n_columns) in shapes.items():
        tiles = -(-n // SIDE) * max(1, -(-n_columns // SIDE))
        n_parts = splits(tiles, -(-n_others // SIDE))
        sums, totals = (
            xp.empty((n_parts, n, n_columns), real),
            xp.empty((n_parts, n if what == KEY_SLOPES else 0), real),
        )
        prepared.append((what, min(tiles * n_parts, _api.max_blocks()), n_parts, sums, totals))
    for what, blocks, n_parts, sums, totals in prepared:
        arguments = (*arrays, scale, *given, n_parts, sums, totals)
        slope_sums.launch(real, (blocks, THREADS), arguments, variant=(score, what))
    (by_query, _), (by_key, by_bias), (by_value, _) = (
        (_joined(sums), _joined(totals)) for *_, sums, totals in prepared
    )
    factor = real.type(scale)
    return factor * by_query, factor * by_key, by_value, by_bias


def _joined(parts):
    """The sum over the parts, in their precision."""
    return parts[0] if len(parts) == 1 else parts.sum(axis=0)
