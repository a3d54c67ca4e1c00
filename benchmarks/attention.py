"""Attention as a function of arrays beside PyTorch's and scikit-learn's, on one thread.

    python benchmarks/attention.py forward [--dtype float32 float64] [--repeat 5]
    python benchmarks/attention.py rbf [--dtype float32 float64] [--repeat 5]
    python benchmarks/attention.py backward [--dtype float32 float64] [--repeat 3]

Every answer is compared with the same sums in float64, and its largest error stands beside its time. Seconds are those
of the process (so that others on the machine disturb less), the best of `--repeat` after one to warm up, contenders in
turn within a repetition. "extra" is by how much one call raised the highest memory that the process has held, the
result included. PyTorch where it is installed.

forward: 8 heads of 4096 × 64 and one of 16 384 × 64, causal and not, against ``scaled_dot_product_attention``.
rbf: 5000 queries, 20 000 keys, 20 columns, 10 outputs, against ``rbf_kernel(X, Y, gamma) @ V``, which does not
normalise and holds all pairs.
backward: gradients in queries, keys and values, 8 heads of 2048 × 64, out and lse given.

Predicted before measuring (float32, one thread, the eight heads): products at PyTorch's own floor .26 s, exponentials
at .25 ns .03 s, so .30 to .35 s where PyTorch takes .386. Measured, while six others used the machine: .470 against
.498 s, and causal .256 against .287, 16 384 rows .859 against 1.016 (causal .456, .516); rbf .129 against 1.32 s
(float64 .227, 1.25). The products are nine tenths of it: OpenBLAS through ``numpy.dot`` reaches two thirds of the
arithmetic peak in tiles of this depth. What mattered: a row's largest score by integers, which vectorise (-.055 s);
tiles of 512 × 384 instead of 128 × 256 (-.06); hiding and rescaling a tile at a time, not a row (-.03); powers of two
with the factor in the queries (-.01); next to a causal edge narrower tiles that leave out the queries above it
(-.04 of the causal time).
"""

import argparse
import ctypes
import time
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.metrics.pairwise import rbf_kernel

import sksoft
from sksoft import attention_vjp, scaled_dot_product_attention
from sksoft.kernels.blocks import serial_blas

# Rows on which answers are checked.
CHECKED = 300


def torch_or_none():
    try:
        import torch
    except ImportError:
        print("torch: not installed")
        return None
    torch.set_num_threads(1)
    return torch


def best_times(functions, repeat):
    """Best process seconds of each, taken in turn."""
    for function in functions.values():
        function()
    times = {name: [] for name in functions}
    for _ in range(repeat):
        for name, function in functions.items():
            start = time.process_time()
            function()
            times[name].append(time.process_time() - start)
    return {name: min(found) for name, found in times.items()}


def memory(field):
    """A line of the process's own status, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def extra_memory(function):
    """MB by which the call raised the peak above what was held before."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    result = function()
    extra = memory("VmHWM") - before
    del result
    return extra


def report(title, functions, errors, repeat):
    times = best_times(functions, repeat)
    ours = times["sksoft"]
    print(title)
    for name, seconds in times.items():
        line = (
            f"  {name:<28} {seconds:7.3f} s   {seconds / ours:5.2f} x   extra {extra_memory(functions[name]):6.1f} MB"
        )
        print(line + (f"   error {errors[name]:.1e}" if name in errors else ""), flush=True)


def exact(q, k, v, causal):
    """The first rows and the last of one head in float64."""
    rows = np.r_[: CHECKED // 2, len(q) - CHECKED // 2 : len(q)]
    q, k, v = (array.astype(np.float64) for array in (q[rows], k, v))
    z = q @ k.T / np.sqrt(q.shape[1])
    if causal:
        z[np.arange(len(k)) > rows[:, None]] = -np.inf
    weights = np.exp(z - z.max(axis=1, keepdims=True))
    return rows, (weights / weights.sum(axis=1, keepdims=True)) @ v


def forward(dtype, repeat):
    torch = torch_or_none()
    rng = np.random.default_rng(0)
    for n_heads, n in ((8, 4096), (1, 16384)):
        q, k, v = (rng.standard_normal((n_heads, n, 64)).astype(dtype) for _ in range(3))
        for causal in (False, True):
            functions = {"sksoft": partial(scaled_dot_product_attention, q, k, v, is_causal=causal)}
            if torch is not None:
                tensors = [torch.from_numpy(array)[None] for array in (q, k, v)]
                attend = torch.nn.functional.scaled_dot_product_attention
                functions["PyTorch"] = partial(attend, *tensors, is_causal=causal)
            rows, expected = exact(q[0], k[0], v[0], causal)
            errors = {
                name: abs(np.asarray(function()).reshape(n_heads, n, 64)[0, rows] - expected).max()
                for name, function in functions.items()
            }
            title = f"{n_heads} heads of {n} x 64, {dtype}{', causal' if causal else ''}"
            report(title, functions, errors, repeat)


def rbf(dtype, repeat):
    torch = torch_or_none()
    rng = np.random.default_rng(0)
    X, Y, V = (rng.standard_normal(shape).astype(dtype) for shape in ((5000, 20), (20000, 20), (20000, 10)))
    gamma = 0.05
    functions = {
        "sksoft": lambda: scaled_dot_product_attention(X, Y, V, score="rbf", scale=2 * gamma),
        "rbf_kernel(X, Y) @ V": lambda: rbf_kernel(X, Y, gamma=gamma) @ V,
    }
    if torch is not None:
        # -|x - y|² up to a constant of the row: a column more
        squares = (Y.astype(np.float64) ** 2).sum(axis=1)
        queries = np.column_stack([X, np.ones(len(X))]).astype(dtype)
        keys = np.column_stack([2 * gamma * Y, -gamma * squares]).astype(dtype)
        tensors = [torch.from_numpy(array)[None, None] for array in (queries, keys, V)]
        attend = torch.nn.functional.scaled_dot_product_attention
        functions["PyTorch, a column more"] = lambda: attend(*tensors, scale=1.0)
    kernel = rbf_kernel(X[:CHECKED].astype(np.float64), Y.astype(np.float64), gamma=gamma)
    expected = kernel @ V / kernel.sum(axis=1, keepdims=True)
    errors = {"sksoft": abs(functions["sksoft"]()[:CHECKED] - expected).max()}
    report(f"rbf 5000 x 20000 x 20, 10 outputs, {dtype}", functions, errors, repeat)


def backward(dtype, repeat):
    torch = torch_or_none()
    rng = np.random.default_rng(0)
    q, k, v, G = (rng.standard_normal((8, 2048, 64)).astype(dtype) for _ in range(4))
    out, lse = scaled_dot_product_attention(q, k, v, return_lse=True)
    functions = {"sksoft": lambda: attention_vjp(q, k, v, G, out=out, lse=lse)}
    if torch is not None:
        tensors = [torch.from_numpy(array)[None].requires_grad_() for array in (q, k, v)]
        result, slope = torch.nn.functional.scaled_dot_product_attention(*tensors), torch.from_numpy(G)[None]
        functions["PyTorch"] = lambda: torch.autograd.grad(result, tensors, slope, retain_graph=True)
    report(f"gradients, 8 heads of 2048 x 64, {dtype}", functions, {}, repeat)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("forward", "rbf", "backward"))
    parser.add_argument("--dtype", nargs="+", default=["float32", "float64"])
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()
    sksoft.set_config(n_threads=1)
    with serial_blas():
        for dtype in given.dtype:
            globals()[given.what](dtype, given.repeat)


if __name__ == "__main__":
    main()
