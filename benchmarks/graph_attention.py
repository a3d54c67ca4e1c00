"""Nodes of a graph: attention on Cora, and on human protein interactions beside SigmoidClassifier on features alone.

    python benchmarks/graph_attention.py cora [--seeds 10]
    python benchmarks/graph_attention.py proteins [--splits 5] [--dimensions 128]

Cora: the Planetoid split of Yang et al. (2016), 140 labels, 500 validation and 1000 test nodes; rows of X have length
one. C, attention_C and self-loops are the best on the validation nodes by mean accuracy over two seeds, of the grids
below, and the test nodes are seen once, by models of other seeds. Published: GCN 81.5 (Kipf & Welling 2017), GAT 83.0
(Velickovic et al. 2018), with dropout. "Uniform attention" is the convex problem, ``attention_C=0``.

Proteins: 3 890 of them, 38 292 interactions, 50 labels of which each has at least one. There are no features, so they
are made of the graph alone, for all models the same: the leading left singular vectors of D^-½ A D^-½ times the roots
of their singular values, each row scaled to the same length. Half of the proteins are labelled, at random; every model
has its C chosen on a fifth of these. As usual for these data (node2vec, BioNEV), the number of labels of a test protein
is taken as known, and its most probable ones are predicted; the score is micro-F1, its mean over splits with standard
error, and the mean difference to SigmoidClassifier with that of the difference. Scores spread over two hops with a
restart of 0.2; a search ends after 100 iterations, converged or not.

Seconds are CPU seconds of one thread, choices included where the line says so.
"""

import argparse
import time
import warnings
from itertools import product
from pathlib import Path

import numpy as np
from linear import limit_threads
from scipy import sparse
from scipy.sparse.linalg import svds
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from sksoft import GraphAttentionClassifier, SigmoidClassifier

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "graph"
CORA = {"C": (10.0, 30.0, 100.0), "attention_C": (0.0, 1e-3, 1e-2), "self_loops": (False, True)}
PROTEINS_C = {"alone": (0.01, 0.03, 0.1, 0.3, 1.0), "together": (0.03, 0.1, 0.3)}
PROTEINS_ATTENTION = 1e-3


def load_cora():
    """X, y, adjacency, and the nodes to train, validate and test on."""
    with np.load(DATA / "cora.npz") as file:
        values = file["X_data"].astype(np.float64)
        X = sparse.csr_array((values, file["X_indices"], file["X_indptr"]), shape=file["X_shape"])
        X.data /= np.sqrt(np.repeat(np.maximum(X.power(2).sum(axis=1), 1e-300), np.diff(X.indptr)))
        y, edges = file["labels"].astype(int), file["edges"]
        both = np.concatenate([edges, edges[:, ::-1]])
        adjacency = sparse.csr_array((np.ones(len(both)), both.T), shape=(len(y), len(y)))
        return X, y, adjacency, file["train_index"], file["val_index"], file["test_index"]


def cora(n_seeds):
    """Accuracies on the Planetoid split."""
    X, y, adjacency, train, validation, test = load_cora()
    marked = np.full(len(y), -1)
    marked[train] = y[train]

    def fitted(seed, **options):
        return GraphAttentionClassifier(random_state=seed, **options).fit(X, marked, adjacency=adjacency)

    began = time.process_time()
    alone = max(
        (LogisticRegression(C=C).fit(X[train], y[train]) for C in (1.0, 10.0, 100.0)),
        key=lambda model: model.score(X[validation], y[validation]),
    )
    print(f"LogisticRegression, no graph    test {alone.score(X[test], y[test]):.3f}", flush=True)
    chosen = {}
    for options in (dict(zip(CORA, values)) for values in product(*CORA.values())):
        seeds = (1000, 1001) if options["attention_C"] > 0.0 else (1000,)
        accuracy = np.mean(
            [np.mean(fitted(s, **options).predict(X, adjacency)[validation] == y[validation]) for s in seeds]
        )
        print(f"  {options} validation {accuracy:.3f}", flush=True)
        kind = "uniform attention" if options["attention_C"] == 0.0 else "learnt attention"
        chosen[kind] = max(chosen.get(kind, (0.0, {})), (accuracy, options), key=lambda pair: pair[0])
    print(f"choice: {time.process_time() - began:.0f} s")
    for kind, (accuracy, options) in chosen.items():
        began = time.process_time()
        models = [fitted(seed, **options) for seed in range(n_seeds)]
        seconds = (time.process_time() - began) / n_seeds
        tests = np.array([np.mean(model.predict(X, adjacency)[test] == y[test]) for model in models])
        losses = np.concatenate([model.losses_ for model in models])
        print(
            f"{kind} {options}: validation {accuracy:.3f}, test {tests.mean():.4f} (least {tests.min():.3f}, most"
            f" {tests.max():.3f}, {n_seeds} seeds), losses of all starts {losses.min():.5f} to {losses.max():.5f},"
            f" uniform {models[0].uniform_loss_:.5f}, stationarity up to {max(m.stationarity_ for m in models):.1e},"
            f" {seconds:.1f} s a fit",
            flush=True,
        )


def load_proteins(n_dimensions):
    """Embedding, indicators of labels, adjacency."""
    with np.load(DATA / "human_ppi_node2vec.npz") as file:
        edges, pairs = file["edges"] - 1, file["node_label_pairs"]
    n = edges.max() + 1
    both = np.concatenate([edges, edges[:, ::-1]])
    adjacency = sparse.csr_array((np.ones(len(both)), both.T), shape=(n, n))
    adjacency.sum_duplicates()
    adjacency.data[:] = 1.0
    names = np.unique(pairs[:, 1])
    labels = np.zeros((n, len(names)))
    labels[pairs[:, 0] - 1, np.searchsorted(names, pairs[:, 1])] = 1.0
    roots = sparse.diags_array(adjacency.sum(axis=1) ** -0.5)
    left, values, _ = svds(sparse.csr_array(roots @ adjacency @ roots), k=n_dimensions, v0=np.ones(n))
    X = left * np.sqrt(values)
    return X * np.sqrt(n_dimensions) / np.linalg.norm(X, axis=1, keepdims=True), labels, adjacency


def micro_f1(scores, labels):
    """Micro-F1 of as many labels as each row has, the most probable ones."""
    ranks = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
    return f1_score(labels, ranks < labels.sum(axis=1, keepdims=True), average="micro")


def proteins(n_splits, n_dimensions):
    """Micro-F1 on random halves."""
    X, Y, adjacency = load_proteins(n_dimensions)

    def alone(known, C):
        return SigmoidClassifier(C=C).fit(X[known], Y[known]).decision_function(X)

    def together(known, C, attention_C):
        marked = np.full_like(Y, -1.0)
        marked[known] = Y[known]
        options = {"n_hops": 2, "restart": 0.2, "n_starts": 1, "max_iter": 100, "random_state": 0}
        model = GraphAttentionClassifier(C, attention_C=attention_C, **options)
        return model.fit(X, marked, adjacency=adjacency).decision_function(X, adjacency)

    methods = {
        "SigmoidClassifier, features alone": (alone, product(PROTEINS_C["alone"])),
        "uniform attention": (together, product(PROTEINS_C["together"], [0.0])),
        "learnt attention": (together, product(PROTEINS_C["together"], [PROTEINS_ATTENTION])),
    }
    methods = {name: (method, list(grid)) for name, (method, grid) in methods.items()}
    found, seconds = {name: [] for name in methods}, dict.fromkeys(methods, 0.0)
    for split in range(n_splits):
        order = np.random.default_rng(split).permutation(len(Y))
        known, test = order[: len(Y) // 2], order[len(Y) // 2 :]
        tuning, held_out = known[len(known) // 5 :], known[: len(known) // 5]
        for name, (method, grid) in methods.items():
            began = time.process_time()
            best = max(grid, key=lambda options: micro_f1(method(tuning, *options)[held_out], Y[held_out]))
            found[name].append(micro_f1(method(known, *best)[test], Y[test]))
            seconds[name] += time.process_time() - began
            print(f"  split {split} {name} {best}: {found[name][-1]:.4f}", flush=True)
    base = np.array(found["SigmoidClassifier, features alone"])
    for name, values in found.items():
        values, difference = np.array(values), np.array(values) - base
        root = np.sqrt(n_splits)
        print(
            f"{name:<34} micro-F1 {values.mean():.4f} (SE {values.std(ddof=1) / root:.4f}), more than alone"
            f" {difference.mean():+.4f} (SE {difference.std(ddof=1) / root:.4f}), {seconds[name] / n_splits:.0f} s a"
            " split with the choice",
            flush=True,
        )


def main():
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=("cora", "proteins"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--dimensions", type=int, default=128)
    options = parser.parse_args()
    limit_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if options.data == "cora":
            cora(options.seeds)
        else:
            proteins(options.splits, options.dimensions)


if __name__ == "__main__":
    main()
