"""Levenberg–Marquardt damping follows the steps as its formulas say."""

import numpy as np

from sksoft.solvers.damping import Damping


def test_no_damping_is_no_damping():
    def product(v):
        return 2.0 * v

    assert Damping(lambda: 1.0).added_to(product) is product


def test_short_steps_raise_it_and_good_full_steps_lower_it():
    damping = Damping(lambda: np.array([1.0, 4.0]))
    d = np.array([1.0, 0.5])  # dᵀDd = 2
    damping.follow(0.25, d, decrement=0.2, gain_share=1.0)
    np.testing.assert_allclose(damping.strength, 0.1 * 0.1 * 3.0)  # 0.1 h (1/t − 1), h = 0.1
    np.testing.assert_allclose(damping.added_to(lambda v: 0.0 * v)(np.ones(2)), damping.strength * np.array([1.0, 4.0]))
    before = damping.strength
    damping.follow(0.25, d, decrement=0.2, gain_share=1.0)
    assert damping.strength == 4.0 * before
    before = damping.strength
    damping.follow(1.0, d, decrement=0.2, gain_share=0.8)
    assert damping.strength == 0.3 * before
    damping.follow(1.0, d, decrement=0.2, gain_share=0.95)
    assert damping.strength == 0.1 * 0.3 * before
    damping.follow(1.0, d, decrement=0.2, gain_share=0.5)  # a poor full step leaves it
    assert damping.strength == 0.1 * 0.3 * before


def test_negligible_damping_is_none():
    damping = Damping(lambda: 1.0)
    damping.follow(0.4, np.ones(1), decrement=1.0, gain_share=1.0)
    for _ in range(10):
        damping.follow(1.0, np.ones(1), decrement=1.0, gain_share=1.0)
    assert damping.strength == 0.0
