"""Designs: the matrix X̃ that linear scores multiply, handed out in blocks of rows in the precision asked for.

Dense columns are standardised and end in a column of ones where there is an intercept::

    X̃ = [(X − centre) / scale, 1]

which changes no optimum (a ridge of strength λ on W is one of λ / scale² on W · scale) and puts every column into the
range of float32 and the intercept out of the way of the rest. Sparse rows stay as they are.

A float64 block is a view of X, and centre and scale act on what it is multiplied with, where no centre is so far from
zero that its products would drown the rest; else it is computed each time it is asked for, in a buffer of its thread. A
float32 block is a view of a copy of the whole. Narrow rows have more: one column by column, for a product with Wᵀ is
fastest in that and a product with the rows of a gradient in the other; and one tile by tile, for kernels that do both
at once. Where `memory` has no room for copies, every block is computed, and is small.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from scipy import sparse

from sksoft.kernels import placement
from sksoft.kernels.blocks import BLOCK_BYTES, map_blocks, row_blocks, scratch
from sksoft.kernels.columns import csr_times_dense
from sksoft.kernels.sweeps import tiles_of

# Blocks of a sweep that reads X once: they fit the second cache.
SWEEP_BYTES = 1 << 19
# Blocks of dense rows, of whose two matrices of scores each is at most this share of X; blocks of sparse rows: each
# adds up a gradient as large as w, so they are few, and threads work within.
DENSE_BYTES, SCORES_SHARE = 2 * BLOCK_BYTES, 0.25
SPARSE_BYTES = 16 * BLOCK_BYTES
# Of many classes a block has at least so many rows all the same, and of few it has at least so many bytes.
LEAST_ROWS, LEAST_BYTES = 1024, 1 << 20
# Where memory has no room for copies, a block is this share of it, and at least as large as that.
SCARCE_SHARE, SCARCE_DENSE_BYTES, SCARCE_SPARSE_BYTES = 0.25, 1 << 17, 1 << 21
# Centres up to so many scales from zero cost a product with X as it stands 5 of its 53 bits.
NEAR = 32.0
# Columns up to which a second copy column by column, and a third in tiles, make products faster.
NARROW = 256
# From this share of entries sparse rows are multiplied faster as dense ones.
DENSE_SHARE = 0.2


@dataclass(frozen=True)
class Twin:
    """A block of rows that stands in memory in both orders.

    Attributes
    ----------
    rows : ndarray (n, c), C order
    columns : ndarray (c, n), its transpose, each column's run contiguous
    """

    rows: np.ndarray
    columns: np.ndarray

    @property
    def dtype(self):
        return self.rows.dtype


@dataclass(frozen=True)
class Shifted:
    """A block of rows [(X − centre) factor, 1] that are nowhere in memory.

    With A = W · factor, X̃ Wᵀ = X Aᵀ + (b − A centre), and gᵀ X̃ = [(gᵀX − Σ g centreᵀ) factor, Σ g].

    Attributes
    ----------
    X : ndarray (n, p), float64
    centre, factor : ndarray (p,)
    ones : bool
        Whether the column of ones is there.
    """

    X: np.ndarray
    centre: np.ndarray
    factor: np.ndarray
    ones: bool

    @property
    def dtype(self):
        return self.X.dtype

    def times(self, matrix: np.ndarray, out: np.ndarray) -> np.ndarray:
        """X̃ · matrixᵀ into `out`."""
        scaled = matrix[:, : self.X.shape[1]] * self.factor
        np.matmul(self.X, scaled.T, out=out)
        shift = -(scaled @ self.centre)
        out += shift + matrix[:, -1] if self.ones else shift
        return out

    def transposed_times(self, g: np.ndarray) -> np.ndarray:
        """gᵀ · X̃."""
        total = g.sum(axis=0)
        product = _turned(g) @ self.X
        product -= np.outer(total, self.centre)
        product *= self.factor
        return np.column_stack([product, total]) if self.ones else product


@dataclass(frozen=True)
class SparseTwin:
    """A block of sparse rows, and its transpose.

    Attributes
    ----------
    rows : CSR array (n, p)
    columns : CSR array (p, n), or CSC array over the numbers of `rows`
    """

    rows: sparse.csr_array
    columns: sparse.csr_array | sparse.csc_array

    @property
    def dtype(self):
        return self.rows.dtype


def _turned(g):
    """gᵀ, of a sparse g in the order of a dense factor: SciPy would turn that instead, and it is larger."""
    return g.T.tocsr() if sparse.issparse(g) else g.T


def is_sparse(X) -> bool:
    """Whether a design, a block of one or an array is sparse, and so without a column of ones."""
    return isinstance(X, Sparse | SparseTwin) or sparse.issparse(X)


def times(X, matrix: np.ndarray, out: np.ndarray) -> np.ndarray:
    """X · matrixᵀ into `out` (n, K), for a block X of any design, or an array, and `matrix` (K, c) of its dtype."""
    if isinstance(X, Shifted):
        return X.times(matrix, out)
    if isinstance(X, Twin):
        np.matmul(matrix, X.columns, out=out.T)
    elif is_sparse(X):
        rows = X.rows if isinstance(X, SparseTwin) else X
        csr_times_dense(rows.data, rows.indices, rows.indptr, matrix.T, out=out)
    elif placement.on_device(X):
        out[...] = X @ matrix.T
    else:
        np.matmul(X, matrix.T, out=out)
    return out


def transposed_times(X, g: np.ndarray) -> np.ndarray:
    """gᵀ · X, (K, c), for a block X of any design and `g` (n, K) of its dtype, which may be sparse if X is not."""
    if isinstance(X, Shifted):
        return X.transposed_times(g)
    if is_sparse(X):
        columns = X.columns if isinstance(X, SparseTwin) else X.T
        if columns.format == "csc":
            return (columns @ g).T
        out = np.empty((columns.shape[0], g.shape[1]), g.dtype)
        return csr_times_dense(columns.data, columns.indices, columns.indptr, g, out=out).T
    return _turned(g) @ (X.rows if isinstance(X, Twin) else X)


def column_scales(centre, rest, squares, dtype, *, intercept: bool) -> tuple[np.ndarray, np.ndarray]:
    """What columns of `dtype` are divided by, (p,), and what they are multiplied with, 0 for a constant column.

    `rest` and `squares` are weighted means of x − centre and of its square. The mean is rounded, the more so the more
    rows: what is left of it tells a constant column. It becomes exactly 0, or without a penalty what rounding left of
    it would be fitted.
    """
    rounding = 4.0 * np.finfo(dtype).eps * np.abs(centre)
    constant = np.sqrt(np.maximum(squares - rest**2, 0.0)) <= rounding if intercept else squares == 0.0
    scale = np.where(constant, 1.0, np.sqrt(squares))
    return scale, np.where(constant, 0.0, 1.0 / scale)


class Dense:
    """[(X − centre) / scale, 1].

    Parameters
    ----------
    X : ndarray (n, p), float32 or float64
    centre, scale : ndarray (p,), float64, optional
        0 and 1 by default. A scale is positive.
    ones : bool, default=False
        Whether a column of ones follows.
    by_rows : bool, default=False
        Whether scores are no products with columns, so that no copy of these is of use.
    memory : float, default=inf
        Bytes for copies and buffers.
    """

    def __init__(
        self, X, centre=None, scale=None, *, ones: bool = False, by_rows: bool = False, memory: float = np.inf
    ):
        self.X, self.centre, self.scale, self.ones, self.memory = X, centre, scale, ones, memory
        self.by_rows = by_rows
        self._tiled: dict[tuple[int, int], np.ndarray] = {}
        self._factor = np.ones(1) if scale is None else 1.0 / scale

    @classmethod
    def standardised(cls, X, weights: np.ndarray, *, intercept: bool, memory: float = np.inf) -> "Dense":
        """Columns of weighted mean 0, where there is an intercept, and mean square 1; a constant column is left at 0.

        Parameters
        ----------
        X : ndarray (n, p)
        weights : ndarray (n,), non-negative
        intercept : bool
        memory : float, default=inf
        """
        weights = weights / weights.sum()
        blocks = row_blocks(len(X), 8 * X.shape[1], SWEEP_BYTES)
        centre = np.zeros(X.shape[1])
        if intercept:
            centre = sum(map_blocks(lambda rows: weights[rows] @ X[rows], blocks))

        def moments(rows):
            centred = np.subtract(X[rows], centre, out=scratch("design", X[rows].shape))
            return np.stack([weights[rows] @ centred, weights[rows] @ np.square(centred, out=centred)])

        rest, squares = sum(map_blocks(moments, blocks))
        scale, factor = column_scales(centre, rest, squares, X.dtype, intercept=intercept)
        design = cls(X, centre, scale, ones=intercept, memory=memory)
        design._factor = factor
        return design

    @property
    def shape(self) -> tuple[int, int]:
        return self.X.shape[0], self.X.shape[1] + self.ones

    one_by_one = False
    double_losses = False

    @property
    def cheap_single(self) -> bool:
        """Whether a float32 block costs less than one in float64."""
        return self.keep or self.X.dtype == np.float32

    @property
    def size(self) -> int:
        """Entries of X."""
        return self.X.size

    @cached_property
    def keep(self) -> bool:
        """Whether there is memory for float32 copies."""
        return (12 if self.narrow else 4) * self.shape[0] * self.shape[1] <= self.memory

    def grid(self, n_classes: int) -> list[slice]:
        """The rows of each block of a sweep, with two float64 matrices of scores beside them."""
        # where blocks are views and nothing else is to fit the cache, rows take nothing
        own_bytes = 0 if self._near and not self.cheap_single else 8 * self.shape[1]
        row_bytes = own_bytes + 16 * n_classes
        if self.keep:
            by_share = int(SCORES_SHARE * self.X.nbytes / (8 * n_classes))
            n_rows = max(LEAST_ROWS, by_share, LEAST_BYTES // row_bytes)
            return row_blocks(self.shape[0], row_bytes, min(DENSE_BYTES, n_rows * row_bytes))
        scarce = int(np.clip(SCARCE_SHARE * self.memory, SCARCE_DENSE_BYTES, DENSE_BYTES))
        return row_blocks(self.shape[0], row_bytes, scarce)

    @property
    def narrow(self) -> bool:
        """Whether rows are so short that the order in which they stand decides the time of a product."""
        return self.shape[1] <= NARROW and not self.by_rows

    @property
    def score_order(self) -> Literal["C", "F"]:
        """Class by class, as a product with columns delivers scores, where there are columns."""
        return "F" if self.narrow else "C"

    def block(self, rows: slice, dtype=np.float64) -> np.ndarray | Twin | Shifted:
        """Rows of X̃, valid until this thread asks for others; not to be written to."""
        if dtype == self.X.dtype == np.float64 and self._near:
            return Shifted(self.X[rows], self.centre, self._factor, self.ones)
        if dtype == np.float32 and self.keep and self.narrow:
            return Twin(self._single[rows], self._single_columns[:, rows])
        return self.rows(rows, dtype)

    def rows(self, rows: slice, dtype=np.float64) -> np.ndarray:
        """The same row by row, (n, c)."""
        if dtype == np.float32 and self.keep:
            return self._single[rows]
        if self.centre is None and not self.ones and self.X.dtype == dtype:
            return self.X[rows]
        return self._fill(self.X[rows], scratch("design", (rows.stop - rows.start, self.shape[1]), dtype))

    def square_sums(self, rows: slice, weights: np.ndarray, dtype) -> np.ndarray:
        """Σ weightᵢ x̃ᵢ² by column, over some rows; weights (n,), or (n, K) for as many rows of sums."""
        parts = row_blocks(rows.stop - rows.start, 8 * self.shape[1], SWEEP_BYTES)
        return sum(weights[part].T @ np.square(self.rows(_shifted(part, rows.start), dtype)) for part in parts)

    def tiled(self, rows: slice) -> np.ndarray | None:
        """Float32 rows tile by tile (``kernels/sweeps.py``); None where rows are wide or no copies allowed."""
        if not self.keep or not self.narrow:
            return None
        key = rows.start, rows.stop
        if key not in self._tiled:
            self._tiled[key] = tiles_of(self._single[rows])
        return self._tiled[key]

    def chosen(self, mask: np.ndarray, dtype=np.float32) -> "Dense":
        """The design of some rows, copied."""
        if dtype == np.float32 and self.keep:
            return Dense(self._single[mask], by_rows=self.by_rows)
        chosen = np.flatnonzero(mask)
        out = np.empty((len(chosen), self.shape[1]), dtype)
        for part in row_blocks(len(chosen), 8 * self.shape[1]):
            self._fill(self.X[chosen[part]], out[part])
        return Dense(out, by_rows=self.by_rows)

    def _fill(self, X, out: np.ndarray) -> np.ndarray:
        p = self.X.shape[1]
        if self.centre is None:
            out[:, :p] = X
        elif out.dtype == np.float64:
            np.subtract(X, self.centre, out=out[:, :p])
            out[:, :p] *= self._factor
        else:
            # the difference in float64, else a far centre would swallow it
            wide = np.subtract(X, self.centre, dtype=np.float64)
            np.multiply(wide, self._factor, out=out[:, :p], casting="same_kind")
        if self.ones:
            out[:, p] = 1.0
        return out

    @cached_property
    def _single(self) -> np.ndarray:
        if self.centre is None and not self.ones and self.X.dtype == np.float32:
            return self.X
        out = np.empty(self.shape, np.float32)
        blocks = row_blocks(self.shape[0], 8 * self.shape[1], SWEEP_BYTES)
        map_blocks(lambda rows: self._fill(self.X[rows], out[rows]), blocks)
        return out

    @cached_property
    def _near(self) -> bool:
        """Whether columns are centred, and none has its centre so far from zero that products would drown in it."""
        return self.centre is not None and bool(np.all(np.abs(self.centre) * self._factor <= NEAR))

    @cached_property
    def _single_columns(self) -> np.ndarray:
        return np.ascontiguousarray(self._single.T)


class Sparse:
    """Rows of a CSR array, with no columns added: sparse scores add their intercept.

    Parameters
    ----------
    X : CSR array (n, p), float64 or float32
    memory : float, default=inf
        Bytes for copies and buffers.
    """

    score_order: Literal["C", "F"] = "C"
    narrow = False
    cheap_single = True
    # Losses are little work beside sparse products: in float64 whatever these are in, they are compiled only once.
    double_losses = True

    @property
    def one_by_one(self) -> bool:
        """Whether blocks are too much to have two of them at work; threads then share one."""
        return not self.keep

    def __init__(self, X, *, memory: float = np.inf):
        self.X, self.memory = X, memory
        # a float32 copy of the values, and their transpose
        self.keep = 12 * X.nnz <= memory
        self._blocks: dict[tuple[int, int, np.dtype], SparseTwin] = {}
        self.centre, self.scale = np.zeros(X.shape[1]), np.ones(X.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        return self.X.shape

    @property
    def size(self) -> int:
        """Stored entries of X."""
        return self.X.nnz

    def grid(self, n_classes: int) -> list[slice]:
        """The rows of each block of a sweep, with two float64 matrices of scores beside them."""
        scarce = int(np.clip(SCARCE_SHARE * self.memory, SCARCE_SPARSE_BYTES, SPARSE_BYTES))
        own_bytes = 0 if self.keep else 4 * self.X.nnz // max(self.shape[0], 1)  # a kept block is a view
        return row_blocks(self.shape[0], own_bytes + 16 * n_classes, SPARSE_BYTES if self.keep else scarce)

    def block(self, rows: slice, dtype=np.float64) -> SparseTwin:
        """Rows of X and their transpose, which float32 has in an order of its own: threads can share its columns."""
        key = rows.start, rows.stop, np.dtype(dtype)
        if key not in self._blocks:
            block = self.rows(rows, dtype)
            transpose = _view(sparse.csc_array, (block.data, block.indices, block.indptr), block.shape[::-1])
            if dtype == np.float32 and self.keep:
                self._blocks[key] = SparseTwin(block, transpose.tocsr())
            elif dtype == self.X.dtype:
                self._blocks[key] = SparseTwin(block, transpose)
            else:
                return SparseTwin(block, transpose)
        return self._blocks[key]

    def rows(self, rows: slice, dtype=np.float64) -> sparse.csr_array:
        """Rows of X, without a copy of their indices."""
        data = self.X.data if dtype == self.X.dtype else self._single if self.keep and dtype == np.float32 else None
        indptr = self.X.indptr[rows.start : rows.stop + 1]
        stored = slice(indptr[0], indptr[-1])
        values = self.X.data[stored].astype(dtype) if data is None else data[stored]
        parts = values, self.X.indices[stored], indptr - indptr[0]
        return _view(sparse.csr_array, parts, (rows.stop - rows.start, self.shape[1]))

    def square_sums(self, rows: slice, weights: np.ndarray, dtype) -> np.ndarray:
        """Σ weightᵢ xᵢ² by column, over some rows; weights (n,)."""
        row_bytes = 8 * self.X.nnz // max(self.shape[0], 1)

        def part_sum(part):
            X = self.rows(_shifted(part, rows.start), dtype)
            return _view(sparse.csc_array, (np.square(X.data), X.indices, X.indptr), X.shape[::-1]) @ weights[part]

        return sum(map(part_sum, row_blocks(rows.stop - rows.start, row_bytes, SWEEP_BYTES)))

    def tiled(self, rows: slice) -> None:
        """None: sparse rows have no tiles."""

    def chosen(self, mask: np.ndarray, dtype=np.float32) -> "Sparse":
        """The design of some rows, copied."""
        return Sparse(self.X[mask].astype(dtype))

    @cached_property
    def _single(self) -> np.ndarray:
        return self.X.data.astype(np.float32)


def _shifted(part: slice, start: int) -> slice:
    """A part of rows that begin at `start`, as rows of the whole."""
    return slice(start + part.start, start + part.stop)


def _view(kind, parts: tuple[np.ndarray, np.ndarray, np.ndarray], shape: tuple[int, int]):
    """A CSR or CSC array over arrays as they are: SciPy's constructor copies what is a small part of a larger array."""
    view = kind(shape, dtype=parts[0].dtype)
    view.data, view.indices, view.indptr = parts
    return view
