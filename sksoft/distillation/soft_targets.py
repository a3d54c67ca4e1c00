r"""The exact fit of a student that takes soft labels, at any temperature.

The student minimises Σ s L(t, z) + ‖W‖² / (2 C) with z = W x + b, as ``SoftmaxRegression`` does. Two losses at two
temperatures are one such fit to two blocks of rows, whose intercept is a column that the penalty leaves free:

    (x, 1)        label y         weight (1 − α) s         z = W x + b
    (x / T, 1 / T)   target p_T   weight α T² s            (W x + b) / T = z / T

C is as it was, for it divides a sum over rows and no mean. Dense features are centred first, which moves b alone and
keeps the free column apart from the others. At T = 1 the blocks have the same rows, and are one.

A student takes part by its parameters: ``classes`` (names the columns of soft labels y), ``feature_penalty`` (factors,
0 for a free column), ``fit_intercept`` and ``C``, and by ``coef_`` and ``intercept_`` after ``fit``.
"""

import numpy as np
from scipy import sparse
from sklearn.base import clone

from sksoft._validation import validate_data
from sksoft.distillation.transfer_rows import TransferRows, stacked

NAME = "soft_targets"
PROTOCOL = {"classes", "feature_penalty", "fit_intercept", "C", "prior_logits", "coef_sign"}
# What an inner fit with a column more says that is not true of the student.
OWN = ("coef_", "intercept_", "n_features_in_", "feature_names_in_")


def suits(student) -> bool:
    """Whether a student takes soft labels and a free column."""
    return hasattr(student, "get_params") and set(student.get_params(deep=False)) >= PROTOCOL


def exactness(student) -> tuple[bool, str]:
    """Whether the fit minimises the loss of :mod:`sksoft.distillation.transfer_rows`, and why."""
    params = student.get_params(deep=False)
    if params.get("link", "softmax") not in ("softmax", 1.0):
        return False, f"the loss is that of link={params['link']!r} in the place of the Kullback-Leibler divergence"
    if params.get("class_weight") is not None or params.get("label_smoothing"):
        return False, "class_weight and label_smoothing change the targets of both terms"
    return True, "both terms are fitted, each at its own temperature"


def fit(student, rows: TransferRows, temperature: float, alpha: float):
    """A fitted clone of the student.

    Parameters
    ----------
    student : classifier of the protocol above
    rows : TransferRows
    temperature : float > 0
    alpha : float in [0, 1]

    Returns
    -------
    fitted : the student, with coefficients of the features alone
    """
    if alpha == 0.0:
        return clone(student).fit(rows.X, rows.labels(), sample_weight=rows.weights)
    if temperature == 1.0:
        targets, weights = rows.blended(1.0, alpha)
        fitted = clone(student).set_params(classes=rows.classes)
        return fitted.fit(rows.X, targets, sample_weight=weights).set_params(classes=student.classes)
    fitted = clone(student)
    X = validate_data(fitted, rows.X, accept_sparse="csr", dtype=np.float64, order="C")
    centre = np.zeros(X.shape[1])
    if not sparse.issparse(X) and student.fit_intercept:
        centre = np.average(X, axis=0, weights=rows.weights)
    inner = _fit_blocks(student, rows, X, centre, temperature, alpha)
    for name, value in vars(inner).items():
        if name.endswith("_") and name not in OWN:
            setattr(fitted, name, value)
    coef = inner.coef_
    fitted.coef_, intercept = coef[:, : X.shape[1]], np.zeros(len(coef))
    if student.fit_intercept:
        intercept = coef[:, -1] - (coef[:, -1].mean() if len(coef) > 1 else 0.0)
    fitted.intercept_ = intercept - fitted.coef_ @ centre
    return fitted


def _blocks(X, centre: np.ndarray, hard: np.ndarray, temperature: float, fit_intercept: bool):
    """Features of both blocks; dense ones are written once, for two blocks of many rows are large enough."""
    n_rows, n_features = X.shape
    if sparse.issparse(X):
        if fit_intercept:
            X = sparse.hstack([X, np.ones((n_rows, 1))], format="csr")
        return stacked(X[hard], X / temperature)
    blocks = np.empty((len(hard) + n_rows, n_features + fit_intercept))
    soft = blocks[len(hard) :]
    np.subtract(X, centre, out=soft[:, :n_features])
    soft[:, n_features:] = 1.0
    np.take(soft, hard, axis=0, out=blocks[: len(hard)], mode="clip")  # where mode="raise" makes a copy first
    soft /= temperature
    return blocks


def _fit_blocks(student, rows: TransferRows, X, centre: np.ndarray, temperature: float, alpha: float):
    """The student fitted to both blocks."""
    hard = np.flatnonzero(rows.labelled) if alpha < 1.0 else np.empty(0, dtype=np.intp)
    labels = np.zeros((len(hard), rows.n_classes))
    labels[np.arange(len(hard)), rows.codes[hard]] = 1.0
    offset = None
    if student.prior_logits is not None:
        prior = np.asarray(student.prior_logits, dtype=np.float64)
        scale = np.concatenate([np.ones(len(hard)), np.full(X.shape[0], 1.0 / temperature)])
        offset = scale[:, None] * prior
    inner = clone(student).set_params(
        classes=rows.classes,
        fit_intercept=False,
        feature_penalty=_with_free_column(student, X.shape[1]),
        coef_sign=_with_unsigned_column(student),
        prior_logits=None,
    )
    return inner.fit(
        _blocks(X, centre, hard, temperature, student.fit_intercept),
        np.concatenate([labels, rows.softened(temperature)]),
        sample_weight=np.concatenate([(1.0 - alpha) * rows.weights[hard], alpha * temperature**2 * rows.weights]),
        offset=offset,
    )


def _with_free_column(student, n_features: int):
    if not student.fit_intercept:
        return student.feature_penalty
    factors = np.ones(n_features) if student.feature_penalty is None else student.feature_penalty
    return np.append(np.asarray(factors, dtype=np.float64), 0.0)


def _with_unsigned_column(student):
    if student.coef_sign is None or not student.fit_intercept:
        return student.coef_sign
    signs = np.asarray(student.coef_sign)
    return np.concatenate([signs, np.zeros((*signs.shape[:-1], 1))], axis=-1)
