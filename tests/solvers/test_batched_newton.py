"""The batched solver on problems that have nothing to do with sigmoids: it knows them by protocol."""

import numpy as np
import pytest
from scipy import optimize

from sksoft.solvers.batched_newton import subspace_newton


class Batch:
    """min over w of Σ_i f(s_i − t_i) with s = S w, one column of targets a problem; f and its derivatives are given.

    The gap is F − min F with the minimum known from Newton's method in full.
    """

    def __init__(self, S, targets, f, *, width=None, direction=False, start=0.0):
        self.S, self.all_targets, self.f = S, targets, f
        self.n_problems = targets.shape[1]
        self.width = min(width or self.n_problems, self.n_problems)
        self.n_rows = len(S) + S.shape[1]
        self.minima = np.array([self._minimum(t) for t in targets.T])
        self.targets = np.zeros((len(S), self.width))
        self.minimum = np.zeros(self.width)
        self.next, self.direction, self.started_at = 0, direction, start
        self.n_products = 0
        self.widths = []

    def _minimum(self, t):
        return optimize.minimize(
            lambda w: self.f(self.S @ w - t)[0].sum(),
            np.zeros(self.S.shape[1]),
            jac=lambda w: self.S.T @ self.f(self.S @ w - t)[1],
            hess=lambda w: (self.S.T * self.f(self.S @ w - t)[2]) @ self.S,
            method="trust-exact",
            options={"gtol": 1e-9},
        ).fun

    def load(self, columns):
        ids = np.arange(self.next, min(self.next + len(columns), self.n_problems))
        self.next += len(ids)
        self.targets[:, columns[: len(ids)]] = self.all_targets[:, ids]
        self.minimum[columns[: len(ids)]] = self.minima[ids]
        return ids

    def start(self, columns):
        return np.full((self.S.shape[1], len(columns)), self.started_at)

    def always(self):
        return np.ones((self.S.shape[1], self.width)) if self.direction else None

    def expand(self, parameters, out):
        self.n_products += 1
        self.widths.append(parameters.shape[1])
        out[: len(self.S)], out[len(self.S) :] = self.S @ parameters, parameters
        return out

    def parameters(self, state):
        return state[len(self.S) :]

    def evaluate(self, state, residual, curvature, columns=slice(None)):
        n = len(self.S)
        values, residual[:n], curvature[:n] = self.f(state[:n] - self.targets[:, columns])
        residual[n:] = curvature[n:] = 0.0
        return values.sum(axis=0)

    def gradient(self, residual):
        return self.S.T @ residual[: len(self.S)]

    def start_gradient(self, residual, columns):
        return self.gradient(residual)

    def precondition(self, gradient, curvature):
        return gradient.copy()

    def gap(self, state, gradient, columns):
        values = self.f(state[: len(self.S), columns] - self.targets[:, columns])[0].sum(axis=0)
        return np.maximum(values - self.minimum[columns], 0.0)

    def rough_gap(self, gradient):
        return np.zeros(gradient.shape[1])

    def magnitude(self, values):
        return np.abs(values)

    def project(self, stack, residual, curvature):
        return np.einsum("kil,il->lk", stack, residual), np.einsum("jil,il,kil->ljk", stack, curvature, stack)

    def advance(self, stack, lengths, step, state):
        step[...] = np.einsum("kil,lk->il", stack, lengths)
        state += step

    def keep(self, columns):
        self.width = len(columns)
        self.targets, self.minimum = self.targets[:, columns], self.minimum[columns]


def square(s):
    return 0.5 * s**2, s, np.ones_like(s)


def nearly_absolute(s):
    """√(1 + s²): far away a full Newton step overshoots by the cube of the distance."""
    root = np.sqrt(1.0 + s**2)
    return root, s / root, root**-3


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 12)), 3.0 * rng.normal(size=(40, 9))


@pytest.mark.parametrize("f", [square, nearly_absolute])
@pytest.mark.parametrize("direction", [False, True])
def test_every_problem_reaches_its_tolerance(data, f, direction):
    batch = Batch(*data, f, direction=direction)
    solution = subspace_newton(batch, tol=1e-10, max_iter=500)
    values = f(data[0] @ solution.parameters - data[1])[0].sum(axis=0)
    np.testing.assert_allclose(solution.values, values, rtol=1e-12)
    assert np.all(values - batch.minima <= 1e-10 * values)
    assert solution.converged.all()
    assert set(solution.stopped_by) == {"tolerance"}


def test_on_quadratics_it_is_the_method_of_conjugate_gradients():
    """Three distinct eigenvalues: three iterations, whatever the dimension."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(30, 12)))[0]
    S = basis * np.repeat([1.0, 7.0, 100.0], 4)
    batch = Batch(S, rng.normal(size=(30, 4)), square)
    solution = subspace_newton(batch, tol=1e-12, max_iter=100)
    assert solution.n_iter.tolist() == [3, 3, 3, 3]


def test_a_problem_far_from_its_minimum_takes_shorter_steps(data):
    batch = Batch(*data, nearly_absolute, start=1e4)
    solution = subspace_newton(batch, tol=1e-8, max_iter=1000)
    np.testing.assert_allclose(solution.values, batch.minima, rtol=1e-7)


@pytest.mark.parametrize("width", [1, 2, 5])
def test_problems_that_wait_get_the_columns_of_those_that_are_done(data, width):
    apart = subspace_newton(Batch(*data, nearly_absolute), tol=1e-12, max_iter=500)
    batch = Batch(*data, nearly_absolute, width=width)
    solution = subspace_newton(batch, tol=1e-12, max_iter=500)
    assert max(batch.widths) == width
    np.testing.assert_allclose(solution.parameters, apart.parameters, atol=2e-5)  # gaps of 1e-12 of F
    np.testing.assert_array_equal(solution.n_iter > 0, True)


def test_problems_that_are_done_are_not_computed(data):
    S, targets = data
    targets[:, 1:] = (S @ np.ones(12))[:, None]  # solved at the start but for the first
    batch = Batch(S, targets, nearly_absolute, start=1.0)
    subspace_newton(batch, tol=1e-10, max_iter=500)
    assert batch.widths[2:] == [1] * len(batch.widths[2:])


def test_too_few_iterations_are_reported(data):
    batch = Batch(*data, nearly_absolute)
    solution = subspace_newton(batch, tol=1e-12, max_iter=2)
    assert solution.n_iter.tolist() == [2] * 9
    assert set(solution.stopped_by) == {"max_iter"}
    assert not solution.converged.any()
    np.testing.assert_allclose(solution.gaps, solution.values - batch.minima, rtol=1e-8)


def test_no_iterations_return_the_start(data):
    solution = subspace_newton(Batch(*data, square, width=2, start=2.0), tol=1e-12, max_iter=0)
    np.testing.assert_array_equal(solution.parameters, 2.0)
    np.testing.assert_allclose(solution.values, square(data[0] @ np.full((12, 1), 2.0) - data[1])[0].sum(axis=0))


def test_the_limit_of_float64_is_no_failure(data):
    solution = subspace_newton(Batch(*data, square), tol=0.0, max_iter=1000)
    assert set(solution.stopped_by) <= {"precision", "tolerance"}
    assert solution.converged.all()
    assert solution.n_iter.max() < 100


def test_values_that_are_not_finite_are_refused(data):
    with pytest.raises(ValueError, match="not finite"), np.errstate(over="ignore", invalid="ignore"):
        subspace_newton(Batch(data[0], data[1], square, start=1e200), tol=1e-6, max_iter=10)
