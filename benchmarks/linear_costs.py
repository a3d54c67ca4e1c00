"""What a fit of SoftmaxRegression costs beside its time: peak memory, and the first fit of a process.

Memory is measured in a fresh process that maps X from a file, fits once on a part of the rows (so that the libraries,
compiled code and BLAS buffers that stay loaded are not counted), returns what was freed to the system, resets the
kernel's high-water mark of resident memory, and fits: the figure is the new mark less the memory held just before.
That counts what every allocator takes (NumPy's, BLAS's, compiled code's), which ``tracemalloc`` does not; its figure,
the peak of what NumPy and Python asked for, stands beside it from a process of its own. Linux only.

The first fit is measured in a new process with ``NUMBA_CACHE_DIR`` set to a folder that is empty, and then to the one
that the first process filled: the seconds of the first fit less the median of three later ones, by the wall clock and
of the processor (on a busy machine only the latter mean something; with several threads they add up).
"""

import ctypes
import gc
import inspect
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
import warnings
from pathlib import Path

import linear_data
import numpy as np
from linear_rivals import CLOCKS
from scipy import sparse

MIB = 1 << 20
LOW_MEMORY = 2.0  # MiB
# n K from which the compiled kernels take part
COMPILED = 1 << 17


def synthetic(n_rows, n_features, n_classes, density=None):
    """Gaussian features, or uniform ones at random places, and labels drawn from a softmax of them."""
    rng = np.random.default_rng(0)
    if density is None:
        X = rng.normal(size=(n_rows, n_features))
    else:
        X = sparse.random_array((n_rows, n_features), density=density, format="csr", rng=rng)
    scores = X @ rng.normal(size=(n_features, n_classes)) / np.sqrt(n_features * (density or 1.0))
    return X, np.argmax(scores + rng.gumbel(size=scores.shape), axis=1)


SIZED = {
    "dense 200000x100 K=10": lambda: synthetic(200_000, 100, 10),
    "dense 50000x500 K=5": lambda: synthetic(50_000, 500, 5),
    "letter": lambda: linear_data.load("letter"),
    "satimage": lambda: linear_data.load("satimage"),
    "mnist": lambda: linear_data.load("mnist"),
    "chinook": lambda: linear_data.load("chinook"),
    "newsgroups": lambda: linear_data.load("newsgroups"),
    "sparse 200000x20000 K=5, 0.1 %": lambda: synthetic(200_000, 20_000, 5, 1e-3),
}
FIRST_FITS = {
    "2000x19 K=3": lambda: synthetic(2_000, 19, 3),
    "letter": lambda: linear_data.load("letter"),
    "chinook": lambda: linear_data.load("chinook"),
    "newsgroups": lambda: linear_data.load("newsgroups"),
}


def resident(field):
    """'VmRSS' or 'VmHWM' of this process in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) << 10
    raise OSError(f"/proc/self/status has no {field}")


def fit(X, codes, options):
    from sksoft import SoftmaxRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SoftmaxRegression(**options).fit(X, codes)


def saved(folder, X, codes):
    """Write X as plain arrays, so that reading it back allocates nothing but itself."""
    arrays = {"codes": codes}
    arrays |= {"data": X.data, "indices": X.indices, "indptr": X.indptr} if sparse.issparse(X) else {"dense": X}
    for name, array in arrays.items():
        np.save(Path(folder) / f"{name}.npy", array)
    (Path(folder) / "shape.json").write_text(json.dumps(X.shape))


def read(folder):
    arrays = {path.stem: np.load(path) for path in Path(folder).glob("*.npy")}
    codes = arrays.pop("codes")
    if "dense" in arrays:
        return arrays["dense"], codes
    shape = tuple(json.loads((Path(folder) / "shape.json").read_text()))
    return sparse.csr_array((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape), codes


def memory_child(folder, options, traced):
    """Prints the peak of one fit in bytes."""
    X, codes = read(folder)
    part = min(len(codes), max(len(codes) // 4, 2 * COMPILED // int(codes.max() + 1)))  # rare classes may be missing
    fit(X[:part], codes[:part], {**options, "max_iter": 2})
    gc.collect()
    if traced:
        tracemalloc.start()
        fit(X, codes, options)
        print(json.dumps(tracemalloc.get_traced_memory()[1]))
        return
    ctypes.CDLL(None).malloc_trim(0)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    fit(X, codes, options)
    print(json.dumps(resident("VmHWM") - before))


def first_fit_child(folder, options):
    """Prints seconds of four fits, of importing the package, and whether the compiler was loaded."""
    X, codes = read(folder)
    import sklearn.linear_model  # noqa: F401  # what any user of scikit-learn has loaded

    begin = time.perf_counter()
    import sksoft  # noqa: F401

    imported = time.perf_counter() - begin
    seconds = {name: [] for name in CLOCKS}
    for _ in range(4):
        begin = {name: clock() for name, clock in CLOCKS.items()}
        fit(X, codes, options)
        for name, clock in CLOCKS.items():
            seconds[name].append(clock() - begin[name])
    print(json.dumps({"import": imported, "fits": seconds, "compiler": "numba" in sys.modules}))


def child(kind, folder, options, *extra, **environment):
    """What the function `kind` prints, called in a fresh process."""
    import sksoft

    here = Path(__file__).parent
    call = f"import linear_costs; linear_costs.{kind}({str(folder)!r}, {options!r}, *{extra!r})"
    path = os.pathsep.join([str(here), str(Path(sksoft.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    answer = subprocess.run(
        [sys.executable, "-c", call],
        env={**os.environ, "PYTHONPATH": path, **environment},
        cwd=here,  # where -c looks first, and no other copy of the package lies
        capture_output=True,
        text=True,
    )
    if answer.returncode:
        raise RuntimeError(answer.stderr)
    return json.loads(answer.stdout.splitlines()[-1])


def memory():
    """Peak extra memory of fits, beside the bytes of X and the limit for a low `working_memory`."""
    import sksoft

    settings = {"default": {}}
    if "working_memory" in inspect.signature(sksoft.SoftmaxRegression).parameters:
        settings[f"working_memory={LOW_MEMORY:g} MiB"] = {"working_memory": LOW_MEMORY}
    print("|data|setting|X MiB|peak extra MiB|of X|tracemalloc MiB|0.3 X + 8 vectors, MiB|")
    print("|-|-|-|-|-|-|-|")
    for name, make in SIZED.items():
        X, codes = make()
        size = linear_data.n_bytes(X)
        limit = 0.3 * size + 8 * 8 * (X.shape[1] + 1) * (int(codes.max()) + 1)
        with tempfile.TemporaryDirectory() as folder:
            saved(folder, X, codes)
            del X
            for setting, options in settings.items():
                peak = child("memory_child", folder, options, False)
                traced = child("memory_child", folder, options, True)
                sizes = f"{size / MIB:.1f}|{peak / MIB:.1f}|{peak / size:.2f}|{traced / MIB:.1f}"
                print(f"|{name}|{setting}|{sizes}|{limit / MIB:.1f}|", flush=True)


def cold():
    """Seconds of the first fit beyond a later one, with an empty and with a full cache of compiled functions."""
    print("|data|cache|import sksoft s|first fit, cpu s|later fit, cpu s|overhead, cpu s|overhead, wall s|compiler|")
    print("|-|-|-|-|-|-|-|-|")
    for name, make in FIRST_FITS.items():
        X, codes = make()
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as cache:
            saved(folder, X, codes)
            for state in ("empty", "full"):
                answer = child("first_fit_child", folder, {}, NUMBA_CACHE_DIR=cache)
                first = {name: seconds[0] for name, seconds in answer["fits"].items()}
                later = {name: statistics.median(seconds[1:]) for name, seconds in answer["fits"].items()}
                seconds = f"{answer['import']:.2f}|{first['cpu']:.3f}|{later['cpu']:.3f}|"
                seconds += "|".join(f"{first[name] - later[name]:.2f}" for name in CLOCKS)
                print(f"|{name}|{state}|{seconds}|{'yes' if answer['compiler'] else 'no'}|", flush=True)
