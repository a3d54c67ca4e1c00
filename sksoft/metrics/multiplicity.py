"""Adjusting p-values for the number of questions asked."""

import numpy as np


def holm(p_values) -> np.ndarray:
    """Holm's step-down adjustment: controls the family-wise error under any dependence.

    The i-th smallest of m p-values becomes ``max_{j <= i} min(1, (m − j + 1) p_(j))`` [1]_. NaN stands for a
    question that was not asked: it stays NaN and does not count.

    .. [1] S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
       Statistics 6 (1979).

    Examples
    --------
    >>> from sksoft.metrics.multiplicity import holm
    >>> print(holm([0.01, 0.04, float("nan"), 0.03]))
    [0.03 0.06  nan 0.06]
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    adjusted = p_values.copy()
    asked = np.flatnonzero(~np.isnan(p_values))
    order = asked[np.argsort(p_values[asked], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p_values[order]), 1.0)
    return adjusted


def benjamini_hochberg(p_values) -> np.ndarray:
    """Benjamini and Hochberg's step-up adjustment: controls the expected share of false rejections.

    The i-th smallest of m p-values becomes ``min_{j >= i} min(1, m/j p_(j))`` ([1]_, eq. 1), for tests that are
    independent or positively dependent. NaN stands for a question that was not asked: it stays NaN and does not count.

    Parameters
    ----------
    p_values : array-like (m,) of floats in [0, 1] or NaN

    Returns
    -------
    adjusted : ndarray (m,)

    References
    ----------
    .. [1] Y. Benjamini, Y. Hochberg, "Controlling the false discovery rate: a practical and powerful approach to
       multiple testing", JRSS B 57 (1995).

    Examples
    --------
    >>> from sksoft.metrics.multiplicity import benjamini_hochberg
    >>> print(benjamini_hochberg([0.01, 0.04, float("nan"), 0.03]))
    [0.03 0.04  nan 0.04]
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    adjusted = p_values.copy()
    asked = np.flatnonzero(~np.isnan(p_values))
    order = asked[np.argsort(p_values[asked], kind="stable")]
    factors = len(order) / np.arange(1, len(order) + 1)
    adjusted[order] = np.minimum(np.minimum.accumulate((factors * p_values[order])[::-1])[::-1], 1.0)
    return adjusted


def westfall_young(observed, drawn) -> np.ndarray:
    """Step-down max-T adjustment of Monte-Carlo tests drawn jointly ([1]_, algorithm 4.1).

    Controls the family-wise error whatever the dependence, which the joint draws carry: groups and their
    intersections share rows. And its smallest value is 1/(B + 1) for any number of tests, where Holm's would
    be m/(B + 1) and could never fall below 5 % for m = 50 groups and B = 999 draws.

    Parameters
    ----------
    observed : ndarray (m,)
        Statistics, large against the null hypothesis.
    drawn : ndarray (B, m)
        The same under the null hypotheses; one row is one joint draw.

    Returns
    -------
    adjusted : ndarray (m,)
        ``(1 + #{b: max over the tests not above this one of Z*_b >= Z}) / (B + 1)``, Z the statistics
        standardised by their draws, made monotone.

    References
    ----------
    .. [1] P. H. Westfall, S. S. Young, "Resampling-based multiple testing", Wiley 1993.
    """
    if observed.size == 0:
        return np.empty(0)
    centre, spread = drawn.mean(axis=0), drawn.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    order = np.argsort((observed - centre) / scale, kind="stable")
    wanted = ((observed - centre) / scale)[order]
    maxima = np.maximum.accumulate(((drawn - centre) / scale)[:, order], axis=1)
    reached = (maxima >= wanted - 1e-12 * np.abs(wanted)).sum(axis=0)
    adjusted = np.empty(len(observed))
    adjusted[order] = np.maximum.accumulate((1 + reached[::-1]) / (1 + len(drawn)))[::-1]
    return adjusted
