"""softplus(−t) to the last bits, on the intervals, at their ends and beyond the last."""

import mpmath
import numpy as np

from sksoft.kernels._numba._jit import jit
from sksoft.kernels._numba.log_sigmoid import END, WIDTH, softplus_of_minus


@jit
def each(t):
    out = np.empty_like(t)
    for i in range(t.size):
        out[i] = softplus_of_minus(t[i])
    return out


def test_against_many_digits():
    rng = np.random.default_rng(0)
    edges = np.arange(0.0, END + 1.0, WIDTH)
    points = np.concatenate([edges, np.nextafter(edges, 100.0), np.nextafter(edges[1:], 0.0), 42.0 * rng.random(1000)])
    points = np.concatenate([points, 3.0 * rng.random(1000), [1e-300, 1e-9, 100.0]])
    with mpmath.workdps(40):
        expected = [mpmath.log1p(mpmath.exp(-mpmath.mpf(float(t)))) for t in points]
        errors = [abs(float((mpmath.mpf(float(got)) - e) / e)) for got, e in zip(each(points), expected)]
    assert max(errors[:-1]) < 1.1e-15
    assert errors[-1] < 1e-14


def test_what_is_no_number_and_no_end():
    got = each(np.array([np.nan, np.inf, 800.0]))
    assert np.isnan(got[0])
    assert got[1:].tolist() == [0.0, 0.0]
