"""The public softmax family: shapes, axes, masks, empty rows, errors, and the properties that define it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import special

import sksoft
from sksoft import entmax, log_softmax, logsumexp, softmax, softmax_jacobian, softmax_jvp, softmax_vjp, sparsemax

DISTRIBUTIONS = [softmax, sparsemax, entmax]
WITH_LOG = [*DISTRIBUTIONS, log_softmax]
SCORES = np.random.default_rng(0).normal(scale=3.0, size=(3, 4, 5))

finite = st.floats(-50.0, 50.0, width=32)
score_arrays = arrays(np.float64, array_shapes(min_dims=1, max_dims=3, max_side=6), elements=finite)


@pytest.fixture(params=["numpy", "numba"], autouse=True)
def backend(request):
    """Every test runs on both backends."""
    with sksoft.config_context(backend=request.param):
        yield request.param


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_any_axis_agrees_with_scipy(axis):
    np.testing.assert_allclose(softmax(SCORES, axis), special.softmax(SCORES, axis=axis), rtol=1e-13)
    np.testing.assert_allclose(log_softmax(SCORES, axis), special.log_softmax(SCORES, axis=axis), atol=1e-13)
    np.testing.assert_allclose(logsumexp(SCORES, axis), special.logsumexp(SCORES, axis=axis), rtol=1e-13)
    kept = logsumexp(SCORES, axis, keepdims=True)
    np.testing.assert_array_equal(kept, np.expand_dims(logsumexp(SCORES, axis), axis))


@pytest.mark.parametrize("function", WITH_LOG)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_an_axis_is_the_last_axis_of_the_moved_array(function, axis):
    moved = np.moveaxis(function(np.ascontiguousarray(np.moveaxis(SCORES, axis, -1))), -1, axis)
    np.testing.assert_array_equal(function(SCORES, axis=axis), moved)


@pytest.mark.parametrize("function", WITH_LOG)
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("order", ["C", "F"])
def test_out_is_written_and_returned(function, axis, order):
    out = np.full(SCORES.shape, 7.0, order=order)
    assert function(SCORES, axis=axis, out=out) is out
    np.testing.assert_array_equal(out, function(SCORES, axis=axis))
    scores = SCORES.copy(order=order)
    assert function(scores, axis=axis, out=scores) is scores
    np.testing.assert_array_equal(scores, out)


@pytest.mark.parametrize("function", WITH_LOG)
def test_out_may_overlap_the_scores_in_any_way(function):
    memory = np.random.default_rng(1).normal(size=(8, 5))
    expected = function(memory[:6].copy())
    assert np.shares_memory(function(memory[:6], out=memory[2:]), memory)
    np.testing.assert_array_equal(memory[2:], expected)
    square = np.random.default_rng(2).normal(size=(5, 5))
    expected = function(square.copy())
    function(square, out=square.T)
    np.testing.assert_array_equal(square.T, expected)


@pytest.mark.parametrize("function", WITH_LOG)
@pytest.mark.parametrize(
    ("given_dtype", "expected"),
    [("float32", "float32"), ("float64", "float64"), ("int8", "float64"), ("bool", "float64"), ("float16", "float64")],
)
def test_dtypes(function, given_dtype, expected):
    assert function(np.array([[0, 1, 1], [1, 0, 1]], dtype=given_dtype)).dtype == expected


@pytest.mark.parametrize("function", WITH_LOG)
def test_shapes_at_the_edge(function):
    assert function(np.empty((0, 3))).shape == (0, 3)
    assert function(np.empty((2, 0, 3))).shape == (2, 0, 3)
    certain = 0.0 if function is log_softmax else 1.0
    np.testing.assert_array_equal(function([5.0]), [certain])
    np.testing.assert_array_equal(function(np.full((3, 1), -7.0)), np.full((3, 1), certain))


def test_logsumexp_of_one_row_is_a_scalar():
    assert isinstance(logsumexp([0.0, 0.0]), np.floating)
    assert logsumexp(np.empty((0, 3))).shape == (0,)


@pytest.mark.parametrize("function", WITH_LOG)
def test_a_mask_is_the_removal_of_entries_and_nothing_leaks(function):
    scores = SCORES.copy()
    mask = np.array([True, False, True, True, False])
    scores[..., ~mask] = [np.nan, np.inf]
    got = function(scores, mask=mask)
    np.testing.assert_allclose(got[..., mask], function(SCORES[..., mask]), rtol=1e-14, atol=1e-15)
    assert np.all(got[..., ~mask] == (-np.inf if function is log_softmax else 0.0))
    np.testing.assert_allclose(logsumexp(scores, mask=mask), logsumexp(SCORES[..., mask]), rtol=1e-14)


@pytest.mark.parametrize("function", WITH_LOG)
def test_nan_stays_in_its_row(function):
    scores = SCORES.copy()
    scores[1, 2, 3] = np.nan
    got = function(scores)
    assert np.isnan(got[1, 2]).all()
    assert np.isnan(got).sum() == 5


@pytest.mark.parametrize("function", WITH_LOG)
@pytest.mark.parametrize("how", ["masked", "minus infinity", "both"])
def test_what_an_empty_row_gives(function, how):
    scores, mask = np.zeros((4, 4)), np.ones((4, 4), dtype=bool)
    mask[2, : {"masked": 4, "minus infinity": 0, "both": 2}[how]] = False
    scores[2, mask[2]] = -np.inf
    scores[1, 0] = np.nan
    with pytest.raises(ValueError, match=r"1 row\(s\) have nothing available.*the first being row 2.*'empty'"):
        function(scores, mask=mask)
    rows = {empty: function(scores, mask=mask, empty=empty) for empty in ("nan", "zero", "uniform")}
    assert np.isnan(rows["nan"][2]).all()
    logarithm = np.log if function is log_softmax else np.asarray
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(rows["zero"][2], logarithm(np.zeros(4)))
    np.testing.assert_allclose(rows["uniform"][2], logarithm(np.full(4, 0.25)))
    for got in rows.values():  # a NaN is not an empty row, and other rows are as always
        assert np.isnan(got[1]).all()
        np.testing.assert_array_equal(got[[0, 3]], rows["nan"][[0, 3]])
    assert logsumexp(scores, mask=mask)[2] == -np.inf


def test_an_empty_row_is_told_from_nan_in_place_too():
    scores = np.array([[-np.inf, -np.inf], [-np.inf, np.nan], [0.0, 0.0]])
    softmax(scores, out=scores, empty="uniform")
    np.testing.assert_array_equal(scores, [[0.5, 0.5], [np.nan, np.nan], [0.5, 0.5]])


@pytest.mark.parametrize("function", [*WITH_LOG, logsumexp])
@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf, -np.inf, True, "1", None, [1.0]])
def test_a_bad_temperature_is_named(function, temperature):
    with pytest.raises(ValueError, match=r"'temperature' parameter must be a positive finite float\. Got"):
        function([0.0, 1.0], temperature=temperature)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"empty": "one"}, r"'empty' parameter must be one of \('raise', .*Got 'one'"),
        ({"mask": [1, 0, 1]}, r"'mask' parameter must be an array of bool\. Got an array of int64"),
        ({"mask": [True, False]}, r"'mask' parameter must be broadcastable .*Got shape \(2,\)"),
        ({"out": [0.0] * 3}, r"'out' parameter must be an ndarray of shape \(3,\) and dtype float64\. Got list"),
        ({"out": np.zeros(2)}, r"'out' parameter .*Got shape \(2,\)"),
        ({"out": np.zeros(3, "float32")}, r"'out' parameter .*Got shape \(3,\) and dtype float32"),
        ({"out": np.broadcast_to(0.0, 3)}, r"'out' parameter .*read-only"),
    ],
)
def test_other_bad_parameters_are_named(arguments, message):
    for function in WITH_LOG:
        with pytest.raises(ValueError, match=message):
            function([0.0, 1.0, 2.0], **arguments)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (1.0, "must have at least one axis"),
        (np.empty((3, 0)), "at least one entry along axis"),
        ([1j, 0.0], "must be an array of real numbers"),
        (["a", "b"], "must be an array of real numbers"),
        ([None, 1.0], "must be an array of real numbers"),
    ],
)
def test_bad_scores_are_named(scores, message):
    for function in [*WITH_LOG, logsumexp]:
        with pytest.raises(ValueError, match=message):
            function(scores)


@pytest.mark.parametrize("alpha", [0.99, 2.01, np.nan, "1.5", None])
def test_a_bad_alpha_is_named(alpha):
    with pytest.raises(ValueError, match=r"'alpha' parameter of entmax must be a float in the range \[1\.0, 2\.0\]"):
        entmax([0.0, 1.0], alpha)


def test_entmax_meets_softmax_and_sparsemax():
    np.testing.assert_array_equal(entmax(SCORES, 1.0), softmax(SCORES))
    np.testing.assert_allclose(entmax(SCORES, 2), sparsemax(SCORES), atol=1e-15)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_jacobian_products_are_the_jacobian(axis):
    proba, vectors = softmax(SCORES, axis), np.random.default_rng(3).normal(size=SCORES.shape)
    moved_proba, moved = np.moveaxis(proba, axis, -1), np.moveaxis(vectors, axis, -1)
    dense = (softmax_jacobian(moved_proba) @ moved[..., None])[..., 0]
    np.testing.assert_allclose(np.moveaxis(softmax_jvp(proba, vectors, axis), axis, -1), dense, atol=1e-15)
    np.testing.assert_array_equal(softmax_vjp(proba, vectors, axis), softmax_jvp(proba, vectors, axis))


def test_jacobian_against_finite_differences():
    scores, step = SCORES[0, 0], 1e-6
    steps = step * np.eye(5)
    columns = (softmax(scores + steps) - softmax(scores - steps)) / (2 * step)
    np.testing.assert_allclose(softmax_jacobian(softmax(scores)), columns.T, atol=1e-9)


def test_products_refuse_different_shapes():
    with pytest.raises(ValueError, match=r"same shape\. Got \(2,\) and \(3,\)"):
        softmax_jvp([0.5, 0.5], [1.0, 2.0, 3.0])


@given(scores=score_arrays, shift=finite, temperature=st.floats(0.1, 100.0))
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("function", DISTRIBUTIONS)
def test_rows_are_distributions_and_shift_does_not_matter(function, scores, shift, temperature):
    proba = function(scores, temperature=temperature)
    assert proba.min() >= 0.0
    np.testing.assert_allclose(proba.sum(axis=-1), 1.0, rtol=1e-13)
    np.testing.assert_allclose(function(scores + shift, temperature=temperature), proba, atol=1e-12)


@given(scores=score_arrays, data=st.data())
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("function", DISTRIBUTIONS)
def test_order_of_entries_does_not_matter_and_is_kept(function, scores, data):
    order = np.array(data.draw(st.permutations(range(scores.shape[-1]))))
    proba = function(scores)
    np.testing.assert_allclose(function(scores[..., order]), proba[..., order], rtol=1e-12, atol=1e-14)
    ranked = np.take_along_axis(proba, scores.argsort(axis=-1), axis=-1)
    assert np.all(np.diff(ranked, axis=-1) >= 0.0)


@given(scores=arrays(np.float64, (4, 5), elements=finite), cold=st.floats(0.1, 10.0), factor=st.floats(1.0, 10.0))
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("function", DISTRIBUTIONS)
def test_warmer_is_flatter(function, scores, cold, factor):
    sharp = function(scores, temperature=cold).max(axis=-1)
    assert np.all(function(scores, temperature=cold * factor).max(axis=-1) <= sharp + 1e-13)


def _row_sums(scores):
    return softmax(scores).sum(axis=1)


def test_inside_joblib(backend):
    from joblib import Parallel, delayed

    scores = np.random.default_rng(4).normal(size=(200_000, 3))
    for kind in ("threads", "processes"):
        parts = Parallel(n_jobs=2, prefer=kind)(delayed(_row_sums)(scores) for _ in range(3))
        for part in parts:
            np.testing.assert_allclose(part, 1.0, rtol=1e-14)
