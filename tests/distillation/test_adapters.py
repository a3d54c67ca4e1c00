"""Pipelines as students, and what is said of the way a student is taught."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from sksoft import SoftmaxRegression
from sksoft.distillation.adapters import Teaching, adapter_name, log_probabilities
from sksoft.distillation.transfer_rows import TransferRows
from tests.distillation.test_soft_targets import rows_of

X, Y = load_iris(return_X_y=True)
ROWS = rows_of(X, Y, 3, unlabelled=30)
EQUAL = TransferRows(X, Y, np.ones(150), ROWS.logits, np.arange(3))


def taught(student, temperature, alpha, rows=ROWS):
    return Teaching(student, adapter_name("auto", student), 10, 0)(rows, temperature, alpha)


class Shifted(TransformerMixin, BaseEstimator):
    """Moves the rows of the fit, and those alone, as an encoder by labels does that leaves out the row's own."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X

    def fit_transform(self, X, y=None):
        return X + np.random.default_rng(0).normal(size=X.shape)


def test_steps_that_treat_the_rows_of_the_fit_apart_do_so():
    student = make_pipeline(Shifted(), SoftmaxRegression())
    alone = log_probabilities(taught(student, 1.0, 0.0, EQUAL), X, 3)
    np.testing.assert_allclose(np.exp(alone), student.fit(X, Y).predict_proba(X), atol=1e-9)
    in_sample = SoftmaxRegression().fit(X, Y).predict_proba(X)
    assert np.abs(np.exp(alone) - in_sample).max() > 0.1


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_a_pipeline_in_a_pipeline_is_looked_through(temperature):
    inner = make_pipeline(StandardScaler(with_std=False), SoftmaxRegression())
    nested = taught(make_pipeline(StandardScaler(), inner), temperature, 0.5)
    flat = taught(make_pipeline(StandardScaler(), *(step for _, step in inner.steps)), temperature, 0.5)
    assert nested.adapter["name"] == "soft_targets"
    assert nested.adapter["exact"]
    assert isinstance(nested.student[-1], Pipeline)
    np.testing.assert_allclose(log_probabilities(nested, X, 3), log_probabilities(flat, X, 3), atol=1e-12)


def test_a_pipeline_keeps_its_own_parameters():
    made = taught(Pipeline([("scale", StandardScaler()), ("learn", SoftmaxRegression())], verbose=True), 2.0, 0.5)
    assert made.student.verbose
    assert list(made.student.named_steps) == ["scale", "learn"]


@pytest.mark.parametrize(
    ("student", "alpha", "exact", "why"),
    [
        (SoftmaxRegression(), 0.0, True, "labels alone"),
        (SoftmaxRegression(link="sparsemax"), 0.0, False, "link='sparsemax'"),
        (SoftmaxRegression(class_weight="balanced"), 0.0, False, "class_weight"),
        (LogisticRegression(max_iter=1000), 0.5, True, "weighted copies"),
        (LogisticRegression(max_iter=1000, class_weight="balanced"), 0.5, False, "class_weight"),
        (DecisionTreeClassifier(max_depth=2), 0.0, True, "labels alone"),
        (DecisionTreeClassifier(max_depth=2, class_weight="balanced"), 1.0, False, "class_weight"),
        (LinearSVC(), 0.5, False, "no probabilities"),
        (RidgeClassifier(), 0.0, False, "no probabilities"),
        (KNeighborsClassifier(), 0.0, False, "drawn labels"),
    ],
)
def test_what_is_said_is_true(student, alpha, exact, why):
    adapter = taught(student, 1.0, alpha).adapter
    assert adapter["exact"] is exact
    assert why in adapter["why"]


def test_labels_of_rows_that_weigh_the_same_are_not_drawn():
    assert taught(KNeighborsClassifier(), 1.0, 0.0, EQUAL).adapter["exact"]


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_what_copies_leave_out_is_always_said(alpha):
    adapter = taught(DecisionTreeClassifier(max_depth=2), 1.0, alpha).adapter
    assert 0.0 <= adapter["left_out"] < 1e-5
