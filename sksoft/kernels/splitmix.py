"""splitmix64: a scrambler of 64-bit words, for random numbers without state and for hashes.

References
----------
.. [1] Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, figure 17.
"""

import numpy as np

# The increment of the generator, and the two factors of its finaliser.
STEP, FACTOR_1, FACTOR_2 = (np.uint64(c) for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def mix(words: np.ndarray) -> np.ndarray:
    """Scramble uint64 words: a bijection that sends 0 to 0 and near words far apart."""
    words = (words ^ (words >> np.uint64(30))) * FACTOR_1
    words = (words ^ (words >> np.uint64(27))) * FACTOR_2
    return words ^ (words >> np.uint64(31))


def drawn_rows(n_rows: int, share: float) -> np.ndarray:
    """A mask (n_rows,) of about a share of the rows, drawn by their position: the same at every call."""
    return mix(np.arange(1, n_rows + 1, dtype=np.uint64)) < np.uint64(2**64 * share)
