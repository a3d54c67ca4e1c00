"""numba implementations of :mod:`sksoft.kernels.pairs`; shapes and meaning are stated there."""

import numpy as np

from sksoft.kernels import pairs
from sksoft.kernels._numba._jit import REASSOCIATE, jit
from sksoft.kernels._numba.exp import exp
from sksoft.kernels.blocks import map_blocks, row_blocks

# Rows whose distances to one row are computed together, along the vector units.
TILE = 256


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
        _distances(points[i], columns, first, code, distances)
        _products(residuals[i], residual_columns, first, products)
        row_total = 0.0
        for t in range(first, n_columns):
            scaled = distances[t] / bandwidth
            row_total += exp(-0.5 * scaled * scaled if code == 2 else -scaled) * products[t]
        total += row_total
    return total


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
