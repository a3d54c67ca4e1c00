"""A temperature for every group, drawn towards that of all where a group has few rows."""

from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral, Real

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from sksoft._validation import ClassifierMixin, Interval, StrOptions, check_is_fitted, fit_context
from sksoft._warnings import warn
from sksoft.calibration.row_temperatures import softmax_at
from sksoft.calibration.score_input import ScoredRows, new_logits, scored_rows
from sksoft.calibration.score_output import most_likely
from sksoft.calibration.temperature_scaler import TemperatureScaler, fit_to_rows
from sksoft.kernels import placement
from sksoft.kernels.blocks import serial_blas
from sksoft.kernels.temperature import temperature_sums
from sksoft.metrics.folds import content_folds
from sksoft.metrics.sensitive import partition_rows
from sksoft.metrics.temperature import best_temperature
from sksoft.objective.temperature import BetaPoint
from sksoft.solvers import log_newton

# What cross-validation chooses among, the strongest first: standard deviations of δ of 0, .03, .1, .3, 1 and 3.
SHRINKAGES = (np.inf, 500.0, 50.0, 5.0, 0.5, 0.05)
# 1 / T of a group within these factors of that of all.
BOUNDS = (1e-6, 1e6)
# A gain in the held-out loss below this share of it is rounding.
RESOLUTION = 1e-12


class GroupTemperatureScaler(ClassifierMixin, BaseEstimator):
    r"""Temperature scaling with a temperature for every group, shrunk towards the pooled one.

    T is that of :class:`TemperatureScaler` on all rows. Each group g has T_g = T exp(δ_g), where δ_g minimises

        Σ_{i in g} sᵢ (log Σⱼ exp(zᵢⱼ / T_g) − z_{i,yᵢ} / T_g) + λ δ_g²

    as if δ were normal with standard deviation 1 / √(2λ): a group of many rows gets its own temperature, one of few
    keeps close to T. A group not seen in ``fit`` has δ = 0. The order of the classes in each row stays: decisions do
    not change, only how sure they sound.

    Parameters
    ----------
    shrinkage : float in (0, inf] or 'cv', default='cv'
        λ, in nats; inf is one temperature for all. 'cv' takes that of inf, 500, 50, 5, 0.5 and 0.05 with the least
        log-loss on held-out rows, and of equals the strongest.
    cv : int >= 2, default=5
        Folds, made from the content of the rows: equal rows share one, and their order does not matter.
    input : {'logits', 'proba'}, default='logits'
        What X is: scores (any number), or probabilities, of which the logarithm is taken. Never guessed from values.
    classes : array-like of shape (K,), default=None
        Labels of the columns of X, in their order. By default the sorted labels in `y`, which must then be K.
    weight_type : {'sampling', 'frequency'}, default='sampling'
        How standard errors read sample weights: as importance, with n_eff = (Σ s)² / Σ s², or as repetitions, with
        n = Σ s. The temperatures are the same: for them a weight is a repetition.
    tol : float in [0, inf), default=1e-10
        Stop when the Newton step in log T is at most this.
    max_iter : int >= 1, default=100

    Attributes
    ----------
    temperature_ : float > 0
        T, for groups not seen in ``fit``.
    temperatures_ : DataFrame
        One row per group: ``group``, ``n`` (sum of its weights), ``temperature`` and ``stderr``, the spread of T_g over
        samples, with both the group's and the pooled temperature taken as estimates.
    shrinkage_ : float
        λ.
    shrinkage_losses_ : DataFrame or None
        ``shrinkage`` and ``log_loss``, the mean over held-out rows in nats; None where λ was given or there is one
        group.
    loss_ : float
        Mean log-loss of the rows fitted to, in nats.
    converged_ : bool
    n_iter_ : int
        Most steps that a temperature took.
    classes_ : ndarray of shape (K,)
    n_features_in_ : int
        Columns of X.

    Notes
    -----
    O(n K) time per step, with about six steps for each λ and fold; one copy of X, by group. In δ the problem of a group
    may have more than one minimum; the one taken is reached from δ = 0 without climbing.

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft import GroupTemperatureScaler
    >>> rng = np.random.default_rng(0)
    >>> group = rng.choice(["adults", "children"], size=4000, p=[0.9, 0.1])
    >>> honest = 2 * rng.normal(size=(4000, 3))
    >>> y = (honest + rng.gumbel(size=honest.shape)).argmax(axis=1)
    >>> scores = honest * np.where(group == "adults", 1.5, 4.0)[:, None]  # too sure, of children most
    >>> scaler = GroupTemperatureScaler().fit(scores, y, sensitive_features=group)
    >>> scaler.temperatures_.round(2)
          group       n  temperature  stderr
    0    adults  3624.0         1.50    0.04
    1  children   376.0         4.44    0.35
    """

    _parameter_constraints = {
        "shrinkage": [Interval(Real, 0, None, closed="right"), StrOptions({"cv"})],
        "cv": [Interval(Integral, 2, None, closed="left")],
        "input": [StrOptions({"logits", "proba"})],
        "classes": ["array-like", None],
        "weight_type": [StrOptions({"sampling", "frequency"})],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        shrinkage="cv",
        *,
        cv=5,
        input="logits",
        classes=None,
        weight_type="sampling",
        tol=1e-10,
        max_iter=100,
    ):
        self.shrinkage = shrinkage
        self.cv = cv
        self.input = input
        self.classes = classes
        self.weight_type = weight_type
        self.tol = tol
        self.max_iter = max_iter

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, sensitive_features=None):
        """Find the temperatures.

        Parameters
        ----------
        X : array-like of shape (n, K), or (n,) for two classes
            Finite scores, or probabilities, as `input` says. One-dimensional scores z mean (0, z).
            Those on a CUDA device are computed on there.
        y : array-like of shape (n,)
            Labels of any type, each one of the K classes.
        sample_weight : array-like of shape (n,), default=None
            Finite, non-negative, not all zero.
        sensitive_features : Series, DataFrame, dict of arrays, or array-like (n,) or (n, n_features), default=None
            The group of each row; of several features every combination is a group, and a missing value is one.
            None means that all rows are one group.

        Returns
        -------
        self : GroupTemperatureScaler

        Raises
        ------
        ValueError
            For bad scores, probabilities or weights, a label that is not in `classes`, or columns or rows that do not
            match.

        Warns
        -----
        ConvergenceWarning
            If the best temperature of all rows is zero or infinite.
        """
        rows = scored_rows(X, y, sample_weight, input=self.input, classes=self.classes, name="GroupTemperatureScaler")
        self.classes_, self.n_features_in_ = rows.classes, len(rows.classes)
        groups, names, self._n_group_features = _groups(sensitive_features, len(rows.kept), rows.kept)
        order = np.argsort(groups, kind="stable")
        groups, order = groups[order], placement.where(rows.logits, order)
        grouped = _Grouped(
            rows.logits[order],
            rows.codes[order],
            rows.weights[order],
            groups,
            len(names),
            self.tol,
            self.max_iter,
        )
        with serial_blas():  # many small products, on one thread each
            self._find(rows, grouped, names)
        return self

    def _find(self, rows: ScoredRows, grouped: "_Grouped", names: list):
        """All temperatures and what is known of them."""
        pooled = fit_to_rows(
            TemperatureScaler(weight_type=self.weight_type, tol=self.tol, max_iter=self.max_iter), rows
        )
        self.shrinkage_, self._held_out_losses = self._choose(grouped)
        betas = grouped.fit(grouped.weights, 1.0 / pooled.temperature_, self.shrinkage_)
        self.temperature_ = pooled.temperature_
        self.loss_ = grouped.loss(grouped.weights, betas) / float(rows.weights.sum())
        self._names, self._group_weights = names, np.bincount(grouped.groups, placement.to_host(grouped.weights))
        self._temperatures = 1.0 / betas
        self._stderrs = self._errors(grouped, betas, pooled)
        self.converged_ = pooled.converged_ and grouped.converged
        self.n_iter_ = max(pooled.n_iter_, grouped.n_iter)

    @property
    def temperatures_(self) -> pd.DataFrame:
        """Temperature of each group."""
        check_is_fitted(self)
        return pd.DataFrame(
            {
                "group": self._names,
                "n": self._group_weights,
                "temperature": self._temperatures,
                "stderr": self._stderrs,
            }
        )

    @property
    def shrinkage_losses_(self) -> pd.DataFrame | None:
        """Held-out losses that λ was chosen by."""
        check_is_fitted(self)
        if self._held_out_losses is None:
            return None
        return pd.DataFrame({"shrinkage": SHRINKAGES, "log_loss": self._held_out_losses})

    def _choose(self, grouped: "_Grouped") -> tuple[float, np.ndarray | None]:
        """λ, and the held-out losses it was chosen by."""
        if self.shrinkage != "cv":
            return float(self.shrinkage), None
        if grouped.n_groups == 1:
            return np.inf, None
        strata = placement.to_host(grouped.codes) * grouped.n_groups + grouped.groups
        folds = content_folds(grouped.logits, strata, self.cv)
        losses, total = np.zeros(len(SHRINKAGES)), 0.0
        for fold in range(self.cv):
            out = placement.where(grouped.logits, folds == fold)
            train, held = np.where(out, 0.0, grouped.weights), np.where(out, grouped.weights, 0.0)
            if not (train.any() and held.any()):
                continue
            beta = best_temperature(grouped.logits, grouped.codes, train, tol=self.tol, max_iter=self.max_iter).beta
            losses += [grouped.loss(held, grouped.fit(train, beta, strength)) for strength in SHRINKAGES]
            total += float(held.sum())
        if total == 0.0:
            return np.inf, None
        best = 0
        for i in range(1, len(losses)):
            if losses[i] < losses[best] * (1.0 - RESOLUTION):
                best = i
        return SHRINKAGES[best], losses / total

    def _errors(self, grouped, betas, pooled) -> np.ndarray:
        """Standard errors of the groups' temperatures."""
        relative = grouped.weights / grouped.weights.max()
        effective = float(relative.sum() ** 2 / (relative @ relative) / grouped.weights.sum())
        scale = 1.0 if self.weight_type == "frequency" else effective
        information = grouped.information(grouped.weights, betas)
        if np.isinf(self.shrinkage_):
            own = np.zeros(len(betas))
        else:
            own = information / (information + 2.0 * self.shrinkage_)
        # log T_g is about own · (its estimate alone) + (1 − own) · pooled, and the pooled one is a mean of all of these
        of_pooled = (pooled.temperature_stderr_ / pooled.temperature_) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            alone = np.where(own > 0.0, own**2 / (scale * information), 0.0)
        variance = alone + (1.0 - own**2) * of_pooled
        return np.sqrt(variance) / betas

    def predict_proba(self, X, sensitive_features=None):
        """Calibrated probabilities.

        Parameters
        ----------
        X : array-like of shape (n, K), or (n,) for two classes
            As in ``fit``.
        sensitive_features : as in ``fit``, default=None
            None gives every row the pooled temperature, as a group not seen in ``fit`` has it.

        Returns
        -------
        proba : ndarray of shape (n, K)
            Columns in the order of ``classes_``; rows sum to one.

        Warns
        -----
        UserWarning
            For groups not seen in ``fit``.
        """
        logits = new_logits(self, X)
        if sensitive_features is None:
            temperatures = placement.namespace(logits).full(len(logits), self.temperature_)
            return placement.beside(softmax_at(logits, temperatures), X)
        groups, names, n_features = _groups(sensitive_features, len(logits), None)
        if n_features != self._n_group_features:
            raise ValueError(
                f"sensitive_features has {n_features} columns, but GroupTemperatureScaler was fitted with"
                f" {self._n_group_features}."
            )
        by_name = dict(zip(self._names, self._temperatures))
        unseen = [name for name in names if name not in by_name]
        if unseen:
            warn(f"Groups not seen in fit have the pooled temperature: {unseen[:10]}.", UserWarning)
        temperatures = np.array([by_name.get(name, self.temperature_) for name in names])
        return placement.beside(softmax_at(logits, placement.where(logits, temperatures[groups])), X)

    def predict(self, X, sensitive_features=None):
        """The label of the largest score; of equals, the first.

        Parameters
        ----------
        X : array-like of shape (n, K), or (n,) for two classes
        sensitive_features : ignored
            No temperature changes the order of the classes; for calls that are those of ``predict_proba``.

        Returns
        -------
        labels : ndarray of shape (n,)
        """
        return most_likely(new_logits(self, X), self.classes_, X)


def _groups(sensitive_features, n_rows: int, kept) -> tuple[np.ndarray, list, int]:
    """Group of each row, the groups' names, and of how many features they are combinations."""
    if sensitive_features is None:
        return np.zeros(n_rows if kept is None else int(kept.sum()), dtype=np.intp), ["overall"], 0
    partition = partition_rows(sensitive_features, n_rows, kept)
    finest = partition.levels[-1]
    return finest.members[partition.codes], finest.groups, max(len(partition.levels) - 2, 1)


class _Grouped:
    """Rows in the order of their groups, and the losses of these; scores, codes and weights where the scores live."""

    def __init__(self, logits, codes, weights, groups, n_groups: int, tol: float, max_iter: int):
        self.logits, self.codes, self.weights, self.groups, self.n_groups = logits, codes, weights, groups, n_groups
        self.tol, self.max_iter = tol, max_iter
        edges = np.searchsorted(groups, np.arange(n_groups + 1))
        self.slices = [slice(start, stop) for start, stop in pairwise(edges)]
        self.converged, self.n_iter = True, 0

    def sums(self, rows: slice, weights, beta: float) -> np.ndarray:
        """Loss of a group and its derivatives in log β: Σ s L, Σ s β L', Σ s β² L''."""
        part = self.logits[rows], self.codes[rows], weights[rows]
        return placement.to_host(temperature_sums(*part, beta=1.0, inverse_unit=beta))

    def fit(self, weights, beta: float, strength: float) -> np.ndarray:
        """1 / T of every group, drawn towards `beta`."""
        betas = np.full(self.n_groups, beta)
        self.converged, self.n_iter = True, 0
        for g, rows in enumerate(self.slices if np.isfinite(strength) else []):
            if weights[rows].any():
                problem = _Shrunk(self, rows, weights, beta, strength)
                solution = log_newton(problem, 1.0, bounds=BOUNDS, tol=self.tol, max_iter=self.max_iter)
                betas[g] = beta * float(solution.w[0])
                self.converged = self.converged and solution.converged
                self.n_iter = max(self.n_iter, solution.n_iter)
        return betas

    def loss(self, weights, betas) -> float:
        """Σ s L over all rows."""
        return float(sum(self.sums(rows, weights, beta)[0] for rows, beta in zip(self.slices, betas)))

    def information(self, weights, betas) -> np.ndarray:
        """Curvature of every group's loss in log β where its slope is zero."""
        return np.array([self.sums(rows, weights, beta)[2] for rows, beta in zip(self.slices, betas)])


@dataclass(frozen=True)
class _Shrunk:
    """The loss of a group with its penalty, of the ratio r = β / β₀ = exp(−δ): what ``solvers.log_newton`` asks."""

    grouped: _Grouped
    rows: slice
    weights: np.ndarray
    beta: float
    strength: float

    def at(self, w: np.ndarray) -> BetaPoint:
        """Σ s L + λ log² r and its derivatives in r."""
        r = float(w[0])
        loss, first, second = self.grouped.sums(self.rows, self.weights, r * self.beta)
        log_r = float(np.log(r))
        return BetaPoint(
            w,
            float(loss) + self.strength * log_r**2,
            np.array([first + 2.0 * self.strength * log_r]) / r,
            (float(second) + 2.0 * self.strength * (1.0 - log_r)) / r**2,
        )
