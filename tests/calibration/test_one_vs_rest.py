"""Log-odds of each class, and rows from what becomes of them."""

import mpmath
import numpy as np
import pytest

from sksoft.calibration.one_vs_rest import columns_to_calibrate, joined, log_odds_of_second, one_vs_rest


def exact(row):
    with mpmath.workdps(1000):
        terms = [mpmath.exp(mpmath.mpf(v)) for v in row]
        return [float(mpmath.log(t / (sum(terms) - t))) for t in terms]


@pytest.mark.parametrize(
    "row",
    [[0.3, -1.0, 2.0], [50.0, 0.0, -3.0], [1.0, 1.0, 1.0, 1.0], [-700.0, 0.0, 600.0], [1e-9, 0.0, -1e-9], [40.0, 39.0]],
    ids=str,
)
def test_digits(row):
    np.testing.assert_allclose(one_vs_rest(np.array([row]))[0], exact(row), rtol=1e-14, atol=1e-15)


def test_two_classes_are_one_number_exactly():
    z = np.random.default_rng(0).normal(size=(50, 2)) * 30.0
    result = one_vs_rest(z)
    np.testing.assert_array_equal(result[:, 1], z[:, 1] - z[:, 0])
    np.testing.assert_array_equal(result[:, 0], -result[:, 1])
    assert columns_to_calibrate(result) == range(1, 2)


def test_huge_scores_are_finite_and_in_order():
    huge = np.finfo(np.float64).max
    assert np.isfinite(one_vs_rest(np.array([[huge, -huge, 0.0], [0.0, 0.0, -huge]]))).all()
    assert log_odds_of_second(np.array([[-huge, huge]])) == [1e100]


def test_float32_gives_float64_and_leaves_its_input():
    z = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    before = z.copy()
    result = one_vs_rest(z)
    assert result.dtype == np.float64
    np.testing.assert_array_equal(z, before)
    np.testing.assert_allclose(result[0], exact(z[0].tolist()), rtol=1e-13)


def test_rows_without_any_class_are_uniform():
    rows = joined(np.array([[0.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 1.0]]))
    np.testing.assert_array_equal(rows, [[0.25] * 4, [0.25, 0.25, 0.0, 0.5]])
    np.testing.assert_array_equal(joined(np.array([[0.3]])), [[0.7, 0.3]])
