"""Data that fits break on, each beside an answer that none of our code gave; and input that must be refused by name."""

import subprocess
import sys
import warnings

import mpmath
import numpy as np
import pytest
from scipy import sparse, special
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.linear_model import LogisticRegression

from sksoft import SigmoidClassifier, SoftmaxRegression


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def drawn(rng, X, n_classes, scale=1.0):
    """Labels of a softmax of the columns, each brought to a standard deviation of `scale`; every class occurs."""
    X = X / np.maximum(X.std(axis=0), 1e-300)
    scores = scale * X @ rng.normal(size=(X.shape[1], n_classes)) + rng.gumbel(size=(len(X), n_classes))
    y = scores.argmax(axis=1)
    y[:n_classes] = np.arange(n_classes)
    return y


def objective(W, b, X, y, C, weights=None):
    """F as the documentation has it, written down with SciPy."""
    weights = np.ones(X.shape[0]) if weights is None else weights
    z = X @ W.T + b
    z = np.column_stack([np.zeros(len(z)), z]) if z.shape[1] == 1 else z
    losses = special.logsumexp(z, axis=1) - z[np.arange(len(z)), y]
    return (weights @ losses + (W**2).sum() / (2 * C)) / weights.sum()


def reference(X, y, C):
    """The optimal F: full Newton steps in standardised columns with a penalty for each, until F falls no more."""
    centre, scale = X.mean(axis=0), np.maximum(X.std(axis=0), 1e-300)
    Z = np.column_stack([(X - centre) / scale, np.ones(len(X))])
    K, T = y.max() + 1, np.eye(y.max() + 1)[y]
    rows = K if K > 2 else 1
    penalty = np.tile(np.append(1 / (C * scale**2), 0.0), rows)
    w = np.zeros(rows * Z.shape[1])

    def at(w):
        z = Z @ w.reshape(rows, -1).T
        z = np.column_stack([np.zeros(len(z)), z]) if rows == 1 else z
        return (special.logsumexp(z, axis=1) - z[T > 0]).sum() + 0.5 * w @ (penalty * w), special.softmax(z, axis=1)

    value, P = at(w)
    for _ in range(200):
        own = slice(K - rows, None)
        gradient = ((P - T)[:, own].T @ Z).ravel() + penalty * w
        blocks = np.einsum("nk,kl->nkl", P, np.eye(K)) - P[:, :, None] * P[:, None, :]
        H = np.einsum("nkl,ni,nj->kilj", blocks[:, own, own], Z, Z).reshape(len(w), len(w))
        H = H + np.diag(penalty)
        if rows > 1:  # nothing decides a common shift of the intercepts: give it a curvature, it has no gradient
            flat = np.arange(len(w))[Z.shape[1] - 1 :: Z.shape[1]]
            H[np.ix_(flat, flat)] += 1.0
        unit = 1 / np.sqrt(np.diag(H))
        step = unit * np.linalg.solve(H * np.outer(unit, unit), unit * gradient)
        t = 1.0
        while t > 1e-9 and not at(w - t * step)[0] < value:
            t /= 2
        if t <= 1e-9:
            break
        w = w - t * step
        value, P = at(w)
    return value / len(X)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("C", [1e-3, 1.0, 1e3])
def test_unscaled_columns(C, n_classes, container, rng):
    X = rng.normal(size=(400, 7)) * np.logspace(-6, 6, 7)
    y = drawn(rng, X, n_classes)
    model = SoftmaxRegression(C=C).fit(container(X), y)
    assert model.converged_
    assert model.gap_ <= 1e-6 * model.objective_
    assert model.objective_ == pytest.approx(objective(model.coef_, model.intercept_, X, y, C), rel=1e-11)
    best = reference(X, y, C)
    assert -1e-11 * best <= model.objective_ - best <= model.gap_ + 1e-11 * best


@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
def test_sigmoids_of_unscaled_columns(C, rng):
    X = rng.normal(size=(300, 5)) * np.logspace(-6, 6, 5)
    Y = np.column_stack([drawn(rng, X, 2) for _ in range(3)])
    model = SigmoidClassifier(C=C).fit(X, Y)
    for k in range(3):
        found = objective(model.coef_[k : k + 1], model.intercept_[k], X, Y[:, k], C)
        assert 0.0 <= found - reference(X, Y[:, k], C) + 1e-11 <= 1e-6 * found + 2e-11


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_repeated_columns_share_and_constant_ones_get_nothing(container, rng):
    X = rng.normal(size=(300, 4))
    y = drawn(rng, X, 3)
    # three copies of a column with an equal ridge are one column times √3
    wide = np.column_stack([X, X[:, 0], X[:, 0], np.full(300, -4.0), np.zeros(300)])
    model = SoftmaxRegression(tol=1e-12).fit(container(wide), y)
    once = X * np.array([np.sqrt(3.0), 1, 1, 1])
    same = LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(once, y)
    for copy in (0, 4, 5):
        np.testing.assert_allclose(model.coef_[:, copy], same.coef_[:, 0] / np.sqrt(3.0), atol=1e-7)
    np.testing.assert_allclose(model.coef_[:, 1:4], same.coef_[:, 1:], atol=1e-7)
    np.testing.assert_allclose(model.coef_[:, 6:], 0.0, atol=1e-8)


@pytest.mark.parametrize("C", [1e-2, 1.0, 1e4])
def test_one_row_for_each_class(C):
    """Closed up to one number: for the unit vectors W = w (I − 11ᵀ/K), by symmetry, and b = 0."""
    K = 9
    model = SoftmaxRegression(C=C, tol=1e-13).fit(np.eye(K), np.arange(K))
    # Kℓ(w) + C⁻¹ w² (K − 1) / 2 with ℓ = log(1 + (K − 1) exp(−w))
    w = mpmath.findroot(lambda w: w / C - K / (K - 1 + mpmath.e**w), mpmath.log(1 + C))
    np.testing.assert_allclose(model.coef_, float(w) * (np.eye(K) - 1 / K), atol=1e-7 * float(w))
    np.testing.assert_allclose(model.intercept_, 0.0, atol=1e-7 * float(w))


def test_a_thousand_classes(rng):
    K = 1000
    y = np.arange(3 * K) % K
    X = rng.normal(size=(K, 6))[y] + 0.5 * rng.normal(size=(3 * K, 6))
    model = SoftmaxRegression(C=0.1).fit(X, y)
    assert model.gap_ <= 1e-6 * model.objective_
    assert model.objective_ == pytest.approx(objective(model.coef_, model.intercept_, X, y, 0.1), rel=1e-11)
    peer = LogisticRegression(C=0.1, solver="lbfgs", tol=1e-6, max_iter=300).fit(X, y)
    theirs = objective(peer.coef_, peer.intercept_, X, y, 0.1)
    assert abs(model.objective_ - theirs) <= 1e-6 * theirs


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("C", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_fewer_rows_than_columns(C, n_classes, fit_intercept, rng):
    X = rng.normal(size=(60, 5000)) + rng.normal(size=5000)
    y = drawn(rng, X[:, :4], n_classes)
    model = SoftmaxRegression(C=C, fit_intercept=fit_intercept, tol=1e-10).fit(X, y)
    assert model.gap_ <= 1e-10 * model.objective_
    assert model.objective_ == pytest.approx(objective(model.coef_, model.intercept_, X, y, C), rel=1e-11)
    peer = LogisticRegression(C=C, solver="newton-cg", tol=1e-10, max_iter=1000, fit_intercept=fit_intercept)
    peer.fit(X, y)
    np.testing.assert_allclose(model.coef_, peer.coef_, atol=2e-7)


def test_fewer_rows_than_unscaled_columns(rng):
    X = rng.normal(size=(40, 90)) * np.logspace(-6, 3, 90)
    y = drawn(rng, X[:, 40:60], 3)
    model = SoftmaxRegression(C=1e-2).fit(X, y)
    assert model.gap_ <= 1e-6 * model.objective_
    best = reference(X, y, 1e-2)
    assert -1e-10 * best <= model.objective_ - best <= model.gap_ + 1e-10 * best


def test_a_hundred_thousand_sparse_columns(rng):
    X = sparse.random_array((300, 100_000), density=3e-4, format="csr", rng=rng)
    y = (np.asarray(X[:, :50_000].sum(axis=1)) > np.asarray(X[:, 50_000:].sum(axis=1))).astype(int)
    y[rng.random(300) < 0.1] = 2
    model = SoftmaxRegression(C=10.0).fit(X, y)
    assert model.gap_ <= 1e-6 * model.objective_
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # its line search ends at the rounding of F
        peer = LogisticRegression(C=10.0, solver="newton-cg", tol=1e-10, max_iter=500).fit(X, y)
    theirs = objective(peer.coef_, peer.intercept_, X, y, 10.0)
    assert abs(model.objective_ - theirs) <= model.gap_ + 1e-9 * theirs
    empty = np.diff(X.tocsc().indptr) == 0
    assert empty.sum() > 50_000
    np.testing.assert_array_equal(model.coef_[:, empty], 0.0)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("shape", [(300, 5), (5000, 30), (30, 200)])
def test_float32_has_the_optimum_of_the_same_numbers(shape, container, rng):
    X = (rng.normal(size=shape) * (rng.random(shape) < 0.4)).astype(np.float32)
    y = drawn(rng, X[:, :5], 3)
    single = SoftmaxRegression(tol=1e-12).fit(container(X), y)
    double = SoftmaxRegression(tol=1e-12).fit(container(X.astype(np.float64)), y)
    assert single.coef_.dtype == np.float64
    np.testing.assert_allclose(single.coef_, double.coef_, atol=2e-7)
    assert single.objective_ == pytest.approx(double.objective_, rel=1e-11)


def test_one_column(rng):
    x = rng.normal(size=200)
    y = drawn(rng, x[:, None], 3)
    model = SoftmaxRegression(tol=1e-12).fit(x[:, None], y)
    peer = LogisticRegression(solver="newton-cholesky", tol=1e-12).fit(x[:, None], y)
    np.testing.assert_allclose(model.coef_, peer.coef_, atol=1e-7)
    np.testing.assert_allclose(model.predict_proba(x[:, None]), peer.predict_proba(x[:, None]), atol=1e-7)


@pytest.mark.parametrize("value", [1e-300, 1e10])
def test_very_small_and_very_large_values(value):
    X = np.array([[0.0], [1.0], [2.0], [3.0]] * 5) * value
    y = np.array([0, 0, 1, 1, 0, 1, 0, 1] * 2 + [0, 1, 0, 1])
    model = SoftmaxRegression(C=1.0).fit(X, y)
    assert model.converged_
    if value < 1:  # the ridge leaves nothing of it
        np.testing.assert_allclose(model.coef_, 0.0, atol=1e-290)
        assert model.objective_ == pytest.approx(np.log(2.0))
    else:  # and here there is no ridge: the same as the maximum of likelihood of the column in its own units
        free = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12).fit(X / value, y)
        assert model.coef_[0, 0] * value == pytest.approx(free.coef_[0, 0], rel=1e-3)


def test_values_too_large_for_a_proof_are_named():
    X = np.array([[0.0], [1.0], [2.0], [3.0]] * 5) * 1e99
    with pytest.warns(ConvergenceWarning, match="stopped by precision .* scale the features"):
        model = SoftmaxRegression().fit(X, [0, 1, 0, 1] * 5)
    assert not model.converged_


def test_weights_that_are_almost_all_zero(rng):
    X = rng.normal(size=(50, 3))
    y = np.arange(50) % 3
    weights = np.zeros(50)
    weights[[0, 1, 5]] = 1e-200, 2e-200, 1e-200  # two classes are left
    model = SoftmaxRegression(C=1e200, tol=1e-12).fit(X, y, sample_weight=weights)
    few = SoftmaxRegression(C=1.0, tol=1e-12).fit(X[[0, 1, 1, 5]], np.array([0, 1, 1, 2]))
    np.testing.assert_array_equal(model.classes_, few.classes_)
    np.testing.assert_allclose(model.coef_, few.coef_, atol=1e-8)


X3, Y3 = np.arange(24.0).reshape(12, 2) % 7, np.arange(12) % 3
NAN, INF = X3.copy(), X3.copy()
NAN[4, 1], INF[3, 0] = np.nan, -np.inf
SOFT = np.full((12, 3), 1 / 3)
BAD = {
    "nan in X": ({}, {"X": NAN}, "Input X contains NaN"),
    "inf in X": ({}, {"X": INF}, "Input X contains infinity"),
    "inf in sparse X": ({}, {"X": sparse.csr_array(INF)}, "Input X contains infinity"),
    "no rows": ({}, {"X": X3[:0], "y": Y3[:0]}, r"Found array with 0 sample"),
    "no columns": ({}, {"X": X3[:, :0]}, r"Found array with 0 feature"),
    "one dimension": ({}, {"X": X3[:, 0]}, "Expected 2D array, got 1D array instead"),
    "text": ({}, {"X": np.full((12, 2), "a")}, "could not convert string to float: .*'a'"),
    "huge": ({}, {"X": X3 * 1e120}, r"X must hold values up to 1e\+100, whose squares are finite. Got 6e\+120"),
    "nan weight": ({}, {"sample_weight": np.where(Y3, 1.0, np.nan)}, "Input sample_weight contains NaN"),
    "inf weight": ({}, {"sample_weight": np.where(Y3, 1.0, np.inf)}, "Input sample_weight contains infinity"),
    "no weight": ({}, {"sample_weight": np.zeros(12)}, "must contain at least one non-zero number"),
    "negative weight": (
        {},
        {"sample_weight": np.where(Y3, 1.0, -1.0)},
        "Negative values in data passed to `sample_weight`",
    ),
    "short weight": ({}, {"sample_weight": np.ones(5)}, r"sample_weight.shape == \(5,\), expected \(12,\)"),
    "one class": ({}, {"y": np.full(12, "only")}, "at least 2 classes in the data, but .* only one class.*only"),
    "one class with weight": ({}, {"sample_weight": (Y3 == 1) * 1.0}, "only one class with positive weight: 1"),
    "one soft class": ({}, {"y": np.eye(3)[np.zeros(12, int)]}, "at least 2 classes in the data"),
    "soft sum": ({}, {"y": SOFT * 1.5}, "y must sum to one within 0.001. Got 1.5 in row 0 instead.*SigmoidClassifier"),
    "sparse soft sum": (
        {},
        {"y": sparse.csr_array(SOFT * 1.5)},
        "y must sum to one within 0.001. Got 1.5 in row 0 .*SigmoidClassifier",
    ),
    "negative soft": ({}, {"y": SOFT * [3, 3, -3]}, "y must not be negative. Got -1 in row 0"),
    "smoothing": ({"label_smoothing": -0.1}, {}, r"'label_smoothing' parameter .* must be .* \[0.0, 1.0\). Got -0.1"),
    "all smooth": ({"label_smoothing": 1.0}, {}, r"'label_smoothing' parameter .* \[0.0, 1.0\). Got 1.0"),
    "l1 newton": ({"l1_ratio": 0.5, "solver": "newton-cg"}, {}, "solver='newton-cg'.* l1_ratio=0. Got 0.5"),
    "l1 lbfgs": ({"l1_ratio": 1.0, "solver": "lbfgs"}, {}, "solver='lbfgs'.* l1_ratio=0. Got 1.0"),
    "l1 above": ({"l1_ratio": 1.5}, {}, r"'l1_ratio' parameter .* \[0.0, 1.0\]. Got 1.5"),
    "temperature": ({"temperature": 0.0}, {}, "'temperature' parameter.*Got 0.0"),
    "cold": ({"temperature": -2.0}, {}, "'temperature' parameter.*Got -2.0"),
    "nan temperature": ({"temperature": np.nan}, {}, "'temperature' parameter.*Got nan"),
    "C": ({"C": 0.0}, {}, r"'C' parameter .* \(0.0, inf\]. Got 0.0"),
    "solver": ({"solver": "saga"}, {}, "'solver' parameter .* Got 'saga'"),
    "link": ({"link": 2.5}, {}, r"'link' parameter .* Got 2.5"),
    "offset shape": ({}, {"offset": np.zeros((12, 2))}, r"offset must have shape .* = \(12, 3\). Got \(12, 2\)"),
    "offset rows": ({}, {"offset": np.zeros((5, 3))}, r"offset must have shape .* = \(12, 3\). Got \(5, 3\)"),
    "offset dimension": ({}, {"offset": np.zeros(12)}, "Expected 2D array, got 1D array instead"),
    "offset nan": ({}, {"offset": np.full((12, 3), np.nan)}, "Input offset contains NaN"),
    "prior shape": (
        {"prior_logits": [0.0, 1.0]},
        {},
        r"'prior_logits' parameter must hold 3 finite.*Got \[0.0, 1.0\]",
    ),
    "prior value": ({"prior_logits": [0.0, 1.0, -np.inf]}, {}, "'prior_logits' parameter must hold 3 finite.*-inf"),
    "penalty shape": (
        {"feature_penalty": np.ones(3)},
        {},
        "'feature_penalty' parameter must hold 2 finite numbers >= 0",
    ),
    "penalty value": (
        {"feature_penalty": [1, -2]},
        {},
        r"'feature_penalty' parameter .* >= 0. Got \[1, -2\]",
    ),
    "penalty nan": ({"feature_penalty": [1, np.nan]}, {}, "'feature_penalty' parameter .*nan"),
    "penalty text": ({"feature_penalty": ["a", "b"]}, {}, "'feature_penalty' parameter .*'a'"),
    "class penalty": ({"class_penalty": [1.0, 2.0]}, {}, "'class_penalty' parameter must hold 3 finite numbers"),
    "signs": ({"coef_sign": [1, 0, 1]}, {}, r"'coef_sign' parameter must hold -1, 0 or 1 in shape \(2,\) or \(3, 2\)"),
    "sign value": ({"coef_sign": [2, 0]}, {}, r"'coef_sign' parameter .* Got \[2, 0\]"),
    "memory": ({"working_memory": 0.0}, {}, "'working_memory' parameter .* Got 0.0"),
    "y is None": ({}, {"y": None}, "requires y to be passed, but the target y is None"),
    "nan in y": ({}, {"y": np.where(Y3, Y3, np.nan)}, "Input y contains NaN"),
    "continuous y": ({}, {"y": Y3 + 0.5 * X3[:, 0]}, "Unknown label type"),
    "short y": ({}, {"y": Y3[:5]}, r"inconsistent numbers of samples: \[12, 5\]"),
    "unknown class": ({"classes": [0, 1]}, {"y": Y3}, r"among the 'classes' parameter, \[0, 1\]. Got .*2.* in row 2"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_fitted_is_refused_by_name(name):
    params, data, message = BAD[name]
    with pytest.raises((ValueError, TypeError), match=message):
        SoftmaxRegression(**params).fit(**{"X": X3, "y": Y3} | data)


def test_a_column_of_labels_is_labels_and_warns():
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        model = SoftmaxRegression().fit(X3, Y3[:, None])
    np.testing.assert_array_equal(model.coef_, SoftmaxRegression().fit(X3, Y3).coef_)


def test_small_fits_do_not_load_the_compiler():
    """1 999 rows, 20 columns, and as many classes as there can be."""
    code = """
import sys
import numpy as np
from sksoft import SoftmaxRegression
rng = np.random.default_rng(0)
X = rng.normal(size=(1999, 20))
for y in (np.arange(1999) % 100, np.arange(1999) % 999):
    SoftmaxRegression(C=1e-3).fit(X, y)
assert "numba" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
