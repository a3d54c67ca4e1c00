"""Matrix scaling: calibrated scores that are any affine function of the scores."""

from numbers import Integral, Real

from sklearn.base import BaseEstimator

from sksoft._validation import ClassifierMixin, Interval, StrOptions, fit_context
from sksoft.calibration.affine import affine_scores, centred, keep_map
from sksoft.calibration.penalised_matrix import fit_calibrator
from sksoft.calibration.score_input import new_logits, scored_rows
from sksoft.calibration.score_output import decision_scores, most_likely
from sksoft.kernels import placement, rowwise
from sksoft.metrics.folds import CV_CONSTRAINTS


class MatrixScaler(ClassifierMixin, BaseEstimator):
    r"""Calibrated scores are any affine function of the scores, with what is off the diagonal held back.

    With x = z / T of scores z less the mean of their row, T their best temperature, probabilities are
    p = softmax(V x + b), and V and b minimise the log-loss plus a penalty ([1]_ with the penalties of [2]_)

        F(V, b) = Σᵢ sᵢ L(yᵢ, V xᵢ + b) / Σᵢ sᵢ + R(V, b)
        R = λ Σ_{k≠j} V_kj² / (K (K − 1)) + μ Σ b_k² / K + 10⁻⁶ Σ (V_kk − 1)²      'odir': off-diagonal, intercept
        R = λ Σ_kj V_kj² / K² + μ Σ b_k² / K                                         'ridge'

    The temperature only makes λ mean the same for scores of any size. F is convex. The last term of 'odir' keeps V
    finite where scores separate a class.

    Parameters
    ----------
    input : {'logits', 'proba'}, default='logits'
        What X is: scores (any number), or probabilities, of which the logarithm is taken. Never guessed from values.
    penalty : {'odir', 'ridge'}, default='odir'
        What R holds back.
    strength : float in [0, inf), default=None
        λ. By default the one of 10⁻², 10⁻¹, …, 10³ that has the least log-loss over `cv` folds, for μ = λ.
    shift_strength : float in [0, inf), default=None
        μ, by default λ.
    cv : int >= 2, cross-validation splitter or iterable of (train, test), default=5
        To choose λ. An int makes stratified folds from the content of the rows, so that weights remain repetitions.
    classes : array-like of shape (K,), default=None
        Labels of the columns of X, in their order. By default the sorted labels in `y`, which must then be K.
    tol : float in [0, inf), default=1e-6
        Stop when what is left of F is at most `tol` · F.
    max_iter : int >= 1, default=200
        Newton steps.

    Attributes
    ----------
    strength_ : float
        λ, as given or chosen.
    cv_results_ : dict of ndarrays
        ``'strength'`` and ``'log_loss'`` over the held-out rows; only where λ was chosen.
    coef_ : ndarray of shape (K, K)
        V / T.
    intercept_ : ndarray of shape (K,)
        b.
    objective_ : float
        F at the solution, in nats.
    gap_ : float
        A proved bound on F − min F; nan where λ is 0.
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
    O(n K²) time for each Newton step and each of its products; O(n K) memory. λ is divided by K², so the more classes
    the flatter F: with 500 of them a fit takes ten times that of :class:`StructuredMatrixScaler`, and choosing λ takes
    thirty. A shift of all scores of a row changes nothing. Probabilities below 2.2e-16, exact zeros among them, count
    as that.

    References
    ----------
    .. [1] Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017, section 4.2.
    .. [2] Kull, Perello-Nieto, Kängsepp, Silva Filho, Song, Flach, "Beyond temperature scaling: obtaining
       well-calibrated multi-class probabilities with Dirichlet calibration", NeurIPS 2019, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft import MatrixScaler, TemperatureScaler
    >>> rng = np.random.default_rng(0)
    >>> scores = 3 * rng.normal(size=(2000, 3))
    >>> honest = 0.5 * scores @ np.array([[1, 0, 0], [0, 1, 0.5], [0, 0.5, 1]])  # the last two are mixed up
    >>> y = (honest + rng.gumbel(size=honest.shape)).argmax(axis=1)
    >>> calibrator = MatrixScaler().fit(scores, y)
    >>> calibrator.objective_ < TemperatureScaler().fit(scores, y).loss_ - 0.02  # in nats
    True
    """

    _parameter_constraints = {
        "input": [StrOptions({"logits", "proba"})],
        "penalty": [StrOptions({"odir", "ridge"})],
        "strength": [Interval(Real, 0, None, closed="left"), None],
        "shift_strength": [Interval(Real, 0, None, closed="left"), None],
        "cv": CV_CONSTRAINTS,
        "classes": ["array-like", None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        input="logits",
        *,
        penalty="odir",
        strength=None,
        shift_strength=None,
        cv=5,
        classes=None,
        tol=1e-6,
        max_iter=200,
    ):
        self.input = input
        self.penalty = penalty
        self.strength = strength
        self.shift_strength = shift_strength
        self.cv = cv
        self.classes = classes
        self.tol = tol
        self.max_iter = max_iter

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Find the matrix and the biases.

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
        self : MatrixScaler

        Raises
        ------
        ValueError
            For bad scores, probabilities or weights, a label that is not in `classes`, or columns that do not match.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` was not enough.
        """
        rows = scored_rows(X, y, sample_weight, input=self.input, classes=self.classes, name="MatrixScaler")
        self.classes_, self.n_features_in_ = rows.classes, len(rows.classes)
        keep_map(self, *fit_calibrator(self, centred(rows.logits), rows))
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
