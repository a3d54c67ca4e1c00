r"""Local linear regression: a line through the neighbours, so that slopes and edges of the data do not bias the mean.

With the kernel's weights a_ij, in features in units of the bandwidth, the answer for query i is the value at q_i of

    min over α, β of   Σ_j a_ij |t_j − α − βᵀ(k_j − q_i)|² + λ |β|²                                     ([1]_, eq. 6.8)

    f_i = t̄ + (q_i − m)ᵀ (C + λ I)⁻¹ S,    t̄, m the weighted means of t and k, C = Cov(k), S = Cov(k, t)

The ridge λ makes it defined with few neighbours and is, in the kernel's own units, how much of a slope one bandwidth
of data must show: λ → ∞ is the local mean. The weighted moments are one call of attention whose values are t, k, k kᵀ
and k tᵀ, and the gradient is its derivative by the chain rule: O(n m (v + p² / 2 + p v)) time, O(n (p² + p v)) memory.

References
----------
.. [1] Hastie, Tibshirani, Friedman, "The elements of statistical learning", 2nd edition, 2009.
"""

from dataclasses import dataclass

import numpy as np

from sksoft.attention.smoothers import Smoother
from sksoft.kernels import placement


@dataclass(frozen=True)
class LocalLinear:
    """Local lines under a kernel's weights; `average` and `pull` as the kernel's, with the ridge besides."""

    smoother: Smoother

    def average(self, Q, K, V, log_weights, query_codes, key_codes, ridge):
        """Local lines' values at Q (n, v), the logarithm of the total weight (n,), and what `pull` wants."""
        values = _with_moments(K, V)
        moments, lse = self.smoother.average(Q, K, values, log_weights, query_codes, key_codes)
        mean, centre, C, S = _covariances(moments, K.shape[1], V.shape[1])
        unit = placement.namespace(K).eye(K.shape[1])
        answered = lse > -np.inf
        C = np.where(answered[:, None, None], C + ridge * unit, unit)
        solved = np.linalg.solve(C, np.concatenate([S, (Q - centre)[:, :, None]], axis=2))
        slopes, reach = solved[:, :, :-1], solved[:, :, -1]
        out = mean + np.einsum("ia,iak->ik", Q - centre, slopes)
        return out, lse, (values, moments, mean, centre, slopes, reach, answered)

    def own_weights(self, Q, V, log_weights, ridge):
        """How much each row's answer moves with its own target: a_ii (1 + (q − m)ᵀ (C + λ I)⁻¹ (q − m))."""
        _, _, (_, _, _, centre, _, reach, _) = self.average(Q, Q, V, log_weights, None, None, ridge)
        return self.smoother.own_weights(Q, log_weights) * (1.0 + np.einsum("ia,ia->i", reach, Q - centre))

    def pull(self, Q, K, V, log_weights, query_codes, key_codes, state, lse, out_gradient, lse_gradient):
        """Gradients in Q, K, V and the ridge."""
        values, moments, mean, centre, slopes, reach, answered = state
        up = np.where(answered[:, None], out_gradient, 0.0)
        reach = np.where(answered[:, None], reach, 0.0)
        centre, mean = np.where(answered[:, None], centre, 0.0), np.where(answered[:, None], mean, 0.0)
        along = np.einsum("iak,ik->ia", np.where(answered[:, None, None], slopes, 0.0), up)  # β dL/df
        at_centre = np.einsum("ia,ia->i", reach, centre)
        mean_gradient = up * (1.0 - at_centre)[:, None]
        centre_gradient = (
            reach * (np.einsum("ia,ia->i", along, centre) - np.einsum("ik,ik->i", up, mean))[:, None]
            + along * (at_centre - 1.0)[:, None]
        )
        outer = reach[:, :, None] * along[:, None, :]
        upper = _upper(-(outer + outer.transpose(0, 2, 1)))
        a, b = _upper_indices(K)
        upper *= np.where(a == b, 0.5, 1.0)
        cross = (reach[:, :, None] * up[:, None, :]).reshape(len(Q), -1)
        gradient = np.hstack([mean_gradient, centre_gradient, upper, cross])
        shared = (Q, K, values, log_weights, query_codes, key_codes, moments, lse)
        Q_gradient, K_gradient, values_gradient = self.smoother.pull(*shared, gradient, lse_gradient)
        from_values, V_gradient = _through_moments(K, V, values_gradient)
        return Q_gradient + along, K_gradient + from_values, V_gradient, -float(np.einsum("ia,ia->", reach, along))


def _with_moments(K, V):
    """Columns t, k, k_a k_b for a <= b, and k_a t_k."""
    squares = _upper(K[:, :, None] * K[:, None, :])
    products = (K[:, :, None] * V[:, None, :]).reshape(len(K), -1)
    return np.hstack([V, K, squares, products])


def _covariances(moments, p, v):
    """Means t̄ (n, v), m (n, p), Cov(k) (n, p, p), Cov(k, t) (n, p, v)."""
    mean, centre = moments[:, :v], moments[:, v : v + p]
    a, b = _upper_indices(centre)
    C = placement.namespace(moments).empty((len(moments), p, p))
    C[:, a, b] = C[:, b, a] = moments[:, v + p : v + p + len(a)]
    S = moments[:, v + p + len(a) :].reshape(-1, p, v)
    return mean, centre, C - centre[:, :, None] * centre[:, None, :], S - centre[:, :, None] * mean[:, None, :]


def _through_moments(K, V, gradient):
    """Gradients in K and V from that in the columns of `_with_moments`."""
    p, v = K.shape[1], V.shape[1]
    a, b = _upper_indices(K)
    squares = placement.namespace(K).zeros((len(K), p, p))
    squares[:, a, b] = gradient[:, v + p : v + p + len(a)]
    squares = squares + squares.transpose(0, 2, 1)
    products = gradient[:, v + p + len(a) :].reshape(-1, p, v)
    K_gradient = gradient[:, v : v + p] + np.einsum("iab,ib->ia", squares, K) + np.einsum("iak,ik->ia", products, V)
    return K_gradient, gradient[:, :v] + np.einsum("iak,ia->ik", products, K)


def _upper(matrices):
    a, b = _upper_indices(matrices)
    return matrices[:, a, b]


def _upper_indices(like):
    """a <= b below the number of columns of an array, where that is."""
    return placement.namespace(like).triu_indices(like.shape[1])
