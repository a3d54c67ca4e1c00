"""Row kernels against SciPy, PyTorch, the entmax package, hand-written NumPy and a plain memory copy.

    python benchmarks/kernels.py [--shape 1000000x10 ...] [--dtype float64 ...] [--threads 1 2] [--repeat 7]

Every competitor runs on the same scores in the same process, its answer is compared with ours, and the largest
difference stands beside its time. Times are the best of `--repeat`, in milliseconds; "x" is peer / ours. A peer that
is not installed says so. "copy" is ``numpy.copyto`` into an existing array, cut into two halves for two threads.

Predicted before measuring (float64, 1e7 entries, two threads): exp at 0.65 ns an entry and a core is 3.3 ms, the copy
3.8 ms, so a softmax with `out=` about 5-6 ms: 1.5 copies, 20 times SciPy on short rows, 5 times on long ones.

Measured (docs/benchmarks.md has the table): 9.6, 8.1, 6.6 and 6.2 ms for the four shapes, 2.4 to 1.6 copies, 4.3 to
10.7 times the faster of SciPy and PyTorch. The copies fall short of the prediction on short rows: getting ten columns
into vector registers and out again, and per-row work at a hundred, cost as much as the exponentials. Tried: rows
transposed in registers (kept), fetching ahead during the arithmetic (kept; into the first cache for tiles, the second
for rows), a polynomial of degree 10 in base 2 with twelve fused multiply-adds instead of fifteen (kept: exp from 0.60
to 0.48 ns), rows above forty columns without a panel (kept: 10.5 to 7.0 ms at a hundred columns), fetching further
ahead (loss), non-temporal stores through the panel (no gain on wide rows, a loss on ten columns), panels of 32 and
128 lanes (no gain).
"""

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

import sksoft

SHAPES = ("1000000x10", "100000x100", "10000x1000", "100x100000")


def best_time(function, repeat):
    """Best of `repeat` runs after one to warm up, in milliseconds."""
    function()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def optional(name):
    try:
        return __import__(name)
    except ImportError:
        return None


def numpy_softmax(scores, out):
    """What a careful NumPy user writes: every step in place."""
    np.subtract(scores, scores.max(axis=1, keepdims=True), out=out)
    np.exp(out, out=out)
    out /= out.sum(axis=1, keepdims=True)
    return out


def numpy_log_softmax(scores, out):
    np.subtract(scores, scores.max(axis=1, keepdims=True), out=out)
    out -= np.log(np.exp(out).sum(axis=1, keepdims=True))
    return out


def numpy_logsumexp(scores, out):
    top = scores.max(axis=1)
    np.subtract(scores, top[:, None], out=out)
    np.exp(out, out=out)
    return np.log(out.sum(axis=1)) + top


def copier(scores, out, n_threads):
    """A copy on as many threads as the others may use."""
    if n_threads == 1:
        return lambda: np.copyto(out, scores)
    edges = np.linspace(0, len(scores), n_threads + 1).astype(int)
    pool = ThreadPoolExecutor(n_threads)
    halves = [slice(start, stop) for start, stop in pairwise(edges)]
    return lambda: list(pool.map(lambda rows: np.copyto(out[rows], scores[rows]), halves))


def rivals(scores, out):
    """Operation -> (ours with out, ours fresh, {peer: function or None})."""
    from scipy import special

    torch, entmax = optional("torch"), optional("entmax")
    tensor = torch.from_numpy(scores) if torch else None

    def in_torch(function):
        return (lambda: function(tensor).numpy()) if torch else None

    def in_entmax(name):
        return (lambda: getattr(entmax, name)(tensor, dim=1).numpy()) if torch and entmax else None

    return {
        "softmax": (
            lambda: sksoft.softmax(scores, out=out),
            lambda: sksoft.softmax(scores),
            {
                "scipy": lambda: special.softmax(scores, axis=1),
                "torch": in_torch(lambda t: torch.softmax(t, dim=1)),
                "numpy in place": lambda: numpy_softmax(scores, out),
            },
        ),
        "log_softmax": (
            lambda: sksoft.log_softmax(scores, out=out),
            lambda: sksoft.log_softmax(scores),
            {
                "scipy": lambda: special.log_softmax(scores, axis=1),
                "torch": in_torch(lambda t: torch.log_softmax(t, dim=1)),
                "numpy in place": lambda: numpy_log_softmax(scores, out),
            },
        ),
        "logsumexp": (
            None,
            lambda: sksoft.logsumexp(scores),
            {
                "scipy": lambda: special.logsumexp(scores, axis=1),
                "torch": in_torch(lambda t: torch.logsumexp(t, dim=1)),
                "numpy in place": lambda: numpy_logsumexp(scores, out),
            },
        ),
        "sparsemax": (
            lambda: sksoft.sparsemax(scores, out=out),
            lambda: sksoft.sparsemax(scores),
            {"entmax": in_entmax("sparsemax")},
        ),
        "entmax 1.5": (
            lambda: sksoft.entmax(scores, out=out),
            lambda: sksoft.entmax(scores),
            {"entmax": in_entmax("entmax15")},
        ),
    }


def compare(name, ours_out, ours_fresh, peers, copy_time, repeat):
    """One line: our times, then each peer's time, ratios and difference."""
    fresh_time = best_time(ours_fresh, repeat)
    out_time = best_time(ours_out, repeat) if ours_out else fresh_time
    answer = ours_fresh().copy()
    line = f"  {name:<12} out= {out_time:7.1f} ({out_time / copy_time:4.1f} copies)  fresh {fresh_time:7.1f}"
    for peer, function in peers.items():
        if function is None:
            line += f" | {peer}: not installed"
            continue
        peer_time = best_time(function, min(repeat, 3))
        difference = np.abs(function() - answer).max()
        line += f" | {peer} {peer_time:7.1f} = {peer_time / out_time:5.1f}x, fresh {peer_time / fresh_time:5.1f}x"
        line += f" (diff {difference:.0e})"
    print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", nargs="+", default=SHAPES)
    parser.add_argument("--dtype", nargs="+", default=("float64", "float32"))
    parser.add_argument("--threads", nargs="+", type=int, default=(1, 2))
    parser.add_argument("--operation", nargs="+", default=None, help="part of the operations only")
    parser.add_argument("--repeat", type=int, default=7)
    args = parser.parse_args()
    torch = optional("torch")
    versions = [f"{m.__name__} {m.__version__}" for m in map(sys.modules.get, ("numpy", "torch")) if m]
    print("sksoft", sksoft.__version__, *versions)
    for shape in args.shape:
        n_rows, n_columns = map(int, shape.split("x"))
        for dtype in args.dtype:
            scores = np.random.default_rng(0).normal(size=(n_rows, n_columns)).astype(dtype)
            out = np.zeros_like(scores)
            for n_threads in args.threads:
                if torch:
                    torch.set_num_threads(n_threads)
                copy_time = best_time(copier(scores, out, n_threads), args.repeat)
                print(f"{shape} {dtype}, {n_threads} thread(s): copy {copy_time:.1f} ms")
                with sksoft.config_context(n_threads=n_threads):
                    for name, (ours_out, ours_fresh, peers) in rivals(scores, out).items():
                        if args.operation is None or name in args.operation:
                            compare(name, ours_out, ours_fresh, peers, copy_time, args.repeat)


if __name__ == "__main__":
    main()
