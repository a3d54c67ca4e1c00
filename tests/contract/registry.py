"""The estimators that the contract suites run over."""

from sklearn.linear_model import LogisticRegression

from sksoft import (
    AdaptiveTemperatureScaler,
    BinaryScaler,
    CalibratedSoftmaxClassifier,
    DirichletCalibrator,
    EnsembleTemperatureScaler,
    GraphAttentionClassifier,
    GroupTemperatureScaler,
    HierarchicalSoftmaxClassifier,
    IdentityCalibrator,
    IsotonicCalibrator,
    KnowledgeDistiller,
    MatrixScaler,
    SigmoidClassifier,
    SoftmaxRegression,
    SoftmaxRegressionCV,
    StructuredMatrixScaler,
    TemperatureScaler,
    UncertaintySampler,
    VectorScaler,
    VennAbersCalibrator,
)

# X is a feature matrix: scikit-learn's whole suite applies. That a repetition is a weight it asks to 1e-7, which takes
# a small tol where fits choose among fits.
ESTIMATORS = [
    SoftmaxRegression(),
    SoftmaxRegression(C=0.1, class_weight="balanced"),
    SoftmaxRegression(C=10.0, l1_ratio=0.5),
    SoftmaxRegression(C=0.1, link="entmax15"),
    SoftmaxRegression(label_smoothing=0.1, warm_start=True),
    SoftmaxRegression(solver="lbfgs", working_memory=0.01),
    SoftmaxRegressionCV(Cs=3, cv=3, tol=1e-12),
    SigmoidClassifier(),
    SigmoidClassifier(C=0.1, class_weight="balanced"),
    HierarchicalSoftmaxClassifier(),
    HierarchicalSoftmaxClassifier(tree="huffman", arity=3, label_smoothing=0.1, warm_start=True),
    HierarchicalSoftmaxClassifier(C=10.0, tree="kmeans", arity=2, class_weight="balanced", tol=1e-12),
    CalibratedSoftmaxClassifier(SoftmaxRegression(), method=TemperatureScaler()),
    CalibratedSoftmaxClassifier(LogisticRegression(solver="newton-cholesky", tol=1e-10), method=TemperatureScaler()),
    CalibratedSoftmaxClassifier(SoftmaxRegression(), method=EnsembleTemperatureScaler()),
    CalibratedSoftmaxClassifier(SoftmaxRegression(tol=1e-12)),
    CalibratedSoftmaxClassifier(SoftmaxRegression(tol=1e-12), method=BinaryScaler()),
    CalibratedSoftmaxClassifier(SoftmaxRegression(tol=1e-12), "structured", ensemble=True),
    CalibratedSoftmaxClassifier(SoftmaxRegression(), method=VectorScaler(tol=1e-12)),
    CalibratedSoftmaxClassifier(SoftmaxRegression(), method=MatrixScaler(strength=1.0, tol=1e-12)),
    CalibratedSoftmaxClassifier(SoftmaxRegression(), method=DirichletCalibrator(strength=1.0, tol=1e-12)),
    CalibratedSoftmaxClassifier(SoftmaxRegression(), method=StructuredMatrixScaler(tol=1e-12)),
    CalibratedSoftmaxClassifier(SoftmaxRegression(), method=IsotonicCalibrator()),
    CalibratedSoftmaxClassifier(SoftmaxRegression(), method=VennAbersCalibrator()),
    CalibratedSoftmaxClassifier(SoftmaxRegression(), method=AdaptiveTemperatureScaler(tol=1e-12)),
    CalibratedSoftmaxClassifier(SoftmaxRegression(), method=GroupTemperatureScaler()),
    KnowledgeDistiller(LogisticRegression(solver="newton-cholesky", tol=1e-10), SoftmaxRegression(tol=1e-12), cv=3),
    KnowledgeDistiller(SoftmaxRegression(tol=1e-12), LogisticRegression(solver="newton-cholesky", tol=1e-10), 1.0, 0.5),
    UncertaintySampler(LogisticRegression(solver="newton-cholesky", tol=1e-10)),
    UncertaintySampler(SoftmaxRegression(tol=1e-12), "diverse", random_state=0),
    UncertaintySampler(LogisticRegression(solver="newton-cholesky", tol=1e-10), "bald", n_members=2, random_state=0),
    GraphAttentionClassifier(random_state=0),
]

# X is scores: the suite applies inside CalibratedSoftmaxClassifier, and alone as far as not_applicable.py allows.
CALIBRATORS = [
    IdentityCalibrator(),
    TemperatureScaler(),
    EnsembleTemperatureScaler(),
    VectorScaler(),
    MatrixScaler(cv=2),
    DirichletCalibrator(strength=1.0),
    StructuredMatrixScaler(),
    IsotonicCalibrator(),
    VennAbersCalibrator(),
    AdaptiveTemperatureScaler(),
    GroupTemperatureScaler(),
]
