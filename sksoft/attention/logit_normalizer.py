"""Logits of one mean and one spread, row by row."""

from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin

from sksoft._validation import Interval, StrOptions, check_is_fitted, fit_context, validate_data
from sksoft.kernels import placement


class LogitNormalizer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    r"""Normalise each row of logits by itself, before a softmax.

    ============  =============================================  ==================================================
    norm          row z of K logits becomes                      known as
    ============  =============================================  ==================================================
    'layer'       (z − mean z) / (std z · temperature)           layer normalisation [1]_, eq. (4), without gains
    'l2'          z / (‖z‖ · temperature)                        LogitNorm [2]_, eq. (5)
    ============  =============================================  ==================================================

    The softmax of a row then depends on the shape of its logits, not on their size: no score is more confident than the
    temperature allows. A row's answer depends on no other row. Batch normalisation, which subtracts means of columns
    over the rows at hand, couples rows: the same case is answered differently in other company, and a softmax carries
    that to all its classes.

    Parameters
    ----------
    norm : {'layer', 'l2'}, default='layer'
    temperature : float > 0, default=1.0
        Divides the result. With 'layer', a lone 1 among K − 1 zeros ends √(K − 1) / temperature above the mean.
    epsilon : float >= 0, default=0.0
        Added to the variance, or to ‖z‖², before the root. 0 is exact scale invariance.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (K,)
        Only where X has string column names.

    Notes
    -----
    Nothing is learnt from rows: ``fit`` notes their number of columns. A row without spread, or of zeros for 'l2',
    becomes zeros. O(n K) time. float32 stays float32. Rows on a CUDA device are normalised there.

    References
    ----------
    .. [1] Ba, Kiros, Hinton, "Layer normalization", arXiv 1607.06450, 2016.
    .. [2] Wei et al., "Mitigating neural network overconfidence with logit normalization", ICML 2022.

    Examples
    --------
    >>> from sksoft import LogitNormalizer, softmax
    >>> logits = [[0.0, 1.0, 5.0], [0.0, 100.0, 500.0]]
    >>> softmax(LogitNormalizer().fit_transform(logits)).round(2)
    array([[0.08, 0.13, 0.8 ],
           [0.08, 0.13, 0.8 ]])
    """

    _parameter_constraints = {
        "norm": [StrOptions({"layer", "l2"})],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "epsilon": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, norm="layer", *, temperature=1.0, epsilon=0.0):
        self.norm = norm
        self.temperature = temperature
        self.epsilon = epsilon

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Note the number of columns.

        Parameters
        ----------
        X : array-like of shape (n, K)
            Finite logits.
        y : Ignored

        Returns
        -------
        self : LogitNormalizer

        Raises
        ------
        ValueError
            If X holds NaN or infinity.
        """
        validate_data(self, X, dtype=(np.float64, np.float32), device=True)
        return self

    def transform(self, X):
        """Normalise rows.

        Parameters
        ----------
        X : array-like of shape (n, K)
            Finite logits.

        Returns
        -------
        normalised : ndarray of shape (n, K), float32 or float64; of the kind of X where that is on a device

        Raises
        ------
        ValueError
            If X holds NaN or infinity, or has another number of columns.
        """
        check_is_fitted(self)
        like, X = X, validate_data(self, X, dtype=(np.float64, np.float32), reset=False, device=True)
        # logits of the size of the row's largest: nothing overflows, and nothing underflows before the division
        size = np.abs(X).max(axis=1, keepdims=True)
        size[size == 0.0] = 1.0
        scaled = X / size
        if self.norm == "layer":
            scaled -= scaled.mean(axis=1, keepdims=True)
            # what rounding leaves of equal logits is no spread
            scaled[(X[:, :1] == X).all(axis=1)] = 0.0
        squares = np.sum(scaled**2, axis=1, keepdims=True)
        if self.norm == "layer":
            squares /= X.shape[1]
        with np.errstate(over="ignore", under="ignore"):
            spread = np.sqrt(squares + (np.sqrt(self.epsilon) / size.astype(np.float64)) ** 2).astype(X.dtype)
        spread[spread == 0.0] = 1.0
        scaled /= spread
        # in float64: a temperature need not be a float32
        normalised = np.divide(scaled, self.temperature, dtype=np.float64).astype(X.dtype, copy=False)
        return placement.beside(normalised, like)
