r"""Rows that the classifier is most uncertain about, anywhere in feature space: gradient ascent on the entropy.

With p = softmax(z(x)) and H = −Σ_k p_k log p_k,

    ∂H/∂z_k = −p_k (log p_k + H),        ∂H/∂x = Σ_k ∂H/∂z_k ∂z_k/∂x

On linear scores H is highest along flats that have no end, far from all data, where a label may not exist [1]_.
So the objective is

    J(x) = H(p(x)) − (λ / 2p) (x − μ)ᵀ Σ⁻¹ (x − μ) − ρ Σ_j exp(−(x − x_j)ᵀ Σ⁻¹ (x − x_j) / 2p)

within a box, with μ and Σ (shrunk [2]_) of reference rows: λ is what a typical distance costs, in nats; ρ keeps the
rows of a batch apart, x_j being those that are made already. Each start is a reference row, and L-BFGS-B [3]_ ascends
in standardised features, so that units do not matter; to Σ they do not either, for what is shrunk is the correlation.

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
from scipy.optimize import Bounds, minimize
from sklearn.covariance import ledoit_wolf
from sklearn.utils import check_array

from sksoft.active.array_query import check_n_instances
from sksoft.active.differentiable import check_scores, score_map
from sksoft.active.distances import squared_distances
from sksoft.kernels import rowwise

MAX_ITERATIONS = 200
# The least variance in any direction by the largest: of standardised features.
LEAST_VARIANCE = 1e-8


class Plausibility:
    """Mahalanobis distances from reference rows, per feature: (x − μ)ᵀ Σ⁻¹ (x − μ) / p."""

    def __init__(self, reference):
        varies = np.ptp(reference, axis=0) > 0
        self.mean = np.where(varies, reference.mean(axis=0), reference[0])  # a mean of equal numbers may miss them
        spread = reference.std(axis=0)
        self.scale = np.where(varies & (spread > 0), spread, 1.0)
        lengths, axes = np.linalg.eigh(np.atleast_2d(ledoit_wolf((reference - self.mean) / self.scale)[0]))
        # few rows may leave nothing to shrink by, and directions without any variance
        half = axes / np.sqrt(np.maximum(lengths, LEAST_VARIANCE * lengths[-1])) / self.scale[:, None]
        self.precision = half @ half.T
        self.half = half
        self.n_features = reference.shape[1]

    def squared(self, away) -> tuple[np.ndarray, np.ndarray]:
        """The squared length per feature of rows (n, p), and its gradient."""
        bent = away @ self.precision
        return np.einsum("ij,ij->i", away, bent) / self.n_features, 2.0 * bent / self.n_features

    def whitened(self, rows) -> np.ndarray:
        """Rows whose Euclidean distances are these."""
        return (rows - self.mean) @ self.half


def entropy_and_gradient(scores) -> tuple[np.ndarray, np.ndarray]:
    """H (n,) in nats of softmax(scores), and ∂H/∂z (n, K)."""
    log_p = rowwise.log_softmax_rows(np.ascontiguousarray(scores))
    p = np.exp(log_p)
    log_p = np.where(p > 0, log_p, 0.0)
    entropy = -(p * log_p).sum(axis=1)
    return entropy, -p * (log_p + entropy[:, None])


def objective(x, scores_at, plausibility, made, penalty, repulsion) -> tuple[float, np.ndarray]:
    """J and its gradient at one row (p,)."""
    scores, pullback = scores_at(x[None])
    entropy, slope = entropy_and_gradient(scores)
    value, gradient = entropy[0], pullback(slope)[0]
    far, far_slope = plausibility.squared((x - plausibility.mean)[None])
    value, gradient = value - 0.5 * penalty * far[0], gradient - 0.5 * penalty * far_slope[0]
    if len(made):
        near, near_slope = plausibility.squared(x - made)
        pushes = repulsion * np.exp(-0.5 * near)
        value, gradient = value - pushes.sum(), gradient + 0.5 * pushes @ near_slope
    return value, gradient


def synthesized(scores_at, reference, n_rows, box, penalty, repulsion, n_starts, random_state) -> np.ndarray:
    """Rows (n_rows, p), one after the other: each the best of `n_starts` ascents from reference rows."""
    plausibility = Plausibility(reference)
    made = np.empty((0, reference.shape[1]))
    for _ in range(n_rows):
        starts = reference[random_state.randint(len(reference), size=n_starts)]
        found = [_ascended(start, box, scores_at, plausibility, made, penalty, repulsion) for start in starts]
        made = np.vstack([made, max(found, key=lambda one: one[0])[1]])
    return made


def _ascended(start, box, scores_at, plausibility, made, penalty, repulsion) -> tuple[float, np.ndarray]:
    """The height that an ascent comes to, and where."""
    mean, scale = plausibility.mean, plausibility.scale
    low, high = box

    def falling(u):
        value, gradient = objective(mean + scale * u, scores_at, plausibility, made, penalty, repulsion)
        return -value, -gradient * scale

    limits = Bounds((low - mean) / scale, (high - mean) / scale)
    first = (np.clip(start, low, high) - mean) / scale
    found = minimize(falling, first, jac=True, bounds=limits, method="L-BFGS-B", options={"maxiter": MAX_ITERATIONS})
    return -found.fun, np.clip(mean + scale * found.x, low, high)


def nearest_distinct(rows, pool, plausibility) -> np.ndarray:
    """For each row in turn the nearest pool row that is not taken, by Mahalanobis distance; of equals the first."""
    distances = squared_distances(plausibility.whitened(rows), plausibility.whitened(pool))
    chosen = np.empty(len(rows), np.intp)
    for i, row in enumerate(distances):
        row[chosen[:i]] = np.inf
        chosen[i] = np.argmin(row)
    return chosen


def made_rows(
    estimator, X_reference, n_instances, *, bounds, mahalanobis, repulsion, n_starts, project_to, random_state
) -> tuple[np.ndarray, np.ndarray]:
    """Checked: rows that a fitted classifier is uncertain about, and themselves, or their indices in `project_to`."""
    reference = check_array(X_reference, dtype=np.float64, ensure_min_samples=2, input_name="X_reference")
    if not np.ptp(reference, axis=0).any():
        raise ValueError("X_reference must hold at least two different rows. Got copies of one.")
    pool = None if project_to is None else check_array(project_to, dtype=np.float64, input_name="project_to")
    if pool is not None and pool.shape[1] != reference.shape[1]:
        raise ValueError(
            f"The 'project_to' parameter must have the {reference.shape[1]} features of X_reference. Got"
            f" {pool.shape[1]} instead."
        )
    check_count(n_instances, "n_instances")
    if pool is not None:
        check_n_instances(n_instances, len(pool), "project_to")
    check_count(n_starts, "n_starts")
    box = check_box(bounds, reference)
    penalty, push = check_strength(mahalanobis, "mahalanobis"), check_strength(repulsion, "repulsion")
    scores = score_map(estimator, reference)
    made = synthesized(scores, reference, int(n_instances), box, penalty, push, int(n_starts), random_state)
    check_scores(scores, estimator, made)
    if pool is None:
        return made, made
    chosen = nearest_distinct(made, pool, Plausibility(reference))
    return pool[chosen], chosen


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
    room = (low <= high) & (low < np.inf) & (high > -np.inf)  # NaN leaves none either
    if not room.all():
        column = int(np.argmin(room))
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
