"""Attention against softmax spelled out pair by pair, finite differences, and NaN where nobody looks."""

import numpy as np
import pytest
from cases.attention import SIGHTS, arguments, inputs, sight
from scipy.special import log_softmax, logsumexp, softmax

from sksoft.kernels.attention import SCORES, attend, attend_vjp

BACKENDS = ["numpy", "numba"]
SHAPE = (6, 9, 3, 2)


def pair_by_pair(queries, keys, values, *, score, scale, bias=None, limits=None, query_groups=None, key_groups=None,
                 mask=None):  # fmt: skip
    """Out and lse by the definition, one pair at a time."""
    out, lse = np.full((len(queries), values.shape[1]), np.nan), np.full(len(queries), -np.inf)
    for i, q in enumerate(queries):
        z, seen = [], []
        for j, k in enumerate(keys):
            b = 0.0 if bias is None else bias[j]
            b += 0.0 if mask is None or mask.dtype == bool else mask[i, j]
            hidden = b == -np.inf or (limits is not None and j >= limits[i])
            hidden |= query_groups is not None and query_groups[i] == key_groups[j]
            hidden |= mask is not None and mask.dtype == bool and not mask[i, j]
            if not hidden:
                norm = np.linalg.norm(q - k)
                z.append(scale * {"dot": q @ k, "gaussian": -(norm**2) / 2, "laplace": -norm}[score] + b)
                seen.append(j)
        if seen:
            out[i], lse[i] = softmax(z) @ values[seen], logsumexp(z)
    return out, lse


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("name", SIGHTS)
def test_is_the_softmax_over_the_keys_that_are_seen(backend, score, name):
    args, kwargs = arguments(SHAPE, score, name, "float64")
    out, lse = attend.on(backend)(*args, **kwargs)
    expected, expected_lse = pair_by_pair(*args, **kwargs)
    np.testing.assert_allclose(out, expected, rtol=1e-12)
    np.testing.assert_allclose(lse, expected_lse, rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("score", SCORES)
def test_a_query_that_sees_nothing_is_nan_and_minus_infinity(backend, score):
    args = inputs(4, 5, 2, 3, "float64")
    out, lse = attend.on(backend)(*args, score=score, limits=np.array([0, 2, 0, 5]))
    np.testing.assert_array_equal(np.isnan(out).all(axis=1), [True, False, True, False])
    np.testing.assert_array_equal(lse == -np.inf, [True, False, True, False])
    out, lse = attend.on(backend)(*args, score=score, bias=np.full(5, -np.inf))
    assert np.isnan(out).all()
    assert (lse == -np.inf).all()


HIDING = {
    "bias": {"bias": np.array([0.0, -np.inf, 0.0, 0.0, -np.inf])},
    "limits": {"limits": np.full(3, 1)},
    "groups": {"query_groups": np.zeros(3, np.int64), "key_groups": np.array([1, 0, 1, 1, 0])},
    "mask": {"mask": np.tile([True, False, True, True, False], (3, 1))},
    "additive": {"mask": np.tile([0.0, -np.inf, 0.0, 0.0, -np.inf], (3, 1))},
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("hiding", HIDING)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_no_query_sees_changes_nothing(backend, score, hiding, bad):
    queries, keys, values = inputs(3, 5, 2, 3, "float64")
    G, g = np.random.default_rng(3).standard_normal((3, 3)), np.ones(3)
    kwargs = {"score": score, **HIDING[hiding]}

    def both(keys, values):
        out, lse = attend.on(backend)(queries, keys, values, **kwargs)
        return out, lse, *attend_vjp.on(backend)(queries, keys, values, out, lse, G, lse_gradient=g, **kwargs)

    clean = both(keys, values)
    keys, values = keys.copy(), values.copy()
    keys[[1, 4]] = values[[1, 4]] = bad
    for ours, theirs in zip(both(keys, values), clean):
        assert np.isfinite(ours).all()
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)  # distances are from another centre
    for gradient in clean[3:]:
        assert (gradient[[1, 4]] == 0.0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_nan_that_is_seen_shows_where_it_is_seen(backend):
    queries, keys, values = inputs(3, 5, 2, 3, "float64")
    limits = np.array([1, 3, 5])
    keys[4, 0] = np.nan
    values[2, 1] = np.nan
    out, lse = attend.on(backend)(queries, keys, values, limits=limits)
    np.testing.assert_array_equal(np.isnan(out), [[False] * 3, [False, True, False], [True] * 3])
    np.testing.assert_array_equal(np.isnan(lse), [False, False, True])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("name", ["all", "bias", "limits", "groups", "mask", "additive", "everything"])
def test_gradients_agree_with_finite_differences(backend, score, name):
    args, kwargs = arguments(SHAPE, score, name, "float64")
    bias = kwargs.pop("bias", np.zeros(SHAPE[1]))
    rng = np.random.default_rng(4)
    G, g = rng.standard_normal((SHAPE[0], SHAPE[3])), rng.standard_normal(SHAPE[0])

    def value(queries, keys, values, bias):
        out, lse = attend.reference(queries, keys, values, bias=bias, **kwargs)
        some = lse != -np.inf
        return (G[some] * out[some]).sum() + (g[some] * lse[some]).sum()

    out, lse = attend.on(backend)(*args, bias=bias, **kwargs)
    found = attend_vjp.on(backend)(*args, out, lse, G, lse_gradient=g, bias=bias, **kwargs)
    point = (*args, bias)
    for which, gradient in enumerate(found):
        for index in np.ndindex(gradient.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [array.copy() for array in point]
                moved[which][index] += step
                ends.append(value(*moved))
            assert abs((ends[0] - ends[1]) / 2e-5 - gradient[index]) < 1e-8


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("score", SCORES)
def test_gradient_in_the_scale_is_eulers(backend, score):
    args = inputs(*SHAPE, "float64")
    G = np.random.default_rng(5).standard_normal((SHAPE[0], SHAPE[3]))
    out, lse = attend.reference(*args, score=score, scale=0.7)
    dq, dk, _, _ = attend_vjp.on(backend)(*args, out, lse, G, score=score, scale=0.7)
    by_scale = ((dq * args[0]).sum() + (dk * args[1]).sum()) / ((1 if score == "laplace" else 2) * 0.7)
    ends = [(G * attend.reference(*args, score=score, scale=0.7 + step)[0]).sum() for step in (1e-6, -1e-6)]
    assert abs((ends[0] - ends[1]) / 2e-6 - by_scale) < 1e-8


@pytest.mark.parametrize("backend", BACKENDS)
def test_neither_overflow_nor_loss_at_scores_far_apart(backend):
    queries, keys = np.array([[1.0]]), np.array([[-2000.0], [900.0], [899.0], [-1e300]])
    values = np.array([[5.0], [1.0], [2.0], [7.0]])
    out, lse = attend.on(backend)(queries, keys, values)
    p = np.exp(log_softmax([900.0, 899.0]))
    # a score of 900 is known to 2e-13
    np.testing.assert_allclose(out[0, 0], p @ [1.0, 2.0], rtol=2e-13)
    np.testing.assert_allclose(lse[0], 900.0 + np.log1p(np.exp(-1.0)), rtol=1e-15)
    out, lse = attend.on(backend)(queries, keys[:1], values[:1])
    assert out[0, 0] == 5.0
    assert lse[0] == -2000.0


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("score", ["gaussian", "laplace"])
def test_leave_one_out_is_the_others_attended(backend, score):
    X, _, V = inputs(12, 12, 3, 2, "float64")
    rows = np.arange(12)
    out, lse = attend.on(backend)(X, X, V, score=score, query_groups=rows, key_groups=rows)
    for i in rows:
        alone, alone_lse = attend.reference(X[i : i + 1], np.delete(X, i, 0), np.delete(V, i, 0), score=score)
        np.testing.assert_allclose(out[i], alone[0], rtol=1e-13)
        np.testing.assert_allclose(lse[i], alone_lse[0], rtol=1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_bias_of_log_two_is_a_key_twice(backend):
    queries, keys, values = inputs(4, 5, 2, 3, "float64")
    twice = np.repeat(np.arange(5), [1, 2, 1, 0, 1])
    with np.errstate(divide="ignore"):
        weighted = attend.on(backend)(queries, keys, values, bias=np.log([1.0, 2.0, 1.0, 0.0, 1.0]))
    for ours, theirs in zip(weighted, attend.reference(queries, keys[twice], values[twice])):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13)


def test_sights_cover_every_argument():
    assert set(sight("everything", 3, 4, "float64")) == {"bias", "limits", "mask", "query_groups", "key_groups"}


FAR = {
    "a far key nobody sees": (1e30, True),
    "a far key": (1e30, False),
    "two clusters": (1e8, False),
    "one unit apart": (1.0, False),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("score", ["gaussian", "laplace"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", FAR)
def test_far_keys_do_not_blur_near_ones(backend, score, dtype, name):
    far, hidden = FAR[name]
    queries, keys, values = inputs(6, 9, 3, 2, dtype)
    keys[4:6] += np.array(far, dtype)
    mask = np.ones((6, 9), dtype=bool)
    mask[1, 2] = False  # not the same for all queries
    mask[:, 4:6] &= not hidden
    args, kwargs = (queries, keys, values), {"score": score, "mask": mask}
    out, lse = attend.on(backend)(*args, **kwargs)
    wide = [array.astype(np.float64) for array in args]
    expected, expected_lse = pair_by_pair(*wide, scale=1.0, **kwargs)
    rtol = 1e-11 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(out, expected, rtol=rtol)
    np.testing.assert_allclose(lse, expected_lse, rtol=rtol)
    G = np.random.default_rng(3).standard_normal(out.shape).astype(dtype)
    found = attend_vjp.on(backend)(*args, out, lse, G, **kwargs)
    near = np.delete(np.arange(9), [4, 5])
    some = (queries, keys[near], values[near])
    alone = attend_vjp.reference(*some, out, lse, G, score=score, mask=mask[:, near])
    if far == 1e30:  # of no weight, so that it might as well not be there
        np.testing.assert_allclose(found[0], alone[0], rtol=1e-3 if dtype == "float32" else 1e-9, atol=1e-6)
        np.testing.assert_allclose(found[1][near], alone[1], rtol=1e-3 if dtype == "float32" else 1e-9, atol=1e-6)
        assert (found[1][4:6] == 0.0).all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_huge_hidden_values_stay_out_of_gradients(backend, dtype):
    queries, keys, values = inputs(4, 6, 2, 3, dtype)
    mask = np.random.default_rng(2).uniform(size=(4, 6)) < 0.7
    mask[:, 3], mask[:, 0] = False, True
    G = 100.0 * np.random.default_rng(3).standard_normal((4, 3)).astype(dtype)

    def gradients(fill):
        k, v = keys.copy(), values.copy()
        k[3] = v[3] = fill
        out, lse = attend.on(backend)(queries, k, v, mask=mask)
        return attend_vjp.on(backend)(queries, k, v, out, lse, G, mask=mask)

    for ours, theirs in zip(gradients(np.finfo(dtype).max), gradients(0.0)):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_gradient_that_is_nan_reaches_what_its_query_sees_only(backend, dtype):
    queries, keys, values = inputs(4, 6, 2, 3, dtype)
    mask = np.ones((4, 6), dtype=bool)
    mask[1, [0, 4]] = False
    out, lse = attend.on(backend)(queries, keys, values, mask=mask)
    G = np.ones((4, 3), dtype)
    G[1, 0] = np.nan
    by_query, by_key, by_value, by_bias = attend_vjp.on(backend)(queries, keys, values, out, lse, G, mask=mask)
    np.testing.assert_array_equal(np.isnan(by_query).all(axis=1), [False, True, False, False])
    for gradient in (by_key, by_value[:, :1], by_bias[:, None]):
        np.testing.assert_array_equal(np.isnan(gradient).any(axis=1), mask[1])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_sums_and_scores_beyond_the_range_of_numbers(backend, dtype):
    queries, keys, _ = inputs(4, 6, 2, 3, dtype)
    largest = np.finfo(dtype).max
    out, _ = attend.on(backend)(queries, keys, np.full((6, 2), 0.9 * largest, dtype))
    np.testing.assert_allclose(out, 0.9 * largest, rtol=1e-6)
    # The least number as "not here", where all are not: the mask has no say, and does not say -inf.
    values = np.arange(6.0, dtype=dtype)[:, None]
    mask = np.zeros((4, 6), dtype)
    mask[2] = -largest
    for given in (mask, mask[2:3], np.broadcast_to(mask[2], (4, 6))):
        q = queries if len(given) == 4 else queries[2:3]
        out, lse = attend.on(backend)(q, keys, values, mask=given)
        least = (given == -largest).all(axis=1)
        np.testing.assert_allclose(out[least], 2.5, rtol=1e-6)
        np.testing.assert_array_equal(lse[least], -largest)
        G = np.ones_like(out)
        found = attend_vjp.on(backend)(q, keys, values, out, lse, G, mask=given)
        for ours, theirs in zip(found, attend_vjp.reference(q, keys, values, out, lse, G, mask=given)):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mask_dtype", ["float16", "float32"])
def test_a_narrow_mask_is_added_in_the_precision_of_the_scores(backend, mask_dtype):
    args, _ = arguments(SHAPE, "dot", "all", "float64")
    mask = np.random.default_rng(2).standard_normal(SHAPE[:2]).astype(mask_dtype)
    for ours, theirs in zip(attend.on(backend)(*args, mask=mask), attend.reference(*args, mask=mask.astype(float))):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13)
