"""SoftmaxRegression: the optimum of an independent package, what it proves, and what it refuses."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import skops.io
from scipy import sparse
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import sksoft
from sksoft import SoftmaxRegression

DATA = {"iris": load_iris, "wine": load_wine, "cancer": load_breast_cancer, "digits": load_digits}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def load(name):
    X, y = DATA[name](return_X_y=True)
    return StandardScaler().fit_transform(X), y


def tight(**params):
    return SoftmaxRegression(tol=1e-14, **params)


def peer(**params):
    """scikit-learn's optimum, to the accuracy of its Newton solver."""
    return LogisticRegression(solver="newton-cholesky", tol=1e-13, max_iter=1000, **params)


def assert_same_optimum(ours, theirs, atol=1e-6):
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=atol)
    shift = theirs.intercept_.mean() if len(theirs.intercept_) > 1 else 0.0  # a common shift means nothing
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_ - shift, atol=atol)


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
def test_optimum_is_scikit_learns(name, C):
    X, y = load(name)
    assert_same_optimum(tight(C=C).fit(X, y), peer(C=C).fit(X, y))


@pytest.mark.parametrize("name", ["iris", "cancer"])
def test_optimum_with_weights_and_without_intercept_is_scikit_learns(name, rng):
    X, y = load(name)
    s = rng.uniform(0.1, 3.0, size=len(y))
    ours = tight(fit_intercept=False).fit(X, y, sample_weight=s)
    theirs = peer(fit_intercept=False).fit(X, y, sample_weight=s)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)
    np.testing.assert_array_equal(ours.intercept_, 0.0)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 0.3, 1: 2.0}])
def test_class_weights_are_scikit_learns(class_weight):
    X, y = load("cancer")
    X, y = X[:300], y[:300]
    params = {"class_weight": class_weight}
    assert_same_optimum(tight(**params).fit(X, y), peer(**params).fit(X, y))


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_matrix, sparse.csr_matrix])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_sparse_is_dense(container, n_classes, rng):
    X = np.where(rng.uniform(size=(300, 20)) < 0.2, rng.normal(size=(300, 20)), 0.0)
    y = (X[:, :3].sum(axis=1) > 0).astype(int) + (n_classes == 3) * (X[:, 4] > 0.3)
    dense, ours = tight().fit(X, y), tight().fit(container(X), y)
    np.testing.assert_allclose(ours.coef_, dense.coef_, atol=1e-9)
    np.testing.assert_allclose(ours.predict_proba(container(X)), dense.predict_proba(X), atol=1e-9)


def test_iris_without_penalty_is_the_textbook_maximum_likelihood():
    """R's glm(virginica ~ ., binomial) on versicolor and virginica, printed in many textbooks.

    Coefficients -42.638, -2.465, -6.681, 9.429, 18.286; residual deviance 11.899. Setosa is separated from both, so
    the multinomial fit has the same contrast and, in the limit, the same deviance.
    """
    X, y = load_iris(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="quasi-complete separation: .* separate 0 from 1 and 2"):
        model = SoftmaxRegression(C=np.inf, max_iter=300, tol=1e-10).fit(X, y)
    contrast = np.append(model.intercept_[2] - model.intercept_[1], model.coef_[2] - model.coef_[1])
    np.testing.assert_allclose(contrast, [-42.638, -2.465, -6.681, 9.429, 18.286], atol=5e-4)
    np.testing.assert_allclose(2 * len(y) * model.objective_, 11.899, atol=5e-4)
    assert np.isnan(model.gap_)
    assert (model.certificate_, model.converged_) == ("stationarity", False)
    assert model.bound_ <= 1e-10 * model.objective_


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("C", [0.01, 100.0])
def test_defaults_reach_the_tolerance_they_promise(name, C):
    X, y = DATA[name](return_X_y=True)  # as they come, unscaled
    model = SoftmaxRegression(C=C).fit(X, y)
    best = tight(C=C, max_iter=300).fit(X, y)
    assert model.converged_
    assert model.objective_ - best.objective_ <= model.gap_ + 1e-15
    assert model.gap_ <= 1e-6 * model.objective_


@pytest.mark.parametrize("sparsity", [False, True])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_weight_is_repetition_and_zero_weight_is_removal(sparsity, class_weight, n_classes, rng):
    X = rng.normal(size=(80, 6))
    y = rng.integers(n_classes, size=80)
    s = rng.integers(0, 4, size=80)
    as_input = sparse.csr_array if sparsity else np.asarray
    weighted = tight(class_weight=class_weight).fit(as_input(X), y, sample_weight=s)
    repeated = tight(class_weight=class_weight).fit(as_input(np.repeat(X, s, axis=0)), np.repeat(y, s))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-9)
    np.testing.assert_allclose(weighted.intercept_, repeated.intercept_, atol=1e-9)
    np.testing.assert_allclose(weighted.objective_, repeated.objective_, rtol=1e-12)


def test_a_class_of_weight_zero_is_no_class():
    X, y = load_iris(return_X_y=True)
    model = SoftmaxRegression().fit(X, y, sample_weight=(y != 1).astype(float))
    np.testing.assert_array_equal(model.classes_, [0, 2])
    assert model.coef_.shape == (1, 4)


@pytest.mark.parametrize(
    "labels",
    [["b", "a", "c"], [-5, 7, 0], [0.5, 2.5, -1.5], [10, 30, 20]],
    ids=["strings", "negative", "floats", "gaps"],
)
def test_labels_of_any_type(labels):
    X, y = load("iris")
    named = np.asarray(labels)[y]
    if named.dtype == float:
        named = np.array([str(v) for v in named], dtype=object)  # continuous labels are regression to scikit-learn
    model = SoftmaxRegression().fit(X, named)
    np.testing.assert_array_equal(model.classes_, np.unique(named))
    assert model.score(X, named) > 0.95
    assert model.predict(X).dtype == named.dtype


def test_boolean_labels():
    X, y = load("cancer")
    model = SoftmaxRegression().fit(X, y.astype(bool))
    assert model.predict(X[:5]).dtype == bool
    assert model.decision_function(X).shape == (len(X),)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0)


def test_ten_thousand_classes(rng):
    centres = rng.normal(size=(10_000, 2))
    y = np.arange(20_000) % 10_000
    model = SoftmaxRegression(C=1e-3).fit(centres[y] + rng.normal(size=(20_000, 2)), y)
    assert model.coef_.shape == (10_000, 2)
    assert model.converged_
    assert model.gap_ <= 1e-6 * model.objective_


def test_threads_do_not_change_a_bit(rng):
    X = rng.normal(size=(30_000, 40))
    y = (X @ rng.normal(size=(40, 5)) + rng.gumbel(size=(30_000, 5))).argmax(axis=1)
    fits = []
    for n_threads in (1, 2, 7):
        with sksoft.config_context(n_threads=n_threads):
            fits.append(SoftmaxRegression().fit(X, y))
    for other in fits[1:]:
        np.testing.assert_array_equal(other.coef_, fits[0].coef_)
        np.testing.assert_array_equal(other.intercept_, fits[0].intercept_)


def test_backends_agree_to_rounding(rng):
    X, y = load("digits")
    with sksoft.config_context(backend="numpy"):
        reference = tight().fit(X, y)
    with sksoft.config_context(backend="numba"):
        compiled = tight().fit(X, y)
    np.testing.assert_allclose(compiled.coef_, reference.coef_, atol=1e-9)


def test_warm_start_at_the_solution_takes_no_time():
    X, y = load("digits")
    model = SoftmaxRegression(warm_start=True).fit(X, y)
    first, coef = model.n_iter_, model.coef_
    model.fit(X, y)
    assert model.n_iter_ <= 1 < first
    np.testing.assert_allclose(model.coef_, coef, atol=1e-6)
    with pytest.raises(ValueError, match="warm_start=True needs the 64 features of the previous fit, or names"):
        model.fit(X[:, :10], y)


def test_too_few_iterations_warn_with_the_number_that_fell_short():
    X, y = load("digits")
    with pytest.warns(ConvergenceWarning, match=r"gap bound of .* of the objective, above tol=1e-06"):
        model = SoftmaxRegression(max_iter=1).fit(X, y)
    assert not model.converged_
    assert model.stopped_by_ == "max_iter"
    assert model.gap_ > 1e-6 * model.objective_


def test_float32_input_is_computed_in_float64():
    X, y = load("iris")
    model = SoftmaxRegression().fit(X.astype(np.float32), y)
    assert model.coef_.dtype == np.float64
    np.testing.assert_allclose(model.coef_, SoftmaxRegression().fit(X, y).coef_, atol=1e-5)


def test_columns_of_very_different_scales(rng):
    X = rng.normal(size=(500, 6)) * np.logspace(-6, 6, 6)
    y = (X @ (1 / np.logspace(-6, 6, 6)) + rng.normal(size=500) > 0).astype(int)
    model = SoftmaxRegression(C=1e3, max_iter=300).fit(X, y)
    assert model.gap_ <= 1e-6 * model.objective_


def test_constant_and_duplicated_columns(rng):
    X = rng.normal(size=(200, 3))
    X = np.column_stack([X, X[:, 0], np.ones(200)])
    y = (X[:, 0] + rng.normal(size=200) > 0).astype(int)
    model = tight().fit(X, y)
    np.testing.assert_allclose(model.coef_[0, 0], model.coef_[0, 3], atol=1e-9)  # the ridge shares equally
    np.testing.assert_allclose(model.coef_[0, 4], 0.0, atol=1e-9)
    assert SoftmaxRegression(C=np.inf).fit(X, y).converged_


@pytest.mark.parametrize("value", [0.1, 1.0, -7e5])
def test_a_constant_column_has_no_coefficient_even_without_a_penalty(rng, value):
    X = rng.normal(size=(300, 2))
    y = (X[:, 0] + rng.normal(size=300) > 0).astype(int) + (X[:, 1] > 1)
    without = SoftmaxRegression(C=np.inf).fit(X, y)
    model = SoftmaxRegression(C=np.inf).fit(np.column_stack([X, np.full(300, value)]), y)
    np.testing.assert_array_equal(model.coef_[:, 2], 0.0)
    np.testing.assert_allclose(model.coef_[:, :2], without.coef_, atol=1e-9)
    np.testing.assert_allclose(model.intercept_, without.intercept_, atol=1e-9)


def test_log_probabilities_where_probabilities_vanish():
    X = np.array([[-1.0], [1.0]] * 10)
    model = SoftmaxRegression(C=1e6).fit(X, [0, 1] * 10)
    log_proba = model.predict_log_proba(np.array([[1e4]]))
    assert np.isfinite(log_proba).all()
    np.testing.assert_allclose(log_proba[0, 0], -model.decision_function([[1e4]])[0])
    assert model.predict_proba([[1e4]])[0, 0] == 0.0


@pytest.mark.parametrize("container", [np.asarray, pd.DataFrame])
def test_round_trips(container, tmp_path):
    X, y = load("iris")
    X = pd.DataFrame(X, columns=list("abcd")) if container is pd.DataFrame else X
    model = SoftmaxRegression().fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    data = skops.io.dumps(model)
    assert set(skops.io.get_untrusted_types(data=data)) <= {"sksoft.linear.softmax_regression.SoftmaxRegression"}
    copy = skops.io.loads(data, trusted=["sksoft.linear.softmax_regression.SoftmaxRegression"])
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))


def test_grid_search_in_a_pipeline_over_frames(rng):
    frame = pd.DataFrame({"x": rng.normal(size=200), "g": rng.choice(["u", "v", "w"], 200)})
    y = np.where(frame["x"] + (frame["g"] == "u") + rng.normal(size=200) > 0, "yes", "no")
    pipeline = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["g"]), (StandardScaler(), ["x"])), SoftmaxRegression()
    )
    search = GridSearchCV(pipeline, {"softmaxregression__C": [0.01, 1.0]}, scoring="neg_log_loss").fit(frame, y)
    assert search.best_params_["softmaxregression__C"] == 1.0
    assert search.best_estimator_.score(frame, y) > 0.65


BAD = [
    ({"C": 0}, "The 'C' parameter of SoftmaxRegression must be a float in the range (0.0, inf]. Got 0 instead."),
    ({"C": -1.0}, "The 'C' parameter"),
    ({"C": np.nan}, "The 'C' parameter"),
    ({"tol": -1e-3}, "The 'tol' parameter"),
    ({"max_iter": 1.5}, "The 'max_iter' parameter"),
    ({"class_weight": "even"}, "The 'class_weight' parameter"),
    ({"fit_intercept": "yes"}, "The 'fit_intercept' parameter"),
]


@pytest.mark.parametrize(("params", "message"), BAD)
def test_bad_parameters_are_named(params, message):
    X, y = load("iris")
    with pytest.raises(ValueError) as error:
        SoftmaxRegression(**params).fit(X, y)
    assert message in str(error.value)


def test_bad_data_is_named():
    X, y = load("iris")
    fit = SoftmaxRegression().fit
    with pytest.raises(ValueError, match="Input X contains NaN"):
        fit(np.where(X > 2, np.nan, X), y)
    with pytest.raises(ValueError, match="at least 2 classes in the data, but the data contains only one class"):
        fit(X, np.zeros(len(X), dtype=int))
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        fit(X, y, sample_weight=-np.ones(len(X)))
    with pytest.raises(ValueError, match="Sample weights must contain at least one non-zero number"):
        fit(X, y, sample_weight=np.zeros(len(X)))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fit(X, y[:-1])
    with pytest.raises(ValueError, match="Unknown label type"):
        fit(X, y + 0.5 * X[:, 0])
    model = fit(X, y)
    with pytest.raises(ValueError, match="X has 3 features, but SoftmaxRegression is expecting 4"):
        model.predict(X[:, :3])


@pytest.mark.parametrize("max_iter", [20, 100])
def test_perfect_separation_without_penalty_is_named(max_iter):
    X = np.array([[-1.0], [1.0]] * 10)
    with pytest.warns(ConvergenceWarning, match="complete separation: .x0. separates 0 from 1"):
        model = SoftmaxRegression(C=np.inf, max_iter=max_iter).fit(X, [0, 1] * 10)
    assert not model.converged_


@pytest.mark.parametrize("offset", [1e5, 1e10, 1e13])
def test_far_offsets_do_not_break_the_proof(rng, offset):
    X = np.round(rng.normal(size=(60, 3)) * 1024) / 1024
    y = (X @ rng.normal(size=(3, 3)) + rng.gumbel(size=(60, 3))).argmax(axis=1)
    shifted = X + offset
    reference = tight().fit(shifted - offset, y)  # what is left of X after rounding at that offset
    model = SoftmaxRegression().fit(shifted, y)
    assert model.converged_
    assert abs(model.objective_ - reference.objective_) <= model.gap_ + 1e-13
    np.testing.assert_allclose(model.coef_, reference.coef_, atol=1e-4)


@pytest.mark.parametrize("scales", [(-6, 6), (0, 8)])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_no_penalty_with_columns_of_any_scale(rng, scales, container):
    X = rng.normal(size=(200, 8))
    y = (X @ rng.normal(size=8) * 0.3 + rng.logistic(size=200) > 0).astype(int)
    best = SoftmaxRegression(C=np.inf, tol=1e-12).fit(X, y).objective_
    model = SoftmaxRegression(C=np.inf).fit(container(X * np.logspace(*scales, 8)), y)
    assert model.converged_
    np.testing.assert_allclose(model.objective_, best, rtol=2e-6)


def test_class_weight_of_zero_is_removal(rng):
    X, y = load("iris")
    model = tight(class_weight={0: 0.0, 1: 1.0, 2: 1.0}).fit(X, y)
    removed = tight().fit(X[y > 0], y[y > 0])
    np.testing.assert_array_equal(model.classes_, [1, 2])
    np.testing.assert_allclose(model.coef_, removed.coef_, atol=1e-9)


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_bad_class_weights_are_named(weight):
    X, y = load("iris")
    with pytest.raises(ValueError, match="The 'class_weight' parameter must give finite weights >= 0"):
        SoftmaxRegression(class_weight={0: weight}).fit(X, y)


def test_features_and_weights_too_large_to_square_are_named():
    X, y = load("iris")
    with pytest.raises(ValueError, match=r"X must hold values up to 1e\+100"):
        SoftmaxRegression().fit(X * 1e200, y)
    with pytest.raises(ValueError, match="The sum of the weights must be finite"):
        SoftmaxRegression().fit(X, y, sample_weight=np.full(len(y), 1e308))


def test_an_order_of_rows_that_repeats_does_no_harm(rng):
    n = 40_000
    X = rng.normal(size=(n, 6)) * np.where(np.arange(n) % 5 == 0, 1e-3, 10.0)[:, None]
    y = (X @ rng.normal(size=6) * 0.2 + rng.logistic(size=n) > 0).astype(int)
    model = SoftmaxRegression().fit(X, y)
    assert model.converged_
    assert model.n_iter_ < 15


def test_sparse_with_long_indices(rng):
    X = sparse.csr_array(np.where(rng.uniform(size=(100, 5)) < 0.5, 1.0, 0.0))
    y = (rng.uniform(size=100) < 0.5).astype(int)
    long = X.copy()
    long.indices, long.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    np.testing.assert_array_equal(SoftmaxRegression().fit(long, y).coef_, SoftmaxRegression().fit(X, y).coef_)


def test_a_fit_has_the_same_bits_in_any_thread(rng):
    X = rng.normal(size=(3000, 60))
    y = (X @ rng.normal(size=(60, 4)) + rng.gumbel(size=(3000, 4))).argmax(axis=1)
    here = SoftmaxRegression().fit(X, y)
    with ThreadPoolExecutor(3) as pool:
        elsewhere = list(pool.map(lambda _: SoftmaxRegression().fit(X, y).coef_, range(6)))
    for coef in elsewhere:
        np.testing.assert_array_equal(coef, here.coef_)
