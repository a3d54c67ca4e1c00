"""The leave-one-out loss against models refitted without the row, and its gradient against finite differences."""

import numpy as np
import pytest

from sksoft.attention.distinct_rows import distinct_rows
from sksoft.attention.feature_maps import Ard, Linear, Scale
from sksoft.attention.leave_one_out import LeaveOneOut
from sksoft.attention.smoothers import SMOOTHERS

N, P = 26, 3
RNG = np.random.default_rng(0)
X, REAL, WEIGHTS = RNG.normal(size=(N, P)), RNG.normal(size=(N, 2)), RNG.integers(1, 4, N).astype(float)
CLASSES, GROUPS = np.eye(3)[RNG.integers(0, 3, N)], RNG.integers(0, 6, N)
MAPS = {"scale": Scale(P), "ard": Ard(np.zeros(P, dtype=bool)), "linear": Linear(P, 2)}


def objective(kernel="gaussian", metric="ard", loss="squared", groups=None, **options):
    rows = distinct_rows(X, CLASSES if loss == "log" else REAL, WEIGHTS, groups)
    return LeaveOneOut(rows, SMOOTHERS[kernel], MAPS[metric], loss, **options)


def numeric_gradient(F, theta, step=1e-6, **options):
    both = [(F.evaluate(theta + e, **options)[0], F.evaluate(theta - e, **options)[0]) for e in step * np.eye(F.size)]
    return np.array([(up - down) / (2.0 * step) for up, down in both])


@pytest.mark.parametrize("loss", ["squared", "log"])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_loss_is_that_of_answers_without_the_row(loss, grouped):
    groups = GROUPS if grouped else np.arange(N)
    F = objective(loss=loss, groups=GROUPS if grouped else None)
    theta = np.log([0.7, 1.3, 2.0])
    T, total = CLASSES if loss == "log" else REAL, 0.0
    for i in range(N):
        others = np.flatnonzero(groups != groups[i])
        a = WEIGHTS[others] * np.exp(-0.5 * (((X[others] - X[i]) / np.exp(theta)) ** 2).sum(axis=1))
        answer = a @ T[others] / a.sum()
        np.testing.assert_allclose(F.predictions(theta)[i], answer, rtol=1e-11)
        total += WEIGHTS[i] * (((answer - T[i]) ** 2).sum() if loss == "squared" else -np.log(answer @ T[i]))
    assert F.evaluate(theta)[0] == pytest.approx(total / WEIGHTS.sum(), rel=1e-12)


@pytest.mark.parametrize("kernel", SMOOTHERS)
@pytest.mark.parametrize("metric", MAPS)
@pytest.mark.parametrize(
    "options",
    [
        {"loss": "squared"},
        {"loss": "log", "n_heads": 2, "learns_sinks": True, "prior_mix": 0.05, "groups": GROUPS},
        {"loss": "squared", "n_heads": 2, "learns_sinks": True, "degree": 1},
    ],
    ids=["squared", "log, heads, sinks, groups", "lines"],
)
def test_the_gradient_is_that_of_finite_differences(kernel, metric, options):
    F = objective(kernel, metric, **options)
    theta = 0.3 * np.random.default_rng(1).normal(size=F.size)
    exact, numeric = F.evaluate(theta)[1], numeric_gradient(F, theta)
    np.testing.assert_allclose(exact, numeric, rtol=2e-6, atol=2e-7 * np.abs(numeric).max())


def test_queries_and_absent_keys():
    absent = np.arange(N) % 5 == 0
    F, queries = objective(absent=absent), np.flatnonzero(absent)
    theta = np.log([0.7, 1.3, 2.0])
    kept = np.flatnonzero(~absent)
    total = 0.0
    for i in queries:
        a = WEIGHTS[kept] * np.exp(-0.5 * (((X[kept] - X[i]) / np.exp(theta)) ** 2).sum(axis=1))
        total += WEIGHTS[i] * ((a @ REAL[kept] / a.sum() - REAL[i]) ** 2).sum()
    value, gradient = F.evaluate(theta, queries)
    assert value == pytest.approx(total / WEIGHTS[queries].sum(), rel=1e-12)
    np.testing.assert_allclose(gradient, numeric_gradient(F, theta, queries=queries), rtol=1e-6)
    assert F.evaluate(theta, queries, slope=False)[0] == value


def test_a_weight_is_a_repetition():
    copies = np.repeat(np.arange(N), WEIGHTS.astype(int))
    F, theta = objective(), np.log([0.7, 1.3, 2.0])
    often = LeaveOneOut(
        distinct_rows(X[copies], REAL[copies], np.ones(len(copies))), F.smoother, MAPS["ard"], "squared"
    )
    assert often.evaluate(theta)[0] == pytest.approx(F.evaluate(theta)[0], rel=1e-14)
    np.testing.assert_allclose(often.evaluate(theta)[1], F.evaluate(theta)[1], rtol=1e-12)


def test_a_probability_of_zero_is_a_large_loss_and_no_error():
    F = objective(loss="log")
    value, gradient = F.evaluate(np.full(P, -6.0))
    assert 1.0 < value < 500.0
    assert np.isfinite(gradient).all()


def test_constant_features_are_not_looked_at():
    constant = np.array([False, True, False])
    F = LeaveOneOut(distinct_rows(X, REAL, WEIGHTS), SMOOTHERS["gaussian"], Ard(constant), "squared")
    two = LeaveOneOut(distinct_rows(X[:, ::2], REAL, WEIGHTS), SMOOTHERS["gaussian"], Ard(constant[::2]), "squared")
    theta = np.array([0.1, -3.0, 0.4])
    assert F.evaluate(theta)[0] == pytest.approx(two.evaluate(theta[::2])[0], rel=1e-14)
    np.testing.assert_array_equal(F.feature_map.bandwidth(theta), [np.exp(0.1), np.inf, np.exp(0.4)])
