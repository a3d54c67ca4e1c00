"""The softmax references against mpmath at 50 digits, SciPy and finite differences, and what every backend promises."""

import mpmath
import numpy as np
import pytest
from scipy import special

from sksoft import config_context
from sksoft.kernels import rowwise

BACKENDS = ["numpy", "numba"]
ROWS = [
    [0.0, 1.0, 2.0],
    [1e308, -1e308, 0.0],
    [1e308, 1e308, 1e308],
    [-1e308, -1e308, -1e308],
    [0.0, -40.0, -700.0],
    [3.0, 3.0 - 1e-12, -5.0],
    [1e-300, 0.0, -1e-300],
    [-np.inf, 0.5, 0.25],
]
TEMPERATURES = [1.0, 0.3, 25.0, 1e-300, 1e300]


def exact(row, temperature):
    """Probabilities, log-probabilities and logsumexp of a row at 50 digits."""
    with mpmath.workdps(50):
        scaled = [mpmath.mpf(float(s)) / mpmath.mpf(temperature) for s in row]
        top = max(scaled)
        exps = [mpmath.exp(s - top) for s in scaled]
        total = mpmath.fsum(exps)
        log_proba = [s - top - mpmath.log(total) for s in scaled]
        return [e / total for e in exps], log_proba, top + mpmath.log(total)


def as_float(value):
    """The nearest float, ±inf beyond the range."""
    return float(value) if abs(value) < mpmath.mpf("1.797e308") else float(mpmath.sign(value)) * np.inf


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("wide", [False, True])
def test_values_at_fifty_digits(backend, temperature, wide):
    scores = np.array(ROWS)
    if wide:  # the other memory layout of the compiled kernels
        scores = np.hstack([scores, np.full((len(scores), 60), -np.inf)])
    with config_context(backend=backend):
        proba = rowwise.softmax_rows(scores, temperature=temperature)
        log_proba = rowwise.log_softmax_rows(scores, temperature=temperature)
        value = rowwise.logsumexp_rows(scores, temperature=temperature)
    for i, row in enumerate(scores):
        p, log_p, total = exact(row, temperature)
        np.testing.assert_allclose(proba[i], [as_float(x) for x in p], rtol=3e-14, atol=1e-300)
        np.testing.assert_allclose(log_proba[i], [as_float(x) for x in log_p], rtol=1e-14, atol=5e-16)
        np.testing.assert_allclose(value[i], as_float(total), rtol=1e-15, atol=5e-16)


@pytest.mark.parametrize("backend", BACKENDS)
def test_agrees_with_scipy(backend):
    scores = np.random.default_rng(1).normal(scale=5.0, size=(50, 11))
    with config_context(backend=backend):
        np.testing.assert_allclose(rowwise.softmax_rows(scores), special.softmax(scores, axis=1), rtol=1e-13)
        np.testing.assert_allclose(rowwise.log_softmax_rows(scores), special.log_softmax(scores, axis=1), atol=1e-14)
        np.testing.assert_allclose(rowwise.logsumexp_rows(scores), special.logsumexp(scores, axis=1), rtol=1e-14)
        proba = rowwise.softmax_rows(scores)
        np.testing.assert_allclose(rowwise.entropy_rows(proba), special.entr(proba).sum(axis=1), rtol=1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("margin", [0.5, 40.0, 200.0, 690.0])
def test_a_certain_row_loses_nothing_to_cancellation(backend, margin):
    """Loss and true-class residual of scores (margin, 0, 0) are about 2 exp(−margin), far below rounding of 1."""
    scores = np.array([[margin, 0.0, 0.0]])
    residual = np.empty_like(scores)
    with config_context(backend=backend):
        value = rowwise.cross_entropy_rows(scores, np.array([0]), np.ones(1), residual=residual)
    with mpmath.workdps(700):
        others = 2 * mpmath.exp(-margin)
        np.testing.assert_allclose(value, float(mpmath.log(1 + others)), rtol=1e-13)
        np.testing.assert_allclose(residual[0, 0], float(-others / (1 + others)), rtol=1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n_classes", [4, 60])
def test_residual_is_the_gradient(backend, n_classes):
    rng = np.random.default_rng(2)
    scores, codes = rng.normal(size=(5, n_classes)), rng.integers(0, n_classes, size=5)
    weights = rng.uniform(size=5)
    residual, proba = np.empty_like(scores), np.empty_like(scores)

    def value(s):
        return rowwise.cross_entropy_rows(s, codes, weights, residual=np.empty_like(s))

    with config_context(backend=backend):
        rowwise.cross_entropy_rows(scores, codes, weights, residual=residual, proba=proba)
        for _ in range(5):
            direction = rng.normal(size=scores.shape)
            slope = (value(scores + 1e-5 * direction) - value(scores - 1e-5 * direction)) / 2e-5
            np.testing.assert_allclose(slope, np.vdot(residual, direction), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(proba, special.softmax(scores, axis=1), rtol=1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
def test_weight_zero_is_removal_whatever_the_row_holds(backend):
    scores = np.array([[0.0, 1.0], [np.nan, 1.0], [np.inf, np.nan]])
    residual = np.empty_like(scores)
    with config_context(backend=backend):
        value = rowwise.cross_entropy_rows(scores, np.array([0, 1, 0]), np.array([2.0, 0.0, 0.0]), residual=residual)
        alone = rowwise.cross_entropy_rows(scores[:1], np.array([0]), np.array([2.0]), residual=residual[:1].copy())
        product = rowwise.softmax_jvp_rows(scores, scores, weights=np.zeros(3))
    assert value == alone
    assert not residual[1:].any()
    assert not product.any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_jacobian_product_against_finite_differences(backend):
    rng = np.random.default_rng(3)
    scores, vectors = rng.normal(size=(6, 5)), rng.normal(size=(6, 5))
    weights = rng.uniform(size=6)
    with config_context(backend=backend):
        ahead, behind = (rowwise.softmax_rows(scores + step * vectors) for step in (1e-5, -1e-5))
        product = rowwise.softmax_jvp_rows(rowwise.softmax_rows(scores), vectors, weights=weights)
    np.testing.assert_allclose(product, weights[:, None] * (ahead - behind) / 2e-5, atol=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_float32_results_are_right_to_float32(backend, dtype):
    scores = np.random.default_rng(4).normal(scale=3.0, size=(40, 300)).astype(dtype)
    with config_context(backend=backend):
        proba = rowwise.softmax_rows(scores)
    assert proba.dtype == dtype
    np.testing.assert_allclose(proba, special.softmax(scores.astype(float), axis=1), rtol=3e-6)
    np.testing.assert_allclose(proba.sum(axis=1, dtype=float), 1.0, rtol=2e-7)


def divergence_at_fifty_digits(scores, targets):
    """KL(t ‖ softmax(s)) of one row."""
    with mpmath.workdps(50):
        _, log_proba, _ = exact(scores, 1.0)
        return mpmath.fsum(t * (mpmath.log(t) - log_p) for t, log_p in zip(targets, log_proba) if t > 0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("distance", [1.0, 1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("n_classes", [4, 60])
def test_divergence_from_near_targets_loses_nothing_to_cancellation(backend, distance, n_classes):
    """About distance² / 2, while log Σ exp(s) + Σ t log t − ⟨t, s⟩ is wrong by 1e-16 and more."""
    rng = np.random.default_rng(7)
    scores = rng.normal(size=(1, n_classes))
    with mpmath.workdps(50):
        exps = [mpmath.exp(s + float(distance * x)) for s, x in zip(scores[0], rng.normal(size=n_classes))]
        targets = [e / mpmath.fsum(exps) for e in exps]
        expected = float(divergence_at_fifty_digits(scores[0], targets))
    rounded = np.array([[float(t) for t in targets]])
    with config_context(backend=backend):
        value = rowwise.divergence_rows(scores, rounded, np.ones(1), residual=np.empty_like(scores))
    # rounding of t and s moves log(t/p) by a few 1e-16
    np.testing.assert_allclose(value, expected, rtol=1e-14 + 2e-15 / distance)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("distance", [1.0, 1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("smoothing", [0.5, 0.1, 1e-3])
def test_smoothed_labels_lose_nothing_to_cancellation(backend, distance, smoothing):
    rng = np.random.default_rng(8)
    with mpmath.workdps(50):
        share = mpmath.mpf(smoothing) / 5
        targets = [share] * 5
        targets[2] += 1 - mpmath.mpf(smoothing)
        scores = np.array([[float(mpmath.log(t) + float(distance * x)) for t, x in zip(targets, rng.normal(size=5))]])
        expected = divergence_at_fifty_digits(scores[0], targets)
        gradient = [float(p - t) for p, t in zip(exact(scores[0], 1.0)[0], targets)]
    residual = np.empty_like(scores)
    with config_context(backend=backend):
        value = rowwise.cross_entropy_rows(scores, np.array([2]), np.ones(1), residual=residual, smoothing=smoothing)
    np.testing.assert_allclose(value, float(expected), rtol=1e-14 + 4e-15 / distance)
    np.testing.assert_allclose(residual[0], gradient, atol=4e-16)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n_classes", [2, 7, 60])
def test_kernels_of_targets_agree_with_scipy(backend, n_classes):
    """Labels, smoothed labels and the same written out; scores of −inf; the gradient is p − t."""
    rng = np.random.default_rng(9)
    scores, codes, weights = rng.normal(size=(30, n_classes)), rng.integers(n_classes, size=30), rng.uniform(size=30)
    for smoothing in (0.0, 0.2):
        targets = np.full(scores.shape, smoothing / n_classes)
        targets[np.arange(30), codes] += 1.0 - smoothing
        proba = special.softmax(scores, axis=1)
        expected = weights @ special.rel_entr(targets, proba).sum(axis=1)
        for dtype in ("float64", "float32"):
            residual, kept = np.empty_like(scores), np.empty(scores.shape, dtype)
            with config_context(backend=backend):
                by_code = rowwise.cross_entropy_rows(
                    scores, codes, weights, residual=residual, proba=kept, smoothing=smoothing
                )
                np.testing.assert_allclose(residual, weights[:, None] * (proba - targets), atol=1e-15)
                written_out = rowwise.divergence_rows(scores, targets, weights, residual=residual, proba=kept)
            np.testing.assert_allclose(residual, weights[:, None] * (proba - targets), atol=1e-15)
            np.testing.assert_allclose([by_code, written_out], expected, rtol=1e-13)
            np.testing.assert_allclose(kept, proba, rtol=1e-13 if dtype == "float64" else 1e-7)


@pytest.mark.parametrize("backend", BACKENDS)
def test_impossible_classes_cost_nothing_unless_they_are_wanted(backend):
    scores = np.array([[-np.inf, 0.0, 0.0], [-np.inf, 0.0, 0.0]])
    targets = np.array([[0.0, 0.25, 0.75], [0.5, 0.5, 0.0]])
    residual = np.empty_like(scores)
    with config_context(backend=backend):
        value = rowwise.divergence_rows(scores, targets, np.array([1.0, 0.0]), residual=residual)
        np.testing.assert_allclose(value, 0.75 * np.log(0.75) + 0.25 * np.log(0.25) + np.log(2.0), rtol=1e-13)
        np.testing.assert_allclose(residual, [[0.0, 0.25, -0.25], [0.0, 0.0, 0.0]])
        assert rowwise.divergence_rows(scores, targets, np.ones(2), residual=residual) == np.inf
        np.testing.assert_allclose(residual[1], [-0.5, 0.0, 0.5])
        smoothed = rowwise.cross_entropy_rows(scores, np.array([1, 2]), np.ones(2), residual=residual, smoothing=0.1)
        assert smoothed == np.inf
