"""The search itself: its unit, its bounds, and samples that do not see the order of rows."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from sksoft.attention import bandwidth_search
from sksoft.attention.bandwidth import choose_bandwidth
from sksoft.attention.bandwidth_search import RANGE, Search
from sksoft.attention.distinct_rows import distinct_rows

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 2))
Y = np.sin(2.0 * X[:, :1]) + 0.1 * RNG.normal(size=(90, 1))


def search(X=X, kernel="gaussian", **options):
    settings = {"loss": "squared", "degree": 0, "prior": (False, 0.0), "max_iter": 100, "tol": 1e-4, "random_state": 0}
    return Search(distinct_rows(X, Y, np.ones(90)), kernel, **(settings | options))


def test_the_unit_is_the_median_distance_to_the_tenth_neighbour():
    tenth = np.sort(cdist(X, X), axis=1)[:, 10]  # the row itself is first
    assert search().near_distance() == pytest.approx(np.median(tenth), rel=1e-10)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_of_the_features_do_not_matter(scale):
    bandwidths = [choose_bandwidth(Z, Y, np.ones(90), metric="ard", tol=1e-6).bandwidth for Z in (X, scale * X)]
    np.testing.assert_allclose(bandwidths[1], scale * bandwidths[0], rtol=1e-2)


def test_bandwidths_stay_between_their_bounds():
    noise = RNG.normal(size=(90, 1))  # nothing to be learned: as wide as it gets
    chosen = choose_bandwidth(X, noise, np.ones(90), metric="ard", tol=1e-12, max_iter=30, starts=(4.0,))
    assert (chosen.bandwidth[0] <= 1.001 * RANGE[1] * X.std(axis=0)).all()
    assert (chosen.bandwidth[0] >= 0.999 * RANGE[0] * X.std(axis=0)).all()
    assert chosen.loss <= 1.1 * noise.var()


def test_a_sample_of_queries_leads_to_the_optimum_over_all(monkeypatch):
    everything = choose_bandwidth(X, Y, np.ones(90), metric="ard", tol=1e-6)
    monkeypatch.setattr(bandwidth_search, "ALL_QUERIES", 50)
    monkeypatch.setattr(bandwidth_search, "SAMPLED_QUERIES", 40)
    sampled = choose_bandwidth(X, Y, np.ones(90), metric="ard", tol=1e-6, random_state=0)
    assert sampled.loss == pytest.approx(everything.loss, rel=1e-6)
    order = RNG.permutation(90)
    rows = [distinct_rows(Z, Y, np.ones(90)).X for Z in (X, X[order])]
    first, second = search().queries, search(X[order]).queries
    assert len(first) == 40
    assert set(map(bytes, rows[0][first])) == set(map(bytes, rows[1][second]))
    assert set(first) != set(search(random_state=1).queries)


def test_a_linear_metric_starts_from_bandwidths_of_features_too(monkeypatch):
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(400, 6))
    y = np.sin(3.0 * Z[:, :1]) + 0.3 * Z[:, 1:2] + 0.1 * rng.normal(size=(400, 1))  # features matter one by one
    one, two = [], []
    for least, held in ((1000, one), (100, two)):
        monkeypatch.setattr(bandwidth_search, "TWO_WAYS", least)
        held.append(choose_bandwidth(Z, y, np.ones(400), metric="linear").starts[-1])
    assert two[0] < 0.9 * one[0]
