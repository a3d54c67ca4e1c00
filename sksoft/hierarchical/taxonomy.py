"""A tree of classes as its user has it.

    parent array    each node's parent, an integer; −1 or the node itself for the root. Its leaves, in the order of
                    their numbers, are the classes in sorted order
    nested dict     ``{"fish": {"salmonids": ["salmon", "trout"], "pike": None}}``: labels are the keys without a value
                    (None or empty) and the entries of lists, tuples, sets and arrays; the root is the dict itself
    directed graph  of networkx, or anything with such ``nodes`` and ``edges``, from parents to children: nodes without
                    children are labels
    triples         (parent, child, label) in any iterable, array or DataFrame, as napkinXC has them. Label None, NaN
                    or "" means none, and so does −1 on a node with children where labels are integers. The root is the
                    one node that is no child, or the child of a parent None, NaN or −1 that is not itself a node

A labelled node that has children gets one more child, a leaf for its own label. A node that leads to no label is an
error. Children keep the order in which they come.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from numbers import Integral, Number
from typing import Any

import numpy as np

from sksoft.hierarchical.class_tree import ClassTree, by_level

# Names that an error lists.
N_NAMED = 3
NO_NODE = -1


@dataclass
class _Nodes:
    """Nodes in the order of their coming: parent (NO_NODE for a root), name, and label, with None for none."""

    parent: list[int]
    names: list
    labels: list

    def add(self, parent: int, name, label=None) -> int:
        self.parent.append(parent)
        self.names.append(name)
        self.labels.append(label)
        return len(self.parent) - 1


def read_taxonomy(tree, classes=None) -> tuple[ClassTree, np.ndarray, np.ndarray]:
    """Read a tree in one of the forms above.

    Parameters
    ----------
    tree : array, dict, graph, iterable of triples or DataFrame
    classes : (K',) array of sorted labels, or None
        Labels that must all be in the tree; a parent array has just these. None for all that the tree has.

    Returns
    -------
    tree : ClassTree
    classes : (K,) array
        All labels of the tree, sorted, of the dtype of `classes` where they fit it.
    node_names : (M,) object array of str
        Names of the nodes of the ClassTree; those of leaves are their labels.

    Raises
    ------
    ValueError
        If the tree is empty, misses a class, has a cycle, no root or two, a node with two parents, a label twice, a
        node that leads to no label, or labels that cannot be sorted.
    TypeError
        If it has none of the forms.
    """
    nodes = _read(tree, classes)
    if not nodes.parent:
        raise ValueError("The 'tree' parameter has no nodes.")
    parent = np.array(nodes.parent, np.intp)
    _check_rooted(parent, nodes.names)
    _give_labels_to_leaves(nodes, np.bincount(parent[parent >= 0], minlength=len(parent)))
    leaf = np.array([node for node, label in enumerate(nodes.labels) if label is not None], np.intp)
    labels = [nodes.labels[node] for node in leaf]
    found, order = _sorted_labels(labels, classes)
    _check_all_there(found, classes)
    names = np.array([str(name if label is None else label) for name, label in zip(nodes.names, nodes.labels)], object)
    parent = np.array(nodes.parent, np.intp)
    return ClassTree.of(parent, leaf[order]), found, names[by_level(parent)[0]]


def _read(tree, classes) -> _Nodes:
    if isinstance(tree, Mapping):
        return _from_dict(tree)
    if hasattr(tree, "nodes") and hasattr(tree, "edges"):
        return _from_graph(tree)
    if hasattr(tree, "itertuples"):
        return _from_triples(list(tree.itertuples(index=False, name=None)))
    if isinstance(tree, (str, bytes)) or not isinstance(tree, Iterable):
        raise TypeError(_wanted(f"Got {tree!r} of type {type(tree).__name__} instead."))
    entries = tree.tolist() if isinstance(tree, np.ndarray) else list(tree)
    if not isinstance(entries, list):
        raise TypeError(_wanted("Got an array without dimensions instead."))
    if all(isinstance(entry, Integral) and not isinstance(entry, bool) for entry in entries):
        return _from_parents(np.array(entries, np.intp), classes)
    return _from_triples(entries)


def _wanted(got: str) -> str:
    return (
        "The 'tree' parameter must be an array of parents, a nested dict, a directed graph with 'nodes' and 'edges', or"
        f" (parent, child, label) triples. {got}"
    )


def _from_parents(parent: np.ndarray, classes) -> _Nodes:
    number = np.arange(len(parent))
    outside = np.flatnonzero((parent < NO_NODE) | (parent >= len(parent)))
    if len(outside):
        node = outside[0]
        raise ValueError(f"The 'tree' parameter gives node {node} the parent {parent[node]}, which is no node.")
    if classes is None:
        raise ValueError("The 'tree' parameter is an array of parents, which names no labels: announce 'classes' too.")
    parent = np.where(parent == number, NO_NODE, parent)
    leaves = np.setdiff1d(number, parent)
    if len(leaves) != len(classes) and len(parent):
        raise ValueError(f"The 'tree' parameter has {len(leaves)} leaves, but y has {len(classes)} classes.")
    labels: list = [None] * len(parent)
    for node, label in zip(leaves.tolist(), classes):
        labels[node] = label
    return _Nodes(parent.tolist(), number.tolist(), labels)


def _from_dict(tree: Mapping) -> _Nodes:
    nodes = _Nodes([], [], [])
    if tree:
        nodes.add(NO_NODE, "")
    seen = {id(tree)}
    # Children are numbered when their parent is taken from the list: brothers keep their order at any depth.
    waiting: list[tuple[int, Any]] = [(0, tree)] if tree else []
    while waiting:
        parent, inside = waiting.pop()
        for name, below in _children(inside, nodes.names[parent]):
            if below is None or (isinstance(below, Sized) and len(below) == 0):
                nodes.add(parent, name, name)
                continue
            if id(below) in seen:
                raise ValueError(f"The 'tree' parameter has the same dict or list twice, the second time at {name!r}.")
            seen.add(id(below))
            waiting.append((nodes.add(parent, name), below))
    return nodes


def _children(inside, name) -> Iterator[tuple]:
    """(name, what is below) of each entry of a dict, or of a collection of labels."""
    if isinstance(inside, Mapping):
        yield from ((key, None if _is_none(below) else below) for key, below in inside.items())
        return
    if isinstance(inside, (set, frozenset)):
        try:
            inside = sorted(inside)
        except TypeError as error:
            raise ValueError(f"The 'tree' parameter has labels that cannot be sorted at {name!r}: {error}.") from error
    elif isinstance(inside, np.ndarray):
        inside = inside.tolist()
    if not isinstance(inside, (list, tuple)):
        kind = type(inside).__name__
        raise TypeError(
            f"The 'tree' parameter must have a dict, a list of labels or None at {name!r}. Got {kind} instead."
        )
    for label in inside:
        if not isinstance(label, Hashable) or _is_none(label):
            raise TypeError(f"The 'tree' parameter must have labels in the list at {name!r}. Got {label!r} instead.")
        yield label, None


def _from_graph(graph) -> _Nodes:
    if hasattr(graph, "is_directed") and not graph.is_directed():
        raise ValueError("The 'tree' parameter must be a directed graph, from parents to children.")
    nodes = _Nodes([], [], [])
    number = {name: nodes.add(NO_NODE, name, name) for name in graph.nodes}
    for above, below, *_ in graph.edges:
        _hang(nodes, number[below], number[above])
        nodes.labels[number[above]] = None
    return nodes


def _from_triples(triples: list) -> _Nodes:
    nodes = _Nodes([], [], [])
    number: dict = {}
    integers = True
    for triple in triples:
        if isinstance(triple, (str, bytes)) or not hasattr(triple, "__len__") or len(triple) != 3:
            raise TypeError(_wanted(f"Got {triple!r} among its entries instead."))
        for name in triple[1::-1]:
            if not isinstance(name, Hashable):
                raise TypeError(_wanted(f"Got {name!r} as a node instead."))
        if _is_none(triple[1]):
            raise ValueError(f"The 'tree' parameter has a child without a name: {tuple(triple)!r}.")
        label = None if _is_none(triple[2]) else triple[2]
        integers &= label is None or isinstance(label, Integral) or (isinstance(label, float) and label.is_integer())
        if triple[1] in number:
            raise ValueError(_two_parents(triple[1]))
        number[triple[1]] = nodes.add(NO_NODE, triple[1], label)
    for above, below, _ in triples:
        if _is_none(above) or (above == NO_NODE and above not in number):
            continue
        if above not in number:
            number[above] = nodes.add(NO_NODE, above)
        _hang(nodes, number[below], number[above])
    if integers:
        for node in set(nodes.parent) - {NO_NODE}:
            nodes.labels[node] = None if nodes.labels[node] == -1 else nodes.labels[node]
    return nodes


def _hang(nodes: _Nodes, child: int, parent: int) -> None:
    if nodes.parent[child] != NO_NODE:
        raise ValueError(_two_parents(nodes.names[child]))
    nodes.parent[child] = parent


def _two_parents(name) -> str:
    return f"The 'tree' parameter has the node {name!r} as a child twice."


def _is_none(value) -> bool:
    """None, NaN, or an empty string."""
    return value is None or (isinstance(value, str) and not value) or (isinstance(value, Number) and value != value)


def _check_rooted(parent: np.ndarray, names: list) -> None:
    """One root, and every node below it."""
    roots = np.flatnonzero(parent == NO_NODE)
    if len(roots) > 1:
        raise ValueError(f"The 'tree' parameter has {len(roots)} roots: {_some([names[root] for root in roots])}.")
    above = np.where(parent == NO_NODE, np.arange(len(parent)), parent)
    for _ in range(len(parent).bit_length()):
        above = above[above]
    on_cycle = above if len(roots) == 0 else above[above != roots[0]]
    if len(on_cycle):
        raise ValueError(f"The 'tree' parameter has a cycle through the node {names[on_cycle[0]]!r}.")


def _give_labels_to_leaves(nodes: _Nodes, n_children: np.ndarray) -> None:
    for node, count in enumerate(n_children.tolist()):
        if count and nodes.labels[node] is not None:
            nodes.add(node, nodes.names[node], nodes.labels[node])
            nodes.labels[node] = None
        elif not count and nodes.labels[node] is None:
            raise ValueError(f"The 'tree' parameter has the node {nodes.names[node]!r}, which leads to no label.")


def _sorted_labels(labels: list, classes) -> tuple[np.ndarray, np.ndarray]:
    """The labels as ``np.unique`` has them, and which of `labels` each is; in the dtype of `classes` if they fit it."""
    seen: set = set()
    for label in labels:
        if label in seen:
            raise ValueError(f"The 'tree' parameter has the label {label!r} twice.")
        seen.add(label)
    numbers = [isinstance(label, Number) for label in labels]
    if any(numbers) and not all(numbers):
        pair = labels[numbers.index(True)], labels[numbers.index(False)]
        raise ValueError(f"The 'tree' parameter must have labels of one type. Got {pair[0]!r} and {pair[1]!r}.")
    array = np.array(labels)
    if array.ndim != 1 or array.dtype.kind not in "biufUM":
        array = np.empty(len(labels), object)
        array[:] = labels
    if classes is not None and array.dtype != classes.dtype:
        array = _cast(array, classes)
    try:
        return np.unique(array, return_index=True)
    except TypeError as error:
        raise ValueError(f"The 'tree' parameter must have labels that can be sorted: {error}.") from error


def _cast(array: np.ndarray, classes: np.ndarray) -> np.ndarray:
    if classes.dtype == object or (classes.dtype.kind in "biuf" and array.dtype.kind in "biuf"):
        cast = array.astype(classes.dtype)
        return cast if np.array_equal(cast, array) else array
    kinds = {kind: name for name, some in {"numbers": "biuf", "strings": "UTO"}.items() for kind in some}
    ours, theirs = (kinds.get(kind, "others") for kind in (array.dtype.kind, classes.dtype.kind))
    if ours != theirs:
        raise ValueError(f"The 'tree' parameter must have labels of the type of y. Got {ours} for y's {theirs}.")
    return array


def _check_all_there(found: np.ndarray, classes) -> None:
    if classes is None:
        return
    there = set(found.tolist())
    missing = [label for label in classes.tolist() if label not in there]
    if missing:
        raise ValueError(f"The 'tree' parameter misses {len(missing)} classes of y: {_some(missing)}.")


def _some(names: list) -> str:
    return ", ".join(map(repr, names[:N_NAMED])) + (", …" if len(names) > N_NAMED else "")
