r"""What a stochastic solver remembers of the losses it has seen: a metric, in memory that does not grow.

Parameters are a matrix w of R rows (classes) and q columns (features, and a column of ones). A memory absorbs a chunk
of rows at a time and offers a quadratic form on moves v of the parameters, shape (R, q):

==============  =======================================================  =============
memory          product(v), with m the effective weight of the past      numbers
==============  =======================================================  =============
Curvature       m H̄ v, H̄ the mean of Jᵢ ⊗ x̃ᵢx̃ᵢᵀ                          (R q)² + q²
Kronecker       m (S̄ / tr S̄) v Ā, S̄ the mean of Jᵢ, Ā of tr(Jᵢ) x̃ᵢx̃ᵢᵀ     q² + R²
AdaGrad         √(Σ G²) ∘ a ∘ v, G the gradient of a chunk, aⱼ = max |xⱼ|  R q + q
==============  =======================================================  =============

Jᵢ is the Jacobian of a row's link, R × R. Later chunks have more weight in the means, in proportion to the weight seen,
because early ones were taken far from the optimum. AdaGrad [1]_ needs no curvature and no more memory than the
coefficients; the factor a makes its steps follow the units of the features.

A class that appears late is a class that had probability π in all that was seen, before anybody looked: then a row's
distribution p was ((1 − π) p, π), and its Jacobian J becomes, with p̄ the mean distribution,

    (1 − π)² J + π (1 − π) [diag p̄, −p̄; −p̄ᵀ, 1]

and its gradient π Σ x̃, which is what ``with_class`` adds to the memory.

A model that was fitted in another way has no memory. ``recalled`` makes one of the first rows that come, as if all rows
of the fit had been like them.

All fields are arrays and numbers, so that a memory is a dictionary of plain data.

References
----------
.. [1] Duchi, Hazan, Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
   JMLR 12, 2011.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from scipy import linalg

Product = Callable[[np.ndarray], np.ndarray]


class Seen(Protocol):
    """A chunk of rows at the parameters that were fitted to it: what a memory may ask of it."""

    @property
    def weights(self) -> np.ndarray:
        """(n,), positive."""
        ...

    def feature_sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Σᵢ sᵢ x̃ᵢ and max |x̃ᵢ|, (q,) each."""
        ...

    def square_sums(self, weights: np.ndarray) -> np.ndarray:
        """Σᵢ weightᵢ x̃ᵢ², (q,)."""
        ...

    def features(self) -> np.ndarray:
        """X̃ with its column of ones, dense (n, q)."""
        ...

    def jacobian_rows(self) -> Iterator[np.ndarray]:
        """For each class k in turn, row k of every row's weighted Jacobian, (n, R)."""
        ...


@dataclass(frozen=True)
class Curvature:
    """Mean curvature of the losses seen, in full.

    Attributes
    ----------
    mean : ndarray (R, q, R, q)
    gram : ndarray (q, q)
        Mean of x̃x̃ᵀ: what the curvature of a class unseen so far is made of.
    total : float
        Weight of the mean: Σ over chunks of weight times the weight seen by then.
    """

    mean: np.ndarray
    gram: np.ndarray
    total: float = 0.0

    @classmethod
    def empty(cls, n_rows: int, n_columns: int) -> "Curvature":
        """Before anything was seen."""
        return cls(np.zeros((n_rows, n_columns, n_rows, n_columns)), np.zeros((n_columns, n_columns)))

    @classmethod
    def recalled(cls, chunk: Seen, shape: tuple[int, int], seen: float) -> "Curvature":
        """As if rows of weight `seen` had been like those of a chunk."""
        weight = float(chunk.weights.sum())
        return replace(cls.empty(*shape).absorb(chunk, np.empty(0), weight, weight), total=0.5 * seen**2)

    def product(self, effective: float) -> Product:
        """v → m H̄ v."""
        size = self.mean.shape[0] * self.mean.shape[1]
        matrix = effective * self.mean.reshape(size, size)
        return lambda v: (matrix @ v.ravel()).reshape(v.shape)

    def inverse(self, effective: float, diagonal: np.ndarray) -> Product:
        """r → (m H̄ + diagonal)⁻¹ r; O((R q)³) once."""
        size = diagonal.size
        matrix = effective * self.mean.reshape(size, size)
        matrix[np.diag_indices(size)] += diagonal.ravel()
        factor = linalg.cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
        return lambda r: linalg.cho_solve(factor, r.ravel(), check_finite=False).reshape(r.shape)

    def absorb(self, chunk: Seen, gradient: np.ndarray, weight: float, seen: float) -> "Curvature":
        """With a chunk of `weight`, the last of `seen` in all. O(n (R q)²)."""
        X = chunk.features()
        total = self.total + weight * seen
        rate = seen / total
        mean = self.mean * (1.0 - rate * weight)
        for k, row in enumerate(chunk.jacobian_rows()):
            by_pair = (row[:, :, None] * X[:, None, :]).reshape(len(X), -1)
            mean[k] += rate * (X.T @ by_pair).reshape(mean.shape[1:])
        gram = self.gram * (1.0 - rate * weight) + rate * ((X * chunk.weights[:, None]).T @ X)
        return Curvature(mean, gram, total)

    def with_class(self, at: int, probability: float, shares: np.ndarray) -> "Curvature":
        """With a row at `at` for a class of `probability` in all that was seen, the others `shares` of the rest."""
        old = (1.0 - probability) ** 2 * _with_gap(_with_gap(self.mean, at, axis=0), at, axis=2)
        star = probability * (1.0 - probability) * _star(np.insert(shares, at, 0.0), at)
        return Curvature(old + star[:, None, :, None] * self.gram[None, :, None, :], self.gram, self.total)

    def in_two_rows(self) -> "Curvature":
        """For two rows of which one was the difference."""
        signs = np.array([-1.0, 1.0])
        mean = np.einsum("k,l,ij->kilj", signs, signs, self.mean[0, :, 0, :])
        return Curvature(mean, self.gram, self.total)


@dataclass(frozen=True)
class Kronecker:
    """Mean curvature of the losses seen, as a matrix of the classes times one of the features.

    Attributes
    ----------
    classes : ndarray (R, R)
        S̄, the mean of Jᵢ.
    gram : ndarray (q, q)
        Ā, the mean of tr(Jᵢ) x̃ᵢx̃ᵢᵀ.
    total : float
    """

    classes: np.ndarray
    gram: np.ndarray
    total: float = 0.0

    @classmethod
    def empty(cls, n_rows: int, n_columns: int) -> "Kronecker":
        """Before anything was seen."""
        return cls(np.zeros((n_rows, n_rows)), np.zeros((n_columns, n_columns)))

    @classmethod
    def recalled(cls, chunk: Seen, shape: tuple[int, int], seen: float) -> "Kronecker":
        """As if rows of weight `seen` had been like those of a chunk."""
        weight = float(chunk.weights.sum())
        return replace(cls.empty(*shape).absorb(chunk, np.empty(0), weight, weight), total=0.5 * seen**2)

    @property
    def _scaled(self) -> np.ndarray:
        return self.classes / max(float(np.trace(self.classes)), np.finfo(float).tiny)

    def product(self, effective: float) -> Product:
        """v → m (S̄ / tr S̄) v Ā."""
        left, right = self._scaled, effective * self.gram
        return lambda v: left @ v @ right

    def inverse(self, effective: float, diagonal: np.ndarray) -> Product:
        """r → (m Ā ⊗ S̄ / tr S̄ + mean diagonal of the rows)⁻¹ r; O(q³ + R³) once."""
        root = np.sqrt(diagonal.mean(axis=0))
        by_class, U = np.linalg.eigh(self._scaled)
        by_feature, Q = np.linalg.eigh(effective * self.gram / np.outer(root, root))
        scale = 1.0 + np.outer(np.maximum(by_class, 0.0), np.maximum(by_feature, 0.0))
        return lambda r: (U @ ((U.T @ (r / root) @ Q) / scale) @ Q.T) / root

    def absorb(self, chunk: Seen, gradient: np.ndarray, weight: float, seen: float) -> "Kronecker":
        """With a chunk of `weight`, the last of `seen` in all. O(n (q² + R²))."""
        X = chunk.features()
        total = self.total + weight * seen
        rate = seen / total
        trace = np.zeros(len(X))
        classes = self.classes * (1.0 - rate * weight)
        for k, row in enumerate(chunk.jacobian_rows()):
            classes[k] += rate * row.sum(axis=0)
            trace += row[:, k]
        gram = self.gram * (1.0 - rate * weight) + rate * ((X * trace[:, None]).T @ X)
        return Kronecker(classes, gram, total)

    def with_class(self, at: int, probability: float, shares: np.ndarray) -> "Kronecker":
        """With a row at `at` for a class of `probability` in all that was seen, the others `shares` of the rest."""
        star = probability * (1.0 - probability) * _star(np.insert(shares, at, 0.0), at)
        classes = (1.0 - probability) ** 2 * _with_gap(_with_gap(self.classes, at, axis=0), at, axis=1) + star
        growth = np.trace(classes) / max(float(np.trace(self.classes)), np.finfo(float).tiny)
        return Kronecker(classes, growth * self.gram, self.total)

    def in_two_rows(self) -> "Kronecker":
        """For two rows of which one was the difference."""
        return Kronecker(self.classes * np.array([[1.0, -1.0], [-1.0, 1.0]]), 2.0 * self.gram, self.total)


@dataclass(frozen=True)
class AdaGrad:
    """Sums of squared gradients.

    Attributes
    ----------
    squares : ndarray (R, q)
        Σ G² over the chunks.
    feature_squares : ndarray (q,)
        Σ (Σᵢ sᵢ x̃ᵢ)² over the chunks: what the gradients of a class unseen so far are made of.
    largest : ndarray (q,)
        Largest |x̃ⱼ| so far.
    """

    squares: np.ndarray
    feature_squares: np.ndarray
    largest: np.ndarray

    @classmethod
    def empty(cls, n_rows: int, n_columns: int) -> "AdaGrad":
        """Before anything was seen."""
        return cls(np.zeros((n_rows, n_columns)), np.zeros(n_columns), np.zeros(n_columns))

    @classmethod
    def recalled(cls, chunk: Seen, shape: tuple[int, int], seen: float) -> "AdaGrad":
        """As if rows of weight `seen` had been like those of a chunk, their gradients spread as the model says."""
        scale = seen / float(chunk.weights.sum())
        squares = np.stack(
            [chunk.square_sums(chunk.weights * row[:, k]) for k, row in enumerate(chunk.jacobian_rows())]
        )
        return cls(scale * squares, scale * chunk.square_sums(chunk.weights**2), chunk.feature_sums()[1])

    def product(self, effective: float) -> Product:
        """v → √(Σ G²) ∘ a ∘ v, whatever the effective weight."""
        metric = np.sqrt(self.squares) * self.largest
        return lambda v: metric * v

    def inverse(self, effective: float, diagonal: np.ndarray) -> Product:
        """r → r / (√(Σ G²) ∘ a + diagonal)."""
        metric = np.sqrt(self.squares) * self.largest + diagonal
        return lambda r: r / metric

    def absorb(self, chunk: Seen, gradient: np.ndarray, weight: float, seen: float) -> "AdaGrad":
        """With a chunk whose loss had `gradient` before it was fitted. O(R q)."""
        sums, largest = chunk.feature_sums()
        return AdaGrad(self.squares + gradient**2, self.feature_squares + sums**2, np.maximum(self.largest, largest))

    def with_class(self, at: int, probability: float, shares: np.ndarray) -> "AdaGrad":
        """With a row at `at` for a class that had `probability` in all that was seen."""
        squares = np.insert(self.squares, at, probability**2 * self.feature_squares, axis=0)
        return AdaGrad(squares, self.feature_squares, self.largest)

    def in_two_rows(self) -> "AdaGrad":
        """For two rows of which one was the difference: the gradients are opposite."""
        return AdaGrad(np.repeat(self.squares, 2, axis=0), self.feature_squares, self.largest)


Memory = Curvature | Kronecker | AdaGrad
MEMORIES: dict[str, Any] = {"curvature": Curvature, "kronecker": Kronecker, "adagrad": AdaGrad}


def _with_gap(array: np.ndarray, at: int, axis: int) -> np.ndarray:
    return np.insert(array, at, 0.0, axis=axis)


def _star(shares: np.ndarray, at: int) -> np.ndarray:
    """[diag p̄, −p̄; −p̄ᵀ, 1] with the last class at `at`: positive semidefinite, rows sum to zero."""
    star = np.diag(shares)
    star[at, :] = star[:, at] = -shares
    star[at, at] = shares.sum()
    return star
