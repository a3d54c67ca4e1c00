"""Attention as an estimator: the training set is what is attended to."""
