"""GroupTemperatureScaler: known temperatures, shrinkage, groups of any kind, routing, weights and labels."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn import config_context
from sklearn.exceptions import NotFittedError

from sksoft import GroupTemperatureScaler, TemperatureScaler


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def sample(rng, n=3000, temperatures=(1.5, 2.0, 4.0), shares=(0.6, 0.38, 0.02)):
    group = rng.choice(len(shares), n, p=shares)
    honest = 2.0 * rng.normal(size=(n, 4))
    return (
        np.take(temperatures, group)[:, None] * honest,
        (honest + rng.gumbel(size=honest.shape)).argmax(axis=1),
        group,
    )


def loss(scores, y, temperature):
    return -log_softmax(scores / temperature, axis=1)[np.arange(len(y)), y].sum()


def test_different_temperatures_are_found(rng):
    scores, y, group = sample(rng, n=20000, shares=(0.5, 0.3, 0.2))
    scaler = GroupTemperatureScaler().fit(scores, y, sensitive_features=group)
    table = scaler.temperatures_
    assert (np.abs(table.temperature - [1.5, 2.0, 4.0]) < 4 * table.stderr).all()
    assert table.group.tolist() == ["0", "1", "2"]
    np.testing.assert_array_equal(table.n, np.bincount(group))
    assert scaler.shrinkage_ < 500
    assert scaler.loss_ < TemperatureScaler().fit(scores, y).loss_ - 0.01


@pytest.mark.parametrize("strength", [0.05, 5.0, 500.0])
def test_each_is_the_minimum_of_its_problem(rng, strength):
    scores, y, group = sample(rng)
    scaler = GroupTemperatureScaler(strength).fit(scores, y, sensitive_features=group)
    pooled = TemperatureScaler().fit(scores, y).temperature_
    np.testing.assert_allclose(scaler.temperature_, pooled, rtol=1e-12)
    for g, temperature in enumerate(scaler.temperatures_.temperature):
        own = group == g
        search = minimize_scalar(
            lambda d, own=own: loss(scores[own], y[own], pooled * np.exp(d)) + strength * d**2,
            bracket=(-0.5, 0.5),
            options={"xtol": 1e-12},
        )
        np.testing.assert_allclose(np.log(temperature / pooled), search.x, atol=1e-6)
    assert scaler.converged_


def test_small_groups_are_drawn_to_all(rng):
    scores, y, group = sample(rng, temperatures=(1.5, 3.0, 3.0))
    alone = [TemperatureScaler().fit(scores[group == g], y[group == g]).temperature_ for g in range(3)]
    scaler = GroupTemperatureScaler(20.0).fit(scores, y, sensitive_features=group)
    drawn = np.log(scaler.temperatures_.temperature / alone) / np.log(scaler.temperature_ / np.array(alone))
    assert drawn[1] < 0.15
    assert drawn[2] > 0.5
    everyone = GroupTemperatureScaler(np.inf).fit(scores, y, sensitive_features=group)
    np.testing.assert_array_equal(everyone.temperatures_.temperature, np.full(3, everyone.temperature_))
    least = GroupTemperatureScaler(1e-9).fit(scores, y, sensitive_features=group)
    np.testing.assert_allclose(least.temperatures_.temperature, alone, rtol=1e-6)


def test_groups_alike_get_one_temperature(rng):
    """Twenty groups of no meaning: held-out rows see through what each would make of its own."""
    scores, y, _ = sample(rng, n=1000, temperatures=(2.0, 2.0, 2.0))
    scaler = GroupTemperatureScaler().fit(scores, y, sensitive_features=rng.integers(20, size=1000))
    assert scaler.shrinkage_ >= 50
    losses = scaler.shrinkage_losses_
    assert losses.log_loss.iloc[0] < losses.log_loss.iloc[-1]


def test_standard_errors_are_the_spread_over_samples(rng):
    fits = [
        GroupTemperatureScaler(5.0).fit(scores, y, sensitive_features=group).temperatures_
        for scores, y, group in (sample(rng, n=800, shares=(0.5, 0.3, 0.2)) for _ in range(150))
    ]
    spread = np.std([np.log(fit.temperature) for fit in fits], axis=0)
    said = np.mean([fit.stderr / fit.temperature for fit in fits], axis=0)
    np.testing.assert_allclose(said, spread, rtol=0.25)


def test_a_group_whose_scores_separate_its_labels_stays_finite(rng):
    scores, y, group = sample(rng)
    y[group == 2] = scores[group == 2].argmax(axis=1)
    scaler = GroupTemperatureScaler(1.0).fit(scores, y, sensitive_features=group)
    assert 0.01 < scaler.temperatures_.temperature[2] < scaler.temperature_
    assert scaler.converged_


def test_groups_not_seen_and_no_groups(rng):
    scores, y, group = sample(rng)
    names = np.array(["a", "b", "c"])[group]
    scaler = GroupTemperatureScaler(1.0).fit(scores, y, sensitive_features=names)
    pooled = TemperatureScaler().fit(scores, y).predict_proba(scores[:5])
    np.testing.assert_allclose(scaler.predict_proba(scores[:5]), pooled, rtol=1e-12)
    with pytest.warns(UserWarning, match=r"Groups not seen in fit have the pooled temperature: \['d'\]"):
        unseen = scaler.predict_proba(scores[:5], sensitive_features=["d", "d", "d", "a", "d"])
    np.testing.assert_allclose(unseen[:3], pooled[:3], rtol=1e-12)
    assert np.abs(unseen[3] - pooled[3]).max() > 1e-4
    plain = GroupTemperatureScaler().fit(scores, y)
    np.testing.assert_allclose(plain.predict_proba(scores[:5]), pooled, rtol=1e-12)
    assert plain.temperatures_.group.tolist() == ["overall"]


def test_missing_values_and_several_features(rng):
    scores, y, group = sample(rng)
    frame = pd.DataFrame({"sex": np.array(["f", "m", None], dtype=object)[group], "old": rng.random(3000) < 0.5})
    scaler = GroupTemperatureScaler(1.0).fit(scores, y, sensitive_features=frame)
    assert set(scaler.temperatures_.group) == {f"{s} × {o}" for s in ("f", "m", "(missing)") for o in (True, False)}
    proba = scaler.predict_proba(scores, sensitive_features=frame)
    row = int(np.flatnonzero(group == 2)[0])
    name = f"(missing) × {frame.old[row]}"
    temperature = scaler.temperatures_.set_index("group").temperature[name]
    np.testing.assert_allclose(np.log(proba[row]), log_softmax(scores[row] / temperature), rtol=1e-9)
    with pytest.raises(
        ValueError, match="sensitive_features has 1 columns, but GroupTemperatureScaler was fitted with 2"
    ):
        scaler.predict_proba(scores, sensitive_features=frame.sex)


@pytest.mark.parametrize("shrinkage", [2.0, "cv"])
def test_weight_is_repetition_and_zero_weight_is_removal(rng, shrinkage):
    scores, y, group = sample(rng, n=300, shares=(0.5, 0.3, 0.2))
    s = rng.integers(0, 4, size=300)
    weighted = GroupTemperatureScaler(shrinkage, weight_type="frequency")
    weighted.fit(scores, y, sample_weight=s, sensitive_features=group)
    repeated = GroupTemperatureScaler(shrinkage, weight_type="frequency")
    repeated.fit(np.repeat(scores, s, axis=0), np.repeat(y, s), sensitive_features=np.repeat(group, s))
    assert weighted.shrinkage_ == repeated.shrinkage_
    pd.testing.assert_frame_equal(weighted.temperatures_, repeated.temperatures_, rtol=1e-8)


def test_order_of_the_rows_does_not_matter(rng):
    scores, y, group = sample(rng, n=400, shares=(0.5, 0.3, 0.2))
    order = rng.permutation(400)
    one = GroupTemperatureScaler().fit(scores, y, sensitive_features=group)
    other = GroupTemperatureScaler().fit(scores[order], y[order], sensitive_features=group[order])
    assert one.shrinkage_ == other.shrinkage_
    pd.testing.assert_frame_equal(one.temperatures_, other.temperatures_, rtol=1e-9)


def test_groups_can_be_routed():
    with config_context(enable_metadata_routing=True):
        scaler = GroupTemperatureScaler().set_fit_request(sensitive_features=True)
        scaler.set_predict_proba_request(sensitive_features=True)
        requests = scaler.get_metadata_routing()
        assert requests.fit.requests["sensitive_features"] is True
        assert requests.predict_proba.requests["sensitive_features"] is True


@pytest.mark.parametrize("labels", [[4, 3, 2, 1], ["d", "b", "c", "a"]], ids=str)
def test_labels_are_names_and_not_indices(rng, labels):
    scores, y, group = sample(rng)
    reference, ordered = GroupTemperatureScaler(1.0).fit(scores, y, sensitive_features=group), np.asarray(labels)
    scaler = GroupTemperatureScaler(1.0, classes=labels).fit(scores, ordered[y], sensitive_features=group)
    pd.testing.assert_frame_equal(scaler.temperatures_, reference.temperatures_)
    np.testing.assert_array_equal(scaler.predict(scores), ordered[scores.argmax(axis=1)])


def test_exact_zeros_and_scores_of_any_size(rng):
    proba = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.6, 0.4, 0.0], [0.0, 0.5, 0.5]] * 5)
    group = np.arange(20) % 3
    scaler = GroupTemperatureScaler(input="proba").fit(proba, [0, 1, 1, 2] * 5, sensitive_features=group)
    np.testing.assert_allclose(scaler.predict_proba(proba, sensitive_features=group).sum(axis=1), 1.0)
    scores, y, group = sample(rng, n=500)
    reference = GroupTemperatureScaler(1.0).fit(scores, y, sensitive_features=group).temperatures_.temperature
    for size in (1e-200, 1e200):
        scaled = GroupTemperatureScaler(1.0).fit(size * scores, y, sensitive_features=group)
        np.testing.assert_allclose(scaled.temperatures_.temperature / size, reference, rtol=1e-7)


def test_errors(rng):
    scores, y, group = sample(rng)
    with pytest.raises(NotFittedError):
        GroupTemperatureScaler().predict_proba(scores)
    with pytest.raises(ValueError, match="inconsistent numbers of samples: sensitive_features"):
        GroupTemperatureScaler().fit(scores, y, sensitive_features=group[:-1])
    with pytest.raises(ValueError, match="The 'shrinkage' parameter of GroupTemperatureScaler must be"):
        GroupTemperatureScaler(0.0).fit(scores, y, sensitive_features=group)
