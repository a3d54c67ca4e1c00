"""Fits of independent sigmoids to given rows: which labels are constant, where X is centred, which thread does what."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from sksoft.kernels.blocks import map_blocks, row_blocks, serial_blas
from sksoft.linear.indicators import Indicators, class_weights
from sksoft.metrics.folds import content_folds
from sksoft.objective.shared_features import SharedFeatures
from sksoft.objective.sigmoids import Sigmoids
from sksoft.solvers.batched_newton import subspace_newton

# Folds of the rows whose out-of-fold scores choose thresholds.
FOLDS = 5
# Bytes of out-of-fold scores at a time.
SCORE_BYTES = 32 << 20


@dataclass(frozen=True)
class SigmoidSolution:
    """Coefficients and certificates of all labels.

    Attributes
    ----------
    coef : ndarray (L, p)
    intercept, objective, gap : ndarray (L,)
    n_iter : ndarray (L,), intp
    converged, constant : ndarray (L,), bool
        Whether the label reached its tolerance; whether it is the same in all rows, so that there is no optimum.
    """

    coef: np.ndarray
    intercept: np.ndarray
    objective: np.ndarray
    gap: np.ndarray
    n_iter: np.ndarray
    converged: np.ndarray
    constant: np.ndarray


@dataclass(frozen=True)
class SigmoidProblem:
    """What to minimise, on any rows: the parameters of :class:`~sksoft.SigmoidClassifier` of the same names."""

    indicators: Indicators
    C: float
    fit_intercept: bool
    class_weight: Any
    tol: float
    max_iter: int

    def solve(self, X, targets, weights: np.ndarray, start=None) -> SigmoidSolution:
        """Fit to rows X (n, p), targets (n, L) and positive weights, from coefficients and intercepts where given."""
        total = weights.sum()
        shares = np.asarray(weights @ targets) / total
        positive, negative = class_weights(self.class_weight, self.indicators, shares)
        of_one, of_none = positive * shares, negative * (1.0 - shares)
        if (of_one + of_none <= 0.0).any():
            label = self.indicators.classes[np.flatnonzero(of_one + of_none <= 0.0)[0]]
            raise ValueError(
                f"The 'class_weight' parameter must leave some weight to every label. Got none for {label}."
            )
        centre = np.zeros(X.shape[1])
        if self.fit_intercept and not sparse.issparse(X):
            centre = weights @ X / total
            X = X - centre
        constant = ((of_one <= 0.0) | (of_none <= 0.0)) & self.fit_intercept
        solution = _constant_solution(of_one * total, of_none * total, constant, X.shape[1])
        vary = np.flatnonzero(~constant)
        if vary.size:
            if constant.any():
                targets, positive, negative = targets[:, vary], positive[vary], negative[vary]
            factors = (weights, positive, negative)
            with serial_blas():
                sigmoids = Sigmoids(SharedFeatures(X), targets, *factors, C=self.C, fit_intercept=self.fit_intercept)
                self._fill(solution, vary, sigmoids, self._parameters(start, vary, centre))
        solution.intercept[vary] -= solution.coef[vary] @ centre
        return solution

    def _parameters(self, start, labels: np.ndarray, centre: np.ndarray) -> np.ndarray | None:
        """Coefficients and intercepts of some labels in the coordinates of the fit, (p + 1, L) or (p, L)."""
        if start is None:
            return None
        coef, intercept = (part[labels] for part in start)
        return np.vstack([coef.T, intercept + coef @ centre]) if self.fit_intercept else coef.T.copy()

    def _fill(self, solution: SigmoidSolution, labels: np.ndarray, sigmoids: Sigmoids, start) -> None:
        """Solve groups of labels, each group on one thread."""

        def solve(group: slice):
            begin = None if start is None else start[:, group]
            return subspace_newton(sigmoids.group(group, begin), tol=self.tol, max_iter=self.max_iter)

        groups = sigmoids.groups()
        p = solution.coef.shape[1]
        for group, part in zip(groups, map_blocks(solve, groups)):
            own = labels[group]
            solution.coef[own] = part.parameters[:p].T
            if self.fit_intercept:
                solution.intercept[own] = part.parameters[p]
            solution.objective[own], solution.gap[own] = part.values, part.gaps
            solution.n_iter[own], solution.converged[own] = part.n_iter, part.converged

    def out_of_fold_scores(self, X, targets, weights: np.ndarray, start) -> Iterator[tuple[slice, np.ndarray]]:
        """Some labels and their scores (n, ·) in each row, from a fit to the other folds; and so on for all labels.

        Distinct rows of X in the order of their keys are dealt to the folds in turn, so that equal rows stand together.
        The fits are kept, the scores are not: (n, L) may be too large.
        """
        fold = content_folds(X, np.zeros(X.shape[0], dtype=np.intp), FOLDS)
        if fold.max() == 0:
            raise ValueError("Choosing thresholds needs at least 2 different rows of X. Got 1 instead.")
        parts = []
        for k in range(fold.max() + 1):
            outside = np.flatnonzero(fold != k)
            solution = self.solve(X[outside], targets[outside], weights[outside], start)
            parts.append((np.flatnonzero(fold == k), solution))
        for labels in row_blocks(targets.shape[1], 8 * targets.shape[0], SCORE_BYTES):
            scores = np.empty((targets.shape[0], labels.stop - labels.start))
            for inside, part in parts:
                scores[inside] = np.asarray(X[inside] @ part.coef[labels].T) + part.intercept[labels]
            yield labels, scores


def _constant_solution(of_one: np.ndarray, of_none: np.ndarray, constant: np.ndarray, n_features: int):
    """What labels get that are the same everywhere, and room for the rest: weights of both sides are (L,)."""
    n_labels = len(of_one)
    intercept, objective = np.zeros(n_labels), np.zeros(n_labels)
    intercept[constant] = np.log((of_one[constant] + 0.5) / (of_none[constant] + 0.5))
    objective[constant] = np.log1p(np.exp(-np.abs(intercept[constant])))
    return SigmoidSolution(
        coef=np.zeros((n_labels, n_features)),
        intercept=intercept,
        objective=objective,
        gap=objective.copy(),
        n_iter=np.zeros(n_labels, dtype=np.intp),
        converged=constant.copy(),
        constant=constant,
    )
