"""From y to indicators: what each kind of y means, and class weights acting on shares."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sksoft.linear.indicators import class_weights, read_indicators


def read(y):
    return read_indicators("SigmoidClassifier", y)


@pytest.mark.parametrize(
    ("y", "classes", "expected", "one_dimensional", "sparse_output"),
    [
        (["b", "a", "b"], ["a", "b"], [[1], [0], [1]], True, False),
        ([2.0, 5.0], [2.0, 5.0], [[0], [1]], True, False),
        ([[0, 1], [1, 1]], [0, 1], [[0, 1], [1, 1]], False, False),
        ([[False, True], [True, True]], [0, 1], [[0, 1], [1, 1]], False, False),
        (sparse.coo_matrix([[0, 1], [1, 1]]), [0, 1], [[0, 1], [1, 1]], False, True),
        (sparse.csr_array([[1], [0]]), [0], [[1], [0]], False, True),
        (pd.DataFrame({"x": [0, 1], "y": [1, 1]}), ["x", "y"], [[0, 1], [1, 1]], False, False),
        ([[0.2, 1.0], [0.9, 0.0]], [0, 1], [[0.2, 1.0], [0.9, 0.0]], False, False),
        ([[0.2], [1.0]], [0], [[0.2], [1.0]], False, False),
    ],
)
def test_what_y_means(y, classes, expected, one_dimensional, sparse_output):
    indicators = read(y)
    targets = indicators.targets
    assert targets.dtype == np.float64
    np.testing.assert_array_equal(targets.toarray() if sparse.issparse(targets) else targets, expected)
    assert indicators.classes.tolist() == classes
    assert (indicators.one_dimensional, indicators.sparse_output) == (one_dimensional, sparse_output)


def test_only_soft_labels_stay_dense():
    assert sparse.issparse(read([[0, 1], [1, 1]]).targets)
    assert not sparse.issparse(read([[0, 0.5], [1, 1]]).targets)
    assert read(sparse.csr_array(([0.0, 1.0], [0, 1], [0, 2]), shape=(1, 2))).targets.nnz == 1


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed"),
        ([0, 1, 2], "use SoftmaxRegression"),
        ([1, 1, 1], "contains only one class"),
        ([[0, 1], [1, np.nan]], "NaN"),
        ([[0, 1.5]], "Got 1.5 instead"),
        (sparse.csr_array([[0.0, -1.0]]), "Got -1 instead"),
        ([0.5, 0.25, 0.125], "Unknown label type"),
    ],
)
def test_other_y_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        read(y)


def test_class_weights_are_in_the_order_of_the_labels():
    indicators = read([[0, 1, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1]])
    shares = np.array([0.25, 0.75, 0.5])
    positive, negative = class_weights([{1: 3.0}, "balanced", None], indicators, shares)
    np.testing.assert_allclose(positive, [3.0, 4 / (2 * 3), 1.0])
    np.testing.assert_allclose(negative, [1.0, 4 / (2 * 1), 1.0])
    positive, negative = class_weights({"yes": 2.0, "no": 0.0}, read(["no", "yes"]), np.array([0.5]))
    assert (positive.tolist(), negative.tolist()) == ([2.0], [0.0])


def test_balanced_weights_of_a_constant_label_are_one():
    positive, negative = class_weights("balanced", read([[0, 1], [0, 0]]), np.array([0.0, 0.5]))
    assert (positive.tolist(), negative.tolist()) == ([1.0, 1.0], [1.0, 1.0])


@pytest.mark.parametrize("given", [{"yes": 1.0}, {0: np.nan}, {0: 0.0, 1: 0.0}, 3.0, [None]])
def test_other_class_weights_are_refused(given):
    with pytest.raises(ValueError, match="'class_weight' parameter must"):
        class_weights(given, read([[0, 1], [1, 0]]), np.array([0.5, 0.5]))
