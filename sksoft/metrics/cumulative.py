"""Calibration errors without bins: the walk of summed residuals in the order of the scores.

With rows sorted by score c, hits a, weights w and W = Σ w, the walk is ``C_k = W⁻¹ Σ_{i<=k} w_i (a_i − c_i)``, C_0 = 0,
looked at only where the score changes, so that the order of tied rows does not matter [1]_:

    ks      max_k |C_k|
    kuiper  max_k C_k − min_k C_k

The slope of the walk between two scores is the miscalibration between them. Where predictions are calibrated, C/σ with
``σ² = W⁻² Σ w_i² c_i (1 − c_i)`` is close to a standard Brownian motion B on [0, 1], whence the p-values.

.. [1] I. Arrieta-Ibarra, P. Gujral, J. Tannen, M. Tygert, C. Xu, "Metrics of calibration for probabilistic
   predictions", JMLR 23 (2022), sections 2 and 3.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from sksoft.metrics.calibration import check_choices
from sksoft.metrics.events import events
from sksoft.metrics.predictions import check_predictions

STATISTICS = ("ks", "kuiper")

# Terms of the series below: at their switching points the last one is under 1e-40.
TERMS = np.arange(1, 13)


class CumulativeStatistics(NamedTuple):
    """What :func:`cumulative_statistics` returns.

    Attributes
    ----------
    ks, kuiper : float in [0, 1]
        Largest distance of the walk from 0, and its range.
    sigma : float
        Standard deviation of the end of the walk if predictions are calibrated: ``ks / sigma`` is the argument of
        :func:`ks_p_value`. 0 where all scores are 0 or 1.
    """

    ks: float
    kuiper: float
    sigma: float


def cumulative_calibration_error(
    y_true,
    y_proba,
    *,
    statistic="ks",
    mode="auto",
    sample_weight=None,
    labels=None,
    pos_label=None,
) -> float:
    """Largest miscalibration accumulated over an interval of scores, without bins or bandwidth.

    ``'ks'`` is ``max_k |C_k|`` over intervals from 0, ``'kuiper'`` is ``max_k C_k − min_k C_k`` over all intervals,
    with ``C_k = W⁻¹ Σ_{i<=k} w_i (a_i − c_i)`` in the order of the scores ([1]_, eqs. 10 and 11): the largest
    ``|E[(a − c) 1{c in I}]|``. ``ks <= kuiper <= 2 ks``.

    Parameters
    ----------
    y_true : array-like (n,)
        True labels of any type.
    y_proba : array-like (n, K) or (n,)
        Class probabilities, rows summing to 1; or the probability of the positive class.
    statistic : {'ks', 'kuiper'}, default='ks'
    mode : {'auto', 'confidence', 'classwise', 'top_label', 'binary'}, default='auto'
        See :mod:`sksoft.metrics.events`; means over classes or predicted labels.
    sample_weight : array-like (n,), optional
        Weight 2 equals repetition and weight 0 removal.
    labels, pos_label
        As in :func:`expected_calibration_error`.

    Returns
    -------
    error : float in [0, 1]
        About ``σ`` times 1.25 (ks) or 1.6 (kuiper) for calibrated predictions, which
        :func:`cumulative_statistics` returns.

    Raises
    ------
    ValueError
        For invalid labels, probabilities, weights or parameters.

    Notes
    -----
    O(nK + n log n).

    References
    ----------
    .. [1] I. Arrieta-Ibarra, P. Gujral, J. Tannen, M. Tygert, C. Xu, "Metrics of calibration for probabilistic
       predictions", JMLR 23 (2022).

    Examples
    --------
    >>> from sksoft.metrics import cumulative_calibration_error
    >>> print(cumulative_calibration_error([1, 0, 1, 0], [0.25, 0.5, 0.5, 0.75]))
    0.1875
    """
    check_choices(mode=mode)
    if statistic not in STATISTICS:
        raise ValueError(f"The 'statistic' parameter must be one of {STATISTICS}. Got {statistic!r} instead.")
    predictions = check_predictions(y_true, y_proba, sample_weight=sample_weight, labels=labels, pos_label=pos_label)
    return float(
        sum(
            event.share * getattr(cumulative_statistics(event.scores, event.hits, event.weights), statistic)
            for event in events(predictions, mode, pos_label)
        )
    )


def cumulative_statistics(scores, hits, weights=None, weight_type="sampling") -> CumulativeStatistics:
    """KS and Kuiper statistics of one event, with the scale of their distribution under calibration.

    Parameters
    ----------
    scores : ndarray (n,) of floats in [0, 1]
        Validated probabilities.
    hits : ndarray (n,), bool or integers 0 and 1
        Whether the event came true.
    weights : ndarray (n,) float64, optional
        Positive.
    weight_type : {'sampling', 'frequency'}, default='sampling'
        ``σ² = W⁻² Σ w² c(1 − c)``, or for repetitions ``W⁻² Σ w c(1 − c)``.

    Returns
    -------
    statistics : CumulativeStatistics

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft.metrics.cumulative import cumulative_statistics, ks_p_value
    >>> found = cumulative_statistics(np.array([0.25, 0.5, 0.5, 0.75]), np.array([1, 0, 1, 0]))
    >>> print(found.ks, found.kuiper, round(found.sigma, 6))
    0.1875 0.1875 0.233854
    >>> print(round(float(ks_p_value(found.ks / found.sigma)), 6))
    0.813164
    """
    scores = np.asarray(scores, dtype=np.float64)
    order = np.argsort(scores)
    ascending = scores[order]
    last_of_tie = np.append(ascending[1:] != ascending[:-1], True)
    residuals, variances = hits[order] - ascending, ascending * (1.0 - ascending)
    total = float(len(scores))
    if weights is not None:
        ordered = weights[order]
        total = float(ordered.sum())
        residuals *= ordered
        variances *= ordered if weight_type == "frequency" else ordered**2
    walk = np.cumsum(residuals)[last_of_tie] / total
    high, low = max(float(walk.max()), 0.0), min(float(walk.min()), 0.0)
    return CumulativeStatistics(max(high, -low), high - low, float(np.sqrt(variances.sum())) / total)


def ks_p_value(x):
    """P(max_{0<=t<=1} |B(t)| >= x) of a standard Brownian motion; `x` is ``ks / sigma``.

    ``4 Σ_{j>=0} (−1)^j Φ(−(2j + 1) x)``, and below 1 its complement ``4/π Σ_{j>=0} (−1)^j/(2j + 1)
    exp(−(2j + 1)² π²/(8x²))``: full relative accuracy in the tail. 1 at x = 0.

    Examples
    --------
    >>> from sksoft.metrics.cumulative import ks_p_value
    >>> print(round(float(ks_p_value(2.2414)), 4))
    0.05
    """
    x = np.asarray(x, dtype=np.float64)[..., None]
    odd, sign = 2 * TERMS - 1, (-1.0) ** (TERMS + 1)
    tail = 4 * (sign * ndtr(-odd * x)).sum(axis=-1)
    with np.errstate(divide="ignore"):
        body = 4 / np.pi * (sign / odd * np.exp(-((odd * np.pi / x) ** 2) / 8)).sum(axis=-1)
    return np.clip(np.where(x[..., 0] < 1, 1 - body, tail), 0.0, 1.0)


def kuiper_p_value(x):
    """P(max B − min B >= x) of a standard Brownian motion on [0, 1]; `x` is ``kuiper / sigma``.

    Feller's distribution [1]_: ``8 Σ_{j>=1} (−1)^{j+1} j Φ(−j x)``, and below 1.5 its complement
    ``Σ_{j odd} (8/x² + 8/(j² π²)) exp(−j² π²/(2x²))``.

    .. [1] W. Feller, "The asymptotic distribution of the range of sums of independent random variables", Annals of
       Mathematical Statistics 22 (1951).

    Examples
    --------
    >>> from sksoft.metrics.cumulative import kuiper_p_value
    >>> print(round(float(kuiper_p_value(2.4977)), 4))
    0.05
    """
    x = np.asarray(x, dtype=np.float64)[..., None]
    tail = 8 * ((-1.0) ** (TERMS + 1) * TERMS * ndtr(-TERMS * x)).sum(axis=-1)
    odd = 2 * TERMS - 1
    squares = np.maximum(x, 1e-2) ** 2  # below, the complement is 0 in double precision
    body = ((8 / squares + 8 / (odd * np.pi) ** 2) * np.exp(-((odd * np.pi) ** 2) / (2 * squares))).sum(axis=-1)
    return np.clip(np.where(x[..., 0] < 1.5, 1 - body, tail), 0.0, 1.0)
