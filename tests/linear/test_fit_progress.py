"""Callbacks hear of every step: objective, gap, a model ready to predict, and may stop the fit."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.callback import ScoringMonitor
from sklearn.datasets import load_digits, load_iris
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksoft import SoftmaxRegression
from sksoft.linear import objective_and_gap


class Recorder:
    """Keeps what the hooks were told; stops the fit where `stop` says so."""

    def __init__(self, stop=lambda model: False):
        self.begun, self.ended, self.stop, self.calls = [], [], stop, []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, fitted_estimator=None):
        self.calls.append(("begin", context.task_name))
        if context.task_name == "step":
            self.begun.append(fitted_estimator)

    def on_fit_task_end(self, estimator, context, *, X=None, metadata=None, fitted_estimator=None):
        self.calls.append(("end", context.task_name))
        if context.task_name == "step" and fitted_estimator is not None:
            self.ended.append(fitted_estimator)
            assert X is not None
            return self.stop(fitted_estimator)
        return False


@pytest.fixture
def data():
    X, y = load_digits(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.mark.parametrize("solver", ["newton-cg", "lbfgs"])
def test_every_step_is_reported(data, solver):
    recorder = Recorder()
    model = SoftmaxRegression(solver=solver, C=0.01, max_iter=500, tol=1e-4).set_callbacks(recorder).fit(*data)
    steps = [step.n_iter_ for step in recorder.ended]
    assert steps == list(range(1, model.n_iter_ + 1))
    objectives = np.array([step.objective_ for step in recorder.ended])
    assert (np.diff(objectives) <= 1e-6 * objectives[:-1]).all()
    np.testing.assert_allclose(objectives[-1], model.objective_, rtol=1e-9)
    np.testing.assert_allclose(recorder.ended[-1].coef_, model.coef_)
    np.testing.assert_allclose(recorder.ended[-1].gap_, model.gap_)
    assert recorder.begun[0].n_iter_ == 0
    assert accuracy_score(data[1], recorder.ended[len(steps) // 2].predict(data[0])) > 0.9


def test_every_begin_has_an_end_and_the_context_is_torn_down(data):
    recorder = Recorder()
    SoftmaxRegression().set_callbacks(recorder).fit(*data)
    assert recorder.calls[:2] == ["setup", ("begin", "fit")]
    assert recorder.calls[-2:] == [("end", "fit"), "teardown"]
    begun = [call[1] for call in recorder.calls if call[0] == "begin"]
    ended = [call[1] for call in recorder.calls if call[0] == "end"]
    assert sorted(begun) == sorted(ended)


@pytest.mark.parametrize("solver", ["newton-cg", "lbfgs"])
def test_a_callback_stops_the_fit(data, solver):
    recorder = Recorder(stop=lambda model: model.n_iter_ == 3)
    model = SoftmaxRegression(solver=solver, C=100.0).set_callbacks(recorder)
    with pytest.warns(UserWarning, match="stopped by callback after 3 iterations"):
        model.fit(*data)
    assert (model.stopped_by_, model.n_iter_, model.converged_) == ("callback", 3, False)


def test_no_callback_changes_the_fit(data):
    plain, heard = SoftmaxRegression().fit(*data), SoftmaxRegression().set_callbacks(Recorder()).fit(*data)
    np.testing.assert_array_equal(plain.coef_, heard.coef_)


def test_a_failed_fit_is_torn_down(data):
    recorder = Recorder(stop=lambda model: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        SoftmaxRegression().set_callbacks(recorder).fit(*data)
    assert recorder.calls[-1] == "teardown"


def test_the_monitor_of_scikit_learn_logs_objective_and_gap():
    X, y = load_iris(return_X_y=True)
    monitor = ScoringMonitor(scoring=objective_and_gap)
    model = SoftmaxRegression().set_callbacks(monitor)
    model.fit(X, y, sample_weight=np.ones(len(y)))
    log = monitor.get_logs().data_as_pandas
    steps = log[log["task_name"] == "step"]
    assert len(steps) == model.n_iter_
    assert steps["objective"].iloc[-1] == model.objective_
    assert steps["gap"].iloc[-1] == model.gap_


def test_callbacks_survive_clones_pipelines_and_grid_search():
    X, y = load_iris(return_X_y=True)
    recorder = Recorder()
    model = SoftmaxRegression().set_callbacks(recorder)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), clone(model)), {"softmaxregression__C": [0.1, 1.0]}, cv=3, n_jobs=2
    )
    search.fit(X, y)
    assert search.best_score_ > 0.9
