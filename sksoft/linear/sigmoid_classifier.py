"""Independent sigmoids on shared features: multi-label logistic regression, each label fitted to a proved gap."""

from numbers import Integral, Real

import numpy as np
from scipy import sparse
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_consistent_length

from sksoft._validation import (
    Interval,
    StrOptions,
    check_is_fitted,
    check_sample_weight,
    fit_context,
    validate_data,
)
from sksoft._warnings import warn
from sksoft.kernels.blocks import row_blocks
from sksoft.linear.indicators import Indicators, read_indicators
from sksoft.linear.sigmoid_problem import SigmoidProblem, SigmoidSolution
from sksoft.linear.thresholds import METRICS, best_threshold
from sksoft.objective.feature_input import check_features
from sksoft.objective.row_weights import kept_rows

# Bytes of scores at a time where predictions are sparse.
PREDICT_BYTES = 32 << 20


class SigmoidClassifier(ClassifierMixin, BaseEstimator):
    r"""Multi-label logistic regression: one independent sigmoid a label, all on the same features.

    Label l has probability σ(z_l) = 1 / (1 + exp(−z_l)) with z = W x + b, whatever the other labels are: a row may
    have several of them, or none. The fit minimises, for each label,

        F(w, b) = Σᵢ sᵢ (log(1 + exp(zᵢ)) − tᵢ zᵢ) / Σᵢ sᵢ  +  ‖w‖² / (2 C Σᵢ sᵢ)

    with sᵢ the sample weight times the class weight: the optimum of scikit-learn's
    ``OneVsRestClassifier(LogisticRegression())``. The intercept is not penalised. For classes of which each row has
    exactly one, :class:`SoftmaxRegression` is the model.

    All labels are solved side by side, so that one product with X serves many of them, each to its own proved duality
    gap [1]_ (see ``sksoft.solvers.batched_newton`` and ``sksoft.objective.sigmoids``).

    Parameters
    ----------
    C : float > 0, default=1.0
        Inverse strength of the ridge. Finite: among many labels there is always one that the features separate, and
        without a ridge it has no optimum.
    fit_intercept : bool, default=True
        Whether to fit b.
    class_weight : dict, 'balanced', list of these or None, default=None
        Weights of having a label and of not having it, multiplied into the sample weights: ``{0: w, 1: w}`` for
        indicators, ``{label: w}`` for one-dimensional y, or a list with one entry a label. ``'balanced'`` weights both
        inversely to their share of the sample weight.
    tol : float in [0, inf), default=1e-6
        A label is solved when its ``gap_ <= tol * objective_``.
    max_iter : int >= 0, default=1000
        Iterations for each label. One costs one product with X and one with its transpose.
    threshold : float in [0, 1], array-like of shape (L,), str or callable, default=0.5
        Probability above which ``predict`` says yes, or how to choose it for each label: the largest
        ``'accuracy'``, ``'balanced_accuracy'``, ``'f1'``, ``'jaccard'``, ``'matthews_corrcoef'`` or
        ``threshold(y_true, y_pred)`` on scores of five-fold cross-validation, at the price of five more fits, whose
        coefficients are kept meanwhile. Sample weights count in the metric, class weights do not. Rows are dealt to
        folds by what they hold, so that a row repeated stands in one fold and nothing depends on the order.
        ``tune_thresholds`` does the same on data held out.
    warm_start : bool, default=False
        Start from the coefficients of the previous fit, which must have had as many labels and features.

    Attributes
    ----------
    classes_ : ndarray of shape (L,), or (2,) for one-dimensional y
        The names of y's columns if it is a DataFrame, else 0 … L − 1; or the two labels.
    coef_ : ndarray of shape (L, p), float64
        One row for one-dimensional y: the scores of ``classes_[1]``.
    intercept_ : ndarray of shape (L,), float64
        Zero where none is fitted.
    thresholds_ : ndarray of shape (L,)
        Probabilities above which a label is predicted.
    objective_ : ndarray of shape (L,)
        F of each label, in nats. For soft labels their own entropy is taken off: F is a divergence and can be zero.
    gap_ : ndarray of shape (L,)
        Proved bounds on F − min F, in nats.
    converged_ : bool
        Whether every label reached the tolerance, or the limit of float64; labels that are constant do not count.
    n_iter_ : ndarray of shape (L,), int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (p,)
        Only where X has string column names.

    Notes
    -----
    A label that no row has, or every row, has no finite optimum if an intercept is fitted. It gets no coefficients and
    the intercept log((m + ½) / (n − m + ½)), with m of n the weight of the rows that have it: Jeffreys' estimate of a
    share, near 0 or 1 and never equal. A warning names such labels; their gap is their objective.

    An iteration is O(entries of X) for each label still to be solved, plus O(n p² + p³) once for a Gram matrix of up
    to about 2 000 dense columns, and for a few labels that this serves badly. Memory beside X is a centred copy of a
    dense X, a transposed one of a sparse X, the result, and about 11 arrays (n + p, 16 … 64) for each thread: nothing
    is ever (n, L) but y, if that is dense, and what is predicted.

    A repeated row is the same as a weight of two, and a row of weight zero is no row.

    References
    ----------
    .. [1] Blondel, Martins, Niculae, "Learning with Fenchel–Young losses", JMLR 21(35), 2020, proposition 6.

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sksoft import SigmoidClassifier
    >>> X, Y = make_multilabel_classification(n_samples=200, n_classes=4, random_state=0)
    >>> model = SigmoidClassifier().fit(X, Y)
    >>> model.predict_proba(X[:2]).round(2)
    array([[1.  , 0.  , 0.36, 0.  ],
           [0.4 , 0.73, 0.05, 0.01]])
    >>> model.predict(X[:2])
    array([[1, 0, 0, 0],
           [0, 1, 0, 0]])
    >>> bool((model.gap_ <= 1e-6 * model.objective_).all())
    True
    """

    _parameter_constraints = {
        "C": [Interval(Real, 0, None, closed="neither")],
        "fit_intercept": ["boolean"],
        "class_weight": [dict, list, tuple, StrOptions({"balanced"}), None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "threshold": [Interval(Real, 0, 1, closed="both"), StrOptions(set(METRICS)), callable, "array-like"],
        "warm_start": ["boolean"],
    }

    def __init__(
        self,
        C=1.0,
        *,
        fit_intercept=True,
        class_weight=None,
        tol=1e-6,
        max_iter=1000,
        threshold=0.5,
        warm_start=False,
    ):
        self.C = C
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.threshold = threshold
        self.warm_start = warm_start

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        tags.classifier_tags.multi_class = False
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Fit to indicators, soft labels, or two labels.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
            Finite numbers; computed in float64.
        y : array-like or sparse matrix of shape (n, L), or array-like of shape (n,)
            0 and 1; or soft labels, numbers between them, whose rows need not sum to one; or, of shape (n,), labels of
            any type, two different ones.
        sample_weight : array-like of shape (n,), default=None
            Finite, non-negative, not all zero; ones by default.

        Returns
        -------
        self : SigmoidClassifier

        Raises
        ------
        ValueError
            For X with NaN, infinity or values beyond 1e100, y outside [0, 1], one-dimensional y of more or less than
            two labels, weights that are negative, all zero or without a finite sum, soft labels where thresholds are
            to be chosen, or a warm start from other labels or features.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` iterations did not reach `tol`, with the number of labels and the largest gap.
        UserWarning
            If a label is constant and so has no finite optimum.
        """
        previous = self._previous() if self.warm_start else None
        X = check_features(self, X)
        indicators = read_indicators("SigmoidClassifier", y)
        check_consistent_length(X, indicators.targets)
        X, targets, weights = _weighing(X, indicators.targets, check_sample_weight(sample_weight, X))
        if indicators.one_dimensional and not 0.0 < targets.sum() < len(weights):
            raise ValueError(
                "SigmoidClassifier needs samples of at least 2 classes in the data, but the data contains only one"
                f" class with positive weight: {indicators.classes[int(targets.sum() > 0.0)]!s}"
            )
        n_labels = targets.shape[1]
        if previous is not None and previous[0].shape != (n_labels, X.shape[1]):
            raise ValueError(
                f"warm_start=True needs the labels and features of the previous fit, {previous[0].shape}."
                f" Got {(n_labels, X.shape[1])} instead."
            )
        self._check_thresholds(n_labels, targets)
        problem = SigmoidProblem(indicators, self.C, self.fit_intercept, self.class_weight, self.tol, self.max_iter)
        solution = problem.solve(X, targets, weights, previous)
        self._unpack(solution, indicators)
        self._warn(solution)
        self.thresholds_ = self._chosen_thresholds(problem, X, targets, sample_weight is not None, weights)
        return self

    def _previous(self):
        return (self.coef_, self.intercept_) if hasattr(self, "coef_") else None

    def _check_thresholds(self, n_labels: int, targets) -> None:
        if isinstance(self.threshold, str) or callable(self.threshold):
            if not _are_labels(targets):
                raise ValueError(
                    "The 'threshold' parameter must be a number or an array for soft labels, on which no metric of"
                    f" decisions is defined. Got {self.threshold!r} instead."
                )
            return
        given = np.asarray(self.threshold, dtype=np.float64)
        if given.shape not in {(), (n_labels,)} or not ((given >= 0.0) & (given <= 1.0)).all():
            raise ValueError(
                f"The 'threshold' parameter must be in [0, 1], or an array of {n_labels} such numbers."
                f" Got {self.threshold!r} instead."
            )

    def _chosen_thresholds(self, problem: SigmoidProblem, X, targets, weighted: bool, weights) -> np.ndarray:
        """As given, or the best on out-of-fold scores."""
        if not isinstance(self.threshold, str) and not callable(self.threshold):
            return np.broadcast_to(np.asarray(self.threshold, dtype=np.float64), targets.shape[1]).copy()
        thresholds = np.empty(targets.shape[1])
        own = weights if weighted else None
        for labels, scores in problem.out_of_fold_scores(X, targets, weights, (self.coef_, self.intercept_)):
            thresholds[labels] = _best_thresholds(scores, targets[:, labels], own, self.threshold)
        return thresholds

    def _unpack(self, solution: SigmoidSolution, indicators: Indicators):
        self.classes_ = indicators.classes
        self.coef_, self.intercept_ = solution.coef, solution.intercept
        self.objective_, self.gap_, self.n_iter_ = solution.objective, solution.gap, solution.n_iter
        self.converged_ = bool(solution.converged.all())
        self._one_dimensional = indicators.one_dimensional
        self._sparse_output = indicators.sparse_output

    def _warn(self, solution: SigmoidSolution):
        if solution.constant.any():
            labels = self.classes_[solution.constant]
            named = ", ".join(map(str, labels[:10])) + (", …" if len(labels) > 10 else "")
            warn(
                f"SigmoidClassifier: {len(labels)} of {len(solution.constant)} labels are the same in all rows of y"
                f" ({named}): they get no coefficients, and intercepts of shares near 0 or 1.",
                UserWarning,
            )
        if not self.converged_:
            missed = ~solution.converged
            worst = np.max(self.gap_[missed] / self.objective_[missed])
            warn(
                f"SigmoidClassifier: {missed.sum()} of {len(missed)} labels stopped after up to"
                f" {self.n_iter_[missed].max()} iterations with a gap of up to {worst:.3g} of the objective, above"
                f" tol={self.tol:g}. Raise max_iter={self.max_iter}, scale the features, or lower C={self.C:g}.",
                ConvergenceWarning,
            )

    @fit_context(prefer_skip_nested_validation=True)
    def tune_thresholds(self, X, y, metric="f1", sample_weight=None):
        """Choose the threshold of each label on data that were not fitted to; coefficients stay as they are.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        y : as in ``fit``, but 0 and 1 only
        metric : {'accuracy', 'balanced_accuracy', 'f1', 'jaccard', 'matthews_corrcoef'} or callable, default='f1'
            What to maximise; a function of ``(y_true, y_pred)`` is also given ``sample_weight=`` where there are
            weights, and is called up to 100 times a label.
        sample_weight : array-like of shape (n,), default=None
            Finite, non-negative, not all zero; ones by default.

        Returns
        -------
        self : SigmoidClassifier
            With new ``thresholds_``; ½ for a label that no row has, or every row.

        Raises
        ------
        ValueError
            If `metric` is not one of these, or y has other labels than the fit.
        """
        if not callable(metric) and metric not in METRICS:
            raise ValueError(f"The 'metric' parameter must be one of {sorted(METRICS)} or callable. Got {metric!r}.")
        scores = self.decision_function(X)
        scores = scores[:, None] if scores.ndim == 1 else scores
        indicators = read_indicators("SigmoidClassifier", y)
        # columns without names are known by their places
        unnamed = not self._one_dimensional and np.array_equal(indicators.classes, np.arange(len(self.classes_)))
        known = unnamed or np.array_equal(indicators.classes, self.classes_)
        if indicators.one_dimensional != self._one_dimensional or not known:
            raise ValueError(f"y must have the labels of the fit, {self.classes_}. Got {indicators.classes} instead.")
        check_consistent_length(scores, indicators.targets)
        weights = check_sample_weight(sample_weight, scores)
        scores, targets, weights = _weighing(scores, indicators.targets, weights)
        if not _are_labels(targets):
            raise ValueError("y must hold 0 and 1 to choose thresholds. Got soft labels instead.")
        self.thresholds_ = _best_thresholds(scores, targets, None if sample_weight is None else weights, metric)
        return self

    def decision_function(self, X):
        """Scores z = W x + b.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)

        Returns
        -------
        scores : ndarray of shape (n, L), or (n,) where y had that shape
        """
        scores = self._scores(self._checked(X))
        return scores[:, 0] if self._one_dimensional else scores

    def _checked(self, X):
        check_is_fitted(self)
        return validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False)

    def _scores(self, X) -> np.ndarray:
        return np.asarray(X @ self.coef_.T) + self.intercept_

    def predict_proba(self, X):
        """Probability of each label.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)

        Returns
        -------
        proba : ndarray of shape (n, L), or (n, 2) for one-dimensional y
            Independent probabilities, whose rows do not sum to one; for one-dimensional y those of both classes.
        """
        scores = self._scores(self._checked(X))
        if self._one_dimensional:
            return np.hstack([expit(-scores), expit(scores)])
        return expit(scores, out=scores)

    def predict(self, X):
        """The labels whose probability exceeds their threshold.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)

        Returns
        -------
        labels : ndarray of shape (n, L) of 0 and 1, or CSR array where y was sparse; or ndarray (n,) of ``classes_``
        """
        X = self._checked(X)
        cuts = logit(self.thresholds_)
        if self._one_dimensional:
            return self.classes_[(self._scores(X)[:, 0] > cuts[0]).astype(np.intp)]
        if not self._sparse_output:
            return (self._scores(X) > cuts).astype(np.int64)
        blocks = row_blocks(X.shape[0], 8 * len(cuts), PREDICT_BYTES)
        parts = [sparse.csr_array(self._scores(X[rows]) > cuts) for rows in blocks]
        return sparse.vstack(parts, format="csr").astype(np.int64)


def _weighing(X, targets, weights: np.ndarray):
    """The rows that weigh anything."""
    kept = kept_rows(weights)
    if kept.all():
        return X, targets, weights
    rows = np.flatnonzero(kept)
    return X[rows], targets[rows], weights[rows]


def _are_labels(targets) -> bool:
    """Whether all targets are 0 or 1."""
    return sparse.issparse(targets) and bool((targets.data == 1.0).all())


def _best_thresholds(scores: np.ndarray, targets, weights, metric) -> np.ndarray:
    """The best threshold of each label, (L,)."""
    labels = range(targets.shape[1])
    return np.array([best_threshold(scores[:, k], targets[:, [k]].toarray()[:, 0], weights, metric) for k in labels])
