"""Slope and intercept against statsmodels and SciPy, weights, and data without a maximum."""

import warnings

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import chi2, kstest
from sklearn.exceptions import ConvergenceWarning

from sksoft.metrics import cox_calibration
from sksoft.metrics.cox import cox_statistic
from sksoft.metrics.logits import log_proba
from sksoft.metrics.predictions import check_predictions


def drawn(proba, seed=0):
    rng = np.random.default_rng(seed)
    return (proba.cumsum(axis=1) < rng.random((len(proba), 1))).sum(axis=1).clip(max=proba.shape[1] - 1)


def binary(n=1500, intercept=0.3, slope=0.6, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    p, truth = 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(-(intercept + slope * x)))
    return (rng.random(n) < truth).astype(int), p, rng.integers(1, 4, n)


def multiclass(n=800, n_classes=4, seed=1):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, n_classes)) * 2
    truth = softmax(0.7 * z + np.linspace(-0.5, 0.5, n_classes), axis=1)
    return drawn(truth, seed), softmax(z, axis=1), rng.integers(1, 4, n)


def by_statsmodels(y, p):
    x = np.log(p) - np.log1p(-p)
    fit = sm.Logit(y, sm.add_constant(x)).fit(disp=0, tol=1e-12, maxiter=100)
    null = np.where(y == 1, np.log(p), np.log1p(-p)).sum()
    return fit.params, fit.bse, 2 * (fit.llf - null)


@pytest.mark.parametrize("columns", [False, True])
def test_two_classes_are_a_logistic_regression_on_the_logit(columns):
    y, p, _ = binary()
    found = cox_calibration(y, np.column_stack([1 - p, p]) if columns else p)
    params, errors, statistic = by_statsmodels(y, p)
    assert (found.intercept, found.slope) == pytest.approx(tuple(params), rel=1e-8)
    assert (found.intercept_stderr, found.slope_stderr) == pytest.approx(tuple(errors), rel=1e-7)
    assert found.statistic == pytest.approx(statistic, rel=1e-9)
    assert (found.df, found.pvalue) == (2, pytest.approx(chi2.sf(statistic, 2)))
    assert found.converged
    assert found.gradient_norm < 1e-12


def test_several_classes_by_another_optimiser_and_a_numerical_hessian():
    y, p, w = multiclass()
    z = np.log(p)

    def loss(theta):
        b = np.append(theta[1:], -theta[1:].sum())
        return -(w @ log_softmax(theta[0] * z + b, axis=1)[np.arange(len(y)), y])

    best = minimize(loss, np.array([1.0, 0, 0, 0]), method="BFGS", options={"gtol": 1e-4})
    found = cox_calibration(y, p, sample_weight=w, weight_type="frequency")
    assert found.slope == pytest.approx(best.x[0], rel=1e-5)
    np.testing.assert_allclose(found.intercept[:3], best.x[1:], atol=1e-5)
    assert found.intercept.sum() == pytest.approx(0, abs=1e-12)
    assert found.df == 4
    assert found.statistic == pytest.approx(2 * (loss(np.array([1.0, 0, 0, 0])) - best.fun), rel=1e-6)
    at = np.append(found.slope, found.intercept[:3])
    steps = 1e-3 * np.eye(4)
    hessian = [
        [(loss(at + u + v) - loss(at + u - v) - loss(at - u + v) + loss(at - u - v)) / 4e-6 for v in steps]
        for u in steps
    ]
    covariance = np.linalg.inv(hessian)
    errors = np.sqrt(np.append(np.diag(covariance), covariance[1:, 1:].sum()))  # the last is minus their sum
    np.testing.assert_allclose(np.append(found.slope_stderr, found.intercept_stderr), errors, rtol=1e-5)


def test_statistic_of_calibrated_predictions_is_chi_squared():
    rng = np.random.default_rng(0)
    pvalues = []
    for seed in range(200):
        p = rng.dirichlet(np.ones(3), 500)
        pvalues.append(cox_calibration(drawn(p, seed), p, labels=[0, 1, 2]).pvalue)
    assert kstest(pvalues, "uniform").pvalue > 0.01


@pytest.mark.parametrize("case", [binary, multiclass])
def test_weights(case):
    y, p, w = case(400)
    w[::6] = 0
    found = cox_calibration(y, p, sample_weight=w, weight_type="frequency")
    repeated = cox_calibration(np.repeat(y, w), np.repeat(p, w, axis=0))
    for name in ("slope", "intercept", "slope_stderr", "intercept_stderr", "statistic"):
        np.testing.assert_allclose(getattr(found, name), getattr(repeated, name), rtol=1e-8, err_msg=name)
    sampling = cox_calibration(y, p, sample_weight=w)
    assert sampling.slope == pytest.approx(found.slope)
    size = w.sum() ** 2 / (w @ w)
    assert sampling.statistic == pytest.approx(found.statistic * size / w.sum())
    assert sampling.slope_stderr == pytest.approx(found.slope_stderr * np.sqrt(w.sum() / size))
    huge = cox_calibration(y, p, sample_weight=w * 1e90)
    assert huge.statistic == pytest.approx(sampling.statistic)


def test_hundreds_of_classes():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(1000, 120))
    p = softmax(2 * z, axis=1)
    y = drawn(softmax(z, axis=1))
    found = cox_calibration(y, p)
    assert found.slope == pytest.approx(0.5, abs=4 * found.slope_stderr)
    assert found.slope_stderr < 0.05
    assert (found.df, found.intercept.shape) == (120, (120,))
    assert found.gradient_norm < 1e-12


def test_labels_of_any_type():
    y, p, _ = multiclass(300)
    names = np.array(["d", "a", "c", "b"])
    found = cox_calibration(names[y], p, labels=names)
    assert found.statistic == cox_calibration(y, p).statistic
    assert found.classes.tolist() == names.tolist()


def test_zeros_and_ones_count_as_the_floor():
    y, p, _ = binary(200)
    p[:10], y[:5] = 0.0, 0
    floored = np.clip(p, np.finfo(float).eps, None)
    assert cox_calibration(y, p).statistic == pytest.approx(cox_calibration(y, floored).statistic)
    assert np.isfinite(cox_calibration(y, p).slope_stderr)


@pytest.mark.parametrize("n_wrong", [3, 30, 99, 210, 297])
def test_predictions_of_zero_and_one(n_wrong):
    """Certain predictions, some of them wrong: q = e^r / (e^r + 2) of the said class is the share that was right."""
    said = np.arange(300) % 3
    y = said.copy()
    y[:n_wrong] = (y[:n_wrong] + 1) % 3
    found = cox_calibration(y, np.eye(3)[said])
    right = 1 - n_wrong / 300
    assert found.slope == pytest.approx(np.log(2 * right / (1 - right)) / -np.log(np.finfo(float).eps), rel=1e-9)
    np.testing.assert_allclose(found.intercept, 0, atol=1e-9)
    assert found.converged


def test_separated_classes_have_an_infinite_slope():
    p = np.linspace(0.1, 0.9, 50)
    for y, slope in ((p > 0.4, np.inf), (p < 0.4, -np.inf)):
        with pytest.warns(ConvergenceWarning, match="separate the two classes"):
            found = cox_calibration(y, p)
        assert found.slope == slope
        assert np.isnan([found.intercept, found.slope_stderr, found.intercept_stderr]).all()
        assert not found.converged
        null = -2 * np.where(y, np.log(p), np.log1p(-p)).sum()
        assert found.statistic == pytest.approx(null, rel=1e-6)  # the likelihood's supremum is 1


def test_several_classes_that_are_separated_warn():
    p = np.random.default_rng(0).dirichlet(np.ones(3), 60)
    with pytest.warns(ConvergenceWarning, match="no maximum was found"):
        found = cox_calibration(p.argmax(axis=1), p)
    assert not found.converged
    assert np.isnan(found.slope_stderr)


def test_a_class_that_does_not_occur():
    y, p, _ = multiclass(300)
    wider = np.column_stack([p * 0.9, np.full(300, 0.1)])
    with pytest.warns(ConvergenceWarning, match=r"intercept -inf: 4"):
        found = cox_calibration(y, wider, labels=range(5))
    same = cox_calibration(y, p)
    np.testing.assert_allclose(found.intercept, [*same.intercept, -np.inf])
    assert found.slope == pytest.approx(same.slope)
    assert found.statistic == pytest.approx(same.statistic - 2 * 300 * np.log(0.9))
    assert found.df == 5


def test_far_from_the_null_hypothesis_it_still_converges():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(2000, 3)) * 30
    truth = softmax(z / 40 + [2.0, 0, -3], axis=1)
    y, p = drawn(truth), softmax(z, axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = cox_calibration(y, p)
    assert found.gradient_norm < 1e-12
    kept = log_proba(p)
    fitted = found.slope * kept + found.intercept
    value = np.mean(logsumexp(fitted, axis=1) - fitted[np.arange(2000), y])
    for change in np.random.default_rng(1).normal(size=(20, 4)) * 0.01:
        moved = (found.slope + change[0] / 30) * kept + found.intercept + change[1:]
        assert value < np.mean(logsumexp(moved, axis=1) - moved[np.arange(2000), y])


def test_the_supremum_of_the_likelihood_ratio_is_always_defined():
    y, p, w = multiclass(100)
    predictions = check_predictions(y, p, sample_weight=w)
    assert cox_statistic(predictions) == cox_calibration(y, p, sample_weight=w).statistic
    one = check_predictions([1, 1, 1], [0.4, 0.5, 0.6])
    assert cox_statistic(one) == pytest.approx(-2 * np.log([0.4, 0.5, 0.6]).sum())
    constant = check_predictions([0, 1, 1, 1], [0.6] * 4)
    assert cox_statistic(constant) == pytest.approx(2 * (3 * np.log(0.75 / 0.6) + np.log(0.25 / 0.4)))
    assert cox_statistic(check_predictions([0, 1], [0.5] * 2)) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize(
    ("y", "p", "message"),
    [
        ([0, 1, 1], [0.4, 0.4, 0.4], "same y_proba in all rows"),
        ([0, 1, 2], [[0.2, 0.3, 0.5]] * 3, "same y_proba in all rows"),
        ([1, 1, 1], [0.4, 0.5, 0.6], "at least two classes"),
    ],
)
def test_nothing_to_fit(y, p, message):
    with pytest.raises(ValueError, match=message):
        cox_calibration(y, p)
