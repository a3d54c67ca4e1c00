"""Tests of calibration: statistics are the metrics', p-values are exact or peers', sizes are what they claim."""

import numpy as np
import pytest
from scipy.stats import binom, norm
from sklearn.exceptions import ConvergenceWarning

from sksoft.metrics import (
    brier_score,
    calibration_test,
    cox_calibration,
    cumulative_calibration_error,
    expected_calibration_error,
    kernel_calibration_error,
)
from sksoft.metrics.hypothesis_tests import METHODS
from sksoft.metrics.null_labels import null_predictions, seed_of
from sksoft.metrics.predictions import check_predictions

RESAMPLED = {"bootstrap", "skce"}


def binary(n=200, power=1.15, seed=7):
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    return (rng.random(n) < p**power).astype(int), p, rng.integers(1, 4, n)


def multiclass(n=300, power=1.0, n_classes=5, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(n_classes), n)
    y = (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=n_classes - 1)
    stated = p**power
    return y, stated / stated.sum(axis=1, keepdims=True), rng.integers(1, 4, n)


ALL = [(method, mode) for method in METHODS for mode in METHODS[method]]


@pytest.mark.parametrize("mode", ["confidence", "classwise", "top_label", "binary"])
@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_bootstrap_statistic_is_the_calibration_error(mode, norm, strategy):
    y, p, w = multiclass(150)
    options = {"mode": mode, "norm": norm, "strategy": strategy, "n_bins": 7, "sample_weight": w, "pos_label": 2}
    found = calibration_test(y, p, n_resamples=9, random_state=0, **options)
    assert found.statistic == pytest.approx(expected_calibration_error(y, p, **options), rel=1e-12)


@pytest.mark.parametrize("mode", METHODS["skce"])
@pytest.mark.parametrize("estimator", ["unbiased", "linear"])
@pytest.mark.parametrize("weight_type", ["sampling", "frequency"])
def test_kernel_statistic_is_the_kernel_calibration_error(mode, estimator, weight_type):
    y, p, w = multiclass(120)
    options = {"mode": mode, "estimator": estimator, "sample_weight": w, "weight_type": weight_type, "pos_label": 2}
    found = calibration_test(y, p, method="skce", n_resamples=3, random_state=0, **options)
    assert found.statistic == pytest.approx(kernel_calibration_error(y, p, **options), rel=1e-9)


def test_one_column_and_two_are_the_same_test():
    y, p, w = binary()
    for method in METHODS:
        one = calibration_test(y, p, method=method, sample_weight=w, random_state=0)
        two = calibration_test(
            y, np.column_stack([1 - p, p]), method=method, mode="binary", sample_weight=w, random_state=0
        )
        assert one == pytest.approx(two, rel=1e-9)


def test_values_of_mapie():
    """MAPIE 1.6.0: kolmogorov_smirnov_*, spiegelhalter_*; its Spiegelhalter p-value is one-sided, and it adds noise."""
    y, p, _ = binary()
    ks = calibration_test(y, p, method="cumulative")
    assert ks == pytest.approx((1.1739487623776101, 0.47997400204889396), abs=1e-6)
    z = calibration_test(y, p, method="spiegelhalter")
    assert z.statistic == pytest.approx(-0.8056298966122271, rel=1e-12)
    assert z.pvalue == pytest.approx(2 * (1 - 0.7897718590345808), rel=1e-9)


def test_kuiper_of_mapie_where_its_walk_leaves_zero_downwards():
    """MAPIE 1.6.0 leaves out the walk's start at 0; where the walk passes 0 that does not matter."""
    y, p, _ = binary(power=0.8, seed=11)
    found = calibration_test(y, p, method="cumulative", statistic="kuiper")
    assert found.statistic == pytest.approx(MAPIE_KUIPER[0], abs=1e-6)
    assert found.pvalue == pytest.approx(MAPIE_KUIPER[1], abs=1e-6)


MAPIE_KUIPER = (4.514291620222496, 2.5411500477412474e-05)


def test_spiegelhalter_is_the_standardised_brier_score():
    y, p, _ = multiclass(200)
    rng = np.random.default_rng(0)
    drawn = [(p.cumsum(axis=1) < rng.random((200, 1))).sum(axis=1).clip(max=4) for _ in range(4000)]
    scores = [brier_score(each, p, labels=range(5)) for each in drawn]
    expected = (brier_score(y, p) - np.mean(scores)) / np.std(scores)
    assert calibration_test(y, p, method="spiegelhalter").statistic == pytest.approx(expected, abs=0.1)
    exact = (brier_score(y, p) - 1 + (p**2).sum(axis=1).mean()) * 200
    exact /= 2 * np.sqrt(((p**3).sum(axis=1) - (p**2).sum(axis=1) ** 2).sum())
    assert calibration_test(y, p, method="spiegelhalter").statistic == pytest.approx(exact, rel=1e-9)


def test_spiegelhalter_of_two_columns_is_that_of_the_second():
    y, p, w = binary()
    one = calibration_test(y, p, method="spiegelhalter", sample_weight=w)
    two = calibration_test(y, np.column_stack([1 - p, p]), method="spiegelhalter", sample_weight=w)
    assert one == pytest.approx(two, rel=1e-9)
    assert one.pvalue == pytest.approx(2 * norm.sf(abs(one.statistic)))


def test_cox_and_cumulative_are_those_metrics():
    y, p, w = multiclass()
    fit = cox_calibration(y, p, sample_weight=w)
    assert calibration_test(y, p, method="cox", sample_weight=w) == (fit.statistic, fit.pvalue)
    error = cumulative_calibration_error(y, p)
    confidence = p.max(axis=1)
    sigma = np.sqrt((confidence * (1 - confidence)).sum()) / len(y)
    assert calibration_test(y, p, method="cumulative").statistic == pytest.approx(error / sigma, rel=1e-9)


@pytest.mark.parametrize("method", ["spiegelhalter", "cox", "cumulative"])
def test_several_classes_are_combined_by_bonferroni(method):
    y, p, _ = multiclass(400, power=1.5)
    parts = [calibration_test((y == k).astype(int), p[:, k], method=method) for k in range(5)]
    found = calibration_test(y, p, method=method, mode="classwise", null="asymptotic")
    assert found.pvalue == pytest.approx(min(1.0, 5 * min(part.pvalue for part in parts)))
    assert found.statistic in [part.statistic for part in parts]


def test_exact_distribution_by_enumeration():
    """All 2⁶ sets of labels of six rows, weighted by their probability."""
    p = np.array([0.1, 0.25, 0.4, 0.6, 0.7, 0.95])
    y = np.array([1, 0, 1, 1, 0, 1])
    options = {"n_bins": 2, "labels": [0, 1]}
    for method, extra in (("bootstrap", options), ("skce", {"labels": [0, 1]})):
        observed = calibration_test(y, p, method=method, n_resamples=1, random_state=0, **extra).statistic
        tail = 0.0
        for number in range(64):
            hits = (number >> np.arange(6)) & 1
            value = calibration_test(hits, p, method=method, n_resamples=1, random_state=0, **extra).statistic
            tail += np.where(hits, p, 1 - p).prod() * (value >= observed - 1e-12)
        found = calibration_test(y, p, method=method, n_resamples=20000, random_state=0, **extra).pvalue
        assert found == pytest.approx(tail, abs=4 * np.sqrt(tail * (1 - tail) / 20000))


@pytest.mark.parametrize(
    ("method", "mode", "metric"),
    [
        ("bootstrap", "classwise", expected_calibration_error),
        *(("skce", mode, kernel_calibration_error) for mode in METHODS["skce"]),
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_p_values_are_those_of_the_metric_on_drawn_labels(method, mode, metric, weighted):
    y, p, w = multiclass(60, n_classes=3, power=1.3)
    options = {"mode": mode, "pos_label": 1, "labels": range(3), "sample_weight": w if weighted else None}
    found = calibration_test(y, p, method=method, n_resamples=49, random_state=5, **options)
    drawn = null_predictions(check_predictions(y, p), seed_of(5), 49)
    values = np.array([metric(each.codes, p, **options) for each in drawn])
    assert found.pvalue == (1 + (values >= found.statistic - 1e-12).sum()) / 50


def test_resampled_cox_of_few_rows_has_draws_without_a_maximum():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 12)
    y = [0, 1, 2, 0, 1, 2, 2, 1, 0, 0, 1, 1]
    found = calibration_test(y, p, method="cox", null="resampling", n_resamples=99, random_state=0)
    assert found.statistic == pytest.approx(cox_calibration(y, p).statistic)
    assert 0.01 <= found.pvalue <= 1
    one = p[:, 0] * 0.2
    binary = calibration_test([0, 1] * 6, one, method="cox", null="resampling", n_resamples=99, random_state=0)
    assert 0.01 <= binary.pvalue <= 0.1


@pytest.mark.parametrize(("method", "mode"), ALL)
def test_weight_is_repetition_in_place(method, mode):
    y, p, w = multiclass(100, seed=2)
    w[::7] = 0
    options = {"method": method, "mode": mode, "pos_label": 1, "n_resamples": 19, "random_state": 0}
    weighted = calibration_test(y, p, sample_weight=w, weight_type="frequency", labels=range(5), **options)
    repeated = calibration_test(np.repeat(y, w), np.repeat(p, w, axis=0), labels=range(5), **options)
    assert weighted == pytest.approx(repeated, rel=1e-9)


@pytest.mark.parametrize("method", ["spiegelhalter", "cox", "cumulative"])
def test_resampling_of_repeated_rows(method):
    y, p, w = multiclass(100, seed=2)
    options = {"method": method, "null": "resampling", "n_resamples": 19, "random_state": 0}
    weighted = calibration_test(y, p, sample_weight=w, weight_type="frequency", **options)
    assert weighted == pytest.approx(calibration_test(np.repeat(y, w), np.repeat(p, w, axis=0), **options), rel=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_labels_of_any_type_and_zero_weights(method):
    y, p, _ = multiclass(150)
    names = np.array(["e", "b", "a", "d", "c"])
    found = calibration_test(names[y], p, method=method, labels=names, n_resamples=19, random_state=0)
    assert found == calibration_test(y, p, method=method, n_resamples=19, random_state=0)
    more = np.concatenate([p, p[:20]])
    zeros = np.concatenate([np.ones(150), np.zeros(20)])
    kept = calibration_test(
        np.append(y, y[:20]), more, method=method, sample_weight=zeros, n_resamples=19, random_state=0
    )
    assert kept == pytest.approx(found, rel=1e-9)


def sizes(method, options, n_classes, n_rows, n_runs=200):
    rejected = 0
    for run in range(n_runs):
        y, p, _ = multiclass(n_rows, n_classes=n_classes, seed=1000 + run)
        p = p[:, 1] if n_classes == 2 else p
        y, labels = (y, range(n_classes)) if n_classes > 2 else (y, [0, 1])
        result = calibration_test(y, p, method=method, labels=labels, n_resamples=39, random_state=run, **options)
        rejected += result.pvalue <= 0.05
    return rejected


@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("bootstrap", {}),
        ("skce", {}),
        ("skce", {"estimator": "linear"}),
        ("spiegelhalter", {}),
        ("cox", {}),
        ("cumulative", {"null": "resampling"}),
    ],
)
def test_size(method, options, n_classes):
    """Rejections of 200 calibrated samples of 200 rows at level 0.05: within the 0.1 % tails of the binomial."""
    low, high = binom.ppf([0.001, 0.999], 200, 0.05)
    assert low <= sizes(method, options, n_classes, 200) <= high


@pytest.mark.parametrize("method", ["spiegelhalter", "cox", "cumulative"])
@pytest.mark.parametrize("mode", ["classwise", "top_label"])
def test_size_with_rare_classes(method, mode):
    """Thirty rows, four classes, half of which hardly occur: normal approximations would reject far too often."""
    rejected = 0
    n_runs = 20 if method == "cox" else 60
    for run in range(n_runs):
        rng = np.random.default_rng(run)
        p = rng.dirichlet([4.0, 2.0, 0.1, 0.03], 30)
        y = (p.cumsum(axis=1) < rng.random((30, 1))).sum(axis=1).clip(max=3)
        options = {"labels": range(4), "n_resamples": 19, "random_state": run}
        rejected += calibration_test(y, p, method=method, mode=mode, **options).pvalue <= 0.05
    assert rejected <= binom.ppf(0.999, n_runs, 0.05)


@pytest.mark.parametrize("statistic", ["ks", "kuiper"])
def test_asymptotic_cumulative_is_conservative(statistic):
    rejected = sizes("cumulative", {"statistic": statistic}, 2, 200)
    assert rejected <= binom.ppf(0.999, 200, 0.05)


@pytest.mark.parametrize("method", METHODS)
def test_power_against_temperature(method):
    y, p, _ = multiclass(1000, power=1.7)
    assert calibration_test(y, p, method=method, random_state=0, n_resamples=99).pvalue <= 0.01


def test_certain_predictions():
    right, wrong = [0, 1] * 20, [1, 0] * 20
    p = [0.0, 1.0] * 20
    for method in ("bootstrap", "skce", "spiegelhalter", "cumulative"):
        assert calibration_test(right, p, method=method, n_resamples=9, random_state=0).pvalue == 1.0
        assert calibration_test(wrong, p, method=method, n_resamples=9, random_state=0).pvalue <= 0.1
    columns = np.column_stack([1 - np.array(p), p])
    assert calibration_test(wrong, columns, method="spiegelhalter") == (np.inf, 0.0)
    assert calibration_test(wrong, p, method="spiegelhalter") == (np.inf, 0.0)


def test_undefined_tests_say_so():
    y = [0, 1] * 10
    with pytest.raises(ValueError, match="every probability is 1/2"):
        calibration_test(y, [0.5] * 20, method="spiegelhalter")
    with pytest.raises(ValueError, match="every probability is 1/2"):
        calibration_test([0, 1, 2] * 5, np.full((15, 3), 1 / 3), method="spiegelhalter")
    with pytest.raises(ValueError, match="same y_proba"):
        calibration_test(y, [0.5] * 20, method="cox")
    with pytest.raises(ValueError, match="at least two rows"):
        calibration_test([1], [0.5], method="skce")
    with pytest.warns(ConvergenceWarning, match="separate"):
        calibration_test(y, [0.3, 0.7] * 10, method="cox")


@pytest.mark.parametrize("method", ["bootstrap", "skce", "cumulative"])
def test_one_class_and_constant_predictions_are_tested(method):
    found = calibration_test([1] * 40, [0.5] * 40, method=method, labels=[0, 1], n_resamples=99, random_state=0)
    assert found.pvalue <= 0.02


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "hosmer"}, "'method' parameter must be one of"),
        ({"mode": "canonical"}, r"'mode' parameter must be one of .* with method='bootstrap'"),
        ({"null": "exact"}, "'null' parameter"),
        ({"null": "asymptotic"}, "null='asymptotic' is not known"),
        ({"method": "skce", "estimator": "biased"}, "'estimator' parameter"),
        ({"method": "skce", "estimator": "linear", "null": "resampling"}, "is for estimator='unbiased'"),
        ({"n_resamples": 0}, "'n_resamples' parameter must be an int >= 1"),
        ({"n_bins": 0}, "'n_bins' parameter"),
        ({"kernel": "rbf"}, "'kernel' parameter"),
        ({"statistic": "ad"}, "'statistic' parameter"),
    ],
)
def test_bad_parameters(options, message):
    y, p, _ = multiclass(30)
    with pytest.raises(ValueError, match=message):
        calibration_test(y, p, labels=range(5), **options)


def test_draws_depend_on_the_seed_alone():
    y, p, _ = multiclass(200)
    first, again, other = (calibration_test(y, p, random_state=seed).pvalue for seed in (0, 0, 1))
    assert first == again != other
