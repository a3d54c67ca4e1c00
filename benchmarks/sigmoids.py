"""SigmoidClassifier against scikit-learn's OneVsRestClassifier(LogisticRegression): time, memory, many labels.

    python benchmarks/sigmoids.py [--sets yeast,bibtex] [--threads 1] [--runs 3] [--C 1.0]
    python benchmarks/sigmoids.py --memory       # peak extra memory of the same fits
    python benchmarks/sigmoids.py --many         # 10 000 labels, sparse Y: time, memory, and scikit-learn on 50 of them
    python benchmarks/sigmoids.py --incoherence  # one-vs-rest beside softmax on sets of classes, fitted to half of each

Two goals, each for every label: its objective within 1e-6 of the optimum, relatively; and its mean log-loss, on the
rows of the fit and on held-out rows, within 1e-6 nats of the optimum's. Every solver runs with each `tol` of a grid,
and of the runs that reach a goal its fastest counts, ours and theirs alike: what a user would need who knew the best
`tol`. The optimum is from a fit to a proved relative gap of 1e-12 whose gradient is computed again here, in NumPy.

Times are CPU seconds for one thread; for more they are wall seconds, and scikit-learn runs both with ``n_jobs`` of as
many, its workers started before, and without. Its BLAS has one thread either way: on a busy machine more of them wait
for each other, and its time multiplies. The least of the runs counts. Compiled functions come from the cache on disk.
"""

import argparse
import ctypes
import gc
import json
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import linear_data
import numpy as np
from joblib import parallel_config
from linear import limit_threads
from linear_costs import MIB, resident
from linear_rivals import CLOCKS, machine
from scipy import sparse
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier
from threadpoolctl import threadpool_limits

import sksoft
from sksoft.linear import ovr_incoherence

GOAL = 1e-6
OURS = (1e-6, 1e-7, 1e-8, 1e-9)
RIVALS = {
    "lbfgs": (1e-5, 1e-6, 1e-7, 1e-8),
    "newton-cg": (1e-4, 1e-5, 1e-6, 1e-7, 1e-8),
    "newton-cholesky": (1e-4, 1e-5, 1e-6, 1e-7),
    "sag": (1e-3, 1e-4, 1e-5),
}
# newton-cholesky forms p × p Hessians, and sag takes minutes for bibtex to come within 1e-1 of the optimum.
SETS = {"yeast": tuple(RIVALS), "bibtex": ("lbfgs", "newton-cg")}
# The fastest of each set and goal, known from the races, so that memory is not measured for the slow ones.
FASTEST = {"yeast": ("newton-cholesky", 1e-6), "bibtex": ("lbfgs", 1e-7)}
MANY = {"n_rows": 10_000, "n_features": 1_000, "n_labels": 10_000, "per_row": 5}


def load(name, part):
    """X (n, p) float64, dense or CSR, and Y (n, L) CSR of one of the parts 'train' and 'test'."""
    with np.load(linear_data.DATA / "multilabel" / f"{name}.npz") as file:

        def csr(key):
            ones = np.ones(len(file[f"{key}_indices"]))
            values = file[f"{key}_data"].astype(np.float64) if f"{key}_data" in file else ones
            return sparse.csr_array((values, file[f"{key}_indices"], file[f"{key}_indptr"]), shape=file[f"{key}_shape"])

        X = file[f"X_{part}"].astype(np.float64) if f"X_{part}" in file else csr(f"X_{part}")
        return X, csr(f"Y_{part}")


def many():
    """Sparse features, and labels of which each row has five that its features speak for; frequencies fall off."""
    rng = np.random.default_rng(0)
    X = sparse.random_array((MANY["n_rows"], MANY["n_features"]), density=0.03, format="csr", rng=rng)
    topics = rng.integers(0, MANY["n_features"], size=(MANY["n_labels"], 4))
    popularity = -np.log(np.arange(1, MANY["n_labels"] + 1))
    labels = []
    for rows in np.array_split(np.arange(MANY["n_rows"]), 50):
        dense = X[rows].toarray()
        scores = 6.0 * dense[:, topics].sum(axis=2) + 0.7 * popularity + rng.gumbel(size=(len(rows), MANY["n_labels"]))
        labels.append(np.argpartition(-scores, MANY["per_row"], axis=1)[:, : MANY["per_row"]])
    indices = np.concatenate(labels).ravel()
    indptr = np.arange(0, len(indices) + 1, MANY["per_row"])
    Y = sparse.csr_array((np.ones(len(indices)), indices, indptr), shape=(MANY["n_rows"], MANY["n_labels"]))
    return X, Y


def log_losses(coef, intercept, X, Y):
    """Mean log-loss of each label in nats."""
    scores = X @ coef.T + intercept
    return np.mean(np.logaddexp(0.0, scores) - Y.toarray() * scores, axis=0)


def optimum(X, Y, C):
    """The optimum's coefficients, intercepts and objectives, with a proof from NumPy alone."""
    model = sksoft.SigmoidClassifier(C=C, tol=1e-12, max_iter=10_000).fit(X, Y)
    n_rows, coef = X.shape[0], model.coef_
    residual = (expit(X @ coef.T + model.intercept_) - Y.toarray()) / n_rows
    slope, level = (X.T @ residual).T + coef / (C * n_rows), residual.sum(axis=0)
    values = log_losses(coef, model.intercept_, X, Y) + np.sum(coef**2, axis=1) / (2 * C * n_rows)
    # F is strongly convex in W, also after minimising over b; what is left of b's derivative is rounding
    bound = np.sum(slope**2, axis=1) * (C * n_rows / 2) / values
    if max(bound.max(), np.abs(level).max()) > 1e-9:
        raise SystemExit(f"not an optimum: relative gap {bound.max():g}, derivative in b {np.abs(level).max():g}")
    return coef, model.intercept_, values


def estimator_of(solver, tol, C):
    """A solver with two processes is written as "lbfgs*2"."""
    if solver == "sksoft":
        return sksoft.SigmoidClassifier(C=C, tol=tol)
    solver, _, n_jobs = solver.partition("*")
    model = LogisticRegression(solver=solver, tol=tol, C=C, max_iter=100_000)
    return OneVsRestClassifier(model, n_jobs=int(n_jobs or 1))


def parameters(model):
    if isinstance(model, sksoft.SigmoidClassifier):
        return model.coef_, model.intercept_
    return tuple(np.vstack([getattr(e, name) for e in model.estimators_]) for name in ("coef_", "intercept_"))


def timed(model, X, Y, clock, runs):
    """The least seconds of several fits, of at least a second together."""
    seconds = []
    while len(seconds) < runs or (runs > 1 and sum(seconds) < 1.0):
        with warnings.catch_warnings(), limits(model):
            warnings.simplefilter("ignore")
            begin = clock()
            model.fit(X, Y)
            seconds.append(clock() - begin)
    return min(seconds)


@contextmanager
def limits(model):
    """One thread of BLAS for scikit-learn and its workers; our fits see to it themselves."""
    if isinstance(model, sksoft.SigmoidClassifier):
        yield
        return
    with threadpool_limits(1), parallel_config("loky", inner_max_num_threads=1):
        yield


def race(name, args):
    """Fastest run of each solver to both goals."""
    (X, Y), held_out = load(name, "train"), load(name, "test")
    best = optimum(X, Y, args.C)
    losses = [log_losses(*best[:2], *part) for part in ((X, Y), held_out)]
    fastest = {}
    suffixes = ["", f"*{args.threads}"] if args.threads > 1 else [""]
    solvers = [f"{solver}{suffix}" for solver in SETS[name] for suffix in suffixes]
    for solver in ["sksoft", *solvers]:
        labels = Y if solver == "sksoft" else Y.toarray().astype(np.int64)
        if "*" in solver:
            timed(estimator_of(solver, 1e-2, args.C), X[:500], labels[:500, :4], time.perf_counter, 1)
        for tol in OURS if solver == "sksoft" else RIVALS[solver.partition("*")[0]]:
            model = estimator_of(solver, tol, args.C)
            seconds = timed(model, X, labels, CLOCKS[args.clock], args.runs)
            coef, intercept = (np.asarray(p) for p in parameters(model))
            intercept = intercept.ravel()
            own = [log_losses(coef, intercept, *part) for part in ((X, Y), held_out)]
            values = own[0] + np.sum(coef**2, axis=1) / (2 * args.C * X.shape[0])
            gap = float(np.max(values / best[2] - 1.0))
            apart = [float(np.abs(a - b).max()) for a, b in zip(own, losses)]
            print(f"|{name}|{solver}|{tol:g}|{seconds:.4f}|{gap:.1e}|{apart[0]:.1e}|{apart[1]:.1e}|", flush=True)
            for goal, reached in {"objective": gap, "log-losses": max(apart)}.items():
                if reached <= GOAL:
                    previous = fastest.get((goal, solver), (np.inf, tol))
                    fastest[goal, solver] = min(previous, (seconds, tol))
            if max(gap, *apart) <= GOAL:
                break
    summary = []
    for goal in ("objective", "log-losses"):
        ours, tol = fastest[goal, "sksoft"]
        theirs, solver = min((s, other) for (g, other), (s, _) in fastest.items() if g == goal and other != "sksoft")
        summary.append(f"{name}, {goal} to {GOAL:g}: {theirs / ours:.1f}x ({solver} {theirs:.3f} s, ours {ours:.3f} s)")
    return summary


def races(args):
    print(f"sksoft {sksoft.__version__}", *(f"{k} {v}" for k, v in machine().items()), sep=", ")
    print(f"{args.threads} thread(s), {args.clock} seconds, least of {args.runs}, C={args.C:g}\n")
    print("|data|solver|tol|seconds|objective: largest relative gap|log-loss: furthest, fit|held out|\n|-|-|-|-|-|-|-|")
    print("", *[line for name in args.sets.split(",") for line in race(name, args)], sep="\n")


def memory_child(name, solver, tol, C):
    """Prints the peak extra memory of one fit in bytes; a small fit before it loads what stays loaded."""
    X, Y = many() if name == "many" else load(name, "train")
    model = estimator_of(solver, tol, C)
    few = slice(0, 40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, Y[:, few] if solver == "sksoft" else Y[:, few].toarray())
        Y = Y if solver == "sksoft" else Y.toarray().astype(np.int64)
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        begin = time.process_time()
        model.fit(X, Y)
        seconds = time.process_time() - begin
    peak = resident("VmHWM") - before
    coef = parameters(model)[0]
    converged = bool(getattr(model, "converged_", True))
    answer = {"peak": peak, "result": coef.nbytes, "X": linear_data.n_bytes(X), "seconds": seconds}
    print(json.dumps(answer | {"converged": converged, "entries": X.shape[0] * Y.shape[1]}))


def in_child(*arguments):
    command = [sys.executable, __file__, "--child", *map(str, arguments)]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode:
        raise RuntimeError(answer.stderr)
    return json.loads(answer.stdout.splitlines()[-1])


def memory(args):
    print("|data|solver|X MiB|coefficients MiB|(n, L) float64 MiB|peak extra MiB|CPU s|\n|-|-|-|-|-|-|-|")
    for name in args.sets.split(","):
        for solver, tol in (("sksoft", 1e-8), FASTEST[name]):
            print_memory(name, solver, in_child(name, solver, tol, args.C))


def print_memory(name, solver, answer):
    sizes = (answer["X"], answer["result"], 8 * answer["entries"], answer["peak"])
    print(f"|{name}|{solver}|{'|'.join(f'{size / MIB:.1f}' for size in sizes)}|{answer['seconds']:.2f}|", flush=True)


def many_labels(args):
    """Ours on all labels; scikit-learn's lbfgs on 50 of them, from the most frequent to the rarest."""
    answer = in_child("many", "sksoft", 1e-6, args.C)
    print("|data|solver|X MiB|coefficients MiB|(n, L) float64 MiB|peak extra MiB|CPU s|\n|-|-|-|-|-|-|-|")
    print_memory("{n_labels} labels, {n_rows} x {n_features}".format(**MANY), "sksoft", answer)
    X, Y = many()
    some = np.linspace(0, Y.shape[1] - 1, 50).astype(int)
    labels = Y[:, some].toarray().astype(np.int64)
    varying = (labels.min(axis=0) < labels.max(axis=0)).sum()
    seconds = timed(estimator_of("lbfgs", 1e-6, args.C), X, labels, time.process_time, 1)
    ours = 1e3 * answer["seconds"] / Y.shape[1]
    print(f"every label to its proved gap: {answer['converged']}; {ours:.2f} ms a label; scikit-learn's lbfgs with")
    print(f"tol=1e-6 takes {1e3 * seconds / len(some):.2f} ms a label on 50 of them ({varying} of which vary)")


def incoherence(args):
    """The table of docs/softmax_or_sigmoids.md."""
    print(
        "|data|classes|mean distance of sums from 1|range of sums|argmax differs|accuracy|log-loss|calibration error|"
    )
    print("|-|-|-|-|-|-|-|-|")
    for name in ("satimage", "letter", "pendigits", "covtype", "chinook", "splice"):
        X, codes = linear_data.load(name)
        X, X_test, y, y_test = train_test_split(X, codes, test_size=0.5, random_state=0)
        found = ovr_incoherence(X, y, X_test, y_test, C=args.C)
        sigmoids, softmax = found.loc["sigmoids"], found.loc["softmax"]
        fields = [name, str(codes.max() + 1), f"{sigmoids.sum_distance:.3f}"]
        fields += [f"{sigmoids.sum_min:.2f}–{sigmoids.sum_max:.2f}", f"{100 * sigmoids.disagreement:.1f} %"]
        fields += [f"{sigmoids[c]:.3f} / {softmax[c]:.3f}" for c in ("accuracy", "log_loss", "calibration_error")]
        print("|" + "|".join(fields) + "|", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, help="cpu for one thread and wall for more by default")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--C", type=float, default=1.0)
    parser.add_argument("--memory", action="store_true", help="peak memory instead")
    parser.add_argument("--many", action="store_true", help="10 000 labels instead")
    parser.add_argument("--incoherence", action="store_true", help="one-vs-rest beside softmax instead")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.clock = args.clock or ("cpu" if args.threads == 1 else "wall")
    limit_threads(args.threads)
    if args.child:
        name, solver, tol, C = args.child
        memory_child(name, solver, float(tol), float(C))
    elif args.memory:
        memory(args)
    elif args.many:
        many_labels(args)
    elif args.incoherence:
        incoherence(args)
    else:
        races(args)


if __name__ == "__main__":
    main()
