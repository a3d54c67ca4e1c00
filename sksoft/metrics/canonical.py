"""Binned calibration error of whole probability vectors."""

from numbers import Real

import numpy as np

from sksoft.metrics.binned import inner_edges
from sksoft.metrics.calibration import check_choices
from sksoft.metrics.events import columns
from sksoft.metrics.predictions import Predictions, check_predictions

STRATEGIES = ("uniform", "dynamic")


def canonical_calibration_error(
    y_true,
    y_proba,
    *,
    n_bins=10,
    strategy="uniform",
    min_weight=100,
    sample_weight=None,
    labels=None,
    pos_label=None,
) -> float:
    """Calibration error of the whole vector of probabilities, over bins of the simplex.

    ``Σ_b W_b/W · ½ ‖a_b − p_b‖₁`` with W_b the weight, p_b the mean probability vector and a_b the observed class
    frequencies of bin b: the mean total variation distance ([1]_, eq. 2). Zero confidence or class-wise error does not
    make it zero. It is biased upwards, the more so the more classes, for bins are many and nearly empty: compare models
    on the same number of rows, or use :func:`kernel_calibration_error`.

    Parameters
    ----------
    y_true : array-like (n,)
        True labels of any type.
    y_proba : array-like (n, K) or (n,)
        Class probabilities, rows summing to 1; or the probability of the positive class, which counts as two columns.
    n_bins : int >= 1, default=10
        Bins per coordinate for ``strategy='uniform'``: rows share a bin where all their coordinates do, on the edges of
        :func:`expected_calibration_error`.
    strategy : {'uniform', 'dynamic'}, default='uniform'
        ``'dynamic'`` splits the rows in two again and again, along the class whose probability varies most, into those
        below its upper median and the others, while both parts weigh at least `min_weight` [2]_.
    min_weight : float > 0, default=100
        Least weight of a part for ``strategy='dynamic'``; without `sample_weight`, rows. In the unit of the weights: of
        weights that sum to 1 nothing is halved, and all rows are one bin, unless this is smaller.
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
    O(nK + n log n · K/18) time for ``'uniform'``, O(nK log n) for ``'dynamic'``; O(nK) memory.

    References
    ----------
    .. [1] D. Widmann, F. Lindsten, D. Zachariah, "Calibration tests in multi-class classification: a unifying
       framework", NeurIPS 2019. Its tables use 10 bins and 100 rows.
    .. [2] J. Vaicenavicius et al., "Evaluating model calibration in classification", AISTATS 2019, section 4.1.

    Examples
    --------
    >>> from sksoft.metrics import canonical_calibration_error
    >>> proba = [[0.75, 0.25, 0.0], [0.75, 0.25, 0.0], [0.0, 0.5, 0.5], [0.0, 0.5, 0.5]]
    >>> print(canonical_calibration_error(["a", "a", "b", "c"], proba))
    0.125
    """
    check_choices(n_bins=n_bins)
    if strategy not in STRATEGIES:
        raise ValueError(f"The 'strategy' parameter must be one of {STRATEGIES}. Got {strategy!r} instead.")
    check_min_weight(min_weight)
    predictions = check_predictions(y_true, y_proba, sample_weight=sample_weight, labels=labels, pos_label=pos_label)
    proba = columns(predictions)
    cells = (
        uniform_cells(proba, n_bins) if strategy == "uniform" else dynamic_cells(proba, predictions, float(min_weight))
    )
    total = 0.0
    for k in range(proba.shape[1]):
        residual = (predictions.codes == k) - proba[:, k].astype(np.float64)
        if predictions.weights is not None:
            residual *= predictions.weights
        total += float(np.abs(np.bincount(cells, residual)).sum())
    weight = len(proba) if predictions.weights is None else predictions.weights.sum()
    return 0.5 * total / float(weight)


def check_min_weight(min_weight):
    """ValueError unless positive and finite."""
    if isinstance(min_weight, bool) or not isinstance(min_weight, Real) or not 0 < float(min_weight) < np.inf:
        raise ValueError(f"The 'min_weight' parameter must be a positive finite float. Got {min_weight!r} instead.")


def uniform_cells(proba: np.ndarray, n_bins: int) -> np.ndarray:
    """Number of the bin of every row, (n,), counted over the bins that hold something."""
    edges = inner_edges(None, n_bins, "uniform")
    keys, n_keys = np.zeros(len(proba), dtype=np.int64), 1
    for column in proba.T:
        if n_keys * n_bins > 1 << 62:
            keys, n_keys = _compressed(keys)
        keys = keys * n_bins + np.searchsorted(edges, column, side="left")
        n_keys *= n_bins
    return _compressed(keys)[0]


def _compressed(keys: np.ndarray) -> tuple[np.ndarray, int]:
    """Keys counted from 0 on in their order, and how many there are."""
    distinct, places = np.unique(keys, return_inverse=True)
    return places, len(distinct)


def dynamic_cells(proba: np.ndarray, predictions: Predictions, min_weight: float) -> np.ndarray:
    """Number of the bin of every row, (n,)."""
    weights = np.ones(len(proba)) if predictions.weights is None else predictions.weights
    cells = np.zeros(len(proba), dtype=np.intp)
    waiting, n_cells = [np.arange(len(proba))], 0
    while waiting:
        rows = waiting.pop()
        below = _below_median(proba[rows], weights[rows])
        lighter = weights[rows[below]].sum()
        if lighter >= min_weight and weights[rows].sum() - lighter >= min_weight:
            waiting += [rows[~below], rows[below]]
        else:
            cells[rows] = n_cells
            n_cells += 1
    return cells


def _below_median(proba: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Which rows are below the upper weighted median of the column that varies most."""
    proba = proba.astype(np.float64, copy=False)
    mean = weights @ proba / weights.sum()
    column = proba[:, int(np.argmax(weights @ (proba - mean) ** 2))]
    order = np.argsort(column, kind="stable")
    cumulative = np.cumsum(weights[order])
    median = column[order[min(np.searchsorted(cumulative, cumulative[-1] / 2, side="right"), len(order) - 1)]]
    return column < median
