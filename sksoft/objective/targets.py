"""Targets: what each row should have been, as a distribution tᵢ over K classes that is stored no larger than needed.

================  ==========================================  ====================
target            tᵢ                                          memory
================  ==========================================  ====================
Labels            e_y, the vertex of a class                  n integers
SmoothedLabels    (1 − ε) e_y + ε / K                         n integers
SoftLabels        any distribution                            n K numbers
SparseSoftLabels  (1 − ε) vᵢ + ε / K, vᵢ with few entries     entries of v
================  ==========================================  ====================

Arrays of scores and distributions may be float32 or float64; nothing here widens them.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from scipy import sparse

from sksoft.kernels import placement
from sksoft.kernels.blocks import scratch
from sksoft.objective.links import Link


class Target(Protocol):
    """What a target of n rows offers."""

    @property
    def n_classes(self) -> int:
        """K >= 2."""
        ...

    def rows(self, rows) -> "Target":
        """The targets of the rows that a slice or a mask selects."""
        ...

    def moved_to(self, like) -> "Target":
        """The same where the array `like` lives; what has few entries there becomes dense."""
        ...

    def inner(self, scores: np.ndarray) -> np.ndarray:
        """⟨tᵢ, sᵢ⟩ of each row, (n,); a score of −inf counts only where the target is positive."""
        ...

    def subtract_from(self, proba: np.ndarray, *, on_simplex: bool) -> None:
        """p − t, in place; rows of `proba` sum to one where `on_simplex`, so that those of the difference sum to 0."""
        ...

    def weighted(self, weights: np.ndarray):
        """The matrix of rows weightᵢ tᵢ, (n, K), dense or sparse."""
        ...

    def shares(self, weights: np.ndarray) -> np.ndarray:
        """Σᵢ weightᵢ tᵢ, (K,), float64."""
        ...

    def negentropy(self, link: Link) -> np.ndarray | float:
        """Ω(tᵢ) of the link, (n,), or the one number that all rows have."""
        ...


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

    def rows(self, rows) -> "Labels":
        """The targets of some rows."""
        return Labels(self.codes[rows], self.n_classes)

    def moved_to(self, like) -> "Labels":
        """The same where the array `like` lives."""
        return Labels(placement.where(like, self.codes), self.n_classes)

    def inner(self, scores: np.ndarray) -> np.ndarray:
        """⟨tᵢ, sᵢ⟩ of each row."""
        return scores[_own(self.codes)]

    def subtract_from(self, proba: np.ndarray, *, on_simplex: bool) -> None:
        """p − t, in place; on the simplex the true class gets minus the sum of the others, which does not cancel."""
        if on_simplex:
            _balance(proba, self.codes)
        else:
            proba[_own(self.codes)] -= 1.0

    def weighted(self, weights: np.ndarray):
        """The matrix of rows weightᵢ tᵢ, (n, K), sparse; dense on a device."""
        n = len(self.codes)
        if placement.on_device(self.codes):
            matrix = placement.namespace(weights).zeros((n, self.n_classes), weights.dtype)
            matrix[_own(self.codes)] = weights
            return matrix
        return sparse.csr_array((weights, self.codes, np.arange(n + 1)), shape=(n, self.n_classes))

    def shares(self, weights: np.ndarray) -> np.ndarray:
        """Σᵢ weightᵢ tᵢ, (K,), on the host."""
        return _class_weights(self.codes, weights, self.n_classes)

    def negentropy(self, link: Link) -> float:
        """Ω(tᵢ): 0 at a vertex."""
        return 0.0


@dataclass(frozen=True)
class SmoothedLabels:
    """A label that is believed to 1 − ε: tᵢ = (1 − ε) e_y + ε / K.

    Attributes
    ----------
    codes : ndarray of shape (n,), intp, in 0 … n_classes − 1
    n_classes : int >= 2
    smoothing : float, 0 < ε < 1
    """

    codes: np.ndarray
    n_classes: int
    smoothing: float

    @property
    def share(self) -> float:
        """ε / K, the probability of a class that is not the label."""
        return self.smoothing / self.n_classes

    def rows(self, rows) -> "SmoothedLabels":
        """The targets of some rows."""
        return SmoothedLabels(self.codes[rows], self.n_classes, self.smoothing)

    def moved_to(self, like) -> "SmoothedLabels":
        """The same where the array `like` lives."""
        return SmoothedLabels(placement.where(like, self.codes), self.n_classes, self.smoothing)

    def inner(self, scores: np.ndarray) -> np.ndarray:
        """⟨tᵢ, sᵢ⟩ of each row."""
        return (1.0 - self.smoothing) * scores[_own(self.codes)] + self.smoothing * scores.mean(axis=1)

    def subtract_from(self, proba: np.ndarray, *, on_simplex: bool) -> None:
        """p − t, in place; on the simplex the true class gets minus the sum of the others."""
        proba -= self.share
        if on_simplex:
            _balance(proba, self.codes)
        else:
            proba[_own(self.codes)] -= 1.0 - self.smoothing

    def weighted(self, weights: np.ndarray):
        """The matrix of rows weightᵢ tᵢ, (n, K)."""
        matrix = np.repeat(self.share * weights[:, None], self.n_classes, axis=1)
        matrix[_own(self.codes)] += (1.0 - self.smoothing) * weights
        return matrix

    def shares(self, weights: np.ndarray) -> np.ndarray:
        """Σᵢ weightᵢ tᵢ, (K,), on the host."""
        weights = placement.to_host(weights)
        counts = _class_weights(self.codes, weights, self.n_classes)
        return (1.0 - self.smoothing) * counts + self.share * weights.sum()

    def negentropy(self, link: Link) -> float:
        """Ω(tᵢ), the same for all rows. O(K)."""
        one = np.full((1, self.n_classes), self.share)
        one[0, 0] += 1.0 - self.smoothing
        return float(link.negentropy(one)[0])


@dataclass(frozen=True)
class SoftLabels:
    """A distribution a row: votes, a teacher's probabilities.

    Attributes
    ----------
    proba : ndarray of shape (n, K), float64 or float32, rows sum to one
    """

    proba: np.ndarray
    _negentropies: dict = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def n_classes(self) -> int:
        """K."""
        return self.proba.shape[1]

    def rows(self, rows) -> "SoftLabels":
        """The targets of some rows."""
        return SoftLabels(self.proba[rows])

    def moved_to(self, like) -> "SoftLabels":
        """The same where the array `like` lives."""
        return SoftLabels(placement.where(like, self.proba))

    def inner(self, scores: np.ndarray) -> np.ndarray:
        """⟨tᵢ, sᵢ⟩ of each row."""
        return _inner(self.proba, scores)

    def subtract_from(self, proba: np.ndarray, *, on_simplex: bool) -> None:
        """p − t, in place."""
        proba -= self.proba

    def weighted(self, weights: np.ndarray):
        """The matrix of rows weightᵢ tᵢ, (n, K)."""
        return self.proba * weights[:, None]

    def shares(self, weights: np.ndarray) -> np.ndarray:
        """Σᵢ weightᵢ tᵢ, (K,)."""
        return np.einsum("i,ij->j", weights, self.proba)

    def negentropy(self, link: Link) -> np.ndarray:
        """Ω(tᵢ) of each row, computed once for a link."""
        if link not in self._negentropies:
            self._negentropies[link] = link.negentropy(self.proba)
        return self._negentropies[link]


@dataclass(frozen=True)
class SparseSoftLabels:
    """A distribution a row with few entries vᵢ, smoothed or not: tᵢ = (1 − ε) vᵢ + ε / K.

    Attributes
    ----------
    matrix : CSR array of shape (n, K), float64, rows vᵢ sum to one
    smoothing : float, 0 <= ε < 1
    """

    matrix: sparse.csr_array
    smoothing: float = 0.0
    _negentropies: dict = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def n_classes(self) -> int:
        """K."""
        return self.matrix.shape[1]

    @property
    def share(self) -> float:
        """ε / K, the probability of a class without an entry."""
        return self.smoothing / self.n_classes

    def rows(self, rows) -> "SparseSoftLabels":
        """The targets of some rows."""
        return SparseSoftLabels(self.matrix[rows], self.smoothing)

    def moved_to(self, like) -> SoftLabels:
        """Dense, where the array `like` lives: O(n K)."""
        return SoftLabels(placement.where(like, self.dense().copy()))

    def dense(self) -> np.ndarray:
        """tᵢ, (n, K), float64: meant for a block of rows, in a buffer of this thread that the next block overwrites."""
        out = self.matrix.toarray(out=scratch("targets", self.matrix.shape))
        if self.smoothing > 0.0:
            out *= 1.0 - self.smoothing
            out += self.share
        return out

    def inner(self, scores: np.ndarray) -> np.ndarray:
        """⟨tᵢ, sᵢ⟩ of each row."""
        return _inner(self.dense(), scores)

    def subtract_from(self, proba: np.ndarray, *, on_simplex: bool) -> None:
        """p − t, in place."""
        proba -= self.dense()

    def weighted(self, weights: np.ndarray):
        """The matrix of rows weightᵢ tᵢ, (n, K); sparse unless smoothed."""
        if self.smoothing > 0.0:
            return self.dense() * weights[:, None]
        scaled = self.matrix.copy()
        scaled.data *= np.repeat(weights, np.diff(scaled.indptr))
        return scaled

    def shares(self, weights: np.ndarray) -> np.ndarray:
        """Σᵢ weightᵢ tᵢ, (K,)."""
        return (1.0 - self.smoothing) * (self.matrix.T @ weights) + self.share * weights.sum()

    def negentropy(self, link: Link) -> np.ndarray:
        """Ω(tᵢ) of each row, computed once for a link, from the entries alone."""
        if link not in self._negentropies:
            stored = np.diff(self.matrix.indptr)
            terms = link.negentropy_terms((1.0 - self.smoothing) * self.matrix.data + self.share)
            by_row = sparse.csr_array((terms, self.matrix.indices, self.matrix.indptr), shape=self.matrix.shape)
            rest = float(link.negentropy_terms(np.array([self.share]))[0])
            self._negentropies[link] = by_row.sum(axis=1) + (self.n_classes - stored) * rest
        return self._negentropies[link]


def _class_weights(codes, weights, n_classes: int) -> np.ndarray:
    """Sum of the weights of each class, (K,): of the host, for a device's would add them in another order each time."""
    return np.bincount(placement.to_host(codes), weights=placement.to_host(weights), minlength=n_classes)


def _own(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return placement.namespace(codes).arange(len(codes)), codes


def _balance(differences: np.ndarray, codes: np.ndarray) -> None:
    """Set the entry of each row's label to minus the sum of the others."""
    differences[_own(codes)] = 0.0
    differences[_own(codes)] = -differences.sum(axis=1)


def _inner(proba: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", proba, np.where(proba > 0, scores, 0.0))
