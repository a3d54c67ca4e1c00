"""The vectorised exponential and logarithm against long doubles and mpmath, and at the edges."""

import mpmath
import numba
import numpy as np
import pytest

from sksoft.kernels._numba import exp as functions
from sksoft.kernels._numba._jit import CONTRACT, jit


@jit
def exp_of(x, out):
    for i in range(x.size):
        out[i] = functions.exp(x[i])


@jit
def log_of(x, out):
    for i in range(x.size):
        out[i] = functions.log(x[i])


@jit
def log1p_of(x, out):
    for i in range(x.size):
        out[i] = functions.log1p(x[i])


def applied(function, x):
    out = np.empty_like(x)
    function(x, out)
    return out


def relative_error(got, function, x):
    with mpmath.workdps(40):
        exact = [function(mpmath.mpf(float(v))) for v in x]
        return max(float(abs((mpmath.mpf(float(g)) - e) / e)) if e else abs(float(g)) for g, e in zip(got, exact))


@pytest.mark.parametrize(("dtype", "lowest"), [("float64", -708.0), ("float32", -87.0)])
def test_exp_is_accurate_on_its_whole_range(dtype, lowest):
    x = np.concatenate([np.linspace(lowest, 0.0, 3001), -np.logspace(-20, 0, 500)]).astype(dtype)
    if dtype == "float32":
        assert relative_error(applied(exp_of, x), mpmath.exp, x) < 1.2e-7
    for part in np.array_split(np.sort(x), 20) if dtype == "float64" else []:
        assert relative_error(applied(exp_of, part), mpmath.exp, part) < 4e-16 + 1.5e-17 * -part[0]


@pytest.mark.parametrize(("dtype", "below"), [("float64", -708.5), ("float32", -88.0)])
def test_exp_at_the_edges(dtype, below):
    x = np.array([0.0, -0.0, -np.inf, below, -1e30, np.nan, -np.nan], dtype)
    np.testing.assert_array_equal(applied(exp_of, x), np.array([1.0, 1.0, 0.0, 0.0, 0.0, np.nan, np.nan], dtype))


def test_a_nan_of_any_payload_stays_nan():
    payloads = np.array([0x7FF0000000000001, 0x7FF8DEADBEEF0400, -1, 0x7FFFFFFFFFFFFFFF], dtype=np.int64)
    assert np.isnan(applied(exp_of, payloads.view(np.float64))).all()


def test_log_is_accurate_and_knows_its_edges():
    x = np.concatenate([np.logspace(-307, 307, 2001), 1.0 + np.linspace(-0.3, 0.4, 2000), [1.0]])
    assert relative_error(applied(log_of, x), mpmath.log, x) < 1e-14
    edges = np.array([0.0, np.inf, -1.0, np.nan, -np.inf])
    np.testing.assert_array_equal(applied(log_of, edges), [-np.inf, np.inf, np.nan, np.nan, np.nan])


def test_log1p_is_accurate_near_zero():
    x = np.concatenate([np.logspace(-300, 10, 2001), [0.0, 1.0]])
    assert relative_error(applied(log1p_of, x), mpmath.log1p, x) < 1e-14
    np.testing.assert_array_equal(applied(log1p_of, np.array([np.inf, np.nan])), [np.inf, np.nan])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_exp_is_vectorised(dtype):
    """The loop holds packed multiplications, not only scalar ones: a lost vectorisation is several times slower."""
    array = numba.types.Array(getattr(numba.types, dtype), 1, "C")
    compiled = numba.njit(nogil=True, error_model="numpy", fastmath=set(CONTRACT))(exp_of.py_func)  # not from a cache
    compiled.compile((array, array))
    (assembly,) = compiled.inspect_asm().values()
    packed = ("vmulpd", "vfmadd", "mulpd", "fmla", "fmul") if dtype == "float64" else ("mulps", "ps\t", "ps ", ".4s")
    assert any(instruction in assembly for instruction in packed)


@jit
def exp2_of(x, out):
    for i in range(x.size):
        out[i] = functions.exp2(x[i])


@pytest.mark.parametrize(("dtype", "lowest", "bound"), [("float64", -1021.0, 4e-16), ("float32", -126.0, 2e-7)])
def test_exp2_is_accurate_on_its_whole_range(dtype, lowest, bound):
    x = np.concatenate([np.linspace(lowest, 30.0, 3001), -np.logspace(-20, 0, 500)]).astype(dtype)
    assert relative_error(applied(exp2_of, x), lambda v: mpmath.mpf(2) ** v, x) < bound


@pytest.mark.parametrize(("dtype", "below"), [("float64", -1022.0), ("float32", -127.0)])
def test_exp2_at_the_edges(dtype, below):
    x = np.array([0.0, -0.0, -3.0, -np.inf, below, -1e30, np.nan, -np.nan], dtype)
    expected = np.array([1.0, 1.0, 0.125, 0.0, 0.0, 0.0, np.nan, np.nan], dtype)
    np.testing.assert_allclose(applied(exp2_of, x), expected, rtol=0.0)
