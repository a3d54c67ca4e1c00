"""The estimators that the contract suites run over."""

from sklearn.linear_model import LogisticRegression

from sksoft import (
    CalibratedSoftmaxClassifier,
    SigmoidClassifier,
    SoftmaxRegression,
    SoftmaxRegressionCV,
    TemperatureScaler,
)

# X is a feature matrix: scikit-learn's whole suite applies.
ESTIMATORS = [
    SoftmaxRegression(),
    SoftmaxRegression(C=0.1, class_weight="balanced"),
    SoftmaxRegression(C=10.0, l1_ratio=0.5),
    SoftmaxRegressionCV(Cs=3, cv=3, tol=1e-12),  # repetition is weight to within the tolerance
    SigmoidClassifier(),
    SigmoidClassifier(C=0.1, class_weight="balanced"),
    CalibratedSoftmaxClassifier(SoftmaxRegression(), method=TemperatureScaler()),
    CalibratedSoftmaxClassifier(LogisticRegression(solver="newton-cholesky", tol=1e-10), method=TemperatureScaler()),
]

# X is scores: the suite applies inside CalibratedSoftmaxClassifier, and alone as far as not_applicable.py allows.
CALIBRATORS = [TemperatureScaler()]
