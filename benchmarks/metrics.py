"""Calibration metrics against torchmetrics, netcal, relplot, fairlearn and hand-written NumPy, on the same data.

    python benchmarks/metrics.py [--quick]

Every line gives the best of several runs and the value computed, so that speed is never compared between different
answers. Peers that are not installed are left out. Validation of input and encoding of labels are included in ours.
Times are processor time for one thread, wall time for two.
"""

import argparse
import time
import tracemalloc

import numpy as np

import sksoft
from sksoft.metrics import (
    adaptive_calibration_error,
    bootstrap_interval,
    calibration_error_interval,
    classwise_calibration_error,
    cumulative_calibration_error,
    expected_calibration_error,
    group_calibration,
    kernel_calibration_error,
    monotone_sweep_calibration_error,
    smooth_calibration_error,
)

N_BINS = 15


def best_time(function, repeats, seconds=1.0):
    """Best time in ms over `repeats` runs or `seconds`, whichever ends later, after one warm-up; last value."""
    clock = time.process_time if sksoft.get_config()["n_threads"] == 1 else time.perf_counter
    value = function()
    best, spent, runs = np.inf, 0.0, 0
    while runs < repeats or spent < seconds:
        start = clock()
        value = function()
        elapsed = clock() - start
        best, spent, runs = min(best, elapsed), spent + elapsed, runs + 1
    return 1e3 * best, value


def peak_memory(function):
    """Most memory in MB that Python and NumPy hold for one call."""
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def hand_written(confidence, hits, n_bins=N_BINS):
    """The few lines a competent user writes; bins [l, u)."""
    bins = np.minimum((confidence * n_bins).astype(np.intp), n_bins - 1)
    return np.abs(np.bincount(bins, confidence - hits, minlength=n_bins)).sum() / len(confidence)


def hand_written_classwise(proba, y):
    n_rows, n_classes = proba.shape
    bins = np.minimum((proba * N_BINS).astype(np.intp), N_BINS - 1)
    cells = bins + N_BINS * np.arange(n_classes)
    sums = np.bincount(cells.ravel(), proba.ravel(), minlength=N_BINS * n_classes)
    hits = np.bincount(cells[np.arange(n_rows), y], minlength=N_BINS * n_classes)
    return np.abs(sums - hits).sum() / n_rows / n_classes


def naive_classwise(proba, y):
    """A loop over the classes."""
    return np.mean([hand_written(column, y == k) for k, column in enumerate(proba.T)])


def full_matrix(n_rows, n_classes, rng):
    """ECE of the top label of a matrix of probabilities."""
    proba = rng.standard_exponential((n_rows, n_classes)) ** 4
    proba /= proba.sum(axis=1, keepdims=True)
    y = np.where(
        rng.random(n_rows) < 0.6 * proba.max(axis=1) + 0.1, proba.argmax(axis=1), rng.integers(0, n_classes, n_rows)
    )
    yield "sksoft", lambda: expected_calibration_error(y, proba)
    yield "hand NumPy", lambda: hand_written(proba.max(axis=1), proba.argmax(axis=1) == y)
    try:
        import torch
        from torchmetrics.functional.classification import multiclass_calibration_error

        torch.set_num_threads(sksoft.get_config()["n_threads"])
        tensors = torch.from_numpy(proba), torch.from_numpy(y)
        yield "torchmetrics", lambda: float(multiclass_calibration_error(*tensors, n_classes, n_bins=N_BINS))
    except ImportError:
        pass
    try:
        from netcal.metrics import ECE

        yield "netcal", lambda: float(ECE(N_BINS).measure(proba, y))
    except ImportError:
        pass


def top_confidences(n_rows, rng):
    """ECE of a vector of confidences."""
    confidence = rng.random(n_rows)
    hits = (rng.random(n_rows) < confidence**1.2).astype(np.intp)
    yield "sksoft (int)", lambda: expected_calibration_error(hits, confidence)
    yield "sksoft (bool)", lambda as_bool=hits == 1: expected_calibration_error(as_bool, confidence)
    yield "hand NumPy", lambda: hand_written(confidence, hits)
    try:
        import relplot

        yield "relplot", lambda: float(relplot.metrics.binnedECE(confidence, hits, nbins=N_BINS))
    except ImportError:
        pass
    try:
        import torch
        from torchmetrics.functional.classification import binary_calibration_error

        tensors = torch.from_numpy(confidence), torch.from_numpy(hits)
        yield "torchmetrics", lambda: float(binary_calibration_error(*tensors, n_bins=N_BINS))
    except ImportError:
        pass
    try:
        from netcal.metrics import ECE

        yield "netcal", lambda: float(ECE(N_BINS).measure(confidence, hits))
    except ImportError:
        pass


def every_class(n_rows, n_classes, rng):
    """Class-wise ECE."""
    proba = rng.standard_exponential((n_rows, n_classes)) ** 4
    proba /= proba.sum(axis=1, keepdims=True)
    y = rng.integers(0, n_classes, n_rows)
    yield "sksoft", lambda: classwise_calibration_error(y, proba)
    yield "hand NumPy, one bincount", lambda: hand_written_classwise(proba, y)
    yield "hand NumPy, a loop over classes", lambda: naive_classwise(proba, y)


def without_bins(n_rows, rng):
    """Smooth and cumulative errors of a vector of confidences that are too high here and too low there."""
    confidence = rng.random(n_rows)
    hits = (rng.random(n_rows) < confidence + 0.04 * np.sin(9 * confidence)).astype(np.intp)
    yield "sksoft smECE", lambda: smooth_calibration_error(hits, confidence)
    try:
        import relplot

        yield "relplot smECE", lambda: float(relplot.metrics.smECE(confidence, hits))
    except ImportError:
        pass
    yield "sksoft KS", lambda: cumulative_calibration_error(hits, confidence)
    try:
        from mapie.metrics.calibration import kolmogorov_smirnov_statistic, length_scale

        yield "MAPIE KS", lambda: kolmogorov_smirnov_statistic(hits, confidence) * length_scale(confidence)
    except ImportError:
        pass
    yield "sksoft monotone sweep", lambda: monotone_sweep_calibration_error(hits, confidence)
    yield "sksoft 15 bins of equal mass", lambda: adaptive_calibration_error(hits, confidence)


def intervals(n_rows, rng):
    """Debiased ECE with 1000 bootstrap resamples; the value is the high end."""
    confidence = rng.random(n_rows)
    hits = (rng.random(n_rows) < confidence**1.2).astype(np.intp)
    options = {"debias": True, "n_resamples": 1000, "random_state": 0}
    yield "sksoft, l1", lambda: calibration_error_interval(hits, confidence, **options).high
    yield "sksoft, l2", lambda: calibration_error_interval(hits, confidence, norm="l2", **options).high
    few = options | {"n_resamples": 10}
    yield (
        "through weights, 10 resamples",
        lambda: bootstrap_interval(expected_calibration_error, hits, confidence, method="centered", **few).high,
    )


def kernel_errors(n_rows, n_classes, rng):
    """Squared kernel calibration error, total variation kernel."""
    proba = rng.dirichlet(np.full(n_classes, 0.2), n_rows)
    y = rng.integers(0, n_classes, n_rows)
    yield "sksoft, median bandwidth", lambda: kernel_calibration_error(y, proba)
    yield "sksoft, given bandwidth", lambda: kernel_calibration_error(y, proba, bandwidth=0.9)
    yield "sksoft, linear", lambda: kernel_calibration_error(y, proba, bandwidth=0.9, estimator="linear")
    yield "hand NumPy, all pairs at once", lambda: hand_written_kernel(proba, y, 0.9)


def hand_written_kernel(proba, y, bandwidth):
    from scipy.spatial.distance import pdist, squareform

    residuals = np.eye(proba.shape[1])[y] - proba
    h = np.exp(-0.5 * squareform(pdist(proba, "cityblock")) / bandwidth) * (residuals @ residuals.T)
    return (h.sum() - np.trace(h)) / len(y) / (len(y) - 1)


def groups(n_rows, n_groups, rng):
    """ECE by group; the value is the largest. Ours computes all columns of its table, the peers the ECE alone."""
    confidence = rng.random(n_rows)
    hits = (rng.random(n_rows) < confidence**1.2).astype(np.intp)
    codes = rng.integers(0, n_groups, n_rows)
    names = np.array([f"group {i}" for i in range(n_groups)], dtype=object)[codes]

    def ours(features, **options):
        return lambda: group_calibration(hits, confidence, features, random_state=0, **options)["ece"][1:].max()

    yield "sksoft, 0 resamples (int)", ours(codes, n_resamples=0)
    yield "sksoft, 0 resamples (str)", ours(names, n_resamples=0)
    yield "sksoft, 999 resamples", ours(codes)
    yield "hand NumPy, ECE alone", lambda: hand_written_groups(confidence, hits, codes, n_groups)
    try:
        from fairlearn.metrics import MetricFrame

        def by_frame(features):
            frame = MetricFrame(
                metrics=lambda y_true, y_pred: hand_written(y_pred, y_true),
                y_true=hits,
                y_pred=confidence,
                sensitive_features=features,
            )
            return frame.by_group.max()

        yield "fairlearn, ECE alone (int)", lambda: by_frame(codes)
        yield "fairlearn, ECE alone (str)", lambda: by_frame(names)
    except ImportError:
        pass


def hand_written_groups(confidence, hits, codes, n_groups):
    bins = np.minimum((confidence * N_BINS).astype(np.intp), N_BINS - 1)
    gaps = np.bincount(codes * N_BINS + bins, confidence - hits, minlength=N_BINS * n_groups)
    return (np.abs(gaps.reshape(n_groups, N_BINS)).sum(axis=1) / np.bincount(codes, minlength=n_groups)).max()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    parser.add_argument("--only", default="", help="cases whose title holds this text")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    arguments = parser.parse_args()
    scale = 10 if arguments.quick else 1
    cases = [
        ("ECE of 50 000 × 1000 probabilities", full_matrix, (50_000 // scale, 1000)),
        ("ECE of 10⁶ top confidences", top_confidences, (1_000_000 // scale,)),
        ("class-wise ECE of 50 000 × 1000 probabilities", every_class, (50_000 // scale, 1000)),
        ("ECE of 200 000 rows by 50 groups", groups, (200_000 // scale, 50)),
        ("errors without bins of 10⁶ confidences", without_bins, (1_000_000 // scale,)),
        ("debiased ECE of 10⁶ confidences with 1 000 resamples", intervals, (1_000_000 // scale,)),
        ("kernel calibration error of 10 000 × 10", kernel_errors, (10_000 // scale, 10)),
    ]
    for n_threads in arguments.threads:
        sksoft.set_config(n_threads=n_threads)
        for title, case, sizes in (c for c in cases if arguments.only in c[0]):
            print(f"\n{title}, {n_threads} thread(s)")
            reference = None
            for name, function in case(*sizes, np.random.default_rng(0)):
                elapsed, value = best_time(function, repeats=3)
                reference = reference or elapsed
                peak = peak_memory(function)
                print(
                    f"  {name:34} {elapsed:9.2f} ms  ×{elapsed / reference:7.2f}  {peak:8.1f} MB  value {value:.7f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
