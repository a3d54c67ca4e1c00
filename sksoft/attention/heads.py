"""Several heads and the prior, as one answer.

Each head h averages the targets by weights of its own bandwidths, f_h(x), with total weight exp(lse_h(x)). What it
answers is drawn to the `prior`, the mean target, as if `sink` held exp(b_h) rows' weight of it::

    g_h(x) = σ_h f_h(x) + (1 − σ_h) prior,   σ_h = (1 − ε) exp(lse_h) / (exp(lse_h) + exp(b_h))
    f(x)   = Σ_h π_h g_h(x),                 π on the simplex

A query far from every row is so answered by the prior, and no class ever has probability zero that has one in the
prior. b = −∞ is no sink; ε is the share of the prior that is the same for all queries. Where a head has no neighbours
at all, σ_h = 0. What is of queries is where they are, on the host or a device; what is of heads is on the host.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax

from sksoft.kernels import placement


@dataclass(frozen=True)
class Heads:
    """How heads' answers are combined.

    Attributes
    ----------
    mixing_scores : ndarray (H,), float64
        π = softmax of them.
    sinks : ndarray (H,), float64
        b, the logarithm of the weight of the prior, −inf for none.
    prior : ndarray (v,), float64
    prior_mix : float in [0, 1]
        ε.
    """

    mixing_scores: np.ndarray
    sinks: np.ndarray
    prior: np.ndarray
    prior_mix: float = 0.0

    @property
    def mixing(self) -> np.ndarray:
        """π, (H,)."""
        return softmax(self.mixing_scores)

    def trust(self, h: int, lse) -> np.ndarray:
        """σ_h, (n,)."""
        with np.errstate(invalid="ignore"):
            share = _expit(lse - self.sinks[h])
        return np.where(lse > -np.inf, (1.0 - self.prior_mix) * share, 0.0)

    def answer(self, h: int, out, lse) -> np.ndarray:
        """g_h, (n, v), from f_h and lse_h."""
        if np.isneginf(self.sinks[h]) and self.prior_mix == 0.0 and np.all(lse > -np.inf):
            return out
        trust = self.trust(h, lse)[:, None]
        with np.errstate(invalid="ignore"):
            distrust = _expit(self.sinks[h] - lse)[:, None]
        rest = np.where(np.isneginf(lse)[:, None], 1.0, self.prior_mix + (1.0 - self.prior_mix) * distrust)
        return trust * np.where(trust > 0.0, out, 0.0) + rest * placement.where(out, self.prior)

    def combine(self, answers) -> np.ndarray:
        """f, (n, v), from the heads' answers."""
        if len(answers) == 1:
            return answers[0]
        return np.einsum("h,hik->ik", placement.where(answers[0], self.mixing), np.stack(answers))

    def pull(self, outs, lses, answers, gradient):
        """Gradients in each f_h and lse_h, the mixing scores and the sinks, from that (n, v) in f."""
        mixing, prior = self.mixing, placement.where(gradient, self.prior)
        aligned = np.array([float(np.vdot(gradient, answer)) for answer in answers])
        mixing_gradient = mixing * (aligned - mixing @ aligned)
        out_gradients, lse_gradients, sink_gradient = [], [], np.zeros(len(outs))
        for h, (out, lse) in enumerate(zip(outs, lses)):
            trust = self.trust(h, lse)
            out_gradients.append(mixing[h] * trust[:, None] * gradient)
            if np.isneginf(self.sinks[h]):
                lse_gradients.append(np.zeros_like(lse))
                continue
            answered = lse > -np.inf
            moved = np.einsum("ik,ik->i", gradient, np.where(answered[:, None], out, prior) - prior)
            slope = mixing[h] * trust * _expit(self.sinks[h] - lse) * moved
            lse_gradients.append(np.where(answered, slope, 0.0))
            sink_gradient[h] = -float(lse_gradients[h].sum())
        return out_gradients, lse_gradients, mixing_gradient, sink_gradient


def _expit(x):
    """1 / (1 + exp(−x)); SciPy's functions know no device."""
    if not placement.on_device(x):
        return expit(x)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0.0, 1.0, small) / (1.0 + small)
