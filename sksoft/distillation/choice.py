"""Which temperature and which share of the teacher: by cross-fitted log-loss of the student, labels alone among them.

Every candidate (T, α) is taught on all folds but one and judged on the labels held out there. The one of least mean
loss is taken if it beats labels alone, α = 0, by more than the standard error of that difference.

What the teacher says while a student is judged on a fold comes from teachers that have not seen its labels either.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.parallel import Parallel, delayed

from sksoft._validation import take_rows
from sksoft.distillation.adapters import TWO_TERMS, Teaching, log_probabilities
from sksoft.distillation.teacher_scores import TeacherScores
from sksoft.distillation.transfer_rows import TransferRows

TEMPERATURES = (1.0, 2.0, 4.0)
ALPHAS = (0.5, 0.9, 1.0)
LABELS_ALONE = (1.0, 0.0)
# A gain that is none: what rounding makes of losses that are the same, in nats.
RESOLUTION = 1e-9


@dataclass(frozen=True)
class Choice:
    """What was chosen, and the comparison it is from.

    Attributes
    ----------
    temperature, alpha : float
    results : dict of ndarrays
        By candidate: ``temperature``, ``alpha``, ``log_loss`` (nats, of held-out labels), ``gain`` (what it is below
        that of labels alone), ``gain_stderr`` and ``chosen``. The first is labels alone.
    """

    temperature: float
    alpha: float
    results: dict


def candidates(temperature, alpha, adapter: str) -> list[tuple[float, float]]:
    """Pairs (T, α) to compare: labels alone, then those that the parameters leave open.

    For students of one temperature these are the pairs that are exact for linear ones: T = 1, or α = 1.
    """
    alphas = ALPHAS if alpha == "auto" else (float(alpha),)
    temperatures = TEMPERATURES if temperature == "auto" else (float(temperature),)
    pairs = [(t, a) for t in temperatures for a in alphas if a > 0.0]
    if temperature == "auto" and adapter not in TWO_TERMS:
        pairs = [(t, a) for t, a in pairs if t == 1.0 or a == 1.0]
    return [LABELS_ALONE, *pairs]


def choose(
    teach: Teaching,
    pairs: list,
    free: bool,
    rows: TransferRows,
    folds: list,
    X_unlabelled,
    scores: TeacherScores,
    n_jobs,
) -> Choice:
    """Compare the candidates.

    Parameters
    ----------
    teach : Teaching
    pairs : list of (T, α), labels alone first
    free : bool
        Whether labels alone may be chosen; otherwise they are there for comparison.
    rows : TransferRows
        Those with labels.
    folds : list of (train, test)
        Places among these rows.
    X_unlabelled : m rows, or None
    scores : TeacherScores
    n_jobs : int or None
    """
    found = Parallel(n_jobs=n_jobs)(
        delayed(_held_out_losses)(teach, pairs, rows, train, test, X_unlabelled, of_fold)
        for (train, test), of_fold in zip(folds, scores.of_folds)
    )
    losses = np.empty((len(pairs), len(rows.codes)))
    for (_, test), of_fold in zip(folds, found):
        losses[:, test] = of_fold
    share = rows.weights / rows.weights.sum()
    gains = losses[0] - losses
    gain = gains @ share
    # as of repeated rows, so that weights choose what repetitions choose
    stderr = np.sqrt((gains - gain[:, None]) ** 2 @ share / rows.weights.sum())
    best = int(np.argmax(np.where(np.arange(len(pairs)) > 0, gain, -np.inf))) if len(pairs) > 1 else 0
    if free and not gain[best] > max(stderr[best], RESOLUTION):
        best = 0
    temperature, alpha = pairs[best]
    results = {
        "temperature": np.array([t for t, _ in pairs]),
        "alpha": np.array([a for _, a in pairs]),
        "log_loss": losses @ share,
        "gain": gain,
        "gain_stderr": stderr,
        "chosen": np.arange(len(pairs)) == best,
    }
    return Choice(temperature, alpha, results)


def _held_out_losses(teach: Teaching, pairs, rows: TransferRows, train, test, X_unlabelled, logits) -> np.ndarray:
    """−log p of each held-out label by the student of each candidate, (candidates, rows)."""
    known = rows.with_logits(logits[0]).chosen(train)
    if X_unlabelled is not None:
        known = known.and_unlabelled(X_unlabelled, logits[1])
    X, codes = take_rows(rows.X, test), rows.codes[test]
    losses = np.empty((len(pairs), len(test)))
    for candidate, (temperature, alpha) in enumerate(pairs):
        with warnings.catch_warnings():
            # what a fold's fit has to say is about the fold; the fit to everything says it again where it matters
            warnings.simplefilter("ignore", ConvergenceWarning)
            taught = teach(known, temperature, alpha)
        losses[candidate] = -log_probabilities(taught, X, rows.n_classes)[np.arange(len(test)), codes]
    return losses
