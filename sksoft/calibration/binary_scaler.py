"""Logistic maps of the log-odds of two classes: Platt's, beta and quadratic."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from sksoft._validation import ClassifierMixin, Interval, StrOptions, fit_context
from sksoft._warnings import warn
from sksoft.calibration.one_vs_rest import log_odds_of_second
from sksoft.calibration.score_input import new_logits, scored_rows
from sksoft.kernels import placement
from sksoft.objective.logistic import LogisticLoss, sigmoid
from sksoft.solvers.logistic import bounded_logistic

# A column that varies by less than this share of another is that other's rounding; one that varies by less than this
# at all is constant, for its inverse must be a number.
FLAT, CONSTANT = 1e-8, 1e-305


class BinaryScaler(ClassifierMixin, BaseEstimator):
    r"""Fit a logistic map with two or three parameters to the log-odds of two classes.

    With z the score of the second class less that of the first, and p = σ(z) = 1 / (1 + exp(−z))::

        'platt'      p' = σ(a z + c)                                  [1]_
        'beta'       p' = σ(a log p − b log(1 − p) + c),  a, b ≥ 0    [2]_
        'quadratic'  p' = σ(a z + b z² + c)

    The parameters minimise the log-loss, which is convex in them, to a proved gap. ``'beta'`` never turns the order of
    the scores around; with a = b it is Platt's map. ``'quadratic'`` may, where the data say so. Of calibrators for two
    classes these two win most often [3]_.

    Parameters
    ----------
    form : {'beta', 'platt', 'quadratic'}, default='beta'
    input : {'logits', 'proba'}, default='logits'
        What X is: scores (any number), or probabilities, of which the logarithm is taken. Never guessed from values.
        Platt's map is one of log-odds here, also for probabilities.
    classes : array-like of shape (2,), default=None
        Labels of the columns of X, in their order. By default the sorted labels in `y`.
    smooth_targets : bool, default=True
        Fit to (N₊ + 1) / (N₊ + 2) and 1 / (N₋ + 2) in the place of 1 and 0, where N₊ and N₋ are the sums of the weights
        of either label [1]_. The parameters are finite then, also where the scores separate the labels. False is
        maximum likelihood.
    tol : float in [0, inf), default=1e-10
        In nats: stop when the loss is proved to be within `tol` of its minimum; then one more step is taken.
    max_iter : int >= 1, default=100

    Attributes
    ----------
    coef_ : ndarray of shape (1,) or (2,)
        a, or a and b.
    intercept_ : float
        c.
    loss_ : float
        The minimum: the cross-entropy to the targets, in nats.
    gap_ : float
        Proved bound on how much lower the loss can be, in nats.
    converged_ : bool
        Whether ``gap_`` reached `tol`, at parameters that are a minimum.
    n_iter_ : int
    classes_ : ndarray of shape (2,)
    n_features_in_ : int
        2.

    Notes
    -----
    O(n) time per iteration, about eight of them; O(n) memory. Scores of two distinct values do not tell three
    parameters apart: these get the map with a = b, or b = 0 where it is quadratic. Scores that are all the same get
    a = b = 0.

    References
    ----------
    .. [1] Platt, "Probabilistic outputs for support vector machines", Advances in Large Margin Classifiers, 1999,
       section 2.2.
    .. [2] Kull, Silva Filho, Flach, "Beyond sigmoids: how to obtain well-calibrated probabilities from binary
       classifiers with beta calibration", Electronic Journal of Statistics 11, 2017.
    .. [3] The CalArena benchmark, arXiv:2605.30188, 2026: mean win rates of log-loss on 1146 binary tasks.

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft import BinaryScaler
    >>> proba = np.repeat([0.01, 0.2, 0.7, 0.99], 50)
    >>> y = np.arange(200) % 10 < np.repeat([1, 2, 5, 7], 50)  # far less certain than it says
    >>> scaler = BinaryScaler(input="proba").fit(proba, y)
    >>> scaler.predict_proba([0.01, 0.2, 0.7, 0.99])[:, 1].round(2)
    array([0.09, 0.26, 0.44, 0.7 ])
    """

    _parameter_constraints = {
        "form": [StrOptions({"beta", "platt", "quadratic"})],
        "input": [StrOptions({"logits", "proba"})],
        "classes": ["array-like", None],
        "smooth_targets": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, form="beta", *, input="logits", classes=None, smooth_targets=True, tol=1e-10, max_iter=100):
        self.form = form
        self.input = input
        self.classes = classes
        self.smooth_targets = smooth_targets
        self.tol = tol
        self.max_iter = max_iter

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Find the parameters.

        Parameters
        ----------
        X : array-like of shape (n, 2) or (n,)
            Finite scores, or probabilities, as `input` says. One-dimensional scores z mean (0, z).
            Those on a CUDA device are computed on there.
        y : array-like of shape (n,)
            Labels of any type, each one of the two classes.
        sample_weight : array-like of shape (n,), default=None
            Finite, non-negative, not all zero.

        Returns
        -------
        self : BinaryScaler

        Raises
        ------
        ValueError
            For more than two classes, bad scores, probabilities or weights, a label that is not in `classes`, or
            columns that do not match.

        Warns
        -----
        ConvergenceWarning
            If the scores separate the labels (with ``smooth_targets=False``), or `max_iter` was not enough.
        """
        rows = scored_rows(X, y, sample_weight, input=self.input, classes=self.classes, name="BinaryScaler")
        if len(rows.classes) != 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is multiclass: BinaryScaler is for two"
                f" classes. Got {len(rows.classes)} classes; see StructuredMatrixScaler or TemperatureScaler."
            )
        self.classes_, self.n_features_in_ = rows.classes, 2
        z = log_odds_of_second(rows.logits)
        basis, lower = _basis(self.form, z)
        columns = _columns(self.form, z) @ placement.where(z, basis)
        centres = np.average(columns, axis=0, weights=rows.weights)
        columns -= centres
        units = np.abs(columns).max(axis=0)
        columns /= units
        spreads = np.sqrt(np.average(columns**2, axis=0, weights=rows.weights))
        columns /= spreads
        units *= spreads
        targets = _targets(rows.codes, rows.weights, self.smooth_targets)
        loss = LogisticLoss(np.column_stack([columns, np.ones_like(z)]), targets, rows.weights)
        solution = bounded_logistic(loss, np.append(lower, -np.inf), tol=self.tol, max_iter=self.max_iter)
        units, centres = placement.to_host(units), placement.to_host(centres)
        factors = solution.w[:-1] / units
        self.coef_ = basis @ factors
        self.intercept_ = float(solution.w[-1] - centres @ factors)
        self.loss_, self.gap_ = solution.value, solution.certificate.gap
        self.n_iter_, self.converged_ = solution.n_iter, solution.converged and solution.stopped_by != "bound"
        self._warn(solution)
        return self

    def _warn(self, solution):
        if solution.stopped_by == "bound":
            message = (
                "the scores separate the labels, so the best parameters are infinite; smooth_targets=True bounds them"
            )
        elif not self.converged_:
            message = (
                f"no loss within tol={self.tol:g} of the minimum was proved in {self.n_iter_} iterations (max_iter is"
                f" {self.max_iter}); where the scores all but separate the labels, smooth_targets=True helps"
            )
        else:
            return
        warn(f"BinaryScaler stopped at coef_={self.coef_}: {message}.", ConvergenceWarning)

    def decision_function(self, X):
        """Calibrated log-odds of ``classes_[1]``.

        Parameters
        ----------
        X : array-like of shape (n, 2) or (n,)
            As in ``fit``.

        Returns
        -------
        scores : ndarray of shape (n,)
        """
        return placement.beside(self._log_odds(X), X)

    def _log_odds(self, X):
        """Calibrated log-odds, where X is computed on."""
        z = log_odds_of_second(new_logits(self, X))
        return _columns(self.form, z) @ placement.where(z, self.coef_) + self.intercept_

    def predict_proba(self, X):
        """Calibrated probabilities.

        Parameters
        ----------
        X : array-like of shape (n, 2) or (n,)
            As in ``fit``.

        Returns
        -------
        proba : ndarray of shape (n, 2)
            Columns in the order of ``classes_``; rows sum to one.
        """
        scores = self._log_odds(X)
        return placement.beside(np.column_stack([sigmoid(-scores), sigmoid(scores)]), X)

    def predict(self, X):
        """The more probable label after calibration; of equals, the first.

        Parameters
        ----------
        X : array-like of shape (n, 2) or (n,)

        Returns
        -------
        labels : ndarray of shape (n,)
        """
        codes = (self._log_odds(X) > 0.0).astype(np.intp)
        return placement.labels_beside(self.classes_, codes, X)


def _columns(form: str, z) -> np.ndarray:
    """What the parameters a and b multiply, (n, 1 or 2)."""
    if form == "platt":
        return z[:, None]
    if form == "quadratic":
        return np.column_stack([z, z * z])
    return np.column_stack([-np.logaddexp(0.0, -z), np.logaddexp(0.0, z)])


def _basis(form: str, z) -> tuple[np.ndarray, np.ndarray]:
    """Which combinations of the parameters the scores tell apart, (1 or 2, m), and the bounds of these."""
    n_coef = 1 if form == "platt" else 2
    spreads = placement.to_host(np.ptp(_columns(form, z), axis=0))
    if form == "quadratic":
        spreads[1] /= max(float(np.abs(z).max()), CONSTANT)  # in units of the scores, whatever these are
    if not spreads.max() > CONSTANT:
        basis = np.empty((n_coef, 0))
    elif n_coef == 2 and (len(np.unique(z)) == 2 or spreads.min() < FLAT * spreads.max()):
        basis = np.array([[1.0], [1.0 if form == "beta" else 0.0]])
    else:
        basis = np.eye(n_coef)
    return basis, np.full(basis.shape[1], 0.0 if form == "beta" else -np.inf)


def _targets(codes, weights, smooth: bool) -> np.ndarray:
    """What is fitted to: 1 and 0, or each moved as if one more row of either label had been seen."""
    if not smooth:
        return codes.astype(np.float64)
    positive = float(weights @ codes)
    negative = float(weights.sum()) - positive
    return np.where(codes == 1, (positive + 1.0) / (positive + 2.0), 1.0 / (negative + 2.0))
