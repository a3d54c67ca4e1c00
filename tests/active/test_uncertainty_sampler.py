"""UncertaintySampler: acceptance first, then delegation, every strategy, candidates, costs, determinism, bad input."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from scipy.special import rel_entr
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC

from sksoft import SoftmaxRegression, UncertaintySampler, config_context
from sksoft.active import query_uncertain

X, Y = load_iris(return_X_y=True)
LABELED = np.arange(0, 150, 10)
POOL = np.setdiff1d(np.arange(150), LABELED)
STRATEGIES = ("margin", "entropy", "least_confidence", "bald", "density", "diverse")


def fitted(strategy="margin", estimator=None, **options):
    estimator = LogisticRegression(max_iter=1000) if estimator is None else estimator
    return UncertaintySampler(estimator, strategy, random_state=0, **options).fit(X[LABELED], Y[LABELED])


def accuracy_after(strategy, n_batches, X, y, X_test, y_test, seed):
    labeled = np.random.default_rng(seed).choice(len(X), 20, replace=False)
    for _ in range(n_batches):
        sampler = UncertaintySampler(LogisticRegression(max_iter=1000), strategy, random_state=seed)
        sampler.fit(X[labeled], y[labeled])
        pool = np.setdiff1d(np.arange(len(X)), labeled)
        labeled = np.append(labeled, sampler.query(X, 10, candidates=pool))
    return sampler.fit(X[labeled], y[labeled]).score(X_test, y_test)


def test_acceptance_a_diverse_batch_needs_fewer_labels_than_the_most_uncertain_rows():
    digits, y = load_digits(return_X_y=True)
    digits = digits / 16
    test = np.arange(len(y)) % 3 == 0
    pool = digits[~test], y[~test], digits[test], y[test]
    margin = np.mean([accuracy_after("margin", 5, *pool, seed) for seed in range(5)])
    diverse = np.mean([accuracy_after("diverse", 5, *pool, seed) for seed in range(5)])
    assert diverse > margin
    assert diverse > 0.85


def test_predictions_are_the_classifiers():
    sampler, alone = fitted(), LogisticRegression(max_iter=1000).fit(X[LABELED], Y[LABELED])
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        np.testing.assert_array_equal(getattr(sampler, method)(X), getattr(alone, method)(X))
    assert sampler.score(X, Y) == alone.score(X, Y)
    np.testing.assert_array_equal(sampler.classes_, alone.classes_)
    assert sampler.n_features_in_ == 4
    assert not hasattr(fitted(estimator=GaussianNB()), "decision_function")


def test_weights_reach_the_classifier_and_zero_is_removal():
    weights = np.r_[np.zeros(5), np.ones(10)]
    labeled, others = LABELED[weights > 0], LABELED
    model = LogisticRegression(solver="newton-cholesky", tol=1e-12)
    for strategy in ("margin", "diverse", "bald"):
        sampler = UncertaintySampler(model, strategy, random_state=0)
        kept = clone(sampler).fit(X[labeled], Y[labeled]).query(X[POOL], 7)
        np.testing.assert_array_equal(sampler.fit(X[others], Y[others], sample_weight=weights).query(X[POOL], 7), kept)
    with pytest.raises(ValueError, match="'sample_weight' parameter must be None"):
        UncertaintySampler(KNeighborsClassifier()).fit(X, Y, sample_weight=np.ones(150))


@pytest.mark.parametrize("strategy", ["margin", "entropy", "least_confidence"])
def test_query_is_that_of_the_array(strategy):
    sampler = fitted(strategy)
    proba = sampler.predict_proba(X[POOL])
    indices, scores = sampler.query(X[POOL], 9, return_scores=True)
    expected = query_uncertain(proba, 9, strategy=strategy, return_scores=True)
    np.testing.assert_array_equal(indices, expected[0])
    np.testing.assert_array_equal(scores, expected[1])
    np.testing.assert_allclose(sampler.uncertainty_scores(X[POOL])[indices], scores, rtol=1e-14)


@pytest.mark.parametrize("batch", ["top", "diverse"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_is_sorted_distinct_and_repeats_itself(strategy, batch):
    sampler = fitted(strategy, batch=batch, n_members=4)
    indices, scores = sampler.query(X[POOL], 12, return_scores=True)
    assert len(set(indices.tolist())) == 12
    assert (np.diff(scores) <= 0).all()
    assert (np.diff(indices)[np.diff(scores) == 0] > 0).all()
    np.testing.assert_allclose(sampler.uncertainty_scores(X[POOL])[indices], scores, rtol=1e-12)
    np.random.seed(99)  # noqa: NPY002
    with config_context(n_threads=7):
        again = fitted(strategy, batch=batch, n_members=4).query(X[POOL], 12)
    np.testing.assert_array_equal(again, indices)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_candidates_are_those_of_a_smaller_pool(strategy):
    sampler = fitted(strategy, n_members=3)
    mask = np.arange(len(POOL)) % 3 == 1
    indices = sampler.query(X[POOL], 8, candidates=mask)
    assert mask[indices].all()
    np.testing.assert_array_equal(sampler.query(X[POOL], 8, candidates=np.flatnonzero(mask)[::-1]), indices)
    if strategy != "density":  # whose density is that of the whole pool
        np.testing.assert_array_equal(np.flatnonzero(mask)[sampler.query(X[POOL][mask], 8)], indices)


def test_ties_are_in_the_order_of_the_pool_whatever_the_order_of_candidates():
    sampler = fitted()
    pool = np.tile(X[POOL[:1]], (20, 1))
    np.testing.assert_array_equal(sampler.query(pool, 4, candidates=[7, 3, 19, 5, 4]), [3, 4, 5, 7])
    np.testing.assert_array_equal(sampler.query(pool, 20), np.arange(20))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_copies_of_a_row_have_equal_scores_wherever_they_stand(strategy):
    copies = np.tile(X[POOL], (7, 1))[:-2]
    scores = fitted(strategy, n_members=3).uncertainty_scores(copies)
    np.testing.assert_array_equal(scores, np.resize(scores[: len(POOL)], len(copies)))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_cost_divides_the_score(strategy):
    sampler = fitted(strategy, n_members=3)
    cost = np.random.default_rng(0).uniform(0.1, 10, len(POOL))
    indices, scores = sampler.query(X[POOL], 5, cost=cost, return_scores=True)
    expected = sampler.uncertainty_scores(X[POOL]) / cost
    np.testing.assert_allclose(scores, expected[indices])
    if strategy != "diverse":
        np.testing.assert_array_equal(indices, np.argsort(-expected, kind="stable")[:5])
    some = np.arange(10, 40)
    assert set(sampler.query(X[POOL], 5, cost=cost, candidates=some)) <= set(some)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_without_a_seed_numpys_global_generator_is_left_alone(strategy):
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    sampler = UncertaintySampler(GaussianNB(), strategy, n_members=2).fit(X[LABELED], Y[LABELED])
    sampler.query(np.tile(X[POOL], (10, 1)), 3)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_density_prefers_typical_rows():
    sampler = fitted("density")
    pool = np.vstack([X[POOL], X[POOL[:1]] + 40.0])
    assert sampler.uncertainty_scores(pool)[-1] < 0.02
    plain = fitted("density", beta=0.0)
    np.testing.assert_allclose(plain.uncertainty_scores(X[POOL]), fitted().uncertainty_scores(X[POOL]))


def test_distances_are_those_that_the_last_step_of_a_pipeline_sees():
    scale = np.array([1.0, 1e4, 1e-3, 10.0])
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    one = UncertaintySampler(pipeline, "diverse", random_state=0).fit(X[LABELED], Y[LABELED])
    other = UncertaintySampler(pipeline, "diverse", random_state=0).fit(X[LABELED] * scale, Y[LABELED])
    np.testing.assert_array_equal(one.query(X[POOL], 8), other.query(X[POOL] * scale, 8))
    given = StandardScaler().fit(X).transform
    by_hand = fitted("diverse", embedding=given)
    np.testing.assert_allclose(by_hand.labeled_embedding_, given(X[LABELED]))
    with pytest.raises(ValueError, match="'embedding' parameter must give one row for each"):
        fitted("diverse", embedding=lambda rows: rows[:3])


def test_data_frames_sparse_rows_and_any_labels():
    frame = pd.DataFrame(X, columns=list("abcd"))
    names = np.array(["setosa", "versicolor", "virginica"])[Y]
    sampler = UncertaintySampler(LogisticRegression(max_iter=1000), "diverse", random_state=0)
    sampler.fit(frame.iloc[LABELED], names[LABELED])
    assert list(sampler.feature_names_in_) == list("abcd")
    np.testing.assert_array_equal(sampler.query(frame.iloc[POOL], 6), fitted("diverse").query(X[POOL], 6))
    assert sampler.predict(frame.iloc[:1]) == ["setosa"]
    csr = sparse.csr_array(X)
    np.testing.assert_array_equal(fitted().query(csr[POOL], 6), fitted().query(X[POOL], 6))
    with pytest.raises(ValueError, match="'embedding' parameter"):
        UncertaintySampler(LogisticRegression(max_iter=1000), "diverse").fit(csr, Y)
    for kind in (sparse.coo_matrix, sparse.csc_array, sparse.bsr_array):
        found = fitted().query(kind(X[POOL]), 6, candidates=np.arange(90))
        np.testing.assert_array_equal(found, fitted().query(X[POOL], 6, candidates=np.arange(90)))
    reduced = make_pipeline(TruncatedSVD(3, random_state=0), LogisticRegression(max_iter=1000))
    sampler = UncertaintySampler(reduced, "diverse", random_state=0).fit(csr[LABELED], Y[LABELED])
    assert len(sampler.query(csr[POOL], 6)) == 6


def test_in_a_pipeline_and_a_grid_search():
    search = GridSearchCV(UncertaintySampler(SoftmaxRegression()), {"estimator__C": [0.1, 10.0]}, cv=3).fit(X, Y)
    assert len(search.best_estimator_.query(X, 3)) == 3
    assert make_pipeline(StandardScaler(), UncertaintySampler(SoftmaxRegression())).fit(X, Y).score(X, Y) > 0.9


def test_nothing_of_an_earlier_fit_is_left():
    sampler = fitted().fit(pd.DataFrame(X, columns=list("abcd")), Y)
    assert list(sampler.feature_names_in_) == list("abcd")
    assert not hasattr(sampler.fit(X, Y), "feature_names_in_")


def test_a_parameter_that_was_set_after_fit_asks_for_another_fit():
    for change, method in [({"strategy": "diverse"}, "query"), ({"batch": "diverse"}, "query")]:
        with pytest.raises(NotFittedError, match="fitted without 'diverse': call 'fit' again"):
            getattr(fitted().set_params(**change), method)(X)
    for method in ("query", "uncertainty_scores", "query_stream"):
        with pytest.raises(NotFittedError, match="fitted without 'bald': call 'fit' again"):
            getattr(fitted().set_params(strategy="bald"), method)(X)
        with pytest.raises(ValueError, match=r"'strategy' parameter must be one of .* Got 'bold'"):
            getattr(fitted().set_params(strategy="bold"), method)(X)


def test_metadata_are_routed_to_the_classifier():
    weights = np.random.default_rng(0).uniform(0.1, 3.0, 150)
    expected = LogisticRegression(max_iter=1000).fit(X, Y, sample_weight=weights).coef_
    with sklearn.config_context(enable_metadata_routing=True):
        asking = LogisticRegression(max_iter=1000).set_fit_request(sample_weight=True)
        sampler = UncertaintySampler(asking).fit(X, Y, sample_weight=weights)
        np.testing.assert_array_equal(sampler.estimator_.coef_, expected)
        with pytest.raises(UnsetMetadataPassedError, match="not requested for LogisticRegression"):
            UncertaintySampler(LogisticRegression()).fit(X, Y, sample_weight=weights)
        inner = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), asking)
        scaled = UncertaintySampler(inner, "bald", n_members=2).fit(X, Y, sample_weight=weights)
        apart = LogisticRegression(max_iter=1000).fit(StandardScaler().fit_transform(X), Y, sample_weight=weights)
        np.testing.assert_array_equal(scaled.estimator_[-1].coef_, apart.coef_)
        sampler.set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        search = GridSearchCV(sampler, {"estimator__C": [1.0]}, cv=3).fit(X, Y, sample_weight=weights)
        np.testing.assert_array_equal(search.best_estimator_.estimator_.coef_, expected)


def mutual_information(members):
    members = np.array(members)
    mean = members.mean(axis=0)
    relative = [rel_entr(p, mean).sum(axis=1) for p in members]
    return np.mean(relative, axis=0)  # the mean divergence from the mean


@pytest.mark.parametrize(
    "ensemble",
    [
        RandomForestClassifier(20, random_state=0),
        BaggingClassifier(GaussianNB(), 8, max_features=2, random_state=0),
        VotingClassifier([("a", GaussianNB()), ("b", LogisticRegression(max_iter=1000))], voting="soft"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_members_of_an_ensemble_are_the_committee(ensemble):
    labels = np.array([1, 2, 3])[Y]  # not the numbers that members know the classes by
    sampler = UncertaintySampler(ensemble, "bald").fit(X[LABELED], labels[LABELED])
    assert not hasattr(sampler, "members_")
    inside = sampler.estimator_
    columns = getattr(inside, "estimators_features_", [np.arange(4)] * len(inside.estimators_))
    members = [
        m.predict_proba(X[POOL].astype(np.float32).astype(float)[:, c]) for m, c in zip(inside.estimators_, columns)
    ]
    np.testing.assert_allclose(sampler.uncertainty_scores(X[POOL]), mutual_information(members), atol=1e-6)


def test_an_ensemble_behind_a_scaler_or_in_a_search_is_the_committee():
    alone = UncertaintySampler(RandomForestClassifier(20, random_state=0), "bald").fit(X[LABELED], Y[LABELED])
    pipeline = make_pipeline(FunctionTransformer(), make_pipeline(alone.estimator))
    search = GridSearchCV(pipeline, {"pipeline__randomforestclassifier__max_depth": [None]}, cv=2)
    frozen = FrozenEstimator(clone(pipeline).fit(X[LABELED], Y[LABELED]))
    for estimator in (pipeline, search, frozen):
        sampler = UncertaintySampler(estimator, "bald").fit(X[LABELED], Y[LABELED])
        assert not hasattr(sampler, "members_")
        np.testing.assert_array_equal(sampler.uncertainty_scores(X[POOL]), alone.uncertainty_scores(X[POOL]))
    scaled = make_pipeline(StandardScaler(), BaggingClassifier(GaussianNB(), 8, random_state=0))
    sampler = UncertaintySampler(scaled, "bald").fit(X[LABELED], Y[LABELED])
    scaler, bagging = sampler.estimator_.named_steps.values()
    members = [m.predict_proba(scaler.transform(X[POOL])) for m in bagging.estimators_]
    np.testing.assert_allclose(sampler.uncertainty_scores(X[POOL]), mutual_information(members), atol=1e-12)


def test_the_weights_of_a_vote_are_those_of_its_committee():
    members = [("a", GaussianNB()), ("b", LogisticRegression(max_iter=1000)), ("c", "drop"), ("d", GaussianNB())]
    weighted = VotingClassifier(members, voting="soft", weights=[1, 3, 50, 2])
    sampler = UncertaintySampler(weighted, "bald").fit(X[LABELED], Y[LABELED])
    repeated = [m.predict_proba(X[POOL]) for m, w in zip(sampler.estimator_.estimators_, [1, 3, 2]) for _ in range(w)]
    np.testing.assert_allclose(np.mean(repeated, axis=0), sampler.predict_proba(X[POOL]), atol=1e-12)
    np.testing.assert_allclose(sampler.uncertainty_scores(X[POOL]), mutual_information(repeated), atol=1e-12)


def test_a_member_that_misses_a_class_gives_it_no_probability():
    rare = np.r_[0, np.arange(50, 150, 7)]  # one row of class 0: some bags miss it
    bagging = BaggingClassifier(KNeighborsClassifier(3), 10, random_state=0)
    sampler = UncertaintySampler(bagging, "bald").fit(X[rare], np.array([-5, 0, 1])[Y[rare]])
    assert any(len(m.classes_) < 3 for m in sampler.estimator_.estimators_)
    members = np.zeros((10, len(POOL), 3))
    for p, member in zip(members, sampler.estimator_.estimators_):
        p[:, member.classes_] = member.predict_proba(X[POOL])
    np.testing.assert_allclose(sampler.uncertainty_scores(X[POOL]), mutual_information(members), atol=1e-12)


def test_bootstrap_members_know_every_class_and_their_disagreement_is_the_score():
    sampler = fitted("bald", n_members=5)
    assert len(sampler.members_) == 5
    assert all(len(m.classes_) == 3 for m in sampler.members_)
    assert len({m.coef_.tobytes() for m in sampler.members_}) > 1
    members = [m.predict_proba(X[POOL]) for m in sampler.members_]
    np.testing.assert_allclose(sampler.uncertainty_scores(X[POOL]), mutual_information(members), atol=1e-12)
    assert not hasattr(sampler.set_params(strategy="margin").fit(X, Y), "members_")


def test_a_frozen_classifier_is_not_fitted_again():
    model = LogisticRegression(max_iter=1000).fit(X, Y)
    coefficients = model.coef_.copy()
    sampler = UncertaintySampler(FrozenEstimator(model), "diverse", random_state=0).fit(X[LABELED], Y[LABELED])
    np.testing.assert_array_equal(model.coef_, coefficients)
    assert len(sampler.query(X[POOL], 5)) == 5
    with pytest.raises(ValueError, match=r"y holds \[7\], which the frozen classifier does not know"):
        UncertaintySampler(FrozenEstimator(model)).fit(X[:2], [0, 7])
    with pytest.raises(ValueError, match="strategy='bald' fits clones"):
        UncertaintySampler(FrozenEstimator(model), "bald").fit(X, Y)
    forest = FrozenEstimator(RandomForestClassifier(5, random_state=0).fit(X, Y))
    assert len(UncertaintySampler(forest, "bald").fit(X, Y).query(X[POOL], 5)) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_instances": 136}, "'n_instances' parameter must be an int from 1 to 135"),
        ({"n_instances": 0}, "'n_instances' parameter"),
        ({"n_instances": 4, "candidates": [1, 2, 3]}, "'n_instances' parameter must be an int from 1 to 3"),
        ({"candidates": np.zeros(135, bool)}, "'candidates' parameter must leave at least one row"),
        ({"candidates": []}, "'candidates' parameter must leave at least one row"),
        ({"candidates": np.ones(134, bool)}, "'candidates' parameter must be a mask of the 135 rows"),
        ({"candidates": [1, 135]}, "'candidates' parameter must hold indices from 0 to 134. Got 135"),
        ({"candidates": [-1, 2]}, "'candidates' parameter must hold indices from 0 to 134. Got -1"),
        ({"candidates": [1, 1]}, "'candidates' parameter must hold distinct indices"),
        ({"candidates": np.ones((135, 2), bool)}, r"'candidates' parameter must be a mask .* shape \(135, 2\)"),
        ({"candidates": 3}, r"'candidates' parameter must be a mask .* shape \(\)"),
        ({"candidates": [0.5, 1.0]}, "'candidates' parameter must hold booleans or integers"),
        ({"cost": np.zeros(135)}, "'cost' parameter must be positive and finite. Got 0 in row 0"),
        ({"cost": np.r_[np.ones(134), -2.0]}, "'cost' parameter must be positive and finite. Got -2 in row 134"),
        ({"cost": np.r_[np.nan, np.ones(134)]}, "'cost' parameter must be positive"),
        ({"cost": np.ones(3)}, "'cost' parameter must hold 135 numbers"),
        ({"cost": ["a"] * 135}, "'cost' parameter must hold one number for each row"),
    ],
)
def test_bad_queries(options, message):
    with pytest.raises(ValueError, match=message):
        fitted().query(X[POOL], **options)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_empty_pools_nan_and_another_number_of_features(strategy):
    sampler = fitted(strategy, n_members=2)
    with pytest.raises(ValueError, match=r"0 sample\(s\) in X_pool"):
        sampler.query(np.empty((0, 4)))
    spoiled = X[POOL].copy()
    spoiled[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        sampler.query(spoiled)
    with pytest.raises(ValueError, match="features"):
        sampler.query(X[POOL][:, :3])


def test_no_pool_at_all():
    with pytest.raises(TypeError, match="'X_pool' parameter must be an array"):
        fitted().query(None)
    with pytest.raises(TypeError, match="'X_pool' parameter must be an array"):
        fitted().query(np.array(3.0))
    with pytest.raises(ValueError, match=r"0 sample\(s\) in X while"):
        fitted().query_stream(X[:0])


def test_bad_fits():
    with pytest.raises(ValueError, match="class"):
        UncertaintySampler(LogisticRegression()).fit(X[:20], Y[:20])
    with pytest.raises(ValueError, match="y must hold at least 2 classes"):
        UncertaintySampler(GaussianNB()).fit(X[:20], Y[:20])
    with pytest.raises(ValueError, match="'strategy' parameter"):
        UncertaintySampler(GaussianNB(), "bold").fit(X, Y)
    with pytest.raises(ValueError, match="'estimator' parameter"):
        UncertaintySampler(LinearSVC()).fit(X, Y)
    for name, value in [("n_members", 1), ("beta", -1.0), ("batch", "best"), ("embedding", 3)]:
        with pytest.raises(ValueError, match=f"'{name}' parameter"):
            UncertaintySampler(GaussianNB(), **{name: value}).fit(X, Y)
    with pytest.raises(ValueError, match="NaN"):
        UncertaintySampler(GaussianNB()).fit(X, np.where(Y == 0, np.nan, Y))
    for nothing in (None, pd.NA):
        with pytest.raises(ValueError, match=r"y contains NaN, None or .* in row 1"):
            UncertaintySampler(GaussianNB()).fit(X[:3], np.array(["a", nothing, "b"], dtype=object))
