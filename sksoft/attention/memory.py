r"""The training rows as keys and values, and what they answer.

    f(x) = Σ_h π_h [ σ_h(x) Σ_j a_hj(x) t_j + (1 − σ_h(x)) prior ],   a_hj(x) = w_j k_h(x, x_j) / Σ_l w_l k_h(x, x_l)

for heads h with bandwidths of their own; σ_h is one where a head draws nothing to the prior (see
:mod:`sksoft.attention.heads`). Rows with the same features are one key: its weight is the sum of theirs, its value
their weighted mean. So a row of weight two is the row twice in all that follows, in the k nearest keys too.

Keys are in the order of a hash of their features, whatever the order of the training rows: neither that order nor a
repetition changes a bit of what is computed from them, but for rounding in the sums of several rows that are one key.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse
from sklearn.neighbors import KDTree

from sksoft.attention.bandwidth import Bandwidth, smooth
from sksoft.attention.compact import Compact
from sksoft.attention.pair_weights import pair_weights
from sksoft.attention.smoothers import SMOOTHERS
from sksoft.kernels.blocks import row_blocks, serial_blas
from sksoft.kernels.row_keys import row_keys


@dataclass(frozen=True)
class Keys:
    """The distinct training rows.

    Attributes
    ----------
    X : ndarray (m, p), float64
    targets : ndarray (m, v), float64
        Weighted means over the rows that are this key.
    weights : ndarray (m,), float64 > 0
    key_of : ndarray (n,), int64
        The key of each of the n rows given, −1 for those of weight zero.
    share : ndarray (n,), float64
        Of each row in the weight of its key; 0 for those of weight zero.
    """

    X: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    key_of: np.ndarray
    share: np.ndarray

    def expanded(self, weights: sparse.csr_array) -> sparse.csr_array:
        """Weights of keys (b, m) as weights of the n rows given, (b, n): each has its share."""
        kept = np.flatnonzero(self.key_of >= 0)
        shape = (len(self.X), len(self.key_of))
        spread = sparse.csr_array((self.share[kept], (self.key_of[kept], kept)), shape=shape)
        expanded = sparse.csr_array(weights @ spread)
        expanded.sort_indices()
        return expanded


def canonical_order(X, targets, weights) -> np.ndarray:
    """Rows of positive weight, those with the same features side by side, in an order that knows contents only.

    Parameters
    ----------
    X : ndarray (n, p), float64
    targets : ndarray (n, v), float64
    weights : ndarray (n,), float64 >= 0

    Returns
    -------
    order : ndarray (m,), int64
        By a hash of the features, then of the targets, then by weight. O(n (p + v) + n log n).
    """
    kept = np.flatnonzero(weights > 0.0)
    return kept[np.lexsort((weights[kept], row_keys(targets[kept]), row_keys(X[kept])))]


def keys_of(X, targets, weights, order) -> Keys:
    """Merge rows with the same features, which `order` has side by side. O(n (p + v))."""
    ordered = X[order] + 0.0  # -0.0 is 0.0
    starts = np.flatnonzero(np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)]))
    total = np.add.reduceat(weights[order], starts)
    means = np.add.reduceat(weights[order, None] * targets[order], starts) / total[:, None]
    ends = np.append(starts[1:], len(order)) - 1
    alike = (targets[order[starts]] == targets[order[ends]]).all(axis=1)  # they are in order, and so all are alike
    means[alike] = targets[order[starts[alike]]]  # no rounding where there is no mean
    sizes = ends - starts + 1
    key_of, share = np.full(len(X), -1, dtype=np.int64), np.zeros(len(X))
    key_of[order] = np.repeat(np.arange(len(starts)), sizes)
    share[order] = weights[order] / np.repeat(total, sizes)
    return Keys(ordered[starts], means, total, key_of, share)


@dataclass(frozen=True)
class Memory:
    """Keys, values and the kernel of every head.

    Attributes
    ----------
    keys : Keys
    bandwidth : Bandwidth
    """

    keys: Keys
    bandwidth: Bandwidth
    _trees: dict[int, KDTree] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def n_heads(self) -> int:
        """Number of heads."""
        return self.bandwidth.n_heads

    def answers(self, X) -> np.ndarray:
        """f at the rows of X, (n, v). O(n m (p + v)) time, blocks of some MB of memory."""
        keys = self.keys
        with serial_blas():
            return smooth(self.bandwidth, X, keys.X, keys.targets, keys.weights)

    def reached(self, X) -> np.ndarray:
        """Whether any head has a key within reach, (n,)."""
        reached = np.ones(len(X), dtype=bool)
        if isinstance(SMOOTHERS[self.bandwidth.kernel], Compact):
            for rows in self.blocks(len(X)):
                lse = [self.head_weights(h, X[rows])[1] for h in range(self.n_heads)]
                reached[rows] = np.max(lse, axis=0) > -np.inf
        return reached

    def weights(self, X) -> np.ndarray:
        """Weights of all keys for the rows of X, Σ_h π_h σ_h a_hj, (n, m): rows sum to one less the prior's share."""
        total = np.zeros((len(X), len(self.keys.X)))
        for h, mixed in enumerate(self.bandwidth.heads.mixing):
            weights, lse = self.head_weights(h, X)
            trust = self.bandwidth.heads.trust(h, lse)
            total += np.where(trust > 0.0, mixed * trust, 0.0)[:, None] * weights
        return total

    def head_weights(self, h: int, X) -> tuple[np.ndarray, np.ndarray]:
        """a_hj (n, m), zeros where there is no key within reach, and log Σ_j w_j k_h(x, x_j) (n,)."""
        features = self.bandwidth.features(h, X)
        keys = self.bandwidth.features(h, self.keys.X)
        return pair_weights(self.bandwidth.kernel, features, keys, self.keys.weights)

    def tree(self, h: int) -> KDTree:
        """Of the keys in the features of head h, grown when it is first asked for."""
        if h not in self._trees:
            self._trees[h] = KDTree(self.bandwidth.features(h, self.keys.X))
        return self._trees[h]

    def blocks(self, n_rows: int) -> list[slice]:
        """Blocks of rows whose weights of all keys take some MB."""
        return row_blocks(n_rows, 8 * len(self.keys.X))
