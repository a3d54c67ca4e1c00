"""The bounded logistic solver: arbitrary precision, the bound's proof in numbers, and a penniless optimum."""

import mpmath
import numpy as np
import pytest
from scipy.special import expit

from sksoft.objective.logistic import LogisticLoss
from sksoft.solvers import logistic

FREE = -np.inf


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(40, 2)), np.ones(40)])
    targets = (rng.random(40) < expit(X @ [2.5, -2.5, 0.3])).astype(float)
    return X, targets, rng.integers(1, 4, size=40).astype(float)


def bounded_logistic(X, targets, weights, lower, **options):
    return logistic.bounded_logistic(LogisticLoss(X, targets, weights), lower, **options)


def solve(problem, lower=(FREE, FREE, FREE), tol=1e-12, max_iter=100):
    return bounded_logistic(*problem, np.asarray(lower), tol=tol, max_iter=max_iter)


def test_digits(problem):
    X, t, s = problem

    def gradient(*w):
        eta = [mpmath.fdot(row, w) for row in X.tolist()]
        rest = [si * (1 / (1 + mpmath.exp(-e)) - ti) for si, ti, e in zip(s.tolist(), t.tolist(), eta)]
        return [mpmath.fdot(rest, column) for column in X.T.tolist()]

    solution = solve(problem)
    with mpmath.workdps(40):
        exact = mpmath.findroot(gradient, tuple(solution.w.tolist()))
    np.testing.assert_allclose(
        solution.w, [float(v) for v in exact], rtol=2e-13
    )  # roundings of the slopes, over the curvature
    assert solution.certificate.gap < 1e-20
    assert solution.stopped_by == "tolerance"


def test_bound_covers_every_stage_and_soon_says_something(problem):
    for lower in ((FREE, FREE, FREE), (0.0, 0.0, FREE)):
        best = solve(problem, lower, tol=0.0).value
        gaps = []
        for max_iter in range(1, 7):
            early = solve(problem, lower, tol=0.0, max_iter=max_iter)
            assert early.value - best <= early.certificate.gap + 1e-15
            gaps.append(early.certificate.gap)
        assert gaps[-1] < 1e-10


def test_bounds_hold_where_they_must(problem):
    """Of the two signs the second is wrong: the rest is the fit without that column."""
    X, t, s = problem
    solution = solve(problem, (0.0, 0.0, FREE))
    assert solution.w[1] == 0.0
    without = bounded_logistic(X[:, [0, 2]], t, s, np.array([FREE, FREE]), tol=1e-12, max_iter=100)
    np.testing.assert_allclose(solution.w[[0, 2]], without.w, rtol=1e-12)
    np.testing.assert_allclose(solution.value, without.value, rtol=1e-14)


def test_start_far_from_flat_rows_still_ends_there():
    """Columns of very different reach: the first steps overshoot and are shortened."""
    x = np.concatenate([np.linspace(-1, 1, 30), [50.0, -50.0]])
    X, t = np.column_stack([x, np.ones(32)]), np.append((x[:30] > 0.2).astype(float), [0.0, 1.0])
    solution = bounded_logistic(X, t, np.ones(32), np.array([FREE, FREE]), tol=1e-12, max_iter=100)
    slopes = (expit(X @ solution.w) - t) @ X
    np.testing.assert_allclose(slopes, 0.0, atol=1e-12)
    assert solution.converged


def test_separated_rows_stop_at_what_no_model_beats():
    X, t = np.column_stack([np.linspace(-1, 1, 10), np.ones(10)]), (np.arange(10) >= 5).astype(float)
    solution = bounded_logistic(X, t, np.ones(10), np.array([FREE, FREE]), tol=1e-10, max_iter=100)
    assert solution.stopped_by == "bound"
    assert solution.value <= 1e-10
    assert solution.certificate.gap == pytest.approx(solution.value)


def test_rows_that_cannot_be_told_apart_meet_the_mean(problem):
    _, t, s = problem
    solution = bounded_logistic(np.ones((40, 1)), t, s, np.array([FREE]), tol=1e-12, max_iter=100)
    np.testing.assert_allclose(expit(solution.w[0]), np.average(t, weights=s), rtol=1e-13)


def test_soft_targets_that_are_met_exactly_are_a_minimum():
    """Their entropy is reached at finite parameters: nothing separates them, and nothing grows for ever."""
    X = np.column_stack([np.tile([-1.0, 1.0], 10), np.ones(20)])
    targets = np.tile([0.2, 0.7], 10)
    solution = bounded_logistic(X, targets, np.ones(20), np.array([FREE, FREE]), tol=1e-10, max_iter=100)
    assert solution.stopped_by == "tolerance"
    np.testing.assert_allclose(expit(X @ solution.w), targets, rtol=1e-8)
    assert 0.0 <= solution.certificate.gap < 1e-10
