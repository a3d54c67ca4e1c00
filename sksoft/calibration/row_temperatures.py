"""Scores divided by a temperature of each row's own: probabilities, losses and entropies, a block of rows at a time.

What goes with the scores, temperatures and codes, lives where these do, and so does what comes of them.
"""

import numpy as np

from sksoft.calibration.score_output import below_largest
from sksoft.kernels import placement, rowwise
from sksoft.kernels.blocks import map_rows


def softmax_at(logits: np.ndarray, temperatures: np.ndarray) -> np.ndarray:
    """softmax(zᵢ / Tᵢ), (n, K), dtype of the scores."""
    out = np.empty_like(logits)

    def fill(block):
        scaled = below_largest(logits[block].astype(np.float64), temperatures[block, None])
        out[block] = rowwise.softmax_rows(scaled, out=scaled)

    map_rows(fill, logits, 8 * logits.shape[1])
    return out


def entropies(logits: np.ndarray) -> np.ndarray:
    """Entropy of softmax(zᵢ) in nats, (n,), accurate also where it is tiny.

    With e = exp(z − max z): H = log Σ e − Σ e (z − max z) / Σ e, both terms non-negative.
    """
    xp = placement.namespace(logits)
    out = xp.empty(len(logits))

    def fill(block):
        d = below_largest(logits[block].astype(np.float64))
        rows, best = xp.arange(len(d)), d.argmax(axis=1)
        e = np.exp(d)
        e[rows, best] = 0.0
        others = e.sum(axis=1)
        with np.errstate(invalid="ignore"):
            e *= d
        out[block] = np.log1p(others) - np.nan_to_num(e).sum(axis=1) / (1.0 + others)

    map_rows(fill, logits, 8 * logits.shape[1])
    return out


def loss_by_row(logits: np.ndarray, codes: np.ndarray, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """L(β) = log Σⱼ exp(β zⱼ) − β z_y of each row, and its derivatives in units of β.

    Parameters
    ----------
    logits : ndarray (n, K)
    codes : ndarray (n,) intp
    betas : ndarray (n,), > 0

    Returns
    -------
    losses, first, second : ndarray (n,)
        L, β L' = β (E_p[z] − z_y) and β² L'' = β² Var_p(z), with p = softmax(β z).
    """
    xp = placement.namespace(logits)
    losses, first, second = (xp.empty(len(codes)) for _ in range(3))

    def fill(block):
        with np.errstate(over="ignore"):
            d = below_largest(logits[block].astype(np.float64)) * betas[block, None]
        np.maximum(d, -1e150, out=d)  # squares are numbers
        own = d[xp.arange(len(d)), codes[block]]
        e = np.exp(d)
        total = e.sum(axis=1)
        e *= d
        mean = e.sum(axis=1) / total
        e *= d
        losses[block] = np.log(total) - own
        first[block] = mean - own
        second[block] = np.maximum(e.sum(axis=1) / total - mean * mean, 0.0)

    map_rows(fill, logits, 8 * logits.shape[1])
    return losses, first, second
