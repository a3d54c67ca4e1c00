"""What is drawn of teacher and student is what they say."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from sklearn.datasets import load_iris
from sklearn.naive_bayes import GaussianNB

from sksoft import KnowledgeDistiller, SoftmaxRegression
from sksoft.displays import DistillationDisplay

X, Y = load_iris(return_X_y=True, as_frame=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]


@pytest.fixture(scope="module")
def distiller():
    return KnowledgeDistiller(GaussianNB(), SoftmaxRegression(), 2.0, 0.9, calibrate_teacher=True).fit(X, NAMES)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


pytestmark = pytest.mark.filterwarnings("ignore:The teacher's log-loss:sksoft.distillation.TeacherWarning")


@pytest.mark.parametrize("data", [X, X.to_numpy()], ids=["frame", "array"])
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_lines_are_the_distributions(distiller, data):
    display = DistillationDisplay.from_estimator(distiller, data, row=70, temperatures=[1.0, 3.0])
    order = np.argsort(-distiller.predict_teacher_proba(X.iloc[[70]])[0])
    for line, temperature in zip(display.teacher_lines_, [1.0, 3.0]):
        expected = distiller.predict_teacher_proba(X.iloc[[70]], temperature)[0]
        np.testing.assert_allclose(line.get_ydata(), expected[order], rtol=1e-9)
    np.testing.assert_allclose(display.student_line_.get_ydata(), distiller.predict_proba(X.iloc[[70]])[0][order])
    assert [text.get_text() for text in display.ax_.get_xticklabels()] == np.unique(NAMES)[order].tolist()
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["Teacher, T = 1", "Teacher, T = 3", "Student"]


def test_draws_where_it_is_told_and_names_are_text():
    _, ax = plt.subplots()
    display = DistillationDisplay.from_predictions([0.9, 0.1], [0.8, 0.2], classes=["$a", "b$"], ax=ax)
    assert display.ax_ is ax
    display.figure_.canvas.draw()
    assert [text.get_text() for text in ax.get_xticklabels()] == ["$a", "b$"]


def test_what_is_certain_has_a_logarithm():
    display = DistillationDisplay.from_predictions([1.0, 0.0], [0.0, 1.0])
    assert (display.teacher_proba > 0).all()
    assert (display.student_line_.get_ydata() > 0).all()
    assert display.student_proba.tolist() == [0.0, 1.0]


def test_bad_input_is_named(distiller):
    with pytest.raises(ValueError, match="'teacher_proba' and 'student_proba'"):
        DistillationDisplay.from_predictions([0.9, 0.1], [0.8, 0.1, 0.1])
    for temperatures in ([0.0], [np.nan], [], 2.0, ["hot"]):
        with pytest.raises(ValueError, match="'temperatures' parameter"):
            DistillationDisplay.from_predictions([0.9, 0.1], [0.8, 0.2], temperatures=temperatures)
    for proba in ([1.1, -0.1], [np.nan, 1.0], [0.9, 0.9]):
        with pytest.raises(ValueError, match="row 0"):
            DistillationDisplay.from_predictions([0.9, 0.1], proba)
        with pytest.raises(ValueError, match="row 0"):
            DistillationDisplay.from_predictions(proba, [0.9, 0.1])
    with pytest.raises(ValueError, match=r"'classes' parameter must hold 2 names. Got 1 instead"):
        DistillationDisplay.from_predictions([0.9, 0.1], [0.8, 0.2], classes=["a"])
    for row in (150, -1, 0.5):
        with pytest.raises(ValueError, match=r"'row' parameter must be an integer in \[0, 150\)"):
            DistillationDisplay.from_estimator(distiller, X, row=row)
    with pytest.raises(TypeError, match="'estimator' parameter must be a KnowledgeDistiller"):
        DistillationDisplay.from_estimator(GaussianNB(), X)
