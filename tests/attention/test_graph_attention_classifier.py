"""Classification of nodes: what is minimised, equality with models without a graph, and what graphs may be like."""

import pickle

import numpy as np
import pytest
import sklearn
import skops.io
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksoft import GraphAttentionClassifier, SigmoidClassifier, SoftmaxRegression, config_context
from sksoft.attention import graph_attention
from sksoft.kernels.blocks import row_blocks

RNG = np.random.default_rng(0)
IRIS, SPECIES = load_iris(return_X_y=True)


def communities(n=90, n_classes=3, n_features=6, inside=0.15, across=0.02, seed=0):
    """Features that say little of the class, edges that say much, and few labels."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    same = y[:, None] == y
    upper = np.triu(rng.random((n, n)) < np.where(same, inside, across), 1) | np.eye(n, k=n_classes, dtype=bool)
    X = rng.normal(size=(n, n_features))
    X[:, :n_classes] += 0.7 * np.eye(n_classes)[y]
    marked = y.copy()
    marked[5 * n_classes :] = -1
    return X, y, marked, sparse.csr_array((upper | upper.T).astype(float))


X, Y, MARKED, GRAPH = communities()


def fitted(**changes):
    return GraphAttentionClassifier(C=10.0, random_state=0, **changes).fit(X, MARKED, adjacency=GRAPH)


def through_skops(model):
    data = skops.io.dumps(model)
    return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))


def test_without_a_graph_it_is_a_softmax_regression():
    ours = GraphAttentionClassifier(C=0.3, tol=1e-6).fit(IRIS, SPECIES)
    theirs = SoftmaxRegression(C=0.3, tol=1e-12).fit(IRIS, SPECIES)
    np.testing.assert_allclose(ours.coef_[0], theirs.coef_, atol=1e-6)
    np.testing.assert_allclose(ours.predict_proba(IRIS), theirs.predict_proba(IRIS), atol=1e-6)
    assert ours.loss_ == pytest.approx(theirs.objective_, rel=1e-9)
    assert ours.attention_ is None


def test_without_a_graph_several_labels_are_sigmoids():
    labels = (IRIS[:, 1:] > IRIS[:, 1:].mean(axis=0)).astype(int) ^ (RNG.random((len(IRIS), 3)) < 0.2)
    ours = GraphAttentionClassifier(C=0.3, tol=1e-6).fit(IRIS, labels)
    theirs = SigmoidClassifier(C=0.3, tol=1e-12).fit(IRIS, labels)
    np.testing.assert_allclose(ours.predict_proba(IRIS), theirs.predict_proba(IRIS), atol=1e-6)
    np.testing.assert_array_equal(ours.predict(IRIS), theirs.predict(IRIS))


def test_two_classes_have_one_row_of_coefficients():
    y = np.where(SPECIES == 2, "late", "early")
    ours = GraphAttentionClassifier(C=0.3, tol=1e-6).fit(IRIS, y)
    theirs = SoftmaxRegression(C=0.3, tol=1e-12).fit(IRIS, y)
    assert ours.coef_.shape == (1, 1, 4)
    np.testing.assert_allclose(ours.decision_function(IRIS), theirs.decision_function(IRIS), atol=1e-5)
    np.testing.assert_array_equal(ours.predict(IRIS), theirs.predict(IRIS))


def test_nodes_without_neighbours_are_alone():
    """A graph without edges changes nothing, whatever the hops."""
    empty = sparse.csr_array((len(IRIS), len(IRIS)))
    alone = GraphAttentionClassifier(C=0.3, tol=1e-6, random_state=0).fit(IRIS, SPECIES, adjacency=empty)
    without = GraphAttentionClassifier(C=0.3, tol=1e-6).fit(IRIS, SPECIES)
    np.testing.assert_allclose(alone.predict_proba(IRIS, empty), without.predict_proba(IRIS), atol=1e-5)
    assert alone.attention_[0].nnz == 0


def test_uniform_attention_is_a_softmax_regression_on_spread_features():
    """The walk of personalised PageRank by dense powers, the fit by another solver."""
    uniform = GRAPH.toarray() / GRAPH.sum(axis=1)[:, None]
    spread = X
    for _ in range(4):
        spread = 0.8 * uniform @ spread + 0.2 * X
    labelled = MARKED >= 0
    ours = fitted(attention_C=0.0, n_hops=4, restart=0.2, tol=1e-6)
    theirs = SoftmaxRegression(C=10.0, tol=1e-12).fit(spread[labelled], MARKED[labelled])
    np.testing.assert_allclose(ours.predict_proba(X, GRAPH), theirs.predict_proba(spread), atol=1e-6)
    assert ours.uniform_loss_ == ours.loss_ == ours.losses_[0]
    np.testing.assert_allclose(ours.attention_[0].toarray(), uniform, atol=1e-15)


def test_the_graph_helps_where_features_say_little():
    unknown = MARKED < 0
    alone = GraphAttentionClassifier(C=10.0).fit(X[~unknown], Y[~unknown]).predict(X[unknown])
    together = fitted().predict(X, GRAPH)[unknown]
    assert np.mean(together == Y[unknown]) > np.mean(alone == Y[unknown]) + 0.15


def test_one_hop_without_restart_is_an_attention_layer():
    model = fitted(n_hops=1, restart=0.0, n_heads=2, attention_C=0.1, n_starts=1)
    expected = np.zeros((len(X), 3))
    for coef, (looking, looked_at), kept in zip(model.coef_, model.attention_coef_, model.attention_):
        own = X @ coef.T
        attention = graph_attention(GRAPH, own @ looking, own @ looked_at, score="smooth")
        np.testing.assert_allclose(attention.data, kept.data, atol=1e-12)
        expected += attention @ own / 2
    np.testing.assert_allclose(model.decision_function(X, GRAPH), expected + model.intercept_, atol=1e-12)


def test_attention_stands_in_the_pattern_given():
    for self_loops in (False, True):
        model = fitted(self_loops=self_loops)
        pattern = sparse.csr_array(GRAPH + self_loops * sparse.eye_array(len(X)))
        for attention in (*model.attention_, *model.attention(X, GRAPH)):
            np.testing.assert_array_equal(attention.indices, pattern.indices)
            np.testing.assert_array_equal(attention.indptr, pattern.indptr)
            np.testing.assert_allclose(attention.sum(axis=1), 1.0)


def test_learnt_attention_is_never_worse_than_uniform_and_all_starts_are_told():
    model = fitted(attention_C=0.03, n_starts=3, n_heads=2, n_hops=2)
    assert model.losses_.shape == (3,)
    assert model.loss_ == model.losses_.min()
    assert model.losses_[0] <= model.uniform_loss_
    assert model.stationarity_ <= model.tol
    assert model.converged_
    again = fitted(attention_C=0.03, n_starts=3, n_heads=2, n_hops=2)
    np.testing.assert_array_equal(again.coef_, model.coef_)


def test_a_model_keeps_its_own_copy_of_the_graph():
    graph = GRAPH.copy()
    model = GraphAttentionClassifier(C=10.0, random_state=0).fit(X, MARKED, adjacency=graph)
    expected = model.attention_[0].toarray()
    graph.indices[:] = 0
    model.attention_[0].data[:] = 0.0
    np.testing.assert_array_equal(model.attention_[0].toarray(), expected)


@pytest.mark.parametrize("random_state", [7, None, np.random.RandomState(3)], ids=["seed", "none", "generator"])
def test_the_seeds_of_all_starts_are_told_and_repeat_them(random_state):
    options = {"C": 10.0, "attention_C": 0.03, "n_starts": 3, "n_hops": 2}
    model = GraphAttentionClassifier(**options, random_state=random_state).fit(X, MARKED, adjacency=GRAPH)
    assert len(set(model.seeds_)) == len(model.seeds_) == 3
    again = GraphAttentionClassifier(**options, random_state=int(model.seeds_[0])).fit(X, MARKED, adjacency=GRAPH)
    np.testing.assert_array_equal(again.coef_, model.coef_)
    np.testing.assert_array_equal(again.losses_, model.losses_)
    if random_state == 7:
        np.testing.assert_array_equal(model.seeds_, [7, 8, 9])


def test_where_nothing_is_drawn_there_are_no_seeds():
    assert len(fitted(attention_C=0.0).seeds_) == len(GraphAttentionClassifier().fit(IRIS, SPECIES).seeds_) == 0


def test_every_start_has_its_stationarity():
    model = fitted(max_iter=1000, attention_C=0.03, n_hops=2)
    assert model.stationarities_.shape == (3,)
    assert (model.stationarities_ <= model.tol).all()
    assert model.stationarity_ == model.stationarities_[model.losses_.argmin()]


@pytest.mark.parametrize("way", [lambda m: pickle.loads(pickle.dumps(m)), through_skops], ids=["pickle", "skops"])
def test_a_model_with_a_graph_survives_storage(way):
    model = fitted()
    again = way(model)
    np.testing.assert_array_equal(again.predict_proba(X, GRAPH), model.predict_proba(X, GRAPH))
    np.testing.assert_array_equal(again.attention_[0].toarray(), model.attention_[0].toarray())


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_any_number_of_threads_gives_the_same_bits(backend):
    """On a graph of so many edges that products on them are cut into several blocks."""
    n, n_edges, options = 4000, 60_000, {"n_starts": 1, "max_iter": 3, "attention_C": 0.1, "random_state": 0}
    rng = np.random.default_rng(0)
    graph = sparse.csr_array((np.ones(n_edges), rng.integers(0, n, (2, n_edges))), shape=(n, n))
    features, y, found = rng.normal(size=(n, 4)), rng.integers(0, 3, n), []
    assert len(row_blocks(n, 8 * 3 * 10 * graph.nnz // n)) > 2
    for n_threads in (1, 2, 5):
        with config_context(backend=backend, n_threads=n_threads), pytest.warns(ConvergenceWarning):
            found.append(GraphAttentionClassifier(**options).fit(features, y, adjacency=graph))
    for model in found[1:]:
        np.testing.assert_array_equal(model.coef_, found[0].coef_)
        np.testing.assert_array_equal(model.attention_coef_, found[0].attention_coef_)
        np.testing.assert_array_equal(model.attention_[0].data, found[0].attention_[0].data)


def test_the_graph_is_routed_through_a_pipeline():
    with sklearn.config_context(enable_metadata_routing=True):
        last = GraphAttentionClassifier(C=10.0, random_state=0)
        last.set_fit_request(adjacency=True).set_predict_request(adjacency=True)
        pipeline = make_pipeline(StandardScaler(), last).fit(X, MARKED, adjacency=GRAPH)
        found = pipeline.predict(X, adjacency=GRAPH)
    alone = GraphAttentionClassifier(C=10.0, random_state=0)
    scaled = StandardScaler().fit_transform(X)
    np.testing.assert_array_equal(alone.fit(scaled, MARKED, adjacency=GRAPH).predict(scaled, GRAPH), found)


@pytest.mark.parametrize(
    "form", [sparse.csr_matrix, lambda A: A.astype(bool), lambda A: A.astype(int), lambda A: A.toarray()]
)
def test_a_graph_may_come_in_any_form(form):
    model = GraphAttentionClassifier(C=10.0, random_state=0).fit(X, MARKED, adjacency=form(GRAPH))
    np.testing.assert_array_equal(model.coef_, fitted().coef_)


def test_unknown_labels_are_marked_or_weigh_nothing():
    weights = (MARKED >= 0).astype(float)
    names = np.array(["a", "b", "c"])[Y]
    marked, weighed = fitted(), GraphAttentionClassifier(C=10.0, random_state=0)
    weighed.fit(X, names, sample_weight=weights, adjacency=GRAPH)
    np.testing.assert_array_equal(weighed.coef_, marked.coef_)
    np.testing.assert_array_equal(weighed.classes_, ["a", "b", "c"])


def test_words_are_marked_in_an_array_of_objects():
    names = np.array(["a", "b", "c"])[Y]
    words = np.where(MARKED == -1, -1, names.astype(object))
    model = GraphAttentionClassifier(C=10.0, random_state=0).fit(X, words, adjacency=GRAPH)
    np.testing.assert_array_equal(model.coef_, fitted().coef_)
    np.testing.assert_array_equal(model.classes_, ["a", "b", "c"])
    assert model.score(X, words, adjacency=GRAPH) == fitted().score(X, MARKED, adjacency=GRAPH)


def test_the_score_reads_labels_as_the_fit_does():
    model = fitted()
    expected = np.mean(model.predict(X, GRAPH) == Y)
    with pytest.warns(DataConversionWarning):
        assert model.score(X, Y[:, None], adjacency=GRAPH) == pytest.approx(expected)
    labels = np.stack([Y == 0, Y != 1], axis=1).astype(int)
    several = GraphAttentionClassifier(C=10.0, random_state=0).fit(X, labels, adjacency=GRAPH)
    expected = np.mean((several.predict(X, GRAPH) == labels).all(axis=1))
    for form in (np.asarray, np.ndarray.tolist, sparse.csr_array):
        assert several.score(X, form(labels), adjacency=GRAPH) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("y", "weights", "message"),
    [
        (np.full(90, -1), None, "needs nodes whose label is known"),
        (Y[:1], None, "inconsistent numbers of samples"),
        (Y, np.full(90, -1.0), "Negative values in data passed to `sample_weight`"),
        (np.zeros((90, 2)), None, r"y must have the shape of predictions, \(90,\). Got \(90, 2\)"),
    ],
    ids=["unknown", "length", "weights", "several"],
)
def test_a_score_of_nothing_is_none(y, weights, message):
    with pytest.raises(ValueError, match=message):
        fitted().score(X, y, weights, GRAPH)


def test_a_weight_of_two_is_a_label_that_counts_twice():
    """F of integer weights is F of repeated losses: checked on the uniform problem, whose rows can be repeated."""
    labelled = np.flatnonzero(MARKED >= 0)
    weights = np.zeros(len(X))
    weights[labelled] = 1 + np.arange(len(labelled)) % 3
    uniform = GRAPH.toarray() / GRAPH.sum(axis=1)[:, None]
    spread = 0.9 * uniform @ X + 0.1 * X
    ours = GraphAttentionClassifier(C=10.0, attention_C=0.0, n_hops=1, tol=1e-6)
    ours.fit(X, Y, sample_weight=weights, adjacency=GRAPH)
    rows = np.repeat(np.arange(len(X)), weights.astype(int))
    theirs = SoftmaxRegression(C=10.0, tol=1e-12).fit(spread[rows], Y[rows])
    np.testing.assert_allclose(ours.predict_proba(X, GRAPH), theirs.predict_proba(spread), atol=1e-6)


def test_several_labels_some_unknown_and_sparse():
    labels = np.stack([Y == 0, Y != 1], axis=1).astype(int)
    labels[MARKED < 0] = -1
    model = GraphAttentionClassifier(C=10.0, random_state=0).fit(X, labels, adjacency=GRAPH)
    assert model.predict_proba(X, GRAPH).shape == (len(X), 2)
    assert np.mean(model.predict(X, GRAPH)[:, 0] == (Y == 0)) > 0.8
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X, GRAPH)), model.predict_proba(X, GRAPH), rtol=1e-12)
    known = sparse.csr_array(np.maximum(labels, 0))
    again = GraphAttentionClassifier(C=10.0, random_state=0)
    again.fit(X, known, sample_weight=(MARKED >= 0).astype(float), adjacency=GRAPH)
    np.testing.assert_array_equal(again.coef_, model.coef_)


def test_sparse_features_are_dense_ones():
    dense, thin = fitted(), GraphAttentionClassifier(C=10.0, random_state=0)
    thin.fit(sparse.csr_array(X), MARKED, adjacency=GRAPH)
    np.testing.assert_allclose(thin.predict_proba(sparse.csr_array(X), GRAPH), dense.predict_proba(X, GRAPH), atol=1e-3)


def test_other_nodes_are_predicted_with_their_own_graph():
    new_X, new_y, _, new_graph = communities(seed=1)
    assert fitted().score(new_X, new_y, adjacency=new_graph) > 0.6


def test_the_score_counts_known_labels_only():
    model = fitted()
    known = MARKED >= 0
    right = model.predict(X, GRAPH) == Y
    assert model.score(X, MARKED, adjacency=GRAPH) == pytest.approx(right[known].mean())
    assert model.score(X, Y, adjacency=GRAPH) == pytest.approx(right.mean())


def test_log_probabilities_and_scores():
    model = fitted()
    proba = model.predict_proba(X, GRAPH)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    np.testing.assert_allclose(np.log(proba), model.predict_log_proba(X, GRAPH), rtol=1e-10)
    np.testing.assert_array_equal(model.classes_[proba.argmax(axis=1)], model.predict(X, GRAPH))


def test_early_stops_are_told():
    with pytest.warns(ConvergenceWarning, match=r"stationarity of .*above tol=0.0001.*max_iter=2"):
        model = fitted(max_iter=2)
    assert not model.converged_


BAD = {
    "not square": ((X, MARKED), np.ones((90, 89)), r"'adjacency' parameter must .*\(90, 90\). Got \(90, 89\)"),
    "NaN": ((X, MARKED), GRAPH * np.nan, "Input adjacency contains NaN"),
    "negative": ((X, MARKED), -GRAPH, "weights >= 0. Got -1"),
    "no label": ((X, np.full(90, -1)), GRAPH, "needs nodes whose label is known. Got -1 for all 90"),
    "one class": ((X, np.where(MARKED == 1, 1, -1)), GRAPH, "only one class.*: 1, where -1 marks"),
    "no graph, one class": ((X, np.ones(90)), None, "only one class with positive weight: 1.0$"),
    "length": ((X, MARKED[:5]), GRAPH, "inconsistent numbers of samples"),
    "indicators": ((X, np.full((90, 2), 3)), GRAPH, "must hold 0 and 1, or -1 in all of a row.*Got 3"),
    "half unknown": ((X, np.full((90, 2), [1, -1])), GRAPH, "Got -1 in a row"),
    "words": ((X, np.full((90, 2), "a", dtype="U1")), GRAPH, "multioutput|must hold 0 and 1|Unknown label"),
    "a word for a graph": ((X, MARKED), "graph", "'adjacency' parameter|Expected 2D array|could not convert"),
    "complex": ((X, MARKED), GRAPH * 1j, "Complex data not supported"),
    "objects with '-1'": (
        (X, np.array([str(y) for y in MARKED], dtype=object)),
        GRAPH,
        "y of strings holds '-1'.*dtype object",
    ),
    "words with -1": ((X, [str(y) for y in MARKED]), GRAPH, "y of strings holds '-1'.*dtype object"),
    "None for a label": ((X, np.where(MARKED < 0, None, Y)), GRAPH, "y holds None.*must be marked by -1"),
    "NaN labels": ((X, np.full(90, np.nan)), GRAPH, "Input y contains NaN"),
    "no y": ((X, None), GRAPH, "requires y to be passed"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    (features, y), adjacency, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        GraphAttentionClassifier().fit(features, y, adjacency=adjacency)


def test_a_graph_is_not_forgotten_at_prediction():
    with pytest.raises(ValueError, match=r"'adjacency' parameter must be given.*\(90, 90\).*Got None"):
        fitted().predict(X)
    alone = GraphAttentionClassifier().fit(IRIS, SPECIES)
    with pytest.raises(ValueError, match="'adjacency' parameter must be None"):
        alone.predict(IRIS, np.eye(len(IRIS)))
    with pytest.raises(ValueError, match="without a graph"):
        alone.attention(IRIS, None)


def test_minus_one_is_a_label_where_there_is_no_graph():
    model = GraphAttentionClassifier().fit(IRIS, np.where(SPECIES == 1, -1, 1))
    np.testing.assert_array_equal(model.classes_, [-1, 1])


def test_cora(shared_data):
    """The Planetoid split: 140 labels, 1000 test nodes (GCN 81.5, GAT 83.0 %)."""
    with np.load(shared_data / "graph" / "cora.npz") as file:
        features = sparse.csr_array((file["X_data"], file["X_indices"], file["X_indptr"]), shape=file["X_shape"])
        labels, edges = file["labels"].astype(int), file["edges"]
        train, test = file["train_index"], file["test_index"]
    features = features.astype(float)
    features.data /= np.sqrt(np.repeat(np.maximum(features.power(2).sum(axis=1), 1.0), np.diff(features.indptr)))
    both = np.concatenate([edges, edges[:, ::-1]])
    graph = sparse.csr_array((np.ones(len(both)), both.T), shape=(len(labels), len(labels)))
    marked = np.full(len(labels), -1)
    marked[train] = labels[train]
    model = GraphAttentionClassifier(C=30.0, n_starts=1, self_loops=True, random_state=0)
    model.fit(features, marked, adjacency=graph)
    assert np.mean(model.predict(features, graph)[test] == labels[test]) >= 0.80
