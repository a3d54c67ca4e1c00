"""numba implementations of :mod:`sksoft.kernels.attention`; shapes and meaning are stated there.

Tiles of queries and keys: one matrix product makes the scores of a tile, in units of log 2, an exponential the weights,
another product adds what they make of the values. A row is rescaled when its maximum has grown. `bias` and the part
−‖k‖²/2 of Gaussian scores are one more column of the keys; −‖q‖²/2 is the same for all keys and comes back in lse.

Numbers that are not finite never reach a tile: what no query sees is zero there, and the few queries that do see one
are the reference's.
"""

import numpy as np

from sksoft.kernels import attention
from sksoft.kernels._numba._jit import REASSOCIATE, inner, jit
from sksoft.kernels._numba.exp import LOG2E, exp2, ordered, unordered
from sksoft.kernels._numba.transposed import read_only
from sksoft.kernels.attention import Sight
from sksoft.kernels.blocks import fold_blocks, map_blocks, row_blocks, scratch, serial_blas

# Scores of a tile fill three quarters of a second cache of 1 MB; products of so large tiles are a fifth faster than
# those of tiles of 128 × 256.
QUERIES = 512
KEY_BYTES = 1536
# Where some queries of a tile see its keys and others do not, tiles are as narrow as a product allows.
NARROW = 128
# Queries whose gradients in the keys are added up before they join the others'.
GRADIENT_QUERIES = 2 * QUERIES

# Absolute error of a Gaussian score that float32 may make; beyond, all is computed in float64.
SCORE_ERROR = 1e-4

NONE = np.empty(0, np.int64)


@attention.attend.implement("numba")
def attend(queries, keys, values, *, score="dot", scale=1.0, **sight):
    sight = Sight(**sight)
    if not (len(queries) and len(keys)):
        return attention.attend.reference(queries, keys, values, score=score, scale=scale, **vars(sight))
    out, lse = np.empty((len(queries), values.shape[1]), queries.dtype), np.empty(len(queries), queries.dtype)
    tiled = Tiled(queries, keys, values, score, scale, sight)

    def work(rows):
        size = rows.stop - rows.start
        tile_out, tile_lse = scratch("attention out", (size, values.shape[1]), tiled.dtype), np.empty(size)
        attend_block(*tiled.block(rows), *tiled.buffers(size), tile_out, tile_lse)
        out[rows] = tile_out
        lse[rows] = tile_lse + tiled.offset(rows)

    with serial_blas():
        map_blocks(work, row_blocks(len(queries), 1, QUERIES))
    odd = sees_what_is_not_finite(queries, keys, values, sight)
    if odd.any():
        given = {"score": score, "scale": scale, **sight.at(odd)}
        out[odd], lse[odd] = attention.attend.reference(queries[odd], keys, values, **given)
    return out, lse


@attention.attend_vjp.implement("numba")
def attend_vjp(
    queries, keys, values, out, lse, out_gradient, *, lse_gradient=None, score="dot", scale=1.0, **sight
):  # fmt: skip
    sight = Sight(**sight)
    nothing = lse == -np.inf
    odd = (sees_what_is_not_finite(queries, keys, values, sight) | np.isnan(lse)) & ~nothing
    lse_gradient = np.zeros(len(queries)) if lse_gradient is None else lse_gradient
    tiled = Tiled(queries, keys, values, score, scale, sight)
    results = _gradients(tiled, out, lse, out_gradient, lse_gradient, ~(nothing | odd))
    if odd.any() or not len(keys):
        given = {"score": score, "scale": scale, "lse_gradient": lse_gradient[odd], **sight.at(odd)}
        parts = attention.attend_vjp.reference(
            queries[odd], keys, values, out[odd], lse[odd], out_gradient[odd], **given
        )
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


class Tiled:
    """The arguments of a call as the tiles want them: finite, centred, with what is added to scores in a column."""

    def __init__(self, queries, keys, values, score, scale, sight):
        self.score, self.scale, self.mask = score, float(scale), sight.mask
        bias, limits, key_groups = sight.bias, sight.limits, sight.key_groups
        if self.mask is not None and (self.mask.strides[0] == 0 or len(self.mask) == 1):
            row = self.mask[0] if len(self.mask) else np.ones(len(keys), dtype=bool)
            row = np.where(row, 0.0, -np.inf) if row.dtype == bool else row
            bias, self.mask = row if bias is None else row + bias, None
        self.kept, self.n_keys = None, len(keys)
        if bias is not None and self.mask is None and (bias == -np.inf).any():
            self.kept = np.flatnonzero(bias != -np.inf)
            keys, values, bias = keys[self.kept], values[self.kept], bias[self.kept]
            limits = None if limits is None else np.searchsorted(self.kept, limits)
            key_groups = None if key_groups is None else key_groups[self.kept]
        queries, keys, self.values = (_finite(np.ascontiguousarray(array)) for array in (queries, keys, values))
        self.limits = NONE if limits is None else np.ascontiguousarray(limits, dtype=np.int64)
        self.query_groups = NONE if key_groups is None else np.ascontiguousarray(sight.query_groups, dtype=np.int64)
        self.key_groups = NONE if key_groups is None else np.ascontiguousarray(key_groups, dtype=np.int64)
        self._place(queries, keys, None if bias is None else np.asarray(bias, dtype=np.float64))

    def _place(self, queries, keys, bias):
        """Centre, choose the precision, and add the columns."""
        self.dtype = queries.dtype
        if self.score != "dot" and len(keys):
            centre = keys.mean(axis=0, dtype=np.float64)
            queries, keys = queries - centre, keys - centre
        if self.score == "gaussian":
            squares = np.einsum("ij,ij->i", keys, keys)
            error = 0.5 * np.finfo(self.dtype).eps * abs(self.scale) * squares.max(initial=0.0)
            self.dtype = np.dtype(np.float64) if error > SCORE_ERROR else self.dtype
            bias = -0.5 * self.scale * squares if bias is None else bias - 0.5 * self.scale * squares
        self.shift = -0.5 * self.scale * np.einsum("ij,ij->i", queries, queries) if self.score == "gaussian" else None
        self.values = self.values.astype(self.dtype, copy=False)
        self.raw_queries, self.raw_keys = queries.astype(self.dtype, copy=False), keys.astype(self.dtype, copy=False)
        self.factor = self.dtype.type(self.scale * LOG2E)
        bias = None if bias is None else (bias * LOG2E).astype(self.dtype)
        self.distances, self.bias, self.columns = (
            self.score == "laplace",
            np.empty(0, self.dtype),
            np.empty((0, 0), self.dtype),
        )
        self.queries, self.keys = self.raw_queries, self.raw_keys
        if self.distances:
            self.columns = np.ascontiguousarray(self.keys.T)
            self.bias = np.zeros(len(keys), self.dtype) if bias is None else bias
        else:
            self.queries = self.queries * self.factor
            if bias is not None:
                self.queries = np.column_stack([self.queries, np.ones(len(queries), self.dtype)])
                self.keys = np.column_stack([self.keys, bias])

    def block(self, rows):
        """First arguments of the block functions."""
        mask, added = np.empty((0, 0), np.bool_), np.empty((0, 0), self.dtype)
        if self.mask is not None and self.mask.dtype == bool:
            mask = np.ascontiguousarray(self.mask[rows])
        elif self.mask is not None:
            added = np.ascontiguousarray(self.mask[rows] * LOG2E, dtype=self.dtype)
        arrays = (self.queries[rows], self.keys, self.columns, self.values, self.bias, self.limits[rows],
                  self.query_groups[rows], self.key_groups, mask, added)  # fmt: skip
        return self.distances, self.factor, *map(read_only, arrays)

    def buffers(self, n_rows):
        """Scores of a tile and what it adds to the results."""
        n_keys = KEY_BYTES // self.dtype.itemsize
        scores = scratch("attention scores", (1, n_rows * n_keys), self.dtype)[0]
        return scores, scratch("attention part", (n_rows, self.values.shape[1]), self.dtype)

    def gradient_block(self, rows):
        """Further arguments of :func:`gradient_block`."""
        return self.score != "dot", self.scale, read_only(self.raw_queries[rows]), read_only(self.raw_keys)

    def gradient_buffers(self, n_rows):
        """Scores and their gradients of a tile, and what it adds to the gradients in keys and in queries."""
        n_keys = KEY_BYTES // self.dtype.itemsize
        pairs = scratch("attention pairs", (2, n_rows * n_keys), self.dtype)
        width = max(self.raw_keys.shape[1], self.values.shape[1])
        return pairs[0], pairs[1], scratch("attention part", (1, max(n_rows, n_keys) * width), self.dtype)[0]

    def offset(self, rows):
        """What the scores of a tile lack, for each query."""
        return 0.0 if self.shift is None else self.shift[rows]

    def of_all_keys(self, sums):
        """Sums over the keys that are there, with zeros for the others."""
        if self.kept is None:
            return sums
        found = np.zeros((self.n_keys, sums.shape[1]))
        found[self.kept] = sums
        return found


def _finite(array):
    finite = np.isfinite(array)
    return array if finite.all() else np.where(finite, array, array.dtype.type(0.0))


@jit
def attend_block(
    distances, factor, queries, keys, columns, values, bias, limits, query_groups, key_groups, mask, added,
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
        _tile_scores(distances, factor, queries[first:], keys, columns, bias, start, tile)
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
    distances, factor, queries, keys, columns, values, bias, limits, query_groups, key_groups, mask, added,
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
        _tile_scores(distances, factor, queries[first:], keys, columns, bias, start, tile)
        _hide(tile, first, start, limits, query_groups, key_groups, mask, added)
        np.dot(gradient[first:], values[start : start + width].T, C)
        column_sums = by_column[:width]
        _slopes(tile, C, levels[first:], along[first:], column_sums)
        for t in range(width):
            by_bias[start + t, 0] += column_sums[t]
        sums = part[: width * n_values].reshape(width, n_values)
        np.dot(tile.T, gradient[first:], sums)
        _add(sums, by_value, start)
        if distances:
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
def _tile_scores(distances, factor, queries, keys, columns, bias, start, tile):
    """Scores of the keys from `start` on, in units of log 2."""
    if distances:
        _distances(queries, columns, start, tile)
        for i in range(len(tile)):
            row = tile[i]
            for t in range(row.size):
                row[t] = bias[start + t] - factor * row[t]
    else:
        np.dot(queries, keys[start : start + tile.shape[1]].T, tile)


@inner
def _distances(queries, columns, start, tile):
    for i in range(len(tile)):
        row = tile[i]
        row[:] = 0.0
        for k in range(len(columns)):
            x, column = queries[i, k], columns[k, start : start + row.size]
            for t in range(row.size):
                row[t] += (x - column[t]) * (x - column[t])
        for t in range(row.size):
            row[t] = np.sqrt(row[t])


@inner
def _hide(tile, first, start, limits, query_groups, key_groups, mask, added):
    """−∞ where a query does not see the key; and add what is to be added."""
    m, width = tile.shape
    hidden = tile.dtype.type(-np.inf)
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
            row[t] += more[t]


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
    for i in range(len(tile)):
        row, slope, level, mean = tile[i], slopes[i], levels[i], along[i]
        for t in range(row.size):
            weight = exp2(row[t] - level)
            C = weight * (slope[t] - mean)
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
