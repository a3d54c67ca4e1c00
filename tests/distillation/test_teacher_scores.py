"""Scores that users have in the place of a teacher, as they save them."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, softmax

from sksoft.distillation.teacher_scores import given

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(6, 3))


def logits_of(scores, input="logits", classes=("a", "b", "c")):
    return given(scores, input, 6, np.arange(6), 0, np.asarray(classes), 2).labelled


@pytest.mark.parametrize("temperature", [1.0, 100.0, 1e4])
def test_a_class_that_is_excluded_stays_excluded_at_any_temperature(temperature):
    scores = np.where(np.arange(3) == np.arange(6)[:, None] % 3, -np.inf, LOGITS)
    np.testing.assert_allclose(
        softmax(logits_of(scores) / temperature, axis=1), softmax(scores / temperature, axis=1), rtol=1e-12, atol=1e-300
    )


@pytest.mark.parametrize("as_column", [False, True])
def test_one_score_is_that_of_the_second_of_two_classes(as_column):
    score = LOGITS[:, 0][:, None] if as_column else LOGITS[:, 0]
    of_scores = logits_of(score, classes=("no", "yes"))
    np.testing.assert_allclose(softmax(of_scores, axis=1)[:, 1], expit(LOGITS[:, 0]))
    of_proba = logits_of(expit(score), input="proba", classes=("no", "yes"))
    np.testing.assert_allclose(softmax(of_proba, axis=1), softmax(of_scores, axis=1))


def test_one_score_for_three_classes_is_too_few():
    with pytest.raises(ValueError, match=r"must have shape \(6, 3\).*Got \(6,\) instead"):
        logits_of(LOGITS[:, 0])
    with pytest.raises(ValueError, match=r"must have shape \(6, 2\).*Got \(6,\) instead"):
        logits_of(np.ones(6), input="counts", classes=("no", "yes"))


def test_columns_with_names_of_other_classes_are_refused():
    frame = pd.DataFrame(LOGITS, columns=list("abc"))
    np.testing.assert_array_equal(logits_of(frame), logits_of(LOGITS))
    np.testing.assert_array_equal(logits_of(frame.set_axis(["x", "y", "z"], axis=1)), logits_of(LOGITS))
    with pytest.raises(
        ValueError, match=r"columns in the order of the classes, \['a', 'b', 'c'\]. Got \['c', 'b', 'a'\]"
    ):
        logits_of(frame[["c", "b", "a"]])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_are_numbered_as_the_user_numbers_them(bad):
    scores = LOGITS.copy()
    scores[4, 1] = bad
    with pytest.raises(ValueError, match="NaN or infinity in row 4"):
        given(scores, "logits", 6, np.array([0, 2, 4]), 0, np.arange(3), 2)
