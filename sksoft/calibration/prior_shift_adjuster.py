"""Probabilities for a population whose class proportions are not those the classifier was trained on."""

from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from sksoft._validation import Interval, StrOptions, check_sample_weight, fit_context
from sksoft._warnings import warn
from sksoft.calibration.score_input import as_logits, distinct_labels, new_logits
from sksoft.calibration.score_output import most_likely
from sksoft.kernels import placement, rowwise
from sksoft.metrics.labels import sorted_labels
from sksoft.objective.mixture import Mixture
from sksoft.solvers.mixture import mixture_errors, mixture_weights


class PriorShiftAdjuster(BaseEstimator):
    r"""Find the class proportions of unlabelled data, and adjust probabilities to them.

    Where classes occur in other proportions than in the training data but look the same otherwise (label shift), the
    likelihood of a class is its probability divided by its old proportion πₖ, and the new proportions w are those of a
    mixture. They maximise [1]_

        Σᵢ sᵢ log Σₖ wₖ pᵢₖ / πₖ                       w ≥ 0, Σ w = 1

    which is concave; the iteration of [1]_ is expectation–maximisation, here the maximum is found by Newton steps and
    proved. Adjusted probabilities are p'ₖ ∝ pₖ wₖ / πₖ.

    The probabilities should be calibrated for the training population: put a :class:`CalibratedSoftmaxClassifier` or
    :class:`TemperatureScaler` before this.

    Parameters
    ----------
    source_prior : array-like of shape (K,), mapping or Series, or 'uniform'
        π, the class proportions of the data that the probabilities are right for, or counts: positive, any scale. An
        array is in the order of the columns; a mapping or Series is read by label. 'uniform' is right for a classifier
        fitted with ``class_weight='balanced'``.
    input : {'logits', 'proba'}, default='logits'
        What X is: scores (any number), or probabilities, of which the logarithm is taken. Never guessed from values.
    classes : array-like of shape (K,), default=None
        Labels of the columns of X, in their order. By default the sorted keys of a mapping, else 0 … K − 1.
    weight_type : {'sampling', 'frequency'}, default='sampling'
        How standard errors read sample weights: as importance, with n_eff = (Σ s)² / Σ s², or as repetitions, with
        n = Σ s. The proportions themselves are the same.
    tol : float in [0, inf), default=1e-10
        In nats: stop when the mean log-likelihood is proved to be within `tol` of its maximum; one more step is taken.
    max_iter : int >= 1, default=100

    Attributes
    ----------
    target_prior_ : ndarray of shape (K,)
        w; exact zeros for classes without a trace in the data.
    target_prior_stderr_ : ndarray of shape (K,)
        From the observed information, with the classifier taken as known: its own error is not in it. nan where w is
        zero; inf where the data do not tell classes apart.
    source_prior_ : ndarray of shape (K,)
        π, summing to one.
    log_likelihood_ : float
        Mean over the rows of log Σₖ wₖ pᵢₖ / πₖ, in nats; what it exceeds 0 by is what the new proportions explain.
    gap_ : float
        Proved bound on how far that is from its maximum, in nats.
    converged_ : bool
    n_iter_ : int
    classes_ : ndarray of shape (K,)
    n_features_in_ : int
        Columns of X.

    Notes
    -----
    O(n K²) time per iteration, of which there are about ten; O(n K) memory.

    References
    ----------
    .. [1] Saerens, Latinne, Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities: a
       simple procedure", Neural Computation 14, 2002, eqs. (2.4) and (2.9).

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft import PriorShiftAdjuster
    >>> # trained on as many sick as healthy; nearly every case of the new clinic looks healthy
    >>> proba = np.array([[0.9, 0.1]] * 7 + [[0.2, 0.8]] * 3)
    >>> adjuster = PriorShiftAdjuster("uniform", input="proba", classes=["healthy", "sick"]).fit(proba)
    >>> adjuster.target_prior_.round(3)
    array([0.896, 0.104])
    >>> adjuster.predict_proba(proba[-1:]).round(3)
    array([[0.683, 0.317]])
    """

    _parameter_constraints = {
        "source_prior": [StrOptions({"uniform"}), "array-like", Mapping],
        "input": [StrOptions({"logits", "proba"})],
        "classes": ["array-like", None],
        "weight_type": [StrOptions({"sampling", "frequency"})],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, source_prior, *, input="logits", classes=None, weight_type="sampling", tol=1e-10, max_iter=100):
        self.source_prior = source_prior
        self.input = input
        self.classes = classes
        self.weight_type = weight_type
        self.tol = tol
        self.max_iter = max_iter

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Find the class proportions of unlabelled data.

        Parameters
        ----------
        X : array-like of shape (n, K), or (n,) for two classes
            Finite scores of the target data, or probabilities, as `input` says. Those on a CUDA device are computed on
            there.
        y : ignored
            Labels of the target are what nobody has.
        sample_weight : array-like of shape (n,), default=None
            Finite, non-negative, not all zero.

        Returns
        -------
        self : PriorShiftAdjuster

        Raises
        ------
        ValueError
            For bad scores, probabilities or weights, or proportions that are not K positive numbers.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` was not enough.
        """
        logits = as_logits(X, self.input, "PriorShiftAdjuster")
        sample_weight = placement.fetched(sample_weight)
        like = np.broadcast_to(0.0, len(logits)) if placement.on_device(logits) else logits
        weights = placement.where(logits, check_sample_weight(sample_weight, like))
        kept = weights > 0.0
        if not kept.all():
            logits, weights = logits[kept], weights[kept]
        self.n_features_in_ = logits.shape[1]
        self.classes_, prior = _proportions(self.source_prior, self.classes, self.n_features_in_)
        self.source_prior_ = prior
        scores = logits - placement.where(logits, np.log(prior))
        offsets = rowwise.logsumexp_rows(scores) - rowwise.logsumexp_rows(logits.astype(np.float64, copy=False))
        # Likelihoods by row need no common scale: these sum to one.
        likelihoods = rowwise.softmax_rows(scores, out=scores)
        mixture = Mixture(likelihoods, weights)
        solution = mixture_weights(mixture, tol=self.tol, max_iter=self.max_iter)
        self.target_prior_, self.gap_ = solution.w, solution.certificate.gap
        self.log_likelihood_ = float(np.average(offsets, weights=weights)) - solution.value
        self.n_iter_, self.converged_ = solution.n_iter, solution.converged
        relative = weights / weights.max()
        n = weights.sum() if self.weight_type == "frequency" else relative.sum() ** 2 / (relative @ relative)
        self.target_prior_stderr_ = mixture_errors(mixture, solution.w) / np.sqrt(float(n))
        if not self.converged_:
            warn(
                f"PriorShiftAdjuster did not reach tol={self.tol:g} in max_iter={self.max_iter} iterations: the mean"
                f" log-likelihood may be {self.gap_:.3g} nats below its maximum.",
                ConvergenceWarning,
            )
        return self

    def predict_proba(self, X):
        """Probabilities under the new proportions.

        Parameters
        ----------
        X : array-like of shape (n, K), or (n,) for two classes
            As in ``fit``; of the same population.

        Returns
        -------
        proba : ndarray of shape (n, K)
            Columns in the order of ``classes_``; rows sum to one. Exactly zero for a class of proportion zero.
        """
        scores = self._adjusted(X)
        return placement.beside(rowwise.softmax_rows(scores, out=scores), X)

    def predict(self, X):
        """The most probable label under the new proportions; of equals, the first.

        Parameters
        ----------
        X : array-like of shape (n, K), or (n,) for two classes

        Returns
        -------
        labels : ndarray of shape (n,)
        """
        return most_likely(self._adjusted(X), self.classes_, X)

    def _adjusted(self, X):
        """z + log(w / π), in a fresh array where X is computed on."""
        logits = new_logits(self, X)
        with np.errstate(divide="ignore"):
            shifts = (np.log(self.target_prior_) - np.log(self.source_prior_)).astype(logits.dtype)
        return logits + placement.where(logits, shifts)


def _proportions(source_prior, classes, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the columns and their proportions in the source."""
    labels = None if classes is None else distinct_labels(classes)
    if isinstance(source_prior, pd.Series):
        source_prior = source_prior.to_dict()
    if isinstance(source_prior, Mapping):
        if labels is None:
            labels = sorted_labels(np.array(list(source_prior), dtype=object), name="The keys of source_prior")
        missing = [label for label in labels.tolist() if label not in source_prior]
        if missing or len(source_prior) != len(labels):
            raise ValueError(
                f"source_prior must have one entry for each class. Got entries for {list(source_prior)}, and the"
                f" classes are {labels.tolist()}."
            )
        source_prior = [source_prior[label] for label in labels.tolist()]
    labels = np.arange(n_classes) if labels is None else labels
    uniform = isinstance(source_prior, str)
    prior = np.ones(n_classes) if uniform else np.asarray(source_prior, dtype=np.float64)
    for name, values in (("source_prior", prior), ("classes", labels)):
        if values.shape != (n_classes,):
            raise ValueError(
                f"X has {n_classes} columns of scores, so the {name!r} parameter must have as many entries."
                f" Got shape {values.shape}."
            )
    if not (np.isfinite(prior).all() and (prior > 0.0).all()):
        raise ValueError(f"source_prior must hold positive, finite proportions or counts. Got {prior.tolist()}.")
    return labels, prior / prior.sum()
