"""Targets: what each row should have been, as a distribution tᵢ over K classes that is stored no larger than needed."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse


@dataclass(frozen=True)
class Labels:
    """One class a row: tᵢ is the vertex of class ``codes[i]``.

    Attributes
    ----------
    codes : ndarray of shape (n,), intp, in 0 … n_classes − 1
    n_classes : int >= 2
    """

    codes: np.ndarray
    n_classes: int

    def rows(self, rows: slice) -> "Labels":
        """The targets of a block of rows."""
        return Labels(self.codes[rows], self.n_classes)

    def inner(self, scores: np.ndarray) -> np.ndarray:
        """⟨tᵢ, sᵢ⟩ of each row."""
        return scores[np.arange(len(self.codes)), self.codes]

    def subtract_from(self, proba: np.ndarray) -> None:
        """p − t, in place."""
        proba[np.arange(len(self.codes)), self.codes] -= 1.0

    def weighted(self, weights: np.ndarray):
        """The matrix of rows weightᵢ tᵢ, (n, K), sparse."""
        n = len(self.codes)
        return sparse.csr_array((weights, self.codes, np.arange(n + 1)), shape=(n, self.n_classes))


@dataclass(frozen=True)
class SoftLabels:
    """A distribution a row: smoothed labels, votes, a teacher's probabilities.

    Attributes
    ----------
    proba : ndarray of shape (n, K), float64, rows sum to one
    """

    proba: np.ndarray

    @property
    def n_classes(self) -> int:
        return self.proba.shape[1]

    def rows(self, rows: slice) -> "SoftLabels":
        """The targets of a block of rows."""
        return SoftLabels(self.proba[rows])

    def inner(self, scores: np.ndarray) -> np.ndarray:
        """⟨tᵢ, sᵢ⟩ of each row."""
        return np.einsum("ij,ij->i", self.proba, np.where(self.proba > 0, scores, 0.0))

    def subtract_from(self, proba: np.ndarray) -> None:
        """p − t, in place."""
        proba -= self.proba

    def weighted(self, weights: np.ndarray):
        """The matrix of rows weightᵢ tᵢ, (n, K)."""
        return self.proba * weights[:, None]


Target = Labels | SoftLabels
