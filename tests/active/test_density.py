"""The density of a pool, against explicit sums."""

import numpy as np
from scipy.spatial.distance import cdist

from sksoft.active.density import MOST_REFERENCES, density


def explicit(points, references):
    among = cdist(references, references)
    width = np.median(np.sort(among, axis=1)[:, int(np.ceil(np.sqrt(len(references))))])
    return np.exp(-(cdist(points, references) ** 2) / (2 * width**2)).mean(axis=1)


def test_small_pools_are_summed_whole():
    rng = np.random.default_rng(0)
    pool, points = rng.normal(size=(200, 3)), rng.normal(size=(50, 3))
    for shift in (0.0, 1e5):
        np.testing.assert_allclose(density(points + shift, pool + shift, None), explicit(points, pool), rtol=1e-6)


def test_large_pools_are_sampled_by_the_seed():
    pool = np.random.default_rng(1).normal(size=(3 * MOST_REFERENCES, 2))
    found = density(pool, pool, np.random.RandomState(0))
    np.testing.assert_array_equal(density(pool, pool, np.random.RandomState(0)), found)
    chosen = np.sort(np.random.RandomState(0).choice(len(pool), MOST_REFERENCES, replace=False))
    np.testing.assert_allclose(found, explicit(pool, pool[chosen]), rtol=1e-6)


def test_pools_of_copies_and_of_one_row():
    np.testing.assert_allclose(density(np.zeros((5, 2)), np.zeros((5, 2)), None), 1.0)
    np.testing.assert_allclose(density(np.ones((1, 2)), np.ones((1, 2)), None), 1.0)
    mostly = np.vstack([np.zeros((9, 2)), [[3.0, 4.0]]])
    found = density(mostly, mostly, None)
    assert (found[:9] == found[0]).all()
    assert 0 < found[9] < found[0] <= 1
