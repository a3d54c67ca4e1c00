"""Softmax and its relatives, attention and routing on data of a device: what ``test_device_functions.py`` runs there.

Kernels are their references but where a test says otherwise: they have tests of their own.
"""

import sys

import numpy as np
import pytest
from device_arrays import TRANSFERRED, assert_moved, installed, quick_kernels

from sksoft import config_context
from sksoft.functional import (
    attention_vjp,
    causal_mask,
    entmax,
    log_softmax,
    logsumexp,
    routing_by_agreement,
    scaled_dot_product_attention,
    softmax,
    softmax_jacobian,
    softmax_jvp,
    softmax_vjp,
    sparsemax,
)
from sksoft.kernels import registry
from sksoft.kernels.capability import Capability, CudaFallbackWarning
from sksoft.kernels.placement import on_device

sys.setswitchinterval(1e-6)  # else the simulator's threads wait 5 ms for each other

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(4, 3, 5))
QUERIES, KEYS, VALUES = (RNG.normal(size=shape) for shape in ((2, 4, 6, 3), (2, 2, 7, 3), (2, 2, 7, 2)))
ADDED = np.where(RNG.random((6, 7)) < 0.4, -np.inf, RNG.normal(size=(6, 7)))
VOTES = RNG.normal(size=(2, 5, 3, 2))


@pytest.fixture(autouse=True)
def device():
    with installed() as cupy, config_context(n_threads=1):
        yield cupy


@pytest.fixture
def quick():
    with quick_kernels():
        yield


def assert_there(found, expected, **tolerance):
    """An array of the device's library that holds what the host computes."""
    assert on_device(found)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found.get(), expected, **{"rtol": 1e-9, "atol": 1e-12, **tolerance})


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("options", [{}, {"axis": 1, "temperature": 0.5}])
@pytest.mark.parametrize("function", [softmax, log_softmax, logsumexp, sparsemax, entmax])
def test_rows_are_computed_where_they_are(device, quick, function, options, dtype):
    scores = SCORES.astype(dtype)
    mask = SCORES > -0.5
    mask[..., 1, :] = mask[..., 1] = True
    there = device.asarray(scores)
    TRANSFERRED.update(to_device=0, to_host=0)
    found = function(there, mask=mask, **options)
    assert {"to_device": mask.nbytes, "to_host": 0} == TRANSFERRED
    assert_there(found, function(scores, mask=mask, **options), rtol=1e-6 if dtype == "float32" else 1e-9)
    assert_there(function(there, mask=device.asarray(mask)), function(scores, mask=mask), rtol=1e-6)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # operations of the simulator's threads
def test_the_kernels_of_the_device_are_those_that_compute(device):
    scores = SCORES[0]
    mask = np.array([True, False, True, True, True])
    assert_there(softmax(device.asarray(scores), mask=mask), softmax(scores, mask=mask))
    with config_context(backend="cuda"):
        out = np.empty_like(scores)
        assert softmax(scores, out=out) is out
    np.testing.assert_allclose(out, softmax(scores), rtol=1e-12)
    queries, keys, values = QUERIES[0, 0], KEYS[0, 0], VALUES[0, 0]
    there = [device.asarray(array) for array in (queries, keys, values)]
    options = {"score": "rbf", "mask": ADDED, "empty": "zero"}
    assert_there(
        scaled_dot_product_attention(*there, **options), scaled_dot_product_attention(queries, keys, values, **options)
    )
    found = attention_vjp(*there, np.ones((6, 2)), is_causal=True)
    expected = attention_vjp(queries, keys, values, np.ones((6, 2)), is_causal=True)
    for part, right in zip(found[:3], expected[:3], strict=True):
        assert_there(part, right)


def test_logsumexp_of_one_row_and_kept_axes(device, quick):
    assert float(logsumexp(device.asarray(SCORES[0, 0]))) == pytest.approx(float(logsumexp(SCORES[0, 0])))
    assert logsumexp(device.asarray(SCORES), keepdims=True).shape == (4, 3, 1)


def test_integers_and_no_rows(device, quick):
    assert_there(softmax(device.asarray(np.arange(6).reshape(2, 3))), softmax(np.arange(6).reshape(2, 3)))
    assert softmax(device.asarray(np.empty((0, 3)))).shape == (0, 3)


@pytest.mark.parametrize("axis", [-1, 0])
def test_results_go_where_the_caller_says(device, quick, axis):
    there = device.asarray(SCORES)
    out = device.asarray(np.zeros_like(SCORES))
    assert softmax(there, axis, out=out) is out
    assert_there(out, softmax(SCORES, axis))
    assert softmax(there, axis, out=there) is there
    assert_there(there, softmax(SCORES, axis))


def test_a_place_for_results_must_be_beside_the_scores(device, quick):
    there = device.asarray(SCORES)
    with pytest.raises(ValueError, match=r"'out' parameter must be an array on the device .* Got ndarray"):
        softmax(there, out=np.empty_like(SCORES))
    with pytest.raises(ValueError, match=r"'out' parameter must be an ndarray .* Got \w+ instead"):
        softmax(SCORES, out=there)
    with pytest.raises(ValueError, match=r"on the device of shape \(4, 3, 5\).* Got shape \(4, 3\)"):
        softmax(there, out=device.asarray(SCORES[..., 0]))


@pytest.mark.parametrize("function", [softmax_jvp, softmax_vjp])
def test_products_with_the_jacobian(device, quick, function):
    proba, vectors = softmax(SCORES), RNG.normal(size=SCORES.shape).astype(np.float32)
    assert_there(function(device.asarray(proba), vectors, 1), function(proba, vectors, 1))


def test_jacobians_also_where_the_user_says_so(device, quick):
    proba = softmax(SCORES)
    expected = softmax_jacobian(proba)
    assert_there(softmax_jacobian(device.asarray(proba)), expected)
    TRANSFERRED.update(to_device=0, to_host=0)
    with config_context(backend="cuda"):
        found = softmax_jacobian(proba)
    assert {"to_device": proba.nbytes, "to_host": expected.nbytes} == TRANSFERRED
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda there: softmax(there * -np.inf), r"15 row\(s\) have nothing|12 row\(s\) have nothing"),
        (lambda there: softmax(there.astype(complex)), "'scores' must be an array of real numbers. Got .* complex128"),
        (lambda there: softmax(there, mask=there), "'mask' parameter must be an array of bool"),
        (lambda there: softmax(there, mask=there[0, :2] > 0), "broadcastable to the shape of the scores"),
        (lambda there: softmax(there, 7), "axis 7 is out of bounds"),
        (lambda there: softmax_jvp(there, there[0]), "must have the same shape"),
        (lambda there: scaled_dot_product_attention(there[0, 0], there, there), "at least two axes"),
        (lambda there: scaled_dot_product_attention(there, there, there, mask=there > 9), "60 queries|12 queries"),
        (lambda there: scaled_dot_product_attention(there, there, there, top_k=9), r"int in the range \[1, 3\]"),
        (lambda there: attention_vjp(there, there, there, there[0]), "'out_gradient' must have the shape"),
        (lambda there: routing_by_agreement(there * np.inf), "'votes' parameter must be finite"),
    ],
)
def test_errors_are_those_of_the_host(device, quick, call, message):
    there = device.asarray(np.abs(SCORES))
    there = there[:, :, :3] if "queries" in message else there
    with pytest.raises(ValueError, match=message):
        call(there)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"score": "rbf", "mask": -np.inf < ADDED, "empty": "zero"},
        {"score": "rbf", "scale": 1e306, "temperature": 1e-3},
        {"score": "bilinear", "score_weight": RNG.normal(size=(3, 3)), "is_causal": True},
        {"score": "additive", "score_weight": RNG.normal(size=3), "is_causal": True},
        {"score": "additive", "score_weight": RNG.normal(size=3), "mask": ADDED, "temperature": 2.0, "empty": "nan"},
        {"top_k": 2, "temperature": [0.5, 1.0, 2.0, 3.0]},
        {"mask": ADDED, "temperature": 0.5, "top_k": 3, "empty": "zero"},
        {"mask": ADDED, "temperature": 0.5, "is_causal": True, "empty": "zero"},
    ],
    ids=lambda options: "-".join(options) or "default",
)
def test_attention_is_that_of_the_host(device, quick, options):
    options = {**options, "return_weights": True, "return_lse": True}
    there = [device.asarray(array) for array in (QUERIES, KEYS, VALUES)]
    expected = scaled_dot_product_attention(QUERIES, KEYS, VALUES, **options)
    TRANSFERRED.update(to_device=0, to_host=0)
    results = scaled_dot_product_attention(*there, **options)
    assert_moved(to_device=ADDED.nbytes + 100, to_host=8 * 7 * 8)  # numbers of keys that are not finite, at most
    for found, right in zip(results, expected, strict=True):
        assert_there(found, right)
    for name in ("return_weights", "return_lse", "empty"):
        options.pop(name, None)
    gradient = RNG.normal(size=(2, 4, 6, 2))
    expected = attention_vjp(QUERIES, KEYS, VALUES, gradient, **options)
    results = attention_vjp(*there, gradient, **options)
    assert results._fields == expected._fields
    for found, right in zip(results, expected, strict=True):
        assert (found is None) == (right is None)
        if right is not None:
            assert_there(found, right)


def test_attention_in_single_precision_and_with_what_came_out(device, quick):
    single = [array.astype(np.float32) for array in (QUERIES, KEYS, VALUES)]
    out, lse = scaled_dot_product_attention(*single, return_lse=True)
    there = [device.asarray(array) for array in single]
    assert_there(scaled_dot_product_attention(*there), out, rtol=1e-6)
    found = attention_vjp(
        *there, device.asarray(out), lse_gradient=device.asarray(lse), out=device.asarray(out), lse=lse
    )
    expected = attention_vjp(*single, out, lse_gradient=lse, out=out, lse=lse)
    assert_there(found.keys, expected.keys, rtol=1e-5, atol=1e-6)


def test_nothing_that_is_not_seen_leaks(device, quick):
    keys, values = KEYS.copy(), VALUES.copy()
    keys[..., -1, :], values[..., -1, :] = np.nan, np.inf
    mask = causal_mask(6, 7)
    found = scaled_dot_product_attention(*map(device.asarray, (QUERIES, keys, values)), mask=device.asarray(mask))
    assert_there(found, scaled_dot_product_attention(QUERIES, KEYS, VALUES, mask=mask), rtol=1e-9)


def test_only_what_is_asked_for_is_moved(device, quick):
    """Queries decide; with the user's word arrays of the host are moved, once each, and results come back."""
    with pytest.raises(TypeError, match="'keys' is on a CUDA device, and what comes before it is on the host"):
        scaled_dot_product_attention(QUERIES, device.asarray(KEYS), VALUES)
    with pytest.raises(TypeError, match="'mask' is on a CUDA device"):
        softmax(SCORES, mask=device.asarray(SCORES > 0))
    TRANSFERRED.update(to_device=0, to_host=0)
    with config_context(backend="cuda"):
        found = scaled_dot_product_attention(QUERIES, KEYS, VALUES)
    assert type(found) is np.ndarray
    assert_moved(to_device=QUERIES.nbytes + KEYS.nbytes + VALUES.nbytes, to_host=found.nbytes)
    np.testing.assert_allclose(found, scaled_dot_product_attention(QUERIES, KEYS, VALUES), rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_routing_is_that_of_the_host(device, quick, dtype):
    votes, prior = VOTES.astype(dtype), np.array([0.0, -np.inf, 1.0])
    there = device.asarray(votes)
    TRANSFERRED.update(to_device=0, to_host=0)
    results = routing_by_agreement(there, log_prior=prior, return_coupling=True)
    assert {"to_device": prior.nbytes, "to_host": 0} == TRANSFERRED
    expected = routing_by_agreement(votes, log_prior=prior, return_coupling=True)
    for found, right in zip(results, expected, strict=True):
        assert_there(found, right, rtol=1e-5 if dtype == "float32" else 1e-9)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_backend_of_the_host_cannot_read_them(device, backend):
    with config_context(backend=backend):
        for function in (softmax, softmax_jacobian, lambda a: scaled_dot_product_attention(a, a, a)):
            with pytest.raises(ValueError, match=f"which backend='{backend}' cannot read"):
                function(device.asarray(SCORES))


def test_the_host_computes_where_the_device_cannot(device, monkeypatch):
    monkeypatch.setattr(registry, "capability", lambda: Capability(False, "there is no driver."))
    there = [device.asarray(array) for array in (QUERIES, KEYS, VALUES)]
    with pytest.warns(CudaFallbackWarning, match="the CPU computes: there is no driver"):
        found = scaled_dot_product_attention(*there)
    assert_there(found, scaled_dot_product_attention(QUERIES, KEYS, VALUES))
    out = device.asarray(np.empty_like(SCORES))
    assert softmax(device.asarray(SCORES), out=out) is out
    assert_there(out, softmax(SCORES))
    with config_context(backend="cuda"):
        for function in (softmax, softmax_jacobian, lambda a: scaled_dot_product_attention(a, a, a)):
            for scores in (SCORES, device.asarray(SCORES)):
                with pytest.raises(RuntimeError, match="there is no driver"):
                    function(scores)
