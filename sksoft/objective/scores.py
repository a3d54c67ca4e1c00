"""Scores: how a parameter vector w becomes the scores zᵢ(w) of a block of rows.

Each offers, for a block X of n rows (w, v flat float64 vectors of length ``n_parameters``, g of shape (n, K))::

    prepare(w, design, dtype)   w as the next two want it, once for all blocks of a sweep
    scores(w, X, out)           z(w), w prepared, written to out (n, K) and returned
    tangent(v, X, out)          dz/dw · v, v prepared, written to out (n, K) and returned
    adjoint(g, X)               (dz/dw)ᵀ g, as a tuple of fresh arrays that add up over blocks
    flat(sums)                  such sums as a float64 vector (n_parameters,): once for all blocks

with ⟨tangent(v), g⟩ = ⟨v, flat(adjoint(g))⟩, computed in the precision of X. Both maps here are linear in w, so
``tangent`` is ``scores``. X is a block of a design (``objective/design.py``).
"""

from dataclasses import dataclass, replace

import numpy as np

from sksoft.kernels import placement
from sksoft.kernels.sweeps import diagonal_adjoint
from sksoft.objective.design import is_sparse, times, transposed_times


@dataclass(frozen=True)
class Linear:
    """z = X Wᵀ + b: one row of W, b per class; two classes share one row, with scores (0, z).

    Parameters
    ----------
    n_features : int
    n_classes : int >= 2
    fit_intercept : bool

    Notes
    -----
    w is the matrix [W, b] of shape (K, p + 1), row by row, or (1, p + 1) for two classes as in scikit-learn, where a
    ridge on the one row is not the ridge on two opposite ones. A dense X has the column of ones already; sparse rows
    have not.
    """

    n_features: int
    n_classes: int
    fit_intercept: bool = True

    @property
    def n_rows(self) -> int:
        """Rows of W: one for two classes, else K."""
        return 1 if self.n_classes == 2 else self.n_classes

    @property
    def own_classes(self) -> slice:
        """The classes whose scores have a row of W: all, or the second of two."""
        return slice(self.n_classes - self.n_rows, None)

    @property
    def n_columns(self) -> int:
        return self.n_features + self.fit_intercept

    @property
    def n_parameters(self) -> int:
        return self.n_rows * self.n_columns

    @property
    def n_free(self) -> int:
        """Parameters that matter: of several rows, what all have alike does not."""
        return self.n_columns * max(self.n_rows - 1, 1)

    @property
    def one_row(self) -> "Linear":
        """Of the same columns, with one row of W: for what all rows have alike."""
        return replace(self, n_classes=2)

    def matrix(self, vector) -> np.ndarray:
        """A vector of all parameters, or of one row that all have alike, as rows of W: a view, not to be written to."""
        return np.broadcast_to(vector.reshape(-1, self.n_columns), (self.n_rows, self.n_columns))

    def spread(self, per_feature) -> np.ndarray:
        """All parameters: `per_feature`, (p,) or (rows, p), at coefficients, and 0 at intercepts."""
        return self.pack(per_feature, 0.0)

    def pack(self, coef, intercept) -> np.ndarray:
        """The flat w of (rows, p) coefficients and (rows,) intercepts."""
        w = np.empty((self.n_rows, self.n_columns))
        w[:, : self.n_features] = coef
        if self.fit_intercept:
            w[:, self.n_features] = intercept
        return w.ravel()

    def unpack(self, w) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (rows, p) and intercepts (rows,), zero where none is fitted."""
        matrix = w.reshape(self.n_rows, self.n_columns)
        intercept = matrix[:, self.n_features].copy() if self.fit_intercept else np.zeros(self.n_rows)
        return matrix[:, : self.n_features].copy(), intercept

    def prepare(self, w, design, dtype) -> tuple[np.ndarray, np.ndarray | None]:
        """W as ``scores`` multiplies it, and b where it is added: once for all blocks of a sweep."""
        matrix = w.reshape(self.n_rows, self.n_columns)
        if not is_sparse(design):
            return placement.where(getattr(design, "X", design), matrix.astype(dtype, copy=False)), None
        by_feature = np.ascontiguousarray(matrix[:, : self.n_features].T, dtype=dtype)
        return by_feature.T, matrix[:, self.n_features].astype(dtype) if self.fit_intercept else None

    def scores(self, prepared, X, out) -> np.ndarray:
        matrix, intercept = prepared
        own = out[:, self.own_classes]
        times(X, matrix, own)
        if intercept is not None:
            own += intercept
        if self.n_rows == 1:
            out[:, 0] = 0.0
        return out

    def tangent(self, prepared, X, out) -> np.ndarray:
        return self.scores(prepared, X, out)

    def adjoint(self, g, X) -> tuple[np.ndarray, ...]:
        g = g[:, self.own_classes]
        product = transposed_times(X, g)
        return (product, g.sum(axis=0)) if is_sparse(X) and self.fit_intercept else (product,)

    def flat(self, sums) -> np.ndarray:
        if len(sums) > 1:
            return self.pack(*sums)
        return sums[0].astype(np.float64, order="C", copy=False).ravel()


@dataclass(frozen=True)
class Diagonal:
    """z = v ∘ x + b, each class's score from its own column of X: w is the matrix [v, b], (K, 2), row by row.

    Of a design that is taken by rows.
    """

    n_classes: int

    fit_intercept = False  # none that is apart: b is a column of w

    @property
    def n_parameters(self) -> int:
        return 2 * self.n_classes

    n_free = n_parameters

    def pack(self, factors, shifts) -> np.ndarray:
        """The flat w of v and b, each (K,) or a number."""
        w = np.empty((self.n_classes, 2))
        w[:, 0], w[:, 1] = factors, shifts
        return w.ravel()

    def unpack(self, w) -> tuple[np.ndarray, np.ndarray]:
        """v and b, (K,)."""
        factors, shifts = w.reshape(self.n_classes, 2).T.copy()
        return factors, shifts

    def prepare(self, w, design, dtype) -> np.ndarray:
        """v and b, each contiguous."""
        return placement.where(getattr(design, "X", design), w.reshape(self.n_classes, 2).T.astype(dtype, order="C"))

    def scores(self, prepared, X, out) -> np.ndarray:
        factors, shifts = prepared
        np.multiply(X, factors, out=out)
        out += shifts
        return out

    def tangent(self, prepared, X, out) -> np.ndarray:
        return self.scores(prepared, X, out)

    def adjoint(self, g, X) -> tuple[np.ndarray, ...]:
        return (diagonal_adjoint(g, X),)

    def flat(self, sums) -> np.ndarray:
        return sums[0].astype(np.float64, copy=False).ravel()
