"""Vector scaling: a temperature and a bias for each class."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator

from sksoft._validation import ClassifierMixin, Interval, StrOptions, fit_context
from sksoft.calibration.affine import LEAST_STRENGTH, Strengths, affine_scores, bounded, centred, fit_diagonal, keep_map
from sksoft.calibration.score_input import new_logits, scored_rows
from sksoft.calibration.score_output import decision_scores, most_likely
from sksoft.kernels import placement, rowwise
from sksoft.metrics.temperature import best_temperature


class VectorScaler(ClassifierMixin, BaseEstimator):
    r"""Multiply each class's score by a factor of its own and add a bias.

    Probabilities are p = softmax(v ∘ z + b), z the scores less the mean of their row, and v and b minimise [1]_

        F(v, b) = Σᵢ sᵢ (log Σⱼ exp(vⱼ zᵢⱼ + bⱼ) − v_{yᵢ} z_{i,yᵢ} − b_{yᵢ}) / Σᵢ sᵢ + 10⁻⁶ (‖T v − 1‖² + ‖b‖²)

    which is convex, by Newton steps with conjugate gradients from the best temperature T. The ridge is small enough to
    be no matter where classes overlap, keeps v and b finite where scores separate a class, and proves the duality gap.
    With few rows a class, :class:`StructuredMatrixScaler` is the better choice.

    Parameters
    ----------
    input : {'logits', 'proba'}, default='logits'
        What X is: scores (any number), or probabilities, of which the logarithm is taken. Never guessed from values.
    classes : array-like of shape (K,), default=None
        Labels of the columns of X, in their order. By default the sorted labels in `y`, which must then be K.
    tol : float in [0, inf), default=1e-6
        Stop when what is left of F is at most `tol` · F.
    max_iter : int >= 1, default=200
        Newton steps.

    Attributes
    ----------
    coef_ : ndarray of shape (K,)
        v.
    intercept_ : ndarray of shape (K,)
        b.
    objective_ : float
        F at the solution, in nats.
    gap_ : float
        A proved bound on F − min F.
    certificate_ : {'gap', 'stationarity'}
    bound_ : float
        `gap_`, or half the squared Newton decrement where there is no proof.
    gradient_norm_ : float
        Largest entry of the gradient.
    converged_ : bool
    n_iter_ : int
    classes_ : ndarray of shape (K,)
    n_features_in_ : int
        Columns of X.

    Notes
    -----
    O(n K) time for each Newton step and each of its products; O(n K) memory. Decisions may change. A shift of all
    scores of a row changes nothing. Probabilities below 2.2e-16, exact zeros among them, count as that.

    References
    ----------
    .. [1] Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017, section 4.2.

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft import VectorScaler
    >>> rng = np.random.default_rng(0)
    >>> scores = 3 * rng.normal(size=(4000, 3))
    >>> honest = scores * [0.2, 0.5, 0.5] + [1.0, 0.0, -1.0]
    >>> y = (honest + rng.gumbel(size=honest.shape)).argmax(axis=1)  # labels drawn from softmax(honest)
    >>> scaler = VectorScaler().fit(scores, y)
    >>> scaler.coef_.round(1)
    array([0.2, 0.5, 0.5])
    """

    _parameter_constraints = {
        "input": [StrOptions({"logits", "proba"})],
        "classes": ["array-like", None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, input="logits", *, classes=None, tol=1e-6, max_iter=200):
        self.input = input
        self.classes = classes
        self.tol = tol
        self.max_iter = max_iter

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Find factors and biases.

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
        self : VectorScaler

        Raises
        ------
        ValueError
            For bad scores, probabilities or weights, a label that is not in `classes`, or columns that do not match.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` was not enough.
        """
        rows = scored_rows(X, y, sample_weight, input=self.input, classes=self.classes, name="VectorScaler")
        self.classes_, self.n_features_in_ = rows.classes, len(rows.classes)
        x = centred(rows.logits)
        beta = best_temperature(x, rows.codes, rows.weights).finite_beta
        x = bounded(np.multiply(x, beta, out=x))
        strengths = Strengths(LEAST_STRENGTH, 0.0, LEAST_STRENGTH)
        found, solution = fit_diagonal(x, rows, strengths, offset=x, tol=self.tol, max_iter=self.max_iter)
        keep_map(self, found.moved(1.0), solution, beta)
        return self

    def decision_function(self, X):
        """Calibrated scores.

        Parameters
        ----------
        X : array-like of shape (n, K), or (n,) for two classes
            As in ``fit``.

        Returns
        -------
        scores : ndarray of shape (n, K), or (n,) for two classes: the score of ``classes_[1]`` less the other's
        """
        return decision_scores(self._scores(X), X)

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
        scores = self._scores(X)
        return placement.beside(rowwise.softmax_rows(scores, out=scores), X)

    def predict(self, X):
        """The label of the largest calibrated score; of equals, the first.

        Parameters
        ----------
        X : array-like of shape (n, K), or (n,) for two classes

        Returns
        -------
        labels : ndarray of shape (n,)
        """
        return most_likely(self._scores(X), self.classes_, X)

    def _scores(self, X):
        """The calibrated scores, where X is computed on."""
        return affine_scores(centred(new_logits(self, X)), self.coef_, self.intercept_)
