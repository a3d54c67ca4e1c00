"""Kernels that are zero beyond one bandwidth: k(u) = [1 − |u|²]₊ʳ, r = 1 Epanechnikov, 2 biweight, 3 triweight.

A query with no row within one bandwidth has no weights: out = nan, lse = −inf. The gradient is piecewise smooth; where
a row stands exactly on the edge, the one-sided derivative from outside, zero, is taken.
"""

from dataclasses import dataclass

import numpy as np

from sksoft.attention.pair_blocks import average_blocks, pull_blocks


@dataclass(frozen=True)
class Compact:
    """[1 − |u|²]₊ to a power; methods as :class:`~sksoft.attention.smoothers.Smoother` says."""

    power: int

    def average(self, Q, K, V, log_weights, query_codes, key_codes):
        """Means of V over the rows within one bandwidth."""
        weights = np.exp(log_weights)
        out, total = average_blocks(
            lambda distances, left_out: self.weights(distances, left_out, weights), Q, K, V, query_codes, key_codes
        )
        with np.errstate(divide="ignore"):
            return out, np.log(total)

    def pull(self, Q, K, V, log_weights, query_codes, key_codes, out, lse, out_gradient, lse_gradient):
        """Gradients in Q, K and V."""
        weights = np.exp(log_weights)
        answered = lse > -np.inf
        upstream = np.where(answered[:, None], out_gradient, 0.0)
        own = np.where(answered, np.einsum("ij,ij->i", upstream, np.where(answered[:, None], out, 0.0)), 0.0)
        if lse_gradient is not None:
            own = own - np.where(answered, lse_gradient, 0.0)
        scale = np.where(answered, np.exp(-lse, where=answered, out=np.zeros_like(lse)), 0.0)

        def slopes(distances, left_out, block):
            height = np.maximum(1.0 - distances, 0.0)
            if left_out is not None:
                height[left_out] = 0.0
            # dk/dz = 2 r [1 − s]₊^(r−1) with s = −2 z
            slope = np.where(height > 0.0, 2.0 * self.power * height ** (self.power - 1), 0.0) * weights
            slope *= (upstream[block] @ V.T - own[block][:, None]) * scale[block][:, None]
            return slope, height**self.power * weights * scale[block][:, None]

        return pull_blocks(slopes, Q, K, V, query_codes, key_codes, upstream)

    def own_weights(self, Q, log_weights):
        """The weight of each row for itself."""
        return np.exp(log_weights - self.average(Q, Q, np.zeros((len(Q), 1)), log_weights, None, None)[1])

    def weights(self, distances, left_out, weights):
        """w_j k_ij from squared distances (b, m), which are overwritten; zero where `left_out`."""
        np.subtract(1.0, distances, out=distances)
        np.maximum(distances, 0.0, out=distances)
        if left_out is not None:
            distances[left_out] = 0.0
        return distances**self.power * weights
