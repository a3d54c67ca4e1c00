"""How a student is taught, by what it can take.

| adapter | student | loss |
| --- | --- | --- |
| ``'soft_targets'`` | takes soft labels and a free column, as ``SoftmaxRegression`` | exact |
| ``'custom_objective'`` | a classifier of XGBoost | exact |
| ``'logit_regression'`` | any regressor | squared errors of logits |
| ``'repeated_rows'`` | any classifier whose ``fit`` takes ``sample_weight`` | exact at T = 1, and as its module says |
| ``'label_sampling'`` | any classifier | an unbiased sample of the one-term loss |

A pipeline's last step is the student that is looked at; the steps before it are fitted to the rows as they are, with
the label that the teacher holds most likely where there is none.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from sksoft.distillation import boosted_targets, logit_regression, repeated_rows, sampled_labels, soft_targets
from sksoft.distillation.transfer_rows import TransferRows
from sksoft.kernels import rowwise
from sksoft.metrics.classifier_scores import class_scores
from sksoft.metrics.labels import encode_labels
from sksoft.metrics.logits import log_proba

# In the order in which 'auto' takes the first that suits.
ADAPTERS = {
    soft_targets.NAME: soft_targets.suits,
    boosted_targets.NAME: boosted_targets.suits,
    logit_regression.NAME: logit_regression.suits,
    repeated_rows.NAME: repeated_rows.suits,
    sampled_labels.NAME: is_classifier,
}
# Those that know two temperatures.
TWO_TERMS = (soft_targets.NAME, boosted_targets.NAME)


@dataclass(frozen=True)
class Taught:
    """A fitted student.

    Attributes
    ----------
    student : classifier or regressor
    columns : ndarray (k,), intp
        The class of each column of what it predicts.
    power : float
        Its probabilities are taken to this power and normalised.
    adapter : dict
        ``name``, ``exact``, ``why`` and, of repeated rows, ``left_out``.
    """

    student: Any
    columns: np.ndarray
    power: float
    adapter: dict


@dataclass(frozen=True)
class Teaching:
    """How to teach one kind of student: called with rows, a temperature and α."""

    student: Any
    name: str
    n_draws: int
    seed: int

    def __call__(self, rows: TransferRows, temperature: float, alpha: float) -> Taught:
        if alpha == 0.0:
            rows, temperature = rows.with_labels(), 1.0
        steps, student = _split(self.student)
        before, rows = _fit_steps(steps, rows)
        adapter: dict = {"name": self.name, "exact": True, "why": "labels alone"}
        fitted = self._fit(student, rows, temperature, alpha, adapter)
        codes = _own_codes(self.name, fitted, rows.classes)
        power = temperature if self.name not in TWO_TERMS and alpha == 1.0 else 1.0
        if steps:
            fitted = Pipeline([*before, (self.student.steps[-1][0], fitted)])
        return Taught(fitted, codes, power, adapter)

    def _fit(self, student, rows: TransferRows, temperature: float, alpha: float, adapter: dict):
        """The fitted last step; what is to be said of it goes to `adapter`."""
        if self.name == logit_regression.NAME:
            adapter.update(exact=False, why="squared errors of logits in the place of the loss")
            return logit_regression.fit(student, rows, temperature, alpha)
        if self.name == sampled_labels.NAME:
            if alpha > 0.0:
                adapter.update(exact=False, why=f"{self.n_draws} drawn labels a row stand for its distribution")
            return sampled_labels.fit(student, rows, temperature, alpha, self.n_draws, self.seed)
        if alpha == 0.0:
            if self.name == boosted_targets.NAME:
                return boosted_targets.fit_labels(student, rows)
            return clone(student).fit(rows.X, rows.labels(), sample_weight=rows.weights)
        if self.name == soft_targets.NAME:
            adapter["exact"], adapter["why"] = soft_targets.exactness(student)
            return soft_targets.fit(student, rows, temperature, alpha)
        if self.name == boosted_targets.NAME:
            adapter["why"] = "both terms are in the objective, each at its own temperature"
            return boosted_targets.fit(student, rows, temperature, alpha)
        fitted, adapter["left_out"] = repeated_rows.fit(student, rows, temperature, alpha)
        adapter["exact"], adapter["why"] = repeated_rows.exactness(fitted, rows, temperature, alpha)
        return fitted


def adapter_name(adapter: str, student) -> str:
    """The adapter that a student is taught by.

    Raises
    ------
    ValueError
        If none suits the student, or the one that was asked for does not.
    """
    last = _split(student)[1]
    suiting = [name for name, suits in ADAPTERS.items() if suits(last)]
    if not suiting:
        raise ValueError(f"The 'student' parameter must be a classifier or a regressor. Got {student!r} instead.")
    if adapter == "auto":
        return suiting[0]
    if adapter not in suiting:
        raise ValueError(
            f"The 'adapter' parameter must be one that suits the student, of {['auto', *suiting]}. Got {adapter!r}"
            f" for {type(last).__name__} instead."
        )
    return adapter


def log_probabilities(taught: Taught, X, n_classes: int) -> np.ndarray:
    """Logarithms of a taught student's probabilities, (n, K); those below 2.2e-16 count as that before the power."""
    student = taught.student
    if is_regressor(student):
        own = rowwise.log_softmax_rows(np.asarray(student.predict(X), dtype=np.float64))
    elif hasattr(student, "predict_proba"):
        own = log_proba(student.predict_proba(X))
    else:
        scores = class_scores(student, X)
        own = scores if scores.ndim == 2 else np.column_stack([np.zeros(len(scores)), scores])
    if len(taught.columns) < n_classes or (np.diff(taught.columns) != 1).any():
        found, own = own, np.full((len(own), n_classes), log_proba(0.0))
        own[:, taught.columns] = found
    return rowwise.log_softmax_rows(own * taught.power)


def _split(student) -> tuple[list, Any]:
    """The steps before the last of a pipeline, and the last; of anything else, none and itself."""
    return (student.steps[:-1], student.steps[-1][1]) if isinstance(student, Pipeline) else ([], student)


def _fit_steps(steps: list, rows: TransferRows) -> tuple[list, TransferRows]:
    """Fitted clones of the steps, and the rows behind them."""
    fitted: list = []
    X, y = rows.X, rows.labels()
    for name, step in steps:
        if step is None or step == "passthrough":
            fitted.append((name, "passthrough"))
            continue
        weights = {"sample_weight": rows.weights} if has_fit_parameter(step, "sample_weight") else {}
        fitted.append((name, clone(step).fit(X, y, **weights)))
        X = fitted[-1][1].transform(X)
    return fitted, rows.with_features(X)


def _own_codes(name: str, fitted, classes: np.ndarray) -> np.ndarray:
    """The class of each column that a student predicts."""
    if name in (boosted_targets.NAME, logit_regression.NAME):
        return np.arange(len(classes))
    return encode_labels(np.asarray(fitted.classes_), classes)
