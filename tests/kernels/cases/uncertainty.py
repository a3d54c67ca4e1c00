"""Cases of the most uncertain rows: ties, few and many classes, rows near the uniform and far from it, odd rows."""

import numpy as np

from cases import Case
from sksoft.kernels.uncertainty import ENTROPY, LEAST_CONFIDENCE, MARGIN

KINDS = {"margin": MARGIN, "entropy": ENTROPY, "least confidence": LEAST_CONFIDENCE}


def rows(n_rows, n_classes, kind, wanted, *, power=1, special=None, repeat=1):
    """Rows without ties but for `repeat`, whose copies stand far apart."""

    def build(dtype):
        proba = np.random.default_rng(n_classes).standard_exponential((n_rows, n_classes)) ** power
        proba = (proba / proba.sum(axis=1, keepdims=True)).astype(dtype)
        proba = np.tile(proba, (repeat, 1))
        for position, value in (special or {}).items():
            proba[position] = value
        return (proba,), {"n_rows": wanted, "kind": kind}

    return build


def of_every_kind(name, *args, **options):
    return [Case(f"{name}, {text}", rows(*args[:2], kind, *args[2:], **options)) for text, kind in KINDS.items()]


CASES = {
    "most_uncertain_rows": [
        *of_every_kind("few", 300, 5, 20),
        *of_every_kind("all of them", 60, 4, 60),
        *of_every_kind("two classes", 500, 2, 40),
        *of_every_kind("many classes", 400, 131, 30),
        *of_every_kind("certain rows", 3000, 20, 50, power=8),
        *of_every_kind("several blocks", 70_000, 20, 100),
        *of_every_kind("ties", 500, 7, 300, repeat=3),
        *of_every_kind("certainty", 40, 3, 40, special={3: [1.0, 0.0, 0.0], 7: [0.0, 1.0, -0.0], 9: [0.0, 0.5, 0.5]}),
        *of_every_kind("a NaN", 70_000, 20, 5, special={(60_000, 3): np.nan}),
        *of_every_kind("below zero", 50, 3, 5, special={(20, 1): -1e-9, (30, 1): -0.5}),
        *of_every_kind("another sum", 50, 3, 5, special={(20, 1): 3.0}),
    ]
}
