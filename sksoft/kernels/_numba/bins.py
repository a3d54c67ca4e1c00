"""numba implementations of :mod:`sksoft.kernels.bins`; shapes and meaning are stated there."""

import numpy as np

from sksoft.kernels import bins
from sksoft.kernels._numba._jit import REASSOCIATE, jit
from sksoft.kernels.blocks import map_blocks, row_blocks

# Rows whose bins are found together, vectorised, before they are added up one by one.
CHUNK = 1024
# Copies of the sums that consecutive rows go to in turn: a sum need not wait for the one before it.
LANES = 4
# Entries that are compared at once in search of one.
SEARCHED = 64
# Classes from which most probabilities are small.
MANY_CLASSES = 64
# Rows whose logarithms NumPy takes together: its vectorised log beats a compiled loop while the rows stay in the cache.
LOGGED_ROWS = 8192
# Rows that stay in the first-level cache while every resample passes over them.
RESAMPLED_ROWS = 2048
# Resamples that one thread takes at a time.
RESAMPLES = 16

_INFINITY_BITS = {4: np.int64(0x7F800000), 8: np.int64(0x7FF0000000000000)}


@bins.top_label_rows.implement("numba")
def top_label_rows(proba):
    n_rows, n_classes = proba.shape
    integers = np.int32 if proba.itemsize == 4 else np.int64
    codes, total = np.empty(n_rows, dtype=np.intp), np.empty(n_rows)
    highest, lowest = np.empty((2, n_rows), dtype=proba.dtype)

    def work(block):
        rows = _contiguous(proba[block])
        _top_labels(
            rows,
            rows.view(integers),
            _INFINITY_BITS[rows.itemsize],
            codes[block],
            highest[block].view(integers),
            total[block],
            lowest[block].view(integers),
        )

    map_blocks(work, row_blocks(n_rows, n_classes * proba.itemsize))
    return codes, highest.astype(np.float64, copy=False), total, lowest.astype(np.float64, copy=False)


@jit(fastmath=REASSOCIATE)
def _top_labels(proba, bits, infinity, codes, highest, total, lowest):
    """Non-negative floats are ordered as their bits are, and integers vectorise where floats with NaN do not."""
    n_rows, n_classes = proba.shape
    for i in range(n_rows):
        high = bits[i, 0]
        low = bits[i, 0]
        row_sum = 0.0
        for j in range(n_classes):
            high = max(high, bits[i, j])
            low = min(low, bits[i, j])
            row_sum += proba[i, j]
        total[i] = row_sum
        if low < 0 or high > infinity:
            best, worst = _extremes(proba[i])
            codes[i], highest[i], lowest[i] = best, bits[i, best], bits[i, worst]
        else:
            codes[i], highest[i], lowest[i] = _first(bits[i], high), high, low


@jit
def _first(bits, wanted):
    """Position of the first entry equal to `wanted`, which is there."""
    j = 0
    while j + SEARCHED <= len(bits):
        found = 0
        for k in range(j, j + SEARCHED):
            found |= bits[k] == wanted
        if found:
            break
        j += SEARCHED
    while bits[j] != wanted:
        j += 1
    return j


@jit
def _extremes(row):
    """Positions of the maximum and the minimum as NumPy has them, negative zeros included: the first NaN wins."""
    best, worst = 0, 0
    for j in range(len(row)):
        if np.isnan(row[j]):
            return j, j
        if row[j] > row[best]:
            best = j
        if row[j] < row[worst]:
            worst = j
    return best, worst


def _contiguous(array):
    """`array` as numba shall see it: contiguous and read-only, one type (one compilation) for all callers."""
    view = np.ascontiguousarray(array).view(np.uint8 if array.dtype == bool else array.dtype)
    view.flags.writeable = False
    return view


@bins.bin_sums.implement("numba")
def bin_sums(scores, hits, edges, *, weights=None, groups=None, n_groups=1):
    n_bins = len(edges) + 1
    n_cells = n_groups * n_bins
    closed = _closed(edges)
    uniform = is_uniform(edges)

    def work(block):
        sums = np.zeros((LANES, n_cells, 1 if weights is None else 4))
        counts = np.zeros((LANES, n_cells), dtype=np.int64)
        _add_rows(
            _contiguous(scores[block]),
            _contiguous(hits[block]),
            None if weights is None else _contiguous(weights[block]),
            None if groups is None else _contiguous(groups[block]),
            closed,
            uniform,
            sums,
            counts,
        )
        return sums.sum(axis=0), counts.sum(axis=0)

    row_bytes = 8 * (2 + (weights is not None) + (groups is not None))
    parts = map_blocks(work, row_blocks(len(scores), row_bytes, max(4 << 20, 64 * n_cells)))
    sums, counts = (sum(part) for part in zip(*parts))
    return _table(sums, counts, weights is not None).reshape(5, n_groups, n_bins)


def is_uniform(edges) -> bool:
    """Whether the edges are those of ``linspace(0, 1, n_bins + 1)``, which arithmetic finds without a search."""
    n_bins = len(edges) + 1
    return bool(np.array_equal(edges, np.linspace(0.0, 1.0, n_bins + 1)[1:-1]))


def _closed(edges) -> np.ndarray:
    return np.concatenate([[-np.inf], edges, [np.inf]])


def _table(sums, counts, weighted: bool) -> np.ndarray:
    """The five sums per cell from what the loops accumulate: rows in the low half of `counts`, hits in the high."""
    count = (counts & 0xFFFFFFFF).astype(np.float64)
    if weighted:
        return np.stack([*sums.T, count])
    return np.stack([count, sums[:, 0], (counts >> 32).astype(np.float64), count, count])


@jit
def _add_rows(scores, hits, weights, groups, closed, uniform, sums, counts):
    """Add rows to `sums` (LANES, n_cells, 1 or 4) and `counts` (LANES, n_cells)."""
    n_bins = len(closed) - 1
    cells = np.empty(CHUNK, dtype=np.uint64)
    for start in range(0, len(scores), CHUNK):
        stop = min(start + CHUNK, len(scores))
        _find_bins(scores[start:stop], closed, uniform, cells)
        if groups is not None:
            for i in range(start, stop):
                cells[i - start] += np.uint64(groups[i] * n_bins)
        for i in range(np.uint64(stop - start)):
            cell, lane, row = cells[i], i & np.uint64(LANES - 1), np.uint64(start) + i
            counts[lane, cell] += np.int64(1) + (np.int64(hits[row]) << 32)
            if weights is None:
                sums[lane, cell, 0] += scores[row]
            else:
                sums[lane, cell, 0] += weights[row]
                sums[lane, cell, 1] += weights[row] * scores[row]
                sums[lane, cell, 2] += weights[row] * hits[row]
                sums[lane, cell, 3] += weights[row] * weights[row]


@jit
def _find_bins(scores, closed, uniform, found):
    """Bin of every score: closed[b] < score <= closed[b + 1]."""
    n_bins = len(closed) - 1
    if uniform:
        step = 1.0 / n_bins
        for i in range(len(scores)):
            found[i] = np.uint64(_uniform_bin(np.float64(scores[i]), n_bins, step))
    else:
        found[:] = 0
        for b in range(1, n_bins):
            for i in range(len(scores)):
                found[i] += np.uint64(scores[i] > closed[b])


@jit(inline="always")
def _uniform_bin(score, n_bins, step):
    """Bin of a score among n_bins of width `step`."""
    b = np.int64(score * n_bins)
    b += np.int64(score > (b + 1) * step) - np.int64(score <= b * step)
    return min(max(b, 0), n_bins - 1)


@bins.class_bin_sums.implement("numba")
def class_bin_sums(proba, codes, edges, *, weights=None):
    n_rows, n_classes = proba.shape
    n_bins = edges.shape[1] + 1
    closed = np.stack([_closed(row) for row in edges])
    uniform = all(is_uniform(row) for row in edges)
    n_cells = n_classes * n_bins

    def work(block):
        sums = np.zeros((n_cells, 1 if weights is None else 4))
        counts = np.zeros(n_cells, dtype=np.int64)
        rows, labels = _contiguous(proba[block]), _contiguous(codes[block])
        if uniform and weights is None and n_bins > 1 and n_classes >= MANY_CLASSES:
            _add_rows_of_many_classes(rows, labels, n_bins, closed[0, 1], sums, counts)
        else:
            block_weights = None if weights is None else _contiguous(weights[block])
            _add_class_rows(rows, labels, block_weights, closed, uniform, sums, counts)
        return sums, counts

    parts = map_blocks(work, row_blocks(n_rows, n_classes * proba.itemsize, max(4 << 20, 256 * n_cells)))
    sums, counts = (sum(part) for part in zip(*parts))
    return _table(sums, counts, weights is not None).reshape(5, n_classes, n_bins)


@jit
def _add_class_rows(proba, codes, weights, closed, uniform, sums, counts):
    n_rows, n_classes = proba.shape
    n_bins = closed.shape[1] - 1
    found = np.empty(n_classes, dtype=np.int64)
    one = np.empty(1, dtype=np.int64)
    for i in range(n_rows):
        if uniform:
            _find_bins(proba[i], closed[0], True, found)
        else:
            for k in range(n_classes):
                _find_bins(proba[i, k : k + 1], closed[k], False, one)
                found[k] = one[0]
        for k in range(n_classes):
            cell = k * n_bins + found[k]
            counts[cell] += 1
            if weights is None:
                sums[cell, 0] += proba[i, k]
            else:
                sums[cell, 0] += weights[i]
                sums[cell, 1] += weights[i] * proba[i, k]
                sums[cell, 3] += weights[i] * weights[i]
        true_cell = codes[i] * n_bins + found[codes[i]]
        counts[true_cell] += np.int64(1) << 32
        if weights is not None:
            sums[true_cell, 2] += weights[i]


@jit(fastmath=REASSOCIATE)
def _add_rows_of_many_classes(proba, codes, n_bins, low, sums, counts):
    """:func:`_add_class_rows` where most probabilities lie in the first bin, which ends at `low`: those are added up
    along the vector units, and only what is above is looked at one by one."""
    n_rows, n_classes = proba.shape
    step = 1.0 / n_bins
    lowest = np.zeros(n_classes)
    for i in range(n_rows):
        for start in range(0, n_classes, SEARCHED):
            stop = min(start + SEARCHED, n_classes)
            above = 0
            for k in range(start, stop):
                p = np.float64(proba[i, k])
                lowest[k] += p if p <= low else 0.0
                above += p > low
            if above:
                for k in range(start, stop):
                    p = np.float64(proba[i, k])
                    if p > low:
                        cell = k * n_bins + _uniform_bin(p, n_bins, step)
                        counts[cell] += 1
                        sums[cell, 0] += p
    for k in range(n_classes):
        sums[k * n_bins, 0] += lowest[k]
        counts[k * n_bins] += n_rows
        for b in range(1, n_bins):
            counts[k * n_bins] -= counts[k * n_bins + b]
    for i in range(n_rows):
        counts[codes[i] * n_bins + _uniform_bin(np.float64(proba[i, codes[i]]), n_bins, step)] += np.int64(1) << 32


@bins.binary_score_sums.implement("numba")
def binary_score_sums(proba, hits, groups, *, n_groups, weights=None):
    def work(block):
        sums = np.zeros((n_groups, 7))
        for start in range(block.start, block.stop, LOGGED_ROWS):
            rows = slice(start, min(start + LOGGED_ROWS, block.stop))
            score = proba[rows].astype(np.float64)
            _add_scores(
                _contiguous(score),
                _contiguous(hits[rows]),
                _contiguous(groups[rows]),
                None if weights is None else _contiguous(weights[rows]),
                *bins.binary_logs(score),
                sums,
            )
        return sums

    return np.ascontiguousarray(sum(map_blocks(work, row_blocks(len(proba), 24))).T)


@jit
def _add_scores(proba, hits, groups, weights, log_p, log_q, sums):
    """Add rows to `sums` (n_groups, 7)."""
    for i in range(len(proba)):
        p, hit, group = proba[i], hits[i] != 0, np.uint64(groups[i])
        residual = p - hits[i]
        square = residual * residual
        entropy = -(p * log_p[i] if p > 0 else 0.0) - (0.0 if p >= 1 else (1 - p) * log_q[i])
        w = 1.0 if weights is None else weights[i]
        sums[group, 0] -= w * (log_p[i] if hit else log_q[i])
        sums[group, 1] += w * entropy
        sums[group, 2] += w * ((p > 0.5) == hit)
        sums[group, 3] += w * max(p, 1 - p)
        sums[group, 4] += w * square
        sums[group, 5] += w * w * residual
        sums[group, 6] += w * w * square


@bins.null_hit_sums.implement("numba")
def null_hit_sums(scores, starts, *, seed, resamples, weights=None):
    thresholds = np.ceil(np.ascontiguousarray(scores) / bins.RESOLUTION).astype(np.uint64)
    starts, weights = _contiguous(starts), None if weights is None else _contiguous(weights)
    states = bins.stream_starts(seed, resamples)
    sums = np.empty((len(resamples), len(starts) - 1))

    def work(block):
        _draw_hits(thresholds, starts, states[block], weights, sums[block])

    map_blocks(work, _resample_blocks(len(resamples)))
    return sums


@bins.bootstrap_sums.implement("numba")
def bootstrap_sums(values, starts, *, seed, resamples, weights=None):
    thresholds = np.ceil(bins.POISSON / bins.RESOLUTION).astype(np.uint32)
    values, starts = _contiguous(values), _contiguous(starts)
    weights = None if weights is None else _contiguous(weights)
    states = bins.stream_starts(seed, resamples)
    sums = np.empty((2, len(resamples), len(starts) - 1))

    def work(block):
        _draw_counts(values, starts, states[block], weights, thresholds, sums[0, block], sums[1, block])

    map_blocks(work, _resample_blocks(len(resamples)))
    return sums


def _resample_blocks(n_resamples):
    return row_blocks(n_resamples, 1, RESAMPLES)


@jit(inline="always")
def _draw(state, row):
    """The upper half of output `row` of the stream that starts at `state`."""
    z = state + (row + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) >> np.uint64(32)


@jit(fastmath=REASSOCIATE)
def _draw_hits(thresholds, starts, states, weights, sums):
    """sums[b, cell] = Σ over the rows of the cell of w·[draw < threshold]."""
    sums[:] = 0.0
    hits = np.empty(RESAMPLED_ROWS, dtype=np.int32)
    first_cell = 0
    for first in range(0, len(thresholds), RESAMPLED_ROWS):
        last = min(first + RESAMPLED_ROWS, len(thresholds))
        while starts[first_cell + 1] <= first:
            first_cell += 1
        for b in range(len(states)):
            for i in range(np.uint64(last - first)):
                row = np.uint64(first) + i
                hits[i] = _draw(states[b], row) < thresholds[row]
            cell, start = first_cell, first
            while start < last:
                stop = min(starts[cell + 1], last)
                total = 0.0
                for row in range(np.uint64(start), np.uint64(stop)):
                    hit = hits[row - np.uint64(first)]
                    total += hit if weights is None else hit * weights[row]
                sums[b, cell] += total
                cell, start = cell + 1, stop


@jit(fastmath=REASSOCIATE)
def _draw_counts(values, starts, states, weights, thresholds, drawn, drawn_values):
    """drawn[b, cell] = Σ w·N and drawn_values[b, cell] = Σ w·N·value, N ~ Poisson(1) by inversion."""
    drawn[:] = 0.0
    drawn_values[:] = 0.0
    draws = np.empty(RESAMPLED_ROWS, dtype=np.uint32)
    counts = np.empty(RESAMPLED_ROWS, dtype=np.int32)
    first_cell = 0
    for first in range(0, len(values), RESAMPLED_ROWS):
        last = min(first + RESAMPLED_ROWS, len(values))
        while starts[first_cell + 1] <= first:
            first_cell += 1
        for b in range(len(states)):
            _poisson(states[b], np.uint64(first), thresholds, draws[: last - first], counts[: last - first])
            cell, start = first_cell, first
            while start < last:
                stop = min(starts[cell + 1], last)
                total, total_values = 0.0, 0.0
                for row in range(np.uint64(start), np.uint64(stop)):
                    count = counts[row - np.uint64(first)]
                    n = np.float64(count) if weights is None else count * weights[row]
                    total += n
                    total_values += n * values[row]
                drawn[b, cell] += total
                drawn_values[b, cell] += total_values
                cell, start = cell + 1, stop


@jit
def _poisson(state, first, thresholds, draws, counts):
    """counts[i] = how many of the thresholds the draw of row first + i reaches."""
    for i in range(np.uint64(len(draws))):
        draws[i] = np.uint32(_draw(state, first + i))
    counts[:] = 0
    for k in range(len(thresholds)):
        for i in range(len(draws)):
            counts[i] += draws[i] >= thresholds[k]
