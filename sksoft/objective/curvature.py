r"""The Hessian of an objective at a point: products with it, over the rows that matter.

    ∇²F v = Σᵢ aᵢ Jᵢᵀ P(pᵢ) Jᵢ v + Λ v

On the simplex P(pᵢ) = σᵢ (diag q̂ᵢ − q̂ᵢ q̂ᵢᵀ) with the tilted q̂ and σ of the link, which for softmax are p and 1: rows
of distributions q̂ and weights aᵢ σᵢ.

A row that is nearly certain of its class has a Jacobian P near zero. With hᵢ = σᵢ (1 − ‖q̂ᵢ‖²), its trace, rows of hᵢ
below a threshold times the mean are left out of the products where that spares enough of them. The steps of a solver
then come from a Hessian slightly too small, which costs none of the accuracy of the solution.
"""

import numpy as np

from sksoft.kernels import rowwise
from sksoft.kernels.blocks import scratch
from sksoft.kernels.sweeps import diagonal_hessian_sweep, softmax_hessian_sweep
from sksoft.objective import preconditioning
from sksoft.objective.batches import Block
from sksoft.objective.scores import Diagonal, Linear

# Rows are left out only where at most this share of them stays: else the copy costs more than it saves. Narrow rows are
# copied three times (``objective/design.py``).
SPARED, SPARED_NARROW = 0.8, 0.6


def rows_of(proba: np.ndarray, mask) -> np.ndarray:
    """Some rows, in the order of memory that `proba` has."""
    return proba.T[:, mask].T if proba.flags.f_contiguous else proba[mask]


class Curvature:
    """∇²F at a point.

    Attributes
    ----------
    batches : InMemory
        The rows that are swept, of weights aᵢ σᵢ.
    proba : ndarray (n, K) or None
        Their tilted distributions q̂; None where they are computed again for each product, and weights are aᵢ.
    spread : ndarray (n,)
        aᵢ hᵢ of these rows.
    amount : float
        Σᵢ aᵢ hᵢ over all rows.
    share : float
        Share of the rows that are swept.
    """

    def __init__(self, point, batches, proba, spread, amount: float, share: float):
        self.point, self.objective = point, point.objective
        self.batches, self.proba, self.spread, self.amount, self.share = batches, proba, spread, amount, share
        self.dtype = self.objective.product_dtype

    @classmethod
    def at(cls, point, threshold: float) -> "Curvature":
        objective = point.objective
        batches, proba = objective.batches, objective.all_proba(point)
        if proba is None:
            return cls(point, batches, None, None, float("nan"), 1.0)
        proba, scale = objective.loss.link.tilted(proba)
        certainty = np.einsum("ij,ij->i", proba, proba).astype(np.float64)
        h = np.maximum(1.0 - certainty, 0.0)
        if scale is not None:
            h *= scale
        spread = batches.weights * h
        batches = batches if scale is None else batches.reweighted(scale)
        amount = float(spread.sum())
        # rows without any curvature are spared without a loss; a sparse link has many, and kinks where they end
        least = threshold * h.mean() if scale is None else 0.0
        active = h > least if threshold and batches.design.keep else np.ones(1, bool)
        kept = int(active.sum())
        spared = SPARED_NARROW if batches.design.narrow else SPARED
        if kept < spared * len(h) and active.size > 1 and kept > 0:
            fewer = batches.chosen(active, objective.product_dtype)
            return cls(point, fewer, rows_of(proba, active), spread[active], amount, kept / len(h))
        return cls(point, batches, proba, spread, amount, 1.0)

    def diagonal(self) -> np.ndarray:
        """Σᵢ aᵢ σᵢ q̂ᵢₖ (1 − q̂ᵢₖ) x̃ᵢⱼ² over the swept rows, (rows of W, columns); a dense design. O(n p K)."""
        own = self.objective.scores.own_classes

        def partial(block: Block):
            proba, weights = self.rows(block)
            spread = proba[:, own] * (1.0 - proba[:, own])
            spread *= weights[:, None]
            return (block.design.square_sums(block.rows, spread, self.dtype),)

        return self.batches.map_reduce(partial)[0]

    def rows(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """q̂ and a σ of a block's rows."""
        if self.proba is not None:
            return self.proba[block.rows], block.weights
        proba, scale = self.objective.loss.link.tilted(self.objective.proba(self.point, block, self.dtype))
        return proba, block.weights if scale is None else block.weights * scale

    @property
    def work(self) -> float:
        """Modelled seconds of a product."""
        return preconditioning.product_cost(self.objective, self.share)

    def product(self, v: np.ndarray) -> np.ndarray:
        """∇²F(w) v: one sweep over the rows. O(n p K)."""
        product = self.objective.scores.flat(self._sweep(v))
        return self.objective.penalty.add_hessian_product(v, product)

    def _sweep(self, v) -> tuple[np.ndarray, ...]:
        """The sums over all rows."""
        objective, dtype = self.objective, self.dtype
        scores, link = objective.scores, objective.loss.link
        jvp = rowwise.softmax_jvp_rows if link.on_simplex else link.jvp
        prepared = scores.prepare(v, self.batches.design, dtype)
        in_tiles = isinstance(scores, Linear) and scores.n_rows > 1 and link.on_simplex and dtype == np.float32

        def partial(block: Block):
            with objective.backend():
                proba, weights = self.rows(block)
                if isinstance(scores, Diagonal) and link.on_simplex:
                    return (diagonal_hessian_sweep(block.X(dtype), proba, weights, prepared),)
                tiled = block.design.tiled(block.rows) if in_tiles else None
                if tiled is not None:
                    rows = block.design.rows(block.rows, dtype)
                    return (softmax_hessian_sweep(rows, tiled, proba, weights, prepared[0]),)
                X = block.X(dtype)
                u = scores.tangent(prepared, X, scratch("tangent", proba.shape, dtype, block.design.score_order, X))
                return scores.adjoint(jvp(proba, u, weights=weights, out=u), X)

        return self.batches.map_reduce(partial)
