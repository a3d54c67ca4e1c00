"""Which probability is compared with what: predictions as one or several binary events.

============== ========================================================================= =====================
mode           question                                                                  named by
============== ========================================================================= =====================
``confidence`` is the predicted label right as often as its probability says?            Guo et al. 2017
``top_label``  the same within each predicted label, averaged by how often it is said    Gupta & Ramdas 2022
``classwise``  does each class occur as often as its probability says? (mean over K)      Kull et al. 2019
``binary``     does the positive class occur as often as its probability says?           Naeini et al. 2015
============== ========================================================================= =====================
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sksoft.metrics.labels import encode_labels
from sksoft.metrics.predictions import Predictions

MODES = ("auto", "confidence", "classwise", "top_label", "binary")


@dataclass(frozen=True)
class Event:
    """Something that was given a probability, row by row, and came true or not.

    Attributes
    ----------
    share : float
        Part of this event in the metric; shares sum to 1.
    scores : ndarray (n,), float32 or float64
    hits : ndarray (n,), bool or integers 0 and 1
    weights : ndarray (n,) float64 or None
    """

    share: float
    scores: np.ndarray
    hits: np.ndarray
    weights: np.ndarray | None


def events(predictions: Predictions, mode: str, pos_label=None) -> Iterator[Event]:
    """One event for ``'confidence'`` and ``'binary'``, one per class or predicted label for the others."""
    mode = resolved_mode(predictions, mode)
    weights = predictions.weights
    if mode == "classwise":
        proba = columns(predictions)
        for k in range(proba.shape[1]):
            yield Event(1 / proba.shape[1], proba[:, k], predictions.codes == k, weights)
        return
    scores, hits, groups, _ = event_rows(predictions, mode, pos_label)
    if groups is None:
        yield Event(1.0, scores, hits, weights)
        return
    for k in np.unique(groups):
        rows = groups == k
        share = predictions.mean(rows.astype(np.float64))
        yield Event(share, scores[rows], hits[rows], None if weights is None else weights[rows])


def event_rows(predictions: Predictions, mode: str, pos_label=None):
    """Scores and hits of all rows, their groups (predicted labels for ``'top_label'``, else None), and how many there
    are. Not for ``'classwise'``, where every row has K scores."""
    mode = resolved_mode(predictions, mode)
    if mode == "binary":
        return *positive_class(predictions, pos_label), None, 1
    top_codes, scores = predictions.top_label
    hits = top_codes == predictions.codes
    if mode == "confidence":
        return scores, hits, None, 1
    return scores, hits, top_codes, len(column_labels(predictions))


def resolved_mode(predictions: Predictions, mode: str) -> str:
    """``'auto'`` is ``'binary'`` for a one-dimensional `y_proba`, else ``'confidence'``."""
    if mode == "auto":
        return "binary" if predictions.is_binary else "confidence"
    return mode


def positive_class(predictions: Predictions, pos_label=None) -> tuple[np.ndarray, np.ndarray]:
    """Probability and occurrence of the positive class."""
    if predictions.is_binary:
        return predictions.proba, predictions.codes
    column = 1
    if pos_label is not None:
        column = int(encode_labels([pos_label], predictions.classes)[0])
        if column < 0:
            raise ValueError(
                f"pos_label={pos_label!r} is not a valid label: it should be one of {predictions.classes.tolist()}."
            )
    elif len(predictions.classes) > 2:
        raise ValueError("mode='binary' with more than two columns needs 'pos_label'. Got None instead.")
    return predictions.proba[:, column], predictions.codes == column


def columns(predictions: Predictions) -> np.ndarray:
    """Probabilities as a matrix, (n, K)."""
    proba = predictions.proba
    return np.column_stack([1 - proba, proba]) if predictions.is_binary else proba


def column_labels(predictions: Predictions) -> list:
    """Labels of the columns; the negative class may have no name where no row shows it."""
    known = list(predictions.classes)
    return [None, *known] if len(known) == 1 else known
