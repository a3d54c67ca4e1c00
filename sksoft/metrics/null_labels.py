"""Labels as calibrated predictions would have them: drawn from the predictions, for tests that are exact.

Where predictions are calibrated as whole vectors, the labels given them are independent, y_i ~ p_i. So the labels that
were seen and B sets of drawn ones are exchangeable, and ``(1 + #{T* >= T}) / (B + 1)`` is a valid p-value of any
statistic T ([1]_, [2]_). For one event, and for a chain of several, the same holds under calibration of that alone.

.. [1] J. Bröcker, L. A. Smith, "Increasing the reliability of reliability diagrams", Weather and Forecasting 22 (2007).
.. [2] J. Vaicenavicius et al., "Evaluating model calibration in classification", AISTATS 2019, section 4.2.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from sksoft.kernels import bins
from sksoft.metrics.predictions import Predictions
from sksoft.metrics.resampling import draw_seeds

# Up to here comparing with every edge is faster than bisection.
FEW_CLASSES = 24


@dataclass(frozen=True)
class NullLabels:
    """Labels y_i ~ p_i, a function of (seed, resample, row) alone.

    Attributes
    ----------
    edges : ndarray (K - 1, n) float64
        Cumulative probabilities of each row but the last, which is one.
    seed : int in [0, 2⁶⁴)
    """

    edges: np.ndarray
    seed: int

    def draw(self, resample: int) -> np.ndarray:
        """Codes (n,) intp."""
        n_edges, n_rows = self.edges.shape
        uniform = bins.uniforms(self.seed, resample, n_rows)
        if n_edges < FEW_CLASSES:
            count, above = np.zeros(n_rows, dtype=np.uint8), np.empty(n_rows, dtype=bool)
            for edge in self.edges:
                np.greater_equal(uniform, edge, out=above)
                count += above.view(np.uint8)
            return count.astype(np.intp)
        codes = np.zeros(n_rows, dtype=np.intp)
        rows, step = np.arange(n_rows), 1 << (n_edges.bit_length() - 1)
        while step:  # codes = number of edges <= uniform
            candidate = codes + step
            inside = np.minimum(candidate, n_edges)
            codes = np.where((candidate <= n_edges) & (uniform >= self.edges[inside - 1, rows]), candidate, codes)
            step >>= 1
        return codes


def null_labels(proba: np.ndarray, seed: int) -> NullLabels:
    """Of probabilities (n, K) or (n,), rows made to sum to one."""
    if proba.ndim == 1:
        return NullLabels((1.0 - proba.astype(np.float64))[None, :], seed)
    cumulative = np.cumsum(proba.T, axis=0, dtype=np.float64)
    return NullLabels(cumulative[:-1] / cumulative[-1], seed)


def null_predictions(predictions: Predictions, seed: int, n_resamples: int) -> Iterator[Predictions]:
    """The predictions with drawn labels, `n_resamples` times."""
    labels = null_labels(predictions.proba, seed)
    for resample in range(n_resamples):
        yield replace(predictions, codes=labels.draw(resample))


def written_out(predictions: Predictions) -> Predictions:
    """Whole-numbered weights as repeated rows."""
    if predictions.weights is None:
        return predictions
    repeated = predictions.rows(np.repeat(np.arange(len(predictions.codes)), predictions.weights.astype(np.intp)))
    return replace(repeated, weights=None)


def seed_of(random_state) -> int:
    """A 64-bit seed, from one draw."""
    return draw_seeds(random_state)[0]


def monte_carlo_p_value(observed: float, drawn: np.ndarray) -> float:
    """``(1 + #{T* >= T}) / (B + 1)``; ties count, up to rounding."""
    return float((1 + (drawn >= observed - 1e-12 * abs(observed)).sum()) / (1 + len(drawn)))
