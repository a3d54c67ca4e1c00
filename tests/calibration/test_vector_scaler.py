"""Vector scaling: what it keeps to, and the published figure."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sksoft import VectorScaler
from tests.calibration.affine_contract import CONTRACT, a_factor_changes_nothing, drawn, loss_on_test_rows, resnet110


@pytest.mark.parametrize("keeps", [*CONTRACT, a_factor_changes_nothing])
def test_contract(keeps):
    keeps(VectorScaler())


def test_published_loss(shared_data):
    # Kull et al. 2019: vector scaling of ResNet-110 on CIFAR-10
    assert loss_on_test_rows(VectorScaler(), shared_data) <= 0.206245 + 0.002


def test_gradient_of_the_log_loss_is_zero(shared_data):
    X, y, *_ = resnet110(shared_data)
    scaler = VectorScaler(tol=1e-12).fit(X, y)
    residual = scaler.predict_proba(X) - np.eye(10)[y]
    centred = X - X.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(residual.mean(axis=0), 0.0, atol=1e-5)  # the ridge's part
    np.testing.assert_allclose((residual * centred).mean(axis=0), 0.0, atol=1e-5)
    assert scaler.certificate_ == "gap"
    assert 0.0 <= scaler.gap_ <= 1e-12


def test_separated_scores_have_a_finite_map():
    X = np.repeat(np.eye(3), 5, axis=0)
    y = np.repeat(["a", "b", "c"], 5)
    scaler = VectorScaler().fit(X, y)
    assert scaler.converged_
    assert np.abs(scaler.coef_).max() < 1e3
    assert (scaler.predict(X) == y).all()


def test_too_few_steps_are_told():
    X, y = drawn()
    with pytest.warns(ConvergenceWarning, match=r"VectorScaler stopped after 1 iterations \(max_iter=1\)"):
        VectorScaler(max_iter=1, tol=1e-12).fit(X, y)
