"""A language model: the next word, among all words of a text, from the two words before.

A softmax over ten thousand words costs ten thousand scores a word. Over a tree it costs some ten: learning, reading the
text aloud (sampling), and the five most probable next words are exact and take microseconds.

    python examples/next_word.py [text file, or .gz] [words to read]

By default it reads the Brown corpus (NLTK's copy), in sentences drawn at random.
"""

import gzip
import re
import sys
from collections import Counter
from pathlib import Path
from time import perf_counter

import numpy as np
from sklearn.feature_extraction import FeatureHasher

from sksoft import HierarchicalSoftmaxClassifier

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "text" / "brown_sentences.tsv.gz"
END, RARE = "<end>", "<rare>"
HASHER = FeatureHasher(n_features=2**18, input_type="string", alternate_sign=False)


def sentences(path, n_words):
    """Lists of words, lower case, each with an end; in random order, so that train and test are alike."""
    reader = gzip.open if str(path).endswith(".gz") else open
    with reader(path, "rt", encoding="utf-8") as lines:
        # the corpus has three columns, of which the last is the sentence
        texts = [
            text for line in lines for text in re.split(r"(?<=[.!?])\s+", line.rpartition("\t")[2].strip()) if text
        ]
    found = [[*re.findall(r"[\w'-]+|[^\w\s]", text.lower()), END] for text in texts]
    order = np.random.default_rng(0).permutation(len(found))
    sizes = np.cumsum([len(found[i]) for i in order])
    return [found[i] for i in order[: np.searchsorted(sizes, n_words) + 1]]


def contexts(words):
    """One row for each word: the two words before, the pair, and the last three letters of the word before."""
    pairs = zip([END, END, *words[:-2]], [END, *words[:-1]])
    return HASHER.transform([f"2 {a}", f"1 {b}", f"21 {a} {b}", f"s {b[-3:]}"] for a, b in pairs)


def next_row(a, b):
    """The row of the word that follows the words a and b."""
    return contexts([a, b, ""])[-1:]


def speak(model, seed, longest=30):
    """A sentence drawn word by word."""
    words, seeds = [END, END], np.random.RandomState(seed)
    while len(words) < longest + 2:
        words.append(str(model.sample(next_row(*words[-2:]), random_state=seeds)[0]))
        if words[-1] == END:
            break
    return " ".join(word for word in words if word != END)


def main(path=DATA, n_words=100_000):
    texts = sentences(path, int(n_words))
    counts = Counter(word for text in texts for word in text)
    words = np.array([word if counts[word] >= 3 else RARE for text in texts for word in text])
    X, n_train = contexts(words.tolist()), int(0.95 * len(words))
    start = perf_counter()
    model = HierarchicalSoftmaxClassifier(C=0.5).fit(X[:n_train], words[:n_train])
    print(f"{n_train} words of {len(model.classes_)} types learnt in {perf_counter() - start:.1f} s")

    known = np.isin(words[n_train:], model.classes_)
    X_test, y_test = X[n_train:][known], words[n_train:][known]
    perplexity = np.exp(-model.predict_log_proba_of(X_test, y_test).mean())
    shares = model.class_weight_seen_[np.searchsorted(model.classes_, y_test)] / n_train
    model.predict_topk(X_test, k=5)  # the first call compiles
    start = perf_counter()
    labels, _ = model.predict_topk(X_test, k=5)
    each = 1e6 * (perf_counter() - start) / len(y_test)
    hits = labels == y_test[:, None]
    print(f"perplexity {perplexity:.0f} (without context {np.exp(-np.log(shares).mean()):.0f})")
    print(f"the next word is the first guess in {hits[:, 0].mean():.1%}, among five in {hits.any(axis=1).mean():.1%}")
    print(f"five best of {len(model.classes_)}: {each:.0f} µs\n")

    for before in (("one", "of"), ("he", "had"), ("in", "order"), ("united", "states")):
        labels, proba = model.predict_topk(next_row(*before), k=5)
        print(f"{' '.join(before):>14} … ", ", ".join(f"{word} {p:.2f}" for word, p in zip(labels[0], proba[0])))
    print("\nSentences that nobody wrote:")
    for seed in range(3):
        print(" ", speak(model, seed))


if __name__ == "__main__":
    main(*sys.argv[1:])
