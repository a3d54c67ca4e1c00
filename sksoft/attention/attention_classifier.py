"""Kernel classification: the share of each class among the training rows, weighted by how near they are."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score

from sksoft._validation import fit_context, validate_data
from sksoft.attention import remembered
from sksoft.attention.bandwidth_input import ATTENTION_CONSTRAINTS
from sksoft.attention.feature_gradient import answers_and_pullback
from sksoft.attention.leave_one_out import LEAST
from sksoft.attention.neighbours import ROUNDING
from sksoft.kernels import placement
from sksoft.metrics.target_input import TARGET_CONSTRAINTS, require_labels, resolve_targets
from sksoft.objective.links import Softmax


class AttentionClassifier(ClassifierMixin, BaseEstimator):
    r"""Attention over the training rows: shares of their labels, with bandwidths by exact leave-one-out.

    The probability of a class is its share in the weights, drawn to the classes' overall shares π where no training
    row is near,

        P(k | x) = (1 − ε) (Σⱼ wⱼ κ(x, xⱼ) τⱼₖ + e^b πₖ) / (Σⱼ wⱼ κ(x, xⱼ) + e^b) + ε πₖ

    with κ a kernel of u = (x − x') / h, by default exp(−|u|²/2), wⱼ the sample weight times the class weight and τⱼ
    the row's label as a distribution. With ``bandwidth='loo'`` ε = 1 / (m + 1) for m different rows, and bandwidths h
    and the weight e^b of the prior minimise the log-loss of every row's answer by all *others*,

        −Σᵢ wᵢ log P₋ᵢ(yᵢ | xᵢ) / Σᵢ wᵢ

    by its exact gradient. With a linear metric that is neighbourhood components analysis [1]_ that predicts. Rows with
    the same features leave together, so a row of weight two is the row twice.

    Parameters
    ----------
    kernel, bandwidth
        As in :class:`AttentionRegressor`. With given bandwidths the prior has no weight.
    metric : {'auto', 'scale', 'ard', 'linear'}, default='auto'
        What leave-one-out chooses: one bandwidth for all features, one for each, or a matrix L whose features x L
        are compared, the search for which is stopped by rows that are held out. ``'auto'`` is ``'linear'``, but
        ``'scale'`` for the kernel ``'dot'``.
    n_heads, top_k, tol, standardize
        As in :class:`AttentionRegressor`.
    empty : {'mean', 'raise', 'nan'}, default='mean'
        The answer for a row with no training row within reach: the classes' shares, an error, or nan. Only compact
        kernels have such rows.
    classes : array-like of shape (K,), default=None
        Of soft labels, the class of each column of y; by default a DataFrame's column names, else 0 … K − 1. Of labels,
        the classes there are.
    class_weight : dict of {label: weight}, 'balanced' or None, default=None
        Weights of the classes, multiplied into the sample weights.
    max_iter, random_state
        As in :class:`AttentionRegressor`.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        Labels seen with positive weight, sorted; of soft labels, the columns.
    bandwidth_ : ndarray of shape (p,), or (n_heads, p) with several heads
        h; inf for features that are constant. For a linear metric those of each feature alone, 1 / |L_d|.
    transformation_ : ndarray of shape (n_heads, p, r), or None
        L of a linear metric.
    head_weights_ : ndarray of shape (n_heads,)
    feature_importances_ : ndarray of shape (p,)
        Share of each feature in the mean squared distance of training rows, in bandwidths.
    loo_score_ : float
        Minus the mean leave-one-out log-loss, in nats; of a linear metric optimistic, for all rows have taught it. Only
        with ``bandwidth='loo'``, as the next three.
    start_scores_ : ndarray
        The same, reached from each start and in later stages; of a linear metric, last that on rows held out.
    gradient_norm_ : float
        Largest absolute entry of the gradient: the problem is not convex, so stationarity is all that is proved.
    effective_dof_ : float
        Trace of the matrix that takes the targets of the different training rows to their answers: 1 where every
        answer is the mean, their number where every answer is the row's own target.
    converged_ : bool
        True also where bandwidths are given.
    n_iter_ : int
        Iterations of the search; 1 where bandwidths are given.
    X_fit_, targets_, key_weights_ : ndarray of shape (m, p), (m, K), (m,)
        The different training rows of positive weight, their mean labels and their weights.
    key_of_, key_share_ : ndarray of shape (n,)
        Which of them each training row is, −1 for none, and its share in the weight.
    prior_ : ndarray of shape (K,)
        Shares of the classes.
    centre_, sinks_, prior_mix_, ridge_ : ndarray of shape (p,) and (n_heads,), float, float
        What else the kernels are: see ``sksoft.attention.heads``; b is ``sinks_``.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (p,)
        Only where X has string column names.

    Notes
    -----
    Time and memory are those of :class:`AttentionRegressor` with v = K. X is dense: sparse matrices are refused.
    What computes on a CUDA device is said there.

    References
    ----------
    .. [1] Goldberger, Roweis, Hinton, Salakhutdinov, "Neighbourhood components analysis", NIPS 2004, equations 1, 3.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sksoft import AttentionClassifier
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> model = AttentionClassifier().fit(X, y)
    >>> model.predict_proba(X.iloc[[0, 70]]).round(2)
    array([[1.  , 0.  , 0.  ],
           [0.  , 0.51, 0.48]])
    >>> model.feature_importances_.round(2)
    array([0.25, 0.07, 0.35, 0.32])
    """

    _parameter_constraints = {
        **ATTENTION_CONSTRAINTS,
        "classes": TARGET_CONSTRAINTS["classes"],
        "class_weight": TARGET_CONSTRAINTS["class_weight"],
    }

    def __init__(
        self,
        kernel="gaussian",
        bandwidth="loo",
        *,
        metric="auto",
        n_heads=1,
        top_k=None,
        tol=0.0,
        standardize=True,
        empty="mean",
        classes=None,
        class_weight=None,
        max_iter=200,
        random_state=None,
    ):
        self.kernel = kernel
        self.bandwidth = bandwidth
        self.metric = metric
        self.n_heads = n_heads
        self.top_k = top_k
        self.tol = tol
        self.standardize = standardize
        self.empty = empty
        self.classes = classes
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, groups=None):
        """Keep the training rows and choose bandwidths.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Finite numbers.
        y : array-like of shape (n,), or array-like or sparse matrix of shape (n, K >= 2)
            Labels of any type, at least two different ones; or soft labels, whose rows sum to one.
        sample_weight : array-like of shape (n,), default=None
            Finite, non-negative, not all zero; ones by default. A weight of two is the row twice, weight zero no row.
        groups : array-like of shape (n,), default=None
            Leave-one-out leaves all rows of a group out together: patients, places, days.

        Returns
        -------
        self : AttentionClassifier

        Raises
        ------
        ValueError
            As :meth:`AttentionRegressor.fit`; also for fewer than two classes and soft labels that do not sum to one.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` iterations did not find a stationary point, with the gradient that is left.
        """
        name = type(self).__name__
        X = validate_data(self, X, dtype=np.float64, order="C", device=True)
        y, sample_weight = placement.fetched(y), placement.fetched(sample_weight)
        targets = resolve_targets(
            name,
            y,
            classes=self.classes,
            class_weight=self.class_weight,
            sample_weight=sample_weight,
            link=Softmax(),
            fit_intercept=False,
        )
        if len(targets.kept) != len(X):
            raise ValueError(
                f"Found input variables with inconsistent numbers of samples: X {len(X)}, y {len(targets.kept)}."
            )
        shares, weights = np.zeros((len(X), len(targets.classes))), np.zeros(len(X))
        weights[targets.kept] = targets.weights
        labels = targets.target.weighted(np.ones(len(targets.weights)))
        shares[targets.kept] = labels.toarray() if hasattr(labels, "toarray") else labels
        remembered.remember(self, X, shares, weights, groups, loss="log")
        self.classes_ = targets.classes
        return self

    def predict_proba(self, X, return_bound=False):
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n, p)
        return_bound : bool, default=False
            Also what they may differ from those of all training rows, see :meth:`error_bound`.

        Returns
        -------
        proba : ndarray of shape (n, K)
            Columns in the order of ``classes_``. Of the kind of X where that is on a device.
        bound : ndarray of shape (n,)
            Where asked for.
        """
        proba, bound = self._probabilities(X)
        proba = placement.beside(proba, X)
        return (proba, placement.beside(bound.max(axis=1), X)) if return_bound else proba

    def _probabilities(self, X):
        """Probabilities and bounds, (n, K), where they are computed."""
        X = remembered.checked_queries(self, X)
        proba, bound = remembered.answers(self, X)
        proba = np.maximum(proba, 0.0)
        # Classes with nothing but the prior differ in the last bit, an order that logarithms do not see: they tie.
        prior = placement.where(proba, self.prior_)
        ratio = proba / np.where(prior > 0.0, prior, 1.0)
        least = np.where(prior > 0.0, ratio, np.inf).min(axis=1, keepdims=True)
        proba = np.where(ratio <= least * (1.0 + ROUNDING), least * prior, proba)
        proba /= proba.sum(axis=1, keepdims=True)
        return proba, bound

    def predict_log_proba(self, X):
        """Logarithms of the probabilities, in nats; −inf where one is zero.

        Parameters
        ----------
        X : array-like of shape (n, p)

        Returns
        -------
        log_proba : ndarray of shape (n, K)
        """
        with np.errstate(divide="ignore"):
            return placement.beside(np.log(self._probabilities(X)[0]), X)

    def predict(self, X):
        """The most probable class; the first of equals.

        Parameters
        ----------
        X : array-like of shape (n, p)

        Returns
        -------
        y : ndarray of shape (n,)

        Raises
        ------
        ValueError
            If ``empty='nan'`` leaves a row without an answer.
        """
        proba = self._probabilities(X)[0]
        if np.isnan(proba).any():
            raise ValueError("Rows of X have no training row within reach, and empty='nan': they have no class.")
        return placement.labels_beside(self.classes_, np.argmax(proba, axis=1), X)

    def scores_and_pullback(self, X):
        """Logarithms of the probabilities and their derivative by the features: what ``synthesize`` climbs.

        Parameters
        ----------
        X : array-like of shape (n, p)

        Returns
        -------
        scores : ndarray of shape (n, K)
            log P; of a probability that rounds to zero, −230, whose derivative is zero.
        pullback : callable
            Takes G of shape (n, K) to Σ_k G_k ∂ log P_k / ∂x, of shape (n, p). Both cost O(n m (p + K)).

        Raises
        ------
        ValueError
            With `top_k` or `tol`: answers jump where the nearest rows change.
        """
        X = remembered.checked_queries(self, X, "scores_and_pullback")
        if remembered.is_sparse(self):
            raise ValueError(
                "Derivatives need all training rows: top_k=None and tol=0. Got"
                f" top_k={self.top_k} and tol={self.tol:g}."
            )
        proba, pullback = answers_and_pullback(remembered.recalled(self), X)
        floored = np.maximum(proba, LEAST)
        return np.log(floored), lambda gradient: pullback(np.where(proba > LEAST, gradient / floored, 0.0))

    def score(self, X, y, sample_weight=None):
        """Accuracy on labels; of soft labels see ``sksoft.metrics.soft_log_loss``.

        Parameters
        ----------
        X : array-like of shape (n, p)
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        accuracy : float
        """
        y, sample_weight = placement.fetched(y), placement.fetched(sample_weight)
        require_labels(type(self).__name__, y)
        return accuracy_score(y, placement.fetched(self.predict(X)), sample_weight=sample_weight)

    def kneighbors_weights(self, X):
        """Which training rows answer, and with what weight.

        Parameters
        ----------
        X : array-like of shape (n, p)

        Returns
        -------
        weights : CSR array of shape (n, n_fit)
            Columns are the rows given to ``fit``, in their order; rows of X sum to one, less the prior's share. A
            row without training rows within reach is empty, whatever `empty` says. With kernels that reach all rows,
            no `top_k` and no `tol` all entries are stored: 12 n n_fit bytes.
        """
        return remembered.attention_weights(self, remembered.checked_queries(self, X, "kneighbors_weights"))

    def error_bound(self, X):
        """Proved bound on the difference of each probability from that of all training rows [1]_.

        Parameters
        ----------
        X : array-like of shape (n, p)

        Returns
        -------
        bound : ndarray of shape (n,)
            Of the class whose probability may differ most; zero without `top_k` and `tol`.

        References
        ----------
        .. [1] See ``sksoft.attention.neighbours``, first equation.
        """
        return self.predict_proba(X, return_bound=True)[1]
