"""Temperatures that change while a model learns: schedules over the calls of ``partial_fit``."""

from collections.abc import Callable
from numbers import Integral, Real

from sksoft._validation import Interval

# For `_parameter_constraints`: a fixed temperature, (start, end, steps), or a function of the step.
TEMPERATURE_CONSTRAINTS = [Interval(Real, 0, None, closed="neither"), tuple, callable]

Schedule = float | tuple[float, float, int] | Callable[[int], float]


def temperature_at(schedule: Schedule, step: int) -> float:
    """Temperature of a step: fixed, or start · (end / start)^(min(step, steps) / steps), or ``schedule(step)``.

    Parameters
    ----------
    schedule : float, (float, float, int) or callable
    step : int >= 0
        Calls of ``partial_fit`` before this one.

    Raises
    ------
    ValueError
        If the temperature is not a positive finite number, or a tuple is not (start, end, steps).
    """
    if isinstance(schedule, tuple):
        if len(schedule) != 3 or not isinstance(schedule[2], Integral) or schedule[2] < 1:
            raise ValueError(
                f"The 'temperature' parameter as a tuple must be (start, end, steps >= 1). Got {schedule!r} instead."
            )
        start, end = _checked(schedule[0]), _checked(schedule[1])
        return start * (end / start) ** (min(step, schedule[2]) / schedule[2])
    return _checked(schedule(step) if callable(schedule) else schedule)


def fixed_temperature(schedule: Schedule) -> float:
    """The temperature of a fit to all rows at once; ValueError for a schedule."""
    if callable(schedule) or isinstance(schedule, tuple):
        raise ValueError(
            "The 'temperature' parameter must be a float for fit: the optimum of a convex fit does not depend on the"
            f" path to it. A schedule is for partial_fit. Got {schedule!r} instead."
        )
    return _checked(schedule)


def _checked(temperature) -> float:
    if not isinstance(temperature, Real) or not 0.0 < float(temperature) < float("inf"):
        raise ValueError(f"The 'temperature' parameter must be positive and finite. Got {temperature!r} instead.")
    return float(temperature)
