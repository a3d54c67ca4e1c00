"""The splits against the contract written down class by class, with dense vectors and a full sort."""

import numpy as np
import pytest
from scipy import sparse

from sksoft.kernels.class_splits import MAX_ROUNDS, STEADY, split_classes


def direction(total, length_of_all):
    length = np.linalg.norm(total)
    return total / length if length**2 > 1e-12 * length_of_all**2 else np.zeros_like(total)


def halves(v, weights, own, mass, least):
    """The classes of the first half, by one split of all rows of v."""
    n = len(v)
    if n == 2:
        return [0]
    whole = np.linalg.norm(weights @ v)
    a = int(np.argmax(weights))
    b = int(np.argmin(v @ v[a] - 1e-3 * np.log1p(weights)))
    d, first = v @ (v[a] - v[b]), []
    for _ in range(MAX_ROUNDS):
        positive = mass[d > 0].sum()
        wanted = min(max(positive, least * mass.sum()), (1 - least) * mass.sum()) if positive else 0.5 * mass.sum()
        order = sorted(range(n), key=lambda k: (-d[k], k))
        n_first = sum(mass[order[:rank]].sum() + 0.5 * mass[order[rank]] <= wanted for rank in range(n))
        before, first = first, sorted(order[: min(max(n_first, 1), n - 1)])
        if len(set(before) ^ set(first)) * STEADY <= n:
            break
        inside = np.isin(np.arange(n), first)
        sums = [weights[side] @ v[side] for side in (inside, ~inside)]
        for k in range(n):
            a, b = (
                total - own[k] * v[k] * (k in side) for total, side in zip(sums, (first, set(range(n)) - set(first)))
            )
            d[k] = v[k] @ (direction(a, whole) - direction(b, whole))
    return first


def tree_of(v, weights, own, mass, least, classes):
    """Nested pairs of classes."""
    if len(classes) == 1:
        return classes[0]
    first = halves(v[classes], weights[classes], own[classes], mass[classes], least)
    second = [i for i in range(len(classes)) if i not in first]
    return tuple(tree_of(v, weights, own, mass, least, [classes[i] for i in half]) for half in (first, second))


def nested(order, cut_parent, leaf_parent, node=None):
    """The same from cuts and positions, by way of parents alone."""
    if node is None:
        node = ("cut", int(np.flatnonzero(cut_parent[1:] == -1)[0]) + 1) if len(order) > 1 else ("leaf", 0)
    kind, at = node
    if kind == "leaf":
        return int(order[at])
    children = [("leaf", i) for i in np.flatnonzero(leaf_parent == at)]
    children += [("cut", c) for c in np.flatnonzero(cut_parent == at)]
    # a cut c stands before position c
    children.sort(key=lambda child: child[1] - 0.5 * (child[0] == "cut"))
    return tuple(nested(order, cut_parent, leaf_parent, child) for child in children)


@pytest.mark.parametrize("least", [0.0, 0.1, 0.4, 0.5])
@pytest.mark.parametrize("seed", range(8))
def test_splits_are_those_of_the_contract(seed, least):
    rng = np.random.default_rng(seed)
    K, p = int(rng.integers(1, 40)), int(rng.integers(3, 8))
    v = rng.normal(size=(K, p)) * (rng.random((K, 1)) < 0.8)
    v /= np.maximum(np.linalg.norm(v, axis=1), 1e-300)[:, None]
    weights = rng.uniform(0.1, 3.0, K)
    own = weights * rng.random(K) * v.any(axis=1)
    mass = rng.integers(1, 9, K).astype(float)
    rows = sparse.csr_array(v)
    result = split_classes(rows.data, rows.indices, rows.indptr, weights, own, mass, n_features=p, least=least)
    assert nested(*result) == tree_of(v, weights, own, mass, least, list(range(K)))


def test_equal_masses_are_halved_where_halves_must_be_equal():
    rows = sparse.random_array((37, 5), density=0.5, format="csr", rng=np.random.default_rng(0))
    arrays = rows.data, rows.indices, rows.indptr, *np.ones((1, 37)), np.zeros(37), np.ones(37)
    order, _, _ = result = split_classes(*arrays, n_features=5, least=0.5)

    def check(node):
        if isinstance(node, tuple):
            left, right = map(check, node)
            assert left - right in (0, 1)
            return left + right
        return 1

    assert check(nested(*result)) == 37
    assert sorted(order) == list(range(37))
