"""The most uncertain rows of an array of probabilities."""

from numbers import Integral

import numpy as np

from sksoft.kernels.uncertainty import ENTROPY, LEAST_CONFIDENCE, MARGIN, most_uncertain_rows
from sksoft.metrics.predictions import check_probabilities

# How uncertain one prediction is by itself.
MEASURES = {"margin": MARGIN, "entropy": ENTROPY, "least_confidence": LEAST_CONFIDENCE}


def query_uncertain(y_proba, n_instances=1, *, strategy="margin", return_scores=False):
    """The most uncertain of many predictions, most uncertain first; of equals, the first.

    ======================= ====================================== =====================
    strategy                uncertainty of p, higher = more
    ======================= ====================================== =====================
    ``'margin'``            1 − (p₍₁₎ − p₍₂₎)                       in [0, 1]; [1]_
    ``'entropy'``           −Σ_k p_k ln p_k                         nats, in [0, ln K]
    ``'least_confidence'``  1 − p₍₁₎                                in [0, 1 − 1/K]
    ======================= ====================================== =====================

    Parameters
    ----------
    y_proba : array-like (n, K) or (n,)
        Class probabilities, or the probability of the positive class. float32 and float64 are read as they are.
    n_instances : int, 1 <= n_instances <= n, default=1
        How many rows to return.
    strategy : {'margin', 'entropy', 'least_confidence'}, default='margin'
        See the table. Of two classes all three rank alike.
    return_scores : bool, default=False
        Whether to return the uncertainties too.

    Returns
    -------
    indices : ndarray (n_instances,) intp
        Rows of `y_proba`.
    scores : ndarray (n_instances,) float64
        Their uncertainty; only with ``return_scores=True``.

    Raises
    ------
    ValueError
        For an unknown strategy, no rows, more `n_instances` than rows, or rows that are not distributions.

    Notes
    -----
    One pass of O(nK) and O(n log m) in the worst case for m instances, without an array of n numbers; the same pass
    checks that the rows are distributions.

    References
    ----------
    .. [1] T. Scheffer, C. Decomain, S. Wrobel, "Active hidden Markov models for information extraction", IDA 2001;
       B. Settles, "Active learning literature survey", 2009, section 3.1.

    Examples
    --------
    >>> from sksoft.active import query_uncertain
    >>> y_proba = [[0.9, 0.05, 0.05], [0.5, 0.5, 0.0], [0.4, 0.3, 0.3]]
    >>> query_uncertain(y_proba, 2)
    array([1, 2])
    >>> query_uncertain(y_proba, 2, strategy="entropy")
    array([2, 1])
    """
    if not isinstance(strategy, str) or strategy not in MEASURES:
        raise ValueError(f"The 'strategy' parameter must be one of {tuple(MEASURES)}. Got {strategy!r} instead.")
    proba = two_columns(y_proba)
    check_n_instances(n_instances, len(proba), "y_proba")
    rows, scores, invalid = most_uncertain_rows(proba, n_rows=int(n_instances), kind=MEASURES[strategy])
    if invalid >= 0:
        check_probabilities(proba)  # raises, and says why
    return (rows, scores) if return_scores else rows


def two_columns(y_proba) -> np.ndarray:
    """Probabilities as (n, K >= 2), float32 or float64; the rows of such an array are not looked at yet."""
    proba = np.asarray(y_proba)
    if proba.dtype in (np.float32, np.float64) and proba.ndim == 2 and proba.shape[1] >= 2 and len(proba):
        return proba
    proba = check_probabilities(y_proba)
    return np.column_stack([1.0 - proba, proba]) if proba.ndim == 1 else proba


def check_n_instances(n_instances, n_rows: int, name: str):
    """ValueError unless `n_instances` is a number of rows that `name` has."""
    whole = isinstance(n_instances, Integral) and not isinstance(n_instances, bool)
    if not whole or not 1 <= n_instances <= n_rows:
        raise ValueError(
            f"The 'n_instances' parameter must be an int from 1 to {n_rows}, the rows of {name} that may be chosen. Got"
            f" {n_instances!r} instead."
        )
