"""What a row is worth a label by each strategy: higher is more.

==================== ===================================================
``margin``           1 − (p₍₁₎ − p₍₂₎)
``entropy``          −Σ_k p_k ln p_k, nats
``least_confidence`` 1 − p₍₁₎
``bald``             H(p̄) − mean_m H(p_m), nats, of a committee
``density``          margin score × density of the pool ^ β
``diverse``          margin score
==================== ===================================================
"""

import numpy as np

from sksoft.active.array_query import MEASURES, two_columns
from sksoft.active.committee import disagreement
from sksoft.active.density import density
from sksoft.kernels.blocks import serial_blas
from sksoft.kernels.uncertainty import uncertainty
from sksoft.metrics.predictions import check_probabilities

STRATEGIES = (*MEASURES, "bald", "density", "diverse")


def row_scores(X, strategy: str, estimator, members) -> np.ndarray:
    """Scores (n,) of rows by themselves: of ``density`` and ``diverse`` the margin score."""
    if strategy not in STRATEGIES:  # set after fit, which looks at parameters
        raise ValueError(f"The 'strategy' parameter must be one of {STRATEGIES}. Got {strategy!r} instead.")
    if strategy == "bald":
        return disagreement(estimator, members, X)
    proba = two_columns(check_probabilities(estimator.predict_proba(X)))
    return uncertainty(proba, MEASURES.get(strategy, MEASURES["margin"]))


def times_density(scores, points, pool, beta: float, random_state) -> np.ndarray:
    """Scores times the density of a pool (m, q) at the points (n, q) to the power of `beta`."""
    with serial_blas():
        return scores * density(points, pool, random_state) ** beta


def unit_scores(scores, strategy: str, n_classes: int) -> np.ndarray:
    """Scores as a share of the highest that there may be, in [0, 1]: a stream's threshold moves between them."""
    if strategy in ("entropy", "bald"):
        scores = scores / np.log(n_classes)
    elif strategy == "least_confidence":
        scores = scores * (n_classes / (n_classes - 1))
    return np.clip(scores, 0.0, 1.0)
