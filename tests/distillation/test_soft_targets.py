"""The exact fit against SciPy's minimum of the loss as it is written."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize
from sklearn.datasets import load_digits, load_iris

from sksoft import SoftmaxRegression
from sksoft.distillation import soft_targets
from sksoft.distillation.transfer_rows import UNLABELLED, TransferRows
from tests.distillation.two_term_loss import minimum, two_term_loss

X, Y = load_iris(return_X_y=True)
RNG = np.random.default_rng(0)


def rows_of(X, y, n_classes, unlabelled=0):
    logits = 3.0 * RNG.normal(size=(len(y), n_classes)) + 2.0 * np.eye(n_classes)[y]
    codes = np.where(np.arange(len(y)) < len(y) - unlabelled, y, UNLABELLED)
    return TransferRows(X, codes, RNG.uniform(0.5, 2.0, len(y)), logits, np.arange(n_classes))


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("alpha", [0.3, 1.0])
@pytest.mark.parametrize("unlabelled", [0, 40])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_minimises_the_two_terms(temperature, alpha, unlabelled, n_classes):
    keep = RNG.permutation(np.flatnonzero(n_classes > Y))
    rows = rows_of(X[keep], Y[keep], n_classes, unlabelled)
    student = soft_targets.fit(SoftmaxRegression(C=0.7, tol=1e-12), rows, temperature, alpha)
    coef, intercept = minimum(rows, temperature, alpha, C=0.7)
    np.testing.assert_allclose(student.coef_, coef, atol=1e-6)
    np.testing.assert_allclose(student.intercept_, intercept, atol=1e-5)


def test_sparse_rows_and_no_intercept():
    X, y = load_digits(n_class=4, return_X_y=True)
    X = X[:200, :24] / 16
    rows = rows_of(X, y[:200], 4, 30)
    for model in (SoftmaxRegression(tol=1e-12), SoftmaxRegression(tol=1e-12, fit_intercept=False)):
        dense = soft_targets.fit(model, rows, 3.0, 0.6)
        thin = soft_targets.fit(model, rows.with_features(sparse.csr_array(X)), 3.0, 0.6)
        coef, intercept = minimum(rows, 3.0, 0.6, C=1.0, fit_intercept=model.fit_intercept)
        np.testing.assert_allclose(dense.coef_, coef, atol=1e-6)
        np.testing.assert_allclose(dense.intercept_, intercept, atol=1e-6)
        np.testing.assert_allclose(thin.coef_, dense.coef_, atol=1e-7)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("tol", [1e-1, 1e-3, 1e-12])
def test_the_gap_is_proved_at_two_temperatures(kind, tol):
    rows = rows_of(X, Y, 3, unlabelled=40)
    fitted = soft_targets.fit(SoftmaxRegression(C=0.7, tol=tol), rows.with_features(kind(X)), 2.5, 0.6)
    assert fitted.certificate_ == "gap"
    assert fitted.gap_ <= tol * fitted.objective_
    assert fitted.gap_ == fitted.bound_
    least = sum_of_losses(rows, *minimum(rows, 2.5, 0.6, C=0.7))
    weight = 0.4 * rows.weights[:110].sum() + 0.6 * 2.5**2 * rows.weights.sum()
    left = (sum_of_losses(rows, fitted.coef_, fitted.intercept_) - least) / weight
    assert left <= fitted.gap_ + 1e-12


def sum_of_losses(rows, coef, intercept):
    return two_term_loss(rows, X @ coef.T + intercept, 2.5, 0.6) + (coef**2).sum() / 1.4


def test_far_features_keep_the_free_column_apart():
    rows = rows_of(X + 1e4, Y, 3)
    far = soft_targets.fit(SoftmaxRegression(tol=1e-12), rows, 2.0, 0.5)
    near = soft_targets.fit(SoftmaxRegression(tol=1e-12), rows.with_features(X), 2.0, 0.5)
    np.testing.assert_allclose(far.coef_, near.coef_, atol=1e-7)


def test_features_that_are_free_and_scores_that_are_known_keep_their_meaning():
    rows = rows_of(X, Y, 3)
    prior = np.array([0.5, -1.0, 2.0])
    free = np.array([1.0, 0.0, 2.0, 1.0])
    student = SoftmaxRegression(tol=1e-12, feature_penalty=free, prior_logits=prior)
    fitted = soft_targets.fit(student, rows, 2.0, 0.5)
    start = np.column_stack([fitted.coef_, fitted.intercept_]).ravel()

    def loss(w):
        W = w.reshape(3, 5)
        scores = X @ W[:, :4].T + W[:, 4] + prior
        return two_term_loss(rows, scores, 2.0, 0.5) + (free * W[:, :4] ** 2).sum() / 2

    np.testing.assert_array_less(loss(start), minimize(loss, start + 0.01, options={"gtol": 1e-6}).fun + 1e-7)
    np.testing.assert_array_equal(fitted.prior_logits, prior)
    np.testing.assert_array_equal(fitted.feature_penalty, free)


def test_signs_hold_and_the_intercept_has_none():
    rows = rows_of(X, Y, 3)
    fitted = soft_targets.fit(SoftmaxRegression(coef_sign=[1, 1, 1, -1]), rows, 2.0, 0.5)
    assert (fitted.coef_[:, :3] >= 0).all()
    assert (fitted.coef_[:, 3] <= 0).all()
    assert (fitted.intercept_ < 0).any()


def test_the_student_is_an_ordinary_one():
    import pandas as pd

    frame = pd.DataFrame(X, columns=list("abcd"))
    rows = rows_of(frame, Y, 3)
    fitted = soft_targets.fit(SoftmaxRegression(), rows, 2.0, 0.5)
    assert fitted.n_features_in_ == 4
    assert fitted.feature_names_in_.tolist() == list("abcd")
    assert fitted.get_params() == SoftmaxRegression().get_params()
    np.testing.assert_allclose(fitted.predict_proba(frame).sum(axis=1), 1.0)
    assert set(vars(fitted)) >= set(vars(SoftmaxRegression().fit(frame, Y)))


def test_what_is_not_exact_says_so():
    assert soft_targets.exactness(SoftmaxRegression())[0]
    assert soft_targets.exactness(SoftmaxRegression(link="sparsemax")) == (
        False,
        "the loss is that of link='sparsemax' in the place of the Kullback-Leibler divergence",
    )
    assert not soft_targets.exactness(SoftmaxRegression(class_weight="balanced"))[0]
    assert not soft_targets.exactness(SoftmaxRegression(label_smoothing=0.1))[0]
