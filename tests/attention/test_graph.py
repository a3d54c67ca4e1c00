"""Edges as attention sees them."""

import numpy as np
from scipy import sparse

from sksoft.attention.graph import read_graph

RNG = np.random.default_rng(0)
MATRIX = sparse.random_array((7, 7), density=0.4, format="csr", rng=RNG)
MATRIX.data[0] = 0.0


def test_gathering_and_scattering_are_products_with_the_matrix_and_its_transpose():
    graph, values, dense = read_graph(MATRIX, 7), RNG.normal(size=MATRIX.nnz), RNG.normal(size=(7, 3))
    full = np.zeros((7, 7))
    full[graph.rows, graph.columns] = values
    np.testing.assert_allclose(graph.matrix(values).toarray(), full)
    np.testing.assert_allclose(graph.gather(values, dense), full @ dense, atol=1e-14)
    np.testing.assert_allclose(graph.scatter(values, dense), full.T @ dense, atol=1e-14)


def test_weights_become_logarithms_and_ones_nothing():
    np.testing.assert_allclose(np.exp(read_graph(MATRIX, 7).log_weights), MATRIX.data)
    assert read_graph(MATRIX != 0, 7).log_weights is None


def test_who_has_nobody():
    matrix = sparse.csr_array((np.array([0.0, 1.0]), np.array([1, 2]), np.array([0, 1, 2, 2])), shape=(3, 3))
    np.testing.assert_array_equal(read_graph(matrix, 3).alone, [True, False, True])
    np.testing.assert_array_equal(read_graph(matrix, 3, self_loops=True).alone, False)


def test_a_dense_matrix_is_its_sparse_one_and_formats_do_not_matter():
    expected = read_graph(MATRIX.toarray(), 7)
    for form in ("csc", "coo", "lil"):
        graph = read_graph(sparse.csr_array(MATRIX.toarray()).asformat(form), 7)
        np.testing.assert_array_equal(graph.columns, expected.columns)
        np.testing.assert_array_equal(graph.log_weights, expected.log_weights)
