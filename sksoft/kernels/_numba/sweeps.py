"""Sweeps of linear scores, tile by tile: matrix products by BLAS, and loops over rows between them."""

import numpy as np

from sksoft.kernels import sweeps
from sksoft.kernels._numba._jit import jit
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
    rows, tiled, weights, direction = (read_only(np.ascontiguousarray(a)) for a in (rows, tiled, weights, direction))
    by_class = proba.T if proba.strides[0] == proba.itemsize else np.ascontiguousarray(proba.T)
    total = np.zeros(direction.shape)
    if len(rows):
        softmax_hessian_block(rows, tiled, read_only(by_class), weights, direction, total)
    return total
