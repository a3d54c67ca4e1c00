"""How far one-vs-rest sigmoids are from being class probabilities, beside a softmax on the same data."""

from functools import partial

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils import check_consistent_length, column_or_1d

from sksoft._validation import check_sample_weight
from sksoft.linear.sigmoid_classifier import SigmoidClassifier
from sksoft.linear.softmax_regression import SoftmaxRegression
from sksoft.metrics.calibration import expected_calibration_error
from sksoft.metrics.labels import encode_labels
from sksoft.metrics.scores import brier_score, negative_log_likelihood


def ovr_incoherence(X, y, X_test=None, y_test=None, *, C=1.0, sample_weight=None, sample_weight_test=None, tol=1e-8):
    r"""Fit one-vs-rest sigmoids and a softmax to the same classes, and compare them as probabilities.

    One-vs-rest gives every class its own sigmoid, σ(z_k) with z = W x + b, in ignorance of the others. The classes
    exclude each other, so that probabilities would have Σ_k σ(z_k) = 1 in every row, and nothing makes them so: an
    unpenalised intercept makes it true on average over the rows of the fit, no more. To be read as probabilities they
    are divided by their sum, as scikit-learn's ``OneVsRestClassifier`` does::

        q_k = σ(z_k) / S,   S = Σ_j σ(z_j)            beside the softmax's   p_k = exp(z_k) / Σ_j exp(z_j)

    which is fitted as a whole, by the likelihood that is asked for. Both models have the same penalty and as many
    parameters; with two classes they are the same model.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n, p)
        Features of the rows that both models are fitted to.
    y : array-like of shape (n,)
        Labels of any type, at least two different ones.
    X_test, y_test : as X and y, default=None
        Rows to compare the models on; those of the fit by default. Labels must be among those of y.
    C : float > 0, default=1.0
        Inverse strength of the ridge of both, finite.
    sample_weight : array-like of shape (n,), default=None
        Weights of the rows of the fit, non-negative; ones by default.
    sample_weight_test : array-like of shape (m,), default=None
        Weights of the rows of `X_test`; ones by default.
    tol : float >= 0, default=1e-8
        Proved relative gap to which both are fitted.

    Returns
    -------
    comparison : DataFrame with rows 'sigmoids' and 'softmax'
        All are weighted means over the rows, but for the extremes.

        ==================== ==========================================================================================
        sum_mean             S, a number of classes: 1 for probabilities
        sum_distance         \|S − 1\|, the incoherence before dividing
        sum_min, sum_max     smallest and largest S
        accuracy             share of rows whose most probable class is the true one
        disagreement         share of rows whose most probable class is not the softmax's
        log_loss             −ln q of the true class, in nats; sigmoids divided by their sum
        log_loss_undivided   −ln σ of the true class, in nats, which is no likelihood: S may exceed 1
        brier_score          squared distance of q from the true class, in [0, 2]
        calibration_error    expected calibration error of the most probable class, 15 equal-width bins, in [0, 1]
        ==================== ==========================================================================================

    Raises
    ------
    ValueError
        If y is not labels of two classes or more, `y_test` has other labels, or only one of `X_test` and `y_test` is
        given.

    Notes
    -----
    Costs two fits, and O(n (p + K)) memory beside them.

    References
    ----------
    .. [1] Zadrozny, Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD 2002,
       section 5: one-vs-rest probabilities, and dividing them by their sum.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sksoft.linear import ovr_incoherence
    >>> comparison = ovr_incoherence(*load_iris(return_X_y=True))
    >>> comparison[["sum_distance", "accuracy", "log_loss"]].round(3)
              sum_distance  accuracy  log_loss
    sigmoids         0.253     0.953     0.272
    softmax          0.000     0.973     0.120
    """
    if (X_test is None) != (y_test is None):
        raise ValueError("X_test and y_test must be given together. Got one of them only.")
    y = column_or_1d(y, input_name="y")
    softmax = SoftmaxRegression(C=C, tol=tol).fit(X, y, sample_weight=sample_weight)
    classes = softmax.classes_
    sigmoids = SigmoidClassifier(C=C, tol=tol).fit(X, _indicators(y, classes), sample_weight=sample_weight)
    if X_test is None:
        X_test, y_test, sample_weight_test = X, y, sample_weight
    y_test = column_or_1d(y_test, input_name="y_test")
    proba = softmax.predict_proba(X_test)
    check_consistent_length(proba, y_test)
    weights = check_sample_weight(sample_weight_test, proba)
    seen = weights > 0.0
    proba, undivided, weights = proba[seen], sigmoids.predict_proba(X_test)[seen], weights[seen]
    codes = encode_labels(y_test[seen], classes)
    if codes.min() < 0:
        strange = y_test[seen][np.argmin(codes)]
        raise ValueError(f"y_test must hold labels of y, {classes.tolist()}. Got {strange!s} instead.")
    top = proba.argmax(axis=1)
    rows = {"sigmoids": undivided, "softmax": proba}
    return pd.DataFrame({name: _row(own, codes, weights, top) for name, own in rows.items()}).T


def _indicators(y, classes):
    """A column for each class, (n, K), sparse."""
    codes = encode_labels(y, classes)
    rows = np.flatnonzero(codes >= 0)  # a class of weight zero is no class
    return sparse.csr_array((np.ones(len(rows)), (rows, codes[rows])), shape=(len(codes), len(classes)))


def _row(undivided: np.ndarray, codes: np.ndarray, weights: np.ndarray, softmax_top: np.ndarray) -> dict[str, float]:
    """One row of the comparison, from scores in [0, 1] that may not sum to one."""
    mean = partial(np.average, weights=weights)
    sums = undivided.sum(axis=1)
    # where every sigmoid is zero in float64, no class is the more probable
    share = np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0.0)
    proba = np.where(sums[:, None] > 0.0, undivided * share[:, None], 1.0 / undivided.shape[1])
    top = proba.argmax(axis=1)
    own = undivided[np.arange(len(codes)), codes]
    with np.errstate(divide="ignore"):
        surprise = -np.log(own)
    given = {"sample_weight": weights, "labels": np.arange(proba.shape[1])}
    return {
        "sum_mean": mean(sums),
        "sum_distance": mean(np.abs(sums - 1.0)),
        "sum_min": sums.min(),
        "sum_max": sums.max(),
        "accuracy": mean(top == codes),
        "disagreement": mean(top != softmax_top),
        "log_loss": negative_log_likelihood(codes, proba, **given),
        "log_loss_undivided": mean(surprise),
        "brier_score": brier_score(codes, proba, **given),
        "calibration_error": expected_calibration_error(codes, proba, **given),
    }
