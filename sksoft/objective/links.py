r"""Links: how a row of scores becomes a distribution.

A link is the gradient of the conjugate of a negentropy Ω over the simplex [1]_, eq. (3)::

    p(s) = argmax_{p ∈ Δ} ⟨p, s⟩ − Ω(p)          Ω*(s) = max_{p ∈ Δ} ⟨p, s⟩ − Ω(p)

============  ==================================  ================================================
link          Ω(p), zero at the vertices          Jacobian times v, with q as named
============  ==================================  ================================================
softmax       Σ p log p                           p ∘ (v − ⟨p, v⟩)
α-entmax      (Σ pᵅ − 1) / (α (α − 1))            q ∘ (v − ⟨q, v⟩ / Σ q), q = p^(2−α) where p > 0
sparsemax     (Σ p² − 1) / 2, α-entmax at α = 2   the same: v minus its mean over the support
sigmoid       Σ p log p + (1 − p) log (1 − p)     p (1 − p) ∘ v; a box, not a simplex
============  ==================================  ================================================

Sparsemax and α-entmax have kinks where the support changes; there ``jvp`` is an element of the generalised Jacobian.

With σ = Σ q and q̂ = q / σ the Jacobian of α-entmax is σ (diag q̂ − q̂ q̂ᵀ): that of a softmax whose distribution is the
tilted q̂, in a row that weighs σ times as much. So whatever is built for the Hessian of softmax serves them all.

All links are immutable values. Arrays are (n, K), one distribution a row, float32 or float64.

References
----------
.. [1] Blondel, Martins, Niculae, "Learning with Fenchel–Young losses", JMLR 21(35), 2020.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from scipy.special import expit, hyp2f1, xlog1py, xlogy

from sksoft.kernels import placement, projections, rowwise


class Link(Protocol):
    """What a link offers; ``on_simplex`` is whether its distributions sum to one."""

    on_simplex: ClassVar[bool]

    def predict(self, scores: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """The distribution p(s) of each row."""
        ...

    def conjugate(self, scores: np.ndarray, proba: np.ndarray | None = None) -> np.ndarray:
        """Ω*(s) of each row, shape (n,); `proba` is p(s) where the caller has it."""
        ...

    def negentropy(self, proba: np.ndarray) -> np.ndarray:
        """Ω(p) of each row, shape (n,), in nats for softmax and sigmoid."""
        ...

    def negentropy_terms(self, proba: np.ndarray) -> np.ndarray:
        """ω(p) of each entry of an array of any shape; Ω is their sum over a row, and ω(0) = 0."""
        ...

    def jvp(self, proba, vectors, *, weights=None, out=None) -> np.ndarray:
        """weightᵢ · J(pᵢ) vᵢ for each row, J the Jacobian of the link written in p."""
        ...

    def tilted(self, proba: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """q̂ (n, K) and σ (n,) with J(p) = σ (diag q̂ − q̂ q̂ᵀ), None for ones; p and None off the simplex."""
        ...

    def max_entropy(self, n_classes: int) -> float:
        """The largest value of −Ω over the domain."""
        ...


@dataclass(frozen=True)
class Softmax:
    """p = exp(s) / Σ exp(s), from the Shannon negentropy."""

    on_simplex: ClassVar[bool] = True

    def predict(self, scores, out=None):
        return rowwise.softmax_rows(scores, out=out)

    def conjugate(self, scores, proba=None):
        return rowwise.logsumexp_rows(scores)

    def negentropy(self, proba):
        return -rowwise.entropy_rows(proba)

    def negentropy_terms(self, proba):
        if placement.on_device(proba):
            return proba * np.log(np.where(proba > 0.0, proba, 1.0))
        return xlogy(proba, proba)

    def jvp(self, proba, vectors, *, weights=None, out=None):
        return rowwise.softmax_jvp_rows(proba, vectors, weights=weights, out=out)

    def tilted(self, proba):
        return proba, None

    def max_entropy(self, n_classes):
        return float(np.log(n_classes))


@dataclass(frozen=True)
class Entmax:
    """α-entmax, 1 < α ≤ 2: sparse distributions from the Tsallis negentropy; sparsemax at α = 2.

    Parameters
    ----------
    alpha : float in (1, 2]
    """

    on_simplex: ClassVar[bool] = True
    alpha: float = 1.5

    def __post_init__(self):
        if not 1.0 < self.alpha <= 2.0:
            raise ValueError(f"The 'alpha' parameter of Entmax must be in (1, 2]. Got {self.alpha!r} instead.")

    def predict(self, scores, out=None):
        if self.alpha == 2.0:
            return projections.sparsemax_rows(scores, out=out)
        return projections.entmax_rows(scores, alpha=self.alpha, out=out)

    def conjugate(self, scores, proba=None):
        # Where p > 0, p^(α−1) = (α − 1)(s − max s) + (max p)^(α−1): no power of every entry is needed, and scores far
        # from zero cancel nothing.
        proba = self.predict(scores) if proba is None else proba
        top = scores.max(axis=1)
        below = np.where(proba > 0.0, scores, top[:, None]) - top[:, None]
        expected = np.einsum("ij,ij->i", proba, below, dtype=np.float64)
        highest = proba.max(axis=1).astype(np.float64)
        slack = -np.expm1((self.alpha - 1.0) * np.log(highest)) / (self.alpha * (self.alpha - 1.0))
        return top + ((1.0 - 1.0 / self.alpha) * expected + slack)

    def label_losses(self, scores, proba, codes):
        """The Fenchel–Young loss of labels y, (n,), from scores and the p(s) they give.

        With θ the score from which p > 0 and ε = 1 − p_y, from the conditions of optimality::

            L = Σ_{k≠y} pₖᵅ / α + ∫₀ᵉ u (1 − u)^(α−2) du + [θ − s_y]₊,       pₖ^(α−1) = (α − 1) [sₖ − θ]₊

        where every term is positive: nothing cancels in rows that are nearly right, whose loss is of order ε².
        """
        arange, beta = placement.namespace(codes).arange, self.alpha - 1.0
        own = arange(len(codes)), codes
        # (α − 1)(max s − θ), and then (α − 1)(sₖ − θ)
        height = proba.max(axis=1).astype(np.float64) ** beta
        powers = beta * (scores - scores.max(axis=1, keepdims=True)) + height[:, None]
        below = np.maximum(-powers[own], 0.0) / beta
        powers[own] = 0.0
        np.maximum(powers, 0.0, out=powers)
        others = np.where(arange(proba.shape[1]) == codes[:, None], 0.0, proba)
        missing = others.sum(axis=1, dtype=np.float64)
        wrong = np.einsum("ij,ij->i", others, powers) / self.alpha
        return wrong + self._missing_loss(missing, proba[own].astype(np.float64)) + below

    def _missing_loss(self, missing, p):
        """∫₀ᵉ u (1 − u)^(α−2) du where ε is `missing` and p = 1 − ε, each without the rounding of the other."""
        alpha, beta = self.alpha, self.alpha - 1.0
        if alpha == 2.0:
            return 0.5 * missing**2
        if alpha == 1.5:
            root = np.sqrt(p)
            return (2.0 / 3.0) * (missing / (1.0 + root)) ** 2 * (2.0 + root)
        small = np.minimum(missing, 0.5)
        near = 0.5 * small**2 * _near_series(beta, small)
        return np.where(missing < 0.5, near, 1.0 / (alpha * beta) - p**beta / beta + p**alpha / alpha)

    def negentropy(self, proba):
        return self.negentropy_terms(proba).sum(axis=1)

    def negentropy_terms(self, proba):
        # p (p^(α−1) − 1): of one sign, so that a sum over a row does not cancel for any α
        log_proba = np.log(np.where(proba > 0.0, proba, 1.0))
        return proba * np.expm1((self.alpha - 1.0) * log_proba) / (self.alpha * (self.alpha - 1.0))

    def jvp(self, proba, vectors, *, weights=None, out=None):
        return projections.entmax_jvp_rows(proba, vectors, alpha=self.alpha, weights=weights, out=out)

    def tilted(self, proba):
        q = np.zeros_like(proba)
        if self.alpha == 2.0:
            np.greater(proba, 0.0, out=q, casting="unsafe")
        elif self.alpha == 1.5:
            np.sqrt(proba, out=q)
        else:
            # a power of zero is zero: the host saves its time, and the device's functions know no `where`
            support = {} if placement.on_device(proba) else {"where": proba > 0.0}
            np.power(proba, 2.0 - self.alpha, out=q, **support)
        total = q.sum(axis=1, dtype=np.float64)
        q /= total[:, None].astype(q.dtype)
        return q, total

    def max_entropy(self, n_classes):
        return (1.0 - n_classes ** (1.0 - self.alpha)) / (self.alpha * (self.alpha - 1.0))


def _near_series(beta: float, x):
    """₂F₁(2, 1 − β; 3; x) for 0 ≤ x ≤ 1/2, where x lives: the device's library has none, and its terms are positive."""
    if not placement.on_device(x):
        return hyp2f1(2.0, 1.0 - beta, 3.0, x)
    n = np.arange(1.0, 56.0)  # 2⁻⁵⁵ is what the rest is at most
    terms = np.append(1.0, 2.0 / (n + 2.0) * np.cumprod((n - beta) / n))
    total = terms[-1] + 0.0 * x
    for term in terms[-2::-1]:
        total *= x
        total += term
    return total


@dataclass(frozen=True)
class Sigmoid:
    """p = 1 / (1 + exp(−s)) entry by entry: independent Bernoulli distributions."""

    on_simplex: ClassVar[bool] = False

    def predict(self, scores, out=None):
        return expit(scores, out=out)

    def conjugate(self, scores, proba=None):
        return np.logaddexp(0.0, scores).sum(axis=1)

    def negentropy(self, proba):
        return self.negentropy_terms(proba).sum(axis=1)

    def negentropy_terms(self, proba):
        return xlogy(proba, proba) + xlog1py(1.0 - proba, -proba)

    def jvp(self, proba, vectors, *, weights=None, out=None):
        product = np.multiply(proba * (1.0 - proba), vectors, out=out)
        if weights is not None:
            product *= np.asarray(weights)[:, None]
        return product

    def tilted(self, proba):
        return proba, None

    def max_entropy(self, n_classes):
        return float(n_classes * np.log(2.0))


LINKS: dict[str, Link] = {
    "softmax": Softmax(),
    "sparsemax": Entmax(2.0),
    "entmax15": Entmax(1.5),
    "sigmoid": Sigmoid(),
}
