"""A tenth of the labels, a support vector machine that knows better, and a student of a few kilobytes.

Pen strokes of ten digits: 300 with labels, 3 000 without. A softmax regression and a small tree learn from the labels,
and from what a support vector machine says of all rows; the table has loss, accuracy, size and time of each.

    python examples/distill_a_teacher.py [pendigits.csv.gz]

The data are the pen-based digits of the UCI repository (Alpaydin, Alimoglu, 1998). Without the file, scikit-learn's
small digits are taken, 180 with labels.
"""

import pickle
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from sksoft import CalibratedSoftmaxClassifier, KnowledgeDistiller, SoftmaxRegression

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "multiclass" / "pendigits.csv.gz"


def load(path):
    """Features, labels, and how many rows have theirs."""
    if not path.exists():
        X, y = load_digits(return_X_y=True)
        return X / 16, y, 180
    frame = pd.read_csv(path)
    X = StandardScaler().fit_transform(frame.drop(columns="class"))
    some = np.random.default_rng(0).permutation(len(X))[:5000]
    return X[some], frame["class"].to_numpy()[some], 300


def line(name, model, X, y):
    """Print one row of the table."""
    start = perf_counter()
    proba = model.predict_proba(X)
    seconds = perf_counter() - start
    size = len(pickle.dumps(getattr(model, "student_", model))) / 1024
    print(
        f"{name:28} {log_loss(y, proba):8.3f} {np.mean(model.predict(X) == y):9.3f} {size:9.0f}"
        f" {1e6 * seconds / len(y):12.1f}"
    )


def main(path):
    X, y, n_labels = load(path)
    X, X_test, y, y_test = train_test_split(X, y, test_size=1 / 3, random_state=0, stratify=y)
    X, X_unlabeled, y, _ = train_test_split(X, y, train_size=n_labels, random_state=0, stratify=y)
    teacher = CalibratedSoftmaxClassifier(OneVsRestClassifier(SVC(C=10.0)), "temperature")
    print(f"{'':28} {'log-loss':>8} {'accuracy':>9} {'KiB':>9} {'µs a row':>12}")
    line("support vector machine", teacher.fit(X, y), X_test, y_test)
    students = {"softmax": SoftmaxRegression(), "tree": DecisionTreeClassifier(max_depth=8, random_state=0)}
    for name, student in students.items():
        line(f"{name}, labels alone", student.fit(X, y), X_test, y_test)
        distiller = KnowledgeDistiller(teacher, student).fit(X, y, X_unlabeled=X_unlabeled)
        line(f"{name}, taught", distiller, X_test, y_test)
        print(
            f"    T = {distiller.temperature_:g}, alpha = {distiller.alpha_:g}, {distiller.adapter_['name']}; held-out"
            f" log-loss of the teacher {distiller.teacher_loss_:.3f}, of labels alone {distiller.student_loss_:.3f}"
        )
    similar = distiller.class_similarity_ - np.diag(np.diag(distiller.class_similarity_))
    first, second = np.unravel_index(similar.argmax(), similar.shape)
    print(f"The teacher's most alike pair: a {distiller.classes_[first]} that could be a {distiller.classes_[second]}.")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
