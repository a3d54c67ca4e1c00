"""Memories: products and inverses belong together, and classes that come late were there all along."""

import numpy as np
import pytest

from sksoft.solvers.memories import AdaGrad, Curvature, Kronecker

N, Q, R = 40, 5, 3


@pytest.fixture
def rng():
    return np.random.default_rng(0)


class Softmax:
    """A chunk of rows with given distributions over the rows of the parameters."""

    def __init__(self, X, proba, weights):
        self.X, self.proba, self.weights = X, proba, weights

    def features(self):
        return self.X

    def square_sums(self, weights):
        return weights @ self.X**2

    def feature_sums(self):
        return self.X.T @ self.weights, np.abs(self.X).max(axis=0)

    def jacobian_rows(self):
        for k in range(self.proba.shape[1]):
            unit = np.eye(self.proba.shape[1])[k]
            yield self.weights[:, None] * self.proba[:, [k]] * (unit - self.proba)


def chunk(rng, n_rows=R, proba=None):
    X = np.hstack([rng.normal(size=(N, Q - 1)), np.ones((N, 1))])
    proba = rng.dirichlet(np.ones(n_rows), size=N) if proba is None else np.tile(proba, (N, 1))
    return Softmax(X, proba, rng.uniform(0.5, 2.0, size=N))


def hessian(chunk):
    """Σ sᵢ (diag pᵢ − pᵢpᵢᵀ) ⊗ xᵢxᵢᵀ, from the definition."""
    return sum(
        s * np.kron(np.diag(p) - np.outer(p, p), np.outer(x, x)) for s, p, x in zip(chunk.weights, chunk.proba, chunk.X)
    )


def matrix(product, shape):
    return np.column_stack([product(unit.reshape(shape)).ravel() for unit in np.eye(shape[0] * shape[1])])


@pytest.mark.parametrize("kind", [Curvature, Kronecker, AdaGrad])
def test_inverse_inverts_the_product_and_the_diagonal(kind, rng):
    memory = kind.empty(R, Q)
    for seen in (50.0, 100.0):
        memory = memory.absorb(chunk(rng), rng.normal(size=(R, Q)), 50.0, seen)
    diagonal = np.tile(rng.uniform(0.1, 2.0, size=Q), (R, 1))  # the same for all classes: Kronecker is exact for that
    product, inverse = memory.product(7.0), memory.inverse(7.0, diagonal)
    v = rng.normal(size=(R, Q))
    np.testing.assert_allclose(inverse(product(v) + diagonal * v), v, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", [Curvature, Kronecker, AdaGrad])
def test_metrics_are_symmetric_and_nonnegative(kind, rng):
    memory = kind.empty(R, Q).absorb(chunk(rng), rng.normal(size=(R, Q)), 40.0, 40.0)
    M = matrix(memory.product(3.0), (R, Q))
    np.testing.assert_allclose(M, M.T, atol=1e-12)
    assert np.linalg.eigvalsh(M).min() >= -1e-10


def test_curvature_is_the_weighted_mean_of_hessians(rng):
    first, second = chunk(rng), chunk(rng)
    a, b = first.weights.sum(), second.weights.sum()
    memory = Curvature.empty(R, Q).absorb(first, None, a, a).absorb(second, None, b, a + b)
    # a chunk's weight in the mean grows with the weight seen by then
    expected = (a * hessian(first) + (a + b) * hessian(second)) / (a * a + b * (a + b))
    np.testing.assert_allclose(matrix(memory.product(1.0), (R, Q)), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", [Curvature, Kronecker])
def test_a_recalled_past_is_a_mean_that_weighs_as_if_it_had_been_seen(kind, rng):
    rows, more = chunk(rng), chunk(rng)
    seen, weight = 1000.0, more.weights.sum()
    recalled = kind.recalled(rows, (R, Q), seen)
    once = kind.empty(R, Q).absorb(rows, None, rows.weights.sum(), rows.weights.sum())
    np.testing.assert_array_equal(recalled.gram, once.gram)
    # 1000 rows, a few at a time, make a total of ∫ s ds, and what comes next weighs what it would have
    np.testing.assert_allclose(
        recalled.absorb(more, None, weight, seen + weight).total, 0.5e6 + weight * (seen + weight)
    )


def test_a_recalled_past_has_the_gradients_of_a_model_that_holds(rng):
    rows = chunk(rng)
    rows.weights[:] = 1.0
    recalled = AdaGrad.recalled(rows, (R, Q), 10.0 * N)
    squares = np.zeros((R, Q))
    for _ in range(3000):
        drawn = np.array([rng.multinomial(1, p) for p in rows.proba])
        squares += ((rows.proba - drawn).T @ rows.X) ** 2 / 3000
    np.testing.assert_allclose(recalled.squares, 10.0 * squares, rtol=0.15)


def test_kronecker_is_exact_where_all_rows_have_one_distribution(rng):
    rows = chunk(rng, proba=np.array([0.5, 0.2, 0.3]))
    weight = rows.weights.sum()
    memory = Kronecker.empty(R, Q).absorb(rows, None, weight, weight)
    np.testing.assert_allclose(matrix(memory.product(weight), (R, Q)), hessian(rows), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", [Curvature, Kronecker])
@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_late_class_had_its_probability_all_along(kind, at, rng):
    proba, late = np.array([0.5, 0.2, 0.3]), 0.1
    rows = chunk(rng, proba=proba)
    weight = rows.weights.sum()
    extended = kind.empty(R, Q).absorb(rows, None, weight, weight).with_class(at, late, proba)
    rows.proba = np.tile(np.insert((1.0 - late) * proba, at, late), (N, 1))
    np.testing.assert_allclose(matrix(extended.product(weight), (R + 1, Q)), hessian(rows), rtol=1e-9, atol=1e-10)


def test_a_late_class_had_the_gradients_of_its_probability(rng):
    rows = chunk(rng)
    memory = AdaGrad.empty(R, Q).absorb(rows, np.ones((R, Q)), 1.0, 1.0).with_class(1, 0.2, None)
    np.testing.assert_allclose(memory.squares[1], (0.2 * rows.weights @ rows.X) ** 2)
    np.testing.assert_array_equal(memory.squares[[0, 2, 3]], 1.0)


@pytest.mark.parametrize("kind", [Curvature, Kronecker])
def test_one_row_becomes_two_with_the_same_curvature(kind, rng):
    rows = chunk(rng, n_rows=2)
    binary = Softmax(rows.X, rows.proba[:, 1:], rows.weights)  # p (1 − p), the Jacobian of the difference
    weight = rows.weights.sum()
    two = kind.empty(1, Q).absorb(binary, None, weight, weight).in_two_rows()
    expected = kind.empty(2, Q).absorb(rows, None, weight, weight)
    np.testing.assert_allclose(
        matrix(two.product(2.0), (2, Q)), matrix(expected.product(2.0), (2, Q)), rtol=1e-10, atol=1e-12
    )


def test_gradients_of_two_rows_are_opposite(rng):
    one = AdaGrad.empty(1, Q).absorb(chunk(rng), rng.normal(size=(1, Q)), 1.0, 1.0)
    two = one.in_two_rows()
    np.testing.assert_array_equal(two.squares, np.repeat(one.squares, 2, axis=0))
