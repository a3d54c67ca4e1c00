r"""Spiegelhalter's test: is the Brier score what it would be if the predictions were calibrated?

Given the predictions, calibrated ones have a Brier score of known mean and variance. For one event [1]_

    Z = Σ w (y − c)(1 − 2c) / (Σ w² (1 − 2c)² c(1 − c))^½

and for K classes, from Σ_k (p_k − 1[y = k])² with mean 1 − ‖p‖² given p,

    Z = Σ w (‖p‖² − p_y) / (Σ w² (Σ_k p_k³ − ‖p‖⁴))^½

the first being the second of two columns. Z is close to standard normal. Large: the score is worse than calibrated
predictions' would be (too extreme); very negative: better (too timid).

.. [1] D. J. Spiegelhalter, "Probabilistic prediction in patient management and clinical trials", Statistics in Medicine
   5 (1986), eqs. 10 to 12.
"""

import numpy as np

from sksoft.metrics.predictions import Predictions


def event_statistic(scores, hits, weights, weight_type: str) -> float:
    """Z of one event; see :func:`_ratio` for where it has no variance."""
    scores = np.asarray(scores, dtype=np.float64)
    gains = (hits - scores) * (1.0 - 2.0 * scores)
    variances = (1.0 - 2.0 * scores) ** 2 * scores * (1.0 - scores)
    return _ratio(gains, variances, weights, weight_type, bool(((scores > 0) & (scores < 1)).any()))


def canonical_statistic(predictions: Predictions, weight_type: str) -> float:
    """Z of whole vectors (n, K)."""
    proba = predictions.proba.astype(np.float64)
    proba /= proba.sum(axis=1, keepdims=True)
    squares = np.einsum("ij,ij->i", proba, proba)
    gains = squares - proba[np.arange(len(proba)), predictions.codes]
    variances = np.maximum(np.einsum("ij,ij,ij->i", proba, proba, proba) - squares**2, 0.0)
    # Rows of exact rounding noise: every probability the same, or certain.
    variances[variances < 1e-15 * squares] = 0.0
    return _ratio(gains, variances, predictions.weights, weight_type, bool((squares < 1.0 - 1e-12).any()))


def _ratio(gains, variances, weights, weight_type: str, uncertain: bool) -> float:
    """Z; infinite where certain predictions were wrong, 0 where all were certain and right.

    Raises
    ------
    ValueError
        If the score cannot vary though outcomes can: probabilities that are all equal, as 1/2 of two.
    """
    if weights is not None:
        relative = weights / weights.max()
        scale = weights.max() if weight_type == "frequency" else 1.0
        gains = gains * relative
        variances = variances * (relative / scale if weight_type == "frequency" else relative**2)
    total, variance = float(gains.sum()), float(variances.sum())
    if variance > 0.0:
        return float(total / np.sqrt(variance))
    if uncertain:
        raise ValueError(
            "Spiegelhalter's test is not defined where every probability is 1/2 (1/K of K classes): the Brier score"
            " then does not depend on the labels."
        )
    return float("inf") if total > 1e-12 else 0.0
