"""Kernels for rows that stand in memory class by class, (K, n): what a product with the transposed data delivers.

Neighbouring rows are neighbours in memory, so every loop runs over a strip of rows at once and no row is summed across
a vector. Arrays come as their transposes; each class's run of rows is contiguous, whatever lies between the classes.
"""

import numpy as np
from numba import types
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic

from sksoft.kernels._numba._jit import jit
from sksoft.kernels._numba.exp import exp, log1p
from sksoft.kernels.blocks import map_blocks, row_blocks

# Rows of a strip: eight vectors of float64 fill half of the first cache with 40 classes of float32.
STRIP = 256


def is_transposed(*arrays) -> bool:
    """Whether each (n, K) array has its rows next to each other in memory, and more than one."""
    return all(
        array.ndim == 2 and len(array) > 1 and array.shape[1] > 1 and array.strides[0] == array.itemsize
        and array.strides[1] >= array.itemsize * len(array)
        for array in arrays
    )  # fmt: skip


def over_strips(block_function, inputs, outputs) -> list:
    """Call ``block_function(*inputs, *outputs)`` on blocks of rows; (n, K) arrays are passed as (K, n)."""
    n_rows, n_columns = inputs[0].shape

    def work(rows):
        sources = [read_only(_turned(array, rows)) for array in inputs]
        return block_function(*sources, *[_turned(array, rows) for array in outputs])

    return map_blocks(work, row_blocks(n_rows, n_columns * inputs[0].itemsize))


def _turned(array, rows):
    return array[rows] if array.ndim == 1 else array[rows].T


def read_only(array):
    """A view that cannot be written to, so that numba sees one type."""
    array = array.view()
    array.flags.writeable = False
    return array


@intrinsic
def run(typingctx, row):
    """A 1-D array of any layout as a contiguous one, which the caller knows it to be: then loops over it vectorise."""
    contiguous = types.Array(row.dtype, 1, "C", readonly=not row.mutable)

    def codegen(context, builder, signature, args):
        return impl_ret_borrowed(context, builder, contiguous, args[0])

    return contiguous(row), codegen


@jit
def cross_entropy_block(scores, codes, weights, residual, proba):
    """As ``rowwise.cross_entropy_rows`` without smoothing; `proba` may have no rows."""
    n_classes, n = scores.shape
    # not wider than it is: runs of many classes a power of two apart would share a few lines of the cache
    width = max(min(STRIP, n), 1)
    top, others = np.empty(STRIP, scores.dtype), np.empty(STRIP)
    shifted_true, exp_true = np.empty(STRIP, scores.dtype), np.empty(STRIP, scores.dtype)
    scale, factor = np.empty(STRIP, scores.dtype), np.empty(STRIP, scores.dtype)
    strip = np.empty((n_classes, width), scores.dtype)
    value = np.zeros(STRIP)
    for start in range(0, n, width):
        m = min(width, n - start)
        _largest(scores, start, m, top)
        for k in range(n_classes):
            source, target = run(scores[k, start : start + m]), strip[k]
            for i in range(m):
                target[i] = source[i] - top[i]
        for i in range(m):
            code = codes[start + i]
            shifted_true[i] = strip[code, i]
            # left out of the sum, so that the sum of the others is exact where it is tiny
            strip[code, i] = -np.inf
        _exponentials(strip, m, others)
        for i in range(m):
            exp_true[i] = exp(shifted_true[i])
        for i in range(m):
            weight = weights[start + i]
            loss = log1p(others[i] + (exp_true[i] - 1.0)) - shifted_true[i]
            value[i] += 0.0 if weight == 0.0 else weight * loss
            scale[i] = 1.0 / (others[i] + exp_true[i])
            factor[i] = weight / (others[i] + exp_true[i])
        if proba.shape[0] > 0:
            _scaled(strip, m, scale, proba, start)
            for i in range(m):
                proba[codes[start + i], start + i] = exp_true[i] * scale[i]
        _scaled(strip, m, factor, residual, start)
        for i in range(m):
            residual[codes[start + i], start + i] = -others[i] * factor[i]
            if weights[start + i] == 0.0:
                residual[:, start + i] = 0.0
    return value.sum()


@jit
def softmax_jvp_block(proba, vectors, weights, out):
    """As ``rowwise.softmax_jvp_rows`` with weights."""
    n_classes, n = proba.shape
    mean, weight = np.empty(STRIP), np.empty(STRIP, out.dtype)
    for start in range(0, n, STRIP):
        m = min(STRIP, n - start)
        mean[:] = 0.0
        for k in range(n_classes):
            p, v = run(proba[k, start : start + m]), run(vectors[k, start : start + m])
            for i in range(m):
                term = np.float64(p[i]) * np.float64(v[i])
                mean[i] += 0.0 if p[i] == 0.0 else term
        for i in range(m):
            weight[i] = weights[start + i]
        for k in range(n_classes):
            p, v = run(proba[k, start : start + m]), run(vectors[k, start : start + m])
            target = run(out[k, start : start + m])
            for i in range(m):
                entry = weight[i] * (p[i] * (v[i] - mean[i]))
                target[i] = 0.0 if p[i] == 0.0 or weight[i] == 0.0 else entry


@jit
def _largest(scores, start, m, top):
    """The maximum of each row; NaN in a row may or may not be seen, its exponential will be."""
    source = run(scores[0, start : start + m])
    for i in range(m):
        top[i] = source[i]
    for k in range(1, scores.shape[0]):
        source = run(scores[k, start : start + m])
        for i in range(m):
            top[i] = source[i] if source[i] > top[i] else top[i]


@jit
def _exponentials(strip, m, total):
    """Each entry to its exponential, and their sum over the classes."""
    total[:m] = 0.0
    for k in range(strip.shape[0]):
        row = strip[k]
        for i in range(m):
            row[i] = exp(row[i])
            total[i] += row[i]


@jit
def _scaled(strip, m, factor, out, start):
    for k in range(strip.shape[0]):
        row, target = strip[k], run(out[k, start : start + m])
        for i in range(m):
            target[i] = row[i] * factor[i]
