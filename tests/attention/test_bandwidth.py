"""Bandwidths chosen by leave-one-out: against statsmodels, a grid, refits, and finite differences."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sksoft.attention.bandwidth import choose_bandwidth, effective_dof, loo_predictions, smooth
from sksoft.attention.smoothers import SMOOTHERS


def waves(n=60):
    """What `KernelReg(y, X, var_type='cc', reg_type='lc', bw='cv_ls')` of statsmodels 0.15.0 was given below."""
    i = np.arange(n)
    X = np.column_stack([2.0 * np.sin(1.7 * i), np.cos(2.9 * i + 1.0)])
    return X, (np.sin(2.0 * X[:, 0]) + 0.2 * np.cos(7.3 * i))[:, None]


def noisy(n, p, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return X, (np.sin(2.0 * X[:, 0]) + 0.1 * rng.normal(size=n))[:, None]


# statsmodels 0.15.0 returns a negative bandwidth for the first feature; only its square is in the loss
@pytest.mark.parametrize(
    ("features", "metric", "bandwidth", "loss"),
    [(1, "scale", [0.0166456], 0.01240815), (2, "ard", [-0.01939764, 0.50175451], 0.0120099)],
)
def test_the_loss_is_no_higher_than_that_of_statsmodels(features, metric, bandwidth, loss):
    X, y = waves()
    chosen = choose_bandwidth(X[:, :features], y, np.ones(60), metric=metric, tol=1e-7)
    assert chosen.loss <= loss + 5e-9
    np.testing.assert_allclose(chosen.bandwidth[0], np.abs(bandwidth), rtol=2e-3)
    assert chosen.converged
    theirs = replace(chosen, bandwidth=np.abs([bandwidth]))
    error = loo_predictions(theirs, X[:, :features], y, np.ones(60)) - y
    assert np.mean(error**2) == pytest.approx(loss, abs=5e-9)


@pytest.mark.parametrize("kernel", SMOOTHERS)
def test_it_is_the_least_of_a_grid(kernel):
    X, y = noisy(50, 1)
    options = {"kernel": kernel, "prior_mix": 0.02}
    chosen = choose_bandwidth(X, y, np.ones(50), **options)
    grid = [
        np.mean((loo_predictions(replace(chosen, bandwidth=np.array([[h]])), X, y, np.ones(50)) - y) ** 2)
        for h in np.geomspace(0.02, 20.0, 80)
    ]
    assert chosen.loss <= min(grid) + 1e-6


def test_features_that_do_not_matter_have_large_bandwidths_and_constant_ones_infinite():
    X, y = noisy(150, 3)
    X[:, 2] = 5.0
    chosen = choose_bandwidth(X, y, np.ones(150), metric="ard")
    assert chosen.bandwidth[0, 1] > 5.0 * chosen.bandwidth[0, 0]
    assert chosen.bandwidth[0, 2] == np.inf
    other = X + [0.0, 0.0, 3.0]
    np.testing.assert_array_equal(smooth(chosen, other, X, y, np.ones(150)), smooth(chosen, X, X, y, np.ones(150)))


@pytest.mark.parametrize("metric", ["scale", "ard", "linear"])
@pytest.mark.parametrize("loss", ["squared", "log"])
def test_a_weight_is_a_repetition_and_zero_is_a_removal(metric, loss):
    X, y = noisy(60, 2)
    T = np.hstack([y > 0, y <= 0]).astype(float) if loss == "log" else y
    weights = np.random.default_rng(2).integers(0, 3, 60)
    copies = np.random.default_rng(3).permutation(np.repeat(np.arange(60), weights))
    options = {"metric": metric, "loss": loss, "tol": 1e-6}
    once = choose_bandwidth(X, T, weights.astype(float), **options)
    often = choose_bandwidth(X[copies], T[copies], np.ones(len(copies)), **options)
    assert often.loss == pytest.approx(once.loss, rel=1e-6)
    answers = [
        smooth(once, X, X, T, weights.astype(float)),
        smooth(often, X, X[copies], T[copies], np.ones(len(copies))),
    ]
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-3)


def test_copies_do_not_send_the_bandwidth_to_zero():
    X, y = noisy(50, 1)
    noisy_copies = np.concatenate([y, y + 0.05])
    twice = choose_bandwidth(np.concatenate([X, X]), noisy_copies, np.ones(100))
    once = choose_bandwidth(X, y + 0.025, np.ones(50))
    assert twice.bandwidth[0, 0] == pytest.approx(once.bandwidth[0, 0], rel=1e-3)
    assert twice.loss == pytest.approx(once.loss + 0.025**2, rel=1e-6)


def test_groups_are_left_out_together():
    X, y = noisy(60, 1)
    groups = np.repeat(np.arange(20), 3)
    X[1::3], X[2::3] = X[::3] + 1e-3, X[::3] - 1e-3  # three measurements of each
    y[1::3], y[2::3] = y[::3], y[::3]
    alone, together = (choose_bandwidth(X, y, np.ones(60), g) for g in (None, groups))
    assert alone.loss < 1e-3 < together.loss
    assert together.bandwidth[0, 0] > 10.0 * alone.bandwidth[0, 0]
    errors = loo_predictions(together, X, y, np.ones(60), groups) - y
    assert together.loss == pytest.approx(np.mean(errors**2), rel=1e-12)
    for g in range(20):
        rest, own = groups != g, groups == g
        expected = smooth(together, X[own], X[rest], y[rest], np.ones(57))
        np.testing.assert_allclose(loo_predictions(together, X, y, np.ones(60), groups)[own], expected, rtol=1e-10)


def test_two_heads_are_no_worse_than_one_and_share_their_weights():
    X, y = noisy(120, 1)
    y = np.where(X < 0, np.sin(12.0 * X), 0.2 * X)  # rough on one side, smooth on the other
    one, two = (choose_bandwidth(X, y, np.ones(120), heads=h) for h in (1, 2))
    assert two.loss <= one.loss * (1.0 + 1e-4)
    assert two.bandwidth.shape == (2, 1)
    assert two.heads.mixing.sum() == pytest.approx(1.0)


def test_a_linear_metric_finds_the_direction_that_matters():
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(300, 5)), rng.normal(size=(300, 5))
    T, truth = (np.eye(2)[(Z[:, 0] + Z[:, 1] > 0).astype(int)] for Z in (X, new))
    losses = []
    for metric in ("scale", "linear"):
        chosen = choose_bandwidth(X, T, np.ones(300), loss="log", metric=metric)
        losses.append(-np.mean(np.log((smooth(chosen, new, X, T, np.ones(300)) * truth).sum(axis=1))))
    assert losses[1] < 0.7 * losses[0]
    assert chosen.transformation.shape == (1, 5, 5)
    first = np.linalg.svd(chosen.transformation[0])[0][:, 0]
    assert abs(first @ np.array([1.0, 1.0, 0.0, 0.0, 0.0])) / np.sqrt(2.0) > 0.9


def test_local_lines_have_no_bias_at_the_edge():
    X = np.sort(np.random.default_rng(0).uniform(size=(80, 1)), axis=0)
    y = 3.0 * X + 0.05 * np.random.default_rng(1).normal(size=(80, 1))
    means, lines = (choose_bandwidth(X, y, np.ones(80), degree=degree) for degree in (0, 1))
    edge = np.array([[0.0], [1.0]])
    errors = [np.abs(smooth(c, edge, X, y, np.ones(80)) - 3.0 * edge).max() for c in (means, lines)]
    assert lines.loss < means.loss
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize("kernel", SMOOTHERS)
@pytest.mark.parametrize("degree", [0, 1])
def test_effective_dof_is_the_trace_of_the_derivative(kernel, degree):
    X, y = noisy(30, 2)
    weights = np.random.default_rng(1).integers(0, 3, 30).astype(float)
    chosen = choose_bandwidth(X, y, weights, kernel=kernel, degree=degree, heads=2, prior_mix="loo", tol=1e-2)
    trace = 0.0
    for i in np.flatnonzero(weights):
        moved = y.copy()
        moved[i] += 1.0  # answers are linear in the targets
        other = replace(chosen, heads=replace(chosen.heads, prior=weights @ moved / weights.sum()))
        trace += (smooth(other, X, X, moved, weights) - smooth(chosen, X, X, y, weights))[i, 0]
    assert effective_dof(chosen, X, y, weights) == pytest.approx(trace, rel=1e-8)


def test_the_same_bits_twice():
    X, y = noisy(80, 2)
    first, second = (choose_bandwidth(X, y, np.ones(80), metric="ard") for _ in range(2))
    np.testing.assert_array_equal(first.bandwidth, second.bandwidth)


def test_a_search_that_stops_early_says_so():
    X, y = noisy(80, 3)
    with pytest.warns(ConvergenceWarning, match=r"stopped after \d+ iterations with a gradient of .*, above"):
        chosen = choose_bandwidth(X, y, np.ones(80), metric="ard", max_iter=1)
    assert not chosen.converged


@pytest.mark.parametrize(
    ("X", "options", "message"),
    [
        (np.zeros((1, 1)), {}, "at least two distinct rows"),
        (np.zeros((5, 1)), {}, "at least two distinct rows"),
        (np.arange(5.0)[:, None], {"groups": np.zeros(5)}, "at least two groups"),
        (np.ones((4, 2)), {"groups": np.arange(4)}, "every feature is the same"),
        (np.arange(5.0)[:, None], {"degree": 1, "loss": "log"}, "degree=1 needs loss='squared'"),
    ],
)
def test_bad_input(X, options, message):
    with pytest.raises(ValueError, match=message):
        choose_bandwidth(X, np.ones((len(X), 1)), np.ones(len(X)), **options)
