"""The reliability curve without bins: isotonic regression, and where it would run if predictions were calibrated.

Pooling adjacent violators chooses as many bins as the data show, wherever they show them ([1]_). Under calibration the
curve still strays from the diagonal; the consistency band is where it lies, point by point, when outcomes are drawn
with the predicted probabilities ([2]_).

.. [1] T. Dimitriadis, T. Gneiting, A. I. Jordan, "Stable reliability diagrams for probabilistic classifiers", PNAS 118
   (2021).
.. [2] J. Bröcker, L. A. Smith, "Increasing the reliability of reliability diagrams", Weather and Forecasting 22 (2007).
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from sksoft.metrics.calibration import check_choices
from sksoft.metrics.decompositions import ScoreDecomposition, corp_decomposition
from sksoft.metrics.events import events
from sksoft.metrics.groups import check_whole
from sksoft.metrics.null_labels import null_labels, seed_of, written_out
from sksoft.metrics.predictions import check_predictions

MODES = ("auto", "confidence", "binary")

# The band is told at so many scores, the others lie between them.
BAND_POINTS = 200


@dataclass(frozen=True)
class CorpCurve:
    """What :func:`corp_curve` found.

    Attributes
    ----------
    blocks : DataFrame
        Pieces on which the curve is constant, ascending: ``score_low``, ``score_high`` (first and last score of the
        piece), ``weight`` Σw, ``mean_proba`` and ``observed_rate``, the value of the curve.
    band : DataFrame
        Consistency band: ``score``, ``low``, ``high``; at most 200 scores, evenly spread over the distinct ones. Empty
        without draws.
    decomposition : ScoreDecomposition
        Of the Brier score of the event: miscalibration, discrimination, uncertainty.
    confidence_level : float
        Of the band, at each score.
    """

    blocks: pd.DataFrame = field(repr=False)
    band: pd.DataFrame = field(repr=False)
    decomposition: ScoreDecomposition
    confidence_level: float


def corp_curve(
    y_true,
    y_proba,
    *,
    mode="auto",
    sample_weight=None,
    weight_type="sampling",
    labels=None,
    pos_label=None,
    n_resamples=499,
    confidence_level=0.9,
    random_state=None,
) -> CorpCurve:
    """Reliability curve by isotonic regression (CORP) with a consistency band and the parts of the Brier score.

    Parameters
    ----------
    y_true, y_proba
        As in :func:`expected_calibration_error`.
    mode : {'auto', 'confidence', 'binary'}, default='auto'
        The event, as in :func:`expected_calibration_error`.
    sample_weight, weight_type, labels, pos_label
        As in :func:`reliability_curve`.
    n_resamples : int >= 0, default=499
        Draws for the band.
    confidence_level : float in (0, 1), default=0.9
        Of the band, at each score by itself.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    curve : CorpCurve
        ``blocks``, ``band``, ``decomposition``.

    Raises
    ------
    ValueError
        For invalid labels, probabilities, weights or parameters.

    Notes
    -----
    O(n log n + B n) time, O(n) memory.

    References
    ----------
    .. [1] T. Dimitriadis, T. Gneiting, A. I. Jordan, "Stable reliability diagrams for probabilistic classifiers", PNAS
       118 (2021).

    Examples
    --------
    >>> from sksoft.metrics import corp_curve
    >>> curve = corp_curve([0, 1, 0, 1, 1], [0.1, 0.3, 0.4, 0.7, 0.9], n_resamples=0)
    >>> curve.blocks[["score_low", "score_high", "observed_rate"]]
       score_low  score_high  observed_rate
    0        0.1         0.1            0.0
    1        0.3         0.4            0.5
    2        0.7         0.9            1.0
    """
    check_choices(weight_type=weight_type, confidence_level=confidence_level)
    if mode not in MODES:
        raise ValueError(f"The 'mode' parameter must be one of {MODES}. Got {mode!r} instead.")
    check_whole("n_resamples", n_resamples, 0)
    predictions = check_predictions(
        y_true, y_proba, sample_weight=sample_weight, weight_type=weight_type, labels=labels, pos_label=pos_label
    )
    if weight_type == "frequency":
        predictions = written_out(predictions)
    (event,) = events(predictions, mode, pos_label)
    of_event = replace(
        predictions,
        classes=np.array([False, True]),
        codes=np.asarray(event.hits).astype(np.intp),
        proba=np.asarray(event.scores, dtype=np.float64),
        found_top=None,
    )
    steps = _Steps(of_event.proba, of_event.weights)
    band = _band(steps, seed_of(random_state), n_resamples, confidence_level)
    return CorpCurve(
        _blocks(steps, of_event.codes), band, corp_decomposition("brier", of_event), float(confidence_level)
    )


class _Steps:
    """Rows pooled by distinct score: isotonic regression of many sets of outcomes on the same scores."""

    def __init__(self, scores, weights):
        self.rows, self.weights = scores, weights
        self.scores, self.place = np.unique(scores, return_inverse=True)
        self.weight = np.bincount(self.place, weights, minlength=len(self.scores)).astype(np.float64)

    def fit(self, hits) -> np.ndarray:
        """The curve at the distinct scores."""
        hit = np.bincount(self.place, hits if self.weights is None else self.weights * hits, minlength=len(self.scores))
        return np.clip(isotonic_regression(hit / self.weight, weights=self.weight).x, 0.0, 1.0)


def _blocks(steps: _Steps, hits) -> pd.DataFrame:
    curve = steps.fit(hits)
    starts = np.flatnonzero(np.append(True, np.diff(curve) != 0))
    ends = np.append(starts[1:], len(curve)) - 1
    weight = np.add.reduceat(steps.weight, starts)
    return pd.DataFrame(
        {
            "score_low": steps.scores[starts],
            "score_high": steps.scores[ends],
            "weight": weight,
            "mean_proba": np.add.reduceat(steps.weight * steps.scores, starts) / weight,
            "observed_rate": curve[starts],
        }
    )


def _band(steps: _Steps, seed: int, n_resamples: int, confidence_level: float) -> pd.DataFrame:
    """Quantiles of the curve at some scores, outcomes drawn with the predicted probabilities."""
    if n_resamples == 0:
        return pd.DataFrame({"score": [], "low": [], "high": []}, dtype=np.float64)
    n_scores = len(steps.scores)
    told = np.unique(np.linspace(0, n_scores - 1, min(n_scores, BAND_POINTS)).round().astype(np.intp))
    labels, drawn = null_labels(steps.rows, seed), np.empty((n_resamples, len(told)))
    for resample in range(n_resamples):
        drawn[resample] = steps.fit(labels.draw(resample))[told]
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return pd.DataFrame({"score": steps.scores[told], "low": low, "high": high})
