"""Rows of one array in memory, dense or CSR, of the host or a device, cut into blocks by their design."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from sksoft.kernels import placement
from sksoft.kernels.blocks import fold_blocks
from sksoft.objective.design import Dense, Sparse
from sksoft.objective.device_design import DeviceDense
from sksoft.objective.targets import Target


@dataclass(frozen=True)
class Block:
    """A run of rows.

    Attributes
    ----------
    rows : slice of the whole
    design : Dense, Sparse or DeviceDense, of the whole
    target : Target of n rows
    weights : ndarray (n,), float64, each row's share sᵢ / Σ s of the mean
    offset : ndarray (n, K) or None, known scores to add
    """

    rows: slice
    design: Dense | Sparse | DeviceDense
    target: Target
    weights: np.ndarray
    offset: np.ndarray | None = None

    def X(self, dtype=np.float64):
        """The block's rows of the design."""
        return self.design.block(self.rows, dtype)


class InMemory:
    """All rows in memory; on a device where X is there: targets, weights and offsets are moved beside it.

    Parameters
    ----------
    X : Dense, Sparse, DeviceDense, ndarray, device array or CSR array of shape (n, p)
        An array is a design as it stands.
    target : Target of n rows
    sample_weight : ndarray of shape (n,), float64, non-negative, not all zero
    offset : ndarray of shape (n, K), float64, optional
        Known scores, added to those of the parameters.
    """

    def __init__(self, X, target: Target, sample_weight: np.ndarray, offset: np.ndarray | None = None):
        self.design = _design_of(X)
        there = self.design.X
        self.target = target.moved_to(there) if placement.on_device(there) else target
        self.total_weight = float(sample_weight.sum())
        self.weights = placement.where(there, sample_weight / self.total_weight)
        self.offset = None if offset is None else placement.where(there, offset)

    @property
    def n_samples(self) -> int:
        return self.design.shape[0]

    @property
    def n_classes(self) -> int:
        return self.target.n_classes

    def class_shares(self) -> np.ndarray:
        """Weighted mean of the targets, (K,): each class's share."""
        return placement.to_host(self.target.shares(self.weights))

    def chosen(self, mask: np.ndarray, dtype=np.float32) -> "InMemory":
        """Some of the rows, copied, with the weights they had: their sum is the share of the weight that was chosen."""
        mask = placement.where(self.design.X, mask)
        offset = None if self.offset is None else self.offset[mask]
        some = InMemory(self.design.chosen(mask, dtype), self.target.rows(mask), self.weights[mask], offset)
        some.weights = self.weights[mask]
        return some

    def reweighted(self, factors: np.ndarray) -> "InMemory":
        """The same rows, each with its weight times a factor."""
        same = InMemory(self.design, self.target, self.weights, self.offset)
        same.weights = self.weights * factors
        return same

    @cached_property
    def blocks(self) -> list[Block]:
        """The rows as the design's grid cuts them."""
        return [
            Block(
                rows,
                self.design,
                self.target.rows(rows),
                self.weights[rows],
                None if self.offset is None else self.offset[rows],
            )
            for rows in self.design.grid(self.n_classes)
        ]

    def map_reduce(self, partial: Callable[[Block], tuple]) -> tuple:
        """Add up ``partial(block)`` over all blocks, entry by entry, in block order, in fresh arrays.

        Of several blocks in float64; of one as they are, for a copy may be as large as all data. Sums of a device are
        brought to the host.
        """
        if len(self.blocks) == 1:
            return tuple(map(_at_home, partial(self.blocks[0])))
        totals: list = []

        def add(parts):
            if not totals:
                totals.extend(map(_double, parts))
                return
            for i, part in enumerate(parts):
                totals[i] += part

        if self.design.one_by_one:
            for block in self.blocks:
                add(partial(block))
        else:
            fold_blocks(partial, self.blocks, add)
        return tuple(map(_at_home, totals))


def _design_of(X) -> Dense | Sparse | DeviceDense:
    if isinstance(X, Dense | Sparse | DeviceDense):
        return X
    if sparse.issparse(X):
        return Sparse(X)
    return DeviceDense(X) if placement.on_device(X) else Dense(X)


def _at_home(part):
    return placement.to_host(part) if placement.on_device(part) else part


def _double(part):
    return part.astype(np.float64) if getattr(part, "dtype", None) == np.float32 else part
