"""A student that learns the distributions of a teacher, and labels alone where these teach it more."""

from inspect import signature
from numbers import Integral, Real

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch, assert_all_finite, check_random_state, get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, has_fit_parameter

from sksoft._validation import (
    HasMethods,
    Interval,
    StrOptions,
    check_is_fitted,
    check_sample_weight,
    fit_context,
    take_rows,
)
from sksoft._warnings import warn
from sksoft.distillation import teacher_scores as scoring
from sksoft.distillation.adapters import ADAPTERS, Taught, Teaching, adapter_name, log_probabilities
from sksoft.distillation.choice import candidates, choose
from sksoft.distillation.teacher_scores import INPUTS, TeacherScores, TeacherWarning
from sksoft.distillation.transfer_rows import TransferRows, check_unlabelled, n_rows
from sksoft.kernels import rowwise
from sksoft.metrics.folds import CV_CONSTRAINTS, splits
from sksoft.metrics.labels import encode_labels, sorted_labels
from sksoft.metrics.temperature import best_temperature


class KnowledgeDistiller(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    r"""Teach a small model what a large one knows of each row: a distribution over the classes, and not one label.

    With p_T = softmax(teacher's logits / T) and q_T = softmax(student's scores / T) the student's loss is [1]_

        Σᵢ sᵢ α T² KL(p_T,i ‖ q_T,i)  +  Σᵢ sᵢ (1 − α) (−log q_1,i[yᵢ])

    and whatever penalty the student has. Rows of `X_unlabeled` have the first term alone. A teacher speaks of rows that
    it has not seen: it is fitted once per fold, and once to all rows with labels for those without. One that is wrapped
    in ``FrozenEstimator`` is taken as fitted; in the place of a teacher, ``fit`` takes its scores, or votes of people.

    A gain is not automatic: a teacher that is not sure of what it knows makes a student worse. So T and α are chosen by
    the cross-fitted log-loss of the student, with labels alone (α = 0) among the candidates, and these are kept unless
    the best candidate beats them by more than the standard error of the difference.

    Parameters
    ----------
    teacher : classifier with ``predict_proba`` or ``decision_function``, or None
        None where ``fit`` is given `teacher_scores`.
    student : classifier or regressor
        Or a pipeline that ends in one. A regressor learns centred logits.
    temperature : 'auto' or float in [1e-4, 1e4], default='auto'
        T; ``'auto'`` is 1, 2 or 4. Beyond, T² times a difference of distributions is rounding.
    alpha : 'auto' or float in [0, 1], default='auto'
        α, the share of the teacher; ``'auto'`` is 0, 0.5, 0.9 or 1.
    adapter : str, default='auto'
        How the student is taught, by what it can take: ``'soft_targets'`` (``SoftmaxRegression``: the loss above,
        exactly), ``'custom_objective'`` (XGBoost: the same), ``'logit_regression'`` (regressors), ``'repeated_rows'``
        (classifiers with weights: a row of each class, weighted by its share; exact at T = 1) or
        ``'label_sampling'`` (any classifier). ``'auto'`` takes the first that suits; `adapter_` says what it means.
        Where this knows one temperature, ``'auto'`` compares T = 1 with any α, and T > 1 with α = 1.
    cv : int >= 2, cross-validation splitter or iterable of (train, test), default=5
        Folds of the rows with labels, for the teacher and for the choice, each row held out once; at least three where
        the teacher is fitted. An int makes stratified folds from the content of the rows, whatever their order,
        repetitions or rows of weight zero.
    calibrate_teacher : bool, default=False
        Whether to divide the teacher's logits by the temperature of least log-loss on the labels, before all else.
    input : {'logits', 'proba', 'counts'}, default='logits'
        What `teacher_scores` are: scores, probabilities, or votes for each class.
    n_draws : int >= 1, default=10
        Labels drawn for a row with ``'label_sampling'``.
    n_jobs : int, default=None
        Folds fitted side by side.
    random_state : int, RandomState instance or None, default=None
        Of the labels that are drawn. What is random in teacher and student is for them to say.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        Sorted labels.
    student_ : fitted student
        Of XGBoost its classes are 0 … K − 1.
    teacher_ : classifier fitted to all rows with labels, the frozen one, or None where scores were given
    temperature_, alpha_ : float
        What the student was taught with; T = 1 where α = 0.
    adapter_ : dict
        ``name``; ``exact``, whether labels and teacher reach the student as they are in the loss above, not drawn,
        weighted otherwise or at another temperature, and ``why``; with repeated rows ``left_out``, the share of the
        weight in shares of less than 1e-6. A student with probabilities is taken at its word that it minimises the
        log-loss: of a tree of Gini impurities it is the targets that are exact.
    power_ : float
        Predictions are the student's probabilities to this power, normalised. It is 1 but for a student of one
        temperature that was taught with T ≠ 1 and α = 1, where it is T.
    teacher_temperature_ : float
        By which the teacher's logits were divided; 1 without `calibrate_teacher`.
    cv_results_ : dict of ndarrays
        By candidate, as for a DataFrame, labels alone first: ``temperature``, ``alpha``, ``log_loss`` of held-out
        labels (nats), ``gain`` over labels alone, ``gain_stderr``, and ``chosen``.
    teacher_loss_, student_loss_ : float
        Log-loss on held-out labels (nats): of the teacher, and of the student that learns from labels alone.
    agreement_ : float in [0, 1]
        Share of the weight of all rows where student and teacher hold the same class most likely.
    kl_ : float >= 0
        Mean KL(teacher ‖ student) at T = 1 over all rows, in nats.
    class_similarity_ : ndarray of shape (K, K)
        Row k is the teacher's mean distribution, at `temperature_`, over the rows with label k: which are alike.
    n_features_in_, feature_names_in_ : of `student_`, where it has them

    Warns
    -----
    TeacherWarning
        If `teacher_loss_` is not below `student_loss_`, with both numbers.

    Notes
    -----
    The teacher is fitted cv (cv + 1) / 2 + 1 times: to all rows, without each fold, and without each pair of folds, for
    a student that is judged on a fold must not hear of its labels from a teacher that saw them. The student is fitted
    cv · c + 1 times with c candidates: ten for students of two temperatures and six for others, two where both
    parameters are given; labels alone are one of them.

    Sample weights reach teacher and student where their ``fit`` takes them. Other metadata follow scikit-learn's
    routing; without it, they go to the teacher's ``fit``.

    References
    ----------
    .. [1] Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", arXiv:1503.02531, 2015, section 2.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.metrics import log_loss
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.multiclass import OneVsRestClassifier
    >>> from sklearn.svm import SVC
    >>> from sksoft import KnowledgeDistiller, SoftmaxRegression
    >>> X, y = load_digits(return_X_y=True)
    >>> X, X_test, y, y_test = train_test_split(X / 16, y, random_state=0)
    >>> X, X_unlabeled, y, _ = train_test_split(X, y, train_size=300, random_state=0)
    >>> teacher = OneVsRestClassifier(SVC(C=10.0))
    >>> distiller = KnowledgeDistiller(teacher, SoftmaxRegression(), calibrate_teacher=True)
    >>> distiller.fit(X, y, X_unlabeled=X_unlabeled).adapter_["name"]
    'soft_targets'
    >>> plain = SoftmaxRegression().fit(X, y)
    >>> print(*(round(log_loss(y_test, model.predict_proba(X_test)), 2) for model in (plain, distiller)))
    0.35 0.19
    """

    _parameter_constraints = {
        "teacher": [HasMethods(["fit", "predict_proba"]), HasMethods(["fit", "decision_function"]), None],
        "student": [HasMethods(["fit", "predict"])],
        "temperature": [StrOptions({"auto"}), Interval(Real, 1e-4, 1e4, closed="both")],
        "alpha": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both")],
        "adapter": [StrOptions({"auto", *ADAPTERS})],
        "cv": CV_CONSTRAINTS,
        "calibrate_teacher": ["boolean"],
        "input": [StrOptions(set(INPUTS))],
        "n_draws": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        teacher,
        student,
        temperature="auto",
        alpha="auto",
        *,
        adapter="auto",
        cv=5,
        calibrate_teacher=False,
        input="logits",
        n_draws=10,
        n_jobs=None,
        random_state=None,
    ):
        self.teacher = teacher
        self.student = student
        self.temperature = temperature
        self.alpha = alpha
        self.adapter = adapter
        self.cv = cv
        self.calibrate_teacher = calibrate_teacher
        self.input = input
        self.n_draws = n_draws
        self.n_jobs = n_jobs
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = [get_tags(part) for part in (self.teacher, self.student) if part is not None]
        tags.input_tags.sparse = all(part.input_tags.sparse for part in inner)
        tags.input_tags.allow_nan = all(part.input_tags.allow_nan for part in inner)
        tags.classifier_tags.multi_class = all(
            part.classifier_tags is None or part.classifier_tags.multi_class for part in inner
        )
        return tags

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None, X_unlabeled=None, teacher_scores=None, **params):
        """Fit teacher and student.

        Parameters
        ----------
        X : array, DataFrame, sparse matrix or list of n rows
            Whatever teacher and student take.
        y : array-like of shape (n,)
            Labels of any type.
        sample_weight : array-like of shape (n,), default=None
            Finite, non-negative, not all zero; ones by default.
        X_unlabeled : of the kind of X, m rows, default=None
            Rows without labels, of weight one, on which the student learns from the teacher alone.
        teacher_scores : array-like of shape (n + m, K), default=None
            What `input` says of the rows of X, then of those of `X_unlabeled`, by the sorted labels; with
            ``teacher=None``. They are taken as being of rows that the teacher has not seen. Of two classes also
            (n + m,), logits or probabilities of the second. A logit of −inf is no probability at any temperature;
            probabilities and shares of votes below 2.2e-16 count as that before they are softened.
        **params : dict
            Metadata for the teacher's ``fit`` and the splitter, by scikit-learn's routing.

        Returns
        -------
        self : KnowledgeDistiller

        Raises
        ------
        ValueError
            For fewer than two classes, a class with fewer than two distinct rows (with an int `cv`), a teacher of other
            classes than y has, scores of a wrong shape or with NaN, a row without votes, or an adapter that does not
            suit the student.
        """
        if y is None:
            raise ValueError(f"This {type(self).__name__} estimator requires y to be passed, but the target y is None.")
        X, y = indexable(X, y)
        (X_unlabeled,) = indexable(X_unlabeled)
        rows, kept, y, weights = self._labelled(X, y, sample_weight)
        name = adapter_name(self.adapter, self.student)
        routed = self._routed(None if sample_weight is None else weights, params)
        folds = _folds(self.cv, X, y, kept, rows, routed.splitter.split)
        check_unlabelled(X, X_unlabeled)
        scores = self._scores(X, y, kept, folds, X_unlabeled, teacher_scores, rows.classes, routed.teacher.fit)
        teacher_temperature = self._teacher_temperature(scores, rows)
        scores = scores.divided_by(teacher_temperature)
        rows = rows.with_logits(scores.labelled)
        teach = Teaching(self.student, name, self.n_draws, int(check_random_state(self.random_state).randint(1 << 31)))
        pairs = candidates(self.temperature, self.alpha, name)
        places = [(np.searchsorted(kept, train), np.searchsorted(kept, test)) for train, test in folds]
        chosen = choose(teach, pairs, self.alpha == "auto", rows, places, X_unlabeled, scores, self.n_jobs)
        self.classes_, self.teacher_, self.teacher_temperature_ = rows.classes, scores.teacher, teacher_temperature
        self.cv_results_, self.temperature_, self.alpha_ = chosen.results, chosen.temperature, chosen.alpha
        self.student_loss_ = float(chosen.results["log_loss"][0])
        self._compare_with_teacher(rows)
        if X_unlabeled is not None:
            rows = rows.and_unlabelled(X_unlabeled, scores.unlabelled)
        taught = teach(rows, self.temperature_, self.alpha_)
        self.student_, self.adapter_, self.power_ = taught.student, taught.adapter, taught.power
        self._columns = taught.columns
        self._describe(rows)
        for attribute in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(attribute, None)
            if hasattr(self.student_, attribute):
                setattr(self, attribute, getattr(self.student_, attribute))
        return self

    def _labelled(self, X, y, sample_weight):
        """Rows that weigh anything without logits, their numbers, and labels and weights of all rows."""
        if getattr(X, "shape", ())[1:] == (0,):  # rows without content cannot be dealt to folds
            raise ValueError(
                f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 is required by"
                f" {type(self).__name__}."
            )
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        weights = check_sample_weight(sample_weight, y)
        kept = np.flatnonzero(weights)
        classes = sorted_labels(y[kept], name="y")
        if len(classes) < 2:
            raise ValueError(f"y must hold at least 2 classes. Got one class: {classes[0]!s}")
        rows = TransferRows(
            take_rows(X, kept), encode_labels(y[kept], classes), weights[kept], np.empty((len(kept), 0)), classes
        )
        return rows, kept, y, weights

    def _scores(self, X, y, kept, folds, X_unlabeled, teacher_scores, classes, fit_params) -> TeacherScores:
        if (self.teacher is None) == (teacher_scores is None):
            both = "both" if self.teacher is not None else "neither"
            raise ValueError(
                f"Either the 'teacher' parameter or 'teacher_scores' in fit must be given, the other None. Got {both}."
            )
        if self.teacher is None:
            m = 0 if X_unlabeled is None else n_rows(X_unlabeled)
            return scoring.given(teacher_scores, self.input, len(y), kept, m, classes, len(folds))
        if isinstance(self.teacher, FrozenEstimator):
            check_is_fitted(self.teacher)
            return scoring.of_frozen(self.teacher, take_rows(X, kept), X_unlabeled, classes, len(folds))
        return scoring.out_of_fold(self.teacher, X, y, X_unlabeled, classes, folds, fit_params, self.n_jobs)

    def _teacher_temperature(self, scores: TeacherScores, rows: TransferRows) -> float:
        if not self.calibrate_teacher:
            return 1.0
        best = best_temperature(scores.labelled, rows.codes, rows.weights)
        if not best.at_bound:
            return best.temperature
        warn(
            "calibrate_teacher=True finds no temperature: the least log-loss of the teacher is at"
            f" {'zero, for its scores separate the classes' if best.limit == np.inf else 'infinity'}. They stay as"
            " they are.",
            TeacherWarning,
        )
        return 1.0

    def _compare_with_teacher(self, rows: TransferRows) -> None:
        own = np.log(np.maximum(rows.softened(1.0), np.finfo(np.float64).eps))[np.arange(len(rows.codes)), rows.codes]
        self.teacher_loss_ = float(-(own @ rows.weights) / rows.weights.sum())
        if not self.teacher_loss_ < self.student_loss_:
            warn(
                f"The teacher's log-loss on rows it has not seen, {self.teacher_loss_:.4g}, is not lower than that of"
                f" the student with labels alone, {self.student_loss_:.4g} nats: there may be nothing to learn from it."
                f" {'' if self.calibrate_teacher else 'Try calibrate_teacher=True. '}alpha_ is {self.alpha_:g}.",
                TeacherWarning,
            )

    def _describe(self, rows: TransferRows) -> None:
        """How student and teacher differ, and what the teacher holds for alike."""
        student, teacher = self._log_proba(rows.X), rowwise.log_softmax_rows(rows.logits)
        share, p = rows.weights / rows.weights.sum(), np.exp(teacher)
        self.agreement_ = float(share @ (student.argmax(axis=1) == teacher.argmax(axis=1)))
        self.kl_ = max(float(share @ (p * (teacher - student)).sum(axis=1)), 0.0)
        known = rows.with_labels()
        of_class = np.zeros((rows.n_classes, len(known.codes)))
        of_class[known.codes, np.arange(len(known.codes))] = known.weights
        similarity = of_class @ known.softened(self.temperature_)
        self.class_similarity_ = similarity / similarity.sum(axis=1, keepdims=True)

    def _routed(self, sample_weight, params) -> Bunch:
        if get_config()["enable_metadata_routing"]:
            routed = process_routing(self, "fit", sample_weight=sample_weight, **params)
            routed.setdefault("teacher", Bunch(fit={}))
            return routed
        params = dict(params)
        fitted = self.teacher is not None and not isinstance(self.teacher, FrozenEstimator)
        if params and not fitted:
            raise TypeError(f"fit got {sorted(params)}, for the teacher's fit, but there is no teacher to fit.")
        if sample_weight is not None and fitted:
            name = _weight_parameter(self.teacher)
            if name is None:
                warn(
                    f"{type(self.teacher).__name__}.fit takes no sample_weight: the weights are used for the student"
                    " alone.",
                    UserWarning,
                )
            else:
                params[name] = sample_weight
        return Bunch(teacher=Bunch(fit=params), splitter=Bunch(split={}))

    def get_metadata_routing(self):
        """Which metadata go where: to the teacher's ``fit`` and to the splitter's ``split``.

        Returns
        -------
        routing : MetadataRouter
        """
        fit_to_fit = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=self).add_self_request(self)
        if self.teacher is not None:
            router.add(teacher=self.teacher, method_mapping=fit_to_fit)
        return router.add(
            splitter=self.cv if hasattr(self.cv, "split") else None,
            method_mapping=MethodMapping().add(caller="fit", callee="split"),
        )

    def predict_proba(self, X):
        """Probabilities by the student.

        Parameters
        ----------
        X : array, DataFrame, sparse matrix or list of n rows

        Returns
        -------
        proba : ndarray of shape (n, K)
            Columns in the order of ``classes_``; rows sum to one.
        """
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X):
        """Logarithms of the probabilities by the student.

        Parameters
        ----------
        X : array, DataFrame, sparse matrix or list of n rows

        Returns
        -------
        log_proba : ndarray of shape (n, K)
        """
        check_is_fitted(self)
        return self._log_proba(X)

    def predict(self, X):
        """The student's label.

        Parameters
        ----------
        X : array, DataFrame, sparse matrix or list of n rows

        Returns
        -------
        labels : ndarray of shape (n,)
        """
        check_is_fitted(self)
        if is_regressor(self.student_):
            return self.classes_[self._log_proba(X).argmax(axis=1)]
        labels = self.student_.predict(X)
        return self.classes_[labels] if self.adapter_["name"] == "custom_objective" else labels

    def predict_teacher_proba(self, X, temperature=1.0):
        """What the teacher says: the student learns from these at ``temperature_``.

        Parameters
        ----------
        X : array, DataFrame, sparse matrix or list of n rows
        temperature : float in (0, inf), default=1.0
            Of the softmax, beside ``teacher_temperature_``.

        Returns
        -------
        proba : ndarray of shape (n, K)

        Raises
        ------
        ValueError
            If there is no teacher, for its scores were given.
        """
        check_is_fitted(self)
        if self.teacher_ is None:
            raise ValueError("There is no 'teacher' to ask: its scores were given to fit. Use those.")
        if not 0.0 < temperature < np.inf:
            raise ValueError(f"The 'temperature' parameter must be a float in (0, inf). Got {temperature!r} instead.")
        logits = scoring.teacher_logits(self.teacher_, X, self.classes_)
        return rowwise.softmax_rows(logits / self.teacher_temperature_, temperature=temperature)

    def _log_proba(self, X) -> np.ndarray:
        taught = Taught(self.student_, self._columns, self.power_, self.adapter_)
        return log_probabilities(taught, X, len(self.classes_))


def _folds(cv, X, y, kept, rows: TransferRows, split_params: dict) -> list:
    """Numbers of rows to fit to and of rows held out, fold by fold."""
    folds = splits(cv, X, y, kept, rows.codes, rows.classes, split_params)
    times = np.bincount(np.concatenate([test for _, test in folds]), minlength=len(y))[kept]
    if (times != 1).any():
        at = int(np.argmax(times != 1))
        raise ValueError(
            f"The 'cv' parameter must hold out every row once. It holds out row {kept[at]} {times[at]} times."
        )
    return folds


def _weight_parameter(teacher) -> str | None:
    """What ``fit`` of a classifier, or of a pipeline for its last step, calls the weights; None if it takes none."""
    if isinstance(teacher, Pipeline):
        name, last = teacher.steps[-1]
        return f"{name}__sample_weight" if has_fit_parameter(last, "sample_weight") else None
    return "sample_weight" if "sample_weight" in signature(teacher.fit).parameters else None
