"""Penalties against what their formulas say: brute-force minima and maxima, and derivatives by differences."""

import numpy as np
import pytest
from scipy import optimize

from sksoft.objective.penalties import ElasticNet, GroupLasso, Ridge

ROWS, COLUMNS = 3, 4
SIZE = ROWS * COLUMNS


def bounds_of(signs):
    return np.where(signs > 0, 0.0, -np.inf), np.where(signs < 0, 0.0, np.inf)


def elastic_net(signed=True, l2=True):
    generator = np.random.default_rng(1)
    signs = np.resize([0, 1, -1, 0, 0], SIZE) if signed else np.zeros(SIZE)
    l1 = generator.uniform(0.2, 1.0, size=SIZE) * (np.arange(SIZE) % 6 != 5)
    return ElasticNet(l1, generator.uniform(0.1, 1.0, size=SIZE) * l2, *bounds_of(signs))


def group_lasso(signed=True, l2=True):
    generator = np.random.default_rng(2)
    signs = np.resize([0, 1, -1, 0, 0], SIZE) if signed else np.zeros(SIZE)
    l1 = generator.uniform(0.5, 1.0, size=COLUMNS) * (np.arange(COLUMNS) != 3)
    return GroupLasso(l1, generator.uniform(0.1, 1.0, size=COLUMNS) * l2, *bounds_of(signs), ROWS)


PENALTIES = {
    f"{make.__name__}-{signed=}-{l2=}": make(signed, l2)
    for make in (elastic_net, group_lasso)
    for signed in (False, True)
    for l2 in (False, True)
}


def by_formula(penalty, w):
    """R(w), written out."""
    if isinstance(penalty, ElasticNet):
        return sum(a * abs(x) + 0.5 * b * x * x for a, b, x in zip(penalty.l1, penalty.l2, w))
    W = w.reshape(ROWS, COLUMNS)
    return sum(
        penalty.l1[j] * np.linalg.norm(W[:, j]) + 0.5 * penalty.l2[j] * (W[:, j] ** 2).sum() for j in range(COLUMNS)
    )


def points(penalty, n=30, seed=0):
    """Feasible points, many with zeros and zero columns."""
    generator = np.random.default_rng(seed)
    for _ in range(n):
        w = generator.normal(size=SIZE) * (generator.uniform(size=SIZE) < 0.6)
        w.reshape(ROWS, COLUMNS)[:, generator.uniform(size=COLUMNS) < 0.3] = 0.0
        yield np.clip(w, penalty.lower, penalty.upper)


@pytest.mark.parametrize("name", PENALTIES)
def test_value_and_change_are_the_formula(name):
    penalty = PENALTIES[name]
    before = np.zeros(SIZE)
    for w in points(penalty):
        assert penalty.value(w) == pytest.approx(by_formula(penalty, w), rel=1e-14)
        expected = by_formula(penalty, w) - by_formula(penalty, before)
        assert penalty.change(w, before) == pytest.approx(expected, rel=1e-12, abs=1e-14)
        before = w


@pytest.mark.parametrize("name", PENALTIES)
def test_prox_is_no_worse_than_a_search(name):
    penalty, step = PENALTIES[name], 0.7
    generator = np.random.default_rng(3)
    for _ in range(5):
        target = 2.0 * generator.normal(size=SIZE)

        def objective(v, target=target):
            return 0.5 * ((v - target) ** 2).sum() + step * by_formula(penalty, v)

        ours = penalty.prox(target, step)
        found = optimize.minimize(
            objective, ours + 0.1, method="SLSQP", bounds=list(zip(penalty.lower, penalty.upper)), tol=1e-14
        )
        assert ((ours >= penalty.lower) & (ours <= penalty.upper)).all()
        assert objective(ours) <= found.fun + 1e-12
        # strong convexity: what is not the minimum is above it by this
        assert 0.5 * ((ours - found.x) ** 2).sum() <= found.fun - objective(ours) + 1e-12


@pytest.mark.parametrize("name", PENALTIES)
def test_least_is_zero_at_a_prox_and_only_there(name):
    penalty, step = PENALTIES[name], 0.7
    target = 2.0 * np.random.default_rng(4).normal(size=SIZE)
    w = penalty.prox(target, step)
    assert np.abs(penalty.least(w, (w - target) / step)).max() < 1e-14
    assert np.abs(penalty.least(w, (w - target) / step + 0.1)).max() > 1e-3


@pytest.mark.parametrize("name", PENALTIES)
def test_least_is_the_steepest_descent(name):
    # Of all subgradients the least one, negated, is the direction of steepest descent, and F falls at the rate ‖·‖².
    penalty, h = PENALTIES[name], 1e-7
    generator = np.random.default_rng(5)
    for w in points(penalty):
        slopes = generator.normal(size=SIZE)

        def rate(d, w=w, slopes=slopes):
            change = by_formula(penalty, w + h * d) - by_formula(penalty, w)
            return slopes @ d + change / h

        least = penalty.least(w, slopes)
        down = -least
        assert ((w + h * down >= penalty.lower) & (w + h * down <= penalty.upper)).all()
        assert rate(down) == pytest.approx(-(least @ least), abs=1e-4)
        for _ in range(10):
            d = generator.normal(size=SIZE)
            d = np.clip(w + h * d, penalty.lower, penalty.upper)
            d = (d - w) / h
            assert rate(d) >= -np.linalg.norm(least) * np.linalg.norm(d) - 1e-4


@pytest.mark.parametrize("name", [name for name in PENALTIES if "l2=True" in name])
def test_fenchel_gaps_hold_the_conjugate(name):
    penalty = PENALTIES[name]
    for w, slopes in zip(points(penalty, 3), points(penalty, 3, seed=9)):
        slopes = slopes + 0.3

        def negative(v, slopes=slopes):
            return by_formula(penalty, v) + slopes @ v

        # SLSQP passes kinks badly, so it starts at several points
        starts = [np.zeros(SIZE), penalty.prox(-slopes, 1.0), penalty.prox(-5.0 * slopes, 0.1)]
        bounds = list(zip(penalty.lower, penalty.upper))
        found = min(optimize.minimize(negative, s, method="SLSQP", bounds=bounds, tol=1e-13).fun for s in starts)
        gaps = penalty.fenchel_gaps(w, slopes)
        assert (gaps >= -1e-15).all()
        assert gaps.sum() == pytest.approx(by_formula(penalty, w) + slopes @ w - found, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", [name for name in PENALTIES if "l2=False" in name])
def test_share_is_where_the_conjugate_ends(name):
    penalty = PENALTIES[name]
    slopes = 3.0 * np.random.default_rng(6).normal(size=SIZE)
    share = penalty.share(slopes)
    assert 0.0 < share < 1.0
    kinked = np.resize(penalty.l1 > 0.0, SIZE)
    inside = penalty.least(np.zeros(SIZE), share * (1.0 - 1e-12) * slopes)[kinked]
    outside = penalty.least(np.zeros(SIZE), share * (1.0 + 1e-6) * slopes)[kinked]
    assert not inside.any()
    assert outside.any()
    assert penalty.share(1e-3 * slopes) == 1.0


@pytest.mark.parametrize("name", PENALTIES)
def test_slope_and_bend_are_derivatives_where_it_is_free(name):
    penalty, h = PENALTIES[name], 1e-6
    generator = np.random.default_rng(7)
    for w in points(penalty, 10):
        free = penalty.free(w)
        v = np.where(free, generator.normal(size=SIZE), 0.0)
        slope = (by_formula(penalty, w + h * v) - by_formula(penalty, w - h * v)) / (2.0 * h)
        assert penalty.slope(w) @ v == pytest.approx(slope, abs=1e-7)
        bend = (penalty.slope(w + h * v) - penalty.slope(w - h * v)) / (2.0 * h)
        np.testing.assert_allclose(penalty.bend(w).product(v, ROWS)[free], bend[free], atol=1e-6)


@pytest.mark.parametrize("name", PENALTIES)
def test_what_is_clipped_stays_in_the_piece_it_was_in(name):
    penalty = PENALTIES[name]
    generator = np.random.default_rng(8)
    for w in points(penalty, 10):
        moved = penalty.clipped(w + generator.normal(size=SIZE) * (w != 0.0), w)
        assert ((moved >= penalty.lower) & (moved <= penalty.upper)).all()
        if isinstance(penalty, ElasticNet):
            assert (moved * w >= 0.0)[penalty.l1 > 0.0].all()


def test_parts_and_joined_coordinates():
    net, groups = elastic_net(), group_lasso()
    mask = np.zeros(SIZE, bool)
    mask[[1, 6]] = True
    np.testing.assert_array_equal(net.joined(mask), mask)
    joined = groups.joined(mask)
    np.testing.assert_array_equal(np.flatnonzero(joined), [1, 2, 5, 6, 9, 10])
    w = next(points(groups))
    zeroed = np.where(joined, w, 0.0)
    assert groups.part(joined).value(w[joined]) == pytest.approx(groups.value(zeroed))
    assert net.part(mask).value(w[mask]) == pytest.approx(net.value(np.where(mask, w, 0.0)))


def test_a_single_row_of_groups_is_the_elastic_net():
    signs = np.array([0, 1, -1, 0])
    l1, l2 = np.array([0.3, 0.2, 0.5, 0.0]), np.array([0.0, 0.1, 0.2, 0.3])
    net, groups = ElasticNet(l1, l2, *bounds_of(signs)), GroupLasso(l1, l2, *bounds_of(signs), 1)
    generator = np.random.default_rng(0)
    for _ in range(20):
        w = np.clip(generator.normal(size=4) * (generator.uniform(size=4) < 0.6), net.lower, net.upper)
        slopes = generator.normal(size=4)
        np.testing.assert_allclose(groups.least(w, slopes), net.least(w, slopes), atol=1e-14)
        np.testing.assert_allclose(groups.fenchel_gaps(w, slopes), net.fenchel_gaps(w, slopes), atol=1e-14)
        np.testing.assert_allclose(groups.prox(slopes, 0.5), net.prox(slopes, 0.5), atol=1e-14)
        assert groups.share(slopes) == pytest.approx(net.share(slopes))


def test_a_ridge_is_an_elastic_net_without_a_kink():
    strength = np.random.default_rng(0).uniform(size=SIZE)
    ridge = Ridge(strength)
    net = ElasticNet(np.zeros(SIZE), strength, *bounds_of(np.zeros(SIZE)))
    for w in points(net, 5):
        slopes = np.random.default_rng(1).normal(size=SIZE)
        assert ridge.value(w) == pytest.approx(net.value(w))
        np.testing.assert_allclose(ridge.add_hessian_product(w, slopes.copy()), net.least(w, slopes))


@pytest.mark.parametrize("part", [1, 4, 7, 1 << 15])
def test_a_ridge_of_one_row_is_that_of_all_alike(part, monkeypatch):
    monkeypatch.setattr("sksoft.objective.penalties.PART", part)
    row = np.array([0.5, 0.0, 2.0, 1.0, 0.25])
    one, every = Ridge(row), Ridge(np.tile(row, 3))
    w, slopes = np.random.default_rng(0).normal(size=(2, 15))
    expected = np.tile(row, 3)
    for ridge in (one, every):
        assert ridge.value(w) == pytest.approx(0.5 * expected @ w**2)
        assert ridge.conjugate(w) == pytest.approx(0.5 * np.sum(w[expected > 0] ** 2 / expected[expected > 0]))
        assert ridge.unpenalised(15) == 3
        np.testing.assert_allclose(ridge.add_hessian_product(w, slopes.copy()), slopes + expected * w)


def test_the_first_kink_on_the_way():
    net = ElasticNet(np.array([1.0, 0.0, 1.0, 0.0]), np.zeros(4), *bounds_of(np.array([0, 0, 0, 1])))
    w, step = np.array([1.0, 1.0, -2.0, 3.0]), np.array([-4.0, -8.0, 4.0, -9.0])
    assert net.first_kink(w, step) == 0.25
    assert net.first_kink(w, step * [0, 1, 1, 1]) == pytest.approx(1 / 3)
    assert net.first_kink(w, np.abs(step) * np.sign(w)) == np.inf
    groups = GroupLasso(np.ones(2), np.zeros(2), *bounds_of(np.array([0, 1, 0, 0])), 2)
    assert groups.first_kink(w, step) == pytest.approx(1 / 8)
