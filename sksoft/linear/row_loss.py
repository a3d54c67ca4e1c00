"""The summed loss of some rows as a function of a matrix of parameters, as a stochastic solver sees it.

    L(w) = Σᵢ sᵢ L(tᵢ, z̃ᵢ(w) / τ)          ∇L = (1/τ) Σᵢ sᵢ (pᵢ − tᵢ) x̃ᵢᵀ          ∇²L v = (1/τ²) Σᵢ sᵢ (J(pᵢ) v x̃ᵢ) x̃ᵢᵀ

w = [W, b] has a row for each class, or one for two. Everything is in float64.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from sksoft.objective.losses import FenchelYoung
from sksoft.objective.scores import Linear
from sksoft.objective.targets import Target


@dataclass(frozen=True)
class Rows:
    """The summed loss of some rows, as a function of the parameters (R, q).

    Attributes
    ----------
    X : ndarray (n, q) with its column of ones, or CSR array (n, p)
    target : Target of n rows
    weights : ndarray (n,)
    scores : Linear
    loss : FenchelYoung
    temperature : float
    """

    X: Any
    target: Target
    weights: np.ndarray
    scores: Linear
    loss: FenchelYoung
    temperature: float

    @property
    def weight(self) -> float:
        return float(self.weights.sum())

    def take(self, rows: np.ndarray) -> "Rows":
        """Some of the rows."""
        return Rows(self.X[rows], self.target.rows(rows), self.weights[rows], self.scores, self.loss, self.temperature)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Weighted means of x̃ and x̃², (q,)."""
        shares, X = self.weights / self.weight, self.X
        squares = X.multiply(X) if sparse.issparse(X) else X * X
        mean, mean_square = X.T @ shares, np.asarray(squares.T @ shares)
        if sparse.issparse(X) and self.scores.fit_intercept:
            mean, mean_square = np.append(mean, 1.0), np.append(mean_square, 1.0)
        return mean, mean_square

    def at(self, w: np.ndarray) -> "Fitted":
        """Evaluate at w."""
        return Fitted(self, w)


class Fitted:
    """The loss of some rows at w: value, gradient, and what a memory asks."""

    def __init__(self, rows: Rows, w: np.ndarray):
        self.rows, self.w, self.weights = rows, w, rows.weights
        shape = (len(rows.weights), rows.scores.n_classes)
        self.proba = np.empty(shape)
        residual = rows.scores.scores(rows.scores.prepare(w.ravel(), rows.X, np.float64), rows.X, np.empty(shape))
        residual /= rows.temperature
        self.value = rows.loss.evaluate(residual, rows.target, rows.weights, residual=residual, proba=self.proba)
        self.gradient = self._adjoint(residual)

    def _adjoint(self, by_score: np.ndarray) -> np.ndarray:
        by_score /= self.rows.temperature
        scores = self.rows.scores
        return scores.flat(scores.adjoint(by_score, self.rows.X)).reshape(self.w.shape)

    def hessian_product(self, v: np.ndarray) -> np.ndarray:
        """∇²L v, (R, q)."""
        prepared = self.rows.scores.prepare(v.ravel(), self.rows.X, np.float64)
        along = self.rows.scores.scores(prepared, self.rows.X, np.empty_like(self.proba))
        along /= self.rows.temperature
        return self._adjoint(self.rows.loss.link.jvp(self.proba, along, weights=self.weights, out=along))

    def features(self) -> np.ndarray:
        """X̃, dense (n, q)."""
        X = self.rows.X
        if not sparse.issparse(X):
            return X
        return np.hstack([X.toarray(), np.ones((X.shape[0], int(self.rows.scores.fit_intercept)))])

    def feature_sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Σᵢ sᵢ x̃ᵢ and max |x̃ᵢ|."""
        X = self.rows.X
        sums = X.T @ self.weights
        if not sparse.issparse(X):
            return sums, np.abs(X).max(axis=0)
        largest = abs(X).max(axis=0).toarray().ravel()
        if self.rows.scores.fit_intercept:
            sums, largest = np.append(sums, self.weights.sum()), np.append(largest, 1.0)
        return sums, largest

    def square_sums(self, weights: np.ndarray) -> np.ndarray:
        """Σᵢ weightᵢ x̃ᵢ²."""
        X = self.rows.X
        if not sparse.issparse(X):
            return np.einsum("i,ij,ij->j", weights, X, X)
        sums = X.multiply(X).T @ weights
        return np.append(sums, weights.sum()) if self.rows.scores.fit_intercept else sums

    def jacobian_rows(self):
        """Row k of every row's weighted Jacobian in w's rows, (n, R), for each k."""
        scores, tau = self.rows.scores, self.rows.temperature
        unit = np.zeros_like(self.proba)
        for k in range(scores.own_classes.start, scores.n_classes):
            unit[:, k] = 1.0
            yield self.rows.loss.link.jvp(self.proba, unit, weights=self.weights / tau**2)[:, scores.own_classes]
            unit[:, k] = 0.0
