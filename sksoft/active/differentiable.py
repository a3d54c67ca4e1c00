r"""Scores of a classifier and their derivatives by its features.

A classifier is differentiable here if its probabilities are the softmax of scores z(x) that are

- what its method ``scores_and_pullback(X)`` says: the scores (n, K), and a function that takes (n, K) arrays G to
  Σ_k G_k ∂z_k/∂x, (n, p); or
- affine, z = W x + b: ``coef_`` and ``intercept_``, behind steps of a pipeline that are affine (scalers, PCA), and in
  front of a calibrator that is affine in the scores (temperature, vector, matrix, Dirichlet and Platt scaling).

Whether a step or a calibrator is affine is not asked of its name: it is evaluated at the origin and at the unit
vectors, which determines an affine map, and the whole is compared with ``predict_proba`` where it will be used. So a
link that is no softmax, or a step that is not affine, is an error and not a wrong gradient.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator

from sksoft.kernels import rowwise

TREES = ("sklearn.tree", "sklearn.ensemble", "xgboost", "lightgbm", "catboost")
POOL = "Search a pool instead: query(X_pool, n_instances)."
AGREEMENT = 1e-6

# x (n, p) -> scores (n, K) and the pullback of (n, K) arrays to (n, p)
ScoreMap = Callable[[np.ndarray], tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]]


def score_map(estimator, X) -> ScoreMap:
    """The scores of a fitted classifier as a function of features, compared with its probabilities at the rows of `X`.

    Raises
    ------
    ValueError
        If the classifier is not differentiable, with the reason.
    """
    fitted = _unwrapped(estimator)
    if hasattr(fitted, "scores_and_pullback"):
        scores = fitted.scores_and_pullback
    else:
        weights, intercept = _affine(fitted, X)

        def scores(rows):
            return rows @ weights.T + intercept, lambda g: g @ weights

    expected = np.asarray(estimator.predict_proba(X))
    if not np.allclose(rowwise.softmax_rows(np.ascontiguousarray(scores(X)[0])), expected, rtol=0.0, atol=AGREEMENT):
        raise ValueError(
            f"The probabilities of {_name(fitted)} are not a softmax of affine scores, so their gradient is not known"
            f" here. {POOL}"
        )
    return scores


def _unwrapped(estimator) -> Any:
    """The classifier in a FrozenEstimator or a search."""
    while True:
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return estimator


def _affine(estimator, X) -> tuple[np.ndarray, np.ndarray]:
    """W (K, p) and b (K,) of a classifier that has them."""
    estimator = _unwrapped(estimator)
    if hasattr(estimator, "steps"):
        before = estimator[:-1]
        matrix, shift = _probed(lambda rows: before.transform(rows), np.zeros(X.shape[1]))
        weights, intercept = _affine(estimator[-1], before.transform(X))
        return weights @ matrix.T, intercept + weights @ shift
    pairs = getattr(estimator, "calibrated_classifiers_", None)
    if pairs and isinstance(pairs[0], tuple):
        return _calibrated(estimator, pairs, X)
    if not hasattr(estimator, "coef_") or not hasattr(estimator, "intercept_"):
        raise ValueError(_why_not(estimator))
    coef = np.atleast_2d(np.asarray(getattr(estimator.coef_, "toarray", lambda: estimator.coef_)(), dtype=np.float64))
    intercept = np.broadcast_to(np.asarray(estimator.intercept_, dtype=np.float64), len(coef))
    if len(coef) == 1:  # two classes: scores (0, z)
        coef, intercept = np.vstack([np.zeros_like(coef), coef]), np.append(0.0, intercept)
    return coef, intercept


def _calibrated(estimator, pairs, X):
    """The calibrator's map after the classifier's: log-probabilities are scores, shifted by what all have in common."""
    if len(pairs) > 1:
        raise ValueError(
            f"{_name(estimator)} with ensemble=True averages probabilities, which are no softmax of affine scores; use"
            f" ensemble=False for synthesis. {POOL}"
        )
    classifier, calibrator = pairs[0]
    weights, intercept = _affine(classifier, X)
    n_scores = 1 if len(weights) == 2 else len(weights)

    def calibrated(scores):
        proba = calibrator.predict_proba(scores[:, 0] if n_scores == 1 else scores)
        with np.errstate(divide="ignore"):
            return np.log(proba)

    matrix, shift = _probed(calibrated, np.zeros(n_scores))
    if n_scores == 1:
        weights, intercept = weights[1:] - weights[:1], intercept[1:] - intercept[:1]
    weights, intercept = matrix.T @ weights, shift + intercept @ matrix
    return weights - weights.mean(axis=0), intercept - intercept.mean()


def _probed(function, origin) -> tuple[np.ndarray, np.ndarray]:
    """M (p, q) and c (q,) of an affine map x M + c, from its values at the origin and the unit vectors."""
    values = np.asarray(function(np.vstack([origin, np.eye(len(origin))])), dtype=np.float64)
    return values[1:] - values[0], values[0]


def _why_not(estimator) -> str:
    module = type(estimator).__module__
    if module.startswith(TREES) or hasattr(estimator, "tree_"):
        return (
            f"{_name(estimator)} is piecewise constant: the gradient of its entropy is zero almost everywhere, so there"
            f" is nothing to ascend. {POOL}"
        )
    return (
        f"{_name(estimator)} tells no derivative of its scores: it has neither coef_ and intercept_ nor"
        f" scores_and_pullback. {POOL}"
    )


def _name(estimator) -> str:
    return type(estimator).__name__
