"""Routing by agreement against the loops of the paper's procedure."""

import math

import numpy as np
import pytest

from sksoft.functional import routing_by_agreement

RNG = np.random.default_rng(0)
VOTES = RNG.normal(size=(6, 3, 4))


def literal(votes, n_iter):
    """Procedure 1 of Sabour, Frosst and Hinton, line by line."""
    n, m, d = votes.shape
    b = [[0.0] * m for _ in range(n)]
    for _ in range(n_iter):
        c = []
        for i in range(n):
            total = sum(math.exp(x) for x in b[i])
            c.append([math.exp(x) / total for x in b[i]])
        v = []
        for j in range(m):
            s = [sum(c[i][j] * votes[i, j, k] for i in range(n)) for k in range(d)]
            square = sum(x * x for x in s)
            v.append([square / (1.0 + square) * x / math.sqrt(square) for x in s])
        for i in range(n):
            for j in range(m):
                b[i][j] += sum(votes[i, j, k] * v[j][k] for k in range(d))
    return np.array(v), np.array(c)


@pytest.mark.parametrize("n_iter", [1, 2, 3, 7])
def test_it_is_the_procedure_of_the_paper(n_iter):
    parents, coupling = routing_by_agreement(VOTES, n_iter, return_coupling=True)
    expected_parents, expected_coupling = literal(VOTES, n_iter)
    np.testing.assert_allclose(parents, expected_parents, rtol=1e-12)
    np.testing.assert_allclose(coupling, expected_coupling, rtol=1e-12)


def test_leading_axes_are_cases_on_their_own():
    votes = RNG.normal(size=(2, 5, 6, 3, 4))
    together = routing_by_agreement(votes)
    assert together.shape == (2, 5, 3, 4)
    np.testing.assert_allclose(together[1, 3], routing_by_agreement(votes[1, 3]), rtol=1e-12)


def test_parents_are_shorter_than_one_and_shares_sum_to_one():
    parents, coupling = routing_by_agreement(1e3 * VOTES, return_coupling=True)
    assert (np.linalg.norm(parents, axis=-1) <= 1.0).all()
    np.testing.assert_allclose(coupling.sum(axis=-1), 1.0)


def test_agreement_draws_children_together():
    votes = np.zeros((4, 2, 2))
    votes[:3, 0] = [2.0, 0.0]
    votes[3, 0], votes[:, 1] = [-2.0, 0.0], RNG.normal(size=(4, 2))
    votes[3, 1] = [3.0, 3.0]
    shares = [routing_by_agreement(votes, n_iter, return_coupling=True)[1][:3, 0] for n_iter in (1, 3)]
    assert (shares[1] > shares[0]).all()


def test_extremes():
    np.testing.assert_array_equal(routing_by_agreement(np.zeros((2, 2, 2))), 0.0)
    huge = routing_by_agreement(np.full((1, 1, 2), 1e300), 1)
    np.testing.assert_allclose(np.linalg.norm(huge), 1.0)
    tiny = routing_by_agreement(np.full((1, 1, 2), 1e-200))
    np.testing.assert_array_equal(tiny, 0.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_of_the_largest_votes_do_not_overflow(dtype):
    votes = np.full((5, 2, 3), 0.9 * np.finfo(dtype).max, dtype)
    votes[:, 1] *= -1.0
    parents, coupling = routing_by_agreement(votes, return_coupling=True)
    np.testing.assert_allclose(np.abs(parents), 1.0 / np.sqrt(3.0), rtol=1e-6)
    np.testing.assert_allclose(coupling, 0.5)
    votes[:, 1] = 0.0  # all of them for one parent, by as much as can be
    parents, coupling = routing_by_agreement(votes, return_coupling=True)
    np.testing.assert_array_equal(coupling, np.tile(np.array([1.0, 0.0], dtype), (5, 1)))
    np.testing.assert_allclose(parents, np.array([[1.0], [0.0]]) / np.sqrt(3.0) * np.ones(3), rtol=1e-6)


def test_a_prior_can_forbid_parents():
    prior = np.zeros((6, 3))
    prior[2, 1] = -np.inf
    coupling = routing_by_agreement(VOTES, log_prior=prior, return_coupling=True)[1]
    assert coupling[2, 1] == 0.0
    free = routing_by_agreement(VOTES, log_prior=np.zeros(3))
    np.testing.assert_array_equal(free, routing_by_agreement(VOTES))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_priors_of_other_types_start_where_they_say(dtype):
    votes = VOTES.astype(dtype)
    for prior in ([0, 1, 2], np.array([0, 1, 2], np.int8), np.array([0.0, 1.0, 2.0], np.float16)):
        parents = routing_by_agreement(votes, log_prior=prior)
        assert parents.dtype == dtype
        np.testing.assert_array_equal(parents, routing_by_agreement(votes, log_prior=np.array([0.0, 1.0, 2.0], dtype)))
    coupling = routing_by_agreement(votes, log_prior=[-1e300, -1e300, 0.0], return_coupling=True)[1]
    np.testing.assert_array_equal(coupling, np.tile(np.array([0.0, 0.0, 1.0], dtype), (6, 1)))


def test_float32_stays_and_votes_are_left_as_they_were():
    votes = VOTES.astype(np.float32)
    before = votes.copy()
    parents = routing_by_agreement(votes)
    assert parents.dtype == np.float32
    np.testing.assert_array_equal(votes, before)
    np.testing.assert_allclose(parents, routing_by_agreement(VOTES), rtol=1e-4)


BAD = {
    "two axes": (VOTES[0], {}, r"'votes' parameter must be real numbers of shape \(..., n_children"),
    "words": (np.full((1, 1, 1), "a"), {}, "'votes' parameter must be real numbers"),
    "NaN": (np.full((1, 1, 1), np.nan), {}, "'votes' parameter must be finite"),
    "n_iter": (VOTES, {"n_iter": 0}, "'n_iter' parameter must be an int >= 1. Got 0"),
    "n_iter type": (VOTES, {"n_iter": 2.0}, "'n_iter' parameter must be an int >= 1. Got 2.0"),
    "prior shape": (VOTES, {"log_prior": np.zeros(4)}, r"broadcastable to \(6, 3\). Got shape \(4,\)"),
    "prior NaN": (VOTES, {"log_prior": np.full(3, np.nan)}, "'log_prior' parameter must hold numbers"),
    "no parents at all": (
        VOTES[:, :0],
        {},
        r"'votes' parameter must be for at least one parent. Got shape \(6, 0, 4\)",
    ),
    "prior complex": (
        VOTES,
        {"log_prior": np.zeros(3) * 1j},
        "'log_prior' parameter must be real numbers. Got .*complex",
    ),
    "prior words": (VOTES, {"log_prior": ["a"] * 3}, "'log_prior' parameter must be real numbers"),
    "no parent": (VOTES, {"log_prior": np.full(3, -np.inf)}, "must leave every child a parent"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    votes, options, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        routing_by_agreement(votes, **options)
