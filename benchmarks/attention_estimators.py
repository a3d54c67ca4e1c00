"""Attention over the training rows against tuned neighbours, a support vector machine and other kernel regressions.

    python benchmarks/attention_estimators.py classification [--data letter satimage ...] [--log FILE]
    python benchmarks/attention_estimators.py regression [--data diabetes ...] [--log FILE]

70 % of the rows are for training, drawn at random (stratified) with seed 0, and features are standardised on them. One
thread; seconds are CPU time. What is measured is appended to `--log` at once, and what stands there is not measured
again, so a run can be broken off.

**classification**: log-loss (probabilities clipped at 1e-6, which k-NN needs and costs nobody else) and accuracy on the
test rows. k-NN is scikit-learn's with the number of neighbours (1 … 80) and the weights (uniform, distance) of least
log-loss in five folds; the SVM has C = 10, an RBF kernel and a temperature (``CalibratedClassifierCV``); NCA is
scikit-learn's, fitted to 4 000 rows in 30 iterations, with k-NN tuned as before behind it.

**regression**: R² on the test rows. k-NN is tuned as above by squared error; KernelReg is statsmodels' with
``bw='cv_ls'``, and the Gaussian process scikit-learn's with a bandwidth for each feature. Sets: diabetes is
scikit-learn's; income is whether a person of the Adult census earns more than 50 000 dollars, from 6 numbers, 2 000 of
its rows; elevation is that of a cell of covtype from its 9 other numbers, 1 000 rows. KernelReg sees at most 300 of the
training rows, for it takes minutes on these.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import linear_data
import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_diabetes
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NeighborhoodComponentsAnalysis
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import sksoft
from sksoft import AttentionClassifier, AttentionRegressor

CLASSIFICATION = ("satimage", "letter", "pendigits", "splice", "covtype")
REGRESSION = ("diabetes", "income", "elevation")
GRID = {"n_neighbors": [1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 60, 80], "weights": ["uniform", "distance"]}
SMALLEST = 1e-6
KERNEL_REG_ROWS = 300


# ----------------------------------------------------------------------------------------------------- classification


def clipped_loss(y, proba, labels=None):
    proba = np.clip(proba, SMALLEST, None)
    return log_loss(y, proba / proba.sum(axis=1, keepdims=True), labels=labels)


def tuned_neighbours():
    def score(model, X, y):
        return -clipped_loss(y, model.predict_proba(X), labels=model.classes_)

    return GridSearchCV(KNeighborsClassifier(), GRID, scoring=score, cv=5)


class NeighboursAfterNCA:
    def fit(self, X, y):
        rows = np.random.default_rng(0).permutation(len(X))[:4000]
        self.map_ = NeighborhoodComponentsAnalysis(max_iter=30, random_state=0).fit(X[rows], y[rows])
        self.neighbours_ = tuned_neighbours().fit(self.map_.transform(X), y)
        self.classes_ = self.neighbours_.classes_
        return self

    def predict_proba(self, X):
        return self.neighbours_.predict_proba(self.map_.transform(X))


CLASSIFIERS = {
    "AttentionClassifier": lambda: AttentionClassifier(random_state=0),
    "AttentionClassifier, laplace": lambda: AttentionClassifier("laplace", random_state=0),
    "k-NN, tuned": tuned_neighbours,
    "SVM + temperature": lambda: CalibratedClassifierCV(SVC(C=10.0), method="temperature", ensemble=False),
    "NCA + k-NN, tuned": NeighboursAfterNCA,
}


def classification_data(name):
    X, y = linear_data.load(name)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)
    scaler = StandardScaler().fit(X)
    return scaler.transform(X), scaler.transform(X_test), np.asarray(y), np.asarray(y_test)


def judged_classifier(model, X_test, y_test):
    proba = model.predict_proba(X_test)
    labels = model.classes_[proba.argmax(axis=1)]
    return {
        "log_loss": clipped_loss(y_test, proba, labels=model.classes_),
        "accuracy": accuracy_score(y_test, labels),
    }


# --------------------------------------------------------------------------------------------------------- regression


class KernelReg:
    def fit(self, X, y):
        from statsmodels.nonparametric.kernel_regression import KernelReg

        rows = np.random.default_rng(0).permutation(len(X))[:KERNEL_REG_ROWS]
        self.model_ = KernelReg(y[rows], X[rows], var_type="c" * X.shape[1], reg_type="lc", bw="cv_ls")
        return self

    def predict(self, X):
        return self.model_.fit(X)[0]


def gaussian_process():
    class Ard(GaussianProcessRegressor):
        def fit(self, X, y):
            self.kernel = ConstantKernel() * RBF(np.ones(X.shape[1])) + WhiteKernel()
            return super().fit(X, y)

    return Ard(normalize_y=True)


REGRESSORS = {
    "AttentionRegressor": lambda: AttentionRegressor(random_state=0),
    "AttentionRegressor, lines": lambda: AttentionRegressor(degree=1, random_state=0),
    "AttentionRegressor, 2 heads": lambda: AttentionRegressor(n_heads=2, random_state=0),
    "k-NN, tuned": lambda: GridSearchCV(KNeighborsRegressor(), GRID, scoring="neg_mean_squared_error", cv=5),
    "KernelReg, statsmodels": KernelReg,
    "Gaussian process": gaussian_process,
}


def regression_data(name):
    if name == "diabetes":
        X, y = load_diabetes(return_X_y=True)
    elif name == "income":
        frame = pd.read_csv(linear_data.DATA / "fairness" / "adult_train.csv.gz").sample(2000, random_state=0)
        numbers = frame.select_dtypes("number")
        X, y = numbers.to_numpy(np.float64)[:, :6], (frame["income"].str.contains(">50K")).to_numpy(np.float64)
    else:
        X, _ = linear_data.load("covtype")
        X = X[np.random.default_rng(0).permutation(len(X))[:1000], :10]
        X, y = X[:, 1:], X[:, 0]
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, random_state=0)
    scaler = StandardScaler().fit(X)
    return scaler.transform(X), scaler.transform(X_test), y, y_test


def judged_regressor(model, X_test, y_test):
    return {"r2": r2_score(y_test, model.predict(X_test))}


# ---------------------------------------------------------------------------------------------------------------- run


def measured(make, data, judge):
    X, X_test, y, y_test = data
    model = make()
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y)
    fitted = time.process_time()
    result = judge(model, X_test, y_test)
    return {**result, "fit_s": fitted - start, "predict_s": time.process_time() - fitted}


def run(task, names, log, models, load, judge):
    done = {}
    if log.exists():
        for line in log.read_text().splitlines():
            entry = json.loads(line)
            done[entry["task"], entry["data"], entry["model"]] = entry
    for name in names:
        data = load(name)
        print(f"{name}: {data[0].shape[0]} rows, {data[0].shape[1]} features, {len(data[1])} test rows", flush=True)
        for model, make in models.items():
            entry = done.get((task, name, model))
            if entry is None:
                entry = {"task": task, "data": name, "model": model, **measured(make, data, judge)}
                with log.open("a") as file:
                    file.write(json.dumps(entry) + "\n")
            numbers = "  ".join(f"{key} {value:9.4f}" for key, value in entry.items() if isinstance(value, float))
            print(f"  {model:30s} {numbers}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["classification", "regression"])
    parser.add_argument("--data", nargs="+")
    parser.add_argument("--models", nargs="+", help="only those whose names begin so")
    parser.add_argument("--log", type=Path, default=Path("attention_estimators.jsonl"))
    args = parser.parse_args()
    sksoft.set_config(n_threads=1)
    if args.task == "classification":
        names, models, load, judge = CLASSIFICATION, CLASSIFIERS, classification_data, judged_classifier
    else:
        names, models, load, judge = REGRESSION, REGRESSORS, regression_data, judged_regressor
    if args.models:
        models = {name: make for name, make in models.items() if name.startswith(tuple(args.models))}
    run(args.task, args.data or names, args.log, models, load, judge)


if __name__ == "__main__":
    main()
