"""Gradient and curvature by finite differences of the loss as it is written; and XGBoost itself, where it is there."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

from sksoft import KnowledgeDistiller, SoftmaxRegression
from sksoft.distillation.adapters import Teaching, log_probabilities
from sksoft.distillation.boosted_targets import TwoTermObjective, suits
from tests.distillation.test_soft_targets import rows_of
from tests.distillation.two_term_loss import two_term_loss

X, Y = load_iris(return_X_y=True)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(("temperature", "alpha"), [(1.0, 0.3), (2.5, 0.7), (4.0, 1.0)])
def test_gradient_is_that_of_the_two_terms(n_classes, temperature, alpha):
    keep = np.flatnonzero(n_classes > Y)
    rows = rows_of(X[keep], Y[keep], n_classes, unlabelled=20)
    objective = TwoTermObjective(rows, temperature, alpha)
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(len(keep), n_classes) if n_classes > 2 else len(keep))

    def loss(scores):
        full = scores if n_classes > 2 else np.column_stack([np.zeros(len(scores)), scores])
        return two_term_loss(rows, full, temperature, alpha)

    gradient, curvature = objective(None, scores)
    assert gradient.shape == curvature.shape == scores.shape
    for at in rng.choice(scores.size, 20, replace=False):
        step = np.zeros(scores.size)
        step[at] = 1e-4
        step = step.reshape(scores.shape)
        up, middle, down = loss(scores + step), loss(scores), loss(scores - step)
        assert gradient.flat[at] == pytest.approx((up - down) / 2e-4, abs=1e-6)
        exact = (up - 2 * middle + down) / 1e-8
        assert curvature.flat[at] == pytest.approx(exact if n_classes == 2 else 2 * exact, rel=1e-3, abs=1e-4)


def test_curvature_is_no_less_than_the_hessian():
    rows = rows_of(X, Y, 3)
    scores = np.random.default_rng(0).normal(size=(150, 3))
    _, curvature = TwoTermObjective(rows, 2.0, 0.5)(None, scores)
    for row, weight in enumerate(rows.weights):
        hessian = np.zeros((3, 3))
        for scale in (1.0, 2.0):  # (1 − α) ∇² at T = 1 and α T² ∇² / T² at T = 2
            p = np.exp(scores[row] / scale) / np.exp(scores[row] / scale).sum()
            hessian += 0.5 * weight * (np.diag(p) - np.outer(p, p))
        assert np.linalg.eigvalsh(np.diag(curvature[row]) - hessian).min() > -1e-12


def test_trees_of_others_are_not_boosted():
    assert not suits(DecisionTreeClassifier())
    assert not suits(SoftmaxRegression())


def test_xgboost_learns_both_terms():
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
    rows = rows_of(X, Y, 3, unlabelled=30)
    student = xgboost.XGBClassifier(n_estimators=200, max_depth=3, reg_lambda=0.0, min_child_weight=0.0, n_jobs=1)
    made = Teaching(student, "custom_objective", 10, 0)(rows, 2.0, 0.5)
    ours = two_term_loss(rows, log_probabilities(made, X, 3), 2.0, 0.5)
    # a free score for each row has the least loss there is; boosting comes near it
    scores, objective = np.zeros((150, 3)), TwoTermObjective(rows, 2.0, 0.5)
    for _ in range(300):
        gradient, curvature = objective(None, scores)
        scores -= gradient / curvature
    least = two_term_loss(rows, scores, 2.0, 0.5)
    assert least <= ours < 1.1 * least + 5.0
    assert made.adapter["exact"]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_xgboost_is_a_student_like_any_other(n_classes):
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
    names = np.array(["setosa", "versicolor", "virginica"])[Y]
    keep = np.flatnonzero(n_classes > Y)
    student = xgboost.XGBClassifier(n_estimators=20, max_depth=2, n_jobs=1)
    scores = 3.0 * np.eye(n_classes)[Y[keep]]
    distiller = KnowledgeDistiller(None, student, 2.0, 0.8).fit(X[keep], names[keep], teacher_scores=scores)
    assert distiller.adapter_["name"] == "custom_objective"
    assert distiller.score(X[keep], names[keep]) > 0.95
    proba = distiller.predict_proba(X[keep])
    assert (distiller.classes_[proba.argmax(axis=1)] == distiller.predict(X[keep])).all()
    copy = pickle.loads(pickle.dumps(distiller))
    np.testing.assert_array_equal(copy.predict_proba(X[keep]), proba)
    assert not callable(distiller.student_.objective)
    auto = KnowledgeDistiller(None, student, cv=3).fit(X[keep], names[keep], teacher_scores=scores)
    assert len(auto.cv_results_["alpha"]) == 10


def test_a_fold_without_a_class_is_named():
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
    student = xgboost.XGBClassifier(n_estimators=2, n_jobs=1)
    for alpha in (0.0, 0.5):
        with pytest.raises(ValueError, match=r"XGBClassifier.* row of each class.* lack the classes \[0\]"):
            Teaching(student, "custom_objective", 10, 0)(rows_of(X, Y, 3).chosen(np.arange(50, 150)), 2.0, alpha)
