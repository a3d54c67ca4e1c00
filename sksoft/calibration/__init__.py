"""Calibrators, whose X is scores, and the classifier that puts one behind any other classifier."""

from sksoft.calibration.binary_scaler import BinaryScaler
from sksoft.calibration.calibrated_softmax_classifier import CalibratedSoftmaxClassifier
from sksoft.calibration.ensemble_temperature_scaler import EnsembleTemperatureScaler
from sksoft.calibration.prior_shift_adjuster import PriorShiftAdjuster
from sksoft.calibration.temperature_scaler import TemperatureScaler

__all__ = [
    "BinaryScaler",
    "CalibratedSoftmaxClassifier",
    "EnsembleTemperatureScaler",
    "PriorShiftAdjuster",
    "TemperatureScaler",
]
