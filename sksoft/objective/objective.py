"""F(w) = Σᵢ sᵢ L(tᵢ, zᵢ(w)) / Σᵢ sᵢ + R(w), as a solver sees it.

``Objective.at(w)`` evaluates value and gradient in one sweep and returns a :class:`Point`, whose ``hessian_product``
is another sweep each. With J the Jacobian of the scores and P the link's Jacobian at the rows' distributions::

    ∇F = Jᵀ s (p − t) + ∇R          ∇²F v = Jᵀ s P (J v) + ∇²R v        (the scores here are linear in w)
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np

from sksoft.kernels.blocks import scratch
from sksoft.kernels.registry import backend_for
from sksoft.objective import duality, preconditioning
from sksoft.objective.batches import Block, InMemory
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.penalties import Ridge
from sksoft.objective.targets import Labels

# Distributions of all rows are kept for Hessian products up to this size, and computed again above it.
KEEP_BYTES = 1 << 30


class Objective:
    """A loss on scores over batches plus a penalty.

    Parameters
    ----------
    loss : FenchelYoung
    scores : Linear or Temperature
    batches : InMemory
    penalty : Ridge
    """

    def __init__(self, loss: FenchelYoung, scores, batches: InMemory, penalty: Ridge):
        self.loss = loss
        self.scores = scores
        self.batches = batches
        self.penalty = penalty
        # One decision for the whole fit, by its whole size: the blocks alone are too small to judge.
        self.backend = backend_for(batches.n_samples * batches.n_classes)
        self._shape = (batches.n_samples, batches.n_classes)
        self._kept_for: Point | None = None

    def at(self, w: np.ndarray) -> "Point":
        """Evaluate at w: one sweep over the rows. O(n p K)."""
        point = Point(self, w)
        proba = self._proba

        def partial(block: Block):
            with self.backend():
                z = self.scores.scores(w, block.X, scratch("scores", (len(block.weights), self._shape[1])))
                kept = None if proba is None else proba[block.rows]
                value = self.loss.evaluate(z, block.target, block.weights, residual=z, proba=kept)
                return value, self.scores.adjoint(w, z, block.X), z.sum(axis=0)

        loss, gradient, point.class_gradient = self.batches.map_reduce(partial)
        self._kept_for = point
        point.value = loss + self.penalty.value(w)
        point.gradient = gradient + self.penalty.gradient(w)
        return point

    def separates(self, w: np.ndarray) -> bool:
        """Whether at w every label has a score above all others of its row: then a multiple of w is better still."""
        target = self.batches.target
        if not isinstance(target, Labels):
            return False

        def partial(block: Block):
            z = self.scores.scores(w, block.X, scratch("scores", (len(block.weights), self._shape[1])))
            own = np.arange(len(z)), target.codes[block.rows]
            true_scores = z[own]
            z[own] = -np.inf
            return (int((true_scores > z.max(axis=1)).sum()),)

        return self.batches.map_reduce(partial)[0] == self._shape[0]

    @cached_property
    def _proba(self) -> np.ndarray | None:
        """Buffer (n, K) of the distributions at the point evaluated last, or None where it would be too large."""
        return np.empty(self._shape) if 8 * self._shape[0] * self._shape[1] <= KEEP_BYTES else None

    @cached_property
    def moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weighted means of x, of t and of t xᵀ: constants of the fit that the duality gap needs."""
        return duality.class_moments(self.batches)

    def proba(self, point: "Point", block: Block) -> np.ndarray:
        """Distributions of a block's rows at `point`: kept from its evaluation, or computed again."""
        if self._proba is not None and self._kept_for is point:
            return self._proba[block.rows]
        z = self.scores.scores(point.w, block.X, scratch("proba", (len(block.weights), self._shape[1])))
        return self.loss.link.predict(z, out=z)


class Point:
    """F at one w.

    Attributes
    ----------
    w : ndarray (n_parameters,)
    value : float
    gradient : ndarray (n_parameters,)
    class_gradient : ndarray (K,), Σᵢ sᵢ (pᵢ − tᵢ) / Σᵢ sᵢ
    """

    value: float
    gradient: np.ndarray
    class_gradient: np.ndarray

    def __init__(self, objective: Objective, w: np.ndarray):
        self.objective = objective
        self.w = w

    def hessian_product(self, v: np.ndarray) -> np.ndarray:
        """∇²F(w) v: one sweep over the rows. O(n p K)."""
        objective = self.objective
        scores, link = objective.scores, objective.loss.link

        def partial(block: Block):
            with objective.backend():
                proba = objective.proba(self, block)
                u = scores.tangent(self.w, v, block.X, scratch("scores", proba.shape))
                return (scores.adjoint(self.w, link.jvp(proba, u, weights=block.weights, out=u), block.X),)

        (product,) = objective.batches.map_reduce(partial)
        return product + objective.penalty.hessian_product(v)

    @cached_property
    def preconditioner(self) -> Callable[[np.ndarray], np.ndarray]:
        """A symmetric positive map r → M⁻¹ r with M near ∇²F(w)."""
        return preconditioning.for_point(self)

    def gap(self) -> float:
        """A proved bound on F(w) − min F, or nan where there is no penalty to prove it with."""
        return duality.ridge_gap(self)
