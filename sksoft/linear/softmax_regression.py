"""Multinomial logistic regression, fitted to a proved gap."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.metaestimators import available_if

from sksoft._validation import ClassifierMixin, Interval, StrOptions, check_is_fitted, fit_context, validate_data
from sksoft._warnings import warn
from sksoft.kernels import placement, rowwise
from sksoft.kernels.blocks import serial_blas
from sksoft.linear import online
from sksoft.linear.annealing import TEMPERATURE_CONSTRAINTS, fixed_temperature
from sksoft.linear.batch_targets import weight_before_class_weights
from sksoft.linear.fit_progress import CallbackSupportMixin, FitProgress
from sksoft.linear.inference import SoftmaxInference
from sksoft.linear.inference_diagnoses import Diagnosis, of_fit, term_names
from sksoft.linear.path import RegularizationPath, path
from sksoft.linear.problem import Problem, laid_out, link_named
from sksoft.linear.sparsity import checked_signs, is_grouped, is_smooth, needs_proximal
from sksoft.linear.warm_start import carry_over
from sksoft.metrics.target_input import TARGET_CONSTRAINTS, require_labels, resolve_targets
from sksoft.objective.feature_input import LARGEST
from sksoft.objective.links import Softmax
from sksoft.objective.saturation import saturation

# Rows with a shorter gradient p − t have stopped to teach.
SATURATED = 1e-3


# What a fit knows of its solution, and batches do not.
PROVED = [
    *("objective_", "gap_", "certificate_", "bound_", "gradient_norm_"),
    *("converged_", "stopped_by_", "n_iter_", "n_passes_", "saturation_"),
]


class SoftmaxRegression(CallbackSupportMixin, ClassifierMixin, BaseEstimator):
    r"""Multinomial logistic regression whose optimum comes with a proof.

    Class k has probability exp(zₖ) / Σⱼ exp(zⱼ) with scores z = W x + b. The fit minimises, over W and b,

        F(W, b) = Σᵢ sᵢ (log Σⱼ exp(zᵢⱼ) − z_{i,yᵢ}) / Σᵢ sᵢ  +  ‖W‖² / (2 C Σᵢ sᵢ)

    with sᵢ the sample weight times the class weight: the objective of scikit-learn's ``LogisticRegression`` divided
    by C Σ s, so the two have the same optimum. With two classes there is one row of W and the scores are (0, z). The
    intercept is not penalised. Soft labels tᵢ, smoothed labels and other links replace the cross-entropy by the
    Fenchel–Young loss Ω*(z) + Ω(t) − ⟨t, z⟩ of the link [1]_, which for softmax is the Kullback–Leibler divergence.

    With `l1_ratio` ρ > 0 the penalty is the elastic net, whose optimum has coefficients that are exactly zero,

        Σⱼₖ [ρ |Wₖⱼ| + (1 − ρ) Wₖⱼ² / 2] / (C Σᵢ sᵢ)

    or, with ``l1_group='classes'``, has Σⱼ ρ ‖W·ⱼ‖₂ in the place of Σ ρ |W|: a feature is then zero for all classes or
    for none [3]_.

    The solver is a truncated Newton method in float32 whose preconditioner is upgraded as it pays, with a float64
    finish. It stops on the duality gap [1]_, a proved bound on F − min F, and then takes one more Newton step. With
    kinks or bounds it is a proximal Newton method on working sets [4]_ [5]_ in float64, which ends in the same way.

    Parameters
    ----------
    C : float in (0, inf], default=1.0
        Inverse strength of the penalty; ``np.inf`` for none, and then no gap can be proved.
    l1_ratio : float in [0, 1], default=0.0
        Share ρ of the penalty that is not the ridge.
    l1_group : {'classes'} or None, default=None
        Whether this share is the norm of a feature's coefficients over all classes. With two classes it is the same.
    coef_sign : array-like of -1, 0 and 1 of shape (p,) or that of ``coef_``, default=None
        Signs that coefficients must have if they are not zero; 0 for any.
    feature_penalty : array-like of shape (p,), default=None
        Factors >= 0 of the penalty on each feature's coefficients; 0 leaves a feature free, and then no gap can be
        proved, unless a ridge leaves one of one sign free in the place of an intercept. Ones by default.
    class_penalty : array-like of shape (K,), default=None
        The same for the coefficients of each class, in the order of ``classes_``; with two classes, whose one row is
        that of ``classes_[1]``, the second. Not with groups.
    fit_intercept : bool, default=True
        Whether to fit b.
    classes : array-like of shape (K,), default=None
        Of soft labels, the class of each column of y; by default a DataFrame's column names, else 0 … K − 1. Of labels,
        the classes there are.
    label_smoothing : float in [0, 1), default=0.0
        ε of the targets (1 − ε) t + ε / K.
    class_weight : dict of {label: weight}, 'balanced' or None, default=None
        Weights of the classes, multiplied into the sample weights. ``'balanced'`` weights each class inversely to its
        share of the sample weight. With soft labels see ``sksoft.metrics.target_input``.
    link : {'softmax', 'sparsemax', 'entmax15'} or float in [1, 2], default='softmax'
        How scores become probabilities; a float is the α of α-entmax. All but softmax give exact zeros.
    temperature : float in (0, inf), (start, end, steps) or callable, default=1.0
        Probabilities are those of z / temperature. In a convex fit it is nothing but another ridge: temperature τ with
        C has the probabilities of temperature 1 with C / τ². So a schedule is for ``partial_fit`` alone, where it acts:
        start · (end / start)^(t / steps) in call t = 0, 1 …, end from t = steps on, or what the callable gives for t.
    prior_logits : array-like of shape (K,), default=None
        Known scores added to every row while fitting and left out when predicting: with the logarithms of the
        classes' shares, the logit adjustment of [2]_, equation 10, for classes that matter alike however rare.
    solver : {'auto', 'newton-cg', 'lbfgs', 'proximal-newton'}, default='auto'
        ``'auto'`` is ``'proximal-newton'`` with `l1_ratio` > 0 or `coef_sign`, which the others cannot have, else
        ``'newton-cg'``; ``'lbfgs'`` is SciPy's, for comparison.
    tol : float in [0, inf), default=1e-6
        Stop when ``gap_ <= tol * F``: *relative to the objective*, unlike scikit-learn's bound on a gradient entry.
    max_iter : int >= 0, default=100
        Steps of the solver.
    warm_start : bool, default=False
        Start from the coefficients of the previous fit. Its classes may have been others, and its features too where
        both have names: what is new starts as ``sksoft.linear.warm_start`` says.
    working_memory : float > 0, default=None
        MiB that float32 copies of X, the distributions of all rows and a preconditioner may take, each: what does not
        fit is computed again block by block, and a preconditioner is one that fits. A limit below what the copies need
        makes a fit several times slower; a fit then takes about 0.3 times the memory of X and 8 vectors of parameters
        beside X. No limit by default, but for 1 GiB of distributions. Not for ``'proximal-newton'``.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        Labels seen with positive weight, sorted.
    coef_ : ndarray or CSR matrix of shape (K, p), or (1, p) for two classes, float64
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
        Largest absolute entry of ∇F; with kinks or bounds, of the least subgradient.
    converged_ : bool
        Whether the bound reached the tolerance, or the limit of float64.
    stopped_by_ : {'tolerance', 'precision', 'max_iter', 'callback'}
    n_iter_ : int
        Steps taken.
    n_passes_ : float
        Sweeps over the data: evaluations, and Hessian products by their share of the rows.
    saturation_ : float in [0, 1]
        Share of the weight in rows with ‖p − t‖₂ < 0.001: they hardly move the fit any more.
    seen_weight_ : ndarray of shape (K,)
        Weight of each class in the targets of all rows seen, by ``fit`` or by all calls of ``partial_fit``; with
        ``class_weight='balanced'`` before the class weights.
    temperature_ : float
        Temperature of the probabilities: `temperature`, or what its schedule gave in the last call of ``partial_fit``.
    online_state_ : dict of arrays, numbers and a string
        After ``partial_fit``, all that it goes on from. Of the attributes above it leaves the first three and the last
        two, as nothing is proved of the rest.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (p,)
        Only where X has string column names.

    Notes
    -----
    Time is O(n p K) a sweep over the data, with one sweep per evaluation and per Hessian product, plus the
    preconditioners: O(p³) up to 2 000 dense columns, O(p³ K³) up to 2 500 parameters. Memory beside a dense X is a
    float64 copy of it up to 64 MiB, a float32 copy, two more of these up to 256 columns, one (n, K) array of float32 up
    to 1 GiB (above that it is recomputed), the preconditioner and blocks of 8 MiB; beside a sparse X a float32 copy of
    its numbers and one of its transpose.
    ``'proximal-newton'`` takes two O(n p K) sweeps a step, and for each step on a working set of m coefficients some
    sweeps of O(m n), or O of their columns' entries, and a factor of O(m²/K) numbers; its memory is X column by column
    in float64 and six arrays of (n, K).

    Fewer dense rows than columns, up to 100 for each row of ``coef_``, are fitted in the span of the rows where the
    ridge is alike for all features: O(n² p) once and O(n² K) a sweep, another X in memory, the same optimum and proof.

    With ``l1_ratio=1`` and an even number of classes the optimum need not be unique: to shift all coefficients of a
    feature costs nothing while zero stays between the two middle ones.

    A repeated row is the same as a weight of two, and a row of weight zero is no row: a class that has only such rows
    is not in ``classes_``.

    References
    ----------
    .. [1] Blondel, Martins, Niculae, "Learning with Fenchel–Young losses", JMLR 21(35), 2020, proposition 6.
    .. [2] Menon et al., "Long-tail learning via logit adjustment", ICLR 2021.
    .. [3] Simon, Friedman, Hastie, "A blockwise descent algorithm for group-penalized multiresponse and multinomial
       regression", arXiv:1311.6529, 2013, equation 2.
    .. [4] Yuan, Ho, Lin, "An improved GLMNET for L1-regularized logistic regression", JMLR 13, 2012, algorithm 1.
    .. [5] Massias, Gramfort, Salmon, "Celer: a fast solver for the lasso with dual extrapolation", ICML 2018.

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

    Two of four features are enough, the same for all classes:

    >>> chosen = SoftmaxRegression(C=0.3, l1_ratio=1.0, l1_group="classes").fit(X, y)
    >>> (chosen.coef_ != 0).all(axis=0)
    array([False, False,  True,  True])
    """

    coef_: Any  # an array, or a CSR matrix after sparsify()

    _parameter_constraints = {
        "C": [Interval(Real, 0, None, closed="right")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "l1_group": [StrOptions({"classes"}), None],
        "coef_sign": ["array-like", None],
        "feature_penalty": ["array-like", None],
        "class_penalty": ["array-like", None],
        "fit_intercept": ["boolean"],
        **TARGET_CONSTRAINTS,
        "link": [StrOptions({"softmax", "sparsemax", "entmax15"}), Interval(Real, 1, 2, closed="both")],
        "temperature": TEMPERATURE_CONSTRAINTS,
        "prior_logits": ["array-like", None],
        "solver": [StrOptions({"auto", "newton-cg", "lbfgs", "proximal-newton"})],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "working_memory": [Interval(Real, 0, None, closed="neither"), None],
    }

    def __init__(
        self,
        C=1.0,
        *,
        l1_ratio=0.0,
        l1_group=None,
        coef_sign=None,
        feature_penalty=None,
        class_penalty=None,
        fit_intercept=True,
        classes=None,
        label_smoothing=0.0,
        class_weight=None,
        link="softmax",
        temperature=1.0,
        prior_logits=None,
        solver="auto",
        tol=1e-6,
        max_iter=100,
        warm_start=False,
        working_memory=None,
    ):
        self.C = C
        self.l1_ratio = l1_ratio
        self.l1_group = l1_group
        self.coef_sign = coef_sign
        self.feature_penalty = feature_penalty
        self.class_penalty = class_penalty
        self.fit_intercept = fit_intercept
        self.classes = classes
        self.label_smoothing = label_smoothing
        self.class_weight = class_weight
        self.link = link
        self.temperature = temperature
        self.prior_logits = prior_logits
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.working_memory = working_memory

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, offset=None):
        """Fit to labels or soft labels.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
            Finite numbers; what is reported is computed in float64.
        y : array-like of shape (n,), or array-like or sparse matrix of shape (n, K >= 2)
            Labels of any type, at least two different ones; or soft labels, whose rows sum to one.
        sample_weight : array-like of shape (n,), default=None
            Finite, non-negative, not all zero; ones by default.
        offset : array-like of shape (n, K), default=None
            Known scores, added to those of the model.

        Returns
        -------
        self : SoftmaxRegression

        Raises
        ------
        ValueError
            For X with NaN, infinity or values beyond 1e100, fewer than two classes, soft labels that do not sum to
            one, weights that are negative, all zero or without a finite sum, penalty factors or offsets of a wrong
            shape, or a warm start from another number of features without names; for `l1_ratio` or `coef_sign` with a
            `solver` that cannot have them, and for `class_penalty` with `l1_group`.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` steps did not reach `tol`, with the bound reached; or if, with ``C=np.inf`` and softmax, some
            features separate some classes from others, so that there is no optimum: with the names of both up to 1 000
            coefficients, and above that for complete separation only, without.
        """
        previous = dict(vars(self)) if self.warm_start and hasattr(self, "coef_") else None
        problem = self._problem(X, y, sample_weight, offset)
        progress = FitProgress(self, problem, X, y, sample_weight)
        with serial_blas():
            start = None if previous is None else self._carried_over(problem, previous)
            self._solve(problem, start, progress.hook)
        self.__dict__.pop("online_state_", None)
        progress.close()
        return self

    def _solve(self, problem: Problem, start: np.ndarray | None, callback=None, ladder=None) -> None:
        """Fit a problem from a start and with a ladder of preconditioners, or from the usual ones."""
        solver = "newton-cg" if self.solver == "auto" else self.solver
        solution = problem.solve(
            start, solver=solver, tol=self.tol, max_iter=self.max_iter, callback=callback, ladder=ladder
        )
        self._unpack(solution, problem)
        self.saturation_ = saturation(problem.objective, solution.w, SATURATED)
        names = term_names(getattr(self, "feature_names_in_", None), self.n_features_in_)
        bounded = problem.signs is not None  # separation is looked for among coefficients of any sign
        certificate = solution.certificate
        self._warn(None if bounded else of_fit(problem, solution.w, certificate.bound, names, self.classes_))

    @available_if(is_smooth)
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Learn one batch, to be seen once: after all calls, near the optimum of all rows of all calls.

        After ``fit`` it goes on from there. What is tracked, and how, says ``sksoft.linear.online``. Within a call the
        order of the rows means nothing and a weight of two is the row twice; a model that went through pickle goes on
        with the same bits.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        y : array-like of shape (n,), or array-like or sparse matrix of shape (n, K >= 2)
            As in ``fit``. Labels may bring classes that no earlier batch had.
        classes : array-like of shape (K,), default=None
            Classes that may come, beside those of y; needed where the first batch has one class only.
        sample_weight : array-like of shape (n,), default=None
            Finite, non-negative, not all zero; ones by default.

        Returns
        -------
        self : SoftmaxRegression

        Raises
        ------
        ValueError
            As in ``fit``; also for a first batch of one class without `classes`, and for `prior_logits`.
        AttributeError
            With `l1_ratio` > 0 or `coef_sign`, which only ``fit`` can have.
        """
        online.partial_fit(self, X, y, classes, sample_weight, factors=self._penalty_factors)
        for name in PROVED:
            self.__dict__.pop(name, None)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit_path(self, X, y, Cs, sample_weight=None, offset=None) -> RegularizationPath:
        """Fit for several C, each from the solution of the C before; the model itself stays as it was.

        Parameters
        ----------
        X, y
            As in ``fit``.
        Cs : array-like of shape (m,)
            Numbers in (0, inf], in any order.
        sample_weight, offset
            As in ``fit``.

        Returns
        -------
        path : RegularizationPath
            ``Cs, coefs, intercepts, objectives, gaps, n_iter, n_passes, converged``, one entry for each C.
        """
        return path(self, X, y, Cs, sample_weight=sample_weight, offset=offset)

    def sparsify(self):
        """Store ``coef_`` as a CSR matrix, which predicts the same: less memory where more than half is zero.

        Returns
        -------
        self : SoftmaxRegression
        """
        check_is_fitted(self)
        self.coef_ = sparse.csr_matrix(self.coef_)
        return self

    def densify(self):
        """Store ``coef_`` as an array, as after ``fit``.

        Returns
        -------
        self : SoftmaxRegression
        """
        check_is_fitted(self)
        self.coef_ = self.coef_.toarray() if sparse.issparse(self.coef_) else self.coef_
        return self

    def inference(
        self,
        X,
        y,
        sample_weight=None,
        offset=None,
        *,
        groups=None,
        reference=None,
        contrast="reference",
        penalised="refuse",
    ) -> SoftmaxInference:
        """Likelihood, standard errors and tests, of a fit with ``C=np.inf``.

        Parameters
        ----------
        X, y, sample_weight, offset
            What the model was fitted to: it keeps no data. Weights are frequencies.
        groups : array-like of shape (n,), default=None
            Cluster of each row.
        reference : label, default=None
            Class that the others are contrasted with, the first by default.
        contrast : {'reference', 'mean'}, default='reference'
            ``'mean'`` contrasts all classes with their mean.
        penalised : {'refuse', 'laplace'}, default='refuse'
            With a finite C, an error or the posterior of the ridge as a prior.

        Returns
        -------
        inference : SoftmaxInference
            Its documentation has the formulae.

        Raises
        ------
        ValueError
            Where there are no maximum-likelihood estimates: with the columns that are collinear, or the features and
            classes that are separated.
        """
        options = {"groups": groups, "reference": reference, "contrast": contrast, "penalised": penalised}
        return SoftmaxInference(self, X, y, sample_weight, offset, **options)

    def summary(
        self, X, y, sample_weight=None, offset=None, *, kind="classical", level=0.95, correction=None, **options
    ):
        """Coefficients with standard errors, z, p, intervals and odds ratios, as ``SoftmaxInference.summary``.

        Parameters
        ----------
        X, y, sample_weight, offset
            What the model was fitted to.
        kind : {'classical', 'robust', 'cluster'}, default='classical'
        level : float in (0, 1), default=0.95
        correction : {None, 'units', 'parameters'}, default=None
        **options
            `groups`, `reference`, `contrast` and `penalised` of :meth:`inference`.

        Returns
        -------
        summary : DataFrame by (class, feature)
        """
        inference = self.inference(X, y, sample_weight, offset, **options)
        return inference.summary(kind, level=level, correction=correction)

    def covariance(self, X, y, sample_weight=None, offset=None, *, kind="classical", correction=None, **options):
        """Covariance of the coefficients, as ``SoftmaxInference.covariance``.

        Parameters
        ----------
        X, y, sample_weight, offset
            What the model was fitted to.
        kind : {'classical', 'robust', 'cluster'}, default='classical'
        correction : {None, 'units', 'parameters'}, default=None
        **options
            `groups`, `reference`, `contrast` and `penalised` of :meth:`inference`.

        Returns
        -------
        covariance : DataFrame by (class, feature) both ways
        """
        inference = self.inference(X, y, sample_weight, offset, **options)
        return inference.covariance(kind, correction=correction)

    def _problem(self, X, y, sample_weight, offset) -> Problem:
        """The problem of rows that weigh anything; sets ``classes_``."""
        # descent along coordinates, which kinks need, works on the host
        device = not needs_proximal(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=(np.float64, np.float32), order="C", device=device)
        y, sample_weight, offset = (placement.fetched(array) for array in (y, sample_weight, offset))
        values = X.data if sparse.issparse(X) else X
        largest = max(float(values.max()), -float(values.min())) if values.size else 0.0
        if largest > LARGEST:
            raise ValueError(
                f"X must hold values up to {LARGEST:g}, whose squares are finite. Got {largest:g} instead."
            )
        link = link_named(self.link)
        targets = resolve_targets(
            "SoftmaxRegression",
            y,
            classes=self.classes,
            label_smoothing=self.label_smoothing,
            class_weight=self.class_weight,
            sample_weight=sample_weight,
            link=link,
            fit_intercept=self.fit_intercept,
        )
        check_consistent_length(X, y)
        self.classes_, K, self.temperature_ = targets.classes, len(targets.classes), fixed_temperature(self.temperature)
        self.seen_weight_ = self._seen_weight(targets, y, sample_weight)
        offset = _checked_offset(offset, (X.shape[0], K))
        if self.prior_logits is not None:
            prior = _factors("prior_logits", self.prior_logits, K, least=-np.inf)
            offset = np.broadcast_to(prior, (X.shape[0], K)) if offset is None else offset + prior
        if not targets.kept.all():
            X = X[placement.where(X, targets.kept)]
            offset = None if offset is None else offset[targets.kept]
        return Problem(
            X=laid_out(X, self.working_memory),
            target=targets.target,
            weights=targets.weights,
            link=link,
            fit_intercept=self.fit_intercept,
            strength=0.0 if np.isinf(self.C) else 1.0 / (self.C * float(targets.weights.sum())),
            factors=self._penalty_factors(X.shape[1], K),
            temperature=self.temperature_,
            l1_ratio=self.l1_ratio,
            grouped=is_grouped(self),
            signs=checked_signs(self.coef_sign, K if K > 2 else 1, X.shape[1]),
            kinked=needs_proximal(self),
            offset=offset,
            working_memory=self.working_memory,
        )

    def _seen_weight(self, targets, y, sample_weight) -> np.ndarray:
        """Weight of each class; with ``class_weight='balanced'`` before the class weights."""
        if self.class_weight != "balanced":
            return targets.target.shares(targets.weights)
        return weight_before_class_weights(self, y, sample_weight)

    def _penalty_factors(self, n_features: int, n_classes: int):
        """Factors of features times those of classes with a row of W, (rows, p), or 1."""
        factors: np.ndarray | float = 1.0
        if self.feature_penalty is not None:
            factors = _factors("feature_penalty", self.feature_penalty, n_features)
        if self.class_penalty is not None:
            of_classes = _factors("class_penalty", self.class_penalty, n_classes)
            own = of_classes[1:] if n_classes == 2 else of_classes
            factors = np.broadcast_to(factors, n_features) * own[:, None]
        return factors

    def _carried_over(self, problem: Problem, previous: dict) -> np.ndarray:
        """The solution of the previous fit, for a warm start."""
        coef = previous["coef_"]
        return problem.pack(
            *carry_over(
                coef.toarray() if sparse.issparse(coef) else coef,
                previous["intercept_"],
                previous["classes_"],
                self.classes_,
                shares=np.maximum(problem.objective.batches.class_shares(), np.finfo(float).tiny),
                centre=placement.to_host(problem.X.T @ placement.where(problem.X, problem.weights))
                / problem.weights.sum(),
                features=previous.get("feature_names_in_"),
                new_features=getattr(self, "feature_names_in_", None),
            )
        )

    def _unpack(self, solution, problem: Problem):
        self.coef_, self.intercept_ = problem.unpack(solution.w)
        self.objective_ = solution.value
        self.gap_ = solution.certificate.gap
        self.certificate_ = solution.certificate.kind
        self.bound_ = solution.certificate.bound
        self.gradient_norm_ = solution.gradient_norm
        self.converged_ = solution.converged
        self.stopped_by_ = solution.stopped_by
        self.n_iter_ = solution.n_iter
        self.n_passes_ = solution.n_passes

    def _warn(self, separated: Diagnosis | None):
        message = None
        if separated is not None:
            self.converged_ = False
            message = (
                f"SoftmaxRegression with C=inf: {separated.message}; they are where it stopped, after {self.n_iter_}"
                " iterations. Use a finite C."
            )
        elif not self.converged_:
            share = self.bound_ / max(self.objective_, np.finfo(float).tiny)
            distance = f"a {self.certificate_} bound of {share:.3g} of the objective, above tol={self.tol:g}"
            if not np.isfinite(share):
                distance = f"an objective of {self.objective_:.3g} and no bound on its distance from the minimum"
            remedy = "use a finite C" if np.isinf(self.C) else f"lower C={self.C:g}"
            message = (
                f"SoftmaxRegression stopped by {self.stopped_by_} after {self.n_iter_} iterations with {distance}."
                f" Raise max_iter={self.max_iter}, scale the features, or {remedy}."
            )
        if message:
            warn(message, ConvergenceWarning)

    def decision_function(self, X, offset=None):
        """Scores z = W x + b + offset, not yet divided by the temperature.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        offset : array-like of shape (n, K), default=None
            Known scores to add, as in ``fit``.

        Returns
        -------
        scores : ndarray of shape (n, K), or (n,) for two classes: the score of ``classes_[1]``
        """
        return placement.beside(self._scores(X, offset), X)

    def _scores(self, X, offset):
        """The scores, where X is computed on."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False, device=True)
        coef, intercept = self.coef_, self.intercept_
        if placement.on_device(X):
            coef = coef.toarray() if sparse.issparse(coef) else coef
            coef, intercept = placement.to_device(coef), placement.to_device(intercept)
        scores = safe_sparse_dot(X, coef.T, dense_output=True) + intercept
        offset = _checked_offset(placement.fetched(offset), (X.shape[0], len(self.classes_)))
        offset = None if offset is None else placement.where(X, offset)
        if len(self.classes_) > 2:
            return scores if offset is None else scores + offset
        return scores[:, 0] if offset is None else scores[:, 0] + (offset[:, 1] - offset[:, 0])

    def _class_scores(self, X, offset) -> np.ndarray:
        scores = self._scores(X, offset)
        return scores if scores.ndim == 2 else np.stack([np.zeros_like(scores), scores], axis=1)

    def predict_proba(self, X, offset=None):
        """Probability of each class.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        offset : array-like of shape (n, K), default=None
            Known scores to add, as in ``fit``.

        Returns
        -------
        proba : ndarray of shape (n, K)
            Columns in the order of ``classes_``; rows sum to one.
        """
        scores = self._class_scores(X, offset)
        if isinstance(link_named(self.link), Softmax):
            return placement.beside(rowwise.softmax_rows(scores, temperature=self.temperature_, out=scores), X)
        scores /= self.temperature_
        return placement.beside(link_named(self.link).predict(scores, out=scores), X)

    def predict_log_proba(self, X, offset=None):
        """Logarithm of the probability of each class; with softmax computed from the scores, so finite where it can be.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        offset : array-like of shape (n, K), default=None
            Known scores to add, as in ``fit``.

        Returns
        -------
        log_proba : ndarray of shape (n, K)
            −inf where the probability is zero.
        """
        if isinstance(link_named(self.link), Softmax):
            scores = self._class_scores(X, offset)
            return placement.beside(rowwise.log_softmax_rows(scores, temperature=self.temperature_, out=scores), X)
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X, offset))

    def predict(self, X, offset=None):
        """The most probable label; of equals, the first in ``classes_``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        offset : array-like of shape (n, K), default=None
            Known scores to add, as in ``fit``.

        Returns
        -------
        labels : ndarray of shape (n,), of the type of ``classes_``
        """
        scores = self._scores(X, offset)
        codes = (scores > 0).astype(np.intp) if scores.ndim == 1 else scores.argmax(axis=1)
        return placement.labels_beside(self.classes_, codes, X)

    def score(self, X, y, sample_weight=None):
        """Accuracy on labels.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        y : array-like of shape (n,)
            Labels; soft labels are scored by ``sksoft.metrics.neg_soft_log_loss``.
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        accuracy : float
        """
        y = placement.fetched(y)
        require_labels("SoftmaxRegression", y)
        return super().score(X, y, sample_weight)


def _checked_offset(offset, shape: tuple[int, int]) -> np.ndarray | None:
    if offset is None:
        return None
    offset = check_array(offset, dtype=np.float64, input_name="offset", estimator="SoftmaxRegression")
    if offset.shape != shape:
        raise ValueError(f"offset must have shape (n_samples, n_classes) = {shape}. Got {offset.shape} instead.")
    return offset


def _factors(name: str, values, size: int, least: float = 0.0) -> np.ndarray:
    bound = "" if least == -np.inf else f" >= {least:g}"
    message = f"The {name!r} parameter must hold {size} finite numbers{bound}. Got {values!r} instead."
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(message) from error
    if numbers.shape != (size,) or not np.isfinite(numbers).all() or (numbers < least).any():
        raise ValueError(message)
    return numbers
