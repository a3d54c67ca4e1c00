"""Temperature scaling: one number that makes confidence honest and leaves every decision as it was."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from sksoft._validation import ClassifierMixin, Interval, StrOptions, fit_context
from sksoft._warnings import warn
from sksoft.calibration.score_input import ScoredRows, new_logits, scored_rows
from sksoft.calibration.score_output import below_largest, decision_scores, most_likely
from sksoft.kernels import placement, rowwise
from sksoft.metrics.temperature import BestTemperature, best_temperature

# T and its inverse are numbers.
TINY = float(np.finfo(np.float64).tiny)


class TemperatureScaler(ClassifierMixin, BaseEstimator):
    r"""Divide scores by the one temperature that minimises the log-loss.

    Probabilities are p = softmax(z / T) of scores z, and T is the exact minimiser of [1]_

        F(T) = Σᵢ sᵢ (log Σⱼ exp(zᵢⱼ / T) − z_{i,yᵢ} / T) / Σᵢ sᵢ

    which is convex in β = 1/T, with F' = Σ sᵢ (E_p[z] − z_y) / Σ s and F'' = Σ sᵢ Var_p(z) / Σ s. It is found by
    safeguarded Newton steps in log β. Dividing keeps the order of the classes in each row: decisions do not change.

    This is a calibrator: its X is scores of a fitted classifier on data that classifier has not seen. To put one
    behind a classifier, use :class:`CalibratedSoftmaxClassifier`.

    Parameters
    ----------
    input : {'logits', 'proba'}, default='logits'
        What X is: scores (any number), or probabilities, of which the logarithm is taken. Never guessed from values.
    classes : array-like of shape (K,), default=None
        Labels of the columns of X, in their order. By default the sorted labels in `y`, which must then be K.
    weight_type : {'sampling', 'frequency'}, default='sampling'
        How the standard error reads sample weights: as importance, with n_eff = (Σ s)² / Σ s², or as repetitions, with
        n = Σ s. The temperature itself is the same.
    tol : float in [0, inf), default=1e-12
        What may be left of log T: the search ends with a Newton step of at most its square root, whose error is its
        square.
    max_iter : int >= 1, default=100

    Attributes
    ----------
    temperature_ : float > 0
    temperature_stderr_ : float
        T² / √(n F''), the standard error from the observed information; nan at a bound.
    converged_ : bool
    at_bound_ : bool
        True where the best T is none: 0 (the scores separate the labels) or ∞ (they are no better than uniform). T is
        then 1e-9 or 1e9 times the typical range of a row of scores, and a ConvergenceWarning says which.
    loss_ : float
        F(T), in nats.
    gradient_norm_ : float
        |dF/dβ| at the solution.
    n_iter_ : int
    classes_ : ndarray of shape (K,)
    n_features_in_ : int
        Columns of X.

    Notes
    -----
    O(n K) time per iteration, about six of them; O(n K) memory. Scores that are the same for all classes in every row
    (to 1e-305) carry no information: T = 1. Probabilities below 2.2e-16, exact zeros among them, count as that.

    References
    ----------
    .. [1] Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017, eq. (9).

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft import TemperatureScaler
    >>> scores = np.array([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    >>> scaler = TemperatureScaler().fit(scores, ["no", "no", "yes", "yes"])
    >>> round(scaler.temperature_, 6)  # three of four are right: T = 4 / log(3)
    3.640957
    >>> scaler.predict_proba(scores[:1]).round(6)
    array([[0.75, 0.25]])
    """

    _parameter_constraints = {
        "input": [StrOptions({"logits", "proba"})],
        "classes": ["array-like", None],
        "weight_type": [StrOptions({"sampling", "frequency"})],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, input="logits", *, classes=None, weight_type="sampling", tol=1e-12, max_iter=100):
        self.input = input
        self.classes = classes
        self.weight_type = weight_type
        self.tol = tol
        self.max_iter = max_iter

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Find the temperature.

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
        self : TemperatureScaler

        Raises
        ------
        ValueError
            For bad scores, probabilities or weights, a label that is not in `classes`, or columns that do not match.

        Warns
        -----
        ConvergenceWarning
            If the best temperature is zero or infinite, or `max_iter` was not enough.
        """
        rows = scored_rows(X, y, sample_weight, input=self.input, classes=self.classes, name="TemperatureScaler")
        return fit_to_rows(self, rows)

    def _unpack(self, best: BestTemperature, weights: np.ndarray):
        solution, unit = best.solution, best.unit
        beta = float(solution.w[0])
        self.temperature_ = float(np.clip(best.temperature, TINY, 1.0 / TINY))
        self.converged_ = solution.converged
        self.at_bound_ = best.at_bound
        self.loss_ = solution.value
        self.gradient_norm_ = solution.gradient_norm * unit
        self.n_iter_ = solution.n_iter
        largest = weights.max()
        relative = weights / largest  # so that squares of weights of any size are finite
        frequency = self.weight_type == "frequency"
        n = relative.sum() * largest if frequency else relative.sum() ** 2 / (relative @ relative)
        known = solution.curvature > 0.0 and not self.at_bound_
        self.temperature_stderr_ = float(unit / beta**2 / np.sqrt(n * solution.curvature)) if known else float("nan")

    def _warn(self, best: BestTemperature):
        stopped = f"TemperatureScaler stopped at temperature_={self.temperature_:.3g}"
        if best.limit == np.inf:
            message = f"{stopped}: the scores separate the labels, so the best temperature is zero."
        elif best.limit == 0.0:
            message = f"{stopped}: the scores are no better than uniform, so the best temperature is infinite."
        elif self.at_bound_:
            message = (
                f"{stopped}, the end of its search: the best temperature is far from the spread of most rows' scores."
                " Look for outliers."
            )
        elif not self.converged_:
            message = (
                f"TemperatureScaler did not reach tol={self.tol:g} in max_iter={self.max_iter} iterations:"
                f" the gradient is still {self.gradient_norm_:.3g}."
            )
        else:
            return
        warn(message, ConvergenceWarning)

    def decision_function(self, X):
        """Scores less the largest of their row, divided by the temperature.

        Parameters
        ----------
        X : array-like of shape (n, K), or (n,) for two classes
            As in ``fit``.

        Returns
        -------
        scores : ndarray of shape (n, K), or (n,) for two classes: the score of ``classes_[1]``
        """
        return decision_scores(below_largest(new_logits(self, X), self.temperature_), X)

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
        return placement.beside(rowwise.softmax_rows(new_logits(self, X), temperature=self.temperature_), X)

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


def fit_to_rows(scaler: TemperatureScaler, rows: ScoredRows) -> TemperatureScaler:
    """Fit to rows that are validated: also for calibrators that begin with a temperature."""
    scaler.classes_, scaler.n_features_in_ = rows.classes, len(rows.classes)
    best = best_temperature(rows.logits, rows.codes, rows.weights, tol=scaler.tol, max_iter=scaler.max_iter)
    scaler._unpack(best, rows.weights)
    scaler._warn(best)
    return scaler
