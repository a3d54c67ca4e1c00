r"""The leave-one-out loss of attention over the training set, and its exact gradient.

    F(θ) = Σᵢ wᵢ ℓ(f₋ᵢ(xᵢ), tᵢ) / Σᵢ wᵢ,     ℓ = |f − t|²  or  −Σ_k t_k log f_k  (nats)

f₋ᵢ leaves the row out by leaving its key out of the softmax, never by subtracting a_ii t_i afterwards, which cancels
where a_ii is near one. With C = dF/dz for the scores z of all pairs, the gradient in the features is two products with
C (:mod:`sksoft.kernels.attention`), whatever the number of bandwidths; the rest is the chain rule ([1]_, section 2).

All that has a row for each row is where the rows are, on the host or a device; θ and its gradient are on the host.

References
----------
.. [1] Goldberger, Roweis, Hinton, Salakhutdinov, "Neighbourhood components analysis", NIPS 2004.
"""

from dataclasses import dataclass, field

import numpy as np

from sksoft.attention.distinct_rows import DistinctRows
from sksoft.attention.feature_maps import Ard, Linear, Scale
from sksoft.attention.heads import Heads
from sksoft.attention.local_linear import LocalLinear
from sksoft.attention.smoothers import Smoother
from sksoft.kernels import placement

# A probability that rounded to zero counts as this one: a search meets such bandwidths, and goes elsewhere.
LEAST = 1e-100


@dataclass(frozen=True)
class LeaveOneOut:
    """F and its gradient in θ = (feature map of each head, mixing scores, sinks, log ridge), those that are there.

    Attributes
    ----------
    rows : DistinctRows
        Centred features, except for the kernel 'dot'.
    smoother : Smoother
    feature_map : Scale, Ard or Linear
    loss : {'squared', 'log'}
    n_heads : int
    learns_sinks : bool
    prior_mix : float
        ε of :class:`~sksoft.attention.heads.Heads`.
    degree : {0, 1}
        Local means or local lines.
    absent : ndarray (m,), bool, optional
        Rows that are no keys: held out, to be asked for as queries.
    """

    rows: DistinctRows
    smoother: Smoother
    feature_map: Scale | Ard | Linear
    loss: str
    n_heads: int = 1
    learns_sinks: bool = False
    prior_mix: float = 0.0
    degree: int = 0
    absent: np.ndarray | None = None
    log_weights: np.ndarray = field(init=False)

    def __post_init__(self):
        log_weights = np.log(self.rows.weights)
        if self.absent is not None:
            log_weights[placement.where(log_weights, self.absent)] = -np.inf
        object.__setattr__(self, "log_weights", log_weights)

    @property
    def sections(self) -> dict[str, slice]:
        """Where in θ each part stands."""
        sizes = {
            "maps": self.n_heads * self.feature_map.size,
            "mixing": self.n_heads if self.n_heads > 1 else 0,
            "sinks": self.n_heads if self.learns_sinks else 0,
            "ridge": int(self.degree == 1),
        }
        ends = np.cumsum([0, *sizes.values()])
        return {name: slice(int(a), int(b)) for name, a, b in zip(sizes, ends[:-1], ends[1:])}

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.sections["ridge"].stop

    def maps(self, theta) -> np.ndarray:
        """The parameters of the feature maps, (H, ·)."""
        return theta[self.sections["maps"]].reshape(self.n_heads, self.feature_map.size)

    def heads(self, theta) -> Heads:
        """How the heads are combined under θ."""
        mixing = theta[self.sections["mixing"]] if self.n_heads > 1 else np.zeros(1)
        sinks = theta[self.sections["sinks"]] if self.learns_sinks else np.full(self.n_heads, -np.inf)
        return Heads(mixing, sinks, self.rows.prior, self.prior_mix)

    def average(self, theta, h: int, queries):
        """Answer of head h for the rows `queries` without themselves: features, f_h, lse_h and a state for `pull`."""
        features = self.feature_map.features(self.maps(theta)[h], self.rows.X)
        codes = self.rows.left_out
        shared = (features[queries], features, self.rows.targets, self.log_weights, codes[queries], codes)
        if self.degree == 0:
            out, lse = self.smoother.average(*shared)
            return features, out, lse, out
        ridge = float(np.exp(theta[self.sections["ridge"]][0]))
        out, lse, state = LocalLinear(self.smoother).average(*shared, ridge)
        return features, out, lse, state

    def predictions(self, theta) -> np.ndarray:
        """f₋ᵢ(xᵢ) for all distinct rows, (m, v)."""
        heads, everything = self.heads(theta), slice(None)
        return heads.combine([heads.answer(h, *self.average(theta, h, everything)[1:3]) for h in range(self.n_heads)])

    def evaluate(self, theta, queries=slice(None), slope=True) -> tuple[float, np.ndarray]:
        """F and its gradient, which is zeros without `slope`, summed over the rows `queries` only; all rows are keys.

        Parameters
        ----------
        theta : ndarray (size,), float64
        queries : slice or array of int where the rows are
        slope : bool

        Returns
        -------
        value : float
        gradient : ndarray (size,), float64
        """
        heads = self.heads(theta)
        averages = [self.average(theta, h, queries) for h in range(self.n_heads)]
        outs, lses = [a[1] for a in averages], [a[2] for a in averages]
        answers = [heads.answer(h, out, lse) for h, (out, lse) in enumerate(zip(outs, lses))]
        value, gradient = self._loss(heads.combine(answers), queries)
        if not slope:
            return value, np.zeros(self.size)
        pulled = heads.pull(outs, lses, answers, gradient)
        total = np.zeros(self.size)
        sections = self.sections
        for h, (features, _, lse, state) in enumerate(averages):
            in_map, in_ridge = self._pull(theta, h, queries, features, lse, state, pulled[0][h], pulled[1][h])
            self.maps(total)[h] = in_map
            total[sections["ridge"]] += in_ridge
        if self.n_heads > 1:
            total[sections["mixing"]] = pulled[2]
        if self.learns_sinks:
            total[sections["sinks"]] = pulled[3]
        return value, total

    def _pull(self, theta, h, queries, features, lse, state, out_gradient, lse_gradient):
        codes = self.rows.left_out
        shared = (features[queries], features, self.rows.targets, self.log_weights, codes[queries], codes)
        lse_gradient = lse_gradient if self.learns_sinks else None
        in_ridge = 0.0
        if self.degree == 0:
            in_queries, gradient, _ = self.smoother.pull(*shared, state, lse, out_gradient, lse_gradient)
        else:
            lines = LocalLinear(self.smoother)
            in_queries, gradient, _, in_ridge = lines.pull(*shared, state, lse, out_gradient, lse_gradient)
            in_ridge *= np.exp(theta[self.sections["ridge"]][0])
        gradient[queries] += in_queries
        return self.feature_map.pull(self.maps(theta)[h], self.rows.X, features, gradient), in_ridge

    def _loss(self, answers, queries):
        """F over the queries and its gradient (n, v) in the answers."""
        targets = self.rows.targets[queries]
        weights = self.rows.weights[queries] / self.rows.weights[queries].sum()
        if self.loss == "squared":
            residuals = answers - targets
            value = weights @ (residuals**2).sum(axis=1) + self.rows.spread
            return float(value), 2.0 * weights[:, None] * residuals
        answers = np.where(targets > 0.0, np.maximum(answers, LEAST), 1.0)
        value = -weights @ (targets * np.log(answers)).sum(axis=1)
        return float(value), -weights[:, None] * targets / answers
