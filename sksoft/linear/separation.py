r"""Whether, and along which features, classes are separated, so that their likelihood has no maximum.

A direction D, one row Dₖ for each class, separates where no row of the data is any worse for following it and some row
is better ([1]_; [2]_ for more than two classes)::

    ⟨D_y(i) − Dₖ, x̃ᵢ⟩ ≥ 0  for all rows i and classes k,  and > 0 for some

The separation is complete where all of them are > 0, and quasi-complete otherwise. Along such a direction the
likelihood rises for ever, so coefficients and standard errors are wherever the solver gave up. Whether one exists is
decided by linear programs in K c variables with n (K − 1) constraints ([3]_, section 4.2): the separation is complete
where all left sides can be 1, and then the sparsest such direction, min Σ |Dₖⱼ|, is the one whose features are named.
Else the sum of the left sides is maximised in a box; where it is positive, the sparsest direction that has 1 for the
pair told apart furthest is named, with all that its features tell apart. Each is solved with the few constraints that
bind: those tightest at the coefficients at hand, then those that its solutions violate, until none is.

Each program costs what HiGHS takes on some thousand rows, between milliseconds and, at thousands of coefficients,
minutes; each round is one sweep over the data besides, O(n p K). So it is run where there is cause only:
``inference_likelihood`` says what causes there are.

References
----------
.. [1] Albert, Anderson, "On the existence of maximum likelihood estimates in logistic regression models",
   Biometrika 71(1), 1984.
.. [2] Lesaffre, Albert, "Partial separation in logistic discrimination", J. R. Stat. Soc. B 51(1), 1989.
.. [3] Konis, "Linear programming algorithms for detecting separated data in binary logistic regression models",
   DPhil thesis, University of Oxford, 2007.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.optimize import linprog
from scipy.special import softmax

from sksoft.kernels.blocks import map_blocks
from sksoft.linear.inference_columns import Columns
from sksoft.objective.targets import Target

# Constraints added to a program in each round, at least and per variable; and rounds.
ADDED, ADDED_PER_VARIABLE, MAX_ROUNDS = 500, 4, 200
# A margin below this is violated, and above this positive: columns have mean square 1, and directions entries up to 1.
VIOLATED, POSITIVE = -1e-7, 1e-6
# Share of the largest entry of a direction above which a feature is named.
NAMED = 1e-4
TOLERANCES = {"primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}


@dataclass(frozen=True)
class Separation:
    """A direction along which the likelihood rises for ever.

    Attributes
    ----------
    kind : {'complete', 'quasi-complete'}
    coef : ndarray (K, p)
        Coefficients of the direction, one row for each class; only their ratios mean anything.
    intercept : ndarray (K,)
    features : ndarray of int
        The columns of X that it needs.
    counts : ndarray (K, K) of int
        ``counts[y, k]``: how many rows of class y it tells from class k.
    n_rows : int
        How many rows it tells from some class.
    """

    kind: str
    coef: np.ndarray
    intercept: np.ndarray
    features: np.ndarray
    counts: np.ndarray
    n_rows: int


def separation(
    columns: Columns,
    triangle: np.ndarray,
    kept: np.ndarray,
    target: Target,
    weights: np.ndarray,
    matrix: np.ndarray,
    *,
    offset: np.ndarray | None = None,
    gap: float = np.inf,
) -> Separation | None:
    """The direction that separates classes of the data, or None where none does.

    Parameters
    ----------
    columns : Columns
    triangle : ndarray
        ``columns.triangle()``.
    kept : ndarray of int
        Columns that do not depend on others.
    target : Target of n rows
        All classes that a row has a share of are its own.
    weights : ndarray (n,), positive
    matrix : ndarray (K, c)
        Coefficients of [1, X], or of X without an intercept, where an unpenalised fit ended. They decide where the
        search begins, and what is complete where they separate all rows, no more.
    offset : ndarray (n, K), optional
        Known scores at these coefficients. What is separated does not depend on them.
    gap : float, default=inf
        How far the summed loss Σ w L at these coefficients may be above its infimum, in nats, where that is known.
        The probability of a class that the row can be separated from is at most gap / wᵢ, which spares programs.

    Returns
    -------
    separation : Separation or None

    Raises
    ------
    RuntimeError
        If a linear program cannot be solved.
    """
    scale = np.sqrt(columns.n_rows) / np.linalg.norm(triangle[:, kept], axis=0)
    scaling = np.zeros((columns.n_raw, len(kept)))
    scaling[kept, np.arange(len(kept))] = scale
    pairs = _Pairs(columns.times(scaling), target, weights)
    at_hand = columns.from_raw(matrix)[:, kept] / scale
    survey = pairs.survey(at_hand, offset=offset, limit=gap)
    if survey.least <= 0.0 and survey.objective is None:
        return None
    free = int(columns.intercept and kept[0] == 0)
    direction = _program(pairs, survey.tightest, least=1.0, free=free)
    complete = direction is not None or survey.least > 0.0
    if direction is None:
        direction = at_hand if complete else _partial(pairs, survey, free)
    if direction is None:
        return None
    return _described(columns, pairs, kept, scale, direction, complete)


@dataclass(frozen=True)
class _Triples:
    """Constraints ⟨Dₐ − Dₖ, x̃ᵢ⟩ ≥ 0: rows i, classes a of theirs, other classes k, and the margins that ranked them."""

    rows: np.ndarray
    own: np.ndarray
    other: np.ndarray
    margins: np.ndarray

    def tightest(self, n: int) -> "_Triples":
        chosen = np.argsort(self.margins, kind="stable")[:n]
        return _Triples(*(part[chosen] for part in (self.rows, self.own, self.other, self.margins)))

    def joined(self, others: "_Triples") -> "_Triples":
        return _Triples(
            *(np.concatenate([getattr(self, f), getattr(others, f)]) for f in ("rows", "own", "other", "margins"))
        )


@dataclass(frozen=True)
class _Survey:
    """What one sweep says of a direction.

    Attributes
    ----------
    least, most : float
        The smallest and largest margin.
    tightest, widest : _Triples
        The constraints of the smallest margins, and the one of the largest.
    objective : ndarray (K, m) or None
        Its product with D is the sum of the margins of all pairs that may be separated; None where there are none.
    """

    least: float
    most: float
    tightest: _Triples
    widest: _Triples
    objective: np.ndarray | None


@dataclass(frozen=True)
class _Pairs:
    """All pairs of a row and a class that is not its own."""

    columns: Columns
    target: Target
    weights: np.ndarray

    @property
    def n_classes(self) -> int:
        return self.target.n_classes

    @property
    def shape(self) -> tuple[int, int]:
        return self.n_classes, self.columns.n_columns

    @property
    def batch(self) -> int:
        """Constraints that a round adds."""
        return max(ADDED, ADDED_PER_VARIABLE * self.shape[0] * self.shape[1])

    def margins(self, direction: np.ndarray, rows, X=None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """⟨Dₐ − Dₖ, x̃ᵢ⟩ (n', K) with a the worst of a row's own classes; a; and which classes are its own."""
        scores = (self.columns.rows(rows) if X is None else X) @ direction.T
        own = self._own(rows)
        worst = np.where(own, scores, np.inf).argmin(axis=1)
        return scores[np.arange(len(scores)), worst][:, None] - scores, worst, own

    def _own(self, rows) -> np.ndarray:
        shares = self.target.rows(rows).weighted(self.weights[rows])
        return (shares.toarray() if sparse.issparse(shares) else shares) > 0.0

    def survey(self, direction: np.ndarray, *, offset=None, limit: float | None = None) -> _Survey:
        """One sweep over all pairs, O(n m K)."""

        def of_block(rows):
            X = self.columns.rows(rows)
            margins, worst, own = self.margins(direction, rows, X)
            triples = _all_triples(margins, worst, rows.start)
            tightest = triples.tightest(self.batch)
            widest = int(np.argmax(triples.margins)) if len(triples.margins) else None
            part = None if limit is None else self._objective(X, margins, own, rows, offset, limit)
            return tightest, None if widest is None else _one(triples, widest), part

        found = map_blocks(of_block, self.columns.blocks(8 * (self.columns.n_columns + 4 * self.n_classes)))
        tightest = found[0][0]
        for triples, _, _ in found[1:]:
            tightest = tightest.joined(triples).tightest(self.batch)
        widest = max((one for _, one, _ in found if one is not None), key=lambda one: one.margins[0])
        parts = [part for _, _, part in found if part is not None]
        objective = sum(parts[1:], parts[0]) if parts else None
        return _Survey(float(tightest.margins[0]), float(widest.margins[0]), tightest, widest, objective)

    def _objective(self, X, margins, own, rows, offset, limit):
        """Σ over pairs that may be separated of (e_a − eₖ) x̃ᵢ', for all a of a row's own classes alike."""
        scores = -margins if offset is None else offset[rows] - margins
        may = (softmax(scores, axis=1) * self.weights[rows, None] <= limit) & ~own
        if not may.any():
            return None
        spread = own / own.sum(axis=1, keepdims=True) * may.sum(axis=1, keepdims=True) - may
        return spread.T @ X

    def rows_of(self, triples: _Triples) -> sparse.csr_array:
        """The constraints' left sides as a matrix of the K m entries of D."""
        X, (_, m) = self.columns.rows(triples.rows), self.shape
        n, features = len(triples.rows), np.arange(m)
        indices = np.hstack([triples.own[:, None] * m + features, triples.other[:, None] * m + features])
        indptr = np.arange(0, 2 * m * n + 1, 2 * m)
        return sparse.csr_array((np.hstack([X, -X]).ravel(), indices.ravel(), indptr), shape=(n, self.n_classes * m))


def _one(triples: _Triples, at: int) -> _Triples:
    return _Triples(*(getattr(triples, f)[at : at + 1] for f in ("rows", "own", "other", "margins")))


def _all_triples(margins, worst, start: int) -> _Triples:
    """Every pair of a block but a row with the class it was compared with."""
    keep = np.arange(margins.shape[1]) != worst[:, None]
    rows, other = np.nonzero(keep)
    return _Triples(rows + start, worst[rows], other, margins[rows, other])


def _program(pairs: _Pairs, triples: _Triples, *, objective=None, least: float = 0.0, fixed=None, free: int = 0):
    """Solve a program with more and more of its constraints; the direction (K, m), or None where it has none.

    Parameters
    ----------
    pairs : _Pairs
    triples : _Triples
        To begin with.
    objective : ndarray (K, m), optional
        What is maximised over −1 <= D <= 1. Without one Σ |D| is minimised, over all but the first `free` columns.
    least : float, default=0.0
        What every margin has to reach.
    fixed : _Triples, optional
        One pair whose margin has to reach 1.
    """
    for _ in range(MAX_ROUNDS):
        A = pairs.rows_of(triples)
        floor = np.full(A.shape[0], least)
        if fixed is not None:
            A, floor = sparse.vstack([A, pairs.rows_of(fixed)], format="csr"), np.append(floor, 1.0)
        direction = _largest(A, objective) if objective is not None else _sparsest(A, floor, pairs.shape, free)
        if direction is None:
            return None
        survey = pairs.survey(direction)
        violated = survey.tightest.margins < least + VIOLATED * max(1.0, np.abs(direction).max())
        if not violated.any():
            return direction
        triples = triples.joined(survey.tightest.tightest(int(violated.sum())))
    raise RuntimeError(f"whether classes are separated was not decided in {MAX_ROUNDS} linear programs.")


def _largest(A, objective: np.ndarray) -> np.ndarray:
    gain = objective / np.abs(objective).max()
    result = linprog(-gain.ravel(), A_ub=-A, b_ub=np.zeros(A.shape[0]), bounds=(-1.0, 1.0), options=TOLERANCES)
    if not result.success:
        raise RuntimeError(f"the linear program for separation failed: {result.message}")
    return result.x.reshape(objective.shape)


def _sparsest(A, floor, shape, free: int) -> np.ndarray | None:
    """min Σ |Dₖⱼ| over features, by parts D = D⁺ − D⁻ >= 0; None where it is infeasible or too hard."""
    price = np.ones(shape)
    price[:, :free] = 0.0
    parts = sparse.hstack([-A, A], format="csr")
    result = linprog(np.tile(price.ravel(), 2), A_ub=parts, b_ub=-floor, bounds=(0.0, None), options=TOLERANCES)
    if not result.success:
        return None
    plus, minus = result.x.reshape(2, *shape)
    return plus - minus


def _partial(pairs: _Pairs, survey: _Survey, free: int) -> np.ndarray | None:
    """The sparsest direction that separates at least the pair that can be separated furthest, or None."""
    furthest = _program(pairs, survey.tightest, objective=survey.objective)
    checked = pairs.survey(furthest)
    if checked.most < POSITIVE or checked.least < -NAMED * checked.most:
        return None
    sparsest = _program(pairs, checked.tightest, fixed=checked.widest, free=free)
    return furthest if sparsest is None else _all_told(pairs, sparsest, free)


def _all_told(pairs: _Pairs, direction: np.ndarray, free: int) -> np.ndarray:
    """The direction along the same features that tells most pairs apart."""
    used = np.abs(direction).max(axis=0) > NAMED * np.abs(direction).max()
    used[:free] = True
    assert pairs.columns.matrix is not None
    few = replace(pairs, columns=pairs.columns.times(pairs.columns.matrix[:, used]))
    survey = few.survey(direction[:, used], limit=np.inf)
    told = np.zeros(pairs.shape)
    told[:, used] = _program(few, survey.tightest, objective=survey.objective)
    return told


def _described(columns: Columns, pairs: _Pairs, kept, scale, direction, complete: bool) -> Separation:
    direction = direction / np.abs(direction).max()

    def counted(rows):
        margins, _, own = pairs.margins(direction, rows)
        apart = margins > POSITIVE
        return own.T.astype(np.intp) @ apart, int(apart.any(axis=1).sum())

    parts = map_blocks(counted, pairs.columns.blocks(8 * (pairs.shape[1] + 4 * pairs.n_classes)))
    theta = np.zeros((pairs.n_classes, columns.n_raw))
    theta[:, kept] = direction * scale
    features = kept[np.abs(direction).max(axis=0) > NAMED] - columns.intercept
    raw = theta @ columns.to_raw.T
    return Separation(
        kind="complete" if complete else "quasi-complete",
        coef=raw[:, int(columns.intercept) :],
        intercept=raw[:, 0] if columns.intercept else np.zeros(pairs.n_classes),
        features=features[features >= 0],
        counts=sum(counts for counts, _ in parts),
        n_rows=sum(rows for _, rows in parts),
    )
