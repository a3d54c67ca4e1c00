r"""Scores of a classifier and their derivatives by its features.

A classifier is differentiable here if its probabilities are the softmax of scores z(x) that are

- what its method ``scores_and_pullback(X)`` says: the scores (n, K), and a function that takes (n, K) arrays G to
  Σ_k G_k ∂z_k/∂x, (n, p); or
- affine, z = W x + b, by ``coef_`` and ``intercept_``; or
- either of them behind steps of a pipeline that are affine (scalers, PCA), or in front of a calibrator that is affine
  in z (temperature, vector, matrix and Platt scaling) or in log softmax(z / T) (Dirichlet, structured and beta
  scaling).

Whether a step or a calibrator is affine is not asked of its name: its values at a few points determine an affine map,
and the whole is compared with ``predict_proba`` where it will be used, and where it was. So a link that is no softmax,
or a step that is not affine, is an error and not a wrong gradient.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator

from sksoft.kernels import rowwise

TREES = ("sklearn.tree", "sklearn.ensemble", "xgboost", "lightgbm", "catboost")
POOL = "Search a pool instead: query(X_pool, n_instances)."
AGREEMENT = 1e-6
# Where meta-estimators keep the one classifier that they fitted.
INSIDE = ("best_estimator_", "student_", "estimator_")

# x (n, p) -> scores (n, K) and the pullback of (n, K) arrays to (n, p)
ScoreMap = Callable[[np.ndarray], tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]]


def score_map(estimator, X) -> ScoreMap:
    """The scores of a fitted classifier as a function of features, compared with its probabilities at the rows of `X`.

    Raises
    ------
    ValueError
        If the classifier is not differentiable, with the reason.
    """
    scores = _scores(estimator, X)
    check_scores(scores, estimator, X)
    return scores


def check_scores(scores, estimator, X):
    """ValueError unless their softmax is what the classifier predicts for the rows of `X`."""
    expected = np.asarray(estimator.predict_proba(as_fitted(estimator, X)))
    found = rowwise.softmax_rows(np.ascontiguousarray(scores(X)[0]))
    if found.shape != expected.shape or not np.allclose(found, expected, rtol=0.0, atol=AGREEMENT):
        raise ValueError(_not_affine(_unwrapped(estimator)))


def as_fitted(estimator, rows):
    """Rows as a frame where the classifier was fitted to one, so that it does not warn."""
    names = getattr(estimator, "feature_names_in_", None)
    return rows if names is None else pd.DataFrame(rows, columns=names)


def _unwrapped(estimator) -> Any:
    """The classifier in a FrozenEstimator, a search, a distiller or another meta-estimator around one."""
    while True:
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
            continue
        inside = next((name for name in INSIDE if hasattr(estimator, name)), None)
        if inside is None or hasattr(estimator, "scores_and_pullback") or hasattr(estimator, "calibrated_classifiers_"):
            return estimator
        estimator = getattr(estimator, inside)


def _scores(estimator, X) -> ScoreMap:
    estimator = _unwrapped(estimator)
    if hasattr(estimator, "scores_and_pullback"):
        return estimator.scores_and_pullback
    if hasattr(estimator, "steps"):
        return _behind_steps(estimator, X)
    pairs = getattr(estimator, "calibrated_classifiers_", None)
    if pairs and isinstance(pairs[0], tuple):
        return _calibrated(estimator, pairs, X)
    if hasattr(estimator, "coef_") and hasattr(estimator, "intercept_"):
        return _linear(estimator)
    raise ValueError(_why_not(estimator))


def _linear(estimator) -> ScoreMap:
    coef = estimator.coef_.toarray() if hasattr(estimator.coef_, "toarray") else estimator.coef_
    weights = np.atleast_2d(np.asarray(coef, dtype=np.float64))
    intercept = np.broadcast_to(np.asarray(estimator.intercept_, dtype=np.float64), len(weights))
    if len(weights) == 1:  # two classes: scores (0, z)
        weights, intercept = np.vstack([np.zeros_like(weights), weights]), np.append(0.0, intercept)
    return lambda rows: (rows @ weights.T + intercept, lambda g: g @ weights)


def _behind_steps(pipeline, X) -> ScoreMap:
    if len(pipeline.steps) == 1:
        return _scores(pipeline[-1], X)
    before = pipeline[:-1]
    origin = X.mean(axis=0)  # among the data, for digits are lost far from them, and a step may clip there
    reach = X.max(axis=0) - origin
    points = np.vstack([origin, origin + np.diag(np.where(reach > 0, reach, 1.0))])
    values = np.asarray(before.transform(as_fitted(pipeline, points)), dtype=np.float64)
    matrix, shift = (values[1:] - values[0]) / (np.diag(points[1:]) - origin)[:, None], values[0]
    inner = _scores(pipeline[-1], (X - origin) @ matrix + shift)

    def scores(rows):
        z, pullback = inner((rows - origin) @ matrix + shift)
        return z, lambda g: pullback(g) @ matrix.T

    return scores


def _calibrated(estimator, pairs, X) -> ScoreMap:
    """The calibrator's map behind the classifier's; log-probabilities are scores."""
    if len(pairs) > 1:
        raise ValueError(
            f"{_name(estimator)} with ensemble=True averages probabilities, which are no softmax of affine scores; use"
            f" ensemble=False for synthesis. {POOL}"
        )
    classifier, calibrator = pairs[0]
    inner = _scores(classifier, X)
    probes = _probes(inner(X)[0])
    proba = calibrator.predict_proba(probes[:, 1] - probes[:, 0] if probes.shape[1] == 2 else probes)
    target = np.log(np.maximum(proba, np.finfo(np.float64).tiny))
    target -= target.mean(axis=1, keepdims=True)
    for features in (_as_they_are, partial(_log_softmax, temperature=getattr(calibrator, "temperature_", 1.0))):
        design = np.column_stack([features(probes)[0], np.ones(len(probes))])
        solution = np.linalg.lstsq(design, target, rcond=None)[0]
        if np.abs(design @ solution - target).max() <= AGREEMENT * (1.0 + np.abs(target).max()):
            return partial(_composed, inner=inner, features=features, matrix=solution[:-1], shift=solution[-1])
    raise ValueError(_not_affine(estimator))


def _probes(scores) -> np.ndarray:
    """Points about where the scores are, not so far apart that probabilities vanish: enough to determine a map."""
    n_classes = scores.shape[1]
    spread = np.minimum(scores.std(axis=0), 3.0) + 0.1
    return scores.mean(axis=0) + spread * np.random.default_rng(0).normal(size=(3 * n_classes + 5, n_classes))


def _composed(rows, *, inner, features, matrix, shift):
    z, to_rows = inner(rows)
    values, to_scores = features(z)
    return values @ matrix + shift, lambda g: to_rows(to_scores(g @ matrix.T))


def _as_they_are(z):
    return z, lambda g: g


def _log_softmax(z, *, temperature):
    log_p = rowwise.log_softmax_rows(np.ascontiguousarray(z), temperature=temperature)
    return log_p, lambda g: (g - np.exp(log_p) * g.sum(axis=1, keepdims=True)) / temperature


def _not_affine(estimator) -> str:
    return (
        f"The probabilities of {_name(estimator)} are not a softmax of affine scores, so their gradient is not known"
        f" here. {POOL}"
    )


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
