"""Adaptive temperature scaling: a temperature for every row, from how undecided the row is."""

from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from sksoft._validation import ClassifierMixin, Interval, StrOptions, fit_context
from sksoft._warnings import warn
from sksoft.calibration.row_temperatures import entropies, loss_by_row, softmax_at
from sksoft.calibration.score_input import new_logits, scored_rows
from sksoft.calibration.score_output import most_likely
from sksoft.calibration.temperature_scaler import TemperatureScaler, fit_to_rows
from sksoft.kernels import placement, splitmix
from sksoft.objective.logistic import sigmoid

# Starts differ from the constant temperature by these factors exp(±) for one standard deviation of log entropy.
STARTS = (0.0, 0.5, -0.5)
# Above so many scores the starts are compared on a share of the rows.
SKETCHED, SKETCH_SHARE = 1 << 20, 1.0 / 16.0
# No temperature is below this share of the constant one: exp(z / T) must have a meaning.
LOWEST = 1e-9
# Curvature counts as at least this share of the largest.
FLATTEST = 1e-10
SUFFICIENT_DECREASE, MAX_BACKTRACKS = 1e-4, 40
# Log entropies as close as this are the same.
SAME = 1e-12
# A decrease below this share of the loss drowns in its rounding.
RESOLUTION = 1e-14


class AdaptiveTemperatureScaler(ClassifierMixin, BaseEstimator):
    r"""Divide the scores of each row by a temperature that depends on the row's entropy.

    With H(z) the entropy of softmax(z), relative to its largest value log K [1]_::

        p = softmax(z / T(z)),      T(z) = log(1 + exp(a h + b)),      h = log(H(z) / log K) ≤ 0

    a = 0 is :class:`TemperatureScaler`. a and b minimise the log-loss, by Newton steps from the best constant
    temperature and from two others, one more and one less for undecided rows; of the ends the best is taken. The loss
    is not convex in (a, b), so the end is a local minimum; it is never worse than the constant temperature on the rows
    fitted to. The order of the classes in each row stays: decisions do not change.

    Parameters
    ----------
    input : {'logits', 'proba'}, default='logits'
        What X is: scores (any number), or probabilities, of which the logarithm is taken. Never guessed from values.
    classes : array-like of shape (K,), default=None
        Labels of the columns of X, in their order. By default the sorted labels in `y`, which must then be K.
    tol : float in [0, inf), default=1e-10
        In nats: stop when the next step promises a decrease of at most `tol`; then it is taken.
    max_iter : int >= 1, default=100
        Steps from each start.

    Attributes
    ----------
    slope_, intercept_ : float
        a and b.
    loss_ : float
        In nats.
    gradient_norm_ : float
        Largest absolute derivative of the loss in (a, b) at the solution.
    certificate_ : 'stationarity'
        What is known of the solution.
    converged_ : bool
    n_iter_ : int
        Steps from the start that won.
    classes_ : ndarray of shape (K,)
    n_features_in_ : int
        Columns of X.

    Notes
    -----
    O(n K) time per step and start; O(n) memory beside X. Entropies below 2.2e-16 count as that, temperatures below 1e-9
    of the constant one as that. Of more than a million scores a sixteenth of the rows choose among the starts.

    References
    ----------
    .. [1] Balanya, Maroñas, Ramos, "Adaptive temperature scaling for robust calibration of deep neural networks",
       Neural Computing and Applications 36, 2024 (the entropy-based form).

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft import AdaptiveTemperatureScaler
    >>> rng = np.random.default_rng(0)
    >>> honest = 2 * rng.normal(size=(4000, 3))
    >>> y = (honest + rng.gumbel(size=honest.shape)).argmax(axis=1)
    >>> scores = honest * np.abs(honest).max(axis=1, keepdims=True)  # the surer, the more overconfident
    >>> scaler = AdaptiveTemperatureScaler().fit(scores, y)
    >>> scaler.temperature([[1.0, 0.0, 0.0], [9.0, 0.0, 0.0]]).round(1)
    array([2.1, 3. ])
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
        """Find a and b.

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
        self : AdaptiveTemperatureScaler

        Raises
        ------
        ValueError
            For bad scores, probabilities or weights, a label that is not in `classes`, or columns that do not match.

        Warns
        -----
        ConvergenceWarning
            If the best constant temperature is zero or infinite, or `max_iter` was not enough.
        """
        rows = scored_rows(
            X, y, sample_weight, input=self.input, classes=self.classes, name="AdaptiveTemperatureScaler"
        )
        self.classes_, self.n_features_in_ = rows.classes, len(rows.classes)
        constant = fit_to_rows(TemperatureScaler(), rows)
        self._lowest = max(LOWEST * constant.temperature_, float(np.finfo(np.float64).tiny))
        h = _log_relative_entropy(rows.logits)
        centre = float(np.average(h, weights=rows.weights))
        some = bool(np.ptp(h) > SAME * max(-centre, 1.0))
        unit = float(np.sqrt(np.average((h - centre) ** 2, weights=rows.weights))) if some else 1.0
        loss = _Loss(rows.logits, rows.codes, rows.weights, (h - centre) / unit * some, self._lowest)
        end = self._best_end(loss, constant.temperature_, fixed=not some)
        self.slope_ = float(end.w[0]) / unit
        self.intercept_ = float(end.w[1]) - self.slope_ * centre
        self.loss_, self.n_iter_, self.converged_ = end.value, end.n_iter, end.converged
        in_h = np.array([end.gradient[0] * unit + end.gradient[1] * centre, end.gradient[1]])
        self.gradient_norm_, self.certificate_ = float(np.abs(in_h).max()), "stationarity"
        if not self.converged_:
            warn(
                f"AdaptiveTemperatureScaler did not reach tol={self.tol:g} in max_iter={self.max_iter} iterations: the"
                f" gradient is still {self.gradient_norm_:.3g}.",
                ConvergenceWarning,
            )
        return self

    def _best_end(self, loss, temperature, *, fixed: bool):
        """Where the best start ends; the constant one goes first and wins ties."""
        level = temperature + np.log(-np.expm1(-temperature))  # softplus of it is the temperature
        steepness = temperature / float(sigmoid(level))  # so that d log T = 1
        starts = [np.array([share * steepness, level]) for share in (STARTS[:1] if fixed else STARTS)]
        if len(starts) > 1 and loss.logits.size > SKETCHED:
            sketch = loss.part(SKETCH_SHARE)
            ends = [_descend(sketch, start, self.tol, self.max_iter) for start in starts]
            starts = [starts[0], min(ends, key=lambda end: end.value).w]
        ends = [_descend(loss, start, self.tol, self.max_iter) for start in starts]
        best = ends[0]
        for end in ends[1:]:
            # ends at the same place differ by rounding, which must not choose between them
            if end.value < best.value - 1e-10 * abs(best.value):
                best = end
        return best

    def temperature(self, X):
        """T of each row.

        Parameters
        ----------
        X : array-like of shape (n, K), or (n,) for two classes
            As in ``fit``.

        Returns
        -------
        temperature : ndarray of shape (n,)
        """
        return placement.beside(self._temperatures(new_logits(self, X)), X)

    def _temperatures(self, logits) -> np.ndarray:
        u = self.slope_ * _log_relative_entropy(logits) + self.intercept_
        return np.maximum(np.logaddexp(0.0, u), self._lowest)

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
        return placement.beside(softmax_at(logits, self._temperatures(logits)), X)

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


def _log_relative_entropy(logits) -> np.ndarray:
    """h, (n,)."""
    floor = np.finfo(np.float64).eps
    return np.log(np.maximum(entropies(logits), floor) / np.log(logits.shape[1]))


@dataclass(frozen=True)
class _End:
    """Where a descent stopped."""

    w: np.ndarray
    value: float
    gradient: np.ndarray
    n_iter: int
    converged: bool


class _Loss:
    """The log-loss at w = (a, b) for standardised log entropies x, with its derivatives: sums over rows, computed where
    these live."""

    def __init__(self, logits, codes, weights, x, lowest):
        self.logits, self.codes, self.weights, self.x, self.lowest = logits, codes, weights / weights.sum(), x, lowest

    def part(self, share: float) -> "_Loss":
        """That of some of the rows, chosen by their place."""
        some = placement.where(self.logits, splitmix.drawn_rows(len(self.codes), share))
        return _Loss(self.logits[some], self.codes[some], self.weights[some], self.x[some], self.lowest)

    def at(self, w) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, gradient (2,), Hessian (2, 2). O(n K)."""
        with np.errstate(over="ignore"):  # scores near the end of the numbers want temperatures beyond it
            u = float(w[0]) * self.x + float(w[1])
        t, slope = np.logaddexp(0.0, u), sigmoid(u)
        bend = slope * (1.0 - slope)
        at_bound = t <= self.lowest
        t = np.where(at_bound, self.lowest, t)
        slope, bend = np.where(at_bound, 0.0, slope), np.where(at_bound, 0.0, bend)
        losses, first, second = loss_by_row(self.logits, self.codes, 1.0 / t)
        # first and second are β L' and β² L'': no power of a small T is formed alone
        rate, rate_bend = -slope / t, 2.0 * (slope / t) ** 2 - bend / t
        by_u = self.weights * first * rate
        by_uu = self.weights * (second * rate**2 + first * rate_bend)
        cross = float(by_uu @ self.x)
        hessian = np.array([[float(by_uu @ self.x**2), cross], [cross, float(by_uu.sum())]])
        return float(self.weights @ losses), np.array([float(by_u @ self.x), float(by_u.sum())]), hessian


def _descend(loss: _Loss, w, tol: float, max_iter: int) -> _End:
    """Newton steps with the curvature made positive, shortened until the loss falls."""
    value, gradient, hessian = loss.at(w)
    n_iter, converged = 0, False
    while n_iter < max_iter and not converged:
        curvature, directions = np.linalg.eigh(hessian)
        size = np.maximum(np.abs(curvature), FLATTEST * max(np.abs(curvature).max(), np.finfo(np.float64).tiny))
        step = -directions @ ((directions.T @ gradient) / size)
        promised = -float(gradient @ step)
        converged = 0.5 * promised <= tol
        t = 1.0
        for _ in range(MAX_BACKTRACKS):
            trial = loss.at(w + t * step)
            if trial[0] <= value - SUFFICIENT_DECREASE * t * promised:
                break
            if promised <= RESOLUTION * abs(value) and np.abs(trial[1]).max() < np.abs(gradient).max():
                break
            t *= 0.5
        else:
            converged = converged or promised <= RESOLUTION * abs(value)
            break
        w, (value, gradient, hessian), n_iter = w + t * step, trial, n_iter + 1
    return _End(w, value, gradient, n_iter, converged)
