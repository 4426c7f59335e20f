"""Evaluation of a network on a data set under a protocol."""
