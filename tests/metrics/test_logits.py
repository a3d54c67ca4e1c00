"""Logarithms of probabilities with the floor of scikit-learn's log_loss."""

import numpy as np

from sksoft.metrics.logits import log_proba


def test_floor():
    eps = np.finfo(float).eps
    np.testing.assert_array_equal(log_proba([[0.0, 1.0], [0.25, 0.75]]), np.log([[eps, 1.0], [0.25, 0.75]]))
    assert log_proba(np.float32([0.5])).dtype == np.float64
