"""Fit, ask, be told, fit again."""

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.metrics import check_scoring
from sklearn.utils import indexable
from sklearn.utils.validation import check_consistent_length, column_or_1d

from sksoft._validation import take_rows
from sksoft.active.array_query import check_n_instances
from sksoft.active.query_input import check_labels, checked_candidates, checked_cost, generator_of, n_rows_of

# What is kept of every fit.
HISTORY = ("n_labeled", "score", "mean_uncertainty", "cost")


class ActiveLearningLoop:
    """Label a pool batch by batch: query, ask an oracle, refit, and keep what came of it.

    It is no estimator but the bookkeeping around one. The first rows are drawn at random, and more of them until two
    classes are known. Each step then fits a clone of the sampler to all labelled rows and queries the others. Where the
    oracle, a fit or a score raises, the labels of before are kept, and :meth:`run` goes on from them.

    Parameters
    ----------
    sampler : UncertaintySampler
        Give it an int ``random_state`` for the same bits again.
    X_pool : array, DataFrame or sparse matrix of n rows
    oracle : callable
        From indices (m,) of the pool to their labels (m,); called once for each batch.
    initial : int or array-like of indices, default=10
        How many rows to draw at the start, or which to take.
    n_instances : int >= 1, default=10
        Rows of each batch; fewer where the pool ends.
    X_test, y_test : rows and labels, default=None
        To score on after every fit; without, scores are nan.
    scoring : str, callable or None, default=None
        As for scikit-learn's ``cross_val_score``; the sampler's ``score`` by default.
    cost : array-like (n,), positive and finite, default=None
        What each label costs, for ``query`` and for the history.
    random_state : int, RandomState instance or None, default=None
        For the first rows only.

    Attributes
    ----------
    sampler_ : the sampler fitted to all labels so far; after the first step
    indices_ : ndarray (L,) intp, labelled rows in the order of their labels
    labels_ : ndarray (L,)
    history_ : dict of ndarrays, one entry a fit
        ``n_labeled``; ``score`` on the test rows; ``mean_uncertainty``, the mean score of the rows that the fit asked
        for next, nan for the last; ``cost`` of all labels so far (their number, without costs).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sksoft import ActiveLearningLoop, UncertaintySampler
    >>> X, y = load_digits(return_X_y=True)
    >>> sampler = UncertaintySampler(LogisticRegression(max_iter=1000), "diverse", random_state=0)
    >>> test = {"X_test": X[1000:] / 16, "y_test": y[1000:]}
    >>> loop = ActiveLearningLoop(sampler, X[:1000] / 16, lambda rows: y[rows], initial=20, random_state=0, **test)
    >>> loop.run(8).history_["n_labeled"]
    array([ 20,  30,  40,  50,  60,  70,  80,  90, 100])
    >>> bool(loop.history_["score"][-1] > 0.85)
    True
    """

    def __init__(
        self,
        sampler,
        X_pool,
        oracle,
        *,
        initial=10,
        n_instances=10,
        X_test=None,
        y_test=None,
        scoring=None,
        cost=None,
        random_state=None,
    ):
        if not hasattr(sampler, "query"):
            raise TypeError(f"The 'sampler' parameter must have a query method. Got {sampler!r} instead.")
        if not callable(oracle):
            raise TypeError(f"The 'oracle' parameter must be callable. Got {oracle!r} instead.")
        if (X_test is None) != (y_test is None):
            raise ValueError("The 'X_test' and 'y_test' parameters must be given together.")
        if X_test is not None:
            check_consistent_length(X_test, y_test)
        self.n_rows = n_rows_of(X_pool)
        self.sampler, self.X_pool, self.oracle = sampler, indexable(X_pool)[0], oracle
        check_n_instances(n_instances, self.n_rows, "X_pool")
        self.n_instances, self.X_test, self.y_test = int(n_instances), X_test, y_test
        self._scorer = check_scoring(sampler, scoring=scoring)
        self.cost = None if cost is None else checked_cost(cost, self.n_rows)
        self.initial, self.random_state = self._checked_initial(initial), random_state
        self.indices_ = np.empty(0, dtype=np.intp)
        self.labels_: Any = None
        self.history_: dict[str, np.ndarray] = {name: np.empty(0) for name in HISTORY}
        self.history_["n_labeled"] = np.empty(0, dtype=np.intp)

    def _checked_initial(self, initial):
        if isinstance(initial, Integral):
            if isinstance(initial, bool) or not 1 <= int(initial) <= self.n_rows:
                raise ValueError(
                    f"The 'initial' parameter must be an int from 1 to {self.n_rows} or indices. Got {initial!r}."
                )
            return int(initial)
        given = np.asarray(initial)
        checked_candidates(given, self.n_rows, "initial")
        return np.flatnonzero(given) if given.dtype == bool else given.astype(np.intp)

    def run(self, n_queries: int):
        """Ask for so many batches more, or until the pool has no row without a label.

        Parameters
        ----------
        n_queries : int >= 0
            Batches after the first rows.

        Returns
        -------
        self : ActiveLearningLoop
        """
        if isinstance(n_queries, bool) or not isinstance(n_queries, Integral) or n_queries < 0:
            raise ValueError(f"The 'n_queries' parameter must be an int >= 0. Got {n_queries!r} instead.")
        if len(self.history_["n_labeled"]) == 0:
            self._start()
        if self._is_behind():
            self._refit()
        for _ in range(n_queries):
            if len(self.indices_) == self.n_rows:
                break
            self._step()
        return self

    def _is_behind(self) -> bool:
        """Whether there are labels that no fit has seen."""
        n_labeled = self.history_["n_labeled"]
        return len(n_labeled) == 0 or n_labeled[-1] != len(self.indices_)

    def _start(self):
        """The labels of the first rows, and of more until there are two classes; those that are known stay."""
        if isinstance(self.initial, int):
            order = generator_of(self.random_state).permutation(self.n_rows)
            wanted = self.initial
        else:
            order, wanted = self.initial, len(self.initial)
        order = order[~np.isin(order, self.indices_)]
        while self.labels_ is None or (self.labels_ == self.labels_[0]).all():
            if len(order) == 0:
                raise ValueError(
                    f"The oracle gave one class, {self.labels_[0]!s}, to all of the {len(self.indices_)} first rows."
                )
            self._ask(order[:wanted])
            order = order[wanted:]

    def _step(self):
        unlabeled = np.setdiff1d(np.arange(self.n_rows), self.indices_)
        n_instances = min(self.n_instances, len(unlabeled))
        options = {} if self.cost is None else {"cost": self.cost}
        rows, scores = self.sampler_.query(
            self.X_pool, n_instances, return_scores=True, candidates=unlabeled, **options
        )
        self._ask(rows)
        self.history_["mean_uncertainty"][-1] = scores.mean()
        self._refit()

    def _ask(self, rows):
        labels = column_or_1d(self.oracle(rows))
        if len(labels) != len(rows):
            raise ValueError(f"The oracle must give {len(rows)} labels for as many rows. Got {len(labels)} instead.")
        check_labels(labels, self.labels_)
        self.indices_ = np.concatenate([self.indices_, rows])
        self.labels_ = labels.copy() if self.labels_ is None else np.concatenate([self.labels_, labels])

    def _refit(self):
        self.sampler_ = clone(self.sampler).fit(take_rows(self.X_pool, self.indices_), self.labels_)
        score = np.nan if self.X_test is None else self._scorer(self.sampler_, self.X_test, self.y_test)
        cost = len(self.indices_) if self.cost is None else self.cost[self.indices_].sum()
        for name, value in zip(HISTORY, (len(self.indices_), score, np.nan, cost)):
            self.history_[name] = np.append(self.history_[name], value)

    def history_frame(self):
        """The history as a table.

        Returns
        -------
        history : DataFrame
            One row a fit.
        """
        import pandas as pd

        return pd.DataFrame(self.history_)

    def area_under_curve(self, x="n_labeled") -> float:
        """The mean of the score over the number of labels: the area under the learning curve by its width.

        Parameters
        ----------
        x : {'n_labeled', 'cost'}, default='n_labeled'
            What the curve is drawn over.

        Returns
        -------
        area : float
            In units of the score; by trapezoids. The score itself while there is one fit.

        Raises
        ------
        ValueError
            Before the first fit, or for another `x`.
        """
        if x not in ("n_labeled", "cost"):
            raise ValueError(f"The 'x' parameter must be 'n_labeled' or 'cost'. Got {x!r} instead.")
        over, score = self.history_[x], self.history_["score"]
        if len(score) == 0:
            raise ValueError("There is no learning curve before the first fit: call run first.")
        if len(score) == 1:
            return float(score[0])
        return float(np.trapezoid(score, over) / (over[-1] - over[0]))

    def state(self) -> dict:
        """All that the loop knows, as plain lists: for JSON, or any other file.

        Returns
        -------
        state : dict
            ``indices``, ``labels`` and ``history``; None, which JSON knows, stands for nan.
        """
        return {
            "indices": self.indices_.tolist(),
            "labels": None if self.labels_ is None else self.labels_.tolist(),
            "history": {
                name: [None if value != value else value for value in values.tolist()]
                for name, values in self.history_.items()
            },
        }

    @classmethod
    def from_state(cls, state, sampler, X_pool, oracle, **options):
        """A loop that goes on where another was; the sampler is fitted once to what is known.

        Parameters
        ----------
        state : dict
            Of :meth:`state`.
        sampler, X_pool, oracle, **options
            As for the constructor.

        Returns
        -------
        loop : ActiveLearningLoop

        Raises
        ------
        ValueError
            If `state` is not one, or does not fit the pool.
        """
        loop = cls(sampler, X_pool, oracle, **options)
        _check_state(state)
        if state["labels"] is None:
            return loop
        indices, labels = np.asarray(state["indices"]), np.asarray(state["labels"])
        checked_candidates(indices, loop.n_rows, "state")
        check_consistent_length(indices, labels)
        loop.indices_, loop.labels_ = indices.astype(np.intp), labels
        loop.history_ = {
            name: np.asarray(state["history"][name], dtype=values.dtype) for name, values in loop.history_.items()
        }
        if not loop._is_behind():  # else run fits, and scores, once it is called
            loop.sampler_ = clone(sampler).fit(take_rows(loop.X_pool, loop.indices_), labels)
        return loop


def _check_state(state):
    """ValueError unless it has the form of a loop's state."""
    known = isinstance(state, dict) and set(state) == {"indices", "labels", "history"}
    history = state["history"] if known else None
    if not isinstance(history, dict) or set(history) != set(HISTORY) or len({len(v) for v in history.values()}) > 1:
        raise ValueError(
            "The 'state' parameter must be what state() returned: indices, labels, and a history of"
            f" {HISTORY} of one length. Got {state!r} instead."
        )
