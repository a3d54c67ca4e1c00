r"""The log-likelihood of a multinomial logit in contrasts to its first class: value, score, information, sandwich.

With scores zᵢ = θ x̃ᵢ + oᵢ, whose first is that of offsets alone, pᵢ their softmax and rows of weight wᵢ::

    ℓ(θ)  = Σᵢ wᵢ ⟨tᵢ, log pᵢ⟩
    ∇ℓ    = Σᵢ wᵢ (tᵢ − pᵢ) x̃ᵢ'
    I(θ)  = Σᵢ wᵢ (diag pᵢ − pᵢ pᵢ') ⊗ x̃ᵢ x̃ᵢ'                              −∇²ℓ
    J(θ)  = Σ_c u_c u_c',      u_c = Σ_{i ∈ c} mᵢ vec((tᵢ − pᵢ) x̃ᵢ')        clusters c of rows, or single rows

I is built from the Gram matrices of K (K − 1) / 2 pairs of classes, Σᵢ wᵢ pᵢₖ pᵢₗ x̃ᵢ x̃ᵢ': a pair of classes k ≠ l has
minus that block, and the diagonal block of k the sum over all l ≠ k, in which nothing cancels where a row is nearly
certain. J is the product of blocks of rows u with themselves. Nothing of n × K p is held.

A penalty θ' Λ θ / 2 may be taken off ℓ, and then I + Λ stands for I where the maximum is sought.

The maximum is found by Newton's method with the whole information matrix. λ = (∇ℓ' I⁻¹ ∇ℓ)^½ is the distance to the
maximum in standard errors: no linear combination of coefficients is off by more than λ of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from scipy import linalg

from sksoft.kernels.blocks import map_blocks, row_blocks, scratch
from sksoft.linear.inference_columns import Columns, fold
from sksoft.objective.links import Softmax
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.targets import Target

# λ at which the maximum is reached.
SETTLED = 1e-9
# Near the maximum λ is squared at each step. Where it only shrinks, something grows without end.
NEAR, SLOW = 1e-2, 0.3
# Reciprocal condition of the information in orthonormal columns below which something may have grown already.
ILL_CONDITIONED = 1e-10
# At a maximum Newton's step moves no score by this much. Where classes are separated it moves some by 1.
STEADY = 0.1
MAX_STEPS, MAX_HALVINGS = 60, 30
# Bytes of the rows u of J that are held at once.
ROWS_BYTES = 1 << 25


@dataclass(frozen=True)
class Evaluation:
    """ℓ at one θ.

    Attributes
    ----------
    theta : ndarray (K − 1, m)
    value : float
    score : ndarray (K − 1, m)
    information : ndarray ((K − 1) m, (K − 1) m)
    """

    theta: np.ndarray
    value: float
    score: np.ndarray
    information: np.ndarray


@dataclass(frozen=True)
class Maximum:
    """Where Newton's method ended.

    Attributes
    ----------
    at : Evaluation
    distance : float
        λ; infinite where the information is singular.
    from_start : float
        λ where it began.
    suspicious : bool
        Whether λ no longer shrinks as it should, or the information is all but singular: the signs of separation.
    """

    at: Evaluation
    distance: float
    from_start: float
    suspicious: bool


@dataclass(frozen=True)
class Likelihood:
    """A multinomial logit of K classes on some columns.

    Attributes
    ----------
    columns : Columns
    target : Target of n rows
    weights : ndarray (n,), positive
    offset : ndarray (n, K) or None
    precision : ndarray ((K − 1) m, (K − 1) m) or None
        Λ.
    """

    columns: Columns
    target: Target
    weights: np.ndarray
    offset: np.ndarray | None = None
    precision: np.ndarray | None = None

    @property
    def n_classes(self) -> int:
        return self.target.n_classes

    def scores(self, theta: np.ndarray, X: np.ndarray, rows) -> np.ndarray:
        """z, (n', K), of rows whose columns are X."""
        z = np.zeros((len(X), self.n_classes))
        np.matmul(X, theta.T, out=z[:, 1:])
        return z if self.offset is None else z + self.offset[rows]

    def evaluate(self, theta: np.ndarray) -> Evaluation:
        """Value, score and information of ℓ, without a penalty, in one sweep. O(n K² m²)."""
        K, m = self.n_classes, theta.shape[1]
        pairs = list(combinations(range(K), 2))
        loss = FenchelYoung(Softmax())

        def step(sums, rows):
            value, score, grams = (0.0, np.zeros((K, m)), np.zeros((len(pairs), m, m))) if sums is None else sums
            X, weights, target = self.columns.rows(rows), self.weights[rows], self.target.rows(rows)
            z = self.scores(theta, X, rows)
            proba = np.empty_like(z)
            divergence = loss.evaluate(z, target, weights, residual=z, proba=proba)
            value += weights @ np.broadcast_to(target.negentropy(loss.link), len(weights)) - divergence
            score -= z.T @ X
            _add_grams(grams, X, proba, weights, pairs)
            return value, score, grams

        blocks = self.columns.blocks(8 * (m + 2 * K))
        value, score, grams = fold(blocks, step, _add_parts, 8 * len(pairs) * m**2)
        return Evaluation(theta, float(value), score[1:], _information(grams, pairs, K))

    def sandwich(self, theta: np.ndarray, multipliers: np.ndarray, cluster: np.ndarray | None = None) -> np.ndarray:
        """J, ((K − 1) m, (K − 1) m). O(n K² m²).

        Parameters
        ----------
        theta : ndarray (K − 1, m)
        multipliers : ndarray (n,)
            mᵢ.
        cluster : ndarray (n,) of int, 0 … G − 1, optional
            By default each row is one.
        """
        d = theta.size
        most = max(1, ROWS_BYTES // (8 * d))
        scored: Callable[[slice], np.ndarray] = partial(self._scored, theta, multipliers)
        runs = row_blocks(len(multipliers), 1, most)
        if cluster is not None:
            order = np.argsort(cluster, kind="stable")
            ends = np.concatenate([[0], np.cumsum(np.bincount(cluster))])
            scored = partial(self._summed, theta, multipliers, cluster, order, ends, most)
            runs = row_blocks(len(ends) - 1, 1, most)

        def step(total, run):
            u = scored(run)
            product = u.T @ u
            return product if total is None else np.add(total, product, out=total)

        return fold(runs, step, np.add, 8 * d**2)

    def _scored(self, theta, multipliers, rows) -> np.ndarray:
        """Each row's mᵢ vec((tᵢ − pᵢ) x̃ᵢ'), (n', (K − 1) m)."""
        X = self.columns.rows(rows)
        residual = self.scores(theta, X, rows)
        FenchelYoung(Softmax()).evaluate(residual, self.target.rows(rows), multipliers[rows], residual=residual)
        return (-residual[:, 1:, None] * X[:, None, :]).reshape(len(X), theta.size)

    def _summed(self, theta, multipliers, cluster, order, ends, most: int, some: slice) -> np.ndarray:
        """u_c of the clusters in `some`; `order` has the rows by cluster, and cluster c in ends[c] … ends[c + 1]."""
        rows = order[ends[some.start] : ends[some.stop]]
        u = np.zeros((some.stop - some.start, theta.size))
        for part in row_blocks(len(rows), 1, most):
            own = cluster[rows[part]] - some.start
            starts = np.flatnonzero(np.diff(own, prepend=-1))
            u[own[starts]] += np.add.reduceat(self._scored(theta, multipliers, rows[part]), starts)
        return u

    def is_steady(self, theta: np.ndarray) -> bool:
        """Whether Newton's step from θ is well determined and hardly moves any score: a maximum. One `evaluate`."""
        direction, _, condition = _newton_step(self.evaluate(theta))
        if direction is None or condition < ILL_CONDITIONED:
            return False

        def moved(rows):
            X = self.columns.rows(rows)
            return np.ptp(X @ np.vstack([np.zeros(X.shape[1]), direction]).T, axis=1).max()

        return max(map_blocks(moved, self.columns.blocks(8 * self.n_classes))) < STEADY

    def maximise(self, theta: np.ndarray) -> Maximum:
        """Newton's method from θ, with halved steps where ℓ would fall. O(n K² m² + K³ m³) a step."""
        at, before, from_start = self._penalised(theta), np.inf, np.nan
        for _ in range(MAX_STEPS):
            direction, distance, condition = _newton_step(at)
            from_start = distance if np.isnan(from_start) else from_start
            if direction is None:
                return Maximum(at, np.inf, from_start, suspicious=True)
            slow = before < NEAR and distance > SLOW * before
            if distance <= SETTLED or slow:
                return Maximum(at, distance, from_start, suspicious=slow or condition < ILL_CONDITIONED)
            at, before = self._risen(at, direction), distance
        return Maximum(at, distance, from_start, suspicious=True)

    def _penalised(self, theta: np.ndarray) -> Evaluation:
        """ℓ − θ' Λ θ / 2, its gradient and its negative Hessian."""
        plain = self.evaluate(theta)
        if self.precision is None:
            return plain
        pull = self.precision @ theta.ravel()
        return Evaluation(
            theta,
            plain.value - 0.5 * float(theta.ravel() @ pull),
            plain.score - pull.reshape(theta.shape),
            plain.information + self.precision,
        )

    def _risen(self, at: Evaluation, direction: np.ndarray) -> Evaluation:
        rounding = 1e-12 * (abs(at.value) + 1.0)
        for halvings in range(MAX_HALVINGS):
            there = self._penalised(at.theta + 0.5**halvings * direction)
            if there.value >= at.value - rounding:
                return there
        return there


def _add_parts(one, other):
    return tuple(a + b for a, b in zip(one, other))


def _add_grams(grams, X, proba, weights, pairs) -> None:
    """Σᵢ wᵢ pᵢₖ pᵢₗ x̃ᵢ x̃ᵢ' of each pair of classes, added to `grams`."""
    roots = np.sqrt(proba.T)
    weighted_roots = np.sqrt(weights) * roots
    buffer = scratch("weighted columns", X.shape)
    for gram, (k, other) in zip(grams, pairs):
        np.multiply(X, (weighted_roots[k] * roots[other])[:, None], out=buffer)
        gram += buffer.T @ buffer


def _information(grams, pairs, K: int) -> np.ndarray:
    m = grams.shape[1]
    blocks = np.zeros((K, m, K, m))
    for gram, (k, other) in zip(grams, pairs):
        blocks[k, :, other] = blocks[other, :, k] = -gram
        blocks[k, :, k] += gram
        blocks[other, :, other] += gram
    return blocks[1:, :, 1:].reshape((K - 1) * m, (K - 1) * m)


def _newton_step(at: Evaluation):
    """I⁻¹ ∇ℓ, λ and the reciprocal condition of I; nothing where I is not positive definite."""
    if not at.score.size:
        return at.score, 0.0, 1.0
    try:
        factor = linalg.cholesky(at.information, lower=True, check_finite=False)
    except linalg.LinAlgError:
        return None, np.inf, 0.0
    score = at.score.ravel()
    direction = linalg.cho_solve((factor, True), score, check_finite=False)
    condition, _ = linalg.lapack.dpocon(factor, np.abs(at.information).sum(axis=0).max(), uplo="L")
    return direction.reshape(at.score.shape), float(np.sqrt(max(score @ direction, 0.0))), float(condition)
