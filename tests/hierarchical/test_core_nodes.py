"""Large dense nodes: the solver of all softmax regressions finds what the kernel finds."""

import numpy as np
import pytest
from random_models import dense_coef, random_tree
from scipy import sparse

from sksoft.hierarchical import core_nodes, node_fit
from sksoft.hierarchical.class_tree import ClassTree
from sksoft.hierarchical.node_fit import Settings, fit_tree
from sksoft.hierarchical.node_model import NodeModel
from sksoft.hierarchical.sorted_rows import SortedRows

STAR = ClassTree.of([-1, 0, 0, 0, 0], [1, 2, 3, 4])


def problem(tree, n, p, *, seed=0, form=np.asarray):
    rng = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(tree.n_classes), rng.integers(0, tree.n_classes, n - tree.n_classes)])
    X = rng.normal(size=(n, p)) * rng.uniform(0.1, 10.0, p) + rng.normal(size=(tree.n_classes, p))[codes]
    X[:, -1] = 3.0  # a constant column
    return SortedRows.of(tree, form(X), codes, rng.random(n) + 0.5)


def both(monkeypatch, tree, rows, settings, start=None):
    """Fits with and without the core, and which nodes it had."""
    had = []

    def note(*args):
        mask = core_nodes.core_nodes(*args)
        had.append(mask)
        return mask

    monkeypatch.setattr(node_fit, "core_nodes", note)
    fits = []
    for large in (1, 1 << 60):
        monkeypatch.setattr(core_nodes, "LARGE", large)
        fit = fit_tree(tree, rows, settings, start)
        fits.append((fit, NodeModel.of(tree, fit.coef, fit.intercept)))
    assert had[0].any()
    assert not had[1].any()
    return fits


@pytest.mark.parametrize("smoothing", [0.0, 0.15])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize(("n", "p"), [(120, 6), (15, 40), (40, 40)])
def test_finds_what_the_kernel_finds(monkeypatch, n, p, form, smoothing):
    tree = random_tree(np.random.default_rng(3), 8, arity=6)
    assert (tree.n_children > 2).any()
    rows = problem(tree, n, p, form=form)
    (core, ours), (kernel, theirs) = both(monkeypatch, tree, rows, Settings(0.3, smoothing, 1.0, 1e-16, 200))
    np.testing.assert_allclose(dense_coef(ours), dense_coef(theirs), atol=1e-6)
    np.testing.assert_allclose(ours.intercept, theirs.intercept, atol=1e-5)
    assert core.objective == pytest.approx(kernel.objective, rel=1e-12)
    assert core.gap <= 1e-14 * core.objective


@pytest.mark.parametrize(("n", "p"), [(300, 5), (20, 60)])
@pytest.mark.parametrize("tol", [1e-2, 1e-6])
def test_gap_bounds_the_excess(monkeypatch, n, p, tol):
    rows = problem(STAR, n, p, seed=1)
    (best, _), _ = both(monkeypatch, STAR, rows, Settings(2.0, 0.1, 1.0, 1e-15, 300))
    (loose, _), _ = both(monkeypatch, STAR, rows, Settings(2.0, 0.1, 1.0, tol, 300))
    assert -1e-12 <= loose.objective - best.objective <= loose.gap + 1e-14
    assert loose.n_unfinished == 0


@pytest.mark.parametrize(("n", "p"), [(300, 5), (20, 60)])
def test_a_warm_start_takes_no_step(monkeypatch, n, p):
    rows = problem(STAR, n, p, seed=2)
    settings = Settings(1.0, 0.0, 1.0, 1e-8, 100)
    (first, model), _ = both(monkeypatch, STAR, rows, settings)
    (again, same), _ = both(monkeypatch, STAR, rows, settings, model)
    assert first.n_iter > 1
    assert again.n_iter <= 1
    np.testing.assert_allclose(dense_coef(same), dense_coef(model), atol=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.15])
@pytest.mark.parametrize(("n", "p"), [(120, 6), (15, 40)])
def test_pseudo_observations_of_a_child_without_rows(monkeypatch, n, p, smoothing):
    tree = ClassTree.of([-1, 0, 0, 0, 0, 4, 4], [1, 2, 3, 5, 6])
    rng = np.random.default_rng(4)
    rows = SortedRows.of(tree, rng.normal(size=(n, p)), rng.choice([0, 2], n), rng.random(n) + 0.5)
    (core, ours), (kernel, theirs) = both(monkeypatch, tree, rows, Settings(0.5, smoothing, 2.5, 1e-16, 200))
    np.testing.assert_allclose(dense_coef(ours), dense_coef(theirs), atol=1e-6)
    np.testing.assert_allclose(ours.intercept, theirs.intercept, atol=1e-5)
    assert core.objective == pytest.approx(kernel.objective, rel=1e-12)


def test_nodes_of_one_inhabited_child_narrow_ones_and_sparse_ones_are_not_for_the_core(monkeypatch):
    monkeypatch.setattr(core_nodes, "LARGE", 1)
    tree = ClassTree.of([-1, 0, 0, 0, 1, 1, 2, 2, 2], [3, 4, 5, 6, 7, 8])
    rng = np.random.default_rng(0)
    codes = rng.choice([0, 1, 2, 3], 60)  # classes 4 and 5, below the third node, have none
    nodes = np.flatnonzero(tree.n_children > 1)
    rows = SortedRows.of(tree, rng.normal(size=(60, 4)), codes, np.ones(60))
    assert core_nodes.core_nodes(tree, rows, nodes, np.full(len(nodes), 4)).tolist() == [True, False, False]
    thin = SortedRows.of(tree, sparse.csr_array(np.eye(60)), codes, np.ones(60))
    assert not core_nodes.core_nodes(tree, thin, nodes, np.full(len(nodes), 60)).any()


def test_unfinished_nodes_are_counted(monkeypatch):
    rows = problem(STAR, 200, 30, seed=3)
    (fit, _), _ = both(monkeypatch, STAR, rows, Settings(10.0, 0.0, 1.0, 1e-12, 1))
    assert fit.n_unfinished == 1
    assert fit.worst > 1e-12
