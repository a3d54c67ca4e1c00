"""Regressors as students: they learn centred logits, and softmax makes distributions of what they predict.

The target of a row is c_k = log m_k − Σ_j log m_j / K with m = (1 − α) e_y + α p_T and entries below 1e-3 counted as
that, for squared errors would care for nothing but the least likely classes. At α = 1 predictions are taken times T.
Squared errors of logits are the limit of the loss at T → ∞ [1]_ and never the loss itself.

.. [1] Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", arXiv:1503.02531, 2015, section 2.1.
"""

import numpy as np
from sklearn.base import clone, is_regressor
from sklearn.multioutput import MultiOutputRegressor
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from sksoft.distillation.transfer_rows import TransferRows

NAME = "logit_regression"
FLOOR = 1e-3


def suits(student) -> bool:
    """Whether the student is a regressor."""
    return is_regressor(student)


def fit(student, rows: TransferRows, temperature: float, alpha: float):
    """A fitted clone that predicts logits (n, K); one of a single output comes inside ``MultiOutputRegressor``."""
    targets, weights = rows.blended(temperature, alpha)
    logits = np.log(np.maximum(targets, FLOOR))
    logits -= logits.mean(axis=1, keepdims=True)
    fitted = clone(student)
    if not get_tags(student).target_tags.multi_output:
        fitted = MultiOutputRegressor(fitted)
    if has_fit_parameter(student, "sample_weight"):
        return fitted.fit(rows.X, logits, sample_weight=weights)
    if (weights != weights[0]).any():
        raise ValueError(
            f"The 'student' parameter must be a regressor whose fit takes sample_weight where rows weigh different"
            f" amounts, as rows without labels do at alpha < 1. Got {student!r} instead."
        )
    return fitted.fit(rows.X, logits)
