"""SoftmaxRegression on a device: seconds to a gap, beside PyTorch's L-BFGS on the same device and our own CPU.

F(W, b) = mean loss + ‖W‖² / (2 C n) for all, float32 rows, C = 1. The optimum f* is that of our fit with ``tol=1e-10``,
whose gap is proved; "gap" is (F − f*) / f*, with F computed in float64 outside all clocks for every iterate of
everybody. The time to a gap is that of the first iterate within it, from the start: ours has the validation in it. A
"whole fit" has ``tol`` equal to the gap: a user's call. Compilation is in none, for the optimum is fitted before.

The columns of X are mixtures of independent ones whose scale falls a hundredfold, so that they are as unequal and as
correlated as pixels are; labels are drawn from a softmax of a plane. PyTorch's L-BFGS has a strong Wolfe line search
and ten pairs of memory, and float32 parameters: what it does not reach, it did not reach.
"""

import contextlib
import math
import time

import numpy as np
from cuda_timing import Line, failed

import sksoft
from sksoft.kernels.blocks import serial_blas

C = 1.0
GAPS = (1e-4, 1e-6)
# PyTorch's evaluations and seconds at most.
MOST_EVALUATIONS, MOST_SECONDS = 400, 120.0
RUNS = 3
# Rows of a block in float64.
BLOCK = 1 << 17


class EndOfRun(Exception):
    """Thrown through PyTorch's optimiser to stop it."""


def rows_and_labels(n_rows, n_features, n_classes):
    """X (n, p) float32 and labels, the same on every machine."""
    rng = np.random.default_rng(0)
    mixing = np.linalg.qr(rng.standard_normal((n_features, n_features)))[0]
    mixing = (np.geomspace(1.0, 0.01, n_features)[:, None] * mixing).astype(np.float32)
    W = (rng.standard_normal((n_features, n_classes)) * 4.0).astype(np.float32)
    X, labels = np.empty((n_rows, n_features), np.float32), np.empty(n_rows, np.int64)
    for start in range(0, n_rows, BLOCK):
        rows = slice(start, start + BLOCK)
        X[rows] = rng.standard_normal(X[rows].shape, np.float32) @ mixing
        labels[rows] = np.argmax(X[rows] @ W + rng.gumbel(size=(len(X[rows]), n_classes)), axis=1)
    labels[:n_classes] = np.arange(n_classes)
    return X, labels


def objective(xp, X, labels, W, b):
    """F in float64, W (K, p) and b (K,) of the host."""
    W, b, total = xp.asarray(np.asarray(W, np.float64)), xp.asarray(np.asarray(b, np.float64)), []
    for start in range(0, len(X), BLOCK):
        scores = X[start : start + BLOCK].astype(np.float64) @ W.T + b
        scores -= scores.max(axis=1, keepdims=True)
        own = scores[xp.arange(len(scores)), labels[start : start + BLOCK]]
        total.append(float((xp.log(xp.exp(scores).sum(axis=1)) - own).sum()))
    return math.fsum(total) / len(X) + float((W * W).sum()) / (2 * C * len(X))


def ours(clock, X, labels, tol):
    """(seconds, W, b) of every iterate of a fit to `tol`."""
    notes, noting = [], 0.0
    clock.wait()
    begin = time.perf_counter()
    problem = sksoft.SoftmaxRegression(C=C)._problem(X, labels, None, None)

    def note(_, point):
        nonlocal noting
        now = time.perf_counter()
        notes.append((now - begin - noting, np.array(point.w)))
        noting += time.perf_counter() - now

    with serial_blas():
        problem.solve(None, solver="newton-cg", tol=tol, max_iter=1000, callback=note)
    return [(seconds, *problem.unpack(w)) for seconds, w in notes]


def theirs(torch, X, labels, goal):
    """(seconds, W, b) of every evaluation of PyTorch's L-BFGS, until its own F is at the goal or it takes too long."""
    W = torch.zeros((int(labels.max()) + 1, X.shape[1]), device=X.device, requires_grad=True)
    b = torch.zeros(len(W), device=X.device, requires_grad=True)
    search = torch.optim.LBFGS(
        [W, b], max_iter=100_000, tolerance_grad=0, tolerance_change=0, history_size=10, line_search_fn="strong_wolfe"
    )
    notes = []

    def closure():
        search.zero_grad()
        value = torch.nn.functional.cross_entropy(X @ W.T + b, labels) + (W * W).sum() / (2 * C * len(labels))
        value.backward()
        reached = float(value.detach()) <= goal  # waits for the device
        notes.append((time.perf_counter() - begin, W.detach().clone(), b.detach().clone()))
        if reached or notes[-1][0] > MOST_SECONDS or len(notes) >= MOST_EVALUATIONS:
            raise EndOfRun
        return value

    torch.cuda.synchronize()
    begin = time.perf_counter()
    with contextlib.suppress(EndOfRun):
        search.step(closure)
    return [(seconds, W.cpu().numpy(), b.cpu().numpy()) for seconds, W, b in notes]


def first_times(notes, gap_of):
    """Seconds to the first iterate within each gap; infinite where none is."""
    gaps = [(seconds, gap_of(W, b)) for seconds, W, b in notes]
    return [next((seconds for seconds, gap in gaps if gap <= wanted), math.inf) for wanted in GAPS]


def fastest(run, clock):
    """Least seconds to each gap, over a few runs, and the exception that ended them, else None."""
    try:
        times = [run() for _ in range(1 if clock.simulated else min(RUNS, clock.repeat))]
    except Exception as failure:
        return [math.inf for _ in GAPS], failure
    return [min(found) for found in zip(*times)], None


def gap_lines(name, size, times, failure, beside, clock):
    """A line for each gap; `beside` are our times on the device."""
    for gap, seconds, reference in zip(GAPS, times, beside):
        what = f"{name}, gap {gap:.0e}"
        if failure is not None:
            yield failed(what, failure, size)
        elif not math.isfinite(seconds):
            yield Line(what, size, note="not reached")
        elif clock.simulated:
            yield Line(what, size, note="reached")
        else:
            note = "" if times is beside else f"{seconds / reference:.2f} × ours"
            yield Line(what, size, wall=seconds, note=note)


def proved_lines(name, size, fit, clock):
    """Whole fits with `tol` equal to the gap, and what they proved."""
    for gap in GAPS:
        try:
            wall = clock.wall(lambda gap=gap: fit(gap))
            model = fit(gap)
            note = f"proved {model.gap_ / model.objective_:.0e}, {int(np.max(model.n_iter_))} iterations"
            yield Line(f"{name}, whole fit, tol={gap:.0e}", size, wall=wall, note=note)
        except Exception as failure:
            yield failed(f"{name}, whole fit, tol={gap:.0e}", failure, size)


def lines(clock, torch, n_rows, n_features, n_classes):
    """Of every contender, at every gap."""
    size = f"{n_rows} × {n_features} × {n_classes}"
    host, labels = rows_and_labels(n_rows, n_features, n_classes)
    X, codes = clock.xp.asarray(host), clock.xp.asarray(labels)
    best = sksoft.SoftmaxRegression(C=C, tol=1e-10).fit(X, labels)
    optimum = objective(clock.xp, X, codes, best.coef_, best.intercept_)
    yield Line("optimum", size, note=f"f* = {optimum:.9f}, proved within {best.gap_ / best.objective_:.0e} of it")

    def gap_of(W, b):
        return objective(clock.xp, X, codes, W, b) / optimum - 1

    device, failure = fastest(lambda: first_times(ours(clock, X, labels, GAPS[-1]), gap_of), clock)
    yield from gap_lines("sksoft", size, device, failure, device, clock)
    yield from proved_lines("sksoft", size, lambda tol: sksoft.SoftmaxRegression(C=C, tol=tol).fit(X, labels), clock)
    if torch is not None:
        tensors = torch.from_dlpack(X), torch.from_dlpack(codes)
        goal = optimum * (1 + 0.5 * GAPS[-1])

        def run():
            return first_times(theirs(torch, *tensors, goal), gap_of)

        yield from gap_lines("torch L-BFGS", size, *fastest(run, clock), device, clock)
    with sksoft.config_context(backend="auto"):
        times, failure = fastest(lambda: first_times(ours(clock, host, labels, GAPS[-1]), gap_of), clock)
    yield from gap_lines("sksoft, CPU", size, times, failure, device, clock)
