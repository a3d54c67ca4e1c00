"""Diverse batches: the objective against brute force and explicit loops, coverage, outliers, labelled rows."""

from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from sksoft.active.distances import by_blocks, nearest, squared_distances
from sksoft.active.diverse import diverse_rows


def draw(points, uncertainty, known, n_rows, seed=0):
    return diverse_rows(points, uncertainty, known, n_rows, np.random.RandomState(seed))


def blobs(centres, n_each, spread=0.1, seed=0):
    rng = np.random.default_rng(seed)
    return np.concatenate([c + spread * rng.normal(size=(n_each, len(c))) for c in np.asarray(centres, float)])


NOTHING = np.empty((0, 2))


def test_distances_are_scipys():
    rng = np.random.default_rng(0)
    points, centres = rng.normal(size=(300, 4)), rng.normal(size=(7, 4))
    expected = cdist(points, centres, "sqeuclidean")
    np.testing.assert_allclose(squared_distances(points, centres), expected, atol=1e-12)
    which, squared = nearest(points, centres)
    np.testing.assert_array_equal(which, expected.argmin(axis=1))
    np.testing.assert_allclose(squared, expected.min(axis=1), atol=1e-12)
    np.testing.assert_array_equal(by_blocks(points, 1 << 16, lambda rows: rows[:, 0]), points[:, 0])


@pytest.mark.parametrize("seed", range(5))
def test_one_row_of_each_of_separate_clusters(seed):
    points = blobs([(0, 0), (10, 0), (0, 10), (10, 10)], 25)
    rows = draw(points, np.ones(100), NOTHING, 4, seed)
    assert sorted(rows // 25) == [0, 1, 2, 3]


def test_clusters_with_a_label_are_left():
    points = blobs([(0, 0), (10, 0), (0, 10), (10, 10)], 25)
    rows = draw(points, np.ones(100), np.array([[0.0, 0.0], [10.0, 10.0]]), 2)
    assert sorted(rows // 25) == [1, 2]


def test_rows_that_are_certain_do_not_count():
    points = blobs([(0, 0), (10, 0), (0, 10), (10, 10)], 25)
    uncertainty = np.where(np.arange(100) < 50, 1e-9, 1.0)
    assert set(draw(points, uncertainty, NOTHING, 2) // 25) == {2, 3}


def test_an_outlier_is_not_asked_for():
    points = np.vstack([blobs([(0, 0), (4, 0), (0, 4), (4, 4)], 25), [[60.0, 60.0]]])
    for seed in range(5):
        assert 100 not in draw(points, np.ones(101), NOTHING, 4, seed)


def weighted_error(points, weights, known, centres):
    """F, by explicit loops."""
    total = 0.0
    for x, w in zip(points, weights):
        total += w * min(float(((x - c) ** 2).sum()) for c in [*known, *centres])
    return total


def test_error_is_near_that_of_the_best_of_all_batches():
    rng = np.random.default_rng(3)
    points, uncertainty, known = rng.normal(size=(24, 2)), rng.uniform(0.2, 1, 24), rng.normal(size=(2, 2))
    weights = (uncertainty / uncertainty.max()) ** 2
    every = [weighted_error(points, weights, known, points[list(rows)]) for rows in combinations(range(24), 3)]
    found = [weighted_error(points, weights, known, points[draw(points, uncertainty, known, 3, s)]) for s in range(10)]
    assert np.mean(found) < np.quantile(every, 0.1)


def test_distinct_rows_of_a_pool_of_copies_and_of_all_of_it():
    points = np.zeros((30, 2))
    assert len(set(draw(points, np.ones(30), np.zeros((1, 2)), 10))) == 10
    assert sorted(draw(np.arange(20.0).reshape(10, 2), np.zeros(10), NOTHING, 10)) == list(range(10))


def test_far_from_the_origin_and_at_any_scale_of_the_score():
    points = blobs([(0, 0), (10, 0), (0, 10)], 20)
    rows = draw(points, np.full(60, 0.3), NOTHING, 3)
    np.testing.assert_array_equal(draw(points + 1e6, np.full(60, 0.3), NOTHING, 3), rows)
    np.testing.assert_array_equal(draw(points, np.full(60, 3e-200), NOTHING, 3), rows)
