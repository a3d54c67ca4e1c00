"""The only module that touches scikit-learn's semi-private helpers; everything else imports them from here.

scikit-learn keeps parameter constraints and weight checking private though third parties need them for the same
behaviour and wording. If a release moves them, this is the one file to mend.
"""

from functools import wraps

import numpy as np
from sklearn.base import ClassifierMixin as _ClassifierMixin
from sklearn.base import _fit_context
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import HasMethods, Interval, InvalidParameterError, StrOptions
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _check_sample_weight,
    _check_y,
    check_consistent_length,
    check_is_fitted,
)
from sklearn.utils.validation import _check_method_params as check_method_params
from sklearn.utils.validation import validate_data as _validate_host_data

from sksoft._config import get_config
from sksoft.kernels import placement
from sksoft.kernels.capability import FULL, out_of_memory, warn_once
from sksoft.kernels.registry import placed

__all__ = [
    "ClassifierMixin",
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "StrOptions",
    "check_is_fitted",
    "check_method_params",
    "check_sample_weight",
    "device_numbers",
    "fit_context",
    "require_host",
    "take_rows",
    "validate_data",
]


class ClassifierMixin(_ClassifierMixin):
    """scikit-learn's, for classifiers whose predictions may be on a device."""

    def score(self, X, y, sample_weight=None):
        """Accuracy on labels, which come to the host.

        Parameters
        ----------
        X : array-like of shape (n, p)
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        accuracy : float
        """
        from sklearn.metrics import accuracy_score  # as scikit-learn's does: half a second that a fit need not wait

        y, sample_weight = placement.fetched(y), placement.fetched(sample_weight)
        return accuracy_score(y, placement.fetched(self.predict(X)), sample_weight=sample_weight)


def fit_context(*, prefer_skip_nested_validation: bool):
    """scikit-learn's, around a fit that begins again on the host where a device runs full, and says so once.

    Parameters
    ----------
    prefer_skip_nested_validation : bool
        As scikit-learn's.
    """

    def decorate(fit):
        fit = _fit_context(prefer_skip_nested_validation=prefer_skip_nested_validation)(fit)

        @wraps(fit)
        def call(estimator, *args, **kwargs):
            try:
                return fit(estimator, *args, **kwargs)
            except Exception as error:
                X = args[0] if args else kwargs.get("X")
                if get_config()["backend"] != "auto" or not placement.on_device(X) or not out_of_memory(error):
                    raise
            # after the exception, whose traceback held what had been allocated
            warn_once(FULL)
            args = tuple(map(placement.fetched, args))
            return fit(estimator, *args, **{key: placement.fetched(value) for key, value in kwargs.items()})

        return call

    return decorate


def validate_data(estimator, X="no_validation", *args, device: bool = False, **options):
    """scikit-learn's ``validate_data``, that knows where data live.

    Parameters
    ----------
    estimator : estimator
    X, *args, **options
        As scikit-learn's. Of an X on a device, `dtype` and `reset` count; a y that is on one comes to the host.
    device : bool, default=False
        Whether the estimator computes on a device: then an X that is there stays there, and one of the host is moved
        there where the user forces ``backend='cuda'``. Without, an X on a device is an error.

    Raises
    ------
    TypeError
        If X or y is on a device and the estimator computes on the host.
    ValueError
        If X is not what is asked for.
    """
    name = type(estimator).__name__
    if not device:
        require_host(name, X=X, **({"y": args[0]} if args else {}))
    elif placement.on_device(X):
        X = placed(X, name)  # on the host, where the device cannot compute
    args = tuple(map(placement.fetched, args))
    if placement.on_device(X):
        X = _validate_device_rows(estimator, X, **options)
        if not args:
            return X
        asked = {key: options[key] for key in ("multi_output", "y_numeric") if key in options}
        y = _check_y(args[0], estimator=estimator, **asked)
        check_consistent_length(X, y)
        return X, y
    checked = _validate_host_data(estimator, X, *args, **options)
    rows = checked[0] if isinstance(checked, tuple) else checked
    if device and isinstance(rows, np.ndarray):
        rows = placed(rows, name)
        return (rows, *checked[1:]) if isinstance(checked, tuple) else rows
    return checked


def take_rows(X, rows):
    """Some rows of an array, DataFrame, list or sparse matrix, by numbers or a mask; where X is computed on."""
    if placement.on_device(X):
        X = placed(X, "A choice of rows")
        return X[placement.where(X, rows)]
    return _safe_indexing(X, rows)


def require_host(who: str, **arrays) -> None:
    """TypeError where one of `arrays` is on a device, and `who` computes on the host."""
    for name, array in arrays.items():
        if placement.on_device(array):
            raise TypeError(
                f"{who} computes on the host, and {name} is on a CUDA device: move it, with cupy.asnumpy({name}) or"
                f" {name}.cpu()."
            )


def _validate_device_rows(estimator, X, *, dtype=np.float64, reset: bool = True, **_):
    """Rows of finite numbers in C order, of a dtype that is accepted."""
    name = type(estimator).__name__
    if X.ndim != 2:
        raise ValueError(f"Expected 2D array, got {X.ndim}D array instead: X of {name} must have rows and columns.")
    if 0 in X.shape:
        raise ValueError(
            f"Found array with shape {X.shape} while a minimum of 1 row and 1 column is required by {name}."
        )
    _check_feature_names(estimator, X, reset=reset)  # it has none, and a fit to it forgets an earlier one's
    _check_n_features(estimator, X, reset=reset)
    return device_numbers(X, name, dtype)


def device_numbers(X, name: str, dtype):
    """An array of the device library as finite numbers in C order, of a dtype that is accepted; `name` is who asks.

    Raises
    ------
    ValueError
        If it does not hold numbers, or one that is not finite.
    """
    accepted = [np.dtype(kind) for kind in (dtype if isinstance(dtype, tuple | list) else [dtype]) if kind is not None]
    if X.dtype.kind not in "fiub":
        raise ValueError(f"X of {name} must hold numbers. Got dtype {X.dtype} instead.")
    if X.dtype not in accepted:
        X = X.astype(accepted[0] if accepted else np.float64)
    if not bool(np.isfinite(X).all()):
        what = "NaN" if bool(np.isnan(X).any()) else "infinity"
        raise ValueError(f"Input X contains {what}.\n{name} takes finite numbers only.")
    return placement.namespace(X).ascontiguousarray(X)


def check_sample_weight(sample_weight, X, dtype=np.float64):
    """Weights as a finite, non-negative (n,) array that is not all zero; ones where `sample_weight` is None."""
    if np.asarray(sample_weight).dtype.kind in "SUO" and sample_weight is not None:  # scikit-learn names no parameter
        try:
            sample_weight = np.asarray(sample_weight).astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"The 'sample_weight' parameter must hold numbers: {error}.") from error
    return _check_sample_weight(sample_weight, X, dtype=dtype, ensure_non_negative=True)
