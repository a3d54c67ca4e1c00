"""The model of a loss and its parts against a Hessian by differences, and its minimum against the conditions."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_iris

from sksoft.linear.problem import Problem
from sksoft.objective.class_blocks import ClassBlocks, jacobi
from sksoft.objective.feature_columns import Members
from sksoft.objective.links import LINKS
from sksoft.objective.quadratic_model import careful
from sksoft.objective.targets import Labels, SoftLabels

X, Y = load_iris(return_X_y=True)
N, K = len(Y), 3
KINDS = {
    "dense": {},
    "sparse": {"X": sparse.csr_array(X)},
    "no intercept": {"fit_intercept": False},
    "entmax": {"link": LINKS["entmax15"]},
    "groups": {"grouped": True},
    "two classes": {"target": Labels((Y > 0).astype(np.intp), 2)},
}


def make(l1_ratio=0.8, **options):
    options = {"X": X, "target": Labels(Y.astype(np.intp), K), "link": LINKS["softmax"]} | options
    problem = Problem(weights=np.ones(N), strength=1.0 / N, l1_ratio=l1_ratio, kinked=True, **options)
    objective = problem.objective
    w = 0.3 * np.random.default_rng(0).normal(size=objective.scores.n_parameters)
    return objective, w


def hessian_at(objective, w, h=1e-5):
    """By central differences of the slopes of the loss."""
    rows = [(objective.at(w + h * e).slopes - objective.at(w - h * e).slopes) / (2.0 * h) for e in np.eye(len(w))]
    return np.array(rows)


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_is_of_second_order(kind):
    objective, w = make(**KINDS[kind])
    hessian, point = hessian_at(objective, w), objective.at(w)
    model = point.model(np.ones(len(w), bool))
    np.testing.assert_allclose(model.curvature, np.diag(hessian), rtol=1e-5, atol=1e-9)
    d = 0.1 * np.random.default_rng(1).normal(size=len(w))
    model._move_to(w + d)
    quadratic = point.slopes @ d + 0.5 * d @ hessian @ d
    assert model.value() == pytest.approx(quadratic + objective.penalty.change(w + d, w), rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_it_is_minimised_on_a_working_set(kind, l1_ratio):
    objective, w = make(l1_ratio, **KINDS[kind])
    hessian, point, penalty = hessian_at(objective, w), objective.at(w), objective.penalty
    mask = penalty.joined(np.random.default_rng(2).uniform(size=len(w)) < 0.5)
    model = point.model(mask)
    decrease = model.minimise(1e-14)
    d = np.zeros(len(w))
    d[mask] = model.position - w[mask]
    least = penalty.least(w + d, point.slopes + hessian @ d)[mask]
    np.testing.assert_allclose(least, 0.0, atol=1e-8 * max(100.0, np.abs(d).max()))  # the differences' own error
    assert decrease == pytest.approx(-(point.slopes @ d + 0.5 * d @ hessian @ d + penalty.change(w + d, w)), rel=1e-5)
    assert decrease > 0.0


@pytest.mark.parametrize("kind", ["dense", "sparse", "groups"])
def test_each_sweep_and_descent_lowers_it(kind):
    objective, w = make(1.0, **KINDS[kind])
    model = objective.at(w).model(np.ones(len(w), bool))
    values = [0.0]
    for _ in range(4):
        for lower in (model.sweep, lambda model=model: model.sweep(everything=False), model.descend):
            lower()
            values.append(model.value())
    assert (np.diff(values) <= 1e-15).all()
    assert values[-1] < -1e-2


@pytest.mark.parametrize("kind", ["dense", "sparse", "groups"])
@pytest.mark.parametrize("whole", [True, False])
def test_blocks_are_those_of_the_hessian(kind, whole, monkeypatch):
    objective, w = make(0.6, **KINDS[kind])
    if not whole:
        monkeypatch.setattr("sksoft.objective.class_blocks.LARGEST_WHOLE", 0)
    bend = objective.penalty.bend(w)
    hessian = hessian_at(objective, w) + bend.matrix(np.ones(len(w), bool), K)
    model = objective.at(w).model(np.ones(len(w), bool))
    blocks = ClassBlocks.of(objective.columns, model.proba, model.weights, model.members, np.ones(len(w), bool), bend)
    if not whole:
        same = np.repeat(np.arange(K), len(w) // K)
        hessian = np.where(same[:, None] == same, hessian_at(objective, w), 0.0) + np.diag(bend.diagonal)
    residual = np.random.default_rng(3).normal(size=len(w))
    residual.reshape(K, -1)[:, -1] -= residual.reshape(K, -1)[:, -1].mean()  # nothing along the common intercept
    step = blocks.over(jacobi(np.ones(len(w))), np.ones(len(w), bool))(residual)
    np.testing.assert_allclose(hessian @ step, residual, atol=1e-4)


def test_members_of_a_mask():
    members = Members.of(np.array([1, 0, 0, 1, 0, 0, 1, 1, 1], bool), 3)
    np.testing.assert_array_equal(members.indices, [0, 3, 6, 7, 8])
    np.testing.assert_array_equal(members.columns, [0, 0, 0, 1, 2])
    np.testing.assert_array_equal(members.starts, [0, 1, 2, 5])
    np.testing.assert_array_equal(members.rows, [0, 1, 2, 2, 2])
    some = members.where(np.array([0, 1, 0, 1, 1], bool))
    np.testing.assert_array_equal(some.indices, [3, 7, 8])
    np.testing.assert_array_equal(some.starts, [0, 0, 1, 3])
    own = members.of_row(2)
    np.testing.assert_array_equal(own.columns, [0, 1, 2])
    np.testing.assert_array_equal(own.starts, [0, 0, 0, 3])


def test_a_careful_curvature_lies_above_the_loss():
    # The parabola of this curvature that touches log(1 + exp(−ψ)) at ψ is nowhere below it.
    for share in (1e-6, 0.01, 0.2, 0.45):
        ratio = careful(np.array([[share, 1.0 - share]]), Labels(np.array([0]), 2))[0]
        psi = np.log(share / (1.0 - share))
        steps = np.linspace(-40.0, 40.0, 2001)
        parabola = np.logaddexp(0.0, -psi) - (1.0 - share) * steps + 0.5 * ratio * share * (1.0 - share) * steps**2
        assert (np.logaddexp(0.0, -psi - steps) <= parabola + 1e-9).all()
    near = careful(np.array([[0.9, 0.1], [0.5, 0.5]]), SoftLabels(np.array([[0.8, 0.2], [0.5, 0.5]])))
    assert (near >= 1.0).all()
    assert (near < 1.01).all()
