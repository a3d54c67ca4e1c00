"""A classifier with a calibrator behind it."""

from dataclasses import dataclass
from inspect import signature
from numbers import Integral
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch, assert_all_finite, get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import column_or_1d

from sksoft._validation import (
    ClassifierMixin,
    HasMethods,
    StrOptions,
    check_is_fitted,
    check_method_params,
    check_sample_weight,
    fit_context,
    take_rows,
)
from sksoft._warnings import warn
from sksoft.calibration.adaptive_temperature_scaler import AdaptiveTemperatureScaler
from sksoft.calibration.binary_scaler import BinaryScaler
from sksoft.calibration.dirichlet_calibrator import DirichletCalibrator
from sksoft.calibration.ensemble_temperature_scaler import EnsembleTemperatureScaler
from sksoft.calibration.identity_calibrator import IdentityCalibrator
from sksoft.calibration.isotonic_calibrator import IsotonicCalibrator
from sksoft.calibration.matrix_scaler import MatrixScaler
from sksoft.calibration.score_input import scored_rows
from sksoft.calibration.score_output import most_likely
from sksoft.calibration.selection import select_calibrator
from sksoft.calibration.structured_matrix_scaler import StructuredMatrixScaler
from sksoft.calibration.temperature_scaler import TemperatureScaler
from sksoft.calibration.vector_scaler import VectorScaler
from sksoft.calibration.venn_abers_calibrator import VennAbersCalibrator
from sksoft.kernels import placement
from sksoft.metrics.classifier_scores import class_scores
from sksoft.metrics.folds import CV_CONSTRAINTS, splits

# A calibrator by name; 'auto' chooses one.
METHODS = {
    "identity": IdentityCalibrator,
    "temperature": TemperatureScaler,
    "ensemble_temperature": EnsembleTemperatureScaler,
    "adaptive_temperature": AdaptiveTemperatureScaler,
    "vector": VectorScaler,
    "matrix": MatrixScaler,
    "dirichlet": DirichletCalibrator,
    "structured": StructuredMatrixScaler,
    "structured_vector": lambda: StructuredMatrixScaler(structure="vector"),
    "platt": lambda: BinaryScaler("platt"),
    "beta": lambda: BinaryScaler("beta"),
    "quadratic": lambda: BinaryScaler("quadratic"),
    "venn_abers": VennAbersCalibrator,
    "isotonic": IsotonicCalibrator,
}


class CalibratedSoftmaxClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Fit a classifier, and a calibrator on scores of data it has not seen.

    A classifier wrapped in ``FrozenEstimator`` is taken as fitted, and all of (X, y) calibrates it. Any other is
    fitted once per fold to get scores of the held-out rows, the calibrator is fitted to all of these, and the
    classifier is fitted once more to everything.

    Scores are logits by construction: ``decision_function`` where the classifier has it, the raw scores of XGBoost,
    LightGBM and CatBoost, else the logarithm of ``predict_proba``, with probabilities below 2.2e-16 counted as that. A
    two-class classifier gets the same temperature either way. Scores that a classifier gives on a CUDA device stay
    there; the calibrators of ``method='isotonic'`` and ``'venn_abers'`` do not take them.

    ``method='auto'`` compares calibrators by their cross-fitted log-loss on the held-out scores: temperature, Platt,
    beta and quadratic scaling for two classes; temperature, ensemble temperature and structured scaling (of a vector,
    and up to 100 classes of a matrix) for more. The best is taken if it beats no calibration by more than the standard
    error of the difference; else scores stay as they are. Where the scores separate the labels, so that the best
    temperature would be zero and every prediction certain, temperature and ensemble temperature are not taken.

    Parameters
    ----------
    estimator : classifier or pipeline, with ``decision_function`` or ``predict_proba``
    method : str or a calibrator, default='auto'
        ``'auto'``, ``'identity'`` (none), ``'temperature'``, ``'ensemble_temperature'``, ``'adaptive_temperature'``,
        ``'vector'``, ``'matrix'``, ``'dirichlet'``, ``'structured'``, ``'structured_vector'``, ``'isotonic'``,
        ``'venn_abers'``, and for two classes ``'platt'``, ``'beta'``, ``'quadratic'``. A calibrator is an unfitted
        estimator whose X is scores, such as :class:`TemperatureScaler`; its ``input`` and ``classes`` are set here.
    cv : int >= 2, cross-validation splitter or iterable of (train, test), default=5
        An int makes stratified folds from the content of the rows: equal rows share a fold, and neither the order of
        the rows nor a row of weight zero matters. Anything else is used as it is; a row held out several times counts
        each time, also in the calibrator's standard error.
    ensemble : bool, default=False
        Whether to keep the classifier of each fold, with a calibrator of its own for the rows it has not seen, and
        average their probabilities, instead of one classifier fitted to everything. Without effect on a frozen one.
    n_jobs : int, default=None
        Folds fitted side by side.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
    estimator_ : the classifier fitted to everything, or the frozen one; not with ``ensemble=True``
    calibrator_ : the fitted calibrator; not with ``ensemble=True``
    calibrated_classifiers_ : list of (classifier, calibrator)
        Those whose probabilities are averaged: one pair without an ensemble.
    selection_ : dict of ndarrays
        With ``method='auto'``, by candidate, as for a DataFrame: ``method``, ``log_loss`` of rows it has not seen
        (nats), ``gain`` over no calibration, ``gain_stderr``, and ``chosen``.
    n_features_in_, feature_names_in_ : of `estimator_`, where it has them

    Notes
    -----
    Sample weights reach the calibrator always, the classifier where its ``fit`` takes them; a warning says when it
    does not. A weight counts as so many rows, also where ``method='auto'`` asks what is more than chance: weights that
    sum to one are one row, which says nothing. Other metadata follow scikit-learn's routing; without it, those that
    the ``fit`` of the calibrator names and the classifier's does not, as ``sensitive_features``, go to the calibrator,
    and the others to the classifier.

    References
    ----------
    .. [1] Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017.
    .. [2] CalArena, arXiv:2605.30188, 2026: which calibrators lower the log-loss most often.

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
    >>> print(*calibrated.selection_["method"][calibrated.selection_["chosen"]])
    structured
    >>> raw = GaussianNB().fit(X_train, y_train)
    >>> bool(log_loss(y_test, calibrated.predict_proba(X_test)) < 0.3 * log_loss(y_test, raw.predict_proba(X_test)))
    True
    """

    _parameter_constraints = {
        "estimator": [
            HasMethods(["fit", "predict_proba"]),
            HasMethods(["fit", "decision_function"]),
        ],
        "method": [StrOptions({"auto", *METHODS}), HasMethods(["fit", "predict_proba"])],
        "cv": CV_CONSTRAINTS,
        "ensemble": ["boolean"],
        "n_jobs": [Integral, None],
    }

    def __init__(self, estimator, method="auto", *, cv=5, ensemble=False, n_jobs=None):
        self.estimator = estimator
        self.method = method
        self.cv = cv
        self.ensemble = ensemble
        self.n_jobs = n_jobs

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.input_tags.pairwise = inner.input_tags.pairwise
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        tags.classifier_tags.multi_class = all(
            part.classifier_tags is None or part.classifier_tags.multi_class for part in (inner, self._method_tags())
        )
        return tags

    def _method_tags(self):
        made = METHODS.get(self.method, TemperatureScaler)() if isinstance(self.method, str) else self.method
        return get_tags(made)

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
        if getattr(X, "shape", ())[1:] == (0,):  # rows without content cannot be dealt to folds
            raise ValueError(
                f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 is required by"
                f" {type(self).__name__}."
            )
        y, sample_weight = column_or_1d(placement.fetched(y), warn=True), placement.fetched(sample_weight)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        weights = check_sample_weight(sample_weight, y)
        kept = np.flatnonzero(weights)
        self._check_method()
        for name in ("estimator_", "calibrator_", "selection_"):  # of an earlier fit
            self.__dict__.pop(name, None)
        routed = self._routed(None if sample_weight is None else weights, params)
        if isinstance(self.estimator, FrozenEstimator):
            check_is_fitted(self.estimator)
            whole = self.estimator
            self.classes_ = whole.classes_
            _check_two_classes(y[kept])
            parts = [HeldOut(whole, class_scores(whole, take_rows(X, kept)), kept)]
        else:
            # First the fit to everything: what is wrong with X or y is the classifier's to say.
            whole = None if self.ensemble else _fit_to(self.estimator, X, y, kept, routed.estimator.fit)
            self.classes_ = np.unique(y[kept])
            _check_two_classes(y[kept])
            parts = self._held_out(X, y, kept, routed)
        together = parts if whole is None else [HeldOut.joined(whole, parts)]
        calibrator = self._calibrator(HeldOut.joined(whole, parts), X, y, weights)
        self._check_takes_weights(calibrator, sample_weight)
        self.calibrated_classifiers_ = [
            (part.estimator, _fit_calibrator(calibrator, part, X, y, weights, routed.calibrator.fit))
            for part in together
        ]
        if whole is not None:
            self.estimator_, self.calibrator_ = self.calibrated_classifiers_[0]
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.calibrated_classifiers_[0][0], name):
                setattr(self, name, getattr(self.calibrated_classifiers_[0][0], name))
        return self

    def _check_method(self):
        if isinstance(self.method, str):
            return
        made = not isinstance(self.method, type) and hasattr(self.method, "get_params")
        if not (made and {"input", "classes"} <= set(self.method.get_params())):
            raise ValueError(
                "The 'method' parameter must be a name or a calibrator: an estimator with the parameters input and"
                f" classes, as TemperatureScaler(). Got {self.method!r} instead."
            )

    def _calibrator(self, held_out: "HeldOut", X, y, weights):
        """An unfitted calibrator of these scores."""
        calibrator: Any
        if self.method != "auto":
            calibrator = METHODS[self.method]() if isinstance(self.method, str) else clone(self.method)
        else:
            rows = scored_rows(
                held_out.scores,
                y[held_out.rows],
                weights[held_out.rows],
                input="logits",
                classes=self.classes_,
                name=type(self).__name__,
            )
            calibrator, self.selection_ = select_calibrator(rows, take_rows(X, held_out.rows))
        return calibrator.set_params(input="logits", classes=self.classes_)

    @staticmethod
    def _check_takes_weights(calibrator, sample_weight):
        if sample_weight is not None and "sample_weight" not in signature(calibrator.fit).parameters:
            raise ValueError(
                "The 'method' parameter must be a calibrator whose fit takes sample_weight where there are weights. Got"
                f" {calibrator!r} instead."
            )

    def _routed(self, sample_weight, params) -> Bunch:
        if get_config()["enable_metadata_routing"]:
            routed = process_routing(self, "fit", sample_weight=sample_weight, **params)
            routed.setdefault("calibrator", Bunch(fit={}))
            return routed
        named = set() if isinstance(self.method, str) else set(signature(self.method.fit).parameters)
        accepted = signature(self.estimator.fit).parameters
        for_calibrator = {name: params[name] for name in params if name in named and name not in accepted}
        fit_params = {name: value for name, value in params.items() if name not in for_calibrator}
        if sample_weight is not None and not isinstance(self.estimator, FrozenEstimator):
            if "sample_weight" in accepted:
                fit_params["sample_weight"] = sample_weight
            else:
                warn(
                    f"{type(self.estimator).__name__}.fit takes no sample_weight: the weights are used for the"
                    " calibration alone.",
                    UserWarning,
                )
        return Bunch(estimator=Bunch(fit=fit_params), splitter=Bunch(split={}), calibrator=Bunch(fit=for_calibrator))

    def get_metadata_routing(self):
        """Which metadata go where: to the classifier's ``fit``, the splitter's ``split``, and to the calibrator.

        Returns
        -------
        routing : MetadataRouter
        """
        router = (
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
        if not isinstance(self.method, str):
            mapping = MethodMapping()
            for name in ("fit", "predict_proba", "predict"):
                mapping.add(caller=name, callee=name)
            router.add(calibrator=self.method, method_mapping=mapping)
        return router

    def _held_out(self, X, y, kept, routed) -> list["HeldOut"]:
        """Of each fold the classifier fitted to the others and its scores."""
        codes = np.searchsorted(self.classes_, y[kept])
        folds = splits(self.cv, X, y, kept, codes, self.classes_, routed.splitter.split)
        return Parallel(n_jobs=self.n_jobs)(
            delayed(_fold)(self.estimator, X, y, train, test, self.classes_, routed.estimator.fit, self.ensemble)
            for train, test in folds
        )

    def predict_proba(self, X, **params):
        """Calibrated probabilities.

        Parameters
        ----------
        X : array, DataFrame or sparse matrix of n rows
        **params : dict
            Metadata for the calibrator's ``predict_proba``, as ``sensitive_features``, by scikit-learn's routing.

        Returns
        -------
        proba : ndarray of shape (n, K)
            Columns in the order of ``classes_``; rows sum to one.
        """
        check_is_fitted(self)
        params = self._for_calibrator("predict_proba", params)
        proba = [
            calibrator.predict_proba(class_scores(estimator, X), **params)
            for estimator, calibrator in self.calibrated_classifiers_
        ]
        return _of_the_kind(X, proba[0] if len(proba) == 1 else np.mean(np.stack(proba), axis=0))

    def predict(self, X, **params):
        """The most probable label after calibration.

        Parameters
        ----------
        X : array, DataFrame or sparse matrix of n rows
        **params : dict
            Metadata for the calibrator's ``predict``.

        Returns
        -------
        labels : ndarray of shape (n,)
        """
        check_is_fitted(self)
        if len(self.calibrated_classifiers_) > 1:
            return most_likely(self.predict_proba(X, **params), self.classes_, X)
        params = self._for_calibrator("predict", params)
        estimator, calibrator = self.calibrated_classifiers_[0]
        return _of_the_kind(X, calibrator.predict(class_scores(estimator, X), **params))

    def _for_calibrator(self, caller: str, params: dict) -> dict:
        if params and get_config()["enable_metadata_routing"]:
            return process_routing(self, caller, **params).get("calibrator", {}).get(caller, {})
        return params


@dataclass(frozen=True)
class HeldOut:
    """Scores of rows that a fitted classifier has not seen."""

    estimator: Any
    scores: np.ndarray
    rows: np.ndarray

    @classmethod
    def joined(cls, estimator, parts: list["HeldOut"]) -> "HeldOut":
        """The scores of all folds, for a calibrator behind another classifier."""
        return cls(estimator, np.concatenate([p.scores for p in parts]), np.concatenate([p.rows for p in parts]))


def _of_the_kind(X, result):
    """What a calibrator gave, of the kind of X where one of them is on a device; but for labels that are no numbers."""
    between = placement.on_device(result) or (placement.on_device(X) and result.dtype.kind in "biuf")
    return placement.beside(result, X) if between else result


def _check_two_classes(y) -> None:
    if (y == y[0]).all():
        raise ValueError(f"y must hold at least 2 classes. Got one class: {y[0]!s}")


def _fit_to(estimator, X, y, rows, fit_params):
    """A clone fitted to some of the rows."""
    params = check_method_params(X, params=fit_params, indices=rows)
    return clone(estimator).fit(take_rows(X, rows), y[rows], **params)


def _fit_calibrator(calibrator, part: HeldOut, X, y, weights, fit_params):
    params = check_method_params(X, params=fit_params, indices=part.rows)
    if "sample_weight" in signature(calibrator.fit).parameters:
        params["sample_weight"] = weights[part.rows]
    return clone(calibrator).fit(part.scores, y[part.rows], **params)


def _fold(estimator, X, y, train, test, classes, fit_params, keep: bool) -> HeldOut:
    fitted = _fit_to(estimator, X, y, train, fit_params)
    if not np.array_equal(fitted.classes_, classes):
        missing = sorted(set(classes.tolist()) - set(fitted.classes_.tolist()), key=str)
        raise ValueError(
            f"The training part of a fold lacks the classes {missing}: use fewer folds or stratified ones."
        )
    return HeldOut(fitted if keep else None, class_scores(fitted, take_rows(X, test)), test)
