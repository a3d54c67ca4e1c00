"""Elementary functions as kernels call them: the device's own; in the simulator NumPy's, which raise no exception and
keep float32 what it is.
"""

import math

import numpy as np

from sksoft.kernels._cuda._api import SIMULATED, cuda, device

_library = np if SIMULATED else math

exp, expm1, log, log1p, sqrt = _library.exp, _library.expm1, _library.log, _library.log1p, _library.sqrt
floor, fabs, isinf, isnan = _library.floor, _library.fabs, _library.isinf, _library.isnan
copysign = _library.copysign
power = np.power if SIMULATED else math.pow


if SIMULATED:

    def fma(a, b, c):
        """``a b + c``, rounded once in float32, whose products float64 holds."""
        return type(a)(np.float64(a) * np.float64(b) + np.float64(c))

else:

    @device
    def fma(a, b, c):
        """``a b + c``, rounded once."""
        return cuda.fma(a, b, c)
