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

from sksoft.metrics.calibration import check_choices
from sksoft.metrics.decompositions import ScoreDecomposition, corp_decomposition
from sksoft.metrics.events import events
from sksoft.metrics.groups import check_whole
from sksoft.metrics.isotonic import PooledScores
from sksoft.metrics.null_labels import NullLabels, null_labels, seed_of, written_out
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
    steps = PooledScores(of_event.proba, of_event.weights)
    labels = null_labels(of_event.proba, seed_of(random_state))
    band = _band(steps, labels, n_resamples, confidence_level)
    return CorpCurve(
        _blocks(steps, of_event.codes), band, corp_decomposition("brier", of_event), float(confidence_level)
    )


def _blocks(steps: PooledScores, hits) -> pd.DataFrame:
    curve = steps.fit(hits)
    # Neighbours of the same rate are one block, whatever the rounding of their weighted means.
    starts = np.flatnonzero(np.append(True, np.diff(curve) > 1e-12))
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


def _band(steps: PooledScores, labels: NullLabels, n_resamples: int, confidence_level: float) -> pd.DataFrame:
    """Quantiles of the curve at some scores, outcomes drawn with the predicted probabilities."""
    if n_resamples == 0:
        return pd.DataFrame({"score": [], "low": [], "high": []}, dtype=np.float64)
    n_scores = len(steps.scores)
    told = np.unique(np.linspace(0, n_scores - 1, min(n_scores, BAND_POINTS)).round().astype(np.intp))
    drawn = np.empty((n_resamples, len(told)))
    for resample in range(n_resamples):
        drawn[resample] = steps.fit(labels.draw(resample))[told]
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return pd.DataFrame({"score": steps.scores[told], "low": low, "high": high})
