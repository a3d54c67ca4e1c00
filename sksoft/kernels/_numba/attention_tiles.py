"""The arguments of attention as its compiled tiles want them: in which precision, by which way to the scores.

The product loses the differences of a Gaussian score where keys lie far from their mean, be it only one that nobody
sees. The error is bounded beforehand: beyond a bound float32 becomes float64, and beyond another float64 becomes
differences, coordinate by coordinate.
"""

import numpy as np

from sksoft.kernels._numba.exp import LOG2E
from sksoft.kernels._numba.transposed import read_only
from sksoft.kernels.blocks import scratch
from sksoft.kernels.rowwise import quietly

# Scores of a tile fill three quarters of a second cache of 1 MB; products of so large tiles are a fifth faster than
# those of tiles of 128 × 256.
QUERIES = 512
KEY_BYTES = 1536
# Where some queries of a tile see its keys and others do not, tiles are as narrow as a product allows.
NARROW = 128
# Absolute error of a Gaussian score that float32 may make; beyond, all is computed in float64.
SCORE_ERROR = 1e-4
# That of float64; beyond, scores are sums of squared differences, twice the time.
DIFFERENCE_ERROR = 1e-9

# How the scores of a tile are made.
PRODUCT, DISTANCE, SQUARE = 0, 1, 2

NONE = np.empty(0, np.int64)


class Tiled:
    """The arguments of a call as the tiles want them: finite, centred, with what is added to scores in a column."""

    def __init__(self, queries, keys, values, score, scale, sight):
        self.score, self.scale, self.mask = score, float(scale), sight.mask
        bias, limits, key_groups = sight.bias, sight.limits, sight.key_groups
        if self.mask is not None and (self.mask.strides[0] == 0 or len(self.mask) == 1):
            row = self.mask[0] if len(self.mask) else np.ones(len(keys), dtype=bool)
            row = np.where(row, 0.0, -np.inf) if row.dtype == bool else row
            bias, self.mask = row if bias is None else row + bias, None
        self.kept, self.n_keys = None, len(keys)
        if bias is not None and self.mask is None and (bias == -np.inf).any():
            self.kept = np.flatnonzero(bias != -np.inf)
            keys, values, bias = keys[self.kept], values[self.kept], bias[self.kept]
            limits = None if limits is None else np.searchsorted(self.kept, limits)
            key_groups = None if key_groups is None else key_groups[self.kept]
        queries, keys, self.values = (_finite(np.ascontiguousarray(array)) for array in (queries, keys, values))
        self.limits = NONE if limits is None else np.ascontiguousarray(limits, dtype=np.int64)
        self.query_groups = NONE if key_groups is None else np.ascontiguousarray(sight.query_groups, dtype=np.int64)
        self.key_groups = NONE if key_groups is None else np.ascontiguousarray(key_groups, dtype=np.int64)
        self._place(queries, keys, None if bias is None else np.asarray(bias, dtype=np.float64))

    @quietly
    def _place(self, queries, keys, bias):
        """Choose the precision and the way to the scores, centre, and add the columns."""
        self.dtype, self.mode = queries.dtype, DISTANCE if self.score == "laplace" else PRODUCT
        if self.score != "dot" and len(keys):
            centre = keys.mean(axis=0, dtype=np.float64)
            error = self._error(queries - centre, keys - centre)
            if self.score == "gaussian" and error * np.finfo(self.dtype).eps > SCORE_ERROR:
                self.dtype = np.dtype(np.float64)
            if error * np.finfo(np.float64).eps <= DIFFERENCE_ERROR:
                queries, keys = queries - centre, keys - centre
            else:
                self.dtype, self.mode = np.dtype(np.float64), DISTANCE if self.score == "laplace" else SQUARE
        self.shift = None
        if self.score == "gaussian" and self.mode == PRODUCT:
            part = -0.5 * self.scale * np.einsum("ij,ij->i", keys, keys)
            bias = part if bias is None else bias + part
            self.shift = -0.5 * self.scale * np.einsum("ij,ij->i", queries, queries)
        self.values = self.values.astype(self.dtype, copy=False)
        self.raw_queries, self.raw_keys = queries.astype(self.dtype, copy=False), keys.astype(self.dtype, copy=False)
        self.factor = self.dtype.type(self.scale * LOG2E)
        bias = None if bias is None else (bias * LOG2E).astype(self.dtype)
        self.bias, self.columns = np.empty(0, self.dtype), np.empty((0, 0), self.dtype)
        self.queries, self.keys = self.raw_queries, self.raw_keys
        if self.mode != PRODUCT:
            self.columns = np.ascontiguousarray(self.keys.T)
            self.bias = np.zeros(len(keys), self.dtype) if bias is None else bias
        else:
            self.queries = self.queries * self.factor
            if bias is not None:
                self.queries = np.column_stack([self.queries, np.ones(len(queries), self.dtype)])
                self.keys = np.column_stack([self.keys, bias])

    def _error(self, queries, keys):
        """Bound of the error of a score, in units of the rounding error of a number."""
        far, away = (np.sqrt(np.einsum("ij,ij->i", array, array).max(initial=0.0)) for array in (queries, keys))
        return abs(self.scale) * (away * (far + 0.5 * away) if self.score == "gaussian" else away + far)

    def block(self, rows):
        """First arguments of the block functions."""
        mask, added = np.empty((0, 0), np.bool_), np.empty((0, 0), self.dtype)
        if self.mask is not None and self.mask.dtype == bool:
            mask = np.ascontiguousarray(self.mask[rows])
        elif self.mask is not None:
            added = np.ascontiguousarray(self.mask[rows], dtype=self.dtype)
        arrays = (self.queries[rows], self.keys, self.columns, self.values, self.bias, self.limits[rows],
                  self.query_groups[rows], self.key_groups, mask, added)  # fmt: skip
        return self.mode, self.factor, *map(read_only, arrays)

    def buffers(self, n_rows):
        """Scores of a tile and what it adds to the results."""
        n_keys = KEY_BYTES // self.dtype.itemsize
        scores = scratch("attention scores", (1, n_rows * n_keys), self.dtype)[0]
        return scores, scratch("attention part", (n_rows, self.values.shape[1]), self.dtype)

    def gradient_block(self, rows):
        """Further arguments of :func:`gradient_block`."""
        return self.score != "dot", self.scale, read_only(self.raw_queries[rows]), read_only(self.raw_keys)

    def gradient_buffers(self, n_rows):
        """Scores and their gradients of a tile, and what it adds to the gradients in keys and in queries."""
        n_keys = KEY_BYTES // self.dtype.itemsize
        pairs = scratch("attention pairs", (2, n_rows * n_keys), self.dtype)
        width = max(self.raw_keys.shape[1], self.values.shape[1])
        return pairs[0], pairs[1], scratch("attention part", (1, max(n_rows, n_keys) * width), self.dtype)[0]

    def offset(self, rows):
        """What the scores of a tile lack, for each query."""
        return 0.0 if self.shift is None else self.shift[rows]

    def of_all_keys(self, sums):
        """Sums over the keys that are there, with zeros for the others."""
        if self.kept is None:
            return sums
        found = np.zeros((self.n_keys, sums.shape[1]))
        found[self.kept] = sums
        return found


def _finite(array):
    finite = np.isfinite(array)
    return array if finite.all() else np.where(finite, array, array.dtype.type(0.0))
