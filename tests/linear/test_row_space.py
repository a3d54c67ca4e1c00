"""Fits in the span of the rows have the optimum of fits over all columns."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from sksoft import SoftmaxRegression
from sksoft.linear import row_space

OPTIONS = [
    {},
    {"fit_intercept": False},
    {"class_penalty": [0.5, 1.0, 3.0]},
    {"feature_penalty": np.full(150, 2.0)},
    {"temperature": 0.3},
    {"link": "entmax15"},
    {"label_smoothing": 0.2, "prior_logits": [0.0, 1.0, -1.0]},
]


@pytest.fixture
def data():
    rng = np.random.default_rng(5)
    y = np.arange(40) % 3
    X = rng.normal(size=(40, 150)) + 3.0
    X[:, :3] += 0.7 * np.eye(3)[y]
    return X, y, rng.uniform(0.5, 2.0, 40)


def fit(data, **options):
    X, y, weights = data
    return SoftmaxRegression(**{"C": 0.05, "tol": 1e-12} | options).fit(X, y, sample_weight=weights)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_it_changes_no_optimum(options, data, monkeypatch):
    rotations = []
    init = row_space.RowSpace.__init__
    monkeypatch.setattr(row_space.RowSpace, "__init__", lambda self, p: (rotations.append(p.X.shape), init(self, p))[1])
    rotated = fit(data, **options)
    assert rotations == [(40, 150)]
    monkeypatch.setattr(row_space, "pays", lambda problem: False)
    plain = fit(data, **options)
    assert len(rotations) == 1
    np.testing.assert_allclose(rotated.coef_, plain.coef_, atol=1e-6 * np.abs(plain.coef_).max())
    np.testing.assert_allclose(rotated.intercept_, plain.intercept_, atol=1e-6)
    assert rotated.objective_ == pytest.approx(plain.objective_, rel=1e-11)
    assert rotated.certificate_ == plain.certificate_
    assert rotated.bound_ <= 1e-11 * rotated.objective_


def problem(X, n_classes=3, **options):
    y = np.arange(X.shape[0]) % n_classes
    return SoftmaxRegression(**options)._problem(X, y, None, None)


def test_where_it_pays(data):
    X = data[0]
    assert row_space.pays(problem(X))
    assert not row_space.pays(problem(X[:, :40]))  # as many rows as columns
    assert not row_space.pays(problem(sparse.csr_array(X)))
    assert not row_space.pays(problem(X, C=np.inf))
    assert not row_space.pays(problem(X, l1_ratio=0.5))
    assert not row_space.pays(problem(X, feature_penalty=np.arange(150.0)))
    assert not row_space.pays(problem(X, working_memory=1e-3))
    tall = np.ones((200, 300))
    assert row_space.pays(problem(tall))
    assert not row_space.pays(problem(tall, n_classes=2))  # one row of W


def test_parameters_there_and_back(data):
    whole = problem(data[0])
    space = row_space.RowSpace(whole)
    inside = space.lift(np.random.default_rng(0).normal(size=space.reduced.scores.n_parameters))
    np.testing.assert_allclose(space.lift(space.lower(inside)), inside, atol=1e-10)


def test_a_warm_start_and_a_path_go_on_from_there(data):
    X, y, _ = data
    model = SoftmaxRegression(C=0.05, warm_start=True, tol=1e-10).fit(X, y)
    first = model.n_iter_
    assert model.fit(X, y).n_iter_ < first
    with pytest.warns(ConvergenceWarning, match="complete separation"):  # without a ridge, with all columns
        path = SoftmaxRegression(tol=1e-10).fit_path(X, y, [0.01, 0.05, np.inf])
    np.testing.assert_allclose(path.coefs[1], model.coef_, atol=1e-6)


def test_a_path_rotates_once(data, monkeypatch):
    factors = []
    qr = row_space.linalg.qr
    monkeypatch.setattr(row_space.linalg, "qr", lambda *args, **kwargs: (factors.append(1), qr(*args, **kwargs))[1])
    path = SoftmaxRegression(tol=1e-10).fit_path(data[0], data[1], [0.01, 0.05, 0.2])
    assert len(factors) == 1
    for C, coef in zip(path.Cs, path.coefs):
        np.testing.assert_allclose(coef, SoftmaxRegression(C=C, tol=1e-10).fit(*data[:2]).coef_, atol=1e-6)


def test_what_rounding_kept_from_the_tolerance_is_finished_with_all_columns(data, monkeypatch):
    monkeypatch.setattr(
        row_space.RowSpace, "lift", lambda self, w: self.whole.pack(np.full((3, 150), 1e-3), np.zeros(3))
    )
    model = fit(data)
    monkeypatch.setattr(row_space, "pays", lambda problem: False)
    np.testing.assert_allclose(model.coef_, fit(data).coef_, atol=1e-7)
    assert model.gap_ <= 1e-11 * model.objective_


def test_callbacks_stop_it_at_a_point_of_all_columns(data):
    seen = []

    def callback(iteration, point):
        seen.append((iteration, point.w.size, point.gap()))
        return iteration == 2

    whole = problem(data[0], C=1.0)
    solution = whole.solve(None, solver="newton-cg", tol=1e-12, max_iter=50, callback=callback)
    assert [iteration for iteration, _, _ in seen] == [0, 1, 2]
    assert {size for _, size, _ in seen} == {3 * 151}
    assert solution.stopped_by == "callback"
    assert not solution.converged
    assert solution.certificate.bound == pytest.approx(seen[-1][2])
