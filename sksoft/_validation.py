"""The only module that touches scikit-learn's semi-private helpers; everything else imports them from here.

scikit-learn keeps parameter constraints and weight checking private though third parties need them for the same
behaviour and wording. If a release moves them, this is the one file to mend.
"""

import numpy as np
from sklearn.base import _fit_context as fit_context
from sklearn.utils import _safe_indexing as take_rows
from sklearn.utils._param_validation import HasMethods, Interval, InvalidParameterError, StrOptions
from sklearn.utils.validation import _check_method_params as check_method_params
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

__all__ = [
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "StrOptions",
    "check_is_fitted",
    "check_method_params",
    "check_sample_weight",
    "fit_context",
    "take_rows",
    "validate_data",
]


def check_sample_weight(sample_weight, X, dtype=np.float64):
    """Weights as a finite, non-negative (n,) array that is not all zero; ones where `sample_weight` is None."""
    if np.asarray(sample_weight).dtype.kind in "SUO" and sample_weight is not None:  # scikit-learn names no parameter
        try:
            sample_weight = np.asarray(sample_weight).astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"The 'sample_weight' parameter must hold numbers: {error}.") from error
    return _check_sample_weight(sample_weight, X, dtype=dtype, ensure_non_negative=True)
