"""Venn–Abers bounds against isotonic regression with the row added, one row at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from sksoft.calibration.venn_abers_bounds import venn_abers_bounds


def by_adding_the_row(scores, positive, weights, new, label):
    fit = IsotonicRegression(y_min=0.0, y_max=1.0).fit(
        np.append(scores, new), np.append(positive, label).astype(float), np.append(weights, 1.0)
    )
    return fit.predict([new])[0]


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(-6, 6), st.booleans(), st.integers(1, 4)), min_size=1, max_size=30),
    new=st.integers(-15, 15),
)
def test_is_isotonic_regression_with_one_row_more(rows, new):
    scores, positive, weights = (np.array(part) for part in zip(*rows))
    scores, weights, new = scores.astype(float), weights.astype(float), new / 2.0
    low, high = venn_abers_bounds(scores, positive, weights).at(np.array([new]))
    np.testing.assert_allclose(low[0], by_adding_the_row(scores, positive, weights, new, 0), atol=1e-12)
    np.testing.assert_allclose(high[0], by_adding_the_row(scores, positive, weights, new, 1), atol=1e-12)


@pytest.mark.parametrize("kind", ["calibrated", "noise", "separated", "turned"])
def test_long_hulls(kind):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=3000) * 2.0
    share = {
        "calibrated": 1 / (1 + np.exp(-scores)),
        "noise": np.full(3000, 0.3),
        "separated": scores > 0,
        "turned": scores < 0,
    }
    positive = rng.random(3000) < share[kind]
    bounds = venn_abers_bounds(scores, positive, np.ones(3000))
    assert (bounds.with_negative < bounds.with_positive).all()
    assert (np.diff(bounds.with_negative) >= -1e-15).all()
    assert (np.diff(bounds.with_positive) >= -1e-15).all()
    for new in np.append(rng.choice(scores, 8), rng.normal(size=4)):
        low, high = bounds.at(np.array([new]))
        np.testing.assert_allclose(low[0], by_adding_the_row(scores, positive, np.ones(3000), new, 0), atol=1e-11)
        np.testing.assert_allclose(high[0], by_adding_the_row(scores, positive, np.ones(3000), new, 1), atol=1e-11)


def test_outside_of_all_scores():
    bounds = venn_abers_bounds(np.array([0.0, 1.0]), np.array([True, False]), np.ones(2))
    low, high = bounds.at(np.array([-1.0, 2.0]))
    np.testing.assert_array_equal(low, [0.0, 1 / 3])
    np.testing.assert_array_equal(high, [2 / 3, 1.0])
