"""Synthesis: gradients by finite differences, optima that are known, boxes, batches, projection, and who cannot."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime
from scipy.spatial.distance import cdist
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sksoft import CalibratedSoftmaxClassifier, KnowledgeDistiller, SoftmaxRegression, UncertaintySampler
from sksoft.active.differentiable import score_map
from sksoft.active.synthesis import Plausibility, entropy_and_gradient, nearest_distinct, objective
from sksoft.metrics import predictive_entropy

X, Y = load_iris(return_X_y=True)
TWO = Y > 1  # overlaps

LINEAR = {
    "softmax": SoftmaxRegression(),
    "logistic": LogisticRegression(max_iter=1000),
    "pipeline": make_pipeline(StandardScaler(), PCA(3, random_state=0), SoftmaxRegression()),
    "temperature": CalibratedSoftmaxClassifier(SoftmaxRegression(), "temperature", cv=3),
    "vector": CalibratedSoftmaxClassifier(SoftmaxRegression(), "vector", cv=3),
    "matrix": CalibratedSoftmaxClassifier(make_pipeline(StandardScaler(), SoftmaxRegression()), "matrix", cv=3),
    "dirichlet": CalibratedSoftmaxClassifier(SoftmaxRegression(), "dirichlet", cv=3),
    "structured": CalibratedSoftmaxClassifier(LogisticRegression(max_iter=1000), "structured", cv=3),
}
BINARY = {
    "softmax": SoftmaxRegression(),
    "logistic": LogisticRegression(max_iter=1000),
    "temperature": CalibratedSoftmaxClassifier(SoftmaxRegression(), "temperature", cv=3),
    "platt": CalibratedSoftmaxClassifier(LogisticRegression(max_iter=1000), "platt", cv=3),
    "beta": CalibratedSoftmaxClassifier(SoftmaxRegression(), "beta", cv=3),
}
CASES = [(name, model, Y) for name, model in LINEAR.items()] + [(f"two, {n}", m, TWO) for n, m in BINARY.items()]


class Quadratic:
    """Scores that are no linear function of x, with the method that says so."""

    classes_ = np.array([0, 1, 2])
    centres = X[[0, 60, 120]]

    def scores_and_pullback(self, rows):
        away = rows[:, None, :] - self.centres
        return -0.1 * (away**2).sum(axis=2), lambda g: -0.2 * np.einsum("nk,nkp->np", g, away)

    def predict_proba(self, rows):
        z = np.exp(self.scores_and_pullback(rows)[0])
        return z / z.sum(axis=1, keepdims=True)


def test_the_gradient_of_the_entropy_by_the_scores():
    rng = np.random.default_rng(0)
    for z in rng.normal(size=(20, 5)) * 3:
        value, gradient = entropy_and_gradient(z[None])
        expected = approx_fprime(z, lambda v: entropy_and_gradient(v[None])[0][0], 1e-7)
        np.testing.assert_allclose(gradient[0], expected, atol=1e-6)
        p = np.exp(z) / np.exp(z).sum()
        assert value[0] == pytest.approx(-(p * np.log(p)).sum())
    value, gradient = entropy_and_gradient(np.array([[0.0, -np.inf, 1e4]]))
    assert value[0] == 0.0
    np.testing.assert_array_equal(gradient, np.zeros((1, 3)))


@pytest.mark.parametrize(("name", "model", "y"), [*CASES, ("quadratic", Quadratic(), Y)], ids=lambda v: str(v)[:12])
def test_the_gradient_of_the_objective_by_the_features(name, model, y):
    fitted = model if name == "quadratic" else model.fit(X, y)
    scores, plausible = score_map(fitted, X), Plausibility(X)
    arguments = scores, plausible, X[[3, 77]], 0.3, 0.7

    def by_probabilities(x):
        entropy = predictive_entropy(fitted.predict_proba(x[None]))[0]
        precision = plausible.precision / 4
        pushes = [np.exp(-0.5 * (x - m) @ precision @ (x - m)) for m in X[[3, 77]]]
        return entropy - 0.15 * (x - X.mean(axis=0)) @ precision @ (x - X.mean(axis=0)) - 0.7 * sum(pushes)

    for x in X[::25] + 0.3:
        value, gradient = objective(x, *arguments)
        assert value == pytest.approx(by_probabilities(x), abs=1e-9)
        np.testing.assert_allclose(gradient, approx_fprime(x, by_probabilities, 1e-6), atol=2e-5)


def sampler_of(model, y=Y, **options):
    return UncertaintySampler(model, random_state=0, **options).fit(X, y)


def test_between_two_classes_entropy_is_ln_2_on_the_boundary():
    sampler = sampler_of(SoftmaxRegression(), TWO)
    rows, entropy = sampler.synthesize(X, 3, mahalanobis=0.0, repulsion=0.0, return_scores=True)
    np.testing.assert_allclose(entropy, np.log(2), rtol=1e-8)
    np.testing.assert_allclose(sampler.decision_function(rows), 0.0, atol=1e-4)


@pytest.mark.parametrize("name", LINEAR)
def test_more_uncertain_than_any_row_of_the_pool(name):
    sampler = sampler_of(LINEAR[name])
    rows, entropy = sampler.synthesize(X, 1, mahalanobis=0.01, return_scores=True)
    assert entropy[0] >= predictive_entropy(sampler.predict_proba(X)).max() - 1e-3
    np.testing.assert_allclose(entropy, predictive_entropy(sampler.predict_proba(rows)))


def test_the_penalty_keeps_rows_near_and_the_box_holds():
    sampler, plausible = sampler_of(SoftmaxRegression()), Plausibility(X)
    lengths = []
    for penalty in (0.0, 0.1, 10.0):
        rows = sampler.synthesize(X, 1, bounds=None, mahalanobis=penalty)
        lengths.append(plausible.squared(rows - X.mean(axis=0))[0][0])
    assert lengths[2] < lengths[1] < lengths[0]
    low, high = np.array([5.0, 3.0, 1.0, 0.2]), np.array([5.5, 3.5, 2.0, 0.4])
    rows = sampler.synthesize(X, 3, bounds=(low, high))
    assert ((low <= rows) & (rows <= high)).all()
    default = sampler.synthesize(X, 5)
    assert ((X.min(axis=0) <= default) & (default <= X.max(axis=0))).all()


def test_a_batch_is_spread_out_and_repeats_itself():
    sampler = sampler_of(SoftmaxRegression())
    close = sampler.synthesize(X, 4, repulsion=0.0)
    apart = sampler.synthesize(X, 4, repulsion=1.0)
    assert np.ptp(close, axis=0).max() < 0.2 * np.ptp(apart, axis=0).max()
    np.testing.assert_array_equal(sampler.synthesize(X, 4, repulsion=1.0), apart)


def test_projection_takes_distinct_rows_of_the_pool():
    sampler = sampler_of(SoftmaxRegression())
    indices, entropy = sampler.synthesize(X, 6, project_to=X, return_scores=True)
    assert len(set(indices.tolist())) == 6
    np.testing.assert_allclose(entropy, predictive_entropy(sampler.predict_proba(X[indices])))
    made = sampler.synthesize(X, 6)
    away = cdist(made, X, "mahalanobis", VI=Plausibility(X).precision)
    assert indices[0] == away[0].argmin()
    assert np.all([away[i, chosen] <= np.sort(away[i])[i] for i, chosen in enumerate(indices)])
    plausible = Plausibility(X)
    np.testing.assert_array_equal(nearest_distinct(X[[5, 5]], X[[9, 5, 7]], plausible)[:1], [1])
    assert len(set(nearest_distinct(X[[5, 5, 5]], X[[9, 5, 7]], plausible))) == 3


def test_a_data_frame_of_features_and_a_frozen_classifier():
    frame = pd.DataFrame(X, columns=list("abcd"))
    for model in (LogisticRegression(max_iter=1000), make_pipeline(StandardScaler(), LogisticRegression())):
        named = UncertaintySampler(model, random_state=0).fit(frame, Y).synthesize(frame, 2)
        np.testing.assert_allclose(named, UncertaintySampler(model, random_state=0).fit(X, Y).synthesize(X, 2))
    frozen = FrozenEstimator(LogisticRegression(max_iter=1000).fit(X, Y))
    assert UncertaintySampler(frozen, random_state=0).fit(X, Y).synthesize(X, 2).shape == (2, 4)


def test_columns_that_do_not_vary_stay_where_they_are():
    constant = np.column_stack([X, np.full(150, 3.0)])
    sampler = UncertaintySampler(SoftmaxRegression(), random_state=0).fit(constant, Y)
    np.testing.assert_array_equal(sampler.synthesize(constant, 2)[:, 4], 3.0)


@pytest.mark.parametrize("scale", [1e-9, np.array([1.0, 1e3, 1e-6, 1e9])], ids=["tiny", "mixed"])
def test_rows_do_not_depend_on_the_units_of_features(scale):
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    for options in ({"n_starts": 3}, {"bounds": None, "mahalanobis": 0.5, "n_starts": 3}):
        plain, entropy = sampler_of(model).synthesize(X, 3, return_scores=True, **options)
        scaled = UncertaintySampler(model, random_state=0).fit(X * scale, Y).synthesize(X * scale, 3, **options)
        np.testing.assert_allclose(scaled / scale, plain, rtol=1e-4)
        assert entropy.min() > 0.3
        assert cdist(plain, X).min() > 1e-3  # none is where its ascent began
    nearest = UncertaintySampler(model, random_state=0).fit(X * scale, Y).synthesize(X * scale, 3, project_to=X * scale)
    np.testing.assert_array_equal(nearest, sampler_of(model).synthesize(X, 3, project_to=X))


def test_far_from_the_origin_a_pipeline_is_as_differentiable_as_at_it():
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    far = UncertaintySampler(model, random_state=0).fit(X + 1e7, Y).synthesize(X + 1e7, 2)
    np.testing.assert_allclose(far - 1e7, sampler_of(model).synthesize(X, 2), atol=1e-3)


def test_a_pipeline_of_one_step_and_classifiers_that_hold_another():
    plain = sampler_of(SoftmaxRegression()).synthesize(X, 2)
    for model in (
        make_pipeline(SoftmaxRegression()),
        GridSearchCV(SoftmaxRegression(), {"C": [1.0]}),
        UncertaintySampler(SoftmaxRegression(), "entropy"),
    ):
        np.testing.assert_allclose(sampler_of(model).synthesize(X, 2), plain, rtol=1e-6)
    student = KnowledgeDistiller(LinearDiscriminantAnalysis(), SoftmaxRegression(), 1.0, 0.5, cv=3)
    assert sampler_of(student).synthesize(X, 2).shape == (2, 4)


def test_where_a_step_is_not_affine_beyond_the_reference_it_is_an_error():
    unit = (X - X.min(axis=0)) / np.ptp(X, axis=0)
    sampler = UncertaintySampler(make_pipeline(MinMaxScaler(clip=True), SoftmaxRegression()), random_state=0)
    inside = sampler.fit(unit, Y).synthesize(unit, 2)
    assert ((inside >= 0) & (inside <= 1)).all()
    with pytest.raises(ValueError, match="are not a softmax of affine scores"):
        sampler.synthesize(unit, 2, bounds=(-5.0, 5.0), mahalanobis=0.0)


def test_few_references_leave_distances_that_are_distances():
    for reference in (X[[0, 100]], X[[0, 60, 100]]):
        plausible = Plausibility(reference)
        assert np.linalg.eigvalsh(plausible.precision).min() > 0
        assert plausible.squared(np.random.default_rng(0).normal(size=(50, 4)))[0].min() > 0
        rows = sampler_of(SoftmaxRegression()).synthesize(reference, 2)
        assert ((rows >= reference.min(axis=0)) & (rows <= reference.max(axis=0))).all()


@pytest.mark.parametrize(
    "trees",
    [DecisionTreeClassifier(), RandomForestClassifier(5), HistGradientBoostingClassifier(max_iter=3)],
    ids=lambda e: type(e).__name__,
)
def test_trees_say_why_and_what_to_do_instead(trees):
    with pytest.raises(ValueError, match=r"gradient of its entropy is zero almost everywhere.*query\(X_pool"):
        sampler_of(trees).synthesize(X)
    with pytest.raises(ValueError, match="piecewise constant"):
        sampler_of(CalibratedSoftmaxClassifier(trees, "temperature", cv=2)).synthesize(X)


def test_others_that_are_not_differentiable_here():
    with pytest.raises(ValueError, match="GaussianNB tells no derivative"):
        sampler_of(GaussianNB()).synthesize(X)
    wrong = "are not a softmax of affine scores"
    with pytest.raises(ValueError, match=wrong):  # another link
        sampler_of(SoftmaxRegression(link="sparsemax")).synthesize(X)
    with pytest.raises(ValueError, match=wrong):  # a step that is not affine
        sampler_of(make_pipeline(PolynomialFeatures(), SoftmaxRegression())).synthesize(X)
    with pytest.raises(ValueError, match=wrong):  # a calibrator that is not affine
        sampler_of(CalibratedSoftmaxClassifier(SoftmaxRegression(), "quadratic", cv=3), TWO).synthesize(X)
    with pytest.raises(ValueError, match="ensemble=True averages probabilities"):
        sampler_of(CalibratedSoftmaxClassifier(SoftmaxRegression(), "temperature", cv=3, ensemble=True)).synthesize(X)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_instances": 0}, "'n_instances' parameter"),
        ({"n_instances": 7, "project_to": X[:6]}, "'n_instances' parameter must be an int from 1 to 6"),
        ({"bounds": (1.0, 0.0)}, "'bounds' parameter must have low <= high. Got 1 and 0 for feature 0"),
        ({"bounds": (np.nan, 0.0)}, "'bounds' parameter must have low <= high"),
        ({"bounds": (np.inf, np.inf)}, "'bounds' parameter must have low <= high. Got inf and inf for feature 0"),
        ({"bounds": (-np.inf, -np.inf)}, "'bounds' parameter must have low <= high"),
        ({"bounds": "box"}, "'bounds' parameter must be 'reference', None or a pair"),
        ({"bounds": ([0.0, 1.0], 2.0)}, "'bounds' parameter must be 'reference', None or a pair"),
        ({"mahalanobis": -1}, "'mahalanobis' parameter must be a finite float >= 0"),
        ({"repulsion": np.inf}, "'repulsion' parameter must be a finite float >= 0"),
        ({"n_starts": 0}, "'n_starts' parameter"),
        ({"project_to": X[:, :2]}, "'project_to' parameter must have the 4 features"),
        ({"project_to": np.full((5, 4), np.nan)}, "project_to contains NaN"),
    ],
)
def test_bad_parameters(options, message):
    with pytest.raises(ValueError, match=message):
        sampler_of(SoftmaxRegression()).synthesize(X, **options)


def test_bad_references():
    sampler = sampler_of(SoftmaxRegression())
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        sampler.synthesize(X[:1])
    with pytest.raises(ValueError, match="X_reference contains NaN"):
        sampler.synthesize(np.where(X > 7, np.nan, X))
    with pytest.raises(ValueError, match="X_reference must hold at least two different rows"):
        sampler.synthesize(X[[3, 3, 3]])
