"""Derivatives of what a memory answers by the features of the query, for those who climb them."""

from collections.abc import Callable

import numpy as np

from sksoft.attention.memory import Memory
from sksoft.attention.smoothers import SMOOTHERS
from sksoft.kernels.blocks import serial_blas


def answers_and_pullback(memory: Memory, X) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Answers f (n, v) for X (n, p), local means only, and the map of G (n, v) to Σ_k G_k ∂f_k/∂x (n, p).

    Each is O(n m (p + v)) in time for m keys.
    """
    chosen, keys = memory.bandwidth, memory.keys
    smoother, log_weights = SMOOTHERS[chosen.kernel], np.log(keys.weights)
    arguments = [
        (chosen.features(h, X), chosen.features(h, keys.X), keys.targets, log_weights, None, None)
        for h in range(chosen.n_heads)
    ]
    with serial_blas():
        outs, lses = zip(*(smoother.average(*of_head) for of_head in arguments))
    answers = [chosen.heads.answer(h, out, lse) for h, (out, lse) in enumerate(zip(outs, lses))]

    def pullback(gradient):
        of_outs, of_lses, _, _ = chosen.heads.pull(outs, lses, answers, gradient)
        total = np.zeros(X.shape)
        with serial_blas():
            for h, of_head in enumerate(arguments):
                in_features = smoother.pull(*of_head, outs[h], lses[h], of_outs[h], of_lses[h])[0]
                total += chosen.to_columns(h, in_features)
        return total

    return chosen.heads.combine(answers), pullback
