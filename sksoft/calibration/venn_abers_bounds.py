r"""The two probabilities of Venn–Abers prediction at every score of a calibration set, exactly and all at once.

With scores s₁ < … < s_m, weights w and positive weights y of the rows at each, let P_j = (W_j, Y_j) be the running
sums. Isotonic regression is the slope of the greatest convex minorant of P₀ … P_m. One more row of label l at s_j
shifts P_j … P_m by (1, l), and the regression there becomes the slope of the bridge between two lower hulls,

    F_l(s_j) = slope of the common lower tangent of {P₀ … P_{j−1}} and {P_j … P_m} + (1, l)

Between scores the row joins the next score to the right (l = 1) or left (l = 0), because no value is larger than one or
smaller than zero [1]_.

Hulls of all prefixes are one array: the neighbour of P_a on the hull that ends in it. It is found for all a together,
by moving on to the neighbour's neighbour while that makes the slope steeper; a point passed over lies above the line,
and so do those its neighbour had passed over. Suffixes likewise, and bridges by walking outwards on both hulls.

References
----------
.. [1] Vovk, Petej, Fedorova, "Large-scale probabilistic predictors with and without guarantees of validity", NeurIPS
   2015, section 3 and appendix.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class VennAbersBounds:
    """F₀ and F₁ as step functions.

    Attributes
    ----------
    scores : ndarray (m,)
        Distinct, ascending.
    with_negative, with_positive : ndarray (m,)
        F₀ and F₁ there, non-decreasing.
    """

    scores: np.ndarray
    with_negative: np.ndarray
    with_positive: np.ndarray

    def at(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """F₀ and F₁ of scores: 0 left of all, 1 right of all."""
        not_above = np.searchsorted(self.scores, scores, side="right")
        below = np.searchsorted(self.scores, scores, side="left")
        return np.append(0.0, self.with_negative)[not_above], np.append(self.with_positive, 1.0)[below]


def venn_abers_bounds(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> VennAbersBounds:
    """F₀ and F₁ of rows with labels.

    Parameters
    ----------
    scores : ndarray (n,)
    positive : ndarray (n,) bool
    weights : ndarray (n,), > 0
        The added row has weight one.

    Notes
    -----
    O(n log n) time for sorting, then O(n) times the hull vertices that a bridge passes, a few; O(n) memory.
    """
    distinct, at = np.unique(scores, return_inverse=True)
    W = np.append(0.0, np.cumsum(np.bincount(at, weights)))
    Y = np.append(0.0, np.cumsum(np.bincount(at, weights * positive)))
    before, after = _neighbours(W, Y)
    return VennAbersBounds(distinct, *(_bridges(W, Y, before, after, label) for label in (0.0, 1.0)))


def _neighbours(W, Y) -> tuple[np.ndarray, np.ndarray]:
    """Of every point its neighbour on the lower hull of all up to it, and of all from it on; itself at the ends."""
    last = len(W) - 1
    before = np.maximum(np.arange(len(W)) - 1, 0)
    after = np.minimum(np.arange(len(W)) + 1, last)
    for found, end in ((before, 0), (after, last)):
        moving = np.flatnonzero(found != end)
        moving = moving[moving != end]
        while len(moving):
            near, far = found[moving], found[found[moving]]
            # the far one is on or below the line through the near one: that is above the hull
            outside = _above(W, Y, far, near, moving) if end == 0 else _above(W, Y, moving, near, far)
            outside &= near != far
            # one that stays may move later, once its neighbour's neighbour has
            if not outside.any():
                break
            found[moving[outside]] = far[outside]
            moving = moving[found[moving] != end]
    return before, after


def _above(W, Y, left, middle, right) -> np.ndarray:
    """Whether a point is on or above the line between two others, left < middle < right."""
    return (Y[middle] - Y[left]) * (W[right] - W[middle]) >= (Y[right] - Y[middle]) * (W[middle] - W[left])


def _bridges(W, Y, before, after, label: float) -> np.ndarray:
    """F_l at every score, (m,)."""
    m = len(W) - 1
    left, right = np.arange(m), np.arange(1, m + 1)
    walking = np.arange(m)

    def steeper(a, b, c, d):
        """Whether the slope from P_a to the shifted P_b is at least that from P_c to the shifted P_d."""
        return (Y[b] + label - Y[a]) * (W[d] + 1.0 - W[c]) >= (Y[d] + label - Y[c]) * (W[b] + 1.0 - W[a])

    while len(walking):
        a, b = left[walking], right[walking]
        further = after[b]
        down = (further != b) & steeper(a, b, a, further)
        b = np.where(down, further, b)
        further = before[a]
        up = (further != a) & steeper(further, b, a, b)
        a = np.where(up, further, a)
        left[walking], right[walking] = a, b
        walking = walking[down | up]
    return (Y[right] + label - Y[left]) / (W[right] + 1.0 - W[left])
