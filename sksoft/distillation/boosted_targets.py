"""XGBoost's classifiers as students: the loss as an objective of their own, at any temperature.

With p = softmax(z), q = softmax(z / T), a = (1 − α) s where there is a label and 0 elsewhere, and b = α s, per row
and class

    gradient  a (p − e_y) + b T (q − p_T)
    Hessian   2 a p (1 − p) + 2 b q (1 − q)

The Hessian's diagonal is taken twice, as XGBoost does: the row sums of |diag(p) − p pᵀ| are 2 p (1 − p), so that twice
the diagonal is no less than the Hessian, and a step with η = 1 does not overshoot. Two classes have one score and no
need of it. The objective is dropped after the fit: the student is an ordinary classifier of the codes 0 … K − 1.
"""

import numpy as np
from sklearn.base import clone, is_classifier

from sksoft.distillation.transfer_rows import TransferRows
from sksoft.kernels import rowwise

NAME = "custom_objective"
LEAST_CURVATURE = 1e-16


def suits(student) -> bool:
    """Whether the student is a classifier of XGBoost."""
    roots = {kind.__module__.partition(".")[0] for kind in type(student).__mro__}
    return "xgboost" in roots and is_classifier(student)


def fit(student, rows: TransferRows, temperature: float, alpha: float):
    """A fitted clone, whose classes are codes: at α = 0 with the objective of its own.

    Raises
    ------
    ValueError
        If a class has neither a label nor a row without one that the teacher holds for it: XGBoost counts classes by
        its labels.
    """
    codes = rows.nearest_codes()
    missing = np.setdiff1d(np.arange(rows.n_classes), codes)
    if missing.size:
        raise ValueError(
            f"{type(student).__name__} needs a row of each class in each fit. The rows, or those of a fold, lack the"
            f" classes {rows.classes[missing].tolist()}: pass other folds as 'cv'."
        )
    if alpha == 0.0:
        return clone(student).fit(rows.X, codes, sample_weight=rows.weights)
    objective = TwoTermObjective(rows, temperature, alpha)
    fitted = clone(student).set_params(objective=objective).fit(rows.X, codes)
    return fitted.set_params(objective="binary:logistic" if rows.n_classes == 2 else "multi:softprob")


class TwoTermObjective:
    """Gradient and curvature of the loss, row by row, as XGBoost asks for them.

    Parameters
    ----------
    rows : TransferRows
    temperature : float > 0
    alpha : float in [0, 1]
    """

    def __init__(self, rows: TransferRows, temperature: float, alpha: float):
        self.temperature = temperature
        self.soft = rows.softened(temperature)
        self.hard = np.zeros(self.soft.shape)
        labelled = rows.labelled
        self.hard[labelled, rows.codes[labelled]] = 1.0
        self.of_labels = np.where(labelled, (1.0 - alpha) * rows.weights, 0.0)[:, None]
        self.of_teacher = alpha * rows.weights[:, None]

    def __call__(self, y_true, y_pred) -> tuple[np.ndarray, np.ndarray]:
        """Gradient and Hessian in the shape of the scores: (n, K), or (n,) for two classes."""
        scores = np.asarray(y_pred, dtype=np.float64)
        binary = self.soft.shape[1] == 2 and scores.size == len(self.soft)
        scores = np.column_stack([np.zeros(scores.size), scores.ravel()]) if binary else scores.reshape(self.soft.shape)
        p, q = rowwise.softmax_rows(scores), rowwise.softmax_rows(scores, temperature=self.temperature)
        gradient = self.of_labels * (p - self.hard) + self.of_teacher * self.temperature * (q - self.soft)
        curvature = self.of_labels * p * (1.0 - p) + self.of_teacher * q * (1.0 - q)
        if binary:
            gradient, curvature = gradient[:, 1], curvature[:, 1]
        else:
            curvature *= 2.0
        shape = np.shape(y_pred)
        return gradient.reshape(shape), np.maximum(curvature, LEAST_CURVATURE).reshape(shape)
