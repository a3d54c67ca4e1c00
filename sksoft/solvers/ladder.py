"""A ladder of preconditioners: start on the cheapest, climb when conjugate gradients have cost more than the next.

This is ski rental: who buys once the rent paid equals the price never pays more than twice the best. Costs are modelled
seconds from counts of operations, never a clock, so a fit takes the same path on any machine.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

# A metric is stale where the total curvature moved by this factor since it was built; then this share of the patience
# with it is left.
STALE = 1.5
STALE_SHARE = 0.1
# Products of a Newton step that even a good metric needs; only those beyond count against it.
EXPECTED_PRODUCTS = 3
# A Newton step may have as many products anyway, and no more than this ever.
LEAST_ALLOWANCE, MOST_ALLOWANCE = 5, 1000


class Rung(Protocol):
    """One kind of preconditioner.

    Attributes
    ----------
    cost : float
        Modelled seconds to build it once.
    entry : float
        It is climbed to when all products so far cost more than ``entry · cost``.
    patience : float
        It is built again when products beyond the expected ones cost more than ``patience · cost`` since it was.
    """

    cost: float
    entry: float
    patience: float

    @property
    def build(self) -> Callable:
        """Curvature → (r → M⁻¹ r)."""
        ...


class Ladder:
    """Which preconditioner to use at each Newton step.

    Parameters
    ----------
    rungs : sequence of Rung
        From cheap and rough to dear and near the Hessian.
    """

    def __init__(self, rungs: Sequence[Rung]):
        self.rungs = rungs
        self.level = 0
        self.builds: list[int] = []
        self._spent = self._excess = 0.0
        self._amount = np.nan
        self._metric: Callable[[np.ndarray], np.ndarray] | None = None

    def metric(self, curvature) -> Callable[[np.ndarray], np.ndarray]:
        """The preconditioner for a Hessian: the one at hand, or a new one where that pays."""
        level = max(
            (i for i, rung in enumerate(self.rungs) if i > self.level and self._spent > rung.entry * rung.cost),
            default=self.level,
        )
        rung = self.rungs[level]
        moved = not self._amount / STALE <= curvature.amount <= self._amount * STALE
        patience = rung.patience * (STALE_SHARE if moved else 1.0)
        if self._metric is None or level != self.level or self._excess > patience * rung.cost:
            self.level, self._amount, self._excess = level, curvature.amount, 0.0
            self._metric = rung.build(curvature)
            self.builds.append(level)
        return self._metric

    def moved_to(self, rungs: Sequence[Rung]) -> "Ladder":
        """The ladder for a problem much like the one before, which starts on this rung and with this metric."""
        self.rungs = rungs
        return self

    def allowance(self, cost: float) -> int:
        """Products, each of a modelled cost, after which a next rung pays: a step should end there."""
        dearer = [rung.entry * rung.cost - self._spent for rung in self.rungs[self.level + 1 :]]
        return max(LEAST_ALLOWANCE, int(min(dearer, default=np.inf) / cost) + 1) if dearer else MOST_ALLOWANCE

    def charge(self, products: int, cost: float) -> None:
        """Account for the products of one Newton step, each of a modelled cost."""
        self._spent += products * cost
        self._excess += max(products - EXPECTED_PRODUCTS, 0) * cost
