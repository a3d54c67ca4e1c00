"""Cases of the sigmoid kernels."""

import numpy as np

from cases import Case
from cases.rowwise import normal, rng

SHAPES = [(0, 3), (1, 1), (5, 1), (7, 2), (67, 3), (130, 10), (33, 41), (60_000, 12)]
# float32 scores are exact inputs and sums are float64; only the outputs are rounded
LABELS = {"rtol": {"float64": 1e-13, "float32": 1e-6}, "atol": {"float64": 1e-300, "float32": 1e-37}}
# p - t is small where p is near t; on a device p is float32, and known to the rounding of what is up to 4
SOFT = {
    "rtol": LABELS["rtol"],
    "atol": {"float64": 1e-15, "float32": 1e-15},
    "device_atol": {"float64": 1e-15, "float32": 5e-7},
}


def loss_case(name, make_scores, targets_as):
    def build(dtype):
        scores = make_scores(dtype)
        n, n_labels = scores.shape
        targets = rng().uniform(size=scores.shape)
        targets = (targets > 0.7).astype(np.uint8) if targets_as == "labels" else targets.astype(targets_as or dtype)
        weights = rng().uniform(0.0, 2.0, size=n)
        weights[::5] = 0.0
        positive, negative = rng().uniform(0.5, 2.0, size=(2, n_labels))
        outputs = {"residual": np.full_like(scores, 7.0), "curvature": np.full_like(scores, 7.0)}
        return (scores, targets, weights, positive, negative), outputs

    return Case(name, build, ("residual", "curvature"), **(LABELS if targets_as == "labels" else SOFT))


def odd(dtype):
    """Certain, undecided and not a number, in columns that do not mix."""
    column = [0.0, -0.0, 1e-30, -1e-30, 30.0, -30.0, 80.0, -80.0, 600.0, -600.0, np.finfo(dtype).max, 1.0]
    scores = np.array([column] * 3, dtype=dtype).T
    scores[3, 1] = np.nan
    return scores


CASES = {
    "sigmoid_loss_columns": [
        *(
            loss_case(f"{n}x{k}-labels", lambda dtype, s=(n, k): normal(s, dtype), targets_as="labels")
            for n, k in SHAPES
        ),
        *(loss_case(f"{n}x{k}-soft", lambda dtype, s=(n, k): normal(s, dtype), targets_as=None) for n, k in SHAPES),
        loss_case("float64-targets", lambda dtype: normal((67, 9), dtype), targets_as="float64"),
        loss_case("odd-labels", odd, targets_as="labels"),
        loss_case("odd-soft", odd, targets_as=None),
    ]
}
