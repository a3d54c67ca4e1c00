"""Cumulative calibration errors against a plain loop, MAPIE, simulated Brownian motion and the laws of its extremes."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from sksoft.metrics import cumulative_calibration_error
from sksoft.metrics.cumulative import cumulative_statistics, ks_p_value, kuiper_p_value


def problem(n_rows=200):
    """Without ties and without a generator, so that other packages could be given the same rows."""
    i = np.arange(n_rows)
    scores = (i * 0.6180339887498949) % 1
    return scores, (((i * 0.7548776662466927) % 1) < scores**1.3).astype(int)


def brute_force(scores, hits, weights):
    total, walk = weights.sum(), [0.0]
    for score in np.unique(scores):
        rows = scores == score
        walk.append(walk[-1] + (weights[rows] * (hits[rows] - score)).sum() / total)
    return max(map(abs, walk)), max(walk) - min(walk)


def test_agrees_with_mapie():
    # MAPIE 1.6.0: kolmogorov_smirnov_statistic, kuiper_statistic (both divided by length_scale) and their p-values;
    # it adds a jitter of 1e-9 to the scores.
    scores, hits = problem()
    found = cumulative_statistics(scores, hits)
    assert found.sigma == pytest.approx(0.0287974534953633, rel=1e-12)
    assert found.ks / found.sigma == pytest.approx(2.545258916580166, rel=1e-7)
    assert found.kuiper / found.sigma == pytest.approx(2.545258916580166, rel=1e-7)
    assert ks_p_value(found.ks / found.sigma) == pytest.approx(0.021839347510764995, rel=1e-6)
    assert kuiper_p_value(found.kuiper / found.sigma) == pytest.approx(0.043675838326004635, rel=1e-6)


def test_distribution_functions_agree_with_mapie():
    # MAPIE 1.6.0: kolmogorov_smirnov_cdf and kuiper_cdf
    x = np.array([0.3, 0.5, 0.9, 1.0, 1.5, 2.2414, 2.4977, 3.0, 5.0])
    ks = [
        *(1.4180619888320347e-06, 0.009156990289760759, 0.27761380372791605, 0.3707774297995239, 0.732784785616939),
        *(0.949999646990518, 0.9749996139618426, 0.994600407873483, 0.9999988533939648),
    ]
    kuiper = [
        *(1.3801624573199184e-22, 8.777772248109397e-08, 0.024153890786510316, 0.06336458792045059),
        *(0.48705924576975174, 0.9000582296731424, 0.9500039250379858, 0.9892008315323616, 0.9999977067874241),
    ]
    np.testing.assert_allclose(1 - ks_p_value(x), ks, atol=1e-14)
    np.testing.assert_allclose(1 - kuiper_p_value(x), kuiper, atol=1e-14)


def test_p_values_have_the_moments_of_the_extremes_of_brownian_motion():
    # E max|B| = (pi/2)^1/2, E range = (8/pi)^1/2, E range^2 = 4 ln 2 (Feller 1951)
    assert quad(ks_p_value, 0, 12, epsabs=1e-12)[0] == pytest.approx(np.sqrt(np.pi / 2), rel=1e-9)
    assert quad(kuiper_p_value, 0, 12, epsabs=1e-12)[0] == pytest.approx(np.sqrt(8 / np.pi), rel=1e-9)
    second = quad(lambda x: 2 * x * kuiper_p_value(x), 0, 12, epsabs=1e-12)[0]
    assert second == pytest.approx(4 * np.log(2), rel=1e-9)


def test_p_values_are_continuous_monotone_and_exact_in_the_tail():
    x = np.linspace(0, 6, 6001)
    for p_value, switch in ((ks_p_value, 1.0), (kuiper_p_value, 1.5)):
        p = p_value(x)
        assert p[0] == 1.0
        assert (np.diff(p) <= 0).all()
        assert p_value(switch) == pytest.approx(p_value(np.nextafter(switch, 0)), abs=1e-14)
    assert ks_p_value(20.0) == pytest.approx(4 * stats.norm.sf(20.0), rel=1e-12)
    assert kuiper_p_value(20.0) == pytest.approx(8 * stats.norm.sf(20.0), rel=1e-12)


def test_statistics_by_brute_force_with_ties_and_weights():
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores = rng.integers(0, 9, 60) / 8
        hits, weights = rng.random(60) < 0.4, rng.random(60)
        found = cumulative_statistics(scores, hits, weights)
        assert found[:2] == pytest.approx(brute_force(scores, hits, weights), abs=1e-14)
        variance = (weights**2 * scores * (1 - scores)).sum() / weights.sum() ** 2
        assert found.sigma == pytest.approx(np.sqrt(variance), rel=1e-12)


def test_order_of_tied_rows_does_not_matter():
    scores = np.full(100, 0.5)
    found = cumulative_statistics(scores, np.arange(100) < 50)
    assert found.ks == found.kuiper == 0.0


def test_weight_is_repetition():
    rng = np.random.default_rng(1)
    y, proba = rng.integers(0, 3, 80), rng.dirichlet([1, 1, 1], 80)
    weights = rng.integers(0, 4, 80)
    for mode in ("confidence", "top_label", "classwise"):
        for statistic in ("ks", "kuiper"):
            options = {"mode": mode, "statistic": statistic, "labels": [0, 1, 2]}
            weighted = cumulative_calibration_error(y, proba, sample_weight=weights, **options)
            repeated = cumulative_calibration_error(np.repeat(y, weights), np.repeat(proba, weights, axis=0), **options)
            assert weighted == pytest.approx(repeated, abs=1e-14)
    scores, hits = proba[:, 0], y == 0
    kept = weights > 0
    weighted = cumulative_statistics(scores[kept], hits[kept], weights[kept].astype(float), "frequency")
    repeated = cumulative_statistics(np.repeat(scores, weights), np.repeat(hits, weights))
    assert weighted == pytest.approx(repeated, abs=1e-14)


def test_modes_are_means_over_classes_and_predicted_labels():
    rng = np.random.default_rng(2)
    y, proba = rng.integers(0, 3, 90), rng.dirichlet([1, 1, 1], 90)
    one = [cumulative_calibration_error(y == k, proba[:, k]) for k in range(3)]
    assert cumulative_calibration_error(y, proba, mode="classwise") == pytest.approx(np.mean(one), rel=1e-12)
    assert cumulative_calibration_error(y, proba, mode="binary", pos_label=1) == pytest.approx(one[1], rel=1e-12)
    top = proba.argmax(axis=1)
    parts = [
        (top == k).mean() * cumulative_calibration_error((y == k)[top == k], proba.max(axis=1)[top == k])
        for k in range(3)
    ]
    assert cumulative_calibration_error(y, proba, mode="top_label") == pytest.approx(sum(parts), rel=1e-12)
    renamed = cumulative_calibration_error(np.array(["c", "a", "b"])[y], proba[:, [1, 2, 0]], mode="classwise")
    assert renamed == pytest.approx(np.mean(one), rel=1e-12)


@pytest.mark.parametrize("p_value", [("ks", ks_p_value), ("kuiper", kuiper_p_value)], ids=lambda p: p[0])
def test_p_values_of_calibrated_predictions_are_uniform(p_value):
    name, function = p_value
    rng = np.random.default_rng(3)
    p_values = []
    for _ in range(400):
        scores = rng.random(2000)
        found = cumulative_statistics(scores, rng.random(2000) < scores)
        p_values.append(float(function(getattr(found, name) / found.sigma)))
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_degenerate_input():
    assert cumulative_calibration_error([1], [0.25]) == 0.75
    assert cumulative_calibration_error([0, 1], [0.0, 1.0]) == 0.0
    assert cumulative_calibration_error([1, 1, 1], [0.5, 0.5, 0.5], statistic="kuiper") == 0.5
    assert cumulative_statistics(np.array([0.0, 1.0]), np.array([0, 1])).sigma == 0.0
    assert cumulative_calibration_error([1, 0], [0.0, 1.0], statistic="kuiper") == 0.5


def test_parameters_out_of_range_are_named():
    with pytest.raises(ValueError, match="'statistic' parameter must be one of"):
        cumulative_calibration_error([0, 1], [0.2, 0.7], statistic="cvm")
    with pytest.raises(ValueError, match="'mode'"):
        cumulative_calibration_error([0, 1], [0.2, 0.7], mode="canonical")
