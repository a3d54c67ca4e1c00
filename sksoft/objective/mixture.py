r"""The likelihood of known components under weights: what ``solvers.mixture`` asks of rows, computed where they live.

F(w) = Σᵢ sᵢ log(qᵢ · w),    g_m = Σᵢ sᵢ q_im / (qᵢ · w),    −∇²F = Σᵢ sᵢ qᵢ qᵢᵀ / (qᵢ · w)²
"""

import numpy as np

from sksoft.kernels import placement
from sksoft.kernels.blocks import DEVICE_BYTES

# Entries of the likelihoods that are worked on at a time: they fit the second cache.
PART = 1 << 17


class Mixture:
    """The rows, on the host or on a device; what is small, weights of components and sums, is on the host.

    Parameters
    ----------
    likelihoods : ndarray (n, M), float64, finite, non-negative
        q, any scale per row. No row may be zero throughout.
    row_weights : ndarray (n,), float64, > 0, default=None
        s: ones by default; their sum does not matter.

    Raises
    ------
    ValueError
        If a row has likelihood zero under every component.
    """

    def __init__(self, likelihoods, row_weights=None):
        n, self.n_components = likelihoods.shape
        s = placement.namespace(likelihoods).ones(n) if row_weights is None else row_weights.astype(np.float64)
        s = s / s.max()
        self.q, self.s = likelihoods, s / s.sum()
        entries = DEVICE_BYTES // 8 if placement.on_device(likelihoods) else PART
        rows = max(1, entries // self.n_components)
        self.parts = [slice(start, start + rows) for start in range(0, n, rows)]
        for part in self.parts:
            empty = np.flatnonzero(~(self.q[part].max(axis=1) > 0.0))
            if len(empty):
                raise ValueError(f"Row {part.start + int(empty[0])} has likelihood zero under every component.")

    def at(self, w: np.ndarray) -> tuple[float, np.ndarray]:
        """−F(w) and the slopes g."""
        value, slopes = 0.0, np.zeros(self.n_components)
        w = placement.where(self.q, w)
        for part in self.parts:
            q, s = self.q[part], self.s[part]
            mixed = q @ w
            with np.errstate(divide="ignore"):
                value -= float(s @ np.log(mixed))
            if not np.isfinite(value):
                return np.inf, slopes
            slopes += placement.to_host((s / mixed) @ q)
        return value, slopes

    def curvature(self, w: np.ndarray) -> np.ndarray:
        """−∇²F(w), (M, M)."""
        total = np.zeros((self.n_components, self.n_components))
        w = placement.where(self.q, w)
        for part in self.parts:
            q = self.q[part]
            scaled = q * (np.sqrt(self.s[part]) / (q @ w))[:, None]
            total += placement.to_host(scaled.T @ scaled)
        return total
