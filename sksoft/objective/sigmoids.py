r"""Independent sigmoids: L logistic regressions on the same features, evaluated side by side.

Label l has score z = ⟨w, x⟩ + b and probability p = σ(z). With targets t in [0, 1], sample weights s and class weights
ω⁺, ω⁻ of the label, an entry weighs ω = ω⁺ t + ω⁻ (1 − t), its target is t' = ω⁺ t / ω, and::

    F(w, b) = Σᵢ aᵢ [softplus(zᵢ) − t'ᵢ zᵢ + Ω(t'ᵢ)] + λ/2 ‖w‖²       aᵢ = sᵢ ωᵢ / Σ s ω,   λ = 1 / (C Σ s ω)

with Ω(t) = t log t + (1 − t) log(1 − t), which is 0 for labels: the mean Kullback–Leibler divergence from the targets.

**The gap.** This is the softmax of scores (0, z), so :mod:`sksoft.objective.duality` derives the bound; for one label,
with p̄ = Σ aᵢ pᵢ, t̄ = Σ aᵢ t'ᵢ, g = p̄ − t̄ and G = Σ aᵢ (pᵢ − t'ᵢ) xᵢ, the feasible neighbour mixes in a vertex::

    p'ᵢ = (1 − ε) pᵢ + ε q        g > 0: q = 0, ε = g / p̄            g < 0: q = 1, ε = −g / (1 − p̄)
    gap ≤ ‖G + λ w‖²/(2λ) + g b + ε H(p̄) + (‖G'‖² − ‖G‖²)/(2λ)      G' = G + ε (q x̄ − Σ aᵢ t'ᵢ xᵢ − G)

where the entropy H(p̄) bounds the mean of the entropies H(pᵢ), which is concave.

The solver (:mod:`sksoft.solvers.batched_newton`) sees *states*: for each label the n scores, then w, then b, so that F
is a sum over the rows of its state.
"""

import numpy as np
from scipy import sparse
from scipy.special import entr, xlogy

from sksoft.kernels.blocks import row_blocks
from sksoft.kernels.columns import advance_columns, gram_columns
from sksoft.kernels.registry import backend_for
from sksoft.kernels.sigmoid import sigmoid_loss_columns
from sksoft.objective.shared_features import SharedFeatures
from sksoft.objective.shared_metric import FULL_WIDTH, OwnHessian, shared_metric

# Labels that one thread solves, one after another: few enough to occupy many threads, many enough to fill its columns.
GROUP = 128
# Bytes of the states of the labels that stand in columns at a time, about STATES for each: they should stay in the
# cache, but less than FULL_WIDTH of them wait for memory anyway, up to the memory that those take.
BATCH, STATES, LARGEST_BATCH, WIDEST = 20 << 20, 11, 256 << 20, 64
# Relative error of a term, generously: it is a sum over many products.
ROUNDING = 1e-12
# Factorised Hessians of single labels that a block of labels may hold at a time.
OWN_BYTES = 64 << 20
# Sweeps before a label is given its own Hessian, at least.
PATIENCE = 8


def _column_dots(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """⟨left_l, right_l⟩ of each column."""
    return np.einsum("ij,ij->j", left, right)


class Sigmoids:
    """The problems of all labels.

    Parameters
    ----------
    features : SharedFeatures of n rows
    targets : CSC array (n, L), or ndarray (n, L) of float64, in [0, 1]
    sample_weight : ndarray (n,), float64, positive
    positive, negative : ndarray (L,), float64
        Class weights ω⁺, ω⁻.
    C : float > 0
    fit_intercept : bool
    """

    def __init__(self, features, targets, sample_weight, positive, negative, *, C: float, fit_intercept: bool):
        self.features: SharedFeatures = features
        self.targets = targets
        labels_only = sparse.issparse(targets) and (targets.data == 1.0).all()
        self.target_dtype = np.dtype(np.uint8 if labels_only else np.float64)
        self.fit_intercept = fit_intercept
        self.backend = backend_for(targets.shape[0] * targets.shape[1])
        total = sample_weight.sum()
        self.weights = sample_weight / total
        share = np.asarray(self.weights @ targets)
        scale = positive * share + negative * (1.0 - share)
        self.positive, self.negative = positive / scale, negative / scale
        self.strength = 1.0 / (C * total * scale)
        self.target_shares = np.clip(self.positive * share, 0.0, 1.0)
        self.mean = features.mean(self.weights)
        centre = self.mean if fit_intercept else np.zeros_like(self.mean)
        self.metric = shared_metric(features, self.weights, centre, targets.shape[1])

    @property
    def n_labels(self) -> int:
        return self.targets.shape[1]

    def groups(self) -> list[slice]:
        """Labels to be solved one after another by one thread: a grid that depends on the number of labels only."""
        return row_blocks(self.n_labels, 1, GROUP)

    def group(self, labels: slice, start=None) -> "SigmoidGroup":
        """The problems of some labels, to start at parameters (p + 1, L) where given."""
        return SigmoidGroup(self, labels, start)


class SigmoidGroup:
    """The problems of a group of labels, as the solver knows them: some stand in columns, the others wait.

    Parameters
    ----------
    problem : Sigmoids
    labels : slice
    start : ndarray (p + 1, L) or, without an intercept, (p, L), optional
        Where to start; no coefficients and the intercepts of the shares by default.
    """

    def __init__(self, problem: Sigmoids, labels: slice, start=None):
        self.problem = problem
        self.features = problem.features
        self._labels = np.arange(problem.n_labels)[labels]
        self._next = 0
        self._given = start
        n, p = self.features.shape
        widest = max(min(FULL_WIDTH, LARGEST_BATCH // (STATES * 8 * self.n_rows)), 1)
        width = int(np.clip(BATCH // (STATES * 8 * self.n_rows) // 8 * 8, widest, WIDEST))
        self.width = min(width, self.n_problems)
        self.targets = np.empty((n, self.width), problem.target_dtype)
        self.target_moments, self.mean = np.empty((p, self.width)), np.empty((p, self.width))
        self.positive, self.negative, self.strength, self.target_shares, self.constant = np.empty((5, self.width))
        self._ids, self._age = np.zeros(self.width, dtype=np.intp), np.zeros(self.width)
        self._own: dict[int, OwnHessian] = {}

    @property
    def n_problems(self) -> int:
        """Labels in the group."""
        return len(self._labels)

    @property
    def n_scores(self) -> int:
        return self.features.shape[0]

    @property
    def n_rows(self) -> int:
        """Rows of a state: scores, coefficients, and the intercept where there is one."""
        return sum(self.features.shape) + self.problem.fit_intercept

    def load(self, columns: np.ndarray) -> np.ndarray:
        """Put labels that wait into `columns`, as long as there are any; their numbers in the group."""
        ids = np.arange(self._next, min(self._next + len(columns), self.n_problems))
        columns, labels, problem = columns[: len(ids)], self._labels[ids], self.problem
        self._next += len(ids)
        if not len(ids):
            return ids
        for name in ("positive", "negative", "strength", "target_shares"):
            getattr(self, name)[columns] = getattr(problem, name)[labels]
        targets = problem.targets[:, labels]
        weighted = targets * problem.weights[:, None]
        moments = self.features.transposed_times_any(weighted)
        positive, negative = self.positive[columns], self.negative[columns]
        self.target_moments[:, columns] = moments * positive
        self.mean[:, columns] = problem.mean[:, None] * negative + moments * (positive - negative)
        dense = targets.toarray() if sparse.issparse(targets) else targets
        self.targets[:, columns] = dense
        self.constant[columns] = self._negentropy(dense, positive, negative)
        self._ids[columns], self._age[columns] = ids, 0.0
        return ids

    def _negentropy(self, targets: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> np.ndarray | float:
        """Σ aᵢ Ω(t'ᵢ): nothing where all targets are labels."""
        if self.problem.target_dtype == np.uint8:
            return 0.0
        weights = self.problem.weights[:, None]
        of_one, of_zero = weights * (positive * targets), weights * (negative * (1.0 - targets))
        mass = of_one + of_zero
        shares = np.divide(of_one, mass, out=np.zeros_like(mass), where=mass > 0.0)
        return np.sum(xlogy(of_one, shares) + xlogy(of_zero, 1.0 - shares), axis=0)

    def start(self, columns: np.ndarray) -> np.ndarray:
        """Parameters to start from, (p + 1, ·) or (p, ·)."""
        if self._given is not None:
            return self._given[:, self._ids[columns]]
        parameters = np.zeros((self.n_rows - self.n_scores, len(columns)))
        if self.problem.fit_intercept:
            share = self.target_shares[columns]
            parameters[-1] = np.log(share / (1.0 - share))
        return parameters

    def start_gradient(self, residual: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """∇F where :meth:`start` says. Where no row differs from another, products known already give it."""
        n, p = self.features.shape
        if self._given is not None or not self.problem.fit_intercept:
            return self.gradient(residual)
        gradient = np.zeros((self.n_rows - n, len(columns)))
        gradient[:p] = self.target_shares[columns] * self.mean[:, columns] - self.target_moments[:, columns]
        return gradient

    def always(self) -> np.ndarray | None:
        """Parameters of a direction worth including in every step: the intercept alone, or None."""
        if not self.problem.fit_intercept:
            return None
        alone = np.zeros((self.n_rows - self.n_scores, self.width))
        alone[-1] = 1.0
        return alone

    def expand(self, parameters: np.ndarray, out: np.ndarray) -> np.ndarray:
        """The state of `parameters`, written to out (n_rows, ·): half a sweep over the features."""
        n, p = self.features.shape
        if parameters[:p].any():
            with self.problem.backend():
                self.features.times(parameters[:p], out[:n])
        else:
            out[:n] = 0.0
        if self.problem.fit_intercept:
            out[:n] += parameters[p]
        out[n:] = parameters
        return out

    def parameters(self, state: np.ndarray) -> np.ndarray:
        """The parameters in a state: a view."""
        return state[self.n_scores :]

    def evaluate(self, state, residual, curvature, columns=slice(None)) -> np.ndarray:
        """F of each label, (L,), and its first two derivatives in each row of the state.

        `columns` names the labels that the arrays (n_rows, ·) stand for: all by default.
        """
        n, p = self.features.shape
        strength = self.strength[columns]
        coef = state[n : n + p]
        with self.problem.backend():
            values = sigmoid_loss_columns(
                state[:n],
                self.targets[:, columns],
                self.problem.weights,
                self.positive[columns],
                self.negative[columns],
                residual=residual[:n],
                curvature=curvature[:n],
            )
        np.multiply(strength, coef, out=residual[n : n + p])
        curvature[n : n + p] = strength
        residual[n + p :] = curvature[n + p :] = 0.0
        return values + self.constant[columns] + 0.5 * strength * _column_dots(coef, coef)

    def gradient(self, residual: np.ndarray) -> np.ndarray:
        """∇F of each label from its residuals, (p + 1, ·) or (p, ·): half a sweep over the features."""
        n, p = self.features.shape
        with self.problem.backend():
            slope = self.features.transposed_times(residual[:n])
        gradient = np.zeros((self.n_rows - n, residual.shape[1]))
        np.add(slope, residual[n : n + p], out=gradient[:p])
        if self.problem.fit_intercept:
            residual[:n].sum(axis=0, out=gradient[p])
        return gradient

    def gap(self, state: np.ndarray, gradient: np.ndarray, columns) -> np.ndarray:
        """A proved bound on F − min F of the labels in `columns`; infinite where rounding took it."""
        n, p = self.features.shape
        coef, slope, strength = state[n : n + p, columns], gradient[:p, columns], self.strength[columns]
        terms = [_column_dots(slope, slope) / (2.0 * strength)]
        if self.problem.fit_intercept:
            g = gradient[p, columns]
            proba = np.clip(self.target_shares[columns] + g, np.finfo(float).tiny, 1.0 - np.finfo(float).epsneg)
            epsilon = np.where(g > 0.0, g / proba, -g / (1.0 - proba))
            q = (g < 0.0).astype(np.float64)
            G = slope - strength * coef
            move = epsilon * (q * self.mean[:, columns] - self.target_moments[:, columns] - G)
            terms += [
                g * state[n + p, columns],
                epsilon * (entr(proba) + entr(1.0 - proba)),
                _column_dots(move, G) / strength,
                _column_dots(move, move) / (2.0 * strength),
            ]
        bound = np.sum(terms, axis=0) + ROUNDING * np.sum(np.abs(terms), axis=0)
        return np.where((bound >= 0.0) & np.isfinite(bound), bound, np.inf)

    def rough_gap(self, gradient: np.ndarray) -> np.ndarray:
        """The gap of each label without what an intercept adds, small near the minimum; it proves nothing."""
        slope = gradient[: self.features.shape[1]]
        return _column_dots(slope, slope) / (2.0 * self.strength)

    def precondition(self, gradient: np.ndarray, curvature: np.ndarray) -> np.ndarray:
        """M⁻¹ ∇F of each label, M near its Hessian."""
        n, p = self.features.shape
        total = np.maximum(curvature[:n].sum(axis=0), np.finfo(float).tiny)
        if not self.problem.fit_intercept:
            step = self.problem.metric.solve(gradient, total, self.strength)
        else:
            slope = gradient[:p] - np.multiply.outer(self.problem.mean, gradient[p])
            coef = self.problem.metric.solve(slope, total, self.strength)
            step = np.vstack([coef, gradient[p] / total - self.problem.mean @ coef])
        for column in self._with_own_hessian(curvature):
            step[:, column] = self._own[self._ids[column]].solve(gradient[:, column])
        return step

    def _with_own_hessian(self, curvature: np.ndarray):
        """Columns whose Hessian was factorised, for the first time or again after as many sweeps as that costs."""
        n, p = self.features.shape
        self._age += 1
        patience = max(PATIENCE, (p / 4 + p**2 / (12 * n)) * min(1.0, self.width / FULL_WIDTH))
        room = OWN_BYTES // (8 * (p + 1) ** 2)
        for column in np.flatnonzero(self._age > patience) if self._can_factorise else ():
            if self._ids[column] in self._own or len(self._own) < room:
                h = np.ascontiguousarray(curvature[:n, column])
                strength, with_intercept = self.strength[column], self.problem.fit_intercept
                self._own[self._ids[column]] = OwnHessian(self.features, h, strength, with_intercept)
                self._age[column] = 0
        return [column for column, label in enumerate(self._ids) if label in self._own]

    @property
    def _can_factorise(self) -> bool:
        return not self.features.is_sparse

    def magnitude(self, values: np.ndarray) -> np.ndarray:
        """What the rounding of F is relative to: the cross-entropies before the targets' own entropies are taken."""
        return np.abs(values) + np.abs(self.constant)

    def project(self, stack, residual, curvature) -> tuple[np.ndarray, np.ndarray]:
        """Slopes (L, K) and curvatures (L, K, K) of F along the states of a stack."""
        with self.problem.backend():
            return gram_columns(stack, residual, curvature)

    def advance(self, stack, lengths, step, state) -> None:
        """``step = Σ_k lengths[:, k] · stack[k]``, added to the state."""
        with self.problem.backend():
            advance_columns(stack, lengths, step=step, state=state)

    def keep(self, columns: np.ndarray) -> None:
        """Drop all columns but these."""
        self.width = len(columns)
        self._ids = self._ids[columns]
        self._own = {label: own for label, own in self._own.items() if label in set(self._ids)}
        self.targets = np.ascontiguousarray(self.targets[:, columns])
        for name in ("positive", "negative", "strength", "target_shares", "constant", "_age"):
            setattr(self, name, getattr(self, name)[columns])
        for name in ("target_moments", "mean"):
            setattr(self, name, np.ascontiguousarray(getattr(self, name)[:, columns]))
