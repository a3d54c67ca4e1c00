"""Attention along any axes against its definition, its two other readings, finite differences, and bad input."""

import tracemalloc

import numpy as np
import pytest
from scipy.special import softmax as scipy_softmax
from sklearn.metrics.pairwise import rbf_kernel

import sksoft
from sksoft import attention_vjp, causal_mask, scaled_dot_product_attention

SCORES = ("dot", "rbf", "bilinear", "additive")


@pytest.fixture(params=["numpy", "numba"], autouse=True)
def backend(request):
    """Every test runs on both backends."""
    with sksoft.config_context(backend=request.param):
        yield request.param


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def draw(rng, score="dot", leading=(), n=5, m=7, d=3, v=2):
    """Queries, keys, values and the keyword arguments of a score."""
    given = {"score": score}
    if score in ("bilinear", "additive"):
        given["score_weight"] = rng.standard_normal((d, d) if score == "bilinear" else d)
    return [rng.standard_normal((*leading, *shape)) for shape in ((n, d), (m, d), (m, v))], given


def scores_of(q, k, score, score_weight=None):
    if score == "rbf":
        return -0.5 * ((q[:, None] - k) ** 2).sum(axis=2)
    if score == "additive":
        return np.tanh(q[:, None] + k) @ score_weight
    return (q if score == "dot" else q @ score_weight) @ k.T / np.sqrt(k.shape[1])


@pytest.mark.parametrize("score", SCORES)
def test_each_score_is_its_definition(rng, score):
    (q, k, v), given = draw(rng, score)
    z = scores_of(q, k, **given)
    out, weights, lse = scaled_dot_product_attention(q, k, v, return_weights=True, return_lse=True, **given)
    np.testing.assert_allclose(weights, scipy_softmax(z, axis=1), rtol=1e-13)
    np.testing.assert_allclose(out, scipy_softmax(z, axis=1) @ v, rtol=1e-12)
    np.testing.assert_allclose(lse, np.log(np.exp(z).sum(axis=1)), rtol=1e-12)


def test_attention_is_nadaraya_watson(rng):
    (q, k, v), _ = draw(rng, n=60, m=90, d=4)
    for gamma in (0.05, 0.5, 4.0):
        kernel = rbf_kernel(q, k, gamma=gamma)
        expected = kernel @ v / kernel.sum(axis=1, keepdims=True)
        found, weights = scaled_dot_product_attention(q, k, v, score="rbf", scale=2 * gamma, return_weights=True)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(weights, kernel / kernel.sum(axis=1, keepdims=True), rtol=1e-12, atol=1e-12)


def test_attention_is_the_boltzmann_distribution(rng):
    (q, k, v), _ = draw(rng)
    for temperature in (0.1, 1.0, 7.0):
        energy = -q @ k.T / np.sqrt(3)
        states = np.exp(-energy / temperature)
        out, weights, lse = scaled_dot_product_attention(
            q, k, v, temperature=temperature, return_weights=True, return_lse=True
        )
        np.testing.assert_allclose(weights, states / states.sum(axis=1, keepdims=True), rtol=1e-12)
        np.testing.assert_allclose(out, weights @ v, rtol=1e-12)
        # free energy = mean energy − temperature · entropy
        entropy = -(weights * np.log(weights)).sum(axis=1)
        np.testing.assert_allclose(-temperature * lse, (weights * energy).sum(axis=1) - temperature * entropy)


def test_the_square_root_of_d_keeps_the_variance_of_scores_at_one(rng):
    for d in (4, 64, 400):
        q, k = rng.standard_normal((400, d)), rng.standard_normal((300, d))
        _, weights, lse = scaled_dot_product_attention(q, k, k, return_weights=True, return_lse=True)
        variance = (np.log(weights) + lse[:, None]).var()
        assert abs(variance - 1.0) < 0.1
        _, weights, lse = scaled_dot_product_attention(q, k, k, scale=1.0, return_weights=True, return_lse=True)
        with np.errstate(divide="ignore"):
            logs = np.log(weights)
        assert (logs + lse[:, None])[np.isfinite(logs)].var() > 0.5 * d


@pytest.mark.parametrize("score", SCORES)
def test_leading_axes_are_heads_of_their_own(rng, score):
    (q, k, v), given = draw(rng, score, leading=(2, 3))
    out, lse = scaled_dot_product_attention(q, k, v, return_lse=True, **given)
    assert out.shape == (2, 3, 5, 2)
    assert lse.shape == (2, 3, 5)
    for index in np.ndindex(2, 3):
        alone, alone_lse = scaled_dot_product_attention(q[index], k[index], v[index], return_lse=True, **given)
        np.testing.assert_array_equal(out[index], alone)
        np.testing.assert_array_equal(lse[index], alone_lse)


def test_leading_axes_are_broadcast_and_their_gradients_summed(rng):
    (q, k, v), _ = draw(rng, leading=(2, 3))
    k, v = k[:, :1], v[0]
    full_k, full_v = np.broadcast_to(k, (2, 3, 7, 3)), np.broadcast_to(v, (2, 3, 7, 2))
    out = scaled_dot_product_attention(q, k, v)
    np.testing.assert_array_equal(out, scaled_dot_product_attention(q, full_k, full_v))
    short, full = attention_vjp(q, k, v, out), attention_vjp(q, full_k, full_v, out)
    np.testing.assert_allclose(short.keys, full.keys.sum(axis=1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(short.values, full.values.sum(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(short.queries, full.queries)


def test_groups_of_query_heads_share_keys_and_values(rng):
    (q, k, v), _ = draw(rng, leading=(2, 6))
    k, v = k[:, :2], v[:, :2]
    long_k, long_v = k.repeat(3, axis=1), v.repeat(3, axis=1)
    out = scaled_dot_product_attention(q, k, v)
    np.testing.assert_array_equal(out, scaled_dot_product_attention(q, long_k, long_v))
    short, full = attention_vjp(q, k, v, out), attention_vjp(q, long_k, long_v, out)
    np.testing.assert_allclose(short.keys, full.keys.reshape(2, 2, 3, 7, 3).sum(axis=2), rtol=1e-12)
    with pytest.raises(ValueError, match="must divide"):
        scaled_dot_product_attention(q[:, :5], k, v)


def test_a_temperature_for_each_head(rng):
    (q, k, v), _ = draw(rng, leading=(2, 3))
    temperatures = np.array([0.5, 1.0, 3.0])
    out = scaled_dot_product_attention(q, k, v, temperature=temperatures)
    for h, temperature in enumerate(temperatures):
        alone = scaled_dot_product_attention(q[:, h], k[:, h], v[:, h], temperature=temperature)
        np.testing.assert_array_equal(out[:, h], alone)


MASKS = {
    "all heads": lambda rng: rng.uniform(size=(5, 7)) < 0.7,
    "each head": lambda rng: rng.uniform(size=(2, 5, 7)) < 0.7,
    "padding": lambda rng: np.array([True] * 5 + [False] * 2),
    "padding by head": lambda rng: np.array([[True] * 5 + [False] * 2, [True] * 7])[:, None],
    "column": lambda rng: np.array([True, True, False, True, True])[:, None],
    "numbers": lambda rng: np.where(rng.uniform(size=(5, 7)) < 0.7, rng.standard_normal((5, 7)), -np.inf),
    "float32": lambda rng: rng.standard_normal((7,)).astype(np.float32),
}


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("is_causal", [False, True])
def test_masks_of_every_shape(rng, score, name, is_causal):
    (q, k, v), given = draw(rng, score, leading=(2,))
    mask = MASKS[name](rng)
    added = np.where(mask, 0.0, -np.inf) if mask.dtype == bool else mask
    added = np.broadcast_to(added, (2, 5, 7)) + (np.where(np.tri(5, 7), 0.0, -np.inf) if is_causal else 0.0)
    out, weights = scaled_dot_product_attention(
        q, k, v, mask=mask, is_causal=is_causal, temperature=0.7, empty="zero", return_weights=True, **given
    )
    for h in range(2):
        z = (scores_of(q[h], k[h], **given) + added[h]) / 0.7
        exps = np.exp(z)
        with np.errstate(invalid="ignore"):
            expected = np.nan_to_num(exps / exps.sum(axis=1, keepdims=True))
        np.testing.assert_allclose(weights[h], expected, rtol=1e-12)
        np.testing.assert_allclose(out[h], expected @ v[h], rtol=1e-11, atol=1e-15)


def test_causal_counts_from_the_first_of_each(rng):
    for n, m in ((4, 4), (3, 5), (5, 3)):
        (q, k, v), _ = draw(rng, n=n, m=m)
        expected = scaled_dot_product_attention(q, k, v, mask=causal_mask(n, m))
        np.testing.assert_allclose(scaled_dot_product_attention(q, k, v, is_causal=True), expected, rtol=1e-13)
    np.testing.assert_array_equal(causal_mask(3), np.tri(3, dtype=bool))
    np.testing.assert_array_equal(causal_mask(2, 4, offset=2), [[True] * 3 + [False], [True] * 4])


@pytest.mark.parametrize("score", SCORES)
def test_top_k_is_the_softmax_of_the_largest(rng, score):
    (q, k, v), given = draw(rng, score, leading=(2,), n=9, m=30)
    mask = rng.uniform(size=(9, 30)) < 0.5
    out, weights = scaled_dot_product_attention(q, k, v, mask=mask, top_k=4, return_weights=True, **given)
    for h in range(2):
        z = np.where(mask, scores_of(q[h], k[h], **given), -np.inf)
        kept = np.argsort(-z, axis=1, kind="stable")[:, :4]
        np.testing.assert_array_equal(np.sort(kept), [np.flatnonzero(row) for row in weights[h]])
        some = np.take_along_axis(z, kept, axis=1)
        np.testing.assert_allclose(np.take_along_axis(weights[h], kept, axis=1), scipy_softmax(some, axis=1))
        np.testing.assert_allclose(out[h], weights[h] @ v[h], rtol=1e-12)
    np.testing.assert_allclose(
        scaled_dot_product_attention(q, k, v, top_k=30, **given), scaled_dot_product_attention(q, k, v, **given)
    )


def test_top_k_keeps_the_first_of_equal_scores():
    q, k = np.ones((1, 1)), np.array([[1.0], [2.0], [1.0], [2.0], [1.0]])
    for top_k, expected in ((1, [1]), (2, [1, 3]), (3, [0, 1, 3]), (4, [0, 1, 2, 3])):
        _, weights = scaled_dot_product_attention(q, k, k, top_k=top_k, return_weights=True)
        np.testing.assert_array_equal(np.flatnonzero(weights[0]), expected)


@pytest.mark.parametrize("score", SCORES)
def test_top_k_takes_what_is_there(rng, score):
    (q, k, v), given = draw(rng, score)
    mask = np.zeros((5, 7), dtype=bool)
    mask[:, [2, 5]] = True
    few = scaled_dot_product_attention(q, k, v, mask=mask, top_k=4, **given)
    np.testing.assert_allclose(few, scaled_dot_product_attention(q, k, v, mask=mask, **given), rtol=1e-13)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("top_k", [None, 2])
def test_masked_nan_never_leaks(rng, score, top_k):
    (q, k, v), given = draw(rng, score, leading=(2,))
    mask = rng.uniform(size=(5, 7)) < 0.8
    mask[:, [1, 4]] = False
    mask[3] = False
    given.update(mask=mask, top_k=top_k)
    G = rng.standard_normal((2, 5, 2))

    def everything(q, k, v):
        results = scaled_dot_product_attention(q, k, v, empty="zero", return_weights=True, return_lse=True, **given)
        return [*results, *(part for part in attention_vjp(q, k, v, G, **given) if part is not None)]

    clean = everything(q, k, v)
    for bad in (np.nan, np.inf):
        dirty = [q.copy(), k.copy(), v.copy()]
        dirty[0][:, 3] = bad
        dirty[1][:, [1, 4]] = bad
        dirty[2][:, [1, 4]] = bad
        for ours, theirs in zip(everything(*dirty), clean):
            assert not np.isnan(ours).any()
            np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-15)
    assert (clean[1][:, :, [1, 4]] == 0.0).all()


def test_a_query_that_sees_nothing_gives_what_empty_says(rng):
    (q, k, v), _ = draw(rng, leading=(2,))
    mask = np.ones((2, 5, 7), dtype=bool)
    mask[1, 3] = False
    with pytest.raises(ValueError, match=r"1 queries see no key.*\(1, 3\)"):
        scaled_dot_product_attention(q, k, v, mask=mask)
    for empty, expected in (("nan", np.nan), ("zero", 0.0)):
        out, weights, lse = scaled_dot_product_attention(
            q, k, v, mask=mask, empty=empty, return_weights=True, return_lse=True
        )
        np.testing.assert_array_equal(out[1, 3], np.full(2, expected))
        np.testing.assert_array_equal(weights[1, 3], np.full(7, expected))
        assert lse[1, 3] == -np.inf
        assert np.isfinite(np.delete(out.reshape(10, 2), 8, axis=0)).all()


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("how", ["plain", "causal", "mask", "numbers", "top_k"])
def test_gradients_agree_with_finite_differences(rng, score, how):
    (q, k, v), given = draw(rng, score, leading=(2,), n=4, m=5, d=2)
    k = k[:1]
    given["temperature"] = np.array([0.8, 1.5])
    given.update({
        "plain": {}, "causal": {"is_causal": True}, "mask": {"mask": rng.uniform(size=(2, 4, 5)) < 0.6},
        "numbers": {"mask": rng.standard_normal((4, 5))}, "top_k": {"top_k": 3},
    }[how])  # fmt: skip
    G, g = rng.standard_normal((2, 4, 2)), rng.standard_normal((2, 4))

    def value(q, k, v, w=None):
        given_weight = given if w is None else {**given, "score_weight": w}
        out, lse = scaled_dot_product_attention(q, k, v, empty="zero", return_lse=True, **given_weight)
        return (G * out).sum() + (g * np.where(lse == -np.inf, 0.0, lse)).sum()

    point = [q, k, v] + ([given["score_weight"]] if "score_weight" in given else [])
    found = attention_vjp(q, k, v, G, lse_gradient=g, **given)
    for which, gradient in enumerate(found[: len(point)]):
        assert gradient.shape == point[which].shape
        for index in np.ndindex(gradient.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [array.copy() for array in point]
                moved[which][index] += step
                ends.append(value(*moved))
            assert abs((ends[0] - ends[1]) / 2e-5 - gradient[index]) < 1e-7


def test_given_out_and_lse_save_the_forward_pass(rng):
    (q, k, v), _ = draw(rng, leading=(2,))
    out, lse = scaled_dot_product_attention(q, k, v, return_lse=True)
    for ours, theirs in zip(attention_vjp(q, k, v, out, out=out, lse=lse), attention_vjp(q, k, v, out)):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("score", SCORES)
def test_float32_in_float32_out(rng, score):
    (q, k, v), given = draw(rng, score, n=300, m=400, d=16)
    wide = scaled_dot_product_attention(q, k, v, return_lse=True, **given)
    if "score_weight" in given:
        given["score_weight"] = given["score_weight"].astype(np.float32)
    q, k, v = (array.astype(np.float32) for array in (q, k, v))
    narrow = scaled_dot_product_attention(q, k, v, return_lse=True, **given)
    for ours, theirs in zip(narrow, wide):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-5)
    assert all(part is None or part.dtype == np.float32 for part in attention_vjp(q, k, v, narrow[0], **given))
    assert scaled_dot_product_attention(q, k.astype(np.float64), v, **given).dtype == np.float64


def test_float32_kernel_regression_far_from_the_origin_and_of_small_bandwidth(rng):
    X, Y = rng.standard_normal((200, 3)) + 1000.0, rng.standard_normal((300, 3)) + 1000.0
    X, Y, v = (array.astype(np.float32) for array in (X, Y, rng.standard_normal((300, 2))))
    for scale in (1.0, 1e4):
        wide = scaled_dot_product_attention(*(a.astype(np.float64) for a in (X, Y, v)), score="rbf", scale=scale)
        narrow = scaled_dot_product_attention(X, Y, v, score="rbf", scale=scale)
        np.testing.assert_allclose(narrow, wide, atol=5e-4)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_any_number_of_threads_gives_the_same_bits(rng, n_threads):
    (q, k, v), _ = draw(rng, leading=(2,), n=900, m=700)
    one = scaled_dot_product_attention(q, k, v), *attention_vjp(q, k, v, q[..., :2])[:3]
    with sksoft.config_context(n_threads=n_threads):
        other = scaled_dot_product_attention(q, k, v), *attention_vjp(q, k, v, q[..., :2])[:3]
    for ours, theirs in zip(other, one):
        np.testing.assert_array_equal(ours, theirs)


def test_causal_grouped_attention_agrees_with_pytorch():
    # PyTorch 2.13.0, float64: scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True), sum().backward()
    q, k = np.sin(np.arange(24.0)).reshape(1, 4, 3, 2), np.cos(np.arange(20.0)).reshape(1, 2, 5, 2)
    v = np.sqrt(np.arange(20.0)).reshape(1, 2, 5, 2)
    out = scaled_dot_product_attention(q, k, v, is_causal=True)
    expected = [
        [[0.0, 1.0], [0.363014531218, 1.187910148656], [1.441956038573, 1.804857876748]],
        [[0.0, 1.0], [0.271618974195, 1.140600327066], [1.40375242688, 1.781084882713]],
        [[3.162277660168, 3.316624790355], [3.413149693786, 3.556776619565], [3.493318732611, 3.634386377984]],
        [[3.162277660168, 3.316624790355], [3.414265622458, 3.557844862637], [3.50667430877, 3.64717137355]],
    ]
    np.testing.assert_allclose(out[0], expected, atol=1e-12)
    gradients = attention_vjp(q, k, v, np.ones(out.shape), is_causal=True)
    by_key = [[-0.061478231228, 0.20172234485], [0.112374265775, 0.101012281789], [-0.050896034547, -0.30273462664]]
    np.testing.assert_allclose(gradients.keys[0, 1], [*by_key, [0.0, 0.0], [0.0, 0.0]], atol=1e-12)
    by_query = [[0.0, 0.0], [0.096910189007, 0.051999892158], [0.140296792467, -0.134082300734]]
    np.testing.assert_allclose(gradients.queries[0, 3], by_query, atol=1e-12)


def test_a_given_mask_is_not_copied(rng):
    (q, k, v), _ = draw(rng, n=1500, m=3000, d=8)
    mask = rng.standard_normal((1500, 3000))
    with sksoft.config_context(backend="numba"):
        scaled_dot_product_attention(q, k, v, mask=mask)  # compiled, buffers in place
        for given, share in ((mask, 0.05), (mask > 0.0, 0.05), (np.zeros((1500, 3000), dtype=bool), 0.3)):
            tracemalloc.start()
            try:
                scaled_dot_product_attention(q, k, v, mask=given, empty="zero")
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert peak < share * mask.nbytes


def test_nothing_of_n_by_m_is_held(rng):
    (q, k, v), _ = draw(rng, n=3000, m=3000, d=8)
    all_pairs = 8 * 3000 * 3000
    attention_vjp(q, k, v, v)  # compiled, buffers in place
    tracemalloc.start()
    try:
        out, lse = scaled_dot_product_attention(q, k, v, is_causal=True, return_lse=True)
        attention_vjp(q, k, v, v, is_causal=True, out=out, lse=lse)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.4 * all_pairs


BAD = [
    ({"mask": np.ones((5, 7), dtype=int)}, "array of bool.*astype"),
    ({"mask": np.ones((5, 6), dtype=bool)}, r"'mask' parameter must be broadcastable.*\(\.\.\., 5, 7\)"),
    ({"mask": np.ones((3, 5, 7), dtype=bool)}, "leading axes"),
    ({"temperature": 0.0}, "'temperature' parameter must be a positive"),
    ({"temperature": [1.0, np.nan]}, "'temperature' parameter must be a positive"),
    ({"temperature": [1.0, 2.0, 3.0]}, "leading axes"),
    ({"scale": np.nan}, "'scale' parameter must be a finite float"),
    ({"scale": -1.0, "score": "rbf"}, "'scale' parameter must be a positive"),
    ({"score": "cosine"}, "'score' parameter must be one of"),
    ({"score": "bilinear"}, "'score_weight' parameter is needed"),
    ({"score_weight": np.ones(3)}, "'score_weight' parameter is not accepted"),
    ({"score": "bilinear", "score_weight": np.ones((3, 2))}, "'score_weight' parameter must have the shape"),
    ({"score": "additive", "score_weight": np.ones(4)}, "'score_weight' parameter must have the shape"),
    ({"score": "additive", "score_weight": np.full(3, np.nan)}, "must be finite"),
    ({"top_k": 0}, r"'top_k' parameter must be an int in the range \[1, 7\]"),
    ({"top_k": 8}, r"'top_k' parameter must be an int in the range \[1, 7\]"),
    ({"empty": "uniform"}, "'empty' parameter must be one of"),
    ({"is_causal": "no"}, "'is_causal' parameter must be True or False. Got 'no'"),
    ({"is_causal": np.tri(5, 7, dtype=bool)}, "'is_causal' parameter must be True or False"),
    ({"return_weights": 1}, "'return_weights' parameter must be True or False. Got 1"),
    ({"return_lse": None}, "'return_lse' parameter must be True or False. Got None"),
]


@pytest.mark.parametrize(("given", "message"), BAD)
def test_bad_parameters_are_named(rng, given, message):
    (q, k, v), _ = draw(rng, leading=(2,))
    with pytest.raises(ValueError, match=message):
        scaled_dot_product_attention(q, k, v, **given)


def test_bad_shapes_are_named(rng):
    (q, k, v), _ = draw(rng, leading=(2,))
    for arrays, message in (
        ((q[..., :2], k, v), "same number of columns"),
        ((q, k[:, :6], v), "as many rows of values as of keys"),
        ((q, k[:, :0], v[:, :0]), "at least one key"),
        ((q[0, 0], k, v), "at least two axes"),
        ((q, k[[0, 1, 0]], v), "leading axes|must divide"),
        ((q[:0], k[:0], v[:0]), "at least one head"),
        ((q.astype(str), k, v), "real numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            scaled_dot_product_attention(*arrays)
    with pytest.raises(ValueError, match="'out_gradient' must have the shape"):
        attention_vjp(q, k, v, np.ones((5, 2)))
    np.testing.assert_array_equal(causal_mask(2, 3, offset=10**30), np.ones((2, 3)))
    np.testing.assert_array_equal(causal_mask(2, 3, offset=-(10**30)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="'n_queries' parameter of causal_mask"):
        causal_mask(-1)
    with pytest.raises(ValueError, match="'offset' parameter of causal_mask"):
        causal_mask(2, 2, offset=0.5)


def test_no_queries_give_no_rows(rng):
    (q, k, v), _ = draw(rng, leading=(2,))
    out, lse = scaled_dot_product_attention(q[:, :0], k, v, return_lse=True)
    assert out.shape == (2, 0, 2)
    assert lse.shape == (2, 0)
