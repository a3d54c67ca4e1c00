"""Weighted copies against the minimum of the loss as it is written, where they are exact; and where they are not."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from sksoft import HierarchicalSoftmaxClassifier
from sksoft.distillation import repeated_rows
from sksoft.distillation.adapters import Teaching, log_probabilities
from tests.distillation.test_soft_targets import rows_of
from tests.distillation.two_term_loss import minimum, two_term_loss

X, Y = load_iris(return_X_y=True)
ROWS = rows_of(X, Y, 3, unlabelled=30)
EXACT = LogisticRegression(C=0.7, tol=1e-12, solver="newton-cholesky", max_iter=1000)


def taught(student, temperature, alpha, rows=ROWS):
    return Teaching(student, "repeated_rows", 10, 0)(rows, temperature, alpha)


@pytest.mark.parametrize(("temperature", "alpha"), [(1.0, 0.3), (1.0, 1.0), (2.5, 1.0)])
def test_is_the_minimum_of_the_two_terms_where_it_says_so(temperature, alpha):
    made = taught(EXACT, temperature, alpha)
    coef, intercept = minimum(ROWS, temperature, alpha, C=0.7)
    np.testing.assert_allclose(made.power * made.student.coef_, coef, atol=2e-5)  # shares of 1e-6 are left out
    ours = two_term_loss(ROWS, log_probabilities(made, X, 3), temperature, alpha)
    best = two_term_loss(ROWS, X @ coef.T + intercept, temperature, alpha)
    assert ours == pytest.approx(best, rel=1e-6)
    assert made.adapter["exact"]
    assert made.power == temperature


def test_between_two_temperatures_it_is_not_the_minimum_and_says_so():
    made = taught(EXACT, 2.5, 0.5)
    coef, _ = minimum(ROWS, 2.5, 0.5, C=0.7)
    assert np.abs(made.power * made.student.coef_ - coef).max() > 0.1
    assert not made.adapter["exact"]
    assert "two temperatures" in made.adapter["why"]


def test_leaves_of_a_tree_are_the_mean_distributions():
    stump = DecisionTreeClassifier(max_depth=1, random_state=0)
    made = taught(stump, 1.0, 0.4)
    targets, weights = ROWS.blended(1.0, 0.4)
    leaf = made.student.apply(X)
    for which in np.unique(leaf):
        expected = np.average(targets[leaf == which], axis=0, weights=weights[leaf == which])
        np.testing.assert_allclose(made.student.predict_proba(X)[leaf == which][0], expected, atol=1e-5)
    assert made.adapter["exact"]
    assert not taught(stump, 2.0, 1.0).adapter["exact"]


def test_what_is_left_out_is_the_weight_of_small_shares():
    rows = rows_of(X, Y, 3)
    rows.logits[:] = np.log([[1.0 - 3e-7, 2e-7, 1e-7]])
    fitted, lost = repeated_rows.fit(GaussianNB(), rows, 1.0, 1.0)
    assert lost == pytest.approx(3e-7, rel=1e-6)
    assert fitted.classes_.tolist() == [0]
    made = taught(GaussianNB(), 1.0, 1.0, rows)
    log_proba = log_probabilities(made, X, 3)
    np.testing.assert_allclose(np.exp(log_proba).sum(axis=1), 1.0)
    assert log_proba[:, 1:].max() < -30


@pytest.mark.parametrize(
    ("student", "exact"),
    [
        (LogisticRegression(max_iter=1000), True),
        (LogisticRegression(l1_ratio=1.0, solver="saga", max_iter=10_000), False),
        (SGDClassifier(loss="log_loss", random_state=0), False),
        (HierarchicalSoftmaxClassifier(tree="huffman", arity=2), False),
    ],
)
def test_scores_that_scale(student, exact):
    assert taught(student, 2.0, 1.0).adapter["exact"] is exact


def test_a_student_without_probabilities_has_those_of_its_scores():
    made = taught(SVC(decision_function_shape="ovr"), 1.0, 1.0)
    scores = made.student.decision_function(X)
    expected = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(log_probabilities(made, X, 3), expected)
