"""splitmix64 on a device: the bits of :mod:`sksoft.kernels.splitmix`."""

import numpy as np

from sksoft.kernels import splitmix
from sksoft.kernels._cuda._api import device

STEP, FACTOR_1, FACTOR_2 = splitmix.STEP, splitmix.FACTOR_1, splitmix.FACTOR_2


@device
def mix(word):
    """Scramble a uint64."""
    word = (word ^ (word >> np.uint64(30))) * FACTOR_1
    word = (word ^ (word >> np.uint64(27))) * FACTOR_2
    return word ^ (word >> np.uint64(31))
