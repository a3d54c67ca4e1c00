"""Linear models of the scores."""

from sksoft.linear.softmax_regression import SoftmaxRegression

__all__ = ["SoftmaxRegression"]
