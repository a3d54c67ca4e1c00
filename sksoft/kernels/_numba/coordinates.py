"""Coordinate descent, compiled. One body serves dense and sparse columns: what a column is, its type decides."""

import numpy as np
from numba.extending import overload

from sksoft.kernels import coordinates
from sksoft.kernels._numba._jit import REASSOCIATE, jit
from sksoft.kernels._numba.columns import _read_only
from sksoft.kernels.blocks import map_blocks

INLINED = {"fastmath": set(REASSOCIATE), "error_model": "numpy", "forceinline": True}


# Names for compiled code: the bodies follow as overloads, dense for a tuple of one array, sparse for one of three.


def dot(columns, j, vector):
    """⟨x_j, vector⟩."""
    raise NotImplementedError


def dot_square(columns, j, vector):
    """Σ x_j² vector."""
    raise NotImplementedError


def add(columns, j, factor, vector):
    """``vector += factor · x_j``."""
    raise NotImplementedError


def add_both(columns, j, factor, bend, residual, scores):
    """``residual += factor · bend · x_j`` and ``scores += factor · x_j``."""
    raise NotImplementedError


def add_product(columns, j, factor, proba, out):
    """``out += factor · x_j · proba``."""
    raise NotImplementedError


def add_group(columns, j, factor, weights, proba, shift, residual, scores):
    """``residual += weights · proba · (factor · x_j − shift)`` and ``scores += factor · x_j``, in the rows of x_j."""
    raise NotImplementedError


def settle(columns, j, shift, mean):
    """``mean += shift`` and ``shift = 0``, in the rows of x_j."""
    raise NotImplementedError


@overload(dot, jit_options=INLINED)
def _dot(columns, j, vector):
    if len(columns) == 1:
        return _dense_dot
    return _sparse_dot


def _dense_dot(columns, j, vector):
    x = columns[0][j]
    total = 0.0
    for i in range(x.size):
        total += x[i] * vector[i]
    return total


def _sparse_dot(columns, j, vector):
    indptr, indices, values = columns
    total = 0.0
    for e in range(indptr[j], indptr[j + 1]):
        total += values[e] * vector[indices[e]]
    return total


@overload(dot_square, jit_options=INLINED)
def _dot_square(columns, j, vector):
    if len(columns) == 1:
        return _dense_dot_square
    return _sparse_dot_square


def _dense_dot_square(columns, j, vector):
    x = columns[0][j]
    total = 0.0
    for i in range(x.size):
        total += x[i] * x[i] * vector[i]
    return total


def _sparse_dot_square(columns, j, vector):
    indptr, indices, values = columns
    total = 0.0
    for e in range(indptr[j], indptr[j + 1]):
        total += values[e] * values[e] * vector[indices[e]]
    return total


@overload(add, jit_options=INLINED)
def _add(columns, j, factor, vector):
    if len(columns) == 1:
        return _dense_add
    return _sparse_add


def _dense_add(columns, j, factor, vector):
    x = columns[0][j]
    for i in range(x.size):
        vector[i] += factor * x[i]


def _sparse_add(columns, j, factor, vector):
    indptr, indices, values = columns
    for e in range(indptr[j], indptr[j + 1]):
        vector[indices[e]] += factor * values[e]


@overload(add_both, jit_options=INLINED)
def _add_both(columns, j, factor, bend, residual, scores):
    if len(columns) == 1:
        return _dense_add_both
    return _sparse_add_both


def _dense_add_both(columns, j, factor, bend, residual, scores):
    x = columns[0][j]
    for i in range(x.size):
        change = factor * x[i]
        scores[i] += change
        residual[i] += bend[i] * change


def _sparse_add_both(columns, j, factor, bend, residual, scores):
    indptr, indices, values = columns
    for e in range(indptr[j], indptr[j + 1]):
        i, change = indices[e], factor * values[e]
        scores[i] += change
        residual[i] += bend[i] * change


@overload(add_product, jit_options=INLINED)
def _add_product(columns, j, factor, proba, out):
    if len(columns) == 1:
        return _dense_add_product
    return _sparse_add_product


def _dense_add_product(columns, j, factor, proba, out):
    x = columns[0][j]
    for i in range(x.size):
        out[i] += factor * x[i] * proba[i]


def _sparse_add_product(columns, j, factor, proba, out):
    indptr, indices, values = columns
    for e in range(indptr[j], indptr[j + 1]):
        out[indices[e]] += factor * values[e] * proba[indices[e]]


@overload(add_group, jit_options=INLINED)
def _add_group(columns, j, factor, weights, proba, shift, residual, scores):
    if len(columns) == 1:
        return _dense_add_group
    return _sparse_add_group


def _dense_add_group(columns, j, factor, weights, proba, shift, residual, scores):
    x = columns[0][j]
    for i in range(x.size):
        change = factor * x[i]
        scores[i] += change
        residual[i] += weights[i] * proba[i] * (change - shift[i])


def _sparse_add_group(columns, j, factor, weights, proba, shift, residual, scores):
    indptr, indices, values = columns
    for e in range(indptr[j], indptr[j + 1]):
        i, change = indices[e], factor * values[e]
        scores[i] += change
        residual[i] += weights[i] * proba[i] * (change - shift[i])


@overload(settle, jit_options=INLINED)
def _settle(columns, j, shift, mean):
    if len(columns) == 1:
        return _dense_settle
    return _sparse_settle


def _dense_settle(columns, j, shift, mean):
    for i in range(shift.size):
        mean[i] += shift[i]
        shift[i] = 0.0


def _sparse_settle(columns, j, shift, mean):
    indptr, indices, _ = columns
    for e in range(indptr[j], indptr[j + 1]):
        mean[indices[e]] += shift[indices[e]]
        shift[indices[e]] = 0.0


@jit(inline="always")
def _reached(curvature, l2, position, slope, l1, lower, upper):
    """Where a coordinate's one-dimensional model is least."""
    target = curvature * position - slope
    size = abs(target) - l1
    x = 0.0 if size <= 0.0 else (size if target > 0.0 else -size) / (curvature + l2)
    return min(max(x, lower), upper)


@jit(fastmath=REASSOCIATE)
def _sweep(proba, weights, slopes, curvature, columns, members, starts, l1, l2, lower, upper, position, scores, mean):
    n = proba.shape[1]
    residual, bend = np.empty(n), np.empty(n)
    decrement = 0.0
    for k in range(len(proba)):
        p, u = proba[k], scores[k]
        for i in range(n):
            share = weights[i] * p[i]
            residual[i] = share * (u[i] - mean[i])
            bend[i] = share * (1.0 - p[i])
            mean[i] -= p[i] * u[i]
        for s in range(starts[k], starts[k + 1]):
            total = curvature[s] + l2[s]
            if not total > 0.0:
                continue
            j = members[s]
            slope = slopes[s] + dot(columns, j, residual)
            x = _reached(curvature[s], l2[s], position[s], slope, l1[s], lower[s], upper[s])
            delta = x - position[s]
            if delta != 0.0:
                position[s] = x
                decrement += total * delta * delta
                add_both(columns, j, delta, bend, residual, u)
        for i in range(n):
            mean[i] += p[i] * u[i]
    return decrement


@jit
def _sum_of_squares(vector):
    """In order: a loop that also writes may add up in another one, as its arrays stand in memory."""
    total = 0.0
    for value in vector:
        total += value * value
    return total


@jit(fastmath=REASSOCIATE)
def _group_sweep(proba, weights, slopes, curvature, columns, members, l1, l2, lower, upper, position, scores, mean):
    n_rows, n = proba.shape
    residual = np.empty((n_rows, n))
    for k in range(n_rows):
        for i in range(n):
            residual[k, i] = weights[i] * proba[k, i] * (scores[k, i] - mean[i])
    shift, target, delta = np.zeros(n), np.empty(n_rows), np.empty(n_rows)
    decrement = 0.0
    for s in range(len(members)):
        total = curvature[s] + l2[s]
        if not total > 0.0:
            continue
        j = members[s]
        for k in range(n_rows):
            reached = curvature[s] * position[k, s] - (slopes[k, s] + dot(columns, j, residual[k]))
            target[k] = min(max(reached, lower[k, s]), upper[k, s])
        norm = np.sqrt(_sum_of_squares(target))
        factor = max(norm - l1[s], 0.0) / (norm * total) if norm > 0.0 else 0.0
        for k in range(n_rows):
            delta[k] = factor * target[k] - position[k, s]
        length = _sum_of_squares(delta)
        if length > 0.0:
            decrement += total * length
            for k in range(n_rows):
                position[k, s] += delta[k]
                if delta[k] != 0.0:
                    add_product(columns, j, delta[k], proba[k], shift)
            for k in range(n_rows):
                add_group(columns, j, delta[k], weights, proba[k], shift, residual[k], scores[k])
            settle(columns, j, shift, mean)
    return decrement


@jit(fastmath=REASSOCIATE)
def _project_squares(vector, columns, members, out):
    for s in range(len(members)):
        out[s] = dot_square(columns, members[s], vector)


@jit(fastmath=REASSOCIATE)
def _combine(coefficients, columns, members, out):
    out[:] = 0
    for s in range(len(members)):
        if coefficients[s] != 0.0:
            add(columns, members[s], coefficients[s], out)


@jit(fastmath=REASSOCIATE)
def _project(vector, columns, members, out):
    for s in range(len(members)):
        out[s] = dot(columns, members[s], vector)


def _columns(columns):
    return tuple(_read_only(array) for array in columns)


class _Written:
    """C-ordered arrays to write to, copied back on leaving to those that were given in another order."""

    def __init__(self, *arrays):
        self.given = arrays
        self.arrays = [a if a.flags.c_contiguous else np.ascontiguousarray(a) for a in arrays]

    def __enter__(self):
        return self.arrays

    def __exit__(self, *_):
        for given, written in zip(self.given, self.arrays):
            if written is not given:
                given[...] = written


@coordinates.coordinate_sweep.implement("numba")
def coordinate_sweep(
    proba, weights, slopes, curvature, *, columns, members, starts, l1, l2, lower, upper, position, scores, mean
):
    inputs = [_read_only(array) for array in (proba, weights, slopes, curvature)]
    settings = [_read_only(array) for array in (members, starts, l1, l2, lower, upper)]
    with _Written(position, scores, mean) as written:
        return float(_sweep(*inputs, _columns(columns), *settings, *written))


@coordinates.group_sweep.implement("numba")
def group_sweep(proba, weights, slopes, curvature, *, columns, members, l1, l2, lower, upper, position, scores, mean):
    inputs = [_read_only(array) for array in (proba, weights, slopes, curvature)]
    settings = [_read_only(array) for array in (members, l1, l2, lower, upper)]
    with _Written(position, scores, mean) as written:
        return float(_group_sweep(*inputs, _columns(columns), *settings, *written))


def _by_class(work, starts):
    """``work(k, coordinates of class k)`` on the threads at hand: classes share nothing."""
    map_blocks(lambda k: work(k, slice(starts[k], starts[k + 1])), list(range(len(starts) - 1)))


@coordinates.combine_columns.implement("numba")
def combine_columns(coefficients, *, columns, members, starts, out):
    coefficients, columns, members = _read_only(coefficients), _columns(columns), _read_only(members)
    with _Written(out) as (target,):
        _by_class(lambda k, own: _combine(coefficients[own], columns, members[own], target[k]), starts)
    return out


@coordinates.project_on_columns.implement("numba")
def project_on_columns(vectors, *, columns, members, starts, squared=False):
    out = np.empty(len(members))
    vectors, columns, members = _read_only(vectors), _columns(columns), _read_only(members)
    project = _project_squares if squared else _project
    _by_class(lambda k, own: project(vectors[k], columns, members[own], out[own]), starts)
    return out
