"""Calibrators against scikit-learn's and probmetrics', on the same rows in one run: time, test loss, gradient, memory.

    python benchmarks/calibrators.py [--quick] [--data ../shared/data]

One thread. Each line is the median CPU time of rounds of runs in a row, in turn with the others; ours validate their
input. "NLL" is that of rows not fitted to. "slope" is |dF/dβ| of the log-loss at the temperature found, in units of
the median range of a row of scores: 0 at the best one. Peers that are not installed are left out. Memory is the largest
resident size of a process that does this fit alone, less what it had before.
"""

import argparse
import contextlib
import io
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from scipy.special import softmax

import sksoft
from sksoft import StructuredMatrixScaler, TemperatureScaler, VectorScaler


def resnet110(folder):
    """Logits of ResNet-110 on CIFAR-10 (Kull et al. 2019): 5 000 rows to fit to, 10 000 to judge by."""
    data = np.load(folder / "calibration" / "cifar10_resnet110_logits.npz")
    names = ("val_logits", "val_labels", "test_logits", "test_labels")
    return [data[name].squeeze() for name in names]


def synthetic(n_rows, n_classes, seed=0):
    """Scores that are too small, of classes some of which are worse than others, and labels drawn from right ones."""
    rng = np.random.default_rng(seed)
    factors, shifts = 1.0 + 0.2 * rng.normal(size=n_classes), 0.3 * rng.normal(size=n_classes)

    def draw():
        scores = (2.0 * rng.normal(size=(n_rows, n_classes))).astype(np.float32)
        honest = 1.35 * scores * factors + shifts
        y = (honest + rng.gumbel(size=honest.shape)).argmax(axis=1)
        y[:n_classes] = np.arange(n_classes)  # every class occurs
        return scores, y

    return [*draw(), *draw()]


def loss(proba, y):
    return float(-np.log(np.maximum(proba[np.arange(len(y)), y], 1e-300)).mean())


def slope(scores, y, beta):
    """|dF/dβ|, in units of the median range of a row."""
    total, unit = 0.0, np.median(np.ptp(scores, axis=1))
    for rows in np.array_split(np.arange(len(y)), max(1, scores.size // 10**6)):
        z = scores[rows].astype(np.float64)
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(beta * z)
        total += ((p * z).sum(axis=1) / p.sum(axis=1) - z[np.arange(len(z)), y[rows]]).sum()
    return abs(total) / len(y) / unit


class SklearnTemperature:
    def __init__(self):
        from sklearn.calibration import _TemperatureScaling

        self.inner = _TemperatureScaling()

    def fit(self, X, y):
        self.inner.fit(X, y)
        self.beta = float(self.inner.beta_)
        return self

    def predict_proba(self, X):
        return self.inner.predict(X)


class Probmetrics:
    """Takes probabilities; they are made before the clock starts."""

    def __init__(self, name):
        import torch
        from probmetrics import calibrators

        torch.set_num_threads(1)
        self.inner = getattr(calibrators, f"{name}Calibrator")()

    def fit(self, X, y):
        with contextlib.redirect_stdout(io.StringIO()):
            self.inner.fit(X, y)
        return self

    def predict_proba(self, X):
        return np.asarray(self.inner.predict_proba(X))

    @property
    def beta(self):
        return float(self.inner.invtemp_)


TASKS = {
    "temperature": {
        "sksoft": TemperatureScaler,
        "scikit-learn": SklearnTemperature,
        "probmetrics": lambda: Probmetrics("TemperatureScaling"),
    },
    "structured vector": {
        "sksoft": lambda: StructuredMatrixScaler(structure="vector"),
        "probmetrics": lambda: Probmetrics("SVS"),
    },
    "vector": {"sksoft": VectorScaler, "probmetrics": lambda: Probmetrics("VectorScaling")},
    "structured matrix": {"sksoft": StructuredMatrixScaler, "probmetrics": lambda: Probmetrics("SMS")},
}


def found(make):
    """The makers of a task whose package is installed."""
    try:
        make()
    except ImportError:
        return False
    return True


def measure(makers, data, repeats):
    """Median seconds and a fitted object by name, the runs of all in turn."""
    X, y, _, _ = data
    proba = softmax(X.astype(np.float64), axis=1).astype(X.dtype)
    times, fitted = {name: [] for name in makers}, {}
    for name, make in makers.items():  # compiles
        fitted[name] = make().fit(proba if name == "probmetrics" else X, y)
    for _ in range(repeats):
        for name, make in makers.items():
            for _ in range(repeats):
                calibrator, inputs = make(), proba if name == "probmetrics" else X
                start = time.process_time()
                calibrator.fit(inputs, y)
                times[name].append(time.process_time() - start)
    return {name: float(np.median(runs)) for name, runs in times.items()}, fitted


def report(task, title, data, repeats):
    makers = {name: make for name, make in TASKS[task].items() if found(make)}
    X, y, X_test, y_test = data
    seconds, fitted = measure(makers, data, repeats)
    for name, calibrator in fitted.items():
        X_new = softmax(X_test.astype(np.float64), axis=1) if name == "probmetrics" else X_test
        text = f"NLL {loss(calibrator.predict_proba(X_new), y_test):.6f}"
        if task == "temperature":
            beta = 1.0 / calibrator.temperature_ if name == "sksoft" else calibrator.beta
            text += f"  T {1.0 / beta:.6f}  slope {slope(X, y, beta):.1e}"
        elif name == "sksoft":
            text += f"  proved within {calibrator.gap_:.1e}"
        ratio = seconds[name] / seconds["sksoft"]
        print(f"{task:18} {title:14} {name:13} {1e3 * seconds[name]:10.2f} ms  {ratio:6.1f}x  {text}", flush=True)


def memory(task, n_rows, n_classes):
    """MiB that a fit adds to a process, measured in one of its own."""
    code = f"from benchmarks.calibrators import own_memory; own_memory({task!r}, {n_rows}, {n_classes})"
    root = Path(__file__).resolve().parents[1]
    return subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True).stdout


def own_memory(task, n_rows, n_classes):
    sksoft.set_config(n_threads=1)
    make = TASKS[task]["sksoft"]
    make().fit(*synthetic(2000, 100)[:2])  # compiles
    X, y, _, _ = synthetic(n_rows, n_classes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    filled = np.ones(max(0, before - current()) * 1024 // 8)  # what was freed since counts as used, so that it does
    make().fit(X, y)
    del filled
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{(after - before) / 1024:.0f} MiB beside scores of {X.nbytes >> 20} MiB")


def current():
    """Resident KiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="without the cases of 50 000 x 1000")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")  # of peers
    sksoft.set_config(n_threads=1)
    if options.data.is_dir():
        data = resnet110(options.data)
        for task in TASKS:
            report(task, "5 000 x 10", data, 6)
    if not options.quick:
        data = synthetic(50_000, 1000)
        for task in ("temperature", "structured vector"):
            report(task, "50 000 x 1000", data, 1)
            print(f"{task:18} {'50 000 x 1000':14} memory of a fit: {memory(task, 50_000, 1000)}", end="", flush=True)


if __name__ == "__main__":
    main()
