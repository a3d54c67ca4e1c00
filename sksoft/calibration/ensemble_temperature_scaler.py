"""Ensemble temperature scaling: a mixture of sharpened, original and uniform probabilities."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from sksoft._validation import ClassifierMixin, Interval, StrOptions, fit_context
from sksoft._warnings import warn
from sksoft.calibration.score_input import new_logits, scored_rows
from sksoft.calibration.score_output import most_likely
from sksoft.calibration.temperature_scaler import TemperatureScaler, fit_to_rows
from sksoft.kernels import placement, rowwise
from sksoft.kernels.blocks import map_rows
from sksoft.objective.mixture import Mixture
from sksoft.solvers.mixture import mixture_weights


class EnsembleTemperatureScaler(ClassifierMixin, BaseEstimator):
    r"""Mix the probabilities at the best temperature with the original ones and with none at all.

    Probabilities are [1]_

        p = w₁ softmax(z / T) + w₂ softmax(z) + w₃ / K           w ≥ 0, Σ w = 1

    T is that of :class:`TemperatureScaler`, and w then minimises the log-loss −Σᵢ sᵢ log p_{i,yᵢ} / Σᵢ sᵢ, which is
    convex in w. The order of the classes in each row stays as it was: decisions do not change. Where w₃ > 0 no
    probability is zero, however sure the classifier was of the wrong class.

    Parameters
    ----------
    input : {'logits', 'proba'}, default='logits'
        What X is: scores (any number), or probabilities, of which the logarithm is taken. Never guessed from values.
    classes : array-like of shape (K,), default=None
        Labels of the columns of X, in their order. By default the sorted labels in `y`, which must then be K.
    tol : float in [0, inf), default=1e-10
        In nats: stop when the log-loss is proved to be within `tol` of the best for this T; one more step is taken.
    max_iter : int >= 1, default=100

    Attributes
    ----------
    temperature_ : float > 0
        T.
    weights_ : ndarray of shape (3,)
        w, of softmax(z / T), softmax(z) and 1 / K.
    loss_ : float
        The log-loss of the mixture, in nats; at most that of the temperature alone.
    gap_ : float
        Proved bound on how much lower the log-loss can be with other weights, in nats.
    converged_ : bool
        Whether T was found and ``gap_`` reached `tol`.
    n_iter_ : int
        Steps for T and w together.
    classes_ : ndarray of shape (K,)
    n_features_in_ : int
        Columns of X.

    Notes
    -----
    O(n K) time; O(n) memory beside X. The best T may be zero or infinite (see :class:`TemperatureScaler`, which warns);
    the weights are the best for it all the same.

    References
    ----------
    .. [1] Zhang, Kailkhura, Han, "Mix-n-Match: ensemble and compositional methods for uncertainty calibration in deep
       learning", ICML 2020, eq. (5).

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft import EnsembleTemperatureScaler
    >>> scores = np.array([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    >>> scaler = EnsembleTemperatureScaler().fit(scores, ["no", "no", "yes", "yes"])
    >>> scaler.predict_proba(scores[:1]).round(6)  # three of four are right
    array([[0.75, 0.25]])
    """

    _parameter_constraints = {
        "input": [StrOptions({"logits", "proba"})],
        "classes": ["array-like", None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, input="logits", *, classes=None, tol=1e-10, max_iter=100):
        self.input = input
        self.classes = classes
        self.tol = tol
        self.max_iter = max_iter

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Find the temperature, then the weights.

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
        self : EnsembleTemperatureScaler

        Raises
        ------
        ValueError
            For bad scores, probabilities or weights, a label that is not in `classes`, or columns that do not match.

        Warns
        -----
        ConvergenceWarning
            If the best temperature is zero or infinite, or `max_iter` was not enough.
        """
        rows = scored_rows(
            X, y, sample_weight, input=self.input, classes=self.classes, name="EnsembleTemperatureScaler"
        )
        self.classes_, self.n_features_in_ = rows.classes, len(rows.classes)
        scaler = fit_to_rows(TemperatureScaler(max_iter=self.max_iter), rows)
        self.temperature_ = scaler.temperature_
        likelihoods = _true_class_proba(rows.logits, rows.codes, self.temperature_)
        # Components alike, as the first two at T = 1, leave the best weights open: any of them will do.
        solution = mixture_weights(Mixture(likelihoods, rows.weights), tol=self.tol, max_iter=self.max_iter)
        self.weights_, self.loss_, self.gap_ = solution.w, solution.value, solution.certificate.gap
        self.n_iter_ = scaler.n_iter_ + solution.n_iter
        self.converged_ = scaler.converged_ and solution.converged
        if not solution.converged:
            warn(
                f"EnsembleTemperatureScaler did not reach tol={self.tol:g} in max_iter={self.max_iter} iterations:"
                f" the log-loss may be {self.gap_:.3g} nats above the best.",
                ConvergenceWarning,
            )
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
        logits = new_logits(self, X)
        sharpened, original, uniform = self.weights_.tolist()
        proba = np.empty_like(logits)

        def mix(block):
            some = logits[block].astype(np.float64, copy=False)
            mixed = rowwise.softmax_rows(some, temperature=self.temperature_)
            mixed *= sharpened
            mixed += original * rowwise.softmax_rows(some)
            mixed += uniform / logits.shape[1]
            proba[block] = mixed

        map_rows(mix, logits, 8 * logits.shape[1])
        return placement.beside(proba, X)

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


def _true_class_proba(logits, codes, temperature) -> np.ndarray:
    """What the three components say of the label that came: (n, 3), where the scores live."""
    out = placement.namespace(logits).empty((len(logits), 3))
    out[:, 2] = 1.0 / logits.shape[1]

    def fill(block):
        some, own = logits[block].astype(np.float64, copy=False), codes[block, None]
        for component, t in enumerate((temperature, 1.0)):
            proba = rowwise.softmax_rows(some, temperature=t)
            out[block, component] = np.take_along_axis(proba, own, axis=1)[:, 0]

    map_rows(fill, logits, 8 * logits.shape[1])
    return out
