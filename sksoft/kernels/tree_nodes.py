r"""Ridge logistic and softmax regressions at the nodes of a tree, each over the rows that reach it.

Rows are sorted by the position of their class among the leaves, so that those of a node, and of each of its children,
are side by side (``sksoft.hierarchical.class_tree``). Node v minimises over the coefficients W and intercepts b of its
scores z = W x + b, (q,), with q = 1 for two children and q = m for m ≥ 3,

    F_v = C [Σ_i s_i ℓ(t_i, z_i) + α ℓ(u, b)] + ½ ‖W‖²

    ℓ(t, z) = log Σ_c exp(z_c) − ⟨t, z⟩          (scores (0, z) for two children)
    t_i     = (1 − ε) e_c + ε / m                 c the child whose row i is, ε the label smoothing

α > 0 only where some child has no rows: then α pseudo-observations without features are shared among the children as
their leaves, u_c = L_c / L_v, for without them that child's intercept had no optimum. A node whose rows are all one
child's keeps W = 0 and has its intercepts in closed form, the logarithms of

    p_c ∝ (1 − ε) n_c + ε n / m + α u_c           n_c the weight of the child's rows, n of all

**Certificate.** With the intercepts minimised, φ(W) = min_b F_v is 1-strongly convex and ∇φ(W) = ∂F_v/∂W, so

    F_v − min F_v ≤ ½ ‖∂F_v/∂W‖²

Both are computed once the intercepts have been solved for, to rounding, at the scores at hand.
"""

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

from sksoft.kernels.registry import kernel

# A node that knows this share of the features stores all of them.
FULL_SHARE = 0.25
# Halvings of a Newton step, and steps for the intercepts alone.
HALVINGS, INTERCEPT_STEPS = 40, 8
# From this bound on, as a share of F_v, a step that does not quarter it has met the limit of float64.
STALLED = 1e-12
# What sums over rows are exact to, as a share of F_v.
ROUNDING = 1e-13
# Up to so many parameters the reference solves with the whole Hessian.
DENSE_HESSIAN = 400


@kernel()
def node_features(indices, indptr, first_row, last_row, *, n_features):
    """How many features the rows of each node have.

    Parameters
    ----------
    indices : IN ndarray (nnz,), int32
        Features of the rows, CSR.
    indptr : IN ndarray (n + 1,), int64
    first_row, last_row : IN ndarray (N,), int64
        Rows of each node, the last without the end.
    n_features : int

    Returns
    -------
    counts : ndarray (N,), int64
    """
    return np.array(
        [len(np.unique(indices[indptr[lo] : indptr[hi]])) for lo, hi in zip(first_row, last_row)], dtype=np.int64
    )


@kernel()
def fit_nodes(
    values,
    indices,
    indptr,
    weights,
    *,
    nodes,
    tree,
    row_at,
    coef_indptr,
    settings,
    warm,
    coef_indices,
    coef,
    intercept,
    proof,
):
    """Fit the scores of `nodes`.

    Parameters
    ----------
    values : IN ndarray (nnz,), float64
        Entries of the sorted rows in CSR, duplicates added up. Without `indices` rows are full, (n, p) in C order.
    indices : IN ndarray (nnz,) or (0,), int32, columns in 0 … p − 1
    indptr : IN ndarray (n + 1,), int64
    weights : IN ndarray (n,), float64, positive
    nodes : IN ndarray (N,), int64
        Nodes with two children or more.
    tree : tuple of ndarray
        ``first_child, first_leaf, last_leaf, first_score`` of the ClassTree, int64.
    row_at : IN ndarray (K + 1,), int64
        Rows of the class at position k are ``row_at[k] : row_at[k + 1]``.
    coef_indptr : IN ndarray (R + 1,), int64
        Where the coefficients of each score stand: as many for all scores of a node, the number of its features or p.
    settings : tuple
        ``(n_features, C, label_smoothing, prior_count, tol, max_iter)``; stop at a gap ≤ tol · F_v.
    warm : bool
        Whether to start from what `coef` and `intercept` hold, with `coef_indices` as they will be.
    coef_indices : OUT ndarray (nnz(W),) or (0,), int32
        Features of each score, sorted; none where all rows of W are full.
    coef : IN if `warm`, OUT ndarray (nnz(W),), float64
    intercept : IN if `warm`, OUT ndarray (R,), float64
        Those of three scores or more sum to zero.
    proof : OUT ndarray (N, 4), float64
        The bound ½ ‖∂F_v/∂W‖², the largest absolute entry of the gradient, the number of Newton steps, and 1 where the
        bound reached the tolerance or the limit of float64. They depend on how the steps are solved for, and so differ
        between implementations. Nodes in closed form have the bound 0.

    Returns
    -------
    objective : ndarray (N,), float64
        F_v; of nodes in closed form at W = 0.
    """
    first_child, first_leaf, last_leaf, first_score = tree
    n_features, C, smoothing, prior, tol, max_iter = settings
    objective = np.empty(len(nodes))
    for number, v in enumerate(nodes):
        children = np.arange(first_child[v], first_child[v + 1])
        edges = row_at[np.append(first_leaf[children], last_leaf[children[-1]])]
        leaves = (last_leaf - first_leaf)[children]
        rows, m = slice(edges[0], edges[-1]), len(children)
        child = np.repeat(np.arange(m), np.diff(edges))
        s = weights[rows]
        n_c = np.bincount(child, weights=s, minlength=m)
        alpha = prior if (np.diff(edges) == 0).any() else 0.0
        targets = (1 - smoothing) * np.eye(m)[child] + smoothing / m
        shares = leaves / leaves.sum()
        scores = slice(first_score[v], first_score[v + 1])
        out = slice(coef_indptr[scores.start], coef_indptr[scores.stop])
        features, block = _node_block(
            values, indices, indptr, rows, n_features, coef_indptr[scores.start + 1] - out.start
        )
        if len(coef_indices):
            coef_indices[out] = np.tile(features, scores.stop - scores.start)
        W = (
            coef[out].reshape(scores.stop - scores.start, -1)
            if warm
            else np.zeros((scores.stop - scores.start, len(features)))
        )
        p = s @ targets + alpha * shares
        b = intercept[scores] if warm else _log_odds(p)
        problem = _Node(block, np.append(s, alpha) * C, np.vstack([targets, shares]))
        if (n_c > 0).sum() <= 1:
            W, b = np.zeros_like(W), _log_odds(p)
            objective[number], proof[number] = problem.value(W, b), (0.0, 0.0, 0, 1)
        else:
            W, b, objective[number], proof[number] = problem.solve(W, b, tol, max_iter)
        coef[out], intercept[scores] = W.ravel(), b
    return objective


def _log_odds(p):
    """Scores with the probabilities p / Σ p: one for two children, else with sum zero."""
    scores = np.log(p)
    return scores[1:] - scores[:1] if len(p) == 2 else scores - scores.mean()


def _node_block(values, indices, indptr, rows, n_features, n_stored):
    """The features that a node stores, and its rows over them as a dense block."""
    entries = slice(indptr[rows.start], indptr[rows.stop])
    if not len(indices) and n_stored:
        return np.arange(n_features), values[entries].reshape(-1, n_features)
    features = np.unique(indices[entries]) if n_stored < n_features else np.arange(n_features)
    block = np.zeros((rows.stop - rows.start, len(features)))
    row = np.repeat(np.arange(len(block)), np.diff(indptr[rows.start : rows.stop + 1]))
    block[row, np.searchsorted(features, indices[entries])] = values[entries]
    return features, block


class _Node:
    """One node's problem with dense rows, the pseudo-observation last, by Newton's method."""

    def __init__(self, block, weights, targets):
        self.A = np.column_stack([np.vstack([block, np.zeros(block.shape[1])]), np.ones(len(weights))])
        self.weights, self.targets = weights, targets
        self.q = 1 if targets.shape[1] == 2 else targets.shape[1]
        self.ridge = np.append(np.ones(block.shape[1]), 0.0)

    def at(self, theta):
        """Value, p − t weighted (n, q), and p (n, m) at theta (q, a + 1)."""
        z = self.A @ theta.T
        z = np.column_stack([np.zeros(len(z)), z]) if self.q == 1 else z
        top = z.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(z - top).sum(axis=1)) + top[:, 0]
        p = np.exp(z - log_sum[:, None])
        value = self.weights @ (log_sum - (self.targets * z).sum(axis=1)) + 0.5 * (theta**2 @ self.ridge).sum()
        residual = self.weights[:, None] * (p - self.targets)
        return value, residual[:, -self.q :], p[:, -self.q :]

    def value(self, W, b):
        return self.at(np.column_stack([W, b]))[0]

    def gradient(self, theta, residual):
        return residual.T @ self.A + theta * self.ridge

    def hessian_product(self, p, V):
        """∇²F times V (q, a + 1)."""
        change = self.A @ V.T
        change = self.weights[:, None] * p * (change - (p * change).sum(axis=1, keepdims=True))
        product = change.T @ self.A + V * self.ridge
        if self.q > 1:  # softmax does not see a shift of all intercepts: curvature that no step meets
            product[:, -1] += self.weights.sum() * V[:, -1].mean()
        return product

    def step(self, gradient, p, columns):
        """Newton's step over some columns of A, the intercepts' last."""
        shape = gradient.shape

        def product(flat):
            V = np.zeros(shape)
            V[:, columns] = flat.reshape(shape[0], -1)
            return self.hessian_product(p, V)[:, columns].ravel()

        n_free = shape[0] * len(columns)
        rest = -gradient[:, columns].ravel()
        if n_free <= DENSE_HESSIAN:
            hessian = np.stack([product(unit) for unit in np.eye(n_free)])
            scale = 1.0 / np.sqrt(np.maximum(np.diag(hessian), 1e-300))
            flat = scale * np.linalg.lstsq(hessian * scale * scale[:, None], scale * rest, rcond=1e-15)[0]
        else:
            flat = cg(LinearOperator((n_free, n_free), matvec=product), rest, rtol=1e-8, maxiter=1000)[0]
        step = np.zeros(shape)
        step[:, columns] = flat.reshape(shape[0], -1)
        return step

    def descend(self, theta, columns):
        """One damped Newton step; None where no step descends."""
        value, residual, p = self.at(theta)
        gradient = self.gradient(theta, residual)
        step = self.step(gradient, p, columns)
        slope = (gradient * step).sum()
        for halving in range(HALVINGS):
            moved, gain = theta + step / 2**halving, -slope / 2**halving
            tried = self.at(moved)[0]
            # rounding of the sums hides what a step at the optimum gains
            if tried <= value - 1e-4 * gain or (gain <= ROUNDING * value and tried <= value * (1 + ROUNDING)):
                return moved
        return None

    def solve(self, W, b, tol, max_iter):
        theta, everything, last = np.column_stack([W, b]), np.arange(W.shape[1] + 1), np.array([W.shape[1]])
        before, stalled = np.inf, False
        for n_iter in range(max_iter + 1):
            for _ in range(INTERCEPT_STEPS):
                moved = self.descend(theta, last)
                if moved is None or np.array_equal(moved, theta):
                    break
                theta = moved
            value, residual, _ = self.at(theta)
            gradient = self.gradient(theta, residual)
            bound = 0.5 * (gradient[:, :-1] ** 2).sum()
            stalled = STALLED * value >= bound > 0.25 * before
            moved = None
            if bound > tol * value and not stalled and n_iter < max_iter:
                moved, before = self.descend(theta, everything), bound
            if moved is None:
                break
            theta = moved
        finished = bound <= max(tol, STALLED if moved is None and n_iter < max_iter else 0.0) * value or stalled
        b = theta[:, -1] if self.q == 1 else theta[:, -1] - theta[:, -1].mean()
        return theta[:, :-1], b, value, (bound, np.abs(gradient).max(), n_iter, finished)
