"""numba implementations of :mod:`sksoft.kernels.pairs`; shapes and meaning are stated there."""

import numpy as np

from sksoft.kernels import pairs
from sksoft.kernels._numba._jit import REASSOCIATE, jit
from sksoft.kernels._numba.exp import exp
from sksoft.kernels.blocks import map_blocks, row_blocks

# Rows whose distances to one row are computed together, along the vector units.
TILE = 256
LABEL_TILE = 64


@pairs.kernel_form.implement("numba")
def kernel_form(points, residuals, *, kind, bandwidth):
    code, bandwidth = pairs.KINDS.index(kind), float(bandwidth)
    points, residuals = _read_only(points), _read_only(residuals)

    def work(tile):
        return _form(points, residuals, _columns(points, tile), _columns(residuals, tile), tile.start, code, bandwidth)

    return np.float64(sum(map_blocks(work, _tiles(len(points)))))


@pairs.distance_histogram.implement("numba")
def distance_histogram(points, weights, *, kind, low, high, n_cells):
    code, low, scale = pairs.KINDS.index(kind), float(low), n_cells / (high - low)
    points, weights = _read_only(points), _read_only(weights)

    def work(block):
        table = np.zeros((2, n_cells + 2))
        for tile in block:
            _count(points, weights, _columns(points, tile), tile.start, code, low, scale, table)
        return table

    tiles = _tiles(len(points))
    # A table takes as much as its tile of points: few of them, and the same few for any number of threads.
    return sum(map_blocks(work, [tiles[i::16] for i in range(min(16, len(tiles)))]))


@pairs.smoothed_rows.implement("numba")
def smoothed_rows(points, values, *, kind, bandwidth):
    code, bandwidth = pairs.KINDS.index(kind), float(bandwidth)
    points, values = _read_only(points), _read_only(values)
    sums = np.zeros(values.shape)
    tiles = _tiles(len(points))
    columns = [_columns(points, tile) for tile in tiles]

    def work(rows):
        for tile, others in zip(tiles, columns):
            _smooth(points, values, others, rows.start, rows.stop, tile.start, code, bandwidth, sums)

    map_blocks(work, tiles)  # each writes rows of its own
    return sums


@pairs.same_label_forms.implement("numba")
def same_label_forms(points, weights, codes, *, kind, bandwidth):
    code, bandwidth = pairs.KINDS.index(kind), float(bandwidth)
    points, weights = _read_only(points), _read_only(weights)
    codes = np.ascontiguousarray(codes, dtype=np.int32).view()
    codes.flags.writeable = False

    def work(tile):
        totals = np.zeros(codes.shape[1])
        _add_same(points, weights, codes, _columns(points, tile), tile.start, code, bandwidth, totals)
        return totals

    # Labels of a tile stay in the second cache.
    return sum(map_blocks(work, row_blocks(len(points), 1, LABEL_TILE)))


def _read_only(array):
    view = np.ascontiguousarray(array, dtype=np.float64).view()
    view.flags.writeable = False
    return view


def _tiles(n_rows):
    return row_blocks(n_rows, 1, TILE)


def _columns(points, tile):
    return np.ascontiguousarray(points[tile].T)


@jit(fastmath=REASSOCIATE)
def _distances(row, columns, first, code, distances):
    """distances[t] of `row` to the columns from `first` on."""
    stop = columns.shape[1]
    for t in range(first, stop):
        distances[t] = 0.0
    # Four columns at once, for one load and store of the sum.
    whole = len(row) // 4 * 4
    for k in range(0, whole, 4):
        w, x, y, z = row[k], row[k + 1], row[k + 2], row[k + 3]
        if code == 0:
            for t in range(first, stop):
                near = abs(w - columns[k, t]) + abs(x - columns[k + 1, t])
                distances[t] += near + (abs(y - columns[k + 2, t]) + abs(z - columns[k + 3, t]))
        else:
            for t in range(first, stop):
                a, b = w - columns[k, t], x - columns[k + 1, t]
                c, d = y - columns[k + 2, t], z - columns[k + 3, t]
                distances[t] += (a * a + b * b) + (c * c + d * d)
    for k in range(whole, len(row)):
        x = row[k]
        if code == 0:
            for t in range(first, stop):
                distances[t] += abs(x - columns[k, t])
        else:
            for t in range(first, stop):
                difference = x - columns[k, t]
                distances[t] += difference * difference
    for t in range(first, stop):
        distances[t] = 0.5 * distances[t] if code == 0 else np.sqrt(distances[t])


@jit(fastmath=REASSOCIATE)
def _similarities(row, columns, first, code, bandwidth, near):
    """near[t] = k(row, column t), from the columns `first` on."""
    _distances(row, columns, first, code, near)
    for t in range(first, columns.shape[1]):
        scaled = near[t] / bandwidth
        near[t] = exp(-0.5 * scaled * scaled if code == 2 else -scaled)


@jit(fastmath=REASSOCIATE)
def _products(row, columns, first, products):
    """products[t] of `row` with the columns from `first` on."""
    stop = columns.shape[1]
    for t in range(first, stop):
        products[t] = 0.0
    whole = len(row) // 4 * 4
    for k in range(0, whole, 4):
        w, x, y, z = row[k], row[k + 1], row[k + 2], row[k + 3]
        for t in range(first, stop):
            near = w * columns[k, t] + x * columns[k + 1, t]
            products[t] += near + (y * columns[k + 2, t] + z * columns[k + 3, t])
    for k in range(whole, len(row)):
        for t in range(first, stop):
            products[t] += row[k] * columns[k, t]


@jit(fastmath=REASSOCIATE)
def _form(points, residuals, columns, residual_columns, start, code, bandwidth):
    """Σ over the columns j of the tile and the rows i < j of k(x_i, x_j) r_iᵀ r_j."""
    n_columns = columns.shape[1]
    distances, products = np.empty(n_columns), np.empty(n_columns)
    total = 0.0
    for i in range(start + n_columns - 1):
        first = max(i - start + 1, 0)
        _similarities(points[i], columns, first, code, bandwidth, distances)
        _products(residuals[i], residual_columns, first, products)
        row_total = 0.0
        for t in range(first, n_columns):
            row_total += distances[t] * products[t]
        total += row_total
    return total


@jit(fastmath=REASSOCIATE)
def _smooth(points, values, columns, first_row, stop_row, start, code, bandwidth, sums):
    """Add to `sums` of these rows what the columns of the tile that begins at `start` give."""
    n_columns = columns.shape[1]
    near = np.empty(n_columns)
    for i in range(first_row, stop_row):
        _similarities(points[i], columns, 0, code, bandwidth, near)
        if start <= i < start + n_columns:
            near[i - start] = 0.0
        for t in range(n_columns):
            for m in range(values.shape[1]):
                sums[i, m] += near[t] * values[start + t, m]


@jit(fastmath=REASSOCIATE)
def _add_same(points, weights, codes, columns, start, code, bandwidth, totals):
    """Add the pairs of the columns j of the tile and the rows i < j whose labels are the same to `totals` (B,)."""
    n_columns = columns.shape[1]
    near = np.empty(n_columns)
    for i in range(start + n_columns - 1):
        first = max(i - start + 1, 0)
        _similarities(points[i], columns, first, code, bandwidth, near)
        for t in range(first, n_columns):
            near[t] *= weights[i] * weights[start + t]
        _add_where_same(codes[i], codes, start, first, near, totals)


@jit(fastmath=REASSOCIATE)
def _add_where_same(labels, codes, start, first, near, totals):
    """Add near[t] to totals[b] where labels[b] is codes[start + t, b]: four t at once, for one store of the total."""
    n_columns, n_sets = len(near), len(totals)
    t = first
    while t + 4 <= n_columns:
        w, x, y, z = near[t], near[t + 1], near[t + 2], near[t + 3]
        j = start + t
        for b in range(n_sets):
            label = labels[b]
            pair = (w if label == codes[j, b] else 0.0) + (x if label == codes[j + 1, b] else 0.0)
            pair += (y if label == codes[j + 2, b] else 0.0) + (z if label == codes[j + 3, b] else 0.0)
            totals[b] += pair
        t += 4
    while t < n_columns:
        for b in range(n_sets):
            totals[b] += near[t] if labels[b] == codes[start + t, b] else 0.0
        t += 1


@jit(fastmath=REASSOCIATE)
def _count(points, weights, columns, start, code, low, scale, table):
    """Add the pairs of the columns j of the tile and the rows i < j to `table`."""
    n_columns = columns.shape[1]
    last = table.shape[1] - 1
    distances = np.empty(n_columns)
    for i in range(start + n_columns - 1):
        first = max(i - start + 1, 0)
        _distances(points[i], columns, first, code, distances)
        for t in range(first, n_columns):
            distance = distances[t]
            cell = np.int64(min(max(np.floor((distance - low) * scale), -1.0), last - 1.0)) + 1
            mass = weights[i] * weights[start + t]
            table[0, cell] += mass
            table[1, cell] += mass * distance
