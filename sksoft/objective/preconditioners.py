r"""Metrics near the Hessian of linear scores: each a map r → M⁻¹ r, built from a sample of rows.

With rows x̃ᵢ (intercept included), weights aᵢ, distributions pᵢ, K rows of W and Λ the penalty, the Hessian is
``Σ aᵢ (diag pᵢ − pᵢ pᵢᵀ) ⊗ x̃ᵢ x̃ᵢᵀ + Λ``. In order of cost and closeness::

    diagonal     α · mean over classes of its diagonal + Λ               sparse rows, or too many columns
    gram         A / (K − 1) ⊗ I + Λ,  A = Σ aᵢ hᵢ x̃ᵢ x̃ᵢᵀ               one Cholesky of p + 1 columns for all classes
    kronecker    A / tr S ⊗ S + Λ,  S = Σ aᵢ (diag pᵢ − pᵢ pᵢᵀ)           two eigendecompositions
    full         the Hessian of the sample                                one Cholesky of (p + 1) K

and for diagonal scores, from all rows, `pairs`, blocks of two, and `all_pairs`, the Hessian.

hᵢ = tr(diag pᵢ − pᵢ pᵢᵀ) = 1 − ‖pᵢ‖². Sums of gradients over classes are zero where nothing is penalised, and a
Hessian is singular there, so results are centred over the classes in the columns without a penalty.

A sample misses rare columns, and a metric far below the Hessian on one of them spoils every product. So the diagonal
Σ aᵢ pᵢₖ (1 − pᵢₖ) x̃ᵢⱼ² is that of all rows where the sample's is far below. Not elsewhere: the noise of a diagonal by
itself would hide directions of little curvature among correlated columns.

Vectors are flat matrices (rows of W, columns). Each function returns a float64 map.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from sksoft.kernels import placement

Metric = Callable[[np.ndarray], np.ndarray]

# A diagonal entry below this share of the true one has missed the rows that matter.
MISSED = 0.5
# Relative to its diagonal, added to a metric: collinear columns without a penalty leave it singular.
JITTER = 1e-8
# The same where the Gram matrix was added up in float32.
SINGLE_JITTER = 1e-6
# Rows of a triangle that are copied to the other at once.
MIRRORED = 128
# Rows pᵢ ⊗ x̃ᵢ that stand in memory at once, at least: enough for a symmetric product to run at its best.
PRODUCT_ROWS = 512


@dataclass(frozen=True)
class Sample:
    """Rows that stand for all.

    Attributes
    ----------
    X : ndarray (m, c), float32 or float64
        Rows of the design, the ones included.
    proba : ndarray (m, K)
    weights : ndarray (m,)
        Each row's share, scaled so that the sample stands for the whole.
    diagonal : ndarray (rows of W, c) or None
        Σ aᵢ pᵢₖ (1 − pᵢₖ) x̃ᵢⱼ² over all rows; None where the sample is all rows.
    """

    X: np.ndarray
    proba: np.ndarray
    weights: np.ndarray
    diagonal: np.ndarray | None = None

    @property
    def spread(self) -> np.ndarray:
        """aᵢ hᵢ, (m,)."""
        h = 1.0 - np.einsum("ij,ij->i", self.proba, self.proba).astype(np.float64)
        return self.weights * np.maximum(h, 0.0)


def diagonal(squares: np.ndarray, penalty: np.ndarray, share: float) -> Metric:
    """``share · squares + penalty`` where there is a penalty, else `squares`; the penalty of one row may do for all.

    A pure Jacobi metric hurts on sparse data, a trace of it helps [Hsia, Chiang, Lin, ACML 2018]. Without a penalty
    there is no scale to share with, and columns of any scale must be seen.
    """
    metric = np.where(penalty > 0.0, share * squares + penalty, squares)
    metric[metric == 0.0] = 1.0
    return lambda r: (r.reshape(-1, penalty.shape[1]) / metric).ravel()


def gram(sample: Sample, penalty: np.ndarray) -> Metric:
    """One Gram matrix for all classes."""
    rows, columns = penalty.shape
    # two classes with one row have the Hessian Σ aᵢ pᵢ (1 − pᵢ) x̃ᵢ x̃ᵢᵀ, and hᵢ = 2 pᵢ (1 − pᵢ)
    factor = 0.5 if rows == 1 else 1.0 / (rows - 1)
    metric = _weighted_gram(sample.X, sample.spread * factor)
    if sample.diagonal is not None:
        _raise_diagonal(metric, sample.diagonal.sum(axis=0) * (1.0 if rows == 1 else factor))
    np.einsum("ii->i", metric)[...] += penalty.mean(axis=0)
    inverse = _inverse(_safe(metric, sample.X.dtype))
    unpenalised = _unpenalised(penalty)

    def solve(r):
        return _centre(r.reshape(rows, columns) @ inverse, unpenalised).ravel()

    return solve


def kronecker(sample: Sample, penalty: np.ndarray) -> Metric:
    """A ⊗ S + Λ, diagonal in the eigenvectors of S and of A in the units of Λ."""
    rows, columns = penalty.shape
    mean = sample.weights @ sample.proba.astype(np.float64)
    weighted = sample.proba * sample.weights[:, None].astype(sample.proba.dtype)
    S = np.diag(mean) - (sample.proba.T @ weighted).astype(np.float64)
    spread = sample.spread
    A = _weighted_gram(sample.X, spread / spread.sum())
    if sample.diagonal is not None:
        _raise_diagonal(A, sample.diagonal.sum(axis=0) / spread.sum())
    s, V = linalg.eigh(S, check_finite=False)
    s = np.maximum(s, 0.0)
    # an unpenalised column counts as barely penalised, so that Λ can be divided out
    diagonal_of_A = np.einsum("ii->i", A)
    strength = np.maximum(penalty.mean(axis=0), JITTER * diagonal_of_A * s[-1])
    strength[strength == 0.0] = 1.0
    root = 1.0 / np.sqrt(strength)
    a, Q = linalg.eigh(A * root[:, None] * root, check_finite=False)
    Q = Q * root[:, None]
    inverse = 1.0 / (np.outer(s, np.maximum(a, 0.0)) + 1.0)
    unpenalised = _unpenalised(penalty)

    def solve(r):
        r = _centre(r.reshape(rows, columns).copy(), unpenalised)
        return _centre(V @ ((V.T @ r @ Q) * inverse) @ Q.T, unpenalised).ravel()

    return solve


def full(sample: Sample, penalty: np.ndarray) -> Metric:
    """The Hessian of the sample, factorised."""
    rows, columns = penalty.shape
    H = _binary_hessian(sample) if rows == 1 else _hessian(sample)
    if sample.diagonal is not None:
        _raise_diagonal(H, sample.diagonal.ravel())
    np.einsum("ii->i", H)[...] += penalty.ravel()
    unpenalised = _unpenalised(penalty)
    if rows > 1:  # the direction that moves all classes alike has no curvature: give it some
        shared = H.reshape(rows, columns, rows, columns)
        for column in np.arange(columns)[unpenalised]:
            shared[:, column, :, column] += np.einsum("kk->", shared[:, column, :, column]) / rows**2
    factor = _factor(H, SINGLE_JITTER if sample.X.dtype == np.float32 else JITTER)

    def solve(r):
        r = _centre(r.reshape(rows, columns).copy(), unpenalised).ravel()
        z, _ = linalg.lapack.dpotrs(factor, r, lower=True, overwrite_b=True)
        return _centre(z.reshape(rows, columns), unpenalised).ravel()

    return solve


def pair_sums(X, proba, weights) -> np.ndarray:
    """Σ aᵢ pᵢₖ (1 − pᵢₖ) · (xᵢₖ², xᵢₖ, 1) over some rows, (3, K): the Hessian of diagonal scores, class by class."""
    spread = np.subtract(1.0, proba)
    spread *= proba
    spread *= weights[:, None]
    total = np.einsum("ik->k", spread)
    spread *= X
    return np.stack([np.einsum("ik,ik->k", spread, X), np.einsum("ik->k", spread), total]).astype(np.float64)


def pairs(sums: np.ndarray, penalty: np.ndarray) -> Metric:
    """The block [v, b] of each class of diagonal scores, inverted."""
    squares, mixed, total = sums
    for_factor, for_shift = penalty.reshape(-1, 2).T
    squares = _raised(squares + for_factor)
    total = _raised(total + for_shift)
    determinant = squares * total - mixed**2
    # where a class has one score in all rows, the two cannot be told apart: each by itself
    alone = determinant <= JITTER * squares * total
    determinant = np.where(alone, squares * total, determinant)
    mixed = np.where(alone, 0.0, mixed)

    def solve(r):
        factor, shift = r.reshape(-1, 2).T
        return (np.stack([total * factor - mixed * shift, squares * shift - mixed * factor]) / determinant).T.ravel()

    return solve


def pair_products(X, proba, weights) -> np.ndarray:
    """Σ aᵢ rᵢ rᵢᵀ with rᵢ the pairs pᵢₖ · (xᵢₖ, 1), (2 K, 2 K)."""
    root = np.sqrt(weights).astype(X.dtype)[:, None]
    rows = placement.namespace(X).empty((*X.shape, 2), X.dtype)
    np.multiply(proba, root, out=rows[:, :, 1])
    np.multiply(rows[:, :, 1], X, out=rows[:, :, 0])
    return _gram_of(rows.reshape(len(X), -1)).astype(np.float64)


def all_pairs(sums: np.ndarray, products: np.ndarray, penalty: np.ndarray, dtype) -> Metric:
    """The Hessian of diagonal scores, factorised."""
    squares, mixed, total = sums
    H = -products
    by_class = H.reshape(len(total), 2, len(total), 2)
    own = np.arange(len(total))
    # p (1 − p) by itself: the difference of two sums would cancel
    by_class[own, 0, own, 0] = squares
    by_class[own, 0, own, 1] = by_class[own, 1, own, 0] = mixed
    by_class[own, 1, own, 1] = total
    np.einsum("ii->i", H)[...] += penalty
    factor = _factor(H, SINGLE_JITTER if dtype == np.float32 else JITTER)
    return lambda r: linalg.lapack.dpotrs(factor, r, lower=True)[0]


def _raised(diagonal: np.ndarray) -> np.ndarray:
    """Entries without any curvature, of classes that no row is like, count as the least of the others."""
    positive = diagonal > JITTER * diagonal.max(initial=0.0)
    return np.where(positive, diagonal, diagonal[positive].min() if positive.any() else 1.0)


def _hessian(sample: Sample) -> np.ndarray:
    """Σ aᵢ (diag pᵢ − pᵢ pᵢᵀ) ⊗ x̃ᵢ x̃ᵢᵀ from symmetric products of the rows pᵢ ⊗ x̃ᵢ, some at a time."""
    X, proba = sample.X, sample.proba
    m, columns = X.shape
    K = proba.shape[1]
    H = np.zeros((K * columns, K * columns))
    step = min(m, max(PRODUCT_ROWS, K * columns))
    buffer = np.empty((step, K, columns), X.dtype)
    for start in range(0, m, step):
        rows = slice(start, min(start + step, m))
        root = np.sqrt(sample.weights[rows]).astype(X.dtype)[:, None]
        B = np.multiply((proba[rows] * root)[:, :, None], X[rows, None, :], out=buffer[: len(root)])
        H -= _gram_of(B.reshape(len(root), K * columns))
    for k in range(K):
        own = slice(k * columns, (k + 1) * columns)
        # p (1 − p) by itself: the difference of two sums would cancel
        p = proba[:, k].astype(np.float64)
        H[own, own] = _weighted_gram(X, sample.weights * p * (1.0 - p))
    return H


def _binary_hessian(sample: Sample) -> np.ndarray:
    return _weighted_gram(sample.X, 0.5 * sample.spread)


def _weighted_gram(X, weights: np.ndarray) -> np.ndarray:
    """Σ weightᵢ x̃ᵢ x̃ᵢᵀ in float64, added up in the precision of X."""
    root = np.sqrt(weights).astype(X.dtype)[:, None]
    total = np.zeros((X.shape[1], X.shape[1]))
    step = max(8 * PRODUCT_ROWS, X.shape[1])
    for start in range(0, len(X), step):
        rows = slice(start, start + step)
        total += _gram_of(X[rows] * root[rows])
    return total


def _gram_of(B) -> np.ndarray:
    """BᵀB, which NumPy computes by a symmetric update."""
    return B.T @ B


def _raise_diagonal(metric: np.ndarray, least: np.ndarray) -> None:
    diagonal = np.einsum("ii->i", metric)
    missed = diagonal < MISSED * least
    diagonal[missed] = least[missed]


def _safe(metric: np.ndarray, dtype) -> np.ndarray:
    """The metric with its diagonal raised enough that rounding leaves it positive."""
    diagonal = np.einsum("ii->i", metric)
    diagonal *= 1.0 + (SINGLE_JITTER if dtype == np.float32 else JITTER)
    diagonal[diagonal <= 0.0] = 1.0
    return metric


def _factor(metric: np.ndarray, jitter: float) -> np.ndarray:
    """The lower Cholesky factor, with the diagonal raised by `jitter`, and by more until the metric is positive.

    Where classes are separated and nothing is penalised, all curvature is of the size of its own rounding.
    """
    diagonal = np.einsum("ii->i", metric)
    own = np.where(diagonal > 0.0, diagonal, 1.0)
    while jitter <= 100.0 * len(metric):  # a matrix whose diagonal dominates is positive
        diagonal[...] = own * (1.0 + jitter)
        factor, info = linalg.lapack.dpotrf(metric, lower=True)
        if info == 0:
            return factor
        jitter *= 100.0
    raise linalg.LinAlgError("The metric is not finite.")


def _inverse(metric: np.ndarray) -> np.ndarray:
    """The inverse of a symmetric matrix, in its place: LAPACK writes the lower triangle only."""
    factor, info = linalg.lapack.dpotrf(metric.T, lower=True, overwrite_a=True)
    if info > 0:
        raise linalg.LinAlgError(f"The metric is not positive: its leading minor of order {info} is not.")
    inverse, _ = linalg.lapack.dpotri(factor, lower=True, overwrite_c=True)
    for start in range(0, len(inverse), MIRRORED):
        rows = slice(start, start + MIRRORED)
        own = inverse[rows, rows]
        own[...] = np.tril(own) + np.tril(own, -1).T
        inverse[rows, start + MIRRORED :] = inverse[start + MIRRORED :, rows].T
    return inverse


def _unpenalised(penalty: np.ndarray) -> np.ndarray | slice:
    """Which columns no class has a penalty on, a slice where it is the last or none."""
    free = np.all(penalty == 0.0, axis=0)
    return free if free[:-1].any() else slice(len(free) - int(free[-1]), None)


def _centre(matrix: np.ndarray, columns: np.ndarray | slice) -> np.ndarray:
    """Take the mean over its rows out of some columns of `matrix`; leave it as it is where it has one row."""
    if len(matrix) > 1:
        part = matrix[:, columns]
        matrix[:, columns] = part - np.add.reduce(part) / len(matrix)
    return matrix
