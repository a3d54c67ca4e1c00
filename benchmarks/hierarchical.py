"""HierarchicalSoftmaxClassifier against napkinXC, fastText, PyTorch and scikit-learn: loss, accuracy, time, memory.

    python benchmarks/hierarchical.py [--sets penn_treebank,moths] [--peers huffman-C?,plt-C10] [--trees auto,huffman]
    python benchmarks/hierarchical.py --scaling [--plot cost.png]    # cost against the number of classes

Sets are in ``hierarchical_data.py`` ("synthetic-100000" has so many classes), peers in ``hierarchical_peers.py``.
"-C?" behind a peer's name is its C tuned and "-C3" a given one; "-C?" stands where tuning takes minutes at most.
Ours is always tuned. C goes up its grid, ``GRID``, for as long as the log-loss of at most 2 000 rows of a tenth of the
training part, held out from the fit, falls; the seconds of that are stated apart. Classes that only the held-out tenth
has are left out there.

Times are CPU seconds of the process on one thread (wall seconds on more), the median of three below two seconds; a fit
includes growing the tree, on our side and theirs. One fit of some rows has compiled everything before. Top-5
predictions are of all test rows in one call. "difference" is a peer's log-loss minus that of ours with ``tree="auto"``,
on the same rows, and its standard error. MiB are those of the model: ours and dense ones in memory, napkinXC's on disk.

gensim is not here: its hierarchical softmax trains word vectors, and its ``predict_output_word`` works with negative
sampling only and has no probabilities of held-out words.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import warnings
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import hierarchical_data
import hierarchical_peers
import numpy as np
from hierarchical_peers import CLOCKS, Found, Row, coded, often, standard_error, timed
from linear import limit_threads
from linear_rivals import machine
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

import sksoft
from sksoft.hierarchical.class_tree import ClassTree
from sksoft.hierarchical.tree_choice import grow_tree

GRID = {"ours": (0.1, 0.3, 1, 3, 10), "napkinXC": (1, 3, 10, 100, 1000)}
OURS = "ours, "
# What is run by default: our trees, and peers with the C that a user who tunes would have, where that is affordable.
TREES = ("auto", "huffman", "kmeans", "balanced", "taxonomy")
FEW = ("prior", "huffman-C?", "kmeans-C?", "kmeans-unpruned-C?", "taxonomy-C?", "plt-C?", "fasttext-hs-long",
       "fasttext-softmax", "naive-bayes", "adaptive-softmax-long", "logistic-C?", "softmax-C?")  # fmt: skip
TEXT = ("prior", "huffman-C?", "kmeans-unpruned-C?", "plt-C10", "fasttext-hs-slow", "adaptive-softmax")
PLAN = {
    "penn_treebank": (TREES, (*TEXT, "kmeans-C3", "fasttext-hs", "fasttext-softmax", "naive-bayes")),
    "penn_treebank-hashed": (TREES[:2], (*TEXT[:2], "kmeans-unpruned-C3", *TEXT[4:])),
    "brown": (TREES[:3], (*TEXT[:2], "kmeans-unpruned-C3", *TEXT[3:])),
    "chinook_rivers": (TREES, FEW),
    "moths": (TREES, FEW),
    "wordnet": (("auto", "huffman", "taxonomy"), ("prior", "huffman", "kmeans", "fasttext-hs")),
    "brown_full": (("auto", "huffman"), ("prior", "fasttext-hs-slow")),
    "synthetic-100000": (("auto", "huffman"), ("prior", "huffman", "fasttext-hs")),
}
N_TEST = 5000
# Those whose outputs are no distribution over the classes, or that look at no feature.
NOT_PROBABILISTIC = ("prior", "plt")


def grown(data, tree):
    """What the `tree` parameter takes."""
    return data.taxonomy if tree == "taxonomy" else tree


def memory(model):
    """MiB of the coefficients."""
    coef = model.coef_
    parts = (coef.data, coef.indices, coef.indptr) if sparse.issparse(coef) else (coef,)
    return sum(part.nbytes for part in (*parts, model.intercept_)) / 2**20


def ours(data, clock, n_threads, tree="auto", C=1.0):
    """Our estimator, as ``hierarchical_peers`` has the others."""
    _, test, classes = coded(data)
    model = sksoft.HierarchicalSoftmaxClassifier(C=C, tree=grown(data, tree))
    seconds, model = often(clock, lambda: model.fit(data.X_train, data.y_train))
    p = np.exp(model.predict_log_proba_of(data.X_test, data.y_test))
    spent, (labels, _) = often(clock, lambda: model.predict_topk(data.X_test, 5))
    top = np.where(np.isin(labels, classes), np.searchsorted(classes, labels), -1)
    return Found(seconds, seconds, p, top, 1e6 * spent / len(test), memory(model), tree_figures(model))


def warm_up(data, tree="auto"):
    """Compile what a fit and a prediction of such data with such a tree need."""
    some = slice(0, 20_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = sksoft.HierarchicalSoftmaxClassifier(tree=grown(data, tree), max_iter=2).fit(
            data.X_train[some], data.y_train[some]
        )
    known = np.isin(data.y_test, model.classes_)
    model.predict_topk(data.X_test, 5)
    model.predict_log_proba_of(data.X_test[np.flatnonzero(known)], data.y_test[known])


def path_figures(model):
    """Mean number of nodes and of scores on the way to a class, and the entropy of the classes in bits."""
    tree, weights = ClassTree(**model.tree_), model.class_weight_seen_
    scores = np.zeros(tree.n_nodes)
    own = np.diff(tree.first_score)
    for depth in range(1, tree.depth.max() + 1):
        here = tree.depth == depth
        scores[here] = scores[tree.parent[here]] + own[tree.parent[here]]
    share = weights[weights > 0] / weights.sum()
    entropy = -(share * np.log2(share)).sum()
    return tree.expected_depth(weights), np.average(scores[tree.leaf], weights=weights), entropy


def tree_figures(model):
    depth, scores, entropy = path_figures(model)
    return f"depth {depth:.3g}, {scores:.3g} scores a path, entropy {entropy:.3g} bits"


def held_out(data, n_most=2000, seed=0):
    """The task of fitting nine tenths of the training part and judging by the last."""
    is_out = np.random.default_rng(seed).random(len(data.y_train)) < 0.1
    parts = [(data.X_train[rows], data.y_train[rows]) for rows in map(np.flatnonzero, (~is_out, is_out))]
    return hierarchical_data.task(data.name, *parts, data.taxonomy, n_test=n_most)


def tuned(run, grid, part):
    """The C with the least log-loss on `part`, the first that the next one of the grid does not better."""
    losses = {}
    for C in grid:
        losses[C] = -np.log(np.maximum(run(part, C=C).p, hierarchical_peers.FLOOR)).mean()
        if losses[C] > min(losses.values()):
            break
    return min(losses, key=losses.get)


def peer_row(name, data, part, clock, n_threads):
    """The row of one of ours or of a peer, its C tuned if its name ends in "-C?"; None where it cannot run."""
    kind, _, C = name.partition("-C")
    inner = kind.removeprefix(OURS)
    if inner == "taxonomy" and data.taxonomy is None:
        return None
    is_ours = kind.startswith(OURS)
    call = partial(ours, tree=inner) if is_ours else hierarchical_peers.PEERS[kind]
    run = partial(call, clock=clock, n_threads=n_threads)
    remark = ""
    try:
        if is_ours:
            warm_up(data, inner)
        if C == "?":
            slow = count(step=10).__next__  # a clock by which nothing is so short that it is timed three times
            once = partial(call, clock=slow, n_threads=n_threads)
            grid = GRID["ours" if is_ours or kind in ("logistic", "softmax") else "napkinXC"]
            spent, C = timed(clock, lambda: tuned(once, grid, part))
            remark = f"tuning {spent:.3g} s"
        found = run(data, C=float(C)) if C else run(data)
    except hierarchical_peers.Missing as why:
        print(f"|{name.replace('-C?', '')}|{why}|", flush=True)
        return None
    note = ", ".join(part for part in (found.note, remark) if part)
    return Row.of(f"{kind}, C={C:g}" if isinstance(C, int | float) else f"{kind}, C={C}" if C else kind,
                  replace(found, note=note), coded(data)[1])  # fmt: skip


HEADER = ("|model|fit s|log-loss|difference|@1|@5|top 5, µs|MiB|fit: ratio|top 5: ratio|notes|\n"
          "|-|-|-|-|-|-|-|-|-|-|-|")  # fmt: skip


def print_row(row, first):
    found, gap = row.found, row.losses - first.losses
    fields = [
        row.peer,
        f"{found.fit:.3g}" + (f" (train {found.train:.3g})" if found.train != found.fit else ""),
        f"{row.log_loss:.4f} ± {standard_error(row.losses):.4f}",
        "" if row is first else f"{gap.mean():+.4f} ± {standard_error(gap):.4f}",
        f"{row.at(1).mean():.4f}",
        f"{row.at(5).mean():.4f}",
        f"{found.micros:.1f}",
        f"{found.mib:.3g}",
        "" if row is first else f"{found.fit / first.found.fit:.2f}",
        "" if row is first else f"{found.micros / first.found.micros:.2f}",
        found.note,
    ]
    print("|" + "|".join(fields) + "|", flush=True)


def print_verdict(rows):
    """Ours beside the best probabilistic peer: what was asked for, and what was reached."""
    first, *others = rows
    peers = [row for row in others if not row.peer.startswith((OURS, "softmax", *NOT_PROBABILISTIC))]
    if peers:
        best = min(peers, key=lambda row: row.log_loss)
        gap = first.losses - best.losses
        print(f"\nagainst {best.peer}, the best of the peers: log-loss {gap.mean():+.4f} ± {standard_error(gap):.4f}; "
              + "; ".join(f"@{k} {first.at(k).mean() - best.at(k).mean():+.4f} (± {standard_error(best.at(k)):.4f} "
                          f"of the peer)" for k in (1, 5))
              + f"; fit {best.found.fit / first.found.fit:.2f}×, top 5 {best.found.micros / first.found.micros:.2f}×"
              )  # fmt: skip
    for flat in (row for row in others if row.peer.startswith("softmax")):
        print(f"price of a tree against {flat.peer} (log-loss, speed of the fit): " + "; ".join(
            f"{row.peer} {(row.losses - flat.losses).mean():+.4f} ± {standard_error(row.losses - flat.losses):.4f}, "
            f"{flat.found.fit / row.found.fit:.2f}×" for row in rows if row.peer.startswith(OURS)))  # fmt: skip


def compare(name, trees, peers, clock, n_threads):
    """The table of one set."""
    data = hierarchical_data.fewer(hierarchical_data.load(name), N_TEST)
    print(f"\n{data}\n\n{HEADER}", flush=True)
    part, rows = held_out(data), []
    for peer in (*(f"{OURS}{tree}-C?" for tree in trees), *peers):
        row = peer_row(peer, data, part, clock, n_threads)
        if row is not None:
            rows.append(row)
            print_row(row, rows[0])
    print_verdict(rows)


SCALES = (10**2, 10**3, 10**4, 10**5, 10**6)
PARTS = ("X_train", "X_test")


def keep(data, folder):
    for name in PARTS:
        sparse.save_npz(folder / f"{name}.npz", getattr(data, name), compressed=False)
    np.savez(folder / "y.npz", y_train=data.y_train, y_test=data.y_test)


def kept(folder):
    y = np.load(folder / "y.npz")
    X = {name: sparse.load_npz(folder / f"{name}.npz") for name in PARTS}
    return hierarchical_data.Task("kept", **X, y_train=y["y_train"], y_test=y["y_test"])


def peak():
    """MiB that were resident at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def cost(folder, tree, clock):
    """Figures of one fit to the task in a folder; the process is new, so that its peak is the fit's."""
    warm_up(hierarchical_data.synthetic(1000, n=30_000), tree)
    data, before = kept(folder), peak()
    model = sksoft.HierarchicalSoftmaxClassifier(tree=tree)
    seconds, model = timed(clock, lambda: model.fit(data.X_train, data.y_train))
    after, n, m = peak(), len(data.y_train), len(data.y_test)
    codes = np.searchsorted(model.classes_, data.y_train)
    growing, _ = timed(clock, lambda: grow_tree(tree, None, data.X_train, codes, np.ones(n), len(model.classes_)))
    of, losses = often(clock, lambda: -model.predict_log_proba_of(data.X_test, data.y_test))
    one, best = often(clock, lambda: model.predict(data.X_test))
    five, _ = often(clock, lambda: model.predict_topk(data.X_test, 5))
    depth, scores, entropy = path_figures(model)
    return {
        "tree": tree, "K": len(model.classes_), "entropy": entropy, "depth": depth, "scores": scores,
        "fit": 1e6 * seconds / n, "growing": 1e6 * growing / n, "of": 1e6 * of / m, "one": 1e6 * one / m,
        "five": 1e6 * five / m, "loss": losses.mean(), "at_1": (best == data.y_test).mean(),
        "steps": int(model.n_iter_), "model": memory(model), "peak": after, "before": before,
    }  # fmt: skip


# Columns of the table of costs: a key of what `cost` gives, its heading and its form.
COLUMNS = (
    ("tree", "tree", "{}"), ("K", "K", "{}"), ("entropy", "entropy, bits", "{:.1f}"), ("depth", "depth", "{:.1f}"),
    ("scores", "scores a path", "{:.1f}"), ("fit", "fit, µs a row", "{:.1f}"), ("growing", "its tree", "{:.1f}"),
    ("of", "log P of one class, µs", "{:.1f}"), ("one", "top 1, µs", "{:.1f}"), ("five", "top 5, µs", "{:.1f}"),
    ("loss", "log-loss", "{:.3f}"), ("at_1", "@1", "{:.3f}"), ("steps", "steps", "{}"),
    ("model", "model, MiB", "{:.0f}"), ("peak", "peak, MiB", "{:.0f}"), ("before", "before the fit", "{:.0f}"),
)  # fmt: skip


def scaling(sizes, trees, n, n_features, options, plot):
    """Cost against the number of classes at fixed rows and features, a process for each fit."""
    print(f"\nsynthetic, n {n}, p {n_features}, C=1\n")
    print("|" + "|".join(title for _, title, _ in COLUMNS) + "|\n" + "|-" * len(COLUMNS) + "|", flush=True)
    figures = []
    for K in sizes:
        with tempfile.TemporaryDirectory() as folder:
            make = f"import hierarchical as h, pathlib; h.keep(h.hierarchical_data.synthetic({K}, {n}, {n_features}, "
            place = f"n_test=20_000), pathlib.Path({folder!r}))"
            subprocess.run([sys.executable, "-c", make + place], check=True, cwd=Path(__file__).parent)
            for tree in trees:
                command = [sys.executable, __file__, "--cost-of", folder, "--trees", tree, *options]
                answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                figures.append(json.loads(answer.splitlines()[-1]))
                print("|" + "|".join(form.format(figures[-1][key]) for key, _, form in COLUMNS) + "|", flush=True)
    if plot:
        draw(figures, plot)


def draw(figures, path):
    """Costs of a row over the number of classes, whose axis is logarithmic: a logarithmic cost is a straight line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    lines = {"fit": "fit", "of": "log P of one class", "one": "top 1", "scores": "scores on a path"}
    figure, axes = plt.subplots(1, len(lines), figsize=(13, 3), layout="constrained")
    for ax, (key, title) in zip(axes, lines.items()):
        for tree in dict.fromkeys(f["tree"] for f in figures):
            own = sorted((f for f in figures if f["tree"] == tree), key=lambda f: f["K"])
            ax.plot([f["K"] for f in own], [f[key] for f in own], "o-", label=tree)
            if key == "fit":
                ax.plot([f["K"] for f in own], [f["fit"] - f["growing"] for f in own], ":", label="its nodes alone")
        ax.set(xscale="log", xlabel="classes", title=title, ylim=(0, None))
        ax.set_ylabel("" if key == "scores" else "µs a row")
    axes[0].legend()
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(PLAN))
    parser.add_argument("--peers", help="for example huffman-C?,plt-C10; those of PLAN by default")
    parser.add_argument("--trees", help="for example auto,huffman; those of PLAN by default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, help="cpu for one thread and wall for more by default")
    parser.add_argument("--scaling", action="store_true", help="cost against the number of classes instead")
    parser.add_argument("--sizes", default=",".join(map(str, SCALES)), help="numbers of classes of --scaling")
    parser.add_argument("--rows", type=int, default=1_200_000, help="rows of --scaling")
    parser.add_argument("--features", type=int, default=50_000, help="features of --scaling")
    parser.add_argument("--plot", help="file for the picture of --scaling")
    parser.add_argument("--cost-of", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.clock = args.clock or ("cpu" if args.threads == 1 else "wall")
    warnings.filterwarnings("ignore", "The number of unique classes")  # scikit-learn's: strings are no regression
    limit_threads(args.threads)
    clock = CLOCKS[args.clock]
    if args.cost_of:
        print(json.dumps(cost(Path(args.cost_of), args.trees, clock)))
        return
    print(f"sksoft {sksoft.__version__}", *(f"{k} {v}" for k, v in machine().items()), sep=", ")
    print(f"{args.threads} thread(s), {args.clock} seconds")
    if args.scaling:
        options = ["--threads", str(args.threads), "--clock", args.clock]
        sizes, trees = [int(float(size)) for size in args.sizes.split(",")], (args.trees or "auto,huffman").split(",")
        scaling(sizes, trees, args.rows, args.features, options, args.plot)
        return
    for name in args.sets.split(","):
        trees, peers = PLAN.get(name, (("auto", "huffman"), ("prior", "huffman", "fasttext-hs")))
        trees = trees if args.trees is None else args.trees.split(",")
        peers = peers if args.peers is None else [peer for peer in args.peers.split(",") if peer]
        compare(name, trees, peers, clock, args.threads)


if __name__ == "__main__":
    main()
