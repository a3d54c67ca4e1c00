"""Fits of every link to a proved gap: the proof by hand, the optimum by SciPy, and that kinks do not stall Newton."""

import numpy as np
import pytest
from scipy import optimize
from sklearn.datasets import load_digits, load_iris

from sksoft.objective.batches import InMemory
from sksoft.objective.design import Dense
from sksoft.objective.links import LINKS, Entmax
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.objective import Objective
from sksoft.objective.penalties import Ridge
from sksoft.objective.scores import Linear
from sksoft.objective.targets import Labels, SmoothedLabels, SoftLabels
from sksoft.solvers import newton_cg

ALL = {name: link for name, link in LINKS.items() if link.on_simplex} | {"1.2": Entmax(1.2), "1.8": Entmax(1.8)}
LOADERS = {"iris": load_iris, "digits": load_digits}


def make(data, link, C, *, target=None, intercept=True):
    X, y = LOADERS[data](return_X_y=True)
    n, K = len(y), y.max() + 1
    design = Dense.standardised(X, np.ones(n), intercept=intercept)
    scores = Linear(X.shape[1], K, intercept)
    target = Labels(y, K) if target is None else target(y, K)
    penalty = Ridge(scores.spread(1.0 / (C * n) / design.scale**2))
    return Objective(FenchelYoung(ALL[link]), scores, InMemory(design, target, np.ones(n)), penalty)


def fit(objective, tol=1e-6):
    return newton_cg(objective, np.zeros(objective.scores.n_parameters), tol=tol, max_iter=100)


@pytest.mark.parametrize("link", ALL)
@pytest.mark.parametrize("C", [0.01, 1.0, 100.0, 1e4])
def test_iris_is_fitted_to_a_certificate(link, C):
    solution = fit(make("iris", link, C))
    assert solution.converged
    assert solution.certificate.kind == "gap"
    assert solution.certificate.bound <= 1e-6 * solution.value


@pytest.mark.parametrize("link", ["softmax", "1.2", "entmax15", "1.8"])
@pytest.mark.parametrize("C", [0.01, 1.0])
def test_digits_are_fitted_to_a_certificate(link, C):
    solution = fit(make("digits", link, C))
    assert solution.converged
    assert solution.certificate.bound <= 1e-6 * solution.value


TARGETS = {
    "smoothed": lambda y, K: SmoothedLabels(y, K, 0.2),
    "soft": lambda y, K: SoftLabels(0.8 * np.eye(K)[y] + 0.2 * np.random.default_rng(0).dirichlet(np.ones(K), len(y))),
}


@pytest.mark.parametrize("link", ALL)
@pytest.mark.parametrize("kind", TARGETS)
def test_smoothed_and_soft_labels_are_fitted_to_a_certificate(link, kind):
    for data in LOADERS:
        solution = fit(make(data, link, 1.0, target=TARGETS[kind]))
        assert solution.certificate.bound <= 1e-6 * solution.value


@pytest.mark.parametrize("link", ALL)
def test_the_gap_is_the_distance_to_a_dual_value_computed_by_hand(link):
    """Without an intercept D = Σ a [Ω(t) − Ω(p)] − Σ G² / (2 λ) needs no neighbour that is feasible."""
    objective = make("iris", link, 1.0, intercept=False)
    w = fit(objective).w
    w = w + 1e-2 * np.random.default_rng(0).normal(size=w.shape)
    point = objective.at(w)
    X, a, y = objective.batches.design.rows(slice(0, 150)), objective.batches.weights, objective.batches.target.codes
    proba = ALL[link].predict(X @ w.reshape(3, 4).T)
    G = ((proba - np.eye(3)[y]) * a[:, None]).T @ X
    dual = -a @ ALL[link].negentropy(proba) - np.sum(G**2 / (2.0 * objective.penalty.strength.reshape(3, 4)))
    assert point.gap() > 1e-6
    np.testing.assert_allclose(point.gap(), point.value - dual, rtol=1e-6)


@pytest.mark.parametrize("link", ALL)
@pytest.mark.parametrize("kind", [None, *TARGETS])
def test_the_optimum_is_scipys(link, kind):
    objective = make("iris", link, 1.0, target=TARGETS.get(kind))
    ours = fit(objective, tol=1e-10)

    def value_and_gradient(w):
        point = objective.at(w)
        return point.value, point.gradient

    start = np.random.default_rng(0).normal(size=objective.scores.n_parameters)
    options = {"maxiter": 20_000, "maxfun": 50_000, "gtol": 1e-11, "ftol": 1e-16, "maxcor": 50}
    theirs = optimize.minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options=options)
    np.testing.assert_allclose(theirs.fun, ours.value, rtol=1e-8)
    assert theirs.fun >= ours.value - ours.certificate.bound - 1e-15


@pytest.mark.parametrize("link", ["sparsemax", "entmax15"])
def test_sparse_links_leave_most_of_iris_certain(link):
    """What they are for: exact zeros, which softmax has none of; and rows beyond the margin exactly without loss."""
    objective = make("iris", link, 100.0)
    X = objective.batches.design.rows(slice(0, 150))
    proba = ALL[link].predict(X @ fit(objective).w.reshape(3, 5).T)
    assert (proba == 0.0).mean() > 0.5
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-12)
    assert (proba[:50].argmax(axis=1) == 0).all()
