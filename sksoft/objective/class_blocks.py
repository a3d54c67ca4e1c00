"""Preconditioners for the Hessian on chosen coordinates: all of it where it is small, else a block for each class.

With x_s the column and k(s) the class of coordinate s the Hessian of the mean loss is::

    H_st = Σᵢ aᵢ x_is (p_ik(s) [k(s) = k(t)] − p_ik(s) p_ik(t)) x_it

and within class k it is Xᵀ diag(aᵢ p_ik (1 − p_ik)) X. What stands between classes is small beside that wherever rows
are shared by few classes.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from sksoft.objective.feature_columns import Members

# Coordinates of a block up to which it is worth its factorisation.
LARGEST = 2000
# Coordinates, and multiply-adds, up to which the whole Hessian is.
LARGEST_WHOLE, LARGEST_WORK = 1000, 1e9
# Added to a block's diagonal, as a share of it: columns may repeat one another.
REGULARISATION = 1e-9


def jacobi(metric: np.ndarray) -> Callable:
    """Division by a diagonal, 0 where that is 0."""
    inverse = np.divide(1.0, metric, out=np.zeros_like(metric), where=metric > 0.0)
    return lambda residual: inverse * residual


class ClassBlocks:
    """Factors of blocks of the Hessian on the coordinates that were free when they were built.

    Parameters
    ----------
    blocks : list of (indices, factor)
        Places among all coordinates, and what ``cho_factor`` returned.
    """

    def __init__(self, blocks: list):
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
        if m <= LARGEST_WHOLE and m * float(columns.entries(members).sum()) <= LARGEST_WORK:
            whole = -columns.gram(np.sqrt(weights) * proba, members)
            for k, (start, stop) in enumerate(pairwise(members.starts)):
                whole[start:stop, start:stop] += columns.gram(np.sqrt(weights * proba), members.of_row(k))
            whole += bend.matrix(free, len(proba))
            return cls([(places, _factor(whole))])
        blocks, roots = [], np.sqrt(weights * proba * (1.0 - proba))
        for k, (start, stop) in enumerate(pairwise(members.starts)):
            if 1 < stop - start <= LARGEST:
                own, gram = places[start:stop], columns.gram(roots, members.of_row(k))
                gram.ravel()[:: len(own) + 1] += bend.diagonal[own]
                blocks.append((own, _factor(gram)))
        return cls(blocks)

    def over(self, elsewhere: Callable, free) -> Callable:
        """The preconditioner on the coordinates of a mask, `elsewhere` where there is no block."""

        def apply(residual):
            out = elsewhere(residual)
            for own, factor in self.blocks:
                out[own] = cho_solve(factor, residual[own], check_finite=False)
            out[~free] = 0.0
            return out

        return apply


def _factor(block):
    diagonal = block.ravel()[:: len(block) + 1]
    diagonal += REGULARISATION * diagonal + np.finfo(float).tiny
    return cho_factor(block, lower=True, overwrite_a=True, check_finite=False)
