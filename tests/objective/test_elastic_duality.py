"""The gap under penalties with kinks: never below the true distance, zero at the optimum, its dual point by hand."""

import numpy as np
import pytest
from scipy import sparse
from scipy.special import logsumexp, xlogy
from sklearn.datasets import load_iris

from sksoft.linear.problem import Problem
from sksoft.objective.links import LINKS
from sksoft.objective.targets import Labels, SoftLabels
from sksoft.solvers import proximal_newton

X, Y = load_iris(return_X_y=True)
N, K = len(Y), 3
SIGNS = np.array([[1, 0, 0, -1], [0, 1, -1, 0], [0, 0, 0, 0]])
OPTIONS = {
    "l1": {"l1_ratio": 1.0},
    "elastic": {"l1_ratio": 0.5},
    "nearly l1": {"l1_ratio": 0.999},
    "groups": {"l1_ratio": 1.0, "grouped": True},
    "groups and ridge": {"l1_ratio": 0.7, "grouped": True},
    "signs": {"l1_ratio": 1.0, "signs": SIGNS},
    "ridge and signs": {"l1_ratio": 0.0, "signs": SIGNS},
    "group signs": {"l1_ratio": 0.8, "grouped": True, "signs": SIGNS},
    "no intercept": {"l1_ratio": 1.0, "fit_intercept": False},
    "offset": {"l1_ratio": 0.6, "offset": np.random.default_rng(0).normal(size=(N, K))},
    "sparse": {"l1_ratio": 1.0, "X": sparse.csr_array(X)},
    "two classes": {"l1_ratio": 0.9, "target": Labels((Y > 0).astype(np.intp), 2)},
    "soft": {"l1_ratio": 1.0, "target": SoftLabels(np.random.default_rng(0).dirichlet(np.ones(K), N))},
    "factors": {"l1_ratio": 1.0, "factors": np.array([0.5, 2.0, 1.0, 1.5])},
}


def make(C=1.0, link="softmax", **options):
    options = {"X": X, "target": Labels(Y.astype(np.intp), K)} | options
    return Problem(kinked=True, weights=np.ones(N), link=LINKS[link], strength=1.0 / (C * N), **options)


def solve(problem, tol=1e-12):
    return proximal_newton(problem.objective, problem.start(), tol=tol, max_iter=100)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("C", [0.02, 1.0, 50.0])
def test_the_gap_bounds_the_distance_and_vanishes(name, C):
    problem = make(C, **OPTIONS[name])
    objective, best = problem.objective, solve(problem)
    assert best.certificate.bound <= 1e-11 * best.value
    generator = np.random.default_rng(0)
    for scale in (1.0, 1e-2, 1e-4, 1e-6):
        w = best.w + scale * generator.normal(size=len(best.w)) * (generator.uniform(size=len(best.w)) < 0.5)
        point = objective.at(np.clip(w, objective.penalty.lower, objective.penalty.upper))
        assert point.value - best.value - 1e-14 <= point.gap() <= point.value
    assert objective.at(best.w).gap() < 1e-5 * objective.at(0.0 * best.w).gap()


@pytest.mark.parametrize("link", ["sparsemax", "entmax15"])
def test_the_gap_of_other_links_bounds_the_distance(link):
    objective = make(1.0, link, l1_ratio=0.5).objective
    generator = np.random.default_rng(0)
    values, gaps = [], []
    for _ in range(200):
        point = objective.at(0.3 * generator.normal(size=objective.scores.n_parameters))
        values.append(point.value)
        gaps.append(point.gap())
    assert (np.array(values) - min(values) <= np.array(gaps)).all()


def test_the_bound_is_that_of_a_feasible_dual_point():
    # Shifted onto the intercept's constraint, scaled into |G| ≤ λ: F − D there is below the bound.
    problem = make(1.0, l1_ratio=1.0)
    objective, near = problem.objective, solve(problem, tol=1e-3)
    columns = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0)])
    weights, target = np.full(N, 1.0 / N), np.eye(K)[Y]
    w = near.w + 1e-3 * np.random.default_rng(0).normal(size=len(near.w))
    W, b = w.reshape(K, -1)[:, :-1], w.reshape(K, -1)[:, -1]
    z = columns @ W.T + b
    p = np.exp(z - logsumexp(z, axis=1, keepdims=True))
    g, mean = weights @ (p - target), weights @ target
    epsilon = (g / (mean + g)).max()
    p = (1.0 - epsilon) * p + epsilon * (mean - (1.0 - epsilon) / epsilon * g)
    np.testing.assert_allclose(weights @ (p - target), 0.0, atol=1e-15)
    G = (p - target).T @ (weights[:, None] * columns)
    bound = 1.0 / N / X.std(axis=0)  # λ in the coordinates of standardised columns
    theta = min(1.0, (bound / np.abs(G)).min())
    p = target + theta * (p - target)
    assert theta < 1.0
    assert (np.abs((p - target).T @ (weights[:, None] * columns)) <= bound * (1 + 1e-12)).all()
    primal = weights @ (logsumexp(z, axis=1) - z[np.arange(N), Y]) + (bound * np.abs(W)).sum()
    dual = -(weights @ xlogy(p, p).sum(axis=1))
    point = objective.at(w)
    assert point.value == pytest.approx(primal, rel=1e-13)
    assert primal - dual <= point.gap() <= 20.0 * (primal - dual)


def test_nothing_is_proved_where_a_coefficient_is_free():
    assert np.isnan(make(1.0, l1_ratio=1.0, factors=np.array([1.0, 0.0, 1.0, 1.0])).objective.at(np.zeros(15)).gap())
    free = make(np.inf, l1_ratio=1.0, signs=np.array([1, 1, -1, 0]))
    assert np.isnan(free.objective.at(np.zeros(15)).gap())
