"""SoftmaxRegression's links, temperature, offsets, penalty factors, solvers and memory."""

import numpy as np
import pytest
from scipy import optimize
from scipy.special import log_softmax, softmax
from sklearn.datasets import load_digits, load_iris
from sklearn.preprocessing import StandardScaler

from sksoft import SoftmaxRegression


@pytest.fixture
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def tight(**params):
    return SoftmaxRegression(tol=1e-13, **params)


def minimum(X, y, *, penalty, offset=0.0):
    """The optimum by a general optimiser: coefficients (K, p) and centred intercepts."""
    n, p = X.shape
    K = y.max() + 1

    def objective(w):
        W, b = w[: K * p].reshape(K, p), w[K * p :]
        z = X @ W.T + b + offset
        residual = softmax(z, axis=1)
        residual[np.arange(n), y] -= 1.0
        value = -log_softmax(z, axis=1)[np.arange(n), y].mean() + 0.5 * np.sum(penalty * W**2) / n
        return value, np.concatenate([(residual.T @ X / n + penalty * W / n).ravel(), residual.mean(axis=0)])

    w = optimize.minimize(objective, np.zeros(K * p + K), jac=True, method="BFGS", options={"gtol": 1e-9}).x
    return w[: K * p].reshape(K, p), w[K * p :] - w[K * p :].mean()


def test_penalty_factors_of_features_and_classes_multiply(iris):
    X, y = iris
    features, classes = np.array([0.1, 1.0, 5.0, 2.0]), np.array([1.0, 3.0, 0.2])
    model = tight(C=0.5, feature_penalty=features, class_penalty=classes).fit(X, y)
    coef, intercept = minimum(X, y, penalty=2.0 * np.outer(classes, features))
    np.testing.assert_allclose(model.coef_, coef, atol=1e-5)
    np.testing.assert_allclose(model.intercept_, intercept, atol=1e-5)
    assert model.certificate_ == "gap"


def test_a_free_feature_leaves_nothing_to_prove(iris):
    X, y = iris
    model = tight(feature_penalty=[1, 1, 1, 0]).fit(X[y > 0], y[y > 0])
    assert np.isnan(model.gap_)
    assert (model.certificate_, model.converged_) == ("stationarity", True)


def test_offsets_are_known_scores(iris, rng):
    X, y = iris
    offset = rng.normal(size=(len(X), 3))
    model = tight().fit(X, y, offset=offset)
    coef, intercept = minimum(X, y, penalty=1.0, offset=offset)
    np.testing.assert_allclose(model.coef_, coef, atol=1e-5)
    np.testing.assert_allclose(model.intercept_, intercept, atol=1e-5)
    scores = X @ coef.T + intercept + offset
    np.testing.assert_allclose(model.predict_proba(X, offset=offset), softmax(scores, axis=1), atol=1e-5)


def test_an_offset_that_is_a_column_is_that_columns_coefficient(iris):
    """Fitting what is left of a fit changes nothing without a penalty."""
    X, y = iris
    X, y = X[y > 0], y[y > 0] - 1
    whole = tight(C=np.inf).fit(X, y)
    known = np.column_stack([np.zeros(len(X)), X[:, :2] @ whole.coef_[0, :2]])
    rest = tight(C=np.inf).fit(X[:, 2:], y, offset=known)
    np.testing.assert_allclose(rest.coef_[0], whole.coef_[0, 2:], rtol=1e-4)
    np.testing.assert_allclose(
        rest.decision_function(X[:, 2:], known), whole.decision_function(X), rtol=1e-3, atol=1e-3
    )


def test_prior_logits_are_left_out_of_predictions(iris):
    X, y = iris
    prior = np.log([0.2, 0.3, 0.5])
    plain, adjusted = tight().fit(X, y), tight(prior_logits=prior).fit(X, y)
    # the intercept takes up what the prior adds
    np.testing.assert_allclose(adjusted.coef_, plain.coef_, atol=1e-8)
    np.testing.assert_allclose(adjusted.intercept_, plain.intercept_ - (prior - prior.mean()), atol=1e-8)


@pytest.mark.parametrize("temperature", [0.25, 3.0])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_temperature_is_another_ridge(iris, temperature, n_classes):
    X, y = iris
    X, y = X[y < n_classes], y[y < n_classes]
    warm = tight(C=2.0, temperature=temperature).fit(X, y)
    plain = tight(C=2.0 / temperature**2).fit(X, y)
    np.testing.assert_allclose(warm.predict_proba(X), plain.predict_proba(X), atol=1e-8)
    np.testing.assert_allclose(warm.coef_, temperature * plain.coef_, atol=1e-7)
    np.testing.assert_allclose(warm.predict_log_proba(X), np.log(warm.predict_proba(X)), atol=1e-10)


@pytest.mark.parametrize("link", ["sparsemax", "entmax15", 1.25])
def test_sparse_links_are_fitted_to_their_gap_and_give_zeros(iris, link):
    X, y = iris
    model = SoftmaxRegression(link=link, C=10.0).fit(X, y)
    proba = model.predict_proba(X)
    assert model.certificate_ == "gap"
    assert model.gap_ <= 1e-6 * model.objective_
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    assert (proba == 0.0).mean() > 0.1
    assert model.score(X, y) > 0.94
    assert np.isneginf(model.predict_log_proba(X)).sum() == (proba == 0.0).sum()


@pytest.mark.parametrize("link", ["sparsemax", "entmax15"])
def test_sparse_links_converge_where_classes_are_nearly_separated(link):
    """Newton alone crosses kinks from far away, 100 steps and no end."""
    X, y = load_digits(return_X_y=True)
    model = SoftmaxRegression(C=100.0, link=link).fit(X, y)
    assert model.converged_
    assert model.gap_ <= 1e-6 * model.objective_


@pytest.mark.parametrize("link", ["softmax", "sparsemax"])
def test_saturation_is_the_weight_of_rows_without_a_gradient(iris, link):
    X, y = iris
    weights = np.arange(len(y)) % 3
    shares = []
    for temperature in (0.5, 0.01):
        model = SoftmaxRegression(link=link, temperature=temperature).fit(X, y, sample_weight=weights)
        missing = np.linalg.norm(model.predict_proba(X) - np.eye(3)[np.unique(y, return_inverse=True)[1]], axis=1)
        shares.append(model.saturation_)
        assert shares[-1] == pytest.approx(weights[missing < 1e-3].sum() / weights.sum(), abs=1e-12)
    assert 0.0 < shares[0] < shares[1] < 1.0


@pytest.mark.parametrize("link", ["sparsemax", "entmax15"])
def test_sparse_links_reach_a_loss_of_nothing_where_a_margin_exists(link):
    x = np.array([[-3.0], [-2.0], [-1.0], [1.0], [2.0], [3.0]])
    for X, y in ((x, [0, 0, 0, 1, 1, 1]), (np.column_stack([x, x**2]), [0, 0, 1, 1, 2, 2])):
        model = SoftmaxRegression(C=np.inf, link=link).fit(X, y)
        assert model.converged_
        assert 0.0 <= model.objective_ < 1e-24
        np.testing.assert_allclose(model.predict_proba(X).max(axis=1), 1.0, atol=1e-12)


def test_alpha_of_one_is_softmax(iris):
    X, y = iris
    np.testing.assert_array_equal(SoftmaxRegression(link=1.0).fit(X, y).coef_, SoftmaxRegression().fit(X, y).coef_)


@pytest.mark.parametrize("C", [0.01, 1.0])
def test_lbfgs_finds_the_same_optimum(C):
    X, y = load_digits(return_X_y=True)
    newton = SoftmaxRegression(C=C, tol=1e-10).fit(X, y)
    model = SoftmaxRegression(C=C, solver="lbfgs", tol=1e-4, max_iter=5000).fit(X, y)
    assert model.converged_
    assert model.gap_ <= 1e-4 * model.objective_
    assert 0.0 <= model.objective_ - newton.objective_ + 1e-15 <= model.gap_ + newton.gap_ + 1e-14


@pytest.mark.parametrize("working_memory", [1e-3, 0.1, 50.0])
def test_memory_changes_nothing_but_rounding(working_memory, rng):
    X = rng.normal(size=(4000, 30)) + 3.0
    y = (X @ rng.normal(size=(30, 6)) + rng.gumbel(size=(4000, 6))).argmax(axis=1)
    free = SoftmaxRegression(tol=1e-12).fit(X, y)
    model = SoftmaxRegression(tol=1e-12, working_memory=working_memory).fit(X, y)
    assert model.converged_
    np.testing.assert_allclose(model.coef_, free.coef_, atol=1e-6)


def test_soft_labels_that_are_labels_are_labels(iris):
    X, y = iris
    hard, soft = tight().fit(X, y), tight().fit(X, np.eye(3)[y])
    np.testing.assert_allclose(soft.coef_, hard.coef_, atol=1e-9)


def test_a_soft_label_is_hard_ones_of_its_shares(iris, rng):
    X, _ = iris
    shares = rng.dirichlet(np.ones(3), size=len(X))
    soft = tight(classes=["a", "b", "c"]).fit(X, shares)
    hard = tight().fit(np.repeat(X, 3, axis=0), np.tile(["a", "b", "c"], len(X)), sample_weight=shares.ravel())
    np.testing.assert_array_equal(soft.classes_, ["a", "b", "c"])
    np.testing.assert_allclose(soft.coef_, hard.coef_, atol=1e-8)
    assert soft.predict(X).dtype.kind == "U"


def test_smoothing_is_its_soft_labels(iris):
    X, y = iris
    smoothed = tight(label_smoothing=0.3).fit(X, y)
    written_out = tight().fit(X, 0.7 * np.eye(3)[y] + 0.1)
    np.testing.assert_allclose(smoothed.coef_, written_out.coef_, atol=1e-8)
    np.testing.assert_allclose(smoothed.objective_, written_out.objective_, rtol=1e-9)


BAD = [
    ({"feature_penalty": [1.0, 2.0]}, "The 'feature_penalty' parameter must hold 4 finite numbers >= 0."),
    ({"feature_penalty": [1.0, 2.0, -1.0, 1.0]}, "The 'feature_penalty' parameter"),
    ({"class_penalty": [1.0, np.nan, 1.0]}, "The 'class_penalty' parameter must hold 3 finite numbers >= 0."),
    ({"prior_logits": [0.0, np.inf, 0.0]}, "The 'prior_logits' parameter must hold 3 finite numbers."),
    ({"temperature": 0.0}, "The 'temperature' parameter"),
    ({"temperature": -1.0}, "The 'temperature' parameter"),
    ({"link": "relu"}, "The 'link' parameter"),
    ({"link": 2.5}, "The 'link' parameter"),
    ({"solver": "saga"}, "The 'solver' parameter"),
    ({"label_smoothing": -0.1}, "The 'label_smoothing' parameter"),
    ({"label_smoothing": 1.0}, "The 'label_smoothing' parameter"),
    ({"working_memory": 0}, "The 'working_memory' parameter"),
]


@pytest.mark.parametrize(("params", "message"), BAD)
def test_bad_parameters_are_named(iris, params, message):
    with pytest.raises(ValueError) as error:
        SoftmaxRegression(**params).fit(*iris)
    assert message in str(error.value)


def test_bad_offsets_and_targets_are_named(iris):
    X, y = iris
    with pytest.raises(ValueError, match=r"offset must have shape \(n_samples, n_classes\) = \(150, 3\)"):
        SoftmaxRegression().fit(X, y, offset=np.zeros((150, 2)))
    with pytest.raises(ValueError, match="offset contains NaN"):
        SoftmaxRegression().fit(X, y, offset=np.full((150, 3), np.nan))
    with pytest.raises(ValueError, match="SigmoidClassifier"):
        SoftmaxRegression().fit(X, np.full((150, 3), 0.5))
    with pytest.raises(ValueError, match="score is the accuracy on labels"):
        SoftmaxRegression().fit(X, y).score(X, np.eye(3)[y])
