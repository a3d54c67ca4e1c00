"""Independent sigmoids: value, derivatives and bound of each label against mpmath, differences and the minimum."""

import mpmath
import numpy as np
import pytest
from scipy import optimize, sparse

from sksoft.objective.shared_features import SharedFeatures
from sksoft.objective.sigmoids import Sigmoids
from sksoft.solvers.batched_newton import subspace_newton

N, P, L, C = 30, 4, 3, 2.0


@pytest.fixture(params=["labels", "soft"])
def problem(request):
    return build(soft=request.param == "soft")


def build(*, soft=False, fit_intercept=True, is_sparse=False, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, P))
    T = rng.uniform(size=(N, L)) if soft else sparse.csc_array((rng.uniform(size=(N, L)) < 0.4).astype(float))
    weights, positive, negative = rng.uniform(0.2, 3.0, N), np.array([1.0, 2.0, 0.5]), np.array([1.0, 0.3, 4.0])
    features = SharedFeatures(sparse.csr_array(X) if is_sparse else X)
    sigmoids = Sigmoids(features, T, weights, positive, negative, C=C, fit_intercept=fit_intercept)
    sigmoids.given = X, T.toarray() if sparse.issparse(T) else T, weights, positive, negative
    return sigmoids


def value_in_mpmath(sigmoids, label, w, b):
    """F as the module's docstring defines it, to 40 digits."""
    X, T, weights, positive, negative = sigmoids.given
    with mpmath.workdps(40):
        losses, total = mpmath.mpf(0), mpmath.mpf(0)
        for x, t, s in zip(X, T[:, label], weights):
            of_one, of_none = mpmath.mpf(positive[label]) * t, mpmath.mpf(negative[label]) * (1 - mpmath.mpf(t))
            omega = of_one + of_none
            share = of_one / omega
            z = mpmath.fdot(w.tolist(), x.tolist()) + b
            own = sum(v * mpmath.log(v) for v in (share, 1 - share) if v > 0)
            losses += s * omega * (mpmath.log1p(mpmath.exp(z)) - share * z + own)
            total += s * omega
        return (losses + mpmath.fdot(w.tolist(), w.tolist()) / (2 * C)) / total


class At:
    """A group of all labels, evaluated at parameters (P + 1, L)."""

    def __init__(self, sigmoids, parameters):
        self.group = sigmoids.group(slice(None))
        self.group.load(np.arange(L))
        self.state = self.group.expand(parameters, np.empty((self.group.n_rows, L)))
        self.residual, self.curvature = np.empty_like(self.state), np.empty_like(self.state)
        self.values = self.group.evaluate(self.state, self.residual, self.curvature)
        self.gradient = self.group.gradient(self.residual)

    def gap(self):
        return self.group.gap(self.state, self.gradient, np.arange(L))


def parameters_like(scale, n=P + 1):
    return scale * np.random.default_rng(1).normal(size=(n, L))


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_the_value_is_the_formula(problem, scale):
    parameters = parameters_like(scale)
    for label, value in enumerate(At(problem, parameters).values):
        expected = value_in_mpmath(problem, label, parameters[:P, label], parameters[P, label])
        assert abs(value - expected) <= 1e-13 * abs(expected)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_gradient_is_that_of_the_value(problem, fit_intercept):
    problem = build(soft=not sparse.issparse(problem.targets), fit_intercept=fit_intercept)
    parameters = parameters_like(1.0, P + fit_intercept)
    gradient = At(problem, parameters).gradient
    for label in range(L):

        def value(w, label=label):
            moved = parameters.copy()
            moved[:, label] = w
            return At(problem, moved).values[label]

        differences = optimize.approx_fprime(parameters[:, label], value, 1e-6)
        np.testing.assert_allclose(gradient[:, label], differences, atol=1e-6)


def test_slopes_and_curvatures_along_states_are_those_of_the_value(problem):
    parameters, direction = parameters_like(0.7), parameters_like(1.0)[::-1].copy()
    at = At(problem, parameters)
    along = at.group.expand(direction, np.empty_like(at.state))
    slopes, curvatures = at.group.project(along[None], at.residual, at.curvature)
    h = 1e-4
    ahead, behind = (At(problem, parameters + sign * h * direction).values for sign in (1, -1))
    np.testing.assert_allclose(slopes[:, 0], (ahead - behind) / (2 * h), atol=1e-7)
    np.testing.assert_allclose(curvatures[:, 0, 0], (ahead - 2 * at.values + behind) / h**2, rtol=1e-5)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("scale", [0.0, 0.1, 1.0, 10.0])
def test_the_gap_bounds_the_distance_to_the_minimum(problem, fit_intercept, scale):
    problem = build(soft=not sparse.issparse(problem.targets), fit_intercept=fit_intercept)
    n = P + fit_intercept
    at = At(problem, parameters_like(scale, n))
    best = subspace_newton(problem.group(slice(None)), tol=1e-14, max_iter=200)
    assert np.all(at.gap() >= at.values - best.values)
    assert np.all(best.gaps <= 1e-13 * best.values + 1e-15)
    # and it closes: a step from the minimum that leaves the intercept the best one changes both to second order
    gaps, values = [], []
    for size in (1e-3, 1e-4):
        near = At(problem, best.parameters + with_best_intercept(problem, best.parameters, size, n))
        gaps.append(near.gap())
        values.append(near.values - best.values)
    np.testing.assert_allclose(gaps[0] / gaps[1], 100.0, rtol=0.05)
    np.testing.assert_allclose(values[0] / values[1], 100.0, rtol=0.05)


def with_best_intercept(problem, parameters, size, n):
    """A step of some size in W, and the step in b after which its derivative is zero."""
    step = size * parameters_like(1.0, n)
    for _ in range(20 * (n > P)):
        at = At(problem, parameters + step)
        step[P] -= at.gradient[P] / at.curvature[:N].sum(axis=0)
    return step


def test_the_start_has_the_shares_as_probabilities_and_its_gradient_is_known(problem):
    group = problem.group(slice(None))
    group.load(np.arange(L))
    start = group.start(np.arange(L))
    np.testing.assert_array_equal(start[:P], 0.0)
    at = At(problem, start)
    np.testing.assert_allclose(at.gradient[P], 0.0, atol=1e-15)
    np.testing.assert_allclose(group.start_gradient(None, np.arange(L)), at.gradient, atol=1e-15)


def test_sparse_features_are_dense_ones():
    dense, other = build(), build(is_sparse=True)
    parameters = parameters_like(1.0)
    one, two = At(dense, parameters), At(other, parameters)
    np.testing.assert_allclose(one.values, two.values, rtol=1e-14)
    np.testing.assert_allclose(one.gradient, two.gradient, atol=1e-15)
    np.testing.assert_allclose(one.gap(), two.gap(), rtol=1e-10)


def test_own_hessians_come_to_those_that_take_long(monkeypatch):
    """Where the shared metric is useless, every label gets a metric of its own after a while, which ends it soon."""
    monkeypatch.setattr("sksoft.objective.sigmoids.PATIENCE", 2)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 60)) * np.logspace(-3, 3, 60)
    T = sparse.csc_array((X[:, -6:] / X[:, -6:].std(axis=0) + rng.logistic(size=(400, 6)) > 3).astype(float))
    ones = np.ones(6)

    class Identity:
        def solve(self, residual, curvature, strength):
            return residual

    def fit():
        sigmoids = Sigmoids(SharedFeatures(X), T, np.ones(400), ones, ones, C=10.0, fit_intercept=True)
        sigmoids.metric = Identity()
        return subspace_newton(sigmoids.group(slice(None)), tol=1e-8, max_iter=100)

    assert fit().converged.all()
    monkeypatch.setattr("sksoft.objective.sigmoids.OWN_BYTES", 0)
    assert not fit().converged.any()


def test_groups_depend_on_the_number_of_labels_only():
    problem = build()
    assert problem.groups() == [slice(0, L)]
    group = problem.group(slice(1, 3))
    assert group.n_problems == 2
    assert group.load(np.arange(2)).tolist() == [0, 1]
    assert group.load(np.arange(2)).tolist() == []
