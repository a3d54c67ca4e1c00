"""Solvers: minimise anything that offers value, gradient and Hessian product, and say what was proved.

They know an objective by protocol and import nothing of this package.
"""

from sksoft.solvers.certificate import Certificate, Solution
from sksoft.solvers.lbfgs import lbfgs
from sksoft.solvers.newton import newton_cg, sketched
from sksoft.solvers.proximal import proximal_newton
from sksoft.solvers.scalar import log_newton

__all__ = ["Certificate", "Solution", "lbfgs", "log_newton", "newton_cg", "proximal_newton", "sketched"]
