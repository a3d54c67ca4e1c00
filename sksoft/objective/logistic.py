r"""The logistic loss of a few columns: what ``solvers.logistic`` asks of the rows, computed where they live.

F(w) = Σᵢ sᵢ (log(1 + exp ηᵢ) − tᵢ ηᵢ),      η = X w,  Σ s = 1,  0 ≤ t ≤ 1
"""

import numpy as np
from scipy.special import expit

from sksoft.kernels import placement


class LogisticLoss:
    """F, of rows on the host or on a device; w and sums over the rows are on the host.

    Parameters
    ----------
    X : ndarray (n, p), float64
        A handful of columns, of similar size for the sake of accuracy, not collinear.
    targets : ndarray (n,), in [0, 1]
    weights : ndarray (n,), non-negative
        Their sum does not matter.

    Attributes
    ----------
    floor : float
        The targets' entropy, which no model can beat.
    endless : bool
        Whether some targets are 0 or 1: such a target is met by an infinite η alone.
    """

    def __init__(self, X, targets, weights):
        self.X, self.t, self.s = X, targets, weights / weights.sum()
        self.endless = bool(((targets == 0.0) | (targets == 1.0)).any())
        with np.errstate(divide="ignore", invalid="ignore"):
            entropy = -targets * np.log(targets) - (1.0 - targets) * np.log1p(-targets)
        self.floor = float(self.s @ np.nan_to_num(entropy))

    def value(self, w: np.ndarray) -> float:
        """F(w)."""
        eta = self.X @ placement.where(self.X, w)
        # log(1 + exp η) − t η, where neither term is large though η is
        return float(self.s @ (np.log1p(np.exp(-np.abs(eta))) + np.maximum(eta, 0.0) - self.t * eta))

    def at(self, w: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """F, its gradient (p,) and its Hessian (p, p)."""
        proba = sigmoid(self.X @ placement.where(self.X, w))
        bend = self.s * proba * (1.0 - proba)
        gradient, hessian = (self.s * (proba - self.t)) @ self.X, (self.X.T * bend) @ self.X
        return self.value(w), placement.to_host(gradient), placement.to_host(hessian)

    def reach(self, root: np.ndarray) -> float:
        """maxᵢ ‖root⁻¹ xᵢ‖, `root` (p, p) lower triangular."""
        if placement.on_device(self.X):
            scaled = placement.to_device(np.linalg.inv(root)) @ self.X.T
        else:
            scaled = np.linalg.solve(root, self.X.T)
        return float(np.sqrt(np.square(scaled).sum(axis=0).max()))


def sigmoid(u):
    """1 / (1 + exp(−u)), where u lives."""
    if not placement.on_device(u):
        return expit(u)
    e = np.exp(-np.abs(u))
    return np.where(u >= 0.0, 1.0, e) / (1.0 + e)
