"""Calibrators, whose X is scores, and the classifier that puts one behind any other classifier."""

from sksoft.calibration.adaptive_temperature_scaler import AdaptiveTemperatureScaler
from sksoft.calibration.binary_scaler import BinaryScaler
from sksoft.calibration.calibrated_softmax_classifier import CalibratedSoftmaxClassifier
from sksoft.calibration.dirichlet_calibrator import DirichletCalibrator
from sksoft.calibration.ensemble_temperature_scaler import EnsembleTemperatureScaler
from sksoft.calibration.group_temperature_scaler import GroupTemperatureScaler
from sksoft.calibration.identity_calibrator import IdentityCalibrator
from sksoft.calibration.isotonic_calibrator import IsotonicCalibrator
from sksoft.calibration.matrix_scaler import MatrixScaler
from sksoft.calibration.prior_shift_adjuster import PriorShiftAdjuster
from sksoft.calibration.structured_matrix_scaler import StructuredMatrixScaler
from sksoft.calibration.temperature_scaler import TemperatureScaler
from sksoft.calibration.vector_scaler import VectorScaler
from sksoft.calibration.venn_abers_calibrator import VennAbersCalibrator

__all__ = [
    "AdaptiveTemperatureScaler",
    "BinaryScaler",
    "CalibratedSoftmaxClassifier",
    "DirichletCalibrator",
    "EnsembleTemperatureScaler",
    "GroupTemperatureScaler",
    "IdentityCalibrator",
    "IsotonicCalibrator",
    "MatrixScaler",
    "PriorShiftAdjuster",
    "StructuredMatrixScaler",
    "TemperatureScaler",
    "VectorScaler",
    "VennAbersCalibrator",
]
