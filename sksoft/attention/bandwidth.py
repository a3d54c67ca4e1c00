r"""Bandwidths by leave-one-out: the minimiser of the leave-one-out loss, found with its exact gradient.

The loss (:mod:`sksoft.attention.leave_one_out`) is smooth in log-bandwidths but not convex, so it is searched from
several starts, each a multiple of the median distance to a near neighbour. Where rows are many, the search is over the
loss of a sample of queries, with all rows as keys, until the last stage (:mod:`sksoft.attention.bandwidth_search`).

All bandwidths stay within a factor of 1e4 of the features' standard deviation: one that reaches the upper end says
that the feature does not matter, and a feature that is the same in all rows has bandwidth inf.
"""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sksoft._warnings import warn
from sksoft.attention.bandwidth_search import REACH, Search
from sksoft.attention.distinct_rows import distinct_rows
from sksoft.attention.feature_maps import Linear
from sksoft.attention.heads import Heads
from sksoft.attention.local_linear import LocalLinear
from sksoft.attention.smoothers import SMOOTHERS
from sksoft.kernels import placement


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
        Largest absolute entry of its gradient, projected on the bounds. With a linear metric, which is stopped early,
        it is not small.
    n_iter : int
        Iterations in all stages.
    starts : ndarray
        Loss reached from each start: with one bandwidth for all features (over a sample of queries where rows are
        many), then in the last stage; for a linear metric the loss of the held-out rows is last.
    converged : bool
        Whether the gradient is as small as was asked for; for a linear metric whether the held-out rows stopped the
        search; for the kernels whose gradient jumps, 'epanechnikov' and 'sparsemax', whether no descent was left.
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
        """Features of X in which head h takes distances, (n, p) or (n, r), where X is."""
        centre = placement.where(X, self.centre)
        if self.bandwidth is not None:
            return (X - centre) / placement.where(X, self.bandwidth[h])
        assert self.transformation is not None
        return (X - centre) @ placement.where(X, self.transformation[h])

    def to_columns(self, h: int, gradient) -> np.ndarray:
        """Gradient in X (n, p) from that in the features of head h."""
        if self.bandwidth is not None:
            return gradient / self.bandwidth[h]
        assert self.transformation is not None
        return gradient @ self.transformation[h].T


def smooth(chosen: Bandwidth, X, keys, targets, weights, query_codes=None, key_codes=None) -> np.ndarray:
    """Answers for X (n, p) from the rows `keys` (m, p) with `targets` (m, v) and `weights` (m,): (n, v).

    They are computed where X is, and keys of the host are moved there.
    """
    smoother, kept = SMOOTHERS[chosen.kernel], weights > 0.0
    if key_codes is not None:
        key_codes = key_codes[kept]
    keys, targets, log_weights = (
        placement.where(X, part) for part in (keys[kept], targets[kept], np.log(weights[kept]))
    )
    answers = []
    for h in range(chosen.n_heads):
        shared = (chosen.features(h, X), chosen.features(h, keys), targets, log_weights)
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


def effective_dof(chosen: Bandwidth, X, targets, weights, like=None) -> float:
    """Effective degrees of freedom: the trace of the matrix that takes the targets to the fitted answers [1]_.

    Σᵢ ∂fᵢ/∂tᵢ with each row among its own neighbours, the prior's part included: between 1 (every answer is the mean)
    and the number of rows (every answer is the row's own target). O(n²) time, where the array `like` lives.

    .. [1] Hastie, Tibshirani, Friedman, "The elements of statistical learning", 2nd edition, 2009, eq. (5.16).
    """
    kept = weights > 0.0
    X, targets, weights = (placement.where(like, array[kept]) for array in (X, targets, weights))
    smoother, log_weights, total = SMOOTHERS[chosen.kernel], np.log(weights), 0.0
    for h in range(chosen.n_heads):
        Q = chosen.features(h, X)
        if chosen.degree == 0:
            own = smoother.own_weights(Q, log_weights)
        else:
            own = LocalLinear(smoother).own_weights(Q, targets, log_weights, chosen.ridge)
        lse = smoother.average(Q, Q, placement.namespace(Q).zeros((len(Q), 1)), log_weights, None, None)[1]
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
    like=None,
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
        One bandwidth, one for each feature, or a matrix (p, rank), for which features of one scale are a good start.
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
        'loo' learns the weight of the prior as one more parameter of each head, and with the log-loss of n rows mixes
        1 / (n + 1) of it in; a float is a fixed share. 'auto' is 'loo' for the log-loss and for compact kernels and
        none for others.
    rank : int, optional
        Columns of a linear metric, p by default.
    like : array, optional
        On a device: rows are moved there once, and averages of them are computed there.

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
    rows = distinct_rows(X, targets, weights, groups)
    centre = np.zeros(X.shape[1]) if kernel == "dot" else rows.weights @ rows.X / rows.total
    rows = replace(rows, X=rows.X - centre)
    if np.all(np.ptp(rows.X, axis=0) == 0.0):
        raise ValueError("Bandwidths cannot be chosen where every feature is the same in all rows.")
    prior = _prior_options(prior_mix, kernel, loss, len(rows.X))
    search = Search(rows, kernel, loss, degree, prior, max_iter, tol, random_state, like)
    objective, theta, value = search.run(metric, heads, rank, starts)
    if not search.converged:
        warn(
            f"The search for bandwidths stopped after {search.n_iter} iterations with a gradient of "
            f"{search.gradient_norm:.2e}, above {search.gradient_goal:.2e}. Increase max_iter; near the edge"
            " of a compact kernel the loss may bend so sharply that no more steps help.",
            ConvergenceWarning,
        )
    maps, feature_map = objective.maps(theta), objective.feature_map
    linear = isinstance(feature_map, Linear)
    return Bandwidth(
        kernel=kernel,
        degree=degree,
        bandwidth=None if isinstance(feature_map, Linear) else np.array([feature_map.bandwidth(m) for m in maps]),
        transformation=maps.reshape(heads, X.shape[1], -1).copy() if linear else None,
        centre=centre,
        heads=objective.heads(theta),
        ridge=float(np.exp(theta[objective.sections["ridge"]][0])) if degree == 1 else 0.0,
        loss=value,
        gradient_norm=search.gradient_norm,
        n_iter=search.n_iter,
        starts=np.array(search.losses),
        converged=search.converged,
    )


def _prior_options(prior_mix, kernel, loss, n_rows):
    """Whether sinks are learned, and the fixed share.

    n rows that were no surprise do not say that none will come: that has probability 1 / (n + 1), and so much of the
    prior is in every distribution. It costs at most 1 / n nats, and no row ever more than log((n + 1) / its prior).
    """
    if prior_mix == "auto":
        prior_mix = "loo" if loss == "log" or kernel in REACH else 0.0
    if prior_mix != "loo":
        return False, float(prior_mix)
    return True, 1.0 / (n_rows + 1) if loss == "log" else 0.0
