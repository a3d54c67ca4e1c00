"""Sums of fixed-point numbers: exact where they promise it, within their bound elsewhere, whatever the magnitudes."""

from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed: pip install -e '.[test,cuda-test]'")
from sksoft.kernels._cuda import fixed_point

N = 1000


@pytest.fixture(autouse=True)
def arrays_of_numpy(monkeypatch):
    monkeypatch.setattr(fixed_point, "xp", np)


def numbers(dtype, magnitude):
    rng = np.random.default_rng(0)
    values = rng.standard_normal(N) * 10.0 ** rng.integers(-8, 1, N)
    values[0] = 0.0
    return (values / np.abs(values).max() * magnitude).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_error_is_within_the_bound_from_the_smallest_to_the_largest_numbers(dtype, share):
    limits = np.finfo(dtype)
    magnitude = float(limits.smallest_normal) ** (1.0 - share) * (2.0**-16 * float(limits.max)) ** share
    values = numbers(dtype, magnitude)
    scale = fixed_point.scale_of(fixed_point.largest(values), N, dtype)
    high, low = fixed_point.words_of(values, scale)
    assert abs(high).sum(dtype=object) <= 2**62
    assert abs(low).sum(dtype=object) <= 2**62
    got = float(fixed_point.totals(high.sum(keepdims=True), low.sum(keepdims=True), scale)[0])
    exact = sum(map(Fraction, values.tolist()))
    floor = 2.0**-1021 if dtype == np.float64 else 2.0**-141
    bound = N * max(2.0 ** (2 * 10 - 123) * magnitude, floor) + 2.0**-52 * abs(float(exact))
    assert abs(float(Fraction(got) - exact)) <= bound


def test_large_numbers_that_cancel_leave_the_small_ones():
    values = np.array([1e15, 1.0, -1e15, 2.0**-30, -1e15, 1e15])
    scale = fixed_point.scale_of(fixed_point.largest(values), len(values), np.float64)
    high, low = (words.sum(keepdims=True) for words in fixed_point.words_of(values, scale))
    assert fixed_point.totals(high, low, scale)[0] == 1.0 + 2.0**-30


def test_marks_stand_for_what_is_not_finite():
    zeros = np.zeros(4, np.int64)
    scale = fixed_point.scale_of(1.0, 1, np.float64)
    sums = fixed_point.totals(zeros, zeros, scale, np.array([0, 1, 2, 3]) << 4, place=2)
    np.testing.assert_array_equal(sums, [0.0, np.inf, -np.inf, np.nan])


def test_largest_is_of_the_finite_entries():
    assert fixed_point.largest(np.array([1.0, np.nan, -3.0, np.inf])) == 3.0
    assert fixed_point.largest(np.array([np.nan])) == 0.0
    assert fixed_point.largest(np.empty(0)) == 0.0
