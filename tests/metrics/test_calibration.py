"""Calibration errors against published values, scikit-learn, brute force, and their own invariances."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import softmax
from sklearn.calibration import calibration_curve

from sksoft import config_context
from sksoft.metrics import (
    adaptive_calibration_error,
    classwise_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    negative_log_likelihood,
    reliability_curve,
)
from sksoft.metrics.calibration import rate_interval


def problem(n_rows=400, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.full(n_classes, 0.7), n_rows)
    y = np.array([rng.choice(n_classes, p=0.8 * row + 0.2 / n_classes) for row in proba])
    y[:n_classes] = np.arange(n_classes)
    return y, proba


def brute_force(scores, hits, n_bins, norm="l1"):
    edges = np.linspace(0, 1, n_bins + 1)
    total, largest = 0.0, 0.0
    for b in range(n_bins):
        inside = (scores > edges[b]) & (scores <= edges[b + 1]) if b else scores <= edges[1]
        if inside.any():
            gap = abs(hits[inside].mean() - scores[inside].mean())
            total += inside.mean() * gap ** (2 if norm == "l2" else 1)
            largest = max(largest, gap)
    return {"l1": total, "l2": np.sqrt(total), "max": largest}[norm]


# ---- published values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_resnet110_cifar10(shared_data, backend):
    # Kull et al. 2019 and the notebook of NN_calibration
    stored = np.load(shared_data / "calibration" / "cifar10_resnet110_logits.npz")
    proba, y = softmax(stored["test_logits"].astype(np.float64), axis=1), stored["test_labels"]
    with config_context(backend=backend):
        assert expected_calibration_error(y, proba) == pytest.approx(0.047503, abs=1e-6)
        assert maximum_calibration_error(y, proba) == pytest.approx(0.295799, abs=1e-6)
        assert 10 * classwise_calibration_error(y, proba) == pytest.approx(0.09829, abs=5e-6)
        names = np.array([f"class {k}" for k in range(10)])
        assert expected_calibration_error(names[y], proba) == pytest.approx(0.047503, abs=1e-6)
        assert expected_calibration_error(y + 1, proba) == pytest.approx(0.047503, abs=1e-6)
    assert negative_log_likelihood(y, proba) == pytest.approx(0.358274, abs=1e-6)


@pytest.mark.parametrize(
    ("net", "accuracy", "ece"),
    [
        ("densenet121", 0.9272, 0.041001),
        ("googlenet", 0.9295, 0.013693),
        ("mobilenet_v2", 0.9016, 0.051304),
        ("resnet18", 0.9171, 0.053486),
        ("resnet_orig", 0.8849, 0.065929),
        ("vgg16_bn", 0.9273, 0.055357),
    ],
)
def test_six_cifar10_nets(shared_data, net, accuracy, ece):
    stored = np.load(shared_data / "calibration" / "cifar10_6nets_probs.npz")
    proba, y = stored[net], stored["labels"]
    assert (proba.argmax(axis=1) == y).mean() == pytest.approx(accuracy)
    assert expected_calibration_error(y, proba) == pytest.approx(ece, abs=1e-6)


@pytest.mark.parametrize(
    ("file", "n_bins", "ece", "mce"),
    [
        ("topconf_markus93__resnet110_c100", 15, 0.184805, 0.398817),
        ("topconf_imagenet_torchvision__resnet101", 15, 0.049168, None),
        ("topconf_imagenet_torchvision__resnet101", 20, 0.049176, None),
        ("topconf_imagenet_timm__resnet34", 15, 0.077985, None),
        ("topconf_imagenet_timm__resnet34", 20, 0.077904, None),
    ],
)
def test_published_top_confidences(shared_data, file, n_bins, ece, mce):
    frame = pd.read_csv(shared_data / "calibration" / f"{file}.csv.gz")
    hits, confidence = frame["true_label"] == frame["pred_label"], frame["confidence"]
    assert expected_calibration_error(hits, confidence, n_bins=n_bins) == pytest.approx(ece, abs=1e-6)
    if mce is not None:
        assert maximum_calibration_error(hits, confidence, n_bins=n_bins) == pytest.approx(mce, abs=1e-6)


# ---- independent computations ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy_bins", [5, 10, 15])
def test_reliability_curve_is_scikit_learns_calibration_curve(strategy_bins):
    rng = np.random.default_rng(0)
    proba = np.concatenate([np.linspace(0, 1, strategy_bins + 1), np.round(rng.random(500), 1)])
    y = rng.random(len(proba)) < proba
    rate, mean = calibration_curve(y, proba, n_bins=strategy_bins)
    curve = reliability_curve(y, proba, n_bins=strategy_bins)
    filled = curve[curve["n"] > 0]
    np.testing.assert_allclose(filled["observed_rate"], rate, rtol=1e-12)
    np.testing.assert_allclose(filled["mean_proba"], mean, rtol=1e-12)


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
@pytest.mark.parametrize("n_bins", [1, 7, 15])
def test_every_mode_by_brute_force(norm, n_bins):
    y, proba = problem()
    top, confidence = proba.argmax(axis=1), proba.max(axis=1)

    def ece(mode, **options):
        return expected_calibration_error(y, proba, n_bins=n_bins, norm=norm, mode=mode, **options)

    assert ece("auto") == pytest.approx(brute_force(confidence, top == y, n_bins, norm), rel=1e-12)
    one_class = brute_force(proba[:, 2], y == 2, n_bins, norm)
    assert ece("binary", pos_label=2) == pytest.approx(one_class, rel=1e-12)
    per_class = np.array([brute_force(proba[:, k], y == k, n_bins, norm) for k in range(4)])
    per_label = np.array([brute_force(confidence[top == k], (y == k)[top == k], n_bins, norm) for k in range(4)])
    share = np.bincount(top, minlength=4) / len(y)
    if norm == "max":
        expected = per_class.max(), per_label.max()
    elif norm == "l2":
        expected = np.sqrt(np.mean(per_class**2)), np.sqrt(share @ per_label**2)
    else:
        expected = per_class.mean(), share @ per_label
    assert ece("classwise") == pytest.approx(expected[0], rel=1e-12)
    assert ece("top_label") == pytest.approx(expected[1], rel=1e-12)


def test_confidence_one_falls_in_the_last_bin():
    # torchmetrics 1.9 (issue 3510) and relplot 1.0.3 count confidence 1 in a bin of its own and answer 0.275.
    proba, y = np.array([1.0, 1.0, 0.95, 0.95]), np.array([1, 0, 1, 1])
    phantom = 0.5 * abs(0.5 - 1.0) + 0.5 * abs(1.0 - 0.95)
    assert phantom == pytest.approx(0.275)
    assert expected_calibration_error(y, proba, n_bins=10) == pytest.approx(abs(0.75 - 0.975), abs=1e-15)
    curve = reliability_curve(y, proba, n_bins=10)
    assert len(curve) == 10
    assert curve["n"].tolist() == [0] * 9 + [4]


def test_there_are_as_many_bins_as_asked_for():
    # MAPIE 1.6.0 with num_bins=5 answers 0.1, the error of four bins; with num_bins=10 0.25, that of nine.
    scores, y = np.arange(1, 20, 2) / 20, np.array([1, 0, 0, 0, 1, 0, 1, 1, 1, 1])
    edges = np.linspace(0, 1, 6)
    pairs = [abs((y - scores)[(scores > low) & (scores <= high)].sum()) for low, high in pairwise(edges)]
    assert expected_calibration_error(y, scores, n_bins=5) == pytest.approx(sum(pairs) / 10, rel=1e-12)
    assert expected_calibration_error(y, scores, n_bins=10) == pytest.approx(np.abs(y - scores).mean(), rel=1e-12)
    assert expected_calibration_error(y, scores, n_bins=4) == pytest.approx(0.1, rel=1e-12)
    assert expected_calibration_error(y, scores, n_bins=9) == pytest.approx(0.25, rel=1e-12)
    for strategy in ("uniform", "quantile"):
        for n_bins in (1, 2, 5, 10):
            curve = reliability_curve(y, scores, n_bins=n_bins, strategy=strategy)
            assert len(curve) == n_bins
            assert curve["n"].tolist() == [10 // n_bins] * n_bins


@pytest.mark.parametrize(
    ("n_rows", "power", "l2", "l2_equal_mass", "l1"),
    [
        (5000, 1.2, 0.04382054526480621, 0.04392465691536955, 0.04375767963265843),
        (300, 1.0, 0.0, 0.0, -0.00490541842561483),
        (300, 2.0, 0.16589311131237053, 0.16602869652829083, 0.1615794711585056),
    ],
)
def test_debiased_errors_are_kumars(n_rows, power, l2, l2_equal_mass, l1):
    # uncertainty-calibration 0.1.4: utils.unbiased_l2_ce of utils.bin with upper ends linspace(0, 1, 16)[1:], with
    # those of equal numbers of rows, and normal_debiased_ce(power=1, resamples=200000), a Monte-Carlo mean
    i = np.arange(n_rows)
    scores = (i * 0.6180339887498949) % 1
    y = (((i * 0.7548776662466927) % 1) < scores**power).astype(int)
    options = {"debias": True, "norm": "l2"}
    assert expected_calibration_error(y, scores, **options) == pytest.approx(l2, abs=1e-13)
    found = expected_calibration_error(y, scores, strategy="quantile", **options)
    assert found == pytest.approx(l2_equal_mass, abs=1e-13)
    assert expected_calibration_error(y, scores, debias=True) == pytest.approx(max(l1, 0.0), abs=2e-5)


def test_zero_falls_in_the_first_bin_and_edges_close_on_the_right():
    curve = reliability_curve([0, 0, 1, 1, 1], [0.0, 0.2, 0.4, 0.6000000000000001, 1.0], n_bins=5)
    assert curve["n"].tolist() == [2, 1, 1, 0, 1]


def test_two_columns_and_one_agree_on_the_positive_class():
    rng = np.random.default_rng(0)
    p = rng.random(300)
    y = np.where(rng.random(300) < p, "yes", "no")
    expected = expected_calibration_error(y, p, pos_label="yes")
    assert expected_calibration_error(y, np.column_stack([1 - p, p]), mode="binary") == expected


@pytest.mark.parametrize("mode", ["confidence", "classwise", "top_label"])
def test_one_column_can_be_judged_in_every_mode(mode):
    rng = np.random.default_rng(0)
    p = rng.integers(0, 257, 300) / 256  # 1 - p is exact
    y = rng.random(300) < p
    expected = expected_calibration_error(y, np.column_stack([1 - p, p]), mode=mode)
    assert expected_calibration_error(y, p, mode=mode) == pytest.approx(expected, rel=1e-12)


# ---- invariances -----------------------------------------------------------------------------------------------------

OPTIONS = [
    {},
    {"strategy": "quantile"},
    {"norm": "l2"},
    {"norm": "max"},
    {"mode": "classwise"},
    {"mode": "classwise", "strategy": "quantile"},
    {"mode": "top_label", "norm": "l2"},
    {"mode": "binary", "pos_label": 1},
    {"debias": True, "weight_type": "frequency"},
    {"debias": True, "norm": "l2", "mode": "classwise", "weight_type": "frequency"},
]


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_weight_is_repetition_and_zero_weight_is_removal(options, backend):
    y, proba = problem()
    proba = np.round(proba, 2)
    proba /= proba.sum(axis=1, keepdims=True)
    weights = np.random.default_rng(1).integers(0, 4, len(y))
    weights[:4] = 1
    with config_context(backend=backend):
        weighted = expected_calibration_error(y, proba, sample_weight=weights, **options)
        repeated = expected_calibration_error(np.repeat(y, weights), np.repeat(proba, weights, axis=0), **options)
    assert weighted == pytest.approx(repeated, rel=1e-11)


@pytest.mark.parametrize("options", OPTIONS[:-2], ids=str)
def test_weights_have_no_scale(options):
    y, proba = problem()
    weights = np.random.default_rng(1).random(len(y))
    one = expected_calibration_error(y, proba, sample_weight=weights, **options)
    assert expected_calibration_error(y, proba, sample_weight=8 * weights, **options) == pytest.approx(one, rel=1e-12)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_type_of_labels_changes_nothing(options):
    y, proba = problem()
    expected = expected_calibration_error(y, proba, **options)
    for names in ([1, 2, 3, 4], [-5, -1, 0, 7], list("abcd"), [0.5, 1.5, 2.5, 3.5]):
        renamed = options | ({"pos_label": names[1]} if "pos_label" in options else {})
        assert expected_calibration_error([names[k] for k in y], proba, **renamed) == expected


def test_a_class_that_does_not_occur_is_no_error_when_named():
    y, proba = problem()
    few = y < 3
    assert 0 <= classwise_calibration_error(y[few], proba[few], labels=[0, 1, 2, 3]) <= 1


def test_the_named_errors_are_the_general_one():
    y, proba = problem()
    assert adaptive_calibration_error(y, proba) == expected_calibration_error(y, proba, strategy="quantile")
    assert maximum_calibration_error(y, proba) == expected_calibration_error(y, proba, norm="max")
    assert classwise_calibration_error(y, proba) == expected_calibration_error(y, proba, mode="classwise")


def test_debiased_errors_are_never_negative_and_smaller_than_the_plug_in():
    rng = np.random.default_rng(0)
    for _ in range(20):
        p = rng.random(100)
        y = rng.random(100) < p
        for norm in ("l1", "l2"):
            debiased = expected_calibration_error(y, p, norm=norm, debias=True)
            assert 0 <= debiased < expected_calibration_error(y, p, norm=norm)


def test_single_precision_agrees():
    y, proba = problem()
    expected = expected_calibration_error(y, proba)
    assert expected_calibration_error(y, proba.astype(np.float32)) == pytest.approx(expected, abs=1e-6)


@st.composite
def predictions(draw):
    """Labels and probabilities with ties, zeros and ones."""
    n_classes, n_rows = draw(st.integers(2, 4)), draw(st.integers(1, 30))
    cell = st.integers(0, 8)
    counts = np.array(
        draw(st.lists(st.lists(cell, min_size=n_classes, max_size=n_classes), min_size=n_rows, max_size=n_rows))
    )
    counts[counts.sum(axis=1) == 0, 0] = 1
    y = np.array(draw(st.lists(st.integers(0, n_classes - 1), min_size=n_rows, max_size=n_rows)))
    return y, counts / counts.sum(axis=1, keepdims=True)


@given(
    predictions(), st.integers(1, 20), st.sampled_from(["uniform", "quantile"]), st.sampled_from(["l1", "l2", "max"])
)
@settings(max_examples=150, deadline=None)
def test_errors_are_distances_and_the_order_of_rows_and_classes_does_not_matter(drawn, n_bins, strategy, norm):
    y, proba = drawn
    n_classes = proba.shape[1]
    options = {"n_bins": n_bins, "strategy": strategy, "norm": norm, "mode": "classwise"}
    error = expected_calibration_error(y, proba, labels=range(n_classes), **options)
    assert 0 <= error <= 1
    other = expected_calibration_error(y[::-1], proba[::-1, ::-1], labels=range(n_classes)[::-1], **options)
    assert other == pytest.approx(error, abs=1e-9)
    if strategy == "uniform" and norm == "l1":
        expected = np.mean([brute_force(proba[:, k], y == k, n_bins) for k in range(n_classes)])
        assert error == pytest.approx(expected, abs=1e-9)


@given(predictions(), st.integers(1, 20))
@settings(max_examples=100, deadline=None)
def test_more_general_norms_are_ordered(drawn, n_bins):
    y, proba = drawn
    l1, l2, largest = (
        expected_calibration_error(y, proba, labels=range(proba.shape[1]), n_bins=n_bins, norm=norm)
        for norm in ("l1", "l2", "max")
    )
    assert l1 <= l2 + 1e-12 <= largest + 2e-12


# ---- reliability curve -----------------------------------------------------------------------------------------------


def test_curve_columns_and_totals():
    y, proba = problem()
    curve = reliability_curve(y, proba, mode="classwise", n_bins=6)
    assert list(curve.columns) == [
        *("class", "bin", "bin_low", "bin_high", "n", "weight", "effective_n"),
        *("mean_proba", "observed_rate", "rate_low", "rate_high", "gap"),
    ]
    assert len(curve) == 24
    assert curve["class"].tolist() == np.repeat([0, 1, 2, 3], 6).tolist()
    assert curve.groupby("class")["n"].sum().tolist() == [400] * 4
    gaps = (curve["weight"] * curve["gap"].abs()).sum() / 400 / 4
    assert gaps == pytest.approx(classwise_calibration_error(y, proba, n_bins=6), rel=1e-12)


def test_quantile_curve_shows_its_edges():
    curve = reliability_curve([0, 1, 0, 1], [0.2, 0.2, 0.7, 0.8], strategy="quantile", n_bins=4)
    assert curve["bin_low"].tolist() == [0.0, 0.2, 0.7]
    assert curve["bin_high"].tolist() == [0.2, 0.7, 1.0]
    assert curve["n"].tolist() == [2, 1, 1]


def test_effective_rows_by_weight_type():
    y, p, weights = [0, 1, 1], [0.2, 0.3, 0.4], [1.0, 2.0, 3.0]
    sampling = reliability_curve(y, p, n_bins=1, sample_weight=weights)
    frequency = reliability_curve(y, p, n_bins=1, sample_weight=weights, weight_type="frequency")
    assert sampling["effective_n"][0] == pytest.approx(36 / 14)
    assert frequency["effective_n"][0] == frequency["n"][0] == 6
    assert sampling["n"][0] == 3
    assert frequency["observed_rate"][0] == pytest.approx(5 / 6)


@pytest.mark.parametrize(("method", "name"), [("wilson", "wilson"), ("exact", "clopper-pearson")])
def test_intervals_are_scipys(method, name):
    for hits, n in [(0, 5), (5, 5), (3, 10), (70, 100)]:
        expected = stats.binomtest(hits, n).proportion_ci(0.9, method=method)
        low, high = rate_interval(np.array([hits / n]), np.array([float(n)]), 0.9, name)
        np.testing.assert_allclose([low[0], high[0]], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_bins": 0}, "'n_bins' parameter must be an int >= 1. Got 0"),
        ({"n_bins": 2.5}, "'n_bins'"),
        ({"n_bins": True}, "'n_bins'"),
        ({"strategy": "equal"}, "'strategy' parameter must be one of"),
        ({"norm": "l3"}, "'norm'"),
        ({"mode": "marginal"}, "'mode'"),
        ({"weight_type": "x"}, "'weight_type'"),
        ({"norm": "max", "debias": True}, "no debiased form"),
        ({"mode": "binary"}, "needs 'pos_label'"),
        ({"mode": "binary", "pos_label": 9}, "pos_label=9 is not a valid label"),
        ({"norm": ["l1"]}, "'norm'"),
    ],
)
def test_parameters_out_of_range_are_named(options, message):
    y, proba = problem()
    with pytest.raises(ValueError, match=message):
        expected_calibration_error(y, proba, **options)


@pytest.mark.parametrize("options", [{"interval": "wald"}, {"confidence_level": 1.0}, {"confidence_level": "x"}])
def test_curve_parameters_out_of_range_are_named(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        reliability_curve([0, 1], [0.2, 0.7], **options)
