"""Scores and calibration metrics: arrays in, numbers or data frames with uncertainty out."""

from sksoft.metrics.calibration import (
    adaptive_calibration_error,
    classwise_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    reliability_curve,
)
from sksoft.metrics.canonical import canonical_calibration_error
from sksoft.metrics.canonical_reliability import canonical_curve
from sksoft.metrics.corp import corp_curve
from sksoft.metrics.cox import cox_calibration
from sksoft.metrics.cumulative import cumulative_calibration_error
from sksoft.metrics.decisions import decision_gaps, decision_rates, equalized_odds
from sksoft.metrics.decompositions import brier_decomposition, log_loss_decomposition
from sksoft.metrics.fairness import group_disparities
from sksoft.metrics.families_of_tests import calibration_tests
from sksoft.metrics.far_field import far_field_report
from sksoft.metrics.groups import group_calibration
from sksoft.metrics.hypothesis_tests import calibration_test
from sksoft.metrics.intervals import bootstrap_interval, calibration_error_interval
from sksoft.metrics.kernel_error import kernel_calibration_error
from sksoft.metrics.metric_frame import group_calibration_metrics, metric_for_groups
from sksoft.metrics.multicalibration import multicalibration_error
from sksoft.metrics.ood import mahalanobis_scores, neighbor_scores, ood_scores
from sksoft.metrics.partial import CalibrationSums
from sksoft.metrics.report import calibration_report
from sksoft.metrics.scorers import (
    neg_adaptive_calibration_error,
    neg_brier_score,
    neg_canonical_calibration_error,
    neg_classwise_calibration_error,
    neg_cumulative_calibration_error,
    neg_expected_calibration_error,
    neg_group_calibration_gap,
    neg_kernel_calibration_error,
    neg_maximum_calibration_error,
    neg_monotone_sweep_calibration_error,
    neg_negative_log_likelihood,
    neg_smooth_calibration_error,
    neg_soft_log_loss,
    neg_worst_group_calibration_error,
)
from sksoft.metrics.scores import (
    brier_score,
    negative_log_likelihood,
    prediction_margin,
    predictive_entropy,
)
from sksoft.metrics.smooth import smooth_calibration_error
from sksoft.metrics.soft_labels import soft_log_loss
from sksoft.metrics.sweep import monotone_sweep_calibration_error
from sksoft.metrics.temperature_curve import temperature_path

__all__ = [
    "CalibrationSums",
    "adaptive_calibration_error",
    "bootstrap_interval",
    "brier_decomposition",
    "brier_score",
    "calibration_error_interval",
    "calibration_report",
    "calibration_test",
    "calibration_tests",
    "canonical_calibration_error",
    "canonical_curve",
    "classwise_calibration_error",
    "corp_curve",
    "cox_calibration",
    "cumulative_calibration_error",
    "decision_gaps",
    "decision_rates",
    "equalized_odds",
    "expected_calibration_error",
    "far_field_report",
    "group_calibration",
    "group_calibration_metrics",
    "group_disparities",
    "kernel_calibration_error",
    "log_loss_decomposition",
    "mahalanobis_scores",
    "maximum_calibration_error",
    "metric_for_groups",
    "monotone_sweep_calibration_error",
    "multicalibration_error",
    "neg_adaptive_calibration_error",
    "neg_brier_score",
    "neg_canonical_calibration_error",
    "neg_classwise_calibration_error",
    "neg_cumulative_calibration_error",
    "neg_expected_calibration_error",
    "neg_group_calibration_gap",
    "neg_kernel_calibration_error",
    "neg_maximum_calibration_error",
    "neg_monotone_sweep_calibration_error",
    "neg_negative_log_likelihood",
    "neg_smooth_calibration_error",
    "neg_soft_log_loss",
    "neg_worst_group_calibration_error",
    "negative_log_likelihood",
    "neighbor_scores",
    "ood_scores",
    "prediction_margin",
    "predictive_entropy",
    "reliability_curve",
    "smooth_calibration_error",
    "soft_log_loss",
    "temperature_path",
]
