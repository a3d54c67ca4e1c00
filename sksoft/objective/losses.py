"""Fenchel–Young losses: L(t, s) = Ω*(s) + Ω(t) − ⟨t, s⟩ ≥ 0, zero exactly where p(s) = t ([1]_, definition 2).

Whatever the link, the gradient in the scores is p − t and the Hessian is the link's Jacobian. With the softmax link
and labels this is the cross-entropy log Σ exp(s) − s_y; with soft labels it is the Kullback–Leibler divergence.

References
----------
.. [1] Blondel, Martins, Niculae, "Learning with Fenchel–Young losses", JMLR 21(35), 2020.
"""

from dataclasses import dataclass

import numpy as np

from sksoft.kernels import rowwise
from sksoft.objective.links import Link, Softmax
from sksoft.objective.targets import Labels, Target


@dataclass(frozen=True)
class FenchelYoung:
    """The loss of a link.

    Parameters
    ----------
    link : Link
    """

    link: Link

    def evaluate(self, scores, target: Target, weights, *, residual, proba=None) -> float:
        """Weighted loss and its gradient in the scores, in one sweep over the rows.

        Parameters
        ----------
        scores : IN ndarray (n, K)
        target : IN Target of n rows
        weights : IN ndarray (n,), float64
        residual : OUT ndarray (n, K), weightᵢ (pᵢ − tᵢ); may be `scores`
        proba : OUT ndarray (n, K), pᵢ, optional

        Returns
        -------
        value : float, Σᵢ weightᵢ L(tᵢ, sᵢ)
        """
        if isinstance(self.link, Softmax) and isinstance(target, Labels):
            return rowwise.cross_entropy_rows(scores, target.codes, weights, residual=residual, proba=proba)
        entropy_of_target = 0.0 if isinstance(target, Labels) else self.link.negentropy(target.proba)
        losses = self.link.conjugate(scores) + entropy_of_target - target.inner(scores)
        predicted = self.link.predict(scores, out=residual)
        if proba is not None:
            proba[...] = predicted
        target.subtract_from(residual)
        residual *= weights[:, None]
        return float(np.dot(weights, losses))
