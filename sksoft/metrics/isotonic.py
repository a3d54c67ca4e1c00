"""Isotonic regression with ties pooled first: the recalibration that no monotone one beats.

x̂ = argmin over non-decreasing functions g of Σ w (y − g(s))², by pooling adjacent violators. The same g minimises
every proper score of binary outcomes, the log-loss among them ([1]_, theorem 1.10 of Barlow et al. 1972).

.. [1] T. Dimitriadis, T. Gneiting, A. I. Jordan, "Stable reliability diagrams for probabilistic classifiers", PNAS 118
   (2021), supporting information, theorem S1.
"""

import numpy as np
from scipy.optimize import isotonic_regression


def isotonic_fit(scores: np.ndarray, hits: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Non-decreasing function of `scores` (n,) closest to `hits` in weighted squares, at the scores, in [0, 1].

    Equal scores are one point of their mean rate; scores however close are not equal. O(n log n).
    """
    distinct, place = np.unique(scores, return_inverse=True)
    weight = np.bincount(place, weights, minlength=len(distinct)).astype(np.float64)
    hit = np.bincount(place, hits if weights is None else weights * hits, minlength=len(distinct))
    fitted = isotonic_regression(hit / weight, weights=weight).x
    return np.clip(fitted, 0.0, 1.0)[place]
