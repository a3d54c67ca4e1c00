"""F(w) = Σᵢ sᵢ L(tᵢ, zᵢ(w)) / Σᵢ sᵢ + R(w), as a solver sees it.

``Objective.at(w)`` evaluates value and gradient in one sweep and returns a :class:`Point`, whose ``curvature()`` has
Hessian products of another sweep each. With J the Jacobian of the scores and P the link's Jacobian at the rows'
distributions::

    ∇F = Jᵀ s (p − t) + ∇R          ∇²F v = Jᵀ s P (J v) + ∇²R v        (the scores here are linear in w)

Where the problem is large enough to gain from it, ``at(w, rough=True)`` evaluates in float32, and products are in
float32 whatever the point was evaluated in.
"""

from functools import cached_property

import numpy as np

from sksoft.kernels import placement, splitmix
from sksoft.kernels.blocks import scratch
from sksoft.kernels.registry import AUTO_SIZE, backend_for
from sksoft.objective import duality, preconditioning
from sksoft.objective.batches import Block, InMemory
from sksoft.objective.curvature import Curvature
from sksoft.objective.design import Sparse
from sksoft.objective.device_design import DeviceDense
from sksoft.objective.elastic_duality import elastic_gap
from sksoft.objective.feature_columns import DenseColumns, SparseColumns
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.penalties import ElasticNet, GroupLasso, Ridge
from sksoft.objective.quadratic_model import QuadraticModel
from sksoft.objective.scores import Diagonal, Linear
from sksoft.objective.targets import Labels

# Size of the distributions that are kept where nothing else is said.
KEEP_BYTES = 1 << 30
# Multiply-adds of a sweep from which float32 repays its copy of the data.
ROUGH_SIZE = 1 << 19
# Entries of X up to which a fit takes less time than a compiler, unless it has so many scores: as 2 000 rows of one
# label each have not.
TOY_SIZE, TOY_SCORES = 2000 * 20, 1 << 22
# From so many rows on, and so many per parameter, a share of them is worth solving first.
SKETCHED, SKETCHED_PER_PARAMETER = 50_000, 20
# Scores from which loops over them weigh anything beside the products of a fit in float32.
FEW_SCORES = 1 << 13


class Objective:
    """A loss on scores over batches plus a penalty.

    Parameters
    ----------
    loss : FenchelYoung
    scores : Linear or Diagonal
    batches : InMemory
    penalty : Ridge, ElasticNet or GroupLasso
        Those that are not a ridge are for ``solvers.proximal_newton``.
    rough : bool, optional
        Whether float32 may be used; by default where a sweep is large enough to gain from it.
    keep_bytes : float, optional
        Distributions of all rows are kept for Hessian products up to this size, and computed again above it.
    """

    def __init__(
        self,
        loss: FenchelYoung,
        scores,
        batches: InMemory,
        penalty: Ridge | ElasticNet | GroupLasso,
        *,
        rough: bool | None = None,
        keep_bytes: float | None = None,
    ):
        self.loss = loss
        self.scores = scores
        self.batches = batches
        self.penalty = penalty
        self._shape = (batches.n_samples, batches.n_classes)
        n_scores = batches.n_samples * batches.n_classes
        toy = batches.design.size <= TOY_SIZE and n_scores < TOY_SCORES
        products = scores.n_parameters if isinstance(scores, Linear) else batches.n_classes
        worthwhile = batches.n_samples * products >= ROUGH_SIZE and batches.design.cheap_single
        self.rough = (worthwhile and not toy) if rough is None else rough
        # One decision for the whole fit, by its whole size: the blocks alone are too small to judge.
        compiled = n_scores >= FEW_SCORES and (self.rough or isinstance(scores, Diagonal))
        size = 0 if toy else AUTO_SIZE if compiled else n_scores
        self.backend = backend_for(size, data=batches.design.X)
        self.product_dtype = np.dtype(np.float32 if self.rough else np.float64)
        self.keep_bytes = KEEP_BYTES if keep_bytes is None else keep_bytes
        self._kept_for: Point | None = None
        self.price = 0.0  # of a unit of gradient in the intercepts, in the gap at the last point

    def at(self, w: np.ndarray, *, rough: bool = False) -> "Point":
        """Evaluate at w: one sweep over the rows. O(n p K)."""
        point = Point(self, w, rough)
        self._kept_for = None
        loss, *sums = self._sweep(w, np.dtype(np.float32 if rough else np.float64))
        self._kept_for = point
        slopes = self.scores.flat(sums)
        del sums  # vectors may be as large as all data
        point.value = loss + self.penalty.value(w)
        if isinstance(self.penalty, Ridge):
            point.gradient = self.penalty.add_hessian_product(w, slopes)  # in their place
        else:
            point.slopes, point.gradient = slopes, self.penalty.least(w, slopes)
        return point

    def _sweep(self, w: np.ndarray, dtype: np.dtype) -> tuple:
        """Mean loss and the sums of its slopes at w over all rows, whose distributions are kept."""
        proba, design = self._proba, self.batches.design
        prepared = self.scores.prepare(w, design, dtype)

        def partial(block: Block):
            with self.backend():
                X = block.X(dtype)
                z = residual = self.block_scores(prepared, block, X)
                if design.double_losses and dtype == np.float32:
                    residual = scratch("residual", z.shape)
                    residual[...] = z
                kept = None if proba is None else proba[block.rows]
                direct = kept is None or kept.dtype == residual.dtype
                computed = kept if direct else scratch("proba", z.shape, residual.dtype, design.score_order, z)
                value = self.loss.evaluate(residual, block.target, block.weights, residual=residual, proba=computed)
                if kept is not None and not direct:
                    kept[...] = computed
                if residual is not z:
                    z[...] = residual
                return value, *self.scores.adjoint(z, X)

        return self.batches.map_reduce(partial)

    def block_scores(self, prepared, block: Block, X) -> np.ndarray:
        """The scores of a block's rows X, offsets included, in a buffer of this thread."""
        shape = len(block.weights), self._shape[1]
        buffer = scratch("scores", shape, X.dtype, self.batches.design.score_order, X)
        z = self.scores.scores(prepared, X, buffer)
        if block.offset is not None:
            z += block.offset
        return z

    def refine(self) -> None:
        """Hessian products in float64 from now on."""
        self.product_dtype = np.dtype(np.float64)
        self.__dict__.pop("_proba", None)
        self._kept_for = None

    @property
    def sketchable(self) -> bool:
        """Whether the solution for a share of the rows is worth its time."""
        enough = max(SKETCHED, SKETCHED_PER_PARAMETER * self.scores.n_free)
        return self.rough and self.batches.n_samples >= enough and self.batches.design.keep

    def sample(self, share: float) -> "Objective":
        """The objective of about a share of the rows, in float32, under the same penalty."""
        batches = self.batches.chosen(splitmix.drawn_rows(self._shape[0], share))
        batches.weights = batches.weights / batches.weights.sum()
        return Objective(self.loss, self.scores, batches, self.penalty, rough=True)

    @cached_property
    def rungs(self):
        """The preconditioners worth building, from cheap to dear."""
        return preconditioning.rungs(self)

    @cached_property
    def damping_scale(self):
        """Mean squares of the columns, the unit of a damping."""
        return preconditioning.column_squares(self)

    def prepare_proofs(self) -> None:
        """Compute what a gap needs, before there are other vectors as large."""
        if isinstance(self.penalty, Ridge) and duality.provable(self) and duality.free_column(self) is not None:
            self.moments  # noqa: B018  # kept from now on

    def bound_from(self, residual: np.ndarray) -> float:
        """About the gap of a point with this gradient; 0 where no gap is proved."""
        return duality.bound_from(self, residual)

    def separates(self, w: np.ndarray) -> bool:
        """Whether at w every label has a score above all others of its row: then a multiple of w is better still."""
        target = self.batches.target
        if not isinstance(target, Labels):
            return False
        prepared = self.scores.prepare(w, self.batches.design, np.float64)

        def partial(block: Block):
            z = self.block_scores(prepared, block, block.X())
            own = placement.namespace(z).arange(len(z)), target.codes[block.rows]
            true_scores = z[own]
            z[own] = -np.inf
            return (int((true_scores > z.max(axis=1)).sum()),)

        return self.batches.map_reduce(partial)[0] == self._shape[0]

    @cached_property
    def _proba(self) -> np.ndarray | None:
        """Buffer (n, K) of the distributions at the point evaluated last, or None where it would be too large."""
        if self.product_dtype.itemsize * self._shape[0] * self._shape[1] > self.keep_bytes:
            return None
        design = self.batches.design
        return placement.namespace(design.X).empty(self._shape, self.product_dtype, order=design.score_order)

    @cached_property
    def columns(self) -> SparseColumns | DenseColumns:
        """The design column by column: a copy, for descent along coordinates."""
        design = self.batches.design
        if isinstance(design, Sparse):
            return SparseColumns(design, ones=self.scores.fit_intercept)
        if isinstance(design, DeviceDense):
            raise TypeError("Descent along coordinates works on the host, and X is on a CUDA device.")
        return DenseColumns(design)

    @cached_property
    def moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weighted means of x, of t and of t xᵀ: constants of the fit that the duality gap needs."""
        return duality.class_moments(self)

    @cached_property
    def offset_range(self) -> float:
        """Weighted mean of the largest minus the smallest offset of a row; 0 without offsets."""
        offset = self.batches.offset
        return 0.0 if offset is None else float(self.batches.weights @ np.ptp(offset, axis=1))

    def proba(self, point: "Point", block: Block, dtype=np.float64) -> np.ndarray:
        """Distributions of a block's rows at `point`: kept from its evaluation, or computed again."""
        if self._proba is not None and self._kept_for is point:
            return self._proba[block.rows]
        prepared = self.scores.prepare(point.w, self.batches.design, dtype)
        z = self.block_scores(prepared, block, block.X(dtype))
        return self.loss.link.predict(z, out=z)

    def all_proba(self, point: "Point") -> np.ndarray | None:
        """Distributions of all rows at `point`, or None where they would be too large to keep."""
        everything = self._proba
        if everything is not None and self._kept_for is not point:

            def partial(block: Block):
                with self.backend():
                    everything[block.rows] = self.proba(point, block, self.product_dtype)
                return ()

            self.batches.map_reduce(partial)
            self._kept_for = point
        return everything


class Point:
    """F at one w.

    Attributes
    ----------
    w : ndarray (n_parameters,)
    rough : bool
        Whether value and gradient are of float32 accuracy.
    value : float
    slopes : ndarray (n_parameters,)
        Gradient of the loss alone; kept where the penalty has kinks.
    gradient : ndarray (n_parameters,)
        Of F; where F has a kink, its least subgradient.
    """

    value: float
    slopes: np.ndarray
    gradient: np.ndarray

    def __init__(self, objective: Objective, w: np.ndarray, rough: bool = False):
        self.objective, self.w, self.rough = objective, w, rough

    def curvature(self, threshold: float = 0.0) -> Curvature:
        """∇²F(w), without the rows whose curvature is below `threshold` times the mean."""
        return Curvature.at(self, threshold)

    def hessian_product(self, v: np.ndarray) -> np.ndarray:
        """∇²F(w) v: one sweep over the rows. O(n p K)."""
        return self.curvature().product(v)

    def gap(self) -> float:
        """A proved bound on F(w) − min F, or nan where there is no penalty to prove it with."""
        return duality.ridge_gap(self) if isinstance(self.objective.penalty, Ridge) else elastic_gap(self)

    def model(self, mask: np.ndarray, caution: float = 0.0) -> QuadraticModel:
        """The model of F on the coordinates of a mask, under a penalty with kinks; 0 ≤ caution ≤ 2."""
        return QuadraticModel.at(self, mask, caution)
