"""Sums into cells that are the same bits whatever thread comes first: integers add up in any order.

A number v becomes two integers, ``high = ⌊v · up⌋`` and ``low = ⌊(v · up − high) · step⌋`` (towards 0), which any
number of threads adds to the two int64 words of its cell by atomics; what is left of v is dropped. `up` and `step` are
powers of two, so that the products are exact. For n numbers of magnitude m at most, with ``c = ⌈log₂ n⌉``, ``m < 2ᵉ``
and e the least such integer:

    step = 2^(62 − c),    up = 2^(62 − c − e)

so that n times either integer is 2⁶² at most: no word overflows. The error of a sum of t of them is below

    t · 2^(2c − 123) · m, and two roundings of the result, 2⁻⁵² of it

which for c = 20 is t · 2⁻⁸³ of the largest magnitude, and for c = 35 still t · 2⁻⁵³ of it, half the last place of the
largest: never worse than a compensated float64 sum of so many terms by more than that. A float32 number loses nothing
unless it is 2⁻(99 − 2c) of the largest or less. `up` stays a number of the precision at hand: instead of the above, the
error of a term is 2⁻¹⁰²¹ for float64 and 2⁻¹⁴¹ for float32, if that is more (for c = 41 and less).

NaN and infinities go to *marks*, int64 of which every sum has two bits for each cell, by an atomic "or"; a cell that
has any holds what a sum of floating-point numbers would.

In a kernel: ``add = add_of(real)``, and ``add(words, high, low, value, up, step, marks, cell, place)`` by any thread,
at any time, with `words` in global memory, or a block's own ones (``private_cells``); float32 kernels do no float64
arithmetic by it. On the host: :func:`largest`, :func:`scale_of` before, :func:`totals` after.
"""

from dataclasses import dataclass
from functools import cache
from math import frexp

import numpy as np

from sksoft.kernels._cuda._api import cuda, device, xp
from sksoft.kernels._cuda.elementary import fabs

# Bits of a word that a sum may fill: the 63rd stays free.
BITS = 62
# Powers of two that are numbers of the precision, as are the products with them of what is in range.
_HIGHEST = {np.dtype(np.float32): 120, np.dtype(np.float64): 1000}


@dataclass(frozen=True)
class Scale:
    """How numbers become integers.

    Attributes
    ----------
    up : float
        Power of two: the high word counts units of 1 / up.
    bits : int
        The low word counts 2⁻ᵇⁱᵗˢ of such a unit.
    """

    up: float
    bits: int

    @property
    def step(self) -> float:
        return 2.0**self.bits


def largest(values) -> float:
    """The largest magnitude of the finite entries of an array of `xp`, 0 where there are none."""
    if values.size == 0:
        return 0.0
    found = max(float(values.max()), -float(values.min()))
    if np.isfinite(found):
        return found
    return largest(values[xp.isfinite(values)])


def scale_of(magnitude: float, n_terms: int, dtype) -> Scale:
    """The scale for `n_terms` (at most 2⁴⁰ or so) finite numbers of a magnitude, in the precision `dtype`."""
    bits = BITS - max(n_terms - 1, 0).bit_length()
    if bits < 1:
        raise ValueError(f"{n_terms} terms are too many for sums in words of 64 bits.")
    exponent = frexp(min(magnitude, float(np.finfo(dtype).max)))[1]
    return Scale(2.0 ** min(bits - exponent, _HIGHEST[np.dtype(dtype)]), bits)


@device
def add_to_word(words, at, integer):
    """Add to one of the words int64 in global memory."""
    cuda.atomic.add(words, at, integer)


@cache
def add_of(real, add_word=add_to_word):
    """``(words, high, low, value, up, step, marks, cell, place)``: add `value` to its words and marks.

    `high` and `low` are indices of `words`, to which ``add_word(words, index, integer)`` adds; `cell` is one of
    `marks`, int64 in global memory, and `place` in 0..30 says which of the sums of the cell it is. `up` and `step` are
    of the type `real`.
    """
    bound, zero = real(2.0**BITS), real(0.0)

    @device
    def add(words, high, low, value, up, step, marks, cell, place):
        scaled = value * up
        if fabs(scaled) < bound:
            whole = np.int64(scaled)
            if whole != 0:
                add_word(words, high, whole)
            rest = np.int64((scaled - real(whole)) * step)
            if rest != 0:
                add_word(words, low, rest)
        else:
            mark = 1 if scaled > zero else (2 if scaled < zero else 3)
            cuda.atomic.or_(marks, cell, np.int64(mark) << np.int64(2 * place))

    return add


def words_of(values, scale: Scale):
    """The integers of a finite array of `xp`, for kernels that pass over it often: high and low, int64."""
    scaled = values.astype(np.float64) * scale.up
    high = scaled.astype(np.int64)
    return high, ((scaled - high) * scale.step).astype(np.int64)


def marks_of(values, place: int):
    """A float64 array of `xp` with 0 for what is not finite, and the marks of it, int64; None where all is finite."""
    finite = xp.isfinite(values)
    if bool(finite.all()):
        return values, None
    kind = xp.where(values > 0, 1, xp.where(values < 0, 2, 3))
    return xp.where(finite, values, 0.0), xp.where(finite, 0, kind << (2 * place)).astype(np.int64)


def totals(high, low, scale: Scale, marks=None, place: int = 0):
    """The sums, float64, of words and marks of any one shape, arrays of `xp`."""
    high = high + (low >> scale.bits)
    low = low & ((1 << scale.bits) - 1)
    coarse = high.astype(np.float64)
    fine = (high - coarse.astype(np.int64)).astype(np.float64) + low.astype(np.float64) / scale.step
    with np.errstate(over="ignore"):  # a sum beyond the range of numbers is infinite
        sums = (coarse + fine) / scale.up
    if marks is not None:
        kind = (marks >> (2 * place)) & 3
        for mark, value in ((1, np.inf), (2, -np.inf), (3, np.nan)):
            sums = xp.where(kind == mark, value, sums)
    return sums
