"""Dense columns in the memory of a device: what ``design.Dense`` is for the host's, under the same names.

    X̃ = [(X − centre) / scale, 1]

stands there once, in float32; float64 rows are computed a block at a time from X. A block is a great many rows, for a
device wants them all at once; parameters, and the sums that become gradients, are small and stay on the host, where
the solver works.
"""

from functools import cached_property
from typing import Literal

import numpy as np

from sksoft.kernels import placement
from sksoft.kernels.blocks import DEVICE_BYTES, row_blocks
from sksoft.objective.design import Dense, column_scales


def standardised(X, weights: np.ndarray, *, intercept: bool, memory: float = np.inf) -> "Dense | DeviceDense":
    """The design of dense rows with standardised columns, where the rows live; `memory` is of the host."""
    if placement.on_device(X):
        return DeviceDense.standardised(X, weights, intercept=intercept)
    return Dense.standardised(X, weights, intercept=intercept, memory=memory)


class DeviceDense:
    """[(X − centre) factor, 1] on a device.

    Parameters
    ----------
    X : device array (n, p), float32 or float64
    centre, factor : ndarray (p,), float64, optional
        Of the host; 0 and 1 by default.
    ones : bool, default=False
        Whether a column of ones follows.
    """

    score_order: Literal["C", "F"] = "C"
    narrow = False
    keep = True
    cheap_single = True
    double_losses = False
    one_by_one = True
    memory = float("inf")  # of the host, for samples

    def __init__(self, X, centre=None, factor=None, *, ones: bool = False):
        p = X.shape[1]
        self.X, self.ones = X, ones
        self.centre = np.zeros(p) if centre is None else centre
        self.scale = np.ones(p)
        self._plain = centre is None and factor is None and not ones
        self._shift = placement.where(X, self.centre)
        self._factor = placement.where(X, np.ones(p) if factor is None else factor)

    @classmethod
    def standardised(cls, X, weights: np.ndarray, *, intercept: bool) -> "DeviceDense":
        """Columns of weighted mean 0, where there is an intercept, and mean square 1; a constant column is left at 0.

        Parameters
        ----------
        X : device array (n, p)
        weights : array (n,), non-negative, of the host or the device
        intercept : bool
        """
        weights = placement.where(X, weights)
        weights = weights / weights.sum()
        blocks = row_blocks(len(X), 8 * X.shape[1], DEVICE_BYTES)

        def sums(of_rows) -> np.ndarray:
            return placement.to_host(sum(of_rows(X[rows].astype(np.float64), weights[rows]) for rows in blocks))

        centre = sums(lambda rows, shares: shares @ rows) if intercept else np.zeros(X.shape[1])
        there = placement.where(X, centre)

        def moments(rows, shares):
            centred = rows - there
            return np.stack([shares @ centred, shares @ np.square(centred)])

        rest, squares = sums(moments)
        scale, factor = column_scales(centre, rest, squares, X.dtype, intercept=intercept)
        design = cls(X, centre, factor, ones=intercept)
        design.scale = scale
        return design

    @property
    def shape(self) -> tuple[int, int]:
        return self.X.shape[0], self.X.shape[1] + self.ones

    @property
    def size(self) -> int:
        """Entries of X."""
        return self.X.size

    def grid(self, n_classes: int) -> list[slice]:
        """The rows of each block of a sweep, with two float64 matrices of scores beside them."""
        return row_blocks(self.shape[0], 8 * self.shape[1] + 16 * n_classes, DEVICE_BYTES)

    def block(self, rows, dtype=np.float64):
        """Rows of X̃, in C order; not to be written to."""
        if dtype == np.float32:
            return self._single[rows]
        return self.X[rows] if self._plain and self.X.dtype == dtype else self._filled(self.X[rows], dtype)

    rows = block

    def square_sums(self, rows: slice, weights, dtype):
        """Σ weightᵢ x̃ᵢ² by column, over some rows; weights (n,), or (n, K) for as many rows of sums."""
        return weights.T @ np.square(self.block(rows, dtype))

    def tiled(self, rows: slice) -> None:
        """None: a device multiplies matrices as they stand."""

    def chosen(self, mask, dtype=np.float32) -> "DeviceDense":
        """The design of some rows, copied."""
        return DeviceDense(self.block(placement.where(self.X, mask), dtype))

    def _filled(self, X, dtype):
        out = placement.namespace(X).empty((len(X), self.shape[1]), dtype)
        # the difference in float64, else a far centre would swallow it
        out[:, : X.shape[1]] = (X.astype(np.float64) - self._shift) * self._factor
        if self.ones:
            out[:, X.shape[1]] = 1.0
        return out

    @cached_property
    def _single(self):
        if self._plain and self.X.dtype == np.float32:
            return self.X
        out = placement.namespace(self.X).empty(self.shape, np.float32)
        for rows in self.grid(1):
            out[rows] = self._filled(self.X[rows], np.float32)
        return out
