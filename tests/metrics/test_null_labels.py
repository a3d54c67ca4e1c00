"""Drawn labels follow the predictions, never show the impossible, and repeat."""

import numpy as np
import pytest
from scipy.stats import chisquare

from sksoft.metrics.null_labels import FEW_CLASSES, monte_carlo_p_value, null_labels, written_out
from sksoft.metrics.predictions import check_predictions


@pytest.mark.parametrize("n_classes", [2, 3, FEW_CLASSES, FEW_CLASSES + 1, FEW_CLASSES + 2, 100, 129])
def test_frequencies(n_classes):
    p = np.random.default_rng(n_classes).dirichlet(np.ones(n_classes))
    if n_classes > 2:
        p[n_classes // 2] = 0.0
    p /= p.sum()
    codes = null_labels(np.tile(p, (20000, 1)), seed=3).draw(0)
    counts = np.bincount(codes, minlength=n_classes)
    assert counts[p == 0].sum() == 0
    kept = p * 20000 > 5
    observed, expected = np.append(counts[kept], counts[~kept].sum()), np.append(p[kept], p[~kept].sum()) * 20000
    assert chisquare(observed[expected > 0], expected[expected > 0]).pvalue > 1e-3


def test_bisection_finds_what_comparing_finds():
    p = np.random.default_rng(0).dirichlet(np.ones(60), 500)
    p[:, 50:] = 0
    labels = null_labels(p, seed=11)
    from sksoft.kernels import bins

    expected = (bins.uniforms(11, 4, 500) >= labels.edges).sum(axis=0)
    np.testing.assert_array_equal(labels.draw(4), expected)
    assert expected.max() < 50


def test_one_column():
    p = np.array([0.0, 1.0, 0.3] * 5000)
    codes = null_labels(p, seed=1).draw(2)
    assert codes[::3].max() == 0
    assert codes[1::3].min() == 1
    assert codes[2::3].mean() == pytest.approx(0.3, abs=0.02)


def test_written_out_rows():
    repeated = written_out(check_predictions([0, 1, 1], [0.1, 0.2, 0.3], sample_weight=[2, 0, 3]))
    assert repeated.proba.tolist() == [0.1, 0.1, 0.3, 0.3, 0.3]
    assert repeated.weights is None


def test_ties_count():
    assert monte_carlo_p_value(0.3, np.array([0.3 * (1 - 1e-15), 0.2, 0.4])) == 0.75
    assert monte_carlo_p_value(-0.3, np.array([-0.3 * (1 + 1e-15), -0.4])) == pytest.approx(2 / 3)
