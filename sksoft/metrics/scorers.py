"""Named scorers, for `scoring=` of scikit-learn: greater is better, so losses and errors are negated.

They read the order of the columns from the estimator's ``classes_``, so labels of any type work and a fold that lacks a
class is no error (``make_scorer`` passes the metric no classes). A calibration error alone is a poor criterion for
choosing a model: predicting the base rates has none. Select by a proper score.

``neg_soft_log_loss`` takes soft labels y of shape (n, K), columns in the order of ``classes_``, and labels. Folds of
soft labels cannot be stratified: scikit-learn's ``cv=5`` then means ``KFold(5)``, which does not shuffle. Its searches
take sparse soft labels; its ``cross_validate`` takes no sparse y.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from sklearn.utils.metadata_routing import MetadataRequest

from sksoft.metrics.calibration import (
    adaptive_calibration_error,
    classwise_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
)
from sksoft.metrics.scores import brier_score, negative_log_likelihood
from sksoft.metrics.soft_labels import soft_log_loss


@dataclass(frozen=True)
class ProbabilityScorer:
    """``-metric(y_true, predict_proba(X))``, callable as scikit-learn calls a scorer.

    Parameters
    ----------
    metric : callable
        Of this package: ``metric(y_true, y_proba, *, sample_weight, labels)``, smaller is better.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import cross_val_score
    >>> from sksoft.metrics import neg_expected_calibration_error
    >>> X, y = load_iris(return_X_y=True)
    >>> scores = cross_val_score(LogisticRegression(max_iter=500), X, y, scoring=neg_expected_calibration_error)
    >>> bool((scores <= 0).all())
    True
    """

    metric: Callable

    def __call__(self, estimator, X, y_true, sample_weight=None) -> float:
        y_proba, classes = estimator.predict_proba(X), estimator.classes_
        if len(classes) == 2 and self.metric not in _TAKE_ALL_COLUMNS:
            # As scikit-learn scores two classes: by the probability of the second.
            y_proba = y_proba[:, 1]
        return -self.metric(y_true, y_proba, sample_weight=sample_weight, labels=classes)

    def set_score_request(self, *, sample_weight=None) -> "ProbabilityScorer":
        """Say whether `sample_weight` is wanted when metadata are routed: True, False, None or another name."""
        requesting = ProbabilityScorer(self.metric)
        requesting._request.score.add_request(param="sample_weight", alias=sample_weight)
        return requesting

    def get_metadata_routing(self) -> MetadataRequest:
        """What this scorer asks of metadata routing."""
        return self._request

    @cached_property
    def _request(self) -> MetadataRequest:
        request = MetadataRequest(owner=self)
        request.score.add_request(param="sample_weight", alias=None)
        return request

    def __repr__(self):
        return f"ProbabilityScorer({self.metric.__name__})"


_TAKE_ALL_COLUMNS = (classwise_calibration_error, soft_log_loss)

neg_adaptive_calibration_error = ProbabilityScorer(adaptive_calibration_error)
neg_brier_score = ProbabilityScorer(brier_score)
neg_classwise_calibration_error = ProbabilityScorer(classwise_calibration_error)
neg_expected_calibration_error = ProbabilityScorer(expected_calibration_error)
neg_maximum_calibration_error = ProbabilityScorer(maximum_calibration_error)
neg_negative_log_likelihood = ProbabilityScorer(negative_log_likelihood)
neg_soft_log_loss = ProbabilityScorer(soft_log_loss)
