"""Cases of the softmax kernels."""

from dataclasses import replace

import numpy as np

from cases import Case

# float32 scores are subtracted in float32: exp is off by eps times the distance from the maximum
WIDE = {"rtol": {"float64": 1e-13, "float32": 2e-5}}
# a logarithm near zero is known to the rounding of a sum near one
NEAR_ZERO = {**WIDE, "atol": {"float64": 2e-15, "float32": 2e-7}}
# some for simulated devices, which share rows of 9 entries or more among threads, and of 80 or more among warps
SMALL_SHAPES = [(0, 3), (1, 1), (5, 1), (7, 2), (67, 3), (130, 10), (33, 41), (9, 1000), (9, 12), (3, 75), (2, 92)]
SHAPES = [*SMALL_SHAPES, (2, 100_000), (60_000, 12)]


def rng():
    return np.random.default_rng(20_260_801)


def normal(shape, dtype, scale=4.0):
    return (scale * rng().normal(size=shape)).astype(dtype)


def simplex(shape, dtype, zeros=0.2):
    """Rows that sum to one, some entries exactly zero."""
    exps = np.exp(normal(shape, "float64")) * (rng().uniform(size=shape) > zeros)
    exps[:, 0] += 1e-3
    return (exps / exps.sum(axis=1, keepdims=True)).astype(dtype)


def extremes(dtype):
    """NaN, infinities, the ends of the range, spans beyond it, and ordinary rows between them, three times over."""
    top = np.finfo(dtype).max
    rows = [
        [0.0, 1.0, 2.0],
        [np.nan, 1.0, 2.0],
        [0.5, 1.0, np.nan],
        [np.nan, np.nan, np.nan],
        [-np.inf, 1.0, 2.0],
        [1.0, -np.inf, -np.inf],
        [-np.inf, -np.inf, -np.inf],
        [np.inf, 1.0, -np.inf],
        [-np.inf, np.nan, 1.0],
        [np.inf, np.nan, 1.0],
        [top, -top, 0.0],
        [top, top, top],
        [-top, -top, -top],
        [0.0, -0.0, 0.0],
        [1e-30, -1e-30, 0.0],
        [0.0, -60.0, -2000.0],
        [3.0, 2.0, 1.0],
    ]
    return np.array(rows * 3, dtype=dtype)


def extreme_mask():
    mask = rng().uniform(size=(51, 3)) > 0.4
    mask[:3] = [[False, False, False], [False, True, True], [True, True, False]]
    return mask


def masked(shape, dtype):
    """Scores with NaN under the mask, and the mask; the first row has nothing available."""
    scores, mask = normal(shape, dtype), rng().uniform(size=shape) > 0.3
    mask[:1] = False
    scores[~mask] = np.nan
    return scores, mask


def score_cases(shapes=SHAPES, with_out=True, tolerance=WIDE, **keywords):
    """Cases of a kernel called as ``kernel(scores, temperature=, mask=, out=)``."""

    def case(name, make, **kwargs):
        def build(dtype):
            scores, mask = make(dtype)
            call = dict(keywords, **kwargs)
            if mask is not None:
                call["mask"] = mask
            if with_out:
                call["out"] = np.full_like(scores, 7.0)
                call["empty_rows"] = np.ones(len(scores), dtype=bool)
            return (scores,), call

        outputs = {"outputs": ("out", "empty_rows"), "may_alias": {"out": 0}} if with_out else {}
        return Case(name, build, **outputs, **tolerance)

    suffix = "".join(f"-{key}={value}" for key, value in keywords.items())
    cases = [case(f"{n}x{k}{suffix}", lambda dtype, s=(n, k): (normal(s, dtype), None)) for n, k in shapes]
    cases += [
        case(f"masked-{n}x{k}{suffix}", lambda dtype, s=(n, k): masked(s, dtype))
        for n, k in [(0, 3), (40, 1), (70, 5), (20, 300)]
    ]
    cases += [
        case(f"temperature-{t}{suffix}", lambda dtype: (normal((70, 5), dtype), None), temperature=t)
        for t in (0.05, 3.0, 1e300)
    ]
    cases += [case(f"extremes{suffix}", lambda dtype: (extremes(dtype), None))]
    cases += [
        case(f"extremes-masked-{t}{suffix}", lambda dtype: (extremes(dtype), extreme_mask()), temperature=t)
        for t in (1.0, 5e-324, 1e-300, 1e300)
    ]
    cases += [
        case(f"extremes-wide-{t}{suffix}", lambda dtype: (np.tile(extremes(dtype), (1, 40)), None), temperature=t)
        for t in (1.0, 5e-324)
    ]
    return cases


def other(dtype):
    return np.float32 if np.dtype(dtype) == np.float64 else np.float64


def loss_case(name, make, target, *, proba=None, **keywords):
    """A case of ``kernel(scores, target, weights, residual=, proba=)``; `proba` is None, "same" or "other" dtype."""

    def build(dtype):
        scores = make(dtype)
        weights = rng().uniform(0.0, 2.0, size=len(scores))
        weights[::5] = 0.0
        kwargs = dict(keywords, residual=np.full_like(scores, 7.0))
        if proba:
            kwargs["proba"] = np.full(scores.shape, 7.0, dtype if proba == "same" else other(dtype))
        return (scores, target(scores), weights), kwargs

    outputs = ("residual", "proba") if proba else ("residual",)
    # a difference of shares is known to the rounding of the shares
    tolerance = WIDE if target is labels_of and not keywords else NEAR_ZERO
    if proba == "other":
        tolerance = {**tolerance, "rtol": {"float64": 2e-7, "float32": 2e-5}}
    return Case(name, build, outputs, {"residual": 0}, **tolerance)


def loss_cases(target, label="", **keywords):
    def case(name, make, proba):
        return loss_case(name + label, make, target, proba=proba, **keywords)

    cases = [
        case(f"{n}x{k}", lambda dtype, s=(n, k): normal(s, dtype), "same" if n % 2 == 1 else None) for n, k in SHAPES
    ]
    cases += [
        case(f"other-proba-{n}x{k}", lambda dtype, s=(n, k): normal(s, dtype), "other")
        for n, k in [(70, 2), (67, 3), (130, 10), (33, 41), (0, 3)]
    ]
    return cases + [
        case("no-proba", lambda dtype: normal((67, 3), dtype), None),
        case("certain", lambda dtype: normal((67, 3), dtype, scale=30.0), "same"),
        case("certain-wide", lambda dtype: normal((67, 300), dtype, scale=30.0), "same"),
        case("extremes", extremes, "same"),
        case("extremes-wide", lambda dtype: np.tile(extremes(dtype), (1, 40)), "same"),
    ]


def labels_of(scores):
    return rng().integers(0, scores.shape[1], size=len(scores))


def distributions_of(dtype):
    return lambda scores: simplex(scores.shape, dtype or scores.dtype)


def near_distributions(scores):
    """Targets so near the softmax of the scores that the divergence is a millionth of either entropy."""
    exps = np.exp(scores - scores.max(axis=1, keepdims=True), dtype=np.float64)
    exps *= 1.0 + 1e-3 * rng().normal(size=scores.shape)
    return exps / exps.sum(axis=1, keepdims=True)


def divergence_cases():
    def moderate(shape):
        return lambda dtype: normal(shape, dtype, scale=1.0)

    cases = loss_cases(distributions_of(None))
    cases += [
        loss_case(f"targets-{dtype}", moderate((67, 5)), distributions_of(dtype)) for dtype in ("float64", "float32")
    ]
    # float32 scores are known to 1e-7, which is 1e-4 of how far these targets are from them
    near = {"rtol": {"float64": 1e-11, "float32": 3e-2}, "atol": {"float64": 2e-16, "float32": 2e-7}}
    return cases + [
        replace(loss_case(f"near-{n}x{k}", moderate((n, k)), near_distributions), **near)
        for n, k in [(67, 3), (33, 41)]
    ]


def product_cases(shapes=SHAPES, **keywords):
    """Cases of a Jacobian product ``kernel(proba, vectors, weights=, out=)``."""

    def case(name, shape, weighted, poison=False, mixed=False):
        def build(dtype):
            proba, vectors = simplex(shape, other(dtype) if mixed else dtype), normal(shape, dtype)[:, ::-1].copy()
            if poison:
                vectors[proba == 0.0] = np.nan
                proba[3] = np.nan
                vectors[5, 0] = np.inf
            kwargs = dict(keywords, out=np.full_like(vectors, 7.0))
            if weighted:
                kwargs["weights"] = rng().uniform(0.0, 2.0, size=shape[0])
            return (proba, vectors), kwargs

        scale = {"rtol": {"float64": 1e-11, "float32": 1e-4}, "atol": {"float64": 1e-14, "float32": 3e-7}}
        return Case(name, build, ("out",), {"out": 1}, **scale)

    suffix = "".join(f"-{key}={value}" for key, value in keywords.items())
    cases = [case(f"{n}x{k}{suffix}", (n, k), weighted=k % 2 == 0) for n, k in shapes]
    cases += [case(f"poison-{k}{suffix}", (70, k), weighted=True, poison=True) for k in (5, 300)]
    cases += [case(f"mixed-{k}{suffix}", (70, k), weighted=True, mixed=True) for k in (5, 300)]
    return cases


def entropy_cases():
    def case(name, make):
        return Case(name, lambda dtype: ((make(dtype),), {}))

    cases = [case(f"{n}x{k}", lambda dtype, s=(n, k): simplex(s, dtype)) for n, k in SHAPES]
    odd = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [np.nan, 0.5, 0.5], [-0.1, 0.6, 0.5], [1e-37, 1.0, 0.0], [2.0, 3.0, 0.5]]
    cases += [case("odd", lambda dtype: np.array(odd * 12, dtype))]
    cases += [case("odd-wide", lambda dtype: np.tile(np.array(odd, dtype), (1, 30)))]
    return cases


CASES = {
    "softmax_rows": score_cases(),
    "log_softmax_rows": score_cases(tolerance=NEAR_ZERO),
    "logsumexp_rows": score_cases(with_out=False, tolerance=NEAR_ZERO),
    "cross_entropy_rows": loss_cases(labels_of) + loss_cases(labels_of, "-smoothed", smoothing=0.1),
    "divergence_rows": divergence_cases(),
    "softmax_jvp_rows": product_cases(),
    "entropy_rows": entropy_cases(),
}
