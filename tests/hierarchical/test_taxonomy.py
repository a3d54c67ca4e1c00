"""Every form of a tree says the same, and every way to get one wrong is named."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from sksoft.hierarchical.class_tree import ClassTree
from sksoft.hierarchical.taxonomy import read_taxonomy

FISH = np.array(["perch", "pike", "salmon", "trout"])
AS_DICT = {"salmonids": ["salmon", "trout"], "others": {"pike": None, "perch": {}}}
EDGES = [("fish", "salmonids"), ("fish", "others")] + [
    (above, label) for above, labels in AS_DICT.items() for label in labels
]
TRIPLES = [(above, child, child if child in FISH else None) for above, child in EDGES]


class Graph:
    """The part of networkx.DiGraph that is looked at."""

    def __init__(self, edges, directed=True):
        self.edges = edges
        self.nodes = list(dict.fromkeys(node for edge in edges for node in edge[:2]))
        self._directed = directed

    def is_directed(self):
        return self._directed


def paths(tree, names):
    """The names from the root to each leaf, in the order of the classes; the root's own left out."""

    def path(node):
        while tree.parent[node] >= 0:
            yield names[node]
            node = tree.parent[node]

    return [tuple(path(leaf))[::-1] for leaf in tree.leaf]


FORMS = {
    "dict": AS_DICT,
    "dict of tuples, arrays and sets": {
        "salmonids": ("salmon", "trout"),
        "others": {"pike": np.array([]), "perch": ""},
    },
    "graph": Graph(EDGES),
    "multigraph": Graph([(*edge, 0) for edge in EDGES]),
    "triples": TRIPLES,
    "triples in any order": TRIPLES[::-1],
    "triples with a root": [(None, "fish", None), *TRIPLES],
    "triples with a root below −1": [(-1, "fish", ""), *TRIPLES],
    "frame": pd.DataFrame(TRIPLES, columns=["parent", "child", "label"]),
    "array": np.array([(a, b, c or "") for a, b, c in TRIPLES]),
    "generator": (triple for triple in TRIPLES),
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_are_the_same_tree(form):
    tree, classes, names = read_taxonomy(FORMS[form], FISH)
    assert classes.tolist() == FISH.tolist()
    assert classes.dtype == FISH.dtype
    assert paths(tree, names) == [
        ("others", "perch"),
        ("others", "pike"),
        ("salmonids", "salmon"),
        ("salmonids", "trout"),
    ]
    assert names.dtype == object
    assert names[0] in ("", "fish")


def test_brothers_keep_the_order_in_which_they_come():
    for form in (AS_DICT, TRIPLES, Graph(EDGES)):
        tree, _, names = read_taxonomy(form)
        assert names[1:].tolist() == ["salmonids", "others", "salmon", "trout", "pike", "perch"]
        assert tree.position.tolist() == [3, 2, 0, 1]


@pytest.mark.parametrize("root", [-1, 2])
def test_parent_array_gives_its_leaves_the_sorted_classes(root):
    parent = [2, 2, root, 1, 1, 0, 0]
    for form in (parent, np.array(parent), np.array(parent, np.int32), pd.Series(parent), tuple(parent)):
        tree, classes, names = read_taxonomy(form, FISH)
        assert paths(tree, names) == [("1", "perch"), ("1", "pike"), ("0", "salmon"), ("0", "trout")]
        assert classes is not None
    assert names[0] == "2"


def test_a_labelled_node_with_children_gets_a_leaf_of_its_own():
    triples = [(None, "animal", "animal"), ("animal", "dog", "dog"), ("animal", "cat", "cat"), ("dog", "pug", "pug")]
    tree, classes, names = read_taxonomy(triples)
    assert classes.tolist() == ["animal", "cat", "dog", "pug"]
    assert paths(tree, names) == [("animal",), ("cat",), ("dog", "dog"), ("dog", "pug")]


def test_integer_labels_as_napkinxc_has_them():
    triples = [(-1, 0, -1), (0, 1, -1), (0, 2, 7), (1, 3, 5), (1, 4, 6)]
    for form in (triples, np.array(triples), pd.DataFrame(triples)):
        tree, classes, _ = read_taxonomy(form, np.array([5, 7]))
        assert classes.tolist() == [5, 6, 7]
        assert tree.depth[tree.leaf].tolist() == [2, 2, 1]
    assert read_taxonomy([(0, 1, -1), (0, 2, 1)], np.array([-1, 1]))[1].tolist() == [-1, 1]


@pytest.mark.parametrize(
    ("classes", "labels", "expected"),
    [
        (np.array([1, 3]), [3, 2, 1], np.array([1, 2, 3])),
        (np.array([1, 3]), [3.0, 2.0, 1.0], np.array([1, 2, 3])),
        (np.array([1.0, 2.5]), [1, 2.5, 2], np.array([1.0, 2.0, 2.5])),
        (np.array([False, True]), [True, False], np.array([False, True])),
        (np.array(["a", "b"], object), ["b", "a", "ccc"], np.array(["a", "b", "ccc"], object)),
        (np.array(["a", "b"]), ["b", "a", "ccc"], np.array(["a", "b", "ccc"])),
        (np.array(["a", "b"], object), np.array(["b", "a"]).tolist(), np.array(["a", "b"], object)),
    ],
)
def test_classes_are_sorted_and_of_the_dtype_of_y(classes, labels, expected):
    tree, found, _ = read_taxonomy({"all": labels}, classes)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype
    assert tree.position.tolist() == [labels.index(label) for label in expected.tolist()]


def test_sets_are_read_in_sorted_order():
    tree, _, _ = read_taxonomy({"all": {"c", "a", "b"}})
    assert tree.position.tolist() == [0, 1, 2]


def nested(depth):
    tree = ["a", "b"]
    for _ in range(depth):
        tree = {"more": tree}
    return tree


def test_depth_has_no_limit():
    assert read_taxonomy(nested(10_000))[0].depth.max() == 10_001
    chain = [(i, i + 1, None) for i in range(10_000)] + [(10_000, "x", "a"), (10_000, "y", "b")]
    assert read_taxonomy(chain)[0].depth.max() == 10_001
    assert read_taxonomy([*range(-1, 9_999), 9_999, 9_999], np.array(["a", "b"]))[0].depth.max() == 10_000


def test_wordnet(shared_data):
    text = {"synset": str, "hypernyms": str}
    frame = pd.read_csv(shared_data / "text" / "wordnet_nouns.csv.gz", dtype=text, keep_default_na=False)
    synset, above = frame["synset"].to_numpy(str), frame["hypernyms"].str.split("|").str[0].tolist()
    tree, classes, names = read_taxonomy(list(zip(above, synset.tolist(), synset.tolist())), np.unique(synset[::3]))
    inner = set(above) - {""}
    assert (tree.n_classes, tree.n_nodes) == (82_115, 82_115 + len(inner))
    np.testing.assert_array_equal(classes, np.unique(synset))
    parent_of = dict(zip(synset.tolist(), above))
    own = {label: names[tree.parent[leaf]] for label, leaf in zip(classes.tolist(), tree.leaf)}
    assert all(own[label] == (label if label in inner else parent_of[label]) for label in own)
    assert names[tree.leaf].tolist() == classes.tolist()
    assert names[0] == next(label for label, parent in parent_of.items() if not parent)


def test_chinook_regions(shared_data):
    frame = pd.read_csv(shared_data / "bio" / "chinook.csv.gz", usecols=["repunit", "collection"]).drop_duplicates()
    regions = {unit: part["collection"].tolist() for unit, part in frame.groupby("repunit")}
    rivers = np.unique(frame["collection"].to_numpy(str))
    tree, classes, names = read_taxonomy(regions, rivers)
    np.testing.assert_array_equal(classes, rivers)
    assert tree.depth.max() == 2
    assert Counter(names[tree.parent[tree.leaf]]) == Counter({unit: len(below) for unit, below in regions.items()})


def test_fewer_classes_than_labels_and_one_label():
    tree, classes, _ = read_taxonomy({"only": None})
    assert (tree.n_classes, tree.n_scores, classes.tolist()) == (1, 0, ["only"])
    assert isinstance(tree, ClassTree)


SAME = {"a": ["x"]}
LOOP: dict = {"a": {}}
LOOP["a"] = {"b": LOOP}
LISTS: list = []
LISTS.append(LISTS)

BAD = {
    "empty dict": ({}, ValueError, "has no nodes"),
    "empty list": ([], ValueError, "has no nodes"),
    "empty graph": (Graph([]), ValueError, "has no nodes"),
    "misses classes": (
        {"all": ["perch"]},
        ValueError,
        r"misses 3 classes of y: 'pike', 'salmon', 'trout'\.",
    ),
    "misses a class that is a node": (
        {"perch": ["pike"], "a": ["salmon", "trout"]},
        ValueError,
        "1 classes .* 'perch'",
    ),
    "label twice": ({"a": ["x", "y"], "b": {"x": None}}, ValueError, "has the label 'x' twice"),
    "label twice in triples": ([(0, 1, "x"), (0, 2, "x")], ValueError, "has the label 'x' twice"),
    "same dict twice": (
        {"one": SAME, "two": SAME},
        ValueError,
        "the same dict or list twice, the second time at 'two'",
    ),
    "dict in itself": (LOOP, ValueError, "the same dict or list twice"),
    "list in a list": ({"a": LISTS}, TypeError, "must have labels in the list at 'a'"),
    "list of dicts": ({"a": [{"b": None}]}, TypeError, "must have labels in the list at 'a'"),
    "a number as what is below": ({"a": np.float64(3)}, TypeError, "at 'a'. Got float64 instead"),
    "a string as what is below": ({"b": {"a": "xyz"}}, TypeError, "at 'a'. Got str instead"),
    "set without order": ({"a": {1, "x"}}, ValueError, "cannot be sorted at 'a'"),
    "cycle below the root": ([(0, 1, None), (1, 2, None), (2, 1, None)], ValueError, "the node 1 as a child twice"),
    "cycle beside the root": (
        [("r", "s", "s"), ("a", "b", None), ("b", "a", None), ("b", "c", "c")],
        ValueError,
        "has a cycle through the node '[ab]'",
    ),
    "cycle and no root": (Graph([("a", "b"), ("b", "a")]), ValueError, "has a cycle through the node '[ab]'"),
    "cycle of one": (Graph([("r", "s"), ("a", "a"), ("a", "b")]), ValueError, "has a cycle through the node 'a'"),
    "two roots": ([("r", "a", "a"), ("q", "b", "b")], ValueError, "has 2 roots: 'r', 'q'"),
    "four roots": ([(None, i, str(i)) for i in range(4)], ValueError, "has 4 roots: 0, 1, 2, …"),
    "two roots in a graph": (Graph([("r", "a"), ("q", "b")]), ValueError, "has 2 roots: 'r', 'q'"),
    "two parents": (
        [("r", "a", None), ("r", "b", None), ("a", "c", "c"), ("b", "c", "c")],
        ValueError,
        "'c' as a child",
    ),
    "two parents in a graph": (
        Graph([("r", "a"), ("r", "b"), ("a", "c"), ("b", "c")]),
        ValueError,
        "'c' as a child twice",
    ),
    "undirected": (Graph(EDGES, directed=False), ValueError, "must be a directed graph"),
    "no label": ([("r", "a", None), ("r", "b", "b")], ValueError, "the node 'a', which leads to no label"),
    "no label in integers": ([(0, 1, -1), (0, 2, 3), (1, 4, None)], ValueError, "the node 4, which leads to no label"),
    "child without a name": ([("r", None, "a")], ValueError, "a child without a name"),
    "mixed labels": ({"a": [1, "x"]}, ValueError, "labels of one type. Got 1 and 'x'"),
    "unsortable labels": ({"a": [(1, "x"), ("x", 1)]}, ValueError, "must have labels that can be sorted"),
    "labels of another type": ({"a": [1, 2]}, ValueError, "labels of the type of y. Got numbers for y's strings"),
    "parents out of range": ([-1, 0, 5], ValueError, "gives node 2 the parent 5, which is no node"),
    "negative parents": ([-1, 0, -2], ValueError, "gives node 2 the parent -2"),
    "too few leaves": ([-1, 0, 0], ValueError, "has 2 leaves, but y has 4 classes"),
    "too many leaves": ([-1, 0, 0, 0, 0, 0], ValueError, "has 5 leaves, but y has 4 classes"),
    "two roots in parents": ([-1, -1, 0, 0, 1, 1], ValueError, "has 2 roots: 0, 1"),
    "cycle in parents": ([-1, 2, 1, 0, 0, 0, 1], ValueError, "has a cycle through the node [12]"),
    "number": (7, TypeError, "must be an array of parents, a nested dict, .* Got 7 of type int instead"),
    "None": (None, TypeError, "Got None of type NoneType"),
    "name": ("wordnet", TypeError, "Got 'wordnet' of type str"),
    "scalar array": (np.array(3), TypeError, "array without dimensions"),
    "pairs": ([("a", "b")], TypeError, r"triples. Got \('a', 'b'\) among its entries"),
    "strings": (["abc", "def"], TypeError, "Got 'abc' among its entries"),
    "fractions": (np.array([-1.0, 0.0]), TypeError, "Got -1.0 among its entries"),
    "lists as nodes": ([(["r"], "a", "a")], TypeError, r"Got \['r'\] as a node"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_named(case):
    tree, error, message = BAD[case]
    with pytest.raises(error, match=message) as raised:
        read_taxonomy(tree, FISH)
    assert str(raised.value).startswith("The 'tree' parameter")


def test_a_parent_array_needs_classes():
    with pytest.raises(ValueError, match="names no labels"):
        read_taxonomy([-1, 0, 0])
