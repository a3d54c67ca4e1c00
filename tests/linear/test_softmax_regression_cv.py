"""Cross-validated C: the scores, the choice and the optimum of a grid search, in fewer sweeps."""

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from scipy import sparse
from sklearn import config_context
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    PredefinedSplit,
    StratifiedKFold,
    cross_val_score,
)

from sksoft import SoftmaxRegression, SoftmaxRegressionCV
from sksoft.metrics import neg_soft_log_loss

CS = [10.0, 0.01, 1.0, 0.1]
SHUFFLED = StratifiedKFold(4, shuffle=True, random_state=0)


@pytest.fixture(scope="module")
def data():
    X, y = load_digits(return_X_y=True)
    return X[:500] / 16.0, y[:500]


def names_of(y):
    return np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])[y]


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize(
    "params",
    [{}, {"link": "entmax15", "fit_intercept": False}, {"label_smoothing": 0.1, "class_weight": "balanced"}],
    ids=str,
)
def test_scores_are_those_of_a_loop_over_folds_and_cs(data, container, params):
    X, y = container(data[0][:250]), data[1][:250]
    model = SoftmaxRegressionCV(CS, cv=SHUFFLED, scoring="neg_log_loss", tol=1e-14, **params).fit(X, y)
    alone = [SoftmaxRegression(C=C, tol=1e-14, **params) for C in CS]
    looped = [cross_val_score(one, X, y, cv=SHUFFLED, scoring="neg_log_loss") for one in alone]
    assert model.scores_.shape == (4, 4)
    np.testing.assert_allclose(model.scores_, np.transpose(looped), rtol=0, atol=1e-8)
    assert CS[np.argmax(np.mean(looped, axis=1))] == model.C_
    np.testing.assert_allclose(model.best_score_, np.mean(looped, axis=1).max(), atol=1e-8)


def test_kinks_are_scored_and_chosen_alike(data):
    X, y = data[0][:200], data[1][:200]
    params = {"l1_ratio": 0.7, "tol": 1e-10}
    model = SoftmaxRegressionCV([1.0, 0.1], cv=SHUFFLED, **params).fit(X, y)
    looped = [
        cross_val_score(SoftmaxRegression(C=C, **params), X, y, cv=SHUFFLED, scoring="neg_log_loss") for C in model.Cs_
    ]
    np.testing.assert_allclose(model.scores_, np.transpose(looped), rtol=0, atol=1e-8)
    assert (model.coef_ == 0.0).mean() > 0.2


@pytest.mark.parametrize("scoring", [None, "accuracy", "neg_brier_score"])
def test_the_choice_and_the_model_are_those_of_a_grid_search(data, scoring):
    grid = GridSearchCV(
        SoftmaxRegression(), {"C": CS}, cv=SHUFFLED, scoring=neg_soft_log_loss if scoring is None else scoring
    ).fit(*data)
    model = SoftmaxRegressionCV(CS, cv=SHUFFLED, scoring=scoring).fit(*data)
    assert grid.best_params_["C"] == model.C_
    np.testing.assert_allclose(model.best_score_, grid.best_score_, atol=1e-8)
    np.testing.assert_array_equal(model.coef_, grid.best_estimator_.coef_)
    np.testing.assert_array_equal(model.intercept_, grid.best_estimator_.intercept_)
    np.testing.assert_array_equal(model.predict(data[0]), grid.predict(data[0]))
    np.testing.assert_allclose(model.score(*data), grid.score(*data))
    assert model.gap_ <= 1e-6 * model.objective_
    assert (model.gaps_ >= 0.0).all()
    assert model.converged_


@pytest.mark.parametrize("params", [{}, {"l1_ratio": 0.5, "fit_intercept": False}], ids=str)
def test_it_takes_fewer_sweeps_than_fits_from_nothing(data, params):
    X, y = (data[0], data[1]) if not params else (data[0][:200], data[1][:200])
    Cs = np.logspace(-3, 1, 7)
    model = SoftmaxRegressionCV(Cs, cv=SHUFFLED, **params).fit(X, y)
    alone = SoftmaxRegression(C=model.C_, **params).fit(X, y).n_passes_
    for train, _ in SHUFFLED.split(X, y):
        alone += sum(SoftmaxRegression(C=C, **params).fit(X[train], y[train]).n_passes_ for C in Cs)
    assert model.n_passes_ < 0.85 * alone


def test_cs_are_decades_by_default():
    model = SoftmaxRegressionCV(3, cv=3).fit(*load_iris(return_X_y=True))
    np.testing.assert_allclose(model.Cs_, [1e-4, 1.0, 1e4])


@pytest.mark.parametrize(
    "change", [names_of, lambda y: y - 5, lambda y: y + 0.0, lambda y: pd.Series(names_of(y)), list]
)
def test_labels_of_any_type(data, change):
    X, y = data
    expected = SoftmaxRegressionCV(CS, cv=SHUFFLED).fit(X, y)
    labels = change(y)
    model = SoftmaxRegressionCV(CS, cv=SHUFFLED).fit(X, labels)
    assert model.C_ == expected.C_
    np.testing.assert_allclose(model.scores_, expected.scores_, atol=1e-6)
    np.testing.assert_array_equal(model.classes_, np.unique(labels))
    np.testing.assert_array_equal(model.predict(X), np.asarray(change(expected.predict(X))))


def test_two_classes_have_one_row(data):
    X, y = data[0], data[1] > 4
    model = SoftmaxRegressionCV(CS).fit(X, y)
    assert model.coef_.shape == (1, 64)
    scores = model.decision_function(X)
    assert scores.shape == (500,)
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], 1.0 / (1.0 + np.exp(-scores)))
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X))


def test_names_of_a_frame_are_kept_and_asked_for(data):
    frame = pd.DataFrame(data[0]).add_prefix("pixel")
    model = SoftmaxRegressionCV(CS, cv=SHUFFLED).fit(frame, data[1])
    np.testing.assert_array_equal(model.feature_names_in_, frame.columns)
    np.testing.assert_array_equal(model.coef_, SoftmaxRegressionCV(CS, cv=SHUFFLED).fit(*data).coef_)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"pixel0": "other"}))


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_any_number_of_jobs_gives_the_same_bits(data, backend):
    alone = SoftmaxRegressionCV(CS, cv=SHUFFLED).fit(*data)
    with parallel_config(backend):
        shared = SoftmaxRegressionCV(CS, cv=SHUFFLED, n_jobs=2).fit(*data)
    np.testing.assert_array_equal(alone.scores_, shared.scores_)
    np.testing.assert_array_equal(alone.coef_, shared.coef_)
    assert alone.n_passes_ == shared.n_passes_


def test_a_weight_is_a_repetition_and_zero_no_row(data):
    X, y = data
    weights = np.random.default_rng(0).integers(0, 4, size=500)
    weighted = SoftmaxRegressionCV(CS, cv=3, tol=1e-13).fit(X, y, sample_weight=weights)
    order = np.random.default_rng(1).permutation(np.repeat(np.arange(500), weights))
    repeated = SoftmaxRegressionCV(CS, cv=3, tol=1e-13).fit(X[order], y[order])
    np.testing.assert_allclose(weighted.scores_, repeated.scores_, rtol=1e-9)
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-7)
    plain = SoftmaxRegressionCV(CS, cv=3, tol=1e-13).fit(X, y)
    assert np.abs(weighted.scores_ - plain.scores_).max() > 1e-3


def test_scores_are_weighted_means(data):
    X, y = data
    weights = np.random.default_rng(0).uniform(0.1, 3.0, size=500)
    model = SoftmaxRegressionCV([0.1], cv=SHUFFLED).fit(X, y, sample_weight=weights)
    for score, (train, test) in zip(model.scores_[:, 0], SHUFFLED.split(X, y)):
        one = SoftmaxRegression(C=0.1).fit(X[train], y[train], sample_weight=weights[train])
        expected = log_loss(y[test], one.predict_proba(X[test]), sample_weight=weights[test])
        np.testing.assert_allclose(score, -expected, atol=1e-8)


def test_a_scorer_that_takes_no_weights_is_told_about(data):
    def scorer(estimator, X, y):
        return float((estimator.predict(X) == y).mean())

    with pytest.warns(UserWarning, match="takes no sample_weight: the scores are not weighted"):
        model = SoftmaxRegressionCV(CS, cv=SHUFFLED, scoring=scorer).fit(*data, sample_weight=np.ones(500))
    accuracy = SoftmaxRegressionCV(CS, cv=SHUFFLED, scoring="accuracy").fit(*data)
    np.testing.assert_allclose(model.scores_, accuracy.scores_)


def soft_labels(y):
    return 0.8 * np.eye(10)[y] + 0.02


@pytest.mark.parametrize(
    "container", [np.asarray, sparse.csr_array, lambda t: pd.DataFrame(t, columns=list("abcdefghij"))]
)
@pytest.mark.parametrize("cv", [3, KFold(3, shuffle=True, random_state=0)], ids=["int", "KFold"])
def test_soft_labels_are_scored_on_folds_that_are_not_stratified(data, container, cv):
    X, soft = data[0], container(soft_labels(data[1]))
    model = SoftmaxRegressionCV(CS, cv=cv).fit(X, soft)
    assert model.scores_.shape == (3, 4)
    np.testing.assert_array_equal(
        model.classes_, list("abcdefghij") if isinstance(soft, pd.DataFrame) else np.arange(10)
    )
    if cv != 3 and not sparse.issparse(soft):  # cross_val_score takes no sparse y
        looped = [cross_val_score(SoftmaxRegression(C=C), X, soft, cv=cv, scoring=neg_soft_log_loss) for C in CS]
        np.testing.assert_allclose(model.scores_, np.transpose(looped), atol=1e-7)


def test_groups_reach_the_splitter_with_and_without_routing(data):
    groups = np.arange(500) % 3
    expected = SoftmaxRegressionCV(CS, cv=list(LeaveOneGroupOut().split(*data, groups))).fit(*data)
    plain = SoftmaxRegressionCV(CS, cv=LeaveOneGroupOut()).fit(*data, groups=groups)
    with config_context(enable_metadata_routing=True):
        routed = SoftmaxRegressionCV(CS, cv=LeaveOneGroupOut()).fit(*data, groups=groups)
    np.testing.assert_array_equal(plain.scores_, expected.scores_)
    np.testing.assert_array_equal(routed.scores_, expected.scores_)
    with pytest.raises(ValueError, match=r"cv=3 takes no groups\. Give a splitter that does, as GroupKFold"):
        SoftmaxRegressionCV(CS, cv=3).fit(*data, groups=groups)


def test_routed_weights_reach_the_scorer_where_it_asks_for_them(data):
    weights = np.random.default_rng(0).uniform(0.1, 3.0, size=500)
    expected = SoftmaxRegressionCV(CS, cv=SHUFFLED).fit(*data, sample_weight=weights)
    scorer = make_scorer(log_loss, greater_is_better=False, response_method="predict_proba")
    with config_context(enable_metadata_routing=True):
        default = SoftmaxRegressionCV(CS, cv=SHUFFLED).fit(*data, sample_weight=weights)
        asked = SoftmaxRegressionCV(CS, cv=SHUFFLED, scoring=scorer.set_score_request(sample_weight=True))
        asked.fit(*data, sample_weight=weights)
        refused = SoftmaxRegressionCV(CS, cv=SHUFFLED, scoring=scorer.set_score_request(sample_weight=False))
        refused.fit(*data, sample_weight=weights)
    np.testing.assert_array_equal(default.scores_, expected.scores_)
    np.testing.assert_allclose(asked.scores_, expected.scores_, atol=1e-14)
    assert np.abs(refused.scores_ - expected.scores_).max() > 1e-4
    np.testing.assert_array_equal(refused.coef_, SoftmaxRegression(C=refused.C_).fit(*data, weights).coef_)


def test_without_a_refit_there_are_scores_and_no_predictions(data):
    refitted = SoftmaxRegressionCV(CS, cv=SHUFFLED).fit(*data)
    model = SoftmaxRegressionCV(CS, cv=SHUFFLED).fit(*data).set_params(refit=False).fit(*data)
    assert model.C_ == refitted.C_
    np.testing.assert_array_equal(model.scores_, refitted.scores_)
    assert not hasattr(model, "coef_")
    with pytest.raises(NotFittedError):
        model.predict(data[0])


def test_a_held_out_fold_may_lack_a_class_and_a_training_part_may_not(data):
    X, y = data
    few = PredefinedSplit(np.where(y < 9, np.arange(500) % 2, -1))  # nines are always trained on, never held out
    model = SoftmaxRegressionCV([0.1, 1.0], cv=few).fit(X, y)
    assert np.isfinite(model.scores_).all()
    without = PredefinedSplit(np.where(y < 9, -1, 0))
    with pytest.raises(ValueError, match=r"training part of a fold lacks the classes \[9\]"):
        SoftmaxRegressionCV([0.1, 1.0], cv=without).fit(X, y)
    rare = np.where(np.arange(500) == 7, 10, y)
    with pytest.raises(ValueError, match=r"cv=5 needs at least two distinct rows of each class; class .*10"):
        SoftmaxRegressionCV([0.1, 1.0]).fit(X, rare)


def test_scores_that_are_infinite_for_every_c_are_refused(data):
    with pytest.raises(ValueError, match="No C has a finite mean score with scoring=None"):
        SoftmaxRegressionCV([0.1, 1.0], cv=3, link="sparsemax").fit(*data)
    model = SoftmaxRegressionCV([0.1, 1.0], cv=3, link="sparsemax", scoring="neg_brier_score").fit(*data)
    assert np.isfinite(model.best_score_)


def test_no_penalty_is_one_of_the_choices(data):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    y = (X @ rng.normal(size=(3, 3)) + rng.gumbel(size=(400, 3))).argmax(axis=1)
    model = SoftmaxRegressionCV([np.inf, 1e-3], cv=SHUFFLED).fit(X, y)
    assert np.isinf(model.C_)
    assert np.isnan(model.gap_)
    np.testing.assert_array_equal(np.isnan(model.gaps_), [[True, False]] * 4)


@pytest.mark.parametrize("Cs", [[], [0.0], [1.0, -1.0], [np.nan], [[1.0]]])
def test_bad_cs_are_refused(data, Cs):
    with pytest.raises(ValueError, match="'Cs' parameter must hold numbers"):
        SoftmaxRegressionCV(Cs).fit(*data)


@pytest.mark.parametrize(
    "params", [{"Cs": 0}, {"Cs": 0.5}, {"cv": 1}, {"scoring": "nothing"}, {"l1_ratio": 2.0}], ids=str
)
def test_bad_parameters_are_named(data, params):
    with pytest.raises(ValueError, match=f"The '{next(iter(params))}' parameter of SoftmaxRegressionCV must be"):
        SoftmaxRegressionCV(**params).fit(*data)


def test_groups_for_a_splitter_that_needs_them_are_missed(data):
    with pytest.raises(ValueError, match="'groups' parameter should not be None"):
        SoftmaxRegressionCV(CS, cv=GroupKFold(3)).fit(*data)
