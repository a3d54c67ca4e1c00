"""Checks of scikit-learn that a calibrator cannot pass alone, each with its reason; one that starts to pass fails.

A calibrator's X holds one column of scores per class. Most of these checks draw feature matrices with another number
of columns than there are labels; all of them pass inside CalibratedSoftmaxClassifier.
"""

COLUMNS = "X has another number of columns than y has classes"
ACCURACY = "asks for a training accuracy that features allow and random scores do not"

NOT_APPLICABLE = {
    "check_array_api_input": COLUMNS,
    "check_classifiers_classes": COLUMNS,
    "check_classifiers_train": ACCURACY,
    "check_dtype_object": COLUMNS,
    "check_estimators_dtypes": COLUMNS,
    "check_estimators_fit_returns_self": COLUMNS,
    "check_estimators_nan_inf": COLUMNS,
    "check_estimators_overwrite_params": COLUMNS,
    "check_estimators_pickle": COLUMNS,
    "check_fit2d_predict1d": "a one-dimensional X is two-class scores, so it is not told to be reshaped",
    "check_n_features_in_after_fitting": COLUMNS,
    "check_non_transformer_estimators_n_iter": COLUMNS,
    "check_pipeline_consistency": COLUMNS,
    "check_positive_only_tag_during_fit": COLUMNS,
    "check_readonly_memmap_input": COLUMNS,
    "check_sample_weight_equivalence_on_dense_data": COLUMNS,
}


def reason(check: str, calibrator) -> str | None:
    """Why a check is not for this calibrator; None where it is."""
    if check == "check_non_transformer_estimators_n_iter" and not hasattr(calibrator, "max_iter"):
        return None  # it asks nothing of a fit that does not iterate
    return NOT_APPLICABLE.get(check)
