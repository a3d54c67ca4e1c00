"""The sigmoid's reference kernel against mpmath and finite differences."""

import mpmath
import numpy as np
import pytest

from sksoft.kernels.sigmoid import sigmoid_loss_columns

SCORES = [-700.0, -40.0, -3.0, -1e-9, 0.0, 1e-20, 0.5, 5.0, 36.0, 40.0, 700.0]
TARGETS = [0.0, 1e-12, 0.3, 1.0]


def one(score, target, positive=1.0, negative=1.0):
    outputs = np.empty((2, 1, 1))
    value = sigmoid_loss_columns.reference(
        np.array([[score]]),
        np.array([[target]]),
        np.ones(1),
        np.array([positive]),
        np.array([negative]),
        residual=outputs[0],
        curvature=outputs[1],
    )
    return value[0], outputs[0, 0, 0], outputs[1, 0, 0]


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("target", TARGETS)
def test_loss_and_derivatives_are_those_of_mpmath(score, target):
    """Relative to their own size, however small: nothing cancels where a label is nearly certain and right."""
    positive, negative = 1.5, 0.75
    with mpmath.workdps(700):
        z, t = mpmath.mpf(score), mpmath.mpf(target)
        below, above = 1 / (1 + mpmath.exp(z)), 1 / (1 + mpmath.exp(-z))
        loss = -positive * t * mpmath.log(above) - negative * (1 - t) * mpmath.log(below)
        expected = loss, negative * (1 - t) * above - positive * t * below, (positive * t + negative * (1 - t))
        expected = float(expected[0]), float(expected[1]), float(expected[2] * above * below)
    np.testing.assert_allclose(one(score, target, positive, negative), expected, rtol=1e-14, atol=1e-307)


def test_columns_do_not_mix_and_weights_are_repetitions():
    rng = np.random.default_rng(0)
    scores, targets = rng.normal(size=(20, 3)), rng.uniform(size=(20, 3))
    counts = rng.integers(0, 3, size=20)
    factors = rng.uniform(size=(2, 3))

    def run(rows, weights, columns):
        residual, curvature = np.empty((2, len(rows), len(columns)))
        values = sigmoid_loss_columns.reference(
            scores[rows][:, columns],
            targets[rows][:, columns],
            weights,
            *factors[:, columns],
            residual=residual,
            curvature=curvature,
        )
        return values, residual.sum(axis=0), curvature.sum(axis=0)

    weighted = run(np.arange(20), counts.astype(float), [0, 1, 2])
    repeated = np.repeat(np.arange(20), counts)
    for k in range(3):
        alone = run(repeated, np.ones(len(repeated)), [k])
        np.testing.assert_allclose([part[k] for part in weighted], np.concatenate(alone), rtol=1e-12)
