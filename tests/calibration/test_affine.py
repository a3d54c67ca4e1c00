"""Affine maps of scores against SciPy's general minimiser, with and without penalties, for two and more classes."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from sksoft.calibration.affine import Strengths, affine_scores, fit_diagonal, fit_matrix
from sksoft.calibration.score_input import ScoredRows


def make(n_classes, n=150, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, n_classes))
    y = (x @ (np.eye(n_classes) + 0.3 * rng.normal(size=(n_classes, n_classes))) + rng.gumbel(size=x.shape)).argmax(1)
    offset = 0.3 * rng.normal(size=x.shape)
    return x, offset, ScoredRows(x, y, rng.uniform(0.5, 2.0, n), np.arange(n_classes), np.ones(n, bool))


def objective(x, offset, rows, strengths, diagonal):
    """F of (V, b), written down from the module's formula."""
    K = x.shape[1]

    def value(w):
        V, b = (np.diag(w[:K]), w[K:]) if diagonal else (w[: K * K].reshape(K, K), w[K * K :])
        losses = -log_softmax(offset + x @ V.T + b, axis=1)[np.arange(len(x)), rows.codes]
        own = np.diag(V)
        others = (V**2).sum() - own @ own
        penalty = strengths.diagonal * own @ own + strengths.off_diagonal * others + strengths.shift * b @ b
        return np.average(losses, weights=rows.weights) + 0.5 * penalty

    return value


@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("strengths", [Strengths(0.05, 0.4, 0.1), Strengths(0.3, 0.3, 0.02), Strengths(0.02, 2.0, 0.5)])
@pytest.mark.parametrize("diagonal", [True, False])
def test_the_penalised_minimum_is_scipys_and_its_gap_is_proved(n_classes, strengths, diagonal):
    x, offset, rows = make(n_classes)
    fit = fit_diagonal if diagonal else fit_matrix
    found, solution = fit(x, rows, strengths, offset=offset, tol=1e-12, max_iter=100)
    value = objective(x, offset, rows, strengths, diagonal)
    size = 2 * n_classes if diagonal else n_classes * (n_classes + 1)
    expected = minimize(value, np.zeros(size), method="BFGS", options={"gtol": 1e-9, "maxiter": 2000})
    w = np.concatenate([found.factors.ravel(), found.shifts])
    np.testing.assert_allclose(w, expected.x, atol=2e-6)
    assert value(w) == pytest.approx(solution.value, rel=1e-12)
    assert solution.certificate.kind == "gap"
    assert value(w) - expected.fun <= solution.certificate.bound + 1e-14


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("strengths", [Strengths(0.0, 0.0, 0.0), Strengths(0.0, 0.5, 0.1), Strengths(0.0, 0.2, 0.0)])
@pytest.mark.parametrize("diagonal", [True, False])
def test_what_is_not_penalised_is_fitted_as_well(n_classes, strengths, diagonal):
    x, offset, rows = make(n_classes)
    fit = fit_diagonal if diagonal else fit_matrix
    found, solution = fit(x, rows, strengths, offset=offset, tol=1e-12, max_iter=100)
    value = objective(x, offset, rows, strengths, diagonal)
    size = 2 * n_classes if diagonal else n_classes * (n_classes + 1)
    expected = minimize(value, np.zeros(size), method="BFGS", options={"gtol": 1e-9, "maxiter": 2000})
    w = np.concatenate([found.factors.ravel(), found.shifts])
    assert value(w) == pytest.approx(expected.fun, abs=1e-10)
    assert value(w) == pytest.approx(solution.value, rel=1e-12)
    assert solution.certificate.kind == "stationarity"
    assert solution.converged


def test_a_fit_continues_from_another_map():
    x, _, rows = make(4)
    strengths = Strengths(0.05, 0.4, 0.1)
    first, _ = fit_matrix(x, rows, strengths, tol=1e-10, max_iter=100)
    again, solution = fit_matrix(x, rows, strengths, start=first, tol=1e-10, max_iter=100)
    assert solution.n_iter <= 1
    np.testing.assert_allclose(again.factors, first.factors, atol=1e-8)


def test_scores_of_a_map():
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_allclose(affine_scores(x, np.array([[1.0, 1], [0, 2]]), np.array([1.0, 0.0])), [[4, 4], [8, 8]])
    np.testing.assert_allclose(affine_scores(x, np.array([1.0, 2]), np.array([1.0, 0.0])), [[2, 4], [4, 8]])
