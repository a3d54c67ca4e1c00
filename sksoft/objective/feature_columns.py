"""A design column by column, intercept included: what coordinate descent reads.

Coordinates of a fit with R rows of coefficients are numbered as in the flat w of linear scores: row k's column j is
k · c + j, and where there is an intercept the last of the c columns is of ones. A selection of them, sorted, goes to
the kernels of ``kernels/coordinates.py`` as :class:`Members`.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sksoft.kernels import coordinates
from sksoft.kernels.blocks import map_blocks, row_blocks
from sksoft.objective.design import Dense, Sparse

# A product with all columns runs at several times the rate of one with single columns.
PRODUCT_RATE = 8
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Members:
    """Some coordinates, row by row.

    Attributes
    ----------
    indices : ndarray (m,), intp, sorted
        Positions in the flat w.
    columns : ndarray (m,), intp
        Column of each.
    starts : ndarray (R + 1,), intp
        Those of row k are ``starts[k]:starts[k + 1]``.
    """

    indices: np.ndarray
    columns: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray, n_rows: int) -> "Members":
        """Those of a mask over the flat w."""
        indices, n_columns = np.flatnonzero(mask), len(mask) // n_rows
        starts = np.searchsorted(indices, n_columns * np.arange(n_rows + 1))
        return cls(indices, indices % n_columns, starts.astype(np.intp))

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def n_rows(self) -> int:
        """R."""
        return len(self.starts) - 1

    @property
    def rows(self) -> np.ndarray:
        """Row of each, (m,)."""
        return np.repeat(np.arange(self.n_rows), np.diff(self.starts))

    def of_row(self, k: int) -> "Members":
        """Those of one row."""
        own = slice(self.starts[k], self.starts[k + 1])
        starts = np.clip(self.starts, own.start, own.stop) - own.start
        return Members(self.indices[own], self.columns[own], starts)

    def where(self, mask) -> "Members":
        """Those of a mask (m,)."""
        counts = np.concatenate([[0], np.cumsum(mask)])
        return Members(self.indices[mask], self.columns[mask], counts[self.starts].astype(np.intp))


class SparseColumns:
    """Columns of sparse rows, in float64.

    Parameters
    ----------
    design : Sparse
    ones : bool
        Whether a column of ones follows.
    """

    def __init__(self, design: Sparse, *, ones: bool):
        n, p = design.shape
        stored = sparse.csc_array(design.X, dtype=np.float64)
        stored.sum_duplicates()
        indptr, indices, values = stored.indptr, stored.indices, stored.data
        if ones:
            indptr = np.append(indptr, indptr[-1] + n)
            indices = np.concatenate([indices, np.arange(n, dtype=indices.dtype)])
            values = np.concatenate([values, np.ones(n)])
        self.shape = n, p + ones
        self.parts = indptr.astype(np.int64), indices, values
        self.matrix = sparse.csc_array((values, indices, indptr), shape=self.shape)

    def combine(self, coefficients, members: Members, out) -> np.ndarray:
        """Scores (R, n) of coefficients (m,), into `out`."""
        return coordinates.combine_columns(
            coefficients, columns=self.parts, members=members.columns, starts=members.starts, out=out
        )

    def project(self, vectors, members: Members) -> np.ndarray:
        """Slopes (m,) of the coordinates against vectors (R, n)."""
        return coordinates.project_on_columns(
            vectors, columns=self.parts, members=members.columns, starts=members.starts
        )

    def squares(self, bends, members: Members) -> np.ndarray:
        """Σᵢ bend_k x² (m,) of the coordinates, bends (R, n)."""
        return coordinates.project_on_columns(
            bends, columns=self.parts, members=members.columns, starts=members.starts, squared=True
        )

    def entries(self, members: Members) -> np.ndarray:
        """Stored entries of each coordinate's column, (m,)."""
        return np.diff(self.parts[0])[members.columns]

    def gram(self, roots, members: Members) -> np.ndarray:
        """Σᵢ root_ik(s) x_is root_ik(t) x_it for all pairs of the coordinates, (m, m), roots (R, n)."""
        chosen = self.matrix[:, members.columns]
        chosen.data *= roots[np.repeat(members.rows, np.diff(chosen.indptr)), chosen.indices]
        return (chosen.T @ chosen).toarray()


class DenseColumns:
    """Columns of a dense design, in float64: a copy of it, column by column.

    Parameters
    ----------
    design : Dense
        Its column of ones is already there.
    """

    def __init__(self, design: Dense):
        self.shape = design.shape
        self.values = np.empty(design.shape[::-1])

        def turn(rows):
            self.values[:, rows] = design.rows(rows).T

        map_blocks(turn, row_blocks(design.shape[0], 8 * design.shape[1]))
        self.parts = (self.values,)
        self._blocks = row_blocks(self.shape[0], 8 * self.shape[1], BLOCK_BYTES)

    def combine(self, coefficients, members: Members, out) -> np.ndarray:
        """Scores (R, n) of coefficients (m,), into `out`."""
        if not self._many(members):
            return coordinates.combine_columns(
                coefficients, columns=self.parts, members=members.columns, starts=members.starts, out=out
            )
        matrix = np.zeros((members.n_rows, self.shape[1]))
        matrix[self._places(members)] = coefficients

        def work(rows):
            np.matmul(matrix, self.values[:, rows], out=out[:, rows])

        map_blocks(work, self._blocks)
        return out

    def project(self, vectors, members: Members) -> np.ndarray:
        """Slopes (m,) of the coordinates against vectors (R, n)."""
        return self._sums(vectors, members, lambda rows: self.values[:, rows])

    def squares(self, bends, members: Members) -> np.ndarray:
        """Σᵢ bend_k x² (m,) of the coordinates, bends (R, n)."""
        return self._sums(bends, members, lambda rows: np.square(self.values[:, rows]), squared=True)

    def entries(self, members: Members) -> np.ndarray:
        """Entries of each coordinate's column, (m,)."""
        return np.full(len(members), self.shape[0])

    def gram(self, roots, members: Members) -> np.ndarray:
        """Σᵢ root_ik(s) x_is root_ik(t) x_it for all pairs of the coordinates, (m, m), roots (R, n)."""
        chosen = self.values[members.columns]
        for k in range(members.n_rows):
            chosen[members.starts[k] : members.starts[k + 1]] *= roots[k]
        return chosen @ chosen.T

    def _sums(self, vectors, members: Members, values, *, squared: bool = False) -> np.ndarray:
        if not self._many(members):
            return coordinates.project_on_columns(
                vectors, columns=self.parts, members=members.columns, starts=members.starts, squared=squared
            )
        total = sum(map_blocks(lambda rows: vectors[:, rows] @ values(rows).T, self._blocks))
        return total[self._places(members)]

    def _places(self, members: Members):
        return members.rows, members.columns

    def _many(self, members: Members) -> bool:
        """Whether a product with all columns of all classes is quicker than one with these."""
        return PRODUCT_RATE * len(members) >= members.n_rows * self.shape[1]
