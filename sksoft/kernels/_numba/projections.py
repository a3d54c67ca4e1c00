r"""Sparsemax and α-entmax, compiled: no sort, a few Newton steps for the threshold of every row.

With r = 1 / (α − 1), ``T(t) = Σ [x − t]₊^r`` and ``D(t) = Σ [x − t]₊^(r−1)`` the threshold solves ``T^(1/r) = 1``. The
left side is convex and decreasing, so Newton's steps from t = −1 ::

    t ← t + (T − T^(1 − 1/r)) / D

climb to the root and never pass it; for sparsemax they are t ← (Σ x − 1) / k over the k entries above t, and end on the
exact support. Where rows are long few entries lie above −1: those are gathered first, and a step costs only them.
"""

import numpy as np

from sksoft.kernels import projections
from sksoft.kernels._numba import panels
from sksoft.kernels._numba._jit import REASSOCIATE, jit
from sksoft.kernels._numba.exp import exp, log
from sksoft.kernels._numba.panels import LANES, NARROW
from sksoft.kernels._numba.rowwise import NO_WEIGHTS, distribution, inner, mark_empty, product_row, shifted_panel
from sksoft.kernels._numba.run import over_rows
from sksoft.kernels.projections import MAX_STEPS


@jit
def projection_block(scores, mask, alpha, temperature, out, empty_rows):
    n, n_columns = scores.shape
    tiled = n_columns <= NARROW
    panel, height = panels.new_panel(scores)
    top, largest = np.zeros(LANES, scores.dtype), np.zeros(LANES, scores.dtype)
    factor = np.zeros(LANES, scores.dtype)
    x = np.zeros((n_columns, LANES) if tiled else (1, n_columns + 1))
    for start in range(0, n, height):
        stop = min(start + height, n)
        shifted_panel(scores, mask, temperature, start, stop, panel, top, largest)
        if tiled:
            _project_tile(panel, x, top, factor, alpha)
        else:
            for i in range(stop - start):
                factor[i] = _project_row(panel[i], x[0], top[i], alpha)
        mark_empty(scores, mask, start, stop, factor, empty_rows)
        panels.store(panel, factor, out[start:stop], tiled)


@jit(forceinline=True)
def _power(above, r):
    """``above^(r − 1)``, 0 where above is 0; above ≤ 1."""
    if r == 1.0:
        return 1.0 if above > 0.0 else 0.0
    if r == 2.0:
        return above
    return exp((r - 1.0) * log(above))


@jit(forceinline=True)
def _newton(t, total, slope, r):
    """The next threshold, never below t."""
    if r == 1.0:
        power = 1.0
    elif r == 2.0:
        power = np.sqrt(total)
    else:
        power = exp((1.0 - 1.0 / r) * log(total))
    moved = t + (total - power) / slope
    return moved if moved > t else t


@jit
def _project_tile(tile, x, top, factor, alpha):
    """Rows of the tile to ``[x − t]₊^r``, and to `factor` what makes them sum to 1."""
    r = 1.0 / (alpha - 1.0)
    t, total, slope, odd = np.full(LANES, -1.0), np.zeros(LANES), np.zeros(LANES), np.zeros(LANES)
    for k in range(tile.shape[0]):
        scores, column = tile[k], x[k]
        for i in range(LANES):
            entry = (np.float64(scores[i]) - np.float64(top[i])) * (alpha - 1.0)
            column[i] = -1.0 if entry < -1.0 else entry
            odd[i] += column[i]
    for _ in range(MAX_STEPS):
        total[:] = 0.0
        slope[:] = 0.0
        for k in range(tile.shape[0]):
            column = x[k]
            for i in range(LANES):
                above = column[i] - t[i] if column[i] > t[i] else 0.0
                power = _power(above, r)
                slope[i] += power
                total[i] += above * power
        moved = False
        for i in range(LANES):
            before = t[i]
            t[i] = _newton(before, total[i], slope[i], r)
            moved |= t[i] > before
        if not moved:
            break
    for k in range(tile.shape[0]):
        scores, column = tile[k], x[k]
        for i in range(LANES):
            above = column[i] - t[i] if column[i] > t[i] else 0.0
            scores[i] = above * _power(above, r)
    for i in range(LANES):
        factor[i] = np.nan if odd[i] != odd[i] else 1.0 / total[i]


@jit
def _project_row(row, gathered, top, alpha):
    """The row to ``[x − t]₊^r``; returns what makes it sum to 1, NaN where the row holds a NaN or nothing."""
    r = 1.0 / (alpha - 1.0)
    largest = np.float64(top)
    n_gathered, odd = 0, False
    for k in range(row.size):
        entry = (np.float64(row[k]) - largest) * (alpha - 1.0)
        # always written, kept only if above −1: no branch to mispredict
        gathered[n_gathered] = entry
        n_gathered += entry > -1.0
        odd |= entry != entry
    if odd:
        return np.nan
    x, t = gathered[:n_gathered], -1.0
    for _ in range(MAX_STEPS):
        total, slope = _powers_above(x, t, r)
        before = t
        t = _newton(before, total, slope, r)
        if t == before:
            break
    for k in range(row.size):
        entry = (np.float64(row[k]) - largest) * (alpha - 1.0)
        above = entry - t if entry > t else 0.0
        row[k] = above * _power(above, r)
    return 1.0 / total


@jit(fastmath=REASSOCIATE)
def _powers_above(x, t, r):
    """``Σ [x − t]₊^r`` and ``Σ [x − t]₊^(r−1)``."""
    total, slope = 0.0, 0.0
    for k in range(x.size):
        above = x[k] - t if x[k] > t else 0.0
        power = _power(above, r)
        slope += power
        total += above * power
    return total, slope


@jit
def entmax_jvp_block(proba, vectors, weights, alpha, out):
    n, n_columns = proba.shape
    q, product = np.zeros(n_columns, out.dtype), np.zeros(n_columns, out.dtype)
    for i in range(n):
        _support_powers(proba[i], alpha, q)
        mean = inner(q, vectors[i]) / panels.sum_of(q)
        product_row(q, vectors[i], mean, weights[i] if weights.size > 0 else 1.0, product)
        out[i] = product


@jit
def _support_powers(p, alpha, q):
    """``q = p^(2 − α)`` on the support, 0 elsewhere."""
    for k in range(p.size):
        if alpha == 2.0:
            power = p[k] / p[k]
        elif alpha == 1.5:
            power = np.sqrt(np.float64(p[k]))
        else:
            power = exp((2.0 - alpha) * log(np.float64(p[k])))
        q[k] = 0.0 if p[k] == 0.0 else power


@projections.sparsemax_rows.implement("numba")
def sparsemax_rows(scores, *, temperature=1.0, mask=None, out=None, empty_rows=None):
    return distribution(projection_block, scores, mask, (2.0, temperature), out, empty_rows)


@projections.entmax_rows.implement("numba")
def entmax_rows(scores, *, alpha=1.5, temperature=1.0, mask=None, out=None, empty_rows=None):
    return distribution(projection_block, scores, mask, (alpha, temperature), out, empty_rows)


@projections.entmax_jvp_rows.implement("numba")
def entmax_jvp_rows(proba, vectors, *, alpha, weights=None, out=None):
    out = np.empty(proba.shape, proba.dtype) if out is None else out
    inputs = proba, vectors, NO_WEIGHTS if weights is None else weights
    over_rows(entmax_jvp_block, inputs, (float(alpha),), (out,))
    return out
