"""KnowledgeDistiller with a tenth of the labels: plain labels, pseudo-labels and distillation, and ensembles and votes.

    python benchmarks/distillation.py [--sets mnist,letter] [--seeds 10] [--students softmax,tree] [--teacher svm]
    python benchmarks/distillation.py --cifar

Sets are those of ``linear_data.py``. In each run a set is dealt to at most ``--rows`` training rows, a tenth of them
with labels, and at most 5 000 test rows, stratified; features are standardised (mnist is divided by 255).

    plain     the student fitted to the labelled tenth
    pseudo    the student fitted to all rows, with the teacher's label where there is none
    auto      KnowledgeDistiller(teacher, student) with the other rows as X_unlabeled

Log-loss and accuracy are of the test rows, means over seeds; "gain" is that of auto over plain in log-loss and its
standard error over the seeds (a loss in one seed alone is one standard error, exactly). Times are CPU seconds of the
process for ``predict_proba`` of 1 000 test rows, sizes those of the pickle. "fit" is the CPU seconds of the fit of auto
without those of the teacher: the students share them.

With ``--cifar``: SoftmaxRegression over one network's log-probabilities of 10 000 CIFAR-10 images, half of them to
learn from, taught by labels, by the mean of six networks, and by the votes of people [1]_; scored on the other half
against labels and against votes.

.. [1] Peterson, Battleday, Griffiths, Russakovsky, "Human uncertainty makes classification more robust", ICCV 2019.
"""

import argparse
import hashlib
import json
import pickle
import sys
import time
import warnings
from pathlib import Path

import linear_data
import numpy as np
from linear import limit_threads
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from sksoft import CalibratedSoftmaxClassifier, HierarchicalSoftmaxClassifier, KnowledgeDistiller, SoftmaxRegression
from sksoft.distillation import TeacherWarning
from sksoft.metrics import soft_log_loss

SETS = {"mnist": "mnist", "letter": "letter-scaled", "pendigits": "pendigits-scaled", "satimage": "satimage-scaled"}
TEST_ROWS, TIMED_ROWS = 5000, 1000
CALIBRATION = Path(__file__).resolve().parents[2] / "shared" / "data" / "calibration"


def teachers(seed):
    """Strong teachers by name."""
    net = MLPClassifier((128,), max_iter=100, alpha=0.01, learning_rate_init=0.003, random_state=seed)
    return {
        "svm": lambda: CalibratedSoftmaxClassifier(OneVsRestClassifier(SVC(C=10.0))),
        "mlp": lambda: BaggingClassifier(net, 10, random_state=seed),
        "xgboost": lambda: CalibratedSoftmaxClassifier(_boosted(), "temperature"),
    }


def _boosted():
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=200, max_depth=4, learning_rate=0.1, n_jobs=1)


class RememberedClassifier(ClassifierMixin, BaseEstimator):
    """A classifier that fits and answers once for each content of its arguments, for all copies of it.

    ``spent`` counts the CPU seconds in its methods.
    """

    fitted, answers, spent = {}, {}, 0.0

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        start = time.process_time()
        self.key_ = (repr(self.estimator), _digest(X), _digest(y))
        if self.key_ not in self.fitted:
            self.fitted[self.key_] = clone(self.estimator).fit(X, y)
        self.classes_ = self.fitted[self.key_].classes_
        RememberedClassifier.spent += time.process_time() - start
        return self

    def predict_proba(self, X):
        start = time.process_time()
        key = (*self.key_, _digest(X))
        if key not in self.answers:
            self.answers[key] = self.fitted[self.key_].predict_proba(X)
        RememberedClassifier.spent += time.process_time() - start
        return self.answers[key]

    @classmethod
    def forget(cls):
        cls.fitted.clear()
        cls.answers.clear()


def _digest(array):
    return hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=16).hexdigest()


def students(seed, wide=False):
    """Small students by name; the network and the tree of classes see 50 principal components of wide data."""
    net = MLPClassifier((32,), solver="lbfgs", alpha=1.0, max_iter=40, random_state=seed)
    hierarchical = HierarchicalSoftmaxClassifier(tree="kmeans", arity=2)
    return {
        "softmax": SoftmaxRegression(),
        "tree": DecisionTreeClassifier(max_depth=8, random_state=seed),
        "mlp": make_pipeline(PCA(50, random_state=seed), net) if wide else net,
        "hierarchical": make_pipeline(PCA(50, random_state=seed), hierarchical) if wide else hierarchical,
    }


def dealt(name, seed, n_rows):
    """Labelled, unlabelled and test rows of a set."""
    X, y = linear_data.load(SETS[name])
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, random_state=seed, stratify=y)
    if len(y) > n_rows:
        X, _, y, _ = train_test_split(X, y, train_size=n_rows, random_state=seed, stratify=y)
    X, more, y, _ = train_test_split(X, y, train_size=0.1, random_state=seed, stratify=y)
    return X, y, more, X_test[:TEST_ROWS], y_test[:TEST_ROWS]


def scored(model, X, y):
    return {"loss": log_loss(y, model.predict_proba(X)), "accuracy": accuracy_score(y, model.predict(X))}


def cost(model, X):
    """Bytes of the pickle, and CPU seconds of predicting some rows, the least of three."""
    seconds = []
    for _ in range(3):
        start = time.process_time()
        model.predict_proba(X)
        seconds.append(time.process_time() - start)
    return {"bytes": len(pickle.dumps(model)), "seconds": min(seconds)}


def one_run(name, seed, teacher_name, which, n_rows):
    """A row of results for each student."""
    X, y, more, X_test, y_test = dealt(name, seed, n_rows)
    teacher = teachers(seed)[teacher_name]()
    RememberedClassifier.forget()
    fitted = clone(teacher).fit(X, y)
    pseudo_X, pseudo_y = np.concatenate([X, more]), np.concatenate([y, fitted.predict(more)])
    base = {"set": name, "seed": seed, "teacher_name": teacher_name, "labelled": len(y), "unlabelled": len(more)}
    remembered = RememberedClassifier(teacher)
    base["teacher"] = scored(fitted, X_test, y_test) | cost(fitted, X_test[:TIMED_ROWS])
    for student_name in which:
        student = students(seed, X.shape[1] > 100)[student_name]
        plain, pseudo = clone(student).fit(X, y), clone(student).fit(pseudo_X, pseudo_y)
        auto = KnowledgeDistiller(remembered, student)
        start = time.process_time() - RememberedClassifier.spent
        auto.fit(X, y, X_unlabeled=more)
        base["fit"] = time.process_time() - RememberedClassifier.spent - start
        yield base | {
            "student": student_name,
            "plain": scored(plain, X_test, y_test),
            "pseudo": scored(pseudo, X_test, y_test),
            "auto": scored(auto, X_test, y_test) | cost(auto.student_, X_test[:TIMED_ROWS]),
            "temperature": auto.temperature_,
            "alpha": auto.alpha_,
            "teacher_loss": auto.teacher_loss_,
            "student_loss": auto.student_loss_,
        }


def table(rows):
    """Means over the seeds of each cell, as lines of a table."""
    yield (
        "set        student      seeds |  teacher       | plain         | pseudo        | auto          |"
        " gain ± se         T/alpha most often | size, time of teacher / student     fit s"
    )
    cells = sorted({(row["set"], row["student"]) for row in rows}, key=lambda c: (list(SETS).index(c[0]), c[1]))
    never_worse, better = 0, 0
    for cell in cells:
        own = [row for row in rows if (row["set"], row["student"]) == cell]
        gains = np.array([row["plain"]["loss"] - row["auto"]["loss"] for row in own])
        gain, se = gains.mean(), gains.std(ddof=1) / np.sqrt(len(own)) if len(own) > 1 else np.nan
        never_worse, better = never_worse + (gain >= -se * (1 + 1e-9)), better + (gain > 2 * se)

        def mean(part, key, own=own):
            return np.mean([row[part][key] for row in own])

        pairs = [(row["temperature"], row["alpha"]) for row in own]
        usual = max(set(pairs), key=pairs.count)
        quality = " | ".join(
            f"{mean(part, 'loss'):.4f} {mean(part, 'accuracy'):.4f}" for part in ("teacher", "plain", "pseudo", "auto")
        )
        size = mean("teacher", "bytes") / 1024, mean("auto", "bytes") / 1024
        seconds = 1e3 * mean("teacher", "seconds"), 1e3 * mean("auto", "seconds")
        yield (
            f"{cell[0]:10s} {cell[1]:12s} {len(own):5d} | {quality} | {gain:+.4f} ± {se:.4f}  T={usual[0]:g}"
            f" alpha={usual[1]:g} ({pairs.count(usual)}) | {size[0]:.0f} / {size[1]:.0f} KiB,"
            f" {seconds[0]:.1f} / {seconds[1]:.2f} ms  {np.mean([row['fit'] for row in own]):.1f}"
        )
    yield f"{never_worse} of {len(cells)} cells not worse by more than one standard error, {better} better by two"


def cifar(seeds):
    """Labels, an ensemble and people as teachers of a softmax over one network's log-probabilities."""
    with np.load(CALIBRATION / "cifar10_6nets_probs.npz") as file:
        y = file["labels"]
        nets = {name: file[name].astype(np.float64) for name in file.files if name != "labels"}
    with np.load(CALIBRATION / "cifar10h_human_counts.npz") as file:
        votes = file["counts"].astype(np.float64)
    X = np.log(np.maximum(nets["resnet18"], 1e-7))
    ensemble = np.mean(list(nets.values()), axis=0)
    ensemble /= ensemble.sum(axis=1, keepdims=True)
    people = votes / votes.sum(axis=1, keepdims=True)
    found = {"labels": [], "ensemble": [], "people": []}
    for seed in range(seeds):
        train, test = train_test_split(np.arange(len(y)), test_size=0.5, random_state=seed, stratify=y)
        models = {
            "labels": SoftmaxRegression().fit(X[train], y[train]),
            "ensemble": KnowledgeDistiller(None, SoftmaxRegression(), input="proba").fit(
                X[train], y[train], teacher_scores=ensemble[train]
            ),
            "people": KnowledgeDistiller(None, SoftmaxRegression(), 1.0, 1.0, input="counts").fit(
                X[train], y[train], teacher_scores=votes[train]
            ),
        }
        for name, model in models.items():
            proba = model.predict_proba(X[test])
            found[name].append([log_loss(y[test], proba), soft_log_loss(people[test], proba),
                                accuracy_score(y[test], proba.argmax(axis=1))])  # fmt: skip
    reference = np.array(found["labels"])
    print("taught by   log-loss of labels   of votes   accuracy   gain in votes ± se")
    for name, rows in found.items():
        means, gains = np.mean(rows, axis=0), reference[:, 1] - np.array(rows)[:, 1]
        se = gains.std(ddof=1) / np.sqrt(seeds) if seeds > 1 else np.nan
        print(f"{name:10s}  {means[0]:.4f}  {means[1]:.4f}  {means[2]:.4f}  {gains.mean():+.4f} ± {se:.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--students", default=",".join(students(0)))
    parser.add_argument("--teacher", default="svm", choices=sorted(teachers(0)))
    parser.add_argument("--rows", type=int, default=3750, help="training rows at most, a tenth of them with labels")
    parser.add_argument("--log", type=Path, help="file of finished runs, one a line: added to, and not run again")
    parser.add_argument("--cifar", action="store_true")
    args = parser.parse_args()
    limit_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.simplefilter("ignore", TeacherWarning)
    if args.cifar:
        cifar(args.seeds)
        return
    rows = [json.loads(line) for line in args.log.read_text().splitlines()] if args.log and args.log.exists() else []
    done = {(row["set"], row["seed"], row["student"], row["teacher_name"]) for row in rows}
    for seed in range(args.seeds):
        for name in args.sets.split(","):
            left = [s for s in args.students.split(",") if (name, seed, s, args.teacher) not in done]
            for row in one_run(name, seed, args.teacher, left, args.rows) if left else ():
                rows.append(row)
                print(f"{name} {seed} {row['student']}: {row['fit']:.1f} s", file=sys.stderr, flush=True)
                if args.log:
                    with args.log.open("a") as file:
                        file.write(json.dumps(row) + "\n")
    wanted = args.sets.split(","), args.students.split(",")
    kept = [row for row in rows if row["set"] in wanted[0] and row["student"] in wanted[1]]
    print("\n".join(table([row for row in kept if row["teacher_name"] == args.teacher])))


if __name__ == "__main__":
    main()
