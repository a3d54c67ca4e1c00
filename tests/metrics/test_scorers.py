"""Scorers work in scikit-learn's tools, with labels of any type, folds that lack a class, and metadata routing."""

import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate

import sksoft.metrics
from sksoft.metrics import (
    expected_calibration_error,
    neg_brier_score,
    neg_expected_calibration_error,
    neg_negative_log_likelihood,
)

SCORERS = [getattr(sksoft.metrics, name) for name in sksoft.metrics.__all__ if name.startswith("neg_")]
X, Y = load_iris(return_X_y=True)
MODEL = LogisticRegression(max_iter=1000)


@pytest.mark.parametrize("scorer", SCORERS, ids=repr)
@pytest.mark.parametrize("names", [[0, 1, 2], [1, 2, 3], ["x", "y", "z"]])
def test_every_scorer_with_labels_of_any_type(scorer, names):
    score = scorer(clone(MODEL).fit(X, Y), X, Y)
    named = np.array(names)[Y]
    assert scorer(clone(MODEL).fit(X, named), X, named) == pytest.approx(score, rel=1e-9)
    assert score < 0


@pytest.mark.parametrize("names", [[0, 1], [1, 2], ["no", "yes"]])
def test_two_classes_are_scored_by_the_second(names):
    rows = Y < 2
    y = np.array(names)[Y[rows]]
    model = clone(MODEL).fit(X[rows, :1], y)
    expected = expected_calibration_error(y, model.predict_proba(X[rows, :1])[:, 1], labels=names)
    assert neg_expected_calibration_error(model, X[rows, :1], y) == -expected


def test_folds_that_lack_a_class():
    scores = cross_val_score(
        MODEL, X, Y, scoring=neg_negative_log_likelihood, cv=KFold(3, shuffle=True, random_state=0)
    )
    assert np.isfinite(scores).all()
    model = clone(MODEL).fit(X, Y)
    assert neg_expected_calibration_error(model, X[:40], Y[:40]) <= 0  # one class of three


def test_grid_search_chooses_by_it():
    search = GridSearchCV(MODEL, {"C": [1e-6, 1.0]}, scoring=neg_negative_log_likelihood).fit(X, Y)
    assert search.best_params_ == {"C": 1.0}
    assert neg_negative_log_likelihood(search, X, Y) == pytest.approx(-log_loss(Y, search.predict_proba(X)))


def test_sample_weight_is_routed_where_it_is_asked_for():
    x, y = make_classification(200, random_state=0)
    weights = np.random.default_rng(0).random(200)
    with sklearn.config_context(enable_metadata_routing=True):
        model = LogisticRegression().set_fit_request(sample_weight=False)
        results = cross_validate(
            model,
            x,
            y,
            params={"sample_weight": weights},
            scoring={
                "weighted": neg_brier_score.set_score_request(sample_weight=True),
                "plain": neg_brier_score.set_score_request(sample_weight=False),
            },
        )
    assert not np.allclose(results["test_weighted"], results["test_plain"])


def test_asking_makes_a_new_scorer_and_scorers_pickle():
    asking = neg_brier_score.set_score_request(sample_weight=True)
    assert asking.get_metadata_routing().score.requests == {"sample_weight": True}
    assert neg_brier_score.get_metadata_routing().score.requests == {"sample_weight": None}
    copy = pickle.loads(pickle.dumps(asking))
    assert copy.get_metadata_routing().score.requests == {"sample_weight": True}
    model = clone(MODEL).fit(X, Y)
    assert copy(model, X, Y) == neg_brier_score(model, X, Y)
