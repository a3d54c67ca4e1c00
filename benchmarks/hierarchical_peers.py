r"""What others offer for many classes, each as one row: seconds, log-loss, accuracy, microseconds of a prediction.

- napkinXC's hierarchical softmax (``HSM``) on a Huffman tree built here (its own, ``tree_type="huffman"``, does worse
  than the class frequencies), on its k-means tree as it comes, and with nodes solved to 0.01 and no
  weight pruned; on the taxonomy where there is one; its probabilistic label tree (``PLT``). A "C" behind the name is
  ``liblinear_c``. Seconds of the Huffman tree include building it.
- fastText, hierarchical and full softmax, from ``fasttext-wheel`` (its training is what "train" counts; "fit" includes
  the file it has to be given).
- torch's ``AdaptiveLogSoftmaxWithLoss`` over a sum of embeddings of 64.
- scikit-learn's ``MultinomialNB`` and ``LogisticRegression``, and our ``SoftmaxRegression``, where n K is small enough.
- the class frequencies alone.

One thread each. Log-losses are those of the probabilities as given: PLT's do not sum to one over the classes, and those
of napkinXC's ``HSM`` to 0.9999. Where a peer can only list its largest probabilities, it is asked for those above a
threshold, lowered until the class that occurred is among them. "not installed" is what a missing peer prints.

    python benchmarks/hierarchical_peers.py penn_treebank prior huffman-C1 kmeans-unpruned
"""

import argparse
import heapq
import importlib
import statistics
import tempfile
import time
import warnings
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from pathlib import Path

import hierarchical_data
import numpy as np
from scipy import sparse

CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}
FLOOR = 1e-15
THRESHOLDS = (1e-3, 1e-5, 1e-8, 1e-30)
MOST_SCORES = 5e8  # entries of n × K for those that hold one dense array of that shape


@dataclass(frozen=True)
class Found:
    """What a peer gave: probabilities p (m,) of the classes that occurred and the (m, 5) best codes.

    Seconds of the whole fit and of training alone, microseconds a row for the best 5, and MiB of the model: in memory,
    or on disk where that is all that can be seen.
    """

    fit: float
    train: float
    p: np.ndarray
    top: np.ndarray
    micros: float
    mib: float = np.nan
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A peer's line: what it gave, its losses (m,) in nats, and where its best 5 hit, (m, 5)."""

    peer: str
    found: Found
    losses: np.ndarray
    hit: np.ndarray

    @classmethod
    def of(cls, peer, found, test):
        return cls(peer, found, -np.log(np.maximum(found.p, FLOOR)), found.top == test[:, None])

    @property
    def log_loss(self):
        return self.losses.mean()

    def at(self, k):
        return self.hit[:, :k].any(axis=1)

    def __str__(self):
        own = self.found
        loss, hits = f"{self.log_loss:.4f} ± {standard_error(self.losses):.4f}", [self.at(k).mean() for k in (1, 5)]
        return (f"|{self.peer}|{own.fit:.3g}|{own.train:.3g}|{loss}|{hits[0]:.4f}|{hits[1]:.4f}|{own.micros:.1f}|"
                f"{own.mib:.3g}|{own.note}|")  # fmt: skip


HEADER = "|peer|fit s|train s|log-loss|@1|@5|µs|MiB|note|\n|-|-|-|-|-|-|-|-|-|"


def standard_error(values):
    return values.std() / np.sqrt(len(values))


class Missing(Exception):
    """A peer that cannot run here, and why."""


def needed(module):
    """The module, or Missing."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise Missing("not installed") from None


def coded(data):
    """Classes as codes 0 … K-1: those of the training and of the test rows, and the classes in their order."""
    classes, codes = np.unique(data.y_train, return_inverse=True)
    return codes, np.searchsorted(classes, data.y_test), classes


def timed(clock, call):
    """Seconds, and what the call returned."""
    begin = clock()
    answer = call()
    return clock() - begin, answer


def often(clock, call):
    """Median of three times, or what one took if that was two seconds or more; and what the last call returned."""
    seconds, answer = timed(clock, call)
    if seconds >= 2.0:
        return seconds, answer
    more, answer = zip(*(timed(clock, call) for _ in range(2)))
    return statistics.median([seconds, *more]), answer[-1]


def probabilities_of(codes, listing):
    """(m,) probabilities of the codes from `listing(rows, threshold)`, which lists (code, probability) for each row."""
    found, left = np.zeros(len(codes)), np.arange(len(codes))
    for threshold in THRESHOLDS:
        missing = []
        for rows in np.array_split(left, max(1, len(left) // 200)):
            for i, pairs in zip(rows, listing(rows, threshold)):
                found[i] = next((p for code, p in pairs if code == codes[i]), -1.0)
                missing += [i] if found[i] < 0 else []
        left = np.array(missing, dtype=int)
        if not len(left):
            break
    return np.maximum(found, 0.0)


def first_codes(listed, width=5):
    """(m, width) of the codes listed for each row, -1 where there are fewer."""
    return np.array([[*codes, *[-1] * width][:width] for codes in listed])


def huffman(counts):
    """(parent, child, label) triples as napkinXC takes them: root 0 below -1, label -1 where the child is no leaf.

    They are in the order of the children, since napkinXC reads its tree back in that order, and a node's unit is of its
    first child. (Its own Huffman trees are not, and there the two children are exchanged.)
    """
    n_classes = len(counts)
    last = 2 * n_classes - 2  # joined last: the root, which has to be number 0
    heap = [(int(count), code) for code, count in enumerate(counts)]
    heapq.heapify(heap)
    triples = []
    for joined in range(n_classes, last + 1):
        weight = 0
        for _ in range(2):
            count, node = heapq.heappop(heap)
            weight += count
            triples.append((last - joined, last - node, node if node < n_classes else -1))
        heapq.heappush(heap, (weight, joined))
    return [(-1, 0, -1), *sorted(triples, key=itemgetter(1))]


def numbered(taxonomy, classes):
    """The taxonomy's triples with numbers for nodes in their order, the root's first, as napkinXC takes them.

    Leaves that are none of the classes are left out, and nodes that have no child then.
    """
    code = {label: i for i, label in enumerate(classes.tolist())}
    left = [triple for triple in taxonomy if triple[2] is None or triple[2] in code]
    while True:
        parents = {parent for parent, _, _ in left}
        fewer = [triple for triple in left if triple[2] is not None or triple[1] in parents]
        if len(fewer) == len(left):
            break
        left = fewer
    (root,) = parents - {child for _, child, _ in left}
    number = {node: i for i, node in enumerate([root, *(child for _, child, _ in left)])}
    return [(-1, 0, -1), *((number[a], number[b], -1 if label is None else code[label]) for a, b, label in left)]


def napkinxc(data, clock, n_threads, model="HSM", tree="hierarchicalKmeans", pruned=False, C=None):
    """HSM or PLT; with `pruned`, all as napkinXC has it, else nodes solved to 0.01 and every weight kept."""
    make = getattr(needed("napkinxc.models"), model)
    y, test, classes = coded(data)
    X, X_test = (sparse.csr_matrix(part) for part in (data.X_train, data.X_test))
    options = {} if pruned else {"liblinear_eps": 0.01, "weights_threshold": 0.0}
    options |= {} if C is None else {"liblinear_c": C}

    def fit():
        if tree == "huffman":
            options["tree_structure"] = huffman(np.bincount(y))
        elif tree == "taxonomy":
            options["tree_structure"] = numbered(data.taxonomy, classes)
        else:
            options["tree_type"] = tree
        inner = make(folder, threads=n_threads, seed=1, **options)
        inner.fit(X, y.tolist())
        return inner

    with tempfile.TemporaryDirectory() as folder:
        seconds, inner = often(clock, fit)
        inner.predict_proba(X_test[:1], top_k=5)  # reads the weights from the files that fit wrote
        spent, listed = often(clock, lambda: inner.predict_proba(X_test, top_k=5))
        size = sum(file.stat().st_size for file in Path(folder).iterdir()) / 2**20
        p = probabilities_of(test, lambda rows, threshold: inner.predict_proba(X_test[rows], threshold=threshold))
    top = first_codes([[code for code, _ in pairs] for pairs in listed])
    return Found(seconds, seconds, p, top, 1e6 * spent / len(test), size, "on disk")


def lines(X, y=None):
    """A row as fastText reads it: a word for each stored column, and the label in front."""
    words = np.char.add("f", X.indices.astype(str)).tolist()
    texts = [" ".join(words[a:b]) for a, b in zip(X.indptr, X.indptr[1:])]
    return texts if y is None else [f"__label__{code} {text}" for code, text in zip(y, texts)]


def fasttext(data, clock, n_threads, loss="hs", epochs=5, rate=0.5):
    package = needed("fasttext")
    y, test, _ = coded(data)
    options = {"loss": loss, "epoch": epochs, "lr": rate, "dim": 64, "thread": n_threads, "minCount": 1, "verbose": 0}
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:

        def write():
            file.write("\n".join(lines(data.X_train, y)) + "\n")
            file.flush()

        written, _ = timed(clock, write)
        trained, inner = often(clock, lambda: package.train_supervised(file.name, **options))
    texts = lines(data.X_test)

    def listing(rows, threshold, k=-1):  # from the C++ side: its Python wrapper fails with NumPy 2
        listed = (inner.f.predict(texts[i] + "\n", k, threshold, "strict") for i in rows)
        return [[(int(label[9:]), p) for p, label in pairs] for pairs in listed]

    spent, listed = often(clock, lambda: listing(range(len(test)), 0.0, 5))
    p, top = probabilities_of(test, listing), first_codes([[code for code, _ in pairs] for pairs in listed])
    size = 4 * 64 * (len(inner.words) + len(inner.labels)) / 2**20
    return Found(written + trained, trained, p, top, 1e6 * spent / len(test), size, f"{epochs} epochs, lr {rate}")


def dense(data, clock, n_threads, make, warm=False):
    """A classifier with predict_proba, scores of all classes held at once; `warm`: one step is fitted before."""
    y, test, classes = coded(data)
    if len(y) * len(classes) > MOST_SCORES:
        raise Missing(f"not run: n K = {len(y) * len(classes):.1g}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a fit that ends at its number of iterations
        if warm:  # compiles
            make(max_iter=1).fit(data.X_train, y).predict_proba(data.X_test)
        seconds, model = often(clock, lambda: make().fit(data.X_train, y))
    blocks = np.array_split(np.arange(len(test)), max(1, len(test) * len(classes) // 10**6))
    p, top = np.empty(len(test)), np.empty((len(test), 5), dtype=int)

    def predict():
        for rows in blocks:
            proba = model.predict_proba(data.X_test[rows])
            best = np.argpartition(-proba, 4, axis=1)[:, :5]
            order = np.argsort(-np.take_along_axis(proba, best, axis=1), axis=1)
            top[rows], p[rows] = np.take_along_axis(best, order, axis=1), proba[np.arange(len(rows)), test[rows]]

    spent, _ = often(clock, predict)
    weights = model.feature_log_prob_ if hasattr(model, "feature_log_prob_") else model.coef_
    return Found(seconds, seconds, p, top, 1e6 * spent / len(test), weights.nbytes / 2**20)


def naive_bayes(data, clock, n_threads, alpha=0.01):
    make = needed("sklearn.naive_bayes").MultinomialNB
    return dense(data, clock, n_threads, partial(make, alpha=alpha))


def logistic(data, clock, n_threads, C=1.0):
    if data.X_train.shape[0] * len(np.unique(data.y_train)) > 1e7:
        raise Missing("not run: many minutes")
    return dense(data, clock, n_threads, partial(needed("sklearn.linear_model").LogisticRegression, C=C))


def softmax(data, clock, n_threads, C=1.0):
    if data.X_train.shape[0] * len(np.unique(data.y_train)) > 1e7:
        raise Missing("not run: many minutes")
    if data.X_train.nnz > 0.1 * np.prod(data.X_train.shape):
        data = replace(data, X_train=data.X_train.toarray(), X_test=data.X_test.toarray())
    return dense(data, clock, n_threads, partial(needed("sksoft").SoftmaxRegression, C=C), warm=True)


def prior(data, clock, n_threads):
    y, test, _ = coded(data)
    seconds, share = timed(clock, lambda: np.bincount(y) / len(y))
    top = np.argsort(-share, kind="stable")[:5]
    return Found(seconds, seconds, share[test], np.tile(top, (len(test), 1)), 0.0, share.nbytes / 2**20)


def bags(torch, X):
    """What an EmbeddingBag takes of CSR rows."""
    parts = X.indices.astype(np.int64), X.indptr[:-1].astype(np.int64)
    weights = torch.from_numpy(X.data.astype(np.float32))
    return {"input": torch.from_numpy(parts[0]), "offsets": torch.from_numpy(parts[1]), "per_sample_weights": weights}


def adaptive_softmax(data, clock, n_threads, epochs=3, rate=0.005, batch=512, width=64):
    """Embeddings (sparse Adam) and the adaptive softmax (Adam), classes numbered from the most frequent."""
    torch = needed("torch")
    torch.set_num_threads(n_threads)
    torch.manual_seed(0)
    y, test, classes = coded(data)
    order = np.argsort(-np.bincount(y), kind="stable")
    rank = torch.from_numpy(np.argsort(order))
    K, n = len(classes), len(y)
    embed = torch.nn.EmbeddingBag(data.X_train.shape[1], width, mode="sum", sparse=True)
    torch.nn.init.normal_(embed.weight, std=0.1)
    cutoffs = [c for c in (max(2, K // 20), max(3, K // 5)) if c < K - 1]
    head = torch.nn.AdaptiveLogSoftmaxWithLoss(width, K, sorted(set(cutoffs)))
    steps = [torch.optim.SparseAdam(embed.parameters(), lr=rate), torch.optim.Adam(head.parameters(), lr=rate)]

    def fit():
        rng = np.random.default_rng(0)
        for _ in range(epochs):
            for rows in np.array_split(rng.permutation(n), -(-n // batch)):
                loss = head(embed(**bags(torch, data.X_train[rows])), rank[y[rows]]).loss
                for step in steps:
                    step.zero_grad()
                loss.backward()
                for step in steps:
                    step.step()

    def predict():
        with torch.no_grad():
            blocks = np.array_split(np.arange(len(test)), max(1, len(test) * K // 10**7))
            return np.concatenate(
                [head.log_prob(embed(**bags(torch, data.X_test[rows]))).topk(5, dim=1)[1].numpy() for rows in blocks]
            )

    seconds, _ = timed(clock, fit)
    spent, best = often(clock, predict)
    with torch.no_grad():
        p = head(embed(**bags(torch, data.X_test)), rank[test]).output.exp().numpy()
    size = sum(w.nbytes for part in (embed, head) for w in part.parameters()) / 2**20
    note = f"{epochs} epochs, lr {rate}, d {width}"
    return Found(seconds, seconds, p, order[best], 1e6 * spent / len(test), size, note)


PEERS = {
    "prior": prior,
    "huffman": partial(napkinxc, tree="huffman"),
    "kmeans": partial(napkinxc, pruned=True),
    "kmeans-unpruned": napkinxc,
    "taxonomy": partial(napkinxc, tree="taxonomy"),
    "plt": partial(napkinxc, model="PLT", pruned=True),
    "fasttext-hs": fasttext,
    "fasttext-hs-slow": partial(fasttext, rate=0.1),
    "fasttext-hs-long": partial(fasttext, epochs=50, rate=0.1),
    "fasttext-softmax": partial(fasttext, loss="softmax"),
    "naive-bayes": naive_bayes,
    "adaptive-softmax": adaptive_softmax,
    "adaptive-softmax-long": partial(adaptive_softmax, epochs=20, rate=0.01),
    "logistic": logistic,
    "softmax": softmax,
}


def run(name, data, n_threads=1, clock=time.process_time):
    """The row of a peer, or None after a line that says why there is none. "-C10" behind the name sets its C."""
    kind, _, C = name.partition("-C")
    options = {"C": float(C)} if C else {}
    if kind == "taxonomy" and data.taxonomy is None:
        print(f"|{name}|no taxonomy|")
        return None
    try:
        found = PEERS[kind](data, clock, n_threads, **options)
    except Missing as why:
        print(f"|{name}|{why}|")
        return None
    return Row.of(name, found, coded(data)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("peers", nargs="*", default=list(PEERS))
    parser.add_argument("--clock", choices=CLOCKS, default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    data = hierarchical_data.load(arguments.data)
    print(f"\n{data}\n\n{HEADER}", flush=True)
    for name in arguments.peers:
        found = run(name, data, arguments.threads, CLOCKS[arguments.clock])
        if found is not None:
            print(found, flush=True)


if __name__ == "__main__":
    main()
