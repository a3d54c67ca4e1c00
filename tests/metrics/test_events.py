"""Which probability is compared with what, for one column and several."""

import numpy as np
import pytest

from sksoft.metrics.events import event_rows, events, resolved_mode
from sksoft.metrics.predictions import check_predictions

PROBA = np.array([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5], [0.5, 0.25, 0.25]])


def of(y, proba, **options):
    return check_predictions(np.array(y), np.array(proba), **options)


def test_auto_depends_on_the_number_of_columns():
    assert resolved_mode(of([0, 1], [0.2, 0.7]), "auto") == "binary"
    assert resolved_mode(of(["a", "b", "c"], PROBA), "auto") == "confidence"
    assert resolved_mode(of([0, 1], [0.2, 0.7]), "classwise") == "classwise"


def test_one_event_for_confidence_and_binary():
    predictions = of(["a", "b", "c"], PROBA, sample_weight=[1, 2, 3])
    (event,) = events(predictions, "confidence")
    assert event.share == 1.0
    assert event.scores.tolist() == [0.5, 0.5, 0.5]
    assert event.hits.tolist() == [True, False, False]
    assert event.weights.tolist() == [1, 2, 3]
    (event,) = events(predictions, "binary", "b")
    assert event.scores.tolist() == [0.25, 0.25, 0.25]
    assert event.hits.tolist() == [False, True, False]


def test_one_event_for_each_class():
    found = list(events(of(["a", "b", "c"], PROBA), "classwise"))
    assert [event.share for event in found] == [1 / 3] * 3
    assert [event.scores.tolist() for event in found] == PROBA.T.tolist()
    assert [event.hits.tolist() for event in found] == np.eye(3, dtype=bool).tolist()


def test_one_event_for_each_predicted_label():
    found = list(events(of(["a", "b", "c"], PROBA, sample_weight=[1, 2, 5]), "top_label"))
    assert [event.share for event in found] == [0.75, 0.25]
    assert [event.hits.tolist() for event in found] == [[True, False], [False]]
    assert [event.weights.tolist() for event in found] == [[1, 5], [2]]
    scores, hits, groups, n_groups = event_rows(of(["a", "b", "c"], PROBA), "top_label")
    assert groups.tolist() == [0, 2, 0]
    assert n_groups == 3
    assert scores.tolist() == [0.5] * 3
    assert hits.tolist() == [True, False, False]


def test_one_column_is_two_classes():
    found = list(events(of([0, 1], [0.25, 0.75]), "classwise"))
    assert [event.scores.tolist() for event in found] == [[0.75, 0.25], [0.25, 0.75]]
    assert [event.hits.tolist() for event in found] == [[True, False], [False, True]]


def test_binary_of_many_columns_needs_a_class_that_exists():
    predictions = of(["a", "b", "c"], PROBA)
    with pytest.raises(ValueError, match="needs 'pos_label'"):
        list(events(predictions, "binary"))
    with pytest.raises(ValueError, match="pos_label='d' is not a valid label"):
        list(events(predictions, "binary", "d"))
