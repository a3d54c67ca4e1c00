"""What the teacher says of each row, as logits (n, K): out of fold, from a frozen teacher, or given by the user.

In-sample probabilities of a strong teacher are its labels again and teach nothing: so a teacher that is not frozen is
fitted once per fold and speaks of the rows it has not seen, and once more to all labelled rows for the others.

A student that is judged on a fold must not have heard of its labels either, and teachers of other folds have seen them:
where labels are noise, it passes them on, and students seemed better than they were by a tenth of a nat. So for each
pair of folds a teacher is fitted without both. It speaks of each of the two to the student that is judged on the other.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_array
from sklearn.utils.parallel import Parallel, delayed

from sksoft._validation import check_method_params, take_rows
from sksoft.metrics.classifier_scores import by_class, class_scores
from sksoft.metrics.labels import encode_labels
from sksoft.metrics.logits import log_proba
from sksoft.metrics.predictions import ROW_SUM_TOLERANCE

INPUTS = ("logits", "proba", "counts")
# What a score of minus infinity is below the highest of its row: at T = 1e4, the highest, e^-700.
LEAST = -7e6


class TeacherWarning(UserWarning):
    """The teacher is no better than the student that learns from it, or cannot be used as it was asked for."""


@dataclass(frozen=True)
class TeacherScores:
    """Logits of a teacher.

    Attributes
    ----------
    teacher : classifier fitted to all labelled rows, or None where scores were given
    labelled : ndarray (n, K)
        Of rows that the teacher has not seen, unless it is frozen or the scores were given.
    unlabelled : ndarray (m, K)
    of_folds : list of (ndarray (n, K), ndarray (m, K))
        Of rows with and without labels by teachers that have not seen the labels held out in a fold, fold by fold. What
        stands there for the rows of the fold itself means nothing.
    """

    teacher: Any
    labelled: np.ndarray
    unlabelled: np.ndarray
    of_folds: list

    def divided_by(self, temperature: float) -> "TeacherScores":
        """Those of the teacher behind a temperature."""
        return replace(
            self,
            labelled=self.labelled / temperature,
            unlabelled=self.unlabelled / temperature,
            of_folds=[(of_rows / temperature, others / temperature) for of_rows, others in self.of_folds],
        )


def teacher_logits(teacher, X, classes: np.ndarray) -> np.ndarray:
    """Logits (n, K) of a fitted teacher, columns in the order of `classes`.

    Logarithms of its probabilities, those below 2.2e-16 counted as that; of a teacher without any, its scores.
    """
    scores = log_proba(teacher.predict_proba(X)) if hasattr(teacher, "predict_proba") else class_scores(teacher, X)
    scores = by_class(scores)
    if scores.shape[1] != len(classes):
        raise ValueError(
            f"The 'teacher' parameter must give one score for each of {len(classes)} classes. Got shape {scores.shape}"
            f" from {type(teacher).__name__} instead."
        )
    if not np.isfinite(scores).all():
        raise ValueError(f"The 'teacher' parameter must give finite scores. Got NaN from {type(teacher).__name__}.")
    return scores


def of_frozen(teacher, X, X_unlabelled, classes: np.ndarray, n_folds: int) -> TeacherScores:
    """Scores of a teacher that was fitted elsewhere."""
    check_same_classes(teacher, classes)
    labelled, without = teacher_logits(teacher, X, classes), _or_none(teacher, X_unlabelled, classes)
    return TeacherScores(teacher, labelled, without, [(labelled, without)] * n_folds)


def out_of_fold(teacher, X, y, X_unlabelled, classes: np.ndarray, folds, fit_params: dict, n_jobs) -> TeacherScores:
    """Scores of each labelled row by a clone of the teacher fitted without its fold.

    Parameters
    ----------
    teacher : unfitted classifier
    X, y : n rows with labels
    X_unlabelled : m rows, or None
    folds : list of (train, test)
        Numbers of rows; the test rows of all folds are all rows that weigh anything, once each.
    fit_params : dict
        For the teacher's ``fit``; what has n rows is cut to the fold.
    """
    if len(folds) < 3:
        raise ValueError(
            "The 'cv' parameter must give at least 3 folds where the teacher is fitted: for each pair of folds it is"
            f" fitted without both. Got {len(folds)}."
        )
    kept = np.sort(np.concatenate([test for _, test in folds]))
    # First the fit to everything: what is wrong with X or y is the classifier's to say.
    whole = _fitted(teacher, X, y, kept, fit_params)
    check_same_classes(whole, classes)
    pairs = [(f, g) for f in range(len(folds)) for g in range(f)]
    found = Parallel(n_jobs=n_jobs)(
        [delayed(_fold)(teacher, X, y, X_unlabelled, classes, train, test, fit_params) for train, test in folds]
        + [delayed(_without)(teacher, X, y, classes, folds[f], folds[g], fit_params) for f, g in pairs]
    )
    places = [np.searchsorted(kept, test) for _, test in folds]
    labelled = np.empty((len(kept), len(classes)))
    for place, (scores, _) in zip(places, found):
        labelled[place] = scores
    of_folds = [(labelled.copy(), without) for _, without in found[: len(folds)]]
    for (f, g), (of_first, of_second) in zip(pairs, found[len(folds) :]):
        of_folds[g][0][places[f]], of_folds[f][0][places[g]] = of_first, of_second
    return TeacherScores(whole, labelled, _or_none(whole, X_unlabelled, classes), of_folds)


def given(scores, input: str, n_rows: int, kept: np.ndarray, n_unlabelled: int, classes, n_folds: int) -> TeacherScores:
    """Scores that the user has: those of the n rows with labels, then those of the rows without."""
    _check_columns(scores, classes)
    scores = check_array(
        scores, dtype=np.float64, input_name="teacher_scores", ensure_all_finite=False, ensure_2d=False, allow_nd=True
    )
    if len(classes) == 2 and scores.shape[1:] in ((), (1,)) and input != "counts":  # of the second class
        scores = scores.ravel()
        scores = np.column_stack([1.0 - scores, scores]) if input == "proba" else by_class(scores)
    expected = (n_rows + n_unlabelled, len(classes))
    if scores.shape != expected:
        rows = "rows of X, then those of X_unlabeled" if n_unlabelled else "rows of X"
        raise ValueError(
            f"The 'teacher_scores' parameter must have shape {expected}: the {rows}, by the sorted classes of y."
            f" Got {scores.shape} instead."
        )
    numbers = np.concatenate([kept, np.arange(n_rows, len(scores))])
    scores = scores[numbers]
    if np.isnan(scores).any() or (scores == np.inf).any():
        row = numbers[np.argmax((np.isnan(scores) | (scores == np.inf)).any(axis=1))]
        raise ValueError(f"Input teacher_scores contains NaN or infinity in row {row}.")
    logits = _AS_LOGITS[input](scores, numbers)
    labelled, without = logits[: len(kept)], logits[len(kept) :]
    return TeacherScores(None, labelled, without, [(labelled, without)] * n_folds)


def _check_columns(scores, classes: np.ndarray) -> None:
    """Refuse a frame whose columns are the classes in another order."""
    names = list(getattr(scores, "columns", ()))
    if set(names) == set(classes.tolist()) and names != classes.tolist():
        raise ValueError(
            f"The 'teacher_scores' parameter must have columns in the order of the classes, {classes.tolist()}. Got"
            f" {names} instead."
        )


def check_same_classes(teacher, classes: np.ndarray) -> None:
    """Refuse a teacher that knows other classes than there are labels of."""
    own = np.asarray(teacher.classes_)
    if not np.array_equal(own, classes):
        raise ValueError(
            f"The 'teacher' parameter must know the classes of y, {classes.tolist()}. Got one of"
            f" {own.tolist()} instead."
        )


def _fold(teacher, X, y, X_unlabelled, classes, train, test, fit_params) -> tuple[np.ndarray, np.ndarray]:
    fitted = _fitted(teacher, X, y, train, fit_params)
    if not np.array_equal(fitted.classes_, classes):
        missing = sorted(set(classes.tolist()) - set(np.asarray(fitted.classes_).tolist()), key=str)
        raise ValueError(f"The training part of a fold lacks the classes {missing}: pass fewer folds as 'cv'.")
    return teacher_logits(fitted, take_rows(X, test), classes), _or_none(fitted, X_unlabelled, classes)


def _without(teacher, X, y, classes, first, second, fit_params) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the test rows of two folds by a teacher fitted without either.

    A class of all whose rows are in the two is one that it does not know: of probability 2.2e-16. Where one class is
    left there is nothing to fit, and all classes are alike.
    """
    rest = np.intersect1d(first[0], second[0])
    if len(np.unique(encode_labels(y[rest], classes))) < 2:
        return np.zeros((len(first[1]), len(classes))), np.zeros((len(second[1]), len(classes)))
    fitted = _fitted(teacher, X, y, rest, fit_params)
    own = np.asarray(fitted.classes_)
    columns = encode_labels(own, classes)
    scores = []
    for _, test in (first, second):
        known = teacher_logits(fitted, take_rows(X, test), own)
        full = np.repeat(known.max(axis=1, keepdims=True) + log_proba(0.0), len(classes), axis=1)
        full[:, columns] = known
        scores.append(full)
    return scores[0], scores[1]


def _fitted(teacher, X, y, rows, fit_params):
    params = check_method_params(X, params=fit_params, indices=rows)
    return clone(teacher).fit(take_rows(X, rows), y[rows], **params)


def _or_none(teacher, X, classes) -> np.ndarray:
    return np.empty((0, len(classes))) if X is None else teacher_logits(teacher, X, classes)


def _finite_logits(scores: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    top = scores.max(axis=1, keepdims=True)
    if (top == -np.inf).any():
        row = numbers[np.argmax(top[:, 0] == -np.inf)]
        raise ValueError(f"The 'teacher_scores' parameter must have a finite score in each row. Got none in row {row}.")
    return np.maximum(scores - top, LEAST)


def _logits_of_proba(proba: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    off = np.abs(proba.sum(axis=1) - 1.0) > ROW_SUM_TOLERANCE
    wrong = (proba < 0.0).any(axis=1) | off
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(
            "The 'teacher_scores' parameter must hold probabilities where input='proba': rows >= 0 that sum to one"
            f" within {ROW_SUM_TOLERANCE:g}. Got {proba[at].tolist()} in row {numbers[at]} instead."
        )
    return log_proba(proba)


def _logits_of_counts(counts: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    totals = counts.sum(axis=1)
    wrong = (counts < 0).any(axis=1) | ~(totals > 0) | ~np.isfinite(totals)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(
            "The 'teacher_scores' parameter must hold votes >= 0 where input='counts', at least one in each row. Got"
            f" {counts[at].tolist()} in row {numbers[at]} instead."
        )
    return log_proba(counts / totals[:, None])


_AS_LOGITS = {"logits": _finite_logits, "proba": _logits_of_proba, "counts": _logits_of_counts}
