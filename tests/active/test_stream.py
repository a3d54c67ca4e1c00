"""Streams: the budget is kept whatever comes, calls may be split anywhere, and drift is followed."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from sksoft import UncertaintySampler
from sksoft.active.stream import new_stream_state, stream_decisions

X, Y = load_iris(return_X_y=True)
STREAMS = {
    "uniform": np.random.default_rng(0).random(5000),
    "all certain": np.zeros(5000),
    "all uncertain": np.ones(5000),
    "certain, then not": np.r_[np.zeros(2500), np.ones(2500)],
    "one value": np.full(5000, 0.37),
    "alternating": np.tile([0.0, 1.0], 2500),
}


@pytest.mark.parametrize("budget", [0.01, 0.2, 0.9])
@pytest.mark.parametrize("name", STREAMS)
def test_at_any_time_the_labels_are_within_the_budget_and_at_most_21_short(name, budget):
    asked, state = stream_decisions(STREAMS[name], budget, new_stream_state())
    over = np.cumsum(asked) - budget * np.arange(1, 5001)
    assert over.max() < 1.0 + 1e-9  # the next whole label: never more than ceil(budget * n)
    assert over.min() >= -21.0 - 1e-9
    assert state["credit"] == pytest.approx(-over[-1], abs=1e-9)


def test_a_stream_of_toss_ups_does_not_spend_its_budget_at_once():
    asked, _ = stream_decisions(np.ones(50), 0.1, new_stream_state())
    assert asked.sum() == 5
    assert (np.cumsum(asked)[[9, 19, 29, 39]] <= [1, 2, 3, 4]).all()


def test_a_budget_may_change_on_the_way():
    first, state = stream_decisions(np.ones(100), 0.5, new_stream_state())
    second, _ = stream_decisions(np.ones(100), 0.1, state)
    assert first.sum() == 50
    assert second.sum() == 10


def test_rows_that_are_asked_for_are_the_more_uncertain_ones():
    scores = STREAMS["uniform"]
    asked, state = stream_decisions(scores, 0.2, new_stream_state())
    assert scores[asked][100:].min() > 0.5
    assert state["threshold"] == pytest.approx(0.8, abs=0.15)


@pytest.mark.parametrize("strategy", ["margin", "entropy", "least_confidence", "bald", "diverse"])
def test_a_stream_may_be_cut_anywhere_and_its_state_written_to_a_file(strategy):
    sampler = UncertaintySampler(LogisticRegression(max_iter=1000), strategy, random_state=0).fit(X[::5], Y[::5])
    whole, end = sampler.query_stream(X, 0.3)
    state, parts = None, []
    for rows in (X[:1], X[1:40], X[40:]):
        asked, state = sampler.query_stream(rows, 0.3, state=state)
        parts.append(asked)
        state = json.loads(json.dumps(state))
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert state == end
    assert state["n_seen"] == 150
    assert state["n_queried"] == whole.sum()
    assert 0.1 < whole.mean() < 0.5


def test_bad_streams():
    sampler = UncertaintySampler(LogisticRegression(max_iter=1000)).fit(X, Y)
    for budget in (0, 1, -0.5, 2.0, "all", True, np.nan):
        with pytest.raises(ValueError, match="'budget' parameter must be a float in"):
            sampler.query_stream(X, budget)
    for state in ({}, {"threshold": 0.5}, 3, {**new_stream_state(), "threshold": np.nan}):
        with pytest.raises(ValueError, match="'state' parameter must be None or what query_stream returned"):
            sampler.query_stream(X, state=state)
    with pytest.raises(ValueError, match="judges a row by itself"):
        sampler.set_params(strategy="density").query_stream(X)
