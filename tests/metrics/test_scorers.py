"""Scorers work in scikit-learn's tools, with labels of any type, folds that lack a class, and metadata routing."""

import dataclasses
import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline

import sksoft.metrics
from sksoft.metrics import (
    expected_calibration_error,
    group_disparities,
    neg_brier_score,
    neg_expected_calibration_error,
    neg_group_calibration_gap,
    neg_kernel_calibration_error,
    neg_negative_log_likelihood,
    neg_worst_group_calibration_error,
)
from sksoft.metrics.scorers import GroupScorer, ProbabilityScorer

NAMED = [getattr(sksoft.metrics, name) for name in sksoft.metrics.__all__ if name.startswith("neg_")]
SCORERS = [scorer for scorer in NAMED if isinstance(scorer, ProbabilityScorer)]
GROUP_SCORERS = [scorer for scorer in NAMED if isinstance(scorer, GroupScorer)]
X, Y = load_iris(return_X_y=True)
MODEL = LogisticRegression(max_iter=1000)


@pytest.mark.parametrize("scorer", SCORERS, ids=repr)
@pytest.mark.parametrize("names", [[0, 1, 2], [1, 2, 3], ["x", "y", "z"]])
def test_every_scorer_with_labels_of_any_type(scorer, names):
    score = scorer(clone(MODEL).fit(X, Y), X, Y)
    named = np.array(names)[Y]
    assert scorer(clone(MODEL).fit(X, named), X, named) == pytest.approx(score, rel=1e-9)
    assert score < 0 or scorer is neg_kernel_calibration_error  # unbiased, so of either sign


def test_every_calibration_error_has_a_scorer():
    errors = {name for name in sksoft.metrics.__all__ if name.endswith("_calibration_error") and name[:4] != "neg_"}
    assert errors <= {scorer.metric.__name__ for scorer in SCORERS}
    assert len(GROUP_SCORERS) == 2


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


def grouped(n=800, seed=0):
    """Two classes, and a group for which the first feature says the opposite."""
    rng = np.random.default_rng(seed)
    x, group = rng.normal(size=(n, 2)), rng.choice(["x", "y"], n)
    logit = np.where(group == "x", 1, -1) * x[:, 0]
    return x, np.where(rng.random(n) < 1 / (1 + np.exp(-logit)), "yes", "no"), group


def test_group_scorers_are_columns_of_group_disparities():
    x, y, group = grouped()
    weights = np.random.default_rng(1).random(800)
    model = LogisticRegression().fit(x, y)
    p = model.predict_proba(x)[:, 1]
    options = {"labels": ["no", "yes"], "sample_weight": weights, "n_resamples": 0}
    table = group_disparities(y, p, group, **options).set_index("metric")
    worst = neg_worst_group_calibration_error(model, x, y, group, sample_weight=weights)
    assert worst == -table.loc["squared_error_debiased", "worst"] < 0
    assert neg_group_calibration_gap(model, x, y, group, weights) == -table.loc["mean_residual", "gap"]
    features = {"a": group, "b": x[:, 1] > 0}
    several = group_disparities(y, p, features, **options)
    several = several[several["metric"] == "squared_error_debiased"]["worst"]
    assert neg_worst_group_calibration_error(model, x, y, features, weights) == -several.max()
    assert len(several) == 3


def test_group_scorers_of_three_classes():
    group = np.arange(150) % 2
    model = clone(MODEL).fit(X[:, :1], Y)
    table = group_disparities(Y, model.predict_proba(X[:, :1]), group, n_resamples=0).set_index("metric")
    assert neg_group_calibration_gap(model, X[:, :1], Y, group) == -table.loc["over_confidence", "gap"]


@pytest.mark.parametrize("scorer", GROUP_SCORERS, ids=repr)
def test_sensitive_features_are_routed_in_a_grid_search(scorer):
    x, y, group = grouped(1200)
    with_group = np.column_stack([x, np.where(group == "x", x[:, 0], 0)])
    selector = ColumnTransformer([("kept", "passthrough", [0, 1])])
    model = Pipeline([("columns", selector), ("classifier", LogisticRegression())])
    with sklearn.config_context(enable_metadata_routing=True):
        scoring = scorer.set_score_request(sensitive_features=True)
        folds = KFold(3)
        search = GridSearchCV(model, {"columns": [selector, "passthrough"]}, scoring=scoring, cv=folds)
        search.fit(with_group, y, sensitive_features=group)
        scores = cross_validate(model, with_group, y, scoring=scoring, cv=folds, params={"sensitive_features": group})
    found = search.cv_results_["mean_test_score"]
    assert found[0] == pytest.approx(scores["test_score"].mean())
    by_hand = []
    for train, test in folds.split(x):
        fitted = clone(model).fit(with_group[train], y[train])
        by_hand.append(scorer(fitted, with_group[test], y[test], group[test]))
    np.testing.assert_allclose(scores["test_score"], by_hand)
    assert search.best_params_["columns"] == "passthrough" or scorer is neg_group_calibration_gap


def test_group_scorers_say_what_is_missing():
    x, y, group = grouped(60)
    model = LogisticRegression().fit(x, y)
    with pytest.raises(ValueError, match="needs 'sensitive_features'"):
        neg_group_calibration_gap(model, x, y)
    with pytest.raises(ValueError, match="at least two groups of 50 effective rows"):
        neg_group_calibration_gap(model, x, y, group)
    assert dataclasses.replace(neg_group_calibration_gap, min_group_size=20)(model, x, y, group) < 0
    asking = neg_group_calibration_gap.set_score_request(sensitive_features="sex", sample_weight=True)
    requests = {"sensitive_features": "sex", "sample_weight": True}
    assert pickle.loads(pickle.dumps(asking)).get_metadata_routing().score.requests == requests
    assert neg_group_calibration_gap.get_metadata_routing().score.requests == dict.fromkeys(requests)
