"""What the estimator refuses, in words that name the parameter, and streams through ``partial_fit``."""

import numpy as np
import pytest
from scipy import sparse

from sksoft import HierarchicalSoftmaxClassifier, config_context

RNG = np.random.default_rng(0)
K = 5
Y = np.concatenate([np.arange(K), RNG.integers(0, K, 75)])
X = RNG.normal(size=(80, 4)) + RNG.normal(size=(K, 4))[Y]
FITTED = HierarchicalSoftmaxClassifier(tree="balanced").fit(X, Y)


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        ("C", [0, -1.0, np.inf, np.nan, "1", None]),
        ("arity", [1, 0, -2, 101, 2.5, "two"]),
        ("label_smoothing", [1, 1.0, -0.1, np.nan]),
        ("prior_count", [0, -1, np.inf]),
        ("tol", [-1e-3, np.inf, np.nan]),
        ("max_iter", [-1, 2.5]),
        ("warm_start", ["yes"]),
        ("max_dense_gib", [0, -1]),
        ("class_weight", ["balance", 3.0, [1, 2]]),
    ],
)
def test_parameters_out_of_range(parameter, values):
    for value in values:
        with pytest.raises(ValueError, match=f"'{parameter}' parameter of HierarchicalSoftmaxClassifier must be"):
            HierarchicalSoftmaxClassifier(**{parameter: value}).fit(X, Y)
        with pytest.raises(ValueError, match=f"'{parameter}' parameter of HierarchicalSoftmaxClassifier must be"):
            HierarchicalSoftmaxClassifier(**{parameter: value}).partial_fit(X, Y, classes=range(K))


@pytest.mark.parametrize(
    ("tree", "error", "message"),
    [
        ("oak", ValueError, r"must be one of \('auto', 'huffman', 'balanced', 'kmeans'\) or a taxonomy. Got 'oak'"),
        (None, TypeError, "must be an array of parents, a nested dict"),
        (3, TypeError, "must be an array of parents"),
        ({"a": [0, 1], "b": [2, 3]}, ValueError, "misses"),
        ([("r", "a", None), ("r", "b", None), ("a", "x", 0)], ValueError, "leads to no label"),
        ([-1, 0, 0, 1, 1], ValueError, "has 3 leaves, but y has 5 classes"),
        ([-1, 0, 0, 0, 0, 0, 7, 6], ValueError, "cycle"),
        ([-1, -1, 0, 0, 1, 1, 1], ValueError, "root"),
        ({"a": [0, 1, 2], "b": [2, 3, 4]}, ValueError, "label 2"),
        ({}, ValueError, "no nodes"),
        ([("r", "a", 0), ("s", "b", 1)], ValueError, "root"),
        ([-1, 9, 0], ValueError, "which is no node"),
    ],
)
def test_trees_that_are_none(tree, error, message):
    with pytest.raises(error, match=message):
        HierarchicalSoftmaxClassifier(tree=tree).fit(X, Y)


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        (np.where(X > 2, np.nan, X), Y, "contains NaN"),
        (np.where(X > 2, np.inf, X), Y, "contains infinity"),
        (X * 1e120, Y, r"values up to 1e\+100, whose squares are finite"),
        (X[:0], Y[:0], r"0 sample\(s\)"),
        (X[:, :0], Y, r"0 feature\(s\)"),
        (sparse.csr_array((80, 0)), Y, r"0 feature\(s\)"),
        (X[:, 0], Y, "Expected 2D array"),
        (X * 1j, Y, "Complex data not supported"),
        (X, Y[:9], "inconsistent numbers of samples"),
        (
            X,
            np.zeros(80),
            "at least 2 classes in the data, but the data contains only one class with positive weight: 0",
        ),
        (X, None, "requires y to be passed"),
        (X, np.eye(K, dtype=int)[Y], "indicator matrix.*SigmoidClassifier"),
        (X, X[:, 0], "continuous"),
    ],
)
def test_rows_and_labels_that_are_none(rows, labels, message):
    with pytest.raises(ValueError, match=message):
        HierarchicalSoftmaxClassifier().fit(rows, labels)


@pytest.mark.parametrize("scale", [1e-200, 1e60, 1e305])
@pytest.mark.parametrize("what", ["C", "weights"])
def test_weights_beyond_what_squares_hold(what, scale):
    C, weight = (scale, None) if what == "C" else (1.0, np.full(len(Y), scale))
    with pytest.raises(ValueError, match=r"'C' parameter times the sum of the weights must be in \[1e-100, 1e\+50\]"):
        HierarchicalSoftmaxClassifier(C=C).fit(X, Y, sample_weight=weight)


def test_k_beams_samples_and_depths():
    for k in (0, K + 1, -1, 2.5, "2", None):
        with pytest.raises(ValueError, match=r"k must be an int in \[1, 5\], the number of classes. Got"):
            FITTED.predict_topk(X, k)
    for beam_width in (0, 1, 2.5):
        with pytest.raises(ValueError, match=r"beam_width must be an int >= k=2, or None. Got"):
            FITTED.predict_topk(X, 2, beam_width=beam_width)
    for n_samples in (0, 1.5):
        with pytest.raises(ValueError, match=r"n_samples must be an int >= 1. Got"):
            FITTED.sample(X, n_samples)
    for max_depth in (-1, 1.5, "1"):
        with pytest.raises(ValueError, match=r"max_depth must be an int >= 0, or None. Got"):
            FITTED.node_proba(X, max_depth)
    assert FITTED.predict_topk(X, np.int64(K))[0].shape == (80, K)


def test_labels_and_rows_that_were_never_seen():
    with pytest.raises(ValueError, match="holds the label 77, which is not among"):
        FITTED.predict_log_proba_of(X[:2], [0, 77])
    with pytest.raises(ValueError, match="holds the label 'a'"):
        FITTED.predict_log_proba_of(X[:2], ["a", "b"])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        FITTED.predict_log_proba_of(X[:3], [0, 1])
    for method in ("predict", "predict_proba", "predict_log_proba", "predict_topk", "sample", "decision_path"):
        with pytest.raises(ValueError, match=r"X has 3 features, but .* is expecting 4"):
            getattr(FITTED, method)(X[:, :3])
        with pytest.raises(ValueError, match="contains NaN"):
            getattr(FITTED, method)(np.full((2, 4), np.nan))


@pytest.mark.parametrize("method", ["predict_proba", "predict_log_proba"])
def test_a_table_too_large_names_its_memory(method):
    small = HierarchicalSoftmaxClassifier(tree="balanced", max_dense_gib=1e-6).fit(X, Y)
    with pytest.raises(
        ValueError, match=r"5 classes for 80 rows would take 2.98e-06 GiB, more than max_dense_gib=1e-06"
    ):
        getattr(small, method)(X)
    assert getattr(small, method)(X[:20]).shape == (20, K)
    with pytest.raises(ValueError, match=r"predict_topk\(X, k, sparse_output=True\)"):
        getattr(small, method)(X)


def test_a_table_of_many_classes_is_refused_before_it_takes_memory():
    fitted = HierarchicalSoftmaxClassifier(tree="balanced", arity=10)
    fitted.partial_fit(sparse.eye_array(10, 3, format="csr"), np.arange(10), classes=np.arange(50_000))
    with pytest.raises(ValueError, match=r"50000 classes for 100000 rows would take 37.3 GiB"):
        fitted.predict_proba(sparse.csr_array((100_000, 3)))
    assert fitted.predict_topk(sparse.csr_array((2, 3)), 2)[0].shape == (2, 2)


# streams


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
def test_a_stream_does_not_depend_on_how_it_is_cut(form):
    whole = HierarchicalSoftmaxClassifier(tree="balanced").partial_fit(form(X), Y, classes=np.arange(K))
    parts = HierarchicalSoftmaxClassifier(tree="balanced")
    for rows in (slice(0, 1), slice(1, 40), slice(40, 80)):
        parts.partial_fit(form(X[rows]), Y[rows], classes=np.arange(K) if rows.start == 0 else None)
    np.testing.assert_array_equal(parts.predict_proba(X), whole.predict_proba(X))
    np.testing.assert_array_equal(parts.class_weight_seen_, np.bincount(Y))
    assert parts.classes_.tolist() == list(range(K))
    assert not hasattr(parts, "gap_")


def test_a_stream_comes_near_the_fit():
    order = np.random.default_rng(1).integers(0, 80, 8000)
    stream = HierarchicalSoftmaxClassifier(tree="balanced").partial_fit(X[order], Y[order], classes=range(K))
    weight = np.bincount(order, minlength=80)
    fit = HierarchicalSoftmaxClassifier(tree="balanced").fit(X, Y, sample_weight=weight)
    loss = [-np.average(model.predict_log_proba_of(X, Y), weights=weight) for model in (stream, fit)]
    assert loss[1] <= loss[0] <= 1.02 * loss[1]


@pytest.mark.parametrize("tree", ["auto", "huffman", "kmeans", "balanced"])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
def test_a_first_chunk_of_one_class_among_those_announced(tree, form):
    model = HierarchicalSoftmaxClassifier(tree=tree).partial_fit(form(X[:1]), ["b"], classes=["c", "a", "b"])
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert model.predict(form(X[:1])).tolist() == ["b"]
    np.testing.assert_allclose(model.predict_proba(form(X)).sum(axis=1), 1.0, atol=1e-12)
    model.partial_fit(form(X[1:3]), ["a", "c"])
    assert (model.predict_proba(form(X)) > 0).all()


def test_a_taxonomy_names_the_classes_of_a_stream():
    tree = {"left": ["a", "b"], "right": ["c"]}
    model = HierarchicalSoftmaxClassifier(tree=tree).partial_fit(X[:2], ["a", "c"])
    assert model.classes_.tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match="holds the label 'z'"):
        model.partial_fit(X[:1], ["z"])
    with pytest.raises(ValueError, match="announce 'classes'"):
        HierarchicalSoftmaxClassifier(tree=[-1, 0, 0]).partial_fit(X[:2], [0, 1])


def test_a_stream_goes_on_from_a_fit():
    fitted = HierarchicalSoftmaxClassifier(tree="huffman").fit(X, Y)
    before = fitted.predict_proba(X)
    fitted.partial_fit(X[:1], Y[:1])
    assert fitted.class_weight_seen_.sum() == 81
    assert np.abs(fitted.predict_proba(X) - before).max() < 0.2
    assert not hasattr(fitted, "objective_")
    again = fitted.fit(X, Y)
    assert hasattr(again, "objective_")
    assert not hasattr(again, "stream_")


def test_streams_that_are_refused():
    model = HierarchicalSoftmaxClassifier()
    with pytest.raises(ValueError, match="first call of partial_fit must announce all labels"):
        model.partial_fit(X, Y)
    with pytest.raises(ValueError, match="holds the label 4, which is not among"):
        model.partial_fit(X, Y, classes=[0, 1, 2, 3])
    with pytest.raises(ValueError, match="at least 2 classes"):
        HierarchicalSoftmaxClassifier().partial_fit(X[:1], [0], classes=[0])
    model = HierarchicalSoftmaxClassifier().partial_fit(X, Y, classes=range(K))
    with pytest.raises(ValueError, match="must be that of the first call"):
        model.partial_fit(X, Y, classes=range(K + 1))
    with pytest.raises(ValueError, match="X must be dense, as in the calls before"):
        model.partial_fit(sparse.csr_array(X), Y)
    with pytest.raises(ValueError, match="X has 3 features, but"):
        model.partial_fit(X[:, :3], Y)
    with pytest.raises(ValueError, match="holds the label 9"):
        model.partial_fit(X[:1], [9])
    assert not hasattr(HierarchicalSoftmaxClassifier(class_weight="balanced"), "partial_fit")
    with pytest.raises(AttributeError, match="partial_fit") as failure:
        _ = HierarchicalSoftmaxClassifier(class_weight="balanced").partial_fit
    assert "needs all rows" in str(failure.value.__cause__)


def test_a_failed_call_leaves_the_stream_as_it_was():
    model = HierarchicalSoftmaxClassifier().partial_fit(X, Y, classes=range(K))
    before = model.predict_proba(X)
    with pytest.raises(ValueError, match="holds the label"):
        model.partial_fit(X[:2], [0, 99])
    np.testing.assert_array_equal(model.predict_proba(X), before)


def test_weights_of_a_stream():
    weight = {0: 2.0, 1: 0.0}
    model = HierarchicalSoftmaxClassifier(class_weight=weight).partial_fit(X, Y, classes=range(K))
    np.testing.assert_array_equal(model.class_weight_seen_, np.bincount(Y) * [2, 0, 1, 1, 1])
    s = np.array([2.0, 0.0, 1.0, 1.0, 1.0])[Y]
    other = HierarchicalSoftmaxClassifier().partial_fit(X, Y, classes=range(K), sample_weight=s)
    np.testing.assert_array_equal(model.predict_proba(X), other.predict_proba(X))


def test_backends_of_a_stream_agree():
    results = []
    for backend in ("numpy", "numba"):
        with config_context(backend=backend):
            model = HierarchicalSoftmaxClassifier(tree="balanced").partial_fit(sparse.csr_array(X), Y, classes=range(K))
            results.append(model.predict_proba(X))
    np.testing.assert_allclose(*results, atol=1e-10)
