"""Softmax over a tree of classes: cost that grows with depth, not with the number of classes."""

from sksoft.hierarchical.hierarchical_softmax_classifier import HierarchicalSoftmaxClassifier

__all__ = ["HierarchicalSoftmaxClassifier"]
