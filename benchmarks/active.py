"""Active learning: seconds of a query, and learning curves against random rows and scikit-activeml's best strategies.

    python benchmarks/active.py speed [--repeat 7]
    python benchmarks/active.py curves [--data mnist_5k letter splice compas] [--seeds 20] [--strategies diverse Badge]

**speed**: the 100 most uncertain of 10⁶ × 20 probabilities, CPU milliseconds on one thread, median of `--repeat`, for
probabilities that are spread out (standard exponentials, scaled) and peaked (their fifth powers). "numpy" is the
shortest good program by hand; "x" is peer / ours. Ours checks besides that rows are distributions. All must find the
same rows.

**curves**: accuracy on 30 % of the rows, held out, of scikit-learn's ``LogisticRegression()`` fitted to the rows that a
strategy chose from the others, in ten batches: the first drawn at random, the same for all strategies of a seed, and
each next by the strategy. Batches of 20 rows (letter: 52). MNIST's pixels are reduced to 40 principal components of the
pool; other features are standardised on the pool. "area" is the mean accuracy over the curve, "final" that after the
last batch; ± is one standard error over seeds. "- random" is the mean of paired differences of areas, and "- best peer"
of those from the peer of highest area, each ± its standard error. Seconds are CPU time of the queries of one curve.
The two constants of a diverse batch were chosen on mnist_5k, splice and compas; letter, satimage and pendigits were not
looked at for them.
"""

import argparse
import importlib
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import sksoft
from sksoft.active import UncertaintySampler, query_uncertain

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
N_BATCHES = 10
# file, column of the label, rows of a batch
TABLES = {
    "letter": ("letter.csv.gz", "lettr", 52),
    "splice": ("splice_dna.csv.gz", "Class", 20),
    "satimage": ("satimage.csv.gz", "classes", 20),
    "pendigits": ("pendigits.csv.gz", "class", 20),
}
OURS = ("margin", "entropy", "density", "bald", "diverse")
PEERS = ("Badge", "Falcun", "TypiClust")
MODEL = LogisticRegression(max_iter=500)


# ------------------------------------------------------------------------------------------------------------- speed


def by_hand(strategy, proba, n):
    if strategy == "entropy":
        scores = -np.einsum("ij,ij->i", proba, np.log(proba))
    elif strategy == "margin":
        largest = np.partition(proba, proba.shape[1] - 2, axis=1)
        scores = 1.0 - (largest[:, -1] - largest[:, -2])
    else:
        scores = 1.0 - proba.max(axis=1)
    rows = np.argpartition(-scores, n)[:n]
    return rows[np.argsort(-scores[rows], kind="stable")]


def with_skactiveml(strategy, proba, n):
    from skactiveml.base import SkactivemlClassifier
    from skactiveml.pool import UncertaintySampling

    class Known(SkactivemlClassifier):
        """Says the probabilities that it is given as features."""

        def fit(self, X, y, sample_weight=None):
            self.classes_ = np.arange(self.classes)
            return self

        def predict_proba(self, X):
            return X

    method = {"margin": "margin_sampling", "least_confidence": "least_confident"}.get(strategy, strategy)
    query = UncertaintySampling(method=method, random_state=0).query
    classifier = Known(classes=proba.shape[1]).fit(None, None)
    return query(X=proba, y=np.full(len(proba), np.nan), clf=classifier, fit_clf=False, batch_size=n)


def with_modal(strategy, proba, n):
    from modAL import uncertainty

    class Known:
        def predict_proba(self, X):
            return X

    name = {"margin": "margin_sampling", "entropy": "entropy_sampling"}.get(strategy, "uncertainty_sampling")
    return getattr(uncertainty, name)(Known(), proba, n_instances=n)[0]


def median_ms(function, repeat):
    function()
    times = []
    for _ in range(repeat):
        start = time.process_time()
        result = function()
        times.append(time.process_time() - start)
    return 1e3 * float(np.median(times)), result


def speed(repeat):
    peers = {"numpy": by_hand}
    for name, module, function in (("modAL", "modAL", with_modal), ("skactiveml", "skactiveml", with_skactiveml)):
        if installed(module):
            peers[name] = function
    sksoft.set_config(n_threads=1)
    print("100 of 1e6 x 20, one thread, CPU ms")
    for power, shape in ((1, "spread"), (5, "peaked")):
        proba = np.random.default_rng(0).standard_exponential((1_000_000, 20)) ** power
        proba /= proba.sum(axis=1, keepdims=True)
        for strategy in ("margin", "entropy", "least_confidence"):
            ours, rows = median_ms(partial(query_uncertain, proba, 100, strategy=strategy), repeat)
            line = f"{shape} {strategy:17s} ours {ours:6.1f}"
            for name, peer in peers.items():
                theirs, found = median_ms(partial(peer, strategy, proba, 100), repeat if name == "numpy" else 1)
                same = set(np.asarray(found).tolist()) == set(rows.tolist())
                line += f" | {name} {theirs:7.1f} x{theirs / ours:5.1f}{'' if same else ' OTHER ROWS'}"
            print(line, flush=True)


def installed(module):
    try:
        importlib.import_module(module)
    except ImportError:
        print(f"{module}: not installed")
        return False
    return True


# ------------------------------------------------------------------------------------------------------------ curves


def load(name):
    """Features, labels and the rows of a batch."""
    if name == "mnist_5k":
        data = np.load(DATA / "multiclass" / "mnist_5k.npz")
        return data["X"].reshape(len(data["y"]), -1) / 255.0, data["y"], 20
    if name in TABLES:
        file, label, n_instances = TABLES[name]
        table = pd.read_csv(DATA / "multiclass" / file)
        return table.drop(columns=label).to_numpy(float), table[label].to_numpy(str), n_instances
    table = pd.read_csv(DATA / "fairness" / "compas_two_years.csv.gz")  # ProPublica's selection
    kept = table["days_b_screening_arrest"].abs().le(30) & table["is_recid"].ne(-1) & table["c_charge_degree"].ne("O")
    table = table[kept & table["score_text"].ne("N/A")]
    columns = ["age", "priors_count", "juv_fel_count", "juv_misd_count", "juv_other_count"]
    columns += ["sex", "race", "c_charge_degree"]
    X = pd.get_dummies(table[columns], drop_first=True).to_numpy(float)
    return X, table["two_year_recid"].to_numpy(), 20


def split(name, seed):
    X, y, n_instances = load(name)
    X_pool, X_test, y_pool, y_test = train_test_split(X, y, test_size=0.3, random_state=seed, stratify=y)
    reduce = PCA(40, random_state=0) if name == "mnist_5k" else StandardScaler()
    return reduce.fit_transform(X_pool), y_pool, reduce.transform(X_test), y_test, n_instances


def ask_ours(strategy, X, y, labeled, n_instances, seed):
    sampler = UncertaintySampler(MODEL, strategy, random_state=seed).fit(X[labeled], y[labeled])
    return sampler.query(X, n_instances, candidates=np.setdiff1d(np.arange(len(X)), labeled))


def ask_random(X, y, labeled, n_instances, seed):
    unlabeled = np.setdiff1d(np.arange(len(X)), labeled)
    return np.random.default_rng(seed).choice(unlabeled, n_instances, replace=False)


def ask_peer(name, X, y, labeled, n_instances, seed):
    from skactiveml import pool
    from skactiveml.classifier import SklearnClassifier

    classes, codes = np.unique(y, return_inverse=True)
    known = np.full(len(X), np.nan)
    known[labeled] = codes[labeled]
    options = {} if name == "TypiClust" else {"clf": SklearnClassifier(MODEL, classes=np.arange(len(classes)))}
    strategy = getattr(pool, name)(random_state=seed)
    return np.asarray(strategy.query(X=X, y=known, batch_size=n_instances, **options))


def curve(ask, data, seed):
    """Accuracies after each batch, and CPU seconds of the queries."""
    X, y, X_test, y_test, n_instances = data
    rng = np.random.default_rng(seed)
    labeled = rng.choice(len(X), n_instances, replace=False)
    while len(np.unique(y[labeled])) < 2:
        labeled = rng.choice(len(X), n_instances, replace=False)
    accuracies, seconds = [], 0.0
    for batch in range(N_BATCHES):
        accuracies.append(MODEL.fit(X[labeled], y[labeled]).score(X_test, y_test))
        if batch + 1 < N_BATCHES:
            start = time.process_time()
            new = ask(X, y, labeled, n_instances, 1000 * seed + batch)
            seconds += time.process_time() - start
            labeled = np.concatenate([labeled, new])
            assert len(np.unique(labeled)) == len(labeled)
    return accuracies, seconds


def curves(names, n_seeds, strategies):
    has_peers = installed("skactiveml")
    wanted = [s for s in strategies if s not in PEERS or has_peers]
    asks = {s: ask_random if s == "random" else partial(ask_peer if s in PEERS else ask_ours, s) for s in wanted}
    for name in names:
        found = {s: [] for s in asks}
        for seed in range(n_seeds):
            data = split(name, seed)
            for s, ask in asks.items():
                found[s].append(curve(ask, data, seed))
        report(name, {s: (np.array([c[0] for c in rows]), np.mean([c[1] for c in rows])) for s, rows in found.items()})


def report(name, found):
    areas = {s: accuracies.mean(axis=1) for s, (accuracies, _) in found.items()}
    peers = [s for s in PEERS if s in areas]
    best = max(peers, key=lambda s: areas[s].mean()) if peers else None
    n_seeds = len(next(iter(areas.values())))
    print(f"\n{name}, {n_seeds} seeds; best peer by area: {best}")
    print(f"{'strategy':12s} {'area':14s} {'- random':16s} {'- best peer':16s} {'final':14s} seconds   curve")
    for s, (accuracies, seconds) in found.items():
        against = [shown(areas[s] - areas[other], "+.4f") if other in areas else "-" for other in ("random", best)]
        line = " ".join(f"{value:.3f}" for value in accuracies.mean(axis=0))
        final = shown(accuracies[:, -1], ".4f")
        print(
            f"{s:12s} {shown(areas[s], '.4f')} {against[0]:16s} {against[1]:16s} {final} {seconds:7.2f}   {line}",
            flush=True,
        )


def shown(values, form):
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{values.mean():{form}} ±{error:.4f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "curves"])
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--data", nargs="+", default=["mnist_5k", "letter", "splice", "compas"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--strategies", nargs="+", default=["random", *OURS, *PEERS])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.what == "speed":
        speed(arguments.repeat)
    else:
        curves(arguments.data, arguments.seeds, arguments.strategies)
