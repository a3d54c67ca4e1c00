r"""Scaled dot-product attention and its relatives as functions of arrays with any leading axes.

With queries q_i, keys k_j and values v_j of one head, temperature τ::

    z_ij = (scale · score(q_i, k_j) + mask_ij) / τ        a_ij = exp(z_ij) / Σ_l exp(z_il)        out_i = Σ_j a_ij v_j

Read as physics, −scale · score is the energy of state j, a the Boltzmann distribution at temperature τ, and −τ · lse
the free energy. Read as statistics, ``score='rbf'`` is Nadaraya–Watson regression of the values on the keys.
"""

import math
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np

from sksoft._config import effective_n_threads
from sksoft.functional.array_input import array_beside, real_array
from sksoft.functional.head import Head
from sksoft.functional.heads import Heads
from sksoft.kernels import placement
from sksoft.kernels.attention import AUTO_PAIRS
from sksoft.kernels.blocks import map_blocks, serial_blas
from sksoft.kernels.registry import backend_for, placed

EMPTY = ("raise", "nan", "zero")
SCORES = ("dot", "rbf", "bilinear", "additive")


class AttentionGradients(NamedTuple):
    """What :func:`attention_vjp` returns; `score_weight` is None where there was none."""

    queries: np.ndarray
    keys: np.ndarray
    values: np.ndarray
    score_weight: np.ndarray | None


def scaled_dot_product_attention(
    queries,
    keys,
    values,
    *,
    mask=None,
    is_causal=False,
    scale=None,
    temperature=1.0,
    score="dot",
    score_weight=None,
    top_k=None,
    empty="raise",
    return_weights=False,
    return_lse=False,
):
    r"""Attention: for each query the mean of the values, weighted by a softmax over its scores with the keys [1]_.

    ::

        z_ij = (scale · score(q_i, k_j) + mask_ij) / temperature,    out_i = Σ_j softmax_j(z_ij) v_j

    ============ ========================== ============== ===================================
    score        score(q, k)                default scale  also known as
    ============ ========================== ============== ===================================
    'dot'        q · k                      1 / √d         scaled dot-product attention
    'bilinear'   qᵀ W k                     1 / √d         Luong's general attention [3]_
    'additive'   Σ_c w_c tanh(q_c + k_c)    1              Bahdanau's attention [2]_
    'rbf'        −‖q − k‖² / 2              1              Nadaraya–Watson, bandwidth scale^-½
    ============ ========================== ============== ===================================

    Nothing of n × m is held but what is asked for (`return_weights`) or given (`mask`).

    Queries on a CUDA device (an array of CuPy, PyTorch, numba or another library) are answered there, and results are
    of their kind. What is on the host beside them is moved: give `keys` and `values` there too, and ``is_causal=True``
    rather than a mask.

    Parameters
    ----------
    queries : array-like of real numbers, shape (..., n, d)
        Any leading axes, such as batch and head; those of all arrays are broadcast together.
    keys : array-like of real numbers, shape (..., m, d)
        The last leading axis may be shorter than that of `queries` and divide it: neighbouring heads of queries then
        share a head of keys and values (grouped-query attention).
    values : array-like of real numbers, shape (..., m, v)
    mask : array-like of bool or float, broadcastable to (..., n, m), optional
        bool: True where query i may see key j, as everywhere in sksoft. float: added to the scores, −inf where it may
        not. Integers are an error: 0 and 1 could mean either.
    is_causal : bool, default=False
        Query i sees the keys j ≤ i only, counted from the first of each, as in PyTorch. For queries that are the last
        of the keys use ``mask=causal_mask(n, m, offset=m - n)``. With a mask, both must allow.
    scale : float, finite, optional
        As the table says where not given. 1/√d keeps the variance of the dot product of d independent standard normal
        pairs at 1. For 'rbf' it is 1 / bandwidth², or 2γ in scikit-learn's words.
    temperature : float or array-like of floats, positive and finite, default=1.0
        Broadcastable to the leading axes: shape (n_heads,) is one for each head.
    score : {'dot', 'bilinear', 'additive', 'rbf'}, default='dot'
    score_weight : array-like, optional
        Parameters of the score: W of shape (..., d of queries, d of keys) for 'bilinear'; w of shape (..., d) for
        'additive', to which queries and keys come projected. Not accepted otherwise.
    top_k : int in [1, m], optional
        Only the k largest scores of each query count, of equal ones the first. Their softmax is exact.
    empty : {'raise', 'nan', 'zero'}, default='raise'
        What a query that sees no key gives: an error, NaN, or zeros (in `weights` too). A mean of all values is not
        offered, as it would show what the mask hides.
    return_weights : bool, default=False
        Return the weights too: memory for (..., n, m).
    return_lse : bool, default=False
        Return log Σ_j exp(z_ij) too.

    Returns
    -------
    out : ndarray of shape (..., n, v)
        float32 where queries, keys and values are, else float64.
    weights : ndarray of shape (..., n, m)
        Only with `return_weights`. Rows sum to 1; exactly 0 where not seen.
    lse : ndarray of shape (..., n)
        Only with `return_lse`, in nats; −inf for a query that sees nothing, whatever `empty` says, and for no other:
        what lies below the least number is that number.

    Raises
    ------
    ValueError
        If a parameter is not as described, or a query sees no key and ``empty='raise'``.

    See Also
    --------
    attention_vjp, causal_mask, softmax

    Notes
    -----
    O(n m (d + v)) time, tile by tile with an online softmax [4]_; 'additive' evaluates n m d hyperbolic tangents.
    What no query sees is not looked at: NaN, infinities and huge numbers under a mask never leak, into gradients
    neither. A query that does see a NaN, or a score that is +inf, is NaN; one that sees a NaN value is NaN in that
    value's column.

    The largest score is subtracted before dividing wherever a score divided by the temperature overflows: scores of
    1e308 at 1e-300 have a result (their gradients need not have one). A Gaussian score is computed in float64 wherever
    float32 could move it by more than 1e-4, and from differences, at twice the time, where a matrix product in float64
    could by more than 1e-9: where keys lie very far apart. The result has the same bits for any number of threads.

    References
    ----------
    .. [1] Vaswani et al., "Attention is all you need", NeurIPS 2017, eq. (1).
    .. [2] Bahdanau, Cho, Bengio, "Neural machine translation by jointly learning to align and translate", ICLR 2015,
       appendix A.1.2.
    .. [3] Luong, Pham, Manning, "Effective approaches to attention-based neural machine translation", EMNLP 2015,
       section 3.1, 'general'.
    .. [4] Dao et al., "FlashAttention", NeurIPS 2022, algorithm 1.

    Examples
    --------
    >>> from sksoft import scaled_dot_product_attention
    >>> keys = [[0.0], [1.0], [2.0]]
    >>> scaled_dot_product_attention([[1.2]], keys, [[0.0], [10.0], [20.0]], score="rbf", scale=4.0).round(2)
    array([[11.76]])
    >>> out, weights = scaled_dot_product_attention(
    ...     keys, keys, keys, is_causal=True, return_weights=True)
    >>> weights.round(3)
    array([[1.   , 0.   , 0.   ],
           [0.269, 0.731, 0.   ],
           [0.016, 0.117, 0.867]])
    """
    if empty not in EMPTY:
        raise ValueError(f"The 'empty' parameter must be one of {EMPTY}. Got {empty!r} instead.")
    _check_flags(return_weights=return_weights, return_lse=return_lse)
    problem = _Problem.of(queries, keys, values, mask, is_causal, scale, temperature, score, score_weight, top_k)

    def work(number):
        head = problem.head(number)
        return *head.attended(), head.weights() if return_weights else None

    out, lse, weights = zip(*problem.each(work))
    out, lse = problem.heads.joined(out), problem.heads.joined(lse)
    results = [out, *([problem.heads.joined(weights)] if return_weights else []), *([lse] if return_lse else [])]
    nothing = lse == -np.inf
    if nothing.any():
        _fill(results[: 1 + return_weights], nothing, empty)
    results = [placement.beside(result, queries) for result in results]
    return results[0] if len(results) == 1 else tuple(results)


def attention_vjp(
    queries,
    keys,
    values,
    out_gradient,
    *,
    lse_gradient=None,
    mask=None,
    is_causal=False,
    scale=None,
    temperature=1.0,
    score="dot",
    score_weight=None,
    top_k=None,
    out=None,
    lse=None,
):
    """Gradients of attention: those of a number L in what went in, from those in what came out.

    Parameters
    ----------
    queries, keys, values
        As given to :func:`scaled_dot_product_attention`; computed on where the queries are, as there.
    out_gradient : array-like of shape (..., n, v)
        dL/d out.
    lse_gradient : array-like of shape (..., n), optional
        dL/d lse; zeros where not given.
    mask, is_causal, scale, temperature, score, score_weight, top_k
        As given to :func:`scaled_dot_product_attention`. With `top_k` the choice of keys is held fixed.
    out, lse : ndarray, optional
        What :func:`scaled_dot_product_attention` returned with ``return_lse=True``; computed again where not given.

    Returns
    -------
    gradients : named tuple (queries, keys, values, score_weight)
        Of the shapes that went in: summed over axes that were broadcast and heads that were shared. `score_weight` is
        None where there was none. float32 where queries, keys and values are, else float64. A query that sees nothing
        adds nothing.

    Raises
    ------
    ValueError
        If a parameter is not as described, or a shape differs.

    See Also
    --------
    scaled_dot_product_attention

    Notes
    -----
    About 2.5 times the cost of the forward pass; weights are computed again from `lse`, so nothing of n × m is held
    [1]_.

    References
    ----------
    .. [1] Dao et al., "FlashAttention", NeurIPS 2022, algorithm 4.

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft import attention_vjp
    >>> queries, keys, values = [[1.0]], [[0.0], [1.0]], [[2.0], [6.0]]
    >>> gradients = attention_vjp(queries, keys, values, np.ones((1, 1)))
    >>> gradients.values.round(3)  # the weights
    array([[0.269],
           [0.731]])
    >>> gradients.queries.round(3)  # the covariance of keys and values under them
    array([[0.786]])
    """
    problem = _Problem.of(queries, keys, values, mask, is_causal, scale, temperature, score, score_weight, top_k)
    heads, (n, v) = problem.heads, problem.out_shape
    if out is None or lse is None:
        out, lse = (heads.joined(parts) for parts in zip(*problem.each(lambda number: problem.head(number).attended())))
    first = heads.arrays["queries"]
    if lse_gradient is None:
        lse_gradient = placement.namespace(first).zeros((*heads.shape, n))
    given = {"out": (out, (n, v)), "lse": (lse, (n,)), "out_gradient": (out_gradient, (n, v)),
             "lse_gradient": (lse_gradient, (n,))}  # fmt: skip
    parts = [_of_heads(name, array, heads.shape, own, first) for name, (array, own) in given.items()]
    out, lse, out_gradient, lse_gradient = parts

    def work(number):
        return problem.head(number).gradients(out[number], lse[number], out_gradient[number], lse_gradient[number])

    by_query, by_key, by_value, by_weight = zip(*problem.each(work))
    sums = {"queries": by_query, "keys": by_key, "values": by_value}
    if by_weight[0] is not None:
        sums["score_weight"] = by_weight
    added = {name: placement.beside(heads.added(name, parts), queries) for name, parts in sums.items()}
    return AttentionGradients(**{"score_weight": None, **added})


def causal_mask(n_queries, n_keys=None, *, offset=0):
    """Mask of shape (n, m) that is True where key j is not later than query i: ``j ≤ i + offset``.

    Parameters
    ----------
    n_queries : int >= 0
    n_keys : int >= 0, optional
        As many as queries where not given.
    offset : int, default=0
        How many keys there are before the first query: 0 counts both from the first, as ``is_causal=True`` does;
        ``n_keys - n_queries`` lets the last query see all keys, as when a sequence is continued.

    Returns
    -------
    mask : ndarray of shape (n_queries, n_keys), bool
        Of the host.

    Raises
    ------
    ValueError
        If a size is not an integer ≥ 0, or `offset` no integer.

    See Also
    --------
    scaled_dot_product_attention : With ``is_causal=True`` no such array is needed.

    Examples
    --------
    >>> from sksoft import causal_mask
    >>> causal_mask(2, 3, offset=1)
    array([[ True,  True, False],
           [ True,  True,  True]])
    """
    n_keys = n_queries if n_keys is None else n_keys
    for name, value, least in (("n_queries", n_queries, 0), ("n_keys", n_keys, 0), ("offset", offset, -math.inf)):
        if not isinstance(value, Integral) or isinstance(value, bool | np.bool_) or int(value) < least:
            expected = "an int" + ("" if least else " in the range [0, inf)")
            raise ValueError(f"The {name!r} parameter of causal_mask must be {expected}. Got {value!r} instead.")
    n_queries, n_keys = int(n_queries), int(n_keys)
    return np.tri(n_queries, n_keys, max(-n_queries, min(int(offset), n_keys)), dtype=bool)


@dataclass(frozen=True)
class _Problem:
    """Checked arguments: what a head is made of."""

    heads: Heads
    dtype: np.dtype
    out_shape: tuple
    score: str
    scale: float
    limits: np.ndarray | None
    top_k: int | None

    @classmethod
    def of(cls, queries, keys, values, mask, is_causal, scale, temperature, score, score_weight, top_k):
        if score not in SCORES:
            raise ValueError(f"The 'score' parameter must be one of {SCORES}. Got {score!r} instead.")
        _check_flags(is_causal=is_causal)
        first = real_array("queries", placed(queries, "Attention"))
        given = {"keys": keys, "values": values}
        arrays = {"queries": first, **{name: real_array(name, array, first) for name, array in given.items()}}
        dtype = np.result_type(*(array.dtype for array in arrays.values()))
        arrays = {name: array.astype(dtype, copy=False) for name, array in arrays.items()}
        n, m = _checked_shapes(arrays, score)
        n_own = {"queries": 2, "keys": 2, "values": 2, "temperature": 0}
        arrays["temperature"] = _checked_temperatures(temperature)
        if mask is not None:
            arrays["mask"], n_own["mask"] = _checked_mask(array_beside("mask", mask, first), n, m), 2
        if (score_weight is None) == (score in ("bilinear", "additive")):
            need = "is needed" if score_weight is None else "is not accepted"
            raise ValueError(f"The 'score_weight' parameter {need} with score={score!r}.")
        if score_weight is not None:
            arrays["score_weight"] = _checked_score_weight(score_weight, arrays, score).astype(dtype, copy=False)
            n_own["score_weight"] = 2 if score == "bilinear" else 1
        if top_k is not None and not (
            isinstance(top_k, Integral) and not isinstance(top_k, bool | np.bool_) and 1 <= int(top_k) <= m
        ):
            raise ValueError(f"The 'top_k' parameter must be an int in the range [1, {m}], the keys. Got {top_k!r}.")
        limits = np.minimum(placement.namespace(first).arange(1, n + 1), m) if is_causal else None
        scale = _checked_scale(scale, score, arrays["keys"].shape[-1])
        out_shape = (n, arrays["values"].shape[-1])
        return cls(Heads(n_own, arrays), dtype, out_shape, score, scale, limits, None if top_k is None else int(top_k))

    def head(self, number):
        """Arguments of one head."""
        part = partial(self.heads.part, head=number)
        mask, weight = (part(name) if name in self.heads.arrays else None for name in ("mask", "score_weight"))
        if mask is not None:
            mask = np.broadcast_to(mask, (self.out_shape[0], self.heads.arrays["keys"].shape[-2]))
        return Head(part("queries"), part("keys"), part("values"), self.score, weight, self.scale,
                    float(part("temperature")), mask, self.limits, self.top_k)  # fmt: skip

    def each(self, work):
        """``work(number)`` of every head, in order: threads share heads where there are enough, else rows of one."""
        n_heads = len(self.heads)
        n_pairs = n_heads * self.out_shape[0] * self.heads.arrays["keys"].shape[-2]
        on_backend = backend_for(n_pairs, AUTO_PAIRS, data=self.heads.arrays["queries"])

        def decided(number):
            with on_backend():
                return work(number)

        numbers = list(range(n_heads))
        if n_pairs < AUTO_PAIRS or placement.on_device(self.heads.arrays["queries"]):
            return [decided(number) for number in numbers]
        with serial_blas():
            if n_heads >= effective_n_threads():
                return map_blocks(decided, numbers)
            return [decided(number) for number in numbers]


def _fill(arrays, nothing, empty):
    """Give queries that see nothing what `empty` says."""
    if empty == "raise":
        which = tuple(int(part) for part in np.argwhere(nothing)[0])
        raise ValueError(
            f"{int(nothing.sum())} queries see no key: all are masked or of score -inf, the first being query "
            f"{which if len(which) > 1 else which[0]}. Set the 'empty' parameter to one of {EMPTY[1:]} to accept them."
        )
    for array in arrays:
        array[nothing] = np.nan if empty == "nan" else 0.0


def _of_heads(name, array, leading, own, queries):
    """An array of the shape of a result, (heads, ...), where the queries are and in their dtype."""
    array = real_array(name, array, queries)
    if array.shape != (*leading, *own):
        raise ValueError(f"{name!r} must have the shape {(*leading, *own)}. Got {array.shape} instead.")
    return array.astype(queries.dtype, copy=False).reshape(math.prod(leading), *own)


def _check_flags(**flags):
    for name, value in flags.items():
        if not isinstance(value, bool | np.bool_):
            raise ValueError(f"The {name!r} parameter must be True or False. Got {value!r} instead.")


def _checked_shapes(arrays, score):
    for name, array in arrays.items():
        if array.ndim < 2:
            raise ValueError(f"{name!r} must have at least two axes, (rows, columns). Got shape {array.shape} instead.")
    (n, d), (m, key_d) = arrays["queries"].shape[-2:], arrays["keys"].shape[-2:]
    if d != key_d and score != "bilinear":
        raise ValueError(f"Queries and keys must have the same number of columns. Got {d} and {key_d} instead.")
    if arrays["values"].shape[-2] != m:
        raise ValueError(
            f"There must be as many rows of values as of keys. Got {arrays['values'].shape[-2]} and {m} instead."
        )
    if m == 0 or d == 0:
        raise ValueError(f"There must be at least one key of one column. Got {m} keys and {d} columns.")
    return n, m


def _checked_scale(scale, score, d):
    if scale is None:
        return 1.0 / math.sqrt(d) if score in ("dot", "bilinear") else 1.0
    if isinstance(scale, Real) and not isinstance(scale, bool | np.bool_):
        value = float(scale)
        if math.isfinite(value) and (score != "rbf" or value > 0.0):
            return value
    kind = "positive finite" if score == "rbf" else "finite"
    raise ValueError(f"The 'scale' parameter must be a {kind} float or None. Got {scale!r} instead.")


def _checked_temperatures(temperature):
    values = np.asarray(placement.fetched(temperature))
    if values.dtype.kind not in "fiu" or not (np.isfinite(values).all() and (values > 0.0).all()):
        raise ValueError(
            f"The 'temperature' parameter must be a positive finite float, or an array of such. Got {temperature!r} "
            "instead."
        )
    return values.astype(np.float64)


def _checked_mask(mask, n, m):
    if mask.dtype.kind not in "bf":
        raise ValueError(
            "The 'mask' parameter must be an array of bool, True where a key may be seen, or of floats to be added to "
            f"the scores. Got an array of {mask.dtype} instead: say mask.astype(bool) where 1 means 'may be seen'."
        )
    mask = mask.reshape((1,) * max(0, 2 - mask.ndim) + mask.shape)
    if mask.shape[-2] not in (1, n) or mask.shape[-1] not in (1, m):
        raise ValueError(
            f"The 'mask' parameter must be broadcastable to the shape of the scores, (..., {n}, {m}). "
            f"Got shape {mask.shape} instead."
        )
    return mask


def _checked_score_weight(score_weight, arrays, score):
    weight = real_array("score_weight", score_weight, arrays["queries"])
    d, key_d = arrays["queries"].shape[-1], arrays["keys"].shape[-1]
    expected = (d, key_d) if score == "bilinear" else (d,)
    if weight.shape[max(weight.ndim - len(expected), 0) :] != expected:
        shape = "(..., " + ", ".join(map(str, expected)) + ")"
        raise ValueError(
            f"The 'score_weight' parameter must have the shape {shape} with score={score!r}. "
            f"Got {weight.shape} instead."
        )
    if not np.isfinite(weight).all():
        raise ValueError("The 'score_weight' parameter must be finite. Got NaN or infinity.")
    return weight
