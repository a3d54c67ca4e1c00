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
from scipy.special import expit, xlogy

from sksoft.kernels import projections, rowwise


class Link(Protocol):
    """What a link offers; ``on_simplex`` is whether its distributions sum to one."""

    on_simplex: ClassVar[bool]

    def predict(self, scores: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """The distribution p(s) of each row."""
        ...

    def conjugate(self, scores: np.ndarray) -> np.ndarray:
        """Ω*(s) of each row, shape (n,)."""
        ...

    def negentropy(self, proba: np.ndarray) -> np.ndarray:
        """Ω(p) of each row, shape (n,), in nats for softmax and sigmoid."""
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

    def conjugate(self, scores):
        return rowwise.logsumexp_rows(scores)

    def negentropy(self, proba):
        return -rowwise.entropy_rows(proba)

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

    def conjugate(self, scores):
        proba = self.predict(scores)
        expected_score = np.einsum("ij,ij->i", proba, np.where(proba > 0, scores, 0.0))
        return expected_score - self.negentropy(proba)

    def negentropy(self, proba):
        return ((proba**self.alpha).sum(axis=1) - 1.0) / (self.alpha * (self.alpha - 1.0))

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

    def conjugate(self, scores):
        return np.logaddexp(0.0, scores).sum(axis=1)

    def negentropy(self, proba):
        return (xlogy(proba, proba) + xlogy(1.0 - proba, 1.0 - proba)).sum(axis=1)

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
