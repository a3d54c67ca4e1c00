"""Multinomial logistic regression, fitted to a proved gap."""

import warnings
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

from sksoft._validation import (
    Interval,
    StrOptions,
    check_is_fitted,
    check_sample_weight,
    fit_context,
    validate_data,
)
from sksoft.kernels import rowwise
from sksoft.kernels.blocks import serial_blas
from sksoft.objective.batches import InMemory
from sksoft.objective.design import Dense, Sparse
from sksoft.objective.links import LINKS
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.objective import Objective
from sksoft.objective.penalties import Ridge
from sksoft.objective.scores import Linear
from sksoft.objective.targets import Labels
from sksoft.solvers import newton_cg

# From so many rows on, the start is the solution for a quarter of them, solved to one percent.
SKETCHED, SKETCH_SHARE, SKETCH_TOL = 10_000, 0.25, 1e-2
# Squares of features stay finite up to here, and sums of many of them.
LARGEST = 1e100


class SoftmaxRegression(ClassifierMixin, BaseEstimator):
    r"""Multinomial logistic regression whose optimum comes with a proof.

    Class k has probability exp(zₖ) / Σⱼ exp(zⱼ) with scores z = W x + b. The fit minimises, over W and b,

        F(W, b) = Σᵢ sᵢ (log Σⱼ exp(zᵢⱼ) − z_{i,yᵢ}) / Σᵢ sᵢ  +  ‖W‖² / (2 C Σᵢ sᵢ)

    with sᵢ the sample weight times the class weight: the objective of scikit-learn's ``LogisticRegression`` divided
    by C Σ s, so the two have the same optimum. With two classes there is one row of W and the scores are (0, z). The
    intercept is not penalised.

    The solver is a truncated Newton method with a Gram preconditioner. It stops on the duality gap [1]_, a proved
    bound on F − min F, and then takes one more Newton step.

    Parameters
    ----------
    C : float in (0, inf], default=1.0
        Inverse strength of the ridge; ``np.inf`` for none, and then no gap can be proved.
    fit_intercept : bool, default=True
        Whether to fit b.
    class_weight : dict of {label: weight}, 'balanced' or None, default=None
        Weights of the classes, multiplied into the sample weights. ``'balanced'`` weights each class inversely to its
        share of the sample weight.
    tol : float in [0, inf), default=1e-6
        Stop when ``gap_ <= tol * F``: *relative to the objective*, unlike scikit-learn's bound on a gradient entry.
    max_iter : int >= 0, default=100
        Newton steps.
    warm_start : bool, default=False
        Start from the coefficients of the previous fit, which must have had the same classes and features.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        Labels seen with positive weight, sorted.
    coef_ : ndarray of shape (K, p), or (1, p) for two classes, float64
    intercept_ : ndarray of shape (K,), or (1,) for two classes, float64
        Zero where none is fitted.
    objective_ : float
        F at the solution, in nats.
    gap_ : float
        Proved bound on F − min F, in nats; nan for ``C=np.inf``.
    certificate_ : {'gap', 'stationarity'}
        Whether the bound below was proved. ``'stationarity'`` means the Newton decrement was small, no more.
    bound_ : float
        `gap_`, or half the squared Newton decrement where no gap can be proved.
    gradient_norm_ : float
        Largest absolute entry of ∇F.
    converged_ : bool
        Whether the bound reached the tolerance, or the limit of float64.
    stopped_by_ : {'tolerance', 'precision', 'max_iter'}
    n_iter_ : int
        Newton steps taken.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (p,)
        Only where X has string column names.

    Notes
    -----
    Time is O(n p K) a sweep over the data, with one sweep per evaluation and per Hessian product, plus O(n p² + p³)
    for each Gram matrix up to 2 000 dense columns. Memory beside X is a centred copy of a dense X,
    one (n, K) array of float64 up to 1 GiB (above that it is recomputed) and blocks of 4 MB.

    A repeated row is the same as a weight of two, and a row of weight zero is no row: a class that has only such rows
    is not in ``classes_``.

    References
    ----------
    .. [1] Blondel, Martins, Niculae, "Learning with Fenchel–Young losses", JMLR 21(35), 2020, proposition 6.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sksoft import SoftmaxRegression
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> model = SoftmaxRegression().fit(X, y)
    >>> model.predict_proba(X.iloc[:1]).round(3)
    array([[0.982, 0.018, 0.   ]])
    >>> model.converged_, model.certificate_, bool(model.gap_ <= 1e-6 * model.objective_)
    (True, 'gap', True)
    """

    _parameter_constraints = {
        "C": [Interval(Real, 0, None, closed="right")],
        "fit_intercept": ["boolean"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "warm_start": ["boolean"],
    }

    def __init__(self, C=1.0, *, fit_intercept=True, class_weight=None, tol=1e-6, max_iter=100, warm_start=False):
        self.C = C
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Fit to labels.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
            Finite numbers; computed in float64.
        y : array-like of shape (n,)
            Labels of any type, at least two different ones.
        sample_weight : array-like of shape (n,), default=None
            Finite, non-negative, not all zero; ones by default.

        Returns
        -------
        self : SoftmaxRegression

        Raises
        ------
        ValueError
            For X with NaN, infinity or values beyond 1e100, fewer than two classes, weights that are negative, all
            zero or without a finite sum, or a warm start from other classes or features.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` steps did not reach `tol`, with the bound reached; or if, with ``C=np.inf``, the features
            separate the classes, so that there is no optimum.
        """
        previous_classes = getattr(self, "classes_", None) if self.warm_start else None
        X, codes, weights = self._validate(X, y, sample_weight)
        scores = Linear(X.shape[1], len(self.classes_), self.fit_intercept)
        design = Sparse(X) if sparse.issparse(X) else Dense.standardised(X, weights, intercept=self.fit_intercept)
        batches = InMemory(design, Labels(codes, len(self.classes_)), weights)
        strength = 0.0 if np.isinf(self.C) else 1.0 / (self.C * batches.total_weight)
        penalty = Ridge(scores.spread(strength / design.scale**2))
        objective = Objective(FenchelYoung(LINKS["softmax"]), scores, batches, penalty)
        with serial_blas():
            start = self._start(objective, previous_classes)
            solution = newton_cg(objective, start, tol=self.tol, max_iter=self.max_iter)
        self._unpack(solution, scores, design)
        self._warn(strength == 0.0 and objective.separates(solution.w))
        return self

    def _validate(self, X, y, sample_weight):
        """Checked X, codes and weights of the rows that weigh anything; sets ``classes_``."""
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=np.float64)
        check_classification_targets(y)
        largest = float(np.abs(X.data if sparse.issparse(X) else X).max(initial=0.0))
        if largest > LARGEST:
            raise ValueError(
                f"X must hold values up to {LARGEST:g}, whose squares are finite. Got {largest:g} instead."
            )
        weights = check_sample_weight(sample_weight, X).copy()
        if self.class_weight is not None:
            labels, codes = np.unique(y[weights > 0], return_inverse=True)
            per_class = compute_class_weight(
                self.class_weight, classes=labels, y=y[weights > 0], sample_weight=weights[weights > 0]
            )
            if not (np.isfinite(per_class).all() and (per_class >= 0).all()):
                raise ValueError(
                    f"The 'class_weight' parameter must give finite weights >= 0. Got {per_class.tolist()}."
                )
            weights[weights > 0] *= per_class[codes]
        if weights.max() > np.finfo(np.float64).max / len(weights):
            raise ValueError(f"The sum of the weights must be finite. Got weights up to {weights.max():g} instead.")
        kept = weights > weights.max() * np.finfo(np.float64).tiny
        if not kept.all():
            X, y, weights = X[kept], y[kept], weights[kept]
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                "SoftmaxRegression needs samples of at least 2 classes in the data, but the data contains only one"
                f" class with positive weight: {self.classes_[0]!s}"
            )
        return X, codes, weights

    def _start(self, objective, previous_classes) -> np.ndarray:
        """The previous solution for a warm start; else no coefficients, and intercepts that give the class shares."""
        scores, design = objective.scores, objective.batches.design
        if previous_classes is not None:
            if self.coef_.shape[1] != scores.n_features or not np.array_equal(previous_classes, self.classes_):
                raise ValueError(
                    f"warm_start=True needs the classes and features of the previous fit, {previous_classes}"
                    f" and {self.coef_.shape[1]}. Got {self.classes_} and {scores.n_features} instead."
                )
            return scores.pack(self.coef_ * design.scale, self.intercept_ + self.coef_ @ design.centre)
        log_share = np.log(objective.batches.class_shares())
        intercept = log_share[1:] - log_share[0] if scores.n_rows == 1 else log_share - log_share.mean()
        start = scores.pack(0.0, intercept)
        n, needed = objective.batches.n_samples, 20 * scores.n_columns * max(scores.n_rows - 1, 1)
        if objective.rough and n >= SKETCHED and n >= needed:
            start = newton_cg(objective.sample(SKETCH_SHARE), start, tol=SKETCH_TOL, max_iter=20, sketch=True).w
        return start

    def _unpack(self, solution, scores: Linear, design):
        self.coef_, self.intercept_ = scores.unpack(solution.w)
        self.coef_ /= design.scale
        if np.isinf(self.C) and scores.n_rows > 1:
            self.coef_ -= self.coef_.mean(axis=0)
        self.intercept_ -= self.coef_ @ design.centre
        if scores.n_rows > 1:  # a common shift of unpenalised scores changes nothing: report the centred ones
            self.intercept_ -= self.intercept_.mean()
        self.objective_ = solution.value
        self.gap_ = solution.certificate.gap
        self.certificate_ = solution.certificate.kind
        self.bound_ = solution.certificate.bound
        self.gradient_norm_ = solution.gradient_norm
        self.converged_ = solution.converged
        self.stopped_by_ = solution.stopped_by
        self.n_iter_ = solution.n_iter
        self.n_passes_ = solution.n_passes

    def _warn(self, separated: bool):
        message = None
        if separated:
            self.converged_ = False
            message = (
                "SoftmaxRegression: the features separate the classes perfectly, so with C=inf the coefficients grow"
                f" without end; they are where it stopped, after {self.n_iter_} iterations. Use a finite C."
            )
        elif not self.converged_:
            message = (
                f"SoftmaxRegression stopped by {self.stopped_by_} after {self.n_iter_} iterations with a"
                f" {self.certificate_} bound of {self.bound_ / self.objective_:.3g} of the objective, above"
                f" tol={self.tol:g}. Raise max_iter={self.max_iter}, scale the features, or lower C={self.C:g}."
            )
        if message:
            warnings.warn(message, ConvergenceWarning, stacklevel=3)

    def decision_function(self, X):
        """Scores z = W x + b.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)

        Returns
        -------
        scores : ndarray of shape (n, K), or (n,) for two classes: the score of ``classes_[1]``
        """
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
        scores = np.asarray(X @ self.coef_.T) + self.intercept_
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def _class_scores(self, X) -> np.ndarray:
        scores = self.decision_function(X)
        return scores if scores.ndim == 2 else np.column_stack([np.zeros(len(scores)), scores])

    def predict_proba(self, X):
        """Probability of each class.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)

        Returns
        -------
        proba : ndarray of shape (n, K)
            Columns in the order of ``classes_``; rows sum to one.
        """
        scores = self._class_scores(X)
        return rowwise.softmax_rows(scores, out=scores)

    def predict_log_proba(self, X):
        """Logarithm of the probability of each class, computed from the scores and so finite where it can be.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)

        Returns
        -------
        log_proba : ndarray of shape (n, K)
        """
        scores = self._class_scores(X)
        return rowwise.log_softmax_rows(scores, out=scores)

    def predict(self, X):
        """The most probable label; of equals, the first in ``classes_``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)

        Returns
        -------
        labels : ndarray of shape (n,), of the type of ``classes_``
        """
        scores = self.decision_function(X)
        codes = (scores > 0).astype(np.intp) if scores.ndim == 1 else scores.argmax(axis=1)
        return self.classes_[codes]
