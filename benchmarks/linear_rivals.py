r"""The optimum of a ridge-penalised multinomial regression, and when scikit-learn's solvers come near it.

The objective is F(W, b) = (1/n) Σᵢ (log Σₖ exp zᵢₖ − z_{i,yᵢ}) + ‖W‖² / (2 C n): scikit-learn's divided by C n.

The optimum is known from two solvers and a proof. F is strongly convex in W with constant λ = 1/(C n), also after
minimising over b, so F − min F ≤ ‖∇F‖² / (2 λ) wherever the entries of b in the gradient are rounding; the gradient in
this bound is computed here, from plain NumPy, and needs to trust neither solver.

lbfgs, newton-cg and newton-cholesky run with a tolerance that they never reach, while a hook on scikit-learn's
``LinearModelLoss`` notes (time since the start of ``fit``, value) at the end of every evaluation. The value *is* F in
float64, so nothing else has to be stored, and the note costs about a microsecond. The first evaluation within the gap
counts: what a user would need who knew the best `max_iter`. sag and saga evaluate nothing, so each number of epochs of
a grid is a run of its own, up to the time in which the best of the others reached the smallest gap: beyond that they
cannot win. newton-cholesky runs where p K <= 1600.
"""

import contextlib
import math
import platform
import time
import warnings

import numpy as np
import scipy
import sklearn
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model._linear_loss import LinearModelLoss

GAPS = (1e-4, 1e-6, 1e-8)
EVALUATED = ("lbfgs", "newton-cg", "newton-cholesky")
EPOCHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 40, 60, 100, 160, 250, 400)
LARGEST_CHOLESKY = 1600
CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}


class EndOfRun(Exception):
    """Raised from the hook once nothing more is to be learnt."""


def objective(X, codes, C, W, b):
    """F (float, nats) and ∇F as (K, p) and (K,), from NumPy and SciPy alone."""
    n_rows = X.shape[0]
    scores = X @ W.T + b
    log_norm = logsumexp(scores, axis=1)
    own = scores[np.arange(n_rows), codes]
    value = math.fsum(log_norm - own) / n_rows + np.vdot(W, W) / (2 * C * n_rows)
    residual = np.exp(scores - log_norm[:, None])
    residual[np.arange(n_rows), codes] -= 1.0
    residual /= n_rows
    return float(value), (X.T @ residual).T + W / (C * n_rows), residual.sum(axis=0)


def value_of(model, X, codes, C):
    return objective(X, codes, C, model.coef_, model.intercept_)[0]


@contextlib.contextmanager
def recorded(note):
    """Within, every evaluation of scikit-learn's objective calls ``note(value)`` when it ends."""
    originals = {name: getattr(LinearModelLoss, name) for name in ("loss", "loss_gradient")}

    def hooked(original):
        def evaluate(self, *args, **kwargs):
            answer = original(self, *args, **kwargs)
            note(answer[0] if isinstance(answer, tuple) else answer)
            return answer

        return evaluate

    try:
        for name, original in originals.items():
            setattr(LinearModelLoss, name, hooked(original))
        yield
    finally:
        for name, original in originals.items():
            setattr(LinearModelLoss, name, original)


def quiet_fit(model, X, codes):
    """Fit without the warning that a run cut short deserves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, codes)


def trace(solver, X, codes, C, clock, cap, goal, start=None):
    """(seconds, F) after each evaluation, until F <= goal, `cap` seconds, or the solver gives up; and the model."""
    # the weights are where Newton's steps end, so nothing but rounding stops these runs before the goal
    model = LogisticRegression(C=C, solver=solver, tol=1e-15, max_iter=100_000, warm_start=start is not None)
    if start is not None:
        model.coef_, model.intercept_, model.classes_ = *start, np.unique(codes)
    notes = []

    def note(value):
        notes.append((clock() - begin, value))
        if value <= goal or notes[-1][0] > cap:
            raise EndOfRun

    begin = clock()
    with recorded(note), contextlib.suppress(EndOfRun):
        quiet_fit(model, X, codes)
    return notes, model


def first_times(notes, optimum):
    """Seconds to each gap, or inf."""
    return [min((t for t, value in notes if value - optimum <= gap * optimum), default=math.inf) for gap in GAPS]


def time_epochs(solver, X, codes, C, clock, limit, optimum):
    """Seconds to each gap, of runs of growing numbers of epochs that take up to `limit` seconds.

    After the short runs the longest affordable one comes first: where even that stays above every gap, the others are
    left out.
    """
    notes = []

    def run(n_epochs):
        model = LogisticRegression(C=C, solver=solver, tol=1e-15, max_iter=n_epochs, random_state=0)
        begin = clock()
        quiet_fit(model, X, codes)
        notes.append((clock() - begin, value_of(model, X, codes, C)))
        return notes[-1][1] - optimum <= GAPS[-1] * optimum

    if any(run(n_epochs) for n_epochs in EPOCHS[:4]) or notes[-1][0] > limit:
        return first_times(notes, optimum)
    an_epoch = max(notes[-1][0] - notes[0][0], 1e-4) / (EPOCHS[3] - EPOCHS[0])
    longer = [n for n in EPOCHS[4:] if notes[-1][0] + (n - EPOCHS[3]) * an_epoch <= limit]
    if longer:
        run(longer[-1])
        if notes[-1][1] - optimum <= GAPS[0] * optimum:
            any(run(n_epochs) for n_epochs in longer[:-1])
    return first_times(notes, optimum)


def time_rivals(X, codes, C, clock, cap, optimum, repeat=3, log=print):
    """{solver: {"seconds": to each gap or inf, "spent": seconds of the longest run}}, best of `repeat` runs."""
    answer = {}
    for solver in (*EVALUATED, "sag", "saga"):
        if solver == "newton-cholesky" and X.shape[1] * (codes.max() + 1) > LARGEST_CHOLESKY:
            continue
        best, spent = [math.inf] * len(GAPS), 0.0
        for run in range(repeat):
            begin = clock()
            if solver in EVALUATED:
                notes, _ = trace(solver, X, codes, C, clock, cap, optimum * (1 + GAPS[-1]))
                seconds = first_times(notes, optimum)
                lowest = min(value for _, value in notes)
            else:
                limit = min(cap, *(times["seconds"][-1] for times in answer.values()))
                seconds = time_epochs(solver, X, codes, C, clock, limit, optimum)
                lowest = math.inf
            if lowest < optimum * (1 - 1e-12):
                raise RuntimeError(f"{solver} found {lowest!r}, below what was taken as the optimum, {optimum!r}")
            best = [min(pair) for pair in zip(best, seconds)]
            spent = max(spent, clock() - begin)
            if spent > 5.0 or (run == 0 and best[0] == math.inf):
                break
        answer[solver] = {"seconds": best, "spent": spent}
        log(f"    {solver:<16}" + "".join(f"{t:10.3f}" for t in best) + f"   longest run {spent:.1f} s")
    return answer


def find_optimum(X, codes, C, ours, cap=60.0, log=print):
    """The lowest F of ours run to the end, of scikit-learn's newton-cg going on from there, and of scikit-learn alone.

    `ours` is a fitted model. Returns value, proof (a bound on how far it is from the minimum, relative), and how far
    scikit-learn's own run from zero, given `cap` seconds, ended from it.
    """
    candidates = [(ours.coef_, ours.intercept_)]
    _, polished = trace("newton-cg", X, codes, C, time.process_time, cap, -math.inf, start=candidates[0])
    candidates.append((polished.coef_, polished.intercept_))
    found = []
    for W, b in candidates:
        value, in_W, in_b = objective(X, codes, C, W, b)
        found.append((value, np.vdot(in_W, in_W) * C * X.shape[0] / 2 / value, np.abs(in_b).max()))
    value = min(f[0] for f in found)
    _, proof, in_b = min(found, key=lambda f: f[1])
    small = X.shape[1] * (codes.max() + 1) <= LARGEST_CHOLESKY
    solver = "newton-cholesky" if small else "newton-cg"
    notes, _ = trace(solver, X, codes, C, time.process_time, cap, value)
    alone = min(v for _, v in notes)
    answer = {
        "value": min(value, alone),
        "proved_within": proof,
        "intercept_gradient": float(in_b),
        "alone": {"solver": solver, "relative_difference": alone / value - 1, "seconds": notes[-1][0]},
        "ours_minus_polished": found[0][0] / found[1][0] - 1,
    }
    log(f"    f* {answer['value']!r}, proved within {proof:.1e} (intercepts' gradient {in_b:.0e}); {solver} alone ended"
        f" {alone / value - 1:+.1e} from it after {notes[-1][0]:.0f} s; ours − newton-cg from ours"
        f" {answer['ours_minus_polished']:+.1e}")  # fmt: skip
    return answer


def default_gap(X, codes, C, clock, optimum):
    """Seconds and relative gap of scikit-learn's ``LogisticRegression(C=C)`` with nothing else said."""
    model = LogisticRegression(C=C)
    begin = clock()
    quiet_fit(model, X, codes)
    return {"seconds": clock() - begin, "gap": value_of(model, X, codes, C) / optimum - 1}


def yardstick(clock, repeat=5):
    """Seconds of a fixed piece of work in the cache and in memory: tells a slower machine from a slower fit."""
    rng = np.random.default_rng(0)
    square, long = rng.normal(size=(700, 700)), rng.normal(size=4_000_000)
    seconds = []
    for _ in range(repeat):
        begin = clock()
        np.exp(square @ square * 1e-3).sum()
        (long * 1.5).sum()
        seconds.append(clock() - begin)
    return min(seconds)


def machine():
    """What the times depend on."""
    try:
        with open("/proc/cpuinfo") as file:
            names = {line.split(":", 1)[1].strip() for line in file if line.startswith("model name")}
    except OSError:
        names = {platform.processor()}
    return {
        "processor": ", ".join(sorted(names)),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
    }
