r"""Decisions on rows that come one after the other and do not come back: label it or not, on a budget.

Row t of uncertainty s_t ∈ [0, 1] is labelled where it is above a threshold, which follows the budget B [1]_ [2]_:

    q_t = 1[s_t > θ_t],        θ_{t+1} = θ_t + η (q_t − B)

θ stays within [−ηB, 1 + η(1 − B)] because nothing is labelled above 1 and everything below 0, so from θ_1 ∈ [0, 1]

    |Σ_t q_t − B T| <= (1 + η) / η        for every T and every stream, drifting or not:

whatever comes, the number of labels is the budget within 21 at η = 0.05.

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
    return {"threshold": START, "n_seen": 0, "n_queried": 0}


def stream_decisions(scores, budget: float, state: dict) -> tuple[np.ndarray, dict]:
    """Which rows to label, (n,) bool, and the state after them; `state` is left as it is."""
    asked = np.empty(len(scores), dtype=bool)
    threshold = state["threshold"]
    for i, score in enumerate(scores.tolist()):
        asked[i] = score > threshold
        threshold += STEP * ((1.0 if score > threshold else 0.0) - budget)
    after = {
        "threshold": threshold,
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
