"""Linear models of the scores."""

from sksoft.linear.fit_progress import objective_and_gap
from sksoft.linear.path import RegularizationPath
from sksoft.linear.softmax_regression import SoftmaxRegression

__all__ = ["RegularizationPath", "SoftmaxRegression", "objective_and_gap"]
