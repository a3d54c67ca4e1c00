"""The data sets of ``benchmarks/hierarchical.py``: labels that are many, or that come with a tree.

Text is next-word prediction. Features are one-hot of the two words before, a block of columns for each position over
the vocabulary of the training part (an unseen word has no column), or, with ``context="hashed"``, four hashed
indicators: each of the two words, both as a pair, and the last three letters of the word before. Test rows of a class
that the training part lacks are dropped and counted, since no model gives them a probability.

- ``penn_treebank``: the validation file to fit to, the test file to judge by, ``<eos>`` at the end of each line.
- ``brown``: the 10 000 most frequent types, case kept, everything else ``<unk>``, ``<eos>`` after each sentence; the
  first `n` words to fit to, those that follow to judge by.
- ``brown_full``: every type a class, a tenth of the sentences, drawn at random, to judge by.
- ``chinook_rivers``: 69 rivers in 39 regions, by the indicator columns of ``linear_data.chinook``.
- ``moths``: 70 species in 44 genera, by one-hot letters of 630 positions of one gene. Half of the species have one
  specimen, which is fitted to.
- ``wordnet``: 82 115 noun synsets, by half (drawn for each row) of the 2 to 5 letter pieces of their first lemma,
  hashed. Each synset once and 100 000 draws, in proportion to the tag count + 0.1; the parent is the first hypernym.
- ``synthetic``: Zipf classes in clusters, rows of about ten indicators.
"""

import gzip
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from zlib import crc32

import linear_data
import numpy as np
import pandas as pd
from linear_data import DATA
from scipy import sparse

END, RARE = "<eos>", "<unk>"


@dataclass(frozen=True)
class Task:
    """Rows to fit to and to judge by.

    X are CSR float64, y label arrays. `taxonomy` is a list of (parent, child, label) triples, label None where the
    child is not a leaf, or None. `unseen` counts the test rows dropped because the training part lacks their class.
    """

    name: str
    X_train: sparse.csr_array
    y_train: np.ndarray
    X_test: sparse.csr_array
    y_test: np.ndarray
    taxonomy: list | None = None
    unseen: int = 0

    def __str__(self):
        n, p = self.X_train.shape
        K = len(np.unique(self.y_train))
        left_out = f" ({self.unseen} of unseen classes left out)" if self.unseen else ""
        return f"{self.name}: n {n}, p {p}, K {K}, {len(self.y_test)} test rows{left_out}"


def task(name, train, test, taxonomy=None, n_test=None):
    """A task of (X, y) to fit to and (X, y) to judge by: the first `n_test` rows of classes that occur in training."""
    X, y = test
    known = np.isin(y, train[1])
    if n_test is not None:
        known = known[: np.searchsorted(np.cumsum(known), n_test) + 1]
    rows = np.flatnonzero(known)
    return Task(name, *train, X[rows], y[rows], taxonomy, len(known) - len(rows))


def indicators(columns, shape):
    """CSR of shape (n, p) with ones in the columns (n, m) that are not negative, once each."""
    rows = np.repeat(np.arange(shape[0]), columns.shape[1])
    there = columns.ravel() >= 0
    places = rows[there].astype(np.int32), columns.ravel()[there].astype(np.int32)
    X = sparse.csr_array((np.ones(there.sum()), places), shape=shape)
    X.sum_duplicates()
    X.data[:] = 1.0
    return X


def hashed(texts, n_features):
    """(n,) columns: the CRC-32 of each text, modulo n_features."""
    return np.fromiter((crc32(text.encode()) % n_features for text in texts), np.int32, len(texts))


def next_words(before, n_features, vocabulary):
    """X of the (n, 2) words before: one-hot over a vocabulary (word to code), or hashed into n_features columns."""
    if n_features is None:
        codes = np.array([[vocabulary.get(word, -1) for word in pair] for pair in before])
        codes[:, 1] = np.where(codes[:, 1] < 0, -1, codes[:, 1] + len(vocabulary))
        return indicators(codes, (len(before), 2 * len(vocabulary)))
    first, second = zip(*before)
    texts = (
        [f"2 {word}" for word in first],
        [f"1 {word}" for word in second],
        [f"21 {a} {b}" for a, b in before],
        [f"s {word[-3:]}" for word in second],
    )
    return indicators(np.column_stack([hashed(text, n_features) for text in texts]), (len(before), n_features))


def language(name, train, test, context, n_features, n_test=None):
    """A task of ((words before, word) to fit to, the same to judge by), with the words themselves as labels."""
    vocabulary = {word: code for code, word in enumerate(dict.fromkeys(w for pair in train[0] for w in pair))}
    if context not in ("one-hot", "hashed"):
        raise ValueError(f"context must be 'one-hot' or 'hashed', got {context!r}")
    width = n_features if context == "hashed" else None
    parts = [(next_words(before, width, vocabulary), np.array(words)) for before, words in (train, test)]
    return task(name if width is None else f"{name}-hashed", *parts, n_test=n_test)


def windows(words):
    """The pairs of words before, and the words, from the third on."""
    return list(pairwise(words[:-1])), words[2:]


def penn_treebank(context="one-hot", n_features=2**18, n_test=5000):
    def words(file):
        with gzip.open(DATA / "text" / file, "rt", encoding="utf-8") as lines:
            return [word for line in lines for word in (*line.split(), END)]

    parts = [windows(words(f"ptb.{part}.txt.gz")) for part in ("valid", "test")]
    return language("penn_treebank", *parts, context, n_features, n_test)


def brown_sentences():
    with gzip.open(DATA / "text" / "brown_sentences.tsv.gz", "rt", encoding="utf-8") as lines:
        return [line.rstrip("\n").split("\t")[2].split() for line in lines]


def brown(n=300_000, n_types=10_000, context="one-hot", n_features=2**18, n_test=5000):
    words = [word for sentence in brown_sentences() for word in (*sentence, END)]
    kept = {word for word, _ in Counter(words).most_common(n_types)}
    before, now = windows([word if word in kept else RARE for word in words])
    parts = (before[:n], now[:n]), (before[n : n + 4 * n_test], now[n : n + 4 * n_test])
    return language("brown", *parts, context, n_features, n_test)


def brown_full(context="hashed", n_features=2**18, n_test=None, seed=0):
    sentences = brown_sentences()
    is_test = np.random.default_rng(seed).random(len(sentences)) < 0.1

    def rows(chosen):
        pairs = [windows([END, END, *sentences[i], END]) for i in np.flatnonzero(chosen)]
        return [pair for before, _ in pairs for pair in before], [word for _, words in pairs for word in words]

    return language("brown_full", rows(~is_test), rows(is_test), context, n_features, n_test)


def chinook_rivers(seed=0):
    X = sparse.csr_array(linear_data.chinook()[0])
    frame = pd.read_csv(DATA / "bio" / "chinook.csv.gz", usecols=["repunit", "collection"])
    river = frame["collection"].to_numpy(str)
    order = np.random.default_rng(seed).permutation(len(river))
    rank = pd.Series(river[order]).groupby(river[order]).cumcount().to_numpy()
    sizes = pd.Series(river[order]).map(pd.Series(river).value_counts()).to_numpy()
    is_train = rank < np.ceil(0.7 * sizes)
    parts = [(X[np.sort(order[part])], river[np.sort(order[part])]) for part in (is_train, ~is_train)]
    pairs = frame.drop_duplicates().to_numpy(str)
    regions = [("root", f"region {region}", None) for region in dict.fromkeys(pairs[:, 0].tolist())]
    return task(
        "chinook_rivers", *parts, [*regions, *((f"region {region}", name, name) for region, name in pairs.tolist())]
    )


def moths(one_shot=False):
    """Every second specimen of a species to judge by; with one_shot, all but the first."""
    frame = pd.read_csv(DATA / "bio" / "coi_tibetan_moths.csv.gz")
    letters = np.array([list(sequence) for sequence in frame["sequence"]])
    code = np.full(letters.shape, -1)
    for i, letter in enumerate("acgt"):  # what else is read (w, r) is one of two letters: no column
        code[letters == letter] = i
    columns = np.where(code < 0, -1, 4 * np.arange(letters.shape[1]) + code)
    X = indicators(columns, (len(frame), 4 * letters.shape[1]))
    species, rank = frame["species"].to_numpy(str), frame.groupby("species").cumcount().to_numpy()
    is_train = rank == 0 if one_shot else rank % 2 == 0
    parts = [(X[np.flatnonzero(part)], species[part]) for part in (is_train, ~is_train)]
    rows = frame[["family", "genus", "species"]].drop_duplicates().itertuples(index=False)
    triples = [t for a, b, c in rows for t in (("root", a, None), (a, b, None), (b, c, c))]
    return task("moths-one-shot" if one_shot else "moths", *parts, list(dict.fromkeys(triples)))


def letter_pieces(lemmas, n_features):
    """CSR indicators of the pieces of 2 to 5 letters of each "<lemma>", hashed."""
    pieces = [
        {f"<{lemma}>"[i : i + size] for size in range(2, 6) for i in range(len(lemma) + 3 - size)} for lemma in lemmas
    ]
    columns = hashed([piece for own in pieces for piece in sorted(own)], n_features)
    indptr = np.concatenate([[0], np.cumsum([len(own) for own in pieces])]).astype(np.int32)
    return sparse.csr_array((np.ones(len(columns)), columns, indptr), shape=(len(lemmas), n_features))


def half(X, rng):
    """X with each stored entry kept with probability 1/2."""
    X = X.copy()
    X.data[:] = rng.random(X.nnz) < 0.5
    X.sum_duplicates()
    X.eliminate_zeros()
    X.data[:] = 1.0
    return X


def wordnet(n=100_000, n_test=5000, n_features=2**18, seed=0):
    """Each synset once and `n` draws to fit to. A synset that is a parent has itself, as "synset =", as a child too."""
    text = {"synset": str, "hypernyms": str, "first_lemma": str}
    frame = pd.read_csv(DATA / "text" / "wordnet_nouns.csv.gz", dtype=text, keep_default_na=False)
    synset, parent = frame["synset"].to_numpy(str), frame["hypernyms"].str.split("|").str[0].to_numpy(str)
    rng = np.random.default_rng(seed)
    weights = frame["tag_count"].to_numpy() + 0.1
    pieces = letter_pieces(frame["first_lemma"].str.lower(), n_features)

    def rows(chosen):
        return half(pieces[chosen], rng), synset[chosen]

    draw = partial(rng.choice, len(synset), p=weights / weights.sum())
    parts = rows(rng.permutation(np.concatenate([np.arange(len(synset)), draw(n)]))), rows(draw(n_test))
    inner = set(parent)
    triples = [
        (above, own, None if own in inner else own) for above, own in zip(parent.tolist(), synset.tolist()) if above
    ]
    return task("wordnet", *parts, triples + [(own, f"{own} =", own) for own in synset.tolist() if own in inner])


def synthetic(n_classes, n=300_000, n_features=50_000, seed=0, n_test=5000):
    """Classes of frequency 1/(rank + 10) in about sqrt(K) clusters; every class occurs when n >= n_classes.

    Each of a row's ten indicators is one of its class's eight (probability 0.5), one of its cluster's sixteen (0.4), or
    any. Labels are integers, in no order.
    """
    rng = np.random.default_rng(seed)
    cumulative = np.cumsum(1.0 / (np.arange(n_classes) + 10.0))
    label, cluster = rng.permutation(n_classes), rng.integers(int(np.sqrt(n_classes)), size=n_classes)
    own = rng.integers(n_features, size=(n_classes, 8), dtype=np.int32)
    shared = rng.integers(n_features, size=(int(np.sqrt(n_classes)), 16), dtype=np.int32)

    def rows(first, size):
        drawn = np.searchsorted(cumulative, cumulative[-1] * rng.random(size - len(first)))
        k = rng.permutation(np.concatenate([first, drawn]))
        kind = rng.random((size, 10))
        columns = rng.integers(n_features, size=(size, 10))
        of_class, of_cluster = kind < 0.5, (kind >= 0.5) & (kind < 0.9)
        columns[of_class] = own[k[np.nonzero(of_class)[0]], rng.integers(8, size=of_class.sum())]
        columns[of_cluster] = shared[cluster[k[np.nonzero(of_cluster)[0]]], rng.integers(16, size=of_cluster.sum())]
        return indicators(columns, (size, n_features)), label[k]

    every = np.arange(n_classes if n >= n_classes else 0)
    return task(f"synthetic-{n_classes}", rows(every, n), rows(every[:0], n_test))


SETS = {
    "penn_treebank": penn_treebank,
    "penn_treebank-hashed": partial(penn_treebank, context="hashed"),
    "brown": brown,
    "brown_full": brown_full,
    "chinook_rivers": chinook_rivers,
    "moths": moths,
    "wordnet": wordnet,
}


def load(name):
    """A task by name; "synthetic-K" has K classes."""
    if name.startswith("synthetic-"):
        return synthetic(int(float(name.removeprefix("synthetic-"))))
    return SETS[name]()


def fewer(data, n_most):
    """The task with at most `n_most` test rows, evenly spaced."""
    m = len(data.y_test)
    rows = np.arange(m) if m <= n_most else np.linspace(0, m - 1, n_most).astype(int)
    return replace(data, X_test=data.X_test[rows], y_test=data.y_test[rows])
