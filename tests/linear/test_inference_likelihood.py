"""The likelihood, its derivatives and its maximum."""

import numpy as np
import pytest
from scipy import optimize

from sksoft.linear.inference_columns import Columns
from sksoft.linear.inference_likelihood import Likelihood
from sksoft.objective.targets import Labels


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("intercept", [True, False])
def test_score_and_information_are_derivatives(rng, intercept):
    X = rng.normal(size=(40, 3))
    codes, offset = rng.integers(4, size=40), rng.normal(size=(40, 4))
    columns = Columns.centred(X, np.ones(40), intercept)
    likelihood = Likelihood(columns, Labels(codes, 4), rng.uniform(size=40), offset)
    theta = rng.normal(size=(3, columns.n_columns))
    at = likelihood.evaluate(theta)

    def value(flat):
        return likelihood.evaluate(flat.reshape(theta.shape)).value

    def score(flat):
        return likelihood.evaluate(flat.reshape(theta.shape)).score.ravel()

    np.testing.assert_allclose(at.score.ravel(), optimize.approx_fprime(theta.ravel(), value, 1e-7), atol=1e-5)
    steps = [(score(theta.ravel() + 1e-6 * e) - score(theta.ravel() - 1e-6 * e)) / 2e-6 for e in np.eye(theta.size)]
    np.testing.assert_allclose(at.information, -np.array(steps), atol=1e-7)


def example(rng, codes=None):
    X = rng.normal(size=(60, 2))
    codes = rng.integers(3, size=60) if codes is None else codes(X)
    return Likelihood(Columns.centred(X, np.ones(60), True), Labels(codes, 3), np.ones(60))


def test_the_maximum_is_scipys(rng):
    likelihood = example(rng)
    found = likelihood.maximise(np.zeros((2, 3)))
    assert not found.suspicious
    assert found.distance <= 1e-9 < found.from_start
    theirs = optimize.minimize(
        lambda flat: -likelihood.evaluate(flat.reshape(2, 3)).value,
        np.zeros(6),
        jac=lambda flat: -likelihood.evaluate(flat.reshape(2, 3)).score.ravel(),
        options={"gtol": 1e-9},
    )
    np.testing.assert_allclose(found.at.theta.ravel(), theirs.x, atol=1e-7)
    assert likelihood.is_steady(found.at.theta)
    assert not likelihood.is_steady(found.at.theta + 0.5)


def test_a_start_far_off_is_recovered_by_halved_steps(rng):
    likelihood = example(rng)
    near, far = likelihood.maximise(np.zeros((2, 3))), likelihood.maximise(rng.normal(size=(2, 3)) * 3.0)
    np.testing.assert_allclose(far.at.theta, near.at.theta, atol=1e-8)


@pytest.mark.parametrize("times", [5.0, 20.0, 60.0])
def test_where_something_grows_it_is_never_steady(rng, times):
    """Class 2 is where the first column is positive, and nothing else."""
    likelihood = example(rng, lambda X: np.where(X[:, 0] > 0.1, 2, np.arange(60) % 2))
    assert likelihood.maximise(np.zeros((2, 3))).suspicious
    with np.errstate(all="ignore"):
        assert not likelihood.is_steady(times * np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
