"""The loss of distillation as it is written, and SciPy's minimum of it for a linear model."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax


def two_term_loss(rows, scores, temperature, alpha):
    """Σ s [α T² KL(p_T ‖ q_T) + (1 − α) (−log q_1[y])], the second term where there is a label."""
    p, logs = softmax(rows.logits / temperature, axis=1), log_softmax(rows.logits / temperature, axis=1)
    kl = (p * (logs - log_softmax(scores / temperature, axis=1))).sum(axis=1)
    labelled = np.flatnonzero(rows.codes >= 0)
    hard = -log_softmax(scores[labelled], axis=1)[np.arange(len(labelled)), rows.codes[labelled]]
    return alpha * temperature**2 * rows.weights @ kl + (1 - alpha) * rows.weights[labelled] @ hard


def minimum(rows, temperature, alpha, C, fit_intercept=True):
    """Coefficients (K, p), or (1, p) for two classes, and intercepts of least loss + ‖W‖² / (2 C)."""
    X, K = np.asarray(rows.X), rows.logits.shape[1]
    p, n_rows = X.shape[1], K if K > 2 else 1
    q = p + fit_intercept
    # in standardised coordinates, so that BFGS is quick
    centre, scale = (X.mean(axis=0) if fit_intercept else 0.0), X.std(axis=0) + 1e-9
    Z = (X - centre) / scale
    teacher = softmax(rows.logits / temperature, axis=1)
    labelled = rows.codes >= 0
    hard = np.zeros((len(X), K))
    hard[labelled, rows.codes[labelled]] = 1.0
    a = np.where(labelled, (1 - alpha) * rows.weights, 0.0)[:, None]
    b = alpha * temperature * rows.weights[:, None]

    def loss(w):
        W = w.reshape(n_rows, q)
        scores = Z @ W[:, :p].T + (W[:, p] if fit_intercept else 0.0)
        if n_rows == 1:
            scores = np.hstack([np.zeros_like(scores), scores])
        value = two_term_loss(rows, scores, temperature, alpha) + ((W[:, :p] / scale) ** 2).sum() / (2 * C)
        slope = a * (softmax(scores, axis=1) - hard) + b * (softmax(scores / temperature, axis=1) - teacher)
        gradient = np.zeros((n_rows, q))
        gradient[:, :p] = slope[:, -n_rows:].T @ Z + W[:, :p] / scale**2 / C
        if fit_intercept:
            gradient[:, p] = slope[:, -n_rows:].sum(axis=0)
        return value, gradient.ravel()

    start = np.zeros(n_rows * q)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 20000, "ftol": 0, "gtol": 1e-9})
    W = found.x.reshape(n_rows, q)
    coef = W[:, :p] / scale
    if not fit_intercept:
        return coef, np.zeros(n_rows)
    intercept = W[:, p] - (W[:, p].mean() if n_rows > 1 else 0.0) - coef @ np.broadcast_to(centre, p)
    return coef, intercept
