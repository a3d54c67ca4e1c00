"""Temperatures of groups: found where they differ, drawn together where they do not, and silent for small groups."""

import numpy as np

from sksoft.audit.group_temperatures import MOST_GROUPS, group_temperature_tables
from sksoft.metrics.predictions import check_predictions
from sksoft.metrics.sensitive import partition_rows


def two_groups(n, powers, share=0.5, seed=0):
    """Predictions too sharp by the power of each group."""
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.ones(3), n)
    y = (rng.uniform(size=(n, 1)) > proba.cumsum(axis=1)).sum(axis=1)
    group = (rng.uniform(size=n) < share).astype(int)
    sharper = proba ** np.array(powers)[group][:, None]
    return y, sharper / sharper.sum(axis=1, keepdims=True), np.array(["a", "b"])[group]


def tables(settings, y, proba, features, weights=None):
    predictions = check_predictions(y, proba, sample_weight=weights)
    partition = partition_rows(features, len(y), predictions.kept)
    return group_temperature_tables(predictions, partition, settings)


def test_groups_that_differ_are_found(settings):
    y, proba, group = two_groups(4000, (1.2, 2.5))
    table, gains = tables(settings, y, proba, {"site": group, "noise": np.arange(4000) % 2})
    site = table[table["feature"] == "site"].set_index("group")
    np.testing.assert_allclose(site["temperature"], [1.2, 2.5], rtol=0.1)
    assert ((site["low"] < [1.2, 2.5]) & (site["high"] > [1.2, 2.5])).all()
    gains = gains.set_index("feature")
    assert gains.loc["site", "gain_low"] > 0
    assert abs(gains.loc["noise", "gain"]) < 0.002
    np.testing.assert_allclose(gains["gain"], gains["one_temperature"] - gains["by_group"], atol=1e-12)
    assert (table["verdict"] == "judged").all()


def test_small_groups_are_insufficient_evidence_and_weights_count(settings):
    y, proba, group = two_groups(2000, (1.5, 1.5), share=0.01)
    table, _ = tables(settings, y, proba, group)
    assert table.set_index("group")["verdict"].to_dict() == {"a": "judged", "b": "insufficient evidence"}
    weights = np.where(group == "a", 1.0, 1e-3)
    weights[np.flatnonzero(group == "a")[0]] = 1e3
    table, _ = tables(settings, y, proba, group, weights)
    assert (table["effective_n"] < 50).all()
    assert (table["verdict"] == "insufficient evidence").all()


def test_one_group_and_very_many(settings):
    y, proba, _ = two_groups(600, (1.5, 1.5))
    table, gains = tables(settings, y, proba, np.full(600, "x"))
    assert len(table) == 1
    assert gains["note"].tolist() == ["a single group"]
    assert np.isnan(gains["gain"][0])
    table, gains = tables(settings, y, proba, np.arange(600) % (MOST_GROUPS + 1))
    assert table.empty
    assert gains["note"].tolist() == [f"more than {MOST_GROUPS} groups"]
