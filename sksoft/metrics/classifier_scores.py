"""Scores of a fitted classifier, as logits by construction: what calibrators are fitted to and students learn from."""

import numpy as np
from sklearn.frozen import FrozenEstimator

from sksoft.kernels import placement
from sksoft.kernels.registry import placed
from sksoft.metrics.logits import log_proba

# How a boosting library gives its raw scores: root of its module → (method, arguments).
RAW_SCORES: dict[str, tuple[str, dict]] = {
    "xgboost": ("predict", {"output_margin": True}),
    "lightgbm": ("predict_proba", {"raw_score": True}),
    "catboost": ("predict", {"prediction_type": "RawFormulaVal"}),
}


def class_scores(estimator, X) -> np.ndarray:
    """Logits of a fitted classifier.

    Its decision function; else the raw scores of XGBoost, LightGBM or CatBoost; else the logarithm of its
    probabilities, those below 2.2e-16 counted as that. ``FrozenEstimator``, searches and pipelines are looked through.
    Scores that a classifier gives on a device stay there.

    Parameters
    ----------
    estimator : fitted classifier
    X : whatever it takes

    Returns
    -------
    scores : ndarray of shape (n, K), or (n,) for two classes: the score of the second
    """
    if hasattr(estimator, "decision_function"):
        return _one_per_class(estimator, estimator.decision_function(X), "decision_function")
    fitted, classifier = _inside(estimator)
    library = type(classifier).__module__.partition(".")[0]
    if library in RAW_SCORES:
        method, arguments = RAW_SCORES[library]
        return _one_per_class(estimator, getattr(fitted, method)(X, **arguments), f"{method} with {arguments}")
    return log_proba(estimator.predict_proba(X))


def by_class(scores: np.ndarray) -> np.ndarray:
    """Scores (n, K): of one score a row, that of the second of two classes, (0, z)."""
    return np.column_stack([np.zeros(len(scores)), scores]) if scores.ndim == 1 else scores


def _one_per_class(estimator, scores, source: str) -> np.ndarray:
    """Scores (n,) of two classes or (n, K), and nothing else."""
    scores = (
        placed(scores, f"The {source} of {type(estimator).__name__}")
        if placement.on_device(scores)
        else np.asarray(scores)
    )
    scores = scores.astype(np.float64, copy=False)
    n_classes = len(estimator.classes_)
    if scores.shape[1:] == (1,) and n_classes == 2:
        scores = scores[:, 0]
    if scores.shape[1:] != (() if n_classes == 2 else (n_classes,)) or _compares_pairs(estimator):
        raise ValueError(
            f"{source} of {type(estimator).__name__} must give one score per class. Got shape {scores.shape} for"
            f" {n_classes} classes; an SVC needs decision_function_shape='ovr'."
        )
    return scores


def _inside(estimator):
    """What may be called with arguments of the classifier's own, and that classifier."""
    if isinstance(estimator, FrozenEstimator):
        return _inside(estimator.estimator)
    if hasattr(estimator, "best_estimator_"):
        return _inside(estimator.best_estimator_)
    return estimator, estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator


def _compares_pairs(estimator) -> bool:
    """Whether scores are of pairs of classes: three classes have as many pairs, so the width does not tell."""
    classifier = _inside(estimator)[1]
    return len(estimator.classes_) > 2 and getattr(classifier, "decision_function_shape", "ovr") == "ovo"
