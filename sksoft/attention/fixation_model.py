"""Which of several objects is looked at, given a task: a softmax with a bilinear score."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_consistent_length, column_or_1d

from sksoft._validation import Interval, check_is_fitted, check_sample_weight, fit_context, require_host, validate_data
from sksoft._warnings import warn
from sksoft.attention.fixation_objective import FixationObjective, Trials
from sksoft.kernels.blocks import serial_blas
from sksoft.kernels.segments import segment_softmax
from sksoft.metrics.labels import encode_labels
from sksoft.objective.feature_input import check_features
from sksoft.objective.row_weights import kept_rows
from sksoft.solvers import newton_cg


class SoftmaxFixationModel(ClassifierMixin, BaseEstimator):
    r"""Which object of a trial is looked at, given the task: ``P(j | t) = softmax_j(tᵀ W o_j + uᵀ o_j)``.

    W couples what is wanted with what is there, u is how much an object draws the eye whatever is wanted; together the
    bilinear score that joins an encoder to a decoder [1]_. A trial may have any number of objects, and other objects
    than any trial of the fit: what is learnt is about features. With constant tasks it is McFadden's conditional
    logit [2]_, and with the classes for objects a softmax regression whose intercept is penalised, too.

    Parameters
    ----------
    C : float > 0, default=1.0
        Inverse strength of the ridge on W and u.
    tol : float >= 0, default=1e-10
        The fit stops when ``gap_`` is at most ``tol * objective_``.
    max_iter : int >= 0, default=100
        Newton steps.

    Attributes
    ----------
    coef_ : ndarray of shape (p, q)
        W.
    salience_ : ndarray of shape (q,)
        u.
    objects_ : ndarray of shape (m, q), or None
        The objects of all trials, where all had the same.
    classes_ : ndarray of shape (m,)
        What ``predict`` can answer: labels, or places of objects 0 … m − 1, with m the most objects of a trial.
    objective_ : float
        F in nats: mean loss and ridge.
    gap_ : float
        Proved bound on F − min F.
    converged_ : bool
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (p,)
        Only where X has string column names.

    See Also
    --------
    sksoft.functional.scaled_dot_product_attention : The same score as ``score='bilinear'``.
    sksoft.SoftmaxRegression : Where classes have no features.

    Notes
    -----
    A row of X is a trial, so a weight of two is a trial that happened twice and weight zero none. An iteration is
    O(E q + n p q) a Hessian product, E being the objects of all trials together.

    References
    ----------
    .. [1] Luong, Pham, Manning, "Effective approaches to attention-based neural machine translation", EMNLP 2015,
       section 3.1, 'general'.
    .. [2] McFadden, "Conditional logit analysis of qualitative choice behavior", 1974.

    Examples
    --------
    Who looks for red (first task) fixates red objects, who looks for round ones (second task) round ones:

    >>> import numpy as np
    >>> from sksoft.attention import SoftmaxFixationModel
    >>> tasks = np.array([[1, 0], [1, 0], [0, 1], [0, 1]])
    >>> red_round = np.array([[1, 0], [0, 1], [0, 0], [1, 1], [0, 0], [0, 1], [1, 0], [1, 0], [0, 1], [0, 0]])
    >>> offsets = [0, 3, 5, 7, 10]
    >>> model = SoftmaxFixationModel(C=10.0).fit(tasks, [0, 0, 0, 1], objects=red_round, offsets=offsets)
    >>> model.predict_proba([[1, 0]], objects=[[1, 0], [0, 1]], offsets=[0, 2]).round(2)
    array([0.9, 0.1])
    """

    _parameter_constraints = {
        "C": [Interval(Real, 0, None, closed="neither")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(self, C=1.0, *, tol=1e-10, max_iter=100):
        self.C = C
        self.tol = tol
        self.max_iter = max_iter

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, objects=None, offsets=None):
        """Fit to what was looked at.

        Parameters
        ----------
        X : array-like of shape (n, p)
            The task of each trial, finite.
        y : array-like of shape (n,)
            What was looked at: the place of an object in its trial, from 0; or labels of any type, without `objects`.
        sample_weight : array-like of shape (n,), default=None
            Of trials; finite, non-negative, not all zero; ones by default.
        objects : array-like of shape (m, q) or (N, q), default=None
            Features of the m objects that every trial has; or, with `offsets`, of the objects of all trials, one trial
            after another. By default the classes, each a feature of its own.
        offsets : array-like of shape (n + 1,) of int, default=None
            Trial i has the objects ``offsets[i]`` to ``offsets[i + 1] - 1``, at least one.

        Returns
        -------
        self : SoftmaxFixationModel

        Raises
        ------
        ValueError
            For X or objects with NaN or infinity, offsets that do not rise from 0 to N, y that names no object of its
            trial, labels of one class only, or weights that are negative or all zero.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` Newton steps did not reach `tol`, with the gap that is left.
        """
        require_host("SoftmaxFixationModel", X=X, y=y, objects=objects)
        X = check_features(self, X)
        y = self._checked_y(X, y)
        weights = check_sample_weight(sample_weight, X)
        kept = kept_rows(weights)
        _check_offsets_given(objects, offsets)
        if objects is None:
            classes = np.unique(y[kept])
            _check_classes(classes)
            objects, y = np.eye(len(classes)), np.where(kept, encode_labels(y, classes), 0)
            self.objects_ = objects
        else:
            objects = check_array(objects, dtype=np.float64, input_name="objects")
            self.objects_ = objects.copy() if offsets is None else None
            classes = None
        trials = _trials(X, objects, offsets)
        sizes = np.diff(trials.starts)
        self.classes_ = np.arange(sizes.max()) if classes is None else classes
        chosen = _places(y, sizes, kept)
        kept_trials, chosen = _without(trials, chosen, kept)
        objective = FixationObjective(kept_trials, chosen, weights[kept], self.C)
        with serial_blas():
            start = np.zeros(objective.shape[0] * objective.shape[1])
            solution = newton_cg(objective, start, tol=self.tol, max_iter=self.max_iter)
        coefficients = solution.w.reshape(objective.shape)
        self.coef_, self.salience_ = coefficients[:-1].copy(), coefficients[-1].copy()
        self.objective_, self.gap_ = solution.value, solution.certificate.gap
        self.converged_, self.n_iter_ = solution.converged, solution.n_iter
        if not self.converged_:
            warn(
                f"SoftmaxFixationModel stopped after {self.n_iter_} Newton steps with a gap of"
                f" {self.gap_ / self.objective_:.3g} of the objective, above tol={self.tol:g}. Raise"
                f" max_iter={self.max_iter}, scale the features, or lower C={self.C:g}.",
                ConvergenceWarning,
            )
        return self

    def _checked_y(self, X, y) -> np.ndarray:
        if y is None:
            raise ValueError("This SoftmaxFixationModel estimator requires y to be passed, but the target y is None.")
        y = check_array(y, ensure_2d=False, dtype=None, ensure_all_finite=False, input_name="y", estimator=self)
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y", estimator_name="SoftmaxFixationModel")
        check_classification_targets(y)
        check_consistent_length(X, y)
        return y

    def _read(self, X, objects, offsets) -> Trials:
        """The trials of a prediction, among the objects of the fit where none are given."""
        check_is_fitted(self)
        require_host("SoftmaxFixationModel", X=X, objects=objects)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        _check_offsets_given(objects, offsets)
        if objects is None:
            if self.objects_ is None:
                raise ValueError(
                    "The 'objects' parameter must be given, because every trial of the fit had objects of its own."
                    " Got None instead."
                )
            objects = self.objects_
        objects = check_array(objects, dtype=np.float64, input_name="objects")
        if objects.shape[1] != len(self.salience_):
            raise ValueError(
                f"The 'objects' parameter must have the {len(self.salience_)} features of the fit. Got"
                f" {objects.shape[1]} instead."
            )
        return _trials(X, objects, offsets)

    def _scores(self, trials: Trials) -> np.ndarray:
        with serial_blas():
            return trials.scores(np.vstack([self.coef_, self.salience_]))

    def decision_function(self, X, objects=None, offsets=None):
        """Scores of the objects.

        Parameters
        ----------
        X : array-like of shape (n, p)
        objects : array-like of shape (m, q) or (N, q), default=None
            As in ``fit``; any number of them, known or not. By default those of the fit.
        offsets : array-like of shape (n + 1,) of int, default=None

        Returns
        -------
        scores : ndarray of shape (n, m), or (N,) with `offsets`; (n,) for two labels
        """
        trials = self._read(X, objects, offsets)
        scores = self._scores(trials)
        if trials.columns is not None:
            return scores
        scores = scores.reshape(len(trials.tasks), -1)
        return scores[:, 1] - scores[:, 0] if objects is None and scores.shape[1] == 2 else scores

    def predict_proba(self, X, objects=None, offsets=None):
        """Probabilities that the objects are looked at.

        Parameters
        ----------
        X : array-like of shape (n, p)
        objects : array-like of shape (m, q) or (N, q), default=None
            As in ``fit``; any number of them, known or not. By default those of the fit.
        offsets : array-like of shape (n + 1,) of int, default=None

        Returns
        -------
        proba : ndarray of shape (n, m), or (N,) with `offsets`
            Sums to one over the objects of each trial.
        """
        trials = self._read(X, objects, offsets)
        proba = segment_softmax(self._scores(trials), trials.starts)[0]
        return proba if trials.columns is not None else proba.reshape(len(trials.tasks), -1)

    def predict(self, X, objects=None, offsets=None):
        """What is most probably looked at, the first of equals.

        Parameters
        ----------
        X : array-like of shape (n, p)
        objects : array-like of shape (m, q) or (N, q), default=None
            As in ``fit``; any number of them, known or not. By default those of the fit.
        offsets : array-like of shape (n + 1,) of int, default=None

        Returns
        -------
        places : ndarray of shape (n,)
            Of ``classes_``, or places in their trials of objects given here.
        """
        trials = self._read(X, objects, offsets)
        scores = self._scores(trials)
        if trials.columns is None:
            places = scores.reshape(len(trials.tasks), -1).argmax(axis=1)
        else:
            largest = np.maximum.reduceat(scores, trials.starts[:-1])
            sizes = np.diff(trials.starts)
            first = np.flatnonzero(scores == np.repeat(largest, sizes))
            places = first[np.searchsorted(first, trials.starts[:-1])] - trials.starts[:-1]
        return self.classes_[places] if objects is None else places

    def score(self, X, y, sample_weight=None, objects=None, offsets=None):
        """Share of trials whose object is foreseen.

        Parameters
        ----------
        X : array-like of shape (n, p)
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), default=None
        objects : array-like of shape (m, q) or (N, q), default=None
        offsets : array-like of shape (n + 1,) of int, default=None

        Returns
        -------
        score : float
        """
        found = self.predict(X, objects, offsets)
        right = found == self._checked_y(found, y)
        return float(np.average(right, weights=check_sample_weight(sample_weight, found)))


def _check_offsets_given(objects, offsets) -> None:
    if objects is None and offsets is not None:
        raise ValueError("The 'offsets' parameter needs the 'objects' parameter. Got None for 'objects'.")


def _check_classes(classes: np.ndarray) -> None:
    if len(classes) < 2:
        raise ValueError(
            "SoftmaxFixationModel needs samples of at least 2 classes in the data, but the data contains only one class"
            f" with positive weight: {classes[0]!s}"
        )


def _trials(X: np.ndarray, objects: np.ndarray, offsets) -> Trials:
    """Tasks beside their objects."""
    n, m = len(X), len(objects)
    tasks = np.hstack([X, np.ones((n, 1))])
    if offsets is None:
        return Trials(tasks, objects, None, m * np.arange(n + 1))
    offsets = np.asarray(offsets)
    whole = offsets.dtype.kind in "iu" and offsets.shape == (n + 1,)
    if not whole or offsets[0] != 0 or offsets[-1] != m or not (np.diff(offsets.astype(np.int64)) > 0).all():
        raise ValueError(
            f"The 'offsets' parameter must be {n + 1} integers that rise from 0 to the {m} rows of 'objects'. Got"
            f" {offsets!r} instead."
        )
    return Trials(tasks, objects, np.arange(m), offsets.astype(np.int64))


def _places(y: np.ndarray, sizes: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """y as places, once it is known that each is one; those of trials that weigh nothing are not looked at."""
    whole = y.dtype.kind in "iu" or (y.dtype.kind == "f" and bool((y == np.floor(y)).all()))
    wrong = ~((y >= 0) & (y < sizes)) & kept if whole else kept
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(
            f"y must hold the place of an object in its trial, here 0 to {sizes[at] - 1}. Got {y[at]!r} in row {at}."
        )
    return np.where(kept, y, 0).astype(np.intp)


def _without(trials: Trials, places: np.ndarray, kept: np.ndarray) -> tuple[Trials, np.ndarray]:
    """The trials that weigh anything, and where in their objects what was looked at stands."""
    sizes = np.diff(trials.starts)[kept]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    columns = None
    if trials.columns is not None:
        columns = trials.columns[np.repeat(kept, np.diff(trials.starts))]
    return Trials(trials.tasks[kept], trials.objects, columns, starts), starts[:-1] + places[kept]
