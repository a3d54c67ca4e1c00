r"""SoftmaxRegression beside what scikit-learn's L2 solvers cannot do, and beside other packages.

- L1: scikit-learn has saga alone. Its objective after each number of epochs of a grid (a run each, up to `cap`
  seconds), against one fit of ours with ``l1_ratio=1``: F(W, b) = mean loss + ‖W‖₁ / (C n) for both. Ours should be as
  low as saga's lowest, in a fifth of the time saga took to get within 1e-4 of that.
- No penalty: statsmodels' ``MNLogit`` (Newton), log-likelihood and seconds, against ``C=inf``.
- PyTorch's L-BFGS (full batch, float64, strong Wolfe line search): seconds to each gap, as for scikit-learn.
- skglm's and celer's L1 logistic regression, one class against the rest: another model, so that seconds, non-zero
  coefficients and accuracy on the same rows are what can be compared.

What is not installed is named and left out.
"""

import contextlib
import importlib
import inspect
import json
import math
import warnings
from pathlib import Path
from types import SimpleNamespace

import linear_data
import numpy as np
from linear_rivals import GAPS, EndOfRun, first_times, objective, quiet_fit
from scipy import sparse
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

import sksoft
from sksoft.kernels.blocks import serial_blas

SAGA_EPOCHS = (5, 10, 20, 40, 80, 160, 320, 640)


def optional(name):
    """The module, or None with a line that says so."""
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"{name}: not installed")
        return None


def l1_objective(X, codes, C, model):
    """mean loss + ‖W‖₁ / (C n) of a fitted model, in nats, and the number of non-zero coefficients."""
    W = model.coef_.toarray() if sparse.issparse(model.coef_) else model.coef_
    scores = X @ W.T + model.intercept_
    losses = logsumexp(scores, axis=1) - scores[np.arange(len(codes)), codes]
    return math.fsum(losses) / len(codes) + np.abs(W).sum() / (C * len(codes)), int(np.count_nonzero(W))


def saga_l1(X, codes, C, clock, cap, file):
    """(seconds, objective, non-zero coefficients) for each number of epochs, from `file` or measured into it."""
    if file.exists():
        return json.loads(file.read_text())
    found = []
    for n_epochs in SAGA_EPOCHS:
        model = LogisticRegression(C=C, l1_ratio=1.0, solver="saga", tol=0.0, max_iter=n_epochs, random_state=0)
        begin = clock()
        quiet_fit(model, X, codes)
        found.append((clock() - begin, *l1_objective(X, codes, C, model)))
        if 2 * found[-1][0] > cap:
            break
    file.write_text(json.dumps(found))
    return found


def seconds_to(value, X, codes, C, clock):
    """Seconds from the start of an L1 fit to its first iterate with an objective at most `value`."""
    begin, noting, found = clock(), 0.0, math.inf
    problem = sksoft.SoftmaxRegression(C=C, l1_ratio=1.0)._problem(X, codes, None, None)

    def note(_, point):
        nonlocal noting, found
        now = clock()
        W, b = problem.unpack(point.w)
        reached = l1_objective(X, codes, C, SimpleNamespace(coef_=W, intercept_=b))[0] <= value
        found = now - begin - noting if reached else math.inf
        noting += clock() - now
        return reached

    with serial_blas():
        problem.solve(None, solver="proximal-newton", tol=1e-12, max_iter=1000, callback=note)
    return found


def l1(clock, cap, cache, strengths=(1.0,)):
    """saga's objective by time, and ours."""
    ours = "l1_ratio" in inspect.signature(sksoft.SoftmaxRegression).parameters
    print("|data|C|solver|seconds|objective|non-zero|gap proved|\n|-|-|-|-|-|-|-|")
    for name in ("newsgroups", "chinook"):
        X, codes = linear_data.load(name)
        for C in strengths:
            found = saga_l1(X, codes, C, clock, cap, Path(cache) / f"saga-l1-{name}-C{C:g}.json")
            for n_epochs, (seconds, value, non_zero) in zip(SAGA_EPOCHS, found):
                print(f"|{name}|{C:g}|saga, {n_epochs} epochs|{seconds:.2f}|{value:.12f}|{non_zero}||")
            lowest = min(value for _, value, _ in found)
            near = next(seconds for seconds, value, _ in found if value <= lowest * (1 + 1e-4))
            if ours:
                seconds = seconds_to(lowest, X, codes, C, clock)
                print(f"  as low as saga after {seconds:.2f} s: saga took {found[-1][0] / seconds:.1f} times as"
                      f" long, and {near / seconds:.1f} times to within 1e-4 of it", flush=True)  # fmt: skip
            for tol in (1e-6, 1e-8) if ours else ():
                model = sksoft.SoftmaxRegression(C=C, l1_ratio=1.0, tol=tol)
                begin = clock()
                model.fit(X, codes)
                seconds = clock() - begin
                value, non_zero = l1_objective(X, codes, C, model)
                gap = f"{model.gap_ / model.objective_:.0e}"
                print(f"|{name}|{C:g}|sksoft, tol={tol:g}|{seconds:.2f}|{value:.12f}|{non_zero}|{gap}|")
                times = [f"{s / seconds:.1f}" for s in (found[-1][0], near)]
                print(f"  saga's lowest is above by {lowest / value - 1:.1e} of it; saga took {times[0]} times as long"
                      f" to its end, {times[1]} to within 1e-4 of its lowest")  # fmt: skip
    if not ours:
        print("sksoft: no l1_ratio in this version")


def unpenalised(clock):
    """statsmodels' MNLogit against ``C=inf``: log-likelihood and seconds."""
    if optional("statsmodels") is None:
        return
    from statsmodels.discrete.discrete_model import MNLogit
    from statsmodels.tools import add_constant

    print("|data|package|seconds|log-likelihood|\n|-|-|-|-|")
    for name in ("satimage", "letter"):
        X, codes = linear_data.load(name)
        begin = clock()
        with warnings.catch_warnings(), np.errstate(all="ignore"):  # its Newton steps overflow on letter
            warnings.simplefilter("ignore")
            result = MNLogit(codes, add_constant(X)).fit(method="newton", maxiter=200, disp=False)
        print(f"|{name}|statsmodels|{clock() - begin:.3f}|{result.llf:.6f}|")
        begin = clock()
        model = sksoft.SoftmaxRegression(C=np.inf, tol=1e-10).fit(X, codes)
        print(f"|{name}|sksoft|{clock() - begin:.3f}|{-model.objective_ * len(codes):.6f}|", flush=True)


def torch_trace(torch, X, codes, C, clock, cap, goal):
    """(seconds, F) after each evaluation of PyTorch's L-BFGS."""
    rows, targets = torch.from_numpy(X), torch.from_numpy(codes)
    W = torch.zeros((int(codes.max()) + 1, X.shape[1]), dtype=torch.float64, requires_grad=True)
    b = torch.zeros(len(W), dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [W, b], max_iter=100_000, tolerance_grad=0, tolerance_change=0, history_size=10, line_search_fn="strong_wolfe"
    )
    notes = []

    def closure():
        search.zero_grad()
        value = torch.nn.functional.cross_entropy(rows @ W.T + b, targets) + (W * W).sum() / (2 * C * len(codes))
        value.backward()
        notes.append((clock() - begin, float(value.detach())))
        if notes[-1][1] <= goal or notes[-1][0] > cap:
            raise EndOfRun
        return value

    begin = clock()
    with contextlib.suppress(EndOfRun):
        search.step(closure)
    return notes


def torch_lbfgs(clock, cap, n_threads):
    torch = optional("torch")
    if torch is None:
        return
    torch.set_num_threads(n_threads)
    columns = "|".join(f"s to {gap:g}" for gap in GAPS)
    print(f"|data|C|package|{columns}|\n|-|-|-|-|-|-|")
    for name in ("satimage", "letter", "mnist"):
        X, codes = linear_data.load(name)
        best = sksoft.SoftmaxRegression(tol=1e-12).fit(X, codes)
        optimum = objective(X, codes, 1.0, best.coef_, best.intercept_)[0]
        notes = torch_trace(torch, X, codes, 1.0, clock, cap, optimum * (1 + GAPS[-1]))
        seconds = [f"{t:.3g}" for t in first_times(notes, optimum)]
        print(f"|{name}|1|torch L-BFGS|" + "|".join(seconds) + "|")
        seconds = []
        for tol in GAPS:
            begin = clock()
            sksoft.SoftmaxRegression(tol=tol).fit(X, codes)
            seconds.append(f"{clock() - begin:.3g}")
        print(f"|{name}|1|sksoft|" + "|".join(seconds) + "|", flush=True)


def one_versus_rest(clock):
    """skglm and celer minimise, for each class, mean log(1 + exp(−y z)) + ‖w‖₁ / (C n); celer fits no intercept."""
    makers = {}
    skglm, celer = optional("skglm"), optional("celer")
    X, codes = linear_data.load("newsgroups")
    if skglm is not None:
        makers["skglm"] = lambda: skglm.SparseLogisticRegression(alpha=1.0 / len(codes), tol=1e-6)
    if celer is not None:
        makers["celer"] = lambda: celer.LogisticRegression(C=1.0, tol=1e-6)
    columns = sparse.csc_matrix(X)  # what both work on
    for package, make in makers.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            make().fit(columns[:200], codes[:200] % 2)  # compiles
            begin = clock()
            model = OneVsRestClassifier(make()).fit(columns, codes)
            seconds = clock() - begin
        non_zero = sum(np.count_nonzero(part.coef_) for part in model.estimators_)
        accuracy = np.mean(model.predict(columns) == codes)
        print(
            f"newsgroups, L1, C=1: {package} one-versus-rest {seconds:.2f} s, {non_zero} non-zero, fits {accuracy:.4f}"
        )
    if makers and "l1_ratio" in inspect.signature(sksoft.SoftmaxRegression).parameters:
        begin = clock()
        model = sksoft.SoftmaxRegression(l1_ratio=1.0).fit(X, codes)
        _, non_zero = l1_objective(X, codes, 1.0, model)
        accuracy = np.mean(model.predict(X) == codes)
        print(f"newsgroups, L1, C=1: sksoft softmax {clock() - begin:.2f} s, {non_zero} non-zero, fits {accuracy:.4f}")


def peers(clock, cache, n_threads=1, cap=300.0):
    """Every comparison of this file."""
    print("\nL1 against saga\n")
    l1(clock, cap, cache)
    print("\nno penalty\n")
    unpenalised(clock)
    print("\nPyTorch\n")
    torch_lbfgs(clock, cap, n_threads)
    print("\none class against the rest\n")
    one_versus_rest(clock)
