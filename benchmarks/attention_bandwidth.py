"""Bandwidths by leave-one-out: the exact gradient against statsmodels' search, and rows by the ten thousand.

    python benchmarks/attention_bandwidth.py statsmodels [--rows 500] [--repeats 3]
    python benchmarks/attention_bandwidth.py large [--rows 20000] [--threads 2]

"statsmodels" needs that package: one bandwidth for each of four features, two of which matter, by
``KernelReg(bw='cv_ls')`` and by ``choose_bandwidth(metric='ard')``, each in CPU seconds (the fastest of `--repeats` for
ours, one run for theirs). Both losses are the mean squared leave-one-out error by the same few lines of NumPy here.

"large" is rows with ten features, three of which matter: seconds of the wall clock, loss, and the loss of the truth.
"""

import argparse
import time

import numpy as np
from linear import limit_threads

from sksoft.attention.bandwidth import choose_bandwidth


def drawn(n, p, seed):
    """X (n, p) normal; y a smooth function of three of its columns (two where there are only four) and noise."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    truth = np.sin(2.0 * X[:, 0]) + 0.5 * X[:, 1] ** 2 + (np.abs(X[:, 2]) if p > 4 else 0.0)
    return X, truth + 0.3 * rng.standard_normal(n)


def leave_one_out_error(X, y, bandwidth):
    """Mean squared error of the Nadaraya-Watson estimate that leaves the row out."""
    Q = X / bandwidth
    distances = ((Q[:, None, :] - Q) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    weights = np.exp(-0.5 * (distances - distances.min(axis=1, keepdims=True)))
    return float(np.mean((weights @ y / weights.sum(axis=1) - y) ** 2))


def against_statsmodels(args):
    from statsmodels.nonparametric.kernel_regression import KernelReg

    for seed in range(args.seeds):
        X, y = drawn(args.rows, 4, seed)
        seconds = []
        for _ in range(args.repeats):
            begun = time.process_time()
            ours = choose_bandwidth(X, y[:, None], np.ones(len(X)), metric="ard")
            seconds.append(time.process_time() - begun)
        begun = time.process_time()
        theirs = KernelReg(y, X, var_type="c" * X.shape[1], reg_type="lc", bw="cv_ls").bw
        their_seconds = time.process_time() - begun
        losses = [leave_one_out_error(X, y, bandwidth) for bandwidth in (ours.bandwidth[0], theirs)]
        print(
            f"seed {seed}: sksoft {min(seconds):.3f} s, loss {losses[0]:.6f}; statsmodels {their_seconds:.1f} s, loss"
            f" {losses[1]:.6f}: {their_seconds / min(seconds):.0f} times faster",
            flush=True,
        )
        print(f"    bandwidths {np.round(ours.bandwidth[0], 3)} and {np.round(theirs, 3)}")


def large(args):
    X, y = drawn(args.rows, 10, 0)
    for metric in ("scale", "ard"):
        wall, cpu = time.perf_counter(), time.process_time()
        chosen = choose_bandwidth(X, y[:, None], np.ones(len(X)), metric=metric, random_state=0)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(
            f"{args.rows} rows, 10 features, metric={metric!r}: {wall:.1f} s ({cpu:.1f} s CPU), loss {chosen.loss:.4f}"
            f" (noise 0.09), gradient {chosen.gradient_norm:.1e}, {chosen.n_iter} iterations, converged"
            f" {chosen.converged}",
            flush=True,
        )
        print(f"    bandwidths {np.round(chosen.bandwidth[0], 2)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["statsmodels", "large"])
    parser.add_argument("--rows", type=int)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    limit_threads(args.threads or (1 if args.part == "statsmodels" else 2))
    args.rows = args.rows or (500 if args.part == "statsmodels" else 20000)
    (against_statsmodels if args.part == "statsmodels" else large)(args)


if __name__ == "__main__":
    main()
