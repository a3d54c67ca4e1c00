"""Several starts of L-BFGS for attention on a graph, which is not convex; the best is kept and all are told of.

The convex problem of uniform attention comes first: its solution is where every start has its W and c from, so that the
first, whose attention is uniform but for a trifle, can only improve on it. Others draw (a, b) so that scores on edges
differ by about one. Without a graph there is nothing but the convex problem.

References
----------
.. [1] Byrd, Lu, Nocedal, Zhu, "A limited memory algorithm for bound constrained optimization", SIAM J. Sci. Comput.
   16, 1995, algorithm L-BFGS-B.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from sksoft.attention.graph_objective import Coefficients, GraphObjective

# Spread of the scores on edges at the first start, and at others.
TRIFLE, SPREAD = 1e-3, 1.0
MEMORY = 20
# The convex problem has one solution, which is worth finding: its stationarity as a share of `tol`.
CONVEX_TOL = 1e-4


@dataclass(frozen=True)
class GraphSolution:
    """The best of several starts.

    Attributes
    ----------
    coefficients : Coefficients
    losses, stationarities : ndarray (n_starts,)
        F where each start ended, and the largest absolute entry of ∇F there, each in units of the root of about its
        curvature.
    uniform_loss : float
        F of the convex problem.
    n_iter : int
        Iterations of the best start, the convex problem's included.
    """

    coefficients: Coefficients
    losses: np.ndarray
    stationarities: np.ndarray
    uniform_loss: float
    n_iter: int

    @property
    def stationarity(self) -> float:
        """Of the best start."""
        return float(self.stationarities[np.argmin(self.losses)])


def solve(objective: GraphObjective, *, tol: float, max_iter: int, seeds: np.ndarray) -> GraphSolution:
    """Minimise F.

    Parameters
    ----------
    objective : GraphObjective
    tol : float >= 0
        Of the stationarity; the convex problem is solved to a share of it.
    max_iter : int >= 1
        Iterations of each start, and of the convex problem.
    seeds : ndarray (n_starts,), int
        Of what each start draws.
    """
    uniform = objective.uniform
    w = np.zeros(uniform.n_scores * (uniform.X.shape[1] + 3))
    ended = _descend(uniform, w, CONVEX_TOL * tol, max_iter)
    uniform_loss, n_iter = ended.fun, ended.nit
    several = [ended]
    if objective.learns_attention:
        starts = _starts(objective, uniform.unflat(ended.w), seeds)
        several = [_descend(objective, start.flat(), tol, max_iter) for start in starts]
    else:
        objective = uniform
    losses, stationarities = np.array([[one.fun, one.stationarity] for one in several]).T
    found = several[int(np.argmin(losses))]
    n_iter += found.nit if objective.learns_attention else 0
    return GraphSolution(objective.unflat(found.w), losses, stationarities, float(uniform_loss), int(n_iter))


def _starts(objective: GraphObjective, convex: Coefficients, seeds: np.ndarray):
    """W and c of the convex problem for all heads, with drawn (a, b)."""
    n_heads, n_scores = objective.n_heads, objective.n_scores
    features = np.repeat(convex.features, n_heads, axis=0)
    own = np.asarray(objective.X @ convex.features[0].T)
    size = max(np.sqrt(np.mean(np.sum((own - own.mean(axis=0)) ** 2, axis=1))), np.finfo(float).tiny)
    for start, seed in enumerate(seeds):
        spread = SPREAD if start else TRIFLE
        drawn = np.random.RandomState(seed).normal(size=(n_heads, 2, n_scores)) * min(spread / size, 1.0)
        yield Coefficients(features, drawn, convex.intercept)


def _descend(objective: GraphObjective, w: np.ndarray, tol: float, max_iter: int):
    """L-BFGS from w in rounder coordinates; the result gets `w` and `stationarity` in those of F."""
    scales = objective.scales()

    def evaluate(v):
        value, gradient = objective.value_and_gradient(v / scales)
        return value, gradient / scales

    options = {"maxiter": max_iter, "maxfun": 20 * max_iter, "ftol": 0.0, "gtol": tol, "maxcor": MEMORY}
    ended = optimize.minimize(evaluate, w * scales, jac=True, method="L-BFGS-B", options=options)
    ended.w, ended.stationarity = ended.x / scales, float(np.abs(ended.jac).max(initial=0.0))
    return ended
