"""Separation against the whole linear program, solved at once."""

import re
import warnings

import numpy as np
import pytest
from scipy.optimize import linprog

from sksoft import SoftmaxRegression
from sksoft.linear.inference_columns import Columns, dependencies
from sksoft.linear.separation import separation
from sksoft.objective.targets import Labels, SoftLabels


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def found(X, codes, n_classes, *, fit_intercept=True, target=None):
    X = np.asarray(X, dtype=float)
    weights = np.ones(len(X))
    columns = Columns.centred(X, weights, fit_intercept)
    triangle = columns.triangle()
    kept = dependencies(columns, triangle).independent
    target = Labels(np.asarray(codes, dtype=np.intp), n_classes) if target is None else target
    nothing = np.zeros((n_classes, columns.n_raw))
    return separation(columns, triangle, kept, target, weights, nothing)


def constraints(X, codes, n_classes, fit_intercept):
    """All ⟨D_y − D_k, x⟩ as rows over the entries of D."""
    X = np.column_stack([np.ones(len(X)), X]) if fit_intercept else X
    rows = []
    for x, own in zip(X, codes):
        for k in range(n_classes):
            if k != own:
                row = np.zeros((n_classes, X.shape[1]))
                row[own], row[k] = x, -x
                rows.append(row.ravel())
    return np.array(rows)


def by_brute_force(X, codes, n_classes, fit_intercept=True):
    """'complete', 'quasi-complete' or None: the largest least margin in a box, then the largest sum of margins."""
    A = constraints(X, codes, n_classes, fit_intercept)
    d = A.shape[1]
    widest = linprog(
        np.append(np.zeros(d), -1.0),
        A_ub=np.column_stack([-A, np.ones(len(A))]),
        b_ub=np.zeros(len(A)),
        bounds=[(-1, 1)] * d + [(None, None)],
    )
    if -widest.fun > 1e-7:
        return "complete"
    most = linprog(-A.sum(axis=0), A_ub=-A, b_ub=np.zeros(len(A)), bounds=(-1, 1))
    return "quasi-complete" if -most.fun > 1e-6 else None


def draw(seed):
    """Small data on a grid, where all three cases come about."""
    rng = np.random.default_rng(seed)
    n_classes, p, n = int(rng.integers(2, 5)), int(rng.integers(1, 4)), int(rng.integers(8, 40))
    X = rng.integers(-3, 4, size=(n, p)).astype(float)
    scores = X @ rng.normal(size=(p, n_classes)) * rng.choice([0.1, 1.0, 10.0])
    codes = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    codes[:n_classes] = np.arange(n_classes)
    return X, codes, n_classes


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_kind_is_that_of_the_whole_program(fit_intercept):
    seen = set()
    for seed in range(60):
        X, codes, n_classes = draw(seed)
        expected = by_brute_force(X, codes, n_classes, fit_intercept)
        ours = found(X, codes, n_classes, fit_intercept=fit_intercept)
        assert (None if ours is None else ours.kind) == expected, seed
        seen.add(expected)
    assert seen == {None, "complete", "quasi-complete"}


@pytest.mark.parametrize("tol", [1e-4, 1e-6, 1e-9])
def test_fits_say_the_same(tol):
    """All that a fit does before it asks a linear program passes over none, and asks none in vain."""
    for seed in range(40):
        X, codes, n_classes = draw(seed)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = SoftmaxRegression(C=np.inf, tol=tol, max_iter=200).fit(X, codes)
        said = re.findall(r"C=inf: (.*) separation: ", " ".join(str(one.message) for one in caught))
        expected = by_brute_force(X, codes, n_classes)
        assert said == ([] if expected is None else [expected]), seed
        assert model.converged_ == (expected is None), seed


def test_the_direction_separates_what_it_says():
    checked = 0
    for seed in range(60):
        X, codes, n_classes = draw(seed)
        ours = found(X, codes, n_classes)
        if ours is None:
            continue
        checked += 1
        scores = X @ ours.coef.T + ours.intercept
        margins = scores[np.arange(len(X)), codes][:, None] - scores
        size = np.abs(scores).max()
        assert margins.min() >= -1e-6 * size, seed
        apart = margins > 1e-6 * size
        assert apart.any(axis=1).sum() == ours.n_rows, seed
        counts = np.array([apart[codes == k].sum(axis=0) for k in range(n_classes)])
        np.testing.assert_array_equal(ours.counts, counts)
        unnamed = np.setdiff1d(np.arange(X.shape[1]), ours.features)
        assert np.abs(ours.coef[:, unnamed]).max(initial=0.0) <= 1e-3 * np.abs(ours.coef).max(), seed
    assert checked >= 15


def test_albert_and_anderson_quasi_complete():
    """One value where both classes are, at the border of two half lines."""
    ours = found([[1.0], [2.0], [3.0], [3.0], [4.0], [5.0]], [0, 0, 0, 1, 1, 1], 2)
    assert (ours.kind, ours.features.tolist(), ours.n_rows) == ("quasi-complete", [0], 4)
    assert found([[1.0], [2.0], [4.0], [3.0], [4.0], [5.0]], [0, 0, 0, 1, 1, 1], 2) is None


def test_only_what_is_needed_is_named(rng):
    X = np.column_stack([rng.normal(size=(200, 4)), rng.integers(2, size=200)])
    codes = np.where(X[:, 4] == 1, 0, rng.integers(3, size=200))
    ours = found(X, codes, 3)
    assert ours.kind == "quasi-complete"
    assert ours.features.tolist() == [4]


def test_a_soft_row_is_of_all_classes_it_has_a_share_of(rng):
    X = np.arange(10.0)[:, None]
    sure = np.eye(2)[(X[:, 0] > 4).astype(int)]
    assert found(X, None, 2, target=SoftLabels(sure)).kind == "complete"
    unsure = sure.copy()
    unsure[[0, 9]] = 0.5
    assert found(X, None, 2, target=SoftLabels(unsure)) is None


def test_columns_of_any_scale_and_shift(rng):
    X = rng.normal(size=(60, 3))
    codes = (X[:, 0] + X[:, 1] > 0).astype(int)
    for scale, shift in [((1e-6, 1.0, 1e6), 0.0), ((1.0, 1.0, 1.0), 1e5)]:
        ours = found(X * scale + shift, codes, 2)
        assert ours.kind == "complete"
        assert set(ours.features) >= {0, 1}
