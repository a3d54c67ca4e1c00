r"""Exponential and logarithm that LLVM vectorises: no tables, no branches, no calls.

pip's numba has no vector mathematics library, so ``math.exp`` in a loop is one call an element and slower than NumPy.

``exp`` (Cody & Waite, *Software Manual for the Elementary Functions*, 1980, chapter 6)::

    float64:  x log₂e = n + r,  |r| ≤ 1/2              exp x = 2ⁿ P(r),  P(r) ≈ 2ʳ
    float32:  x = n log 2 + r,  |r| ≤ log(2) / 2       exp x = 2ⁿ P(r),  P(r) ≈ eʳ

with P the polynomial of least relative error on that interval (Remez; 3e-16 in float64, 2e-9 in float32), n rounded by
adding 1.5·2^52, which leaves n in the low bits, and 2ⁿ added to (float64) or built in the exponent bits. Fused
multiply-adds are what a core has least of, and float64 takes twelve of them: r is exact but for the 2e-17 by which
log₂e is not a float64, so the relative error is 4e-16 + 1.5e-17 |x|, or 1e-14 where exp x is 1e-300.

``exp2`` needs no logarithm: x = n + r exactly. Its float32 polynomial is shorter (1.5e-7, nothing at 0).

``log``, with x = 2ⁿ m, √½ ≤ m < √2 and s = (m − 1) / (m + 1)::

    log x = n log 2 + 2 atanh s = n log 2 + 2 s + s³ Q(s²)

Both propagate NaN, because a NaN goes through the polynomial and no comparison with it holds.
"""

import numpy as np
from numba import types
from numba.extending import intrinsic, overload, register_jitable

from sksoft.kernels._numba._jit import CONTRACT

LOG2E = 1.4426950408889634
# log 2 in two parts; n times the first is exact
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
# 1.5 * 2**52: the low bits of x + MAGIC are x rounded to an integer
MAGIC = 6755399441055744.0
# exp is 0 below: under it results would be subnormal
LOWEST = -708.0

LOG2E_32 = np.float32(LOG2E)
LN2_HIGH_32, LN2_LOW_32 = np.float32(0.693359375), np.float32(-2.12194440e-4)
# 1.5 * 2**23 + the exponent's bias: the low bits of x + MAGIC_32 are the biased exponent
MAGIC_32 = np.float32(12582912.0 + 127)
LOWEST_32 = np.float32(-87.0)
# of exp2
LOWEST_2, LOWEST_2_32 = -1021.0, np.float32(-126.0)

SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
MANTISSA = 0x000FFFFFFFFFFFFF
# The bits of MAGIC: adding a small integer to them adds it to the float
MAGIC_BITS = 0x4338000000000000
SMALLEST_NORMAL = 2.2250738585072014e-308

C32 = tuple(
    np.float32(c)
    for c in (
        1.0,
        1.000000036344721,
        0.4999999207508873,
        0.16666420072125315,
        0.04166822618929449,
        0.008374824050589383,
        0.0013836835742475305,
    )
)
# of 2ʳ
C2_32 = tuple(
    np.float32(c)
    for c in (
        1.0,
        0.69314696706526493,
        0.24022119723969178,
        0.055507132728753912,
        0.0096755413310213911,
        0.0013276472167819943,
    )
)
ONE_32, ZERO_32 = np.float32(1.0), np.float32(0.0)

INLINED = {"fastmath": set(CONTRACT), "error_model": "numpy", "forceinline": True}


# Names for compiled code: the bodies follow as overloads, one for each precision.


def exp(x):
    """``exp(x)`` for x ≤ 0 in the precision of x: exactly 0 for −inf and where it would be subnormal, NaN for NaN."""
    raise NotImplementedError


def exp2(x):
    """``2 ** x`` as :func:`exp`; also for positive x while the result is finite."""
    raise NotImplementedError


def log(x):
    """``log(x)`` of a float64 for normal x > 0: −inf for 0 and subnormal x, NaN for x < 0 and NaN, +inf for +inf."""
    raise NotImplementedError


def log1p(x):
    """``log(1 + x)`` of a float64 x ≥ 0, accurate for small x; NaN for NaN."""
    raise NotImplementedError


def ordered(x):
    """The bits of x as an integer that orders as x does: maxima of integers vectorise, those of floats do not.

    NaN orders outside the infinities, above or below by its sign bit.
    """
    raise NotImplementedError


def unordered(key, like):
    """The float of the type of `like` whose :func:`ordered` is `key`."""
    raise NotImplementedError


@intrinsic
def fma(typingctx, a, b, c):
    """``a · b + c`` of float64, rounded once whatever LLVM would choose."""

    def codegen(context, builder, signature, args):
        return builder.fma(*args)

    return types.float64(types.float64, types.float64, types.float64), codegen


@overload(exp, jit_options=INLINED)
def _exp(x):
    return _exp_32 if x == types.float32 else _exp_64


@register_jitable(**INLINED)
def _scaled_power(r, shifted):
    """2ʳ⁺ⁿ for |r| ≤ 1/2, n in the low bits of `shifted`."""
    p = 7.111758778310276276e-09
    p = p * r + 1.0210506462739978229e-07
    p = p * r + 1.3215235634319887827e-06
    p = p * r + 1.525264774767569342e-05
    p = p * r + 0.00015403530800818936925
    p = p * r + 0.0013333558246480752307
    p = p * r + 0.0096181291073807139964
    p = p * r + 0.055504108664346583896
    p = p * r + 0.24022650695910472154
    p = p * r + 0.69314718055995161623
    p = p * r + 1.0
    return np.int64(np.float64(p).view(np.int64) + (np.float64(shifted).view(np.int64) << 52)).view(np.float64)


def _exp_64(x):
    shifted = fma(x, LOG2E, MAGIC)
    r = fma(x, LOG2E, MAGIC - shifted)
    scaled = _scaled_power(r, shifted)
    positive = 0.0 if x < LOWEST else scaled
    return x if x != x else positive


def _exp_32(x):
    shifted = x * LOG2E_32 + MAGIC_32
    n = shifted - MAGIC_32
    r = (x - n * LN2_HIGH_32) - n * LN2_LOW_32
    p = C32[6]
    p = p * r + C32[5]
    p = p * r + C32[4]
    p = p * r + C32[3]
    p = p * r + C32[2]
    p = p * r + C32[1]
    p = p * r + C32[0]
    power = np.int32(np.float32(shifted).view(np.int32) << np.int32(23)).view(np.float32)
    return ZERO_32 if x < LOWEST_32 else p * power


@overload(exp2, jit_options=INLINED)
def _exp2(x):
    return _exp2_32 if x == types.float32 else _exp2_64


def _exp2_64(x):
    shifted = x + MAGIC
    scaled = _scaled_power(x - (shifted - MAGIC), shifted)
    positive = 0.0 if x < LOWEST_2 else scaled
    return x if x != x else positive


def _exp2_32(x):
    shifted = x + MAGIC_32
    r = x - (shifted - MAGIC_32)
    p = C2_32[5]
    p = p * r + C2_32[4]
    p = p * r + C2_32[3]
    p = p * r + C2_32[2]
    p = p * r + C2_32[1]
    p = p * r + C2_32[0]
    power = np.int32(np.float32(shifted).view(np.int32) << np.int32(23)).view(np.float32)
    return ZERO_32 if x < LOWEST_2_32 else p * power


@overload(log, jit_options=INLINED)
def _log(x):
    return _log_64


def _log_64(x):
    bits = np.float64(x).view(np.int64) - SQRT_HALF_BITS
    m = np.int64((bits & MANTISSA) + SQRT_HALF_BITS).view(np.float64)
    # the integer exponent as a float, by the same trick: converting vectors of 64-bit integers needs AVX-512
    n = np.int64((bits >> 52) + MAGIC_BITS).view(np.float64) - MAGIC
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    q = 0.13268516248482184 + z * 0.13089219243906533
    q = q * z + 0.1538624968412728
    q = q * z + 0.18181795448175736
    q = q * z + 0.22222222393605193
    q = q * z + 0.2857142857079476
    q = q * z + 0.4000000000000089
    q = q * z + 0.6666666666666666
    y = n * LN2_HIGH + (2.0 * s + (s * z * q + n * LN2_LOW))
    y = -np.inf if x < SMALLEST_NORMAL else y
    y = x if x == np.inf else y
    return np.nan if not x >= 0.0 else y


@overload(log1p, jit_options=INLINED)
def _log1p(x):
    return _log1p_64


def _log1p_64(x):
    whole = 1.0 + x
    # what rounding took from 1 + x, to first order
    lost = (x - (whole - 1.0)) / whole
    y = log(whole) + lost
    return x if x == np.inf else y


@overload(ordered, jit_options=INLINED)
def _ordered(x):
    if x == types.float32:

        def ordered_32(x):
            bits = np.float32(x).view(np.int32)
            return np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))

        return ordered_32

    def ordered_64(x):
        bits = np.float64(x).view(np.int64)
        return bits ^ ((bits >> 63) & 0x7FFFFFFFFFFFFFFF)

    return ordered_64


@overload(unordered, jit_options=INLINED)
def _unordered(key, like):
    if like == types.float32:

        def unordered_32(key, like):
            key = np.int32(key)
            return np.int32(key ^ ((key >> np.int32(31)) & np.int32(0x7FFFFFFF))).view(np.float32)

        return unordered_32

    def unordered_64(key, like):
        return np.int64(key ^ ((key >> 63) & 0x7FFFFFFFFFFFFFFF)).view(np.float64)

    return unordered_64
