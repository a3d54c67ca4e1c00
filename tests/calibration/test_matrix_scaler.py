"""Matrix scaling: what it keeps to, and the published figure."""

import numpy as np
import pytest

from sksoft import MatrixScaler
from tests.calibration.affine_contract import CONTRACT, a_factor_changes_nothing, drawn, loss_on_test_rows


@pytest.mark.parametrize("keeps", [*CONTRACT, a_factor_changes_nothing])
def test_contract(keeps):
    keeps(MatrixScaler(cv=2))


@pytest.mark.parametrize("keeps", CONTRACT)
def test_contract_with_a_ridge(keeps):
    keeps(MatrixScaler(penalty="ridge", strength=0.1))


def test_published_loss(shared_data):
    # Kull et al. 2019: MS-ODIR of ResNet-110 on CIFAR-10
    assert loss_on_test_rows(MatrixScaler(), shared_data) <= 0.203753 + 0.002


def test_the_strength_is_that_of_least_held_out_loss():
    X, y = drawn()
    scaler = MatrixScaler().fit(X, y)
    results = scaler.cv_results_
    assert scaler.strength_ == results["strength"][results["log_loss"].argmin()]
    np.testing.assert_array_equal(MatrixScaler(strength=scaler.strength_).fit(X, y).coef_, scaler.coef_)


def test_a_strong_odir_leaves_a_diagonal():
    X, y = drawn()
    coef = MatrixScaler(strength=1e6).fit(X, y).coef_
    assert np.abs(coef - np.diag(np.diag(coef))).max() < 1e-4 * np.abs(coef).max()
    assert np.abs(MatrixScaler(strength=1e6, shift_strength=0.0).fit(X, y).intercept_).max() > 0.1


@pytest.mark.parametrize("penalty", ["odir", "ridge"])
def test_the_gap_is_proved(penalty):
    X, y = drawn()
    scaler = MatrixScaler(penalty=penalty, strength=1.0).fit(X, y)
    assert scaler.certificate_ == "gap"
    assert 0.0 <= scaler.gap_ <= 1e-6 * scaler.objective_
    assert np.isnan(MatrixScaler(penalty=penalty, strength=0.0).fit(X, y).gap_)
