"""Labels of every type find their column, through the table and through the hash."""

import numpy as np
import pandas as pd
import pytest

from sksoft.metrics.labels import encode_labels, sorted_labels, zero_one

LABELS = {
    "0..2": np.array([0, 1, 2]),
    "1..3": np.array([1, 2, 3]),
    "negative": np.array([-7, -1, 5]),
    "int8 across its range": np.array([-128, 0, 127], dtype=np.int8),
    "uint64": np.array([2**63, 2**63 + 5, 2**64 - 1], dtype=np.uint64),
    "far apart": np.array([-(2**62), 0, 2**62]),
    "floats": np.array([-0.5, 1.0, 2.5]),
    "strings": np.array(["apple", "b", "czech"]),
    "objects": np.array(["apple", "b", "czech"], dtype=object),
    "booleans": np.array([False, True]),
    "dates": np.array(["2020-01-01", "2021-01-01"], dtype="datetime64[D]"),
}


@pytest.mark.parametrize("name", LABELS)
def test_sorted_labels_and_their_positions(name):
    classes = LABELS[name]
    codes = np.random.default_rng(0).permutation(np.arange(200) % len(classes))
    found = sorted_labels(classes[codes])
    np.testing.assert_array_equal(found, classes)
    np.testing.assert_array_equal(encode_labels(classes[codes], found), codes)
    reverse = classes[::-1]
    np.testing.assert_array_equal(encode_labels(classes[codes], reverse), len(classes) - 1 - codes)


@pytest.mark.parametrize("name", LABELS)
def test_unknown_labels_are_minus_one(name):
    classes = LABELS[name]
    np.testing.assert_array_equal(encode_labels(classes, classes[1:])[:2], [-1, 0])


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (np.array([True, False]), np.array([0, 1])),
        (np.array([1, 0]), np.array([False, True])),
        (np.array([1.0, 0.0]), np.array([0, 1])),
        (np.array([1, 0]), np.array([0.0, 1.0])),
        (np.array([1, 0]), np.array([0, 1], dtype=object)),
        (np.array(["1", "0"], dtype=object), np.array(["0", "1"])),
        (np.array([1, 0], dtype=np.uint8), np.array([0, 1])),
    ],
)
def test_equal_labels_of_other_types_meet(y, classes):
    np.testing.assert_array_equal(encode_labels(y, classes), [1, 0])


def test_a_number_is_not_its_text():
    np.testing.assert_array_equal(encode_labels(np.array([0, 1]), np.array(["0", "1"])), [-1, -1])


def test_labels_of_several_types_are_refused():
    with pytest.raises(ValueError, match="labels of one type"):
        sorted_labels(np.array(["a", 1], dtype=object))


def test_categorical_labels():
    y = pd.Categorical(["b", "a", "b"], categories=["b", "a", "unused"])
    np.testing.assert_array_equal(sorted_labels(np.asarray(y)), ["a", "b"])


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int64, np.uint64, np.float32, np.float64])
def test_zero_and_one_are_recognised_in_every_type(dtype):
    np.testing.assert_array_equal(zero_one(np.array([0, 1, 1]).astype(dtype)), [0, 1, 1])


@pytest.mark.parametrize("y", [[0, 2], [-1, 1], [-2, -1], [0.0, 0.5], [0.0, np.nan], ["0", "1"]])
def test_other_labels_are_not_taken_for_zero_and_one(y):
    assert zero_one(np.array(y)) is None


INTEGERS = [np.bool_, np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64]


@pytest.mark.parametrize("of_classes", INTEGERS)
@pytest.mark.parametrize("of_y", INTEGERS)
def test_integers_of_other_widths_meet_only_themselves(of_y, of_classes):
    rng = np.random.default_rng(0)

    def draw(dtype, size):
        ends = (0, 1) if dtype is np.bool_ else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        numbers = (-(2**63), -129, -128, -1, 0, 1, 127, 254, 255, 2**31 - 2, 2**31 - 1, 2**64 - 2, *ends)
        return rng.choice(np.array([n for n in numbers if ends[0] <= n <= ends[1]], dtype), size)

    for _ in range(20):
        y, classes = draw(of_y, 5), np.unique(draw(of_classes, 5))
        known = [int(label) for label in classes]
        expected = [known.index(int(label)) if int(label) in known else -1 for label in y]
        assert encode_labels(y, classes).tolist() == expected
