"""Trees by name, and that neither rounding nor the form of the rows chooses them."""

import numpy as np
import pytest
from scipy import sparse

from sksoft.hierarchical import tree_choice
from sksoft.hierarchical.huffman_tree import huffman_tree
from sksoft.hierarchical.tree_choice import GROWN, cheap_arity, grow_tree, is_taxonomy


def rows_of(n_classes, *, n=200, p=5, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n - n_classes)])
    return rng.normal(size=(n, p)) + rng.normal(size=(n_classes, p))[codes], codes, rng.random(n)


def test_names_and_taxonomies():
    assert not any(is_taxonomy(name) for name in GROWN)
    assert is_taxonomy({"a": None})
    with pytest.raises(ValueError, match=r"'tree' parameter must be one of \('auto', .*or a taxonomy. Got 'oak'"):
        is_taxonomy("oak")


@pytest.mark.parametrize("tree", GROWN)
@pytest.mark.parametrize("arity", [2, 3, 7, 100])
@pytest.mark.parametrize("n_classes", [2, 3, 10, 30])
def test_every_tree_has_the_classes_and_the_arity(tree, arity, n_classes):
    found = grow_tree(tree, arity, *rows_of(n_classes), n_classes)
    assert found.n_classes == n_classes
    assert found.n_children.max() <= arity
    assert (found.n_children != 1).all()


def test_huffman_is_that_of_the_weights():
    X, codes, weights = rows_of(12)
    ours = grow_tree("huffman", 3, X, codes, weights, 12)
    theirs = huffman_tree(np.bincount(codes, weights=weights), 3)
    np.testing.assert_array_equal(ours.parent, theirs.parent)
    np.testing.assert_array_equal(ours.leaf, theirs.leaf)


@pytest.mark.parametrize("tree", GROWN)
@pytest.mark.parametrize("n_classes", [3, 6, 7, 20])
def test_classes_equal_but_for_rounding_are_equal(tree, n_classes):
    X, codes, _ = rows_of(n_classes)
    balanced = (len(codes) / n_classes / np.bincount(codes))[codes]
    expected = grow_tree(tree, 2, X, codes, balanced, n_classes)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(codes))
        found = grow_tree(tree, 2, X[order], codes[order], balanced[order], n_classes)
        np.testing.assert_array_equal(found.parent, expected.parent)
        np.testing.assert_array_equal(found.leaf, expected.leaf)


def test_an_automatic_tree_is_as_wide_as_is_cheap(monkeypatch):
    X, codes, weights = rows_of(20)
    assert grow_tree("auto", None, X, codes, weights, 20).n_children[0] == 20
    assert [grow_tree(name, None, X, codes, weights, 20).n_children.max() for name in GROWN[1:]] == [2, 2, 2]
    entries = np.count_nonzero(X) * 1.0
    for arity, n_classes, limit in ((20, 20, 20.0), (8, 20, 8 * np.log(20) / np.log(8)), (2, 20, 0.0)):
        monkeypatch.setattr(tree_choice, "CHEAP", entries * limit * (1 + 1e-9))
        assert cheap_arity(X, np.ones(len(X)), n_classes) == arity
        assert cheap_arity(sparse.csr_array(X), np.ones(len(X)), n_classes) == arity
    monkeypatch.setattr(tree_choice, "CHEAP", 1e300)
    assert cheap_arity(X, np.ones(len(X)), 101) == 8
    assert cheap_arity(X, np.ones(len(X)), 5) == 5
    assert cheap_arity(X, np.ones(len(X)), 2) == 2
