"""Mixture weights against a general solver, arbitrary precision and cases with a known answer."""

import mpmath
import numpy as np
import pytest
from scipy.optimize import minimize

from sksoft.objective.mixture import Mixture
from sksoft.solvers import mixture


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def mixture_weights(q, s=None, **options):
    return mixture.mixture_weights(Mixture(q, s), **options)


def gaussians(rng, n, n_components):
    x = 2.0 * rng.normal(size=n)
    centres = np.linspace(-6.0, 6.0, n_components)
    return np.exp(-0.5 * (x[:, None] - centres) ** 2)


def classes(rng, n, n_components, sharpness=2.0):
    share = rng.dirichlet(np.full(n_components, 0.2))
    y = rng.choice(n_components, n, p=share)
    z = rng.normal(size=(n, n_components))
    z[np.arange(n), y] += sharpness
    return np.exp(sharpness * z)


def slopes(q, s, w):
    return (s / s.sum() / (q @ w)) @ q


@pytest.mark.parametrize("make", [gaussians, classes], ids=["overlapping", "classes"])
@pytest.mark.parametrize(("n", "n_components"), [(300, 2), (300, 7), (2000, 40)])
def test_no_general_solver_finds_better_weights(rng, make, n, n_components):
    q, s = make(rng, n, n_components), rng.exponential(size=n)
    solution = mixture_weights(q, s)
    share = s / s.sum()

    def loss(w):
        return -share @ np.log(q @ w), -(share / (q @ w)) @ q

    reference = minimize(
        loss,
        np.full(n_components, 1.0 / n_components),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * n_components,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": np.ones_like},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    feasible = reference.x / reference.x.sum()  # it meets the constraint to 1e-13 only
    assert solution.value <= loss(feasible)[0] + 1e-14 * abs(solution.value)  # the rounding of a sum
    assert solution.value >= loss(feasible)[0] - 1e-6
    np.testing.assert_allclose(solution.w.sum(), 1.0, rtol=1e-14)
    assert solution.w.min() >= 0.0
    assert solution.converged


@pytest.mark.parametrize("n_components", [3, 60, 400])
@pytest.mark.parametrize("make", [gaussians, classes], ids=["overlapping", "classes"])
def test_gap_is_small_and_that_of_the_weights(rng, make, n_components):
    q, s = make(rng, 1500, n_components), rng.integers(1, 5, size=1500).astype(float)
    solution = mixture_weights(q, s)
    assert solution.certificate.kind == "gap"
    assert solution.certificate.gap < 1e-12
    assert solution.n_iter <= 20
    assert slopes(q, s, solution.w).max() - 1.0 <= solution.certificate.gap
    assert make is classes or (solution.w > 0.0).sum() < n_components or n_components == 3


def test_bound_holds_at_every_stage(rng):
    q = classes(rng, 500, 12)
    best = mixture_weights(q).value
    for max_iter in range(1, 6):
        early = mixture_weights(q, tol=0.0, max_iter=max_iter)
        assert early.value - best <= early.certificate.gap


def test_digits_of_an_exact_solution():
    """Two components: the maximum is a root of one equation, found with 40 digits."""
    q = np.array([[0.9, 0.2], [0.3, 0.4], [0.5, 0.6], [0.05, 0.8], [0.7, 0.1]])
    s = np.array([1.0, 2.0, 3.0, 1.5, 2.5])
    with mpmath.workdps(40):
        w = mpmath.findroot(
            lambda w: sum(si * (a - b) / (w * a + (1 - w) * b) for si, (a, b) in zip(s.tolist(), q.tolist())), 0.6
        )
        loss = -sum(si * mpmath.log(w * a + (1 - w) * b) for si, (a, b) in zip(s.tolist(), q.tolist())) / sum(s)
    solution = mixture_weights(q, s)
    np.testing.assert_allclose(solution.w, [float(w), 1.0 - float(w)], rtol=1e-13)
    np.testing.assert_allclose(solution.value, float(loss), rtol=1e-14)


def test_components_that_cannot_mix_get_the_share_of_their_rows():
    q = np.eye(4)[[0, 1, 1, 2, 2, 2]]
    solution = mixture_weights(q)
    np.testing.assert_allclose(solution.w, [1 / 6, 2 / 6, 3 / 6, 0.0], atol=1e-15)


def test_dominated_component_gets_exactly_nothing(rng):
    good = rng.random((50, 1)) + 0.5
    solution = mixture_weights(np.hstack([good, 0.5 * good, 0.9 * good]))
    np.testing.assert_array_equal(solution.w, [1.0, 0.0, 0.0])


def test_components_alike_share_and_the_gap_is_small_all_the_same(rng):
    q = rng.random((200, 2))
    solution = mixture_weights(np.column_stack([q[:, 0], q[:, 0], q[:, 1]]))
    alone = mixture_weights(q)
    np.testing.assert_allclose(solution.value, alone.value, rtol=1e-13)
    np.testing.assert_allclose(solution.w[:2].sum(), alone.w[0], atol=1e-9)
    np.testing.assert_allclose(solution.w[:2], alone.w[0] / 2, atol=1e-4)
    assert solution.certificate.gap < 1e-12


def test_scale_of_a_row_and_of_the_weights_does_not_matter(rng):
    q, s = classes(rng, 300, 5), rng.exponential(size=300)
    reference = mixture_weights(q, s).w
    np.testing.assert_allclose(mixture_weights(q * np.logspace(-200, 200, 300)[:, None], s).w, reference, atol=1e-11)
    np.testing.assert_allclose(mixture_weights(q, s * 1e300).w, reference, atol=1e-12)


def test_weight_is_repetition(rng):
    q, s = gaussians(rng, 200, 30), rng.integers(1, 4, size=200)
    weighted, repeated = mixture_weights(q, s.astype(float)), mixture_weights(np.repeat(q, s, axis=0))
    np.testing.assert_allclose(weighted.value, repeated.value, rtol=1e-13)
    np.testing.assert_allclose(weighted.w, repeated.w, atol=1e-7)


def test_what_max_iter_leaves_is_not_called_converged(rng):
    solution = mixture_weights(gaussians(rng, 400, 20), max_iter=1)
    assert (solution.converged, solution.stopped_by) == (False, "max_iter")
    assert solution.certificate.gap > 1e-10


def test_one_component():
    assert mixture_weights(np.array([[0.3], [0.2]])).w == [1.0]


def test_row_that_no_component_explains():
    with pytest.raises(ValueError, match=r"Row 1 has likelihood zero under every component\."):
        mixture_weights(np.array([[0.5, 0.5], [0.0, 0.0]]))
