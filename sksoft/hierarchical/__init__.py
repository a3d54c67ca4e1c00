"""Softmax over a tree of classes: cost that grows with depth, not with the number of classes."""
