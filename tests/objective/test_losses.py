"""Fenchel–Young losses of every link and target: definition, gradient, and that all ways to state a target agree."""

import mpmath
import numpy as np
import pytest
from scipy import sparse
from test_targets import KINDS, K, N, make

from sksoft import config_context
from sksoft.objective.links import LINKS, Entmax
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.targets import Labels, SoftLabels, SparseSoftLabels

ALL = {**LINKS, "entmax12": Entmax(1.2)}
SIMPLEX = {name: link for name, link in ALL.items() if link.on_simplex}


def evaluate(link, scores, target, weights, *, proba_dtype=None):
    residual = np.full_like(scores, 7.0)
    proba = np.empty(scores.shape, proba_dtype or scores.dtype)
    value = FenchelYoung(link).evaluate(scores, target, weights, residual=residual, proba=proba)
    return value, residual, proba


@pytest.fixture
def rng():
    return np.random.default_rng(2)


@pytest.fixture(params=["numpy", "numba"])
def backend(request):
    with config_context(backend=request.param):
        yield


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ALL)
def test_is_the_loss_of_the_definition_and_its_gradient(name, kind, rng):
    link, (target, matrix) = ALL[name], make(kind)
    scores, weights = 2.0 * rng.normal(size=(N, K)), rng.uniform(0.1, 1.0, size=N)
    value, residual, proba = evaluate(link, scores, target, weights)
    predicted = link.predict(scores)
    definition = link.conjugate(scores) + link.negentropy(matrix) - (matrix * scores).sum(axis=1)
    assert (definition > -1e-15).all()
    np.testing.assert_allclose(value, weights @ definition, rtol=1e-13)
    np.testing.assert_allclose(proba, predicted, rtol=1e-13)
    np.testing.assert_allclose(residual, weights[:, None] * (predicted - matrix), atol=1e-15)
    direction = rng.normal(size=scores.shape)
    ahead, behind = (evaluate(link, scores + h * direction, target, weights)[0] for h in (1e-5, -1e-5))
    np.testing.assert_allclose((ahead - behind) / 2e-5, np.vdot(residual, direction), rtol=1e-7, atol=1e-8)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ALL)
def test_precisions_may_differ_and_the_residual_may_be_the_scores(name, kind, rng):
    link, (target, _) = ALL[name], make(kind)
    scores, weights = rng.normal(size=(N, K)), rng.uniform(size=N)
    value, residual, proba = evaluate(link, scores, target, weights)
    for dtype, proba_dtype in [("float64", "float32"), ("float32", "float32"), ("float32", "float64")]:
        z = scores.astype(dtype)
        kept = np.empty(z.shape, proba_dtype)
        got = FenchelYoung(link).evaluate(z, target, weights, residual=z, proba=kept)
        np.testing.assert_allclose(got, value, rtol=1e-13 if dtype == "float64" else 1e-5)
        np.testing.assert_allclose(z, residual, atol=1e-15 if dtype == "float64" else 1e-6)
        np.testing.assert_allclose(kept, proba, atol=1e-6)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("name", SIMPLEX)
def test_a_soft_row_is_hard_rows_of_its_shares_but_for_the_entropy(name, rng):
    """s L(t, z) = Σ_k s t_k L(e_k, z) + s Ω(t): the same gradient, and values a constant apart."""
    link, proba = SIMPLEX[name], rng.dirichlet(np.ones(K), N)
    scores, weights = rng.normal(size=(N, K)), rng.uniform(size=N)
    value, residual, _ = evaluate(link, scores, SoftLabels(proba), weights)
    hard = Labels(np.tile(np.arange(K), N), K)
    split_value, split, _ = evaluate(link, np.repeat(scores, K, axis=0), hard, (weights[:, None] * proba).ravel())
    np.testing.assert_allclose(split.reshape(N, K, K).sum(axis=1), residual, atol=1e-15)
    np.testing.assert_allclose(value, split_value + weights @ link.negentropy(proba), rtol=1e-12)


@pytest.mark.parametrize("name", SIMPLEX)
def test_scores_far_from_zero_change_nothing(name, rng):
    link, (target, _) = SIMPLEX[name], make("labels")
    scores = np.round(rng.normal(size=(N, K)) * 2**20) / 2**20  # exact after the shift
    value, residual, _ = evaluate(link, scores, target, np.ones(N))
    far_value, far_residual, _ = evaluate(link, scores + 2.0**30, target, np.ones(N))
    np.testing.assert_allclose(far_value, value, rtol=1e-13)
    np.testing.assert_allclose(far_residual, residual, atol=1e-15)


@pytest.mark.parametrize("alpha", [1.1, 1.2, 1.5, 1.8, 2.0])
@pytest.mark.parametrize("label", [0, 2])
@pytest.mark.parametrize("short", [1e-6, 1e-3, 0.1, 0.7])
def test_loss_of_sparse_links_at_fifty_digits(alpha, label, short):
    """Scores that fall short of the margin 1 / (α − 1) for certainty: by bisection for the threshold.

    The loss of the label that is nearly certain is of the order of short² or less, and right to the rounding of the
    distance from the margin.
    """
    scores = np.array([[1.0 / (alpha - 1.0) - short, 0.0, -0.2]])
    value, residual, _ = evaluate(Entmax(alpha), scores, Labels(np.array([label]), 3), np.ones(1))
    with mpmath.workdps(90):
        a = mpmath.mpf(alpha)
        x = [(a - 1) * mpmath.mpf(s) for s in scores[0]]

        def entries(t):
            return [max(v - t, mpmath.mpf(0)) ** (1 / (a - 1)) for v in x]

        low, high = x[0] - 1, x[0]
        for _ in range(290):
            middle = (low + high) / 2
            low, high = (middle, high) if mpmath.fsum(entries(middle)) > 1 else (low, middle)
        p = entries(low)
        negentropy = (mpmath.fsum(v**a for v in p) - 1) / (a * (a - 1))
        expected = mpmath.fsum(v * s for v, s in zip(p, scores[0])) - negentropy - scores[0, label]
        gradient = [float(v - (k == label)) for k, v in enumerate(p)]
    np.testing.assert_allclose(value, float(expected), rtol=1e-14 + 1e-14 / (short * (alpha - 1.0)), atol=1e-45)
    np.testing.assert_allclose(residual[0], gradient, atol=1e-15)


@pytest.mark.parametrize("alpha", [1.2, 1.5, 2.0])
def test_beyond_the_margin_sparse_links_have_exactly_no_loss(alpha):
    scores = np.array([[30.0, 0.0, -1.0]])
    value, residual, _ = evaluate(Entmax(alpha), scores, Labels(np.array([0]), 3), np.ones(1))
    assert value == 0.0
    assert not residual.any()


def test_sparse_targets_of_many_classes_are_written_out_a_block_at_a_time(rng):
    proba = sparse.random_array((40, 3000), density=2e-3, rng=rng, format="csr") + sparse.csr_array(
        (np.ones(40), np.arange(40), np.arange(41)), shape=(40, 3000)
    )
    proba = sparse.csr_array(proba / proba.sum(axis=1)[:, None])
    scores = rng.normal(size=(40, 3000))
    by_entries = evaluate(LINKS["softmax"], scores, SparseSoftLabels(proba), np.ones(40))
    written_out = evaluate(LINKS["softmax"], scores, SoftLabels(proba.toarray()), np.ones(40))
    for ours, theirs in zip(by_entries, written_out):
        np.testing.assert_array_equal(ours, theirs)
