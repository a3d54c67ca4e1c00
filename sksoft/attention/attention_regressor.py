"""Kernel regression: the mean target of the training rows, weighted by how near they are."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import r2_score

from sksoft._validation import Interval, check_sample_weight, fit_context, validate_data
from sksoft.attention import remembered
from sksoft.attention.bandwidth_input import ATTENTION_CONSTRAINTS
from sksoft.attention.intervals import covering_level, weighted_quantiles
from sksoft.kernels import placement


class AttentionRegressor(RegressorMixin, BaseEstimator):
    r"""Attention over the training rows: Nadaraya–Watson regression with bandwidths by exact leave-one-out.

    The answer is the mean target, weighted by a softmax of scores [1]_ [2]_,

        f(x) = Σⱼ aⱼ(x) yⱼ,    aⱼ(x) = wⱼ exp(s(x, xⱼ)) / Σₗ wₗ exp(s(x, xₗ))

    with wⱼ the sample weights and, for the kernel ``'gaussian'``, s(x, x') = −Σ_d (x_d − x'_d)² / (2 h_d²). With
    ``bandwidth='loo'`` the bandwidths h minimise the mean squared error of every row's answer by all *others*

        Σᵢ wᵢ (f₋ᵢ(xᵢ) − yᵢ)² / Σᵢ wᵢ

    by its exact gradient in log h. Rows with the same features leave together, so a row of weight two is the row twice.

    Parameters
    ----------
    kernel : str, default='gaussian'
        With u = (x − x') / h:

        - ``'gaussian'`` exp(−|u|²/2), ``'laplace'`` exp(−|u|), and ``'dot'`` exp(Σ_d x_d x'_d / h_d²), whose
          temperature is h²: these reach all rows;
        - ``'epanechnikov'``, ``'biweight'``, ``'triweight'``: [1 − |u|²]₊ to the power 1, 2, 3, zero beyond h;
        - ``'sparsemax'``, ``'entmax15'``: as the first two, with a reach of each query's own [3]_.
    bandwidth : 'loo', float in (0, inf] or array-like of shape (p,) or (n_heads, p), default='loo'
        h in units of X; inf for a feature that does not matter.
    metric : {'auto', 'scale', 'ard', 'linear'}, default='auto'
        What leave-one-out chooses: one bandwidth for all features, one for each, or a matrix L whose features x L
        are compared, the search for which is stopped by rows that are held out. ``'auto'`` is ``'ard'``, but
        ``'scale'`` for the kernel ``'dot'``.
    n_heads : int >= 1, default=1
        Heads with bandwidths of their own, whose answers are averaged with weights that are learned too. With given
        bandwidths these are equal.
    degree : {0, 1}, default=0
        Local means, or values of local lines [2]_, which have no bias at the edges of the data and where it slopes.
    top_k : int >= 1, default=None
        Answer by the nearest `top_k` different training rows only, for each head.
    tol : float in [0, 1), default=0.0
        Training rows whose weights together are proved to be at most `tol` may be left out: an answer then errs by at
        most `tol` times the range of y. :meth:`kneighbors_weights` leaves them out; :meth:`predict` does where it is
        faster, and else answers by all.
    standardize : bool, default=True
        Whether leave-one-out measures features in their standard deviations: with ``metric='scale'`` the bandwidths
        are one multiple of these, with others the search starts there. Given bandwidths are in units of X.
    empty : {'mean', 'raise', 'nan'}, default='mean'
        The answer for a row with no training row within reach: the mean of y, an error, or nan. Only compact kernels
        have such rows.
    max_iter : int >= 1, default=200
        Iterations of the search for bandwidths, in each of its stages.
    random_state : int, RandomState or None, default=None
        Draws the rows that early stages look at where there are thousands; the last one looks at all.

    Attributes
    ----------
    bandwidth_ : ndarray of shape (p,), or (n_heads, p) with several heads
        h; inf for features that are constant. For a linear metric those of each feature alone, 1 / |L_d|.
    transformation_ : ndarray of shape (n_heads, p, r), or None
        L of a linear metric.
    head_weights_ : ndarray of shape (n_heads,)
    feature_importances_ : ndarray of shape (p,)
        Share of each feature in the mean squared distance of training rows, in bandwidths.
    loo_score_ : float
        Minus the mean squared leave-one-out error, summed over outputs. Only with ``bandwidth='loo'``, as the next
        three.
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
    X_fit_, targets_, key_weights_ : ndarray of shape (m, p), (m, v), (m,)
        The different training rows of positive weight, their mean targets and their weights.
    key_of_, key_share_ : ndarray of shape (n,)
        Which of them each training row is, −1 for none, and its share in the weight.
    y_fit_ : ndarray of shape (n, v)
    interval_levels_, interval_weights_ : ndarray of shape (r, v), (r,)
        What intervals are judged by, see ``sksoft.attention.intervals``. Only with ``bandwidth='loo'``, ``degree=0``.
    prior_ : ndarray of shape (v,)
        Mean of y.
    centre_, sinks_, prior_mix_, ridge_ : ndarray of shape (p,) and (n_heads,), float, float
        What else the kernels are: see ``sksoft.attention.heads``.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (p,)
        Only where X has string column names.

    Notes
    -----
    A prediction for n rows from m training rows takes O(n m (p + v)) time and no n × m memory. `top_k` and `tol` are
    for answers that can be read: they save time only beside thousands of training rows, with a handful of features, the
    kernels ``'gaussian'`` or ``'laplace'`` and, for `tol`, bandwidths so narrow that some dozen rows have all weight;
    there a tree finds the nearest rows. Elsewhere `top_k` takes longer than all rows do. A step of leave-one-out takes
    O(m² (p + v)), with ``degree=1`` O(m² p (p + v)). X is dense: sparse matrices are refused.

    With X on a CUDA device, or ``backend='cuda'``, the search for bandwidths and predictions compute there, by the
    kernels ``'gaussian'``, ``'laplace'`` and ``'dot'`` with all training rows (`top_k`, `tol` are for the host); the
    optimiser, what is judged by quantiles and the fitted attributes are on the host, where X comes once in a fit. A
    prediction moves the training rows to the device, once a call, and answers there.

    References
    ----------
    .. [1] Nadaraya, "On estimating regression", Theory of Probability and its Applications 9, 1964, equation 1.
    .. [2] Hastie, Tibshirani, Friedman, "The elements of statistical learning", 2nd edition, 2009, equations 6.2, 6.8.
    .. [3] Martins et al., "Sparse and continuous attention mechanisms", NeurIPS 2020, section 3.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sksoft import AttentionRegressor
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = AttentionRegressor().fit(X[:300], y[:300])
    >>> round(model.score(X[300:], y[300:]), 2)
    0.46
    >>> model.predict_interval(X[300:302], coverage=0.8).round()
    array([[122., 295.],
           [ 53., 200.]])
    """

    _parameter_constraints = {
        **ATTENTION_CONSTRAINTS,
        "degree": [Interval(Integral, 0, 1, closed="both")],
    }

    def __init__(
        self,
        kernel="gaussian",
        bandwidth="loo",
        *,
        metric="auto",
        n_heads=1,
        degree=0,
        top_k=None,
        tol=0.0,
        standardize=True,
        empty="mean",
        max_iter=200,
        random_state=None,
    ):
        self.kernel = kernel
        self.bandwidth = bandwidth
        self.metric = metric
        self.n_heads = n_heads
        self.degree = degree
        self.top_k = top_k
        self.tol = tol
        self.standardize = standardize
        self.empty = empty
        self.max_iter = max_iter
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, groups=None):
        """Keep the training rows and choose bandwidths.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Finite numbers.
        y : array-like of shape (n,) or (n, v)
            One or several targets. Leave-one-out sums their squared errors, in their units.
        sample_weight : array-like of shape (n,), default=None
            Finite, non-negative, not all zero; ones by default. A weight of two is the row twice, weight zero no row.
        groups : array-like of shape (n,), default=None
            Leave-one-out leaves all rows of a group out together: patients, places, days.

        Returns
        -------
        self : AttentionRegressor

        Raises
        ------
        ValueError
            For a kernel, `top_k` or `tol` that an X on a device cannot have; X or y with NaN, infinity, or X sparse;
            X beyond 1e100, in its units or in bandwidths; bandwidths that
            are not positive or do not fit the features; more neighbours in `top_k` than different rows; and for
            leave-one-out where fewer than two rows, or groups, differ, or y has values beyond 1e100 or differs by
            less than 1e-100.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` iterations did not find a stationary point, with the gradient that is left.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, order="C", multi_output=True, y_numeric=True, device=True)
        weights = check_sample_weight(placement.fetched(sample_weight), y)
        targets = y.astype(np.float64).reshape(len(y), -1)
        remembered.remember(self, X, targets, weights, groups, loss="squared", degree=self.degree)
        self.y_fit_, self._is_single = targets, y.ndim == 1
        for name in ("interval_levels_", "interval_weights_"):
            self.__dict__.pop(name, None)
        if isinstance(self.bandwidth, str) and self.degree == 0 and self.empty != "raise":
            remembered.judge_intervals(self, placement.to_host(X), weights, placement.fetched(groups))
        return self

    def predict(self, X, return_std=False, return_bound=False):
        """The weighted mean of the targets.

        Parameters
        ----------
        X : array-like of shape (n, p)
        return_std : bool, default=False
            Also the standard deviation of the weighted targets: how y varies near x. Not with ``degree=1``.
        return_bound : bool, default=False
            Also what the answer may differ from that of all training rows, see :meth:`error_bound`.

        Returns
        -------
        y : ndarray of shape (n,) or (n, v); of the kind of X where that is on a device
        std, bound : ndarray of the same shape
            Where asked for, in this order. `std` is computed on the host.
        """
        like, X = X, remembered.checked_queries(self, X, "predict(return_std=True)" if return_std else None)
        y, bound = remembered.answers(self, X)
        results = [y]
        if return_std:
            results.append(self._deviation(X, y))
        if return_bound:
            results.append(bound)
        results = [placement.beside(self._shaped(result), like) for result in results]
        return results[0] if len(results) == 1 else tuple(results)

    def predict_quantiles(self, X, quantiles=(0.1, 0.5, 0.9)):
        """Quantiles of the targets under each row's weights [1]_.

        The quantile at q is the least target that has, with all smaller ones, at least the share q of the weight. It
        is one of the training targets. With narrow bandwidths few rows have weight, and then quantiles are of few.

        Parameters
        ----------
        X : array-like of shape (n, p)
        quantiles : array-like of shape (q,), default=(0.1, 0.5, 0.9)
            In [0, 1].

        Returns
        -------
        values : ndarray of shape (n, q), or (n, v, q) for several targets
            O(n m) time, in blocks of some MB.

        References
        ----------
        .. [1] Meinshausen, "Quantile regression forests", JMLR 7, 2006, equation 6, with attention for its weights.
        """
        X = remembered.checked_queries(self, X, "predict_quantiles")
        levels = np.atleast_1d(np.asarray(quantiles, dtype=np.float64))
        if levels.ndim != 1 or not ((levels >= 0.0) & (levels <= 1.0)).all():
            raise ValueError(f"The 'quantiles' parameter must hold numbers in [0, 1]. Got {quantiles!r} instead.")
        self._require_means("predict_quantiles")
        values = np.empty((len(X), self.y_fit_.shape[1], len(levels)))
        for rows, weights in remembered.distributions(self, X):
            values[rows] = weighted_quantiles(weights, self.y_fit_, levels)
        return values[:, 0] if self._is_single else values

    def predict_interval(self, X, coverage=0.9):
        """Central interval of the targets under each row's weights, as wide as leave-one-out says it must be [1]_.

        Its ends are the quantiles at β and 1 − β. After a fit with ``bandwidth='loo'`` β is such that the share
        `coverage` of the training rows would have been held by the intervals that the others give them; with given
        bandwidths it is (1 − `coverage`) / 2, and the interval holds what the weights promise, not what new rows do.

        Parameters
        ----------
        X : array-like of shape (n, p)
        coverage : float in (0, 1), default=0.9

        Returns
        -------
        interval : ndarray of shape (n, 2), or (n, v, 2) for several targets

        References
        ----------
        .. [1] See ``sksoft.attention.intervals``.
        """
        if not (isinstance(coverage, Real) and 0.0 < float(coverage) < 1.0):
            raise ValueError(f"The 'coverage' parameter must be a number in (0, 1). Got {coverage!r} instead.")
        X = remembered.checked_queries(self, X, "predict_interval")
        self._require_means("predict_interval")
        tails = np.full(self.y_fit_.shape[1], (1.0 - float(coverage)) / 2.0)
        if hasattr(self, "interval_levels_"):
            tails = covering_level(self.interval_levels_, self.interval_weights_, float(coverage))
        values = np.empty((len(X), len(tails), 2))
        for rows, weights in remembered.distributions(self, X):
            for k, tail in enumerate(tails):
                levels = np.array([tail, 1.0 - tail])
                values[rows, k] = weighted_quantiles(weights, self.y_fit_[:, [k]], levels)[:, 0]
        return values[:, 0] if self._is_single else values

    def score(self, X, y, sample_weight=None):
        """Coefficient of determination R², of several targets the mean of theirs.

        Parameters
        ----------
        X : array-like of shape (n, p)
        y : array-like of shape (n,) or (n, v)
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        r2 : float
        """
        y, sample_weight = placement.fetched(y), placement.fetched(sample_weight)
        return r2_score(y, placement.fetched(self.predict(X)), sample_weight=sample_weight)

    def kneighbors_weights(self, X):
        """Which training rows answer, and with what weight.

        Parameters
        ----------
        X : array-like of shape (n, p)

        Returns
        -------
        weights : CSR array of shape (n, n_fit)
            Columns are the rows given to ``fit``, in their order; rows of X sum to one, less what the mean of y is
            given by kernels that draw to it. A row without training rows within reach is empty, whatever `empty` says.
            With kernels that reach all rows, no `top_k` and no `tol` all entries are stored: 12 n n_fit bytes.
        """
        X = remembered.checked_queries(self, X, "kneighbors_weights")
        self._require_means("kneighbors_weights")
        return remembered.attention_weights(self, X)

    def error_bound(self, X):
        """Proved bound on the difference of each answer from that of all training rows [1]_.

        Parameters
        ----------
        X : array-like of shape (n, p)

        Returns
        -------
        bound : ndarray of shape (n,) or (n, v)
            Zero where no training row is left out, that is without `top_k` and `tol`.

        References
        ----------
        .. [1] See ``sksoft.attention.neighbours``, first equation.
        """
        return self.predict(X, return_bound=True)[1]

    def _deviation(self, X, y):
        """Standard deviation of the targets under each row's weights, (n, v)."""
        self._require_means("predict(return_std=True)")
        variance = np.empty_like(y)
        for rows, weights in remembered.distributions(self, X):
            centred = self.y_fit_ - self.prior_
            mean = weights @ centred
            variance[rows] = weights @ centred**2 - mean**2
        return np.sqrt(np.maximum(variance, 0.0))

    def _require_means(self, what):
        if self._degree:
            raise ValueError(
                f"{what} needs degree=0: a local line is no weighted mean. Got a fit with degree={self._degree}."
            )

    def _shaped(self, values):
        return values[:, 0] if self._is_single else values
