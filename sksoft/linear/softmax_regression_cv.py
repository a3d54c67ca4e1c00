"""Multinomial logistic regression whose penalty is chosen by cross-validation."""

from inspect import signature
from numbers import Integral

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.utils import indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import column_or_1d

from sksoft._validation import (
    Interval,
    StrOptions,
    check_is_fitted,
    check_method_params,
    check_sample_weight,
    fit_context,
    take_rows,
    validate_data,
)
from sksoft._warnings import warn
from sksoft.linear.path import check_Cs, fits_along
from sksoft.linear.softmax_regression import SoftmaxRegression
from sksoft.metrics.folds import CV_CONSTRAINTS, splits
from sksoft.metrics.labels import encode_labels
from sksoft.metrics.scorers import neg_soft_log_loss
from sksoft.metrics.soft_labels import is_soft
from sksoft.objective.feature_input import check_features

# Parameters that are those of SoftmaxRegression.
OF_THE_MODEL = [
    *("l1_ratio", "l1_group", "coef_sign", "feature_penalty", "class_penalty", "fit_intercept", "classes"),
    *("label_smoothing", "class_weight", "link", "prior_logits", "solver", "tol", "max_iter", "working_memory"),
]
# Decades of C where only their number is given, as LogisticRegressionCV has them.
LEAST_C, MOST_C = 1e-4, 1e4


class SoftmaxRegressionCV(ClassifierMixin, BaseEstimator):
    """Multinomial logistic regression with C chosen by cross-validation, every fit of it proved.

    For each fold the model is fitted to the other folds along the path of C, from the strongest penalty to the weakest,
    and scored on the fold. The C of the best mean score is refitted to everything.

    Scores, C and optimum are those of a grid search over :class:`SoftmaxRegression`. The price is less: within a fold
    the standardised copies of X and the preconditioners (the Gram matrix among them) are shared by all C, and each fit
    starts from those before it; the first fold's path guides the others (``sksoft.linear.path``). A start decides only
    the time, as each optimum is proved to `tol`. The refit is that of :class:`SoftmaxRegression`, bit for bit.

    Parameters
    ----------
    Cs : int >= 1 or array-like of shape (m,), default=10
        Inverse strengths of the penalty in (0, inf], in any order; an int makes so many from 1e-4 to 1e4, evenly spaced
        in log C.
    cv : int >= 2, cross-validation splitter or iterable of (train, test), default=5
        An int makes folds from the content of the rows: equal rows share a fold, and neither the order of the rows nor
        a row of weight zero matters. They are stratified by labels; soft labels cannot be. Anything else is used as it
        is.
    scoring : str, callable or None, default=None
        The name of a scorer, or ``scorer(estimator, X, y)``. None is ``sksoft.metrics.neg_soft_log_loss``: minus the
        mean log-loss on labels or soft labels, in nats. Of C with equal scores the first wins.
    refit : bool, default=True
        Whether to fit to everything with the best C. Without it there are scores and `C_`, and no predictions.
    n_jobs : int, default=None
        Folds fitted side by side, from the second on, in threads unless a joblib context says otherwise. Each then uses
        one thread; a single fit uses all cores itself. The results are the same bits.
    l1_ratio : float in [0, 1], default=0.0
        This and all below are as in :class:`SoftmaxRegression`.
    l1_group : {'classes'} or None, default=None
    coef_sign : array-like of -1, 0 and 1 of shape (p,) or that of ``coef_``, default=None
    feature_penalty : array-like of shape (p,), default=None
    class_penalty : array-like of shape (K,), default=None
    fit_intercept : bool, default=True
    classes : array-like of shape (K,), default=None
    label_smoothing : float in [0, 1), default=0.0
        Of what is fitted; scores are on y as it is.
    class_weight : dict of {label: weight}, 'balanced' or None, default=None
        Of what is fitted; ``'balanced'`` by the shares within the rows of each fit.
    link : {'softmax', 'sparsemax', 'entmax15'} or float in [1, 2], default='softmax'
        With a link that gives exact zeros the log-loss of a row may be infinite: choose another `scoring`.
    prior_logits : array-like of shape (K,), default=None
        Left out when predicting, and so when scoring.
    solver : {'auto', 'newton-cg', 'lbfgs', 'proximal-newton'}, default='auto'
    tol : float in [0, inf), default=1e-6
    max_iter : int >= 0, default=100
    working_memory : float > 0, default=None

    Attributes
    ----------
    C_ : float
        The C with the best mean score.
    Cs_ : ndarray of shape (m,)
    scores_ : ndarray of shape (n_folds, m)
        Of each fold and C; greater is better.
    best_score_ : float
        Mean over the folds of the scores of `C_`.
    gaps_ : ndarray of shape (n_folds, m)
        Proved bounds on F − min F of the folds' fits, in nats; nan where nothing can be proved.
    n_passes_ : float
        Sweeps over data by all fits together.
    classes_ : ndarray of shape (K,)
    estimator_ : SoftmaxRegression
        The model refitted to everything; it takes arrays without names.
    coef_, intercept_, objective_, gap_, n_iter_ :
        Of `estimator_`.
    converged_ : bool
        Whether all fits reached the tolerance.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (p,)
        Only where X has string column names.

    See Also
    --------
    SoftmaxRegression : The model, its objective and its parameters.

    Notes
    -----
    Time is that of ``n_folds`` paths of fits and one more fit; see :class:`SoftmaxRegression`. Memory beside X is, for
    each fold fitted at the time, a copy of its rows and what a fit takes; and n_folds · m solutions of (p + 1) K
    numbers.

    Sample weights weigh fits and scores alike. A repeated row is a weight of two and a row of weight zero is no row,
    also for the scores where `cv` is an int; a splitter of your own may cut through repeated rows.

    Metadata for ``fit`` go to the splitter, such as ``groups``; with scikit-learn's metadata routing enabled, to the
    splitter and the scorer as they request. A `scoring` that takes no ``sample_weight`` scores without.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sksoft import SoftmaxRegressionCV
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SoftmaxRegressionCV(Cs=[1.0, 10.0, 100.0, 1e3, 1e4]).fit(X, y)
    >>> model.C_, model.scores_.shape
    (100.0, (5, 5))
    >>> model.converged_, bool(model.gap_ <= 1e-6 * model.objective_)
    (True, True)
    """

    _parameter_constraints = {
        "Cs": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "cv": CV_CONSTRAINTS,
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "refit": ["boolean"],
        "n_jobs": [Integral, None],
        **{name: SoftmaxRegression._parameter_constraints[name] for name in OF_THE_MODEL},
    }

    def __init__(
        self,
        Cs=10,
        *,
        cv=5,
        scoring=None,
        refit=True,
        n_jobs=None,
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
        prior_logits=None,
        solver="auto",
        tol=1e-6,
        max_iter=100,
        working_memory=None,
    ):
        self.Cs = Cs
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.n_jobs = n_jobs
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
        self.prior_logits = prior_logits
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.working_memory = working_memory

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, **params):
        """Score every C on every fold, and fit the best to everything.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
            Finite numbers.
        y : array-like of shape (n,), or array-like or sparse matrix of shape (n, K >= 2)
            Labels of any type, or soft labels, whose rows sum to one.
        sample_weight : array-like of shape (n,), default=None
            Finite, non-negative, not all zero; ones by default.
        **params : dict
            Metadata for the splitter, such as ``groups``, and, where routed, for the scorer.

        Returns
        -------
        self : SoftmaxRegressionCV

        Raises
        ------
        ValueError
            As ``SoftmaxRegression.fit``; for Cs that are not positive numbers, a class with fewer than two distinct
            rows (with an int `cv`), a fold whose training part lacks a class, metadata for an int `cv`, or if no C has
            a finite mean score.

        Warns
        -----
        ConvergenceWarning
            As ``SoftmaxRegression.fit``, for each fit.
        UserWarning
            If there are weights and `scoring` takes none.
        """
        Cs = np.geomspace(LEAST_C, MOST_C, int(self.Cs)) if isinstance(self.Cs, Integral) else check_Cs(self.Cs)
        X, y = check_features(self, X, dtype=(np.float64, np.float32)), _indexable_targets(y)
        model = SoftmaxRegression(C=float(Cs.min()), **{name: getattr(self, name) for name in OF_THE_MODEL})
        model._problem(X, y, sample_weight, None)  # first the whole: what is wrong with it is the model's to say
        weights = check_sample_weight(sample_weight, X)
        folds = Folds(model, X, y, None if sample_weight is None else weights, Cs, *self._routed(sample_weight, params))
        rows = self._splits(X, y, np.flatnonzero(weights), model.classes_, folds.split_params)
        fits, scores = self._fit_folds(folds, rows)
        self.classes_, self.Cs_, self.scores_ = model.classes_, Cs, scores
        self.gaps_ = np.array([[fit.gap_ for fit in along] for along in fits])
        self._choose()
        every = [fit for along in fits for fit in along]
        for name in ("estimator_", "coef_", "intercept_", "objective_", "gap_", "n_iter_"):
            self.__dict__.pop(name, None)
        if self.refit:
            every.append(self._refit(model.set_params(C=self.C_).fit(X, y, sample_weight)))
        self.n_passes_ = float(sum(fit.n_passes_ for fit in every))
        self.converged_ = all(fit.converged_ for fit in every)
        return self

    def _splits(self, X, y, kept, classes, split_params) -> list:
        """Rows of each fold; of labels, each class in every training part."""
        soft = is_soft(y)
        codes = np.zeros(len(kept), dtype=np.intp) if soft else encode_labels(y[kept], classes)
        rows = splits(self.cv, X, y, kept, codes, ["any"] if soft else classes, split_params)
        for train, _ in () if soft else rows:
            missing = np.setdiff1d(codes, codes[np.searchsorted(kept, train)])
            if len(missing):
                raise ValueError(
                    f"The training part of a fold lacks the classes {classes[missing].tolist()}: use fewer folds or"
                    " stratified ones."
                )
        return rows

    def _fit_folds(self, folds: "Folds", rows: list) -> tuple[list, np.ndarray]:
        """Fits and scores of each fold for each C."""
        guide, score = folds.fit_and_score(*rows[0])
        others = Parallel(n_jobs=self.n_jobs, prefer="threads")(
            delayed(folds.fit_and_score)(train, test, guide) for train, test in rows[1:]
        )
        return [guide, *(fits for fits, _ in others)], np.array([score, *(scores for _, scores in others)])

    def _choose(self) -> None:
        """Set the best C and its score."""
        means = self.scores_.mean(axis=0)
        if not np.isfinite(means).any():
            raise ValueError(
                f"No C has a finite mean score with scoring={self.scoring!r}. Got {means.tolist()}. Links that give"
                " exact zeros need a score that stays finite, such as 'neg_brier_score'."
            )
        best = int(np.argmax(np.where(np.isnan(means), -np.inf, means)))
        self.C_, self.best_score_ = float(self.Cs_[best]), float(means[best])

    def _refit(self, model: SoftmaxRegression) -> SoftmaxRegression:
        """Take over a model fitted to everything."""
        self.estimator_ = model
        self.coef_, self.intercept_ = model.coef_, model.intercept_
        self.objective_, self.gap_, self.n_iter_ = model.objective_, model.gap_, model.n_iter_
        return model

    def _scorer(self):
        if self.scoring is None:
            return neg_soft_log_loss.set_score_request(sample_weight=True)
        return get_scorer(self.scoring)

    def _routed(self, sample_weight, params) -> tuple:
        """The scorer, and metadata for it and for the splitter."""
        scorer = self._scorer()
        if get_config()["enable_metadata_routing"]:
            routed = process_routing(self, "fit", sample_weight=sample_weight, **params)
            return scorer, routed.scorer.score, routed.splitter.split
        if sample_weight is None:
            return scorer, {}, params
        if "sample_weight" not in signature(scorer).parameters:
            warn(
                f"scoring={self.scoring!r} takes no sample_weight: the scores are not weighted.",
                UserWarning,
            )
            return scorer, {}, params
        return scorer, {"sample_weight": sample_weight}, params

    def get_metadata_routing(self):
        """Which metadata go where: to the splitter's ``split`` and to the scorer.

        Returns
        -------
        routing : MetadataRouter
        """
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(
                splitter=self.cv if hasattr(self.cv, "split") else None,
                method_mapping=MethodMapping().add(caller="fit", callee="split"),
            )
            .add(scorer=self._scorer(), method_mapping=MethodMapping().add(caller="fit", callee="score"))
        )

    def decision_function(self, X):
        """Scores z = W x + b.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)

        Returns
        -------
        scores : ndarray of shape (n, K), or (n,) for two classes: the score of ``classes_[1]``
        """
        return self._fitted().decision_function(self._features(X))

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
        return self._fitted().predict_proba(self._features(X))

    def predict_log_proba(self, X):
        """Logarithm of the probability of each class.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)

        Returns
        -------
        log_proba : ndarray of shape (n, K)
        """
        return self._fitted().predict_log_proba(self._features(X))

    def predict(self, X):
        """The most probable label; of equals, the first in ``classes_``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)

        Returns
        -------
        labels : ndarray of shape (n,), of the type of ``classes_``
        """
        return self._fitted().predict(self._features(X))

    def score(self, X, y, sample_weight=None):
        """The score that `scoring` gives to predictions, by default minus the mean log-loss in nats.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        y : array-like of shape (n,), or for a `scoring` that takes them soft labels of shape (n, K)
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        score : float
        """
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return self._scorer()(self, X, y, **weights)

    def _fitted(self) -> SoftmaxRegression:
        check_is_fitted(self, "estimator_")
        return self.estimator_

    def _features(self, X):
        return validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False)


class Folds:
    """What the folds of a cross-validation have in common.

    Parameters
    ----------
    model : SoftmaxRegression
        Of a fit to everything, for its classes.
    X, y : of n rows
    weights : ndarray (n,) or None
    Cs : ndarray (m,)
    scorer : callable
    score_params, split_params : dict
        Metadata of the rows, for scorer and splitter.
    """

    def __init__(self, model, X, y, weights, Cs, scorer, score_params, split_params):
        self.model = SoftmaxRegression(**model.get_params()).set_params(classes=model.classes_)
        self.X, self.y, self.weights, self.Cs = X, y, weights, Cs
        self.scorer, self.score_params, self.split_params = scorer, score_params, split_params

    def fit_and_score(self, train, test, guide=None) -> tuple[list, list[float]]:
        """Fits to the rows `train` for every C and their scores on the rows `test`; `guide` is that of another fold."""
        weights = None if self.weights is None else self.weights[train]
        fits = fits_along(
            self.model, self.X[train], take_rows(self.y, train), self.Cs, sample_weight=weights, guide=guide
        )
        X, y, params = self.X[test], take_rows(self.y, test), check_method_params(self.X, self.score_params, test)
        return fits, [float(self.scorer(fit, X, y, **params)) for fit in fits]


def _indexable_targets(y):
    """Labels as an array; soft labels as an array, DataFrame or CSR array."""
    y = indexable(y)[0]
    return y if y is None or is_soft(y) else column_or_1d(y, warn=True)
