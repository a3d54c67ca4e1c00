r"""Preconditioned conjugate gradients for a Newton step: H d = −g, as exactly as the step deserves [1]_.

With q(d) = −gᵀd − ½ dᵀHd the decrease the quadratic model predicts, and rz = rᵀM⁻¹r the squared residual in the
metric M, the iteration ends at whichever comes first:

* rz ≤ η² · rz₀, the forcing term's accuracy, where it is credible: with M = H, q is rz₀ / 2, but a metric far below
  the Hessian in a few directions fills rz₀ with them, and q with nothing. Then the gains must dwindle first, the last
  of k iterations to less than q / 2k. Once rz is below `fine`, the objective is as good as wanted, and only
  `settled(r, q)`, that the caller can prove it or never will, ends the iteration;
* q > `far` and the last of k iterations gained less than 0.3 q / k: far away, a model solved further is a model
  trusted further than it holds ([2]_, section 3.1);
* q ≥ `most`, what the objective can lose at all: such a model does not hold.

References
----------
.. [1] Nocedal, Wright, "Numerical Optimization", 2nd ed., 2006, algorithm 7.1.
.. [2] Nash, Sofer, "Assessing a search direction within a truncated-Newton method", Oper. Res. Lett. 9, 1990.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg.blas import daxpy

MAX_PRODUCTS = 1000
# An iteration's gain, as a share of the average, from which gains dwindle.
DWINDLED = 0.5
# A predicted decrease, as a share of rz₀, from which rz can be believed.
CREDIBLE = 0.1
# Curvature below this share of the metric's is rounding: the direction is flat.
FLAT = 1e-13
# A residual below this share that has only flat directions left is rounding as well.
FLAT_RESIDUAL = 1e-4
# The model is no longer trusted where an iteration adds less than this share of an average one.
TRUSTED_GAIN = 0.3


@dataclass(frozen=True)
class Step:
    """A Newton step.

    Attributes
    ----------
    d : ndarray
    decrement : float
        −gᵀd, the squared Newton decrement where d is exact.
    decrease : float
        q(d), predicted by the quadratic model.
    start, residual : float
        rz at the start and at the end.
    products : int
        Hessian products used.
    exact : bool
        Whether the accuracy asked for was reached: not where a flat direction or the budget ended it early.
    left : float
        The measure of −g − H d, minus the gradient to be expected after the step.
    """

    d: np.ndarray
    decrement: float
    decrease: float
    start: float
    residual: float
    products: int
    exact: bool
    left: float


def newton_step(
    product: Callable[[np.ndarray], np.ndarray],
    precondition: Callable[[np.ndarray], np.ndarray],
    gradient: np.ndarray,
    *,
    forcing: float | Callable[[float], float],
    far: float = np.inf,
    most: float = np.inf,
    fine: float = 0.0,
    settled: Callable[[np.ndarray, float], bool] = lambda residual, decrease: False,
    measure: Callable[[np.ndarray], float] = lambda residual: float(np.linalg.norm(residual)),
    max_products: int = MAX_PRODUCTS,
) -> Step:
    """Solve H d = −gradient.

    Parameters
    ----------
    product : v → H v
    precondition : r → M⁻¹ r, symmetric and positive
    gradient : ndarray
    forcing : float or callable
        η, the share of the residual's norm that may remain, or rz₀ → η.
    far : float
        Predicted decrease from which the model is mistrusted.
    most : float
        A bound on the decrease there can be.
    fine : float
    settled : (r, q) → bool
    measure : r → float
        Of what a residual leaves to do.
    max_products : int

    Returns
    -------
    step : Step
    """
    d = np.zeros_like(gradient)
    residual = -gradient
    search = precondition(residual)
    search = search.copy() if np.may_share_memory(search, residual) else search
    rz = start = length_in_metric = float(residual @ search)
    eta = forcing(start) if callable(forcing) else forcing
    decrease, gain, products, flat = 0.0, 0.0, 0, False
    while rz > 0.0 and products < max_products:
        credible = decrease >= CREDIBLE * start or products * gain <= DWINDLED * decrease
        if settled(residual, decrease) if rz <= fine else rz <= eta**2 * start and credible:
            break
        hessian_search = product(search)
        products += 1
        curvature = float(search @ hessian_search)
        if not curvature > FLAT * length_in_metric:
            flat = True
            break
        length = rz / curvature
        daxpy(search, d, a=length)
        daxpy(hessian_search, residual, a=-length)
        del hessian_search  # each vector may be as large as all data
        gain = 0.5 * length * rz
        decrease += gain
        z = precondition(residual)
        rz, before = float(residual @ z), rz
        if decrease >= most or (decrease > far and products * gain <= TRUSTED_GAIN * decrease):
            break
        beta = rz / before
        search *= beta
        search += z
        del z
        length_in_metric = rz + beta**2 * length_in_metric  # searchᵀ M search: the residual is orthogonal to the last
    decrement = max(0.0, -float(gradient @ d))
    if not np.isfinite(decrement):
        raise ValueError("A Newton step is not finite. Scale the features and the weights.")
    reached = max(eta, FLAT_RESIDUAL) if flat else eta
    exact = rz <= reached**2 * start
    return Step(d, decrement, decrease, start, max(rz, 0.0), products, exact, measure(residual))
