"""Distinct rows: what is merged, what is left out together, and that nothing depends on how the rows are written."""

import numpy as np
import pytest

from sksoft.attention.distinct_rows import distinct_rows

X = np.array([[0.0, 1.0], [2.0, 1.0], [-0.0, 1.0], [3.0, 0.0], [2.0, 1.0]])
T = np.array([[1.0], [4.0], [3.0], [5.0], [7.0]])


def test_rows_with_the_same_features_are_one_row_with_their_mean():
    rows = distinct_rows(X, T, np.array([1.0, 1.0, 3.0, 2.0, 0.0]))
    np.testing.assert_array_equal(rows.X, [[0.0, 1.0], [2.0, 1.0], [3.0, 0.0]])
    np.testing.assert_array_equal(rows.weights, [4.0, 1.0, 2.0])
    np.testing.assert_array_equal(rows.targets, [[2.5], [4.0], [5.0]])
    np.testing.assert_array_equal(rows.row, [0, 1, 0, 2, -1])
    assert rows.spread == pytest.approx((1.5**2 + 3 * 0.5**2) / 7.0, rel=1e-15)
    assert rows.prior[0] == pytest.approx((1 + 4 + 9 + 10) / 7.0, rel=1e-15)


def test_the_squared_loss_of_merged_rows_is_that_of_all_but_for_the_spread():
    weights, answer = np.array([1.0, 2.0, 3.0, 2.0, 1.0]), np.array([[1.7]])
    rows = distinct_rows(X, T, weights)
    merged = rows.weights @ ((rows.targets - answer) ** 2).sum(axis=1) / rows.total + rows.spread
    assert merged == pytest.approx(weights @ (T[:, 0] - 1.7) ** 2 / weights.sum(), rel=1e-14)


def test_copies_in_other_groups_stay():
    rows = distinct_rows(X, T, np.ones(5), groups=np.array(["b", "a", "a", "a", "a"]))
    assert len(rows.X) == 4
    np.testing.assert_array_equal(rows.left_out, [1, 0, 0, 0])
    assert len(set(rows.keys[1:])) == 1
    assert rows.keys[0] != rows.keys[1]


@pytest.mark.parametrize("grouped", [False, True])
def test_the_fifth_is_chosen_by_content(grouped):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 3))
    groups = rng.integers(0, 30, 100) if grouped else None
    held = distinct_rows(X, X, np.ones(100), groups)
    twice = np.concatenate([np.arange(100), np.arange(50)])
    order = np.random.default_rng(1).permutation(twice)
    moved = distinct_rows(X[order], X[order], np.ones(150), groups[order] if grouped else None)
    first, second = (set(map(bytes, rows.X[rows.fifth()])) for rows in (held, moved))
    assert first == second
    if grouped:
        assert not set(held.left_out[held.fifth()]) & set(held.left_out[~held.fifth()])
    else:
        assert len(first) == 20


def test_the_fifth_is_neither_none_nor_all():
    assert distinct_rows(X[:2], T[:2], np.ones(2)).fifth().sum() == 1


@pytest.mark.parametrize(
    ("weights", "groups", "message"),
    [
        ([1.0, 0.0, 1.0, 0.0, 0.0], None, "at least two distinct rows of positive weight, got 1"),
        (np.ones(5), np.zeros(5), "at least two groups with rows of positive weight, got 1"),
    ],
)
def test_one_row_or_group_is_an_error(weights, groups, message):
    with pytest.raises(ValueError, match=message):
        distinct_rows(X, T, np.asarray(weights), groups)
