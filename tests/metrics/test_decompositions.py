"""Decompositions: terms add up, agree with another package and with brute force, and stay honest at the edges."""

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.model_selection import KFold

from sksoft import TemperatureScaler
from sksoft.metrics import brier_decomposition, brier_score, log_loss_decomposition, negative_log_likelihood
from sksoft.metrics.cross_fitting import prediction_folds
from sksoft.metrics.predictions import check_predictions

DECOMPOSITIONS = {brier_decomposition: brier_score, log_loss_decomposition: negative_log_likelihood}


def binary(n=200, seed=7):
    rng = np.random.default_rng(seed)
    p = rng.random(n).round(2)
    return (rng.random(n) < p**1.5).astype(int), np.clip(p, 0.01, 0.99), rng.integers(1, 4, n)


def multiclass(n=600, power=2.0, n_classes=4, seed=0):
    """Predictions whose logits are `power` times the calibrated ones."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, n_classes))
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    proba = np.exp(power * logits)
    y = (truth.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return y, proba / proba.sum(axis=1, keepdims=True), rng.integers(1, 4, n)


def terms_of(found):
    return np.array([found.miscalibration, found.discrimination, found.uncertainty, found.score])


# model-diagnostics 1.5.0, scoring.decompose with SquaredError() and LogLoss(), unweighted and weighted
PUBLISHED = {
    (brier_decomposition, False): [0.01912567035138779, 0.10763617035138776, 0.242775, 0.15426450000000003],
    (brier_decomposition, True): [0.022423525738443473, 0.10339765032287893, 0.24077264675192314, 0.1597985221674877],
    (log_loss_decomposition, False): [0.06440896725556827, 0.2768583612777547, 0.6786267624557614, 0.46617736843357493],
    (log_loss_decomposition, True): [0.06823346478003178, 0.2633248750673986, 0.6745772386827998, 0.479485828395433],
}


@pytest.mark.parametrize(("decomposition", "weighted"), PUBLISHED)
def test_corp_is_that_of_model_diagnostics(decomposition, weighted):
    y, p, w = binary()
    found = decomposition(y, p, sample_weight=w if weighted else None)
    assert found.method == "corp"
    np.testing.assert_allclose(terms_of(found), PUBLISHED[decomposition, weighted], rtol=1e-12)


@pytest.mark.parametrize(("decomposition", "loss"), [(brier_decomposition, brier_score_loss)])
def test_corp_by_scikit_learns_isotonic_regression(decomposition, loss):
    y, p, w = binary(seed=1)
    isotonic = IsotonicRegression(y_min=0, y_max=1).fit_transform(p, y, sample_weight=w)
    base = np.full(len(y), np.average(y, weights=w))
    score, after, before = (loss(y, q, sample_weight=w) for q in (p, isotonic, base))
    found = decomposition(y, p, sample_weight=w)
    np.testing.assert_allclose(terms_of(found), [score - after, before - after, before, score], rtol=1e-12)


@pytest.mark.parametrize(
    ("decomposition", "method", "case"),
    [
        (decomposition, method, case)
        for decomposition in DECOMPOSITIONS
        for method in ("corp", "cross_fitted")
        for case in ("binary", "two columns", "multiclass")
        if (decomposition, method, case) != (log_loss_decomposition, "corp", "multiclass")  # there is none
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_terms_add_up_to_the_score(decomposition, method, case, weighted):
    y, p, w = multiclass() if case == "multiclass" else binary()
    p = np.column_stack([1 - p, p]) if case == "two columns" else p
    w = w if weighted else None
    found = decomposition(y, p, method=method, sample_weight=w)
    assert found.score == pytest.approx(DECOMPOSITIONS[decomposition](y, p, sample_weight=w), rel=1e-12)
    total = found.miscalibration - found.discrimination + found.uncertainty
    assert total == pytest.approx(found.score, rel=1e-12)
    assert found.refinement == pytest.approx(found.score - found.miscalibration, rel=1e-12)
    if method == "corp":
        assert min(found.miscalibration, found.discrimination) >= 0


def test_uncertainty_is_the_entropy_or_variance_of_the_base_rates():
    y, p, w = multiclass()
    rates = np.bincount(y, w) / w.sum()
    assert log_loss_decomposition(y, p, sample_weight=w).uncertainty == pytest.approx(entropy(rates))
    assert brier_decomposition(y, p, sample_weight=w).uncertainty == pytest.approx(1 - (rates**2).sum())


def test_several_classes_by_corp_are_the_sum_over_classes():
    y, p, w = multiclass()
    parts = [terms_of(brier_decomposition((y == k).astype(int), p[:, k], sample_weight=w)) for k in range(4)]
    found = brier_decomposition(y, p, method="corp", sample_weight=w)
    np.testing.assert_allclose(terms_of(found), np.sum(parts, axis=0), rtol=1e-12)


@pytest.mark.parametrize("decomposition", DECOMPOSITIONS)
def test_cross_fitting_finds_miscalibration_and_none_where_there_is_none(decomposition):
    y, sharpened, _ = multiclass(6000)
    _, calibrated, _ = multiclass(6000, power=1.0)
    off, fine = (decomposition(y, p) for p in (sharpened, calibrated))
    assert off.method == "cross_fitted"
    assert off.miscalibration > 0.02
    assert abs(fine.miscalibration) < 1e-3
    assert off.refinement == pytest.approx(fine.score, abs=2e-3)


def test_cross_fitting_by_hand():
    y, p, w = multiclass(300)
    splits = list(KFold(3).split(p))
    after = np.empty_like(p)
    for train, test in splits:
        scaler = TemperatureScaler(input="proba").fit(p[train], y[train], w[train])
        after[test] = scaler.predict_proba(p[test])
    expected = log_loss(y, after, sample_weight=w)
    for cv in (splits, KFold(3)):
        found = log_loss_decomposition(y, p, sample_weight=w, cv=cv)
        assert found.refinement == pytest.approx(expected, rel=1e-9)
    mine = log_loss_decomposition(y, p, sample_weight=w, cv=splits, calibrator=TemperatureScaler(input="proba"))
    assert mine.refinement == pytest.approx(expected, rel=1e-9)
    logits = log_loss_decomposition(
        y, p, sample_weight=w, cv=splits, calibrator=TemperatureScaler(), calibrator_input="logits"
    )
    assert logits.refinement == pytest.approx(expected, rel=1e-9)


def test_any_estimator_with_labels_of_any_type_calibrates():
    y, p, _ = multiclass()
    named = np.array(list("dbca"))[y]
    options = {"calibrator": LogisticRegression(max_iter=500), "calibrator_input": "logits"}
    found = log_loss_decomposition(named, p, labels=list("dbca"), **options)
    assert found.refinement == pytest.approx(log_loss_decomposition(y, p, **options).refinement, rel=1e-4)
    assert found.miscalibration > 0.1
    one = brier_decomposition(named == "a", p[:, 3], **options)
    assert one.method == "cross_fitted"


@pytest.mark.parametrize("decomposition", DECOMPOSITIONS)
@pytest.mark.parametrize("method", ["corp", "cross_fitted"])
def test_weight_is_repetition_and_zero_is_removal(decomposition, method):
    for y, p, w in (binary(), multiclass(200)):
        if p.ndim == 2 and decomposition is log_loss_decomposition and method == "corp":
            continue
        w[::5] = 0
        weighted = decomposition(y, p, method=method, sample_weight=w)
        order = np.random.default_rng(0).permutation(w.sum())
        repeated = decomposition(np.repeat(y, w)[order], np.repeat(p, w, axis=0)[order], method=method)
        np.testing.assert_allclose(terms_of(weighted), terms_of(repeated), rtol=1e-9, atol=1e-14)


def test_folds_keep_equal_predictions_together_and_classes_apart():
    y, p, _ = multiclass(500)
    p = np.repeat(p[:100], 5, axis=0)
    folds = prediction_folds(check_predictions(y, p), 5)
    assert (folds.reshape(100, 5) == folds[::5, None]).all()
    assert np.bincount(folds[::5]).tolist() == [20] * 5


def test_perfect_calibrated_and_constant_predictions():
    perfect = log_loss_decomposition([0, 1] * 50, [0.0, 1.0] * 50)
    assert (perfect.score, perfect.miscalibration) == (0, 0)
    assert perfect.discrimination == pytest.approx(perfect.uncertainty)
    constant = brier_decomposition([0, 0, 0, 1], [0.25] * 4)
    assert (constant.miscalibration, constant.discrimination) == (0, 0)
    one_class = log_loss_decomposition([1, 1, 1], [0.2, 0.5, 0.9], labels=[0, 1])
    assert (one_class.discrimination, one_class.uncertainty) == (0, 0)
    with pytest.raises(ValueError, match="at least two different predictions"):
        brier_decomposition([0, 1, 2], [[0.2, 0.3, 0.5]] * 3)


def test_impossible_truth_is_infinite_miscalibration_and_nothing_else():
    found = log_loss_decomposition([0, 1, 0, 1], [0.0, 0.0, 0.5, 0.9])
    assert found.score == found.miscalibration == np.inf
    assert np.isfinite([found.discrimination, found.uncertainty, found.refinement]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "isotonic"}, "'method' parameter must be one of"),
        ({"calibrator_input": "auto"}, "'calibrator_input' parameter must be one of"),
        ({"method": "corp"}, "for two classes"),
        ({"cv": 1}, "'cv' parameter must be an int >= 2"),
        ({"cv": [([0, 1], [2, 3])]}, "hold out every row once"),
        ({"method": "corp", "calibrator": TemperatureScaler()}, "takes no calibrator"),
    ],
)
def test_bad_parameters(options, message):
    y, p, _ = multiclass(50)
    with pytest.raises(ValueError, match=message):
        log_loss_decomposition(y, p, **options)


def test_a_calibrator_that_misses_a_class_is_named():
    p = np.random.default_rng(0).dirichlet(np.ones(3), 30)
    y = np.array(["a", "b"] * 14 + ["c", "a"])
    with pytest.raises(ValueError, match="does not know the class 'c'"):
        brier_decomposition(y, p, calibrator=LogisticRegression(), labels=["a", "b", "c"])
