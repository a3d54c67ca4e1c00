"""Smooth calibration error: residuals smoothed by a Gaussian that is reflected at 0 and 1, at the width that equals it.

Everything is computed from residuals summed on a grid of ``N_CELLS`` cells. There the Gaussian of width σ is a random
walk of variance σ², reflected at the ends, whose eigenvectors are those of the discrete cosine transform: smoothing is
one transform, and a product with ``exp(−σ²/h² (1 − cos(π k h)))``, h the width of a cell, for each σ. Unlike the
Gaussian cut off at some frequency, the walk keeps what makes the fixed point unique, at any σ: more smoothing never
makes the error larger.
"""

from functools import cache
from numbers import Real

import numpy as np
from scipy.fft import dct
from scipy.optimize import brentq

from sksoft.kernels.grids import residual_grid
from sksoft.metrics.calibration import check_choices
from sksoft.metrics.events import Event, events
from sksoft.metrics.predictions import check_predictions

# Cells of the grid. The error due to it is about h²/(12 σ) at the fixed point σ: 1e-7 for the 0.003 that noise makes
# of a million calibrated rows.
N_CELLS = 1 << 14


def smooth_calibration_error(
    y_true,
    y_proba,
    *,
    bandwidth="fixed_point",
    mode="auto",
    sample_weight=None,
    labels=None,
    pos_label=None,
) -> float:
    """Smooth expected calibration error (smECE), without bins.

    ``smECE_σ = ∫₀¹ |W⁻¹ Σ_i w_i K_σ(t, c_i)(a_i − c_i)| dt`` with K_σ the Gaussian of width σ reflected at 0 and 1,
    c the scores and a the outcomes; the error is its value at the one σ with ``smECE_σ = σ`` ([1]_, section 3). It is
    within a constant factor of the distance to the nearest calibrated predictor and changes continuously with the
    predictions, as binned errors do not. Calibrated predictions have a positive one: about ``0.3 n^(-1/3)`` for n
    uniform scores.

    Parameters
    ----------
    y_true : array-like (n,)
        True labels of any type.
    y_proba : array-like (n, K) or (n,)
        Class probabilities, rows summing to 1; or the probability of the positive class.
    bandwidth : 'fixed_point' or float > 0, default='fixed_point'
        A number gives smECE_σ at this σ.
    mode : {'auto', 'confidence', 'classwise', 'top_label', 'binary'}, default='auto'
        See :mod:`sksoft.metrics.events`; means over classes or predicted labels, each with a σ of its own.
    sample_weight : array-like (n,), optional
        Weight 2 equals repetition and weight 0 removal.
    labels, pos_label
        As in :func:`expected_calibration_error`.

    Returns
    -------
    error : float in [0, 1]

    Raises
    ------
    ValueError
        For invalid labels, probabilities, weights or parameters.

    Notes
    -----
    O(nK + m log m) with a grid of m = 16 384 cells, for each event; the root is found to 1e-12.

    References
    ----------
    .. [1] J. Błasiok, P. Nakkiran, "Smooth ECE: principled reliability diagrams via kernel smoothing", ICLR 2024,
       arXiv 2309.12236.

    Examples
    --------
    >>> from sksoft.metrics import smooth_calibration_error
    >>> print(round(smooth_calibration_error([0, 0, 1, 1], [0.1, 0.3, 0.6, 0.9]), 4))
    0.1625
    """
    check_choices(mode=mode)
    numeric = isinstance(bandwidth, Real) and not isinstance(bandwidth, bool) and 0 < float(bandwidth) < np.inf
    if not numeric and not (isinstance(bandwidth, str) and bandwidth == "fixed_point"):
        raise ValueError(
            f"The 'bandwidth' parameter must be 'fixed_point' or a positive finite float. Got {bandwidth!r} instead."
        )
    predictions = check_predictions(y_true, y_proba, sample_weight=sample_weight, labels=labels, pos_label=pos_label)
    sigma = bandwidth if numeric else None
    return sum(event.share * smooth_error_of(event, sigma) for event in events(predictions, mode, pos_label))


def smooth_error_of(event: Event, sigma: float | None = None) -> float:
    """smECE of one event, at this σ or at the fixed point."""
    grid = residual_grid(event.scores, event.hits, n_cells=N_CELLS, weights=event.weights)
    grid = grid / float(len(event.scores) if event.weights is None else event.weights.sum())
    return smooth_error(grid) if sigma is None else smooth_error_at(grid, sigma)


def smooth_error(grid: np.ndarray) -> float:
    """The fixed point of smECE_σ.

    Parameters
    ----------
    grid : ndarray (m + 1,) float64
        :func:`~sksoft.kernels.grids.residual_grid` divided by the weight of all rows. Grids of parts add up to that of
        the whole.

    Returns
    -------
    error : float
    """
    # Between no smoothing and all of it.
    low, high = abs(float(grid.sum())), float(np.abs(grid).sum())
    spectrum = _spectrum(grid)

    def excess(sigma):
        return _smoothed_error(spectrum, sigma) - sigma

    if high - low <= 1e-12 or excess(low) <= 0:
        return low
    return float(brentq(excess, low, high, xtol=1e-13, rtol=1e-12)) if excess(high) < 0 else high


def smooth_error_at(grid: np.ndarray, sigma: float) -> float:
    """smECE_σ of a grid as in :func:`smooth_error`, at this σ."""
    return _smoothed_error(_spectrum(grid), float(sigma))


def _spectrum(grid: np.ndarray) -> np.ndarray:
    """Σ_j grid_j cos(π j k / m), k = 0..m."""
    ends_doubled = grid.copy()
    ends_doubled[[0, -1]] *= 2
    return 0.5 * dct(ends_doubled, type=1)


def _smoothed_error(spectrum: np.ndarray, sigma: float) -> float:
    n_cells = len(spectrum) - 1
    decay = np.exp(-((sigma * n_cells) ** 2) * _rates(n_cells))
    density = np.abs(dct(spectrum * decay, type=1))
    return float(density.sum() - 0.5 * (density[0] + density[-1])) / n_cells


@cache
def _rates(n_cells: int) -> np.ndarray:
    """``1 − cos(π k h)``, k = 0..n_cells."""
    return 2 * np.sin(np.linspace(0, np.pi / 2, n_cells + 1)) ** 2
