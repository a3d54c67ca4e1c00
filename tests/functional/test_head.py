"""The choice of the largest scores, and numbers at the ends of their range; the rest is tested in test_attention."""

import numpy as np
import pytest
from scipy.special import softmax as scipy_softmax

import sksoft
from sksoft import attention_vjp, scaled_dot_product_attention
from sksoft.functional.head import largest

SCORES = ("dot", "rbf", "bilinear", "additive")


@pytest.fixture(params=["numpy", "numba"])
def backend(request):
    with sksoft.config_context(backend=request.param):
        yield request.param


def draw(score, dtype=np.float64):
    """Queries, keys, values and the keyword arguments of a score."""
    rng = np.random.default_rng(0)
    given = {"score": score}
    if score in ("bilinear", "additive"):
        given["score_weight"] = rng.standard_normal((3, 3) if score == "bilinear" else 3).astype(dtype)
    return [rng.standard_normal(shape).astype(dtype) for shape in ((5, 3), (7, 3), (7, 2))], given


def test_the_first_of_equal_scores_are_kept():
    z = np.array([[1.0, 3.0, 2.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(largest(z, 3), [[False, True, True, True, False], [True, True, True, False, False]])


def test_nan_is_kept_so_that_it_shows():
    z = np.array([[1.0, np.nan, 2.0, -np.inf, 0.0]])
    assert largest(z, 1)[0, 1]
    assert largest(z, 2)[0, 1]


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("top_k", [None, 4])
@pytest.mark.parametrize(("dtype", "temperature"), [("float64", 1e-308), ("float64", 5e-324), ("float32", 1e-40)])
def test_the_coldest_temperatures_are_the_largest_score(score, top_k, dtype, temperature):
    (q, k, v), given = draw(score, dtype)
    k[3], k[0] = k[5], k[5]  # three equal scores, of some queries the largest
    _, warm = scaled_dot_product_attention(q, k, v, return_weights=True, **given)
    out, weights, lse = scaled_dot_product_attention(
        q, k, v, temperature=temperature, top_k=top_k, return_weights=True, return_lse=True, **given
    )
    best = np.isclose(warm, warm.max(axis=1, keepdims=True), rtol=1e-6, atol=0.0)
    expected = best / best.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    np.testing.assert_allclose(out, expected @ v, rtol=1e-5)
    assert not np.isnan(lse).any()
    assert (lse != -np.inf).all()


@pytest.mark.usefixtures("backend")
def test_scores_of_1e308_at_1e_minus_300():
    q, k, v = np.array([[1e154], [-1e154]]), np.array([[1e154], [0.9e154], [-1e154]]), np.arange(3.0)[:, None]
    out = scaled_dot_product_attention(q, k, v, scale=1.0, temperature=1e-300)
    np.testing.assert_array_equal(out, [[0.0], [2.0]])


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_least_number_in_a_mask_is_not_minus_infinity(score, dtype, temperature):
    (q, k, v), given = draw(score, dtype)
    mask = np.zeros((5, 7), dtype)
    mask[:, 4] = mask[2] = np.finfo(dtype).min
    given.update(mask=mask, temperature=temperature)
    out, weights, lse = scaled_dot_product_attention(q, k, v, return_weights=True, return_lse=True, **given)
    seen = np.delete(np.arange(7), 4)
    bare = {**given, "mask": None}
    np.testing.assert_allclose(
        np.delete(out, 2, axis=0),
        np.delete(scaled_dot_product_attention(q, k[seen], v[seen], **bare), 2, axis=0),
        rtol=1e-5,
    )
    np.testing.assert_allclose(weights[2], 1 / 7, rtol=1e-6)
    np.testing.assert_allclose(out[2], v.mean(axis=0), rtol=1e-5)
    assert np.isfinite(lse).all()
    found = attention_vjp(q, k, v, np.ones_like(out), **given)
    assert all(part is None or np.isfinite(part).all() for part in found)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("fill", [1e30, np.finfo(np.float64).max, -1e300])
def test_large_padding_is_hidden_as_well_as_nan(score, fill):
    (q, k, v), given = draw(score)
    mask = np.random.default_rng(1).uniform(size=(5, 7)) < 0.8
    mask[:, [1, 4]], mask[:, 0] = False, True
    G = 100.0 * np.random.default_rng(2).standard_normal((5, 2))

    def everything(k, v):
        results = scaled_dot_product_attention(q, k, v, mask=mask, return_weights=True, return_lse=True, **given)
        return [*results, *(part for part in attention_vjp(q, k, v, G, mask=mask, **given) if part is not None)]

    clean = everything(k, v)
    k, v = k.copy(), v.copy()
    k[[1, 4]] = v[[1, 4]] = fill
    for ours, theirs in zip(everything(k, v), clean):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("score", SCORES)
def test_additive_masks_of_other_precisions(score):
    (q, k, v), given = draw(score)
    mask = np.random.default_rng(1).standard_normal((5, 7))
    for dtype in (np.float16, np.float32, np.longdouble):
        _, lse = scaled_dot_product_attention(q, k, v, mask=mask.astype(dtype), return_lse=True, **given)
        wide = mask.astype(dtype).astype(np.float64)
        _, expected = scaled_dot_product_attention(q, k, v, mask=wide, return_lse=True, **given)
        np.testing.assert_allclose(lse, expected, rtol=1e-13)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("score", SCORES)
def test_no_queries_and_no_values_have_gradients_of_their_shape(score):
    (q, k, v), given = draw(score)
    for queries, values in ((q[:0], v), (q, v[:, :0]), (q[:0], v[:, :0])):
        out = scaled_dot_product_attention(queries, k, values, **given)
        assert out.shape == (len(queries), values.shape[1])
        found = attention_vjp(queries, k, values, out, **given)
        for gradient, array in zip(found, (queries, k, values)):
            np.testing.assert_array_equal(gradient, np.zeros(array.shape))


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("score", SCORES)
def test_layouts_and_types_of_arrays_do_not_matter(score):
    (q, k, v), given = draw(score)
    q, k, v = (np.round(4.0 * array) for array in (q, k, v))
    expected = scaled_dot_product_attention(q, k, v, **given)
    np.testing.assert_allclose(expected, scipy_softmax(_scores(q, k, **given), axis=1) @ v, rtol=1e-12, atol=1e-14)
    layouts = {
        "fortran": np.asfortranarray,
        "strided": lambda array: np.repeat(array, 2, axis=0)[::2],
        "reversed": lambda array: array[::-1, ::-1].copy()[::-1, ::-1],
        "integers": lambda array: array.astype(np.int8),
        "float16": lambda array: array.astype(np.float16),
        "lists": np.ndarray.tolist,
        "big-endian": lambda array: array.astype(">f8"),
    }
    G = np.ones_like(expected)
    gradients = attention_vjp(q, k, v, G, **given)
    for name, layout in layouts.items():
        arrays = [layout(array) for array in (q, k, v)]
        before = [np.array(array) for array in arrays]
        for array in arrays:
            if isinstance(array, np.ndarray):
                array.flags.writeable = False
        out = scaled_dot_product_attention(*arrays, **given)
        np.testing.assert_allclose(out, expected, rtol=1e-13, err_msg=name)
        for ours, theirs in zip(attention_vjp(*arrays, G, **given)[:3], gradients):
            np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13, err_msg=name)
        for array, old in zip(arrays, before):
            np.testing.assert_array_equal(array, old)


def _scores(q, k, score, score_weight=None):
    if score == "rbf":
        return -0.5 * ((q[:, None] - k) ** 2).sum(axis=2)
    if score == "additive":
        return np.tanh(q[:, None] + k) @ score_weight
    return (q if score == "dot" else q @ score_weight) @ k.T / np.sqrt(3)
