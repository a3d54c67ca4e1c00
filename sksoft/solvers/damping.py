"""Levenberg–Marquardt damping: where full Newton steps overshoot, the model is H + μ D [1]_.

After a step of length t along d, with h = −gᵀd / dᵀDd the curvature along it in units of D::

    t < 0.5                     μ ← min(1, max(4 μ, 0.1 h (1/t − 1)))
    t = 1, gain > 0.9 of q      μ ← 0.1 μ
    t = 1, gain > 0.7 of q      μ ← 0.3 μ            and 0 once below 1e-4 h

References
----------
.. [1] Nocedal, Wright, "Numerical Optimization", 2nd ed., 2006, section 10.3.
"""

from collections.abc import Callable

import numpy as np

SHORT_STEP = 0.5
GROWTH, SHARE_OF_CURVATURE, LARGEST = 4.0, 0.1, 1.0
NEGLIGIBLE = 1e-4


class Damping:
    """μ, and how it follows the steps.

    Parameters
    ----------
    scale : callable
        () → ndarray or float: the diagonal D, or so much of it that repeated it is all. Called once steps fall short.
    """

    def __init__(self, scale: Callable):
        self._scale = scale
        self.strength = 0.0

    def added_to(self, product):
        """v → H v + μ D v."""
        if self.strength == 0.0:
            return product
        strength = self.strength

        def damped(v):
            result, addition = product(v), self._scaled(v)
            addition *= strength
            result += addition
            return result

        return damped

    def follow(self, t: float, d, decrement: float, gain_share: float) -> None:
        """Adapt μ to a step of length t along d that gained `gain_share` of what the model predicted."""
        if t >= SHORT_STEP and self.strength == 0.0:
            return
        h = decrement / max(float(np.dot(self._scaled(d), d)), np.finfo(float).tiny)
        if t < SHORT_STEP:
            self.strength = min(LARGEST, max(GROWTH * self.strength, SHARE_OF_CURVATURE * h * (1.0 / t - 1.0)))
        elif t == 1.0 and gain_share > 0.7:
            self.strength *= 0.1 if gain_share > 0.9 else 0.3
        if self.strength < NEGLIGIBLE * h:
            self.strength = 0.0

    def _scaled(self, v) -> np.ndarray:
        """D v."""
        scale = self._scale()
        return (v.reshape(-1, np.size(scale)) * scale).ravel()
