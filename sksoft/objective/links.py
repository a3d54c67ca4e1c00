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

All links are immutable values. Arrays are (n, K), one distribution a row, float32 or float64.

References
----------
.. [1] Blondel, Martins, Niculae, "Learning with Fenchel–Young losses", JMLR 21(35), 2020.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from scipy.special import expit, xlog1py, xlogy

from sksoft.kernels import projections, rowwise


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
        return xlogy(proba, proba)

    def jvp(self, proba, vectors, *, weights=None, out=None):
        return rowwise.softmax_jvp_rows(proba, vectors, weights=weights, out=out)

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
        below = np.subtract(scores, top[:, None], out=np.zeros_like(scores), where=proba > 0.0)
        expected = np.einsum("ij,ij->i", proba, below, dtype=np.float64)
        highest = proba.max(axis=1).astype(np.float64)
        slack = -np.expm1((self.alpha - 1.0) * np.log(highest)) / (self.alpha * (self.alpha - 1.0))
        return top + ((1.0 - 1.0 / self.alpha) * expected + slack)

    def negentropy(self, proba):
        return self.negentropy_terms(proba).sum(axis=1)

    def negentropy_terms(self, proba):
        # p (p^(α−1) − 1): of one sign, so that a sum over a row does not cancel for any α
        log_proba = np.log(proba, out=np.zeros_like(proba), where=proba > 0.0)
        return proba * np.expm1((self.alpha - 1.0) * log_proba) / (self.alpha * (self.alpha - 1.0))

    def jvp(self, proba, vectors, *, weights=None, out=None):
        return projections.entmax_jvp_rows(proba, vectors, alpha=self.alpha, weights=weights, out=out)

    def max_entropy(self, n_classes):
        return (1.0 - n_classes ** (1.0 - self.alpha)) / (self.alpha * (self.alpha - 1.0))


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

    def max_entropy(self, n_classes):
        return float(n_classes * np.log(2.0))


LINKS: dict[str, Link] = {
    "softmax": Softmax(),
    "sparsemax": Entmax(2.0),
    "entmax15": Entmax(1.5),
    "sigmoid": Sigmoid(),
}
