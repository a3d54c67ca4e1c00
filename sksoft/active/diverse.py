r"""A batch that is uncertain and does not ask the same thing twice.

Rows x_i of the pool have weights w_i = u_i² from their uncertainty u_i. With the labelled rows as centres that stand
still, free centres c minimise what is left to learn, the weighted error of quantisation,

    F(c) = Σ_i w_i min( min_l ‖x_i − x_l‖², min_j ‖x_i − c_j‖² )          l: labelled rows, j: free centres

by greedy k-means++ seeds [1]_ drawn in proportion to w_i d_i² and Lloyd's iterations [2]_. There are half as many
centres again as rows wanted, and the heaviest clusters, by Σ w, give one row each: that which is nearest to the centre.
The lightest are what outliers pull centres to.

So where nothing is known yet and all rows are about equally uncertain, the batch is typical rows of the parts of the
pool without a label (as TypiClust [3]_ asks for); as the model learns, weights draw the same centres to where it
hesitates (as k-means on uncertain rows [4]_ and BADGE [5]_ do).

References
----------
.. [1] D. Arthur, S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007, section 2.2.
.. [2] S. Lloyd, "Least squares quantization in PCM", IEEE Trans. Information Theory 28, 1982.
.. [3] G. Hacohen, A. Dekel, D. Weinshall, "Active learning on a budget", ICML 2022.
.. [4] F. Zhdanov, "Diverse mini-batch active learning", arXiv 1901.05954 (2019).
.. [5] J. T. Ash et al., "Deep batch active learning by diverse, uncertain gradient lower bounds", ICLR 2020.
"""

import numpy as np
from scipy import sparse

from sksoft.active.distances import nearest, squared_distances
from sksoft.kernels.blocks import serial_blas
from sksoft.kernels.uncertainty import first_rows

# w = u ** SHARPNESS: 1 asks too much in regions that are certain, 4 too little for coverage.
SHARPNESS = 2
# Centres for each row wanted.
CENTRES = 1.5
MAX_ROUNDS = 20
# Of larger pools only so many rows, the most uncertain, are looked at.
MOST_ROWS = 100_000

NO_LABELED_EMBEDDING = "This sampler was fitted without 'diverse': call 'fit' again, to keep where labelled rows are."


def diverse_batch(points, scores, known, n_rows, random_state) -> np.ndarray:
    """The rows of :func:`diverse_rows` in descending order of their score, equal ones by their index."""
    with serial_blas():
        rows = np.sort(diverse_rows(points, scores, known, n_rows, random_state))
    return rows[np.argsort(-scores[rows], kind="stable")]


def diverse_rows(points, uncertainty, known, n_rows, random_state) -> np.ndarray:
    """Rows of a diverse batch, in no particular order.

    Parameters
    ----------
    points : ndarray (n, q) float64
    uncertainty : ndarray (n,), >= 0
    known : ndarray (L, q) float64, L >= 0
        Labelled rows.
    n_rows : int <= n
    random_state : numpy RandomState

    Returns
    -------
    rows : ndarray (n_rows,) intp
        Distinct.
    """
    looked_at = first_rows(uncertainty, min(len(points), max(MOST_ROWS, n_rows)))
    looked_at.sort()
    points, weights = points[looked_at], _weights(uncertainty[looked_at])
    origin = points.mean(axis=0)
    points, known = points - origin, known - origin  # distances lose digits far from the origin
    to_known = nearest(points, known)[1] if len(known) else np.full(len(points), np.inf)
    n_centres = min(len(points), int(np.ceil(CENTRES * n_rows)))
    centres = _lloyd(points, weights, to_known, _seeds(points, weights, to_known, n_centres, random_state))
    cluster, squared = nearest(points, centres)
    mass = np.bincount(cluster, np.where(squared < to_known, weights, 0.0), len(centres))
    return looked_at[_one_each(points, centres, mass, n_rows)]


def _weights(uncertainty) -> np.ndarray:
    """u² in [0, 1]; ones where nothing is uncertain."""
    largest = uncertainty.max()
    return (uncertainty / largest) ** SHARPNESS if largest > 0 else np.ones(len(uncertainty))


def _seeds(points, weights, squared, n_centres, random_state) -> np.ndarray:
    """Greedy k-means++: of a few rows drawn, that which lowers F the most."""
    n_drawn = 2 + int(np.log(n_centres))
    chosen = np.empty(n_centres, np.intp)
    for j in range(n_centres):
        mass = weights * squared if np.isfinite(squared[0]) else weights
        total = np.cumsum(mass)
        if total[-1] > 0:
            drawn = np.searchsorted(total, random_state.uniform(size=n_drawn) * total[-1], side="right")
            drawn = np.minimum(drawn, np.flatnonzero(mass)[-1])
        else:  # every row lies on a centre
            drawn = random_state.randint(len(points), size=n_drawn)
        distances = np.minimum(squared, squared_distances(points[drawn], points))
        best = int(np.argmin(distances @ weights))
        chosen[j], squared = drawn[best], distances[best]
    return points[chosen]


def _lloyd(points, weights, to_known, centres) -> np.ndarray:
    """Centres to the weighted means of the rows that are nearer to them than to anything known, until none moves."""
    before = None
    for _ in range(MAX_ROUNDS):
        cluster, squared = nearest(points, centres)
        free = np.flatnonzero((squared < to_known) & (weights > 0))
        state = cluster[free]
        if before is not None and np.array_equal(before[0], free) and np.array_equal(before[1], state):
            break
        before = free, state
        members = sparse.csr_array((weights[free], (state, free)), shape=(len(centres), len(points)))
        mass = np.bincount(state, weights[free], len(centres))
        held = mass > 0  # a centre without rows stays where it is
        centres = np.where(held[:, None], (members @ points) / np.where(held, mass, 1.0)[:, None], centres)
    return centres


def _one_each(points, centres, mass, n_rows) -> np.ndarray:
    """For the heaviest centres in turn the nearest row that is not taken yet."""
    rows = np.empty(n_rows, np.intp)
    taken = np.zeros(len(points), dtype=bool)
    for i, j in enumerate(np.argsort(-mass, kind="stable")[:n_rows]):
        away = points - centres[j]
        squared = np.einsum("ij,ij->i", away, away)
        squared[taken] = np.inf
        rows[i] = np.argmin(squared)
        taken[rows[i]] = True
    return rows
