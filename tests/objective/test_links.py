"""Every link: derivative against finite differences, conjugacy, and the constants it states."""

import numpy as np
import pytest

from sksoft.objective.links import LINKS, Entmax

SIMPLEX = ["softmax", "sparsemax", "entmax15", "entmax13"]
ALL = {**LINKS, "entmax13": Entmax(1.3)}


@pytest.fixture
def scores(rng):
    return rng.normal(size=(40, 6)) * rng.choice([0.1, 1.0, 4.0], size=(40, 1))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("name", ALL)
def test_jvp_is_the_derivative_of_predict(name, scores, rng):
    link, v = ALL[name], rng.normal(size=scores.shape)
    h = 1e-6
    numeric = (link.predict(scores + h * v) - link.predict(scores - h * v)) / (2 * h)
    same_support = ((link.predict(scores + h * v) > 0) == (link.predict(scores - h * v) > 0)).all(axis=1)
    assert same_support.sum() >= 35  # away from kinks, which are a null set
    analytic = link.jvp(link.predict(scores), v)
    # An entry of entmax about to leave the support has a curvature of order 1/p: the difference is coarse there.
    np.testing.assert_allclose(analytic[same_support], numeric[same_support], atol=2e-5)


@pytest.mark.parametrize("name", ALL)
def test_predict_is_the_gradient_of_conjugate(name, scores, rng):
    link, v = ALL[name], rng.normal(size=scores.shape)
    h = 1e-5
    numeric = (link.conjugate(scores + h * v) - link.conjugate(scores - h * v)) / (2 * h)
    np.testing.assert_allclose((link.predict(scores) * v).sum(axis=1), numeric, atol=1e-8)


@pytest.mark.parametrize("name", SIMPLEX)
def test_fenchel_young_holds_with_equality_at_predict_and_inequality_elsewhere(name, scores, rng):
    link = ALL[name]
    p = link.predict(scores)
    np.testing.assert_allclose(link.conjugate(scores) + link.negentropy(p), (p * scores).sum(axis=1), atol=1e-12)
    other = rng.dirichlet(np.ones(6), size=len(scores))
    assert (link.conjugate(scores) + link.negentropy(other) >= (other * scores).sum(axis=1) - 1e-12).all()


@pytest.mark.parametrize("name", SIMPLEX)
def test_negentropy_is_zero_at_vertices_and_least_at_the_centre(name, rng):
    link = ALL[name]
    np.testing.assert_allclose(link.negentropy(np.eye(5)), 0.0, atol=1e-15)
    centre = link.negentropy(np.full((1, 5), 0.2))
    np.testing.assert_allclose(-centre, link.max_entropy(5), rtol=1e-12)
    assert (link.negentropy(rng.dirichlet(np.ones(5), size=50)) >= centre).all()


def test_sigmoid_entropy_bound():
    np.testing.assert_allclose(-LINKS["sigmoid"].negentropy(np.full((1, 5), 0.5)), LINKS["sigmoid"].max_entropy(5))


@pytest.mark.parametrize("name", ALL)
def test_jvp_is_symmetric_and_weighted(name, scores, rng):
    link = ALL[name]
    p, u, v, w = link.predict(scores), *rng.normal(size=(2, *scores.shape)), rng.uniform(size=len(scores))
    np.testing.assert_allclose((link.jvp(p, u) * v).sum(1), (link.jvp(p, v) * u).sum(1), atol=1e-12)
    np.testing.assert_allclose(link.jvp(p, v, weights=w), w[:, None] * link.jvp(p, v), atol=1e-14)
    out = v.copy()
    assert link.jvp(p, out, out=out) is out
    np.testing.assert_allclose(out, link.jvp(p, v), atol=1e-15)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", SIMPLEX)
def test_jacobian_is_that_of_a_softmax_with_tilted_distributions(name, scores, rng, dtype):
    link = ALL[name]
    p, v = link.predict(scores).astype(dtype), rng.normal(size=scores.shape).astype(dtype)
    tilted, scale = link.tilted(p)
    assert tilted.dtype == dtype
    np.testing.assert_allclose(tilted.sum(axis=1), 1.0, rtol=1e-6)
    product = LINKS["softmax"].jvp(tilted, v, weights=np.ones(len(p)) if scale is None else scale)
    np.testing.assert_allclose(product, link.jvp(p, v), atol=1e-13 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize("name", SIMPLEX)
def test_a_certain_row_has_exactly_no_curvature(name):
    tilted, scale = ALL[name].tilted(np.eye(3, dtype=np.float32))
    np.testing.assert_array_equal(tilted, np.eye(3))
    assert scale is None or (scale == 1.0).all()


@pytest.mark.parametrize("name", [name for name in SIMPLEX if name != "softmax"])
def test_terms_of_the_negentropy_have_one_sign_and_add_up(name, rng):
    link, p = ALL[name], rng.dirichlet(np.ones(6), size=20)
    terms = link.negentropy_terms(p)
    assert (terms <= 0.0).all()
    definition = ((p**link.alpha).sum(axis=1) - 1.0) / (link.alpha * (link.alpha - 1.0))
    np.testing.assert_allclose(terms.sum(axis=1), definition, rtol=1e-12)


def test_entmax_near_one_has_the_entropies_of_softmax(rng):
    p = rng.dirichlet(np.ones(6), size=20)
    near = Entmax(1.0 + 1e-9).negentropy(p)
    np.testing.assert_allclose(near, LINKS["softmax"].negentropy(p), rtol=1e-8)


@pytest.mark.parametrize("alpha", [1.0, 2.5, -1.0])
def test_entmax_outside_its_range_is_an_error(alpha):
    with pytest.raises(ValueError, match=r"'alpha' parameter of Entmax must be in \(1, 2\]"):
        Entmax(alpha)
