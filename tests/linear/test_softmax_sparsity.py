"""L1, elastic net, groups and signs in SoftmaxRegression: against saga, SciPy and the conditions of optimality."""

import warnings

import numpy as np
import pytest
from scipy import optimize, sparse
from scipy.special import logsumexp, softmax
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksoft import SoftmaxRegression

LOADERS = {"iris": load_iris, "wine": load_wine, "digits": load_digits}
SIGNS = np.array([[1, 0, 0, -1], [0, 1, -1, 0], [0, 0, 0, 1]])


def load(name):
    X, y = LOADERS[name](return_X_y=True)
    return StandardScaler().fit_transform(X), y


def penalty(model, W, factors):
    """R of the documented formula, without 1 / (C Σ s)."""
    W = W * np.broadcast_to(factors, W.shape) ** 0  # shape (K, p)
    size = np.abs(W)
    norms = (factors * size).sum() if model.l1_group is None else (factors * np.linalg.norm(W, axis=0)).sum()
    return model.l1_ratio * norms + 0.5 * (1.0 - model.l1_ratio) * (factors * W**2).sum()


def objective(model, X, y, W, b, weights=None, factors=1.0):
    """F from the documented formula; y labels 0 … K-1 or soft labels."""
    weights = np.ones(len(X)) if weights is None else weights
    z = X @ W.T + b
    z = np.column_stack([np.zeros(len(z)), z]) if z.shape[1] == 1 else z
    t = np.eye(z.shape[1])[y] if y.ndim == 1 else y
    entropy = np.where(t > 0, t * np.log(np.where(t > 0, t, 1.0)), 0.0).sum(axis=1)
    loss = weights @ (logsumexp(z, axis=1) + entropy - (t * z).sum(axis=1))
    return (loss + penalty(model, W, factors) / model.C) / weights.sum()


def value(model, X, y, **options):
    return objective(model, X, y, model.coef_, model.intercept_, **options)


def gradient(model, X, t, weights):
    """Slopes of the mean loss in W and b."""
    p = softmax(X @ model.coef_.T + model.intercept_, axis=1)
    residual = (p - t) * (weights / weights.sum())[:, None]
    return residual.T @ X, residual.sum(axis=0)


@pytest.mark.parametrize("l1_ratio", [0.3, 1.0])
@pytest.mark.parametrize(("name", "C"), [("iris", 1.0), ("iris", 0.05), ("wine", 0.3), ("digits", 0.02)])
def test_the_optimum_is_that_of_saga(name, C, l1_ratio):
    X, y = load(name)
    ours = SoftmaxRegression(C=C, l1_ratio=l1_ratio, tol=1e-11).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        saga = LogisticRegression(C=C, l1_ratio=l1_ratio, solver="saga", tol=1e-12, max_iter=5000).fit(X, y)
    assert ours.converged_
    assert ours.gap_ <= 1e-11 * ours.objective_
    assert ours.objective_ == pytest.approx(value(ours, X, y), rel=1e-12)
    assert ours.objective_ <= objective(ours, X, y, saga.coef_, saga.intercept_) + 1e-14
    np.testing.assert_allclose(ours.coef_, saga.coef_, atol=1e-5)
    np.testing.assert_array_equal(ours.coef_ != 0.0, np.abs(saga.coef_) > 1e-6)


@pytest.mark.parametrize("l1_ratio", [0.3, 1.0])
def test_two_classes_have_the_optimum_of_saga(l1_ratio):
    X, y = load("wine")
    ours = SoftmaxRegression(C=0.2, l1_ratio=l1_ratio, tol=1e-11).fit(X, y == 1)
    saga = LogisticRegression(C=0.2, l1_ratio=l1_ratio, solver="saga", tol=1e-12, max_iter=5000).fit(X, y == 1)
    np.testing.assert_allclose(ours.coef_, saga.coef_, atol=1e-6)
    np.testing.assert_array_equal(ours.coef_ != 0.0, np.abs(saga.coef_) > 1e-7)
    grouped = SoftmaxRegression(C=0.2, l1_ratio=l1_ratio, l1_group="classes", tol=1e-11).fit(X, y == 1)
    np.testing.assert_array_equal(grouped.coef_, ours.coef_)


@pytest.mark.parametrize("options", [{}, {"l1_group": "classes"}, {"coef_sign": SIGNS}], ids=str)
@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_no_search_of_scipy_finds_less(options, l1_ratio):
    X, y = load("iris")
    X, y = X[::3], y[::3]
    model = SoftmaxRegression(C=0.5, l1_ratio=l1_ratio, tol=1e-12, **options).fit(X, y)
    signs = np.broadcast_to(options.get("coef_sign", 0), (3, 4)).ravel()
    bounds = [(0.0 if s > 0 else None, 0.0 if s < 0 else None) for s in signs] + [(None, None)] * 3

    def f(v):
        return objective(model, X, y, v[:12].reshape(3, 4), v[12:])

    at = np.concatenate([model.coef_.ravel(), model.intercept_])
    lower, upper = (np.array([np.nan if b[i] is None else b[i] for b in bounds]) for i in (0, 1))
    for seed in range(3):
        start = np.fmin(np.fmax(at + 0.3 * np.random.default_rng(seed).normal(size=15), lower), upper)
        found = optimize.minimize(f, start, method="SLSQP", bounds=bounds, tol=1e-13, options={"maxiter": 300})
        assert model.objective_ <= found.fun + 1e-12
        assert found.fun <= model.objective_ + 1e-3  # or the search says nothing
    assert (model.coef_.ravel() * signs >= 0.0).all()


@pytest.mark.parametrize("C", [0.01, 0.5, 20.0])
@pytest.mark.parametrize("l1_ratio", [0.4, 1.0])
def test_the_conditions_of_optimality_of_an_elastic_net(C, l1_ratio):
    X, y = load("wine")
    factors = np.resize([1.0, 0.5, 3.0], X.shape[1]) * np.array([[1.0], [2.0], [0.3]])
    weights = np.random.default_rng(0).uniform(0.1, 3.0, size=len(y))
    model = SoftmaxRegression(
        C=C, l1_ratio=l1_ratio, feature_penalty=factors[0], class_penalty=[1.0, 2.0, 0.3], tol=1e-12
    ).fit(X, y, sample_weight=weights)
    slopes, of_intercepts = gradient(model, X, np.eye(3)[y], weights)
    unit = factors / (C * weights.sum())
    scale = unit.max()
    W = model.coef_
    on = W != 0.0
    residual = slopes + unit * (l1_ratio * np.sign(W) + (1.0 - l1_ratio) * W)
    np.testing.assert_allclose(residual[on], 0.0, atol=1e-6 * scale)
    assert (np.abs(slopes) <= unit * l1_ratio * (1 + 1e-6) + 1e-15)[~on].all()
    np.testing.assert_allclose(of_intercepts, 0.0, atol=1e-6 * scale)
    assert 0 < on.sum() < W.size
    assert model.objective_ == pytest.approx(value(model, X, y, weights=weights, factors=factors), rel=1e-12)


@pytest.mark.parametrize("l1_ratio", [0.4, 1.0])
def test_the_conditions_of_optimality_of_groups(l1_ratio):
    X, y = load("wine")
    factors = np.resize([1.0, 0.5, 3.0], X.shape[1])
    model = SoftmaxRegression(C=0.05, l1_ratio=l1_ratio, l1_group="classes", feature_penalty=factors, tol=1e-12)
    W, weights = model.fit(X, y).coef_, np.ones(len(y))
    slopes, of_intercepts = gradient(model, X, np.eye(3)[y], weights)
    unit, norms = factors / (0.05 * len(y)), np.linalg.norm(W, axis=0)
    on = norms > 0.0
    residual = slopes + unit * (1.0 - l1_ratio) * W
    residual[:, on] += unit[on] * l1_ratio * W[:, on] / norms[on]
    np.testing.assert_allclose(residual[:, on], 0.0, atol=1e-6 * unit.max())
    assert (np.linalg.norm(slopes, axis=0) <= unit * l1_ratio * (1 + 1e-6))[~on].all()
    np.testing.assert_allclose(of_intercepts, 0.0, atol=1e-6 * unit.max())
    assert 0 < on.sum() < len(on)
    assert ((W != 0.0).all(axis=0) == on).all()
    assert model.objective_ == pytest.approx(value(model, X, y, factors=factors), rel=1e-12)


@pytest.mark.parametrize("options", [{}, {"l1_group": "classes"}, {"coef_sign": [1, 0, -1, 0] * 16}], ids=str)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_sparse_X_has_the_optimum_of_dense_X(options, fit_intercept):
    X, y = load_digits(return_X_y=True)
    X = X / 16.0
    model = SoftmaxRegression(C=0.05, l1_ratio=0.8, tol=1e-10, fit_intercept=fit_intercept, **options)
    dense = model.fit(X, y)
    coef, intercept, value = dense.coef_, dense.intercept_, dense.objective_
    model.fit(sparse.csr_array(X), y)
    np.testing.assert_allclose(model.coef_, coef, atol=1e-5)
    np.testing.assert_allclose(model.intercept_, intercept, atol=1e-5)
    np.testing.assert_array_equal(model.coef_ != 0.0, coef != 0.0)
    assert model.objective_ == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("options", [{}, {"l1_group": "classes"}], ids=str)
def test_weights_are_repetition(options):
    X, y = load("iris")
    counts = np.random.default_rng(0).integers(0, 4, size=len(y))
    model = SoftmaxRegression(C=0.3, l1_ratio=0.9, tol=1e-12, **options)
    weighted = model.fit(X, y, sample_weight=counts).coef_
    repeated = model.fit(np.repeat(X, counts, axis=0), np.repeat(y, counts)).coef_
    np.testing.assert_allclose(weighted, repeated, atol=1e-8)


@pytest.mark.parametrize("sparse_y", [False, True])
def test_soft_labels(sparse_y):
    X, y = load("iris")
    t = 0.7 * np.eye(3)[y] + 0.3 * np.random.default_rng(0).dirichlet(np.ones(3), len(y))
    model = SoftmaxRegression(C=0.1, l1_ratio=1.0, tol=1e-12).fit(X, sparse.csr_array(t) if sparse_y else t)
    slopes, _ = gradient(model, X, t, np.ones(len(y)))
    on, unit = model.coef_ != 0.0, 1.0 / (0.1 * len(y))
    np.testing.assert_allclose(slopes[on], -unit * np.sign(model.coef_[on]), atol=1e-8)
    assert (np.abs(slopes[~on]) <= unit).all()
    assert model.objective_ == pytest.approx(value(model, X, t), rel=1e-11)


def test_label_smoothing_is_soft_labels():
    X, y = load("iris")
    model = SoftmaxRegression(C=0.1, l1_ratio=1.0, tol=1e-12)
    soft = model.fit(X, 0.9 * np.eye(3)[y] + 0.1 / 3).coef_
    np.testing.assert_allclose(model.set_params(label_smoothing=0.1).fit(X, y).coef_, soft, atol=1e-8)


@pytest.mark.parametrize("link", ["sparsemax", "entmax15", 1.2])
@pytest.mark.parametrize("options", [{}, {"l1_group": "classes"}], ids=str)
def test_other_links_are_fitted_to_a_proof(link, options):
    X, y = load("wine")
    model = SoftmaxRegression(C=0.1, l1_ratio=1.0, link=link, tol=1e-8, **options).fit(X, y)
    assert model.converged_
    assert model.certificate_ == "gap"
    assert model.gap_ <= 1e-8 * model.objective_
    assert 0 < (model.coef_ == 0.0).sum() < model.coef_.size


def test_temperature_is_another_penalty():
    X, y = load("iris")
    hot = SoftmaxRegression(C=0.3, l1_ratio=1.0, temperature=2.0, tol=1e-12).fit(X, y)
    other = SoftmaxRegression(C=0.15, l1_ratio=1.0, tol=1e-12).fit(X, y)
    np.testing.assert_allclose(hot.coef_ / 2.0, other.coef_, atol=1e-8)


def test_an_offset_is_added():
    X, y = load("iris")
    offset = np.random.default_rng(0).normal(size=(len(y), 3))
    model = SoftmaxRegression(C=0.2, l1_ratio=1.0, tol=1e-12).fit(X, y, offset=offset)
    p = softmax(X @ model.coef_.T + model.intercept_ + offset, axis=1)
    slopes, unit = (p - np.eye(3)[y]).T @ X / len(y), 1.0 / (0.2 * len(y))
    on = model.coef_ != 0.0
    np.testing.assert_allclose(slopes[on], -unit * np.sign(model.coef_[on]), atol=1e-8)
    assert (np.abs(slopes[~on]) <= unit).all()


def test_everything_is_zero_at_small_C():
    X, y = load("digits")
    shares = np.bincount(y) / len(y)
    largest = np.abs((shares - np.eye(10)[y]).T @ X).max()
    none = SoftmaxRegression(C=0.999 / largest, l1_ratio=1.0).fit(X, y)
    assert not none.coef_.any()
    np.testing.assert_allclose(none.predict_proba(X[:1])[0], shares, rtol=1e-6)
    assert none.gap_ <= 1e-6 * none.objective_
    assert SoftmaxRegression(C=1.01 / largest, l1_ratio=1.0).fit(X, y).coef_.any()


def test_all_signs_hold_without_a_penalty():
    X, y = load("iris")
    rows = y > 0  # versicolor and virginica overlap
    model = SoftmaxRegression(C=np.inf, coef_sign=[1, 1, 1, 1], tol=1e-10).fit(X[rows], y[rows])
    assert model.certificate_ == "stationarity"
    assert np.isnan(model.gap_)
    assert (model.coef_ >= 0.0).all()

    def f(v):
        z = X[rows] @ v[:4] + v[4]
        return (np.logaddexp(0.0, z) - (y[rows] == 2) * z).mean()

    bounds = [(0.0, None)] * 4 + [(None, None)]
    found = optimize.minimize(f, np.zeros(5), method="L-BFGS-B", bounds=bounds, options={"ftol": 0, "gtol": 1e-10})
    assert model.objective_ <= found.fun + 1e-12
    np.testing.assert_allclose(model.coef_[0], found.x[:4], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "size"),
    [({"C": 10.0, "l1_ratio": 1.0, "link": "sparsemax"}, 10.0), ({"C": 1.0, "coef_sign": [1, -1, 0, 1]}, 100.0)],
    ids=["sparsemax", "signs"],
)
def test_a_start_without_any_curvature_is_left(options, size):
    X, y = load("iris")
    model = SoftmaxRegression(warm_start=True, max_iter=300, **options).fit(X, y == 1)
    best = model.objective_
    model.coef_ = model.coef_ + size * np.random.default_rng(0).normal(size=model.coef_.shape)
    model.fit(X, y == 1)
    assert model.converged_
    assert model.n_iter_ > 5
    assert model.objective_ == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_an_absurd_start_is_never_called_the_optimum(seed):
    X, y = load("iris")
    model = SoftmaxRegression(C=100.0, l1_ratio=0.5, feature_penalty=[0, 1, 1, 1], warm_start=True, max_iter=60)
    best = model.fit(X, y).objective_
    model.coef_ = model.coef_ + 300.0 * np.random.default_rng(seed).normal(size=model.coef_.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    assert model.bound_ >= 0.0
    assert not model.converged_ or model.objective_ == pytest.approx(best, rel=1e-5)


def test_separated_classes_with_signs_and_no_penalty_warn():
    X, y = load("iris")
    model = SoftmaxRegression(C=np.inf, coef_sign=[0, 0, 1, 1])
    with pytest.warns(ConvergenceWarning, match=r"an objective of .*e-\d+ and no bound .* use a finite C"):
        model.fit(X, y > 0)
    assert (model.coef_[:, 2:] >= 0.0).all()


def test_without_a_penalty_l1_ratio_changes_nothing():
    X, y = load("iris")
    X, y = X[50:], y[50:]
    plain = SoftmaxRegression(C=np.inf, tol=1e-10).fit(X, y)
    ratio = SoftmaxRegression(C=np.inf, l1_ratio=1.0, tol=1e-10).fit(X, y)
    np.testing.assert_array_equal(ratio.coef_, plain.coef_)
    proximal = SoftmaxRegression(C=np.inf, l1_ratio=1.0, tol=1e-10, solver="proximal-newton").fit(X, y)
    assert proximal.certificate_ == "stationarity"
    np.testing.assert_allclose(proximal.coef_, plain.coef_, rtol=1e-4)


def test_without_a_kink_it_is_the_ridge():
    X, y = load("wine")
    plain = SoftmaxRegression(tol=1e-12).fit(X, y)
    proximal = SoftmaxRegression(tol=1e-12, solver="proximal-newton").fit(X, y)
    np.testing.assert_allclose(proximal.coef_, plain.coef_, atol=1e-6)
    assert proximal.objective_ == pytest.approx(plain.objective_, rel=1e-11)


@pytest.mark.parametrize("options", [{}, {"l1_group": "classes"}, {"coef_sign": 1}], ids=str)
@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_hard_columns(options, l1_ratio):
    X, y = load("iris")
    generator = np.random.default_rng(0)
    X = np.column_stack([X, X[:, 2], X[:, 2], np.ones(len(X)), np.zeros(len(X)), 1e6 * X[:, 0], 1e-6 * X[:, 1]])
    X = np.column_stack([X, generator.normal(size=(len(X), 20)) @ np.diag(10.0 ** np.linspace(-5, 5, 20))])
    if "coef_sign" in options:
        options = {"coef_sign": np.resize([1, 0, -1], X.shape[1])}
    model = SoftmaxRegression(C=1.0, l1_ratio=l1_ratio, tol=1e-8, **options).fit(X, y)
    assert model.converged_
    assert model.gap_ <= 1e-8 * model.objective_
    assert not model.coef_[:, [6, 7]].any()  # a constant column earns nothing beside an intercept


@pytest.mark.parametrize("options", [{}, {"l1_group": "classes"}], ids=str)
@pytest.mark.parametrize("C", [0.1, 1.0, 100.0])
def test_fewer_rows_than_columns(options, C):
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(30, 200)), np.resize([0, 1, 2], 30)
    model = SoftmaxRegression(C=C, l1_ratio=1.0, tol=1e-8, **options).fit(X, y)
    assert model.gap_ <= 1e-8 * model.objective_
    if not options:
        assert (model.coef_ != 0.0).sum() <= 3 * 30


def test_a_class_that_weighs_nothing_is_not_there():
    X, y = load("iris")
    model = SoftmaxRegression(C=0.5, l1_ratio=1.0, tol=1e-12).fit(X, y, sample_weight=np.where(y == 1, 0.0, 1.0))
    np.testing.assert_array_equal(model.classes_, [0, 2])
    alone = SoftmaxRegression(C=0.5, l1_ratio=1.0, tol=1e-12).fit(X[y != 1], y[y != 1])
    np.testing.assert_array_equal(model.coef_, alone.coef_)


def test_one_row_for_each_class():
    X = np.random.default_rng(0).normal(size=(5, 3))
    model = SoftmaxRegression(C=10.0, l1_ratio=1.0, tol=1e-8).fit(X, np.arange(5))
    assert model.gap_ <= 1e-8 * model.objective_


def test_a_free_feature_is_fitted_and_nothing_is_proved():
    X, y = load("wine")
    model = SoftmaxRegression(C=0.02, l1_ratio=1.0, feature_penalty=np.arange(13) != 3, tol=1e-12).fit(X, y)
    assert model.certificate_ == "stationarity"
    assert model.converged_
    slopes, of_intercepts = gradient(model, X, np.eye(3)[y], np.ones(len(y)))
    np.testing.assert_allclose(slopes[:, 3], 0.0, atol=1e-7)
    np.testing.assert_allclose(of_intercepts, 0.0, atol=1e-7)
    assert (np.abs(np.delete(slopes, 3, axis=1)) <= 1.0 / (0.02 * len(y)) * (1 + 1e-6)).all()


def test_a_warm_start_at_the_solution_takes_the_last_step_alone():
    X, y = load("digits")
    model = SoftmaxRegression(C=0.05, l1_ratio=1.0, tol=1e-8, warm_start=True).fit(X, y)
    before, coef = model.n_iter_, model.coef_
    model.set_params(tol=2e-8).fit(X, y)
    assert model.n_iter_ <= 1 < before
    np.testing.assert_allclose(model.coef_, coef, atol=1e-8)
    cold = SoftmaxRegression(C=0.06, l1_ratio=1.0, tol=1e-8).fit(X, y)
    model.set_params(C=0.06).fit(X, y)
    assert model.n_iter_ < cold.n_iter_
    np.testing.assert_array_equal(model.coef_ != 0.0, cold.coef_ != 0.0)


@pytest.mark.parametrize("options", [{"l1_ratio": 1.0}, {"l1_ratio": 0.5, "coef_sign": [1, 0, -1, 0]}], ids=str)
def test_a_path_is_its_fits(options):
    X, y = load("iris")
    Cs = [1.0, 0.02, 0.1, np.inf] if "coef_sign" not in options else [1.0, 0.02, 0.1]
    model = SoftmaxRegression(tol=1e-10, **options)
    X, y = X[50:], y[50:]
    options = {"coef_sign": options.get("coef_sign")}
    path = model.fit_path(X, y, Cs)
    for at, C in enumerate(Cs):
        fit = SoftmaxRegression(**model.get_params()).set_params(C=C).fit(X, y)
        assert path.objectives[at] == pytest.approx(fit.objective_, rel=1e-9)
        np.testing.assert_allclose(path.coefs[at], fit.coef_, rtol=1e-3, atol=1e-5)
    assert path.converged.all()
    assert np.isinf(SoftmaxRegression(C=np.inf, l1_ratio=1.0).fit_path(X, y, [0.01]).coefs).sum() == 0
    assert not SoftmaxRegression(C=np.inf, l1_ratio=1.0).fit_path(X, y, [0.001]).coefs.any()


def test_grid_search_over_l1_ratio():
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), SoftmaxRegression(C=0.1))
    grid = GridSearchCV(pipeline, {"softmaxregression__l1_ratio": [0.0, 0.5, 1.0]}, scoring="neg_log_loss", cv=3)
    assert np.isfinite(grid.fit(X, y).cv_results_["mean_test_score"]).all()


def test_the_same_bits_twice_and_for_any_number_of_threads():
    import sksoft

    X, y = load("digits")
    fits = []
    for n_threads in (1, 2, 1):
        with sksoft.config_context(n_threads=n_threads):
            fits.append(SoftmaxRegression(C=0.1, l1_ratio=0.9).fit(X, y))
    for other in fits[1:]:
        np.testing.assert_array_equal(other.coef_, fits[0].coef_)
        assert other.gap_ == fits[0].gap_


BAD = {
    "l1_ratio": ({"l1_ratio": 1.5}, "'l1_ratio' parameter of SoftmaxRegression must be a float in the range"),
    "negative": ({"l1_ratio": -0.1}, "'l1_ratio' parameter of SoftmaxRegression"),
    "group": ({"l1_group": "features"}, "'l1_group' parameter of SoftmaxRegression"),
    "newton": ({"l1_ratio": 0.5, "solver": "newton-cg"}, "solver='newton-cg' fits smooth penalties.*l1_ratio=0.*0.5"),
    "lbfgs": ({"l1_ratio": 0.5, "solver": "lbfgs"}, "solver='lbfgs'.*l1_ratio"),
    "signs": ({"coef_sign": [1, 0, 0, 0], "solver": "lbfgs"}, "solver='lbfgs'.*coef_sign"),
    "shape": ({"coef_sign": [1, 0]}, "'coef_sign' parameter must hold -1, 0 or 1"),
    "values": ({"coef_sign": [2, 0, 0, 0]}, "'coef_sign' parameter must hold -1, 0 or 1"),
    "classes": ({"l1_ratio": 1.0, "l1_group": "classes", "class_penalty": [1, 2, 3]}, "'class_penalty'.*l1_group"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_parameters_are_named(name):
    options, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        SoftmaxRegression(**options).fit(*load("iris"))


@pytest.mark.parametrize("options", [{"l1_ratio": 0.5}, {"coef_sign": [1, 0, 0, 0]}], ids=str)
def test_partial_fit_says_that_it_cannot(options):
    model = SoftmaxRegression(**options)
    assert not hasattr(model, "partial_fit")
    with pytest.raises(AttributeError, match="partial_fit") as raised:
        model.partial_fit(*load("iris"))
    assert next(iter(options)) in str(raised.value.__cause__)


def test_too_few_steps_warn():
    X, y = load("digits")
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        model = SoftmaxRegression(l1_ratio=1.0, max_iter=2).fit(X, y)
    assert model.n_iter_ == 2
    assert model.gap_ > 1e-6 * model.objective_
