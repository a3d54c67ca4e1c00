"""Everything between scores and decisions: the softmax family for scikit-learn.

``import sksoft`` takes milliseconds: every public name below is loaded from its module on first use (PEP 562), so
neither numba, scikit-learn, pandas nor matplotlib is imported before something needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0.dev0"

# public name -> module that defines it
_HOMES = {
    "config_context": "_config",
    "get_config": "_config",
    "set_config": "_config",
    "routing_by_agreement": "functional",
    "softmax": "functional",
    "log_softmax": "functional",
    "logsumexp": "functional",
    "sparsemax": "functional",
    "entmax": "functional",
    "softmax_jvp": "functional",
    "softmax_vjp": "functional",
    "softmax_jacobian": "functional",
    "scaled_dot_product_attention": "functional",
    "attention_vjp": "functional",
    "causal_mask": "functional",
    "SigmoidClassifier": "linear",
    "SoftmaxRegression": "linear",
    "SoftmaxRegressionCV": "linear",
    "TemperatureScaler": "calibration",
    "CalibratedSoftmaxClassifier": "calibration",
    "GroupTemperatureScaler": "calibration",
    "AdaptiveTemperatureScaler": "calibration",
    "VennAbersCalibrator": "calibration",
    "IsotonicCalibrator": "calibration",
    "BinaryScaler": "calibration",
    "PriorShiftAdjuster": "calibration",
    "EnsembleTemperatureScaler": "calibration",
    "DirichletCalibrator": "calibration",
    "MatrixScaler": "calibration",
    "StructuredMatrixScaler": "calibration",
    "VectorScaler": "calibration",
    "IdentityCalibrator": "calibration",
    "HierarchicalSoftmaxClassifier": "hierarchical",
    "AttentionClassifier": "attention",
    "AttentionRegressor": "attention",
    "KnowledgeDistiller": "distillation",
    "GraphAttentionClassifier": "attention",
    "LogitNormalizer": "attention",
    "SoftmaxFixationModel": "attention",
    "ActiveLearningLoop": "active",
    "UncertaintySampler": "active",
    "CudaFallbackWarning": "kernels.capability",
    "show_versions": "_versions",
}
_SUBPACKAGES = (
    "active",
    "attention",
    "audit",
    "calibration",
    "displays",
    "distillation",
    "functional",
    "hierarchical",
    "linear",
    "metrics",
)

__all__ = ["__version__", *sorted(_HOMES), *_SUBPACKAGES]


def __getattr__(name):
    if name in _HOMES:
        value = getattr(import_module(f"sksoft.{_HOMES[name]}"), name)
    elif name in _SUBPACKAGES:
        value = import_module(f"sksoft.{name}")
    else:
        raise AttributeError(f"module 'sksoft' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted(set(globals()) | set(__all__))


if TYPE_CHECKING:
    from sksoft import (
        active,
        attention,
        audit,
        calibration,
        displays,
        distillation,
        functional,
        hierarchical,
        linear,
        metrics,
    )
    from sksoft._config import config_context, get_config, set_config
    from sksoft._versions import show_versions
    from sksoft.active import ActiveLearningLoop, UncertaintySampler
    from sksoft.attention import (
        AttentionClassifier,
        AttentionRegressor,
        GraphAttentionClassifier,
        LogitNormalizer,
        SoftmaxFixationModel,
    )
    from sksoft.calibration import (
        AdaptiveTemperatureScaler,
        BinaryScaler,
        CalibratedSoftmaxClassifier,
        DirichletCalibrator,
        EnsembleTemperatureScaler,
        GroupTemperatureScaler,
        IdentityCalibrator,
        IsotonicCalibrator,
        MatrixScaler,
        PriorShiftAdjuster,
        StructuredMatrixScaler,
        TemperatureScaler,
        VectorScaler,
        VennAbersCalibrator,
    )
    from sksoft.distillation import KnowledgeDistiller
    from sksoft.functional import (
        attention_vjp,
        causal_mask,
        entmax,
        log_softmax,
        logsumexp,
        routing_by_agreement,
        scaled_dot_product_attention,
        softmax,
        softmax_jacobian,
        softmax_jvp,
        softmax_vjp,
        sparsemax,
    )
    from sksoft.hierarchical import HierarchicalSoftmaxClassifier
    from sksoft.kernels.capability import CudaFallbackWarning
    from sksoft.linear import SigmoidClassifier, SoftmaxRegression, SoftmaxRegressionCV
