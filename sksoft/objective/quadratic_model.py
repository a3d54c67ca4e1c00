r"""The second-order model of a mean loss on a working set of coordinates, and ways to lower model plus penalty.

With d the change of the members' coefficients, u_k = X d_k the change of the scores, slopes s and Hessian
Xᵀ a (diag p − p pᵀ) X of the loss at a point (p tilted and a rescaled for other links, ``curvature.py``)::

    q(d) = ⟨s, d⟩ + ½ Σᵢ aᵢ (Σ_k p_ik u_ik² − mᵢ²),        mᵢ = Σ_k p_ik u_ik

A sweep of coordinate descent finds which coefficients are zero. On the others, where the penalty is smooth, conjugate
gradients find where model plus penalty is least, in as many products as the square root of what descent would need in
sweeps. A step of theirs that leads through a kink ends there.

References
----------
.. [1] Yuan, Ho, Lin, "An improved GLMNET for L1-regularized logistic regression", JMLR 13, 2012, section 3.
.. [2] Bareilles, Iutzeler, Malick, "Newton acceleration on manifolds identified by proximal gradient methods",
   Math. Program. 200, 2023, algorithm 1.
.. [3] Jaakkola, Jordan, "Bayesian parameter estimation via variational methods", Stat. Comput. 10, 2000.
.. [4] Böhning, "Multinomial logistic regression algorithm", Ann. Inst. Stat. Math. 44, 1992, theorem 2.
"""

import numpy as np

from sksoft.kernels import coordinates
from sksoft.objective.class_blocks import LARGEST_WHOLE, ClassBlocks, jacobi
from sksoft.objective.feature_columns import Members
from sksoft.objective.penalties import GroupLasso

# Sweeps over what is not zero between sweeps over everything, and rounds of both.
INNER_SWEEPS, MOST_ROUNDS = 3, 20
# Blocks are factorised in the round that still needs conjugate gradients, or at once where they did not come to an end.
LATE_ROUND = 2
# Conjugate gradients reduce a residual's norm by so much, in so many products at most.
FORCING, BLOCK_FORCING, MOST_PRODUCTS = 0.1, 0.03, 10
MOST_TRIALS, MOST_CLIPPED, MOST_FACES = 20, 3, 10
# Curvature beside that of the diagonal, below which a direction has none: of columns that add up to one another, or a
# common shift of all classes' scores.
FLAT = 1e-10
# Shares of a row on its target below this are taken as this.
LEAST_SHARE = 1e-9


class QuadraticModel:
    """q and a penalty on some coordinates, from their coefficients on.

    Parameters
    ----------
    columns : SparseColumns or DenseColumns
    proba : ndarray (R, n), float64
        p_ik of the classes with coefficients, class by class.
    weights : ndarray (n,), positive
        aᵢ.
    members : Members
    slopes : ndarray (m,)
        s.
    penalty : ElasticNet or GroupLasso
        Of the members.
    start : ndarray (m,)
        Coefficients where d = 0.
    backend : callable
        Its result is entered around all work.

    Attributes
    ----------
    position : ndarray (m,)
        Coefficients start + d.
    n_rounds, n_sweeps, n_products : int
    """

    def __init__(self, columns, proba, weights, members: Members, slopes, penalty, start, backend):
        self.columns, self.proba, self.weights, self.backend = columns, proba, weights, backend
        self.members, self.slopes, self.penalty, self.start = members, slopes, penalty, start
        self.grouped = isinstance(penalty, GroupLasso)
        self.position = start.copy()
        self.scores, self.mean = np.zeros(proba.shape), np.zeros(proba.shape[1])
        self.n_rounds = self.n_sweeps = self.n_products = 0
        self.blocks: ClassBlocks | None = None
        self.shifts = self._shifts()
        with backend():
            self.curvature = columns.squares(weights * proba * (1.0 - proba), members)
            self.bound = self._group_bound() if self.grouped else self.curvature

    @classmethod
    def at(cls, point, mask: np.ndarray, caution: float = 0.0) -> "QuadraticModel":
        """The model at a point of an objective, on the coordinates of a mask over the flat w.

        `caution` from 0 to 1 leads from the Hessian to a curvature whose steps do not overshoot; above 1 the curvature
        is that of uniform distributions times what makes it a bound of every other ([4]_).
        """
        objective = point.objective
        with objective.backend():
            everything = objective.all_proba(point)
            proba, scale = objective.loss.link.tilted(everything)
        weights = objective.batches.weights if scale is None else objective.batches.weights * scale
        if caution > 1.0:
            n_classes = proba.shape[1]
            proba = np.full_like(proba, 1.0 / n_classes)
            # no Jacobian exceeds that of softmax, ½, or of sparse links, 1; here it is 1 / K
            weights = objective.batches.weights * n_classes * (0.5 if scale is None else 1.0)
        elif caution > 0.0:
            weights = weights * careful(everything, objective.batches.target) ** caution
        members = Members.of(mask, objective.scores.n_rows)
        own = np.ascontiguousarray(proba[:, objective.scores.own_classes].T, dtype=np.float64)
        penalty, start = objective.penalty.part(mask), point.w[mask]
        return cls(objective.columns, own, weights, members, point.slopes[mask], penalty, start, objective.backend)

    def _shifts(self) -> np.ndarray:
        """Places (R, columns) of the columns that no class penalises: a common shift of theirs changes nothing."""
        n_rows, columns = len(self.proba), self.members.columns
        unheld = self.penalty.free(np.zeros(len(columns))) & ~self.penalty.penalised
        everywhere = np.bincount(columns[unheld], minlength=columns.max(initial=-1) + 1) == n_rows
        return np.flatnonzero(unheld & everywhere[columns]).reshape(n_rows, -1)

    def _centred(self, vector) -> np.ndarray:
        """`vector` without its part along common shifts, which rounding would grow without end."""
        if len(self.shifts) > 1:
            vector[self.shifts] -= vector[self.shifts].mean(axis=0)
        return vector

    def _group_bound(self) -> np.ndarray:
        """A bound of the Hessian's eigenvalues in each group.

        diag p − p pᵀ is at most diag p, and at most 2 diag p (1 − p), whose difference from it is diagonally dominant.
        """
        rest = np.where(self.proba.max(axis=0) > 0.5, 2.0 * (1.0 - self.proba), 1.0)
        squares = self.columns.squares(self.weights * self.proba * rest, self.members)
        return squares.reshape(len(self.proba), -1).max(axis=0)

    def minimise(self, share: float) -> float:
        """Lower model plus penalty until a sweep's steps are a share of the first one's; the decrease, ≥ 0.

        Steps count as Σ curvature · step². After each sweep over all members come some over what is not zero, and
        conjugate gradients.
        """
        with self.backend():
            first = self.sweep()
            for self.n_rounds in range(1, MOST_ROUNDS + 1):
                for _ in range(INNER_SWEEPS):
                    if self.sweep(everything=False) <= share * first:
                        break
                self.descend()
                if self.sweep() <= share * first:
                    break
            return -self.value()

    def value(self) -> float:
        """q(d) + R(start + d) − R(start)."""
        quadratic = self.weights @ (np.einsum("kn,kn,kn->n", self.proba, self.scores, self.scores) - self.mean**2)
        change = float(self.slopes @ (self.position - self.start)) + 0.5 * float(quadratic)
        return change + self.penalty.change(self.position, self.start)

    def sweep(self, everything: bool = True) -> float:
        """Coordinate descent once over all members, or those that are not zero; Σ curvature · step² over its steps."""
        mask = np.ones(len(self.members), bool) if everything else self.penalty.joined(self.position != 0.0)
        some, penalty, position = self.members.where(mask), self.penalty.part(mask), self.position[mask]
        shape = (len(self.proba), -1) if self.grouped else (-1,)
        chosen = {"members": some.columns[: len(penalty.l1)]} | ({} if self.grouped else {"starts": some.starts})
        position = position.reshape(shape)
        descent = coordinates.group_sweep if self.grouped else coordinates.coordinate_sweep
        decrement = descent(
            self.proba,
            self.weights,
            self.slopes[mask].reshape(shape),
            self.bound[mask[: len(self.bound)]],
            columns=self.columns.parts,
            **chosen,
            l1=penalty.l1,
            l2=penalty.l2,
            lower=penalty.lower.reshape(shape),
            upper=penalty.upper.reshape(shape),
            position=position,
            scores=self.scores,
            mean=self.mean,
        )
        self.position[mask] = position.ravel()
        self.n_sweeps += 1
        return decrement

    def descend(self) -> None:
        """Conjugate gradients where the penalty is smooth; with few members on, face by face, while kinks end steps."""
        for _ in range(MOST_FACES if len(self.members) <= LARGEST_WHOLE else 1):
            if self._descend_on_face():
                return

    def _descend_on_face(self) -> bool:
        """Whether the step was taken as a whole."""
        free = self.penalty.free(self.position)
        members, bend = self.members.where(free), self.penalty.bend(self.position)
        n_rows = len(self.proba)
        slopes = np.zeros(len(free))
        slopes[free] = self.columns.project(self._weighted(self.scores, self.mean), members)
        slopes = np.where(free, slopes + self.slopes + self.penalty.slope(self.position), 0.0)
        scores = np.empty(self.proba.shape)

        def product(v):
            self.columns.combine(v[free], members, scores)
            out = bend.product(v, n_rows)
            out[free] += self.columns.project(self._weighted(scores, self._mean(scores)), members)
            return np.where(free, out, 0.0)

        metric = np.where(free, self.curvature + bend.diagonal, 0.0)
        step, finished = self._conjugate_gradients(product, metric, -slopes)
        whole = self._move_along(step)
        if self.blocks is None and not (finished and self.n_rounds < LATE_ROUND):
            self.blocks = ClassBlocks.of(self.columns, self.proba, self.weights, members, free, bend)
        return whole

    def _conjugate_gradients(self, product, metric, residual) -> tuple[np.ndarray, bool]:
        """About the solution of Hessian · step = residual, and whether it is as good as was asked for."""
        apply = jacobi(metric) if self.blocks is None else self.blocks.over(jacobi(metric), metric > 0.0)
        residual = self._centred(residual)
        step, scaled = np.zeros_like(residual), self._centred(apply(residual))
        direction, size = scaled, float(residual @ scaled)
        enough = (FORCING if self.blocks is None else BLOCK_FORCING) ** 2 * size
        for _ in range(MOST_PRODUCTS):
            if not size > enough:
                return step, True
            image = product(direction)
            self.n_products += 1
            bend, least = float(direction @ image), FLAT * float(direction @ (metric * direction))
            step += size / max(bend, least) * direction
            if not bend > least:  # a valley as good as flat leads to a kink, or its slope is rounding
                return step, True
            residual = self._centred(residual - size / bend * image)
            scaled = self._centred(apply(residual))
            smaller = float(residual @ scaled)
            direction, size = scaled + smaller / size * direction, smaller
        return step, False

    def _move_along(self, step) -> bool:
        """To position + t step, clipped at kinks, for the first t from 1 down that is better; whether t was 1.

        Beyond the first kink t goes down by the root of what is left to it, from there by halves.
        """
        before, value, t = self.position, self.value(), 1.0
        kink = self.penalty.first_kink(before, step)
        for trial in range(MOST_TRIALS):
            self._move_to(self.penalty.clipped(before + t * step, before))
            if self.value() <= value:
                return t == 1.0
            t = 0.5 * t if t <= kink else kink if trial >= MOST_CLIPPED else np.sqrt(t * kink)
        self._move_to(before)
        return True

    def _move_to(self, position) -> None:
        change = self.columns.combine(position - self.position, self.members, np.empty(self.proba.shape))
        self.scores += change
        self.mean += self._mean(change)
        self.position = position

    def _mean(self, scores) -> np.ndarray:
        return np.einsum("kn,kn->n", self.proba, scores)

    def _weighted(self, scores, mean) -> np.ndarray:
        """aᵢ p_ik (u_ik − mᵢ), (R, n)."""
        out = scores - mean
        out *= self.proba
        out *= self.weights
        return out


def careful(proba, target) -> np.ndarray:
    """How many times the curvature of each row should be for steps that do not overshoot, (n,), at least 1.

    A row with a small share s of its probability on its target has a gradient near 1 and a curvature s (1 − s) near 0:
    Newton's step for its score, 1 / s, goes far beyond where the row is right. In the log-odds ψ = log(s / (1 − s)) the
    loss lies below the parabola that touches it at ψ and at −ψ ([3]_, eq. 10), of curvature (s − ½) / ψ ≥ s (1 − s),
    whose minimum carries the row to the other side and no further. The ratio of the two is what is returned.

    Parameters
    ----------
    proba : ndarray (n, K)
    target : Target of n rows
    """
    residual = proba.astype(np.float64)
    target.subtract_from(residual, on_simplex=True)
    share = np.clip(1.0 - 0.5 * np.abs(residual).sum(axis=1), LEAST_SHARE, 0.49)
    log_odds = np.log(share / (1.0 - share))
    return (share - 0.5) / (log_odds * share * (1.0 - share))
