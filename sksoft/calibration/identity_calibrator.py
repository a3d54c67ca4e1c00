"""No calibration: what every calibrator has to beat."""

from sklearn.base import BaseEstimator

from sksoft._validation import ClassifierMixin, StrOptions, fit_context
from sksoft.calibration.score_input import new_logits, scored_rows
from sksoft.calibration.score_output import below_largest, decision_scores, most_likely
from sksoft.kernels import placement, rowwise


class IdentityCalibrator(ClassifierMixin, BaseEstimator):
    """Leave scores as they are: probabilities are softmax(z).

    For comparisons, and for :class:`CalibratedSoftmaxClassifier`, which returns to it where nothing is better.

    Parameters
    ----------
    input : {'logits', 'proba'}, default='logits'
        What X is: scores (any number), or probabilities, of which the logarithm is taken. Never guessed from values.
    classes : array-like of shape (K,), default=None
        Labels of the columns of X, in their order. By default the sorted labels in `y`, which must then be K.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
    n_features_in_ : int
        Columns of X.

    Examples
    --------
    >>> from sksoft import IdentityCalibrator
    >>> IdentityCalibrator(input="proba").fit([[0.2, 0.8], [0.9, 0.1]], ["a", "b"]).predict_proba([[0.3, 0.7]])
    array([[0.3, 0.7]])
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
        """Learn the labels of the columns, and nothing else.

        Parameters
        ----------
        X : array-like of shape (n, K), or (n,) for two classes
            Finite scores, or probabilities, as `input` says. One-dimensional scores z mean (0, z).
            Those on a CUDA device are computed on there.
        y : array-like of shape (n,)
            Labels of any type, each one of the K classes.
        sample_weight : array-like of shape (n,), default=None
            Finite, non-negative, not all zero.

        Returns
        -------
        self : IdentityCalibrator

        Raises
        ------
        ValueError
            For bad scores, probabilities or weights, a label that is not in `classes`, or columns that do not match.
        """
        rows = scored_rows(X, y, sample_weight, input=self.input, classes=self.classes, name="IdentityCalibrator")
        self.classes_, self.n_features_in_ = rows.classes, len(rows.classes)
        return self

    def decision_function(self, X):
        """Scores less the largest of their row.

        Parameters
        ----------
        X : array-like of shape (n, K), or (n,) for two classes
            As in ``fit``.

        Returns
        -------
        scores : ndarray of shape (n, K), or (n,) for two classes: the score of ``classes_[1]`` less the other's
        """
        return decision_scores(below_largest(new_logits(self, X)), X)

    def predict_proba(self, X):
        """Softmax of the scores.

        Parameters
        ----------
        X : array-like of shape (n, K), or (n,) for two classes
            As in ``fit``.

        Returns
        -------
        proba : ndarray of shape (n, K)
            Columns in the order of ``classes_``; rows sum to one.
        """
        return placement.beside(rowwise.softmax_rows(new_logits(self, X)), X)

    def predict(self, X):
        """The label of the largest score; of equals, the first.

        Parameters
        ----------
        X : array-like of shape (n, K), or (n,) for two classes

        Returns
        -------
        labels : ndarray of shape (n,)
        """
        return most_likely(new_logits(self, X), self.classes_, X)
