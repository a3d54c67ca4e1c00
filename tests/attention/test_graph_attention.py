"""Attention over neighbours, against dense arithmetic."""

import tracemalloc

import numpy as np
import pytest
from scipy import sparse
from scipy.special import softmax

from sksoft import config_context
from sksoft.attention import graph_attention

RNG = np.random.default_rng(0)
N = 12
PATTERN = sparse.random_array((N, N), density=0.3, format="csr", rng=RNG)
PATTERN.data[:] = RNG.integers(1, 4, PATTERN.nnz)


def dense_attention(weights, scores):
    """Over all pairs, with log-weights of −inf where there is no edge; empty rows are zero."""
    with np.errstate(divide="ignore"):
        masked = scores + np.log(weights)
    found = np.zeros_like(masked)
    filled = (weights > 0).any(axis=1)
    found[filled] = softmax(masked[filled], axis=1)
    return found


def leaky(sums, slope):
    return np.where(sums > 0, sums, slope * sums)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_additive_scores_are_those_of_all_pairs_masked(temperature):
    queries, keys = RNG.normal(size=(2, N))
    scores = leaky(queries[:, None] + keys, 0.2) / temperature
    attention = graph_attention(PATTERN, queries, keys, temperature=temperature)
    np.testing.assert_allclose(attention.toarray(), dense_attention(PATTERN.toarray(), scores), atol=1e-15)


def test_dot_scores_of_several_heads():
    queries, keys = RNG.normal(size=(2, 3, N, 5))
    heads = graph_attention(PATTERN, queries, keys, score="dot")
    assert len(heads) == 3
    for query, key, head in zip(queries, keys, heads):
        expected = dense_attention(PATTERN.toarray(), query @ key.T / np.sqrt(5))
        np.testing.assert_allclose(head.toarray(), expected, atol=1e-15)


def test_dot_scores_on_a_full_graph_are_ordinary_attention():
    queries, keys = RNG.normal(size=(2, N, 4))
    full = graph_attention(np.ones((N, N)), queries, keys, score="dot", scale=0.7)
    np.testing.assert_allclose(full.toarray(), softmax(0.7 * queries @ keys.T, axis=1), atol=1e-15)


def test_the_smooth_score_is_the_leaky_one_far_from_its_kink():
    queries, keys = np.where(RNG.random((2, N)) > 0.5, 50.0, -50.0)
    keys += RNG.normal(size=N)
    queries *= 3.0
    expected = graph_attention(PATTERN, queries, keys).toarray()
    np.testing.assert_allclose(graph_attention(PATTERN, queries, keys, score="smooth").toarray(), expected, atol=1e-12)


def test_attention_has_exactly_the_pattern_given():
    scrambled = PATTERN.copy()
    row = slice(scrambled.indptr[2], scrambled.indptr[3])
    scrambled.indices[row] = scrambled.indices[row][::-1].copy()
    scrambled.data[row] = scrambled.data[row][::-1].copy()
    scrambled.data[0] = 0.0  # stored: stays in the pattern, without attention
    attention = graph_attention(scrambled, *RNG.normal(size=(2, N)))
    np.testing.assert_array_equal(attention.indices, scrambled.indices)
    np.testing.assert_array_equal(attention.indptr, scrambled.indptr)
    assert attention.data[0] == 0.0
    sums = np.asarray(attention.sum(axis=1))
    filled = np.diff(scrambled.indptr) > 0
    np.testing.assert_allclose(sums[filled], 1.0)


def test_a_node_without_neighbours_has_an_empty_row():
    lonely = sparse.csr_array(np.array([[0.0, 1.0], [0.0, 0.0]]))
    attention = graph_attention(lonely, [0.0, 0.0], [0.0, 0.0])
    np.testing.assert_array_equal(attention.toarray(), [[0.0, 1.0], [0.0, 0.0]])
    assert attention.nnz == 1


def test_self_loops_come_only_when_asked_for_and_keep_weights_that_are_there():
    graph = sparse.csr_array(np.array([[3.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]))
    zeros = np.zeros(3)
    off = graph_attention(graph, zeros, zeros)
    np.testing.assert_allclose(off.toarray(), [[0.75, 0.25, 0.0], [0.5, 0.0, 0.5], [0.0, 0.0, 0.0]])
    on = graph_attention(graph, zeros, zeros, self_loops=True)
    third = 1.0 / 3.0
    np.testing.assert_allclose(on.toarray(), [[0.75, 0.25, 0.0], [third, third, third], [0.0, 0.0, 1.0]])
    assert on.nnz == graph.nnz + 2


def test_a_weight_of_two_is_two_parallel_edges():
    columns, starts = np.array([0, 1, 1, 0]), np.array([0, 3, 4])
    parallel = sparse.csr_array((np.ones(4), columns, starts), shape=(2, 2))
    queries, keys = RNG.normal(size=(2, 2))
    twice = graph_attention(np.array([[1.0, 2.0], [1.0, 0.0]]), queries, keys)
    np.testing.assert_allclose(graph_attention(parallel, queries, keys).toarray(), twice.toarray(), atol=1e-15)


def test_the_input_is_left_as_it_was():
    before = PATTERN.copy()
    graph_attention(PATTERN, *RNG.normal(size=(2, N)), self_loops=True)
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(PATTERN, name), getattr(before, name))


def test_what_comes_back_is_the_callers_to_change():
    """Heads and the adjacency matrix share no memory: sorting one leaves the pattern of the others alone."""
    unsorted = sparse.csr_array((np.array([3.0, 1.0, 1.0]), np.array([1, 0, 0]), np.array([0, 2, 3])), shape=(2, 2))
    before = unsorted.toarray()
    first, second = graph_attention(unsorted, np.zeros((2, 2)), np.zeros((2, 2)))
    expected = second.toarray()
    first.sort_indices()
    np.testing.assert_array_equal(unsorted.toarray(), before)
    np.testing.assert_array_equal(second.toarray(), expected)


def test_differences_are_divided_by_the_temperature_and_cannot_overflow():
    """The limit of a low temperature: all attention to the largest score that has any weight."""
    weights = np.array([[1.0, 2.0, 1.0], [0.0, 1.0, 3.0], [0.0, 0.0, 0.0]])
    weights = sparse.csr_array((weights.ravel(), np.tile(np.arange(3), 3), np.arange(0, 10, 3)), shape=(3, 3))
    keys = [3e10, 2e10, 2e10]
    found = graph_attention(weights, np.zeros(3), keys, temperature=1e-300).toarray()
    np.testing.assert_allclose(found, [[1.0, 0.0, 0.0], [0.0, 0.25, 0.75], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(graph_attention(np.ones((2, 2)), [0, 0], [1e308, -1e308]).toarray()[0], [1.0, 0.0])


def test_vectors_are_not_copied_to_every_edge():
    n, d = 400, 256
    queries = np.zeros((n, d))
    full = sparse.csr_array(np.ones((n, n)))
    with config_context(backend="numpy"):
        tracemalloc.start()
        graph_attention(full, queries, queries, score="dot")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < full.nnz * d * 8 / 8, "an eighth of one copy"


VECTOR = np.zeros(N)
STRAY = PATTERN.copy()
STRAY.indices[-1] = 10**6
BAD = {
    "not square": ({"adjacency": np.ones((N, N + 1))}, r"'adjacency' parameter must .* shape \(12, 12\). Got \(12, 13"),
    "another size": ({"adjacency": np.eye(3)}, r"for each of the 12 rows"),
    "NaN": ({"adjacency": np.full((N, N), np.nan)}, "Input adjacency contains NaN"),
    "sparse NaN": ({"adjacency": PATTERN * np.nan}, "Input adjacency contains NaN"),
    "infinity": ({"adjacency": PATTERN * np.inf}, "infinity"),
    "negative": ({"adjacency": -PATTERN}, "weights >= 0. Got -3"),
    "score": ({"score": "cosine"}, "'score' parameter must be one of .*Got 'cosine'"),
    "shapes": ({"keys": np.zeros((3, N))}, "'queries' and 'keys' must have the same shape"),
    "axes": ({"queries": np.zeros((1, N, 4))}, r"'queries' parameter must be of shape \(n,\) or"),
    "NaN queries": ({"queries": np.full(N, np.nan)}, "Input queries contains NaN"),
    "temperature": ({"temperature": 0.0}, "'temperature' parameter must be a number"),
    "slope": ({"negative_slope": 1.5}, r"'negative_slope' parameter must be a number in \[0, 1\]"),
    "scores": ({"queries": VECTOR + 1e308, "keys": VECTOR + 1e308}, "Scores of 'queries' and 'keys' .* finite.* inf"),
    "an index of no node": ({"adjacency": STRAY}, "'adjacency' parameter .* CSR .*indices must be < 12"),
    "scale": ({"scale": "big"}, "'scale' parameter must be a number"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    changes, message = BAD[case]
    arguments = {"adjacency": PATTERN, "queries": VECTOR, "keys": VECTOR} | changes
    with pytest.raises(ValueError, match=message):
        graph_attention(**arguments)


def test_sparse_queries_are_refused():
    with pytest.raises(TypeError, match="'queries' parameter must be a dense array"):
        graph_attention(PATTERN, PATTERN, VECTOR)
