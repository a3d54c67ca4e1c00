"""A softmax over a tree of classes: time that grows with the depth of the tree, not with the number of classes."""

from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.metaestimators import available_if

from sksoft._validation import ClassifierMixin, Interval, StrOptions, check_is_fitted, fit_context, validate_data
from sksoft._warnings import warn
from sksoft.hierarchical import leaf_probabilities, paths, search
from sksoft.hierarchical.class_tree import ClassTree
from sksoft.hierarchical.label_input import LabelledRows, read_rows
from sksoft.hierarchical.node_fit import Fit, Settings, fit_tree
from sksoft.hierarchical.node_model import NodeModel
from sksoft.hierarchical.sorted_rows import SortedRows
from sksoft.hierarchical.stream import Stream, advance
from sksoft.hierarchical.taxonomy import read_taxonomy
from sksoft.hierarchical.tree_choice import grow_tree, is_taxonomy
from sksoft.kernels import placement
from sksoft.metrics.labels import encode_labels, sorted_labels
from sksoft.objective.feature_input import check_features

# What a fit proves, and a stream does not.
PROVED = ("objective_", "gap_", "gradient_norm_", "converged_", "n_iter_")
# What C Σ s may be: products of it with values of X have finite squares.
SCALES = 1e-100, 1e50


def _knows_class_weights(model) -> bool:
    """Whether rows can be weighted one at a time; AttributeError where all are needed."""
    if model.class_weight == "balanced":
        raise AttributeError("class_weight='balanced' needs all rows and partial_fit has some: give a dict of weights.")
    return True


class HierarchicalSoftmaxClassifier(ClassifierMixin, BaseEstimator):
    r"""Softmax over the leaves of a tree, each node a small softmax over its children.

    The probability of a class is the product over its path from the root [1]_,

        P(k | x) = Π_{v on the path to k} P(child of v towards k | v, x)

    where a node with two children has one score z = w · x + b and P(second child) = 1 / (1 + exp(−z)), and one with
    m ≥ 3 a softmax of m scores. Probabilities of all classes sum to one. The fit minimises the penalised likelihood

        F = Σᵢ sᵢ (−log P(yᵢ | xᵢ)) / Σᵢ sᵢ  +  ‖W‖² / (2 C Σᵢ sᵢ)

    with sᵢ the sample weight times the class weight, W the coefficients of all nodes, and intercepts free. It is a sum
    over nodes, each a convex problem on the rows whose class is below it: they are solved side by side, each by Newton
    steps over the features that its rows have, to a proved gap. A row takes part in as many problems as its class is
    deep, so a fit costs O(depth) where a flat softmax costs O(K).

    Parameters
    ----------
    C : float in (0, inf), default=1.0
        Inverse strength of the ridge.
    tree : {'auto', 'kmeans', 'huffman', 'balanced'} or a taxonomy, default='auto'
        ``'auto'`` splits the classes by spherical 2-means of their mean rows, and each part again: classes that look
        alike are told apart last. The parts have equal weight, so that the mean depth is close to Huffman's, but those
        of up to 256 classes need only have a tenth. ``'kmeans'`` is the same with parts of equally many classes, so the
        depth is ⌈log₂ K⌉. ``'huffman'`` [2]_ has the least mean
        depth that a tree can have, H ≤ mean depth < H + 1 with H the entropy of the classes' shares in units of log
        `arity`, and does not look at X. ``'balanced'`` takes the classes in their order. A taxonomy is the user's own
        tree: an array of each node's parent, whose leaves are the sorted classes; a nested dict with labels at the
        ends; a networkx ``DiGraph`` whose childless nodes are labels; or triples (parent, child, label). See
        ``sksoft.hierarchical.taxonomy``. Its labels that y has not are classes too.
    arity : int in [2, 100] or None, default=None
        Children of a node of a tree that is grown: more make it flatter and mostly better, and fits slower. None is 2,
        but for ``'auto'`` the first of all K ≤ 100 classes in one softmax, 8 and 2 that is cheap: that with Σ s the
        number of rows takes at most 2²⁴ products of an entry of X and a score a sweep. In a stream None is 2.
    class_weight : dict of {label: weight}, 'balanced' or None, default=None
        Weights of the classes, multiplied into the sample weights. ``'balanced'`` weights each class inversely to its
        share of the sample weight.
    label_smoothing : float in [0, 1), default=0.0
        ε of the targets (1 − ε) e_c + ε / m of the m children *of each node* on a row's path: all classes get some
        probability, siblings of the path more than strangers.
    prior_count : float in (0, inf), default=1.0
        Where no row has any of the classes below some child, this many pseudo-observations without features are shared
        among the children of the node, in proportion to their classes. A node whose rows are all one child's keeps
        W = 0 and gives the child (n + α u) / (n + α), with n the rows' weight and u its share of the classes.
    tol : float in [0, inf), default=1e-6
        Each node stops when its proved gap is at most ``tol`` times its objective; so is then the sum.
    max_iter : int >= 0, default=100
        Newton steps of a node.
    warm_start : bool, default=False
        Keep the tree of the previous fit and start from its coefficients, if `tree`, `arity`, classes and features are
        the same ones.
    max_dense_gib : float in (0, inf), default=4.0
        The largest result, in GiB, that ``predict_proba`` and ``predict_log_proba`` may return.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        Sorted labels: those of y with positive weight and those of a taxonomy.
    tree_ : dict of str to ndarray
        The tree of M nodes, level by level from the root 0: ``parent`` (M,), ``first_child`` (M + 1,), so that the
        children of v are ``first_child[v] : first_child[v + 1]``, ``leaf`` (K,) the node of each class, ``class_of``
        (M,) the reverse with −1 for inner nodes, ``depth`` (M,), and where the scores of each node are, ``first_score``
        (M + 1,). See ``sksoft.hierarchical.class_tree``.
    node_names_ : ndarray of shape (M,) of str, or None
        Names of a taxonomy's nodes.
    coef_ : ndarray or CSR array of shape (R, p)
        Of all R scores; CSR after a fit to sparse X, where a node has its rows' features, or all from a quarter on.
    intercept_ : ndarray of shape (R,)
    class_weight_seen_ : ndarray of shape (K,)
        Weight of the rows of each class.
    objective_, gap_ : float
        F and the proved bound on F − min F, in nats. Nodes in closed form, see `prior_count`, have no gap; F counts
        the pseudo-observations.
    gradient_norm_ : float
        Largest absolute entry of ∇F.
    converged_ : bool
    n_iter_ : int
        Newton steps of the node that took most.
    stream_ : dict
        After ``partial_fit``, all that it goes on from; then the five attributes before are not there.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (p,)
        Only where X has string column names.

    Notes
    -----
    Time of a fit is O(entries of X × mean depth × steps), of ``predict`` and ``predict_topk`` that of the nodes that
    could hold a better class than those found, of ``predict_log_proba_of``, ``sample`` and ``decision_path`` that of
    one path. Memory is one sorted copy of X and 12 bytes for each pair of a score and a feature of its node, at most
    12 × entries of X × mean depth.

    To give each row one of its labels and fit this model to many labels a row is inconsistent [3]_: fit
    ``SigmoidClassifier`` instead.

    References
    ----------
    .. [1] Morin, Bengio, "Hierarchical probabilistic neural network language model", AISTATS 2005, equation 3.
    .. [2] Huffman, "A method for the construction of minimum-redundancy codes", Proceedings of the IRE 40, 1952.
    .. [3] Wydmuch et al., "A no-regret generalization of hierarchical softmax to extreme multi-label classification",
       NeurIPS 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sksoft import HierarchicalSoftmaxClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = HierarchicalSoftmaxClassifier(C=0.01).fit(X, y)
    >>> labels, proba = model.predict_topk(X[:2], k=2)
    >>> labels
    array([[0, 9],
           [1, 8]])
    >>> model.converged_, bool(model.gap_ <= 1e-6 * model.objective_)
    (True, True)

    Fish in families, given as a taxonomy:

    >>> fish = {"salmonids": ["salmon", "trout"], "perches": ["zander", "ruffe"]}
    >>> X = [[0.0, 1.0], [0.2, 0.8], [1.0, 0.1], [0.9, 0.3]]
    >>> model = HierarchicalSoftmaxClassifier(tree=fish).fit(X, ["salmon", "trout", "zander", "ruffe"])
    >>> model.node_names_.tolist()[1:3]
    ['salmonids', 'perches']
    """

    class_weight_seen_: np.ndarray

    _parameter_constraints = {
        "C": [Interval(Real, 0, None, closed="neither")],
        "tree": "no_validation",
        "arity": [Interval(Integral, 2, 100, closed="both"), None],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "prior_count": [Interval(Real, 0, None, closed="neither")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "max_dense_gib": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        C=1.0,
        *,
        tree="auto",
        arity=None,
        class_weight=None,
        label_smoothing=0.0,
        prior_count=1.0,
        tol=1e-6,
        max_iter=100,
        warm_start=False,
        max_dense_gib=4.0,
    ):
        self.C = C
        self.tree = tree
        self.arity = arity
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.prior_count = prior_count
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.max_dense_gib = max_dense_gib

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Grow or read the tree and fit all its nodes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
            Finite numbers.
        y : array-like of shape (n,)
            Labels of any type, at least two different ones.
        sample_weight : array-like of shape (n,), default=None
            Finite, non-negative, not all zero; ones by default. A weight of two is the row twice, weight zero no row.

        Returns
        -------
        self : HierarchicalSoftmaxClassifier

        Raises
        ------
        ValueError
            For bad X, y or weights, fewer than two classes, and a taxonomy that misses a label of y, has a cycle,
            several roots, a node with two parents or a label twice.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` steps were too few for some node.
        """
        previous = dict(vars(self)) if self.warm_start and hasattr(self, "coef_") else None
        X, rows = self._read(X, y, sample_weight, device=True)
        tree, classes, codes, names = self._tree_for(X, rows, previous)
        settings = Settings(self.C, self.label_smoothing, self.prior_count, self.tol, self.max_iter)
        start = self._start(previous, tree, classes, X)
        fit = fit_tree(tree, SortedRows.of(tree, X, codes, rows.weights), settings, start)
        self._store(tree, classes, names, np.bincount(codes, weights=rows.weights, minlength=len(classes)))
        self._unpack(fit)
        return self

    @available_if(_knows_class_weights)
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Learn rows of a stream, in order, each once.

        After any number of calls the model is near the optimum of all rows of all calls; the steps have no size to
        choose (``sksoft.hierarchical.stream``). The bits do not depend on how the rows were cut into calls. After
        ``fit`` it goes on from there.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
            Sparse in all calls, or dense in all.
        y : array-like of shape (n,)
        classes : array-like of shape (K,), default=None
            All classes that may come; needed in the first call, unless a taxonomy names them or ``fit`` has been. The
            tree is grown in the first call, from the rows at hand, and stays.
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        self : HierarchicalSoftmaxClassifier

        Raises
        ------
        ValueError
            As in ``fit``; for a first call without `classes`, other `classes` later, and a label that was not
            announced.
        AttributeError
            With ``class_weight='balanced'``, which needs all rows: then there is no such method.
        """
        is_first = not hasattr(self, "coef_")
        announced = self._announced(classes, is_first)
        X, rows = self._read(X, y, sample_weight, announced, reset=is_first)
        if is_first:
            tree, labels, codes, names = self._tree_for(X, rows, None, arity=self.arity or 2)
            stream = Stream.start(tree, X.shape[1], is_sparse=sparse.issparse(X))
            self._store(tree, labels, names, np.zeros(len(labels)))
        else:
            tree, codes = ClassTree(**self.tree_), rows.codes
            stream = self._stream(tree, X, rows)
        stream = advance(stream, tree, X, codes, rows.weights, C=self.C, label_smoothing=self.label_smoothing)
        self.class_weight_seen_ = self.class_weight_seen_ + np.bincount(
            codes, weights=rows.weights, minlength=len(self.classes_)
        )
        self.coef_, self.intercept_ = stream.coefficients(), stream.intercept
        self.stream_ = stream.dump()
        for name in PROVED:
            self.__dict__.pop(name, None)
        return self

    def predict(self, X):
        """The most probable class of each row, exactly.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)

        Returns
        -------
        labels : ndarray of shape (n,)
            Of equally probable classes the first in ``classes_``.
        """
        rows = self._checked(X)
        codes = search.top_k(self._model(), rows, 1)[0][:, 0]
        return placement.labels_beside(self.classes_, codes, X)

    def predict_topk(self, X, k=5, *, beam_width=None, return_bound=False, sparse_output=False):
        """The k most probable classes of each row, exactly: best-first search through the tree.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        k : int in [1, K], default=5
        beam_width : int >= k, default=None
            At most so many nodes wait to be looked into: bounded time, and the result may not be exact.
        return_bound : bool, default=False
            Whether to return what proves the result.
        sparse_output : bool, default=False
            Whether to return the probabilities as a CSR array of shape (n, K) with k entries a row.

        Returns
        -------
        labels : ndarray of shape (n, k)
            By decreasing probability. Not with `sparse_output`.
        proba : ndarray of shape (n, k), or CSR array of shape (n, K)
        bound : ndarray of shape (n,)
            Only with `return_bound`: no other class of the row is more probable. Where it is at most ``proba[:, -1]``
            the k classes are proved to be the best, and without a beam it always is.

        Raises
        ------
        ValueError
            For k > K or a beam below k.
        """
        rows = self._checked(X)
        n_classes = len(self.classes_)
        if not (isinstance(k, int | np.integer) and 1 <= k <= n_classes):
            raise ValueError(f"k must be an int in [1, {n_classes}], the number of classes. Got {k!r} instead.")
        if beam_width is not None and not (isinstance(beam_width, int | np.integer) and beam_width >= k):
            raise ValueError(f"beam_width must be an int >= k={k}, or None. Got {beam_width!r} instead.")
        width = None if beam_width is None else int(beam_width)
        codes, log_proba, bound = search.top_k(self._model(), rows, int(k), width)
        if sparse_output:
            codes, log_proba = placement.to_host(codes), placement.to_host(log_proba)
            matrix = leaf_probabilities.top_k_csr(codes, np.exp(log_proba), n_classes)
            return (matrix, placement.beside(np.exp(bound), X)) if return_bound else matrix
        labels = placement.labels_beside(self.classes_, codes, X)
        proba, bound = (placement.beside(np.exp(part), X) for part in (log_proba, bound))
        return (labels, proba, bound) if return_bound else (labels, proba)

    def predict_proba(self, X):
        """Probabilities of all classes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)

        Returns
        -------
        proba : ndarray of shape (n, K)

        Raises
        ------
        ValueError
            If it were larger than `max_dense_gib`.
        """
        return self._dense(X, log=False)

    def predict_log_proba(self, X):
        """Log-probabilities of all classes, in nats, exact where probabilities round to zero.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)

        Returns
        -------
        log_proba : ndarray of shape (n, K)

        Raises
        ------
        ValueError
            If it were larger than `max_dense_gib`.
        """
        return self._dense(X, log=True)

    def predict_log_proba_of(self, X, y):
        """Log-probability of one given class for each row, in nats, at the cost of one path.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        y : array-like of shape (n,)
            Labels among ``classes_``.

        Returns
        -------
        log_proba : ndarray of shape (n,)
            Minus its mean is the log-loss.

        Raises
        ------
        ValueError
            For a label that is not in ``classes_``.
        """
        rows = self._checked(X)
        return placement.beside(paths.log_proba_of(self._model(), rows, self._codes(rows, placement.fetched(y))), X)

    def sample(self, X, n_samples=1, random_state=None):
        """Draw classes with the probabilities of the model.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        n_samples : int >= 1, default=1
        random_state : int, RandomState or None, default=None

        Returns
        -------
        labels : ndarray of shape (n,), or (n, n_samples) for more than one
        """
        rows = self._checked(X)
        if not (isinstance(n_samples, int | np.integer) and n_samples >= 1):
            raise ValueError(f"n_samples must be an int >= 1. Got {n_samples!r} instead.")
        seed = int(check_random_state(random_state).randint(np.iinfo(np.int64).max, dtype=np.int64))
        labels = placement.labels_beside(self.classes_, paths.sample(self._model(), rows, int(n_samples), seed), X)
        return labels[:, 0] if n_samples == 1 else labels

    def decision_path(self, X):
        """Nodes on the way to the class that ``predict`` gives.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)

        Returns
        -------
        indicator : CSR array of shape (n, M), bool
            Root and leaf included; columns are the nodes of ``tree_``.
        """
        X = self._checked(X)
        model = self._model()
        return paths.decision_path(model, placement.to_host(search.top_k(model, X, 1)[0][:, 0]))

    def node_proba(self, X, max_depth=None):
        """Probabilities of reaching the nodes of the tree.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        max_depth : int >= 0, default=None
            Only nodes at most so deep. Nodes are numbered level by level, so they are the first N.

        Returns
        -------
        proba : ndarray of shape (n, N)
        """
        rows = self._checked(X)
        if max_depth is not None and not (isinstance(max_depth, int | np.integer) and max_depth >= 0):
            raise ValueError(f"max_depth must be an int >= 0, or None. Got {max_depth!r} instead.")
        depth = None if max_depth is None else int(max_depth)
        return placement.beside(leaf_probabilities.node_proba(self._model(), rows, depth), X)

    def _read(self, X, y, sample_weight, classes=None, reset=True, device=False):
        """X and y of the rows that weigh anything."""
        X = check_features(self, X, reset=reset, device=device)
        y, sample_weight = placement.fetched(y), placement.fetched(sample_weight)
        name = type(self).__name__
        rows = read_rows(name, X, y, sample_weight=sample_weight, class_weight=self.class_weight, classes=classes)
        scale = float(self.C) * float(rows.weights.sum())
        if not SCALES[0] <= scale <= SCALES[1]:
            raise ValueError(
                f"The 'C' parameter times the sum of the weights must be in [{SCALES[0]:g}, {SCALES[1]:g}]."
                f" Got {scale:g} instead."
            )
        return X if rows.kept.all() else X[placement.where(X, rows.kept)], rows

    def _tree_for(self, X, rows: LabelledRows, previous, arity=None):
        """The tree, its classes, the rows' codes among these, and the names of nodes."""
        if is_taxonomy(self.tree):
            tree, classes, names = read_taxonomy(self.tree, rows.classes)
            if len(classes) < 2:
                raise ValueError(
                    f"{type(self).__name__} needs at least 2 classes; the 'tree' parameter has {len(classes)}."
                )
            return tree, classes, encode_labels(rows.classes, classes)[rows.codes], names
        if len(rows.classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes in the data, but the data contains only one"
                f" class with positive weight: {rows.classes[0]!s}"
            )
        if previous is not None and self._keeps_tree(previous, X, rows.classes):
            return ClassTree(**previous["tree_"]), rows.classes, rows.codes, previous["node_names_"]
        tree = grow_tree(
            self.tree, self.arity if arity is None else arity, X, rows.codes, rows.weights, len(rows.classes)
        )
        return tree, rows.classes, rows.codes, None

    def _keeps_tree(self, previous, X, classes) -> bool:
        """Whether the previous fit grew its tree for these parameters, classes and features."""
        is_alike = previous["_grown_by"] == (self.tree, self.arity) and previous["coef_"].shape[1] == X.shape[1]
        return is_alike and np.array_equal(previous["classes_"], classes)

    def _start(self, previous, tree: ClassTree, classes, X) -> NodeModel | None:
        """The previous fit, where it has the same tree, classes and features."""
        if previous is None:
            return None
        coef, before = previous["coef_"], previous["tree_"]
        same = np.array_equal(before["parent"], tree.parent) and np.array_equal(before["leaf"], tree.leaf)
        same = same and np.array_equal(previous["classes_"], classes)
        alike = coef.shape[1] == X.shape[1] and sparse.issparse(coef) == sparse.issparse(X)
        return NodeModel.of(tree, coef, previous["intercept_"]) if same and alike else None

    def _store(self, tree: ClassTree, classes, names, weight) -> None:
        self.classes_, self.tree_, self.node_names_ = classes, tree.arrays(), names
        self._grown_by = (self.tree, self.arity) if isinstance(self.tree, str) else None
        self.class_weight_seen_ = weight

    def _unpack(self, fit: Fit) -> None:
        self.coef_, self.intercept_ = fit.coef, fit.intercept
        self.objective_, self.gap_, self.gradient_norm_ = fit.objective, fit.gap, fit.gradient_norm
        self.converged_, self.n_iter_ = fit.n_unfinished == 0, fit.n_iter
        self.__dict__.pop("stream_", None)
        if not self.converged_:
            warn(
                f"{fit.n_unfinished} nodes stopped with a gap of up to {fit.worst:.3g} of their objective, above"
                f" tol={self.tol:g}, after at most {fit.n_iter} steps of max_iter={self.max_iter}. Increase max_iter,"
                " scale the data or lower C.",
                ConvergenceWarning,
            )

    def _announced(self, classes, is_first: bool):
        """Sorted classes that a chunk's labels must be among."""
        if classes is not None:
            classes = sorted_labels(column_or_1d(classes, input_name="classes"), name="classes")
        if is_first:
            if classes is None and is_taxonomy(self.tree):
                return read_taxonomy(self.tree, None)[1]
            if classes is None:
                raise ValueError("The first call of partial_fit must announce all labels in the 'classes' parameter.")
            return classes
        if classes is not None and not np.array_equal(classes, self.classes_):
            raise ValueError("The 'classes' parameter must be that of the first call of partial_fit.")
        return self.classes_

    def _stream(self, tree: ClassTree, X, rows: LabelledRows) -> Stream:
        if sparse.issparse(X) != sparse.issparse(self.coef_):
            kind = "sparse" if sparse.issparse(self.coef_) else "dense"
            raise ValueError(f"X must be {kind}, as in the calls before.")
        if hasattr(self, "stream_"):
            return Stream(**self.stream_)
        model = NodeModel.of(tree, self.coef_, self.intercept_)
        past = float(self.class_weight_seen_.sum())
        return Stream.after_fit(model, X, rows.codes, rows.weights, past_weight=past, C=self.C)

    def _checked(self, X):
        check_is_fitted(self)
        return validate_data(self, X, accept_sparse="csr", dtype=np.float64, order="C", reset=False, device=True)

    def _model(self) -> NodeModel:
        return NodeModel.of(ClassTree(**self.tree_), self.coef_, self.intercept_)

    def _codes(self, X, y) -> np.ndarray:
        rows = read_rows(type(self).__name__, X, y, classes=self.classes_)
        return rows.codes

    def _dense(self, X, log: bool) -> np.ndarray:
        rows = self._checked(X)
        n_rows, n_classes = rows.shape[0], len(self.classes_)
        needed = leaf_probabilities.dense_bytes(n_rows, n_classes) / 2**30
        if needed > self.max_dense_gib:
            raise ValueError(
                f"The probabilities of {n_classes} classes for {n_rows} rows would take {needed:.3g} GiB, more than"
                f" max_dense_gib={self.max_dense_gib:g}. Use predict_topk(X, k, sparse_output=True) for the k most"
                " probable classes, predict_log_proba_of(X, y) for given ones, or fewer rows at a time."
            )
        return placement.beside(leaf_probabilities.leaf_proba(self._model(), rows, log=log), X)
