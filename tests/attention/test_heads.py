"""Heads and the prior: the formula, its limits, and its gradient."""

import numpy as np
import pytest

from sksoft.attention.heads import Heads

RNG = np.random.default_rng(0)
OUT, LSE, PRIOR = RNG.normal(size=(2, 6, 3)), 2.0 * RNG.normal(size=(2, 6)), np.array([0.2, 0.3, 0.5])


def combined(heads, outs=OUT, lses=LSE):
    return heads.combine([heads.answer(h, out, lse) for h, (out, lse) in enumerate(zip(outs, lses))])


def test_the_prior_has_the_weight_of_the_sink_and_its_fixed_share():
    heads = Heads(np.array([0.0, np.log(3.0)]), np.array([0.5, -1.0]), PRIOR, 0.1)
    trust = 0.9 * np.exp(LSE) / (np.exp(LSE) + np.exp(heads.sinks)[:, None])
    parts = trust[:, :, None] * OUT + (1.0 - trust[:, :, None]) * PRIOR
    np.testing.assert_allclose(combined(heads), 0.25 * parts[0] + 0.75 * parts[1], rtol=1e-13)


def test_without_sinks_the_answer_is_the_heads_own():
    heads = Heads(np.zeros(1), np.array([-np.inf]), PRIOR)
    np.testing.assert_array_equal(combined(heads, OUT[:1], LSE[:1]), OUT[0])


@pytest.mark.parametrize("sink", [-np.inf, 0.0])
def test_where_there_are_no_neighbours_the_prior_answers(sink):
    out, lse = np.full((1, 2, 3), np.nan), np.array([[-np.inf, 0.0]])
    out[0, 1] = 1.0
    answer = combined(Heads(np.zeros(1), np.array([sink]), PRIOR), out, lse)
    np.testing.assert_array_equal(answer[0], PRIOR)
    np.testing.assert_allclose(answer[1], 1.0 if sink == -np.inf else 0.5 + 0.5 * PRIOR)


def test_a_class_without_neighbours_keeps_a_probability_far_below_rounding_of_one():
    out, lse = np.array([[[1.0, 0.0, 0.0]]]), np.array([[300.0]])
    answer = combined(Heads(np.zeros(1), np.array([0.0]), PRIOR), out, lse)
    np.testing.assert_allclose(answer[0, 1:], np.exp(-300.0) * PRIOR[1:], rtol=1e-12)


def test_the_gradient_is_that_of_finite_differences():
    scores, sinks, upstream = np.array([0.3, -0.2]), np.array([0.5, -1.0]), RNG.normal(size=(6, 3))

    def value(theta):
        outs, lses = theta[:36].reshape(2, 6, 3), theta[36:48].reshape(2, 6)
        return np.vdot(upstream, combined(Heads(theta[48:50], theta[50:52], PRIOR, 0.1), outs, lses))

    theta = np.concatenate([OUT.ravel(), LSE.ravel(), scores, sinks])
    heads = Heads(scores, sinks, PRIOR, 0.1)
    answers = [heads.answer(h, OUT[h], LSE[h]) for h in range(2)]
    parts = heads.pull(OUT, LSE, answers, upstream)
    exact = np.concatenate([np.ravel(parts[0]), np.ravel(parts[1]), parts[2], parts[3]])
    numeric = [(value(theta + e) - value(theta - e)) / 2e-5 for e in 1e-5 * np.eye(52)]
    np.testing.assert_allclose(exact, numeric, rtol=1e-7, atol=1e-9)
