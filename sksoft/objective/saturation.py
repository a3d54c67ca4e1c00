r"""How many rows have stopped to teach: the share of the weight whose gradient in the scores has vanished.

A row's loss at temperature τ has the gradient (p − t) / τ in its scores, and changes by its Jacobian as the scores
move. For softmax::

    J = (diag p − p pᵀ) / τ,        ‖J‖₂ ≤ 1 / (2 τ)

with equality where two classes share the probability: vᵀ (diag p − p pᵀ) v is the variance of v under p, at most
(max v − min v)² / 4 ≤ ‖v‖² / 2 by Popoviciu's inequality. A temperature near 0 thus makes gradients jump, and a row
whose scores are far apart has p at a vertex and J = 0: saturated, right or wrong.

In an exact fit with a ridge neither moves anything but C: with V = W / τ and c = b / τ ::

    Σ aᵢ L(tᵢ, (W xᵢ + b) / τ) + ‖W‖² / (2 C Σ s) = Σ aᵢ L(tᵢ, V xᵢ + c) + τ² ‖V‖² / (2 C Σ s)

is the problem of temperature 1 with C / τ², whose minimum has the same distributions. (A penalty |W| becomes τ |V|,
so with an elastic net the two parts of the penalty change differently.)
"""

import numpy as np

from sksoft.objective.objective import Objective


def saturation(objective: Objective, w: np.ndarray, threshold: float) -> float:
    """Share of the weight, in [0, 1], of rows with ‖pᵢ − tᵢ‖₂ < threshold at w. One sweep, O(n p K).

    Parameters
    ----------
    objective : Objective
    w : ndarray (n_parameters,)
    threshold : float > 0
        ε; ‖p − t‖ is at most √2.

    Returns
    -------
    share : float
    """
    prepared = objective.scores.prepare(w, objective.batches.design, np.dtype(np.float64))

    def partial(block):
        with objective.backend():
            z = objective.block_scores(prepared, block, block.X())
            objective.loss.evaluate(z, block.target, np.ones_like(block.weights), residual=z)
        return (float(block.weights @ (np.einsum("ij,ij->i", z, z) < threshold**2)),)

    return objective.batches.map_reduce(partial)[0] / float(objective.batches.weights.sum())
