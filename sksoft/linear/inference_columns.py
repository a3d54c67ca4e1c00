r"""The columns of a model with an intercept, made orthonormal without a copy of X, and which of them depend on others.

    B = [1, X − centre] = Q R,        Q'Q = I,   R upper triangular (c, c)

R comes from blocks of rows, each folded into the triangle of those before it ([1]_, section 4), so that the condition
of B enters once and not squared as in a Gram matrix: columns from 1e-6 to 1e6, and nearly collinear ones, cost no
digits. Column j of R says all about column j of B: what its predecessors leave of it has the norm |R_jj|. Where that is
nothing but rounding, the column is a combination of its predecessors, found by one triangular solve.

References
----------
.. [1] Demmel, Grigori, Hoemmen, Langou, "Communication-optimal parallel and sequential QR and LU factorizations",
   SIAM J. Sci. Comput. 34(1), 2012.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import solve_triangular

from sksoft.kernels.blocks import map_blocks, row_blocks

# A column whose share that no other column explains is below this is a combination of them, by the precision of X.
COLLINEAR = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 1e-5}
# Roundings of an entry, as multiples of the spacing of numbers of its size.
ROUNDINGS = 16.0
# A coefficient of a combination counts where its column makes up this share of the whole.
RELEVANT = 1e-6
# Partial sums that are alive at once, and the bytes they may take together.
MOST_SUMS, SUMS_BYTES = 16, 1 << 28


def fold(blocks: list, step: Callable, merge: Callable, result_bytes: int):
    """``step(state, block)`` over all blocks from ``None``, in runs whose states are merged in order.

    The runs depend on the number of blocks and the size of a state only, so the result has the same bits for any
    number of threads, and no more states are alive than memory holds.
    """
    n_runs = max(1, min(len(blocks), MOST_SUMS, SUMS_BYTES // max(result_bytes, 1)))
    edges = [len(blocks) * i // n_runs for i in range(n_runs + 1)]

    def run(i):
        return reduce(step, blocks[edges[i] : edges[i + 1]], None)

    return reduce(merge, map_blocks(run, list(range(n_runs))))


@dataclass(frozen=True)
class Columns:
    """Rows of [1, X − centre] · matrix, dense, block by block.

    Attributes
    ----------
    X : ndarray or CSR array (n, p), float64 or float32
    centre : ndarray (p,)
    intercept : bool
        Whether the column of ones is there; where it is not, the centre is 0.
    matrix : ndarray (c, m) or None
        None for the identity.
    """

    X: Any
    centre: np.ndarray
    intercept: bool
    matrix: np.ndarray | None = None

    @classmethod
    def centred(cls, X, weights: np.ndarray, intercept: bool) -> "Columns":
        """Columns of weighted mean 0 beside the intercept, as they are without one."""
        if not intercept:
            return cls(X, np.zeros(X.shape[1]), False)
        blocks = row_blocks(X.shape[0], 8 * max(X.shape[1], 1))
        shares = weights / weights.sum()
        return cls(X, sum(map_blocks(lambda rows: X[rows].T @ shares[rows], blocks)), True)

    @property
    def raw(self) -> "Columns":
        """The columns before the matrix."""
        return replace(self, matrix=None)

    @property
    def n_rows(self) -> int:
        return self.X.shape[0]

    @property
    def n_raw(self) -> int:
        """c, columns before the matrix."""
        return self.X.shape[1] + self.intercept

    @property
    def n_columns(self) -> int:
        return self.n_raw if self.matrix is None else self.matrix.shape[1]

    def times(self, matrix: np.ndarray) -> "Columns":
        """These columns multiplied by a matrix (c, m) from the right."""
        return replace(self, matrix=matrix)

    def rows(self, rows) -> np.ndarray:
        """Some rows, (n', m), float64: a slice or an array of their numbers. O(n' c m)."""
        X = self.X[rows]
        out = np.empty((X.shape[0], self.n_raw))
        if self.intercept:
            out[:, 0] = 1.0
        own = out[:, int(self.intercept) :]
        np.subtract(X.toarray() if sparse.issparse(X) else X, self.centre, out=own)
        return out if self.matrix is None else out @ self.matrix

    def blocks(self, row_bytes: int, least: int = 1) -> list[slice]:
        """A grid of rows that need `row_bytes` beside their columns, of at least `least` rows where there are."""
        wanted = row_blocks(self.n_rows, row_bytes + 16 * self.n_raw)
        longest = max(rows.stop - rows.start for rows in wanted)
        return wanted if longest >= least else row_blocks(self.n_rows, 1, least)

    def triangle(self) -> np.ndarray:
        """R of the module's formula, (min(n, c), c), before any matrix. O(n c²)."""
        raw = self.raw

        def step(above, rows):
            block = raw.rows(rows)
            return np.linalg.qr(block if above is None else np.vstack([above, block]), mode="r")

        def merge(above, below):
            return np.linalg.qr(np.vstack([above, below]), mode="r")

        return fold(self.blocks(0, least=self.n_raw), step, merge, 8 * self.n_raw**2)

    def from_raw(self, theta: np.ndarray) -> np.ndarray:
        """Coefficients (…, c) of [1, X] as those of [1, X − centre]: the intercept takes up the centre."""
        if not self.intercept:
            return theta
        shifted = theta.copy()
        shifted[..., 0] += theta[..., 1:] @ self.centre
        return shifted

    @property
    def to_raw(self) -> np.ndarray:
        """The matrix (c, m) that turns coefficients θ of these columns, (m,), into those of [1, X]."""
        back = np.eye(self.n_raw)
        if self.intercept:
            back[0, 1:] = -self.centre
        return back if self.matrix is None else back @ self.matrix


def orthonormal(columns: Columns, triangle: np.ndarray, kept: np.ndarray) -> tuple[Columns, np.ndarray]:
    """Some independent columns as √n times orthonormal ones, and the triangle that leads there. O(c³).

    Parameters
    ----------
    columns : Columns
    triangle : ndarray, their ``triangle()``
    kept : ndarray of int, ascending

    Returns
    -------
    whitened : Columns, of m = len(kept) columns
    back : ndarray (m, m), upper triangular
        Coefficients θ of the kept columns are back · θ of the whitened ones.
    """
    back = np.linalg.qr(triangle[:, kept], mode="r") / np.sqrt(columns.n_rows)
    matrix = np.zeros((columns.n_raw, len(kept)))
    matrix[kept] = solve_triangular(back, np.eye(len(kept)))
    return columns.times(matrix), back


@dataclass(frozen=True)
class Dependencies:
    """Which columns of B are combinations of columns before them.

    Attributes
    ----------
    independent, dependent : ndarray of int, ascending
        All columns; with an intercept, column 0 is it.
    combination : ndarray (independent, dependent)
        Column j of it: the coefficients, on the independent columns of [1, X], of the j-th dependent one.
    relevant : ndarray (independent, dependent), bool
        Which of these coefficients are not just rounding.
    """

    independent: np.ndarray
    dependent: np.ndarray
    combination: np.ndarray
    relevant: np.ndarray


def dependencies(columns: Columns, triangle: np.ndarray) -> Dependencies:
    """Go through the columns in their order and leave out each that those kept before explain. O(c³).

    Parameters
    ----------
    columns : Columns
    triangle : ndarray, their ``triangle()``
    """
    echelon, c = triangle.copy(), triangle.shape[1]
    norms = np.linalg.norm(triangle, axis=0)
    limits = _limits(columns, norms)
    kept: list[int] = []
    for j in range(c):
        below = echelon[len(kept) :, j]
        if len(below) and np.linalg.norm(below) > limits[j]:
            _reflect(echelon[len(kept) :, j:])
            kept.append(j)
    independent = np.array(kept, dtype=np.intp)
    dependent = np.setdiff1d(np.arange(c), independent)
    rank = len(kept)
    solved = solve_triangular(echelon[:rank, independent], echelon[:rank, dependent])
    return Dependencies(independent, dependent, *_in_raw(columns, norms, independent, dependent, solved))


def _limits(columns: Columns, norms: np.ndarray) -> np.ndarray:
    """Norms below which what is left of a column is rounding: of its own entries, before they were centred."""
    dtype = np.dtype(columns.X.dtype)
    return np.maximum(COLLINEAR[dtype] * norms, ROUNDINGS * np.finfo(dtype).eps * (_far(columns) + norms))


def _far(columns: Columns) -> np.ndarray:
    """Norm of what centring took from each column, (c,)."""
    return np.sqrt(columns.n_rows) * np.concatenate([np.zeros(int(columns.intercept)), np.abs(columns.centre)])


def _reflect(rest: np.ndarray) -> None:
    """Householder reflection, in place, that leaves of the first column its first entry only."""
    v = rest[:, 0].copy()
    v[0] += np.copysign(np.linalg.norm(v), v[0])
    v /= np.linalg.norm(v)
    rest -= np.outer(2.0 * v, v @ rest)


def _in_raw(columns: Columns, norms, independent, dependent, solved) -> tuple[np.ndarray, np.ndarray]:
    """Combinations of columns of [1, X − centre] as those of [1, X], and which of their parts are not just rounding."""
    sizes = _far(columns) + norms
    tiny = np.finfo(float).tiny
    relevant = np.abs(solved) * norms[independent, None] > RELEVANT * np.maximum(sizes[dependent], tiny)
    if columns.intercept and len(dependent):
        centre = np.concatenate([[0.0], columns.centre])
        parts = np.abs(centre[dependent]) + np.abs(centre[independent]) @ np.abs(solved)
        solved[0] += centre[dependent] - centre[independent] @ solved
        spread = norms[dependent] / np.sqrt(columns.n_rows)
        relevant[0] = np.abs(solved[0]) > RELEVANT * np.maximum(parts + spread, tiny)
    return solved, relevant
