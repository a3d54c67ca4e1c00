"""Inference against statsmodels, formulae by brute force, finite differences and simulation."""

import doctest
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import optimize, sparse, stats
from scipy.special import logsumexp
from sklearn.datasets import load_iris, load_wine
from statsmodels.discrete.discrete_model import MNLogit

import sksoft
from sksoft import SoftmaxRegression
from sksoft.kernels.blocks import row_blocks
from sksoft.linear import inference_columns, inference_likelihood
from sksoft.linear.inference import SoftmaxInference
from sksoft.linear.inference_columns import Columns


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def wine():
    X, y = load_wine(return_X_y=True, as_frame=True)
    return X[["malic_acid", "ash", "magnesium"]], y.map({0: "Barolo", 1: "Grignolino", 2: "Barbera"})


def iris():
    """Versicolor and virginica: setosa is separated from them."""
    X, y = load_iris(return_X_y=True, as_frame=True)
    return X.iloc[50:, :2], y[50:]


def votes(shared_data):
    """British election panel study 1997–2001: 1 525 voters of three parties."""
    data = pd.read_csv(shared_data / "choice" / "BEPS.csv.gz")
    X = data[["age", "economic.cond.national", "Blair", "Hague", "Kennedy", "Europe"]].astype(float)
    return X.assign(female=(data["gender"] == "female").astype(float)), data["vote"]


def fitted(X, y, **options):
    return SoftmaxRegression(C=np.inf, **options).fit(X, y)


def statsmodels(X, y, **options):
    codes = np.unique(y, return_inverse=True)[1]
    model = MNLogit(codes, sm.add_constant(np.asarray(X)))
    return model.fit(method="newton", maxiter=100, tol=1e-13, disp=0, **options)


def by_class(values):
    """statsmodels has classes in columns."""
    return np.asarray(values).T.ravel()


DATA = {"wine": wine, "iris": iris}


@pytest.fixture(params=["wine", "iris", "votes"])
def data(request):
    return votes(request.getfixturevalue("shared_data")) if request.param == "votes" else DATA[request.param]()


def test_everything_is_that_of_statsmodels(data):
    X, y = data
    ours, theirs = fitted(X, y).inference(X, y), statsmodels(X, y)
    table = ours.summary(level=0.9)
    for column, values in {
        "coefficient": theirs.params,
        "standard_error": theirs.bse,
        "z": theirs.tvalues,
        "p": theirs.pvalues,
    }.items():
        np.testing.assert_allclose(table[column], by_class(values), rtol=1e-6, atol=1e-9, err_msg=column)
    np.testing.assert_allclose(
        table[["lower", "upper"]].to_numpy(), np.asarray(theirs.conf_int(0.1)).reshape(-1, 2), rtol=1e-6, atol=1e-8
    )
    np.testing.assert_allclose(table["odds_ratio"], np.exp(by_class(theirs.params)), rtol=1e-6)
    np.testing.assert_allclose(table["odds_ratio_upper"], np.exp(table["upper"]), rtol=1e-12)
    np.testing.assert_allclose(ours.covariance(), theirs.cov_params(), rtol=1e-6, atol=1e-12)
    for name, value in {
        "log_likelihood_": theirs.llf,
        "null_log_likelihood_": theirs.llnull,
        "aic_": theirs.aic,
        "bic_": theirs.bic,
        "n_observations_": theirs.nobs,
    }.items():
        np.testing.assert_allclose(getattr(ours, name), value, rtol=1e-7, err_msg=name)
    np.testing.assert_allclose(ours.pseudo_r2()["mcfadden"], theirs.prsquared, rtol=1e-6)
    test = ours.likelihood_ratio_test()
    np.testing.assert_allclose((test.statistic, test.df), (theirs.llr, theirs.df_model), rtol=1e-6)
    np.testing.assert_allclose(test.p_value, theirs.llr_pvalue, rtol=1e-4)


def test_robust_covariance_is_that_of_statsmodels(data):
    X, y = data
    ours, theirs = fitted(X, y).inference(X, y), statsmodels(X, y, cov_type="HC0")
    np.testing.assert_allclose(ours.covariance("robust"), theirs.cov_params(), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(ours.summary("robust")["p"], by_class(theirs.pvalues), rtol=1e-6, atol=1e-12)
    n, d = len(y), ours.n_parameters_
    ratio = ours.covariance("robust", correction="parameters") / ours.covariance("robust")
    np.testing.assert_allclose(ratio, n / (n - d), rtol=1e-12)
    ratio = ours.covariance("robust", correction="units") / ours.covariance("robust")
    np.testing.assert_allclose(ratio, n / (n - 1), rtol=1e-12)
    theirs = statsmodels(X, y, cov_type="HC1")  # no correction, as docs/inference.md says
    np.testing.assert_allclose(ours.covariance("robust"), theirs.cov_params(), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(("correction", "theirs_corrects"), [(None, False), ("parameters", True)])
def test_cluster_covariance_is_that_of_statsmodels(data, rng, correction, theirs_corrects):
    X, y = data
    groups = rng.integers(25, size=len(y))
    names = np.array([f"village {g}" for g in groups])
    theirs = statsmodels(X, y, cov_type="cluster", cov_kwds={"groups": groups, "use_correction": theirs_corrects})
    ours = fitted(X, y).inference(X, y, groups=names)
    np.testing.assert_allclose(
        ours.covariance("cluster", correction=correction), theirs.cov_params(), rtol=1e-6, atol=1e-12
    )
    ratio = ours.covariance("cluster", correction="units") / ours.covariance("cluster")
    np.testing.assert_allclose(ratio, 25 / 24, rtol=1e-12)


def test_wald_tests_are_those_of_statsmodels(data):
    X, y = data
    ours, theirs = fitted(X, y).inference(X, y), statsmodels(X, y)
    K, d = len(ours.classes_), ours.n_parameters_
    H = np.random.default_rng(1).normal(size=(2, d))
    V, theta = np.asarray(theirs.cov_params()), by_class(theirs.params)
    missed = H @ theta - [0.5, -0.2]
    test = ours.wald_test(H, [0.5, -0.2])
    check = theirs.wald_test((H, np.array([0.5, -0.2])), use_f=False, scalar=True)
    np.testing.assert_allclose((test.statistic, test.p_value), (check.statistic, check.pvalue), rtol=1e-6)
    np.testing.assert_allclose(test.statistic, missed @ np.linalg.inv(H @ V @ H.T) @ missed, rtol=1e-6)
    np.testing.assert_allclose(test.p_value, stats.chi2.sf(test.statistic, 2), rtol=1e-12)
    name = X.columns[1]
    whole = np.zeros((K - 1, d))
    whole[np.arange(K - 1), np.arange(K - 1) * (X.shape[1] + 1) + 2] = 1.0
    by_name, by_matrix = ours.wald_test(name), ours.wald_test(whole)
    assert by_name == by_matrix
    of_name = whole @ theta
    np.testing.assert_allclose(by_name.statistic, of_name @ np.linalg.solve(whole @ V @ whole.T, of_name), rtol=1e-6)
    table = ours.summary()
    np.testing.assert_allclose(ours.wald_test(np.eye(d)[1]).p_value, table["p"].iloc[1], rtol=1e-10)


def test_likelihood_ratio_of_nested_models(data):
    X, y = data
    some = X.iloc[:, 1:]
    ours, nested = fitted(X, y).inference(X, y), fitted(some, y).inference(some, y)
    test = ours.likelihood_ratio_test(nested)
    statistic = 2 * (statsmodels(X, y).llf - statsmodels(some, y).llf)
    df = len(ours.classes_) - 1
    np.testing.assert_allclose(test.statistic, statistic, rtol=1e-6, atol=1e-8)
    assert test.df == df
    np.testing.assert_allclose(test.p_value, stats.chi2.sf(statistic, df), rtol=1e-6)


def test_what_is_not_nested_is_refused(rng):
    X, y = wine()
    ours = fitted(X, y).inference(X, y)
    other = X[["ash"]].assign(noise=rng.normal(size=len(X)))
    with pytest.raises(ValueError, match="columns that are combinations of those of the larger"):
        ours.likelihood_ratio_test(fitted(other, y).inference(other, y))
    with pytest.raises(ValueError, match="fewer than 8 parameters"):
        ours.likelihood_ratio_test(ours)
    some = X[["ash"]][::-1]
    with pytest.raises(ValueError, match="same labels, weights and offsets"):
        ours.likelihood_ratio_test(fitted(some, y[::-1]).inference(some, y[::-1]))
    combined = pd.DataFrame({"sum": X["ash"] + 2 * X["magnesium"] - 3})
    assert ours.likelihood_ratio_test(fitted(combined, y).inference(combined, y)).df == 4
    with pytest.raises(TypeError, match="must be a SoftmaxInference"):
        ours.likelihood_ratio_test(fitted(X, y))


def test_null_likelihood_and_pseudo_r2_by_hand(rng):
    X, y = wine()
    ours = fitted(X, y).inference(X, y)
    counts, n = y.value_counts().to_numpy(), len(y)
    null = float(counts @ np.log(counts / n))
    np.testing.assert_allclose(ours.null_log_likelihood_, null, rtol=1e-12)
    ratio = np.exp(null - ours.log_likelihood_) ** (2 / n)
    np.testing.assert_allclose(ours.pseudo_r2()["cox_snell"], 1 - ratio, rtol=1e-10)
    np.testing.assert_allclose(ours.pseudo_r2()["nagelkerke"], (1 - ratio) / (1 - np.exp(null) ** (2 / n)), rtol=1e-10)


def test_weights_are_repetition():
    X, y = wine()
    weights = np.random.default_rng(2).integers(0, 4, size=len(y))
    groups = np.arange(len(y)) % 20
    again = np.repeat(np.arange(len(y)), weights)
    ours = SoftmaxRegression(C=np.inf).fit(X, y, sample_weight=weights).inference(X, y, weights, groups=groups)
    rows = X.iloc[again], y.iloc[again]
    repeated = fitted(*rows).inference(*rows, groups=groups[again])
    for kind in ("classical", "robust", "cluster"):
        correction = None if kind == "classical" else "parameters"
        np.testing.assert_allclose(
            ours.covariance(kind, correction=correction), repeated.covariance(kind, correction=correction), rtol=1e-9
        )
    np.testing.assert_allclose(ours.covariance("robust"), statsmodels(*rows, cov_type="HC0").cov_params(), rtol=1e-6)
    for name in ("log_likelihood_", "null_log_likelihood_", "aic_", "bic_", "n_observations_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(repeated, name), rtol=1e-12)


def brute_force(X, y, ours, offset=None, weights=None):
    """Information and scores of single rows, (n, K − 1, c), by their definition."""
    Z = np.column_stack([np.ones(len(X)), X])
    theta = ours.params_.to_numpy().reshape(-1, Z.shape[1])
    z = np.column_stack([np.zeros(len(Z)), Z @ theta.T]) + (0.0 if offset is None else offset)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    t = np.asarray(y)[:, None] == ours.classes_
    w = np.ones(len(Z)) if weights is None else weights
    information = sum(a * np.kron(np.diag(q[1:]) - np.outer(q[1:], q[1:]), np.outer(x, x)) for a, q, x in zip(w, p, Z))
    return information, ((t - p)[:, 1:, None] * Z[:, None, :]).reshape(len(Z), -1)


def test_matrices_by_their_definition_with_offsets_and_weights(rng):
    X, y = wine()
    offset, weights = rng.normal(size=(len(y), 3)), rng.uniform(0.5, 2.0, size=len(y))
    groups = rng.integers(12, size=len(y))
    model = SoftmaxRegression(C=np.inf).fit(X, y, sample_weight=weights, offset=offset)
    ours = model.inference(X, y, weights, offset, groups=groups)
    information, scores = brute_force(X, y, ours, offset, weights)
    inverse = np.linalg.inv(information)
    np.testing.assert_allclose(ours.covariance(), inverse, rtol=1e-7)
    meat = scores.T @ (weights[:, None] * scores)
    np.testing.assert_allclose(ours.covariance("robust"), inverse @ meat @ inverse, rtol=1e-6)
    sums = np.array([(weights[:, None] * scores)[groups == g].sum(axis=0) for g in range(12)])
    np.testing.assert_allclose(ours.covariance("cluster"), inverse @ sums.T @ sums @ inverse, rtol=1e-6)
    np.testing.assert_allclose((weights[:, None] * scores).sum(axis=0), 0.0, atol=1e-6)  # it is the maximum
    own = np.unique(y, return_inverse=True)[1]

    def null(b):
        z = offset + [0.0, *b]
        return -weights @ (z[np.arange(len(z)), own] - logsumexp(z, axis=1))

    np.testing.assert_allclose(ours.null_log_likelihood_, -optimize.minimize(null, [0.0, 0.0]).fun, rtol=1e-8)
    single = model.inference(X, y, weights, offset, groups=np.arange(len(y)))
    squared = scores.T @ (weights[:, None] ** 2 * scores)
    np.testing.assert_allclose(single.covariance("cluster"), inverse @ squared @ inverse, rtol=1e-6)


def test_blocks_of_clusters_and_rows_change_nothing(monkeypatch, rng):
    X, y = wine()
    groups = rng.integers(30, size=len(y))
    ours = fitted(X, y).inference(X, y, groups=groups)
    whole = {kind: ours.covariance(kind) for kind in ("robust", "cluster")}
    monkeypatch.setattr(inference_likelihood, "ROWS_BYTES", 8 * 8 * 7)
    for kind, covariance in whole.items():
        np.testing.assert_allclose(ours.covariance(kind), covariance, rtol=1e-10)


def test_references_and_the_mean_are_contrasts_of_one_another():
    X, y = wine()
    model = fitted(X, y)
    first = model.inference(X, y)
    K, c = 3, 4
    assert first.classes_.tolist() == ["Barbera", "Barolo", "Grignolino"]
    assert first.reference_ == "Barbera"
    assert first.params_.index.tolist()[0] == ("Barolo", "(intercept)")
    other = model.inference(X, y, reference="Barolo")
    swap = np.kron(np.array([[-1.0, 0.0], [-1.0, 1.0]]), np.eye(c))
    np.testing.assert_allclose(other.params_, swap @ first.params_, rtol=1e-9)
    np.testing.assert_allclose(other.covariance("robust"), swap @ first.covariance("robust") @ swap.T, rtol=1e-8)
    assert other.params_.index.get_level_values("class").unique().tolist() == ["Barbera", "Grignolino"]
    recoded = y.where(y != "Barolo", "A Barolo")
    theirs = statsmodels(X, recoded)
    np.testing.assert_allclose(other.summary()["standard_error"], by_class(theirs.bse), rtol=1e-6)
    mean = model.inference(X, y, contrast="mean")
    np.testing.assert_allclose(
        mean.params_, np.column_stack([model.intercept_, model.coef_]).ravel(), rtol=1e-5, atol=1e-6
    )
    to_mean = np.kron(np.vstack([np.zeros(2), np.eye(2)]) - 1 / 3 * np.ones((3, 2)), np.eye(c))
    np.testing.assert_allclose(mean.covariance(), to_mean @ first.covariance() @ to_mean.T, atol=1e-10)
    for one in (other, mean):
        np.testing.assert_allclose(one.wald_test("ash").statistic, first.wald_test("ash").statistic, rtol=1e-8)
        assert one.wald_test(["ash", "magnesium"]).df == (K - 1) * 2
    with pytest.raises(ValueError, match="not independent"):
        mean.wald_test(np.eye(K * c)[1::c])


def test_the_page_on_inference_shows_what_comes_out():
    page = Path(__file__).resolve().parents[2] / "docs" / "inference.md"
    failed, attempted = doctest.testfile(str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert (failed, attempted > 20) == (0, True)


def test_any_number_of_threads_gives_the_same_bits(rng, monkeypatch):
    monkeypatch.setattr(inference_columns, "row_blocks", lambda n, size, most=1 << 14: row_blocks(n, size, most))
    monkeypatch.setattr(inference_likelihood, "ROWS_BYTES", 1 << 13)
    X = rng.normal(size=(2000, 4))
    y = (X @ rng.normal(size=(4, 3)) + rng.gumbel(size=(2000, 3))).argmax(axis=1)
    assert len(Columns.centred(X, np.ones(2000), True).blocks(8)) > 10
    model, groups, found = fitted(X, y), rng.integers(99, size=2000), []
    for n_threads in (1, 3):
        with sksoft.config_context(n_threads=n_threads):
            ours = model.inference(X, y, groups=groups)
            found.append([ours.covariance(kind).to_numpy() for kind in ("classical", "robust", "cluster")])
    np.testing.assert_array_equal(*found)


def test_the_model_delegates():
    X, y = wine()
    model, groups = fitted(X, y), np.arange(len(y)) % 9
    ours = SoftmaxInference(model, X, y, groups=groups, reference="Barolo")
    pd.testing.assert_frame_equal(
        model.summary(X, y, kind="cluster", level=0.8, correction="units", groups=groups, reference="Barolo"),
        ours.summary("cluster", level=0.8, correction="units"),
    )
    pd.testing.assert_frame_equal(
        model.covariance(X, y, kind="robust", correction="units", reference="Barolo"),
        ours.covariance("robust", correction="units"),
    )


@pytest.mark.parametrize("labels", [["a", "b", "c"], [7, 3, -2], [True, False], [1.0, 2.0, 4.0]])
@pytest.mark.parametrize("container", [pd.DataFrame, np.asarray, sparse.csr_array, np.float32])
def test_labels_and_containers_of_any_type(labels, container):
    X, y = wine()
    X = np.round(X.to_numpy() * 16) / 16  # the same numbers in float32
    codes = np.unique(y, return_inverse=True)[1] % len(labels)
    y = np.array(labels)[codes]
    given = container(X)
    ours = fitted(given, y).inference(given, y)
    np.testing.assert_allclose(ours.summary()["standard_error"], by_class(statsmodels(X, y).bse), rtol=1e-6)
    assert ours.params_.index.get_level_values("class").unique().tolist() == sorted(labels)[1:]
    assert ours.terms_ == ["(intercept)", "x0", "x1", "x2"]


def test_columns_of_any_scale_and_no_intercept(rng):
    X, y = wine()
    plain, scale = fitted(X, y).inference(X, y), np.array([1e-6, 1e6, 1.0])
    scaled = fitted(X * scale, y).inference(X * scale, y)
    factors = np.tile([1.0, *scale], 2)
    np.testing.assert_allclose(
        scaled.summary()["standard_error"] * factors, plain.summary()["standard_error"], rtol=1e-7
    )
    without = fitted(X, y, fit_intercept=False).inference(X, y)
    theirs = MNLogit(np.unique(y, return_inverse=True)[1], X.to_numpy()).fit(
        method="newton", maxiter=100, tol=1e-13, disp=0
    )
    np.testing.assert_allclose(without.covariance(), theirs.cov_params(), rtol=1e-6)
    with pytest.raises(ValueError, match="does not have the intercepts alone nested"):
        without.likelihood_ratio_test()


def test_prior_logits_are_known_scores():
    X, y = wine()
    prior = np.log([0.2, 0.3, 0.5])
    model = fitted(X, y, prior_logits=prior)
    ours, plain = model.inference(X, y), fitted(X, y).inference(X, y)
    np.testing.assert_allclose(ours.covariance(), plain.covariance(), rtol=1e-7)
    shift = (ours.params_ - plain.params_).xs("(intercept)", level="feature")
    np.testing.assert_allclose(shift, prior[0] - prior[1:], rtol=1e-6)
    np.testing.assert_allclose(ours.log_likelihood_, plain.log_likelihood_, rtol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_laplace_is_the_posterior_of_the_ridge(rng, n_classes):
    """All coefficients of all classes a posteriori, with all but no prior on the intercepts, then their contrasts."""
    X = rng.normal(size=(80, 2))
    y = (X @ rng.normal(size=(2, n_classes)) + rng.gumbel(size=(80, n_classes))).argmax(axis=1)
    of_features, of_classes = np.array([1.0, 3.0]), np.array([2.0, 1.0, 0.5])[-n_classes:]
    model = SoftmaxRegression(C=0.5, tol=1e-12, feature_penalty=of_features, class_penalty=of_classes).fit(X, y)
    ours = model.inference(X, y, penalised="laplace")
    Z = np.column_stack([np.ones(80), X])
    p = model.predict_proba(X)
    H = sum(np.kron(np.diag(q) - np.outer(q, q), np.outer(x, x)) for q, x in zip(p, Z))
    prior = np.column_stack([np.full(n_classes, 1e-7), np.outer(of_classes, of_features)]) / 0.5
    if n_classes == 2:
        expected = np.linalg.inv(H[3:, 3:] + np.diag(prior[1]))
    else:
        A = np.kron(np.column_stack([-np.ones(2), np.eye(2)]), np.eye(3))
        expected = A @ np.linalg.inv(H + np.diag(prior.ravel())) @ A.T
    np.testing.assert_allclose(ours.covariance(), expected, rtol=1e-5)
    assert "p" not in ours.summary()
    assert "lower" in ours.summary()
    for refused in (lambda: ours.aic_, lambda: ours.likelihood_ratio_test(), lambda: ours.wald_test("x0")):
        with pytest.raises(ValueError, match=r"A penalised model has no .*: fit it with C=np.inf"):
            refused()


def test_what_has_no_inference_says_why():
    X, y = wine()
    for option, match in [
        ({"C": 1.0}, r"without a penalty, C=np.inf. Got C=1 instead"),
        ({"link": "sparsemax"}, "with link='softmax'. Got 'sparsemax'"),
        ({"temperature": 2.0}, "with temperature=1.0. Got 2.0"),
        ({"label_smoothing": 0.1}, "with label_smoothing=0.0. Got 0.1"),
        ({"class_weight": "balanced"}, "with class_weight=None. Got 'balanced'"),
    ]:
        with pytest.raises(ValueError, match=match):
            SoftmaxRegression(**{"C": np.inf, **option}).fit(X, y).inference(X, y)
    bounded, kinked = fitted(X, y), SoftmaxRegression().fit(X, y)
    bounded.coef_sign, kinked.l1_ratio = [1, 0, 0], 0.5
    with pytest.raises(ValueError, match="with coef_sign=None"):
        bounded.inference(X, y)
    with pytest.raises(ValueError, match="with l1_ratio > 0 the posterior"):
        kinked.inference(X, y, penalised="laplace")
    model = fitted(X, y)
    with pytest.raises(ValueError, match=r"needs labels, one an observation. Got y of shape \(178, 3\)"):
        model.inference(X, np.eye(3)[np.unique(y, return_inverse=True)[1]])
    for arguments, match in [
        ((X[::-1], y), "must be those the model was fitted to: its coefficients are .* standard errors from"),
        ((X, y, np.where(y == "Barolo", 3, 1)), "must be those the model was fitted to"),
        ((X[y != "Barolo"], y[y != "Barolo"]), "y must hold the labels that the model was fitted to"),
    ]:
        with pytest.raises(ValueError, match=match):
            model.inference(*arguments)
    with pytest.raises(ValueError, match="feature names"):
        model.inference(X.rename(columns={"ash": "cinders"}), y)
    for options, match in [
        ({"reference": "Chianti"}, r"'reference' parameter must be one of \['Barbera', 'Barolo', 'Grignolino'\]"),
        ({"contrast": "pairs"}, "'contrast' parameter must be one of"),
        ({"contrast": "mean", "reference": "Barolo"}, "'reference' parameter is for contrast='reference'"),
        ({"penalised": True}, "'penalised' parameter must be one of"),
        ({"groups": np.zeros(len(y))}, "at least 2 different groups"),
        ({"groups": np.zeros(3)}, "inconsistent numbers of samples"),
        ({"groups": [None, *range(len(y) - 1)]}, "must not contain missing"),
    ]:
        with pytest.raises(ValueError, match=match):
            model.inference(X, y, **options)


def test_bad_requests():
    X, y = wine()
    ours = fitted(X, y).inference(X, y)
    for call, match in [
        (lambda: ours.covariance("hc3"), "'kind' parameter must be one of"),
        (lambda: ours.covariance("cluster"), "kind='cluster' needs the 'groups' parameter"),
        (lambda: ours.covariance("robust", correction="hc1"), "'correction' parameter must be one of"),
        (lambda: ours.covariance(correction="units"), "is for kind='robust' or 'cluster'"),
        (lambda: ours.summary(level=95), "'level' parameter must be a float in the range"),
        (lambda: ours.wald_test("cinders"), "must name terms among"),
        (lambda: ours.wald_test([]), "must name terms among"),
        (lambda: ours.wald_test([1.0, 2.0]), "must have 8 columns"),
        (lambda: ours.wald_test(np.eye(8)[:2], [1.0, 2.0, 3.0]), r"must be a number or have shape \(2,\)"),
        (lambda: ours.wald_test(np.eye(8)[[0, 0]]), "not independent of each other"),
    ]:
        with pytest.raises(ValueError, match=match):
            call()


def test_collinear_columns_are_named():
    X, y = wine()
    X = X.assign(doubled=2 * X["ash"] + 1, nothing=3.0)
    model = fitted(X, y)
    with pytest.raises(ValueError, match=r"not unique.*: 'doubled' is 2·'ash' \+ 1; 'nothing' is constant, 3 beside"):
        model.inference(X, y)


def test_separated_classes_are_named():
    X, y = wine()
    X = X.assign(rare=0.0)
    X.loc[np.flatnonzero(y == "Barolo")[:4], "rare"] = 1.0
    with pytest.warns(match="quasi-complete separation"):
        model = fitted(X, y)
    with pytest.raises(
        ValueError, match="quasi-complete separation: 'rare' separates 'Barolo' from 'Barbera' and 'Grignolino'"
    ):
        model.inference(X, y)


def test_intervals_cover_the_truth_as_often_as_they_say():
    """200 samples of clusters of 4 alike rows; each interval of level 0.9 covers binomially often.

    Alike rows are what the classical and robust intervals do not expect: with 4 of them the true variance is 4 times
    what they state, so they cover with 2 Φ(z / 2) − 1, which is 0.59. Bounds are the binomial's 1e-5 quantiles, with
    0.02 of level for what 150 clusters leave to be normal.
    """
    rng, samples, truth = np.random.default_rng(3), 200, np.array([0.3, -0.8, -0.2, 0.6])
    model, covered = SoftmaxRegression(C=np.inf), {"classical": 0, "robust": 0, "cluster": 0}
    for _ in range(samples):
        x = rng.normal(size=150)
        scores = np.column_stack([np.zeros(150), truth[0] + truth[1] * x, truth[2] + truth[3] * x])
        y = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
        X, y, groups = np.repeat(x, 4)[:, None], np.repeat(y, 4), np.repeat(np.arange(150), 4)
        ours = model.fit(X, y).inference(X, y, groups=groups)
        for kind in covered:
            table = ours.summary(kind, level=0.9)
            covered[kind] += (table["lower"] <= truth) & (truth <= table["upper"])
    too_short = 2 * stats.norm.cdf(stats.norm.ppf(0.95) / 2) - 1
    for kind, level in [("classical", too_short), ("robust", too_short), ("cluster", 0.9)]:
        low, high = stats.binom.ppf(1e-5, samples, level - 0.02), stats.binom.ppf(1 - 1e-5, samples, level + 0.02)
        assert (low <= covered[kind]).all(), (kind, covered)
        assert (covered[kind] <= high).all(), (kind, covered)
