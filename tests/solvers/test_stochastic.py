"""The proximal step: exact on quadratics, no step size, and nothing forgotten that a chunk needs."""

import numpy as np
import pytest

from sksoft.solvers.memories import AdaGrad, Curvature, Kronecker
from sksoft.solvers.stochastic import Preconditioner, State, learn

R, Q = 2, 4


@pytest.fixture
def rng():
    return np.random.default_rng(0)


class LeastSquares:
    """½ Σ s ‖x w_k − y_k‖² of some rows, by class k."""

    def __init__(self, X, Y, weights):
        self.X, self.Y, self.weights = X, Y, weights

    @property
    def weight(self):
        return float(self.weights.sum())

    def at(self, w):
        return LeastSquaresAt(self, w)


class LeastSquaresAt:
    def __init__(self, rows, w):
        self.rows, self.w, self.weights = rows, w, rows.weights
        error = rows.X @ w.T - rows.Y
        self.value = 0.5 * float(rows.weights @ (error**2).sum(axis=1))
        self.gradient = (error * rows.weights[:, None]).T @ rows.X

    def hessian_product(self, v):
        return ((self.rows.X @ v.T) * self.weights[:, None]).T @ self.rows.X

    def features(self):
        return self.rows.X

    def feature_sums(self):
        return self.rows.X.T @ self.weights, np.abs(self.rows.X).max(axis=0)

    def jacobian_rows(self):
        for k in range(R):
            yield self.weights[:, None] * np.eye(R)[k]


def data(rng, n=60):
    X = rng.normal(size=(n, Q))
    return LeastSquares(X, X @ rng.normal(size=(Q, R)) + rng.normal(size=(n, R)), rng.uniform(0.5, 2.0, size=n))


def start(kind=Curvature):
    return State(np.zeros((R, Q)), np.zeros((R, Q)), kind.empty(R, Q), 0.0)


@pytest.mark.parametrize("kind", [Curvature, Kronecker, AdaGrad])
def test_the_first_chunk_is_fitted_with_the_diagonal_as_its_ridge(kind, rng):
    rows, ridge = data(rng), np.tile(rng.uniform(0.5, 2.0, size=Q), (R, 1))
    state = learn(start(kind), rows, ridge, Preconditioner())

    def norm(gradient):
        return np.sqrt(np.sum(gradient**2 / ridge))

    left = rows.at(state.w).gradient + ridge * state.w
    assert norm(left) <= 0.03 * norm(rows.at(np.zeros((R, Q))).gradient)
    assert state.weight == rows.weight


def test_what_a_step_leaves_is_carried_to_the_next(rng):
    rows, ridge = data(rng), np.ones((R, Q))
    state = learn(start(), rows, ridge, Preconditioner())
    np.testing.assert_allclose(state.residual, rows.at(state.w).gradient + ridge * state.w, atol=1e-9)
    # a chunk without any slope moves the parameters by what was left, and by no more
    empty = LeastSquares(np.zeros((1, Q)), np.zeros((1, R)), np.ones(1))
    moved = learn(state, empty, ridge, Preconditioner())
    assert np.linalg.norm(moved.residual) <= np.linalg.norm(state.residual) + 1e-12
    assert np.linalg.norm(moved.w - state.w) <= np.linalg.norm(state.residual)


@pytest.mark.parametrize(("kind", "share"), [(Curvature, 0.02), (Kronecker, 0.02), (AdaGrad, 0.2)])
def test_a_stream_of_chunks_comes_near_the_optimum_of_all(kind, share, rng):
    rows = data(rng, n=4000)
    state, preconditioner = start(kind), Preconditioner()
    for i in range(0, 4000, 40):
        part = slice(i, i + 40)
        state = learn(
            state, LeastSquares(rows.X[part], rows.Y[part], rows.weights[part]), np.full((R, Q), 0.1), preconditioner
        )
    root = np.sqrt(rows.weights)[:, None]
    best = np.linalg.lstsq(rows.X * root, rows.Y * root, rcond=None)[0].T
    reachable = rows.at(np.zeros((R, Q))).value - rows.at(best).value
    assert rows.at(state.w).value - rows.at(best).value <= share * reachable


def test_a_kept_preconditioner_is_renewed_when_the_past_has_grown(rng):
    preconditioner, made = Preconditioner(), []
    state = start()
    for _ in range(30):
        state = learn(state, data(rng, n=10), np.ones((R, Q)), preconditioner)
        made.append(preconditioner.made_at)
    assert 3 < len(set(made)) < 15
