"""Compact kernels where their support ends."""

import numpy as np
import pytest

from sksoft.attention.compact import Compact


@pytest.mark.parametrize("power", [1, 2, 3])
def test_nothing_within_a_bandwidth_is_no_answer_and_no_gradient(power):
    K, V = np.array([[0.0], [0.5]]), np.array([[1.0], [2.0]])
    Q = np.array([[0.25], [3.0]])
    shared = (Q, K, V, np.zeros(2), None, None)
    out, lse = Compact(power).average(*shared)
    assert out[0, 0] == pytest.approx(1.5)
    assert np.isnan(out[1, 0])
    assert lse[1] == -np.inf
    by_query, by_key, by_value = Compact(power).pull(*shared, out, lse, np.array([[1.0], [7.0]]), None)
    assert by_query[1] == 0.0
    np.testing.assert_allclose(by_value[:, 0], [0.5, 0.5])
    assert np.isfinite(by_key).all()


@pytest.mark.parametrize("power", [1, 2, 3])
def test_a_key_on_the_edge_has_no_weight(power):
    out, lse = Compact(power).average(
        np.zeros((1, 1)), np.array([[1.0], [0.5]]), np.array([[9.0], [2.0]]), np.zeros(2), None, None
    )
    assert out[0, 0] == 2.0
    assert lse[0] == pytest.approx(power * np.log(0.75))
