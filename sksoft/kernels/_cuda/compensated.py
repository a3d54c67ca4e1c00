"""Sums of many numbers in float32 that are as good as in float64: what additions and products round off is kept.

A sum is a pair (total, low) of the precision at hand, whose value is total + low. In float32 `low` holds what was
rounded off [1]_, and the pair is good to about 2⁻⁴⁵ of the sum of magnitudes for a few hundred terms. In float64 it
stays 0, and the sum is the ordinary one.

References
----------
.. [1] Ogita, Rump, Oishi, "Accurate sum and dot product", SIAM J. Sci. Comput. 26(6), 2005, algorithms 3.1 and 5.3.
"""

from functools import cache

import numpy as np

from sksoft.kernels._cuda._api import device, times
from sksoft.kernels._cuda.elementary import fma
from sksoft.kernels._cuda.warps import two_sum


@cache
def add_of(real):
    """``(total, low, x) -> (total, low)``."""
    if real is np.float64:

        @device
        def add(total, low, x):
            return total + x, low

        return add

    @device
    def add(total, low, x):
        total, rest = two_sum(total, x)
        return total, low + rest

    return add


@cache
def add_product_of(real):
    """``(total, low, x, x_low, y) -> (total, low)``: (x + x_low) · y added; x_low is what x was rounded by."""
    add, product = add_of(real), product_of(real)

    @device
    def add_product(total, low, x, x_low, y):
        rounded, rest = product(x, y)
        return add(total, low + (rest + x_low * y), rounded)

    return add_product


@cache
def product_of(real):
    """``(x, y) -> (x · y, what that was rounded by)``, the second of which is 0 in float64."""
    zero = real(0.0)
    if real is np.float64:

        @device
        def product(x, y):
            return x * y, zero

    else:

        @device
        def product(x, y):
            rounded = times(x, y)  # fused with the sum that it goes to, it would be there with its rest
            return rounded, fma(x, y, -rounded)

    return product


@device
def settled(total, low):
    """The value of a sum; where that is infinite or NaN its low part means nothing."""
    return total + low if low == low else total
