"""Logarithms of probabilities with the floor of scikit-learn's log_loss."""

import numpy as np

from sksoft.metrics.logits import columns_of, log_proba
from sksoft.metrics.predictions import check_predictions


def test_floor():
    eps = np.finfo(float).eps
    np.testing.assert_array_equal(log_proba([[0.0, 1.0], [0.25, 0.75]]), np.log([[eps, 1.0], [0.25, 0.75]]))
    assert log_proba(np.float32([0.5])).dtype == np.float64


def test_columns_of_the_positive_class():
    np.testing.assert_array_equal(columns_of(check_predictions([0, 1], [0.25, 0.5])), [[0.75, 0.25], [0.5, 0.5]])
