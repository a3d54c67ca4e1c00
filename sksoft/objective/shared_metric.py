r"""Metrics for many sigmoid problems on the same features, so that few products find their minima.

The Hessian of label l is ``Σ_i h_il x̃_i x̃_iᵀ + λ_l`` with x̃ = (x, 1) and h_il = a_il p_il (1 − p_il). Where h is spread
like the weights a (exactly so at the start, where all rows have the same probability), it is ``c_l A + λ_l`` with the
one matrix A = Σ aᵢ xᵢ xᵢᵀ and c_l = Σ_i h_il: one eigendecomposition of A inverts it for every label and every c.

============  =======================================================  ==============================================
metric        of label l                                               where
============  =======================================================  ==============================================
SharedGram    c_l A + λ_l                                              A is small: dense features, or few sparse ones
MixedJacobi   α c_l diag(A) + λ_l, a trace of Jacobi's metric [1]_     elsewhere
OwnHessian    the Hessian itself, factorised                           labels that the others serve badly
============  =======================================================  ==============================================

The intercept is no part of these sums: with m = Σ aᵢ xᵢ, A is taken about m, and a step d in W comes with −⟨m, d⟩ in b.

References
----------
.. [1] Hsia, Chiang, Lin, "Preconditioned conjugate gradient methods in truncated Newton frameworks for large-scale
   linear classification", ACML 2018.
"""

from typing import Protocol

import numpy as np
from scipy import linalg

from sksoft.objective.shared_features import SharedFeatures

# Above this size of the smaller side of X no eigendecomposition is tried: memory, and its cube in time.
LARGEST_GRAM = 2000
# Products of sparse rows with themselves fill in: a Gram matrix of more sparse features is not worth its making.
LARGEST_SPARSE_GRAM = 400
# A product with fewer columns than this costs as much as with so many: it waits for memory, not for arithmetic.
FULL_WIDTH = 16
# The Gram matrix is made where that costs less than this many sweeps (one product with X, one with its transpose).
WORTH_SWEEPS = 50
JACOBI_SHARE = 0.003


class Metric(Protocol):
    """A symmetric positive matrix for each label, near its Hessian in W."""

    def solve(self, residual: np.ndarray, curvature: np.ndarray, strength: np.ndarray) -> np.ndarray:
        """M_l⁻¹ r_l of each column, (p, L); `curvature` is c (L,), `strength` λ (L,)."""
        ...


def shared_metric(features: SharedFeatures, weights: np.ndarray, mean: np.ndarray, n_labels: int) -> Metric:
    """The best metric that pays for `n_labels` labels.

    Parameters
    ----------
    features : SharedFeatures
    weights : ndarray (n,), sum to one
    mean : ndarray (p,), their weighted mean row; zeros without an intercept
    n_labels : int
    """
    n, p = features.shape
    smaller = min(n, p)
    largest = LARGEST_SPARSE_GRAM if features.is_sparse else LARGEST_GRAM
    build = n * p * smaller + 10 * smaller**3
    if smaller <= largest and build <= WORTH_SWEEPS * 4 * n * p * max(n_labels, FULL_WIDTH):
        if p <= n:
            return SharedGram.of_features(features, weights, mean)
        if not features.is_sparse:
            return SharedGram.of_rows(features.X, weights)
    return MixedJacobi(features.mean_squares(weights))


class SharedGram:
    """(c_l A + λ_l)⁻¹ through A = V diag(a) Vᵀ on the range of A.

    Parameters
    ----------
    vectors : ndarray (p, r), orthonormal columns V
    values : ndarray (r,), a ≥ 0
    """

    def __init__(self, vectors: np.ndarray, values: np.ndarray):
        self.vectors = vectors
        self.values = np.maximum(values, 0.0)

    @classmethod
    def of_features(cls, features: SharedFeatures, weights: np.ndarray, mean: np.ndarray) -> "SharedGram":
        """From the p × p matrix."""
        gram = features.gram(weights)
        gram -= np.outer(mean, mean)
        values, vectors = linalg.eigh(gram, driver="evd", overwrite_a=True, check_finite=False)
        return cls(vectors, values)

    @classmethod
    def of_rows(cls, X: np.ndarray, weights: np.ndarray) -> "SharedGram":
        """From the n × n matrix of inner products, for fewer rows than features."""
        rows = X * np.sqrt(weights)[:, None]
        values, vectors = linalg.eigh(rows @ rows.T, driver="evd", overwrite_a=True, check_finite=False)
        kept = values > values[-1] * 1e-12
        return cls(rows.T @ (vectors[:, kept] / np.sqrt(values[kept])), values[kept])

    def solve(self, residual: np.ndarray, curvature: np.ndarray, strength: np.ndarray) -> np.ndarray:
        inner = self.vectors.T @ residual
        inverse = 1.0 / (np.multiply.outer(self.values, curvature) + strength)
        if len(self.vectors) == len(self.values):
            return self.vectors @ (inverse * inner)
        return residual / strength + self.vectors @ ((inverse - 1.0 / strength) * inner)


class MixedJacobi:
    """1 / (α c_l aⱼ + λ_l).

    Parameters
    ----------
    mean_squares : ndarray (p,), the diagonal a of A, taken about zero
    """

    def __init__(self, mean_squares: np.ndarray):
        self.mean_squares = mean_squares

    def solve(self, residual: np.ndarray, curvature: np.ndarray, strength: np.ndarray) -> np.ndarray:
        return residual / (np.multiply.outer(JACOBI_SHARE * self.mean_squares, curvature) + strength)


class OwnHessian:
    """The Hessian of one label in (W, b), factorised.

    Parameters
    ----------
    features : SharedFeatures
    curvature : ndarray (n,), h
    strength : float, λ
    with_intercept : bool
    """

    def __init__(self, features: SharedFeatures, curvature: np.ndarray, strength: float, with_intercept: bool):
        p = features.shape[1]
        hessian = np.zeros((p + with_intercept,) * 2)
        hessian[:p, :p] = features.gram(curvature)
        if with_intercept:
            hessian[p, :p] = hessian[:p, p] = features.mean(curvature)
            hessian[p, p] = curvature.sum()
        diagonal = np.einsum("ii->i", hessian)
        diagonal[:p] += strength
        # rounding must not make it indefinite, whatever the scales of the columns
        diagonal *= 1.0 + 1e-10
        diagonal[diagonal == 0.0] = 1.0
        self.factor = linalg.cho_factor(hessian, lower=True, overwrite_a=True, check_finite=False)

    def solve(self, residual: np.ndarray) -> np.ndarray:
        """M⁻¹ r, (p + 1,) or (p,)."""
        return linalg.cho_solve(self.factor, residual, check_finite=False)
