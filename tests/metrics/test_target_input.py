"""The algebra of targets: weights, class weights, smoothing and soft labels against rows written out by hand."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.class_weight import compute_sample_weight

from sksoft.metrics.target_input import require_labels, resolve_targets
from sksoft.objective.links import LINKS
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.targets import Labels, SmoothedLabels, SoftLabels, SparseSoftLabels

N, K = 30, 4
SOFTMAX = LINKS["softmax"]
LINKS_ON_SIMPLEX = [link for link in LINKS.values() if link.on_simplex]


def resolve(y, link=SOFTMAX, **options):
    return resolve_targets("SoftmaxRegression", y, link=link, **options)


def matrix_of(targets):
    """t (m, K) of the rows that were kept."""
    identity = np.eye(targets.target.n_classes)
    return np.column_stack([targets.target.inner(np.tile(e, (len(targets.weights), 1))) for e in identity])


def evaluate(targets, scores, link=SOFTMAX):
    """Loss and gradient in the scores of all n rows, as the fit sees them; scores are (n, K)."""
    z = scores[targets.kept]
    residual = np.empty_like(z)
    value = FenchelYoung(link).evaluate(z, targets.target, targets.weights, residual=residual)
    entropy = np.broadcast_to(targets.target.negentropy(link), (len(z),))
    return value - targets.weights @ entropy, residual


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def soft(rng):
    proba = rng.dirichlet(np.ones(K), N) * (rng.uniform(size=(N, K)) < 0.7) + 1e-3
    return proba / proba.sum(axis=1, keepdims=True)


@pytest.fixture
def labels(rng):
    return rng.integers(K, size=N)


# --- the algebra


@pytest.mark.parametrize("link", LINKS_ON_SIMPLEX, ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("class_weight", [None, {0: 2.0, 1: 0.5, 2: 1.0, 3: 0.0}, "balanced"], ids=str)
@pytest.mark.parametrize("as_sparse", [False, True])
def test_a_soft_row_is_hard_rows_weighted_by_its_shares(rng, soft, link, smoothing, class_weight, as_sparse):
    scores, weights = rng.normal(size=(N, K)), rng.uniform(size=N)
    options = {"label_smoothing": smoothing, "class_weight": class_weight, "link": link, "fit_intercept": False}
    ours = resolve(sparse.csr_array(soft) if as_sparse else soft, sample_weight=weights, **options)
    hard = resolve(
        np.tile(np.arange(K), N), sample_weight=(weights[:, None] * soft).ravel(), classes=range(K), **options
    )
    value, residual = evaluate(ours, scores, link)
    split_value, split = evaluate(hard, np.repeat(scores, K, axis=0), link)
    by_row = np.add.reduceat(split, np.flatnonzero(np.diff(np.flatnonzero(hard.kept) // K, prepend=-1)))
    np.testing.assert_allclose(residual, by_row, atol=1e-15)
    np.testing.assert_allclose(ours.weights.sum(), hard.weights.sum(), rtol=1e-13)
    np.testing.assert_allclose(value, split_value, rtol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("class_weight", [None, {0: 3.0, 2: 0.5}, "balanced"], ids=str)
def test_labels_follow_the_formula(rng, labels, smoothing, class_weight):
    weights = rng.uniform(size=N)
    got = resolve(labels, sample_weight=weights, class_weight=class_weight, label_smoothing=smoothing)
    if isinstance(class_weight, dict):
        per_row = np.array([class_weight.get(label, 1.0) for label in labels])
    elif class_weight == "balanced":
        shares = np.array([weights[labels == k].sum() for k in range(K)])
        per_row = (weights.sum() / (K * shares))[labels]
    else:
        per_row = np.ones(N)
    np.testing.assert_allclose(got.weights, weights * per_row, rtol=1e-14)
    np.testing.assert_allclose(matrix_of(got), (1 - smoothing) * np.eye(K)[labels] + smoothing / K, rtol=1e-14)
    assert isinstance(got.target, SmoothedLabels if smoothing else Labels)


def test_balanced_is_scikit_learns_without_weights_and_keeps_their_sum(rng, labels, soft):
    assert_weights = resolve(labels, class_weight="balanced").weights
    np.testing.assert_allclose(assert_weights, compute_sample_weight("balanced", labels), rtol=1e-14)
    weights = rng.uniform(size=N)
    for y in (labels, soft):
        got = resolve(y, class_weight="balanced", sample_weight=weights)
        np.testing.assert_allclose(got.weights.sum(), weights.sum(), rtol=1e-13)
        np.testing.assert_allclose(got.target.shares(got.weights), np.full(K, weights.sum() / K), rtol=1e-13)


def test_soft_labels_follow_the_formula(rng, soft):
    weights, per_class = rng.uniform(size=N), {0: 2.0, 1: 0.5, 2: 1.0, 3: 0.25}
    w = np.array([2.0, 0.5, 1.0, 0.25])
    for y in (soft, sparse.csr_array(soft), sparse.coo_matrix(soft)):
        got = resolve(y, sample_weight=weights, class_weight=per_class, label_smoothing=0.1)
        factor = soft @ w
        np.testing.assert_allclose(got.weights, weights * factor, rtol=1e-14)
        np.testing.assert_allclose(matrix_of(got), 0.9 * soft * w / factor[:, None] + 0.025, rtol=1e-14)
        assert isinstance(got.target, SparseSoftLabels if sparse.issparse(y) else SoftLabels)


@pytest.mark.parametrize("make", [np.array, sparse.csr_array])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_vertices_are_labels(labels, make, smoothing):
    by_label = resolve(labels, label_smoothing=smoothing)
    by_vertex = resolve(make(np.eye(K)[labels]), label_smoothing=smoothing)
    assert type(by_vertex.target) is type(by_label.target)
    np.testing.assert_array_equal(by_vertex.target.codes, by_label.target.codes)
    np.testing.assert_array_equal(by_vertex.classes, by_label.classes)


@pytest.mark.parametrize("kind", ["labels", "soft", "sparse"])
@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 0.0, 1: 2.0, 2: 1.0, 3: 1.0}], ids=str)
def test_repetition_is_weight_and_zero_weight_is_removal(rng, labels, soft, kind, class_weight):
    y = {"labels": labels, "soft": soft, "sparse": sparse.csr_array(soft)}[kind]
    counts = rng.integers(0, 4, size=N)
    options = {"class_weight": class_weight, "label_smoothing": 0.1}
    weighted = resolve(y, sample_weight=counts.astype(float), **options)
    repeated = resolve(y[np.repeat(np.arange(N), counts)], **options)
    np.testing.assert_array_equal(weighted.classes, repeated.classes)
    scores = rng.normal(size=(N, len(weighted.classes)))
    value, residual = evaluate(weighted, scores)
    repeated_value, repeated_residual = evaluate(repeated, np.repeat(scores, counts, axis=0))
    np.testing.assert_allclose(value, repeated_value, rtol=1e-12)
    np.testing.assert_allclose(residual.sum(axis=0), repeated_residual.sum(axis=0), atol=1e-13)
    kept = np.zeros(N, bool)
    kept[np.flatnonzero(counts)] = True
    if class_weight is None or class_weight == "balanced":
        np.testing.assert_array_equal(weighted.kept, kept)


def test_rows_of_weight_zero_are_not_looked_at(labels, soft):
    weights = np.ones(N)
    weights[3] = 0.0
    named = labels.astype(object)
    named[3] = np.nan
    assert resolve(named.astype(float), sample_weight=weights).weights.shape == (N - 1,)
    soft[3] = [np.nan, -1.0, 7.0, 0.0]
    got = resolve(soft, sample_weight=weights)
    assert not got.kept[3]
    assert got.kept.sum() == N - 1


def test_a_class_that_weighs_nothing_is_no_class_of_labels_but_a_column_of_soft_ones(labels, soft):
    assert resolve(labels, class_weight={0: 0.0, 1: 1.0, 2: 1.0, 3: 1.0}).classes.tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match=r"no row of positive weight has the classes \[0\]"):
        resolve(soft, class_weight={0: 0.0, 1: 1.0, 2: 1.0, 3: 1.0})
    got = resolve(soft, class_weight={0: 0.0, 1: 1.0, 2: 1.0, 3: 1.0}, label_smoothing=0.1)
    np.testing.assert_allclose(matrix_of(got)[:, 0], 0.025)


# --- classes


@pytest.mark.parametrize(
    "names", [["b", "a", "d", "c"], [3, -1, 7, 0], [True, False], [2.0, 1.0, -3.0]], ids=["str", "int", "bool", "float"]
)
def test_labels_of_any_type_are_sorted_as_in_scikit_learn(names):
    y = np.array(names * 3)
    for classes in (None, names):
        got = resolve(y, classes=classes)
        np.testing.assert_array_equal(got.classes, np.unique(y))
        np.testing.assert_array_equal(got.classes[got.target.codes], y)


def test_classes_may_hold_more_than_the_labels_where_the_optimum_is_finite(labels):
    names = [*range(K), 9]
    with pytest.raises(ValueError, match=r"classes \[9\], so the optimum has their intercepts at minus infinity"):
        resolve(labels, classes=names)
    for options in ({"label_smoothing": 0.1}, {"fit_intercept": False}, {"link": LINKS["sparsemax"]}):
        got = resolve(labels, classes=names, **options)
        np.testing.assert_array_equal(got.classes, names)
        assert got.target.n_classes == K + 1


def test_columns_of_soft_labels_are_named_in_their_order(soft):
    np.testing.assert_array_equal(resolve(soft).classes, np.arange(K))
    names = ["d", "a", "c", "b"]
    np.testing.assert_array_equal(resolve(soft, classes=names).classes, names)
    for frame in (pd.DataFrame(soft, columns=names), pl.DataFrame(soft, schema=names)):
        got = resolve(frame)
        np.testing.assert_array_equal(got.classes, names)
        np.testing.assert_array_equal(matrix_of(got), matrix_of(resolve(soft)))
        assert resolve(frame, classes=["w", "x", "y", "z"]).classes.tolist() == ["w", "x", "y", "z"]
        with pytest.raises(ValueError, match="'classes' parameter must be in the order of the columns of y"):
            resolve(frame, classes=sorted(names))
    assert resolve(pd.DataFrame(soft)).classes.tolist() == [0, 1, 2, 3]
    assert resolve(pd.DataFrame(soft, columns=[1, "a", 2.5, None])).classes.tolist() == [1, "a", 2.5, None]


@pytest.mark.parametrize("y", ["labels", "soft"])
def test_classes_that_do_not_fit(request, y):
    y = request.getfixturevalue(y)
    with pytest.raises(ValueError, match="'classes' parameter must hold distinct labels"):
        resolve(y, classes=[0, 1, 2, 2])
    message = "must name the 4 columns of y. Got 3 classes" if y.ndim == 2 else r"Got (np.int64\()?3\)? in row \d+"
    with pytest.raises(ValueError, match=message):
        resolve(y, classes=[0, 1, 2])


# --- what y may be


def test_a_column_is_labels_and_warns(labels):
    with pytest.warns(DataConversionWarning, match="column-vector y was passed"):
        got = resolve(labels[:, None])
    np.testing.assert_array_equal(got.target.codes, labels)
    with pytest.warns(DataConversionWarning):
        resolve(pd.DataFrame({"y": labels}))


@pytest.mark.parametrize(
    "y", [pd.Series(["a", "b", "a"]), pd.Series(["a", "b", "a"], dtype="category"), ["a", "b", "a"], ("a", "b", "a")]
)
def test_labels_of_any_container(y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(resolve(y).target.codes, [0, 1, 0])


def test_rows_that_nearly_sum_to_one_are_divided_by_their_sum(soft):
    rough = np.round(soft, 4)
    got = resolve(rough)
    np.testing.assert_allclose(matrix_of(got).sum(axis=1), 1.0, rtol=1e-15)
    np.testing.assert_allclose(matrix_of(got), rough / rough.sum(axis=1, keepdims=True), rtol=1e-15)
    single = resolve(soft.astype(np.float32))
    np.testing.assert_allclose(matrix_of(single).sum(axis=1), 1.0, rtol=1e-15)


def test_the_users_y_is_not_written_to(soft):
    for y in (soft, sparse.csr_array(soft)):
        before = y.copy()
        resolve(y, class_weight="balanced", label_smoothing=0.3)
        assert abs(y - before).max() == 0.0


def test_repeated_entries_of_sparse_soft_labels_are_added():
    y = sparse.coo_array(([0.25, 0.25, 0.5, 1.0, 0.0], ([0, 0, 0, 1, 1], [1, 1, 0, 1, 0])), shape=(2, 2))
    np.testing.assert_array_equal(matrix_of(resolve(y)), [[0.5, 0.5], [0.0, 1.0]])


BAD = {
    "sum": ([0.5, 0.2], r"must sum to one within 0.001. Got 0.7 in row 2.*use SigmoidClassifier"),
    "several labels": ([1, 1], r"Got 2 in row 2.*use SigmoidClassifier"),
    "none": ([0.0, 0.0], r"Got 0 in row 2.*use SigmoidClassifier"),
    "negative": ([1.2, -0.2], r"must not be negative. Got -0.2 in row 2"),
    "nan": ([np.nan, 1.0], r"y contains NaN or infinity in row 2"),
    "inf": ([np.inf, -np.inf], r"y contains NaN or infinity in row 2"),
}


@pytest.mark.parametrize("as_sparse", [False, True])
@pytest.mark.parametrize("kind", BAD)
def test_the_first_row_that_is_no_distribution_is_named(kind, as_sparse):
    row, message = BAD[kind]
    y = np.array([[0.5, 0.5], [1.0, 0.0], row, row], dtype=float)
    with pytest.raises(ValueError, match=message):
        resolve(sparse.csr_array(y) if as_sparse else y)
    with pytest.raises(ValueError, match=message):  # counted in the rows of the user
        resolve(y, sample_weight=[0.0, 1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed, but the target y is None"),
        ([0.1, 0.7, 0.2], "Unknown label type: continuous"),
        ([["a", "b"], ["b", "a"]], "must hold numbers"),
        (np.zeros((3, 2, 2)), "dim 3"),
        ([0.0, np.nan, 1.0], "Input y contains NaN"),
        ([1, 1, 1], "at least 2 classes in the data, but the data contains only one class with positive weight: 1"),
        ([[1.0, 0.0], [1.0, 0.0]], "only one class with positive weight: 0"),
        (sparse.csr_array(np.ones((3, 1))), r"Sparse y must be soft labels"),
    ],
    ids=str,
)
def test_what_is_no_target_is_an_error(y, message):
    with pytest.raises(ValueError, match=message):
        resolve(y)


@pytest.mark.parametrize("y", ["labels", "soft"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_weight": np.zeros(N)}, "zero"),
        ({"sample_weight": -np.ones(N)}, "[Nn]egative"),
        ({"sample_weight": np.ones(N - 1)}, "sample_weight.shape"),
        ({"sample_weight": np.full(N, 1e308)}, "sum of the weights must be finite"),
        ({"class_weight": dict.fromkeys(range(K), 0.0)}, "must not all be zero"),
        ({"class_weight": {0: -1.0}}, "finite weights >= 0"),
        ({"class_weight": {0: np.nan}}, "finite weights >= 0"),
        ({"class_weight": dict.fromkeys(range(K), 1e308), "sample_weight": np.full(N, 1e10)}, "must be finite"),
    ],
    ids=str,
)
def test_weights_that_are_none(request, y, options, message):
    with pytest.raises(ValueError, match=message):
        resolve(request.getfixturevalue(y), **options)


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e300])
def test_weights_of_any_scale(labels, soft, scale):
    for y in (labels, soft):
        for class_weight in (None, "balanced", dict.fromkeys(range(K), 2.0)):
            small = resolve(y, sample_weight=np.full(N, scale), class_weight=class_weight)
            one = resolve(y, sample_weight=np.ones(N), class_weight=class_weight)
            np.testing.assert_allclose(small.weights / scale, one.weights, rtol=1e-13)
            np.testing.assert_allclose(matrix_of(small), matrix_of(one), rtol=1e-13)


def test_class_weights_of_any_scale(soft):
    huge = resolve(soft, class_weight={0: 1e150, 1: 1e-150, 2: 1e150, 3: 1e-150})
    np.testing.assert_allclose(matrix_of(huge).sum(axis=1), 1.0, rtol=1e-14)
    tiny = resolve(soft, class_weight=dict.fromkeys(range(K), 1e-310))
    np.testing.assert_allclose(matrix_of(tiny), soft, rtol=1e-9)


def test_a_weight_beside_which_another_vanishes_is_no_row(labels):
    weights = np.ones(N)
    weights[:5] = 5e-324
    got = resolve(labels, sample_weight=weights)
    assert got.kept.tolist() == [False] * 5 + [True] * (N - 5)


@pytest.mark.parametrize("y", [np.eye(3), sparse.eye_array(3, format="csr"), pd.DataFrame(np.eye(3)), [[0.5, 0.5]]])
def test_accuracy_takes_labels_only(y):
    require_labels("SoftmaxRegression", np.arange(3))
    require_labels("SoftmaxRegression", [["a"], ["b"]])
    with pytest.raises(ValueError, match=r"SoftmaxRegression.score is the accuracy on labels.*neg_soft_log_loss"):
        require_labels("SoftmaxRegression", y)
