"""Semi-supervised classification of the nodes of a graph, whose attention is learnt."""

from numbers import Integral, Real

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from sksoft._validation import Interval, check_is_fitted, fit_context, validate_data
from sksoft._warnings import warn
from sksoft.attention.graph import Graph, read_graph
from sksoft.attention.graph_fit import solve
from sksoft.attention.graph_objective import Coefficients, GraphObjective, Spreading, node_scores
from sksoft.attention.node_labels import known_labels, read_node_labels
from sksoft.kernels import rowwise
from sksoft.kernels.blocks import serial_blas
from sksoft.objective.feature_input import check_features


class GraphAttentionClassifier(ClassifierMixin, BaseEstimator):
    r"""Classes of nodes from features and neighbours, which a learnt softmax weighs.

    Every node has scores ``V = X Wᵀ`` of its own, which spread along edges: H⁰ = V, and n_hops times

        H ← (1 − restart) A H + restart V,        a_ij ∝ w_ij exp g(⟨a, v_i⟩ + ⟨b, v_j⟩) over the neighbours j of i

    with g the LeakyReLU of graph attention networks [1]_, its kink smoothed. The distribution of a node is the softmax
    of the mean of H over the heads plus an intercept: personalised PageRank [2]_ whose walks are learnt. One hop
    without restart is one attention layer. Coefficients minimise the mean loss of the labelled nodes plus ridges.

    Parameters
    ----------
    C : float > 0, default=1.0
        Inverse strength of the ridge on W, as in SoftmaxRegression.
    attention_C : float >= 0, default=0.001
        The same for a and b. Few labels do not say which neighbours are good ones: with a large value the fit explains
        the labelled nodes by turning away from their neighbours. 0 keeps attention uniform, and the problem convex.
    n_heads : int >= 1, default=1
        Heads have W, a and b of their own; the ridges are means over heads, so that equal heads are one.
    n_hops : int >= 1, default=10
    restart : float in [0, 1), default=0.1
        Share of its own scores that a node keeps at every hop. A node without neighbours keeps all.
    self_loops : bool, default=False
        Whether every node also attends to itself.
    negative_slope : float in [0, 1], default=0.2
        Of g for very negative scores.
    n_starts : int >= 1, default=3
        Starts of the search, which is not convex. The first is uniform attention with the best W there is for it; the
        others draw a and b.
    tol : float >= 0, default=1e-4
        Of ``stationarity_``.
    max_iter : int >= 1, default=1000
        Iterations of L-BFGS for each start.
    random_state : int, RandomState instance or None, default=None
        For the starts. None is other starts at every fit; ``random_state=seeds_[0]`` repeats one.

    Attributes
    ----------
    classes_ : ndarray
        The labels, ascending; 0 … L − 1 for several labels a node.
    coef_ : ndarray of shape (n_heads, K, p)
        W of each head; one row of it for two classes, and one head without a graph.
    attention_coef_ : ndarray of shape (n_heads, 2, K)
        a and b of each head.
    intercept_ : ndarray of shape (K,)
    attention_ : list of n_heads CSR arrays of shape (n, n), or None without a graph
        Attention among the nodes of the fit, in the pattern of `adjacency`. Made anew at every access.
    losses_ : ndarray of shape (n_starts,)
        The objective where each start ended, in nats; one without a graph, or if ``attention_C=0``.
    stationarities_ : ndarray of shape of `losses_`
        ``stationarity_`` of each start.
    seeds_ : ndarray of shape (n_starts,), int64
        What ``np.random.RandomState`` drew a and b of each start from: `random_state`, or a number drawn from it, and
        those after it. Empty where nothing is drawn: without a graph, or if ``attention_C=0``.
    loss_ : float
        The smallest of them, and what was kept.
    uniform_loss_ : float
        The objective of the best uniform attention, which is a convex problem.
    stationarity_ : float
        Largest absolute entry of the gradient where the best start ended, each in units of about the root of its
        curvature.
        A minimum among others, not a proof of the least: that is what `losses_` is to tell.
    converged_ : bool
        Whether it is at most `tol`.
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (p,)
        Only where X has string column names.

    See Also
    --------
    graph_attention : Attention on edges from queries and keys.
    sksoft.SoftmaxRegression : The same without a graph, with a proved gap.

    Notes
    -----
    X holds all nodes, and the graph is an argument of ``fit`` and ``predict``, one row and column for each row of X.
    Nodes whose label is not known have −1 in y, as in ``sklearn.semi_supervised`` (among strings in an array of dtype
    object), or weight zero, which is for labels of any type. Without a graph each node is alone: the model is a softmax
    regression, no row can be of help without a label, and −1 is a label like any other.

    A weight of two is a label that counts twice, a weight of zero one that is not used; the node stays in the graph
    either way. Without a graph that is repetition and removal of a row.

    A cross-validation must take labels away, not rows, because rows are the graph.

    An evaluation costs O(entries of X · K) and O(E K n_hops) for E edges and each head, in O(n K n_hops + E) memory for
    each. A fitted model keeps the pattern of its graph and E numbers for each head.

    References
    ----------
    .. [1] Velickovic et al., "Graph attention networks", ICLR 2018, eq. (3).
    .. [2] Gasteiger, Bojchevski, Günnemann, "Predict then propagate: graph neural networks meet personalized
       PageRank", ICLR 2019, eq. (4).

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> from sksoft.attention import GraphAttentionClassifier
    >>> path = sparse.diags_array([np.ones(5), np.ones(5)], offsets=[-1, 1], shape=(6, 6), format="csr")
    >>> X = np.array([[1.0], [0.0], [0.0], [0.0], [0.0], [-1.0]])
    >>> y = [0, -1, -1, -1, -1, 1]
    >>> model = GraphAttentionClassifier(C=10.0, random_state=0).fit(X, y, adjacency=path)
    >>> model.predict(X, adjacency=path)
    array([0, 0, 0, 1, 1, 1])
    >>> model.attention_[0].toarray()[1].round(1)
    array([0.5, 0. , 0.5, 0. , 0. , 0. ])
    """

    _parameter_constraints = {
        "C": [Interval(Real, 0, None, closed="neither")],
        "attention_C": [Interval(Real, 0, None, closed="left")],
        "n_heads": [Interval(Integral, 1, None, closed="left")],
        "n_hops": [Interval(Integral, 1, None, closed="left")],
        "restart": [Interval(Real, 0, 1, closed="left")],
        "self_loops": ["boolean"],
        "negative_slope": [Interval(Real, 0, 1, closed="both")],
        "n_starts": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        C=1.0,
        *,
        attention_C=1e-3,
        n_heads=1,
        n_hops=10,
        restart=0.1,
        self_loops=False,
        negative_slope=0.2,
        n_starts=3,
        tol=1e-4,
        max_iter=1000,
        random_state=None,
    ):
        self.C = C
        self.attention_C = attention_C
        self.n_heads = n_heads
        self.n_hops = n_hops
        self.restart = restart
        self.self_loops = self_loops
        self.negative_slope = negative_slope
        self.n_starts = n_starts
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, adjacency=None):
        """Learn from the labelled nodes of a graph.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
            Features of all nodes, finite; computed in float64.
        y : array-like of shape (n,), or array-like or sparse matrix of shape (n, L)
            Labels of any type; or 0 and 1, for labels that a node may have several of. With a graph, −1 marks a node
            whose label is not known (the number, so that strings need dtype object), and a row of −1 one whose labels
            are not.
        sample_weight : array-like of shape (n,), default=None
            Of the labels; finite, non-negative, not all zero; ones by default.
        adjacency : sparse matrix or array-like of shape (n, n), default=None
            Weights >= 0 of the nodes that the node of the row may attend to. None is each node alone.

        Returns
        -------
        self : GraphAttentionClassifier

        Raises
        ------
        ValueError
            For X with NaN or infinity, an adjacency that is not (n, n) or holds NaN, infinity or negative weights, y
            without two classes or any label at all, or weights that are negative or all zero.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` iterations did not reach `tol`, with the number that fell short.
        """
        X = check_features(self, X)
        graph = None if adjacency is None else read_graph(adjacency, X.shape[0], self.self_loops)
        labels = read_node_labels("GraphAttentionClassifier", X, y, sample_weight, graph is not None)
        known = (labels.rows, labels.target, labels.weights, labels.loss, labels.n_scores)
        objective = GraphObjective(X, graph, self._spreading(), *known, self.n_heads, self.C, self.attention_C)
        self.seeds_ = self._drawn_seeds() if objective.learns_attention else np.empty(0, np.int64)
        with serial_blas():
            solution = solve(objective, tol=self.tol, max_iter=self.max_iter, seeds=self.seeds_)
        self.classes_, self._multilabel, self._has_graph = labels.classes, labels.multilabel, graph is not None
        coefficients = solution.coefficients
        self.coef_, self.attention_coef_ = coefficients.features, coefficients.attention
        self.intercept_ = coefficients.intercept
        self.losses_, self.loss_ = solution.losses, float(solution.losses.min())
        self.uniform_loss_, self.stationarity_ = solution.uniform_loss, solution.stationarity
        self.stationarities_ = solution.stationarities
        self.n_iter_, self.converged_ = solution.n_iter, solution.stationarity <= self.tol
        self._edges = None if graph is None else (graph.columns.copy(), graph.starts.copy())
        heads = [] if graph is None else node_scores(X, graph, coefficients, self._spreading())[1]
        self._edge_attention = [head.attention for head in heads]
        if not self.converged_:
            warn(
                f"GraphAttentionClassifier stopped after {self.n_iter_} iterations at a stationarity of"
                f" {self.stationarity_:.3g}, above tol={self.tol:g}. Raise max_iter={self.max_iter}, scale the"
                f" features, or lower C={self.C:g}.",
                ConvergenceWarning,
            )
        return self

    @property
    def attention_(self) -> list | None:
        """Attention among the nodes of the fit, by head; None without a graph."""
        check_is_fitted(self)
        if self._edges is None:
            return None
        # kept as plain arrays, which every way to store a model knows
        graph = Graph(*self._edges, None)
        return [graph.matrix(attention) for attention in self._edge_attention]

    def _drawn_seeds(self) -> np.ndarray:
        """One for each start: the first is `random_state` itself where that is a number."""
        first = self.random_state
        if not isinstance(first, Integral):
            first = check_random_state(first).randint(2**31)
        return (int(first) + np.arange(self.n_starts)) % 2**32

    def _spreading(self) -> Spreading:
        return Spreading(self.n_hops, float(self.restart), float(self.negative_slope))

    def _coefficients(self) -> Coefficients:
        return Coefficients(self.coef_, self.attention_coef_, self.intercept_)

    def _attention(self, X, graph) -> list:
        heads = node_scores(X, graph, self._coefficients(), self._spreading())[1]
        return [graph.matrix(head.attention) for head in heads]

    def _read(self, X, adjacency):
        """X and its graph, which must be given where the fit had one."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
        if adjacency is None and self._has_graph:
            raise ValueError(
                "The 'adjacency' parameter must be given, because GraphAttentionClassifier was fitted with a graph: of"
                f" shape {(X.shape[0],) * 2}, without entries for nodes that are alone. Got None instead."
            )
        if adjacency is not None and not self._has_graph:
            raise ValueError(
                "The 'adjacency' parameter must be None, because GraphAttentionClassifier was fitted without a graph"
                f" and knows of no attention. Got {type(adjacency).__name__} instead."
            )
        return X, None if adjacency is None else read_graph(adjacency, X.shape[0], self.self_loops)

    def attention(self, X, adjacency):
        """Attention of each head on a graph.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        adjacency : sparse matrix or array-like of shape (n, n)

        Returns
        -------
        attention : list of n_heads CSR arrays of shape (n, n)
            In the pattern of `adjacency`. Rows sum to one, but those of nodes without neighbours, which are empty.
        """
        X, graph = self._read(X, adjacency)
        if graph is None:
            raise ValueError("GraphAttentionClassifier was fitted without a graph and knows of no attention.")
        with serial_blas():
            return self._attention(X, graph)

    def decision_function(self, X, adjacency=None):
        """Scores of the nodes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
            Of all nodes of the graph, those of the fit or others.
        adjacency : sparse matrix or array-like of shape (n, n), default=None
            Required where the fit had one.

        Returns
        -------
        scores : ndarray of shape (n, K), or (n,) for two classes
        """
        scores = self._scores(X, adjacency)
        return scores[:, 0] if self._is_binary() else scores

    def _is_binary(self) -> bool:
        return not self._multilabel and len(self.classes_) == 2

    def _scores(self, X, adjacency) -> np.ndarray:
        X, graph = self._read(X, adjacency)
        with serial_blas():
            return node_scores(X, graph, self._coefficients(), self._spreading())[0]

    def predict_proba(self, X, adjacency=None):
        """Probabilities of the classes, or of each label.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        adjacency : sparse matrix or array-like of shape (n, n), default=None
            Required where the fit had one.

        Returns
        -------
        proba : ndarray of shape (n, K), whose rows sum to one, or (n, L) of independent probabilities
        """
        scores = self._scores(X, adjacency)
        if self._multilabel:
            return expit(scores)
        return np.hstack([expit(-scores), expit(scores)]) if self._is_binary() else rowwise.softmax_rows(scores)

    def predict_log_proba(self, X, adjacency=None):
        """Logarithms of :meth:`predict_proba`, in nats.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        adjacency : sparse matrix or array-like of shape (n, n), default=None
            Required where the fit had one.

        Returns
        -------
        log_proba : ndarray of the shape of :meth:`predict_proba`
        """
        scores = self._scores(X, adjacency)
        if self._multilabel:
            return -np.logaddexp(0.0, -scores)
        if self._is_binary():
            return -np.hstack([np.logaddexp(0.0, scores), np.logaddexp(0.0, -scores)])
        return rowwise.log_softmax_rows(scores)

    def predict(self, X, adjacency=None):
        """The most probable class, or all labels of a probability above one half.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        adjacency : sparse matrix or array-like of shape (n, n), default=None
            Required where the fit had one.

        Returns
        -------
        labels : ndarray of shape (n,) of ``classes_``, or (n, L) of 0 and 1
        """
        scores = self._scores(X, adjacency)
        if self._multilabel:
            return (scores > 0.0).astype(np.int64)
        return self.classes_[(scores[:, 0] > 0.0).astype(np.intp) if self._is_binary() else scores.argmax(axis=1)]

    def score(self, X, y, sample_weight=None, adjacency=None):
        """Accuracy on nodes whose label is known; for several labels, the share of nodes that have all of them right.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        y : array-like of shape (n,), or array-like or sparse matrix of shape (n, L)
            With a graph, nodes marked by −1 as in ``fit`` do not count.
        sample_weight : array-like of shape (n,), default=None
            Finite, non-negative, not all zero; ones by default.
        adjacency : sparse matrix or array-like of shape (n, n), default=None
            Required where the fit had one.

        Returns
        -------
        score : float

        Raises
        ------
        ValueError
            If y is of another shape than predictions, or no label is known.
        """
        labels = self.predict(X, adjacency)
        y, weights = known_labels("GraphAttentionClassifier", labels, y, sample_weight, self._has_graph)
        if y.shape != labels.shape:
            raise ValueError(f"y must have the shape of predictions, {labels.shape}. Got {y.shape} instead.")
        right = np.all(labels == y, axis=1) if y.ndim == 2 else labels == y
        return float(np.average(right, weights=weights))
