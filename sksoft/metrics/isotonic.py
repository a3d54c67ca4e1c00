"""Isotonic regression with ties pooled first: the recalibration that no monotone one beats.

x̂ = argmin over non-decreasing functions g of Σ w (y − g(s))², by pooling adjacent violators. The same g minimises
every proper score of binary outcomes, the log-loss among them ([1]_, theorem 1.10 of Barlow et al. 1972).

.. [1] T. Dimitriadis, T. Gneiting, A. I. Jordan, "Stable reliability diagrams for probabilistic classifiers", PNAS 118
   (2021), supporting information, theorem S1.
"""

import numpy as np
from scipy.optimize import isotonic_regression


class PooledScores:
    """Rows pooled by distinct score: isotonic regression of any number of outcomes on the same scores.

    Parameters
    ----------
    scores : ndarray (n,)
    weights : ndarray (n,) float64, optional
        Positive.

    Attributes
    ----------
    scores : ndarray (u,)
        The distinct ones, ascending.
    place : ndarray (n,) intp
        Which of them each row has.
    weight : ndarray (u,) float64
    """

    def __init__(self, scores: np.ndarray, weights: np.ndarray | None = None):
        self.row_weights = weights
        self.scores, self.place = np.unique(scores, return_inverse=True)
        self.weight = np.bincount(self.place, weights, minlength=len(self.scores)).astype(np.float64)

    def fit(self, hits: np.ndarray) -> np.ndarray:
        """The curve at the distinct scores, (u,), in [0, 1], of `hits` (n,)."""
        weighted = hits if self.row_weights is None else self.row_weights * hits
        hit = np.bincount(self.place, weighted, minlength=len(self.scores))
        return np.clip(isotonic_regression(hit / self.weight, weights=self.weight).x, 0.0, 1.0)


def isotonic_fit(scores: np.ndarray, hits: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Non-decreasing function of `scores` (n,) closest to `hits` in weighted squares, at the scores, in [0, 1].

    Equal scores are one point of their mean rate; scores however close are not equal. O(n log n).
    """
    pooled = PooledScores(scores, weights)
    return pooled.fit(hits)[pooled.place]
