r"""Bandwidths by leave-one-out: the minimiser of the leave-one-out loss, found with its exact gradient.

The loss (:mod:`sksoft.attention.leave_one_out`) is smooth in log-bandwidths but not convex, so one bandwidth for all
features is searched from several starts first, each a multiple of the median distance to a near neighbour; the best
starts the search for one bandwidth per feature or a linear metric. Where rows are many, the search is over the loss of
a sample of queries (all rows are keys) until the last stage, which is over all.

All bandwidths stay within `RANGE` of the features' spread: one that reaches the upper end says that the feature does
not matter, and a feature that is the same in all rows has bandwidth inf.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from sksoft.attention.distinct_rows import DistinctRows, distinct_rows
from sksoft.attention.feature_maps import Ard, Linear, Scale
from sksoft.attention.heads import Heads
from sksoft.attention.leave_one_out import LeaveOneOut
from sksoft.attention.local_linear import LocalLinear
from sksoft.attention.pair_blocks import squared_distances
from sksoft.attention.smoothers import SMOOTHERS
from sksoft.kernels.blocks import serial_blas

# Bandwidths over the features' standard deviations.
RANGE = (1e-4, 1e4)
# Of local lines: the covariance of features is a difference of moments, whose rounding must stay far below the ridge.
LINES_RANGE, RIDGE_RANGE = (1e-3, 1e4), (1e-6, 1e8)
# Rows above which the search starts on a sample of queries, and how many these are.
ALL_QUERIES, SAMPLED_QUERIES = 3000, 2000
# The neighbour whose median distance is the unit of the starts, and rows whose distances are looked at.
NEIGHBOUR, DISTANCE_ROWS = 10, 500
# Compact kernels reach one bandwidth, softmax ones about three.
REACH = {"epanechnikov": 3.0, "biweight": 3.5, "triweight": 4.0}
# exp(-this) of a typical row's total weight is the prior's at the start.
SINK_START = 4.0


@dataclass(frozen=True)
class Bandwidth:
    """A fitted attention over the training set: what :func:`smooth` needs, and how it was found.

    Attributes
    ----------
    kernel : str
    degree : {0, 1}
    bandwidth : ndarray (H, p) or None
        Of each head and feature; inf where the feature is constant. None for a linear metric.
    transformation : ndarray (H, p, r) or None
        L of a linear metric: features are x L.
    centre : ndarray (p,)
        Subtracted from features before anything else; zeros for the kernel 'dot'.
    heads : Heads
        Mixing, sinks and prior.
    ridge : float
        λ of local lines, in units of a bandwidth.
    loss : float
        Mean weighted leave-one-out loss.
    gradient_norm : float
        Largest absolute entry of its gradient, projected on the bounds.
    n_iter : int
        Iterations in all stages.
    starts : ndarray (n_starts,)
        Loss reached from each start with one bandwidth for all features.
    converged : bool
    """

    kernel: str
    degree: int
    bandwidth: np.ndarray | None
    transformation: np.ndarray | None
    centre: np.ndarray
    heads: Heads
    ridge: float
    loss: float
    gradient_norm: float
    n_iter: int
    starts: np.ndarray
    converged: bool

    @property
    def n_heads(self) -> int:
        """Number of heads."""
        return len(self.heads.sinks)

    def features(self, h: int, X) -> np.ndarray:
        """Features of X in which head h takes distances, (n, p) or (n, r)."""
        if self.bandwidth is not None:
            return (X - self.centre) / self.bandwidth[h]
        assert self.transformation is not None
        return (X - self.centre) @ self.transformation[h]


def smooth(chosen: Bandwidth, X, keys, targets, weights, query_codes=None, key_codes=None) -> np.ndarray:
    """Answers for X (n, p) from the rows `keys` (m, p) with `targets` (m, v) and `weights` (m,): (n, v)."""
    smoother, kept = SMOOTHERS[chosen.kernel], weights > 0.0
    if key_codes is not None:
        key_codes = key_codes[kept]
    answers = []
    for h in range(chosen.n_heads):
        shared = (chosen.features(h, X), chosen.features(h, keys[kept]), targets[kept], np.log(weights[kept]))
        if chosen.degree == 0:
            out, lse = smoother.average(*shared, query_codes, key_codes)
        else:
            out, lse, _ = LocalLinear(smoother).average(*shared, query_codes, key_codes, chosen.ridge)
        answers.append(chosen.heads.answer(h, out, lse))
    return chosen.heads.combine(answers)


def loo_predictions(chosen: Bandwidth, X, targets, weights, groups=None) -> np.ndarray:
    """Answers for the training rows, each without its distinct row or group, (n, v); nan where the weight is 0."""
    rows = distinct_rows(X, targets, weights, groups)
    codes = rows.left_out
    answers = smooth(chosen, rows.X, rows.X, rows.targets, rows.weights, codes, codes)
    return np.where((rows.row >= 0)[:, None], answers[rows.row], np.nan)


def effective_dof(chosen: Bandwidth, X, targets, weights) -> float:
    """Effective degrees of freedom: the trace of the matrix that takes the targets to the fitted answers [1]_.

    Σᵢ ∂fᵢ/∂tᵢ with each row among its own neighbours, the prior's part included: between 1 (every answer is the mean)
    and the number of rows (every answer is the row's own target). O(n²) time.

    .. [1] Hastie, Tibshirani, Friedman, "The elements of statistical learning", 2nd edition, 2009, eq. (5.16).
    """
    kept = weights > 0.0
    X, targets, weights = X[kept], targets[kept], weights[kept]
    smoother, log_weights, total = SMOOTHERS[chosen.kernel], np.log(weights), 0.0
    for h in range(chosen.n_heads):
        Q = chosen.features(h, X)
        if chosen.degree == 0:
            own = smoother.own_weights(Q, log_weights)
        else:
            own = LocalLinear(smoother).own_weights(Q, targets, log_weights, chosen.ridge)
        lse = smoother.average(Q, Q, np.zeros((len(Q), 1)), log_weights, None, None)[1]
        trust = chosen.heads.trust(h, lse)
        total += chosen.heads.mixing[h] * float((trust * own + (1.0 - trust) * weights / weights.sum()).sum())
    return total


def choose_bandwidth(
    X,
    targets,
    weights,
    groups=None,
    *,
    kernel="gaussian",
    metric="scale",
    loss="squared",
    heads=1,
    degree=0,
    starts=(0.25, 1.0, 4.0),
    max_iter=200,
    tol=1e-4,
    random_state=None,
    prior_mix="auto",
    rank=None,
) -> Bandwidth:
    """Choose bandwidths by exact leave-one-out.

    Parameters
    ----------
    X : ndarray (n, p), float64, finite
    targets : ndarray (n, v), float64
        Real columns for 'squared', distributions for 'log'.
    weights : ndarray (n,), float64 >= 0
        Weight two is a repeated row; weight zero is no row.
    groups : ndarray (n,), or None
        Rows of a group are left out together. Without, rows with the same features are.
    kernel : str
        A name of :data:`~sksoft.attention.smoothers.SMOOTHERS`.
    metric : {'scale', 'ard', 'linear'}
        One bandwidth, one for each feature, or a matrix (p, rank).
    loss : {'squared', 'log'}
    heads : int >= 1
    degree : {0, 1}
        Local means, or local lines (squared loss only).
    starts : sequence of float > 0
        Multiples of the median distance to a near neighbour.
    max_iter : int >= 1
        Of each stage.
    tol : float > 0
        Stop when no entry of the gradient exceeds it times the loss of the prior alone.
    random_state : int, RandomState or None
        Draws the sample of queries.
    prior_mix : {'auto', 'loo'} or float in [0, 1)
        'loo' learns the weight of the prior as one more parameter of each head; a float is a fixed share. 'auto' is
        'loo' for the log-loss and for compact kernels and none for others.
    rank : int, optional
        Columns of a linear metric, p by default.

    Returns
    -------
    chosen : Bandwidth

    Raises
    ------
    ValueError
        If there are fewer than two distinct rows (or groups), or all features are the same in all rows.

    Warns
    -----
    ConvergenceWarning
        If the last stage ends with a larger gradient than `tol` allows.
    """
    if degree == 1 and loss != "squared":
        raise ValueError(f"degree=1 needs loss='squared', got {loss!r}: local lines are no probabilities.")
    centre = np.zeros(X.shape[1]) if kernel == "dot" else np.average(X, axis=0, weights=weights)
    rows = distinct_rows(X - centre, targets, weights, groups)
    search = _Search(rows, kernel, loss, degree, _prior_options(prior_mix, kernel, loss), max_iter, tol, random_state)
    theta, losses = search.best_scale(starts)
    objective, theta = search.refined(theta, metric, heads, rank)
    value, gradient_norm, converged = search.value, search.gradient_norm, search.converged
    if not converged:
        warnings.warn(
            f"The search for bandwidths stopped after {search.n_iter} iterations with a gradient of "
            f"{gradient_norm:.2e}, above {search.gradient_goal:.2e}. Increase max_iter or tol.",
            ConvergenceWarning,
            stacklevel=2,
        )
    maps = objective.maps(theta)
    linear = isinstance(objective.feature_map, Linear)
    return Bandwidth(
        kernel=kernel,
        degree=degree,
        bandwidth=None if linear else np.array([objective.feature_map.bandwidth(m) for m in maps]),
        transformation=maps.reshape(heads, X.shape[1], -1).copy() if linear else None,
        centre=centre,
        heads=objective.heads(theta),
        ridge=float(np.exp(theta[objective.sections["ridge"]][0])) if degree == 1 else 0.0,
        loss=value,
        gradient_norm=gradient_norm,
        n_iter=search.n_iter,
        starts=np.array(losses),
        converged=converged,
    )


def _prior_options(prior_mix, kernel, loss):
    """Whether sinks are learned, and the fixed share."""
    if prior_mix == "auto":
        prior_mix = "loo" if loss == "log" or kernel in REACH else 0.0
    return (True, 0.0) if prior_mix == "loo" else (False, float(prior_mix))


class _Search:
    """Stages of the search over one set of rows; `value`, `gradient_norm`, `converged` are of the last one."""

    def __init__(self, rows: DistinctRows, kernel, loss, degree, prior, max_iter, tol, random_state):
        self.rows, self.kernel, self.max_iter = rows, kernel, max_iter
        self.shared = {"smoother": SMOOTHERS[kernel], "loss": loss, "degree": degree}
        self.shared |= {"learns_sinks": prior[0], "prior_mix": prior[1]}
        self.n_iter, self.value, self.gradient_norm, self.converged = 0, np.inf, np.inf, False
        spread = np.sqrt(rows.weights @ rows.X**2 / rows.total - (rows.weights @ rows.X / rows.total) ** 2)
        self.constant = np.ptp(rows.X, axis=0) == 0.0
        self.spread = np.where(self.constant, 1.0, np.maximum(spread, np.finfo(float).tiny))
        rng = check_random_state(random_state)
        m = len(rows.X)
        self.queries = np.sort(rng.choice(m, SAMPLED_QUERIES, replace=False)) if m > ALL_QUERIES else slice(None)
        self.unit = self._loss_of_prior()  # of the loss: the search does not see in which units y is
        self.gradient_goal = tol * self.unit

    def _loss_of_prior(self):
        rows, prior = self.rows, self.rows.prior
        if self.shared["loss"] == "squared":
            scale = rows.weights @ ((rows.targets - prior) ** 2).sum(axis=1) / rows.total + rows.spread
        else:
            scale = -float(prior[prior > 0.0] @ np.log(prior[prior > 0.0]))
        return max(float(scale), np.finfo(float).tiny)

    def best_scale(self, starts):
        """θ of the best of several starts with one head and one bandwidth, and what each reached."""
        objective = LeaveOneOut(self.rows, feature_map=Scale(self.rows.X.shape[1]), **self.shared)
        unit = self._unit()
        found = []
        for factor in starts:
            theta = self._started(objective, np.full((1, 1), np.log(unit * factor)))
            found.append(self._minimise(objective, theta, self.queries, 10.0))
        return min(found, key=lambda pair: pair[1])[0], [value for _, value in found]

    def refined(self, theta, metric, heads, rank):
        """The objective that was asked for and its θ, from that of one head with one bandwidth."""
        p = self.rows.X.shape[1]
        log_h, rest = theta[0], theta[1:]
        # heads start apart: one bandwidth each, a factor of four between neighbours
        offsets = np.log(4.0) * (np.arange(heads) - (heads - 1) / 2)
        feature_map: Scale | Ard | Linear
        if metric == "scale":
            feature_map, start = Scale(p), (log_h + offsets)[:, None]
        elif metric == "ard":
            feature_map, start = Ard(self.constant), np.full((heads, p), log_h) + offsets[:, None]
        else:
            rank = p if rank is None else rank
            feature_map = Linear(p, rank)
            start = np.array([np.eye(p, rank).ravel() * np.exp(-log_h - offset) for offset in offsets])
        objective = LeaveOneOut(self.rows, feature_map=feature_map, n_heads=heads, **self.shared)
        theta = np.concatenate([start.ravel(), np.zeros(heads if heads > 1 else 0), self._repeated(rest, heads)])
        if not (isinstance(self.queries, slice) or (metric == "scale" and heads == 1)):
            theta, _ = self._minimise(objective, theta, self.queries, 10.0)
        theta, self.value = self._minimise(objective, theta, slice(None), 1.0)
        return objective, theta

    def _repeated(self, rest, heads):
        """(sink, log ridge) of one head as (sinks, log ridge) of several, those that are there."""
        n_sinks = int(self.shared["learns_sinks"])
        return np.concatenate([np.repeat(rest[:n_sinks], heads), rest[n_sinks:]])

    def _started(self, objective, maps):
        theta = np.zeros(objective.size)
        theta[objective.sections["maps"]] = maps.ravel()
        theta[objective.sections["ridge"]] = np.log(1e-2)
        if self.shared["learns_sinks"]:
            lse = objective.average(theta, 0, self.queries)[2]
            reached = lse[lse > -np.inf]
            theta[objective.sections["sinks"]] = np.median(reached) - SINK_START if len(reached) else 0.0
        return theta

    def _unit(self):
        """Median distance to a near neighbour that is not left out, among some rows and to all."""
        X = self.rows.X
        some = X[np.linspace(0, len(X) - 1, min(len(X), DISTANCE_ROWS)).astype(int)]
        if self.kernel == "dot":
            return float(np.sqrt(np.median(np.abs(some @ some.T)))) or 1.0
        distances = squared_distances(some, X)
        distances[distances <= 1e-14 * np.abs(X).max() ** 2] = np.inf
        distances = np.partition(distances, min(NEIGHBOUR, len(X) - 1) - 1, axis=1)
        near = distances[:, min(NEIGHBOUR, len(X) - 1) - 1]
        return REACH.get(self.kernel, 1.0) * float(np.sqrt(np.median(near[near < np.inf])))

    def _bounds(self, objective):
        bounds = np.tile([-np.inf, np.inf], (objective.size, 1))
        if not isinstance(objective.feature_map, Linear):
            spread = self.spread if isinstance(objective.feature_map, Ard) else np.linalg.norm(self.spread)
            scale = np.log(np.broadcast_to(spread, objective.feature_map.size))
            for j, factor in enumerate(LINES_RANGE if objective.degree else RANGE):
                bounds[objective.sections["maps"], j] = np.tile(scale + np.log(factor), objective.n_heads)
        bounds[objective.sections["ridge"]] = np.log(RIDGE_RANGE)
        return bounds

    def _minimise(self, objective, theta, queries, looseness):
        bounds = self._bounds(objective)
        theta = np.clip(theta, bounds[:, 0], bounds[:, 1])
        goal = self.gradient_goal * looseness
        options = {"maxiter": self.max_iter, "gtol": goal / self.unit, "ftol": 0.0, "maxcor": 20, "maxls": 20}

        def scaled(at):
            value, gradient = objective.evaluate(at, queries)
            return value / self.unit, gradient / self.unit

        with serial_blas():
            found = minimize(scaled, theta, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        step = np.clip(found.x - found.jac * self.unit, bounds[:, 0], bounds[:, 1]) - found.x
        self.n_iter += int(found.nit)
        self.gradient_norm = float(np.abs(step).max(initial=0.0))
        self.converged = self.gradient_norm <= goal
        return found.x, float(found.fun) * self.unit
