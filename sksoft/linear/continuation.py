r"""A start for sparse links: the optima of links nearer to softmax, each the start for the next.

With α-entmax a row that is right by the margin 1 / (α − 1) has no curvature, and along a Newton step rows enter and
leave that state by the hundred: from far away the quadratic model means little. The nearer α is to 1 the smoother the
loss. So α climbs in steps to that of the link, each fit rough and started from the one before, whose scores are
brought to the new margin::

    w ← w (α − 1) / (α′ − 1)

Measured on digits (1797 × 64, ten classes, sparsemax): 11 Newton steps at the end instead of 102 for C = 1, and 12
instead of no convergence within 200 for C = 100.
"""

import numpy as np

from sksoft.objective.links import Entmax
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.objective import Objective
from sksoft.solvers import newton_cg

# What is left of the way from softmax to the link, α = 1 to its own: the last steps are the hard ones.
LEFT = (0.8, 0.65, 0.5, 0.35, 0.2, 0.1, 0.05, 0.02)
# Links nearer to softmax than this are smooth enough without.
SMOOTH = 1.25
# Accuracy of the fits on the way, relative to F, and their Newton steps at most.
TOL, MAX_ITER = 0.03, 60


def along_alpha(objective: Objective, w: np.ndarray) -> np.ndarray:
    """A start for an objective with a sparse link, from any w; w itself where the link is softmax or near it.

    Parameters
    ----------
    objective : Objective
        Of linear scores.
    w : ndarray (n_parameters,)

    Returns
    -------
    start : ndarray (n_parameters,)
    """
    link = objective.loss.link
    if not isinstance(link, Entmax):
        return w
    final = link.alpha
    steps = [final - left * (final - 1.0) for left in LEFT] if final > SMOOTH else []
    for alpha, following in zip(steps, [*steps[1:], final]):
        smoother = Objective(
            FenchelYoung(Entmax(alpha)),
            objective.scores,
            objective.batches,
            objective.penalty,
            rough=objective.rough,
            keep_bytes=objective.keep_bytes,
        )
        w = newton_cg(smoother, w, tol=TOL, max_iter=MAX_ITER, sketch=True).w
        w = w * ((alpha - 1.0) / (following - 1.0))
    return w
