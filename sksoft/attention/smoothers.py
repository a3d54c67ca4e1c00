"""The kernels of attention over rows: weights of keys for a query, what they average, and its derivative.

Each has two methods on features that are already divided by their bandwidths::

    average(Q, K, V, log_weights, query_codes, key_codes) -> (out, lse)
        out_i = Σ_j a_ij v_j,   lse_i = log Σ_j w_j k(q_i, k_j)
    pull(Q, K, V, log_weights, query_codes, key_codes, out, lse, out_gradient, lse_gradient) -> (dQ, dK, dV)

    own_weights(Q, log_weights) -> (n,)
        a_ii where each query is among the keys, which are the queries

Pairs with equal codes are left out; codes are None where none are, and so is `lse_gradient` where it is zero. A query
without neighbours has out = nan and lse = −inf. Scores that are inner products or distances are those of
:mod:`sksoft.kernels.attention`, and are computed where Q is, on the host or a device; compact and row-adaptive kernels
have files of their own, and compute on the host.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sksoft.attention.compact import Compact
from sksoft.attention.row_adaptive import RowAdaptive
from sksoft.kernels import attention, placement


class Smoother(Protocol):
    """What is asked of a kernel."""

    def average(self, Q, K, V, log_weights, query_codes, key_codes) -> tuple[np.ndarray, np.ndarray]:
        """Weighted means of V, one for each query, and the logarithm of the total weight."""

    def pull(self, Q, K, V, log_weights, query_codes, key_codes, out, lse, out_gradient, lse_gradient) -> tuple:
        """Gradients in Q, K and V."""

    def own_weights(self, Q, log_weights) -> np.ndarray:
        """The weight of each row for itself."""


@dataclass(frozen=True)
class Scored:
    """Softmax of a score: 'gaussian' −|q − k|²/2, 'laplace' −|q − k|, 'dot' q·k."""

    score: str

    def average(self, Q, K, V, log_weights, query_codes, key_codes):
        """See the module."""
        options = self._options(log_weights, query_codes, key_codes)
        return attention.attend(Q, K, V, **options)

    def pull(self, Q, K, V, log_weights, query_codes, key_codes, out, lse, out_gradient, lse_gradient):
        """See the module."""
        options = self._options(log_weights, query_codes, key_codes)
        return attention.attend_vjp(Q, K, V, out, lse, out_gradient, lse_gradient=lse_gradient, **options)[:3]

    def own_weights(self, Q, log_weights):
        """See the module."""
        none = placement.namespace(Q).zeros((len(Q), 1))
        lse = self.average(Q, Q, none, log_weights, None, None)[1]
        to_itself = np.einsum("ij,ij->i", Q, Q) if self.score == "dot" else 0.0
        return np.exp(to_itself + log_weights - lse)

    def _options(self, log_weights, query_codes, key_codes):
        codes = {"query_groups": query_codes, "key_groups": key_codes}
        return {"score": self.score, "bias": log_weights} | codes


# Those that compute where their arrays are.
ON_DEVICE = ("gaussian", "laplace", "dot")
SMOOTHERS: dict[str, Smoother] = {
    "gaussian": Scored("gaussian"),
    "laplace": Scored("laplace"),
    "dot": Scored("dot"),
    "epanechnikov": Compact(1),
    "biweight": Compact(2),
    "triweight": Compact(3),
    "sparsemax": RowAdaptive(2.0),
    "entmax15": RowAdaptive(1.5),
}
