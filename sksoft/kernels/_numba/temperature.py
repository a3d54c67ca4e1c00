"""The sums of a temperature, compiled: narrow rows a panel at a time, wide rows as they stand."""

import numpy as np

from sksoft.kernels import temperature
from sksoft.kernels._numba import panels
from sksoft.kernels._numba._jit import REASSOCIATE, jit
from sksoft.kernels._numba.exp import exp, log
from sksoft.kernels._numba.panels import LANES, NARROW
from sksoft.kernels._numba.run import over_rows

FARTHEST = temperature.FARTHEST


@jit
def row_ranges_block(scores, codes, top, bottom, own):
    for i in range(scores.shape[0]):
        row = scores[i]
        top[i] = panels.maximum_of(row)
        bottom[i] = _minimum_of(row)
        own[i] = row[codes[i]]


@jit(fastmath=REASSOCIATE)
def _minimum_of(row):
    least = row[0]
    for k in range(row.size):
        least = min(least, row[k])
    return least


@jit
def temperature_block(scores, codes, weights, beta, inverse_unit):
    if scores.shape[1] > NARROW:
        return _of_wide_rows(scores, codes, weights, beta, 2.0 * inverse_unit)
    return _of_narrow_rows(scores, codes, weights, beta, 2.0 * inverse_unit)


@jit(forceinline=True)
def _below(score, top, twice):
    """(score − top) · twice / 2 of halves, which are exact: a fused product would leave their rounding behind."""
    return max((0.5 * np.float64(score) - 0.5 * np.float64(top)) * twice, -FARTHEST)


@jit
def _of_narrow_rows(scores, codes, weights, beta, twice):
    n = scores.shape[0]
    panel, height = panels.new_panel(scores)
    top, own = np.zeros(LANES, scores.dtype), np.zeros(LANES)
    total, first, second = np.zeros(LANES), np.zeros(LANES), np.zeros(LANES)
    loss, slope, curvature = 0.0, 0.0, 0.0
    for start in range(0, n, height):
        stop = min(start + height, n)
        panels.load(scores[start:stop], None, panel, top, True)
        total[:] = 0.0
        first[:] = 0.0
        second[:] = 0.0
        for k in range(panel.shape[0]):
            _add_column(panel[k], top, beta, twice, total, first, second)
        for i in range(stop - start):
            own[i] = panel[codes[start + i], i]
        parts = _of_rows(own, top, twice, weights[start:stop], beta, total, first, second)
        loss += parts[0]
        slope += parts[1]
        curvature += parts[2]
    return loss, slope, curvature


@jit
def _add_column(column, top, beta, twice, total, first, second):
    for i in range(LANES):
        d = _below(column[i], top[i], twice)
        e = exp(beta * d)
        product = e * d
        total[i] += e
        first[i] += product
        second[i] += product * d


@jit(fastmath=REASSOCIATE)
def _of_rows(own, top, twice, weights, beta, total, first, second):
    """The three sums over rows from those within each: in one loop, for divisions and logarithms are most of it."""
    loss, slope, curvature = 0.0, 0.0, 0.0
    for i in range(weights.size):
        d = _below(own[i], top[i], twice)
        inverse = 1.0 / total[i]
        mean = first[i] * inverse
        loss += weights[i] * (log(total[i]) - beta * d)
        slope += weights[i] * (mean - d)
        curvature += weights[i] * (second[i] * inverse - mean * mean)
    return loss, slope, curvature


@jit
def _of_wide_rows(scores, codes, weights, beta, twice):
    loss, slope, curvature = 0.0, 0.0, 0.0
    for i in range(scores.shape[0]):
        row, weight = scores[i], weights[i]
        top = panels.maximum_of(row)
        total, first, second = _moments(row, top, beta, twice)
        own = _below(row[codes[i]], top, twice)
        mean = first / total
        loss += weight * (log(total) - beta * own)
        slope += weight * (mean - own)
        curvature += weight * (second / total - mean * mean)
    return loss, slope, curvature


@jit(fastmath=REASSOCIATE)
def _moments(row, top, beta, twice):
    total, first, second = 0.0, 0.0, 0.0
    for k in range(row.size):
        d = _below(row[k], top, twice)
        e = exp(beta * d)
        total += e
        first += e * d
        second += e * d * d
    return total, first, second


@temperature.row_ranges.implement("numba")
def row_ranges(scores, codes):
    parts = tuple(np.empty(len(scores)) for _ in range(3))
    over_rows(row_ranges_block, (scores, codes), (), parts)
    return parts


@temperature.temperature_sums.implement("numba")
def temperature_sums(scores, codes, weights, *, beta, inverse_unit):
    blocks = over_rows(temperature_block, (scores, codes, weights), (float(beta), float(inverse_unit)), ())
    return np.sum(blocks, axis=0)
