"""Metrics near the Hessian, so that conjugate gradients need few products.

For linear scores ∇²F ≈ A ⊗ S / (K − 1) + λ with A = Σ aᵢ hᵢ x̃ᵢ x̃ᵢᵀ the Gram matrix of the rows x̃ = (x, 1), weighted by
their curvature hᵢ = 1 − ‖pᵢ‖², and S = I − 11ᵀ/K, the identity on the space that gradients span. So M = A / (K − 1) + λ
serves every class with one factorisation. For two classes hᵢ = 2 pᵢ (1 − pᵢ), and half of it makes M the Hessian.
"""

import numpy as np
from scipy import linalg, sparse

from sksoft.kernels import splitmix
from sksoft.objective.scores import Linear

# Above this many columns the Gram matrix (and its cube in time) costs more than the products it saves.
GRAM_COLUMNS = 2000
# Rows that estimate the Gram matrix, about; chosen by a hash of their position, so that a fit is deterministic and an
# order of the rows that repeats itself does no harm.
GRAM_ROWS = 8000


def for_point(point):
    """The best metric the data allow: Gram for dense linear scores, diagonal for sparse ones, none otherwise."""
    scores, X = point.objective.scores, point.objective.batches.X
    if not isinstance(scores, Linear):
        return np.copy
    if sparse.issparse(X) or scores.n_columns > GRAM_COLUMNS:
        return _diagonal(point)
    return _gram(point)


def _curvature(point) -> np.ndarray:
    """aᵢ hᵢ / (K − 1) of all rows, (n,)."""
    objective = point.objective
    out = np.empty(objective.batches.n_samples)

    def partial(block):
        proba = objective.proba(point, block)
        spread = np.maximum(1.0 - np.einsum("ij,ij->i", proba, proba), 0.0)
        out[block.rows] = block.weights * spread / max(objective.batches.n_classes - 1, 1)
        return ()

    objective.batches.map_reduce(partial)
    return out * (0.5 if objective.scores.n_rows == 1 else 1.0)


def _gram(point):
    scores, X = point.objective.scores, point.objective.batches.X
    curvature = _curvature(point)
    rows, sampled = X, curvature
    wanted = max(GRAM_ROWS, 4 * scores.n_columns)
    if len(curvature) > 2 * wanted:
        keys = splitmix.mix(np.arange(1, len(curvature) + 1, dtype=np.uint64))
        chosen = keys < np.uint64(2**64 * (wanted / len(curvature)))
        rows, sampled = X[chosen], curvature[chosen]
        sampled *= curvature.sum() / max(sampled.sum(), np.finfo(float).tiny)
    metric = np.empty((scores.n_columns, scores.n_columns))
    weighted = rows * sampled[:, None]
    metric[: scores.n_features, : scores.n_features] = rows.T @ weighted
    if scores.fit_intercept:
        metric[-1, :-1] = metric[:-1, -1] = weighted.sum(axis=0)
        metric[-1, -1] = sampled.sum()
    diagonal = np.einsum("ii->i", metric)
    diagonal[: scores.n_features] += point.objective.penalty.strength
    # Collinear columns without a penalty leave the metric singular; this much, in each column's scale, keeps it one.
    diagonal *= 1.0 + 1e-8
    diagonal[diagonal == 0.0] = 1.0
    factor = linalg.cho_factor(metric, lower=True, check_finite=False)
    shape = (scores.n_rows, scores.n_columns)

    def solve(r):
        return linalg.cho_solve(factor, r.reshape(shape).T, check_finite=False).T.ravel()

    return solve


# A pure Jacobi metric hurts on sparse data, a trace of it helps [Hsia, Chiang, Lin, ACML 2018].
JACOBI_SHARE = 0.003


def _diagonal(point):
    scores, X = point.objective.scores, point.objective.batches.X
    curvature = _curvature(point)
    squares = np.asarray(X.multiply(X).T @ curvature if sparse.issparse(X) else (X**2).T @ curvature).ravel()
    strength = point.objective.penalty.strength
    diagonal = np.empty(scores.n_columns)
    # Without a ridge there is no scale to share with, and columns of any scale must be seen.
    diagonal[: scores.n_features] = JACOBI_SHARE * squares + strength if strength else squares
    if scores.fit_intercept:
        diagonal[-1] = curvature.sum()
    diagonal[diagonal == 0.0] = 1.0
    diagonal = np.tile(diagonal, scores.n_rows)
    return lambda r: r / diagonal
