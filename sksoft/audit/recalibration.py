"""Would one temperature have made the probabilities better? Cross-fitted, so that no row judges its own correction.

The rows are split into folds at random, each class evenly; the rows of a fold get the temperature fitted on the
others. Differences before − after are paired, row by row.
"""

import numpy as np
import pandas as pd

from sksoft.audit.weighted import mean_estimate
from sksoft.metrics import cross_fitting, expected_calibration_error
from sksoft.metrics.cross_fitting import CrossFitted
from sksoft.metrics.events import columns
from sksoft.metrics.predictions import Predictions


def cross_fitted_temperature(predictions: Predictions, *, n_folds: int = 5, seed: int = 0) -> CrossFitted:
    """Probabilities of every row, scaled by the temperature of the other folds.

    Parameters
    ----------
    predictions : Predictions
    n_folds : int >= 2
        At most the number of rows.
    seed : int
        Of the split into folds.
    """
    folds = random_folds(predictions.codes, min(n_folds, len(predictions.codes)), seed)
    return cross_fitting.cross_fitted_temperature(predictions, folds)


def random_folds(codes: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """The fold of each row, (n,): rows in random order, class after class, are dealt in turn."""
    order = np.random.default_rng(seed).permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    folds = np.empty(len(codes), dtype=np.intp)
    folds[order] = np.arange(len(codes)) % n_folds
    return folds


def recalibration_table(predictions: Predictions, after: np.ndarray, settings: dict) -> pd.DataFrame:
    """Scores before and after recalibration, `after` being probabilities (n, K) of rows not fitted to.

    Returns
    -------
    table : DataFrame
        ``score``, ``before``, ``after``, ``gain`` (before − after, positive where recalibrating helps), ``gain_low``,
        ``gain_high``: paired, for proper scores; calibration errors have no interval.
    """
    rows = []
    truth = np.arange(len(predictions.codes)), predictions.codes
    for score, loss in (("log-loss", _log_loss), ("Brier score", _brier)):
        before, later = loss(columns(predictions), truth), loss(after, truth)
        if predictions.is_binary and score == "Brier score":
            before, later = before / 2, later / 2
        with np.errstate(invalid="ignore"):
            gain = mean_estimate(before - later, predictions.weights, settings["confidence_level"])
        means = predictions.mean(before), predictions.mean(later)
        rows.append((score, *means, gain.value, gain.low, gain.high))
    for name, debias in (("calibration error", False), ("calibration error, debiased", True)):
        first, second = (_error(predictions, proba, settings, debias) for proba in (None, after))
        rows.append((name, first, second, first - second, np.nan, np.nan))
    return pd.DataFrame(rows, columns=["score", "before", "after", "gain", "gain_low", "gain_high"])


def _log_loss(proba, truth):
    with np.errstate(divide="ignore"):
        return -np.log(proba[truth])


def _brier(proba, truth):
    return (proba**2).sum(axis=1) - 2 * proba[truth] + 1


def judged_arrays(predictions: Predictions, proba: np.ndarray | None = None) -> tuple:
    """Codes, probabilities and labels as the metrics take them, `proba` (n, K) in place of the predictions' own."""
    if proba is None:
        proba = predictions.proba
    elif predictions.is_binary:
        proba = proba[:, 1]
    labels = np.arange(2 if predictions.is_binary else proba.shape[1])
    return predictions.codes, proba, labels


def _error(predictions: Predictions, proba, settings: dict, debias: bool) -> float:
    codes, proba, labels = judged_arrays(predictions, proba)
    return expected_calibration_error(
        codes,
        proba,
        labels=labels,
        sample_weight=predictions.weights,
        n_bins=settings["n_bins"],
        strategy=settings["strategy"],
        debias=debias,
    )
