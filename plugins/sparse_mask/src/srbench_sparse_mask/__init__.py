"""Sparse masks (SMSR) for sr-bench, and the backbone of the paper."""
