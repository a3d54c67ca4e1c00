r"""Quantiles of the targets under a row's weights: attention's conditional distribution, and how far to trust it.

Few neighbours know too little of the tails, and wide kernels add the slope of the mean to the noise. So a central
interval [F⁻¹(β), F⁻¹(1 − β)] does not hold the share 1 − 2β of new rows. Leave-one-out tells what it holds ([1]_,
algorithm 1, with leaving out for splitting): with F₋ᵢ the distribution that the others give row i,

    tᵢ = min(F₋ᵢ(yᵢ), 1 − F₋ᵢ(yᵢ−)) ≥ β   ⟺   the interval of row i holds yᵢ,

and β is taken so that the share `coverage` of the training rows would have been held.

References
----------
.. [1] Chernozhukov, Wüthrich, Zhu, "Distributional conformal prediction", PNAS 118, 2021.
"""

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


def tail_levels(weights, targets, left_out, rows, of) -> np.ndarray:
    """t of some training rows, from the distributions that they are given with themselves among the neighbours.

    Parameters
    ----------
    weights : ndarray (b, n)
        Of n targets, b distributions.
    targets : ndarray (n, v)
    left_out : ndarray (b, n), bool
        Targets that a distribution may not use: the judged rows' own, and their group's.
    rows : ndarray (r,) of int
        Which of the n are judged.
    of : ndarray (r,) of int
        By which of the b distributions: rows with the same features share one.

    Returns
    -------
    levels : ndarray (r, v)
        In [0, 1]; 0 where nothing else has weight. O(b n v + r v log n) after a sort.
    """
    weights = np.where(left_out, 0.0, weights)
    total = weights.sum(axis=1)[of]
    levels = np.empty((len(rows), targets.shape[1]))
    for k, column in enumerate(targets.T):
        order = np.argsort(column, kind="stable")
        ordered, sums = column[order], weights[:, order]
        first = np.searchsorted(ordered, column[rows], side="left")
        last = np.searchsorted(ordered, column[rows], side="right") - 1
        below = np.cumsum(sums, axis=1)[of, last]
        above = np.cumsum(sums[:, ::-1], axis=1)[of, len(ordered) - 1 - first]
        levels[:, k] = np.minimum(below, above) / np.where(total > 0.0, total, 1.0)
    return levels


def covering_level(levels, weights, coverage: float) -> np.ndarray:
    """The largest β that the share `coverage` of the weight of rows reaches with its t, (v,).

    Parameters
    ----------
    levels : ndarray (r, v)
        t of rows.
    weights : ndarray (r,)
    coverage : float in (0, 1)
    """
    order = np.argsort(-levels, axis=0, kind="stable")
    covered = np.cumsum(weights[order], axis=0)
    at = np.argmax(covered >= coverage * covered[-1] * (1.0 - 1e-14), axis=0)
    return np.minimum(np.take_along_axis(np.take_along_axis(levels, order, axis=0), at[None], axis=0)[0], 0.5)
