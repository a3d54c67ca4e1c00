"""Random trees with random parameters, and what they say by explicit products along every path."""

import numpy as np
from scipy import sparse

from sksoft.hierarchical.class_tree import ClassTree
from sksoft.hierarchical.node_model import NodeModel


def random_tree(rng, n_classes, *, arity=7, chain=0.2):
    """Leaves are split at random into 2 … arity parts until each is alone; a share of the nodes has an only child."""
    parent, leaf = [-1], {}
    waiting = [(0, rng.permutation(n_classes))]
    while waiting:
        node, below = waiting.pop()
        if rng.random() < chain:
            parent.append(node)
            node = len(parent) - 1
        if len(below) == 1:
            leaf[below[0]] = node
            continue
        n_parts = min(len(below), int(rng.integers(2, arity + 1)))
        for part in np.split(below, np.sort(rng.choice(np.arange(1, len(below)), n_parts - 1, replace=False))):
            parent.append(node)
            waiting.append((len(parent) - 1, part))
    return ClassTree.of(parent, [leaf[k] for k in range(n_classes)])


def chain_tree(n_classes):
    """Every node has a leaf and a node below: depth n_classes − 1."""
    inner = np.arange(n_classes - 1)
    parent = np.concatenate([inner - 1, inner, [n_classes - 2]])
    return ClassTree.of(parent, np.arange(n_classes - 1, 2 * n_classes - 1))


def random_model(rng, tree, n_features, *, scale=1.0, keep=0.8, nested=True, values=None):
    """Sparse: a node knows a share of its parent's features, or of all where not nested; all p count as a full row."""
    rows, known = [], np.empty((tree.n_nodes, n_features), bool)
    for v in range(tree.n_nodes):
        above = known[tree.parent[v]] if v > 0 and nested else np.ones(n_features, bool)
        known[v] = above & ((rng.random(n_features) < keep) | (v == 0))
        rows += [known[v]] * int(np.diff(tree.first_score)[v])
    known = np.array(rows).reshape(tree.n_scores, n_features)
    draw = rng.normal if values is None else lambda size: rng.choice(values, size)
    indptr = np.concatenate([[0], np.cumsum(known.sum(axis=1))])
    coef = sparse.csr_array(
        (scale * draw(size=known.sum()), np.nonzero(known)[1].astype(np.int32), indptr), shape=known.shape
    )
    return NodeModel.of(tree, coef, scale * draw(size=tree.n_scores))


def dense_coef(model):
    """(R, p)."""
    shape = model.tree.n_scores, model.n_features
    if not len(model.indices):
        return model.data.reshape(shape)
    return sparse.csr_array((model.data, model.indices, model.indptr), shape=shape).toarray()


def random_rows(rng, n_rows, n_features, density):
    """Sparse rows, some of them empty or full."""
    X = rng.normal(size=(n_rows, n_features)) * (rng.random((n_rows, n_features)) < density)
    X[::7] = 0.0
    X[3::7] = rng.normal(size=X[3::7].shape)
    return sparse.csr_array(X)


def node_logs(model, x, *, number=float, log=np.log, exp=np.exp):
    """Log-probability of every node for one dense row, in any kind of numbers: sums of log-softmax down the tree."""
    tree, coef = model.tree, dense_coef(model)
    logs = [number(0)] * tree.n_nodes
    for v in range(tree.n_nodes):
        children = range(tree.first_child[v], tree.first_child[v + 1])
        scores = [
            number(model.intercept[r]) + sum((number(w) * number(t) for w, t in zip(coef[r], x)), number(0))
            for r in range(tree.first_score[v], tree.first_score[v + 1])
        ]
        scores = [number(0), *scores] if len(children) == 2 else scores or [number(0)] * len(children)
        top = max(scores, default=0)
        total = log(sum(exp(z - top) for z in scores)) if scores else 0
        for child, z in zip(children, scores):
            logs[child] = logs[v] + ((z - top) - total)
    return logs


def leaf_logs(model, x, **numbers):
    """Of every class."""
    logs = node_logs(model, x, **numbers)
    return [logs[v] for v in model.tree.leaf]
