"""The estimator: probabilities, the optimum, weights, priors, warm starts, streams and its place among others."""

import pickle

import numpy as np
import pandas as pd
import pytest
from random_models import dense_coef, leaf_logs
from scipy import sparse, special
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from sksoft import CalibratedSoftmaxClassifier, HierarchicalSoftmaxClassifier, SoftmaxRegression, config_context
from sksoft.calibration import TemperatureScaler
from sksoft.hierarchical.class_tree import ClassTree
from sksoft.hierarchical.node_model import NodeModel

TREES = {
    "auto": {},
    "binary": {"tree": "auto", "arity": 2},
    "huffman": {"tree": "huffman", "arity": 3},
    "balanced": {"tree": "balanced"},
    "kmeans": {"tree": "kmeans", "arity": 4},
    "parents": {"tree": [-1, 0, 0, 1, 1, 1, 2, 2, 4, 4, 7, 7]},
}
K = 7


def data(seed=0, n=160, p=5, n_classes=K):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n - n_classes)])
    X = rng.normal(size=(n, p)) * (rng.random((n, p)) < 0.7) + 0.7 * rng.normal(size=(n_classes, p))[y]
    return X, y, rng.integers(0, 4, n).astype(float)


X, Y, S = data()
NEW = data(1)[0]


def model_of(estimator):
    return NodeModel.of(ClassTree(**estimator.tree_), estimator.coef_, estimator.intercept_)


def exact(**options):
    return HierarchicalSoftmaxClassifier(**{"tol": 1e-20, **options})


def log_proba_of_all(estimator, X):
    """By one path at a time."""
    columns = [estimator.predict_log_proba_of(X, np.full(X.shape[0], label)) for label in estimator.classes_]
    return np.column_stack(columns)


# probabilities


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("how", TREES)
def test_probabilities_are_products_along_paths(how, form):
    fitted = HierarchicalSoftmaxClassifier(**TREES[how]).fit(form(X), Y)
    proba, logs = fitted.predict_proba(form(NEW)), fitted.predict_log_proba(form(NEW))
    expected = np.array([leaf_logs(model_of(fitted), x) for x in NEW])
    np.testing.assert_allclose(logs, expected, atol=1e-12)
    np.testing.assert_allclose(proba, np.exp(expected), atol=1e-14)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=0, atol=1e-12)
    np.testing.assert_allclose(log_proba_of_all(fitted, form(NEW)), logs, atol=1e-12)
    ours = -fitted.predict_log_proba_of(form(X), Y).mean()
    assert ours == pytest.approx(log_loss(Y, fitted.predict_proba(form(X))), rel=1e-12)
    np.testing.assert_array_equal(fitted.predict(form(NEW)), fitted.classes_[proba.argmax(axis=1)])


@pytest.mark.parametrize("k", [1, 2, 5, K])
@pytest.mark.parametrize("how", TREES)
def test_top_k_is_the_sorted_table(how, k):
    fitted = HierarchicalSoftmaxClassifier(C=20.0, **TREES[how]).fit(X, Y)
    proba = fitted.predict_proba(NEW)
    labels, found, bound = fitted.predict_topk(NEW, k, return_bound=True)
    expected = np.argsort(-proba, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(labels, fitted.classes_[expected])
    np.testing.assert_allclose(found, np.take_along_axis(proba, expected, axis=1), rtol=1e-12)
    assert (bound <= found[:, -1]).all()
    rest = np.sort(proba, axis=1)[:, : K - k].max(axis=1, initial=0.0)
    assert (rest <= bound * (1 + 1e-12)).all()
    matrix, same_bound = fitted.predict_topk(NEW, k, sparse_output=True, return_bound=True)
    assert matrix.shape == proba.shape
    assert (np.diff(matrix.indptr) == k).all()
    assert matrix.has_sorted_indices
    np.testing.assert_array_equal(bound, same_bound)
    table = np.zeros_like(proba)
    np.put_along_axis(table, expected, found, axis=1)
    np.testing.assert_array_equal(matrix.toarray(), table)


@pytest.mark.parametrize("beam_width", [1, 2, 50])
def test_a_beam_is_exact_where_its_bound_says_so(beam_width):
    Xb, yb, _ = data(2, n=600, n_classes=60)
    fitted = HierarchicalSoftmaxClassifier(tree="balanced").fit(Xb, yb)
    proba = fitted.predict_proba(NEW)
    labels, found, bound = fitted.predict_topk(NEW, 1, beam_width=beam_width, return_bound=True)
    proved = bound <= found[:, -1]
    np.testing.assert_array_equal(labels[proved, 0], fitted.classes_[proba.argmax(axis=1)][proved])
    assert (proba.max(axis=1) <= np.maximum(bound, found[:, 0]) * (1 + 1e-12)).all()
    if beam_width == 50:
        assert proved.all()


def test_samples_have_the_probabilities_and_paths_lead_to_predictions():
    fitted = HierarchicalSoftmaxClassifier(tree="huffman").fit(X, Y)
    draws = fitted.sample(NEW[:3], n_samples=2_000, random_state=0)
    shares = (draws[:, :, None] == fitted.classes_).mean(axis=1)
    np.testing.assert_allclose(shares, fitted.predict_proba(NEW[:3]), atol=5 * 0.5 / np.sqrt(2_000))
    np.testing.assert_array_equal(fitted.sample(NEW, random_state=3), fitted.sample(NEW, 4, random_state=3)[:, 0])
    path = fitted.decision_path(NEW)
    leaf = fitted.tree_["leaf"][np.searchsorted(fitted.classes_, fitted.predict(NEW))]
    assert path.shape == (len(NEW), len(fitted.tree_["parent"]))
    np.testing.assert_array_equal(path.sum(axis=1), fitted.tree_["depth"][leaf] + 1)
    nodes = fitted.node_proba(NEW)
    np.testing.assert_allclose(nodes[:, fitted.tree_["leaf"]], fitted.predict_proba(NEW), rtol=1e-12)
    for v in np.flatnonzero(np.diff(fitted.tree_["first_child"])):
        children = slice(*fitted.tree_["first_child"][v : v + 2])
        np.testing.assert_allclose(nodes[:, children].sum(axis=1), nodes[:, v], rtol=1e-12)
    assert fitted.node_proba(NEW, max_depth=1).shape == (len(NEW), 3)


# the optimum


@pytest.mark.parametrize("how", TREES)
def test_nodes_are_scikit_learns_regressions(how):
    fitted = exact(C=0.4, **TREES[how]).fit(X, Y, sample_weight=S + 0.5)
    tree, W = ClassTree(**fitted.tree_), dense_coef(model_of(fitted))
    position = tree.position[Y]
    for v in np.flatnonzero(tree.n_children > 1):
        children = np.arange(tree.first_child[v], tree.first_child[v + 1])
        rows = (position >= tree.first_leaf[v]) & (position < tree.last_leaf[v])
        child = np.searchsorted(tree.last_leaf[children], position[rows], side="right")
        theirs = LogisticRegression(C=0.4, solver="newton-cholesky", tol=1e-12)
        theirs.fit(X[rows], child, sample_weight=S[rows] + 0.5)
        scores = slice(tree.first_score[v], tree.first_score[v + 1])
        np.testing.assert_allclose(W[scores], theirs.coef_, atol=1e-6)
        shift = theirs.intercept_.mean() if len(children) > 2 else 0.0
        np.testing.assert_allclose(fitted.intercept_[scores], theirs.intercept_ - shift, atol=1e-6)


@pytest.mark.parametrize("how", TREES)
def test_objective_is_its_formula_and_the_gap_a_bound(how):
    fitted = HierarchicalSoftmaxClassifier(C=3.0, tol=1e-3, **TREES[how]).fit(X, Y, sample_weight=S + 0.1)
    s = S + 0.1
    loss = -(s @ fitted.predict_log_proba_of(X, Y)) / s.sum()
    assert fitted.objective_ == pytest.approx(loss + (fitted.coef_**2).sum() / (2 * 3.0 * s.sum()), rel=1e-12)
    best = exact(C=3.0, **TREES[how]).fit(X, Y, sample_weight=S + 0.1)
    assert -1e-14 <= fitted.objective_ - best.objective_ <= fitted.gap_
    assert fitted.gap_ <= 1e-3 * fitted.objective_
    assert best.gradient_norm_ < 1e-10
    assert fitted.converged_


def test_one_node_for_all_classes_is_the_flat_softmax():
    flat = SoftmaxRegression(C=0.7, tol=1e-16).fit(X, Y)
    ours = exact(C=0.7, arity=K).fit(X, Y)
    assert ours.tree_["depth"].max() == 1
    np.testing.assert_allclose(ours.predict_proba(NEW), flat.predict_proba(NEW), atol=1e-8)
    assert ours.objective_ == pytest.approx(flat.objective_, rel=1e-12)


def test_dense_and_sparse_rows_and_backends_agree():
    fits = []
    for form in (np.asarray, np.asfortranarray, sparse.csr_array, sparse.csc_array, sparse.coo_array):
        for backend in ("numpy", "numba"):
            with config_context(backend=backend):
                fits.append(exact(tree="huffman", arity=3, tol=1e-16).fit(form(X), Y))
                np.testing.assert_allclose(fits[-1].predict_proba(form(NEW)), fits[0].predict_proba(NEW), atol=1e-7)
    for fitted in fits[1:]:
        coef = fitted.coef_.toarray() if sparse.issparse(fitted.coef_) else fitted.coef_
        np.testing.assert_allclose(coef, fits[0].coef_, atol=1e-7)


def test_stored_zeros_duplicates_and_order_of_entries_change_nothing():
    plain = sparse.csr_array(X)
    row, column = np.nonzero(np.ones_like(X))
    order = np.lexsort((-column, row)).repeat(2)
    parts = X[row, column][order] / 2, column[order].astype(np.int64), np.arange(len(X) + 1) * 2 * X.shape[1]
    odd = sparse.csr_array(parts, shape=X.shape)
    ours, theirs = (exact(tree="huffman").fit(form, Y) for form in (odd, plain))
    np.testing.assert_allclose(ours.predict_proba(odd), theirs.predict_proba(plain), atol=1e-9)
    np.testing.assert_array_equal(ours.predict_topk(odd, 3)[0], theirs.predict_topk(plain, 3)[0])
    single = exact(tree="huffman").fit(X.astype(np.float32), Y)
    np.testing.assert_allclose(single.predict_proba(NEW), theirs.predict_proba(NEW), atol=1e-5)


# weights


@pytest.mark.parametrize("options", [{}, {"class_weight": "balanced"}, {"label_smoothing": 0.2}], ids=str)
@pytest.mark.parametrize("how", TREES)
def test_a_weight_is_a_repetition_and_zero_a_removal(how, options):
    again = np.repeat(np.arange(len(Y)), S.astype(int))
    weighted = exact(**TREES[how], **options).fit(X, Y, sample_weight=S)
    repeated = exact(**TREES[how], **options).fit(X[again], Y[again])
    np.testing.assert_array_equal(weighted.tree_["parent"], repeated.tree_["parent"])
    np.testing.assert_array_equal(weighted.tree_["leaf"], repeated.tree_["leaf"])
    np.testing.assert_allclose(weighted.predict_log_proba(NEW), repeated.predict_log_proba(NEW), atol=1e-9)
    assert weighted.objective_ == pytest.approx(repeated.objective_, rel=1e-12)
    np.testing.assert_allclose(weighted.class_weight_seen_, repeated.class_weight_seen_)


def test_a_class_of_weight_zero_is_no_class():
    s = np.where(Y == 3, 0.0, 1.0)
    removed = exact().fit(X[Y != 3], Y[Y != 3])
    for fitted in (exact().fit(X, Y, sample_weight=s), exact(class_weight={3: 0.0}).fit(X, Y)):
        assert 3 not in fitted.classes_
        np.testing.assert_allclose(fitted.predict_log_proba(NEW), removed.predict_log_proba(NEW), atol=1e-9)


def test_class_weights_multiply_sample_weights():
    weight = {k: 1.0 + k for k in range(K)}
    by_class = exact(tree="balanced", class_weight=weight).fit(X, Y, sample_weight=S)
    by_row = exact(tree="balanced").fit(X, Y, sample_weight=S * (1.0 + Y))
    np.testing.assert_allclose(by_class.predict_log_proba(NEW), by_row.predict_log_proba(NEW), atol=1e-9)
    balanced = exact(class_weight="balanced").fit(X, Y, sample_weight=S)
    np.testing.assert_allclose(balanced.class_weight_seen_, S.sum() / K)


@pytest.mark.parametrize("how", TREES)
def test_the_order_of_rows_does_not_matter(how):
    order = np.random.default_rng(0).permutation(len(Y))
    first = exact(class_weight="balanced", **TREES[how]).fit(X, Y)
    second = exact(class_weight="balanced", **TREES[how]).fit(X[order], Y[order])
    np.testing.assert_array_equal(first.tree_["leaf"], second.tree_["leaf"])
    np.testing.assert_allclose(first.predict_log_proba(NEW), second.predict_log_proba(NEW), atol=1e-9)


def test_scale_of_the_weights_is_that_of_c():
    ours = exact(C=0.5, tree="huffman").fit(X, Y, sample_weight=np.full(len(Y), 4.0))
    theirs = exact(C=2.0, tree="huffman").fit(X, Y)
    np.testing.assert_allclose(ours.predict_proba(NEW), theirs.predict_proba(NEW), atol=1e-10)


def test_smoothing_is_shared_among_the_children_of_each_node():
    # without features a node's probabilities are the means of its targets
    fitted = exact(tree=[-1, 0, 0, 0, 1, 1], label_smoothing=0.3).fit(np.zeros((8, 1)), [0, 0, 0, 1, 2, 2, 3, 3])
    top = 0.7 * np.array([4, 3, 1]) / 8 + 0.1  # nodes 1 (classes 2 and 3), 2 (class 0), 3 (class 1)
    below = 0.7 * np.array([2, 2]) / 4 + 0.15
    expected = [3 / 8 * 0.7 + 0.1, 1 / 8 * 0.7 + 0.1, *((0.7 * 4 / 8 + 0.1) * below)]
    assert top.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(fitted.predict_proba(np.zeros((1, 1)))[0], expected, rtol=1e-12)


# priors


@pytest.mark.parametrize("alpha", [0.01, 1.0, 10.0])
def test_classes_of_a_taxonomy_that_no_row_has(alpha):
    tree = {"fish": {"salmon": ["coho", "chum", "pink"], "pike": None}, "birds": ["auk", "hen"]}
    y = np.array(["coho"] * 5 + ["auk"] * 3)
    fitted = exact(tree=tree, prior_count=alpha).fit(np.zeros((8, 2)), y)
    assert fitted.classes_.tolist() == ["auk", "chum", "coho", "hen", "pike", "pink"]
    proba = dict(zip(fitted.classes_, fitted.predict_proba(np.zeros((1, 2)))[0]))
    fish = 5 / 8  # both children of the root have rows: no prior
    salmon = fish * (5 + alpha * 3 / 4) / (5 + alpha)
    assert proba["pike"] == pytest.approx(fish * alpha / 4 / (5 + alpha))
    assert proba["coho"] == pytest.approx(salmon * (5 + alpha / 3) / (5 + alpha))
    assert proba["chum"] == pytest.approx(salmon * alpha / 3 / (5 + alpha))
    assert proba["auk"] == pytest.approx(3 / 8 * (3 + alpha / 2) / (3 + alpha))
    np.testing.assert_array_equal(fitted.class_weight_seen_, [3, 0, 5, 0, 0, 0])


def test_a_node_without_rows_has_its_share_of_classes():
    tree = {"seen": ["a", "b"], "unseen": {"left": ["c", "d", "e"], "right": ["f"]}}
    fitted = HierarchicalSoftmaxClassifier(tree=tree).fit(X[:20], ["a", "b"] * 10)
    proba = fitted.predict_proba(NEW[:3])
    unseen = 1.0 * 4 / 6 / (20 + 1)
    np.testing.assert_allclose(proba[:, 2:].sum(axis=1), unseen, rtol=1e-12)
    np.testing.assert_allclose(proba[:, 2:], unseen / 4, rtol=1e-12)
    one_class = HierarchicalSoftmaxClassifier(tree=tree).fit(X[:4], ["c"] * 4)
    assert one_class.predict(NEW[:2]).tolist() == ["c", "c"]
    assert not one_class.coef_.any()


def test_thousands_of_classes_of_one_sample():
    rng = np.random.default_rng(0)
    n = 3000
    some = sparse.csr_array(sparse.random_array((n, 400), density=0.02, rng=rng))
    fitted = HierarchicalSoftmaxClassifier(C=100.0, tree="kmeans").fit(some, rng.permutation(n))
    assert fitted.converged_
    assert fitted.tree_["depth"].max() == 12
    proba = fitted.predict_proba(some[:50])
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, atol=1e-12)
    labels, _ = fitted.predict_topk(some[:50], 3)
    np.testing.assert_array_equal(labels, fitted.classes_[np.argsort(-proba, axis=1, kind="stable")[:, :3]])


# shapes and values at the edge


@pytest.mark.parametrize("columns", [[0], [0, 1]])
def test_two_classes_are_a_logistic_regression(columns):
    ours = exact(C=0.3).fit(X[:, columns], Y > 2)
    theirs = LogisticRegression(C=0.3, solver="newton-cholesky", tol=1e-12).fit(X[:, columns], Y > 2)
    np.testing.assert_allclose(ours.predict_proba(NEW[:, columns]), theirs.predict_proba(NEW[:, columns]), atol=1e-9)
    assert ours.classes_.tolist() == [False, True]
    assert ours.coef_.shape == (1, len(columns))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("how", ["auto", "huffman"])
def test_rows_without_entries_and_constant_columns(how, form):
    zeros = HierarchicalSoftmaxClassifier(**TREES[how]).fit(form(0 * X), Y)
    shares = np.bincount(Y) / len(Y)
    np.testing.assert_allclose(zeros.predict_proba(form(NEW)), np.tile(shares, (len(NEW), 1)), rtol=1e-12)
    assert zeros.converged_
    constant = np.column_stack([X, np.full(len(X), 7.0)])
    ours = exact(**TREES[how]).fit(form(constant), Y)
    at = form(np.column_stack([NEW, np.full(len(NEW), 7.0)]))
    # the ridge on its coefficient pays for nothing that the free intercept does not have
    np.testing.assert_allclose(
        ours.predict_proba(at), exact(**TREES[how]).fit(form(X), Y).predict_proba(form(NEW)), atol=1e-6
    )


@pytest.mark.parametrize("how", ["auto", "binary"])
def test_huge_scores_and_offsets_stay_finite(how):
    fitted = HierarchicalSoftmaxClassifier(**TREES[how]).fit(X, Y)
    far = NEW * 1e300
    logs = fitted.predict_log_proba(far)
    assert np.isfinite(logs).all()
    np.testing.assert_array_equal(fitted.predict(far), fitted.classes_[logs.argmax(axis=1)])
    np.testing.assert_allclose(fitted.predict_proba(far).sum(axis=1), 1.0, atol=1e-12)
    shifted = HierarchicalSoftmaxClassifier(**TREES[how]).fit(X + 1e5, Y)
    assert shifted.converged_
    np.testing.assert_allclose(shifted.predict_proba(NEW + 1e5), fitted.predict_proba(NEW), atol=1e-2)


LABELS = {
    "str": np.array(list("gfedcba")),
    "object": np.array(list("gfedcba"), object),
    "negative": np.array([5, -7, 3, 0, 2**40, -1, 9]),
    "float": np.array([5.0, -7.0, 3.0, 0.0, 2.0, -1.0, 9.0]),
    "uint8": np.array([255, 0, 3, 1, 2, 9, 5], np.uint8),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_any_type(kind):
    labels = LABELS[kind]
    codes = exact(tree="balanced").fit(X, np.argsort(np.argsort(labels))[Y])
    fitted = exact(tree="balanced").fit(X, labels[Y])
    assert fitted.classes_.tolist() == sorted(labels.tolist())
    np.testing.assert_array_equal(fitted.predict_proba(NEW), codes.predict_proba(NEW))
    np.testing.assert_array_equal(fitted.predict(NEW), np.sort(labels)[codes.predict(NEW)])
    np.testing.assert_array_equal(
        fitted.predict_log_proba_of(X, labels[Y]), codes.predict_log_proba_of(X, codes_of(Y, labels))
    )
    assert fitted.score(X, labels[Y]) == codes.score(X, codes_of(Y, labels))
    assert set(fitted.sample(NEW, random_state=0)) <= set(labels)


def codes_of(y, labels):
    return np.argsort(np.argsort(labels))[y]


# warm starts and limits


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("how", TREES)
def test_a_warm_start_from_the_same_rows_is_there(how, form):
    fitted = HierarchicalSoftmaxClassifier(warm_start=True, **TREES[how]).fit(form(X), Y)
    cold, before = fitted.n_iter_, fitted.predict_proba(NEW)
    assert cold > 1
    assert fitted.fit(form(X), Y).n_iter_ <= 1
    np.testing.assert_allclose(fitted.predict_proba(NEW), before, atol=1e-4)
    fitted.set_params(C=2.0, tol=1e-16).fit(form(X), Y)
    other = HierarchicalSoftmaxClassifier(C=2.0, tol=1e-16, **TREES[how]).fit(form(X), Y)
    np.testing.assert_array_equal(fitted.tree_["leaf"], other.tree_["leaf"])
    np.testing.assert_allclose(fitted.predict_proba(NEW), other.predict_proba(NEW), atol=1e-8)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: (m, X[:, :3], Y),
        lambda m: (m, X, Y % 5),
        lambda m: (m, X, np.array(list("abcdefg"))[Y]),
        lambda m: (m.set_params(tree="balanced"), X, Y),
        lambda m: (m.set_params(arity=4), X, Y),
        lambda m: (m.set_params(tree=TREES["parents"]["tree"]), X, Y),
        lambda m: (m, sparse.csr_array(X), Y),
    ],
    ids=["features", "classes", "labels", "tree", "arity", "taxonomy", "sparse"],
)
def test_a_warm_start_from_elsewhere_is_a_fit_from_scratch(change):
    model, now, y = change(exact(tree="huffman", warm_start=True, tol=1e-10).fit(X, Y))
    warm = model.fit(now, y)
    cold = clone(model).fit(now, y)
    np.testing.assert_array_equal(warm.tree_["parent"], cold.tree_["parent"])
    np.testing.assert_array_equal(warm.tree_["leaf"], cold.tree_["leaf"])
    np.testing.assert_array_equal(warm.predict_proba(now), cold.predict_proba(now))


def test_a_taxonomy_with_other_leaves_starts_from_scratch():
    first = {"a": [0, 1, 2], "b": [3, 4, 5, 6]}
    second = {"a": [6, 5, 4], "b": [3, 2, 1, 0]}
    model = HierarchicalSoftmaxClassifier(tree=first, warm_start=True).fit(X, Y).set_params(tree=second).fit(X, Y)
    cold = HierarchicalSoftmaxClassifier(tree=second).fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(NEW), cold.predict_proba(NEW))
    assert model.n_iter_ == cold.n_iter_ > 1


def test_too_few_steps_warn_with_numbers():
    with pytest.warns(
        ConvergenceWarning, match=r"nodes stopped with a gap of up to \d.*above tol=1e-06, after at most 1"
    ) as warned:
        fitted = HierarchicalSoftmaxClassifier(max_iter=1, tree="huffman").fit(X, Y)
    assert warned[0].filename == __file__
    assert not fitted.converged_
    assert fitted.n_iter_ == 1
    best = exact(tree="huffman").fit(X, Y)
    assert 0 <= fitted.objective_ - best.objective_ <= fitted.gap_


@pytest.mark.parametrize("C", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("how", TREES)
def test_no_tolerance_ends_at_the_limit_of_float64(how, C):
    fitted = HierarchicalSoftmaxClassifier(C=C, tol=0.0, **TREES[how]).fit(X, Y)
    assert fitted.converged_
    assert fitted.n_iter_ < 40
    assert fitted.gap_ <= 1e-18 * fitted.objective_


def test_separable_rows_converge():
    fitted = HierarchicalSoftmaxClassifier(C=1e6, tree="huffman").fit(np.eye(K)[Y], Y)
    assert fitted.converged_
    assert fitted.score(np.eye(K)[Y], Y) == 1.0


@pytest.mark.parametrize("n_threads", [2, 7])
def test_threads_and_copies_change_no_bit(n_threads):
    Xd, yd = load_digits(return_X_y=True)
    model = HierarchicalSoftmaxClassifier(C=0.01, tree="huffman")
    with config_context(backend="numba", n_threads=1):
        expected = model.fit(Xd, yd).predict_proba(Xd)
    with config_context(backend="numba", n_threads=n_threads):
        fitted = clone(model).fit(Xd, yd)
        np.testing.assert_array_equal(fitted.predict_proba(Xd), expected)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(Xd), expected)


# among others


TEXTS = [f"{a} {b} {c}" for a in ("red", "green", "blue") for b in ("fish", "bird", "cat") for c in ("one", "two") * 3]
TOPICS = [text.split()[1] + text.split()[0] for text in TEXTS]


def test_grid_search_over_c_and_trees_of_text():
    pipeline = make_pipeline(TfidfVectorizer(), HierarchicalSoftmaxClassifier())
    grid = {
        "hierarchicalsoftmaxclassifier__C": [0.1, 10.0],
        "hierarchicalsoftmaxclassifier__tree": ["auto", "huffman", "balanced", "kmeans"],
        "hierarchicalsoftmaxclassifier__arity": [None, 2],
    }
    search = GridSearchCV(pipeline, grid, scoring="neg_log_loss", cv=2, error_score="raise").fit(TEXTS, TOPICS)
    assert search.best_params_["hierarchicalsoftmaxclassifier__C"] == 10.0
    assert search.score(TEXTS, TOPICS) > -0.5
    assert search.predict(["a green bird"]).tolist() == ["birdgreen"]


def test_cross_validation_and_calibration():
    scores = cross_val_score(HierarchicalSoftmaxClassifier(), X, Y, scoring="neg_log_loss", cv=3, error_score="raise")
    assert (scores > -np.log(K)).all()
    calibrated = CalibratedSoftmaxClassifier(HierarchicalSoftmaxClassifier(C=1e3), method=TemperatureScaler(), cv=3)
    proba = calibrated.fit(X, Y).predict_proba(NEW)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-12)
    raw = HierarchicalSoftmaxClassifier(C=1e3).fit(X, Y)
    # one temperature over the log-probabilities of the leaves
    ratio = special.logit(proba[:, 0]) / special.logit(raw.predict_proba(NEW)[:, 0])
    assert np.isfinite(ratio).all()


def test_data_frames_and_names_of_features():
    frame = pd.DataFrame(X, columns=list("abcde"))
    fitted = HierarchicalSoftmaxClassifier().fit(frame, pd.Series(Y))
    assert fitted.feature_names_in_.tolist() == list("abcde")
    np.testing.assert_array_equal(
        fitted.predict_proba(frame), HierarchicalSoftmaxClassifier().fit(X, Y).predict_proba(X)
    )
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(frame[list("edcba")])
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.partial_fit(frame[list("edcba")], Y)
