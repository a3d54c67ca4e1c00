"""The score of soft labels against SciPy, and in scikit-learn's searches, which must not stratify by it."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, special
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, KFold, check_cv, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksoft.metrics import neg_soft_log_loss, negative_log_likelihood, soft_log_loss

N, K = 40, 3


class KernelShares(ClassifierMixin, BaseEstimator):
    """Predicts weighted means of soft labels of near rows: the least a classifier of soft labels can be."""

    def __init__(self, width=1.0):
        self.width = width

    def fit(self, X, y):
        self.X_ = np.asarray(X)
        self.y_ = y.toarray() if sparse.issparse(y) else np.asarray(y, dtype=float)
        self.classes_ = np.arange(self.y_.shape[1])
        return self

    def predict_proba(self, X):
        distances = ((np.asarray(X)[:, None, :] - self.X_) ** 2).sum(axis=2)
        return special.softmax(-distances / self.width, axis=1) @ (0.99 * self.y_ + 0.01 / self.y_.shape[1])

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def iris(rng):
    X, y = load_iris(return_X_y=True)
    order = rng.permutation(len(X))
    soft = 0.7 * np.eye(3)[y] + 0.3 * rng.dirichlet(np.ones(3), len(X))
    return X[order], soft[order]


def test_is_the_mean_cross_entropy(rng):
    targets, proba, weights = rng.dirichlet(np.ones(K), N), rng.dirichlet(np.ones(K), N), rng.uniform(size=N)
    per_row = (special.rel_entr(targets, proba) + special.entr(targets)).sum(axis=1)
    for y in (targets, sparse.csr_array(targets), sparse.coo_matrix(targets), pd.DataFrame(targets), targets.tolist()):
        np.testing.assert_allclose(soft_log_loss(y, proba), per_row.mean(), rtol=1e-13)
        np.testing.assert_allclose(
            soft_log_loss(y, proba, sample_weight=weights), np.average(per_row, weights=weights), rtol=1e-13
        )
    np.testing.assert_allclose(soft_log_loss(targets, targets), special.entr(targets).sum(axis=1).mean(), rtol=1e-13)
    assert soft_log_loss(targets, proba) > soft_log_loss(targets, targets)


def test_labels_and_their_vertices_score_the_same(rng):
    codes, proba, weights = rng.integers(K, size=N), rng.dirichlet(np.ones(K), N), rng.uniform(size=N)
    names = np.array(["b", "c", "a"])
    expected = negative_log_likelihood(names[codes], proba, labels=names, sample_weight=weights)
    np.testing.assert_allclose(soft_log_loss(np.eye(K)[codes], proba, sample_weight=weights), expected, rtol=1e-14)
    assert soft_log_loss(names[codes], proba, labels=names, sample_weight=weights) == expected


@pytest.mark.parametrize("make", [np.array, sparse.csr_array])
def test_impossible_classes_cost_nothing_unless_they_are_wanted(make):
    proba = np.array([[0.0, 0.5, 0.5]])
    assert soft_log_loss(make([[0.0, 0.5, 0.5]]), proba) == pytest.approx(np.log(2.0))
    assert soft_log_loss(make([[0.5, 0.5, 0.0]]), proba) == np.inf
    assert soft_log_loss(make([[0.5, 0.5, 0.0], [0, 1, 0]]), np.tile(proba, (2, 1)), sample_weight=[0, 1]) < 1.0


@pytest.mark.parametrize(
    ("y_true", "y_proba", "message"),
    [
        ([[0.5, 0.2]], [[0.5, 0.5]], r"Rows of soft labels y_true must sum to one within 0.001. Got 0.7 in row 0"),
        ([[1.5, -0.5]], [[0.5, 0.5]], "must not be negative"),
        ([[np.nan, 1.0]], [[0.5, 0.5]], "Input y_true contains NaN or infinity in row 0"),
        ([[0.5, 0.5]], [[0.5, 0.6]], "The rows of y_proba must sum to 1"),
        ([[0.5, 0.5]], [[0.5, 0.3, 0.2]], r"have shape \(1, 2\). Got y_proba of shape \(1, 3\)"),
        ([[0.5, 0.5]], [0.5], r"have shape \(1, 2\). Got y_proba of shape \(1,\)"),
        ([[0.5, 0.5]], [[0.5, 0.5]] * 2, "inconsistent numbers of samples"),
    ],
)
def test_bad_input_is_named(y_true, y_proba, message):
    with pytest.raises(ValueError, match=message):
        soft_log_loss(y_true, y_proba)


@pytest.mark.parametrize("kind", [np.array, pd.DataFrame])
def test_cross_validation_of_a_classifier_does_not_stratify(iris, kind):
    X, soft = iris
    y = kind(soft)
    assert isinstance(check_cv(5, y, classifier=True), KFold)
    scores = cross_val_score(KernelShares(), X, y, scoring=neg_soft_log_loss, cv=5, error_score="raise")
    by_hand = []
    for train, test in KFold(5).split(X):
        model = KernelShares().fit(X[train], soft[train])
        by_hand.append(-soft_log_loss(soft[test], model.predict_proba(X[test])))
    np.testing.assert_allclose(scores, by_hand, rtol=1e-13)


@pytest.mark.parametrize("kind", [np.array, sparse.csr_array, sparse.csr_matrix])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_grid_search_chooses_by_it(iris, n_classes, kind):
    X, soft = iris
    if n_classes == 2:
        soft = np.column_stack([soft[:, 0], soft[:, 1:].sum(axis=1)])
    soft = kind(soft)
    model = make_pipeline(StandardScaler(), KernelShares())
    grid = {"kernelshares__width": [1e-3, 0.1, 1e3]}
    search = GridSearchCV(model, grid, scoring=neg_soft_log_loss, error_score="raise").fit(X, soft)
    assert search.best_params_ == {"kernelshares__width": 0.1}
    assert neg_soft_log_loss(search, X, soft) == -soft_log_loss(soft, search.predict_proba(X))


def test_one_hot_rows_are_not_stratified_either(iris):
    X, soft = iris
    y = np.eye(3)[soft.argmax(axis=1)]
    assert isinstance(check_cv(5, sparse.csr_array(y), classifier=True), KFold)
    for one_hot in (y, y.astype(int)):
        assert isinstance(check_cv(5, one_hot, classifier=True), KFold)
        results = cross_validate(KernelShares(), X, one_hot, scoring=neg_soft_log_loss, error_score="raise")
        assert (results["test_score"] < 0).all()
