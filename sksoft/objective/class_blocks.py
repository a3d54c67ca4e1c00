"""Preconditioners for the Hessian on chosen coordinates: all of it where it is small, else a block for each class.

With x_s the column and k(s) the class of coordinate s the Hessian of the mean loss is::

    H_st = Σᵢ aᵢ x_is (p_ik(s) [k(s) = k(t)] − p_ik(s) p_ik(t)) x_it

and within class k it is Xᵀ diag(aᵢ p_ik (1 − p_ik)) X. What stands between classes is small beside that wherever rows
are shared by few classes.
"""

import contextlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from sksoft.objective.feature_columns import Members

# Coordinates of a block up to which it is worth its factorisation.
LARGEST = 2000
# Coordinates, and multiply-adds, up to which the whole Hessian is.
LARGEST_WHOLE, LARGEST_WORK = 1000, 1e9
# Added to a block's diagonal, as a share of it, until it has a factor: columns may repeat one another.
REGULARISATIONS = (1e-9, 1e-7, 1e-4)


def jacobi(metric: np.ndarray) -> Callable:
    """Division by a diagonal, 0 where that is 0."""
    inverse = np.divide(1.0, metric, out=np.zeros_like(metric), where=metric > 0.0)
    return lambda residual: inverse * residual


class _Block:
    """A block, and its factor on those of its coordinates that were free last."""

    def __init__(self, places: np.ndarray, matrix: np.ndarray):
        self.places, self.matrix = places, matrix
        self._free = np.zeros(len(places), bool)
        self._factor: Any = None

    def solve(self, residual, free, out) -> None:
        """Into `out`, where it is free; a face with fewer coordinates is another face, and has a factor of its own."""
        own = free[self.places]
        if self._factor is None or not np.array_equal(own, self._free):
            whole = bool(own.all())
            self._free, self._factor = own, _factor(self.matrix if whole else self.matrix[np.ix_(own, own)])
        places = self.places[own]
        out[places] = cho_solve(self._factor, residual[places], check_finite=False)


class ClassBlocks:
    """Blocks of the Hessian on the coordinates that were free when they were built.

    Parameters
    ----------
    blocks : list of _Block
    """

    def __init__(self, blocks: list[_Block]):
        self.blocks = blocks

    @classmethod
    def of(cls, columns, proba, weights, members: Members, free, bend) -> "ClassBlocks":
        """The whole Hessian, or its blocks; O(n m²) or O(Σ n mₖ²).

        Parameters
        ----------
        columns : SparseColumns or DenseColumns
        proba : ndarray (R, n)
        weights : ndarray (n,)
        members : Members
            The coordinates of the mask `free`.
        bend : Bend
            The penalty's Hessian.
        """
        m, places = len(members), np.flatnonzero(free)
        roots = np.sqrt(weights * proba * (1.0 - proba))
        if m <= LARGEST_WHOLE and m * float(columns.entries(members).sum()) <= LARGEST_WORK:
            whole = -columns.gram(np.sqrt(weights) * proba, members)
            for k, (start, stop) in enumerate(pairwise(members.starts)):
                # p (1 − p) by itself: the difference of two sums would cancel
                whole[start:stop, start:stop] = columns.gram(roots, members.of_row(k))
            whole += bend.matrix(free, len(proba))
            return cls([_Block(places, whole)])
        blocks = []
        for k, (start, stop) in enumerate(pairwise(members.starts)):
            if 1 < stop - start <= LARGEST:
                own, gram = places[start:stop], columns.gram(roots, members.of_row(k))
                gram.ravel()[:: len(own) + 1] += bend.diagonal[own]
                blocks.append(_Block(own, gram))
        return cls(blocks)

    def over(self, elsewhere: Callable, free) -> Callable:
        """The preconditioner on the coordinates of a mask; `elsewhere` where there is no block, zero off the mask."""

        def apply(residual):
            out = elsewhere(residual)
            for block in self.blocks:
                block.solve(residual, free, out)
            return out

        return apply


def _factor(matrix):
    """Cholesky's factor of a matrix with as much added to its diagonal as it takes."""
    diagonal = np.diag(matrix)
    scale = diagonal + np.finfo(float).eps * diagonal.max(initial=0.0) + np.finfo(float).tiny
    for share in REGULARISATIONS:
        with contextlib.suppress(LinAlgError):
            return cho_factor(matrix + np.diag(share * scale), lower=True, overwrite_a=True, check_finite=False)
    return cho_factor(np.diag(scale), lower=True, check_finite=False)
