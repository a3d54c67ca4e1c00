"""A classifier that says which rows it should be told the label of."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags, indexable

from sksoft._validation import (
    HasMethods,
    Interval,
    StrOptions,
    check_is_fitted,
    check_method_params,
    check_sample_weight,
    fit_context,
    take_rows,
)
from sksoft.active.array_query import MEASURES, check_n_instances, query_uncertain
from sksoft.active.committee import bootstrap_members, ensemble_inside
from sksoft.active.delegation import delegated, fit_metadata, router_of
from sksoft.active.differentiable import as_fitted
from sksoft.active.diverse import NO_LABELED_EMBEDDING, diverse_batch
from sksoft.active.embedding import embedded, embeds_itself
from sksoft.active.query_input import (
    check_known,
    check_two_classes,
    checked_candidates,
    checked_cost,
    generator_of,
    labelled_rows,
    n_rows_of,
)
from sksoft.active.row_scores import STRATEGIES, row_scores, times_density, unit_scores
from sksoft.active.stream import check_budget, check_stream_state, stream_decisions
from sksoft.active.synthesis import made_rows
from sksoft.kernels.uncertainty import first_rows
from sksoft.metrics.scores import predictive_entropy


class UncertaintySampler(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Fit a classifier, and ask which rows of a pool are worth a label.

    ``fit`` fits a clone and ``predict`` and its kin are the clone's, so it stands wherever the classifier stood;
    ``query`` chooses from a pool, ``query_stream`` decides on rows as they come, ``synthesize`` makes rows.

    ==================== ================================================ =============================================
    strategy             score of a row, higher = more worth a label
    ==================== ================================================ =============================================
    ``margin``           1 − (p₍₁₎ − p₍₂₎)                                 the two likeliest labels are close
    ``entropy``          −Σ_k p_k ln p_k, nats                            over all labels
    ``least_confidence`` 1 − p₍₁₎
    ``bald``             H(p̄) − mean_m H(p_m), nats                       a committee disagrees [1]_
    ``density``          margin score × density of the pool ^ `beta`      and the row is typical [2]_
    ``diverse``          margin score                                     and the batch is spread out
    ==================== ================================================ =============================================

    The best rows by score are often near copies: in batches, entropy was worse than drawing at random on MNIST. A
    diverse batch, with ``strategy='diverse'`` or with any other and ``batch='diverse'``, weights the pool by the
    square of the score, places centres by k-means++ and Lloyd's iterations where neither labelled rows nor each other
    are near, and takes the row next to each of the heaviest.

    Parameters
    ----------
    estimator : classifier or pipeline with ``predict_proba``
        In a ``FrozenEstimator`` it is taken as fitted. Distances (``density``, diverse batches) are between rows as
        the last step of a pipeline sees them, so scale features there.
    strategy : {'margin', 'entropy', 'least_confidence', 'bald', 'density', 'diverse'}, default='margin'
        See the table.
    batch : {'top', 'diverse'}, default='top'
        How rows are chosen by their scores. ``strategy='diverse'`` is the margin with a diverse batch.
    n_members : int >= 2, default=10
        Clones for ``'bald'``, each fitted to a bootstrap sample of every class. Of a random forest, extra trees,
        bagging or a soft vote, at the end of a pipeline or in a search too, the members are asked instead.
    beta : float >= 0, default=1.0
        Exponent of the density.
    embedding : callable, default=None
        From rows, as ``query`` gets them, to the array (n, q) between whose rows distances are; by default what the
        last step of a pipeline sees, or X itself.
    n_jobs : int, default=None
        Members fitted side by side.
    random_state : int, RandomState instance or None, default=None
        For bootstrap samples, seeds of centres, reference rows of a density and starts of a synthesis; None draws
        anew, and leaves NumPy's global generator alone. Measures and ties draw nothing.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
    estimator_ : the fitted clone, or the frozen classifier
    members_ : list of fitted clones; with ``'bald'``, where there is no ensemble
    labeled_embedding_ : ndarray (L, q), the rows it was fitted to; for a diverse batch only
    n_features_in_, feature_names_in_ : of `estimator_`, where it has them

    References
    ----------
    .. [1] N. Houlsby, F. Huszár, Z. Ghahramani, M. Lengyel, "Bayesian active learning for classification and
       preference learning", arXiv 1112.5745 (2011), eq. 2.
    .. [2] B. Settles, M. Craven, "An analysis of active learning strategies for sequence labeling tasks", EMNLP 2008,
       eq. 16.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sksoft import UncertaintySampler
    >>> sampler = UncertaintySampler(LogisticRegression()).fit([[-3.0], [-1.0], [1.0], [3.0]], ["a", "a", "b", "b"])
    >>> X_pool = np.array([[5.0], [0.1], [-0.4], [2.0]])
    >>> indices, scores = sampler.query(X_pool, 2, return_scores=True)
    >>> print(indices, scores.round(2))
    [1 2] [0.95 0.82]
    >>> print(sampler.query(X_pool, 2, candidates=[0, 2, 3]))  # row 1 cannot be had
    [2 3]
    >>> print(sampler.predict([[2.0]]))
    ['b']
    """

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict_proba"])],
        "strategy": [StrOptions(set(STRATEGIES))],
        "batch": [StrOptions({"top", "diverse"})],
        "n_members": [Interval(Integral, 2, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "embedding": [callable, None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator,
        strategy="margin",
        *,
        batch="top",
        n_members=10,
        beta=1.0,
        embedding=None,
        n_jobs=None,
        random_state=None,
    ):
        self.estimator = estimator
        self.strategy = strategy
        self.batch = batch
        self.n_members = n_members
        self.beta = beta
        self.embedding = embedding
        self.n_jobs = n_jobs
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        # distances are between dense rows: X itself, unless something makes others of it
        needs_distances = self._is_diverse or self.strategy == "density"
        tags.input_tags.sparse = inner.input_tags.sparse and not (
            needs_distances and embeds_itself(self.estimator, self.embedding)
        )
        tags.input_tags.pairwise = inner.input_tags.pairwise
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        if inner.classifier_tags is not None:
            tags.classifier_tags.multi_class = inner.classifier_tags.multi_class
        return tags

    @property
    def _is_diverse(self) -> bool:
        return self.batch == "diverse" or self.strategy == "diverse"

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None, **params):
        """Fit a clone of the classifier to the labelled rows.

        Parameters
        ----------
        X : array, DataFrame or sparse matrix of n rows
            Whatever `estimator` takes.
        y : array-like of shape (n,)
            Labels of any type.
        sample_weight : array-like of shape (n,), default=None
            For the classifier's ``fit``. A row of weight zero is not there, for a diverse batch too.
        **params : dict
            Metadata for the classifier's ``fit``, by scikit-learn's routing.

        Returns
        -------
        self : UncertaintySampler

        Raises
        ------
        ValueError
            For one class, a frozen classifier that does not know a label, ``'bald'`` with a frozen classifier that is
            no ensemble, or weights that the classifier does not take.
        """
        X, y = labelled_rows(X, y)
        kept = np.flatnonzero(check_sample_weight(sample_weight, y))
        fit_params = fit_metadata(self, self.estimator, sample_weight, params)
        if len(kept) < len(y):  # a class of weight zero alone is no class
            fit_params = check_method_params(X, params=fit_params, indices=kept)
            X, y = take_rows(X, kept), y[kept]
        for name in ("members_", "labeled_embedding_", "n_features_in_", "feature_names_in_"):  # of an earlier fit
            self.__dict__.pop(name, None)
        if isinstance(self.estimator, FrozenEstimator):
            check_is_fitted(self.estimator)
            self.estimator_ = self.estimator
            check_known(y, self.estimator_.classes_)
        else:
            self.estimator_ = clone(self.estimator).fit(X, y, **fit_params)
            check_two_classes(y)
        self.classes_ = self.estimator_.classes_
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        if self.strategy == "bald" and ensemble_inside(self.estimator_) is None:
            draws = self.n_members, generator_of(self.random_state)
            self.members_ = bootstrap_members(self.estimator, X, y, fit_params, *draws, n_jobs=self.n_jobs)
        if self._is_diverse:
            self.labeled_embedding_ = self._embedded(X, "X")
        return self

    def get_metadata_routing(self):
        """Which metadata go to the classifier's ``fit``.

        Returns
        -------
        routing : MetadataRouter
        """
        return router_of(self, self.estimator)

    def query(self, X_pool, n_instances=1, *, return_scores=False, candidates=None, cost=None):
        """The rows of a pool that are most worth a label, most uncertain first; of equals, the first.

        Parameters
        ----------
        X_pool : array, DataFrame or sparse matrix of n rows
            Whatever the classifier takes.
        n_instances : int, default=1
            From 1 to the number of rows that may be chosen.
        return_scores : bool, default=False
            Whether to return their scores too.
        candidates : array-like of bool (n,), or of distinct indices, default=None
            Rows that may be chosen; all by default.
        cost : array-like (n,), positive and finite, default=None
            What each label costs: rows are ranked by score / cost.

        Returns
        -------
        indices : ndarray (n_instances,) intp
            Rows of `X_pool`, in descending order of their score.
        scores : ndarray (n_instances,) float64
            By the strategy (divided by the cost); only with ``return_scores=True``.

        Raises
        ------
        ValueError
            For an empty pool, no candidates, more `n_instances` than candidates, a cost that is not positive, or what
            the classifier does not take, as NaN.

        Notes
        -----
        O(nK) after the classifier's probabilities for the measures; O(1000 n q) for ``'density'``; for a diverse batch
        of m rows O(n (L + m) q) and some 20 iterations of O(n m q), over at most 100 000 rows. Memory is O(n).
        """
        check_is_fitted(self)
        n_rows = n_rows_of(X_pool)
        X_pool = indexable(X_pool)[0]
        allowed = checked_candidates(candidates, n_rows)
        cost = None if cost is None else checked_cost(cost, n_rows)
        check_n_instances(n_instances, n_rows if allowed is None else len(allowed), "X_pool")
        rows = X_pool if allowed is None else take_rows(X_pool, allowed)
        if self.strategy in MEASURES and cost is None and not self._is_diverse:
            proba = self.estimator_.predict_proba(rows)
            chosen, scores = query_uncertain(proba, n_instances, strategy=self.strategy, return_scores=True)
        else:
            scores = self._scores(rows, pool=X_pool)
            if cost is not None:
                scores = scores / (cost if allowed is None else cost[allowed])
            chosen = self._chosen(rows, scores, int(n_instances))
            scores = scores[chosen]
        indices = chosen if allowed is None else allowed[chosen]
        return (indices, scores) if return_scores else indices

    def _chosen(self, rows, scores, n_instances) -> np.ndarray:
        if not self._is_diverse:
            return first_rows(scores, n_instances)
        check_is_fitted(self, "labeled_embedding_", msg=NO_LABELED_EMBEDDING)
        points, random_state = self._embedded(rows, "X_pool"), generator_of(self.random_state)
        return diverse_batch(points, scores, self.labeled_embedding_, n_instances, random_state)

    def uncertainty_scores(self, X):
        """The score of every row by the strategy, higher = more worth a label.

        Parameters
        ----------
        X : array, DataFrame or sparse matrix of n rows
            For ``'density'`` it is also the pool.

        Returns
        -------
        scores : ndarray (n,) float64
            See the table above.
        """
        check_is_fitted(self)
        n_rows_of(X, "X")
        return self._scores(X, pool=X)

    def _scores(self, X, pool) -> np.ndarray:
        scores = row_scores(X, self.strategy, self.estimator_, getattr(self, "members_", None))
        if self.strategy != "density":
            return scores
        points, among = self._embedded(X, "X_pool"), self._embedded(pool, "X_pool")
        return times_density(scores, points, among, self.beta, generator_of(self.random_state))

    def _embedded(self, X, name: str) -> np.ndarray:
        return embedded(X, name, self.estimator_, self.embedding)

    def query_stream(self, X, budget=0.1, *, state=None):
        """Decide on rows as they come which to label, keeping to a budget.

        A row is wanted where its score (of an entropy or a mutual information: its share of ln K) exceeds a threshold
        that rises by η (1 − budget) with each wanted row and falls by η · budget without, η = 0.05; it is labelled
        unless that overspends. So after T rows of any stream the labels are never more than ``budget · T``, rounded up,
        and at most 21 less.

        Parameters
        ----------
        X : array, DataFrame or sparse matrix of n >= 1 rows
            The next rows, in their order.
        budget : float in (0, 1), default=0.1
            Share of rows to label.
        state : dict, default=None
            What the call before returned; None at the start of a stream.

        Returns
        -------
        asked : ndarray (n,) bool
            Which rows to label.
        state : dict
            Plain numbers, for the next call: ``threshold``, ``credit`` (labels that may still be asked for),
            ``n_seen``, ``n_queried``.

        Raises
        ------
        ValueError
            For ``strategy='density'``, which needs a pool, a budget outside (0, 1), or a state that is not one.
        """
        check_is_fitted(self)
        check_budget(budget)
        state = check_stream_state(state)
        if self.strategy == "density":
            raise ValueError("query_stream needs a strategy that judges a row by itself. Got strategy='density'.")
        scores = unit_scores(self.uncertainty_scores(X), self.strategy, len(self.classes_))
        return stream_decisions(scores, float(budget), state)

    def synthesize(
        self,
        X_reference,
        n_instances=1,
        *,
        bounds="reference",
        mahalanobis=0.1,
        repulsion=0.5,
        n_starts=10,
        project_to=None,
        return_scores=False,
    ):
        """Make rows that the classifier is most uncertain about, by gradient ascent on its entropy.

        Each row x maximises, within the box and over several starts,

            H(p(x)) − mahalanobis / 2p · (x − μ)ᵀ Σ⁻¹ (x − μ) − repulsion · Σ_j exp(−(x − x_j)ᵀ Σ⁻¹ (x − x_j) / 2p)

        with μ, Σ (Ledoit–Wolf) of the reference and x_j the rows made before. The gradient is analytic:
        ∂H/∂z = −p (log p + H), through the scores z of the classifier. `strategy` is not asked.

        Parameters
        ----------
        X_reference : array-like (m, p), m >= 2
            Rows, finite and dense, that say what is plausible, as the pool; ascents start from some of them.
        n_instances : int >= 1, default=1
            How many rows to make.
        bounds : 'reference', None or (low, high), default='reference'
            The box: the range of each column of the reference, none, or numbers or arrays (p,).
        mahalanobis : float >= 0, default=0.1
            What a typical distance from the centre of the reference costs, in nats times two. Entropy alone is highest
            far from all data as well as near it.
        repulsion : float >= 0, default=0.5
            What a row costs, in nats, that equals one made before.
        n_starts : int >= 1, default=10
            Ascents for each row.
        project_to : array-like (n, p), default=None
            A pool, to take the nearest row of (by Mahalanobis distance, each once) in the place of each row made.
        return_scores : bool, default=False
            Whether to return entropies too.

        Returns
        -------
        rows : ndarray (n_instances, p), or (n_instances,) intp with `project_to`: rows of that pool
        scores : ndarray (n_instances,) float64
            Predictive entropy in nats of the rows returned; only with ``return_scores=True``.

        Raises
        ------
        ValueError
            If the classifier is not differentiable (a tree is piecewise constant), or for bad parameters.

        Notes
        -----
        Differentiable are classifiers whose probabilities are the softmax of affine scores, in pipelines with affine
        steps and behind affine calibrators, or with a method ``scores_and_pullback``. O(p³) once, then
        O(p² + pK) for each evaluation.
        """
        check_is_fitted(self)
        rows, result = made_rows(
            self.estimator_,
            X_reference,
            n_instances,
            bounds=bounds,
            mahalanobis=mahalanobis,
            repulsion=repulsion,
            n_starts=n_starts,
            project_to=project_to,
            random_state=generator_of(self.random_state),
        )
        if not return_scores:
            return result
        return result, predictive_entropy(self.estimator_.predict_proba(as_fitted(self.estimator_, rows)))

    @delegated
    def predict(self, X):
        """The classifier's labels.

        Parameters
        ----------
        X : array, DataFrame or sparse matrix of n rows

        Returns
        -------
        labels : ndarray of shape (n,)
        """

    @delegated
    def predict_proba(self, X):
        """The classifier's probabilities.

        Parameters
        ----------
        X : array, DataFrame or sparse matrix of n rows

        Returns
        -------
        proba : ndarray of shape (n, K)
        """

    @delegated
    def predict_log_proba(self, X):
        """The classifier's log-probabilities.

        Parameters
        ----------
        X : array, DataFrame or sparse matrix of n rows

        Returns
        -------
        log_proba : ndarray of shape (n, K)
        """

    @delegated
    def decision_function(self, X):
        """The classifier's scores.

        Parameters
        ----------
        X : array, DataFrame or sparse matrix of n rows

        Returns
        -------
        scores : ndarray of shape (n, K), or (n,) for two classes
        """

    @delegated
    def score(self, X, y, sample_weight=None):
        """The classifier's score, its accuracy as a rule.

        Parameters
        ----------
        X : array, DataFrame or sparse matrix of n rows
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        score : float
        """
