"""Mutual information of a committee: against high precision, its bounds, and ties that are ties."""

import mpmath
import numpy as np
import pytest

from sksoft.active.committee import mutual_information


def committee(n_members, n_rows, n_classes, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(n_classes, 0.5), (n_members, n_rows))


def exact(members, weights):
    """H(mean) less the mean of H, of one row."""

    def entropy(p):
        return -mpmath.fsum(x * mpmath.log(x) for x in p if x > 0)

    with mpmath.workdps(40):
        shares = [mpmath.mpf(w) / mpmath.fsum(weights) for w in weights]
        members = [[mpmath.mpf(x) for x in p] for p in members.tolist()]
        mean = [mpmath.fsum(s * p[k] for s, p in zip(shares, members)) for k in range(len(members[0]))]
        return float(entropy(mean) - mpmath.fsum(s * entropy(p) for s, p in zip(shares, members)))


@pytest.mark.parametrize("weights", [None, [1.0, 0.0, 2.5, 1.0]])
def test_it_is_that_of_high_precision(weights):
    members = committee(4, 30, 5)
    members[:, 3] = np.eye(5)[[0, 1, 2, 3]]
    found = mutual_information(members, weights)
    expected = [exact(members[:, i], weights or [1.0] * 4) for i in range(30)]
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-12)
    if weights is None:
        assert found[3] == pytest.approx(np.log(4))
    assert ((found >= 0) & (found <= np.log(4) + 1e-12)).all()


def test_members_that_agree_have_nothing_to_tell():
    np.testing.assert_array_equal(mutual_information(np.repeat(committee(1, 200, 7), 9, axis=0)), np.zeros(200))


def test_neither_the_order_of_classes_nor_that_of_members_tells_rows_apart():
    rng = np.random.default_rng(1)
    members = committee(7, 60, 6)
    others = np.stack([members[rng.permutation(7), i][:, rng.permutation(6)] for i in range(60)], axis=1)
    np.testing.assert_array_equal(mutual_information(others), mutual_information(members))
