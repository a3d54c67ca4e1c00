"""The gap of fits with one free column, as distillation at two temperatures has: a bound at every point, and tight."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import softmax
from scipy.stats import entropy
from sklearn.datasets import load_iris

from sksoft import SoftmaxRegression
from sksoft.objective.duality import class_gradient, free_column, nearest_feasible

X, Y = load_iris(return_X_y=True)
RNG = np.random.default_rng(0)
COLUMN = RNG.uniform(0.2, 1.0, 150)


def objective(column=COLUMN, n_classes=3, dense=True, at=2, **parameters):
    keep = np.flatnonzero(n_classes > Y)
    features = np.insert(X[keep], at, column[keep], axis=1)
    penalty = np.where(np.arange(5) == at, 0.0, 1.0)
    model = SoftmaxRegression(fit_intercept=False, feature_penalty=penalty, **parameters)
    rows = features if dense else sparse.csr_array(features)
    return model._problem(rows, Y[keep], RNG.uniform(0.5, 2.0, len(keep)), None).objective


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("at", [0, 4])
def test_bounds_what_is_left_at_every_point_and_nothing_is_left_at_the_optimum(dense, n_classes, at):
    F = objective(n_classes=n_classes, dense=dense, at=at)
    assert free_column(F) == at

    def value(w):
        point = F.at(w)
        return point.value, point.gradient

    size = F.scores.n_parameters
    best = minimize(value, np.zeros(size), jac=True, method="BFGS", options={"gtol": 1e-13, "maxiter": 5000})
    for scale in (3.0, 0.1, 1e-3, 1e-5):
        point = F.at(best.x + scale * RNG.normal(size=size))
        assert point.value - best.fun <= point.gap()
    assert F.at(best.x).gap() < 1e-7


@pytest.mark.parametrize("column", [COLUMN, -COLUMN])
def test_the_neighbour_keeps_the_constraint_of_the_column_and_the_bound_is_that_of_its_dual(column):
    F = objective(column)
    design, a = F.batches.design.rows(slice(0, 150)), F.batches.weights
    target, strength = np.eye(3)[Y], F.penalty.strength.reshape(-1, 5)
    point = F.at(RNG.normal(size=15))
    W = point.w.reshape(3, 5)
    p = softmax(design @ W.T, axis=1)
    epsilon, q = nearest_feasible(point, class_gradient(F, point.gradient))
    assert q.min() >= 0.0
    assert q.sum() == pytest.approx(1.0, abs=1e-12)
    near = (1 - epsilon) * p + epsilon * q
    G = (a[:, None] * (near - target)).T @ design
    np.testing.assert_allclose(G[:, 2], 0.0, atol=1e-12)
    dual = a @ entropy(near, axis=1) - np.divide(G**2, 2 * strength, out=np.zeros_like(G), where=strength > 0).sum()
    # what is bounded and not computed: the entropies of p and q, and of their mixture
    slack = 2 * epsilon * np.log(3) + entropy([epsilon, 1 - epsilon])
    assert point.value - dual <= point.gap() <= point.value - dual + slack


@pytest.mark.parametrize(
    ("column", "provable"), [(COLUMN, True), (-COLUMN, True), (np.where(Y == 0, -1.0, 1.0), False)]
)
def test_a_column_of_another_sign_in_a_class_has_no_feasible_neighbour(column, provable):
    assert np.isfinite(objective(column).at(np.zeros(15)).gap()) == provable


def test_a_second_free_column_leaves_nothing_to_prove():
    weights = SoftmaxRegression(feature_penalty=[1.0, 0.0, 1.0, 1.0]).fit(X, Y)
    assert weights.certificate_ == "stationarity"
    both = SoftmaxRegression(feature_penalty=[1.0, 0.0, 0.0, 1.0], fit_intercept=False).fit(X, Y)
    assert both.certificate_ == "stationarity"
    one = SoftmaxRegression(feature_penalty=[1.0, 0.0, 1.0, 1.0], fit_intercept=False).fit(X, Y)
    assert one.certificate_ == "gap"
    assert one.gap_ <= 1e-6 * one.objective_
