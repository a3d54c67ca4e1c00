"""Who looks at what: against brute force, a softmax regression and bilinear attention."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

from sksoft.attention import SoftmaxFixationModel
from sksoft.functional import scaled_dot_product_attention

RNG = np.random.default_rng(0)
N, P, Q = 60, 3, 4
SIZES = RNG.integers(1, 7, N)
OFFSETS = np.concatenate([[0], np.cumsum(SIZES)])
TASKS, OBJECTS = RNG.normal(size=(N, P)), RNG.normal(size=(OFFSETS[-1], Q))
SLICES = [slice(*pair) for pair in pairwise(OFFSETS)]
WANTED, SALIENT = 1.5 * RNG.normal(size=(P, Q)), RNG.normal(size=Q)


def drawn(tasks, objects, slices, rng):
    scores = [objects[own] @ (task @ WANTED + SALIENT) for task, own in zip(tasks, slices)]
    return np.array([rng.choice(len(z), p=softmax(z)) for z in scores])


LOOKED = drawn(TASKS, OBJECTS, SLICES, RNG)


def fitted(**options):
    return SoftmaxFixationModel(**options).fit(TASKS, LOOKED, objects=OBJECTS, offsets=OFFSETS)


def by_definition(w, C, weights):
    """F with loops over trials."""
    wanted, salient = w[:-Q].reshape(P, Q), w[-Q:]
    losses = []
    for task, own, y in zip(TASKS, SLICES, LOOKED):
        z = OBJECTS[own] @ (task @ wanted + salient)
        losses.append(logsumexp(z) - z[y])
    return (weights @ losses + w @ w / (2 * C)) / weights.sum()


@pytest.mark.parametrize("C", [0.1, 3.0])
def test_it_minimises_what_it_says(C):
    weights = RNG.random(N) + 0.5
    model = SoftmaxFixationModel(C=C).fit(TASKS, LOOKED, weights, objects=OBJECTS, offsets=OFFSETS)
    ours = np.append(model.coef_, model.salience_)
    assert model.objective_ == pytest.approx(by_definition(ours, C, weights), rel=1e-12)
    steps = 1e-5 * np.eye(len(ours))
    slopes = [by_definition(ours + d, C, weights) - by_definition(ours - d, C, weights) for d in steps]
    np.testing.assert_allclose(np.array(slopes) / 2e-5, 0.0, atol=1e-6)  # and F is convex


def test_the_gap_is_a_bound_wherever_the_fit_stops():
    least = fitted(tol=1e-14).objective_
    for max_iter in (0, 1, 2, 3):
        with pytest.warns(ConvergenceWarning, match=rf"a gap of .*above tol=1e-10. Raise max_iter={max_iter}"):
            early = fitted(max_iter=max_iter)
        assert early.gap_ >= early.objective_ - least
    assert fitted().gap_ <= 1e-10 * least


def test_the_score_is_bilinear_attention():
    """What an encoder-decoder's attention weighs is what this model says is looked at."""
    model = fitted()
    proba = model.predict_proba(TASKS[:5], OBJECTS[:8])
    wanted = np.vstack([model.coef_, model.salience_])
    queries = np.hstack([TASKS[:5], np.ones((5, 1))])
    _, weights = scaled_dot_product_attention(
        queries, OBJECTS[:8], np.eye(8), score="bilinear", score_weight=wanted, scale=1.0, return_weights=True
    )
    np.testing.assert_allclose(proba, weights, atol=1e-13)


def test_objects_shared_by_all_trials_are_trials_of_their_own():
    catalogue, y = OBJECTS[:5], RNG.integers(0, 5, N)
    shared = SoftmaxFixationModel().fit(TASKS, y, objects=catalogue)
    ragged = SoftmaxFixationModel().fit(TASKS, y, objects=np.tile(catalogue, (N, 1)), offsets=5 * np.arange(N + 1))
    np.testing.assert_allclose(shared.coef_, ragged.coef_, atol=1e-7)
    np.testing.assert_allclose(
        shared.predict_proba(TASKS).ravel(),
        ragged.predict_proba(TASKS, np.tile(catalogue, (N, 1)), 5 * np.arange(N + 1)),
        atol=1e-7,
    )
    np.testing.assert_array_equal(shared.classes_, np.arange(5))


def test_without_objects_it_is_a_softmax_regression_whose_intercept_is_penalised():
    X, y = load_iris(return_X_y=True)
    names = np.array(["s", "ve", "vi"])[y]
    model = SoftmaxFixationModel(C=0.5, tol=1e-14).fit(X, names)

    def objective(w):
        w = w.reshape(5, 3)
        z = X @ w[:-1] + w[-1]
        return np.mean(logsumexp(z, axis=1) - z[np.arange(150), y]) + np.sum(w**2) / (2 * 0.5 * 150)

    best = minimize(objective, np.zeros(15), tol=1e-12)
    assert model.objective_ == pytest.approx(best.fun, rel=1e-9)
    np.testing.assert_array_equal(model.classes_, ["s", "ve", "vi"])
    assert model.score(X, names) > 0.95


def test_known_tastes_are_found_again():
    rng = np.random.default_rng(1)
    sizes = rng.integers(2, 9, 4000)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    tasks, objects = rng.normal(size=(4000, P)), rng.normal(size=(offsets[-1], Q))
    looked = drawn(tasks, objects, [slice(*pair) for pair in pairwise(offsets)], rng)
    model = SoftmaxFixationModel(C=100.0).fit(tasks, looked, objects=objects, offsets=offsets)
    np.testing.assert_allclose(model.coef_, WANTED, atol=0.2)
    np.testing.assert_allclose(model.salience_, SALIENT, atol=0.2)


def test_probabilities_sum_to_one_over_each_trial_and_the_likeliest_is_predicted():
    model = fitted()
    proba = model.predict_proba(TASKS, OBJECTS, OFFSETS)
    places = model.predict(TASKS, OBJECTS, OFFSETS)
    for own, place in zip(SLICES, places):
        assert proba[own].sum() == pytest.approx(1.0)
        assert proba[own].argmax() == place
    assert model.score(TASKS, LOOKED, None, OBJECTS, OFFSETS) == np.mean(places == LOOKED)
    assert model.score(TASKS, LOOKED, None, OBJECTS, OFFSETS) > 0.6


def test_of_equal_objects_the_first_is_predicted():
    same = np.repeat(OBJECTS[:1], 6, axis=0)
    np.testing.assert_array_equal(fitted().predict(TASKS[:2], same, [0, 2, 6]), 0)


def test_a_weight_is_a_repetition_and_zero_is_removal():
    weights = RNG.integers(0, 3, N)
    rows = np.repeat(np.arange(N), weights)
    repeated = np.concatenate([OBJECTS[SLICES[i]] for i in rows])
    offsets = np.concatenate([[0], np.cumsum(SIZES[rows])])
    once = SoftmaxFixationModel(tol=1e-14).fit(TASKS, LOOKED, weights, objects=OBJECTS, offsets=OFFSETS)
    again = SoftmaxFixationModel(tol=1e-14).fit(TASKS[rows], LOOKED[rows], objects=repeated, offsets=offsets)
    np.testing.assert_allclose(once.coef_, again.coef_, atol=1e-9)
    odd = np.where(weights == 0, 99, LOOKED)
    blind = SoftmaxFixationModel(tol=1e-14).fit(TASKS, odd, weights, objects=OBJECTS, offsets=OFFSETS)
    np.testing.assert_array_equal(blind.coef_, once.coef_)


BAD = {
    "no such place": ({"y": np.where(np.arange(N) == 7, 40, LOOKED)}, r"here 0 to \d. Got .*40.* in row 7"),
    "no place": ({"y": LOOKED + 0.5}, "must hold the place|continuous"),
    "words": ({"y": LOOKED.astype(str)}, "must hold the place of an object"),
    "offsets too few": ({"offsets": OFFSETS[:-1]}, "'offsets' parameter must be 61 integers that rise from 0"),
    "offsets that fall": ({"offsets": OFFSETS[::-1]}, "'offsets' parameter must be 61 integers"),
    "offsets of floats": ({"offsets": OFFSETS.astype(float)}, "'offsets' parameter must be 61 integers"),
    "an empty trial": ({"offsets": np.append(OFFSETS[:-2], [OFFSETS[-1]] * 2)}, "'offsets' parameter must be"),
    "offsets alone": ({"objects": None}, "'offsets' parameter needs the 'objects' parameter"),
    "NaN": ({"objects": np.full_like(OBJECTS, np.nan)}, "Input objects contains NaN"),
    "no y": ({"y": None}, "requires y to be passed"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    changes, message = BAD[case]
    arguments = {"y": LOOKED, "objects": OBJECTS, "offsets": OFFSETS} | changes
    with pytest.raises(ValueError, match=message):
        SoftmaxFixationModel().fit(TASKS, **arguments)


def test_predictions_need_objects_of_the_same_features():
    with pytest.raises(ValueError, match="'objects' parameter must be given"):
        fitted().predict(TASKS)
    with pytest.raises(ValueError, match=r"must have the 4 features of the fit\. Got 3"):
        fitted().predict(TASKS, OBJECTS[:, :3])


def test_offsets_are_of_objects_given_with_them():
    """With the objects of the fit they would be places, and places are not classes."""
    model = SoftmaxFixationModel().fit(TASKS, np.array(["a", "b", "c"])[np.arange(N) % 3])
    for method in (model.predict, model.predict_proba, model.decision_function):
        with pytest.raises(ValueError, match="'offsets' parameter needs the 'objects' parameter"):
            method(TASKS[:2], offsets=[0, 1, 3])


def test_trials_of_one_object_say_nothing():
    model = SoftmaxFixationModel().fit(TASKS, np.zeros(N, int), objects=OBJECTS[:N], offsets=np.arange(N + 1))
    np.testing.assert_array_equal(model.coef_, 0.0)
    assert model.objective_ == 0.0
    assert model.converged_
    mixed = SoftmaxFixationModel(tol=1e-14).fit(
        np.vstack([TASKS, TASKS[:1]]),
        np.append(LOOKED, 0),
        np.append(np.ones(N), 7.0),
        objects=np.vstack([OBJECTS, OBJECTS[:1]]),
        offsets=np.append(OFFSETS, len(OBJECTS) + 1),
    )
    # the ridge is over the sum of weights, so that such a trial changes the objective's scale and nothing else
    np.testing.assert_allclose(mixed.coef_, fitted(tol=1e-14).coef_, atol=1e-9)


def test_separable_trials_have_an_optimum_and_its_proof():
    y = (TASKS[:, 0] > 0).astype(int)
    model = SoftmaxFixationModel(C=1e6).fit(TASKS, y)
    assert model.converged_
    assert model.gap_ <= 1e-10 * model.objective_
    assert model.score(TASKS, y) == 1.0


def test_the_score_reads_labels_as_the_fit_does():
    y = np.array(["a", "b", "c"])[np.arange(N) % 3]
    model = SoftmaxFixationModel().fit(TASKS, y)
    for bad, weights, message in [
        (y[:1], None, "inconsistent numbers of samples"),
        (y, -np.ones(N), "Negative values in data passed to `sample_weight`"),
        (None, None, "requires y to be passed"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.score(TASKS, bad, weights)


def test_one_class_is_none():
    with pytest.raises(ValueError, match="only one class with positive weight: 1"):
        SoftmaxFixationModel().fit(TASKS, np.ones(N, int))
