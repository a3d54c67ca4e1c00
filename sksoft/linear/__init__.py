"""Linear models of the scores."""

from sksoft.linear.coherence import ovr_incoherence
from sksoft.linear.fit_progress import objective_and_gap
from sksoft.linear.inference import HypothesisTest, SoftmaxInference
from sksoft.linear.inference_diagnoses import Diagnosis, diagnose
from sksoft.linear.path import RegularizationPath
from sksoft.linear.sigmoid_classifier import SigmoidClassifier
from sksoft.linear.softmax_regression import SoftmaxRegression
from sksoft.linear.softmax_regression_cv import SoftmaxRegressionCV

__all__ = [
    "Diagnosis",
    "HypothesisTest",
    "RegularizationPath",
    "SigmoidClassifier",
    "SoftmaxInference",
    "SoftmaxRegression",
    "SoftmaxRegressionCV",
    "diagnose",
    "objective_and_gap",
    "ovr_incoherence",
]
