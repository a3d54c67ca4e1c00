r"""What a classifier of nodes minimises, and its gradient by hand.

One head is a linear model whose scores spread along attention, in the coefficients W (K, p) and a, b (K,) each::

    V   = X Wᵀ                                          what each node says of itself, (n, K)
    z_ij = g(⟨a, v_i⟩ + ⟨b, v_j⟩) + log w_ij            on edges; g is LeakyReLU without its kink
    A   = softmax of z over the neighbours of each node
    H⁰ = V,   H^(k+1) = (1 − r) A Hᵏ + r V              r the restart; 1 for a node without neighbours, which keeps V

The scores of nodes are c + the mean of Hᴷ over the heads: with A uniform those of personalised PageRank [1]_, and
convex. With s the weights of labelled nodes, t their targets, and m heads::

    F = Σ s L(t, scores) / Σ s + Σ_h ‖W_h‖² / (2 C m Σ s) + Σ_h ‖(a, b)_h‖² / (2 D m Σ s)

so that m equal heads are one. Without a graph the scores are c + V and F is a softmax regression's.

**Gradient.** With G = ∂F/∂Hᴷ, Gᵏ = (1 − r) Aᵀ G^(k+1), the attention gets ∂F/∂A_ij = (1 − r) Σ_k ⟨Gᵏ_i, H^(k−1)_j⟩ on
edges, in one product over all hops; the softmax's Jacobian and g' make slopes of ⟨a, v_i⟩ and ⟨b, v_j⟩ of it.

References
----------
.. [1] Gasteiger, Bojchevski, Günnemann, "Predict then propagate", ICLR 2019, eq. (4).
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from sksoft.attention.graph import Graph
from sksoft.attention.graph_attention import neighbour_softmax, smooth_leaky, smooth_leaky_slope
from sksoft.kernels.registry import backend_for
from sksoft.kernels.segments import segment_products, segment_softmax_vjp, segment_sums
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.targets import Target


@dataclass(frozen=True)
class Coefficients:
    """Of all heads.

    Attributes
    ----------
    features : ndarray (m, K, p)
        W.
    attention : ndarray (m, 2, K)
        a and b.
    intercept : ndarray (K,)
        c.
    """

    features: np.ndarray
    attention: np.ndarray
    intercept: np.ndarray

    def flat(self) -> np.ndarray:
        """All numbers one after another."""
        return np.concatenate([self.features.ravel(), self.attention.ravel(), self.intercept])


@dataclass(frozen=True)
class Spreading:
    """How scores spread.

    Attributes
    ----------
    n_hops : int >= 1
    restart : float in [0, 1)
    slope : float in [0, 1]
    """

    n_hops: int
    restart: float
    slope: float


class Head:
    """One head at its coefficients: attention on the edges and scores after every hop.

    Attributes
    ----------
    attention : ndarray (E,)
    scores : ndarray (n, K)
        After the last hop.
    """

    def __init__(self, own: np.ndarray, vectors: np.ndarray, graph: Graph, spreading: Spreading):
        self.own, self.vectors, self.graph, self.spreading = own, vectors, graph, spreading
        looking, looked_at = own @ vectors[0], own @ vectors[1]
        self.sums = looking[graph.rows] + looked_at[graph.columns]
        self.attention = neighbour_softmax(graph, smooth_leaky(self.sums, spreading.slope))
        self.flows = (1.0 - spreading.restart) * self.attention
        self.kept = np.where(graph.alone, 1.0, spreading.restart)[:, None]
        # before each hop, side by side: one product over edges then serves all hops
        self.before = np.empty((graph.n_nodes, spreading.n_hops, own.shape[1]))
        scores = own
        for hop in range(spreading.n_hops):
            self.before[:, hop] = scores
            scores = graph.gather(self.flows, scores) + self.kept * own
        self.scores = scores

    def pull_back(self, slopes: np.ndarray, learns_attention: bool) -> tuple[np.ndarray, np.ndarray]:
        """From ∂F/∂scores to ∂F/∂V, (n, K), and ∂F/∂(a, b), (2, K); these are zero where they are not learnt."""
        graph, spreading, own = self.graph, self.spreading, self.own
        after, total = np.empty_like(self.before), np.zeros_like(own)
        for hop in reversed(range(spreading.n_hops)):
            after[:, hop] = slopes
            total += self.kept * slopes
            slopes = graph.scatter(self.flows, slopes)
        total += slopes
        if not learns_attention:
            return total, np.zeros_like(self.vectors)
        flat = graph.n_nodes, -1
        on_edges = segment_products(graph.columns, graph.starts, after.reshape(flat), self.before.reshape(flat))
        on_edges *= 1.0 - spreading.restart
        on_sums = segment_softmax_vjp(self.attention, on_edges, graph.starts)
        on_sums *= smooth_leaky_slope(self.sums, spreading.slope)
        looking = segment_sums(on_sums, graph.starts)
        looked_at = np.bincount(graph.columns, on_sums, minlength=graph.n_nodes)
        total += np.outer(looking, self.vectors[0]) + np.outer(looked_at, self.vectors[1])
        return total, np.stack([looking @ own, looked_at @ own])


def node_scores(X, graph: Graph | None, coefficients: Coefficients, spreading: Spreading):
    """Scores of all nodes, (n, K), and the heads behind them, none without a graph."""
    n_heads, n_scores, n_features = coefficients.features.shape
    own = np.asarray(X @ coefficients.features.reshape(-1, n_features).T)
    if graph is None:
        return own + coefficients.intercept, []
    with backend_for(own.size // n_heads * spreading.n_hops)():
        parts = [np.ascontiguousarray(own[:, h * n_scores : (h + 1) * n_scores]) for h in range(n_heads)]
        heads = [Head(*pair, graph, spreading) for pair in zip(parts, coefficients.attention)]
    return sum(head.scores for head in heads) / n_heads + coefficients.intercept, heads


@dataclass(frozen=True)
class GraphObjective:
    """F of the module.

    Attributes
    ----------
    X : ndarray or CSR array (n, p)
    graph : Graph or None
    spreading : Spreading
    rows : ndarray (l,), the labelled nodes
    target : Target of these
    weights : ndarray (l,), positive
    loss : FenchelYoung
    n_scores, n_heads : int
    C, D : float
        Inverse strengths of the two ridges; D = 0 keeps attention uniform.
    """

    X: np.ndarray | sparse.csr_array
    graph: Graph | None
    spreading: Spreading
    rows: np.ndarray
    target: Target
    weights: np.ndarray
    loss: FenchelYoung
    n_scores: int
    n_heads: int
    C: float
    D: float

    @property
    def learns_attention(self) -> bool:
        """Whether a and b are free."""
        return self.graph is not None and self.D > 0.0

    @property
    def uniform(self) -> "GraphObjective":
        """The convex problem of uniform attention, where all heads are one."""
        return replace(self, n_heads=1, D=0.0)

    @cached_property
    def penalties(self) -> tuple[float, float]:
        """The factors of ½‖W‖² and ½‖(a, b)‖²."""
        share = 1.0 / (self.n_heads * self.weights.sum())
        return share / self.C, share / self.D if self.D > 0.0 else 0.0

    @cached_property
    def _transposed(self):
        return sparse.csr_array(self.X.T) if sparse.issparse(self.X) else self.X.T

    def unflat(self, w: np.ndarray) -> Coefficients:
        """Parameters by what they are."""
        n_features = self.X.shape[1]
        shapes = (self.n_heads, self.n_scores, n_features), (self.n_heads, 2, self.n_scores)
        features, attention, intercept = np.split(w, np.cumsum([np.prod(shape) for shape in shapes]))
        return Coefficients(features.reshape(shapes[0]), attention.reshape(shapes[1]), intercept)

    def scales(self) -> np.ndarray:
        """Roots of about the curvature in each parameter: units in which a solver finds a rounder bowl."""
        share = self.weights / self.weights.sum()
        labelled = self.X[self.rows]
        squares = labelled.multiply(labelled).T @ share if sparse.issparse(labelled) else share @ labelled**2
        on_features, on_attention = self.penalties
        scales = self.unflat(np.ones(self.n_heads * self.n_scores * (self.X.shape[1] + 2) + self.n_scores))
        scales.features[...] = np.sqrt(0.25 * np.asarray(squares) / self.n_heads**2 + on_features)
        scales.attention[...] = np.sqrt(on_attention + 0.01)
        scales.intercept[...] = 0.5
        return scales.flat()

    def value_and_gradient(self, w: np.ndarray) -> tuple[float, np.ndarray]:
        """F(w) and ∇F(w). O(entries of X · m K + E K hops m)."""
        coefficients, share = self.unflat(w), self.weights / self.weights.sum()
        scores, heads = node_scores(self.X, self.graph, coefficients, self.spreading)
        residual = scores[self.rows]
        value = self.loss.evaluate(residual, self.target, share, residual=residual)
        slopes = np.zeros_like(scores)
        slopes[self.rows] = residual
        on_own, on_attention = self._pull_back(heads, slopes)
        features, attention = self.penalties
        gradient = Coefficients(
            np.asarray(self._transposed @ on_own).T.reshape(coefficients.features.shape)
            + features * coefficients.features,
            on_attention + attention * coefficients.attention,
            residual.sum(axis=0),
        )
        value += 0.5 * features * np.vdot(coefficients.features, coefficients.features)
        value += 0.5 * attention * np.vdot(coefficients.attention, coefficients.attention)
        return float(value), gradient.flat()

    def _pull_back(self, heads: list[Head], slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """∂F/∂V of all heads side by side, (n, m K), and ∂F/∂(a, b), (m, 2, K)."""
        if not heads:
            return slopes, np.zeros((1, 2, self.n_scores))
        with backend_for(slopes.size * self.spreading.n_hops)():
            pulled = [head.pull_back(slopes / self.n_heads, self.learns_attention) for head in heads]
        return np.hstack([own for own, _ in pulled]), np.stack([vectors for _, vectors in pulled])
