"""Proper scores with intervals, and what they consist of.

For one class against the rest the decomposition is by isotonic regression, which makes all terms >= 0; the Brier score
of several classes is the sum over classes, so its terms are, too. Whole vectors of several classes are recalibrated by
the cross-fitted temperature, for both scores: their miscalibration is a lower bound and may be negative. What the terms
are is said in :mod:`sksoft.metrics.decompositions`.
"""

import numpy as np
import pandas as pd

from sksoft.audit.weighted import mean_estimate
from sksoft.metrics.decompositions import corp_decomposition, recalibrated_decomposition
from sksoft.metrics.predictions import Predictions
from sksoft.metrics.scores import log_losses, squared_errors

# Isotonic regression of every class costs O(n K log n): beyond this many cells the Brier score is left whole.
MOST_CELLS_DECOMPOSED = 20_000_000


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
        Cross-fitted probabilities, of more than two classes.

    Returns
    -------
    table : DataFrame
        ``score``, ``value`` = ``miscalibration`` − ``discrimination`` + ``uncertainty``, and ``method``.
    """
    found = []
    if predictions.is_binary:
        found += [("Brier score", corp_decomposition("brier", predictions), "isotonic regression")]
        found += [("log-loss", corp_decomposition("log_loss", predictions), "isotonic regression")]
    else:
        if predictions.proba.size <= MOST_CELLS_DECOMPOSED:
            terms = corp_decomposition("brier", predictions)
            found.append(("Brier score", terms, "isotonic regression of each class"))
        if recalibrated is not None:
            for name, score in (("Brier score", "brier"), ("log-loss", "log_loss")):
                terms = recalibrated_decomposition(score, predictions, recalibrated)
                found.append((name, terms, "cross-fitted temperature"))
    names = ["score", "value", "miscalibration", "discrimination", "uncertainty", "method"]
    rows = [
        (name, terms.score, terms.miscalibration, terms.discrimination, terms.uncertainty, method)
        for name, terms, method in found
    ]
    return pd.DataFrame(rows, columns=names)
