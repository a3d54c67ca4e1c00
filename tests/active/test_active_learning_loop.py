"""ActiveLearningLoop: what it asks, what it keeps, that it goes on where it stopped, and bad input."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from sksoft import ActiveLearningLoop, UncertaintySampler

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]


def sampler(strategy="margin"):
    return UncertaintySampler(LogisticRegression(max_iter=1000), strategy, random_state=0)


def loop(strategy="margin", y=Y, **options):
    settings = {"X_test": X, "y_test": y, "random_state": 0, **options}
    return ActiveLearningLoop(sampler(strategy), X, lambda rows: y[rows], **settings)


def test_each_step_is_a_query_of_the_rows_without_a_label():
    one = loop(initial=12, n_instances=7).run(2)
    labeled = one.indices_[:12]
    np.testing.assert_array_equal(labeled, np.random.RandomState(0).permutation(150)[:12])
    for k in range(2):
        model = sampler().fit(X[labeled], Y[labeled])
        pool = np.setdiff1d(np.arange(150), labeled)
        rows, scores = model.query(X, 7, candidates=pool, return_scores=True)
        np.testing.assert_array_equal(one.indices_[12 + 7 * k : 19 + 7 * k], rows)
        assert one.history_["score"][k] == model.score(X, Y)
        assert one.history_["mean_uncertainty"][k] == scores.mean()
        labeled = np.append(labeled, rows)
    np.testing.assert_array_equal(one.labels_, Y[one.indices_])
    np.testing.assert_array_equal(one.history_["n_labeled"], [12, 19, 26])
    np.testing.assert_array_equal(one.history_["cost"], [12, 19, 26])
    assert np.isnan(one.history_["mean_uncertainty"][-1])
    np.testing.assert_array_equal(one.sampler_.predict(X), sampler().fit(X[labeled], Y[labeled]).predict(X))


@pytest.mark.parametrize("strategy", ["margin", "bald", "diverse"])
def test_stopped_written_to_a_file_and_resumed_it_is_the_same(strategy):
    whole = loop(strategy, NAMES).run(4)
    state = json.loads(json.dumps(loop(strategy, NAMES).run(1).state()))
    settings = {"X_test": X, "y_test": NAMES, "random_state": 0}
    resumed = ActiveLearningLoop.from_state(state, sampler(strategy), X, lambda rows: NAMES[rows], **settings)
    assert json.dumps(resumed.state()) == json.dumps(state)
    resumed.run(3)
    assert json.dumps(resumed.state()) == json.dumps(whole.state())


def test_a_state_from_before_the_first_run():
    fresh = ActiveLearningLoop.from_state(loop().state(), sampler(), X, lambda rows: Y[rows], random_state=0)
    np.testing.assert_array_equal(fresh.run(1).indices_, loop().run(1).indices_)


def failing_at(call, answer):
    """An oracle that raises once, at its `call`-th call."""
    calls = iter(range(1, 1000))

    def oracle(rows):
        if next(calls) == call:
            raise ConnectionError("nobody is there")
        return answer(rows)

    return oracle


@pytest.mark.parametrize("call", [1, 2, 4])
@pytest.mark.parametrize("through_file", [False, True])
def test_an_oracle_that_raises_loses_nothing(call, through_file):
    rare = (np.arange(150) == np.random.RandomState(0).permutation(150)[17]).astype(int)  # two calls to start with
    whole = loop(y=rare).run(3)
    settings = {"X_test": X, "y_test": rare, "random_state": 0}
    one = ActiveLearningLoop(sampler(), X, failing_at(call, lambda rows: rare[rows]), **settings)
    with pytest.raises(ConnectionError):
        one.run(3)
    assert len(one.indices_) == 10 * (call - 1)
    if through_file:
        state = json.loads(json.dumps(one.state()))
        one = ActiveLearningLoop.from_state(state, sampler(), X, lambda rows: rare[rows], **settings)
    one.run(3 - max(0, len(one.history_["score"]) - 1))
    assert json.dumps(one.state()) == json.dumps(whole.state())


class Stumbling(LogisticRegression):
    """Its fit raises once, where there are as many rows."""

    rows_to_fail_at = 30

    def fit(self, X, y, sample_weight=None):
        if len(y) == Stumbling.rows_to_fail_at:
            Stumbling.rows_to_fail_at = None
            raise MemoryError
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("through_file", [False, True])
def test_a_fit_that_raises_loses_neither_labels_nor_its_line_of_the_history(through_file):
    Stumbling.rows_to_fail_at = 30
    stumbling = UncertaintySampler(Stumbling(max_iter=1000))
    settings = {"X_test": X, "y_test": Y, "random_state": 0}
    one = ActiveLearningLoop(stumbling, X, lambda rows: Y[rows], **settings)
    with pytest.raises(MemoryError):
        one.run(3)
    assert len(one.labels_) == 30
    if through_file:
        state = json.loads(json.dumps(one.state()))
        one = ActiveLearningLoop.from_state(state, stumbling, X, lambda rows: Y[rows], **settings)
    assert json.dumps(one.run(1).state()) == json.dumps(loop().run(3).state())


def test_an_answer_that_is_no_label_is_refused_and_forgotten():
    for wrong, message in [
        (lambda y: np.where(np.arange(len(y)) == 2, np.nan, y), "Input the oracle's labels contains NaN"),
        (lambda y: np.array([None, *y[1:]], dtype=object), "the oracle's labels contains NaN, None or .* in row 0"),
        (lambda y: y.astype(str), "labels of one kind. Got <U.* after int64"),
    ]:
        answers = iter([lambda y: y, wrong, *[lambda y: y] * 2])
        one = ActiveLearningLoop(sampler(), X, lambda rows: next(answers)(Y[rows]), random_state=0)  # noqa: B023
        with pytest.raises(ValueError, match=message):
            one.run(2)
        np.testing.assert_array_equal(one.run(2).indices_, loop().run(2).indices_)
        np.testing.assert_array_equal(one.labels_, Y[one.indices_])


def test_a_state_is_json_as_its_standard_has_it():
    one = loop(X_test=None, y_test=None).run(2)
    state = json.loads(json.dumps(one.state(), allow_nan=False))
    again = ActiveLearningLoop.from_state(state, sampler(), X, lambda rows: Y[rows])
    for name, values in one.history_.items():
        np.testing.assert_array_equal(again.history_[name], values)
        assert again.history_[name].dtype == values.dtype


def test_first_rows_go_on_until_there_are_two_classes():
    order = np.argsort(Y, kind="stable")
    one = loop(initial=order[:60]).run(0)
    assert len(one.indices_) == 60
    rare = (np.arange(150) == np.random.RandomState(0).permutation(150)[33]).astype(int)
    one = loop(y=rare, initial=10).run(0)
    assert len(one.indices_) == 40
    with pytest.raises(ValueError, match="The oracle gave one class, 0, to all of the 50 first rows"):
        loop(initial=order[:50]).run(0)


def test_the_pool_ends():
    one = loop(n_instances=60).run(100)
    assert sorted(one.indices_) == list(range(150))
    np.testing.assert_array_equal(one.history_["n_labeled"], [10, 70, 130, 150])


def test_cost_is_paid_and_asked_about():
    cost = np.where(np.arange(150) % 2 == 0, 1.0, 1e6)
    one = loop(cost=cost, n_instances=5).run(3)
    assert (one.indices_[10:] % 2 == 0).all()
    np.testing.assert_allclose(one.history_["cost"], [cost[one.indices_[:m]].sum() for m in (10, 15, 20, 25)])


def test_area_frame_and_scoring():
    one = loop(scoring="neg_log_loss").run(3)
    n, score = one.history_["n_labeled"], one.history_["score"]
    assert (score < 0).all()
    expected = sum((n[i + 1] - n[i]) * (score[i] + score[i + 1]) / 2 for i in range(3)) / (n[-1] - n[0])
    assert one.area_under_curve() == pytest.approx(expected)
    dear = loop(cost=np.arange(1.0, 151.0)).run(3)
    over, score = dear.history_["cost"], dear.history_["score"]
    expected = sum((over[i + 1] - over[i]) * (score[i] + score[i + 1]) / 2 for i in range(3)) / (over[-1] - over[0])
    assert dear.area_under_curve("cost") == pytest.approx(expected)
    assert dear.area_under_curve("cost") != dear.area_under_curve()
    frame = one.history_frame()
    assert list(frame.columns) == ["n_labeled", "score", "mean_uncertainty", "cost"]
    assert len(frame) == 4
    assert loop().run(0).area_under_curve() == loop().run(0).history_["score"][0]
    assert np.isnan(loop(X_test=None, y_test=None).run(1).history_["score"]).all()


def test_it_uses_neither_the_global_generator_nor_the_given_sampler():
    given = sampler()
    np.random.seed(3)  # noqa: NPY002
    first = ActiveLearningLoop(given, X, lambda rows: Y[rows], random_state=0).run(2)
    np.random.seed(4)  # noqa: NPY002
    np.testing.assert_array_equal(first.indices_, loop().run(2).indices_)
    assert not hasattr(given, "estimator_")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"initial": 0}, "'initial' parameter must be an int from 1 to 150"),
        ({"initial": 151}, "'initial' parameter"),
        ({"initial": [1, 1]}, "'initial' parameter must hold distinct indices"),
        ({"initial": [200]}, "'initial' parameter must hold indices from 0 to 149"),
        ({"initial": np.ones(3, bool)}, "'initial' parameter must be a mask of the 150 rows"),
        ({"initial": 2.5}, "'initial' parameter must be a mask of the 150 rows"),
        ({"n_instances": 0}, "'n_instances' parameter"),
        ({"X_test": None}, "must be given together"),
        ({"y_test": Y[:5]}, "inconsistent numbers of samples"),
        ({"cost": np.zeros(150)}, "'cost' parameter must be positive"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        loop(**options)


def test_bad_objects_answers_and_states():
    with pytest.raises(TypeError, match="'sampler' parameter must have a query method"):
        ActiveLearningLoop(LogisticRegression(), X, lambda rows: Y[rows])
    with pytest.raises(TypeError, match="'oracle' parameter must be callable"):
        ActiveLearningLoop(sampler(), X, Y)
    with pytest.raises(ValueError, match=r"0 sample\(s\) in X_pool"):
        ActiveLearningLoop(sampler(), X[:0], lambda rows: Y[rows])
    with pytest.raises(ValueError, match="oracle must give 10 labels for as many rows"):
        ActiveLearningLoop(sampler(), X, lambda rows: Y[rows][1:]).run(0)
    with pytest.raises(ValueError, match="'n_queries' parameter must be an int >= 0"):
        loop().run(-1)
    with pytest.raises(ValueError, match="call run first"):
        loop().area_under_curve()
    with pytest.raises(ValueError, match="'x' parameter must be 'n_labeled' or 'cost'"):
        loop().run(0).area_under_curve("score")
    state = loop().run(0).state()
    short = {**state["history"], "score": []}
    for wrong in ({}, {**state, "more": 1}, [1], {**state, "history": {}}, {**state, "history": short}):
        with pytest.raises(ValueError, match="'state' parameter must be what"):
            ActiveLearningLoop.from_state(wrong, sampler(), X, lambda rows: Y[rows])
    with pytest.raises(ValueError, match="'state' parameter must hold indices from 0 to 9"):
        ActiveLearningLoop.from_state(state, sampler(), X[:10], lambda rows: Y[rows], n_instances=1)
    halves = {**state, "indices": [i + 0.5 for i in state["indices"]]}
    with pytest.raises(ValueError, match="'state' parameter must hold booleans or integers"):
        ActiveLearningLoop.from_state(halves, sampler(), X, lambda rows: Y[rows])
