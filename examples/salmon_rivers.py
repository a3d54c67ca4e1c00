"""From which river is this salmon? 69 rivers in 39 regions, by 91 places of the genome.

A tree that was grown from the data, the map's own tree of regions, and no tree at all: log-loss, accuracy, time. The
number that decides is the log-loss, for managers of a mixed fishery add up probabilities, not guesses.

    python examples/salmon_rivers.py [chinook.csv.gz]

The data are the reference samples of Chinook salmon of the R package rubias (Moran, Anderson, CC0): one row a fish,
with its region (repunit), its river (collection) and two alleles at each place.
"""

import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from sksoft import HierarchicalSoftmaxClassifier, SoftmaxRegression
from sksoft.metrics import negative_log_likelihood

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "bio" / "chinook.csv.gz"


def indicators(frame):
    """One column for each allele at each of a fish's two strands; a missing one has none."""
    return pd.get_dummies(frame.iloc[:, 4:].astype("category"), dtype=np.float64).to_numpy()


def taxonomy(frame):
    """``{region: [rivers]}``."""
    return frame.groupby("repunit")["collection"].unique().map(list).to_dict()


def compare(models, X, y):
    """Fit each to 70 % of the fish and judge it by the others; returns the rows to judge by."""
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)
    print(f"{'':34} log-loss  accuracy    fit s   predict µs")
    for name, model in models.items():
        model.fit(X_train[:2000], y_train[:2000]).predict(X_test)  # the first calls compile
        start = perf_counter()
        model.fit(X_train, y_train)
        fitted = perf_counter()
        hits = np.mean(model.predict(X_test) == y_test)
        predicted = perf_counter()
        loss = negative_log_likelihood(y_test, model.predict_proba(X_test), labels=model.classes_)
        seconds, each = fitted - start, 1e6 * (predicted - fitted) / len(y_test)
        print(f"{name:34} {loss:8.3f}  {hits:8.3f} {seconds:8.2f} {each:12.1f}")
    return X_test, y_test


def show_path(model, x, river):
    """The regions and rivers on the way to the most probable river, and the five best."""
    nodes, proba = model.decision_path(x).indices, model.node_proba(x)[0]
    leaf = model.tree_["class_of"][nodes[-1]]
    names = [model.node_names_[node] for node in nodes[1:-1]] + [model.classes_[leaf]]
    print(f"\nA fish from {river}:", " → ".join(f"{name} {proba[node]:.3f}" for name, node in zip(names, nodes[1:])))
    labels, best = model.predict_topk(x, k=5)
    print("  most probable:", ", ".join(f"{label} {p:.3f}" for label, p in zip(labels[0], best[0])))


def main(path=DATA):
    frame = pd.read_csv(path).query("sample_type == 'reference'")
    X, y = indicators(frame), frame["collection"].to_numpy(str)
    models = {
        "tree='auto'": HierarchicalSoftmaxClassifier(C=0.1),
        "regions, then rivers": HierarchicalSoftmaxClassifier(C=0.1, tree=taxonomy(frame)),
        "no tree (SoftmaxRegression)": SoftmaxRegression(C=0.1),
    }
    X_test, y_test = compare(models, X, y)
    for row in (0, 1, 2):
        show_path(models["regions, then rivers"], X_test[row : row + 1], y_test[row])


if __name__ == "__main__":
    main(*sys.argv[1:])
