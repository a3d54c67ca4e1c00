"""Quantiles of the targets under a row's weights: attention's conditional distribution."""

import numpy as np


def weighted_quantiles(weights, targets, levels) -> np.ndarray:
    """The least target with at least the share `level` of the weight at it or below.

    Parameters
    ----------
    weights : ndarray (b, n), float64 >= 0
        Of n targets for b rows, not all zero in a row; nan in every entry of a row makes its quantiles nan.
    targets : ndarray (n, v), float64
    levels : ndarray (q,), float64 in [0, 1]
        0 is the least target of positive weight.

    Returns
    -------
    quantiles : ndarray (b, v, q)
        The inverse of the distribution function, which is an entry of `targets`. O(b n v) after a sort.
    """
    quantiles = np.empty((len(weights), targets.shape[1], len(levels)))
    for k in range(targets.shape[1]):
        order = np.argsort(targets[:, k], kind="stable")
        below = np.cumsum(weights[:, order], axis=1)
        ordered = targets[order, k]
        for q, level in enumerate(levels):
            wanted = level * below[:, -1:]
            reached = (below >= wanted * (1.0 - 1e-14)) & (below > 0.0)
            quantiles[:, k, q] = ordered[np.argmax(reached, axis=1)]
    quantiles[np.isnan(weights).any(axis=1)] = np.nan
    return quantiles
