"""Penalties: R(w), added to the mean loss."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ridge:
    """R(w) = strength / 2 · Σ wⱼ² over the penalised parameters; strength = 1 / (C Σᵢ sᵢ), zero for C = ∞.

    Parameters
    ----------
    strength : float >= 0
    penalised : ndarray of shape (n_parameters,), bool
    """

    strength: float
    penalised: np.ndarray

    def value(self, w) -> float:
        return 0.5 * self.strength * float(np.sum(w[self.penalised] ** 2))

    def gradient(self, w) -> np.ndarray:
        return self.strength * np.where(self.penalised, w, 0.0)

    def hessian_product(self, v) -> np.ndarray:
        return self.strength * np.where(self.penalised, v, 0.0)
