"""Drawn labels have the shares of the soft targets."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris

from sksoft.distillation import sampled_labels
from tests.distillation.test_soft_targets import rows_of

X, Y = load_iris(return_X_y=True)


class Memory(ClassifierMixin, BaseEstimator):
    """Keeps what it was fitted to."""

    def fit(self, X, y):
        self.X_, self.y_, self.classes_ = X, y, np.unique(y)
        return self


def counts(rows, model):
    """Copies of each row by class."""
    numbers = model.X_[:, 0].astype(int)
    table = np.zeros((len(rows.codes), 3))
    np.add.at(table, (numbers, model.y_), 1)
    return table


def numbered(unlabelled=0):
    return rows_of(X, Y, 3, unlabelled).with_features(np.arange(150.0)[:, None])


def test_shares_are_off_by_less_than_one_draw():
    rows = numbered()
    rows.weights[:] = 1.0
    table = counts(rows, sampled_labels.fit(Memory(), rows, 2.0, 0.6, n_draws=20, seed=0))
    assert (table.sum(axis=1) == 20).all()
    assert np.abs(table - 20 * rows.blended(2.0, 0.6)[0]).max() < 1.0


def test_weights_are_copies_and_the_mean_is_right():
    rows = numbered(unlabelled=50)
    targets, weights = rows.blended(1.0, 0.5)
    expected = 4 * targets * (weights / weights.mean())[:, None]
    tables = [counts(rows, sampled_labels.fit(Memory(), rows, 1.0, 0.5, n_draws=4, seed=s)) for s in range(200)]
    assert np.abs(np.mean(tables, axis=0) - expected).max() < 5 * 0.7 / np.sqrt(200)
    copies = np.sum(tables, axis=2)
    assert (np.abs(copies - expected.sum(axis=1)) < 1.0).all()


@pytest.mark.parametrize("equal", [True, False])
def test_labels_alone_are_themselves(equal):
    rows = numbered()
    if equal:
        rows.weights[:] = 2.0
    model = sampled_labels.fit(Memory(), rows, 1.0, 0.0, n_draws=10, seed=0)
    np.testing.assert_array_equal(model.y_, Y[model.X_[:, 0].astype(int)])
    assert (len(model.y_) == 150) is equal
