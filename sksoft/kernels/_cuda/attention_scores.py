"""Scores of pairs of a query and a key on a device, and who sees whom."""

import numpy as np

from sksoft.kernels._cuda._api import device, xp
from sksoft.kernels._cuda.elementary import sqrt
from sksoft.kernels._cuda.layout import contiguous
from sksoft.kernels._cuda.tiles import PRODUCT, SQUARE

# What says who sees whom, as kernels take it: bias, limits, query_groups, key_groups, mask, mask of numbers. Empty
# arrays stand for what is not given.
SIGHT = "real[::1], int64[::1], int64[::1], int64[::1], boolean[:, :], real[:, :]"


def pair_score_of(real, score):
    """``(sum, i, j, n, stop, scale, sight) -> z`` from the product or squared distance of query i and key j.

    −inf where i does not see j, and beyond the n queries and the keys before `stop`.
    """
    lowest, minus_half = real(-np.inf), real(-0.5)

    @device
    def pair_score(total, i, j, n, stop, scale, sight):
        bias, limits, query_groups, key_groups, mask, added = sight
        if i >= n or j >= stop:
            return lowest
        if limits.size > 0 and j >= limits[i]:
            return lowest
        if key_groups.size > 0 and query_groups[i] == key_groups[j]:
            return lowest
        if mask.size > 0 and not mask[i, j]:
            return lowest
        if score == "dot":
            z = total * scale
        elif score == "gaussian":
            z = minus_half * total * scale
        else:
            z = -sqrt(total) * scale
        if bias.size > 0:
            if bias[j] == lowest:
                return lowest
            z += bias[j]
        if added.size > 0:
            if added[i, j] == lowest:
                return lowest
            z += added[i, j]
        return z

    return pair_score


def term_of(score: str) -> str:
    """What the numbers of a query and a key make together."""
    return PRODUCT if score == "dot" else SQUARE


def sight_arguments(sight, real):
    """A Sight as kernels take it: a mask that is the same for all queries joins the bias."""
    bias, mask = sight.bias, sight.mask
    if mask is not None and mask.strides[0] == 0 and len(mask):
        row = xp.where(mask[0], 0.0, -np.inf) if mask.dtype == bool else mask[0]
        bias, mask = row.astype(real) if bias is None else bias + row.astype(real), None
    numbers = mask is not None and mask.dtype != bool
    groups = sight.query_groups is not None and sight.key_groups is not None
    return (
        xp.empty(0, real) if bias is None else contiguous(bias, real),
        xp.empty(0, np.int64) if sight.limits is None else contiguous(sight.limits, np.int64),
        contiguous(sight.query_groups, np.int64) if groups else xp.empty(0, np.int64),
        contiguous(sight.key_groups, np.int64) if groups else xp.empty(0, np.int64),
        xp.empty((0, 0), bool) if mask is None or numbers else mask,
        mask.astype(real, copy=False) if numbers else xp.empty((0, 0), real),
    )
