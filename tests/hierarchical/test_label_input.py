"""Labels and weights as fits take them: repetition, removal, every type, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sksoft.hierarchical.label_input import read_rows

X = np.zeros((6, 1))


def read(y, **options):
    return read_rows("Model", X[: len(y)], y, **options)


LABELS = {
    "str": ["b", "a", "c", "a", "b", "b"],
    "object": np.array(["b", "a", "c", "a", "b", "b"], object),
    "negative": [-3, 7, 0, 7, -3, -3],
    "huge": [-(2**62), 2**62, 5, 2**62, -(2**62), -(2**62)],
    "float": [1.0, -2.0, 3.0, -2.0, 1.0, 1.0],
    "bool": [True, False, True, False, True, True],
    "uint8": np.array([255, 0, 3, 0, 255, 255], np.uint8),
    "series": pd.Series(["b", "a", "c", "a", "b", "b"], dtype="category"),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_any_type(kind):
    rows = read(LABELS[kind])
    assert rows.classes[rows.codes].tolist() == list(LABELS[kind])
    assert rows.classes.tolist() == sorted(set(LABELS[kind]))
    assert rows.kept.all()


def test_weight_zero_is_removal_of_rows_and_classes():
    rows = read(["b", "a", "c", "a", "b", "b"], sample_weight=[1, 0, 0, 0, 2, 0])
    assert rows.classes.tolist() == ["b"]
    assert rows.kept.tolist() == [True, False, False, False, True, False]
    assert rows.weights.tolist() == [1.0, 2.0]
    rows = read([0, 1, 2, 0, 1, 2], class_weight={0: 1.0, 1: 0.0, 2: 3.0})
    assert rows.classes.tolist() == [0, 2]
    assert rows.classes[rows.codes].tolist() == [0, 2, 0, 2]
    assert rows.weights.tolist() == [1.0, 3.0, 1.0, 3.0]


def test_balanced_classes_weigh_the_same():
    weight = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 0.0])
    rows = read([0, 1, 1, 1, 0, 2], sample_weight=weight, class_weight="balanced")
    assert rows.classes.tolist() == [0, 1]
    np.testing.assert_allclose(np.bincount(rows.codes, weights=rows.weights), [7.5, 7.5])


def test_given_weights_are_left_as_they_are():
    weight = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    read([0, 1, 1, 1, 0, 2], sample_weight=weight, class_weight="balanced")
    assert weight.tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        (np.eye(3, dtype=int), {}, r"indicator matrix of shape \(3, 3\).*SigmoidClassifier"),
        (sparse.csr_array(np.eye(3, dtype=int)), {}, "SigmoidClassifier"),
        ([[1, 0], [1, 1], [0, 0]], {}, "SigmoidClassifier"),
        ([[1, 5], [7, 1], [0, 0]], {}, "1d array"),
        ([0.5, 1.5], {}, "continuous"),
        ([1.0, np.nan], {}, "NaN"),
        ([1.0, np.inf], {}, "infinity"),
        (np.array([1, "a"], object), {}, r"one type. Got a mix of \['int', 'str'\]"),
        (np.array(["a", None], object), {}, "one type"),
        ([0, 1], {"sample_weight": [1.0, -1.0]}, "Negative"),
        ([0, 1], {"sample_weight": [1.0, np.nan]}, "NaN"),
        ([0, 1], {"sample_weight": [0.0, 0.0]}, "non-zero"),
        ([0, 1], {"sample_weight": [1.0]}, "sample_weight.shape"),
        ([0, 1], {"sample_weight": [1e308, 1e308]}, "sum of the weights must be finite"),
        ([0, 1], {"class_weight": {0: 0.0, 1: 0.0}}, "must not all be zero"),
        ([0, 1], {"class_weight": {0: -1.0}}, "finite weights >= 0"),
        ([0, 1], {"class_weight": {0: np.inf}}, "finite weights >= 0"),
        ([0, 5], {"classes": np.array([0, 1])}, "holds the label 5, which is not among Model's classes"),
        (["a", "z"], {"classes": np.array(["a", "b"])}, "holds the label 'z'"),
        (["a", "z"], {"classes": np.array([0, 1])}, "holds the label 'a'"),
    ],
)
def test_refused(y, options, message):
    with pytest.raises(ValueError, match=message):
        read_rows("Model", np.zeros((np.shape(y)[0], 1)), y, **options)


def test_no_labels_and_another_number_of_them():
    with pytest.raises(ValueError, match="requires y to be passed"):
        read_rows("Model", X, None)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        read_rows("Model", X, [0, 1])
