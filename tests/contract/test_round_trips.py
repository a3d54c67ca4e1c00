"""Every estimator survives pickle, joblib and skops, and keeps nothing fitted but plain data."""

import pickle
from io import BytesIO

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.utils import get_tags

from tests.contract.registry import CALIBRATORS, ESTIMATORS

X, Y = load_iris(return_X_y=True)
# Two linear models know the same of iris.
pytestmark = pytest.mark.filterwarnings("ignore:The teacher's log-loss:sksoft.distillation.TeacherWarning")


def through_pickle(model):
    return pickle.loads(pickle.dumps(model))


def through_joblib(model):
    file = BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


def through_skops(model):
    data = skops.io.dumps(model)
    unknown = skops.io.get_untrusted_types(data=data)
    assert all(name.startswith("sksoft.") for name in unknown), unknown
    return skops.io.loads(data, trusted=unknown)


def fitted(estimator):
    scores = X[:, :3] if estimator in CALIBRATORS else X
    tags = get_tags(estimator).classifier_tags
    y = Y if tags is None or tags.multi_class else Y == 1
    return clone(estimator).fit(scores, y), scores


def answers(model, scores):
    return model.predict_proba(scores) if hasattr(model, "predict_proba") else model.predict(scores)


@pytest.mark.parametrize("way", [through_pickle, through_joblib, through_skops])
@pytest.mark.parametrize("estimator", ESTIMATORS + CALIBRATORS, ids=str)
def test_round_trip(estimator, way):
    model, scores = fitted(estimator)
    np.testing.assert_array_equal(answers(way(model), scores), answers(model, scores))


@pytest.mark.parametrize("estimator", ESTIMATORS + CALIBRATORS, ids=str)
def test_threads_and_repetition_give_the_same_bits(estimator):
    import sksoft

    first, scores = fitted(estimator)
    with sksoft.config_context(n_threads=7):
        second, _ = fitted(estimator)
    np.testing.assert_array_equal(answers(first, scores), answers(second, scores))


@pytest.mark.parametrize("estimator", ESTIMATORS + CALIBRATORS, ids=str)
def test_html_representation_does_not_send_readers_to_another_package(estimator):
    html = estimator._repr_html_()
    assert type(estimator).__name__ in html
    assert f"scikit-learn.org/1.9/modules/generated/{type(estimator).__name__}" not in html
    assert "sksoft.linear" not in html
