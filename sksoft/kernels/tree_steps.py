r"""Stochastic steps down the paths of a tree of classes, row after row.

A row of weight s reaches node v on the way to its class. There, with scores z = b + W x of the m children (0 and one
score for m = 2), p = softmax(z) and targets t, the row's loss s · L(t, z) has the gradient −g xᵀ with g = s (t − p).
The step is implicit: of all steps along the preconditioned gradient, the one that minimises loss and distance
([1]_, equation 2, along a line)::

    W ← W + ℓ g xᵀ / M,   b ← b + ℓ g / M₀,   ℓ = argmin s L(t, z + ℓ d) + ½ ℓ² ⟨g, d⟩
    d = g (1 / M₀ + Σ_j x_j² / M_j)

so ℓ ≤ 1, and no weight and no scale of the features makes it overshoot. For m = 2 it is the proximal point itself.

The metric M is the ridge and the diagonal of the curvature H that the past had, faded by its weight n ([2]_ proves
that weights n^a of the past with ½ < a < 1 are right: so the past's beginnings are forgotten, and the noise averaged)::

    M_kj = λ + H_kj (s / n_j)^0.2,    H_kj = Σ s p_k (1 − p_k) x_j²,    n_j = Σ s  over the rows with x_j ≠ 0
    M_k0 = s / 4 + H_k0 (s / n)^0.2

The sums H are over the past, with p after its steps; n includes the row. At the weights that the past was fitted with,
its gradient and the ridge's are in balance, so the ridge appears in the metric alone, and what a row does not touch
stays.

What the model reports are not the points W and b where the steps stand, which the last rows still shake, but means of
them over the path ([3]_), each parameter by its own clock t = n_j / s and with weights near t^7, so that the past is
soon forgotten: W̄_kj ← W̄_kj + 8 / (t + 7) · (W_kj − W̄_kj).

References
----------
.. [1] Kulis, Bartlett, "Implicit online learning", ICML 2010.
.. [2] Boyer, Godichon-Baggioni, "On the asymptotic rate of convergence of stochastic Newton algorithms and their
   weighted averaged versions", Computational Optimization and Applications 84, 2023.
.. [3] Shamir, Zhang, "Stochastic gradient descent for non-smooth optimization: convergence results and optimal
   averaging schemes", ICML 2013: polynomial-decay averaging.
"""

import math

from sksoft.kernels.registry import kernel

FADING = 0.2
# Of the means: with weights near t^(RECENT − 1).
RECENT = 8.0
# Of the slope along the line, and bisections at most.
ACCURACY, TRIALS = 1e-9, 60


# The reference takes some 20 µs for an entry of a row in a node.
@kernel(auto_size=1 << 12)
def tree_steps(
    values,
    indices,
    indptr,
    leaves,
    weights,
    *,
    ridge,
    smoothing,
    learning,
    parent,
    first_child,
    first_score,
    n_features,
    score_indptr,
    score_indices,
    node_start,
    coef,
    point,
    curvature,
    count,
    intercept,
    intercept_point,
    intercept_curvature,
    seen,
):
    """Take the steps of n rows, in order; in place.

    The bits depend on the rows and their order alone: one call for all rows is one call for each.

    Parameters
    ----------
    values, indices, indptr : IN ndarrays (nnz,), (nnz,), (n + 1,); float64, and any integers
        X in CSR; features in 0 … p − 1, each once in a row.
    leaves : IN ndarray (n,), intp
        The node of each row's class.
    weights : IN ndarray (n,), float64, positive
    ridge : float, positive
        λ.
    smoothing : float in [0, 1)
        ε of the targets: with m children, (1 − ε) [c is on the path] + ε / m for child c.
    learning : bool
        Whether the parameters move; else the sums alone do.
    parent, first_child, first_score : IN ndarrays (M,), (M + 1,), (M + 1,), intp
        As in :class:`~sksoft.hierarchical.class_tree.ClassTree`.
    n_features : int
        p.
    score_indptr, score_indices : IN ndarrays (R + 1,), int64, and any integers
        CSR of the coefficients: sorted features, the same in all rows of a node. A row of p entries is not looked into;
        others must have each feature of each row that comes by.
    node_start : IN ndarray (M,), int64
        Where each node's features begin in `count`.
    coef, point, curvature : IN, OUT ndarrays of the entries of the coefficients, float64
        W̄, W and H.
    count : IN, OUT ndarray, float64
        n_j for each feature of each node.
    intercept, intercept_point, intercept_curvature : IN, OUT ndarrays (R,), float64
        b̄, b and H_k0.
    seen : IN, OUT ndarray (M,), float64
        n of each node.

    Returns
    -------
    coef
        Cost O(entries of X × depth × children × log p).
    """
    for i in range(len(leaves)):
        row = range(indptr[i], indptr[i + 1])
        s, node = weights[i], leaves[i]
        while parent[node] >= 0:
            child, node = node, parent[node]
            children = range(first_child[node], first_child[node + 1])
            if len(children) == 1:
                continue
            # the first of two children has the score zero and no parameters
            scored = range(1 if len(children) == 2 else 0, len(children))
            targets = [(1.0 - smoothing) * (c == child) + smoothing / len(children) for c in children]
            first = first_score[node]
            n_known = score_indptr[first + 1] - score_indptr[first]
            offsets = [
                indices[e] if n_known == n_features else _place(score_indices, score_indptr[first], n_known, indices[e])
                for e in row
            ]
            seen[node] += s
            for o in offsets:
                count[node_start[node] + o] += s
            counts = [count[node_start[node] + o] for o in offsets]
            fading = [(s / n) ** FADING for n in counts]
            metric0, scores, spreads = [0.0] * len(children), [0.0] * len(children), [0.0] * len(children)
            for c in scored:
                r = first + c - scored.start
                metric0[c] = 0.25 * s + intercept_curvature[r] * (s / seen[node]) ** FADING
                score, spread = intercept_point[r], 1.0 / metric0[c]
                for e, o, faded in zip(row, offsets, fading):
                    q = score_indptr[r] + o
                    score += point[q] * values[e]
                    spread += values[e] * values[e] / (ridge + curvature[q] * faded)
                scores[c], spreads[c] = score, spread
            gradient = [s * (t - p) for t, p in zip(targets, _softmax(scores))]
            moves = [g * spread for g, spread in zip(gradient, spreads)]
            length, proba = _length(scores, moves, targets, gradient, s) if learning else (0.0, _softmax(scores))
            for c in scored:
                r, step, h = first + c - scored.start, length * gradient[c], s * proba[c] * (1.0 - proba[c])
                for e, o, faded, n in zip(row, offsets, fading, counts):
                    q = score_indptr[r] + o
                    point[q] += step * values[e] / (ridge + curvature[q] * faded)
                    coef[q] += RECENT * s / (n + (RECENT - 1.0) * s) * (point[q] - coef[q])
                    curvature[q] += h * values[e] * values[e]
                intercept_point[r] += step / metric0[c]
                rate0 = RECENT * s / (seen[node] + (RECENT - 1.0) * s)
                intercept[r] += rate0 * (intercept_point[r] - intercept[r])
                intercept_curvature[r] += h
    return coef


def _place(features, start, length, feature) -> int:
    """Where the feature stands among the sorted ones of a node."""
    low, high = start, start + length
    while low < high:
        middle = (low + high) // 2
        if features[middle] < feature:
            low = middle + 1
        else:
            high = middle
    return low - start


def _softmax(scores) -> list:
    top = max(scores)
    exps = [math.exp(score - top) for score in scores]
    total = 0.0
    for exp in exps:
        total += exp
    return [exp / total for exp in exps]


def _length(scores, moves, targets, gradient, s) -> tuple[float, list]:
    """ℓ, by Newton's method within a bracket, and the probabilities there."""
    distance, low, high, length = 0.0, 0.0, 1.0, 0.0
    for g, move in zip(gradient, moves):
        distance += g * move
    for _ in range(TRIALS):
        proba = _softmax([score + length * move for score, move in zip(scores, moves)])
        mean = square = pull = 0.0
        for p, t, move in zip(proba, targets, moves):
            mean += p * move
            square += p * move * move
            pull += t * move
        slope = s * (mean - pull) + length * distance
        if abs(slope) <= ACCURACY * distance:
            break
        low, high = (low, length) if slope > 0.0 else (length, high)
        following = length - slope / (s * (square - mean * mean) + distance)
        length = following if low < following < high else 0.5 * (low + high)
    return length, proba
