"""Proximal Newton: steps, stopping, callbacks and line search, on problems whose minimum is known."""

import numpy as np
import pytest
from scipy import optimize

from sksoft.linear.problem import Problem
from sksoft.objective.links import LINKS
from sksoft.objective.targets import Labels
from sksoft.solvers import proximal, proximal_newton


def make(n=200, p=40, K=5, C=0.3, seed=0, **options):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n, p))
    y = (X[:, :K] + 0.5 * generator.normal(size=(n, K))).argmax(axis=1)
    problem = Problem(
        X=X, target=Labels(y, K), weights=np.ones(n), link=LINKS["softmax"], strength=1.0 / (C * n), kinked=True,
        **({"l1_ratio": 1.0} | options),
    )  # fmt: skip
    return problem.objective, problem.start()


@pytest.mark.parametrize("tol", [1e-2, 1e-6, 1e-10, 0.0])
def test_it_stops_where_the_bound_says(tol):
    objective, start = make()
    solution = proximal_newton(objective, start, tol=tol, max_iter=100)
    assert solution.stopped_by == ("tolerance" if tol > 0.0 else "precision")
    assert solution.converged
    assert solution.certificate.kind == "gap"
    assert solution.certificate.bound <= max(tol, 1e-9) * solution.value
    assert solution.certificate.bound == objective.at(solution.w).gap()


def test_values_only_decrease_and_the_callback_hears_of_each_step():
    objective, start = make(C=10.0)
    seen = []
    solution = proximal_newton(
        objective, start, tol=1e-9, max_iter=100, callback=lambda i, point: seen.append((i, point.value))
    )
    steps, values = zip(*seen)
    assert steps == tuple(range(solution.n_iter + 1))
    assert (np.diff(values) <= 1e-14).all()
    assert values[-1] == solution.value


def test_a_callback_stops_it():
    objective, start = make()
    solution = proximal_newton(objective, start, tol=1e-9, max_iter=100, callback=lambda i, point: i == 2)
    assert solution.stopped_by == "callback"
    assert solution.n_iter == 2


@pytest.mark.parametrize("max_iter", [0, 1, 3])
def test_steps_are_limited(max_iter):
    objective, start = make()
    solution = proximal_newton(objective, start, tol=1e-12, max_iter=max_iter)
    assert solution.n_iter == max_iter
    assert solution.stopped_by == "max_iter"
    assert not solution.converged


def test_a_small_working_set_leads_to_the_same_minimum(monkeypatch):
    objective, start = make(C=1.0)
    everything = proximal_newton(objective, start, tol=1e-11, max_iter=100)
    monkeypatch.setattr(proximal, "SMALLEST_SET", 5)
    grown = proximal_newton(objective, start, tol=1e-11, max_iter=100)
    scores = objective.scores
    np.testing.assert_allclose(scores.unpack(grown.w)[0], scores.unpack(everything.w)[0], atol=1e-7)
    np.testing.assert_array_equal(grown.w != 0.0, everything.w != 0.0)
    sizes = []
    model = type(objective.at(start)).model
    monkeypatch.setattr(
        type(objective.at(start)),
        "model",
        lambda self, mask, caution: sizes.append(mask.sum()) or model(self, mask, caution),
    )
    proximal_newton(objective, start, tol=1e-6, max_iter=100)
    assert sizes[0] < len(start) / 2


def test_the_support_is_exact_at_a_small_gap():
    # Split into positive and negative parts the problem is smooth with bounds, which L-BFGS-B solves.
    objective, start = make(C=0.5)
    solution = proximal_newton(objective, start, tol=1e-10, max_iter=100)
    l1 = objective.penalty.l1

    def split(v):
        plus, minus = np.split(v, 2)
        point = objective.at(plus - minus)
        value = point.value - objective.penalty.value(plus - minus) + l1 @ (plus + minus)
        return value, np.concatenate([point.slopes + l1, l1 - point.slopes])

    found = optimize.minimize(
        split, np.zeros(2 * len(start)), jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * (2 * len(start)),
        options={"maxiter": 5000, "maxfun": 10_000, "ftol": 1e-16, "gtol": 1e-10},
    )  # fmt: skip
    assert solution.value <= found.fun + 1e-14
    other = found.x[: len(start)] - found.x[len(start) :]
    penalised = l1 > 0.0
    np.testing.assert_array_equal(solution.w[penalised] != 0.0, np.abs(other[penalised]) > 1e-6)


@pytest.mark.parametrize("seed", [1, 3])
def test_far_starts_are_left_with_short_steps(seed):
    objective, start = make(C=100.0)
    best = proximal_newton(objective, start, tol=1e-9, max_iter=200)
    far = 30.0 * np.random.default_rng(seed).normal(size=len(start))
    solution = proximal_newton(objective, far, tol=1e-9, max_iter=200)
    assert solution.converged
    assert solution.value == pytest.approx(best.value, rel=1e-8)


def test_an_infinite_start_is_an_error():
    objective, start = make()
    with pytest.raises(ValueError, match="not finite at the start"):
        proximal_newton(objective, start * np.nan, tol=1e-6, max_iter=10)


def test_without_a_proof_the_last_model_speaks():
    objective, start = make(C=0.05, factors=np.arange(40) > 0)
    solution = proximal_newton(objective, start, tol=1e-9, max_iter=100)
    assert solution.certificate.kind == "stationarity"
    assert solution.converged
    assert solution.gradient_norm < 1e-5
    exact = proximal_newton(objective, solution.w, tol=0.0, max_iter=100)
    assert solution.value - exact.value <= 10.0 * solution.certificate.bound + 1e-14
