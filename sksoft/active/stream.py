r"""Decisions on rows that come one after the other and do not come back: label it or not, on a budget.

Row t of uncertainty s_t ∈ [0, 1] is wanted where it is above a threshold, which follows the budget B [1]_ [2]_, and
labelled where labels so far have not used up what t rows may have:

    w_t = 1[s_t > θ_t],     q_t = w_t · 1[Q_{t−1} < B t],     Q_t = Σ_{s≤t} q_s,     θ_{t+1} = θ_t + η (w_t − B)

So Q_t <= ⌈B t⌉ at any time. Nor is much of the budget left: θ stays within [−ηB, 1 + η(1 − B)], because nothing is
wanted above 1 and everything below 0, so from θ_1 ∈ [0, 1] wanted rows of any stretch of n rows are B n within
(1 + η) / η; and from the last row t that was wanted and refused, when Q_t >= B t, all that is wanted is labelled. Hence

    B t − (1 + η) / η <= Q_t < B t + 1        for every t and every stream, drifting or not:

whatever comes, at most 21 labels of the budget are left at η = 0.05, and none is too many.

References
----------
.. [1] I. Žliobaitė, A. Bifet, B. Pfahringer, G. Holmes, "Active learning with drifting streaming data", IEEE Trans.
   Neural Networks and Learning Systems 25, 2014, section III: thresholds that vary with the stream.
.. [2] I. Gibbs, E. Candès, "Adaptive conformal inference under distribution shift", NeurIPS 2021, eq. 2 and
   proposition 4.1: this update of a threshold, and the bound.
"""

from numbers import Real

import numpy as np

STEP = 0.05
START = 0.5


def new_stream_state() -> dict:
    """The state before the first row: plain numbers."""
    return {"threshold": START, "credit": 0.0, "n_seen": 0, "n_queried": 0}


def stream_decisions(scores, budget: float, state: dict) -> tuple[np.ndarray, dict]:
    """Which rows to label, (n,) bool, and the state after them; `state` is left as it is."""
    asked = np.empty(len(scores), dtype=bool)
    threshold, credit = state["threshold"], state["credit"]  # credit: B t − Q_t
    for i, score in enumerate(scores.tolist()):
        wanted = score > threshold
        credit += budget
        asked[i] = wanted and credit > 0
        credit -= float(asked[i])
        threshold += STEP * (float(wanted) - budget)
    after = {
        "threshold": threshold,
        "credit": credit,
        "n_seen": state["n_seen"] + len(scores),
        "n_queried": state["n_queried"] + int(asked.sum()),
    }
    return asked, after


def check_budget(budget):
    """ValueError unless `budget` is a share of rows."""
    if isinstance(budget, bool) or not isinstance(budget, Real) or not 0 < float(budget) < 1:
        raise ValueError(f"The 'budget' parameter must be a float in (0, 1). Got {budget!r} instead.")


def check_stream_state(state) -> dict:
    """A state of before, checked; a new one for None."""
    if state is None:
        return new_stream_state()
    known = new_stream_state()
    numbers = isinstance(state, dict) and set(state) == set(known)
    if not numbers or not all(isinstance(v, Real) and np.isfinite(float(v)) for v in state.values()):
        raise ValueError(
            "The 'state' parameter must be None or what query_stream returned: a dict of the numbers"
            f" {tuple(known)}. Got {state!r} instead."
        )
    return state
