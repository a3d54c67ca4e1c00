"""Named scorers, for `scoring=` of scikit-learn: greater is better, so losses and errors are negated.

They read the order of the columns from the estimator's ``classes_``, so labels of any type work and a fold that lacks a
class is no error (``make_scorer`` passes the metric no classes). A calibration error alone is a poor criterion for
choosing a model: predicting the base rates has none. Select by a proper score.

``neg_soft_log_loss`` takes soft labels y of shape (n, K), columns in the order of ``classes_``, and labels. Folds of
soft labels cannot be stratified: scikit-learn's ``cv=5`` then means ``KFold(5)``, which does not shuffle. Its searches
take sparse soft labels; its ``cross_validate`` takes no sparse y.

``neg_kernel_calibration_error`` is that of an unbiased estimate, positive where the estimate is below 0. The scorers of
groups look at ``sensitive_features``, which metadata routing brings:

    sklearn.set_config(enable_metadata_routing=True)
    scoring = neg_worst_group_calibration_error.set_score_request(sensitive_features=True)
    GridSearchCV(model, grid, scoring=scoring).fit(X, y, sensitive_features=groups)
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from sklearn.utils.metadata_routing import MetadataRequest

from sksoft.metrics.calibration import (
    adaptive_calibration_error,
    classwise_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
)
from sksoft.metrics.canonical import canonical_calibration_error
from sksoft.metrics.cumulative import cumulative_calibration_error
from sksoft.metrics.fairness import group_disparities
from sksoft.metrics.kernel_error import kernel_calibration_error
from sksoft.metrics.scores import brier_score, negative_log_likelihood
from sksoft.metrics.smooth import smooth_calibration_error
from sksoft.metrics.soft_labels import soft_log_loss
from sksoft.metrics.sweep import monotone_sweep_calibration_error


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
        return _requesting(self, sample_weight=sample_weight)

    def get_metadata_routing(self) -> MetadataRequest:
        """What this scorer asks of metadata routing."""
        return self._request

    @cached_property
    def _request(self) -> MetadataRequest:
        return _request(self, "sample_weight")

    def __repr__(self):
        return f"ProbabilityScorer({self.metric.__name__})"


@dataclass(frozen=True)
class GroupScorer:
    """How badly the worst group is served, or how differently groups are, negated: for selection with groups in view.

    Of every feature and, where there are several, of their intersections the largest ``worst`` or ``gap`` of
    :func:`group_disparities`, groups of fewer than `min_group_size` effective rows left out.

    Parameters
    ----------
    statistic : {'worst', 'gap'}
    metrics : tuple of str
        Of :func:`group_disparities`: of one-dimensional `y_proba` (two classes) and of more columns.
    min_group_size : int >= 2, default=50
    """

    statistic: str
    metrics: tuple[str, str]
    min_group_size: int = 50

    def __call__(self, estimator, X, y_true, sensitive_features=None, sample_weight=None) -> float:
        if sensitive_features is None:
            raise ValueError(
                "This scorer needs 'sensitive_features': route them by set_score_request(sensitive_features=True) with"
                " sklearn.set_config(enable_metadata_routing=True), or pass them. Got None instead."
            )
        y_proba, classes = estimator.predict_proba(X), estimator.classes_
        two_classes = len(classes) == 2
        table = group_disparities(
            y_true,
            y_proba[:, 1] if two_classes else y_proba,
            sensitive_features,
            sample_weight=sample_weight,
            labels=classes,
            min_group_size=self.min_group_size,
            n_resamples=0,
        )
        values = table.loc[table["metric"] == self.metrics[0 if two_classes else 1], self.statistic]
        if values.isna().all():
            raise ValueError(
                f"This scorer needs at least two groups of {self.min_group_size} effective rows or more in each fold:"
                " use fewer folds, larger groups, or dataclasses.replace(scorer, min_group_size=...)."
            )
        return -float(values.max())

    def set_score_request(self, *, sensitive_features=None, sample_weight=None) -> "GroupScorer":
        """Say what is wanted when metadata are routed: True, False, None or another name."""
        return _requesting(self, sensitive_features=sensitive_features, sample_weight=sample_weight)

    def get_metadata_routing(self) -> MetadataRequest:
        """What this scorer asks of metadata routing."""
        return self._request

    @cached_property
    def _request(self) -> MetadataRequest:
        return _request(self, "sensitive_features", "sample_weight")


def _request(scorer, *names) -> MetadataRequest:
    """A request of nothing that could ask for these."""
    request = MetadataRequest(owner=scorer)
    for name in names:
        request.score.add_request(param=name, alias=None)
    return request


def _requesting(scorer, **aliases):
    """A copy of the scorer that asks for these."""
    copy = replace(scorer)
    for name, alias in aliases.items():
        copy.get_metadata_routing().score.add_request(param=name, alias=alias)
    return copy


_TAKE_ALL_COLUMNS = (canonical_calibration_error, classwise_calibration_error, soft_log_loss)

neg_adaptive_calibration_error = ProbabilityScorer(adaptive_calibration_error)
neg_brier_score = ProbabilityScorer(brier_score)
neg_canonical_calibration_error = ProbabilityScorer(canonical_calibration_error)
neg_classwise_calibration_error = ProbabilityScorer(classwise_calibration_error)
neg_cumulative_calibration_error = ProbabilityScorer(cumulative_calibration_error)
neg_expected_calibration_error = ProbabilityScorer(expected_calibration_error)
neg_kernel_calibration_error = ProbabilityScorer(kernel_calibration_error)
neg_maximum_calibration_error = ProbabilityScorer(maximum_calibration_error)
neg_monotone_sweep_calibration_error = ProbabilityScorer(monotone_sweep_calibration_error)
neg_negative_log_likelihood = ProbabilityScorer(negative_log_likelihood)
neg_smooth_calibration_error = ProbabilityScorer(smooth_calibration_error)
neg_soft_log_loss = ProbabilityScorer(soft_log_loss)

# The mean square calibration error, debiased for the sizes of the groups and so possibly below 0, of the worst group.
neg_worst_group_calibration_error = GroupScorer("worst", ("squared_error_debiased", "squared_error_debiased"))
# The largest difference between groups in mean probability less observed rate; of more classes in over-confidence.
neg_group_calibration_gap = GroupScorer("gap", ("mean_residual", "over_confidence"))
