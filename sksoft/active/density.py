"""How typical of the pool a row is.

    d(x) = Σ_r exp(−‖x − r‖² / (2 h²)) / R

over R reference rows of the pool, drawn where it is large; h is the median distance of a reference row to its ⌈√R⌉-th
nearest. "Information density" [1]_ with a kernel that has no origin.

References
----------
.. [1] B. Settles, M. Craven, "An analysis of active learning strategies for sequence labeling tasks", EMNLP 2008,
   eq. 16.
"""

import numpy as np

from sksoft.active.distances import by_blocks, squared_distances

# Enough for a mean to 3 %.
MOST_REFERENCES = 1000
# Matrix products round the last rows, which fill no tile, in another order. With whole tiles copies of a row have one
# density.
TILE = 64


def density(points, pool, random_state) -> np.ndarray:
    """d (n,) of every row of `points` (n, q) among those of `pool` (m, q), in [0, 1]."""
    references = pool
    if len(pool) > MOST_REFERENCES:
        references = pool[np.sort(random_state.choice(len(pool), size=MOST_REFERENCES, replace=False))]
    origin = references.mean(axis=0)
    references = references - origin
    among = squared_distances(references, references)
    rank = min(len(references) - 1, int(np.ceil(np.sqrt(len(references)))))
    width = np.median(np.partition(among, rank, axis=1)[:, rank])
    if not width > 0:  # half the rows are equal, or there is one
        width = among.mean() if among.any() else 1.0

    def mean_kernel(rows):
        padded = np.zeros((-(-len(rows) // TILE) * TILE, rows.shape[1]))
        np.subtract(rows, origin, out=padded[: len(rows)])
        return np.exp(-squared_distances(padded, references) / (2.0 * width)).mean(axis=1)[: len(rows)]

    return by_blocks(points, len(references), mean_kernel)
