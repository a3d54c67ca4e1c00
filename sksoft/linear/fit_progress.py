"""What a fit tells the callbacks of scikit-learn (experimental in 1.9) after every step: objective, gap, coefficients.

A fit is a task with one subtask a step. ``on_fit_task_begin`` and ``on_fit_task_end`` of a step may ask for
``fitted_estimator``, a model ready to predict as if the fit had stopped there; it has ``objective_``, ``gap_``,
``gradient_norm_`` and ``n_iter_`` of that step, and nothing is computed for callbacks that do not ask. As the end of
the last step is known only when it is over, one more task begins and ends empty. A true result of ``on_fit_task_end``
stops the fit, with ``stopped_by_ = 'callback'``.

    >>> from sklearn.callback import ScoringMonitor
    >>> from sklearn.datasets import load_iris
    >>> from sksoft import SoftmaxRegression
    >>> from sksoft.linear import objective_and_gap
    >>> monitor = ScoringMonitor(scoring=objective_and_gap)
    >>> model = SoftmaxRegression().set_callbacks(monitor).fit(*load_iris(return_X_y=True))
    >>> log = monitor.get_logs().data_as_pandas.query("task_name == 'step'")
    >>> bool((log["objective"].diff().iloc[1:] < 1e-12).all())  # down to rounding it decreases
    True
    >>> bool(log["gap"].iloc[-1] <= 1e-6 * log["objective"].iloc[-1])
    True
"""

from typing import Any

import numpy as np

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # experimental: without it a fit has nobody to tell

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """No callbacks."""


__all__ = ["CallbackSupportMixin", "FitProgress", "objective_and_gap"]


def objective_and_gap(estimator, X=None, y=None, **metadata) -> dict[str, float]:
    """Objective and gap of a fit so far, as the `scoring` of :class:`sklearn.callback.ScoringMonitor`.

    Parameters
    ----------
    estimator : SoftmaxRegression
        The model of a step.
    X, y : ignored
    **metadata : ignored

    Returns
    -------
    report : dict
        ``{'objective': F, 'gap': proved bound on F − min F}``, in nats.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sksoft import SoftmaxRegression
    >>> from sksoft.linear import objective_and_gap
    >>> sorted(objective_and_gap(SoftmaxRegression().fit(*load_iris(return_X_y=True))))
    ['gap', 'objective']
    """
    return {"objective": estimator.objective_, "gap": estimator.gap_}


class FitProgress:
    """Callbacks of one fit: called with (iteration, point) by a solver.

    Parameters
    ----------
    model : SoftmaxRegression
    problem : Problem
        Whose ``unpack`` makes coefficients of a point.
    X, y, sample_weight
        As the user gave them.
    """

    def __init__(self, model, problem, X, y, sample_weight):
        self._model, self._problem, self._step = model, problem, None
        self._data = {"X": X, "y": y, "metadata": None if sample_weight is None else {"sample_weight": sample_weight}}
        self._context: Any = None
        if hasattr(model, "_init_callback_context"):
            self._context = model._init_callback_context(max_subtasks=model.max_iter + 1)
            self._context.call_on_fit_task_begin(estimator=model, **self._data)

    @property
    def hook(self):
        """What to pass to a solver: nothing where nobody listens."""
        return self if self._context is not None and hasattr(self._model, "_skl_callbacks") else None

    def __call__(self, iteration: int, point) -> bool:
        """End a step and begin the next; whether to stop."""

        def attributes():
            coef, intercept = self._problem.unpack(point.w)
            return {
                "coef_": coef,
                "intercept_": intercept,
                "objective_": float(point.value),
                "gap_": float(point.gap()),
                "gradient_norm_": float(np.max(np.abs(point.gradient), initial=0.0)),
                "n_iter_": iteration,
            }

        stop = self._end(attributes)
        if not stop:
            self._step = self._context.subcontext(task_name="step")
            self._step.call_on_fit_task_begin(estimator=self._model, reconstruction_attributes=attributes, **self._data)
        return stop

    def close(self) -> None:
        """End the step that was never taken, and the fit."""
        self._end(None)
        if self._context is not None:
            model = self._model
            self._context.call_on_fit_task_end(
                estimator=model, reconstruction_attributes=lambda: dict(vars(model)), **self._data
            )

    def _end(self, attributes) -> bool:
        if self._step is None:
            return False
        step, self._step = self._step, None
        if attributes is None:
            return bool(step.call_on_fit_task_end(estimator=self._model))
        return bool(
            step.call_on_fit_task_end(estimator=self._model, reconstruction_attributes=attributes, **self._data)
        )
