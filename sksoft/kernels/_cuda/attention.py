"""Attention on a device: tiles of queries and keys (``tiles``), a softmax that meets the keys tile by tile.

A block has SIDE queries and SIDE columns of the values. For each tile of keys its threads make the scores, replace them
by ``exp(z − top)`` with the largest score so far, scale what they have by what `top` has grown, and add the tile times
its values: nothing of the size of the pairs is ever in memory. Where there are few queries, several blocks share their
keys, and a second kernel joins the parts. Sums over tiles are compensated.

Squared distances are sums of squared differences, which costs twice a product and loses nothing. A key that a query
does not see has the weight −0, so that not even a NaN of its values is looked at. What numbers could not hold, be it a
score or a sum, is computed again in float64 with smaller values, for these queries alone.
"""

import numpy as np
from numba import types

from sksoft.kernels import attention
from sksoft.kernels._cuda import _api
from sksoft.kernels._cuda._api import cuda, device, jit, xp
from sksoft.kernels._cuda.attention_gradients import gradients
from sksoft.kernels._cuda.attention_scores import SIGHT, pair_score_of, sight_arguments, term_of
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.elementary import exp, log
from sksoft.kernels._cuda.layout import contiguous
from sksoft.kernels._cuda.tiles import (
    ALIGNMENT,
    KEPT,
    LANES,
    QUAD,
    SIDE,
    THREADS,
    compensated_quad,
    compensated_tile,
    has_excess,
    keep,
    kept_times,
    left_size,
    no_tile,
    right_size,
    row_totals,
    splits,
    tile_of,
    times_quad,
    times_rows,
    write_row_sums,
    write_tile,
)
from sksoft.kernels._cuda.warps import larger, max_of, numba_type
from sksoft.kernels.attention import SCORES, Sight


@device
def reach(limits, first_row, n_rows, n_keys):
    """The key before which all that a block's queries may see are."""
    if limits.size == 0:
        return n_keys
    last = np.int64(0)
    for row in range(first_row, min(first_row + SIDE, n_rows)):
        last = max(last, limits[row])
    return min(last, n_keys)


def row_step_of(real):
    """``(four scores, top) -> weights, top, shrink``: what a lane's next scores of a row make, all lanes together.

    What has been summed under the old top is to be multiplied with `shrink`. All lanes must come.
    """
    row_max, zero, lowest, hidden = max_of(real), real(0.0), real(-np.inf), real(-0.0)

    @device
    def weight(z, base):
        return hidden if z == lowest else exp(z - base)

    @device
    def row_step(z, top):
        highest = row_max(larger(larger(z[0], z[1]), larger(z[2], z[3])), LANES)
        highest = larger(highest, top)
        base = zero if highest == lowest else highest
        weights = weight(z[0], base), weight(z[1], base), weight(z[2], base), weight(z[3], base)
        return weights, highest, exp(top - base)

    return row_step


def tile_weights_of(real, score):
    """``(tile, i, j, …, tops) -> weights, tops, shrinks``: :func:`row_step_of` of a thread's pairs from (i, j) on."""
    pair_score, row_step = pair_score_of(real, score), row_step_of(real)

    @device
    def row_scores(sums, i, j, n, stop, scale, sight):
        return (
            pair_score(sums[0], i, j, n, stop, scale, sight),
            pair_score(sums[1], i, j + 1, n, stop, scale, sight),
            pair_score(sums[2], i, j + 2, n, stop, scale, sight),
            pair_score(sums[3], i, j + 3, n, stop, scale, sight),
        )

    @device
    def weights_of(sums, i, j, n, stop, scale, sight, tops):
        w0, t0, f0 = row_step(row_scores(sums[0], i, j, n, stop, scale, sight), tops[0])
        w1, t1, f1 = row_step(row_scores(sums[1], i + 1, j, n, stop, scale, sight), tops[1])
        w2, t2, f2 = row_step(row_scores(sums[2], i + 2, j, n, stop, scale, sight), tops[2])
        w3, t3, f3 = row_step(row_scores(sums[3], i + 3, j, n, stop, scale, sight), tops[3])
        return (w0, w1, w2, w3), (t0, t1, t2, t3), (f0, f1, f2, f3)

    return weights_of


@device
def write_tops(tops, row, n, lane, top):
    if lane == 0:
        if row < n:
            tops[row] = top[0]
        if row + 1 < n:
            tops[row + 1] = top[1]
        if row + 2 < n:
            tops[row + 2] = top[2]
        if row + 3 < n:
            tops[row + 3] = top[3]


@compiled(
    f"real[:, ::1], real[:, ::1], real[:, ::1], real, {SIGHT}, int64, real[:, :, ::1], real[:, ::1], real[:, ::1]",
    tuple((score,) for score in SCORES),
    most_threads=256,
)
def attend_parts(real, score):
    """Σ w v in `sums`, Σ w in `totals`, with weights exp(z − top) of the keys of each part; `tops`."""
    weights_of, write_sums = tile_weights_of(real, score), write_row_sums(real)
    scores, put, take = tile_of(real, term_of(score)), keep(real), kept_times(real)
    zeros, add_tile, add_quad = no_tile(real), compensated_tile(real), compensated_quad(real)
    kind, lowest, narrow = numba_type(real), real(-np.inf), has_excess(real)
    left_numbers, right_numbers = left_size(real), right_size(real)

    @jit
    def attend_parts(
        queries, keys, values, scale, bias, limits, query_groups, key_groups, mask, added, n_parts, sums, tops, totals
    ):
        left = cuda.shared.array(left_numbers, kind, ALIGNMENT)
        right = cuda.shared.array(right_numbers, kind, ALIGNMENT)
        kept = cuda.shared.array(KEPT, kind, ALIGNMENT)
        # The first row stands in memory too, lest the compiler keep addresses of all a row's entries in registers.
        place = cuda.shared.array(1, types.int64)
        thread, sight = cuda.threadIdx.x, (bias, limits, query_groups, key_groups, mask, added)
        lane, own_row = thread % LANES, thread // LANES * QUAD
        n, n_keys, n_values = queries.shape[0], keys.shape[0], values.shape[1]
        row_tiles, value_tiles = (n + SIDE - 1) // SIDE, max((n_values + SIDE - 1) // SIDE, 1)
        keys_a_part = ((n_keys + SIDE - 1) // SIDE + n_parts - 1) // n_parts * SIDE
        for item in range(cuda.blockIdx.x, row_tiles * value_tiles * n_parts, cuda.gridDim.x):
            first_row, part = item % row_tiles * SIDE, item // row_tiles // value_tiles
            first_value = item // row_tiles % value_tiles * SIDE
            row = first_row + own_row
            stop = min(reach(limits, first_row, n, n_keys), (part + 1) * keys_a_part)
            if thread == 0:
                place[0] = first_row
            cuda.syncthreads()
            found, excess = zeros(), zeros()
            total, total_excess = found[0], found[0]
            top = (lowest, lowest, lowest, lowest)
            for start in range(part * keys_a_part, stop, SIDE):
                tile = scores(queries, keys, first_row, start, left, right, thread)
                here = place[0] + own_row
                tile, top, shrink = weights_of(tile, here, start + lane * QUAD, n, stop, scale, sight, top)
                if narrow:
                    total_excess = times_quad(total_excess, shrink)
                total, total_excess = add_quad(times_quad(total, shrink), total_excess, row_totals(tile))
                put(kept, tile, thread)
                found = times_rows(found, shrink)
                if narrow:
                    excess = times_rows(excess, shrink)
                    more = take(zeros(), kept, values, start, stop, first_value, right, thread, tile)
                    found, excess = add_tile(found, excess, more)
                else:
                    found = take(found, kept, values, start, stop, first_value, right, thread, tile)
            write_tile(sums[part], row, first_value + lane * QUAD, found, excess)
            write_tops(tops[part], row, n, lane, top)
            write_sums(totals[part], row, n, lane, total, total_excess)

    return attend_parts


@compiled("real[:, :, ::1], real[:, ::1], real[:, ::1], real[:, ::1], real[::1]")
def join_parts(real):
    """`out` and `lse` of parts of the keys; a thread has an entry of `out`, the first of a row also its lse."""
    zero, lowest = real(0.0), real(-np.inf)

    @jit
    def join_parts(sums, tops, totals, out, lse):
        n_parts, n, n_values = sums.shape
        columns = max(n_values, 1)
        for entry in range(cuda.grid(1), n * columns, cuda.gridsize(1)):
            row, column = entry // columns, entry % columns
            top = lowest
            for part in range(n_parts):
                top = larger(tops[part, row], top)
            base = zero if top == lowest else top
            total, found = zero, zero
            for part in range(n_parts):
                factor = exp(tops[part, row] - base)
                total += factor * totals[part, row]
                if n_values > 0:
                    found += factor * sums[part, row, column]
            if n_values > 0:
                out[row, column] = found / total
            if column == 0:
                lse[row] = base + log(total)

    return join_parts


@attention.attend.implement("cuda")
def attend(queries, keys, values, *, score="dot", scale=1.0, **sight):
    sight = Sight(**sight)
    out, lse = _attend(queries, keys, values, score, scale, sight)
    odd = xp.flatnonzero(~(xp.isfinite(out).all(axis=1) & xp.isfinite(lse)))
    if odd.size:
        sight = Sight(**{name: _wide(array) for name, array in sight.at(odd).items()})
        # Sums of values cannot leave the range of numbers when every value is as small a part of the largest number.
        part = 0.5 ** (len(keys).bit_length() + 1)
        again = _attend(*map(_wide, (queries[odd], keys)), _wide(values) * part, score, scale, sight)
        out[odd], lse[odd] = (again[0] / part).astype(out.dtype), again[1].astype(lse.dtype)
    return out, lse


def _attend(queries, keys, values, score, scale, sight):
    """Out and lse in the precision of `queries`."""
    real, (n, n_keys), n_values = queries.dtype, (len(queries), len(keys)), values.shape[1]
    queries, keys, values = map(contiguous, (queries, keys, values))
    row_tiles, value_tiles = -(-n // SIDE), max(1, -(-n_values // SIDE))
    n_parts = splits(row_tiles * value_tiles, -(-n_keys // SIDE))
    sums, tops, totals = (
        xp.empty((n_parts, n, n_values), real),
        xp.empty((n_parts, n), real),
        xp.empty((n_parts, n), real),
    )
    out, lse = xp.empty((n, n_values), real), xp.empty(n, real)
    given = sight_arguments(sight, real)
    blocks = min(row_tiles * value_tiles * n_parts, _api.max_blocks())
    arguments = (queries, keys, values, scale, *given, n_parts, sums, tops, totals)
    attend_parts.launch(real, (blocks, THREADS), arguments, variant=(score,))
    blocks = min(-(-n * max(n_values, 1) // _api.BLOCK), _api.max_blocks())
    join_parts.launch(real, (blocks, _api.BLOCK), (sums, tops, totals, out, lse))
    return out, lse


def _wide(array):
    """Numbers of float32 as float64."""
    return array.astype(np.float64) if array is not None and array.dtype == np.float32 else array


@attention.attend_vjp.implement("cuda")
def attend_vjp(
    queries, keys, values, out, lse, out_gradient, *, lse_gradient=None, score="dot", scale=1.0, **sight
):  # fmt: skip
    sight = Sight(**sight)
    # In float64: its difference to ⟨G, v⟩ is small.
    along = (contiguous(out_gradient).astype(np.float64) * contiguous(out)).sum(axis=1)
    if lse_gradient is not None:
        along -= lse_gradient
    return gradients(queries, keys, values, out_gradient, lse, along.astype(queries.dtype), score, scale, sight)
