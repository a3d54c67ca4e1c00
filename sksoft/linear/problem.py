"""From data and parameters to the objective of a softmax regression, to its solution, and back to coefficients.

A fit happens in other coordinates than the user's. Columns are standardised (``objective/design.py``), and a
temperature τ is divided out: with V = W scale / τ the scores are z / τ = X̃ V + (b + o) / τ and the penalty is

    R = Σ f [l1 τ |V| / scale + (1 − l1) τ² V² / (2 scale²)] / (C Σ s)

so ``temperature=τ`` with a ridge is exactly C / τ². f are the penalty factors of features times those of classes. For
groups |V| is the norm of a feature's coefficients. Scales are positive, so that signs stay what they were.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from sksoft.linear import row_space
from sksoft.linear.continuation import along_alpha
from sksoft.objective.batches import InMemory
from sksoft.objective.design import DENSE_SHARE, Dense, Sparse
from sksoft.objective.device_design import DeviceDense, standardised
from sksoft.objective.links import LINKS, Entmax, Link, Softmax
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.objective import KEEP_BYTES, Objective
from sksoft.objective.penalties import ElasticNet, GroupLasso, Ridge
from sksoft.objective.scores import Linear
from sksoft.objective.targets import Target
from sksoft.solvers import Solution, lbfgs, newton_cg, proximal_newton, sketched

MEBIBYTE = 1 << 20
# Where sparse rows would be faster as dense ones, from so many numbers it matters.
DENSE_SIZE = 1 << 20


def link_named(link) -> Link:
    """The link of a name, or of α in [1, 2]: 1 is softmax and 2 sparsemax."""
    if isinstance(link, str):
        return LINKS[link]
    return Softmax() if link == 1.0 else Entmax(float(link))


def laid_out(X, working_memory: float | None):
    """X as it is fitted: sparse rows as CSR, but dense where that is faster and the memory allows."""
    if not sparse.issparse(X):
        return X
    size = X.shape[0] * X.shape[1]
    fits = working_memory is None or X.dtype.itemsize * size <= working_memory * MEBIBYTE
    if size >= DENSE_SIZE and X.nnz >= DENSE_SHARE * size and fits:
        return X.toarray()
    return sparse.csr_array(X)


@dataclass(frozen=True)
class Problem:
    """A softmax regression to be fitted.

    Attributes
    ----------
    X : ndarray (n, p), device array or CSR array
    target : Target of n rows
    weights : ndarray (n,)
    link : Link
    fit_intercept : bool
    strength : float
        1 / (C Σ s), 0 for C = ∞.
    factors : ndarray (rows, p) or (p,) or float
        Penalty factors.
    temperature : float
    l1_ratio : float in [0, 1]
        l1, the share of the penalty that has a kink at zero.
    grouped : bool
        Whether that is the norm of a feature's coefficients over the classes; with one row it is |V| all the same.
    signs : ndarray (rows, p) or (p,) of -1, 0, 1, or None
        Signs that coefficients must have, 0 for any.
    kinked : bool
        Whether F may have kinks or bounds, so that it takes ``proximal_newton``.
    offset : ndarray (n, K) or None
    working_memory : float or None
        MiB that copies and buffers of the size of X or of the scores may take; None for what is fastest.
    """

    X: Any
    target: Target
    weights: np.ndarray
    link: Link
    fit_intercept: bool = True
    strength: float = 0.0
    factors: np.ndarray | float = 1.0
    temperature: float = 1.0
    l1_ratio: float = 0.0
    grouped: bool = False
    signs: np.ndarray | None = None
    kinked: bool = False
    offset: np.ndarray | None = None
    working_memory: float | None = None

    @cached_property
    def scores(self) -> Linear:
        return Linear(self.X.shape[1], self.target.n_classes, self.fit_intercept)

    @cached_property
    def design(self) -> Dense | Sparse | DeviceDense:
        """The columns that are multiplied, with a float32 copy where the memory allows."""
        if sparse.issparse(self.X):
            return Sparse(self.X, memory=self._budget)
        return standardised(self.X, self.weights, intercept=self.fit_intercept, memory=self._budget)

    @cached_property
    def batches(self) -> InMemory:
        """The rows in the coordinates of the fit."""
        offset = None if self.offset is None else self.offset / self.temperature
        return InMemory(self.design, self.target, self.weights, offset)

    def with_strength(self, strength: float) -> "Problem":
        """The same data, and the same copies of them, under another penalty."""
        other = replace(self, strength=strength)
        other.__dict__.update(design=self.design, batches=self.batches)
        if row_space.pays(self) and row_space.pays(other):
            other.__dict__["rotated"] = self.rotated.under(other)
        return other

    @cached_property
    def objective(self) -> Objective:
        batches, loss = self.batches, FenchelYoung(self.link)
        if self.kinked:
            return Objective(loss, self.scores, batches, self._kinked_penalty(), rough=False, keep_bytes=np.inf)
        ridge = self.strength * self.factors * (self.temperature / self.design.scale) ** 2
        keep_bytes = min(KEEP_BYTES, self._budget)
        scores = self.scores.one_row if ridge.ndim == 1 else self.scores
        return Objective(loss, self.scores, batches, Ridge(scores.spread(ridge)), keep_bytes=keep_bytes)

    @cached_property
    def rotated(self) -> row_space.RowSpace:
        """The same problem with as many columns as rows, where that pays."""
        return row_space.RowSpace(self)

    def _kinked_penalty(self) -> ElasticNet | GroupLasso:
        factors, unit = self.strength * self.factors, self.temperature / self.design.scale
        l1, l2 = self.l1_ratio * factors * unit, (1.0 - self.l1_ratio) * factors * unit**2
        signs = self.scores.spread(0.0 if self.signs is None else self.signs)
        lower, upper = np.where(signs > 0.0, 0.0, -np.inf), np.where(signs < 0.0, 0.0, np.inf)
        if not self.grouped or self.scores.n_rows == 1:
            return ElasticNet(self.scores.spread(l1), self.scores.spread(l2), lower, upper)
        one_row = self.scores.one_row
        return GroupLasso(one_row.spread(l1), one_row.spread(l2), lower, upper, self.scores.n_rows)

    @property
    def _budget(self) -> float:
        return np.inf if self.working_memory is None else self.working_memory * MEBIBYTE

    def pack(self, coef, intercept) -> np.ndarray:
        """Coefficients of the user's columns in the coordinates of the fit."""
        shifted = intercept + coef @ self.design.centre
        return self.scores.pack(coef * self.design.scale / self.temperature, shifted / self.temperature)

    def unpack(self, w) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (rows, p) and intercepts (rows,) of the user's columns.

        A common shift of all classes changes nothing where it is not penalised: then the one of mean 0 is reported.
        """
        coef, intercept = self.scores.unpack(w)
        coef *= self.temperature / self.design.scale
        intercept *= self.temperature
        if self.scores.n_rows > 1 and self.strength == 0.0 and self.signs is None:
            coef -= coef.mean(axis=0)
        intercept -= coef @ self.design.centre
        if self.scores.n_rows > 1 and self.fit_intercept:
            intercept -= intercept.mean()
        return coef, intercept if self.fit_intercept else np.zeros_like(intercept)

    def start(self) -> np.ndarray:
        """Intercepts that give each class its share; then the optimum of a quarter of many rows, or of easier links."""
        shares = np.maximum(self.objective.batches.class_shares(), np.finfo(float).tiny)
        scores = self.scores
        if isinstance(self.link, Softmax):
            intercept = np.log(shares)
        else:
            intercept = np.zeros(len(shares))
        intercept = intercept[1:] - intercept[0] if scores.n_rows == 1 else intercept - intercept.mean()
        w = scores.pack(0.0, intercept)
        if self.kinked:
            return w
        if self.objective.sketchable:
            w = sketched(self.objective, w)
        return along_alpha(self.objective, w)

    def solve(
        self, w: np.ndarray | None, *, solver: str, tol: float, max_iter: int, callback=None, ladder=None
    ) -> Solution:
        """Minimise from w, or from :meth:`start`; `ladder` is that of a problem much like this one, solved before."""
        if solver != "lbfgs" and row_space.pays(self):
            return self.rotated.solve(w, tol=tol, max_iter=max_iter, callback=callback)
        if not self.design.keep:
            self.objective.prepare_proofs()
        start = [self.start() if w is None else w]  # popped: a vector may be as large as all data
        penalty = self.objective.penalty
        if not isinstance(penalty, Ridge):
            w = np.clip(start.pop(), penalty.lower, penalty.upper)
            return proximal_newton(self.objective, w, tol=tol, max_iter=max_iter, callback=callback)
        if solver == "lbfgs":
            return lbfgs(self.objective, start.pop(), tol=tol, max_iter=max_iter, callback=callback)
        return newton_cg(self.objective, start.pop(), tol=tol, max_iter=max_iter, callback=callback, ladder=ladder)
