"""Size and power of the calibration tests, by simulation.

    python benchmarks/calibration_tests.py [--quick] [--runs N]

True probabilities are softmax of normal scores of standard deviation 1.5; labels are drawn from them. Stated are

    calibrated        the same probabilities: the share of p-values <= 0.05 is the size
    temperature 1.5   p ∝ q^1.5, too sure by half
    shifted priors    p ∝ q times 1.5 for the first class
    one class off     the first class's probability to the power 1.4, the others scaled to what is left

A share out of N runs has a Monte-Carlo error of 1.96 (0.05 · 0.95 / N)^½ around 0.05. Sizes beyond it are marked ``+``
(too many rejections) or ``-`` (conservative), beyond twice of it ``++`` or ``--``.
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning

from sksoft.metrics import calibration_test

LEVEL = 0.05
SIZES = (200, 1000)
# Fits of drawn labels take long: not at the larger size.
SLOW = ("Cox, resampling",)

TESTS = {
    "bootstrap ECE": {"method": "bootstrap"},
    "bootstrap ECE, equal mass": {"method": "bootstrap", "strategy": "quantile"},
    "bootstrap ECE, class-wise": {"method": "bootstrap", "mode": "classwise"},
    "SKCE": {"method": "skce"},
    "SKCE, linear": {"method": "skce", "estimator": "linear"},
    "Spiegelhalter": {"method": "spiegelhalter"},
    "Spiegelhalter, class-wise, Bonferroni": {"method": "spiegelhalter", "mode": "classwise", "null": "asymptotic"},
    "Spiegelhalter, resampling": {"method": "spiegelhalter", "null": "resampling"},
    "Cox": {"method": "cox"},
    "Cox, resampling": {"method": "cox", "null": "resampling"},
    "KS": {"method": "cumulative"},
    "KS, class-wise, Bonferroni": {"method": "cumulative", "mode": "classwise", "null": "asymptotic"},
    "KS, class-wise, resampling": {"method": "cumulative", "mode": "classwise", "null": "resampling"},
    "KS, resampling": {"method": "cumulative", "null": "resampling"},
    "Kuiper": {"method": "cumulative", "statistic": "kuiper"},
    "Kuiper, resampling": {"method": "cumulative", "statistic": "kuiper", "null": "resampling"},
}


def stated(truth, alternative):
    """What the predictions say where the truth is `truth`, (n, K)."""
    if alternative == "temperature 1.5":
        said = truth**1.5
    elif alternative == "shifted priors":
        said = truth * np.where(np.arange(truth.shape[1]) == 0, 1.5, 1.0)
    elif alternative == "one class off":
        first = truth[:, :1] ** 1.4
        said = np.hstack([first, truth[:, 1:] * (1 - first) / (1 - truth[:, :1])])
    else:
        said = truth
    return said / said.sum(axis=1, keepdims=True)


def rejections(options, alternative, n_rows, n_classes, n_runs, n_resamples):
    """Share of runs with a p-value of at most the level."""
    rejected = 0
    for run in range(n_runs):
        rng = np.random.default_rng([run, n_rows, n_classes])
        truth = softmax(1.5 * rng.normal(size=(n_rows, n_classes)), axis=1)
        y = (truth.cumsum(axis=1) < rng.random((n_rows, 1))).sum(axis=1).clip(max=n_classes - 1)
        said = stated(truth, alternative)
        said = said[:, 1] if n_classes == 2 else said
        result = calibration_test(
            y, said, labels=range(n_classes), n_resamples=n_resamples, random_state=run, **options
        )
        rejected += result.pvalue <= LEVEL
    return rejected / n_runs


def marked(size, n_runs):
    """A size, and how far it is beyond the Monte-Carlo error."""
    error = 1.96 * np.sqrt(LEVEL * (1 - LEVEL) / n_runs)
    beyond = int(min(abs(size - LEVEL) // error, 2))
    return f"{size:.3f}" + ("+" if size > LEVEL else "-") * beyond


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100 runs")
    parser.add_argument("--runs", type=int, default=1000, help="runs for a size; a fifth for a power")
    parser.add_argument("--resamples", type=int, default=99)
    arguments = parser.parse_args()
    n_runs = 100 if arguments.quick else arguments.runs
    warnings.simplefilter("ignore", ConvergenceWarning)
    rows = []
    for n_classes in (2, 5):
        for name, options in TESTS.items():
            if n_classes == 2 and "class-wise" in name:
                continue
            row = {"K": n_classes, "test": name}
            start = time.process_time()
            sizes = SIZES[:1] if name in SLOW else SIZES
            found = [rejections(options, "calibrated", n, n_classes, n_runs, arguments.resamples) for n in sizes]
            row["size"] = "  ".join(marked(size, n_runs) for size in found)
            for alternative in ("temperature 1.5", "shifted priors", "one class off"):
                found = [
                    rejections(options, alternative, n, n_classes, n_runs // 5, arguments.resamples) for n in sizes
                ]
                row[alternative] = "  ".join(f"{power:.2f}" for power in found)
            row["seconds"] = f"{time.process_time() - start:.0f}"
            rows.append(row)
            print(f"K={n_classes} {name}", flush=True)
    error = 1.96 * np.sqrt(LEVEL * (1 - LEVEL) / n_runs)
    print(
        f"{n_runs} runs a size (Monte-Carlo error {error:.3f}), {n_runs // 5} a power, B = {arguments.resamples};"
        " n = 200 and 1000"
    )
    print(pd.DataFrame(rows).to_string(index=False, justify="left"))


if __name__ == "__main__":
    main()
