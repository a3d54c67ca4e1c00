"""A preconditioner for the Hessian on chosen coordinates: its blocks along the diagonal, one a class.

Within class k the Hessian of the mean loss is Xᵀ diag(aᵢ p_ik (1 − p_ik)) X on the columns that the class has. What is
left out, between classes, is small beside it wherever rows are shared by few classes.
"""

from collections.abc import Callable

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from sksoft.objective.feature_columns import Members

# Coordinates of a class up to which a block is worth its factorisation.
LARGEST = 2000
# Added to a block's diagonal, as a share of it: columns may repeat one another.
REGULARISATION = 1e-8


def jacobi(metric: np.ndarray) -> Callable:
    """Division by a diagonal, 0 where that is 0."""
    inverse = np.divide(1.0, metric, out=np.zeros_like(metric), where=metric > 0.0)
    return lambda residual: inverse * residual


class ClassBlocks:
    """Factors of the blocks on the coordinates that were free when they were built.

    Parameters
    ----------
    blocks : list of (indices, factor)
        Places among all coordinates, and what ``cho_factor`` returned.
    """

    def __init__(self, blocks: list):
        self.blocks = blocks

    @classmethod
    def of(cls, columns, bends, members: Members, free, bend) -> "ClassBlocks":
        """From the design's columns, bends aᵢ p_ik (1 − p_ik) (R, n), and the penalty's Hessian; O(Σ n mₖ² + mₖ³).

        `members` are the coordinates of the mask `free`.
        """
        places = np.flatnonzero(free)
        blocks = []
        for k, (start, stop) in enumerate(zip(members.starts[:-1], members.starts[1:])):
            if not 1 < stop - start <= LARGEST:
                continue
            own = places[start:stop]
            gram = columns.gram(bends[k], members.columns[start:stop])
            diagonal = gram.ravel()[:: len(own) + 1]
            diagonal += bend.diagonal[own]
            diagonal += REGULARISATION * diagonal + np.finfo(float).tiny
            blocks.append((own, cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)))
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
