"""corp_curve: isotonic regression as scikit-learn fits it, its decomposition, and a band for calibrated curves."""

import numpy as np
import pandas as pd
import pytest
from sklearn.isotonic import IsotonicRegression

from sksoft.metrics import brier_decomposition, corp_curve


def case(seed=0, n_rows=400):
    rng = np.random.default_rng(seed)
    p = rng.random(n_rows).round(2)
    return (rng.random(n_rows) < p).astype(int), p


@pytest.mark.parametrize("weighted", [False, True])
def test_blocks_are_isotonic_regression(weighted):
    y, p = case()
    w = np.random.default_rng(1).random(len(y)) if weighted else None
    curve = corp_curve(y, p, sample_weight=w, n_resamples=0)
    expected = IsotonicRegression().fit(p, y, sample_weight=w).predict(p)
    blocks = curve.blocks
    found = blocks["observed_rate"].to_numpy()[np.searchsorted(blocks["score_high"], p)]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert (np.diff(blocks["observed_rate"]) > 0).all()
    assert blocks["weight"].sum() == pytest.approx(len(y) if w is None else w.sum())
    rates = np.ones(len(y)) if w is None else w
    assert (blocks["weight"] * blocks["observed_rate"]).sum() == pytest.approx(rates @ y)
    assert (blocks["weight"] * blocks["mean_proba"]).sum() == pytest.approx(rates @ p)
    assert curve.band.empty


def test_decomposition_is_that_of_the_brier_score():
    y, p = case()
    assert corp_curve(y, p, n_resamples=0).decomposition == brier_decomposition(y, p, method="corp")


def test_the_band_holds_calibrated_curves_and_not_others():
    inside = []
    for seed in range(40):
        y, p = case(seed, 200)
        curve = corp_curve(y, p, n_resamples=99, confidence_level=0.9, random_state=seed)
        rate = curve.blocks["observed_rate"].to_numpy()
        at = rate[np.searchsorted(curve.blocks["score_high"], curve.band["score"])]
        inside.append(((curve.band["low"] <= at) & (at <= curve.band["high"])).mean())
    assert abs(np.mean(inside) - 0.9) < 0.05
    y, p = case(1, 2000)
    wrong = corp_curve(y, p**3, n_resamples=99, random_state=0)
    middle = wrong.band[(wrong.band["score"] > 0.1) & (wrong.band["score"] < 0.6)]
    at = wrong.blocks["observed_rate"].to_numpy()[np.searchsorted(wrong.blocks["score_high"], middle["score"])]
    assert (at > middle["high"]).mean() > 0.9


def test_band_is_told_at_few_scores_and_by_the_seed():
    rng = np.random.default_rng(0)
    p = rng.random(3000)
    first, again = (corp_curve(rng.random(3000) < p, p, n_resamples=19, random_state=1).band for _ in range(2))
    assert len(first) == 200
    assert (first["low"] <= first["high"]).all()
    pd.testing.assert_frame_equal(first, again)  # the band looks at predictions only


def test_modes_and_labels():
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(3), 200)
    y = np.array(["$", "_b", "c"])[rng.integers(0, 3, 200)]
    hit = np.array(["$", "_b", "c"])[proba.argmax(axis=1)] == y
    top = corp_curve(y, proba, n_resamples=0)
    pd.testing.assert_frame_equal(top.blocks, corp_curve(hit, proba.max(axis=1), n_resamples=0).blocks)
    one = corp_curve(y, proba, mode="binary", pos_label="c", n_resamples=0)
    pd.testing.assert_frame_equal(one.blocks, corp_curve(y == "c", proba[:, 2], n_resamples=0).blocks)


def test_weights_are_repetitions():
    y, p = case()
    w = np.random.default_rng(1).integers(0, 3, len(y))
    weighted = corp_curve(y, p, sample_weight=w, weight_type="frequency", n_resamples=19, random_state=0)
    repeated = corp_curve(np.repeat(y, w), np.repeat(p, w), n_resamples=19, random_state=0)
    pd.testing.assert_frame_equal(weighted.blocks, repeated.blocks, rtol=1e-10)
    pd.testing.assert_frame_equal(weighted.band, repeated.band, rtol=1e-10)


def test_one_score_only():
    curve = corp_curve([0, 1, 1], [0.5, 0.5, 0.5], n_resamples=9, random_state=0)
    assert curve.blocks["observed_rate"].tolist() == [pytest.approx(2 / 3)]
    assert len(curve.band) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [({"mode": "classwise"}, "'mode' parameter must be one of"), ({"n_resamples": -1}, "'n_resamples' parameter")],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        corp_curve([0, 1], [0.2, 0.7], **options)


def test_blocks_do_not_depend_on_the_unit_of_weights():
    rng = np.random.default_rng(4)
    scores, weights = np.sort(rng.random(200)), rng.integers(1, 4, 200)
    hits = rng.random(200) < 0.3
    unit = corp_curve(hits, scores, sample_weight=weights, n_resamples=0).blocks
    for factor in (1 / 3, 0.7, 1e90, 1e-90):
        scaled = corp_curve(hits, scores, sample_weight=weights * factor, n_resamples=0).blocks
        np.testing.assert_allclose(scaled["observed_rate"], unit["observed_rate"], rtol=1e-9)
        np.testing.assert_allclose(scaled["weight"], unit["weight"] * factor, rtol=1e-9)
