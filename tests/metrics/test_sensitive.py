"""Sensitive features of every container and type; cells add up to groups and intersections."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sksoft.metrics.sensitive import partition_rows

SEX = ["f", "m", "m", "f", "m", "f"]
AGE = [30, 5, 30, 5, 30, 5]


def described(features, n_rows=6, kept=None):
    """(feature, group) -> rows, for every level."""
    partition = partition_rows(features, n_rows, kept)
    return {
        (level.kind, level.feature, group): np.flatnonzero(level.members[partition.codes] == i).tolist()
        for level in partition.levels
        for i, group in enumerate(level.groups)
    }


BOTH = {
    ("overall", "", "overall"): [0, 1, 2, 3, 4, 5],
    ("group", "sex", "f"): [0, 3, 5],
    ("group", "sex", "m"): [1, 2, 4],
    ("group", "age", "5"): [1, 3, 5],
    ("group", "age", "30"): [0, 2, 4],
    ("intersection", "sex × age", "f × 5"): [3, 5],
    ("intersection", "sex × age", "f × 30"): [0],
    ("intersection", "sex × age", "m × 5"): [1],
    ("intersection", "sex × age", "m × 30"): [2, 4],
}


@pytest.mark.parametrize(
    "features",
    [
        pd.DataFrame({"sex": SEX, "age": AGE}),
        pl.DataFrame({"sex": SEX, "age": AGE}),
        {"sex": SEX, "age": AGE},
        {"sex": pd.Categorical(SEX, categories=["unused", "m", "f"]), "age": np.array(AGE, dtype=np.int8)},
    ],
    ids=["pandas", "polars", "dict", "categorical"],
)
def test_groups_and_intersections(features):
    assert described(features) == BOTH


@pytest.mark.parametrize(
    ("features", "name"),
    [
        (pd.Series(SEX, name="sex"), "sex"),
        (pl.Series("sex", SEX), "sex"),
        (SEX, "group"),
        (np.array(SEX), "group"),
        (np.array(SEX, dtype=object), "group"),
        (pd.Series(SEX, dtype="category"), "group"),
        (pd.Index(SEX, name="sex"), "sex"),
        (np.array(SEX)[:, None], "feature_0"),
    ],
)
def test_one_feature_in_any_container(features, name):
    expected = {
        ("overall", "", "overall"): [0, 1, 2, 3, 4, 5],
        ("group", name, "f"): [0, 3, 5],
        ("group", name, "m"): [1, 2, 4],
    }
    assert described(features) == expected


@pytest.mark.parametrize(
    "features",
    [
        ["a", None, "b", float("nan"), "a", "b"],
        pd.Series(["a", None, "b", None, "a", "b"]),
        pd.Series(["a", None, "b", None, "a", "b"], dtype="category"),
        pl.Series(["a", None, "b", None, "a", "b"]),
        np.array(["a", None, "b", np.nan, "a", "b"], dtype=object),
    ],
)
def test_missing_values_are_a_group_of_their_own(features):
    rows = {group: rows for (kind, _, group), rows in described(features).items() if kind == "group"}
    assert rows == {"a": [0, 4], "b": [2, 5], "(missing)": [1, 3]}


@pytest.mark.parametrize("same_object", [True, False])
def test_equal_texts_are_one_group_whether_or_not_they_are_one_object(same_object):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 5, 400)
    texts = np.array(["a", "b", "c", None, float("nan")], dtype=object)[codes]
    if not same_object:
        texts = np.array(
            [f"{t} {i}".split()[0] if isinstance(t, str) else t for i, t in enumerate(texts)], dtype=object
        )
    expected = np.minimum(codes, 3)
    partition = partition_rows(texts, 400)
    assert partition.levels[1].groups == ["a", "b", "c", "(missing)"]
    np.testing.assert_array_equal(partition.codes, expected)


def test_missing_numbers_and_a_group_of_the_same_name():
    rows = [rows for (kind, _, _), rows in described([1.5, np.nan, 1.5, np.nan, 0.5, 0.5]).items() if kind == "group"]
    assert rows == [[4, 5], [0, 2], [1, 3]]
    partition = partition_rows(np.array(["(missing)", None], dtype=object), 2)
    assert partition.levels[1].groups == ["(missing)", "(missing)"]
    assert partition.n_cells == 2


def test_booleans_mixed_types_and_hostile_names():
    rows = described([True, False, True, True, False, True])
    assert rows["group", "group", "False"] == [1, 4]
    mixed = described(np.array(["a", 1, "a", 2.5, 1, "a"], dtype=object))
    assert mixed["group", "group", "a"] == [0, 2, 5]
    hostile = ["<script>", "=1+1", "$\\frac{$", "<script>", "a × b", ""]
    assert described(hostile)["group", "group", "<script>"] == [0, 3]


def test_rows_left_out_leave_no_group():
    kept = np.array([True, False, False, True, False, True])
    assert described(pd.Series(SEX, name="sex"), 6, kept) == {
        ("overall", "", "overall"): [0, 1, 2],
        ("group", "sex", "f"): [0, 1, 2],
    }


def test_many_features_whose_product_overflows():
    rng = np.random.default_rng(0)
    features = {f"f{j}": rng.integers(0, 1000, 300) for j in range(9)}
    partition = partition_rows(features, 300)
    assert partition.n_cells == 300
    for level, values in zip(partition.levels[1:-1], features.values()):
        names = np.array(level.groups)[level.members[partition.codes]]
        np.testing.assert_array_equal(names, values.astype(str))


def test_cells_add_up():
    rng = np.random.default_rng(0)
    features = {"a": rng.integers(0, 3, 100), "b": rng.integers(0, 4, 100)}
    partition, values = partition_rows(features, 100), rng.random((100, 5))
    cells = np.zeros((partition.n_cells, 5))
    np.add.at(cells, partition.codes, values)
    for level, column in zip(partition.levels, [np.zeros(100, dtype=int), *features.values()]):
        expected = np.stack([values[column == g].sum(axis=0) for g in np.unique(column)])
        np.testing.assert_allclose(level.add_up(cells), expected, rtol=1e-13)
        np.testing.assert_allclose(level.add_up(np.stack([cells, 2 * cells]))[1], 2 * expected, rtol=1e-13)


def test_cells_in_another_order_than_the_groups():
    # as many cells as groups of each feature, but the second feature orders them the other way round
    partition = partition_rows({"a": [0, 1, 2], "b": [9, 8, 7]}, 3)
    cells = np.zeros((3, 1))
    np.add.at(cells, partition.codes, np.array([[1.0], [2.0], [3.0]]))
    _, a, b, _ = partition.levels
    assert dict(zip(a.groups, a.add_up(cells)[:, 0])) == {"0": 1, "1": 2, "2": 3}
    assert dict(zip(b.groups, b.add_up(cells)[:, 0])) == {"9": 1, "8": 2, "7": 3}


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (SEX[:5], "inconsistent numbers of samples.*5 rows and y_true 6"),
        (pd.DataFrame(np.ones((6, 2)), columns=["a", "a"]), "duplicate column names"),
        (np.ones((6, 1, 1)), "one or two dimensions"),
        ({}, "at least one column"),
        (pd.DataFrame(index=range(6)), "at least one column"),
    ],
)
def test_bad_features_are_named(features, message):
    with pytest.raises(ValueError, match=message):
        partition_rows(features, 6)


def test_values_that_cannot_be_hashed_are_named():
    with pytest.raises(TypeError, match="sensitive_features must hold values that can be hashed"):
        partition_rows([{1}, {2}], 2)
