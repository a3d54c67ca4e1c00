"""One head of attention: its own queries, keys and values, and which way to its result.

Arrays of a head are all of the host or all of a device: NumPy's functions compute where they are.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sksoft.kernels import placement
from sksoft.kernels.attention import (
    Sight,
    attend,
    attend_vjp,
    by_seen_values,
    score_blocks,
    seen_scores,
    slopes_of,
    weighted_values,
    weights_of,
    without_finite_lse,
)
from sksoft.kernels.rowwise import quietly

# Queries whose additive mask is divided by a temperature at once.
MASKED_ROWS = 512


@dataclass(frozen=True)
class Head:
    """``z = (scale · score(q, k) + mask) / temperature`` over the keys that a query sees.

    Attributes
    ----------
    queries, keys, values : ndarray (n, d), (m, d), (m, v)
    score : {'dot', 'rbf', 'bilinear', 'additive'}
    score_weight : ndarray or None
        (d of queries, d of keys) for 'bilinear', (d,) for 'additive'.
    scale, temperature : float
    mask : ndarray (n, m) bool or floating, or None
    limits : ndarray (n,) int64 or None
        As in :func:`sksoft.kernels.attention.attend`.
    top_k : int or None
        Largest scores that count, the first of equal ones.
    """

    queries: np.ndarray
    keys: np.ndarray
    values: np.ndarray
    score: str
    score_weight: Any
    scale: float
    temperature: float
    mask: np.ndarray | None
    limits: np.ndarray | None
    top_k: int | None

    @quietly
    def attended(self):
        """Out (n, v) and lse (n,)."""
        xp = placement.namespace(self.values)
        out = xp.empty((len(self.queries), self.values.shape[1]), self.values.dtype)
        lse = xp.empty(len(out), out.dtype)
        if self.score == "additive":
            for rows in self._score_blocks(len(out)):
                out[rows], lse[rows] = self._attended_at_once(rows)
        else:
            for rows, given in self._pieces():
                out[rows], lse[rows] = attend(self.projected[rows], self.keys, self.values, **given)
            beyond = without_finite_lse(lse, self._sight(), len(self.keys))
            for block in self._score_blocks(len(beyond)):
                rows = beyond[block]
                out[rows], lse[rows] = self._attended_at_once(rows)
        return out, lse

    def _score_blocks(self, n_queries):
        return score_blocks(n_queries, len(self.keys), self.keys)

    def _attended_at_once(self, rows):
        """Out and lse of these queries from all their scores, whose largest is subtracted before dividing."""
        seen, scores = self._seen_scores(rows)
        weights, lse = weights_of(scores, self.temperature)
        # −∞ says that nothing is seen, and nothing else.
        least = np.where((scores != -np.inf).any(axis=1), np.finfo(self.values.dtype).min, -np.inf)
        return weighted_values(weights, self.values, seen), np.maximum(lse, least)

    @quietly
    def weights(self):
        """a (n, m), in the dtype of the values."""
        xp = placement.namespace(self.values)
        weights = xp.empty((len(self.queries), len(self.keys)), self.values.dtype)
        for rows in self._score_blocks(len(weights)):
            weights[rows] = weights_of(self._seen_scores(rows)[1], self.temperature)[0]
        return weights

    @quietly
    def gradients(self, out, lse, out_gradient, lse_gradient):
        """Gradients in queries, keys, values and the weight of the score, the last None where there is none."""
        if self.score == "additive":
            return self._additive_gradients(out, lse, out_gradient, lse_gradient)
        queries = self.projected
        by_query, by_key, by_value = self._zeros(queries)
        for rows, given in self._pieces():
            parts = attend_vjp(queries[rows], self.keys, self.values, out[rows], lse[rows], out_gradient[rows],
                               lse_gradient=lse_gradient[rows], **given)  # fmt: skip
            by_query[rows] = parts[0]
            by_key += parts[1]
            by_value += parts[2]
        if self.score_weight is None:
            return by_query, by_key, by_value, None
        seeing = np.where((lse != -np.inf)[:, None], self.queries, 0.0)
        return by_query @ self.score_weight.T.astype(np.float64), by_key, by_value, seeing.T @ by_query

    def _zeros(self, queries):
        """float64 gradients in queries, keys and values, to be summed."""
        xp = placement.namespace(queries)
        return tuple(xp.zeros(array.shape) for array in (queries, self.keys, self.values))

    def _added_mask(self):
        """The mask where it is of numbers that are added to scores, else None."""
        return None if self.mask is None or self.mask.dtype == bool else self.mask

    def _divided(self, mask):
        """−∞ only where it was."""
        divided = np.divide(mask, self.temperature, dtype=np.result_type(mask.dtype, self.values.dtype))
        return np.where(mask == -np.inf, divided, np.maximum(divided, np.finfo(divided.dtype).min))

    def _sight(self):
        return Sight(limits=self.limits, mask=self.mask)

    @cached_property
    def projected(self):
        """Queries in the space of the keys."""
        return self.queries @ self.score_weight if self.score == "bilinear" else self.queries

    def _pieces(self):
        """Slices of queries with what the kernel is told about them."""
        given = {"score": "gaussian" if self.score == "rbf" else "dot", "scale": self.scale / self.temperature}
        n_queries, added = len(self.queries), self._added_mask()
        if self.top_k is not None:
            for rows in self._score_blocks(n_queries):
                seen = self._seen_scores(rows)[0]
                mask = seen if added is None else np.where(seen, self._divided(added[rows]), -np.inf)
                yield rows, {**given, "mask": mask}
        elif added is not None and self.temperature != 1.0:
            for start in range(0, n_queries, MASKED_ROWS):
                rows = slice(start, min(start + MASKED_ROWS, n_queries))
                yield (
                    rows,
                    {
                        **given,
                        "mask": self._divided(added[rows]),
                        "limits": None if self.limits is None else self.limits[rows],
                    },
                )
        else:
            yield slice(0, n_queries), {**given, "mask": self.mask, "limits": self.limits}

    def _seen_scores(self, rows):
        """What these queries see among their `top_k`, (rows, m), and z · temperature, −∞ where they do not."""
        sight = self._sight()
        if self.score == "additive":
            z = self.scale * self._additive_scores(rows)
            added = self._added_mask()
            z = z if added is None else z + added[rows]
            seen = sight.of(rows, placement.namespace(self.keys).arange(len(self.keys)))
            z = np.where(seen, z, -np.inf)
        else:
            score = "gaussian" if self.score == "rbf" else "dot"
            seen, z = seen_scores(self.projected, self.keys, rows, score, self.scale, sight)
        if self.top_k is not None:
            seen = seen & largest(z, self.top_k)
            z = np.where(seen, z, -np.inf)
        return seen, z

    def _additive_scores(self, rows):
        """Σ_c w_c tanh(q_c + k_c)."""
        z = placement.namespace(self.keys).zeros((len(self.queries[rows]), len(self.keys)))
        for c, weight in enumerate(self.score_weight):
            z += weight * self._activation(rows, c)
        return z

    def _activation(self, rows, c):
        """tanh(q_c + k_c)."""
        return np.tanh(np.add(self.queries[rows, c, None], self.keys[:, c], dtype=np.float64))

    def _additive_gradients(self, out, lse, out_gradient, lse_gradient):
        xp = placement.namespace(self.keys)
        by_query, by_key, by_value = self._zeros(self.queries)
        by_weight, factor = xp.zeros(len(self.score_weight)), self.scale / self.temperature
        for block in self._score_blocks(len(self.queries)):
            rows = xp.arange(block.start, block.stop)[lse[block] != -np.inf]
            seen, z = self._seen_scores(rows)
            gradient = out_gradient[rows].astype(np.float64)
            weights, C = slopes_of(
                seen, z / self.temperature, self.values, out[rows], lse[rows], gradient, lse_gradient[rows]
            )
            by_value += by_seen_values(weights, gradient, seen)
            for c, weight in enumerate(self.score_weight):
                activation = self._activation(rows, c)
                by_weight[c] += factor * np.where(seen, C * activation, 0.0).sum()
                slope = np.where(seen, factor * weight * C * (1.0 - activation**2), 0.0)
                by_query[rows, c] = slope.sum(axis=1)
                by_key[:, c] += slope.sum(axis=0)
        return by_query, by_key, by_value, by_weight


def largest(z, k):
    """True at the k largest of each row, the first of equal ones, and at every NaN."""
    n_keys = z.shape[1]
    least = np.partition(z, n_keys - k, axis=1)[:, n_keys - k, None]
    above, equal = z > least, z == least
    room = k - above.sum(axis=1, keepdims=True)
    return above | (equal & (equal.cumsum(axis=1) <= room)) | np.isnan(z)
