"""The objective against finite differences, mpmath and brute force, for every link, target and kind of X."""

import mpmath
import numpy as np
import pytest
from scipy import sparse

import sksoft
from sksoft.objective.batches import InMemory
from sksoft.objective.design import Dense, Sparse
from sksoft.objective.links import LINKS, Entmax
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.objective import Objective
from sksoft.objective.penalties import Ridge
from sksoft.objective.scores import Diagonal, Linear
from sksoft.objective.targets import Labels, SoftLabels
from sksoft.solvers import newton_cg


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def design(X, intercept):
    return Sparse(X) if sparse.issparse(X) else Dense(X, ones=intercept)


def make(rng, *, link="softmax", n_classes=4, soft=False, kind="dense", intercept=True, strength=0.3, n=60, p=5):
    X = rng.normal(size=(n, p))
    if kind == "sparse":
        X = sparse.csr_array(np.where(rng.uniform(size=X.shape) < 0.5, X, 0.0))
    target = (
        SoftLabels(rng.dirichlet(np.ones(n_classes), n)) if soft else Labels(rng.integers(n_classes, size=n), n_classes)
    )
    scores = Linear(p, n_classes, intercept)
    return Objective(
        FenchelYoung(LINKS.get(link) or Entmax(1.3)),
        scores,
        InMemory(design(X, intercept), target, rng.uniform(0.5, 2.0, size=n)),
        Ridge(scores.spread(strength)),
    )


CASES = [
    {"link": "softmax"},
    {"link": "softmax", "n_classes": 2},
    {"link": "softmax", "n_classes": 2, "soft": True, "intercept": False},
    {"link": "softmax", "soft": True},
    {"link": "softmax", "kind": "sparse"},
    {"link": "sparsemax"},
    {"link": "sparsemax", "soft": True},
    {"link": "entmax15", "n_classes": 2},
    {"link": "entmax13", "kind": "sparse", "soft": True},
    {"link": "sigmoid", "soft": True},
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradient_and_hessian_product_are_derivatives(case, rng):
    objective = make(rng, **case)
    w, v = rng.normal(size=(2, objective.scores.n_parameters)) * 0.3
    h = 1e-5
    gradient = objective.at(w).gradient
    up, down = objective.at(w + h * v), objective.at(w - h * v)
    np.testing.assert_allclose(gradient @ v, (up.value - down.value) / (2 * h), rtol=1e-6)
    # sparse links have kinks between w - hv and w + hv in a few rows
    atol = 1e-7 if case["link"] in ("softmax", "sigmoid") else 2e-3
    numeric = (up.gradient - down.gradient) / (2 * h)
    np.testing.assert_allclose(objective.at(w).hessian_product(v), numeric, atol=atol)


@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("intercept", [True, False])
def test_tangent_and_adjoint_of_linear_scores_are_transposes(rng, n_classes, intercept):
    scores = Linear(7, n_classes, intercept)
    X, g = Dense(rng.normal(size=(30, 7)), ones=intercept).block(slice(0, 30)), rng.normal(size=(30, n_classes))
    v = rng.normal(size=scores.n_parameters)
    np.testing.assert_allclose(
        np.vdot(scores.tangent(scores.prepare(v, X, float), X, np.empty_like(g)), g),
        v @ scores.flat(scores.adjoint(g, X)),
        rtol=1e-12,
    )
    coef, b = scores.unpack(v)
    np.testing.assert_array_equal(scores.pack(coef, b), v)
    assert scores.spread(1.0).sum() == scores.n_rows * 7


@pytest.mark.parametrize("n_classes", [2, 3])
def test_unpacked_coefficients_are_copies(n_classes):
    scores = Linear(2, n_classes, False)
    w = np.ones(scores.n_parameters)
    coef, _ = scores.unpack(w)
    coef *= 7.0
    assert (w == 1.0).all()


def diagonal(rng, *, strength=0.3, n=60, K=4, dtype=np.float64):
    """Scores v ∘ x + b added to known ones, with a ridge on both."""
    X = (3.0 * rng.normal(size=(n, K))).astype(dtype)
    batches = InMemory(
        Dense(X, by_rows=True),
        Labels(rng.integers(K, size=n), K),
        rng.uniform(0.5, 2.0, size=n),
        rng.normal(size=(n, K)),
    )
    scores = Diagonal(K)
    return Objective(FenchelYoung(LINKS["softmax"]), scores, batches, Ridge(scores.pack(strength, strength)))


def test_tangent_and_adjoint_of_diagonal_scores_are_transposes_and_derivatives(rng):
    scores, X, g = Diagonal(4), rng.normal(size=(30, 4)), rng.normal(size=(30, 4))
    w, v = rng.normal(size=(2, 8))
    tangent = scores.tangent(scores.prepare(v, X, float), X, np.empty_like(X))
    np.testing.assert_allclose(np.vdot(tangent, g), v @ scores.flat(scores.adjoint(g, X)), rtol=1e-12)
    up, down = (scores.scores(scores.prepare(w + h * v, X, float), X, np.empty_like(X)) for h in (1e-6, -1e-6))
    np.testing.assert_allclose(tangent, (up - down) / 2e-6, atol=1e-8)
    np.testing.assert_allclose(scores.pack(*scores.unpack(w)), w)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_derivatives_of_diagonal_scores_are_finite_differences(rng, backend):
    objective = diagonal(rng)
    w, v = rng.normal(size=(2, 8))
    with sksoft.config_context(backend=backend):
        up, down = (objective.at(w + h * v) for h in (1e-5, -1e-5))
        point = objective.at(w)
        assert (up.value - down.value) / 2e-5 == pytest.approx(point.gradient @ v, rel=1e-7)
        np.testing.assert_allclose(point.hessian_product(v), (up.gradient - down.gradient) / 2e-5, atol=1e-8)


@pytest.mark.parametrize("rung", [0, 1])
@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_metrics_of_diagonal_scores_are_near_the_hessian(rng, rung, strength):
    objective = diagonal(rng, strength=strength)
    curvature = objective.at(0.3 * rng.normal(size=8)).curvature()
    H = np.stack([curvature.product(e) for e in np.eye(8)])
    metric = objective.rungs[rung].build(curvature)
    inverse = np.stack([metric(e) for e in np.eye(8)])
    np.testing.assert_allclose(inverse, inverse.T, rtol=1e-6, atol=1e-9)
    if rung == 1:
        r = H @ rng.normal(size=8)  # without a penalty the Hessian is singular: a gradient is in its range
        np.testing.assert_allclose(H @ metric(r), r, atol=1e-5)
    else:
        blocks = np.kron(np.eye(4), np.ones((2, 2))) * H
        np.testing.assert_allclose(inverse @ blocks, np.eye(8), atol=1e-9)


def test_the_gap_of_diagonal_scores_bounds_the_distance_to_the_minimum(rng):
    objective = diagonal(rng)
    best = newton_cg(objective, np.zeros(8), tol=1e-14, max_iter=100)
    assert best.certificate.kind == "gap"
    for scale in (1.0, 1e-2, 1e-4):
        point = objective.at(best.w + scale * rng.normal(size=8))
        distance = point.value - best.value
        assert distance <= point.gap() <= 100.0 * distance


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_cross_entropy_and_gradient_agree_with_fifty_digits(rng, scale):
    n, p, K = 12, 3, 4
    X, y, s = rng.normal(size=(n, p)), rng.integers(K, size=n), rng.uniform(size=n)
    scores = Linear(p, K, True)
    w = rng.normal(size=scores.n_parameters) * scale
    point = Objective(
        FenchelYoung(LINKS["softmax"]), scores, InMemory(design(X, True), Labels(y, K), s), Ridge(scores.spread(0.0))
    ).at(w)
    with mpmath.workdps(50):
        W = [[mpmath.mpf(float(x)) for x in row] for row in w.reshape(K, p + 1)]
        total, value = mpmath.fsum(map(float, s)), mpmath.mpf(0)
        gradient = [[mpmath.mpf(0)] * (p + 1) for _ in range(K)]
        for i in range(n):
            x = [mpmath.mpf(float(v)) for v in X[i]] + [mpmath.mpf(1)]
            z = [mpmath.fdot(row, x) for row in W]
            norm = mpmath.fsum(mpmath.exp(zk) for zk in z)
            value += float(s[i]) * (mpmath.log(norm) - z[y[i]]) / total
            for k in range(K):
                residual = float(s[i]) * (mpmath.exp(z[k]) / norm - (k == y[i])) / total
                gradient[k] = [g + residual * xj for g, xj in zip(gradient[k], x)]
        expected = np.array([[float(g) for g in row] for row in gradient]).ravel()
    np.testing.assert_allclose(point.value, float(value), rtol=1e-12)
    np.testing.assert_allclose(point.gradient, expected, rtol=1e-9, atol=1e-12)


def test_extreme_scores_stay_finite_and_exact():
    X = np.array([[1e308], [-1e308]])
    scores = Linear(1, 3, False)
    objective = Objective(
        FenchelYoung(LINKS["softmax"]),
        scores,
        InMemory(X, Labels(np.array([0, 1]), 3), np.ones(2)),
        Ridge(scores.spread(0.0)),
    )
    point = objective.at(np.array([0.9, -0.9, -0.9]))
    assert point.value == 0.0 + np.log(2.0) / 2  # the second row ties two classes, the first is certain
    np.testing.assert_allclose(point.gradient, [0.0, 0.25e308, -0.25e308])


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("link", ["softmax", "entmax15", "sparsemax"])
def test_gap_bounds_the_distance_to_the_minimum_anywhere(rng, link, n_classes, intercept):
    from sksoft.solvers import newton_cg

    objective = make(rng, link=link, n_classes=n_classes, intercept=intercept, strength=0.05)
    best = newton_cg(objective, np.zeros(objective.scores.n_parameters), tol=1e-13, max_iter=200)
    for distance in [1.0, 0.1, 1e-3, 1e-5]:
        w = best.w + distance * rng.normal(size=best.w.shape)
        point = objective.at(w)
        assert point.value - best.value <= point.gap() * (1 + 1e-9) + 1e-15
    assert objective.at(best.w).gap() < 1e-11


def test_gap_is_the_difference_of_primal_and_dual_computed_by_hand(rng):
    """Without an intercept the model's own distributions are dual feasible: D is computed from its definition."""
    objective = make(rng, intercept=False, strength=0.2)
    w = rng.normal(size=objective.scores.n_parameters) * 0.2
    X, y, a = objective.batches.design.X, objective.batches.target.codes, objective.batches.weights
    Z = X @ w.reshape(4, -1).T
    P = np.exp(Z) / np.exp(Z).sum(1, keepdims=True)
    G = ((P - np.eye(4)[y]) * a[:, None]).T @ X
    dual = -(a @ (P * np.log(P)).sum(1)) - np.sum(G**2) / (2 * 0.2)
    point = objective.at(w)
    np.testing.assert_allclose(point.gap(), point.value - dual, rtol=1e-10)


def test_no_gap_without_a_penalty(rng):
    assert np.isnan(make(rng, strength=0.0).at(np.zeros(24)).gap())


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_blocks_and_threads_give_the_same_bits(rng, kind, monkeypatch):
    def evaluate(n_threads):
        objective = make(np.random.default_rng(5), kind=kind, n=5000, p=9)
        w = np.random.default_rng(6).normal(size=objective.scores.n_parameters)
        with sksoft.config_context(n_threads=n_threads):
            point = objective.at(w)
            assert len(objective.batches.blocks) > 5
            return point.value, point.gradient, point.hessian_product(w)

    monkeypatch.setattr("sksoft.kernels.blocks.row_blocks.__defaults__", (1 << 15,))
    monkeypatch.setattr(f"sksoft.objective.design.{kind.upper()}_BYTES", 1 << 15)
    one = evaluate(1)
    for n_threads in (2, 7):
        for a, b in zip(one, evaluate(n_threads)):
            np.testing.assert_array_equal(a, b)


def test_distributions_too_large_to_keep_are_computed_again(rng, monkeypatch):
    w = rng.normal(size=24)
    kept = make(np.random.default_rng(3)).at(w).hessian_product(w)
    monkeypatch.setattr("sksoft.objective.objective.KEEP_BYTES", 0)
    np.testing.assert_allclose(make(np.random.default_rng(3)).at(w).hessian_product(w), kept, rtol=1e-13)


def test_a_point_remains_right_after_another_was_evaluated(rng):
    objective = make(rng)
    w = rng.normal(size=24)
    point = objective.at(w)
    expected = point.hessian_product(w)
    objective.at(2 * w)
    np.testing.assert_allclose(point.hessian_product(w), expected, rtol=1e-13)
