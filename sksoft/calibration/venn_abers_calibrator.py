"""Inductive Venn–Abers prediction: a calibrated probability and how much the calibration set leaves open.

On our own exact bounds (``venn_abers_bounds.py``): the package venn-abers gives the same numbers, but knows no weights
and has its loops over rows in Python.
"""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from sksoft._validation import StrOptions, fit_context
from sksoft.calibration.one_vs_rest import columns_to_calibrate, joined, one_vs_rest
from sksoft.calibration.score_input import new_logits, scored_rows
from sksoft.calibration.score_output import most_likely
from sksoft.calibration.venn_abers_bounds import venn_abers_bounds


class VennAbersCalibrator(ClassifierMixin, BaseEstimator):
    r"""Isotonic calibration twice, as if the new row had either label.

    With F₀(z) and F₁(z) the isotonic regression at the score z after one more row with that score and label 0 or 1, the
    one whose label comes is calibrated whatever the distribution, if rows are exchangeable [1]_. The probability that
    loses least in log-loss whichever it is, is [1]_

        p = F₁ / (1 − F₀ + F₁)

    which is neither 0 nor 1. F₁ − F₀ is small where there are many rows with scores like this one.

    With more than two classes each has its own, on rₖ = zₖ − log Σ_{j≠k} exp zⱼ, and rows are divided by their sum;
    the guarantee holds for each class against the rest before that division.

    Parameters
    ----------
    input : {'logits', 'proba'}, default='logits'
        What X is: scores (any number), or probabilities, of which the logarithm is taken. Never guessed from values.
    classes : array-like of shape (K,), default=None
        Labels of the columns of X, in their order. By default the sorted labels in `y`, which must then be K.

    Attributes
    ----------
    bounds_ : list of VennAbersBounds
        F₀ and F₁ for each class, or those of ``classes_[1]`` where there are two.
    converged_ : bool
        True: the fit is direct and exact.
    n_iter_ : int
        1, for the same reason.
    classes_ : ndarray of shape (K,)
    n_features_in_ : int
        Columns of X.

    Notes
    -----
    O(K n log n) time, O(n K) memory. A sample weight is so many rows; the added row is one.

    References
    ----------
    .. [1] Vovk, Petej, Fedorova, "Large-scale probabilistic predictors with and without guarantees of validity",
       NeurIPS 2015, theorem 1 and section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft import VennAbersCalibrator
    >>> scores = np.repeat([-3.0, -1.0, 1.0, 3.0], 25)
    >>> y = np.arange(100) % 5 < np.repeat([0, 2, 1, 4], 25)  # .0 .4 .2 .8: the middle two are pooled
    >>> calibrator = VennAbersCalibrator().fit(scores, y)
    >>> calibrator.predict_proba([-3.0, -1.0, 3.0])[:, 1].round(3)
    array([0.037, 0.308, 0.778])
    >>> calibrator.predict_interval([-3.0])[0, 1].round(3)  # of the second class
    array([0.   , 0.038])
    """

    _parameter_constraints = {
        "input": [StrOptions({"logits", "proba"})],
        "classes": ["array-like", None],
    }

    def __init__(self, input="logits", *, classes=None):
        self.input = input
        self.classes = classes

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Find F₀ and F₁ of every class.

        Parameters
        ----------
        X : array-like of shape (n, K), or (n,) for two classes
            Finite scores, or probabilities, as `input` says. One-dimensional scores z mean (0, z).
            Of the host: those on a CUDA device are an error.
        y : array-like of shape (n,)
            Labels of any type, each one of the K classes.
        sample_weight : array-like of shape (n,), default=None
            Finite, non-negative, not all zero.

        Returns
        -------
        self : VennAbersCalibrator

        Raises
        ------
        ValueError
            For bad scores, probabilities or weights, a label that is not in `classes`, or columns that do not match.
        """
        rows = scored_rows(
            X, y, sample_weight, input=self.input, classes=self.classes, name="VennAbersCalibrator", device=False
        )
        self.classes_, self.n_features_in_ = rows.classes, len(rows.classes)
        log_odds = one_vs_rest(rows.logits)
        self.bounds_ = [
            venn_abers_bounds(log_odds[:, k], rows.codes == k, rows.weights) for k in columns_to_calibrate(log_odds)
        ]
        self.converged_, self.n_iter_ = True, 1
        return self

    def predict_proba(self, X):
        """Calibrated probabilities F₁ / (1 − F₀ + F₁).

        Parameters
        ----------
        X : array-like of shape (n, K), or (n,) for two classes
            As in ``fit``.

        Returns
        -------
        proba : ndarray of shape (n, K)
            Columns in the order of ``classes_``; rows sum to one.
        """
        log_odds = one_vs_rest(new_logits(self, X, device=False))
        kept = columns_to_calibrate(log_odds)
        for k, bounds in zip(kept, self.bounds_, strict=True):
            low, high = bounds.at(log_odds[:, k])
            log_odds[:, k] = high / (1.0 - low + high)
        return joined(log_odds[:, kept.start : kept.stop])

    def predict_interval(self, X):
        """F₀ and F₁ of every class against the rest.

        Parameters
        ----------
        X : array-like of shape (n, K), or (n,) for two classes
            As in ``fit``.

        Returns
        -------
        interval : ndarray of shape (n, K, 2)
            Lower and upper probability of each class, before rows are divided by their sum.
        """
        log_odds = one_vs_rest(new_logits(self, X, device=False))
        out = np.empty((*log_odds.shape, 2))
        for k, bounds in zip(columns_to_calibrate(log_odds), self.bounds_, strict=True):
            out[:, k, 0], out[:, k, 1] = bounds.at(log_odds[:, k])
        if log_odds.shape[1] == 2:
            out[:, 0] = 1.0 - out[:, 1, ::-1]
        return out

    def predict(self, X):
        """The most probable label after calibration; of equals, the first.

        Parameters
        ----------
        X : array-like of shape (n, K), or (n,) for two classes

        Returns
        -------
        labels : ndarray of shape (n,)
        """
        return most_likely(self.predict_proba(X), self.classes_, X)
