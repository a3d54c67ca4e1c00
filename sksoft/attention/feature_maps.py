"""From parameters to the features in which distances are taken, and back for gradients.

    scale     q = x / h                one bandwidth h for all features
    ard       q_d = x_d / h_d          one for each ("automatic relevance determination" [1]_)
    linear    q = x L                  L of shape (p, r): all Mahalanobis distances of rank r [2]_

Bandwidths are parametrised by their logarithm, so none is ever negative. Rows, features and gradients in them are where
the rows are, on the host or a device; parameters and what is summed over rows are on the host.

References
----------
.. [1] MacKay, "Bayesian non-linear modeling for the prediction competition", ASHRAE Transactions 100, 1994.
.. [2] Goldberger, Roweis, Hinton, Salakhutdinov, "Neighbourhood components analysis", NIPS 2004.
"""

from dataclasses import dataclass

import numpy as np

from sksoft.kernels import placement


@dataclass(frozen=True)
class Scale:
    """One bandwidth: parameters (log h,)."""

    n_features: int

    @property
    def size(self) -> int:
        """Number of parameters."""
        return 1

    def features(self, theta, X):
        """(n, p) features of X."""
        return X * np.exp(-theta[0])

    def pull(self, theta, X, features, gradient):
        """Gradient in the parameters from the `gradient` (n, p) in the features of X. O(n p)."""
        return np.array([-float(np.vdot(features, gradient))])

    def bandwidth(self, theta):
        """(p,) bandwidths."""
        return np.full(self.n_features, np.exp(theta[0]))


@dataclass(frozen=True)
class Ard:
    """A bandwidth for each feature: parameters log h, (p,). Where `constant`, the bandwidth is infinite."""

    constant: np.ndarray

    @property
    def size(self) -> int:
        """Number of parameters."""
        return len(self.constant)

    def features(self, theta, X):
        """(n, p) features of X."""
        return X * placement.where(X, np.where(self.constant, 0.0, np.exp(-theta)))

    def pull(self, theta, X, features, gradient):
        """Gradient in the parameters from the `gradient` (n, p) in the features of X. O(n p)."""
        return -placement.to_host(np.einsum("ij,ij->j", features, gradient))

    def bandwidth(self, theta):
        """(p,) bandwidths."""
        return np.where(self.constant, np.inf, np.exp(theta))


@dataclass(frozen=True)
class Linear:
    """A matrix L (p, r), its entries are the parameters."""

    n_features: int
    rank: int

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.n_features * self.rank

    def features(self, theta, X):
        """(n, r) features of X."""
        return X @ placement.where(X, theta.reshape(self.n_features, self.rank))

    def pull(self, theta, X, features, gradient):
        """Gradient in the parameters from the `gradient` (n, r) in the features of X. O(n p r)."""
        return placement.to_host(X.T @ gradient).ravel()
