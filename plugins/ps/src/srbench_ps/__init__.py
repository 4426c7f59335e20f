"""Partial filter-Sharing (PS) and DRRN for sr-bench."""
