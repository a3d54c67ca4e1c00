"""Isotonic regression as a calibrator, for any number of classes and without infinite losses."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.isotonic import IsotonicRegression

from sksoft._validation import StrOptions, fit_context
from sksoft.calibration.one_vs_rest import columns_to_calibrate, joined, one_vs_rest
from sksoft.calibration.score_input import new_logits, scored_rows
from sksoft.calibration.score_output import most_likely


class IsotonicCalibrator(ClassifierMixin, BaseEstimator):
    r"""Fit the best non-decreasing function of the log-odds of every class.

    Of class k against the rest, with rₖ = zₖ − log Σ_{j≠k} exp zⱼ, scikit-learn's isotonic regression finds the step
    function f of rₖ that minimises Σᵢ sᵢ (1[yᵢ = k] − f(rᵢₖ))² [1]_; between the training scores f is interpolated,
    beyond them it is constant. Equal scores get the same value. Two classes need one such function; with more, each has
    its own and rows are divided by their sum [2]_.

    A step at zero claims that a class is impossible, and costs an infinite log-loss where it is not. So with
    ``laplace=True`` each row of K probabilities p becomes (N p + 1) / (N + K), as if one more case of every class had
    been seen among the N = Σ s.

    Parameters
    ----------
    input : {'logits', 'proba'}, default='logits'
        What X is: scores (any number), or probabilities, of which the logarithm is taken. Never guessed from values.
    classes : array-like of shape (K,), default=None
        Labels of the columns of X, in their order. By default the sorted labels in `y`, which must then be K.
    laplace : bool, default=True
        Keep probabilities off zero and one. False is scikit-learn's ``method='isotonic'``.

    Attributes
    ----------
    isotonic_ : list of IsotonicRegression
        One for each class, or the one of ``classes_[1]`` where there are two.
    total_weight_ : float
        N.
    converged_ : bool
        True: the fit is direct and exact.
    n_iter_ : int
        1, for the same reason.
    classes_ : ndarray of shape (K,)
    n_features_in_ : int
        Columns of X.

    Notes
    -----
    O(K n log n) time, O(n K) memory. Decisions may change, and many rows tie. A row that every function sends to zero
    (K > 2) is uniform, as in scikit-learn. Isotonic regression wants thousands of rows per class: with few it overfits,
    and :class:`BinaryScaler` or :class:`StructuredMatrixScaler` are better.

    References
    ----------
    .. [1] Zadrozny, Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD 2002.
    .. [2] As [1]_, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft import IsotonicCalibrator
    >>> scores = np.repeat([-3.0, -1.0, 1.0, 3.0], 25)
    >>> y = np.arange(100) % 5 < np.repeat([0, 2, 1, 4], 25)  # .0 .4 .2 .8: the middle two are pooled
    >>> IsotonicCalibrator(laplace=False).fit(scores, y).predict_proba([-3.0, -1.0, 1.0, 3.0])[:, 1]
    array([0. , 0.3, 0.3, 0.8])
    >>> IsotonicCalibrator().fit(scores, y).predict_proba([-3.0])[:, 1].round(4)
    array([0.0098])
    """

    _parameter_constraints = {
        "input": [StrOptions({"logits", "proba"})],
        "classes": ["array-like", None],
        "laplace": ["boolean"],
    }

    def __init__(self, input="logits", *, classes=None, laplace=True):
        self.input = input
        self.classes = classes
        self.laplace = laplace

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Find the functions.

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
        self : IsotonicCalibrator

        Raises
        ------
        ValueError
            For bad scores, probabilities or weights, a label that is not in `classes`, or columns that do not match.
        """
        rows = scored_rows(
            X, y, sample_weight, input=self.input, classes=self.classes, name="IsotonicCalibrator", device=False
        )
        self.classes_, self.n_features_in_ = rows.classes, len(rows.classes)
        log_odds = one_vs_rest(rows.logits)
        self.isotonic_ = [
            IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(
                log_odds[:, k], (rows.codes == k).astype(np.float64), rows.weights
            )
            for k in columns_to_calibrate(log_odds)
        ]
        self.total_weight_ = float(rows.weights.sum())
        self.converged_, self.n_iter_ = True, 1
        return self

    def predict_proba(self, X):
        """Calibrated probabilities.

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
        n_classes = log_odds.shape[1]
        kept = columns_to_calibrate(log_odds)
        for k, isotonic in zip(kept, self.isotonic_, strict=True):
            log_odds[:, k] = isotonic.predict(log_odds[:, k])
        proba = joined(log_odds[:, kept.start : kept.stop])
        if self.laplace:
            proba *= self.total_weight_
            proba += 1.0
            proba /= self.total_weight_ + n_classes
        return proba

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
