"""BinaryScaler against scikit-learn, betacal and statsmodels; bounds, separated labels, weights and labels."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.calibration import _SigmoidCalibration
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksoft import BinaryScaler, CalibratedSoftmaxClassifier

FORMS = ["platt", "beta", "quadratic"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def sample(n=300):
    """Fixed to three digits: betacal's values below belong to it."""
    rng = np.random.default_rng(7)
    z = np.round(rng.normal(size=n) * 2.0, 3)
    y = (rng.random(n) < expit(0.4 * z - 0.3 * np.tanh(z) + 0.5)).astype(int)
    turned = (rng.random(n) < expit(np.where(z < 0, -z * 0.5, z))).astype(int)
    return z, y, turned


def columns(form, z):
    named = {"platt": [z], "quadratic": [z, z * z], "beta": [-np.logaddexp(0, -z), np.logaddexp(0, z)]}
    return np.column_stack(named[form])


def test_platt_on_logits_is_scikit_learns():
    z, y, _ = sample()
    s = np.random.default_rng(1).integers(1, 4, size=len(y)).astype(float)
    theirs = _SigmoidCalibration().fit(z, y, sample_weight=s)
    ours = BinaryScaler("platt").fit(z, y, sample_weight=s)
    np.testing.assert_allclose([ours.coef_[0], ours.intercept_], [-theirs.a_, -theirs.b_], rtol=2e-5)
    np.testing.assert_allclose(ours.predict_proba(z)[:, 1], theirs.predict(z), atol=1e-6)


def test_platt_takes_log_odds_of_probabilities_too():
    z, y, _ = sample()
    scores, proba = BinaryScaler("platt").fit(z, y), BinaryScaler("platt", input="proba").fit(expit(z), y)
    np.testing.assert_allclose(proba.coef_, scores.coef_, rtol=1e-10)


def test_beta_is_that_of_betacal():
    """betacal 1.1.0 with scikit-learn 1.9.1, BetaCalibration('abm'); its solver stops at 1e-4."""
    z, y, turned = sample()
    ours = BinaryScaler(smooth_targets=False).fit(z, y)
    np.testing.assert_allclose([*ours.coef_, ours.intercept_], [0.43732545, 0.46404491, 0.53772912], atol=6e-4)
    expected = [0.18670483, 0.54406398, 0.63558434, 0.82637562, 0.97686044]
    np.testing.assert_allclose(ours.predict_proba(logit([0.01, 0.3, 0.5, 0.9, 0.999]))[:, 1], expected, atol=2e-4)
    bounded = BinaryScaler(smooth_targets=False).fit(z, turned)  # a at its bound, b = 0.4763 there
    np.testing.assert_allclose(bounded.coef_, [0.0, 0.47632454], atol=2e-4)


def test_quadratic_is_statsmodels_logit():
    z, y, turned = sample()
    for labels in (y, turned):
        theirs = sm.Logit(labels, sm.add_constant(columns("quadratic", z))).fit(disp=False, tol=1e-12)
        ours = BinaryScaler("quadratic", smooth_targets=False).fit(z, labels)
        np.testing.assert_allclose([ours.intercept_, *ours.coef_], theirs.params, rtol=1e-8)
        np.testing.assert_allclose(ours.loss_, -theirs.llf / len(z), rtol=1e-12)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("which", [1, 2], ids=["inside", "at a bound"])
@pytest.mark.parametrize("smooth", [True, False])
def test_no_general_solver_finds_less(form, which, smooth):
    data = sample()
    z, y = data[0], data[which]
    s = np.random.default_rng(2).exponential(size=len(z))
    ours = BinaryScaler(form, smooth_targets=smooth).fit(z, y, sample_weight=s)
    positive, negative = s @ y, s @ (1 - y)
    targets = np.where(y == 1, (positive + 1) / (positive + 2), 1 / (negative + 2)) if smooth else y
    X = np.column_stack([columns(form, z), np.ones(len(z))])

    def loss(w):
        return np.average(np.logaddexp(0.0, X @ w) - targets * (X @ w), weights=s)

    bounds = [(0.0 if form == "beta" else None, None)] * (X.shape[1] - 1) + [(None, None)]
    reference = minimize(loss, np.zeros(X.shape[1]), method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-15})
    np.testing.assert_allclose(ours.loss_, loss(np.append(ours.coef_, ours.intercept_)), rtol=1e-12)
    assert ours.loss_ <= reference.fun + 1e-14
    assert ours.loss_ >= reference.fun - 1e-7
    assert ours.gap_ < 1e-15
    assert ours.converged_
    assert form != "beta" or (ours.coef_ >= 0.0).all()


@pytest.mark.parametrize("form", FORMS)
def test_bound_holds_at_every_stage(form):
    z, _, turned = sample()
    best = BinaryScaler(form, smooth_targets=False).fit(z, turned).loss_
    bounded = 0
    for max_iter in range(1, 5):
        with pytest.warns(ConvergenceWarning, match="BinaryScaler stopped at coef_="):
            early = BinaryScaler(form, smooth_targets=False, tol=0.0, max_iter=max_iter).fit(z, turned)
        assert early.loss_ - best <= early.gap_ + 1e-15
        bounded += early.gap_ < early.loss_
    assert bounded >= 2


@pytest.mark.parametrize("form", FORMS)
def test_separated_labels_are_finite_and_without_smoothing_reported(form):
    z = np.linspace(-2.0, 2.0, 20)
    smooth = BinaryScaler(form).fit(z, z > 0)
    assert smooth.converged_
    # every target is 11 / 12 or 1 / 12, and no map of z can be better than to say so
    proba = smooth.predict_proba(z)[:, 1]
    assert 0.8 < proba.max() < 1.0
    with pytest.warns(ConvergenceWarning, match="the scores separate the labels, so the best parameters are infinite"):
        scaler = BinaryScaler(form, smooth_targets=False).fit(z, z > 0)
    assert not scaler.converged_
    assert np.isfinite(scaler.coef_).all()
    np.testing.assert_array_equal(scaler.predict(z), z > 0)


def test_all_but_separated_labels_are_reported():
    z = np.array([-2.0, -1.0, 0.0, 0.0, 1.0, 2.0])
    with pytest.warns(ConvergenceWarning, match="where the scores all but separate the labels, smooth_targets=True"):
        scaler = BinaryScaler("platt", smooth_targets=False).fit(z, [0, 0, 0, 1, 1, 1])
    assert not scaler.converged_
    np.testing.assert_allclose(scaler.loss_, 2 * np.log(2) / 6, rtol=1e-6)
    assert BinaryScaler("platt").fit(z, [0, 0, 0, 1, 1, 1]).converged_


@pytest.mark.parametrize("form", FORMS)
def test_scores_of_few_values_and_of_any_size(form):
    _, y, _ = sample()
    same = BinaryScaler(form, smooth_targets=False).fit(np.full(300, 2.5), y)
    np.testing.assert_allclose(same.predict_proba([2.5])[0, 1], y.mean(), rtol=1e-12)
    assert not same.coef_.any()
    two = np.where(np.arange(300) % 3 == 0, -0.5, 1.25)
    scaler = BinaryScaler(form, smooth_targets=False).fit(two, y)
    for value in (-0.5, 1.25):
        np.testing.assert_allclose(scaler.predict_proba([value])[0, 1], y[two == value].mean(), rtol=1e-9)
    z = sample()[0]
    for size in (1e-9, 1e9, 1e300):
        scaler = BinaryScaler(form).fit(size * z, y)
        assert np.isfinite(scaler.predict_proba(size * z)).all()
        assert scaler.loss_ <= np.log(2.0)


def test_form_that_fits_is_found(rng):
    z = rng.normal(size=20000) * 2.0
    for form, true in (("beta", (0.4, 1.6, 0.3)), ("quadratic", (0.7, 0.2, -0.5)), ("platt", (0.5, 0.3))):
        y = rng.random(len(z)) < expit(columns(form, z) @ true[:-1] + true[-1])
        scaler = BinaryScaler(form).fit(z, y)
        np.testing.assert_allclose([*scaler.coef_, scaler.intercept_], true, atol=0.1)


@pytest.mark.parametrize("form", FORMS)
def test_weight_is_repetition_and_zero_weight_is_removal(form, rng):
    z, y, _ = sample(150)
    s = rng.integers(0, 4, size=150)
    weighted = BinaryScaler(form).fit(z, y, sample_weight=s)
    repeated = BinaryScaler(form).fit(np.repeat(z, s), np.repeat(y, s))
    np.testing.assert_allclose(weighted.predict_proba(z), repeated.predict_proba(z), rtol=1e-10)
    np.testing.assert_allclose(weighted.loss_, repeated.loss_, rtol=1e-12)


@pytest.mark.parametrize("labels", [["yes", "no"], [3, -1], [True, False]], ids=str)
def test_labels_are_names_and_not_indices(labels):
    z, y, _ = sample()
    reference, ordered = BinaryScaler().fit(z, y), np.asarray(labels)
    scaler = BinaryScaler(classes=ordered).fit(z, ordered[y])
    np.testing.assert_array_equal(scaler.coef_, reference.coef_)
    np.testing.assert_array_equal(scaler.predict(z), ordered[reference.predict(z)])
    by_sorting = BinaryScaler("platt").fit(-z, ordered[y])
    np.testing.assert_allclose(by_sorting.predict_proba(-z)[:, ::-1], BinaryScaler("platt").fit(z, y).predict_proba(z))


def test_two_columns_are_their_difference():
    z, y, _ = sample()
    reference = BinaryScaler().fit(z, y)
    scores = np.column_stack([3.0 - z / 2, 3.0 + z / 2])
    np.testing.assert_allclose(BinaryScaler().fit(scores, y).predict_proba(scores), reference.predict_proba(z))
    np.testing.assert_allclose(reference.decision_function(z), logit(reference.predict_proba(z)[:, 1]), rtol=1e-10)


def test_exact_zeros_in_probabilities():
    proba, y = np.array([0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0] * 5), np.array([0, 0, 1, 1, 1, 1, 0] * 5)
    for form in FORMS:
        result = BinaryScaler(form, input="proba").fit(proba, y).predict_proba(proba)
        assert np.isfinite(result).all()
        np.testing.assert_allclose(result.sum(axis=1), 1.0)
        assert np.isfinite(log_loss(y, result))


def test_behind_a_classifier(rng):
    X = rng.normal(size=(300, 3))
    y = np.where(X[:, 0] + rng.normal(size=300) > 0, "yes", "no")
    calibrated = CalibratedSoftmaxClassifier(LogisticRegression(), method=BinaryScaler("quadratic")).fit(X, y)
    assert log_loss(y, calibrated.predict_proba(X)) < 0.6


class TwoClassRegression(LogisticRegression):
    """A classifier that says it is for two classes, so that scikit-learn's checks draw two."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


@parametrize_with_checks(
    [
        CalibratedSoftmaxClassifier(TwoClassRegression(solver="newton-cholesky", tol=1e-10), method=BinaryScaler(form))
        for form in FORMS
    ]
)
def test_contract_behind_a_classifier(estimator, check):
    check(estimator)


def test_errors():
    z, y, _ = sample()
    with pytest.raises(NotFittedError):
        BinaryScaler().predict_proba(z)
    with pytest.raises(ValueError, match=r"BinaryScaler is for two classes\. Got 3 classes"):
        BinaryScaler().fit(np.column_stack([z, z, z]), np.arange(300) % 3)
    with pytest.raises(ValueError, match="The 'form' parameter of BinaryScaler must be a str among"):
        BinaryScaler("isotonic").fit(z, y)


@pytest.mark.parametrize("form", FORMS)
def test_labels_of_one_kind_are_a_minimum_and_not_separated(form):
    """Every smoothed target is then the same, and a = b = 0 meets it."""
    z = np.arange(5.0)
    scaler = BinaryScaler(form, classes=[0, 1]).fit(z, np.ones(5))  # no warning
    assert scaler.converged_
    np.testing.assert_allclose(scaler.predict_proba(z)[:, 1], 6 / 7, rtol=1e-12)


@pytest.mark.parametrize("form", ["platt", "quadratic"])
def test_size_of_scores_does_not_matter(form):
    z, y, _ = sample()
    reference = BinaryScaler(form).fit(z, y).predict_proba(z)
    for size in (1e-100, 1e-9, 1e9, 1e60):
        np.testing.assert_allclose(BinaryScaler(form).fit(size * z, y).predict_proba(size * z), reference, rtol=1e-9)
