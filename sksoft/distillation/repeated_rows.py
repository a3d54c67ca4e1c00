"""Any student that takes weights: a row with a soft target is a row of each class, weighted by its share.

Σ_k t_k (−log q_k) is the loss of K labelled copies of weights t_k, so a fit to them is the fit to soft labels, for any
loss that is linear in its target. It knows one temperature, its own:

    T = 1          exact for any α: both terms have the target (1 − α) e_y + α p
    α = 1, T ≠ 1   the student is fitted to p_T, its predictions are taken to the power T and normalised. As
                   T² KL(p_T ‖ softmax(z / T)) is the loss of u = z / T, T² times, this is exact where T u is a model of
                   the same family: a linear softmax, whose ridge ‖W_z‖² = T² ‖W_u‖² keeps its C
    else           the teacher's term is taken at the student's temperature 1: not the loss

Shares below 1e-6 are left out and the others of the row scaled up; what was left out is said as a share of the weight.
A fit has up to K n rows. A student that counts rows, as ``min_samples_leaf`` does, counts copies.
"""

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from sksoft._validation import take_rows
from sksoft.distillation.transfer_rows import TransferRows
from sksoft.kernels import rowwise
from sksoft.metrics.classifier_scores import by_class, class_scores

NAME = "repeated_rows"
PRUNED = 1e-6
# How far probabilities may be from the softmax of linear scores.
SAME = 1e-9
ROWS_LOOKED_AT = 200


def suits(student) -> bool:
    """Whether the student's ``fit`` takes weights."""
    return has_fit_parameter(student, "sample_weight")


def fit(student, rows: TransferRows, temperature: float, alpha: float):
    """A clone fitted to the copies, and the share of the weight that was left out; at α = 0 to the rows as they are."""
    if alpha == 0.0:
        return clone(student).fit(rows.X, rows.labels(), sample_weight=rows.weights), 0.0
    targets, weights = rows.blended(temperature, alpha)
    small = targets < PRUNED
    lost = float(weights @ np.where(small, targets, 0.0).sum(axis=1) / weights.sum())
    targets[small] = 0.0
    targets /= targets.sum(axis=1, keepdims=True)
    row, code = np.nonzero(targets * weights[:, None])
    copies = targets[row, code] * weights[row]
    return clone(student).fit(take_rows(rows.X, row), rows.classes[code], sample_weight=copies), lost


def exactness(fitted, rows: TransferRows, temperature: float, alpha: float) -> tuple[bool, str]:
    """Whether the copies say what the loss of :mod:`sksoft.distillation.transfer_rows` says, and why."""
    if not hasattr(fitted, "predict_proba"):
        return False, "the student gives no probabilities: its own loss is in the place of the log-loss"
    if getattr(fitted, "class_weight", None) is not None:
        return False, "class_weight changes the weights of the copies"
    if temperature == 1.0:
        return True, "at T = 1 both terms are one, and weighted copies say it"
    if alpha < 1.0:
        return False, "two losses at two temperatures are not one weighted loss: the teacher's is taken at T = 1"
    if _is_linear_softmax(fitted, rows):
        return True, "at alpha = 1 scores of a linear softmax with a ridge scale with T"
    return False, "at alpha = 1 predictions are rescaled by T, and the student need not be linear in its scores"


def _is_linear_softmax(fitted, rows: TransferRows) -> bool:
    """Whether probabilities are the softmax of coefficients times features, without an L1 penalty."""
    if not (hasattr(fitted, "coef_") and hasattr(fitted, "decision_function") and hasattr(fitted, "predict_proba")):
        return False
    if getattr(fitted, "l1_ratio", None) or getattr(fitted, "penalty", None) in ("l1", "elasticnet"):
        return False
    X = take_rows(rows.X, np.arange(min(ROWS_LOOKED_AT, len(rows.codes))))
    scores = by_class(class_scores(fitted, X))
    proba = fitted.predict_proba(X)
    return proba.shape == scores.shape and bool(np.abs(proba - rowwise.softmax_rows(scores)).max() < SAME)
