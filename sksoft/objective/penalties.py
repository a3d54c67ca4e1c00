"""Penalties: R(w), added to the mean loss."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ridge:
    """R(w) = ½ Σⱼ λⱼ wⱼ².

    Parameters
    ----------
    strength : ndarray of shape (n_parameters,), float64, non-negative
        λⱼ: 1 / (C Σᵢ sᵢ) times the parameter's penalty factor, in the units of the design's column; zero where nothing
        is penalised (intercepts, C = ∞).
    """

    strength: np.ndarray

    def value(self, w) -> float:
        return 0.5 * float(np.dot(self.strength * w, w))

    def gradient(self, w) -> np.ndarray:
        return self.strength * w

    def hessian_product(self, v) -> np.ndarray:
        return self.strength * v
