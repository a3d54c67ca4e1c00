"""Metrics against the Hessian written out."""

import numpy as np
import pytest
from sklearn.datasets import load_wine

from sksoft.objective import preconditioners
from sksoft.objective.preconditioners import Sample


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def hessian(X, proba, weights, penalty):
    """Σ aᵢ (diag pᵢ − pᵢ pᵢᵀ) ⊗ x̃ᵢ x̃ᵢᵀ + Λ by its definition; one row of W for two classes."""
    rows, columns = penalty.shape
    H = np.zeros((rows * columns, rows * columns))
    for x, p, a in zip(X, proba, weights):
        S = np.diag(p) - np.outer(p, p)
        S = S[1:, 1:] if rows == 1 else S
        H += a * np.kron(S, np.outer(x, x))
    return H + np.diag(penalty.ravel())


def sample_of(rng, K, n=80, p=3, equal=False):
    X = np.column_stack([rng.normal(size=(n, p)), np.ones(n)])
    proba = np.tile(rng.dirichlet(np.ones(K)), (n, 1)) if equal else rng.dirichlet(np.ones(K), size=n)
    weights = rng.uniform(size=n)
    return Sample(X, proba, weights / weights.sum())


def penalty_of(K, p=3, strength=0.05):
    penalty = np.full((1 if K == 2 else K, p + 1), strength)
    penalty[:, -1] = 0.0
    return penalty


def balanced(rng, penalty):
    """A vector as gradients are: without a common part in the unpenalised column."""
    r = rng.normal(size=penalty.shape)
    if len(penalty) > 1:
        r[:, -1] -= r[:, -1].mean()
    return r.ravel()


@pytest.mark.parametrize("K", [2, 3, 5])
def test_full_inverts_the_hessian(rng, K):
    sample, penalty = sample_of(rng, K), penalty_of(K)
    r = balanced(rng, penalty)
    z = preconditioners.full(sample, penalty)(r)
    np.testing.assert_allclose(hessian(sample.X, sample.proba, sample.weights, penalty) @ z, r, atol=1e-6)


def test_kronecker_inverts_the_hessian_of_rows_with_equal_distributions(rng):
    sample, penalty = sample_of(rng, 4, equal=True), penalty_of(4)
    r = balanced(rng, penalty)
    z = preconditioners.kronecker(sample, penalty)(r)
    np.testing.assert_allclose(hessian(sample.X, sample.proba, sample.weights, penalty) @ z, r, atol=1e-6)


def test_gram_inverts_the_hessian_of_uniform_distributions(rng):
    K, penalty = 4, penalty_of(4)
    sample = sample_of(rng, K)
    sample = Sample(sample.X, np.full_like(sample.proba, 1 / K), sample.weights)
    r = rng.normal(size=penalty.shape)
    r -= r.mean(axis=0)  # where it is exact: vectors without a common part
    z = preconditioners.gram(sample, penalty)(r.ravel())
    product = hessian(sample.X, sample.proba, sample.weights, penalty) @ z
    np.testing.assert_allclose(product, r.ravel(), atol=1e-6)


def test_gram_of_two_classes_is_the_hessian(rng):
    sample, penalty = sample_of(rng, 2), penalty_of(2)
    r = balanced(rng, penalty)
    z = preconditioners.gram(sample, penalty)(r)
    np.testing.assert_allclose(hessian(sample.X, sample.proba, sample.weights, penalty) @ z, r, atol=1e-6)


@pytest.mark.parametrize(
    ("build", "K"),
    [(preconditioners.gram, 2), (preconditioners.full, 2)]
    + [(build, 4) for build in (preconditioners.gram, preconditioners.kronecker, preconditioners.full)],
)
def test_every_metric_is_symmetric_and_positive_even_without_a_penalty(rng, build, K):
    sample = sample_of(rng, K)
    sample = Sample(np.column_stack([sample.X[:, :1], sample.X]), sample.proba, sample.weights)  # collinear columns
    penalty = np.zeros((1 if K == 2 else K, 5))
    apply = build(sample, penalty)
    u, v = balanced(rng, penalty), balanced(rng, penalty)
    if K > 2:
        u, v = (r.reshape(K, 5) - r.reshape(K, 5).mean(axis=0) for r in (u, v))
        u, v = u.ravel(), v.ravel()
    np.testing.assert_allclose(u @ apply(v), v @ apply(u), rtol=1e-5)
    assert u @ apply(u) > 0
    assert np.isfinite(apply(u)).all()


@pytest.mark.parametrize("build", [preconditioners.gram, preconditioners.kronecker, preconditioners.full])
def test_a_column_that_the_sample_missed_has_the_curvature_of_all_rows(rng, build):
    everything, penalty = sample_of(rng, 3), penalty_of(3, strength=1e-6)
    rare = everything.X.copy()
    rare[:, 0] = np.arange(80) == 79
    proba, weights = everything.proba, everything.weights
    diagonal = (proba * (1 - proba) * weights[:, None]).T @ rare**2
    some = Sample(rare[:79], proba[:79], weights[:79], diagonal)
    r = np.zeros((3, 4))
    r[:, 0] = [1.0, -1.0, 0.0]
    H = hessian(rare, proba, weights, penalty)
    z = build(some, penalty)(r.ravel())
    ratio = (r.ravel() @ z) / (r.ravel() @ np.linalg.pinv(H) @ r.ravel())
    assert 0.1 < ratio < 10.0
    blind = build(Sample(rare[:79], proba[:79], weights[:79]), penalty)(r.ravel())
    assert r.ravel() @ blind > 100.0 * (r.ravel() @ z)


def test_a_diagonal_metric_shares_with_the_penalty():
    squares, penalty = np.array([[4.0, 0.0, 1.0]]), np.array([[2.0, 2.0, 0.0]])
    apply = preconditioners.diagonal(squares, penalty, share=0.5)
    np.testing.assert_allclose(apply(np.ones(3)), [1 / 4.0, 1 / 2.0, 1.0])


def test_curvature_of_the_size_of_its_rounding_is_raised_until_it_is_positive(rng):
    """Classes all but separated, nothing penalised, columns of one row each: no Cholesky factor at first."""
    X, codes = load_wine(return_X_y=True)
    X = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(len(X))])
    proba = np.full((len(X), 3), 1e-12)
    proba[np.arange(len(X)), codes] = 1.0 - 2e-12
    proba[:3] = 1.0 / 3.0
    metric = preconditioners.full(Sample(X, proba, np.full(len(X), 1 / len(X))), np.zeros((3, X.shape[1])))
    r = balanced(rng, np.zeros((3, X.shape[1])))
    assert np.isfinite(metric(r)).all()
    assert r @ metric(r) > 0.0
    raised = preconditioners._factor(np.array([[1.0, 1.5], [1.5, 1.0]]), 1e-8)
    np.testing.assert_allclose(raised[0, 0], np.sqrt(2.0), rtol=1e-12)
