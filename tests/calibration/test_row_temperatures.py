"""Rows with temperatures of their own: against SciPy, finite differences and arbitrary precision."""

import mpmath
import numpy as np
import pytest
from scipy.special import entr, log_softmax, softmax

from sksoft.calibration.row_temperatures import entropies, loss_by_row, softmax_at


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return 3.0 * rng.normal(size=(60, 4)), rng.integers(4, size=60), rng.exponential(size=60) + 0.1


def test_softmax(rows):
    z, _, t = rows
    np.testing.assert_allclose(softmax_at(z, t), softmax(z / t[:, None], axis=1), rtol=1e-13)
    assert softmax_at(z.astype(np.float32), t).dtype == np.float32
    far = softmax_at(np.array([[1.7e308, -1.7e308, 1.7e308]]), np.array([1e-300]))
    np.testing.assert_array_equal(far, [[0.5, 0.0, 0.5]])


def test_entropies(rows):
    z, _, _ = rows
    np.testing.assert_allclose(entropies(z), entr(softmax(z, axis=1)).sum(axis=1), rtol=1e-13)
    with mpmath.workdps(400):
        exact = []
        for d in (5.0, 40.0, 300.0):
            p = 1 / (1 + mpmath.exp(-mpmath.mpf(d)))
            exact.append(float(-p * mpmath.log(p) - (1 - p) * mpmath.log(1 - p)))
    np.testing.assert_allclose(entropies(np.array([[0.0, 5.0], [40.0, 0.0], [300.0, 0.0]])), exact, rtol=1e-14)
    np.testing.assert_array_equal(entropies(np.array([[1.7e308, -1.7e308]])), [0.0])


def test_losses_and_their_derivatives(rows):
    z, codes, t = rows
    beta, step = 1.0 / t, 1e-5
    losses, first, second = loss_by_row(z, codes, beta)
    own = np.arange(60), codes
    np.testing.assert_allclose(losses, -log_softmax(z * beta[:, None], axis=1)[own], rtol=1e-11, atol=1e-15)
    above, below = (loss_by_row(z, codes, beta * np.exp(sign * step)) for sign in (1.0, -1.0))
    np.testing.assert_allclose(first, (above[0] - below[0]) / (2 * step), atol=1e-8)
    # of β L' in log β: β L' + β² L''
    np.testing.assert_allclose(first + second, (above[1] - below[1]) / (2 * step), atol=1e-7)
