r"""Only the keys that matter to a query, and a proof of what the others could have changed.

Of one head, let the kept keys have the mass Z = Σ_kept w_j k_j, the prior the mass e^b (see
:mod:`sksoft.attention.heads`), and the keys that are left out at most the mass T. Then they have at most the share
τ = T / (Z + e^b + T) of the full answer, and with targets between t⁻ and t⁺ ([1]_, section 3)

    full − kept = τ' (mean of the others − kept),  τ' ≤ τ     ⟹     |full − kept| ≤ τ max(t⁺ − kept, kept − t⁻)

A tree of the keys finds the nearest ones without looking at most others: all that are left out are at least as far as
the last one kept, with score u, so T = e^u Σ_left w_j. Where a tree is of no use (many features, wide kernels) the mass
that is left out is summed. That takes longer than the answer of all keys, so who asks for an answer to some tolerance,
and not for weights, gets that one, which errs by nothing.

References
----------
.. [1] Tzachristas, Deng, Tzachristas, Zhang, Chen, "A mathematical theory of top-k sparse attention via total
   variation distance", arXiv:2512.07647, 2025.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.neighbors import KDTree

from sksoft.attention.memory import Memory
from sksoft.kernels.blocks import map_blocks, row_blocks, serial_blas

# A tree pays in few dimensions, beside many keys, and for a small share of them.
TREE_FEATURES, TREE_KEYS, SHARE_OF_ALL = 12, 2000, 0.125
# Neighbours asked of it where their number is not given: first, and of rows for which these are not enough. Keys for
# which that is tried before.
ASKED, TRIED = (16, 64), 32
TREE_ROWS = 1024
# What rounding may have done to scores, relative, and to an answer, relative to the largest target.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Kept:
    """What rows attend to.

    Attributes
    ----------
    weights : CSR array (n, m)
        Σ_h π_h (weights of head h). Rows sum to one less the prior's share.
    answers : ndarray (n, v)
    bound : ndarray (n, v)
        On the absolute difference of each answer from that with all keys.
    reached : ndarray (n,), bool
        Whether any head has a key within reach.
    """

    weights: sparse.csr_array
    answers: np.ndarray
    bound: np.ndarray
    reached: np.ndarray


def kept_keys(memory: Memory, X, top_k: int | None, tol: float) -> Kept:
    """The keys that matter to the rows of X; what they are does not depend on the other rows.

    Parameters
    ----------
    memory : Memory of degree 0
    X : ndarray (n, p)
    top_k : int >= 1 or None
        Keep at most so many keys for each head, the nearest.
    tol : float in [0, 1)
        Leave out keys while τ <= tol.
    """
    heads, keys = memory.bandwidth.heads, memory.keys
    lowest, highest = keys.targets.min(axis=0), keys.targets.max(axis=0)
    weights = sparse.csr_array((len(X), len(keys.X)))
    answers, bound = np.zeros((2, len(X), keys.targets.shape[1]))
    reached = np.zeros(len(X), dtype=bool)
    for h, mixed in enumerate(heads.mixing):
        masses, sink, left_out = _of_head(memory, h, X, top_k, tol)
        total = masses.sum(axis=1) + sink
        reached |= masses.sum(axis=1) > 0.0
        scale = np.where(total > 0.0, (1.0 - heads.prior_mix) / np.where(total > 0.0, total, 1.0), 0.0)
        masses.data *= np.repeat(scale, np.diff(masses.indptr))
        answer = masses @ keys.targets + (1.0 - masses.sum(axis=1))[:, None] * heads.prior
        share = left_out / np.where(left_out > 0.0, total + left_out, 1.0) * (1.0 - heads.prior_mix)
        weights = weights + mixed * masses
        answers += mixed * answer
        bound += mixed * share[:, None] * np.maximum(highest - answer, answer - lowest)
    bound[bound > 0.0] *= 1.0 + ROUNDING
    return Kept(weights, answers, bound + ROUNDING * np.abs(keys.targets).max(axis=0), reached)


def _of_head(memory, h, X, top_k, tol):
    """Masses of kept keys (n, m), of the prior (n,), and a bound on that of the others (n,), in a row's own unit."""
    search: _Tree | _All | None = _tree_of(memory, h, X, top_k, tol)
    if search is None:
        search, blocks = _All(memory, h, X, top_k, tol), memory.blocks(len(X))
    else:
        blocks = row_blocks(len(X), 1, TREE_ROWS)
    with serial_blas():
        parts = map_blocks(search.block, blocks)
    masses = sparse.csr_array(sparse.vstack([part[0] for part in parts], format="csr"))
    return masses, np.concatenate([part[1] for part in parts]), np.concatenate([part[2] for part in parts])


def _tree_of(memory, h, X, top_k, tol):
    """A search by tree, where that pays: for `tol` where a few neighbours are enough for most of some keys."""
    K = memory.bandwidth.features(h, memory.keys.X)
    is_monotone = memory.bandwidth.kernel in ("gaussian", "laplace")
    few = (ASKED[-1] if top_k is None else top_k) <= SHARE_OF_ALL * len(K)
    if not (is_monotone and few and K.shape[1] <= TREE_FEATURES and len(K) >= TREE_KEYS):
        return None
    search = _Tree(memory, h, X, memory.tree(h), top_k, tol)
    if top_k is None and search.unfinished(K[:: len(K) // TRIED]).mean() > 0.5:
        return None
    return search


def answers_within(memory: Memory, X, tol: float) -> tuple[np.ndarray, np.ndarray]:
    """Answers for the rows of X that leave out at most the share `tol`, and their bounds, whatever is fastest.

    Parameters
    ----------
    memory : Memory of degree 0
    X : ndarray (n, p)
    tol : float in (0, 1)

    Returns
    -------
    answers, bound : ndarray (n, v)
    """
    answers, bound = np.zeros((2, len(X), memory.keys.targets.shape[1]))
    rest = np.ones(len(X), dtype=bool)
    if memory.n_heads == 1 and (search := _tree_of(memory, 0, X, None, tol)) is not None:
        Q = memory.bandwidth.features(0, X)
        blocks = row_blocks(len(X), 1, TREE_ROWS)
        rest = np.concatenate(map_blocks(lambda rows: search.unfinished(Q[rows]), blocks))
        kept = kept_keys(memory, X[~rest], None, tol)
        answers[~rest], bound[~rest] = kept.answers, kept.bound
    if rest.any():
        answers[rest] = memory.answers(X[rest])
    if not rest.all():  # with other rows in a product, its last bits may differ
        bound[rest] = ROUNDING * np.abs(memory.keys.targets).max(axis=0)
    return answers, bound


@dataclass(frozen=True)
class _All:
    """Looks at all keys."""

    memory: Memory
    h: int
    X: np.ndarray
    top_k: int | None
    tol: float

    def block(self, rows):
        """Masses in units of all keys', of the prior, and of what is left out."""
        return self.of(self.X[rows])

    def of(self, X):
        """The same of given rows."""
        proba, lse = self.memory.head_weights(self.h, X)
        weights, n_keys = self.memory.keys.weights, proba.shape[1]
        with np.errstate(over="ignore", invalid="ignore"):
            sink = np.where(lse > -np.inf, np.exp(self.memory.bandwidth.heads.sinks[self.h] - lse), 1.0)
        sink = np.minimum(sink, 1e300)
        left_out = np.zeros(len(X))
        kept = proba > 0.0
        if self.top_k is not None and self.top_k < n_keys:
            nearest = np.argpartition(-(proba / weights), self.top_k - 1, axis=1)[:, : self.top_k]
            chosen = np.zeros_like(kept)
            np.put_along_axis(chosen, nearest, True, axis=1)
            left_out = np.where(chosen, 0.0, proba).sum(axis=1)
            kept &= chosen
        if self.tol > 0.0:
            kept, left_out = _without_smallest(proba, kept, left_out, self.tol * (1.0 + sink))
        rows, columns = np.nonzero(kept)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(X)))])
        return sparse.csr_array((proba[kept], columns, indptr), shape=proba.shape), sink, left_out


def _without_smallest(proba, kept, left_out, allowed):
    """Leave out the smallest of the kept masses while what is left out, with what is already, is at most `allowed`."""
    ascending = np.sort(np.where(kept, proba, 0.0), axis=1)
    sums = np.cumsum(ascending, axis=1)
    n_dropped = np.count_nonzero(sums + left_out[:, None] <= allowed[:, None], axis=1)
    at = np.minimum(n_dropped, proba.shape[1] - 1)
    smallest = np.take_along_axis(ascending, at[:, None], axis=1)  # equal masses stay together
    still = kept & (proba >= smallest)
    return still, left_out + np.where(kept & ~still, proba, 0.0).sum(axis=1)


@dataclass(frozen=True)
class _Tree:
    """Asks a tree for the nearest keys, and for more of them where these are not enough, and then looks at all."""

    memory: Memory
    h: int
    X: np.ndarray
    tree: KDTree
    top_k: int | None
    tol: float

    def block(self, rows):
        """Masses in units of the nearest key's kernel, of the prior, and a bound on what is left out."""
        X, n_keys = self.X[rows], len(self.memory.keys.X)
        Q = self.memory.bandwidth.features(self.h, X)
        sink, left_out, entries = np.empty(len(X)), np.empty(len(X)), []
        waiting = np.arange(len(X))
        for n_asked in ASKED if self.top_k is None else (self.top_k,):
            nearest, masses, sink[waiting], tails = self.asked(Q[waiting], n_asked)
            shares = tails / (np.cumsum(masses, axis=1) + sink[waiting, None] + tails)
            sizes = np.where((shares <= self.tol).any(axis=1), np.argmax(shares <= self.tol, axis=1) + 1, n_asked)
            done = (self.top_k is not None) | (shares[:, -1] <= self.tol)
            left_out[waiting] = np.take_along_axis(tails, sizes[:, None] - 1, axis=1)[:, 0]
            within = (np.arange(n_asked) < sizes[:, None]) & done[:, None]
            entries.append((waiting[np.nonzero(within)[0]], nearest[within], masses[within]))
            waiting = waiting[~done]
            if not len(waiting):
                break
        everything = _All(self.memory, self.h, X, None, self.tol)
        for part in row_blocks(len(waiting), 8 * n_keys) if len(waiting) else []:
            rows = waiting[part]
            masses, sink[rows], left_out[rows] = everything.of(X[rows])
            entries.append((np.repeat(rows, np.diff(masses.indptr)), masses.indices, masses.data))
        row, column, mass = (np.concatenate(parts) for parts in zip(*entries))
        return sparse.csr_array((mass, (row, column)), shape=(len(X), n_keys)), sink, left_out

    def unfinished(self, Q):
        """For which queries, in features, the neighbours asked of the tree are not enough."""
        unfinished = np.ones(len(Q), dtype=bool)
        for n_asked in ASKED:
            waiting = np.flatnonzero(unfinished)
            if len(waiting):
                _, masses, sink, tails = self.asked(Q[waiting], n_asked)
                unfinished[waiting] = tails[:, -1] > self.tol * (masses.sum(axis=1) + sink + tails[:, -1])
        return unfinished

    def asked(self, Q, n_asked):
        """The nearest keys, their masses and a bound on that of all others, as if the list ended at each, (b, k)."""
        weights, is_laplace = self.memory.keys.weights, self.memory.bandwidth.kernel == "laplace"
        distances, nearest = self.tree.query(Q, k=n_asked)
        scores = -distances if is_laplace else -0.5 * distances**2
        unit = scores[:, :1]
        masses = weights[nearest] * np.exp(scores - unit)
        rest = weights.sum() * (1.0 + ROUNDING) - np.cumsum(weights[nearest], axis=1)
        tails = rest * np.exp(scores - unit + ROUNDING * (1.0 - scores))
        with np.errstate(over="ignore"):
            sink = np.exp(self.memory.bandwidth.heads.sinks[self.h] - unit[:, 0])
        return nearest, masses, np.minimum(sink, 1e300), tails
