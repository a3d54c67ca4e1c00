"""Normalised logits, and why not by batches."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksoft import LogitNormalizer, softmax

LOGITS = np.random.default_rng(0).normal(size=(20, 5)) * 3 + 1


@parametrize_with_checks([LogitNormalizer(), LogitNormalizer("l2", temperature=0.5, epsilon=1e-5)])
def test_estimator(estimator, check):
    check(estimator)


def test_layer_norm_by_its_definition():
    ours = LogitNormalizer(temperature=0.5, epsilon=0.1).fit_transform(LOGITS)
    for row, found in zip(LOGITS, ours):
        expected = (row - row.mean()) / np.sqrt(row.var() + 0.1) / 0.5
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_l2_by_its_definition():
    ours = LogitNormalizer("l2", temperature=0.04).fit_transform(LOGITS)
    np.testing.assert_allclose(ours, LOGITS / np.linalg.norm(LOGITS, axis=1, keepdims=True) / 0.04, rtol=1e-12)


def test_epsilon_is_added_to_the_squared_length():
    ours = LogitNormalizer("l2", epsilon=0.5).fit_transform(LOGITS)
    np.testing.assert_allclose(ours, LOGITS / np.sqrt(np.sum(LOGITS**2, axis=1, keepdims=True) + 0.5), rtol=1e-12)


def test_a_lone_one_ends_as_far_as_it_says():
    K = 5
    ours = LogitNormalizer(temperature=0.5).fit_transform(np.eye(K))
    np.testing.assert_allclose(np.diag(ours), np.sqrt(K - 1) / 0.5)


def test_batch_norm_before_a_softmax_couples_rows_and_this_does_not():
    """One row changes; what becomes of the others?"""
    changed = LOGITS.copy()
    changed[0] += [50.0, 0.0, 0.0, 0.0, 0.0]
    ours = [softmax(LogitNormalizer().fit_transform(X)) for X in (LOGITS, changed)]
    by_batch = [softmax(StandardScaler().fit_transform(X)) for X in (LOGITS, changed)]
    np.testing.assert_array_equal(ours[0][1:], ours[1][1:])
    moved = np.abs(by_batch[0][1:] - by_batch[1][1:])
    assert (moved.max(axis=1) > 0.0).all(), "every other row moved"
    assert moved.max(axis=1).mean() > 0.05, "by much"
    assert (by_batch[0].argmax(axis=1)[1:] != by_batch[1].argmax(axis=1)[1:]).any(), "and some to another class"


def test_a_row_alone_is_the_row_in_company():
    model = LogitNormalizer().fit(LOGITS)
    np.testing.assert_array_equal(model.transform(LOGITS)[3], model.transform(LOGITS[3:4])[0])
    # alone in its batch, a row is normalised to nothing
    np.testing.assert_array_equal(StandardScaler().fit_transform(LOGITS[3:4]), 0.0)


@pytest.mark.parametrize("norm", ["layer", "l2"])
@pytest.mark.parametrize("factor", [1e-300, 1e-8, 1e8, 1e306])
def test_the_size_of_logits_does_not_matter(norm, factor):
    expected = LogitNormalizer(norm).fit_transform(LOGITS)
    np.testing.assert_allclose(LogitNormalizer(norm).fit_transform(factor * LOGITS), expected, rtol=1e-9)


def test_rows_without_spread_become_zeros():
    flat = np.array([[0.1, 0.1, 0.1], [0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(LogitNormalizer().fit_transform(flat), 0.0)
    np.testing.assert_array_equal(LogitNormalizer("l2").fit_transform(flat[1:]), 0.0)
    np.testing.assert_array_equal(LogitNormalizer().fit_transform([[3.0], [4.0]]), 0.0)


@pytest.mark.parametrize("norm", ["layer", "l2"])
def test_the_largest_numbers_do_not_overflow(norm):
    most = np.finfo(np.float64).max
    ours = LogitNormalizer(norm).fit_transform([[most, -most, 0.0]])
    np.testing.assert_allclose(ours, LogitNormalizer(norm).fit_transform([[1.0, -1.0, 0.0]]))


@pytest.mark.parametrize("norm", ["layer", "l2"])
def test_float32_stays_float32(norm):
    ours = LogitNormalizer(norm, temperature=0.1, epsilon=1e-5).fit_transform(LOGITS.astype(np.float32))
    assert ours.dtype == np.float32
    expected = LogitNormalizer(norm, temperature=0.1, epsilon=1e-5).fit_transform(LOGITS)
    np.testing.assert_allclose(ours, expected, rtol=2e-6, atol=2e-6)


def test_a_temperature_too_small_for_float32_makes_no_nan():
    """A row without spread stays zero at any temperature."""
    flat = np.full((1, 3), 2.0, np.float32)
    np.testing.assert_array_equal(LogitNormalizer(temperature=1e-50).fit_transform(flat), 0.0)


@pytest.mark.parametrize(("options", "name"), [({"norm": "batch"}, "norm"), ({"temperature": 0.0}, "temperature")])
def test_bad_parameters_are_named(options, name):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of LogitNormalizer must be"):
        LogitNormalizer(**options).fit(LOGITS)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_must_be_finite(value):
    with pytest.raises(ValueError, match="contains"):
        LogitNormalizer().fit_transform([[0.0, value]])
