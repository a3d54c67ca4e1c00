"""SigmoidClassifier: each label at scikit-learn's optimum, what is proved, predicted, and refused."""

import warnings

import mpmath
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sksoft
from sksoft import SigmoidClassifier
from tests.contract.test_round_trips import through_joblib, through_pickle, through_skops


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def data(rng, n=200, p=8, n_labels=5):
    """Features and indicators that depend on them."""
    X = rng.normal(size=(n, p))
    scores = 2.0 * X @ rng.normal(size=(p, n_labels)) / np.sqrt(p) + rng.normal(size=n_labels)
    return X, (scores + rng.logistic(size=(n, n_labels)) > 0).astype(int)


def tight(**params):
    return SigmoidClassifier(tol=1e-13, **params)


def peer(X, y, sample_weight=None, **params):
    """scikit-learn's optimum of one label, to the accuracy of its Newton solver."""
    model = LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000, **params)
    return model.fit(X, y, sample_weight=sample_weight)


def assert_optima_are_scikit_learns(ours, X, Y, *, sample_weight=None, **params):
    for label, column in enumerate(Y.T):
        theirs = peer(X, column, sample_weight, **params)
        np.testing.assert_allclose(ours.coef_[label], theirs.coef_[0], atol=2e-6)
        np.testing.assert_allclose(ours.intercept_[label], theirs.intercept_, atol=2e-6)


@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_each_label_has_scikit_learns_optimum(C, fit_intercept, rng):
    X, Y = data(rng)
    X = X + 3.0
    ours = tight(C=C, fit_intercept=fit_intercept).fit(X, Y)
    assert_optima_are_scikit_learns(ours, X, Y, C=C, fit_intercept=fit_intercept)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 0.3, 1: 2.0}])
def test_weights_are_scikit_learns(class_weight, rng):
    X, Y = data(rng)
    s = rng.uniform(0.1, 3.0, size=len(X))
    ours = tight(class_weight=class_weight).fit(X, Y, sample_weight=s)
    assert_optima_are_scikit_learns(ours, X, Y, sample_weight=s, class_weight=class_weight)


def test_each_label_may_have_its_own_class_weight(rng):
    X, Y = data(rng, n_labels=3)
    weights = [None, {1: 5.0}, "balanced"]
    together = tight(class_weight=weights).fit(X, Y)
    for label, weight in enumerate(weights):
        alone = peer(X, Y[:, label], class_weight=weight)
        np.testing.assert_allclose(together.coef_[label], alone.coef_[0], atol=2e-6)


def test_fewer_rows_than_features(rng):
    X, Y = data(rng, n=30, p=90)
    assert_optima_are_scikit_learns(tight().fit(X, Y), X, Y)


@pytest.mark.parametrize("shape", [(1500, 12, 100), (700, 300, 200)])
def test_compiled_fits_of_many_labels_are_scikit_learns(shape, rng):
    """Large enough for compiled kernels, several threads and labels that wait for a column."""
    X, Y = data(rng, *shape)
    ours = tight().fit(X, Y)
    some = [0, 57, 99]
    for label in some:
        np.testing.assert_allclose(ours.coef_[label], peer(X, Y[:, label]).coef_[0], atol=2e-6)
    assert ours.converged_


def sparse_features(rng):
    X, Y = data(rng, n=300, p=40)
    X = np.where(rng.uniform(size=X.shape) < 0.15, X, 0.0)
    Y[:, 0] = X[:, 0] + 0.3 * rng.normal(size=len(X)) > 0
    return X, Y


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_sparse_features_are_dense_ones(container, fit_intercept, rng):
    X, Y = sparse_features(rng)
    dense = tight(fit_intercept=fit_intercept).fit(X, Y)
    ours = tight(fit_intercept=fit_intercept).fit(container(X), Y)
    np.testing.assert_allclose(ours.coef_, dense.coef_, atol=1e-5)
    np.testing.assert_allclose(ours.intercept_, dense.intercept_, atol=1e-5)
    np.testing.assert_allclose(ours.predict_proba(container(X)), dense.predict_proba(X), atol=1e-5)


def test_many_sparse_features_are_scikit_learns(rng):
    """Too many for a Gram matrix."""
    X = sparse.random_array((400, 900), density=0.02, rng=rng, format="csr")
    Y = (np.asarray(X @ rng.normal(size=(900, 3))) > 0.05).astype(int)
    ours = tight(C=10.0).fit(X, Y)
    assert_optima_are_scikit_learns(ours, X.toarray(), Y, C=10.0)


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csr_matrix, sparse.csc_array, sparse.coo_array])
def test_sparse_indicators_are_dense_ones_and_come_back_sparse(container, rng):
    X, Y = data(rng)
    dense, ours = SigmoidClassifier().fit(X, Y), SigmoidClassifier().fit(X, container(Y))
    np.testing.assert_array_equal(ours.coef_, dense.coef_)
    predicted = ours.predict(X)
    assert sparse.issparse(predicted)
    np.testing.assert_array_equal(predicted.toarray(), dense.predict(X))
    assert ours.score(X, sparse.csr_array(Y)) == dense.score(X, Y)


def test_stored_zeros_and_other_dtypes_of_sparse_indicators_mean_the_same(rng):
    X, Y = data(rng)
    stored = sparse.csr_array(Y)
    stored.data[:3] = 0
    plain = stored.toarray()
    expected = SigmoidClassifier().fit(X, plain).coef_
    for dtype in (bool, np.int8, np.float32):
        np.testing.assert_array_equal(SigmoidClassifier().fit(X, stored.astype(dtype)).coef_, expected)
        np.testing.assert_array_equal(SigmoidClassifier().fit(X, plain.astype(dtype)).coef_, expected)


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_a_weight_is_a_repetition_and_zero_is_no_row(is_sparse, class_weight, rng):
    X, Y = data(rng)
    X = sparse.csr_array(X) if is_sparse else X
    times = rng.integers(0, 4, size=len(Y))
    rows = np.repeat(np.arange(len(Y)), times)
    params = {"class_weight": class_weight, "threshold": "f1"}
    weighted = tight(**params).fit(X, Y, sample_weight=times)
    repeated = tight(**params).fit(X[rows], Y[rows])
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-6)
    np.testing.assert_allclose(weighted.objective_, repeated.objective_, rtol=1e-10)
    np.testing.assert_allclose(weighted.thresholds_, repeated.thresholds_, atol=1e-6)


def test_soft_labels_are_two_weighted_rows(rng):
    X, Y = data(rng, n=80)
    T = np.clip(Y * 0.7 + 0.2 * rng.uniform(size=Y.shape), 0.0, 1.0)
    soft = tight().fit(X, T)
    both = np.vstack([X, X])
    for label, t in enumerate(T.T):
        y = np.repeat([1, 0], len(X))
        theirs = peer(both, y, np.concatenate([t, 1.0 - t]))
        np.testing.assert_allclose(soft.coef_[label], theirs.coef_[0], atol=2e-6)
        # F is a Kullback–Leibler divergence: cross-entropy less the entropy of t
        z = X @ theirs.coef_[0] + theirs.intercept_
        loss = t * np.logaddexp(0, -z) + (1 - t) * np.logaddexp(0, z) + t * np.log(t) + (1 - t) * np.log(1 - t)
        objective = loss.mean() + theirs.coef_[0] @ theirs.coef_[0] / (2 * len(X))
        np.testing.assert_allclose(soft.objective_[label], objective, rtol=1e-9)
    np.testing.assert_allclose(tight().fit(X, sparse.csr_array(T)).coef_, soft.coef_, atol=1e-7)


def objective_in_mpmath(X, y, w, b, C):
    """F to 50 digits."""
    with mpmath.workdps(50):
        z = [mpmath.fdot(map(mpmath.mpf, row), map(mpmath.mpf, w)) + mpmath.mpf(b) for row in X.tolist()]
        losses = [mpmath.log1p(mpmath.exp(v)) - t * v for v, t in zip(z, y.tolist())]
        return mpmath.fsum(losses) / len(z) + mpmath.fdot(w.tolist(), w.tolist()) / (2 * C * len(z))


@pytest.mark.parametrize("tol", [1e-2, 1e-6, 1e-10])
def test_each_label_is_certified(tol, rng):
    X, Y = data(rng, n=60, p=4, n_labels=4)
    rough, best = SigmoidClassifier(tol=tol).fit(X, Y), SigmoidClassifier(tol=1e-15).fit(X, Y)
    assert rough.gap_.shape == (4,)
    for label in range(4):
        f = objective_in_mpmath(X, Y[:, label], rough.coef_[label], rough.intercept_[label], 1.0)
        least = objective_in_mpmath(X, Y[:, label], best.coef_[label], best.intercept_[label], 1.0)
        assert abs(f - rough.objective_[label]) <= 1e-13 * f
        assert f - least <= rough.gap_[label] <= tol * f


def test_labels_that_stop_early_are_reported_with_their_gap(rng):
    X, Y = data(rng)
    with pytest.warns(ConvergenceWarning, match=r"5 of 5 labels .* gap of up to .* above tol=1e-06.*max_iter=1"):
        model = SigmoidClassifier(max_iter=1).fit(X, Y)
    assert not model.converged_
    assert model.n_iter_.tolist() == [1] * 5
    best = tight().fit(X, Y)
    assert np.all(model.objective_ - best.objective_ <= model.gap_)


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_a_constant_label_gets_a_share_near_its_end(value, container, rng):
    X, Y = data(rng)
    alone = SigmoidClassifier().fit(X, Y)
    Y[:, 2] = value
    with pytest.warns(UserWarning, match=r"1 of 5 labels are the same in all rows of y \(2\)"):
        model = SigmoidClassifier(threshold="f1").fit(X, container(Y))
    np.testing.assert_array_equal(model.coef_[2], 0.0)
    share = (200 * value + 0.5) / 201
    np.testing.assert_allclose(model.predict_proba(X)[:, 2], share)
    np.testing.assert_allclose(model.objective_[2], -np.log(max(share, 1 - share)))
    assert model.thresholds_[2] == 0.5
    assert model.converged_
    others = [0, 1, 3, 4]
    np.testing.assert_allclose(model.coef_[others], alone.coef_[others], atol=1e-12)


def test_only_constant_labels_and_without_an_intercept(rng):
    X, _ = data(rng)
    Y = np.tile([0, 1], (len(X), 1))
    with pytest.warns(UserWarning, match=r"2 of 2 labels"):
        assert SigmoidClassifier().fit(X, Y).predict(X).tolist() == Y.tolist()
    model = tight(fit_intercept=False).fit(X, Y)  # a finite optimum, so no warning
    z = X @ model.coef_[1]
    np.testing.assert_allclose(model.coef_[1], X.T @ (1.0 / (1.0 + np.exp(z))), atol=1e-5)  # ∇F = 0 for C = 1


def test_names_of_features_and_labels(rng):
    X, Y = data(rng, p=3, n_labels=2)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    model = SigmoidClassifier().fit(frame, pd.DataFrame(Y, columns=["cat", "dog"]))
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    assert model.classes_.tolist() == ["cat", "dog"]
    np.testing.assert_array_equal(model.coef_, SigmoidClassifier().fit(X, Y).coef_)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[["b", "a", "c"]])
    with pytest.raises(ValueError, match="y must have the labels of the fit"):
        model.tune_thresholds(frame, pd.DataFrame(Y, columns=["dog", "cat"]))
    model.tune_thresholds(frame, Y)
    with pytest.warns(UserWarning, match=r"\(dog\)"):
        SigmoidClassifier().fit(frame, pd.DataFrame({"cat": Y[:, 0], "dog": 1}))


@pytest.mark.parametrize("labels", [np.array(["no", "yes"]), np.array([-1, 1]), np.array([False, True])])
def test_one_label_of_any_type_follows_binary_conventions(labels, rng):
    X, Y = data(rng, n_labels=1)
    y = labels[Y[:, 0]]
    model, theirs = tight().fit(X, y), peer(X, y)
    np.testing.assert_array_equal(model.classes_, labels)
    assert model.coef_.shape == (1, 8)
    np.testing.assert_allclose(model.decision_function(X), theirs.decision_function(X), atol=1e-5)
    np.testing.assert_allclose(model.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
    np.testing.assert_array_equal(model.predict(X), theirs.predict(X))
    assert model.score(X, y) == theirs.score(X, y)


def test_one_column(rng):
    X, Y = data(rng, n_labels=1)
    with pytest.warns(DataConversionWarning):
        as_labels = SigmoidClassifier().fit(X, Y)
    assert as_labels.predict(X).shape == (200,)
    as_indicators = SigmoidClassifier().fit(X, sparse.csr_array(Y))
    assert as_indicators.predict(X).shape == as_indicators.predict_proba(X).shape == (200, 1)
    np.testing.assert_array_equal(as_indicators.coef_, as_labels.coef_)
    assert SigmoidClassifier().fit(X, 0.9 * Y).predict_proba(X).shape == (200, 1)  # shares, not labels


def test_outputs_follow_one_vs_rest(rng):
    X, Y = data(rng)
    model = tight().fit(X, Y)
    theirs = OneVsRestClassifier(LogisticRegression(solver="newton-cholesky", tol=1e-12)).fit(X, Y)
    np.testing.assert_array_equal(model.classes_, theirs.classes_)
    np.testing.assert_allclose(model.decision_function(X), theirs.decision_function(X), atol=1e-5)
    np.testing.assert_allclose(model.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
    np.testing.assert_array_equal(model.predict(X), theirs.predict(X))
    assert model.predict(X).dtype.kind == "i"
    assert model.score(X, Y) == theirs.score(X, Y) == accuracy_score(Y, model.predict(X))


def brute_force(scores, y, metric, weights=None):
    """The largest metric over all cuts between scores, and beyond them."""
    cuts = np.concatenate([[-np.inf], np.sort(scores), [np.inf]])
    return max(metric(y, (scores > cut).astype(int), sample_weight=weights) for cut in cuts)


@pytest.mark.parametrize("metric", ["f1", "accuracy"])
def test_thresholds_are_the_best_on_data_held_out(metric, rng):
    X, Y = data(rng)
    held_out, truth = data(np.random.default_rng(1))
    score = {"f1": f1_score, "accuracy": accuracy_score}[metric]
    model = SigmoidClassifier().fit(X, Y).tune_thresholds(held_out, truth, metric)
    scores, predicted = model.decision_function(held_out), model.predict(held_out)
    for label in range(5):
        best = brute_force(scores[:, label], truth[:, label], score)
        np.testing.assert_allclose(score(truth[:, label], predicted[:, label]), best)


def test_thresholds_of_a_fit_are_the_best_out_of_fold(rng):
    X, Y = data(rng)
    model = SigmoidClassifier(threshold="f1").fit(X, Y)
    assert len(set(model.thresholds_)) == 5
    assert np.all((model.thresholds_ > 0.0) & (model.thresholds_ < 1.0))
    by_function = SigmoidClassifier(threshold=f1_score).fit(X, Y)
    fresh, truth = data(np.random.default_rng(0), n=4000)
    f1 = {name: f1_score(truth, m.predict(fresh), average="macro") for name, m in
          {"half": SigmoidClassifier().fit(X, Y), "f1": model, "function": by_function}.items()}  # fmt: skip
    assert f1["f1"] > f1["half"] - 0.005
    assert f1["function"] > f1["half"] - 0.01


def test_given_thresholds_decide(rng):
    X, Y = data(rng)
    thresholds = [0.0, 0.2, 0.5, 0.8, 1.0]
    model = SigmoidClassifier(threshold=thresholds).fit(X, Y)
    np.testing.assert_array_equal(model.predict(X), model.predict_proba(X) > thresholds)
    y = np.array(["no", "yes"])[Y[:, 0]]
    one = SigmoidClassifier(threshold=0.9).fit(X, y)
    np.testing.assert_array_equal(one.predict(X) == "yes", one.predict_proba(X)[:, 1] > 0.9)


def test_warm_start_goes_on_from_where_it_was(rng):
    X, Y = data(rng)
    model = SigmoidClassifier(warm_start=True).fit(X, Y)
    cold = model.n_iter_.sum()
    assert model.fit(X, Y).n_iter_.sum() == 0
    assert model.set_params(C=1.1).fit(X, Y).n_iter_.sum() < cold
    np.testing.assert_allclose(model.coef_, tight(C=1.1).fit(X, Y).coef_, atol=5e-3)
    with pytest.raises(ValueError, match=r"warm_start=True needs the labels .*\(5, 8\).*\(4, 8\)"):
        model.fit(X, Y[:, :4])


def spoiled(array, value):
    changed = array.astype(float)
    changed[3, 1] = value
    return changed


BAD = [
    (lambda X, Y: (spoiled(X, np.nan), Y), "Input X contains NaN"),
    (lambda X, Y: (spoiled(X, np.inf), Y), "Input X contains infinity"),
    (lambda X, Y: (spoiled(X, 1e120), Y), "X must hold values up to 1e\\+100"),
    (lambda X, Y: (X[:, 0], Y), "Expected 2D array, got 1D"),
    (lambda X, Y: (X[:-1], Y), "inconsistent numbers of samples"),
    (lambda X, Y: (X, spoiled(Y, np.nan)), "Input y contains NaN"),
    (lambda X, Y: (X, Y * 2), "y must hold numbers 0 and 1, or soft labels .* Got 2 instead"),
    (lambda X, Y: (X, sparse.csr_array(-Y)), "Got -1 instead"),
    (lambda X, Y: (X, Y.astype(str)), "y must hold|Unknown label type|not supported"),
    (lambda X, Y: (X, Y[:, :, None]), "Found array with dim 3"),
    (lambda X, Y: (X, Y.sum(axis=1)), "for classes of which each row has one use SoftmaxRegression"),
    (lambda X, Y: (X, np.zeros(len(X))), "needs samples of at least 2 classes"),
    (lambda X, Y: (X, None), "requires y to be passed"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_data_is_named(change, message, rng):
    X, Y = change(*data(rng))
    with pytest.raises(ValueError, match=message):
        SigmoidClassifier().fit(X, Y)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"C": 0.0}, "'C' parameter"),
        ({"C": np.inf}, "'C' parameter"),
        ({"tol": -1.0}, "'tol' parameter"),
        ({"max_iter": 1.5}, "'max_iter' parameter"),
        ({"threshold": 1.5}, "'threshold' parameter"),
        ({"threshold": [0.5, 0.5]}, "'threshold' parameter must be in .* array of 5"),
        ({"threshold": [0.5, 0.5, 0.5, 0.5, np.nan]}, "'threshold' parameter"),
        ({"threshold": "recall"}, "'threshold' parameter"),
        ({"class_weight": {2: 1.0}}, "'class_weight' parameter must be a dict with keys among"),
        ({"class_weight": {0: -1.0}}, "finite weights >= 0"),
        ({"class_weight": [None]}, "one entry for each of the 5 labels"),
        ({"class_weight": "heavy"}, "'class_weight' parameter"),
    ],
)
def test_bad_parameters_are_named(params, message, rng):
    with pytest.raises(ValueError, match=message):
        SigmoidClassifier(**params).fit(*data(rng))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (-np.ones(200), "Negative values"),
        (np.zeros(200), "zero"),
        (np.full(200, np.nan), "NaN"),
        (np.full(200, 1e308), "sum of the weights must be finite"),
        (np.ones(3), r"shape"),
    ],
)
def test_bad_weights_are_named(weights, message, rng):
    with pytest.raises(ValueError, match=message):
        SigmoidClassifier().fit(*data(rng), sample_weight=weights)


def test_no_threshold_is_chosen_on_soft_labels(rng):
    X, Y = data(rng)
    with pytest.raises(ValueError, match="soft labels"):
        SigmoidClassifier(threshold="f1").fit(X, 0.9 * Y)
    with pytest.raises(ValueError, match="soft labels"):
        SigmoidClassifier().fit(X, Y).tune_thresholds(X, 0.9 * Y)
    with pytest.raises(ValueError, match="'metric' parameter must be one of"):
        SigmoidClassifier().fit(X, Y).tune_thresholds(X, Y, "recall")


def test_one_class_left_by_the_weights_is_named(rng):
    X, Y = data(rng)
    y = np.array(["no", "yes"])[Y[:, 0]]
    with pytest.raises(ValueError, match="only one class with positive weight: yes"):
        SigmoidClassifier().fit(X, y, sample_weight=(y == "yes").astype(float))


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_unscaled_constant_and_repeated_columns(scale, rng):
    X, Y = data(rng, p=6)
    X[:, 0] *= scale
    X[:, 1] = 7.0
    X[:, 2] = X[:, 3]
    model = SigmoidClassifier(tol=1e-9).fit(X, Y)
    assert model.converged_
    np.testing.assert_array_equal(np.abs(model.coef_[:, 1]) < 1e-8, True)
    np.testing.assert_allclose(model.coef_[:, 2], model.coef_[:, 3], atol=1e-4)


def test_separated_labels_converge(rng):
    X, _ = data(rng)
    Y = (X[:, :3] > 0).astype(int)
    model = SigmoidClassifier(C=1e6).fit(X, Y)
    assert model.converged_
    assert model.score(X, Y) == 1.0


@pytest.mark.parametrize("way", [through_pickle, through_joblib, through_skops])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_multilabel_round_trip(way, container, rng):
    X, Y = data(rng)
    model = SigmoidClassifier(threshold="f1").fit(X, container(Y))
    again = way(model)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert (again.predict(X) != model.predict(X)).sum() == 0
    np.testing.assert_array_equal(again.thresholds_, model.thresholds_)


@pytest.mark.parametrize("is_sparse", [False, True])
def test_any_number_of_threads_gives_the_same_bits(is_sparse, rng):
    X, Y = data(rng, n=600, p=30, n_labels=300)
    X = sparse.csr_array(np.where(rng.uniform(size=X.shape) < 0.3, X, 0.0)) if is_sparse else X
    fits = []
    for n_threads in (1, 2, 7):
        with sksoft.config_context(n_threads=n_threads):
            fits.append(SigmoidClassifier().fit(X, Y))
    for other in fits[1:]:
        np.testing.assert_array_equal(other.coef_, fits[0].coef_)
        np.testing.assert_array_equal(other.gap_, fits[0].gap_)


@pytest.mark.parametrize("is_sparse", [False, True])
def test_numpy_and_compiled_fits_agree(is_sparse, rng):
    X, Y = data(rng)
    X = sparse.csr_array(X) if is_sparse else X
    fits = []
    for backend in ("numpy", "numba"):
        with sksoft.config_context(backend=backend):
            fits.append(tight().fit(X, Y))
    np.testing.assert_allclose(fits[0].coef_, fits[1].coef_, atol=1e-6)


def test_input_is_left_alone_and_may_be_read_only(rng):
    X, Y = data(rng)
    before = X.copy(), Y.copy()
    X.flags.writeable = Y.flags.writeable = False
    SigmoidClassifier(threshold="f1").fit(X, Y)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(Y, before[1])


def test_in_a_pipeline_under_grid_search(rng):
    X, Y = data(rng)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), SigmoidClassifier()),
        {"sigmoidclassifier__C": [0.01, 1.0], "sigmoidclassifier__threshold": [0.5, "f1"]},
        scoring="f1_macro",
        cv=3,
    ).fit(X, Y)
    heavy, heavy_tuned, light, light_tuned = search.cv_results_["mean_test_score"]
    # a heavy ridge draws rare labels below one half, where only a threshold of their own finds them
    assert heavy_tuned > heavy + 0.1
    assert min(light, light_tuned) > heavy + 0.1


def test_float32_is_computed_in_float64(rng):
    X, Y = data(rng)
    X = X.astype(np.float32)
    np.testing.assert_array_equal(
        SigmoidClassifier().fit(X, Y).coef_, SigmoidClassifier().fit(X.astype(float), Y).coef_
    )


def test_prediction_of_sparse_indicators_needs_no_dense_scores(rng, monkeypatch):
    X, Y = data(rng)
    monkeypatch.setattr("sksoft.linear.sigmoid_classifier.PREDICT_BYTES", 1000)
    model = SigmoidClassifier().fit(X, sparse.csr_array(Y))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predicted = model.predict(X)
    np.testing.assert_array_equal(predicted.toarray(), model.predict_proba(X) > 0.5)


@pytest.mark.parametrize("name", ["yeast"])
def test_yeast_has_the_log_losses_of_scikit_learn(name, shared_data):
    with np.load(shared_data / "multilabel" / f"{name}.npz") as file:
        X = file["X_train"].astype(float)
        ones = np.ones(len(file["Y_train_indices"]))
        Y = sparse.csr_array((ones, file["Y_train_indices"], file["Y_train_indptr"]), shape=file["Y_train_shape"])
    model = SigmoidClassifier(tol=1e-8).fit(X, Y)
    for label, y in enumerate(Y.toarray().T):
        theirs = peer(X, y)
        ours = np.logaddexp(0, np.where(y > 0, -1, 1) * model.decision_function(X)[:, label]).mean()
        expected = np.logaddexp(0, np.where(y > 0, -1, 1) * theirs.decision_function(X)).mean()
        np.testing.assert_allclose(ours, expected, rtol=1e-6)
