r"""The logarithm of a sigmoid with little latency, for walks in which each step waits for the one before.

``softplus(−t) = log(1 + exp(−t))`` for t ≥ 0 is a polynomial on each of some short intervals. Interpolation at
Chebyshev's nodes leaves about 25^−12 of the value, the nearest singularities ±iπ being 12 half-widths away; rounding
leaves 4e-16, or 1e-15 where no float is longer than 64 bits. One evaluation waits for a conversion, a load and ten
operations in a row, half of what an exponential followed by a logarithm waits for. Where many are taken side by side
those are vectorised, and faster.
"""

import numpy as np

from sksoft.kernels._numba._jit import jit
from sksoft.kernels._numba.exp import exp, fma, log1p

DEGREE = 11
WIDTH = 0.5
# The last interval ends at 40: beyond, exp(−t) is below the last bit of 1 and rarely wanted.
N_INTERVALS = 80
END = N_INTERVALS * WIDTH


def _table() -> np.ndarray:
    """Coefficients (N_INTERVALS, DEGREE + 1) in powers of the distance from an interval's middle."""
    n_nodes = DEGREE + 1
    pi = 4 * np.arctan(np.longdouble(1))
    angles = pi * (np.arange(n_nodes) + np.longdouble(0.5)) / n_nodes
    middles = (np.arange(N_INTERVALS, dtype=np.longdouble)[:, None] + 0.5) * WIDTH
    values = np.log1p(np.exp(-(middles + np.cos(angles) * WIDTH / 2)))
    # the coefficients of Chebyshev's polynomials, and those as powers of u in [−1, 1]
    series = values @ np.cos(angles[:, None] * np.arange(n_nodes)) * 2 / n_nodes
    series[:, 0] /= 2
    powers = np.zeros((n_nodes, n_nodes), dtype=np.longdouble)
    powers[0, 0] = powers[1, 1] = 1
    for degree in range(2, n_nodes):
        powers[degree, 1:] = 2 * powers[degree - 1, :-1]
        powers[degree] -= powers[degree - 2]
    return np.asarray(series @ powers * (2 / WIDTH) ** np.arange(n_nodes), dtype=np.float64)


TABLE = _table()


@jit(forceinline=True)
def softplus_of_minus(t):
    """``log(1 + exp(−t))`` for t ≥ 0; NaN for NaN."""
    if not t < END:
        return log1p(exp(-t))
    interval = np.int64(t * (1.0 / WIDTH))
    a = TABLE[np.uint64(interval)]
    x = t - (np.float64(interval) + 0.5) * WIDTH
    x2 = x * x
    x4 = x2 * x2
    low = fma(fma(a[3], x, a[2]), x2, fma(a[1], x, a[0]))
    middle = fma(fma(a[7], x, a[6]), x2, fma(a[5], x, a[4]))
    high = fma(fma(a[11], x, a[10]), x2, fma(a[9], x, a[8]))
    return fma(fma(high, x4, middle), x4, low)
