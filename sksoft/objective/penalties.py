"""Penalties: R(w), added to the mean loss."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

# Parameters that are multiplied at a time: they fit the second cache.
PART = 1 << 15


@dataclass(frozen=True)
class Ridge:
    """R(w) = ½ Σⱼ λⱼ wⱼ².

    A vector of parameters may be as large as all data: rows alike are stored once, and products made a part at a time.

    Parameters
    ----------
    strength : ndarray of shape (m,), float64, non-negative
        λⱼ: 1 / (C Σᵢ sᵢ) times the parameter's penalty factor, in the units of the design's column; zero where nothing
        is penalised (intercepts, C = ∞). Of all parameters, or of one row of many alike.
    """

    strength: np.ndarray

    def conjugate(self, g) -> float:
        """Σⱼ gⱼ² / (2 λⱼ) over the parameters with a penalty: R*(g) where the others of g are 0."""
        return sum(float(np.sum((g * g) @ self._half_inverse[own])) for own, g in self._parts(g))

    @cached_property
    def _half_inverse(self) -> np.ndarray:
        """1 / (2 λ), 0 where nothing is penalised."""
        return np.divide(0.5, self.strength, out=np.zeros_like(self.strength), where=self.strength > 0.0)

    def unpenalised(self, n_parameters: int) -> int:
        """How many of so many parameters have no penalty."""
        return int(np.count_nonzero(self.strength == 0.0)) * (n_parameters // len(self.strength))

    def value(self, w) -> float:
        return 0.5 * sum(float(np.sum((w * w) @ self.strength[own])) for own, w in self._parts(w))

    def add_hessian_product(self, v, out) -> np.ndarray:
        """``out += Λ v``."""
        for own, v_part, target in self._parts(v, out):
            target += self.strength[own] * v_part
        return out

    def _parts(self, *vectors):
        """Some parameters at a time: the place of their strengths, and views (rows, strengths) of each vector."""
        m = len(self.strength)
        matrices = [vector.reshape(-1, m) for vector in vectors]
        step = max(1, PART // m)
        for rows in (slice(start, start + step) for start in range(0, len(matrices[0]), step)):
            for own in (slice(start, start + PART) for start in range(0, m, PART)):
                yield own, *(matrix[rows, own] for matrix in matrices)


@dataclass(frozen=True)
class ElasticNet:
    r"""R(w) = Σⱼ [λⱼ |wⱼ| + ½ ρⱼ wⱼ²] on lowerⱼ ≤ wⱼ ≤ upperⱼ, where each bound is 0 or infinite.

    A bound of 0 fixes the sign of a coefficient. With s the slopes of the rest of the objective, w is optimal where
    0 ∈ s + ∂R(w). The dual problem is written in the conjugate; with e = −s where a coefficient at zero may follow it,
    and 0 where a bound forbids it::

        R*(−s) = Σⱼ max(|eⱼ| − λⱼ, 0)² / (2 ρⱼ)                 infinite where ρ = 0 and |e| > λ

    Parameters
    ----------
    l1, l2 : ndarray (m,), float64, non-negative
        λ and ρ; zero where nothing is penalised.
    lower : ndarray (m,), 0 or −inf
    upper : ndarray (m,), 0 or inf

    Notes
    -----
    Vectors here and below are flat, one entry a coordinate. All costs are O(m).
    """

    l1: np.ndarray
    l2: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @property
    def penalised(self) -> np.ndarray:
        """Where R holds a coefficient back in either direction, which a proof of a gap needs."""
        return (self.l1 > 0.0) | (self.l2 > 0.0)

    def value(self, w) -> float:
        """R(w), for w within the bounds."""
        return self.change(w, np.zeros_like(w))

    def change(self, w, before) -> float:
        """R(w) − R(before), which cancels nothing between coordinates that stayed."""
        return float(np.sum(self.l1 * (np.abs(w) - np.abs(before)) + 0.5 * self.l2 * (w - before) * (w + before)))

    def part(self, mask) -> "ElasticNet":
        """The penalty of the coordinates of a mask."""
        return ElasticNet(self.l1[mask], self.l2[mask], self.lower[mask], self.upper[mask])

    def joined(self, mask) -> np.ndarray:
        """`mask`, and all coordinates that are zero or not together with one of its own: here none."""
        return mask

    def least(self, w, slopes) -> np.ndarray:
        """The least element of slopes + ∂R(w): zero exactly where w is optimal."""
        push = allowed(-slopes, self.lower, self.upper)
        at_zero = -np.sign(push) * np.maximum(np.abs(push) - self.l1, 0.0)
        return np.where(w == 0.0, at_zero, slopes + self.slope(w))

    def slope(self, w) -> np.ndarray:
        """∇R at the free coordinates of w."""
        return self.l1 * np.sign(w) + self.l2 * w

    def bend(self, w) -> "Bend":
        """∇²R at the free coordinates of w."""
        return Bend(self.l2)

    def free(self, w) -> np.ndarray:
        """Where R is smooth at w: at coefficients that are not zero, and those without a kink or a bound at zero."""
        return (w != 0.0) | ((self.l1 == 0.0) & np.isinf(self.lower) & np.isinf(self.upper))

    def clipped(self, w, before) -> np.ndarray:
        """w, but zero where it has left the orthant of `before` through a kink, and within the bounds."""
        crossed = (w * before < 0.0) & (self.l1 > 0.0)
        return np.clip(np.where(crossed, 0.0, w), self.lower, self.upper)

    def first_kink(self, w, step) -> float:
        """The least t > 0 at which w + t step meets a kink or a bound; inf without any."""
        return _first_zero(w, step, (self.l1 > 0.0) | np.isfinite(self.lower) | np.isfinite(self.upper))

    def prox(self, w, step) -> np.ndarray:
        """argmin over v of ‖v − w‖² / 2 + step · R(v)."""
        shrunk = np.sign(w) * np.maximum(np.abs(w) - step * self.l1, 0.0) / (1.0 + step * self.l2)
        return np.clip(shrunk, self.lower, self.upper)

    def share(self, slopes) -> float:
        """The largest θ ≤ 1 with R*(−θ · slopes) finite, without regard to what is not penalised."""
        return _share(np.abs(allowed(-slopes, self.lower, self.upper)), self.l1, self.l2)

    def fenchel_gaps(self, w, slopes) -> np.ndarray:
        """R(w) + R*(−slopes) + ⟨slopes, w⟩ coordinate by coordinate, ≥ 0; without R* where it would be infinite."""
        push = np.abs(allowed(-slopes, self.lower, self.upper))
        return (self.l1 * np.abs(w) + slopes * w) + 0.5 * self.l2 * w**2 + _conjugate(push, self.l1, self.l2)


@dataclass(frozen=True)
class GroupLasso:
    r"""R(W) = Σⱼ [λⱼ ‖W·ⱼ‖₂ + ½ ρⱼ ‖W·ⱼ‖²] on lower ≤ W ≤ upper: a group is a column, a feature's coefficients.

    Where λ > 0 all coefficients of a feature are zero, or in general none: the feature is chosen for all classes or
    for none [1]_. The conjugate is that of :class:`ElasticNet` with the norm ‖e·ⱼ‖₂ in the place of |e|.

    Parameters
    ----------
    l1, l2 : ndarray (c,), float64, non-negative
        λ and ρ of each column.
    lower, upper : ndarray (R · c,), 0 or infinite
        Bounds, row by row.
    n_rows : int
        R, at least two: with one row a group is a coefficient.

    References
    ----------
    .. [1] Simon, Friedman, Hastie, "A blockwise descent algorithm for group-penalized multiresponse and multinomial
       regression", arXiv:1311.6529, 2013, eq. (2).
    """

    l1: np.ndarray
    l2: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    n_rows: int

    @property
    def penalised(self) -> np.ndarray:
        """Where R holds a coefficient back in every direction, which a proof of a gap needs."""
        return np.tile((self.l1 > 0.0) | (self.l2 > 0.0), self.n_rows)

    def value(self, w) -> float:
        """R(W), for W within the bounds."""
        return self.change(w, np.zeros_like(w))

    def change(self, w, before) -> float:
        """R(W) − R(before), which cancels nothing between groups that stayed."""
        norms, norms_before = self._norms(w), self._norms(before)
        difference = norms - norms_before
        return float(np.sum(difference * (self.l1 + 0.5 * self.l2 * (norms + norms_before))))

    def part(self, mask) -> "GroupLasso":
        """The penalty of the coordinates of a mask, which are all of some groups."""
        columns = mask.reshape(self.n_rows, -1)[0]
        return GroupLasso(self.l1[columns], self.l2[columns], self.lower[mask], self.upper[mask], self.n_rows)

    def joined(self, mask) -> np.ndarray:
        """`mask`, and all coordinates of its groups."""
        return np.tile(mask.reshape(self.n_rows, -1).any(axis=0), self.n_rows)

    def least(self, w, slopes) -> np.ndarray:
        """The least element of slopes + ∂R(W): zero exactly where W is optimal."""
        push = allowed(-slopes, self.lower, self.upper)
        norms = self._norms(push)
        share = np.divide(np.maximum(norms - self.l1, 0.0), norms, out=np.zeros_like(norms), where=norms > 0.0)
        inside = slopes + self.slope(w)
        inside = np.where(w == 0.0, -allowed(-inside, self.lower, self.upper), inside)
        return np.where(self._spread(self._norms(w) > 0.0), inside, -push * self._spread(share))

    def slope(self, w) -> np.ndarray:
        """∇R at the free coordinates of W."""
        norms = self._norms(w)
        factor = np.divide(self.l1, norms, out=np.zeros_like(norms), where=norms > 0.0) + self.l2
        return w * self._spread(factor)

    def bend(self, w) -> "Bend":
        """∇²R at the free coordinates of W."""
        norms = self._norms(w)
        inverse = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0.0)
        return Bend(self._spread(self.l2 + self.l1 * inverse), w * self._spread(np.sqrt(self.l1 * inverse) * inverse))

    def free(self, w) -> np.ndarray:
        """Where R is smooth at W: in columns that are not zero or without a kink there, but at no bound."""
        smooth = self._spread((self._norms(w) > 0.0) | (self.l1 == 0.0))
        return smooth & ((w != 0.0) | (np.isinf(self.lower) & np.isinf(self.upper)))

    def clipped(self, w, before) -> np.ndarray:
        """w within the bounds, and zero in groups that have left the half space of `before`."""
        turned = np.einsum("kj,kj->j", w.reshape(self.n_rows, -1), before.reshape(self.n_rows, -1)) < 0.0
        return np.clip(np.where(self._spread(turned & (self.l1 > 0.0)), 0.0, w), self.lower, self.upper)

    def first_kink(self, w, step) -> float:
        """The least t > 0 at which w + t step meets a bound; inf without any. A line meets no kink but by chance."""
        return _first_zero(w, step, np.isfinite(self.lower) | np.isfinite(self.upper))

    def prox(self, w, step) -> np.ndarray:
        """argmin over V of ‖V − W‖² / 2 + step · R(V); `step` is a number or one for each column."""
        inside = np.clip(w, self.lower, self.upper)
        norms = self._norms(inside)
        left = np.maximum(norms - step * self.l1, 0.0) / (1.0 + step * self.l2)
        return inside * self._spread(np.divide(left, norms, out=np.zeros_like(norms), where=norms > 0.0))

    def share(self, slopes) -> float:
        """The largest θ ≤ 1 with R*(−θ · slopes) finite, without regard to what is not penalised."""
        return _share(self._norms(allowed(-slopes, self.lower, self.upper)), self.l1, self.l2)

    def fenchel_gaps(self, w, slopes) -> np.ndarray:
        """R(W) + R*(−slopes) + ⟨slopes, W⟩ group by group, ≥ 0; without R* where it would be infinite."""
        norms, push = self._norms(w), self._norms(allowed(-slopes, self.lower, self.upper))
        product = (slopes * w).reshape(self.n_rows, -1).sum(axis=0)
        return (self.l1 * norms + product) + 0.5 * self.l2 * norms**2 + _conjugate(push, self.l1, self.l2)

    def _norms(self, w) -> np.ndarray:
        """‖W·ⱼ‖₂, (c,)."""
        return np.sqrt(np.square(w.reshape(self.n_rows, -1)).sum(axis=0))

    def _spread(self, per_column) -> np.ndarray:
        return np.tile(per_column, self.n_rows)


@dataclass(frozen=True)
class Bend:
    """A Hessian diag(d) − u uᵀ group by group, u = 0 where there are no groups.

    Attributes
    ----------
    diagonal : ndarray (m,)
    along : ndarray (m,) or None
        u; a group's entries are those of one column.
    """

    diagonal: np.ndarray
    along: np.ndarray | None = None

    def product(self, v, n_rows: int) -> np.ndarray:
        """Times v, whose coordinates stand in `n_rows` rows."""
        if self.along is None:
            return self.diagonal * v
        u = self.along.reshape(n_rows, -1)
        inner = np.einsum("kj,kj->j", u, v.reshape(n_rows, -1))
        return self.diagonal * v - (u * inner).ravel()

    def matrix(self, mask, n_rows: int) -> np.ndarray:
        """The Hessian on the coordinates of a mask, whose coordinates all stand in `n_rows` rows."""
        out = np.diag(self.diagonal[mask])
        if self.along is not None:
            group = np.tile(np.arange(len(mask) // n_rows), n_rows)[mask]
            out -= np.where(group[:, None] == group, np.outer(self.along[mask], self.along[mask]), 0.0)
        return out


def allowed(push, lower, upper) -> np.ndarray:
    """`push` where a coefficient at zero may follow it, else 0: the projection onto lower ≤ · ≤ upper."""
    return np.clip(push, lower, upper)


def _conjugate(push, l1, l2) -> np.ndarray:
    over = np.maximum(push - l1, 0.0)
    return np.divide(over**2, 2.0 * l2, out=np.zeros_like(over), where=l2 > 0.0)


def _share(push, l1, l2) -> float:
    above = (l2 == 0.0) & (l1 > 0.0) & (push > l1)
    return float(np.min(l1[above] / push[above], initial=1.0))


def _first_zero(w, step, mask) -> float:
    """The least t > 0 at which an entry of the mask in w + t step is zero."""
    nearing = mask & (w * step < 0.0)
    return float(np.min(-w[nearing] / step[nearing], initial=np.inf))
