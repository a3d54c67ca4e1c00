"""Attention as an estimator: the training set, the neighbours in a graph or the objects of a trial are attended to."""

from sksoft.attention.attention_classifier import AttentionClassifier
from sksoft.attention.attention_regressor import AttentionRegressor
from sksoft.attention.fixation_model import SoftmaxFixationModel
from sksoft.attention.graph_attention import graph_attention
from sksoft.attention.graph_attention_classifier import GraphAttentionClassifier
from sksoft.attention.logit_normalizer import LogitNormalizer

__all__ = [
    "AttentionClassifier",
    "AttentionRegressor",
    "GraphAttentionClassifier",
    "LogitNormalizer",
    "SoftmaxFixationModel",
    "graph_attention",
]
