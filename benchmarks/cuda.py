"""The package on a CUDA device: bandwidth, beside PyTorch on the same device, and beside our own CPU.

    python benchmarks/cuda.py [--only copy softmax attention ece fit transfers] [--repeat 7] [--rows 1000000]
    python benchmarks/cuda.py --memcheck       # small sizes, and the commands for NVIDIA's checkers
    NUMBA_ENABLE_CUDASIM=1 python benchmarks/cuda.py --tiny       # runs every section in numba's simulator; no times

Without a usable device it says why, measures nothing and ends with status 2. It prints Markdown: the device, its driver
and the versions first, then a table for each section, `copy` always, for all fractions are of the copy measured in the
same process.

copy: the driver's copy within the device at the sizes of the softmax; the fastest counts as the bandwidth.
softmax: rows of float32, ours with `out=` and into a fresh array, PyTorch's likewise. Goal: 80 % of the copy, and no
slower than PyTorch.
attention: float32, 8 heads of 4096 × 64 and one of 16 384 × 64, causal and not, beside PyTorch's
``scaled_dot_product_attention`` with TF32 off, as ours has none.
ece: 10⁷ rows, confidences and ten columns, beside PyTorch by hand and our own CPU.
fit: ``cuda_fit.py``: SoftmaxRegression, 10⁶ × 784 × 10, beside PyTorch's L-BFGS, to the same gap, and our CPU.
transfers: what comes on top where the data start on the host.

"device" is between events, "call" is what the caller waits, both the best of `--repeat` (``cuda_timing.py``).
"""

import argparse
import os
import platform
import sys
import warnings
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace

import cuda_fit
import numpy as np
from cuda_timing import Clock, Line, copier, failed, table

import sksoft
from sksoft.kernels.capability import capability, driver

# NVIDIA's packages are named ``cuda`` too: with this folder on the path theirs would not be found.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
PACKAGES = ("sksoft", "numpy", "numba", "numba-cuda", "cupy-cuda12x", "cupy-cuda13x", "torch")
N_BINS = 15
# Rows on which answers are checked.
CHECKED = 300
FULL = SimpleNamespace(
    softmax=((1_000_000, 100), (10_000, 10_000)),
    attention=((8, 4096, 64), (1, 16_384, 64)),
    ece=10_000_000,
    fit=(1_000_000, 784, 10),
)
SMALL = SimpleNamespace(softmax=((5_000, 100), (20, 10_000)), attention=((2, 300, 64),), ece=50_000, fit=(5_000, 50, 5))
TINY = SimpleNamespace(softmax=((12, 5), (2, 300)), attention=((1, 12, 4),), ece=40, fit=(30, 3, 3))
CHECKERS = """Under NVIDIA's checkers, each with status 1 for what it finds (compute-sanitizer is in the CUDA toolkit):

    compute-sanitizer --tool memcheck --leak-check no --error-exitcode 1 python benchmarks/cuda.py --memcheck
    compute-sanitizer --tool racecheck --error-exitcode 1 python benchmarks/cuda.py --memcheck
    compute-sanitizer --tool synccheck --error-exitcode 1 python benchmarks/cuda.py --memcheck
    compute-sanitizer --tool memcheck --leak-check no --error-exitcode 1 python -m pytest -n 0 -m gpu \\
        tests/kernels/test_contracts.py
"""


def torch_or_none():
    """PyTorch where it is installed with CUDA, computing in float32 proper; the simulator needs none."""
    if SIMULATED:
        return None
    try:
        import torch
    except ImportError:
        print("torch: not installed, no comparison")
        return None
    if not torch.cuda.is_available():
        print(f"torch {torch.__version__}: sees no device, no comparison")
        return None
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return torch


def measured(what, size, clock, function, *, moved=None, check=None, events=True):
    """The line of a function; one that fails says so in its place, and the others go on."""
    try:
        device, wall, result = clock.both(function) if events else (None, clock.wall(function), None)
        error = None if check is None else float(check(function() if result is None else result))
        return Line(what, size, device, wall, moved, error)
    except Exception as failure:  # one line that fails is no reason to lose the others
        return failed(what, failure, size)


def against(lines, ours, others):
    """Notes on the lines of others how many times as long as ours they took."""
    for line in others:
        for ours_seconds, seconds in ((ours.device, line.device), (ours.wall, line.wall)):
            if ours_seconds and seconds and not line.note:
                line.note = f"{seconds / ours_seconds:.2f} × ours"
    return lines


def on_host(array):
    return array if isinstance(array, np.ndarray) else array.get()


def size_of(*shape):
    return " × ".join(f"{n:,}".replace(",", " ") for n in shape)


# copy


def copy_lines(clock, sizes):
    """Copies within the device, a read and a write of every byte."""
    for shape in sizes.softmax:
        source, target = (clock.xp.zeros(shape, np.float32) for _ in range(2))
        yield measured(
            "copy within the device", size_of(*shape), clock, copier(clock.xp, source, target), moved=2 * source.nbytes
        )


# softmax


def exact_softmax(scores):
    scores = on_host(scores[:CHECKED]).astype(np.float64)
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def softmax_lines(clock, torch, sizes):
    for shape in sizes.softmax:
        scores = clock.xp.asarray(np.random.default_rng(0).standard_normal(shape, np.float32))
        out, expected = clock.xp.empty_like(scores), exact_softmax(scores)
        line = partial(measured, size=size_of(*shape), clock=clock, moved=2 * scores.nbytes)

        def off(found, expected=expected):
            return np.abs(on_host(found[:CHECKED]) - expected).max()

        ours = [
            line("sksoft.softmax, out=", function=partial(sksoft.softmax, scores, out=out), check=off),
            line("sksoft.softmax", function=partial(sksoft.softmax, scores), check=off),
        ]
        yield from ours
        if torch is not None:
            tensor, target = torch.from_dlpack(scores), torch.from_dlpack(out)

            def off_torch(found, off=off):
                return off(found.cpu().numpy())

            theirs = [
                line("torch.softmax, out=", function=partial(torch.softmax, tensor, 1, out=target), check=off_torch),
                line("torch.softmax", function=partial(torch.softmax, tensor, 1), check=off_torch),
            ]
            for own, other in zip(ours, theirs):
                against(theirs, own, [other])
            yield from theirs


# attention


def exact_attention(q, k, v, causal):
    """The first rows and the last of the first head, in float64."""
    q, k, v = (on_host(array[0]).astype(np.float64) for array in (q, k, v))
    rows = np.unique(np.r_[: min(CHECKED, len(q)), max(len(q) - CHECKED, 0) : len(q)])
    z = q[rows] @ k.T / np.sqrt(q.shape[1])
    if causal:
        z[np.arange(len(k)) > rows[:, None]] = -np.inf
    weights = np.exp(z - z.max(axis=1, keepdims=True))
    return rows, (weights / weights.sum(axis=1, keepdims=True)) @ v


def attention_lines(clock, torch, sizes):
    rng = np.random.default_rng(0)
    for shape in sizes.attention:
        q, k, v = (clock.xp.asarray(rng.standard_normal(shape, np.float32)) for _ in range(3))
        for causal in (False, True):
            rows, expected = exact_attention(q, k, v, causal)
            line = partial(measured, size=size_of(*shape) + (", causal" if causal else ""), clock=clock)

            def off(found, rows=rows, expected=expected):
                return np.abs(on_host(found[0])[rows] - expected).max()

            function = partial(sksoft.scaled_dot_product_attention, q, k, v, is_causal=causal)
            ours = line("sksoft", function=function, check=off)
            yield ours
            if torch is not None:
                tensors = [torch.from_dlpack(array)[None] for array in (q, k, v)]
                attend = partial(torch.nn.functional.scaled_dot_product_attention, *tensors, is_causal=causal)
                theirs = line("torch SDPA", function=attend, check=lambda found, off=off: off(found[0].cpu().numpy()))
                yield from against([theirs], ours, [theirs])


# ece


def probabilities(n_rows):
    """Confidences and hits; ten columns and labels: float32, labels a little less sure than they say."""
    rng = np.random.default_rng(0)
    confidence = rng.random(n_rows, np.float32)
    hits = (rng.random(n_rows) < confidence**1.2).astype(np.int64)
    proba = rng.standard_exponential((n_rows, 10), np.float32)
    proba /= proba.sum(axis=1, keepdims=True)
    labels = np.where(rng.random(n_rows) < 0.5, proba.argmax(axis=1), rng.integers(0, 10, n_rows))
    labels[:10] = np.arange(10)
    return {"confidences": (hits, confidence), "ten columns": (labels, proba)}


def torch_ece(torch, labels, proba):
    """The few lines a user of PyTorch writes; bins (l, u]."""
    if proba.ndim == 2:
        proba, predicted = proba.max(dim=1)
        labels = predicted == labels
    bins = torch.clamp(torch.ceil(proba * N_BINS).long() - 1, 0, N_BINS - 1)
    return float(torch.zeros(N_BINS, dtype=torch.float64, device=proba.device)
                 .index_add_(0, bins, proba.double() - labels.double()).abs().sum() / len(proba))  # fmt: skip


def ece_lines(clock, torch, sizes):
    from sksoft.metrics import expected_calibration_error

    for name, (labels, proba) in probabilities(sizes.ece).items():
        with sksoft.config_context(backend="auto"):
            error = partial(expected_calibration_error, labels, proba)
            expected = error()
            cpu = measured("sksoft, CPU", f"{size_of(sizes.ece)}, {name}", clock, error, events=False)
        labels, proba = clock.xp.asarray(labels), clock.xp.asarray(proba)
        line = partial(measured, size=f"{size_of(sizes.ece)}, {name}", clock=clock, events=False)

        def off(found, expected=expected):
            return abs(found - expected)

        function = partial(expected_calibration_error, labels, proba)
        ours = line("sksoft", function=function, moved=labels.nbytes + proba.nbytes, check=off)
        others = [cpu]
        if torch is not None:
            by_hand = partial(torch_ece, torch, torch.from_dlpack(labels), torch.from_dlpack(proba))
            others.append(line("torch, by hand", function=by_hand, check=off))
        yield from against([ours, *others], ours, others)


# fit


def fit_lines(clock, torch, sizes):
    return cuda_fit.lines(clock, torch, *sizes.fit)


# transfers


def transfer_lines(clock, sizes):
    """What moving the inputs and results of the other sections takes; pageable memory, as NumPy's is."""
    n_rows, n_features, _ = sizes.fit
    for shape in (*sizes.softmax, (n_rows, n_features)):
        host = np.zeros(shape, np.float32)
        there = clock.xp.asarray(host)
        line = partial(measured, size=size_of(*shape), clock=clock, moved=host.nbytes, events=False)
        yield line("host to device", function=partial(clock.xp.asarray, host))
        yield line("device to host", function=partial(on_host, there))


SECTIONS = {
    "softmax": ("Row softmax, float32", softmax_lines),
    "attention": ("Attention, float32", attention_lines),
    "ece": ("Expected calibration error, float32", ece_lines),
    "fit": ("SoftmaxRegression, float32", fit_lines),
    "transfers": ("Transfers, float32", lambda clock, torch, sizes: transfer_lines(clock, sizes)),
}


def to_the_end(name, lines):
    """The lines of a section, the last of which says what ended it where that was a failure."""
    try:
        yield from lines
    except Exception as failure:
        yield failed(f"the rest of {name}", failure)


def installed(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return sksoft.__version__ if package == "sksoft" else "not installed"


def print_machine(torch):
    print(f"Device: {capability().reason}. Driver: {driver() or 'none'}.")
    print(f"Host: {platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}.")
    print("Versions: " + ", ".join(f"{name} {installed(name)}" for name in PACKAGES) + ".")
    if torch is not None:
        print(f"torch was built for CUDA {torch.version.cuda}; TF32 is off.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=["copy", *SECTIONS], default=["copy", *SECTIONS])
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--rows", type=int, help="of the fit, where a device's memory is small")
    parser.add_argument("--memcheck", action="store_true", help="small sizes, for NVIDIA's checkers")
    parser.add_argument("--tiny", action="store_true", help="sizes for numba's simulator")
    args = parser.parse_args()
    if args.memcheck:
        print(CHECKERS)
    if not capability().usable:
        print(f"Nothing is measured: no CUDA device is usable here. {capability().reason}")
        return 2
    if SIMULATED and not args.tiny:
        print("Nothing is measured: this is numba's simulator, which can only be tried with --tiny.")
        return 2
    if SIMULATED:  # the simulator waits for its threads in a loop, and says of infinities what kernels do not
        sys.setswitchinterval(1e-6)
        warnings.simplefilter("ignore", RuntimeWarning)
    from sksoft.kernels._cuda._api import xp

    sizes = TINY if args.tiny else SMALL if args.memcheck else FULL
    if args.rows:
        sizes = SimpleNamespace(**{**vars(sizes), "fit": (args.rows, *sizes.fit[1:])})
    clock = Clock(np if SIMULATED else sys.modules["cupy"], SIMULATED, 1 if args.memcheck else args.repeat)
    if args.memcheck and not SIMULATED:
        xp.cuda.set_allocator(None)  # else an array's neighbours in CuPy's pool hide what is out of its bounds
    torch = None if args.memcheck else torch_or_none()
    print_machine(torch)
    with sksoft.config_context(backend="cuda"):
        lines = table("Copy within the device", copy_lines(clock, sizes))
        rate = max((line.moved / line.device for line in lines if line.device), default=None)
        for name in (section for section in SECTIONS if section in args.only):
            title, of_section = SECTIONS[name]
            lines += table(title, to_the_end(name, of_section(clock, torch, sizes)), rate)
    return int(any(line.failed for line in lines))


if __name__ == "__main__":
    sys.exit(main())
