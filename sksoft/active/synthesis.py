r"""Rows that the classifier is most uncertain about, anywhere in feature space: gradient ascent on the entropy.

With p = softmax(z(x)) and H = −Σ_k p_k log p_k,

    ∂H/∂z_k = −p_k (log p_k + H),        ∂H/∂x = Σ_k ∂H/∂z_k ∂z_k/∂x

On linear scores H is highest along flats that have no end, far from all data, where a label may not exist [1]_.
So the objective is

    J(x) = H(p(x)) − (λ / 2p) (x − μ)ᵀ Σ⁻¹ (x − μ) − ρ Σ_j exp(−(x − x_j)ᵀ Σ⁻¹ (x − x_j) / 2p)

within a box, with μ and Σ (shrunk [2]_) of reference rows: λ is what a typical distance costs, in nats; ρ keeps the
rows of a batch apart, x_j being those that are made already. Each start is a reference row, and L-BFGS-B [3]_ ascends.

References
----------
.. [1] E. Baum, K. Lang, "Query learning can work poorly when a human oracle is used", IJCNN 1992.
.. [2] O. Ledoit, M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", J. Multivariate
   Analysis 88, 2004, eq. 14.
.. [3] R. Byrd, P. Lu, J. Nocedal, C. Zhu, "A limited memory algorithm for bound constrained optimization", SIAM J.
   Scientific Computing 16, 1995.
"""

from numbers import Integral, Real

import numpy as np
from scipy.optimize import minimize
from sklearn.covariance import ledoit_wolf

from sksoft.active.distances import squared_distances
from sksoft.kernels import rowwise

MAX_ITERATIONS = 200


class Plausibility:
    """Mahalanobis distances from reference rows, per feature: (x − μ)ᵀ Σ⁻¹ (x − μ) / p."""

    def __init__(self, reference):
        self.mean = reference.mean(axis=0)
        covariance = np.atleast_2d(ledoit_wolf(reference)[0])
        constant = np.flatnonzero(np.diag(covariance) <= 0)
        covariance[constant, constant] = 1.0
        self.precision = np.linalg.inv(covariance)
        self.n_features = reference.shape[1]

    def squared(self, away) -> tuple[np.ndarray, np.ndarray]:
        """The squared length per feature of rows (n, p), and its gradient."""
        bent = away @ self.precision
        return np.einsum("ij,ij->i", away, bent) / self.n_features, 2.0 * bent / self.n_features

    def whitened(self, rows) -> np.ndarray:
        """Rows whose Euclidean distances are these."""
        return (rows - self.mean) @ np.linalg.cholesky(self.precision)


def entropy_and_gradient(scores) -> tuple[np.ndarray, np.ndarray]:
    """H (n,) in nats of softmax(scores), and ∂H/∂z (n, K)."""
    log_p = rowwise.log_softmax_rows(np.ascontiguousarray(scores))
    p = np.exp(log_p)
    log_p = np.where(p > 0, log_p, 0.0)
    entropy = -(p * log_p).sum(axis=1)
    return entropy, -p * (log_p + entropy[:, None])


def objective(x, score_map, plausibility, made, penalty, repulsion) -> tuple[float, np.ndarray]:
    """J and its gradient at one row (p,)."""
    scores, pullback = score_map(x[None])
    entropy, slope = entropy_and_gradient(scores)
    value, gradient = entropy[0], pullback(slope)[0]
    far, far_slope = plausibility.squared((x - plausibility.mean)[None])
    value, gradient = value - 0.5 * penalty * far[0], gradient - 0.5 * penalty * far_slope[0]
    if len(made):
        near, near_slope = plausibility.squared(x - made)
        pushes = repulsion * np.exp(-0.5 * near)
        value, gradient = value - pushes.sum(), gradient + 0.5 * pushes @ near_slope
    return value, gradient


def synthesized(score_map, reference, n_rows, box, penalty, repulsion, n_starts, random_state) -> np.ndarray:
    """Rows (n_rows, p), one after the other: each the best of `n_starts` ascents from reference rows."""
    plausibility = Plausibility(reference)
    low, high = box
    made = np.empty((0, reference.shape[1]))
    limits = list(zip(np.where(np.isfinite(low), low, -np.inf), np.where(np.isfinite(high), high, np.inf)))
    for _ in range(n_rows):
        starts = reference[random_state.randint(len(reference), size=n_starts)]
        found = [
            _ascended(np.clip(start, low, high), limits, score_map, plausibility, made, penalty, repulsion)
            for start in starts
        ]
        made = np.vstack([made, max(found, key=lambda one: one[0])[1]])
    return made


def _ascended(start, limits, *arguments) -> tuple[float, np.ndarray]:
    def falling(x):
        value, gradient = objective(x, *arguments)
        return -value, -gradient

    found = minimize(falling, start, jac=True, bounds=limits, method="L-BFGS-B", options={"maxiter": MAX_ITERATIONS})
    return -found.fun, found.x


def nearest_distinct(rows, pool, plausibility) -> np.ndarray:
    """For each row in turn the nearest pool row that is not taken, by Mahalanobis distance; of equals the first."""
    distances = squared_distances(plausibility.whitened(rows), plausibility.whitened(pool))
    chosen = np.empty(len(rows), np.intp)
    for i, row in enumerate(distances):
        row[chosen[:i]] = np.inf
        chosen[i] = np.argmin(row)
    return chosen


def check_box(bounds, reference) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds (p,) from what the user gave; ValueError where they cross."""
    n_features = reference.shape[1]
    if isinstance(bounds, str) and bounds == "reference":
        return reference.min(axis=0), reference.max(axis=0)
    if bounds is None:
        return np.full(n_features, -np.inf), np.full(n_features, np.inf)
    try:
        low, high = (np.broadcast_to(np.asarray(b, dtype=np.float64), n_features).copy() for b in bounds)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "The 'bounds' parameter must be 'reference', None or a pair (low, high) of numbers or arrays of"
            f" {n_features} numbers. Got {bounds!r} instead."
        ) from error
    if not (low <= high).all():  # NaN too
        column = int(np.argmin(low <= high))
        raise ValueError(
            f"The 'bounds' parameter must have low <= high. Got {low[column]:g} and {high[column]:g} for feature"
            f" {column} instead."
        )
    return low, high


def check_strength(value, name: str) -> float:
    """A finite number >= 0."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < np.inf:
        raise ValueError(f"The {name!r} parameter must be a finite float >= 0. Got {value!r} instead.")
    return float(value)


def check_count(value, name: str):
    """An int >= 1."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"The {name!r} parameter must be an int >= 1. Got {value!r} instead.")
