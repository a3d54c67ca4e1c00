"""Metrics of many labels: inverses of the matrices that the module names, and which of them is chosen when."""

import numpy as np
import pytest
from scipy import sparse

from sksoft.objective.shared_features import SharedFeatures
from sksoft.objective.shared_metric import JACOBI_SHARE, MixedJacobi, OwnHessian, SharedGram, shared_metric


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def of(X, weights, n_labels, *, centred=True):
    features = SharedFeatures(X)
    return shared_metric(features, weights, features.mean(weights) if centred else np.zeros(X.shape[1]), n_labels)


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("centred", [True, False])
def test_shared_gram_inverts_every_label(is_sparse, centred, rng):
    X, weights = rng.normal(size=(60, 6)) + 2.0, rng.dirichlet(np.ones(60))
    metric = of(sparse.csr_array(X) if is_sparse else X, weights, 3, centred=centred)
    assert isinstance(metric, SharedGram)
    about = weights @ X if centred else 0.0
    A = ((X - about).T * weights) @ (X - about)
    residual, curvature, strength = rng.normal(size=(6, 3)), np.array([0.2, 0.01, 0.1]), np.array([1e-3, 0.5, 1e-6])
    got = metric.solve(residual, curvature, strength)
    for label in range(3):
        expected = np.linalg.solve(curvature[label] * A + strength[label] * np.eye(6), residual[:, label])
        np.testing.assert_allclose(got[:, label], expected, rtol=1e-8)


def test_shared_gram_of_fewer_rows_than_features(rng):
    X, weights = rng.normal(size=(10, 40)), rng.dirichlet(np.ones(10))
    X -= weights @ X
    metric = of(X, weights, 2)
    assert isinstance(metric, SharedGram)
    assert metric.vectors.shape == (40, 9)
    residual, curvature, strength = rng.normal(size=(40, 2)), np.array([0.2, 0.05]), np.array([1e-2, 0.5])
    for label in range(2):
        matrix = curvature[label] * (X.T * weights) @ X + strength[label] * np.eye(40)
        expected = np.linalg.solve(matrix, residual[:, label])
        np.testing.assert_allclose(metric.solve(residual, curvature, strength)[:, label], expected, rtol=1e-8)


def test_many_sparse_features_get_a_diagonal(rng):
    X, weights = sparse.random_array((500, 450), density=0.01, rng=rng, format="csr"), np.full(500, 1 / 500)
    metric = of(X, weights, 1000)
    assert isinstance(metric, MixedJacobi)
    diagonal = weights @ X.toarray() ** 2
    residual, curvature, strength = rng.normal(size=(450, 2)), np.array([0.2, 0.05]), np.array([1e-2, 0.5])
    expected = residual / (JACOBI_SHARE * diagonal[:, None] * curvature + strength)
    np.testing.assert_allclose(metric.solve(residual, curvature, strength), expected, rtol=1e-12)


def test_the_eigendecomposition_is_made_where_enough_labels_share_it(rng):
    X, weights = rng.normal(size=(400, 390)), np.full(400, 1 / 400)
    assert isinstance(of(X, weights, 1000), SharedGram)
    narrow = rng.normal(size=(410, 400))
    build = 410 * 400 * 400 + 10 * 400**3
    assert build > 50 * 4 * narrow.size * 16
    assert isinstance(of(narrow, np.full(410, 1 / 410), 1), MixedJacobi)


@pytest.mark.parametrize("with_intercept", [True, False])
def test_own_hessian_inverts_the_hessian(with_intercept, rng):
    X, h = rng.normal(size=(60, 5)), rng.uniform(size=60)
    rows = np.column_stack([X, np.ones(60)]) if with_intercept else X
    matrix = (rows.T * h) @ rows
    matrix[np.arange(5), np.arange(5)] += 0.3
    residual = rng.normal(size=rows.shape[1])
    got = OwnHessian(SharedFeatures(X), h, 0.3, with_intercept).solve(residual)
    np.testing.assert_allclose(got, np.linalg.solve(matrix, residual), rtol=1e-8)


def test_own_hessian_of_features_that_are_zero_or_repeated(rng):
    X = np.column_stack([np.zeros(60), *[1e6 * rng.normal(size=60)] * 2])
    assert np.isfinite(OwnHessian(SharedFeatures(X), np.full(60, 0.1), 1e-9, True).solve(np.ones(4))).all()
