"""SoftmaxRegression against scikit-learn's solvers: time to a gap, on the same objective and data.

    python benchmarks/linear.py --cache DIR [--cells letter:1,mnist:100] [--seeds 5] [--threads 1] [--clock cpu]
    python benchmarks/linear.py --cache DIR --ours-only      # scikit-learn's times from the cache
    python benchmarks/linear.py --memory                     # and --cold: linear_costs.py
    python benchmarks/linear.py --cache DIR --peers          # linear_peers.py

A cell is a data set (``linear_data.py``) and C = 0.01, 1 or 100. Its optimum f* and scikit-learn's times
(``linear_rivals.py``) are kept in `--cache`, a folder outside the repository. Times are CPU seconds of the process
(`--clock cpu`, for one thread) or wall seconds. "gap" is (F − f*) / f*.

The time to a gap is that of the first iterate within it, from the start of ``fit``, for scikit-learn's solvers and for
ours alike: neither knows then that it is there. scikit-learn's fastest solver at each gap counts, best of three runs;
of ours the median over seeds, each another order of the rows. "proved" is our whole ``fit`` with ``tol`` equal to the
gap: validation, proof and last step included. Compilation is excluded, as compiled functions are cached on disk;
``--cold`` measures it.
"""

import argparse
import json
import math
import os
import statistics
import sys
import warnings
from pathlib import Path

import linear_costs
import linear_data
import linear_peers
import linear_rivals
import numpy as np
from linear_rivals import CLOCKS, GAPS, objective, value_of

import sksoft
from sksoft.kernels.blocks import serial_blas

STRENGTHS = (0.01, 1.0, 100.0)
SHORT = {"lbfgs": "lb", "newton-cg": "ncg", "newton-cholesky": "nch", "sag": "sag", "saga": "saga"}


def fit_ours(X, codes, C, clock, **options):
    """A fitted model and the seconds it took; warnings are kept for the table."""
    model = sksoft.SoftmaxRegression(C=C, **options)
    begin = clock()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, codes)
    seconds = clock() - begin
    return model, seconds, [str(w.message) for w in caught]


def first_times(X, codes, C, optimum, clock):
    """Seconds from the start of a fit to the first iterate within each gap; what noting them takes is not counted."""
    notes, noting = [], 0.0
    begin = clock()
    problem = sksoft.SoftmaxRegression(C=C)._problem(X, codes, None, None)

    def note(_, point):
        nonlocal noting
        now = clock()
        notes.append((now - begin - noting, point.w.copy()))
        noting += clock() - now

    with serial_blas():
        problem.solve(None, solver="newton-cg", tol=GAPS[-1], max_iter=1000, callback=note)
    reached = [(seconds, objective(X, codes, C, *problem.unpack(w))[0] / optimum - 1) for seconds, w in notes]
    return [next((seconds for seconds, gap in reached if gap <= wanted), math.inf) for wanted in GAPS]


class Store:
    """One JSON file a cell: f* and the rivals' times by clock, threads and machine."""

    def __init__(self, folder, name, C):
        self.path = Path(folder) / f"{name}-C{C:g}.json"
        self.content = json.loads(self.path.read_text()) if self.path.exists() else {}

    def save(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.content, indent=1))


def rivals_of(X, codes, name, C, args, clock):
    """f* and scikit-learn's times of one cell, from the cache or measured now."""
    store = Store(args.cache, name, C)
    key = f"{args.clock}-{args.threads}"
    content = store.content
    shape = [*X.shape, int(codes.max() + 1)]
    if content.setdefault("shape", shape) != shape:
        raise SystemExit(f"{store.path} is of data of shape {content['shape']}, not {shape}")
    if "optimum" not in content:
        ours, _, _ = fit_ours(X, codes, C, clock, tol=1e-14, max_iter=1000)
        content["optimum"] = linear_rivals.find_optimum(X, codes, C, ours)
        store.save()
    if args.again:
        content.pop(key, None)
    if key not in content and args.ours_only:
        raise SystemExit(f"--ours-only, but {store.path} has no times for {key}")
    if key not in content:
        optimum = content["optimum"]["value"]
        content[key] = {
            "machine": linear_rivals.machine(),
            "yardstick": linear_rivals.yardstick(clock),
            "solvers": linear_rivals.time_rivals(X, codes, C, clock, args.cap, optimum),
            "default": linear_rivals.default_gap(X, codes, C, clock, optimum),
        }
        store.save()
    return content["optimum"]["value"], content[key]


def best_rival(solvers, cap):
    """For each gap: seconds, short name, and whether it is only a lower bound."""
    answer = []
    for i in range(len(GAPS)):
        seconds, name = min((times["seconds"][i], name) for name, times in solvers.items())
        answer.append((seconds, SHORT[name], False) if seconds < math.inf else (cap, "none", True))
    return answer


def measure_ours(X, codes, C, optimum, seeds, clock):
    """For each gap: median seconds, largest gap, and counts of the first seed; plus the default fit's."""
    fit_ours(X, codes, C, clock, tol=GAPS[-1])  # whatever it has to compile or load
    rows = []
    orders = [np.random.default_rng(seed).permutation(len(codes)) for seed in range(seeds)]
    arrived = zip(*(first_times(X[order], codes[order], C, optimum, clock) for order in orders))
    for tol, firsts in zip(GAPS, arrived):
        first, seconds, gaps, warned = None, [], [], []
        for seed, order in enumerate(orders):
            model, spent, messages = fit_ours(X[order], codes[order], C, clock, tol=tol)
            seconds.append(spent)
            gaps.append(value_of(model, X, codes, C) / optimum - 1)
            warned += messages
            first = model if seed == 0 else first
        rows.append(
            {
                "seconds": statistics.median(firsts),
                "spread": (min(firsts), max(firsts)),
                "proved_seconds": statistics.median(seconds),
                "gap": max(gaps),
                "proved": first.gap_ / first.objective_,
                "n_iter": first.n_iter_,
                "n_passes": getattr(first, "n_passes_", None),
                "warned": sorted(set(warned)),
            }
        )
    model, seconds, _ = fit_ours(X, codes, C, clock)
    return rows, {"seconds": seconds, "gap": value_of(model, X, codes, C) / optimum - 1}


def figures(values, form="{:.3g}"):
    return " / ".join(form.format(v) for v in values)


def print_cell(name, C, rival, ours, ratios):
    passes = ours[-1]["n_passes"]
    fields = [
        name,
        f"{C:g}",
        " / ".join(f"{'>' if bound else ''}{seconds:.3g} {solver}" for seconds, solver, bound in rival),
        figures(row["seconds"] for row in ours),
        figures(
            (
                min(row["spread"][0] / row["seconds"] for row in ours),
                max(row["spread"][1] / row["seconds"] for row in ours),
            )
        ),
        " / ".join(f"{'>' if bound else ''}{ratio:.1f}" for ratio, (_, _, bound) in zip(ratios, rival)),
        figures(row["proved_seconds"] for row in ours),
        " / ".join(f"{other[0] / row['proved_seconds']:.1f}" for row, other in zip(ours, rival)),
        " / ".join(f"{r['gap']:.0e}{'' if r['gap'] <= tol else ' !'}" for r, tol in zip(ours, GAPS)),
        figures((row["proved"] for row in ours), "{:.0e}"),
        figures((row["n_iter"] for row in ours), "{}") + ("" if passes is None else f"; {passes:.4g}"),
    ]
    print("|" + "|".join(fields) + "|", flush=True)


def geometric_mean(values):
    return math.exp(statistics.fmean(math.log(v) for v in values))


def core(args, cells):
    """The table of all cells; returns whether every gap was what `tol` asked for."""
    clock = CLOCKS[args.clock]
    print(f"sksoft {sksoft.__version__}", *(f"{k} {v}" for k, v in linear_rivals.machine().items()), sep=", ")
    print(f"{args.threads} thread(s), {args.clock} seconds, gaps " + figures(GAPS, "{:g}") + f", {args.seeds} seeds\n")
    print("|data|C|scikit-learn's best|ours|min-max of seeds|speed-up|ours, proved|speed-up|gap reached|gap proved|"
          "n_iter; passes at last|\n|-|-|-|-|-|-|-|-|-|-|-|")  # fmt: skip
    ratios, proved, defaults, speeds, fine, messages = {}, {}, {}, [], True, []
    for name in dict.fromkeys(name for name, _ in cells):
        X, codes = linear_data.load(name)
        for C in (C for other, C in cells if other == name):
            optimum, measured = rivals_of(X, codes, name, C, args, clock)
            if args.rivals_only:
                continue
            rival = best_rival(measured["solvers"], args.cap)
            speeds.append(linear_rivals.yardstick(clock) / measured.get("yardstick", math.nan))
            ours, default = measure_ours(X, codes, C, optimum, args.seeds, clock)
            ratios[name, C] = [r[0] / o["seconds"] for r, o in zip(rival, ours)]
            proved[name, C] = [r[0] / o["proved_seconds"] for r, o in zip(rival, ours)]
            defaults[name, C] = measured["default"], default
            print_cell(name, C, rival, ours, ratios[name, C])
            fine &= all(o["gap"] <= tol for o, tol in zip(ours, GAPS)) and default["gap"] <= 1e-6
            messages += [f"{name} C={C:g}: {m}" for m in dict.fromkeys(m for o in ours for m in o["warned"])]
    if ratios:
        columns = list(zip(*ratios.values()))
        print(f"\ngeometric mean over {len(ratios)} cells " + figures(map(geometric_mean, columns), "{:.2f}"))
        least = [min(ratios, key=lambda cell, i=i: ratios[cell][i]) for i in range(len(GAPS))]
        print("of proved fits " + figures(map(geometric_mean, zip(*proved.values())), "{:.2f}"))
        print("minimum " + " / ".join(f"{ratios[c][i]:.2f} ({c[0]} {c[1]:g})" for i, c in enumerate(least)))
        print("a fixed piece of work took " + figures((min(speeds), statistics.median(speeds), max(speeds)), "{:.2f}")
              + " (min / median / max) of its time when scikit-learn was timed")  # fmt: skip
        print("\nwith default parameters\n\n|data|C|scikit-learn s|its gap|ours s|our gap|\n|-|-|-|-|-|-|")
        for (name, C), (theirs, mine) in defaults.items():
            times = f"{theirs['seconds']:.3g}|{theirs['gap']:.0e}|{mine['seconds']:.3g}|{mine['gap']:.0e}"
            print(f"|{name}|{C:g}|{times}|")
    print(*messages, sep="\n")
    return fine


def cells_of(text):
    """'letter:1,mnist' -> [('letter', 1.0), ('mnist', 0.01), ('mnist', 1.0), ('mnist', 100.0)]; None -> all."""
    answer = []
    for part in text.split(",") if text else linear_data.SETS:
        name, _, strength = part.partition(":")
        if name not in linear_data.SETS | linear_data.SCALED:
            raise SystemExit(f"data sets are {', '.join(linear_data.SETS | linear_data.SCALED)}. Got {name!r} instead.")
        answer += [(name, C) for C in ([float(strength)] if strength else STRENGTHS)]
    return answer


def limit_threads(n_threads):
    """Start again with the number of threads in the environment, where BLAS and OpenMP look before anything else."""
    wanted = {f"{name}_NUM_THREADS": str(n_threads) for name in ("OMP", "OPENBLAS", "MKL")}
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **wanted})
    sksoft.set_config(n_threads=n_threads)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", help="folder for optima and scikit-learn's times")
    parser.add_argument("--cells", help="for example letter:1,mnist:100,splice; all by default")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, help="cpu for one thread and wall for more by default")
    parser.add_argument("--cap", type=float, default=45.0, help="seconds after which a rival's run is cut")
    parser.add_argument("--ours-only", action="store_true", help="take scikit-learn's times from the cache or fail")
    parser.add_argument("--again", action="store_true", help="time scikit-learn again, whatever the cache holds")
    parser.add_argument("--rivals-only", action="store_true", help="fill the cache")
    parser.add_argument("--memory", action="store_true", help="peak memory of fits instead")
    parser.add_argument("--cold", action="store_true", help="first fits of new processes instead")
    parser.add_argument("--peers", action="store_true", help="L1, no penalty, and other packages instead")
    args = parser.parse_args()
    args.clock = args.clock or ("cpu" if args.threads == 1 else "wall")
    limit_threads(args.threads)
    if args.memory:
        linear_costs.memory()
    if args.cold:
        linear_costs.cold()
    if args.memory or args.cold:
        return
    if args.cache is None:
        parser.error("comparisons need --cache")
    if args.peers:
        linear_peers.peers(CLOCKS[args.clock], args.cache, args.threads)
        return
    raise SystemExit(not core(args, cells_of(args.cells)))


if __name__ == "__main__":
    main()
