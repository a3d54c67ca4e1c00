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
from sksoft.kernels.blocks import scratch
from sksoft.objective.links import Entmax, Link, Softmax
from sksoft.objective.targets import Labels, SmoothedLabels, SoftLabels, SparseSoftLabels, Target


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
        scores : IN ndarray (n, K), float32 or float64
        target : IN Target of n rows
        weights : IN ndarray (n,), float64, positive
        residual : OUT ndarray (n, K), dtype of `scores`, weightᵢ (pᵢ − tᵢ); may be `scores`
        proba : OUT ndarray (n, K), float32 or float64, pᵢ, optional

        Returns
        -------
        value : float, Σᵢ weightᵢ L(tᵢ, sᵢ)
        """
        if not isinstance(self.link, Softmax):
            return self._compose(scores, target, weights, residual, proba)
        if isinstance(target, SparseSoftLabels):
            target = SoftLabels(target.dense())
        if isinstance(target, SoftLabels):
            return rowwise.divergence_rows(scores, target.proba, weights, residual=residual, proba=proba)
        if isinstance(target, Labels | SmoothedLabels):
            smoothing = target.smoothing if isinstance(target, SmoothedLabels) else 0.0
            return rowwise.cross_entropy_rows(
                scores, target.codes, weights, residual=residual, proba=proba, smoothing=smoothing
            )
        return self._compose(scores, target, weights, residual, proba)

    @rowwise.quietly
    def _compose(self, scores, target: Target, weights, residual, proba) -> float:
        """The loss by its definition, from what any link and any target offer."""
        seen = scratch("scores of the loss", scores.shape, scores.dtype, like=scores)
        # a distribution on the simplex is that of its scores less any number: less the largest, nothing cancels
        np.subtract(scores, scores.max(axis=1, keepdims=True) if self.link.on_simplex else 0.0, out=seen)
        predicted = self.link.predict(scores, out=residual)
        if proba is not None:
            proba[...] = predicted
        if isinstance(self.link, Entmax) and isinstance(target, Labels):
            losses = self.link.label_losses(seen, predicted, target.codes)
        else:
            losses = self.link.conjugate(seen, predicted) + target.negentropy(self.link) - target.inner(seen)
        target.subtract_from(predicted, on_simplex=self.link.on_simplex)
        predicted *= weights[:, None]
        return float(np.dot(weights, losses))
