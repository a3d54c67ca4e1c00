"""Cases of attention: every score, every way not to see a key, sizes around the tiles, NaN where nobody looks."""

import numpy as np

from cases import Case

# n, m, d, v: none, one, less than a tile, several tiles with a rest
SHAPES = [(0, 3, 2, 1), (1, 1, 1, 1), (5, 7, 3, 2), (300, 1100, 20, 10), (700, 530, 64, 64)]
SIGHTS = ("all", "bias", "limits", "groups", "mask", "additive", "everything", "nan")
# the same for tiles of a simulated device; and few queries, whose keys are shared by several blocks
FEW, FEWEST = (9, 21, 5, 10), (3, 20, 2, 2)
# rows that are queries and keys, as in a search for bandwidths
SQUARE = (9, 9, 2, 1)
LOOSE = {"rtol": {"float64": 1e-10, "float32": 2e-4}, "atol": {"float64": 1e-12, "float32": 2e-5}}


def inputs(n, m, d, v, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in ((n, d), (m, d), (m, v))]


def sight(name, n, m, dtype):
    """Keyword arguments that say what a query sees."""
    rng = np.random.default_rng(1)
    bias = rng.standard_normal(m).astype(dtype)
    bias[::3] = -np.inf
    mask = rng.uniform(size=(n, m)) < 0.7
    mask[: n // 9] = False
    additive = np.where(mask, rng.standard_normal((n, m)), -np.inf).astype(dtype)
    limits = np.minimum(np.arange(n) * m // max(n, 1) + 1, m)
    groups = {"query_groups": rng.integers(0, 5, n), "key_groups": rng.integers(0, 5, m)}
    return {
        "all": {},
        "bias": {"bias": bias},
        "limits": {"limits": limits},
        "groups": groups,
        "mask": {"mask": mask},
        "additive": {"mask": additive},
        "everything": {"bias": bias, "limits": limits, "mask": mask, **groups},
        "nan": {"bias": bias, "mask": mask, **groups},
        "leave one out": {"query_groups": np.arange(n), "key_groups": np.arange(m)},
    }[name]


def arguments(shape, score, name, dtype):
    queries, keys, values = inputs(*shape, dtype)
    if name == "leave one out":
        keys[1] = keys[0]  # at no distance, and seen
        queries = keys.copy()
    if name == "nan" and len(keys) > 5:
        keys[0] = values[3] = np.nan  # not there
        keys[1, 0] = values[2, 0] = values[4, -1] = np.nan  # seen by some queries
        values[5, 0] = np.inf
        queries[: len(queries) // 9] = np.nan  # see nothing
    scale = 0.3 if score == "dot" else 0.1
    return (queries, keys, values), {"score": score, "scale": scale, **sight(name, shape[0], shape[1], dtype)}


def forward(shape, score, name):
    return Case(f"{score}-{name}-{shape}", lambda dtype: arguments(shape, score, name, dtype), **LOOSE)


def backward(shape, score, name, lse_gradient=True):
    from sksoft.kernels.attention import attend

    def build(dtype):
        args, kwargs = arguments(shape, score, name, dtype)
        out, lse = attend.reference(*args, **kwargs)
        rng = np.random.default_rng(2)
        if lse_gradient:
            kwargs["lse_gradient"] = rng.standard_normal(lse.shape).astype(dtype)
        return (*args, out, lse, rng.standard_normal(out.shape).astype(dtype)), kwargs

    return Case(f"{score}-{name}-{shape}", build, **LOOSE)


ARGUMENTS = [
    *((shape, score, "all") for shape in SHAPES for score in ("dot", "gaussian", "laplace")),
    *((shape, "gaussian", "everything") for shape in SHAPES),
    *((SHAPES[3], "dot", name) for name in SIGHTS[1:]),
    *((SHAPES[2], "laplace", name) for name in SIGHTS[1:]),
    *((FEW, score, "everything") for score in ("dot", "gaussian", "laplace")),
    *((FEW, "dot", name) for name in ("limits", "nan")),
    *((FEWEST, "dot", name) for name in ("bias", "limits")),
    (SQUARE, "laplace", "leave one out"),
]

CASES = {
    "attend": [forward(*arguments) for arguments in ARGUMENTS],
    "attend_vjp": [backward(*arguments) for arguments in ARGUMENTS]
    + [backward(SHAPES[2], "dot", "all", lse_gradient=False)],
}
