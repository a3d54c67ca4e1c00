"""Rows of one array in memory, dense or CSR, cut into blocks by shape alone."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from sksoft.kernels.blocks import map_blocks, row_blocks
from sksoft.objective.targets import Labels, Target


@dataclass(frozen=True)
class Block:
    """A run of rows.

    Attributes
    ----------
    rows : slice of the whole
    X : ndarray or CSR array (n, p)
    target : Target of n rows
    weights : ndarray (n,), float64, each row's share sᵢ / Σ s of the mean
    """

    rows: slice
    X: np.ndarray
    target: Target
    weights: np.ndarray


class InMemory:
    """All rows in memory.

    Parameters
    ----------
    X : ndarray or CSR array of shape (n, p), float64
    target : Target of n rows
    sample_weight : ndarray of shape (n,), float64, non-negative, not all zero
    """

    def __init__(self, X, target: Target, sample_weight: np.ndarray):
        self.X = X
        self.target = target
        self.total_weight = float(sample_weight.sum())
        self.weights = sample_weight / self.total_weight

    @property
    def n_samples(self) -> int:
        return self.X.shape[0]

    @property
    def n_classes(self) -> int:
        return self.target.n_classes

    def class_shares(self) -> np.ndarray:
        """Weighted mean of the targets, (K,): each class's share."""
        if isinstance(self.target, Labels):
            return np.bincount(self.target.codes, self.weights, minlength=self.n_classes)
        return self.weights @ self.target.proba

    @cached_property
    def blocks(self) -> list[Block]:
        """The grid: about 4 MB of rows, scores and probabilities a block."""
        row_values = self.X.nnz / max(self.n_samples, 1) if sparse.issparse(self.X) else self.X.shape[1]
        row_bytes = int(8 * (row_values + 2 * self.n_classes))
        return [
            Block(rows, _rows(self.X, rows), self.target.rows(rows), self.weights[rows])
            for rows in row_blocks(self.n_samples, row_bytes)
        ]

    def map_reduce(self, partial: Callable[[Block], tuple]) -> tuple:
        """Add up ``partial(block)`` over all blocks, entry by entry, in block order."""
        return tuple(_sum_in_order(entries) for entries in zip(*map_blocks(partial, self.blocks)))


def _sum_in_order(entries):
    total = entries[0]
    for entry in entries[1:]:
        total = total + entry
    return total


def _rows(X, rows: slice):
    """Rows of X without a copy of their values."""
    if not sparse.issparse(X):
        return X[rows]
    indptr = X.indptr[rows.start : rows.stop + 1]
    stored = slice(indptr[0], indptr[-1])
    shape = (rows.stop - rows.start, X.shape[1])
    return sparse.csr_array((X.data[stored], X.indices[stored], indptr - indptr[0]), shape=shape, copy=False)
