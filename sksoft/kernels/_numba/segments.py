"""Softmax and products over segments, compiled: blocks of segments are the parallelism."""

import numpy as np

from sksoft.kernels import segments
from sksoft.kernels._numba._jit import REASSOCIATE, inner, jit
from sksoft.kernels._numba.exp import exp
from sksoft.kernels.blocks import map_blocks, row_blocks


@inner(fastmath=REASSOCIATE)
def exponentials(scores, top, out):
    """``out = exp(scores − top)`` and its sum."""
    total = 0.0
    for e in range(scores.size):
        out[e] = exp(scores[e] - top)
        total += np.float64(out[e])
    return total


@jit
def softmax_block(scores, starts, first, last, proba, lse):
    for i in range(first, last):
        own, out = scores[starts[i] : starts[i + 1]], proba[starts[i] : starts[i + 1]]
        lse[i] = -np.inf
        if own.size == 0:
            continue
        top = own[0]
        for e in range(own.size):
            if own[e] > top or own[e] != own[e]:
                top = own[e]
        if top == -np.inf:
            for e in range(own.size):
                out[e] = 0.0
            continue
        if top == np.inf or top != top:
            for e in range(own.size):
                out[e] = np.nan
            lse[i] = np.nan
            continue
        total = exponentials(own, top, out)
        lse[i] = np.log(total) + np.float64(top)
        for e in range(own.size):
            out[e] /= total


@jit(fastmath=REASSOCIATE)
def vjp_block(proba, vectors, starts, first, last, out):
    for i in range(first, last):
        mean = 0.0
        for e in range(starts[i], starts[i + 1]):
            mean += np.float64(proba[e]) * np.float64(vectors[e])
        for e in range(starts[i], starts[i + 1]):
            out[e] = proba[e] * (vectors[e] - mean)


@jit(fastmath=REASSOCIATE)
def products_block(columns, starts, left, right, first, last, out):
    for i in range(first, last):
        for e in range(starts[i], starts[i + 1]):
            j = columns[e]
            total = 0.0
            for k in range(left.shape[1]):
                total += np.float64(left[i, k]) * np.float64(right[j, k])
            out[e] = total


def _blocks(starts, n_entries, entry_bytes):
    n_segments = len(starts) - 1
    return row_blocks(n_segments, int(entry_bytes * n_entries / max(n_segments, 1)) + 8)


@segments.segment_softmax.implement("numba")
def segment_softmax(scores, starts):
    scores, starts = _read_only(scores, starts)
    proba, lse = np.empty(scores.shape, scores.dtype), np.empty(len(starts) - 1)
    map_blocks(
        lambda rows: softmax_block(scores, starts, rows.start, rows.stop, proba, lse),
        _blocks(starts, scores.size, 2 * scores.itemsize),
    )
    return proba, lse


@segments.segment_softmax_vjp.implement("numba")
def segment_softmax_vjp(proba, vectors, starts):
    proba, vectors, starts = _read_only(proba, vectors, starts)
    out = np.empty(proba.shape, proba.dtype)
    map_blocks(
        lambda rows: vjp_block(proba, vectors, starts, rows.start, rows.stop, out),
        _blocks(starts, proba.size, 3 * proba.itemsize),
    )
    return out


@segments.segment_products.implement("numba")
def segment_products(columns, starts, left, right):
    columns, starts, left, right = _read_only(columns, starts, left, right)
    out = np.empty(len(columns), left.dtype)
    map_blocks(
        lambda rows: products_block(columns, starts, left, right, rows.start, rows.stop, out),
        _blocks(starts, len(columns), left.itemsize * (left.shape[1] + 1)),
    )
    return out


def _read_only(*arrays):
    """Views in C order that cannot be written to, so that numba sees one type."""
    views = [np.ascontiguousarray(array)[...] for array in arrays]
    for view in views:
        view.flags.writeable = False
    return views
