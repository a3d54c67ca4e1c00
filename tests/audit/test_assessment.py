"""audit(): the same answer for the same predictions however they come, and clear errors."""

import numpy as np
import pandas as pd
import pytest

from sksoft.audit import audit


def test_two_columns_are_judged_as_their_positive_class(calibrated, report):
    p = calibrated["y_proba"]
    same = audit(
        calibrated["y_true"],
        np.column_stack([p, 1 - p]),
        labels=["yes", "no"],
        pos_label="yes",
        sensitive_features=calibrated["sensitive_features"],
        n_resamples=199,
        thresholds=(0.3, 0.6),
    )
    assert same.summary == report.summary
    for name, frame in report.frames.items():
        pd.testing.assert_frame_equal(same.frames[name], frame, rtol=1e-9)


def test_same_seed_same_frames_and_another_seed_not(calibrated, report):
    again = audit(**calibrated, n_resamples=199, thresholds=(0.3, 0.6))
    for name, frame in report.frames.items():
        pd.testing.assert_frame_equal(again.frames[name], frame)
    other = audit(**calibrated, n_resamples=199, thresholds=(0.3, 0.6), random_state=1)
    assert (other.frames["groups"]["ece_low"] != report.frames["groups"]["ece_low"]).any()


def test_zero_weight_is_removal(multiclass, multiclass_report):
    kept = multiclass["sample_weight"] > 0
    removed = audit(**{name: values[kept] for name, values in multiclass.items()}, n_resamples=0)
    assert multiclass_report.summary["rows"] == kept.sum()
    for name in ("scores", "decomposition", "classes", "reliability", "rates", "gaps", "recalibration", "class_tests"):
        pd.testing.assert_frame_equal(multiclass_report.frames[name], removed.frames[name])
    for name in ("recalibration_chosen", "calibrators", "group_temperatures", "calibration_slope"):
        pd.testing.assert_frame_equal(multiclass_report.frames[name], removed.frames[name])
    points = ["group", "n", "accuracy", "ece", "ece_debiased", "gap"]
    pd.testing.assert_frame_equal(multiclass_report.frames["groups"][points], removed.frames["groups"][points])


def test_permuted_classes_change_nothing_but_names(multiclass):
    order = [2, 0, 3, 1]
    options = {"n_resamples": 0, "recalibrate": False}
    one = audit(**multiclass, **options, labels=["w", "x", "y", "z"])
    permuted = {**multiclass, "y_proba": multiclass["y_proba"][:, order]}
    two = audit(**permuted, **options, labels=[["w", "x", "y", "z"][k] for k in order])
    np.testing.assert_allclose(one.frames["scores"]["value"], two.frames["scores"]["value"], rtol=1e-12)
    left, right = (r.frames["rates"].set_index(["decision", "group"]).sort_index() for r in (one, two))
    pd.testing.assert_series_equal(left["selection_rate"], right["selection_rate"])


@pytest.mark.parametrize("labels", [[0, 1], [False, True], ["a", "b"], [-3.5, 2.0]])
def test_labels_of_any_type(calibrated, labels):
    positive = calibrated["y_true"] == "yes"
    y = np.where(positive, *np.array(labels)[[1, 0]])
    report = audit(y, calibrated["y_proba"], labels=labels, n_resamples=0)
    assert report.summary["positive_class"] == str(labels[1])
    assert report.frames["classes"]["n"].tolist() == [(~positive).sum(), positive.sum()]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_true": ["no"] * 4000}, "at least two classes"),
        ({"thresholds": (0.5, 1.5)}, r"'thresholds' parameter must hold floats in \[0, 1\]"),
        ({"thresholds": ()}, "at least one"),
        ({"thresholds": (0.5, 0.5)}, "different values"),
        ({"thresholds": (float("nan"),)}, "thresholds"),
        ({"confidence_level": 1.0}, "confidence_level"),
        ({"random_state": None}, "random_state"),
        ({"random_state": -1}, "random_state"),
        ({"n_bins": 0}, "n_bins"),
        ({"min_group_size": 1}, "min_group_size"),
        ({"pos_label": "maybe"}, "pos_label='maybe'"),
        ({"sensitive_features": ["F"] * 3}, "inconsistent numbers of samples"),
        ({"sample_weight": np.zeros(4000)}, "[sS]ample"),
    ],
)
def test_bad_input(calibrated, change, message):
    with pytest.raises(ValueError, match=message):
        audit(**{**calibrated, "n_resamples": 0, **change})


def test_two_columns_and_an_unknown_positive_class(calibrated):
    p = calibrated["y_proba"]
    with pytest.raises(ValueError, match="pos_label='maybe'"):
        audit(calibrated["y_true"], np.column_stack([1 - p, p]), pos_label="maybe")


def test_steps_are_told(calibrated):
    from contextlib import contextmanager

    told = []

    @contextmanager
    def step(name):
        told.append(name)
        yield

    audit(**calibrated, n_resamples=0, step=step)
    assert told[-2:] == ["Temperatures of groups", "Decision rates"]


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"thresholds": None}, ValueError, "'thresholds' parameter"),
        ({"limits": {"rate_gap": 1}}, TypeError, "'limits' parameter must be an instance of Limits"),
        ({"n_bins": 101}, ValueError, r"'n_bins' parameter must be an int in \[1, 100\]"),
        ({"random_state": 2**32}, ValueError, "'random_state' parameter"),
    ],
)
def test_parameters_outside_their_domain_are_named(options, error, says):
    with pytest.raises(error, match=says):
        audit([0, 1, 0, 1], [0.2, 0.7, 0.4, 0.9], **options)


def test_many_classes_of_few_rows_do_not_warn():
    proba = np.random.default_rng(0).dirichlet(np.ones(60), 100)
    assert audit(np.arange(100) % 60, proba, n_resamples=0).summary["rows"] == 100
