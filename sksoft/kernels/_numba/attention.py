"""numba implementations of :mod:`sksoft.kernels.attention`; shapes and meaning are stated there.

Tiles of queries and keys: one matrix product makes the scores of a tile, in units of log 2, an exponential the weights,
another product adds what they make of the values. A row is rescaled when its maximum has grown. `bias` and the part
−‖k‖²/2 of Gaussian scores are one more column of the keys; −‖q‖²/2 is the same for all keys and comes back in lse.

Numbers that are not finite never reach a tile: what no query sees is zero there, and the few queries that do see one
are the reference's, as are those whose scores, or sums of values, leave the range of the numbers of a tile.
"""

import numpy as np

from sksoft.kernels import attention
from sksoft.kernels._numba._jit import REASSOCIATE, inner, jit
from sksoft.kernels._numba.attention_tiles import DISTANCE, KEY_BYTES, NARROW, QUERIES, SQUARE, Tiled
from sksoft.kernels._numba.exp import LOG2E, exp2, ordered, unordered
from sksoft.kernels.attention import Sight, without_finite_lse
from sksoft.kernels.blocks import fold_blocks, map_blocks, row_blocks, scratch, serial_blas
from sksoft.kernels.rowwise import quietly

# Queries whose gradients in the keys are added up before they join the others'.
GRADIENT_QUERIES = 2 * QUERIES


@attention.attend.implement("numba")
def attend(queries, keys, values, *, score="dot", scale=1.0, **sight):
    sight = Sight(**sight)
    if not (len(queries) and len(keys)):
        return attention.attend.reference(queries, keys, values, score=score, scale=scale, **vars(sight))
    out, lse = np.empty((len(queries), values.shape[1]), queries.dtype), np.empty(len(queries), queries.dtype)
    tiled = Tiled(queries, keys, values, score, scale, sight)

    @quietly
    def work(rows):
        size = rows.stop - rows.start
        tile_out, tile_lse = scratch("attention out", (size, values.shape[1]), tiled.dtype), np.empty(size)
        attend_block(*tiled.block(rows), *tiled.buffers(size), tile_out, tile_lse)
        out[rows] = tile_out
        lse[rows] = tile_lse + tiled.offset(rows)

    with serial_blas():
        map_blocks(work, row_blocks(len(queries), 1, QUERIES))
    odd = sees_what_is_not_finite(queries, keys, values, sight)
    odd |= (lse != -np.inf) & ~np.isfinite(out).all(axis=1)
    odd[without_finite_lse(lse, sight, len(keys))] = True
    if odd.any():
        given = {"score": score, "scale": scale, **sight.at(odd)}
        # whose products round by the order of memory, and ours do not
        rows = (np.ascontiguousarray(array) for array in (queries[odd], keys, values))
        out[odd], lse[odd] = attention.attend.reference(*rows, **given)
    return out, lse


@attention.attend_vjp.implement("numba")
def attend_vjp(
    queries, keys, values, out, lse, out_gradient, *, lse_gradient=None, score="dot", scale=1.0, **sight
):  # fmt: skip
    sight = Sight(**sight)
    nothing = lse == -np.inf
    lse_gradient = np.zeros(len(queries)) if lse_gradient is None else lse_gradient
    tiled = Tiled(queries, keys, values, score, scale, sight)
    odd = sees_what_is_not_finite(queries, keys, values, sight)
    odd |= ~(np.abs(lse) < np.finfo(tiled.dtype).max / 4.0)
    odd |= ~(np.isfinite(out_gradient).all(axis=1) & np.isfinite(lse_gradient))
    odd &= ~nothing
    results = _gradients(tiled, out, lse, out_gradient, lse_gradient, ~(nothing | odd))
    if odd.any() or not len(keys):
        given = {"score": score, "scale": scale, "lse_gradient": lse_gradient[odd], **sight.at(odd)}
        rows = (queries[odd], keys, values, out[odd], lse[odd], out_gradient[odd])
        parts = attention.attend_vjp.reference(*map(np.ascontiguousarray, rows), **given)
        results[0][odd] = parts[0]
        for total, part in zip(results[1:], parts[1:]):
            total += part
    return tuple(result.astype(queries.dtype) for result in results)


def _gradients(tiled, out, lse, out_gradient, lse_gradient, counted):
    """What :func:`attend_vjp` returns, in float64, of the queries that are `counted`."""
    # In units of log 2, so that a = exp2(s − level); +inf makes all weights of a row zero.
    level = np.where(counted, lse, np.inf)
    out_gradient, out = np.ascontiguousarray(out_gradient), np.ascontiguousarray(out)
    along = np.einsum("ij,ij->i", out_gradient, out, dtype=np.float64) - lse_gradient
    along = np.where(counted, along, 0.0).astype(tiled.dtype)
    gradient = np.where(counted[:, None], out_gradient, 0.0).astype(tiled.dtype)
    by_query = np.zeros(tiled.raw_queries.shape)
    n_keys = len(tiled.keys)
    sums = [np.zeros((n_keys, width)) for width in (by_query.shape[1], gradient.shape[1], 1)]

    @quietly
    def work(chunk):
        parts = [np.zeros(total.shape, tiled.dtype) for total in sums]
        for tile in row_blocks(chunk.stop - chunk.start, 1, QUERIES):
            rows = slice(chunk.start + tile.start, chunk.start + tile.stop)
            size = rows.stop - rows.start
            levels = ((level[rows] - tiled.offset(rows)) * LOG2E).astype(tiled.dtype)
            part = scratch("attention gradient", (size, by_query.shape[1]), tiled.dtype)
            gradient_block(*tiled.block(rows), *tiled.gradient_block(rows), gradient[rows], levels, along[rows],
                           *tiled.gradient_buffers(size), part, *parts)  # fmt: skip
            by_query[rows] = part
        return parts

    def add(parts):
        for total, part in zip(sums, parts):
            total += part

    if len(level) and n_keys:
        with serial_blas():
            fold_blocks(work, row_blocks(len(level), 1, GRADIENT_QUERIES), add)
    by_key, by_value, by_bias = (tiled.of_all_keys(total) for total in sums)
    return [by_query, tiled.scale * by_key, by_value, by_bias[:, 0]]


def sees_what_is_not_finite(queries, keys, values, sight):
    """True for queries that hold or see a NaN or an infinity, (n,); those in a mask of numbers are not looked for."""
    bad = ~(np.isfinite(keys).all(axis=1) & np.isfinite(values).all(axis=1))
    if sight.bias is not None:
        bad |= ~np.isfinite(sight.bias)
    odd = ~np.isfinite(queries).all(axis=1)
    columns = np.flatnonzero(bad)
    if len(columns):
        for rows in row_blocks(len(queries), len(columns)):
            odd[rows] |= sight.of(rows, columns).any(axis=1)
    return odd


@jit
def attend_block(
    mode, factor, queries, keys, columns, values, bias, limits, query_groups, key_groups, mask, added,
    scores, part, out, lse,
):  # fmt: skip
    """Out and lse of a few queries, keys tile by tile; lse without what all scores of a query lack."""
    n, n_values = out.shape
    top, total = np.empty(n, out.dtype), np.zeros(n)
    out[:] = 0.0
    top[:] = -np.inf
    least, last = _reach(limits, len(keys))
    start = width = np.int64(0)
    while start + width < last:
        start += width
        width = _width(start, least, last, keys.itemsize)
        first = _first(limits, start)
        if first == n or (mask.size and not _any(mask, start, width)):
            continue
        tile, sums = scores[: (n - first) * width].reshape(n - first, width), part[first:]
        _tile_scores(mode, factor, queries[first:], keys, columns, bias, start, tile)
        _hide(tile, first, start, limits, query_groups, key_groups, mask, added)
        _weights(tile, top[first:], total[first:], out[first:])
        np.dot(tile, values[start : start + width], sums)
        _add(sums, out, first)
    for i in range(n):
        lse[i] = top[i] / LOG2E + np.log(total[i])
        for t in range(n_values):
            out[i, t] /= total[i]


@jit
def gradient_block(
    mode, factor, queries, keys, columns, values, bias, limits, query_groups, key_groups, mask, added,
    centred, scale, raw_queries, raw_keys, gradient, levels, along, scores, slopes, part, by_query, by_key, by_value,
    by_bias,
):  # fmt: skip
    """Gradients in a few queries, and what these queries add to the gradients in the keys, values and biases."""
    n, d = raw_queries.shape
    n_values, step = values.shape[1], by_query.dtype.type(scale)
    by_query[:] = 0.0
    by_row, by_column = np.zeros(n, by_query.dtype), np.empty(max(NARROW, KEY_BYTES // keys.itemsize), by_query.dtype)
    least, last = _reach(limits, len(keys))
    start = width = np.int64(0)
    while start + width < last:
        start += width
        width = _width(start, least, last, keys.itemsize)
        first = _first(limits, start)
        if first == n or (mask.size and not _any(mask, start, width)):
            continue
        m = n - first
        tile, C = scores[: m * width].reshape(m, width), slopes[: m * width].reshape(m, width)
        some_queries, some_keys = raw_queries[first:], raw_keys[start : start + width]
        _tile_scores(mode, factor, queries[first:], keys, columns, bias, start, tile)
        _hide(tile, first, start, limits, query_groups, key_groups, mask, added)
        np.dot(gradient[first:], values[start : start + width].T, C)
        column_sums = by_column[:width]
        _slopes(tile, C, levels[first:], along[first:], column_sums)
        for t in range(width):
            by_bias[start + t, 0] += column_sums[t]
        sums = part[: width * n_values].reshape(width, n_values)
        np.dot(tile.T, gradient[first:], sums)
        _add(sums, by_value, start)
        if mode == DISTANCE:
            _divide_by_distances(queries[first:], columns, start, C, tile, column_sums)
        sums = part[: width * d].reshape(width, d)
        np.dot(C.T, some_queries, sums)
        if centred:
            _subtract_multiples(column_sums, some_keys, sums)
            _add_sums(C, by_row[first:])
        _add(sums, by_key, start)
        sums = part[: m * d].reshape(m, d)
        np.dot(C, some_keys, sums)
        _add(sums, by_query, first)
    if centred:
        _subtract_multiples(by_row, raw_queries, by_query)
    for i in range(n):
        for k in range(d):
            by_query[i, k] *= step


@inner
def _reach(limits, n_keys):
    """The keys that all of these queries may see end before `least`, those that any may see before `last`."""
    if limits.size == 0:
        return n_keys, n_keys
    least, last = np.int64(n_keys), np.int64(0)
    for limit in limits:
        least, last = min(least, limit), max(last, limit)
    return max(least, 0), min(last, n_keys)


@inner
def _width(start, least, last, itemsize):
    """Keys of the tile that begins at `start`."""
    if start < least:
        return min(KEY_BYTES // itemsize, least - start)
    return min(NARROW, last - start)


@inner
def _first(limits, start):
    """The queries before this one do not see the keys from `start` on."""
    first = 0
    while first < limits.size and limits[first] <= start:
        first += 1
    return first


@inner
def _any(mask, start, width):
    for i in range(len(mask)):
        for t in range(width):
            if mask[i, start + t]:
                return True
    return False


@inner
def _tile_scores(mode, factor, queries, keys, columns, bias, start, tile):
    """Scores of the keys from `start` on, in units of log 2."""
    if mode == DISTANCE:
        _distances(queries, columns, start, tile)
        for i in range(len(tile)):
            row = tile[i]
            for t in range(row.size):
                row[t] = bias[start + t] - factor * row[t]
    elif mode == SQUARE:
        _squares(queries, columns, start, tile)
        half = factor / 2
        for i in range(len(tile)):
            row = tile[i]
            for t in range(row.size):
                row[t] = bias[start + t] - half * row[t]
    else:
        np.dot(queries, keys[start : start + tile.shape[1]].T, tile)


@inner
def _distances(queries, columns, start, tile):
    _squares(queries, columns, start, tile)
    for i in range(len(tile)):
        row = tile[i]
        for t in range(row.size):
            row[t] = np.sqrt(row[t])


@inner
def _squares(queries, columns, start, tile):
    """Squared distances."""
    for i in range(len(tile)):
        row = tile[i]
        row[:] = 0.0
        for k in range(len(columns)):
            x, column = queries[i, k], columns[k, start : start + row.size]
            for t in range(row.size):
                row[t] += (x - column[t]) * (x - column[t])


@inner
def _hide(tile, first, start, limits, query_groups, key_groups, mask, added):
    """−∞ where a query does not see the key; and add what is to be added."""
    m, width = tile.shape
    hidden, log2e = tile.dtype.type(-np.inf), tile.dtype.type(LOG2E)
    for i in range(m if limits.size else 0):
        for t in range(max(limits[first + i] - start, 0), width):
            tile[i, t] = hidden
    meet = query_groups.size and _meet(query_groups[first:], key_groups[start : start + width])
    for i in range(m if meet else 0):
        row, group = tile[i], query_groups[first + i]
        for t in range(width):
            row[t] = hidden if key_groups[start + t] == group else row[t]
    for i in range(m if mask.size else 0):
        row, seen = tile[i], mask[first + i, start : start + width]
        for t in range(width):
            row[t] = row[t] if seen[t] else hidden
    for i in range(m if added.size else 0):
        row, more = tile[i], added[first + i, start : start + width]
        for t in range(width):
            row[t] += log2e * more[t]


@inner
def _meet(these, those):
    """Whether the ranges of two sets of groups overlap: off the diagonal, those of single rows do not."""
    low, high, other_low, other_high = these[0], these[0], those[0], those[0]
    for group in these:
        low, high = min(low, group), max(high, group)
    for group in those:
        other_low, other_high = min(other_low, group), max(other_high, group)
    return low <= other_high and other_low <= high


@inner(fastmath=REASSOCIATE)
def _weights(tile, top, total, out):
    """2^(s − top) in place of the scores, and their sums; what was there before is scaled where `top` has grown."""
    for i in range(len(tile)):
        row = tile[i]
        highest = _largest(row)
        if highest > top[i]:
            shrink = exp2(top[i] - highest)
            top[i] = highest
            total[i] *= shrink
            for t in range(out.shape[1]):
                out[i, t] *= shrink
        base, added = top[i], row.dtype.type(0.0)
        if base == -np.inf:
            base = row.dtype.type(0.0)
        for t in range(row.size):
            weight = exp2(row[t] - base)
            row[t] = weight
            added += weight
        total[i] += added


@inner
def _largest(row):
    key = ordered(row[0])
    for t in range(row.size):
        other = ordered(row[t])
        key = other if other > key else key
    return unordered(key, row[0])


@inner
def _slopes(tile, slopes, levels, along, column_sums):
    """Weights in place of the scores, C in place of ⟨G, v⟩; and its sums of columns."""
    column_sums[:] = 0.0
    zero = tile.dtype.type(0.0)
    for i in range(len(tile)):
        row, slope, level, mean = tile[i], slopes[i], levels[i], along[i]
        for t in range(row.size):
            weight = exp2(row[t] - level)
            # what is hidden may be as large as it likes
            C = weight * (slope[t] - mean) if weight != zero else zero
            row[t], slope[t] = weight, C
            column_sums[t] += C


@inner
def _divide_by_distances(queries, columns, start, C, tile, column_sums):
    """C by the distances of its pairs, 0 where they are; the sums of columns anew."""
    _distances(queries, columns, start, tile)
    column_sums[:] = 0.0
    zero = C.dtype.type(0.0)
    for i in range(len(C)):
        row, distance = C[i], tile[i]
        for t in range(row.size):
            row[t] = row[t] / distance[t] if distance[t] > zero else zero
            column_sums[t] += row[t]


@inner(fastmath=REASSOCIATE)
def _add_sums(C, by_row):
    for i in range(len(C)):
        row, total = C[i], C.dtype.type(0.0)
        for t in range(row.size):
            total += row[t]
        by_row[i] += total


@inner
def _subtract_multiples(factors, rows, out):
    for i in range(len(rows)):
        for k in range(rows.shape[1]):
            out[i, k] -= factors[i] * rows[i, k]


@inner
def _add(sums, out, start):
    for i in range(len(sums)):
        for k in range(sums.shape[1]):
            out[start + i, k] += sums[i, k]
