"""Sums of parts give the metrics of all rows."""

import pickle

import numpy as np
import pandas as pd
import pytest

from sksoft.metrics import (
    CalibrationSums,
    brier_score,
    expected_calibration_error,
    negative_log_likelihood,
    reliability_curve,
    smooth_calibration_error,
)

LABELS = ["a", "b", "c"]


def problem(n_rows=400, seed=0):
    """The first rows show one class only."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n_rows)
    y[:100] = 1
    return np.array(LABELS)[y], rng.dirichlet(np.ones(3), n_rows), rng.integers(0, 4, n_rows).astype(float)


def added(parts):
    return sum(parts[1:], parts[0])


@pytest.mark.parametrize("mode", ["confidence", "classwise", "top_label", "binary"])
@pytest.mark.parametrize("weight_type", [None, "sampling", "frequency"])
def test_parts_give_the_metrics_of_all_rows(mode, weight_type):
    y, proba, weights = problem()
    options = {"mode": mode, "labels": LABELS, "pos_label": "c" if mode == "binary" else None}
    weighted = {} if weight_type is None else {"sample_weight": weights, "weight_type": weight_type}
    parts = []
    for rows in np.array_split(np.arange(400), 4):
        own = weighted | ({"sample_weight": weights[rows]} if weighted else {})
        parts.append(CalibrationSums.from_predictions(y[rows], proba[rows], smooth=True, **own, **options))
    sums = pickle.loads(pickle.dumps(added(parts)))
    for norm in ("l1", "l2", "max"):
        for debias in (False, True) if norm != "max" else (False,):
            expected = expected_calibration_error(y, proba, norm=norm, debias=debias, **weighted, **options)
            assert sums.expected_calibration_error(norm=norm, debias=debias) == pytest.approx(expected, abs=1e-12)
    given = {"sample_weight": weights} if weighted else {}
    assert sums.smooth_calibration_error() == pytest.approx(
        smooth_calibration_error(y, proba, **given, **options), abs=1e-11
    )
    assert sums.negative_log_likelihood() == pytest.approx(
        negative_log_likelihood(y, proba, labels=LABELS, **given), rel=1e-12
    )
    assert sums.brier_score() == pytest.approx(brier_score(y, proba, labels=LABELS, **given), rel=1e-12)
    curve = reliability_curve(y, proba, **weighted, **options)
    pd.testing.assert_frame_equal(sums.reliability_curve(), curve, rtol=1e-10)


@pytest.mark.parametrize("mode", ["auto", "confidence", "classwise", "top_label"])
def test_one_column(mode):
    rng = np.random.default_rng(0)
    p = rng.integers(0, 65, 300) / 64
    y = rng.random(300) < p
    y[:50] = True
    parts = [CalibrationSums.from_predictions(y[r], p[r], mode=mode) for r in (slice(0, 50), slice(50, 300))]
    expected = expected_calibration_error(y, p, mode=mode)
    assert added(parts).expected_calibration_error() == pytest.approx(expected, abs=1e-12)
    assert added(parts).brier_score() == pytest.approx(brier_score(y, p), rel=1e-12)


def test_edges_may_be_given():
    y, proba, _ = problem()
    confidence = proba.max(axis=1)
    edges = np.quantile(confidence, [0.25, 0.5, 0.75])
    sums = added([CalibrationSums.from_predictions(y[i::2], proba[i::2], edges=edges, labels=LABELS) for i in range(2)])
    places = np.searchsorted(edges, confidence)
    hits = np.array(LABELS)[proba.argmax(axis=1)] == y
    expected = sum(abs((hits - confidence)[places == b].sum()) for b in range(4)) / 400
    assert sums.expected_calibration_error() == pytest.approx(expected, rel=1e-12)
    assert sums.reliability_curve()["bin_low"].tolist() == [0.0, *edges]


def test_one_row_and_one_class():
    sums = CalibrationSums.from_predictions(["b"], [[0.25, 0.75]], labels=["a", "b"], smooth=True)
    assert sums.expected_calibration_error() == 0.25
    assert sums.smooth_calibration_error() == pytest.approx(0.25, abs=1e-12)


def test_sums_of_different_questions_do_not_add():
    y, proba, _ = problem()
    base = CalibrationSums.from_predictions(y, proba, labels=LABELS)
    for other, name in [
        ({"mode": "classwise"}, "mode"),
        ({"n_bins": 10}, "edges"),
        ({"labels": ["c", "b", "a"]}, "labels"),
        ({"weight_type": "frequency"}, "weight_type"),
        ({"smooth": True}, "smooth"),
    ]:
        with pytest.raises(ValueError, match=f"Sums add up where '{name}' is the same"):
            base + CalibrationSums.from_predictions(y, proba, **({"labels": LABELS} | other))
    one, two = (
        CalibrationSums.from_predictions(y, proba, mode="binary", labels=LABELS, pos_label=label) for label in "ab"
    )
    with pytest.raises(ValueError, match="'positive'"):
        one + two
    with pytest.raises(TypeError):
        base + 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": None}, "needs 'labels'"),
        ({"edges": [0.5, 0.5]}, "'edges' parameter must hold"),
        ({"edges": [0.0, 0.5]}, "'edges'"),
        ({"n_bins": 0}, "'n_bins'"),
        ({"mode": "x"}, "'mode'"),
    ],
)
def test_parameters_out_of_range_are_named(options, message):
    y, proba, _ = problem()
    with pytest.raises(ValueError, match=message):
        CalibrationSums.from_predictions(y, proba, **({"labels": LABELS} | options))


def test_methods_name_what_is_missing():
    y, proba, _ = problem()
    sums = CalibrationSums.from_predictions(y, proba, labels=LABELS)
    with pytest.raises(ValueError, match="smooth=True"):
        sums.smooth_calibration_error()
    with pytest.raises(ValueError, match="no debiased form"):
        sums.expected_calibration_error(norm="max", debias=True)
    with pytest.raises(ValueError, match="'norm'"):
        sums.expected_calibration_error(norm="l3")
    with pytest.raises(ValueError, match="'interval'"):
        sums.reliability_curve(interval="wald")


def test_edges_are_numbers():
    for edges in (["a"], [0.5, None], [0.5, 0.2], [0.0]):
        with pytest.raises(ValueError, match="'edges' parameter must hold"):
            CalibrationSums.from_predictions([0, 1], [0.2, 0.7], edges=edges)
    one = CalibrationSums.from_predictions([0, 1], [0.2, 0.7], edges=[])
    assert one.expected_calibration_error() == pytest.approx(0.05)
