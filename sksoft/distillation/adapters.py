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
from sksoft.metrics.classifier_scores import by_class, class_scores
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
        adapter: dict = {"name": self.name}
        fitted = self._fit(self.student, rows, temperature, alpha, adapter)
        codes = _own_codes(self.name, fitted, rows.classes)
        power = temperature if self.name not in TWO_TERMS and alpha == 1.0 else 1.0
        return Taught(fitted, codes, power, adapter)

    def _fit(self, student, rows: TransferRows, temperature: float, alpha: float, adapter: dict):
        """The fitted student, of a pipeline step by step; what is to be said of it goes to `adapter`."""
        if not isinstance(student, Pipeline):
            fitted, said = self._fit_last(student, rows, temperature, alpha)
            adapter.update(said)
            if alpha == 0.0 and adapter["exact"]:
                adapter["why"] = "labels alone"
            return fitted
        before, rows = _fit_steps(student.steps[:-1], rows)
        name, last = student.steps[-1]
        return clone(student).set_params(steps=[*before, (name, self._fit(last, rows, temperature, alpha, adapter))])

    def _fit_last(self, student, rows: TransferRows, temperature: float, alpha: float) -> tuple[Any, dict]:
        if self.name == soft_targets.NAME:
            fitted = soft_targets.fit(student, rows, temperature, alpha)
            exact, why = soft_targets.exactness(student)
        elif self.name == boosted_targets.NAME:
            fitted = boosted_targets.fit(student, rows, temperature, alpha)
            exact, why = True, "both terms are in the objective, each at its own temperature"
        elif self.name == logit_regression.NAME:
            fitted = logit_regression.fit(student, rows, temperature, alpha)
            exact, why = False, "squared errors of logits in the place of the loss"
        elif self.name == repeated_rows.NAME:
            fitted, left_out = repeated_rows.fit(student, rows, temperature, alpha)
            exact, why = repeated_rows.exactness(fitted, rows, temperature, alpha)
            return fitted, {"exact": exact, "why": why, "left_out": left_out}
        else:
            fitted = sampled_labels.fit(student, rows, temperature, alpha, self.n_draws, self.seed)
            exact, why = sampled_labels.exactness(rows, alpha, self.n_draws)
        return fitted, {"exact": exact, "why": why}


def adapter_name(adapter: str, student) -> str:
    """The adapter that a student is taught by.

    Raises
    ------
    ValueError
        If none suits the student, or the one that was asked for does not.
    """
    last = _last(student)
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
        own = by_class(class_scores(student, X))
    if len(taught.columns) < n_classes or (np.diff(taught.columns) != 1).any():
        found, own = own, np.full((len(own), n_classes), log_proba(0.0))
        own[:, taught.columns] = found
    return rowwise.log_softmax_rows(own * taught.power)


def _last(student):
    """The last step of a pipeline, and of one in it; anything else itself."""
    return _last(student.steps[-1][1]) if isinstance(student, Pipeline) else student


def _fit_steps(steps: list, rows: TransferRows) -> tuple[list, TransferRows]:
    """Fitted clones of the steps, and the rows behind them.

    A step that transforms the rows it is fitted to in its own way does so, as ``TargetEncoder``, which keeps the label
    of a row from that row.
    """
    fitted: list = []
    X, y = rows.X, rows.labels()
    for name, step in steps:
        if step is None or step == "passthrough":
            fitted.append((name, "passthrough"))
            continue
        step = clone(step)
        weights = {"sample_weight": rows.weights} if has_fit_parameter(step, "sample_weight") else {}
        fitted.append((name, step))
        if hasattr(step, "fit_transform"):
            X = step.fit_transform(X, y, **weights)
        else:
            X = step.fit(X, y, **weights).transform(X)
    return fitted, rows.with_features(X)


def _own_codes(name: str, fitted, classes: np.ndarray) -> np.ndarray:
    """The class of each column that a student predicts."""
    if name in (boosted_targets.NAME, logit_regression.NAME):
        return np.arange(len(classes))
    return encode_labels(np.asarray(fitted.classes_), classes)
