"""Displays draw what :mod:`sksoft.metrics` computed; matplotlib is imported when something is drawn."""

from sksoft.displays.attention import AttentionDisplay
from sksoft.displays.confidence import ConfidenceHistogramDisplay
from sksoft.displays.corp import CORPDisplay
from sksoft.displays.distillation import DistillationDisplay
from sksoft.displays.groups import GroupCalibrationDisplay
from sksoft.displays.hierarchy import HierarchyDisplay
from sksoft.displays.learning_curve import LearningCurveDisplay
from sksoft.displays.reliability import ReliabilityDisplay
from sksoft.displays.simplex import SimplexDisplay
from sksoft.displays.temperature import TemperaturePathDisplay

__all__ = [
    "AttentionDisplay",
    "CORPDisplay",
    "ConfidenceHistogramDisplay",
    "DistillationDisplay",
    "GroupCalibrationDisplay",
    "HierarchyDisplay",
    "LearningCurveDisplay",
    "ReliabilityDisplay",
    "SimplexDisplay",
    "TemperaturePathDisplay",
]
