"""What a teacher says of one row at several temperatures, and what its student says."""

from numbers import Integral
from typing import Any

import numpy as np

from sksoft._validation import take_rows
from sksoft.displays.axes import one_axes, plain_legend, plain_title, shown
from sksoft.displays.predictions import predicted
from sksoft.metrics.logits import log_proba
from sksoft.metrics.predictions import check_probabilities

TEMPERATURES = (1.0, 2.0, 4.0)


class DistillationDisplay:
    """The distribution over the classes by the teacher at each temperature T, and by the student at T = 1.

    A teacher that is sure says little at T = 1; at higher T it shows which classes the row is like. Probabilities are
    drawn on a logarithmic axis, classes by the teacher's probability, most likely first. Make it with
    :meth:`from_estimator` or :meth:`from_predictions`; :meth:`plot` draws it.

    Parameters
    ----------
    teacher_proba : ndarray (m, K)
        Of one row, at m temperatures.
    student_proba : ndarray (K,)
    temperatures : sequence of m floats
    classes : sequence of K labels

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    teacher_lines_ : list of matplotlib Line2D
        One for each temperature.
    student_line_ : matplotlib Line2D

    Examples
    --------
    >>> from sksoft.displays import DistillationDisplay
    >>> display = DistillationDisplay.from_predictions(
    ...     [0.98, 0.018, 0.002], [0.9, 0.08, 0.02], classes=["cat", "dog", "car"], temperatures=[1, 2]
    ... )
    >>> display.teacher_proba.round(3)
    array([[0.98 , 0.018, 0.002],
           [0.847, 0.115, 0.038]])
    """

    ax_: Any

    def __init__(self, teacher_proba, student_proba, temperatures, classes):
        self.teacher_proba = teacher_proba
        self.student_proba = student_proba
        self.temperatures = temperatures
        self.classes = classes

    @classmethod
    def from_estimator(cls, estimator, X, row=0, *, temperatures=TEMPERATURES, ax=None):
        """Draw what the teacher and the student of a fitted ``KnowledgeDistiller`` say of one row.

        Parameters
        ----------
        estimator : KnowledgeDistiller
            Fitted, with a teacher.
        X : array, DataFrame or sparse matrix of n rows
        row : int in [0, n), default=0
            Number of the row.
        temperatures : sequence of floats in (0, inf), default=(1.0, 2.0, 4.0)
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.

        Returns
        -------
        display : DistillationDisplay
        """
        if not hasattr(estimator, "predict_teacher_proba"):
            raise TypeError(f"The 'estimator' parameter must be a KnowledgeDistiller. Got {estimator!r} instead.")
        n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
        if not (isinstance(row, Integral) and 0 <= int(row) < n_rows):
            raise ValueError(f"The 'row' parameter must be an integer in [0, {n_rows}). Got {row!r} instead.")
        one = take_rows(X, np.array([row]))
        return cls.from_predictions(
            estimator.predict_teacher_proba(one)[0],
            predicted(estimator, one)[0],
            classes=estimator.classes_,
            temperatures=temperatures,
            ax=ax,
        )

    @classmethod
    def from_predictions(cls, teacher_proba, student_proba, *, classes=None, temperatures=TEMPERATURES, ax=None):
        """Draw two distributions over the same classes.

        Parameters
        ----------
        teacher_proba, student_proba : array-like (K,)
            Probabilities at T = 1 of one row; those below 2.2e-16 count as that.
        classes : array-like (K,), optional
            Names of the classes, by default their numbers.
        temperatures : sequence of floats in (0, inf), default=(1.0, 2.0, 4.0)
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.

        Returns
        -------
        display : DistillationDisplay
        """
        teacher, student = np.asarray(teacher_proba, dtype=np.float64), np.asarray(student_proba, dtype=np.float64)
        if teacher.ndim != 1 or teacher.shape != student.shape:
            raise ValueError(
                "The 'teacher_proba' and 'student_proba' parameters must be of one row and the same classes. Got shapes"
                f" {teacher.shape} and {student.shape} instead."
            )
        check_probabilities(teacher[None])
        check_probabilities(student[None])
        of_T = np.asarray(temperatures)
        if of_T.ndim != 1 or not of_T.size or of_T.dtype.kind not in "iuf" or not ((of_T > 0) & (of_T < np.inf)).all():
            raise ValueError(
                f"The 'temperatures' parameter must hold floats in (0, inf). Got {temperatures!r} instead."
            )
        classes = np.arange(len(teacher)) if classes is None else classes
        if len(classes) != len(teacher):
            raise ValueError(f"The 'classes' parameter must hold {len(teacher)} names. Got {len(classes)} instead.")
        softened = log_proba(teacher) / of_T[:, None]
        softened = np.exp(softened - softened.max(axis=1, keepdims=True))
        return cls(softened / softened.sum(axis=1, keepdims=True), student, temperatures, classes).plot(ax=ax)

    def plot(self, ax=None):
        """Draw both.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.

        Returns
        -------
        self : DistillationDisplay
        """
        self.ax_ = ax = one_axes(ax)
        self.figure_ = ax.figure
        order = np.argsort(-self.teacher_proba[0], kind="stable")
        places = np.arange(len(order))
        self.teacher_lines_ = []
        for shade, proba in zip(np.linspace(1.0, 0.35, len(self.temperatures)), self.teacher_proba):
            (line,) = ax.plot(places, proba[order], "o-", color="C0", alpha=shade, markersize=4)
            self.teacher_lines_.append(line)
        (self.student_line_,) = ax.plot(
            places, np.exp(log_proba(self.student_proba[order])), "s--", color="C1", markersize=4
        )
        ax.set_yscale("log")
        ax.set_xticks(places)
        names = [shown(self.classes[place]) for place in order]
        for text in ax.set_xticklabels(names, rotation=90 if max(map(len, names)) > 3 else 0):
            text.set_parse_math(False)
        ax.set_xlabel("Class")
        ax.set_ylabel("Probability")
        plain_title(ax, "Teacher and student")
        texts = [*(f"Teacher, T = {temperature:g}" for temperature in self.temperatures), "Student"]
        plain_legend(ax, [*self.teacher_lines_, self.student_line_], texts, loc="best")
        return self
