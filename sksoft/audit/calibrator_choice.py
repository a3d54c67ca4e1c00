"""Which calibrator these predictions want, and what it would have made of them.

The choice is that of :class:`~sksoft.CalibratedSoftmaxClassifier` with ``method='auto'``: the candidate of least
cross-fitted log-loss, and none unless clearly better than none. Before and after are nested: for the rows of a fold, a
calibrator is chosen among all candidates, and fitted, on the other folds, so that no row judges a choice or a
correction that it had a part in.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning

from sksoft.audit.recalibration import random_folds
from sksoft.calibration.score_input import ScoredRows
from sksoft.calibration.selection import select_calibrator
from sksoft.metrics.events import columns
from sksoft.metrics.logits import log_proba
from sksoft.metrics.predictions import Predictions

IDENTITY = "identity"
# Scores (rows times classes) beyond which halves have to do as folds, and beyond which a sample of the rows does, of at
# least so many.
MANY_SCORES, MOST_SCORES, FEWEST_ROWS = 1 << 18, 1 << 20, 5_000
N_FOLDS, FEWEST_FOLDS = 5, 2


@dataclass(frozen=True)
class CalibratorChoice:
    """The calibrator chosen on all rows, how candidates compare, and probabilities by nested choices.

    Attributes
    ----------
    recommended : str
        'identity' is "leave as is".
    candidates : DataFrame
        ``method``, ``log_loss`` (held-out, nats), ``gain`` over no calibration, ``gain_stderr``, ``chosen``, and
        ``folds``: for how many folds it was chosen.
    judged : Predictions
        The rows this was done on: all of them, or a random sample of very many.
    proba : ndarray (n, K)
        Recalibrated probabilities of these rows.
    """

    recommended: str
    candidates: pd.DataFrame
    judged: Predictions
    proba: np.ndarray


def choose_calibrator(predictions: Predictions, *, seed: int = 0) -> CalibratorChoice:
    """Choose a calibrator, and recalibrate every row by a choice made without it.

    Parameters
    ----------
    predictions : Predictions
    seed : int
        Of the folds, and of the sample of very many rows.
    """
    rng = np.random.default_rng(seed)
    n_columns = 2 if predictions.is_binary else predictions.proba.shape[1]
    most = max(MOST_SCORES // n_columns, FEWEST_ROWS)
    if len(predictions.codes) > most:
        predictions = predictions.rows(np.sort(rng.choice(len(predictions.codes), size=most, replace=False)))
    rows = _scored(predictions)
    # Numbers drawn for the rows deal them to the folds within each choice: like the outer ones, at random.
    tickets = rng.permutation(len(rows.codes)).astype(np.float64)[:, None]
    _, comparison = select_calibrator(rows, tickets)
    n_folds = N_FOLDS if rows.logits.size <= MANY_SCORES else FEWEST_FOLDS
    folds = random_folds(rows.codes, min(n_folds, len(rows.codes)), seed)
    after, by_fold = np.empty(rows.logits.shape), []
    for fold in np.unique(folds):
        inside = folds == fold
        train = _scored(predictions.rows(~inside))
        calibrator, compared = select_calibrator(train, tickets[~inside])
        by_fold.append(_chosen(compared))
        if by_fold[-1] == IDENTITY:
            after[inside] = columns(predictions)[inside]
            continue
        calibrator.set_params(input="logits", classes=rows.classes)
        with warnings.catch_warnings():
            # of a fold: what counts is how the rows held out fare
            warnings.simplefilter("ignore", ConvergenceWarning)
            calibrator.fit(train.logits, train.codes, sample_weight=train.weights)
        after[inside] = calibrator.predict_proba(rows.logits[inside])
    candidates = pd.DataFrame(comparison)
    candidates["folds"] = [by_fold.count(method) for method in candidates["method"]]
    return CalibratorChoice(_chosen(comparison), candidates, predictions, after)


def _chosen(comparison: dict) -> str:
    return str(comparison["method"][np.argmax(comparison["chosen"])])


def _scored(predictions: Predictions) -> ScoredRows:
    """Log-probabilities with weights that sum to the effective rows, as sampling weights tell no more than that."""
    n_rows, weights = len(predictions.codes), predictions.weights
    weights = np.ones(n_rows) if weights is None else weights * (weights.sum() / (weights @ weights))
    logits = log_proba(columns(predictions))
    return ScoredRows(logits, predictions.codes, weights, np.arange(logits.shape[1]), np.ones(n_rows, dtype=bool))
