"""A classifier with a calibrator behind it."""

import warnings
from inspect import signature
from numbers import Integral

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch, assert_all_finite, get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import column_or_1d

from sksoft._validation import (
    HasMethods,
    StrOptions,
    check_is_fitted,
    check_method_params,
    check_sample_weight,
    fit_context,
    take_rows,
)
from sksoft.calibration.temperature_scaler import TemperatureScaler
from sksoft.metrics.folds import CV_CONSTRAINTS, splits
from sksoft.metrics.logits import log_proba

METHODS = {"temperature": TemperatureScaler}


class CalibratedSoftmaxClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Fit a classifier, and a calibrator on scores of data it has not seen.

    A classifier wrapped in ``FrozenEstimator`` is taken as fitted, and all of (X, y) calibrates it. Any other is
    fitted once per fold to get scores of the held-out rows, the calibrator is fitted to all of these, and the
    classifier is fitted once more to everything.

    Scores are logits by construction: ``decision_function`` where the classifier has it, else the logarithm of
    ``predict_proba``, with probabilities below 2.2e-16 counted as that. A two-class classifier gets the same
    temperature either way.

    Parameters
    ----------
    estimator : classifier or pipeline, with ``decision_function`` or ``predict_proba``
    method : 'temperature' or a calibrator, default='temperature'
        A calibrator is an unfitted estimator whose X is scores, such as :class:`TemperatureScaler`; its ``input`` and
        ``classes`` are set here.
    cv : int >= 2, cross-validation splitter or iterable of (train, test), default=5
        An int makes stratified folds from the content of the rows: equal rows share a fold, and neither the order of
        the rows nor a row of weight zero matters. Anything else is used as it is; a row held out several times counts
        each time, also in the calibrator's standard error.
    n_jobs : int, default=None
        Folds fitted side by side.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
    estimator_ : the classifier fitted to everything, or the frozen one
    calibrator_ : the fitted calibrator
    n_features_in_, feature_names_in_ : of `estimator_`, where it has them

    Notes
    -----
    Sample weights reach the calibrator always, the classifier where its ``fit`` takes them; a warning says when it
    does not. Other metadata follow scikit-learn's routing.

    References
    ----------
    .. [1] Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.metrics import log_loss
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sksoft import CalibratedSoftmaxClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y + 1, random_state=0)  # labels 1 … 10
    >>> calibrated = CalibratedSoftmaxClassifier(GaussianNB()).fit(X_train, y_train)
    >>> raw = GaussianNB().fit(X_train, y_train)
    >>> bool(log_loss(y_test, calibrated.predict_proba(X_test)) < 0.3 * log_loss(y_test, raw.predict_proba(X_test)))
    True
    """

    _parameter_constraints = {
        "estimator": [
            HasMethods(["fit", "predict_proba"]),
            HasMethods(["fit", "decision_function"]),
        ],
        "method": [StrOptions(set(METHODS)), HasMethods(["fit", "predict_proba"])],
        "cv": CV_CONSTRAINTS,
        "n_jobs": [Integral, None],
    }

    def __init__(self, estimator, method="temperature", *, cv=5, n_jobs=None):
        self.estimator = estimator
        self.method = method
        self.cv = cv
        self.n_jobs = n_jobs

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.input_tags.pairwise = inner.input_tags.pairwise
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        tags.classifier_tags.multi_class = inner.classifier_tags is None or inner.classifier_tags.multi_class
        return tags

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None, **params):
        """Fit the classifier and the calibrator.

        Parameters
        ----------
        X : array, DataFrame or sparse matrix of n rows
            Whatever `estimator` takes.
        y : array-like of shape (n,)
            Labels of any type.
        sample_weight : array-like of shape (n,), default=None
        **params : dict
            Metadata for the classifier's ``fit`` and the splitter, by scikit-learn's routing.

        Returns
        -------
        self : CalibratedSoftmaxClassifier

        Raises
        ------
        ValueError
            For fewer than two classes, a class with fewer than two distinct rows (with an int `cv`), a fold whose
            training part lacks a class, or a label that a frozen estimator does not know.
        """
        X, y = indexable(X, y)
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        weights = check_sample_weight(sample_weight, y)
        kept = np.flatnonzero(weights)
        routed = self._routed(None if sample_weight is None else weights, params)
        if isinstance(self.estimator, FrozenEstimator):
            check_is_fitted(self.estimator)
            self.estimator_, rows = self.estimator, kept
            self.classes_ = self.estimator_.classes_
            scores = class_scores(self.estimator_, take_rows(X, kept))
        else:
            # First the fit to everything: what is wrong with X or y is the classifier's to say.
            self.estimator_ = _fit_to(self.estimator, X, y, kept, routed.estimator.fit)
            self.classes_ = np.unique(y[kept])
            if len(self.classes_) < 2:
                raise ValueError(f"y must hold at least 2 classes. Got one class: {self.classes_[0]!s}")
            scores, rows = self._held_out_scores(X, y, kept, routed)
        calibrator = METHODS[self.method]() if isinstance(self.method, str) else clone(self.method)
        calibrator.set_params(input="logits", classes=self.classes_)
        self.calibrator_ = calibrator.fit(scores, y[rows], sample_weight=weights[rows])
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return self

    def _routed(self, sample_weight, params) -> Bunch:
        if get_config()["enable_metadata_routing"]:
            return process_routing(self, "fit", sample_weight=sample_weight, **params)
        fit_params = dict(params)
        if sample_weight is not None and not isinstance(self.estimator, FrozenEstimator):
            if "sample_weight" in signature(self.estimator.fit).parameters:
                fit_params["sample_weight"] = sample_weight
            else:
                warnings.warn(
                    f"{type(self.estimator).__name__}.fit takes no sample_weight: the weights are used for the"
                    " calibration alone.",
                    UserWarning,
                    stacklevel=3,
                )
        return Bunch(estimator=Bunch(fit=fit_params), splitter=Bunch(split={}))

    def get_metadata_routing(self):
        """Which metadata go where: to the classifier's ``fit``, to the splitter's ``split``.

        Returns
        -------
        routing : MetadataRouter
        """
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(
                estimator=self.estimator,
                method_mapping=MethodMapping().add(caller="fit", callee="fit"),
            )
            .add(
                splitter=self.cv if hasattr(self.cv, "split") else None,
                method_mapping=MethodMapping().add(caller="fit", callee="split"),
            )
        )

    def _held_out_scores(self, X, y, kept, routed):
        """Scores of held-out rows, and which rows they are."""
        codes = np.searchsorted(self.classes_, y[kept])
        folds = splits(self.cv, X, y, kept, codes, self.classes_, routed.splitter.split)
        parts = Parallel(n_jobs=self.n_jobs)(
            delayed(_scores_of_fold)(self.estimator, X, y, train, test, self.classes_, routed.estimator.fit)
            for train, test in folds
        )
        return np.concatenate(parts), np.concatenate([test for _, test in folds])

    def predict_proba(self, X):
        """Calibrated probabilities.

        Parameters
        ----------
        X : array, DataFrame or sparse matrix of n rows

        Returns
        -------
        proba : ndarray of shape (n, K)
            Columns in the order of ``classes_``; rows sum to one.
        """
        check_is_fitted(self)
        return self.calibrator_.predict_proba(class_scores(self.estimator_, X))

    def predict(self, X):
        """The most probable label after calibration.

        Parameters
        ----------
        X : array, DataFrame or sparse matrix of n rows

        Returns
        -------
        labels : ndarray of shape (n,)
        """
        check_is_fitted(self)
        return self.calibrator_.predict(class_scores(self.estimator_, X))


def class_scores(estimator, X) -> np.ndarray:
    """Logits of a fitted classifier: its decision function, else the logarithm of its probabilities.

    Parameters
    ----------
    estimator : fitted classifier
    X : whatever it takes

    Returns
    -------
    scores : ndarray of shape (n, K), or (n,) for a two-class decision function: the score of the second class
    """
    if hasattr(estimator, "decision_function"):
        scores = np.asarray(estimator.decision_function(X), dtype=np.float64)
        n_classes = len(estimator.classes_)
        if scores.shape[1:] != (() if n_classes == 2 else (n_classes,)) or _compares_pairs(estimator):
            raise ValueError(
                f"decision_function of {type(estimator).__name__} must give one score per class. Got shape"
                f" {scores.shape} for {n_classes} classes; an SVC needs decision_function_shape='ovr'."
            )
        return scores
    return log_proba(estimator.predict_proba(X))


def _compares_pairs(estimator) -> bool:
    """Whether scores are of pairs of classes: three classes have as many pairs, so the width does not tell."""
    inner = getattr(estimator, "estimator", estimator)
    inner = inner.steps[-1][1] if hasattr(inner, "steps") else inner
    return len(estimator.classes_) > 2 and getattr(inner, "decision_function_shape", "ovr") == "ovo"


def _fit_to(estimator, X, y, rows, fit_params):
    """A clone fitted to some of the rows."""
    params = check_method_params(X, params=fit_params, indices=rows)
    return clone(estimator).fit(take_rows(X, rows), y[rows], **params)


def _scores_of_fold(estimator, X, y, train, test, classes, fit_params) -> np.ndarray:
    fitted = _fit_to(estimator, X, y, train, fit_params)
    if not np.array_equal(fitted.classes_, classes):
        missing = sorted(set(classes.tolist()) - set(fitted.classes_.tolist()), key=str)
        raise ValueError(
            f"The training part of a fold lacks the classes {missing}: use fewer folds or stratified ones."
        )
    return class_scores(fitted, take_rows(X, test))
