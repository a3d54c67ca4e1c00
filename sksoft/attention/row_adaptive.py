"""Kernels whose reach is the row's own: α-entmax of z = −|u|²/2, sparsemax at α = 2.

    a_j = w_j [(α − 1) z_j − t]₊^(1/(α−1)),   t such that Σ_j a_j = 1                                    ([1]_, eq. 10)

With α = 2 these are Epanechnikov weights with a squared bandwidth −2t h² of the row's own: every query has neighbours.
A weight w_j is w_j copies of the row. The Jacobian is that of :func:`sksoft.kernels.projections.entmax_jvp_rows`.

References
----------
.. [1] Peters, Niculae, Martins, "Sparse sequence-to-sequence models", ACL 2019.
"""

from dataclasses import dataclass

import numpy as np

from sksoft.attention.pair_blocks import average_blocks, centred, pull_blocks, squared_distances
from sksoft.kernels.blocks import row_blocks

# Newton steps: about 10 are needed, a bound so that no input can spin.
MAX_STEPS = 200


@dataclass(frozen=True)
class RowAdaptive:
    """α-entmax over the keys; methods as :class:`~sksoft.attention.smoothers.Smoother` says, with lse = 0."""

    alpha: float

    def average(self, Q, K, V, log_weights, query_codes, key_codes):
        """Means of V; lse is 0, or −inf where no key is left."""
        weights = np.exp(log_weights)
        out, total = average_blocks(
            lambda distances, left_out: self.weights(distances, left_out, weights)[0], Q, K, V, query_codes, key_codes
        )
        return out, np.where(total > 0.0, 0.0, -np.inf)

    def pull(self, Q, K, V, log_weights, query_codes, key_codes, out, lse, out_gradient, lse_gradient):
        """Gradients in Q, K and V; `lse_gradient` has no effect, for lse does not change."""
        weights = np.exp(log_weights)
        answered = lse > -np.inf
        upstream = np.where(answered[:, None], out_gradient, 0.0)

        def slopes(distances, left_out, block):
            proba, slope = self.weights(distances, left_out, weights)
            inner = upstream[block] @ V.T
            total = slope.sum(axis=1)
            mean = np.einsum("ij,ij->i", slope, inner) / np.where(total > 0.0, total, 1.0)
            return slope * (inner - mean[:, None]), proba

        return pull_blocks(slopes, Q, K, V, query_codes, key_codes, upstream)

    def own_weights(self, Q, log_weights):
        """The weight of each row for itself."""
        weights, Q = np.exp(log_weights), centred(Q, Q)[0]
        own = np.empty(len(Q))
        for block in row_blocks(len(Q), 8 * len(Q)):
            proba = self.weights(squared_distances(Q[block], Q), None, weights)[0]
            own[block] = proba[np.arange(len(proba)), np.arange(len(Q))[block]]
        return own

    def weights(self, distances, left_out, weights):
        """Weights a (b, m) and da/dz before the shift of t, w [..]₊^(1/(α−1) − 1)."""
        power = 1.0 / (self.alpha - 1.0)
        distances[:, weights == 0.0] = np.inf
        if left_out is not None:
            distances[left_out] = np.inf
        nearest = distances.min(axis=1, keepdims=True)
        nearest[nearest == np.inf] = 0.0
        x = distances
        x -= nearest
        x *= -0.5 * (self.alpha - 1.0)
        # a root in [−(1/w)^(1/r), 0) of the weight of the nearest; f(t) = Σ w [x − t]₊^r is convex and decreasing
        heaviest = np.where(x == 0.0, weights, 0.0).max(axis=1, keepdims=True)
        threshold = -(np.where(heaviest > 0.0, heaviest, 1.0) ** (-1.0 / power))
        for _ in range(MAX_STEPS):
            above = np.maximum(x - threshold, 0.0)
            slope = np.where(above > 0.0, above ** (power - 1.0), 0.0) * weights
            total = np.einsum("ij,ij->i", slope, above)[:, None]
            steep = slope.sum(axis=1, keepdims=True)
            rise = (total - total ** (1.0 - 1.0 / power)) / np.where(steep > 0.0, steep, 1.0)
            moved = np.maximum(threshold, threshold + rise)
            if not np.any(moved > threshold):
                break
            threshold = moved
        above = np.maximum(x - threshold, 0.0)
        slope = np.where(above > 0.0, above ** (power - 1.0), 0.0) * weights
        proba = slope * above
        total = proba.sum(axis=1, keepdims=True)
        return proba / np.where(total > 0.0, total, 1.0), slope
