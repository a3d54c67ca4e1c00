"""Proper scores with intervals, and what they consist of.

With S̄ the mean of a proper score over the rows, r the base rates and x̂ the recalibrated probabilities,

    S̄(p) = MCB − DSC + UNC,   MCB = S̄(p) − S̄(x̂),   DSC = S̄(r) − S̄(x̂),   UNC = S̄(r)

miscalibration, discrimination and uncertainty. For one class against the rest x̂ is the isotonic regression of the
labels on p [1]_, which makes all terms >= 0; the Brier score of several classes is the sum over classes, so its terms
are, too. For the log-loss of several classes x̂ is the cross-fitted temperature-scaled prediction [2]_: its MCB is a
lower bound and may be negative.

.. [1] T. Dimitriadis, T. Gneiting, A. I. Jordan, "Stable reliability diagrams for probabilistic classifiers", PNAS 118
   (2021), eq. 3 and 4.
.. [2] E. Berta, D. Holzmüller, M. I. Jordan, F. Bach, "Rethinking early stopping: refine, then calibrate", 2025,
   section 2.
"""

import numpy as np
import pandas as pd
from scipy.special import xlogy
from sklearn.isotonic import IsotonicRegression

from sksoft.audit.weighted import mean_estimate
from sksoft.metrics.predictions import Predictions
from sksoft.metrics.scores import log_losses, squared_errors

# Isotonic regression of every class costs O(n K log n): beyond this many cells the Brier score is left whole.
MOST_CELLS_DECOMPOSED = 20_000_000


def columns_of(predictions: Predictions) -> np.ndarray:
    """Probabilities of all classes, (n, K), one-dimensional ones included."""
    proba = predictions.proba
    return np.column_stack([1 - proba, proba]) if predictions.is_binary else proba


def score_table(predictions: Predictions, confidence_level: float) -> pd.DataFrame:
    """Accuracy and proper scores with intervals, beside those of always predicting the base rates.

    Returns
    -------
    table : DataFrame
        ``score``, ``unit``, ``value``, ``low``, ``high``, ``base_rates`` (the score of the base rates), ``gain``
        (by how much the predictions are better, paired), ``gain_low``, ``gain_high``.
    """
    rates = np.bincount(predictions.codes, predictions.weights, minlength=max(len(predictions.classes), 2))
    rates = rates / rates.sum()
    of_base = {
        "accuracy": (predictions.codes == rates.argmax()).astype(np.float64),
        "log-loss": -np.log(rates[predictions.codes]),
        "Brier score": _brier_of_constant(rates, predictions),
    }
    of_rows = {
        "accuracy": (predictions.top_label[0] == predictions.codes).astype(np.float64),
        "log-loss": log_losses(predictions),
        "Brier score": squared_errors(predictions),
    }
    units = {"accuracy": "share", "log-loss": "nats", "Brier score": "0 to 1" if predictions.is_binary else "0 to 2"}
    rows = []
    for score, values in of_rows.items():
        gains = values - of_base[score] if score == "accuracy" else of_base[score] - values
        estimate = mean_estimate(values, predictions.weights, confidence_level)
        gain = mean_estimate(gains, predictions.weights, confidence_level)
        base = predictions.mean(of_base[score])
        rows.append(
            (score, units[score], estimate.value, estimate.low, estimate.high, base, gain.value, gain.low, gain.high)
        )
    names = ["score", "unit", "value", "low", "high", "base_rates", "gain", "gain_low", "gain_high"]
    return pd.DataFrame(rows, columns=names)


def _brier_of_constant(rates: np.ndarray, predictions: Predictions) -> np.ndarray:
    errors = (rates**2).sum() - 2 * rates[predictions.codes] + 1
    return errors / 2 if predictions.is_binary else errors


def decomposition_table(predictions: Predictions, recalibrated: np.ndarray | None) -> pd.DataFrame:
    """Miscalibration, discrimination and uncertainty of the Brier score and the log-loss.

    Parameters
    ----------
    predictions : Predictions
    recalibrated : ndarray (n, K), optional
        Cross-fitted probabilities, for the log-loss of more than two classes.

    Returns
    -------
    table : DataFrame
        ``score``, ``value`` = ``miscalibration`` − ``discrimination`` + ``uncertainty``, and ``method``.
    """
    rows = []
    if predictions.is_binary:
        hits = (predictions.codes == 1).astype(np.float64)
        isotonic = isotonic_fit(predictions.proba, hits, predictions.weights)
        base = np.full(len(hits), predictions.mean(hits))
        for score, loss in (("Brier score", _square), ("log-loss", _binary_log_loss)):
            means = [predictions.mean(loss(p, hits)) for p in (predictions.proba, isotonic, base)]
            rows.append((score, *_terms(*means), "isotonic regression"))
    else:
        if predictions.proba.size <= MOST_CELLS_DECOMPOSED:
            rows.append(("Brier score", *_classwise_brier_terms(predictions), "isotonic regression of each class"))
        if recalibrated is not None:
            rows.append(("log-loss", *_log_loss_terms(predictions, recalibrated), "cross-fitted temperature"))
    return pd.DataFrame(rows, columns=["score", "value", "miscalibration", "discrimination", "uncertainty", "method"])


def isotonic_fit(scores: np.ndarray, hits: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Non-decreasing function of `scores` (n,) closest to `hits` in weighted squares, at the scores. O(n log n)."""
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0).fit_transform(scores, hits, sample_weight=weights)
    return np.clip(fitted, 0.0, 1.0)


def _terms(score: float, recalibrated: float, base: float) -> tuple[float, float, float, float]:
    return score, score - recalibrated, base - recalibrated, base


def _square(p, hits):
    return (p - hits) ** 2


def _binary_log_loss(p, hits):
    with np.errstate(divide="ignore"):
        return -(xlogy(hits, p) + xlogy(1 - hits, 1 - p))


def _classwise_brier_terms(predictions: Predictions) -> tuple[float, float, float, float]:
    totals = np.zeros(4)
    for k in range(len(predictions.classes)):
        p, hits = predictions.proba[:, k].astype(np.float64), (predictions.codes == k).astype(np.float64)
        isotonic = isotonic_fit(p, hits, predictions.weights)
        base = np.full(len(hits), predictions.mean(hits))
        totals += _terms(*(predictions.mean(_square(q, hits)) for q in (p, isotonic, base)))
    value, miscalibration, discrimination, uncertainty = totals.tolist()
    return value, miscalibration, discrimination, uncertainty


def _log_loss_terms(predictions: Predictions, recalibrated: np.ndarray) -> tuple[float, float, float, float]:
    rates = np.bincount(predictions.codes, predictions.weights, minlength=len(predictions.classes))
    rows = np.arange(len(predictions.codes))
    with np.errstate(divide="ignore"):
        after = -np.log(recalibrated[rows, predictions.codes])
        base = -np.log(rates / rates.sum())[predictions.codes]
    return _terms(*(predictions.mean(values) for values in (log_losses(predictions), after, base)))
