"""The canonical curve is what canonical_calibration_error sums up."""

import numpy as np
import pandas as pd
import pytest

from sksoft.metrics import canonical_calibration_error, canonical_curve
from sksoft.metrics.calibration import rate_interval

RNG = np.random.default_rng(0)
PROBA = RNG.dirichlet(np.ones(3), 600)
Y = np.array(["$", "_b", "c"])[RNG.integers(0, 3, 600)]


@pytest.mark.parametrize("strategy", ["uniform", "dynamic"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_error_is_the_mean_total_variation_of_the_gaps(strategy, weighted):
    weights = RNG.random(600) if weighted else None
    options = {"strategy": strategy, "sample_weight": weights, "min_weight": 30}
    curve = canonical_curve(Y, PROBA, **options)
    total = curve["weight"].sum() / 3
    error = (curve["weight"] * curve["gap"].abs()).sum() / 2 / total
    assert error == pytest.approx(canonical_calibration_error(Y, PROBA, **options), rel=1e-10)
    by_bin = curve.groupby("bin")[["mean_proba", "observed_rate"]].sum()
    np.testing.assert_allclose(by_bin, 1.0, rtol=1e-10)


def test_intervals_and_repetition():
    weights = RNG.integers(0, 3, 600)
    options = {"min_weight": 50}
    weighted = canonical_curve(Y, PROBA, sample_weight=weights, weight_type="frequency", **options)
    repeated = canonical_curve(np.repeat(Y, weights), np.repeat(PROBA, weights, axis=0), **options)
    pd.testing.assert_frame_equal(weighted, repeated, rtol=1e-10)
    low, high = rate_interval(weighted["observed_rate"], weighted["n"])
    np.testing.assert_allclose(weighted[["rate_low", "rate_high"]], np.column_stack([low, high]), rtol=1e-10)


def test_two_classes():
    curve = canonical_curve([0, 1, 1, 0], [0.1, 0.8, 0.9, 0.2], strategy="uniform", n_bins=2)
    assert curve["class"].tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(curve["observed_rate"], [0, 1, 1, 0])


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="'strategy' parameter must be one of"):
        canonical_curve(Y, PROBA, strategy="quantile")
    with pytest.raises(ValueError, match="'min_weight' parameter must be a positive finite float"):
        canonical_curve(Y, PROBA, min_weight=0)
