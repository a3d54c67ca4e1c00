"""What y says of which nodes."""

import numpy as np
import pytest
from scipy import sparse

from sksoft.attention.node_labels import read_node_labels
from sksoft.objective.links import Sigmoid, Softmax

X = np.zeros((5, 2))


def read(y, weights=None, has_graph=True):
    return read_node_labels("Model", X, y, weights, has_graph)


def test_three_classes_have_three_scores_and_two_have_one():
    three = read(["c", "a", "b", "a", "c"])
    np.testing.assert_array_equal(three.classes, ["a", "b", "c"])
    np.testing.assert_array_equal(three.target.codes, [2, 0, 1, 0, 2])
    assert three.n_scores == 3
    assert three.loss.link == Softmax()
    two = read([5, -1, 3, 3, -1])
    np.testing.assert_array_equal(two.rows, [0, 2, 3])
    np.testing.assert_array_equal(two.target.proba[:, 0], [1, 0, 0])
    assert two.n_scores == 1
    assert two.loss.link == Sigmoid()


def test_minus_one_marks_the_unknown_with_a_graph_only():
    y = [0, 1, -1, 2, -1]
    np.testing.assert_array_equal(read(y).rows, [0, 1, 3])
    np.testing.assert_array_equal(read(y, has_graph=False).classes, [-1, 0, 1, 2])


def test_weight_zero_is_unknown_whatever_the_label():
    labels = read(["a", "b", "rare", "a", "b"], [1.0, 2.0, 0.0, 0.5, 0.0])
    np.testing.assert_array_equal(labels.classes, ["a", "b"])
    np.testing.assert_array_equal(labels.weights, [1.0, 2.0, 0.5])


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_indicators(form):
    labels = read(form(np.array([[1, 0], [0, 0], [1, 1], [0, 1], [1, 0]])))
    assert labels.multilabel
    assert labels.n_scores == 2
    np.testing.assert_array_equal(labels.target.proba[2], [1.0, 1.0])


def test_a_row_of_minus_one_is_unknown():
    labels = read(np.array([[1, 0], [-1, -1], [1, 1], [0, 1], [-1, -1]]))
    np.testing.assert_array_equal(labels.rows, [0, 2, 3])
