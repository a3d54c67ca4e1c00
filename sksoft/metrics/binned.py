"""Bins, the sums they hold, and the calibration errors that follow from those sums.

With W_b, c_b and a_b the weight, mean score and observed rate of bin b, W = Σ W_b and Δ_b = a_b − c_b:

    l1   Σ W_b/W |Δ_b|         (Guo et al. 2017, eq. 3: the expected calibration error)
    l2   (Σ W_b/W Δ_b²)^½      (root mean square calibration error)
    max  max |Δ_b|             (over the bins that hold something)

Debiased [1]_ [2]_: the plug-in errors of perfectly calibrated predictions are positive, for a_b is noisy.
With n_b the (effective) number of rows of the bin,

    l2   Σ W_b/W (Δ_b² − a_b(1 − a_b)/(n_b − 1)),  unbiased for the square, hence signed
    l1   2 l1 − E l1(Δ~),  Δ~_b ~ N(Δ_b, a_b(1 − a_b)/n_b): smaller bias, not none.

.. [1] J. Bröcker, "Estimating reliability and resolution of probability forecasts through decomposition of
   the empirical score", Climate Dynamics 39 (2012), eq. 13.
.. [2] A. Kumar, P. Liang, T. Ma, "Verified uncertainty calibration", NeurIPS 2019, definition 4.1 and
   appendix.
"""

from dataclasses import dataclass
from math import frexp

import numpy as np
from scipy.special import erf

from sksoft.kernels import bins, placement

# Bits of the integers that a device adds up in place of weights.
SCAN_BITS = 60


@dataclass(frozen=True)
class BinnedSums:
    """Sums over the rows of each bin; arrays (..., n_bins) of the host, the leading axes being groups or classes."""

    weight: np.ndarray
    score: np.ndarray
    hit: np.ndarray
    weight_squared: np.ndarray
    count: np.ndarray

    @classmethod
    def from_table(cls, table: np.ndarray) -> "BinnedSums":
        """From what the kernels of :mod:`sksoft.kernels.bins` return, (5, ..., n_bins), wherever the rows are."""
        return cls(*placement.to_host(table))

    @property
    def mean_score(self) -> np.ndarray:
        """c_b; NaN in an empty bin."""
        return _ratio(self.score, self.weight)

    @property
    def rate(self) -> np.ndarray:
        """a_b; NaN in an empty bin."""
        return np.clip(_ratio(self.hit, self.weight), 0.0, 1.0)

    @property
    def gap(self) -> np.ndarray:
        """Δ_b = a_b − c_b; 0 in an empty bin."""
        return np.where(self.weight > 0, _ratio(self.hit - self.score, self.weight), 0.0)

    @property
    def share(self) -> np.ndarray:
        """W_b/W; NaN in a group without rows."""
        return _ratio(self.weight, self.weight.sum(axis=-1, keepdims=True))

    def size(self, weight_type: str) -> np.ndarray:
        """n_b: (Σw)²/Σw² where weights express how rows were sampled, Σw where they count repetitions."""
        if weight_type == "frequency":
            return self.weight
        return np.where(self.weight > 0, _ratio(self.weight**2, self.weight_squared), 0.0)

    def error(self, norm: str) -> np.ndarray:
        """Plug-in calibration error over the last axis; for l2 its square."""
        if norm == "max":
            return np.abs(self.gap).max(axis=-1)
        return (self.share * np.abs(self.gap) ** (1 if norm == "l1" else 2)).sum(axis=-1)

    def debiased_error(self, norm: str, weight_type: str) -> np.ndarray:
        """Debiased error over the last axis, signed: for l2 the square, for l1 the error itself."""
        size, rate = self.size(weight_type), np.nan_to_num(self.rate)
        if norm == "l2":
            noisy = size > 1
            noise = np.where(noisy, rate * (1 - rate) / np.where(noisy, size - 1, 1.0), 0.0)
            return (self.share * np.where(noisy, self.gap**2 - noise, 0.0)).sum(axis=-1)
        deviation = np.sqrt(rate * (1 - rate) / np.where(size > 0, size, 1.0))
        return (self.share * (2 * np.abs(self.gap) - _mean_absolute_normal(self.gap, deviation))).sum(axis=-1)

    def combined_error(self, share: np.ndarray, norm: str, debias: bool, weight_type: str) -> float:
        """Error over the groups or classes of the first axis, of which each has this `share`."""
        errors = self.debiased_error(norm, weight_type) if debias else self.error(norm)
        present = share > 0
        if norm == "max":
            return float(errors[present].max())
        error = max(float(share[present] @ errors[present]), 0.0)
        return float(np.sqrt(error)) if norm == "l2" else error


def inner_edges(scores, n_bins: int, strategy: str, weights=None) -> np.ndarray:
    """Inner edges of the bins, (n_bins - 1,), ascending, padded with +inf where bins merge; on the host.

    ``'uniform'``: scikit-learn's, ``linspace(0, 1, n_bins + 1)[1:-1]``. ``'quantile'``: edge j is the
    smallest score that at least the share j/n_bins of the weight does not exceed, so that ties stay together
    and a repeated row counts as a weight does; edges that coincide merge their bins.
    """
    if strategy == "uniform":
        return np.linspace(0.0, 1.0, n_bins + 1)[1:-1]
    xp = placement.namespace(scores)
    order = xp.argsort(scores, kind="stable")
    ascending = scores[order].astype(np.float64)
    cumulative = xp.arange(1.0, len(order) + 1) if weights is None else running_sums(weights[order])
    wanted = xp.arange(1, n_bins) * cumulative[-1]
    quantiles = np.unique(placement.fetched(ascending[xp.searchsorted(cumulative * n_bins, wanted, side="left")]))
    edges = np.full(n_bins - 1, np.inf)
    proper = quantiles[quantiles < float(ascending[-1])]
    edges[: len(proper)] = proper
    return edges


def running_sums(weights):
    """Σ of the weights up to each; on a device as integers, for its scans of floats add in another order every time."""
    if isinstance(weights, np.ndarray):
        return np.cumsum(weights)
    unit = 2.0 ** max(frexp(float(weights.sum()))[1] - SCAN_BITS, -1000)
    return placement.namespace(weights).cumsum((weights / unit).astype(np.int64)) * unit


def bin_scores(scores, hits, n_bins, strategy, weights=None, groups=None, n_groups=1):
    """Sums (n_groups, n_bins) and inner edges; the bins are the same for all groups."""
    edges = inner_edges(scores, n_bins, strategy, weights)
    table = bins.bin_sums(scores, hits, edges, weights=weights, groups=groups, n_groups=n_groups)
    return BinnedSums.from_table(table), edges


def bin_classes(proba, codes, n_bins, strategy, weights=None):
    """Sums (K, n_bins) of every class against the rest, and inner edges (K, n_bins - 1)."""
    n_classes = proba.shape[1]
    if strategy == "uniform":
        edges = np.tile(inner_edges(None, n_bins, strategy), (n_classes, 1))
    else:
        edges = np.stack([inner_edges(proba[:, k], n_bins, strategy, weights) for k in range(n_classes)])
    return BinnedSums.from_table(bins.class_bin_sums(proba, codes, edges, weights=weights)), edges


def _ratio(numerator, denominator):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(numerator, denominator)


def _mean_absolute_normal(mean, deviation):
    """E|N(mean, deviation²)|, the folded normal."""
    spread = np.where(deviation > 0, deviation, 1.0)
    folded = spread * np.sqrt(2 / np.pi) * np.exp(-0.5 * (mean / spread) ** 2) + mean * erf(
        mean / (spread * np.sqrt(2))
    )
    return np.where(deviation > 0, folded, np.abs(mean))
