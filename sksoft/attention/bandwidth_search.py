"""The search for bandwidths: starts, stages and bounds for L-BFGS-B [1]_ on the leave-one-out loss.

One bandwidth for all features is searched first, from several starts. It starts the others. Bandwidths of features are
searched from it and from a wide start. A linear metric has p r parameters and would fit the training set by heart
within a dozen steps (leave-one-out leaves out a key, not what the row did to the metric), so there the search is over
four fifths of the rows and stops where the loss of the fifth that is held out does. With rows enough to tell, it is
searched from bandwidths of features too, and the better of the two is kept.

References
----------
.. [1] Byrd, Lu, Nocedal, Zhu, "A limited memory algorithm for bound constrained optimization", SIAM J. Sci. Comput.
   16, 1995.
"""

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize
from sklearn.utils import check_random_state

from sksoft.attention.distinct_rows import DistinctRows
from sksoft.attention.feature_maps import Ard, Linear, Scale
from sksoft.attention.leave_one_out import LeaveOneOut
from sksoft.attention.pair_blocks import squared_distances
from sksoft.attention.smoothers import SMOOTHERS
from sksoft.kernels import placement, splitmix
from sksoft.kernels.blocks import serial_blas
from sksoft.kernels.registry import backend_for

# Bandwidths over the features' standard deviations.
RANGE = (1e-4, 1e4)
# Of local lines: the covariance of features is a difference of moments, whose rounding must stay far below the ridge.
LINES_RANGE, RIDGE_RANGE = (1e-3, 1e4), (1e-6, 1e8)
# Rows above which the search is over a sample of queries at first, and how many these are.
ALL_QUERIES, SAMPLED_QUERIES = 3000, 2000
# Pairs of rows from which a fit is compiled: it asks for each some fifty times, values and gradients.
COMPILED_PAIRS = 1 << 17
# The neighbour whose median distance is the unit of the starts, and rows whose distances are looked at.
NEIGHBOUR, DISTANCE_ROWS = 10, 500
# Compact kernels reach one bandwidth, softmax ones about three.
REACH = {"epanechnikov": 3.0, "biweight": 3.5, "triweight": 4.0}
# Their gradient jumps where a row comes into reach, and need not vanish at the minimum: the search ends where no step
# along its direction decreases the loss.
KINKED = {"epanechnikov", "sparsemax"}
# exp(-this) of a typical row's total weight is the prior's at the start.
SINK_START = 4.0
# A stage that only starts another may leave this many times the gradient.
LOOSE = 10.0
# Steps without a better held-out loss after which the search ends.
PATIENCE = 6
# Rows from which the held-out fifth can tell two ways apart, and a linear metric is also searched from bandwidths of
# features: on 309 rows (diabetes) the better of two for 62 held-out rows was the worse for others.
TWO_WAYS = 1000


class Search:
    """Stages of the search over one set of rows; `gradient_norm` and `converged` are of the last one.

    Parameters
    ----------
    rows : DistinctRows
    kernel, loss, degree
        As :func:`~sksoft.attention.bandwidth.choose_bandwidth` takes them.
    prior : (bool, float)
        Whether sinks are learned, and the fixed share of the prior.
    max_iter, tol, random_state
        As there.
    like : array, optional
        Averages of rows are computed where it lives; all else is small, and of the host.
    """

    def __init__(self, rows: DistinctRows, kernel, loss, degree, prior, max_iter, tol, random_state, like=None):
        self.rows, self.kernel, self.max_iter = rows, kernel, max_iter
        self.there = rows.moved_to(like)
        self.shared = {"smoother": SMOOTHERS[kernel], "loss": loss, "degree": degree}
        self.shared |= {"learns_sinks": prior[0], "prior_mix": prior[1]}
        self.n_iter, self.gradient_norm, self.converged = 0, np.inf, False
        spread = np.sqrt(rows.weights @ (rows.X - rows.weights @ rows.X / rows.total) ** 2 / rows.total)
        self.constant = np.ptp(rows.X, axis=0) == 0.0
        self.spread = np.where(self.constant, 1.0, np.maximum(spread, np.finfo(float).tiny))
        self.seed = np.uint64(check_random_state(random_state).randint(2**31))
        self.queries = self._sample(SAMPLED_QUERIES if len(rows.X) > ALL_QUERIES else len(rows.X))
        self.unit = self._loss_of_prior()  # of the loss: the search does not see in which units y is
        self.gradient_goal = tol * self.unit
        self.losses: list[float] = []

    def run(self, metric, heads, rank, starts) -> tuple[LeaveOneOut, np.ndarray, float]:
        """The objective that was asked for, its best θ and the loss there, over all rows."""
        scale = self._objective(Scale(self.rows.X.shape[1]))
        near, found = self.near_distance(), []
        for factor in starts:
            found.append(self._minimise(scale, self._started(scale, np.log(near * factor)), self.queries, LOOSE))
        self.losses += [value for _, value in found]
        theta = min(found, key=lambda pair: pair[1])[0]
        if metric == "scale" and heads == 1:
            return self._polished(scale, [theta])
        if metric == "linear":
            return self._held_out(theta, heads, rank)
        objective = self._objective(Ard(self.constant) if metric == "ard" else scale.feature_map, heads)
        wide = self._started(scale, np.log(2.0 * near))
        thetas = [self._spread_out(objective, start) for start in (theta, wide)]
        if not isinstance(self.queries, slice):
            found = [self._minimise(objective, start, self.queries, LOOSE) for start in thetas]
            self.losses += [value for _, value in found]
            thetas = [min(found, key=lambda pair: pair[1])[0]]
        return self._polished(objective, thetas)

    def _sample(self, size):
        """Rows drawn by their content and the seed, not by where they stand; all where there are no more."""
        if len(self.rows.X) <= size:
            return slice(None)
        return np.sort(np.argsort(splitmix.mix(self.rows.keys ^ self.seed), kind="stable")[:size])

    def _moved(self, queries):
        """Rows by number, where the rows of the averages are."""
        return queries if isinstance(queries, slice) else placement.where(self.there.X, queries)

    def near_distance(self) -> float:
        """Median distance to a near neighbour, from some rows to all; for inner products, the root of a typical one."""
        X = self.rows.X
        some = X[self._sample(DISTANCE_ROWS)]
        if self.kernel == "dot":
            return float(np.sqrt(np.median(np.abs(some @ some.T)))) or 1.0
        distances = squared_distances(some, X)
        distances[distances <= 1e-14 * np.abs(X).max() ** 2] = np.inf
        near = np.partition(distances, min(NEIGHBOUR, len(X) - 1) - 1, axis=1)[:, min(NEIGHBOUR, len(X) - 1) - 1]
        if not (near < np.inf).any():  # clusters of rows that rounding tells apart are smaller than that
            near = distances.ravel()
        return REACH.get(self.kernel, 1.0) * float(np.median(np.sqrt(near[near < np.inf])))

    def _objective(self, feature_map, heads=1):
        return LeaveOneOut(self.there, feature_map=feature_map, n_heads=heads, **self.shared)

    def _loss_of_prior(self):
        rows, prior = self.rows, self.rows.prior
        if self.shared["loss"] == "squared":
            scale = rows.weights @ ((rows.targets - prior) ** 2).sum(axis=1) / rows.total + rows.spread
        else:
            scale = -float(prior[prior > 0.0] @ np.log(prior[prior > 0.0]))
        return max(float(scale), np.finfo(float).tiny)

    def _started(self, objective, log_bandwidth):
        theta = np.zeros(objective.size)
        theta[objective.sections["maps"]] = log_bandwidth
        theta[objective.sections["ridge"]] = np.log(1e-2)
        if self.shared["learns_sinks"]:
            lse = placement.to_host(objective.average(theta, 0, self._moved(self.queries))[2])
            reached = lse[lse > -np.inf]
            theta[objective.sections["sinks"]] = np.median(reached) - SINK_START if len(reached) else 0.0
        return theta

    def _spread_out(self, objective, theta):
        """θ of `objective` from that of one head with one bandwidth; heads start a factor of four apart."""
        heads, feature_map = objective.n_heads, objective.feature_map
        offsets = np.log(4.0) * (np.arange(heads) - (heads - 1) / 2)
        logs = theta[0] + offsets
        if isinstance(feature_map, Linear):
            eye = np.eye(feature_map.n_features, feature_map.rank).ravel()
            maps = np.exp(-logs)[:, None] * eye
        else:
            maps = np.repeat(logs[:, None], feature_map.size, axis=1)
        n_sinks = int(self.shared["learns_sinks"])
        rest = [np.zeros(heads if heads > 1 else 0), np.repeat(theta[1 : 1 + n_sinks], heads), theta[1 + n_sinks :]]
        return np.concatenate([maps.ravel(), *rest])

    def _polished(self, objective, thetas):
        """The best of what the searches over all rows from `thetas` end in."""
        best: tuple = (None, np.inf)
        for start in thetas:
            theta, value = self._minimise(objective, start, slice(None), 1.0)
            self.losses.append(value)
            if value < best[1] or best[0] is None:
                best = (theta, value, self.gradient_norm, self.converged)
        theta, value, self.gradient_norm, self.converged = best
        return objective, theta, value

    def _held_out(self, theta, heads, rank):
        """A linear metric: of the searches from one bandwidth and from one each the better for the held-out rows."""
        p = self.rows.X.shape[1]
        objective = self._objective(Linear(p, p if rank is None else rank), heads)
        by_feature = self._objective(Ard(self.constant), heads)
        begun = self._spread_out(objective, theta)
        best, value, ended = self._watched(objective, begun)
        if len(self.rows.X) >= TWO_WAYS:
            features, _, _ = self._watched(by_feature, self._spread_out(by_feature, theta))
            scales = np.array([1.0 / by_feature.feature_map.bandwidth(h) for h in by_feature.maps(features)])
            scaled = scales[:, :, None] * np.eye(p, objective.feature_map.rank)
            rest = features[by_feature.sections["maps"].stop :]
            other = self._watched(objective, np.concatenate([scaled.ravel(), rest]))
            if other[1] < value:
                best, value, ended = other
        self.losses.append(value)
        value, gradient = objective.evaluate(best)
        self.gradient_norm, self.converged = float(np.abs(gradient).max()), ended
        return objective, best, value

    def _watched(self, objective, start):
        """θ of the least loss of the held-out fifth on the way from `start`, that loss, and whether the way ended."""
        held = self.rows.fifth()
        learning, queries = replace(objective, absent=held), self._moved(np.flatnonzero(held))
        best = [learning.evaluate(start, queries, slope=False)[0], start, 0]
        n_iter = 0

        def watch(intermediate_result):
            nonlocal n_iter
            n_iter += 1
            value = learning.evaluate(intermediate_result.x, queries, slope=False)[0]
            if value < best[0]:
                best[:] = [value, intermediate_result.x.copy(), n_iter]
            if n_iter - best[2] >= PATIENCE:
                raise StopIteration

        self._minimise(learning, start, np.flatnonzero(~held), 1.0, watch)
        return best[1], best[0], self.converged or n_iter - best[2] >= PATIENCE

    def _bounds(self, objective):
        bounds = np.tile([-np.inf, np.inf], (objective.size, 1))
        if not isinstance(objective.feature_map, Linear):
            spread = self.spread if isinstance(objective.feature_map, Ard) else np.linalg.norm(self.spread)
            scale = np.log(np.broadcast_to(spread, objective.feature_map.size))
            for j, factor in enumerate(LINES_RANGE if objective.degree else RANGE):
                bounds[objective.sections["maps"], j] = np.tile(scale + np.log(factor), objective.n_heads)
        bounds[objective.sections["ridge"]] = np.log(RIDGE_RANGE)
        return bounds

    def _minimise(self, objective, theta, queries, looseness, watch=None):
        bounds, queries = self._bounds(objective), self._moved(queries)
        theta = np.clip(theta, bounds[:, 0], bounds[:, 1])
        goal = self.gradient_goal * looseness
        options = {"maxiter": self.max_iter, "gtol": goal / self.unit, "ftol": 0.0, "maxcor": 20, "maxls": 20}
        settings = {"jac": True, "method": "L-BFGS-B", "bounds": bounds, "options": options, "callback": watch}

        def scaled(at):
            value, gradient = objective.evaluate(at, queries)
            return value / self.unit, gradient / self.unit

        with serial_blas(), backend_for(len(self.rows.X) ** 2, COMPILED_PAIRS, self.there.X)():
            found = minimize(scaled, theta, **settings)
        step = np.clip(found.x - found.jac * self.unit, bounds[:, 0], bounds[:, 1]) - found.x
        self.n_iter += int(found.nit)
        self.gradient_norm = float(np.abs(step).max(initial=0.0))
        self.converged = self.gradient_norm <= goal or (self.kernel in KINKED and found.nit < self.max_iter)
        return found.x, float(found.fun) * self.unit
