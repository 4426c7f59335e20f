"""Partial filter-Sharing (PS) for sr-bench, and the backbones of its paper."""
