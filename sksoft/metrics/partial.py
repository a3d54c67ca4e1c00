"""Calibration errors from sums that add: over chunks of a file, machines, or days."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd

from sksoft.kernels import bins
from sksoft.kernels.grids import residual_grid
from sksoft.metrics.binned import BinnedSums, inner_edges
from sksoft.metrics.calibration import check_choices, curve_from_sums
from sksoft.metrics.events import column_labels, columns, event_rows, events, resolved_mode
from sksoft.metrics.predictions import Predictions, check_predictions
from sksoft.metrics.scores import log_losses, squared_errors
from sksoft.metrics.smooth import N_CELLS, smooth_error


@dataclass(frozen=True)
class CalibrationSums:
    """Sums of predictions over bins, from which calibration errors and scores of any union of parts follow.

    Make one for each part by :meth:`from_predictions` and add them: ``sum(parts[1:], parts[0])`` or ``a + b``. Errors
    are those of the rows put together, to rounding. The size does not depend on the number of rows.

    What adds: binned errors of fixed edges in every mode, norm and debiased or not, the reliability curve, the smooth
    error (on its grid), log-loss and Brier score. What does not, for it depends on the order or the pairs of all rows:
    bins of equal weight and the monotone sweep (pass the quantiles of a first part as `edges`), cumulative (KS,
    Kuiper), kernel and canonical errors with ``strategy='dynamic'``, isotonic (CORP) and cross-fitted terms, and
    bootstrap intervals: for those keep the rows, or a sample of them.

    Parameters
    ----------
    mode : {'confidence', 'classwise', 'top_label', 'binary'}
    labels : tuple
        Labels of the columns. Of one-dimensional probabilities the positive class comes last, and the negative one is
        None unless `labels` named it.
    positive : label or None
        The positive class for ``'binary'``.
    edges : ndarray (n_bins - 1,) float64
        Inner edges.
    weight_type : {'sampling', 'frequency'}
    table : ndarray (5, n_groups, n_bins) float64
        Σw, Σw·score, Σw·hit, Σw² and rows, by class or predicted label (one row for the other modes) and bin.
    losses : ndarray (3,) float64
        Σw, Σw·(−ln p[y]) and Σw·‖p − e_y‖².
    grids : ndarray (n_groups, 16385) float64 or None
        Residuals on the grid of :func:`smooth_calibration_error`, where ``smooth=True``.

    Examples
    --------
    >>> from sksoft.metrics import CalibrationSums
    >>> monday = CalibrationSums.from_predictions([0, 1], [0.1, 0.9], pos_label=1)
    >>> tuesday = CalibrationSums.from_predictions([0, 0], [0.3, 0.6], pos_label=1)
    >>> print(round((monday + tuesday).expected_calibration_error(), 6))
    0.275
    """

    mode: str
    labels: tuple
    positive: object
    edges: np.ndarray
    weight_type: str
    table: np.ndarray
    losses: np.ndarray
    grids: np.ndarray | None = None

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_proba,
        *,
        n_bins=15,
        edges=None,
        mode="auto",
        smooth=False,
        sample_weight=None,
        weight_type="sampling",
        labels=None,
        pos_label=None,
    ) -> Self:
        """Sums of one part.

        Parameters
        ----------
        y_true : array-like (n,)
            True labels of any type.
        y_proba : array-like (n, K) or (n,)
            Class probabilities, rows summing to 1; or the probability of the positive class.
        n_bins : int >= 1, default=15
            Bins of equal width.
        edges : array-like (n_bins - 1,), optional
            Inner edges in place of those, ascending in (0, 1): quantiles of a first part, say.
        mode : {'auto', 'confidence', 'classwise', 'top_label', 'binary'}, default='auto'
            See :mod:`sksoft.metrics.events`.
        smooth : bool, default=False
            Keep what :meth:`smooth_calibration_error` needs, 131 kB for each class or predicted label.
        sample_weight : array-like (n,), optional
        weight_type : {'sampling', 'frequency'}, default='sampling'
            As in :func:`expected_calibration_error`.
        labels : array-like (K,)
            Class of each column. Required for two-dimensional `y_proba`, since a part need not show every class.
        pos_label : label, optional
            The positive class; see :func:`~sksoft.metrics.predictions.check_predictions`.

        Returns
        -------
        sums : CalibrationSums

        Raises
        ------
        ValueError
            For invalid labels, probabilities, weights or parameters.
        """
        check_choices(n_bins=n_bins, mode=mode, weight_type=weight_type)
        if np.ndim(y_proba) == 2 and labels is None:
            raise ValueError("CalibrationSums needs 'labels', the class of each column of y_proba. Got None instead.")
        edges = inner_edges(None, n_bins, "uniform") if edges is None else _check_edges(edges)
        predictions = check_predictions(
            y_true, y_proba, sample_weight=sample_weight, weight_type=weight_type, labels=labels, pos_label=pos_label
        )
        mode = resolved_mode(predictions, mode)
        known = column_labels(predictions) if labels is not None else [None, column_labels(predictions)[-1]]
        positive = None
        if mode == "binary":
            positive = known[-1] if predictions.is_binary or pos_label is None else pos_label
        table = _table(predictions, mode, edges, pos_label)
        grids = _grids(predictions, mode, pos_label) if smooth else None
        weights = np.ones(len(predictions.codes)) if predictions.weights is None else predictions.weights
        losses = np.array([weights.sum(), weights @ log_losses(predictions), weights @ squared_errors(predictions)])
        return cls(mode, tuple(known), positive, edges, weight_type, table, losses, grids)

    def __add__(self, other: "CalibrationSums") -> "CalibrationSums":
        if not isinstance(other, CalibrationSums):
            return NotImplemented
        for name in ("mode", "labels", "positive", "edges", "weight_type"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if not (np.array_equal(ours, theirs) if name == "edges" else ours == theirs):
                raise ValueError(f"Sums add up where {name!r} is the same. Got {ours!r} and {theirs!r} instead.")
        if (self.grids is None) != (other.grids is None):
            raise ValueError("Sums add up where 'smooth' is the same. Got smooth=True and smooth=False instead.")
        grids = None if self.grids is None or other.grids is None else self.grids + other.grids
        return replace(self, table=self.table + other.table, losses=self.losses + other.losses, grids=grids)

    def expected_calibration_error(self, *, norm="l1", debias=False) -> float:
        """:func:`~sksoft.metrics.expected_calibration_error` of all rows.

        Parameters
        ----------
        norm : {'l1', 'l2', 'max'}, default='l1'
        debias : bool, default=False

        Returns
        -------
        error : float in [0, 1]
        """
        check_choices(norm=norm)
        if debias and norm == "max":
            raise ValueError("norm='max' has no debiased form: pass debias=False, or norm='l1' or 'l2'.")
        return BinnedSums.from_table(self.table).combined_error(self._share(), norm, debias, self.weight_type)

    def reliability_curve(self, *, confidence_level=0.95, interval="wilson") -> pd.DataFrame:
        """:func:`~sksoft.metrics.reliability_curve` of all rows.

        Parameters
        ----------
        confidence_level : float in (0, 1), default=0.95
        interval : {'wilson', 'clopper-pearson'}, default='wilson'

        Returns
        -------
        curve : DataFrame
        """
        check_choices(confidence_level=confidence_level, interval=interval)
        classes = list(self.labels) if self.mode in ("classwise", "top_label") else None
        sums = BinnedSums.from_table(self.table)
        return curve_from_sums(sums, self.edges, classes, self.weight_type, confidence_level, interval)

    def smooth_calibration_error(self) -> float:
        """:func:`~sksoft.metrics.smooth_calibration_error` of all rows.

        Returns
        -------
        error : float in [0, 1]
        """
        if self.grids is None:
            raise ValueError("The smooth calibration error needs sums made with smooth=True. Got smooth=False.")
        totals, share = self.table[bins.WEIGHT].sum(axis=1), self._share()
        return float(sum(share[i] * smooth_error(self.grids[i] / totals[i]) for i in np.flatnonzero(share)))

    def negative_log_likelihood(self) -> float:
        """:func:`~sksoft.metrics.negative_log_likelihood` of all rows.

        Returns
        -------
        loss : float >= 0
            In nats.
        """
        return float(self.losses[1] / self.losses[0])

    def brier_score(self) -> float:
        """:func:`~sksoft.metrics.brier_score` of all rows.

        Returns
        -------
        score : float >= 0
        """
        return float(self.losses[2] / self.losses[0])

    def _share(self) -> np.ndarray:
        totals = self.table[bins.WEIGHT].sum(axis=1)
        return np.full(len(totals), 1 / len(totals)) if self.mode == "classwise" else totals / totals.sum()


def _table(predictions: Predictions, mode, edges, pos_label) -> np.ndarray:
    weights = predictions.weights
    if mode == "classwise":
        proba = columns(predictions)
        return bins.class_bin_sums(proba, predictions.codes, np.tile(edges, (proba.shape[1], 1)), weights=weights)
    scores, hits, groups, n_groups = event_rows(predictions, mode, pos_label)
    return bins.bin_sums(scores, hits, edges, weights=weights, groups=groups, n_groups=n_groups)


def _grids(predictions: Predictions, mode, pos_label) -> np.ndarray:
    weights = predictions.weights
    if mode != "top_label":
        found = events(predictions, mode, pos_label)
        return np.stack([residual_grid(e.scores, e.hits, n_cells=N_CELLS, weights=e.weights) for e in found])
    scores, hits, groups, n_groups = event_rows(predictions, mode)
    grids = np.zeros((n_groups, N_CELLS + 1))
    for k in np.unique(groups):
        rows = groups == k
        kept = None if weights is None else weights[rows]
        grids[k] = residual_grid(scores[rows], hits[rows], n_cells=N_CELLS, weights=kept)
    return grids


def _check_edges(edges) -> np.ndarray:
    found = np.asarray(edges)
    inner = found.astype(np.float64) if found.dtype.kind in "iuf" or not found.size else np.full(1, np.nan)
    if inner.ndim != 1 or not ((inner > 0) & (inner < 1)).all() or (np.diff(inner) <= 0).any():
        raise ValueError(
            "The 'edges' parameter must hold the inner edges of the bins, numbers in (0, 1) that ascend. Got "
            f"{np.array2string(found, threshold=6, precision=4)} instead."
        )
    return inner
