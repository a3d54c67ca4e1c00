"""Dirichlet calibration: what it keeps to, the published figures, and two classes as beta calibration."""

import numpy as np
import pytest
import statsmodels.api as sm

from sksoft import DirichletCalibrator
from tests.calibration.affine_contract import CONTRACT, loss_on_test_rows


@pytest.mark.parametrize("keeps", CONTRACT)
def test_contract(keeps):
    keeps(DirichletCalibrator(strength=0.3))


@pytest.mark.parametrize(("penalty", "published"), [("odir", 0.205106), ("ridge", 0.203025)])
def test_published_loss(penalty, published, shared_data):
    # Kull et al. 2019: Dir-ODIR and Dir-L2 of ResNet-110 on CIFAR-10
    assert loss_on_test_rows(DirichletCalibrator(penalty=penalty), shared_data) <= published + 0.002


def test_two_classes_without_a_penalty_are_logistic_regression_on_both_logarithms():
    rng = np.random.default_rng(0)
    p = rng.beta(1.0, 1.5, size=500)
    y = rng.uniform(size=500) < p**1.4
    ours = DirichletCalibrator(input="proba", penalty="ridge", strength=0.0, tol=1e-13).fit(p, y).predict_proba(p)
    design = sm.add_constant(np.column_stack([np.log(p), np.log1p(-p)]))
    theirs = sm.Logit(y.astype(float), design).fit(disp=False, tol=1e-12).predict()
    np.testing.assert_allclose(ours[:, 1], theirs, atol=1e-7)
