"""Recalibrated probabilities of every row, by a calibrator that has not seen it."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
from sklearn.base import clone

from sksoft.kernels import rowwise
from sksoft.metrics.events import columns
from sksoft.metrics.folds import content_folds, row_keys, splits
from sksoft.metrics.labels import encode_labels
from sksoft.metrics.logits import log_proba
from sksoft.metrics.predictions import Predictions
from sksoft.metrics.temperature import best_temperature

INPUTS = ("proba", "logits")


@dataclass(frozen=True)
class CrossFitted:
    """Cross-fitted probabilities (n, K), the temperature of each fold, and whether one of them hit its bound."""

    proba: np.ndarray
    temperatures: np.ndarray
    at_bound: bool


def cross_fitted_temperature(predictions: Predictions, folds: np.ndarray) -> CrossFitted:
    """Probabilities of every row, scaled by the temperature that is best on the other folds.

    Parameters
    ----------
    predictions : Predictions
    folds : ndarray (n,) of integers
        The fold of each row, at least two different ones.
    """
    logits, codes, weights = log_proba(columns(predictions)), predictions.codes, predictions.weights
    after, temperatures, at_bound = np.empty(logits.shape), [], False
    for fold in np.unique(folds):
        inside = folds == fold
        best = best_temperature(logits[~inside], codes[~inside], None if weights is None else weights[~inside])
        after[inside] = rowwise.softmax_rows(logits[inside], temperature=best.temperature)
        temperatures.append(best.temperature)
        at_bound |= best.at_bound
    return CrossFitted(after, np.array(temperatures), at_bound)


def cross_fitted(predictions: Predictions, folds: np.ndarray, calibrator, calibrator_input: str) -> np.ndarray:
    """Probabilities (n, K) of every row from clones of a calibrator fitted to the other folds.

    Parameters
    ----------
    predictions : Predictions
    folds : ndarray (n,) of integers
    calibrator : estimator with ``fit(X, y)``, ``predict_proba(X)`` and ``classes_``
        ``fit`` is given ``sample_weight`` where there are weights.
    calibrator_input : {'proba', 'logits'}
        What its X of shape (n, K) is: the probabilities or their logarithms.

    Raises
    ------
    ValueError
        If a fold's calibrator does not know all classes.
    """
    proba = columns(predictions)
    X = log_proba(proba) if calibrator_input == "logits" else proba.astype(np.float64)
    # Where the negative class has no name (no row shows it), codes must do.
    classes = predictions.classes if len(predictions.classes) == proba.shape[1] else np.arange(proba.shape[1])
    y, weights = classes[predictions.codes], predictions.weights
    after = np.empty(proba.shape)
    for fold in np.unique(folds):
        inside = folds == fold
        params = {} if weights is None else {"sample_weight": weights[~inside]}
        fitted = clone(calibrator).fit(X[~inside], y[~inside], **params)
        places = encode_labels(classes, np.asarray(fitted.classes_))
        if places.min() < 0:
            missing = classes.tolist()[places.argmin()]
            raise ValueError(
                f"The calibrator fitted without fold {fold} does not know the class {missing!r}:"
                " pass fewer folds as 'cv', or a calibrator that is told its classes."
            )
        after[inside] = np.asarray(fitted.predict_proba(X[inside]), dtype=np.float64)[:, places]
    return after


def prediction_folds(predictions: Predictions, n_folds: int) -> np.ndarray:
    """The fold of each row, (n,), by what was predicted for it: equal predictions share a fold.

    A calibrator is judged on predictions it has not seen, and the labels of one prediction, as of the leaf of a tree,
    are not torn apart by what they are. Stratified by the class that is heaviest at each prediction. Repeated rows,
    their order and rows of weight zero change nothing.
    """
    proba = predictions.proba
    _, place = np.unique(row_keys(proba.reshape(len(proba), -1)), return_inverse=True)
    n_classes = 2 if predictions.is_binary else proba.shape[1]
    pairs, pair = np.unique(place * n_classes + predictions.codes, return_inverse=True)
    weight = np.bincount(pair, predictions.weights)
    at, code = pairs // n_classes, pairs % n_classes
    heaviest = np.lexsort((-code, weight, at))  # the last of each prediction
    majority = np.zeros(place.max() + 1, dtype=np.intp)
    majority[at[heaviest]] = code[heaviest]
    folds = content_folds(proba, majority[place], n_folds)
    if folds.max() == folds.min():
        raise ValueError(
            "Cross-fitting needs at least two different predictions. Got the same y_proba in all rows:"
            " pass method='corp' (of the log-loss, for two classes)."
        )
    return folds


def folds_of(cv, predictions: Predictions, y_true, y_proba) -> np.ndarray:
    """The fold of each row of the predictions, (n,), from an int, a splitter or an iterable of splits.

    Raises
    ------
    ValueError
        If `cv` is no int >= 2 and does not hold out every row exactly once.
    """
    if isinstance(cv, Integral):
        if isinstance(cv, bool) or cv < 2:
            raise ValueError(f"The 'cv' parameter must be an int >= 2 or a splitter. Got {cv!r} instead.")
        return prediction_folds(predictions, int(cv))
    y_proba = np.asarray(y_proba)
    kept = np.ones(len(y_proba), dtype=bool) if predictions.kept is None else predictions.kept
    rows = np.flatnonzero(kept)
    folds, times = np.zeros(len(kept), dtype=np.intp), np.zeros(len(kept), dtype=np.intp)
    for fold, (_, test) in enumerate(splits(cv, y_proba, y_true, rows, predictions.codes, predictions.classes, {})):
        folds[test] = fold
        times[test] += 1
    if (times[rows] != 1).any():
        row = int(rows[np.argmax(times[rows] != 1)])
        raise ValueError(f"The 'cv' parameter must hold out every row once. It holds out row {row} {times[row]} times.")
    return folds[rows]
