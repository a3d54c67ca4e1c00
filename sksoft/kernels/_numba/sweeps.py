"""Sweeps of linear scores, tile by tile: matrix products by BLAS, and loops over rows between them."""

import numpy as np

from sksoft.kernels import sweeps
from sksoft.kernels._numba._jit import REASSOCIATE, jit
from sksoft.kernels._numba.run import over_rows
from sksoft.kernels._numba.transposed import STRIP, read_only, run
from sksoft.kernels.sweeps import TILE


@jit
def softmax_hessian_block(rows, tiled, proba, weights, direction, total):
    """Add to `total` what ``sweeps.softmax_hessian_sweep`` returns; `proba` is (K, n)."""
    (n, c), n_classes = rows.shape, len(direction)
    buffer = np.empty(n_classes * TILE, rows.dtype)
    part = np.empty((n_classes, c), rows.dtype)
    for start in range(0, n, TILE):
        stop = min(start + TILE, n)
        columns = tiled[start * c : stop * c].reshape(c, stop - start)
        u = buffer[: n_classes * (stop - start)].reshape(n_classes, stop - start)
        np.dot(direction, columns, u)
        _curved(proba[:, start:stop], weights[start:stop], u)
        np.dot(u, rows[start:stop], part)
        for k in range(n_classes):
            for j in range(c):
                total[k, j] += part[k, j]


@jit
def _curved(proba, weights, u):
    """Each column v of u, (K, n), to w J(p) v in the precision of u: half the time of float64 sums."""
    n_classes, n = u.shape
    mean, weight = np.empty(STRIP, u.dtype), np.empty(STRIP, u.dtype)
    for start in range(0, n, STRIP):
        m = min(STRIP, n - start)
        mean[:] = 0.0
        for k in range(n_classes):
            p, v = run(proba[k, start : start + m]), run(u[k, start : start + m])
            for i in range(m):
                mean[i] += p[i] * v[i]
        for i in range(m):
            weight[i] = weights[start + i]
        for k in range(n_classes):
            p, v = run(proba[k, start : start + m]), run(u[k, start : start + m])
            for i in range(m):
                v[i] = weight[i] * (p[i] * (v[i] - mean[i]))


@sweeps.softmax_hessian_sweep.implement("numba")
def softmax_hessian_sweep(rows, tiled, proba, weights, direction):
    tiled = sweeps.tiles_of(rows) if tiled is None else tiled
    rows, tiled, weights, direction = (read_only(np.ascontiguousarray(a)) for a in (rows, tiled, weights, direction))
    by_class = proba.T if proba.strides[0] == proba.itemsize else np.ascontiguousarray(proba.T)
    total = np.zeros(direction.shape)
    if len(rows):
        softmax_hessian_block(rows, tiled, read_only(by_class), weights, direction, total)
    return total


@jit
def diagonal_hessian_block(rows, proba, weights, factors, shifts):
    n, n_classes = rows.shape
    r = np.empty(n_classes, rows.dtype)
    by_score, alone = np.zeros(n_classes), np.zeros(n_classes)
    for i in range(n):
        x, p, weight = rows[i], proba[i], weights[i]
        mean = rows.dtype.type(_mean_score(x, p, factors, shifts))
        weight = rows.dtype.type(weight)
        for k in range(n_classes if weights[i] != 0.0 else 0):
            r[k] = weight * (p[k] * (x[k] * factors[k] + shifts[k] - mean))
        if weights[i] != 0.0:
            _add(r, x, by_score, alone)
    return by_score, alone


@jit(fastmath=REASSOCIATE)
def _mean_score(x, p, factors, shifts):
    total = 0.0
    for k in range(x.size):
        total += np.float64(p[k]) * np.float64(x[k] * factors[k] + shifts[k])
    return total


@jit
def _add(r, x, by_score, alone):
    for k in range(r.size):
        by_score[k] += np.float64(r[k]) * np.float64(x[k])
        alone[k] += np.float64(r[k])


@jit
def diagonal_adjoint_block(residual, rows):
    n_classes = rows.shape[1]
    by_score, alone = np.zeros(n_classes), np.zeros(n_classes)
    for i in range(len(rows)):
        _add(residual[i], rows[i], by_score, alone)
    return by_score, alone


@sweeps.diagonal_hessian_sweep.implement("numba")
def diagonal_hessian_sweep(rows, proba, weights, direction):
    settings = [np.array(part) for part in direction]
    return _joined(over_rows(diagonal_hessian_block, (rows, proba, weights), settings, ()), rows.shape[1])


@sweeps.diagonal_adjoint.implement("numba")
def diagonal_adjoint(residual, rows):
    return _joined(over_rows(diagonal_adjoint_block, (residual, rows), (), ()), rows.shape[1])


def _joined(parts, n_classes) -> np.ndarray:
    """The sums of all blocks, (K, 2)."""
    total = np.zeros((2, n_classes))
    for part in parts:
        total += part
    return np.ascontiguousarray(total.T)
