"""Scores of classifiers: margins of boosting libraries where they are to be had, else log-probabilities."""

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksoft.metrics.classifier_scores import class_scores


class Margins(ClassifierMixin, BaseEstimator):
    """Answers as XGBoost's classifier does; its margins carry what its probabilities, rounded, have lost."""

    __module__ = "xgboost.sklearn"

    def __init__(self, size=1.0):
        self.size = size

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X, output_margin=False):
        margins = 100.0 * np.asarray(X)[:, : len(self.classes_)]
        if len(self.classes_) == 2:
            margins = margins[:, 0]
        return margins if output_margin else self.classes_[np.zeros(len(X), int)]

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1.0 / len(self.classes_))


WRAPPERS = [
    lambda c, X, y: c.fit(X, y),
    lambda c, X, y: FrozenEstimator(c.fit(X, y)),
    lambda c, X, y: make_pipeline(StandardScaler(with_mean=False, with_std=False), c).fit(X, y),
    lambda c, X, y: GridSearchCV(c, {"size": [1.0]}, cv=2).fit(X, y),
    lambda c, X, y: FrozenEstimator(make_pipeline(StandardScaler(with_mean=False, with_std=False), c).fit(X, y)),
]


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize("load", [load_iris, load_breast_cancer])
def test_margins_are_found_inside_what_people_wrap(wrap, load):
    X, y = load(return_X_y=True)
    margins = 100.0 * X[:, : len(np.unique(y))]
    expected = margins[:, 0] if len(np.unique(y)) == 2 else margins
    np.testing.assert_array_equal(class_scores(wrap(Margins(), X, y), X), expected)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("load", [load_iris, load_breast_cancer])
def test_margins_of_the_libraries_are_their_log_probabilities(library, load):
    module = pytest.importorskip(library, reason=f"{library} is not installed")
    name = {"xgboost": "XGBClassifier", "lightgbm": "LGBMClassifier"}[library]
    options = {"xgboost": {}, "lightgbm": {"verbose": -1}}[library]
    X, y = load(return_X_y=True)
    fitted = getattr(module, name)(n_estimators=10, **options).fit(X, y)
    scores, log_proba = class_scores(fitted, X), np.log(fitted.predict_proba(X))
    if scores.ndim == 1:
        np.testing.assert_allclose(scores, log_proba[:, 1] - log_proba[:, 0], atol=1e-4)
    else:
        np.testing.assert_allclose(log_softmax(scores, axis=1), log_proba, atol=1e-4)


def test_decision_function_comes_first_and_log_probabilities_last():
    X, y = load_iris(return_X_y=True)
    boosted = HistGradientBoostingClassifier(max_iter=5).fit(X, y)
    np.testing.assert_array_equal(class_scores(boosted, X), boosted.decision_function(X))
    bayes = GaussianNB().fit(X, y)
    np.testing.assert_allclose(class_scores(bayes, X), np.log(np.maximum(bayes.predict_proba(X), 2.0**-52)))
