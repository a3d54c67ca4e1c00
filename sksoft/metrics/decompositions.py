"""What a proper score consists of: miscalibration, discrimination and uncertainty.

With S̄ the mean of a proper score over the rows, r the base rates and x̂ recalibrated probabilities ([1]_, eq. 3),

    S̄(p) = MCB − DSC + UNC,   MCB = S̄(p) − S̄(x̂),   DSC = S̄(r) − S̄(x̂),   UNC = S̄(r)

``'corp'``: x̂ is the isotonic regression of the outcomes on p, which makes all terms >= 0 for two classes. The Brier
score of several classes is a sum over classes; recalibrating each class against the rest keeps all terms >= 0 (what
is measured then is calibration class by class).

``'cross_fitted'``: x̂ = g(p) with a calibrator g fitted to other rows [2]_. S̄(g(p)) is the *refinement* UNC − DSC, and
MCB is a lower bound of the true miscalibration, on average: it may be negative, as DSC may.

.. [1] T. Dimitriadis, T. Gneiting, A. I. Jordan, "Stable reliability diagrams for probabilistic classifiers", PNAS 118
   (2021).
.. [2] E. Berta, D. Holzmüller, M. I. Jordan, F. Bach, "Rethinking early stopping: refine, then calibrate",
   arXiv:2501.19195 (2025), section 2.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import entr

from sksoft.metrics.cross_fitting import INPUTS, cross_fitted, cross_fitted_temperature, folds_of
from sksoft.metrics.isotonic import isotonic_fit
from sksoft.metrics.predictions import Predictions, check_predictions
from sksoft.metrics.scores import log_losses, squared_errors

METHODS = ("auto", "corp", "cross_fitted")


@dataclass(frozen=True)
class ScoreDecomposition:
    """``score = miscalibration − discrimination + uncertainty``.

    Attributes
    ----------
    score : float
        S̄(p).
    miscalibration : float
        What recalibrating would gain; ``inf`` where the score is.
    discrimination : float
        By how much recalibrated predictions are better than the base rates.
    uncertainty : float
        The score of always predicting the base rates.
    method : {'corp', 'cross_fitted'}
    """

    score: float
    miscalibration: float
    discrimination: float
    uncertainty: float
    method: str

    @property
    def refinement(self) -> float:
        """The score after recalibration: uncertainty − discrimination."""
        return self.uncertainty - self.discrimination


def brier_decomposition(
    y_true,
    y_proba,
    *,
    method="auto",
    calibrator=None,
    calibrator_input="proba",
    cv=5,
    sample_weight=None,
    labels=None,
    pos_label=None,
) -> ScoreDecomposition:
    """Miscalibration, discrimination and uncertainty of the Brier score.

    ``S̄(p) = MCB − DSC + UNC`` ([1]_, eq. 3), S̄ as :func:`brier_score` has it: (p − y)² for a one-dimensional `y_proba`
    and Σ_k (p_k − 1[y = k])² for columns.

    Parameters
    ----------
    y_true : array-like (n,)
        True labels of any type.
    y_proba : array-like (n, K) or (n,)
        Class probabilities, or the probability of the positive class.
    method : {'auto', 'corp', 'cross_fitted'}, default='auto'
        How predictions are recalibrated. ``'corp'``: by isotonic regression of the outcomes on the predictions, for
        several columns of each class against the rest; no term is negative. ``'cross_fitted'``: by a calibrator
        fitted to other rows. ``'auto'`` is ``'corp'`` for two classes without a `calibrator`, else ``'cross_fitted'``.
    calibrator : estimator, optional
        With ``fit(X, y)``, ``predict_proba(X)`` and ``classes_``, X of shape (n, K). By default the temperature of
        least log-loss. It is cloned.
    calibrator_input : {'proba', 'logits'}, default='proba'
        Whether the calibrator's X is probabilities or their logarithms (those below 2.2e-16 count as that).
    cv : int >= 2, splitter or iterable of (train, test), default=5
        An int deals rows to folds by what was predicted for them: equal predictions share a fold. Anything else must
        hold out every row once.
    sample_weight : array-like (n,), optional
        Non-negative. Weight 2 equals repetition and weight 0 removal.
    labels : array-like (K,), optional
        Class of each column, in the order of the columns; by default the sorted labels of `y_true`.
    pos_label : label, optional
        The positive class of a one-dimensional `y_proba`.

    Returns
    -------
    decomposition : ScoreDecomposition
        ``score``, ``miscalibration``, ``discrimination``, ``uncertainty``, ``method`` and ``refinement``.

    Raises
    ------
    ValueError
        For invalid labels, probabilities, weights or parameters; for ``'cross_fitted'`` with an int as `cv` if all
        predictions are the same.

    Notes
    -----
    ``'corp'`` takes O(n K log n), ``'cross_fitted'`` with a temperature O(cv n K). Where only one class occurs,
    discrimination and uncertainty are 0. A two-column `y_proba` has twice the terms of its second column.

    References
    ----------
    .. [1] T. Dimitriadis, T. Gneiting, A. I. Jordan, "Stable reliability diagrams for probabilistic classifiers",
       PNAS 118 (2021).

    Examples
    --------
    >>> from sksoft.metrics import brier_decomposition
    >>> terms = brier_decomposition([0, 0, 1, 0, 1, 1], [0.1, 0.1, 0.1, 0.8, 0.8, 0.8])
    >>> print(f"{terms.score:.4f} = {terms.miscalibration:.4f} - {terms.discrimination:.4f} + {terms.uncertainty:.4f}")
    0.2583 = 0.0361 - 0.0278 + 0.2500
    """
    options = (method, calibrator, calibrator_input, cv)
    return _decomposition("brier", y_true, y_proba, options, sample_weight, labels, pos_label)


def log_loss_decomposition(
    y_true,
    y_proba,
    *,
    method="auto",
    calibrator=None,
    calibrator_input="proba",
    cv=5,
    sample_weight=None,
    labels=None,
    pos_label=None,
) -> ScoreDecomposition:
    """Miscalibration, discrimination and uncertainty of the log-loss, in nats.

    ``S̄(p) = MCB − DSC + UNC`` ([1]_, eq. 3), S̄ the mean of −ln p of the true class, as
    :func:`negative_log_likelihood`; UNC is the entropy of the base rates.

    Parameters
    ----------
    y_true, y_proba
        As in :func:`brier_decomposition`.
    method : {'auto', 'corp', 'cross_fitted'}, default='auto'
        As in :func:`brier_decomposition`, but ``'corp'`` is for two classes only.
    calibrator, calibrator_input, cv, sample_weight, labels, pos_label
        As in :func:`brier_decomposition`.

    Returns
    -------
    decomposition : ScoreDecomposition
        ``score``, ``miscalibration``, ``discrimination``, ``uncertainty``, ``method`` and ``refinement``.

    Raises
    ------
    ValueError
        As :func:`brier_decomposition`; and for ``method='corp'`` with more than two classes.

    Notes
    -----
    Isotonic probabilities are 0 or 1 only where all rows pooled agree, so the recalibrated log-loss is finite.
    Where a true class has probability 0, the score and the miscalibration are ``inf`` and the other terms finite:
    nothing is clipped. A `calibrator` that gives a true class probability 0 makes the refinement ``inf``,
    discrimination ``-inf`` and miscalibration ``-inf`` (NaN where the score is infinite, too).

    References
    ----------
    .. [1] T. Dimitriadis, T. Gneiting, A. I. Jordan, "Stable reliability diagrams for probabilistic classifiers",
       PNAS 118 (2021).

    Examples
    --------
    >>> from sksoft.metrics import log_loss_decomposition
    >>> terms = log_loss_decomposition(["no", "yes", "no", "yes"], [0.25, 0.25, 0.75, 0.75], pos_label="yes")
    >>> print(f"{terms.miscalibration:.4f} {terms.discrimination:.4f} {terms.uncertainty:.4f}")
    0.1438 0.0000 0.6931
    """
    options = (method, calibrator, calibrator_input, cv)
    return _decomposition("log_loss", y_true, y_proba, options, sample_weight, labels, pos_label)


def corp_decomposition(score: str, predictions: Predictions) -> ScoreDecomposition:
    """Terms from isotonic regression; of more than two columns for ``score='brier'`` only."""
    if score == "log_loss" or predictions.is_binary:
        proba = predictions.proba if predictions.is_binary else predictions.proba[:, 1]
        event = Predictions(predictions.classes, predictions.codes, proba, predictions.weights)
        after = _mean_score(score, event, isotonic_fit(_double(proba), predictions.codes == 1, predictions.weights))
    else:
        after = 0.0
        for k in range(predictions.proba.shape[1]):
            hits = predictions.codes == k
            fitted = isotonic_fit(_double(predictions.proba[:, k]), hits, predictions.weights)
            after += predictions.mean((fitted - hits) ** 2)
    return _from_refinement(score, predictions, after, "corp")


def recalibrated_decomposition(score: str, predictions: Predictions, recalibrated: np.ndarray) -> ScoreDecomposition:
    """Terms from recalibrated probabilities (n, K) of rows that the calibrator had not seen."""
    proba = recalibrated[:, 1] if predictions.is_binary else recalibrated
    return _from_refinement(score, predictions, _mean_score(score, predictions, proba), "cross_fitted")


def _decomposition(score, y_true, y_proba, options, sample_weight, labels, pos_label) -> ScoreDecomposition:
    method, calibrator, calibrator_input, cv = options
    for name, value, choices in (("method", method, METHODS), ("calibrator_input", calibrator_input, INPUTS)):
        if value not in choices:
            raise ValueError(f"The {name!r} parameter must be one of {choices}. Got {value!r} instead.")
    predictions = check_predictions(y_true, y_proba, sample_weight=sample_weight, labels=labels, pos_label=pos_label)
    two_classes = predictions.is_binary or predictions.proba.shape[1] == 2
    if method == "auto":
        method = "corp" if two_classes and calibrator is None else "cross_fitted"
    if method == "corp":
        if calibrator is not None:
            raise ValueError("method='corp' takes no calibrator. Got one: pass method='cross_fitted'.")
        if score == "log_loss" and not two_classes:
            raise ValueError(
                "method='corp' of the log-loss is for two classes: pass method='cross_fitted'. Got"
                f" {predictions.proba.shape[1]} columns in y_proba instead."
            )
        return corp_decomposition(score, predictions)
    folds = folds_of(cv, predictions, y_true, y_proba)
    if calibrator is None:
        recalibrated = cross_fitted_temperature(predictions, folds).proba
    else:
        recalibrated = cross_fitted(predictions, folds, calibrator, calibrator_input)
    return recalibrated_decomposition(score, predictions, recalibrated)


def _from_refinement(score: str, predictions: Predictions, after: float, method: str) -> ScoreDecomposition:
    before, base = _mean_score(score, predictions), _score_of_base_rates(score, predictions)
    with np.errstate(invalid="ignore"):
        terms = {"miscalibration": float(np.subtract(before, after)), "discrimination": base - after}
    if method == "corp":  # not negative but for rounding
        terms = {name: 0.0 if -1e-12 < term < 0.0 else term for name, term in terms.items()}
    return ScoreDecomposition(before, uncertainty=base, method=method, **terms)


def _mean_score(score: str, predictions: Predictions, proba: np.ndarray | None = None) -> float:
    if proba is not None:
        predictions = replace(predictions, proba=proba, found_top=None)
    return predictions.mean(log_losses(predictions) if score == "log_loss" else squared_errors(predictions))


def _score_of_base_rates(score: str, predictions: Predictions) -> float:
    rates = np.bincount(predictions.codes, predictions.weights)
    rates = rates / rates.sum()
    if score == "log_loss":
        return float(entr(rates).sum())
    spread = float((rates * (1.0 - rates)).sum())
    return spread / 2 if predictions.is_binary else spread


def _double(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64, copy=False)
