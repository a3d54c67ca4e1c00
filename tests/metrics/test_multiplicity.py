"""Adjusted p-values by hand, against SciPy, and their error rate by simulation."""

import numpy as np
import pytest
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from sksoft.metrics.multiplicity import benjamini_hochberg, holm, westfall_young


def test_holm_by_hand():
    # ordered .01 .02 .03 .04 times 4 3 2 1, then running maxima
    np.testing.assert_allclose(holm([0.04, 0.01, 0.03, 0.02]), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.5, 0.6]), [1.0, 1.0])
    np.testing.assert_allclose(holm([0.2]), [0.2])


def test_questions_not_asked_do_not_count():
    np.testing.assert_allclose(holm([np.nan, 0.02, np.nan, 0.03]), [np.nan, 0.04, np.nan, 0.04])
    assert holm([]).shape == (0,)


def test_westfall_young_of_independent_tests_is_about_sidak():
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal((40_000, 5))
    observed = np.array([3.0, 0.0, 0.0, 0.0, 0.0])
    expected = 1 - norm.cdf(3.0) ** 5
    np.testing.assert_allclose(westfall_young(observed, drawn)[0], expected, rtol=0.2)


def test_westfall_young_of_copies_of_one_test_does_not_adjust():
    drawn = np.tile(np.random.default_rng(0).standard_normal((999, 1)), (1, 50))
    observed = np.full(50, 2.0)
    expected = (1 + (drawn[:, 0] >= 2.0).sum()) / 1000
    np.testing.assert_allclose(westfall_young(observed, drawn), expected)


def test_westfall_young_can_reject_however_many_tests_there_are():
    rng = np.random.default_rng(0)
    observed = np.zeros(300)
    observed[7] = 9.0
    adjusted = westfall_young(observed, rng.standard_normal((999, 300)))
    assert adjusted[7] == 1 / 1000
    assert adjusted.argmin() == 7


def test_westfall_young_is_monotone_and_at_least_the_raw_p_value():
    rng = np.random.default_rng(1)
    drawn, observed = rng.gamma(2.0, size=(499, 12)), rng.gamma(2.0, size=12)
    adjusted = westfall_young(observed, drawn)
    standardised = (observed - drawn.mean(axis=0)) / drawn.std(axis=0)
    assert (np.diff(adjusted[np.argsort(-standardised)]) >= 0).all()
    assert (adjusted >= (1 + (drawn >= observed).sum(axis=0)) / 500).all()


def test_family_wise_error_rate():
    rng = np.random.default_rng(2)
    rejected = 0
    for _ in range(400):
        draws = rng.standard_normal((200, 1)) + rng.standard_normal((200, 8))  # correlated tests
        rejected += (westfall_young(draws[0], draws[1:]) <= 0.05).any()
    assert rejected <= 400 * 0.05 + 3 * np.sqrt(400 * 0.05 * 0.95)


def test_tests_whose_draws_do_not_vary():
    drawn = np.ones((99, 2))
    np.testing.assert_allclose(westfall_young(np.array([1.0, 2.0]), drawn), [1.0, 0.01])


@pytest.mark.parametrize(("adjustment", "name"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
def test_adjustments_are_those_of_statsmodels(adjustment, name):
    rng = np.random.default_rng(0)
    for m in (1, 2, 17, 200):
        p = rng.random(m) ** 3
        p[m // 3] = p[0]  # ties
        np.testing.assert_allclose(adjustment(p), multipletests(p, method=name)[1], rtol=1e-12)
        gaps = np.insert(p, m // 2, np.nan)
        np.testing.assert_allclose(np.delete(adjustment(gaps), m // 2), adjustment(p))
        assert np.isnan(adjustment(gaps)[m // 2])
    assert adjustment([]).size == 0
